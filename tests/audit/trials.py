"""Kill trials: clients read answers of a real server, the power goes at a random moment, and the ledger is read as it was left.

`synced_only` is the harder kind: what the store had written but not synced is lost with the process (tests/audit/unsynced.c). For
PostgreSQL that is its write-ahead log, from which it makes everything anew.
"""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from audit.frame import decode
from audit.store import Store, StoreUnavailable
from audit.stores import store_at
from tests.audit.places import Place, place
from tests.audit.store_places import text_of
from tests.servers import MEMORY, Cluster, cluster

ROOT = Path(__file__).parents[2]
CLIENTS = 6
LONGEST = 0.25
"""Seconds after the first answer within which the power goes."""

PARENT = """
import os, signal, sys
from pathlib import Path

import app, audit.store_postgres, audit.store_sqlite, terminal.serving
from settings import load_settings
from terminal.command import command

planted = os.environ.get("PLANTED", "")
if planted == "commits that are not waited for":  # a server that would be refused
    checks = audit.store_postgres._APPEND[audit.store_postgres._APPEND.index("  WHERE"):]
    audit.store_postgres._APPEND = audit.store_postgres._APPEND.replace(checks.split("\\n")[0], "")
    audit.store_postgres._prepare = lambda *_: None
elif planted:
    audit.store_sqlite.SYNCHRONOUS = planted

settings = load_settings(Path(sys.argv[1]))
catalogue = app.catalogue_of(settings)
schema, base = app.graphql_schema(catalogue), app._base(settings, catalogue)
app.load_catalogue = lambda *_: catalogue
app.graphql_schema = lambda _: schema
app._base = lambda *_: base
print("ready", flush=True)
for line in sys.stdin:
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    if child := os.fork():
        print(child, flush=True)
        continue
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    nowhere, log = os.open(os.devnull, os.O_RDWR), os.open(sys.argv[2], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for stream, target in ((0, nowhere), (1, nowhere), (2, log)):
        os.dup2(target, stream)
    os.environ["ONESOURCE_SERVER__PORT"] = line.strip()
    sys.argv = ["onesource", "serve", "--settings", sys.argv[1]]
    command()
"""
"""Loads programs, catalogue and schema once; for each port on its input it forks a process that is `onesource serve`, and tells its id."""


@dataclass
class Tally:
    """What came of the trials: answers that clients had, requests cut off, and fields that were shown but are not on record."""

    trials: int = 0
    answers: int = 0
    fields: int = 0
    cut_off: int = 0
    lost: list[str] = field(default_factory=list)


@dataclass
class Bench:
    """A place to try: `store` is the ledger's URL; `prefix` begins the paths of files whose unsynced writes are lost, kept in `kept`."""

    where: Place
    question: Mapping[str, Any]
    headers: Mapping[str, str]
    store: str
    parent: subprocess.Popen[str]
    server: Cluster | None
    prefix: Path | None
    kept: Path | None
    log: Path

    def start(self) -> tuple[int, str]:
        """A server's process and address, once it answers."""
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        assert self.parent.stdin
        assert self.parent.stdout
        self.parent.stdin.write(f"{port}\n")
        self.parent.stdin.flush()
        process, address = int(self.parent.stdout.readline()), f"http://127.0.0.1:{port}"
        end = time.monotonic() + 30
        with httpx.Client(trust_env=False) as http:
            while time.monotonic() < end:
                try:
                    http.get(f"{address}/health/ready", timeout=5).raise_for_status()
                except httpx.HTTPError:
                    time.sleep(0.01)
                else:
                    return process, address
        raise AssertionError(self.log.read_text("utf8")[-2_000:])

    def restore(self) -> None:
        """Put what was synced in the place of what was written."""
        if self.prefix is None or self.kept is None:
            return
        for file in self.prefix.parent.glob(f"{self.prefix.name}*"):
            if file.is_file():
                file.unlink()
        for file in self.kept.iterdir():
            copied = shutil.copy2(file, self.prefix.parent)
            shutil.chown(copied, file.owner(), file.group())

    def shown(self) -> dict[str, dict[str, int]]:
        """What is on record of each operation: how often each field of a resource was returned."""
        with tempfile.TemporaryDirectory() as folder, suppress(StoreUnavailable):
            return _shown(store_at(self._copied(Path(folder)), 10))
        return {}  # not even its tables are left

    def _copied(self, folder: Path) -> str:
        """The store to read: a copy of a file, since who opens it writes to it, and that would be lost at the next trial."""
        if self.server:
            return self.store
        for file in self.where.ledger.parent.glob("ledger.db*"):
            shutil.copy2(file, folder)
        return f"sqlite:///{folder / 'ledger.db'}"


def _shown(store: Store) -> dict[str, dict[str, int]]:
    names = store.coordinates()
    found = {}
    for stored in store.read(0, 10_000_000):
        frame = decode(stored.frame)
        found[str(frame["operation"])] = counts = dict[str, int]()
        for node in frame["nodes"]:
            for outcomes, entities in node["groups"].items():
                for number, outcome in zip(node["items"], outcomes, strict=True):
                    if outcome in "RM":
                        name = f"{node['path']}.{names[number].partition('.')[2]}"
                        counts[name] = counts.get(name, 0) + len(entities)
    store.close()
    return found


def shown_in(body: Mapping[str, Any]) -> dict[str, int]:
    """How often each field of a resource has a value in an answer, by its path without list places."""
    counts: dict[str, int] = {}

    def walk(value: Any, path: str) -> None:
        if isinstance(value, dict):
            for key, inner in value.items():
                if key != "provenance":
                    walk(inner, f"{path}.{key}" if path else key)
        elif isinstance(value, list):
            for inner in value:
                walk(inner, path)
        elif value is not None:
            counts[path] = counts.get(path, 0) + 1

    walk(body["data"], "")
    return counts


async def _ask_until_killed(
    bench: Bench, address: str, kill: Any, after: float
) -> tuple[dict[str, dict[str, int]], int]:
    """What clients were shown by each answered operation, and how many requests were cut off; `kill` is called `after` seconds."""
    answered: dict[str, dict[str, int]] = {}
    cut_off = 0
    begun, killed = asyncio.Event(), False

    async def client(http: httpx.AsyncClient) -> None:
        nonlocal cut_off
        while not killed:
            try:
                body = (await http.post("/graphql", json=bench.question)).json()
            except httpx.HTTPError:
                cut_off += 1
                return
            if "errors" in body:  # the store went a moment before the server
                assert {one["extensions"]["code"] for one in body["errors"]} == {"LEDGER_UNAVAILABLE"}, body
                continue
            answered[body["extensions"]["operationId"]] = shown_in(body)
            begun.set()

    async def end() -> None:
        nonlocal killed
        await begun.wait()
        await asyncio.sleep(after)
        kill()
        killed = True

    async with httpx.AsyncClient(base_url=address, headers=bench.headers, timeout=20, trust_env=False) as http:
        await asyncio.gather(end(), *(client(http) for _ in range(CLIENTS)))
    return answered, cut_off


def trial(bench: Bench, chance: random.Random, tally: Tally) -> None:
    """One more: start, ask, cut the power, and compare."""
    process, address = bench.start()

    def kill() -> None:
        os.kill(process, signal.SIGKILL)
        if bench.server:
            bench.server.kill()

    answered, cut_off = asyncio.run(_ask_until_killed(bench, address, kill, chance.uniform(0, LONGEST)))
    while Path(f"/proc/{process}").exists():
        time.sleep(0.002)
    bench.restore()
    if bench.server:
        bench.server.start()
    on_record = bench.shown()
    tally.trials += 1
    tally.answers += len(answered)
    tally.fields += sum(sum(counts.values()) for counts in answered.values())
    tally.cut_off += cut_off
    for operation, counts in answered.items():
        kept = on_record.get(operation, {})
        tally.lost += [f"{operation} {name}" for name, count in counts.items() if kept.get(name, 0) < count]


@contextmanager
def bench_of(kind: str, synced_only: bool, folder: Path, city: Path, planted: str = "") -> Iterator[Bench]:
    """A bench over a store of this kind; `planted` is a fault that the trials must find."""
    where = place(folder, city)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ONESOURCE_")}
    environment |= {"PLANTED": planted, "ONESOURCE_RATES__SUBJECT": "1000000"}
    with ExitStack() as over:
        prefix = kept = None
        losing: dict[str, str] = {}
        if synced_only:
            kept = Path(over.enter_context(tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None)))
            losing = {"LD_PRELOAD": str(_library(folder)), "UNSYNCED_KEPT": str(kept)}
        server = None
        if kind == "postgresql":
            server = over.enter_context(_losing_cluster(losing, kept, planted))
            prefix = server.data / "pg_wal" / "" if synced_only else None
            store = text_of(server.url)
            environment["ONESOURCE_LEDGER__URL"] = store
        else:
            prefix = where.ledger if synced_only else None
            store = f"sqlite:///{where.ledger}"
            environment |= losing | ({"UNSYNCED_PREFIX": str(prefix)} if losing else {})
        parent = over.enter_context(
            subprocess.Popen(
                [sys.executable, "-c", PARENT, str(where.file), str(folder / "log")], cwd=ROOT, env=environment,
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            )
        )  # fmt: skip
        assert parent.stdout
        assert parent.stdout.readline() == "ready\n"
        try:
            yield Bench(where, where.question, where.headers, store, parent, server, prefix, kept, folder / "log")
        finally:
            parent.kill()


@contextmanager
def _losing_cluster(losing: Mapping[str, str], kept: Path | None, planted: str) -> Iterator[Cluster]:
    """A server that loses what it did not sync of its log, begun from a state that is synced as a whole."""
    with cluster() as server:
        if planted:
            server.set(synchronous_commit="off")
        if kept:
            server.stop()
            log = server.data / "pg_wal"
            for file in log.iterdir():
                if file.is_file():
                    shutil.copy2(file, kept)
            for one in (kept, *kept.iterdir()):
                shutil.chown(one, log.owner(), log.group())
            server.environment = {**losing, "UNSYNCED_PREFIX": f"{log}/"}
            server.start()
        yield server


def _library(folder: Path) -> Path:
    """The library that withholds, compiled."""
    made = folder / "unsynced.so"
    source = Path(__file__).with_name("unsynced.c")
    subprocess.run(["gcc", "-O2", "-Wall", "-Werror", "-shared", "-fPIC", "-o", made, source, "-ldl"], check=True)
    made.chmod(0o755)
    return made


def run_trials(
    kind: str, synced_only: bool, count: int, folder: Path, city: Path, planted: str = "", seed: int = 1
) -> Tally:
    """So many trials, one after the other over the same ledger."""
    tally, chance = Tally(), random.Random(seed)
    with bench_of(kind, synced_only, folder, city, planted) as bench:
        for _ in range(count):
            trial(bench, chance, tally)
            if tally.lost and planted:
                break
    return tally
