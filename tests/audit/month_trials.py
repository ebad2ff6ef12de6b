"""Kill trials of sealing and removing: a process seals, and removes, and is killed at a random moment; then nothing may be lost."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from audit.sealing import ACT
from tests.audit.months import City, fill, frames_of
from tests.audit.store_places import store_url, text_of

ROOT = Path(__file__).parents[2]
COUNT = 900
LONGEST = 0.45
"""Seconds within which the process is killed; some trials end before."""

PARENT = """
import os, signal, sys
from contextlib import closing
from pathlib import Path
import duckdb, psycopg, sqlalchemy as sa
import audit.sealing as sealing
from tests.audit.months import City

sealing._WINDOW = 100  # many small portions, so that many moments lie between two of them
print("ready", flush=True)
for line in sys.stdin:
    if child := os.fork():
        print(child, flush=True)
        print(os.waitpid(child, 0)[1], flush=True)
        continue
    url, folder, keep = line.strip().split(" ")
    city = City(sa.make_url(url), Path(folder))
    with closing(city.store()) as store:
        city.seal(store)
        months = [one.month for one in store.months()][:-int(keep)]
        for number, month in enumerate(months, 1):
            city.remove(store, month, number)
    os._exit(0)
"""
"""Loads programs once; for each ledger on its input it forks a process that seals and removes, tells its id, and how it ended."""


@dataclass
class Tally:
    """What came of the trials: how many processes were killed in time, and what was wrong afterwards."""

    trials: int = 0
    killed: int = 0
    wrong: list[str] = field(default_factory=list)


@contextmanager
def _parent() -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, "-c", PARENT], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout
        assert parent.stdout.readline() == "ready\n"
        try:
            yield parent
        finally:
            parent.kill()


def run_trials(kind: str, count: int, folder: Path, seed: int = 1) -> Tally:
    """So many trials, each with a ledger of its own; after a kill the same is done again until it ends by itself."""
    tally, chance = Tally(), Random(seed)
    with _parent() as parent:
        for number in range(count):
            own = folder / str(number)
            own.mkdir()
            with store_url(kind, own) as url:
                _trial(parent, City(url, own), chance, tally)
    return tally


def _trial(parent: subprocess.Popen[str], city: City, chance: Random, tally: Tally) -> None:
    with closing(city.store()) as store:
        fill(store, frames_of(chance, COUNT))
        city.witnessed(store)
        frames = {one.seq: one.frame for one in store.read(0, 10_000)}
    tally.trials += 1
    for after in (chance.uniform(0, LONGEST), chance.uniform(0, LONGEST), 60.0):
        ended = _run(parent, city, after)
        tally.killed += ended == signal.SIGKILL
        tally.wrong += _wrong(city, frames)
        if ended == 0:
            return
    tally.wrong.append("it does not end")


def _run(parent: subprocess.Popen[str], city: City, after: float) -> int:
    """Seal and remove, and kill the process after so many seconds; how it ended (0: by itself)."""
    assert parent.stdin
    assert parent.stdout
    parent.stdin.write(f"{text_of(city.url)} {city.folder} 2\n")
    parent.stdin.flush()
    process = int(parent.stdout.readline())
    end = time.monotonic() + after
    while time.monotonic() < end and Path(f"/proc/{process}").exists():
        time.sleep(0.002)
    if Path(f"/proc/{process}").exists():
        os.kill(process, signal.SIGKILL)
    return int(parent.stdout.readline())


def _wrong(city: City, frames: dict[int, bytes]) -> list[str]:
    """What is not as it must be: a frame that is gone or another, a finding, a removal without its record."""
    with closing(city.store()) as store:
        gone = max((one.last for one in store.months() if one.removal), default=0)
        there = {one.seq: one.frame for one in store.read(0, 10_000)}
        wrong = [f"{place} is not there" for place in frames if place > gone and there.get(place) != frames[place]]
        report = city.report(store)
        wrong += [str(one) for one in report.findings]
        acts = sum(f'"path":"{ACT}"'.encode() in frame for frame in there.values())
        removed = [one for one in store.months() if one.removal]
        if acts < len(removed) or len(report.removed) != len(removed):
            wrong.append("a month was removed without a record")
        kept = [one for one in store.months() if not one.removal]
        wrong += [f"{one.month} has no file" for one in kept if not (city.archive / f"{one.month}.parquet").is_file()]
    return wrong
