"""The applicant look-up (25 fields, 5 departments) against the same five queries by hand, in one run, as a ratio.

    make bench

Each server is one process pinned to the first core, the load comes from the second (where there are two); they are asked in turn, a second
each. Same embedded data, same applicants, same client; the bodies are compared. onesource runs as it is served: tokens, cases, decisions,
durable ledger.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

import orjson
import uvloop
from rich.console import Console
from rich.table import Table

from app import catalogue_of, compose
from benchmarks.load import Measured, measure, post
from demo.scene import IDENTITIES, QUERY, SERVICE, Scene
from policies.cases import CaseSubject
from schema.catalogue import Catalogue
from settings import Settings, load_settings

ROOT = Path(__file__).parent.parent
APPLICANTS = 500
HAND = "by hand"
PROVENANCE = "provenance { provider updatedAt }"


def prepare(folder: Path, residents: int) -> tuple[Settings, Catalogue, Scene]:
    """A demo city and settings of its own below `folder`."""
    text = (ROOT / "onesource.toml").read_text("utf8").replace("var/demo/", "demo/")
    (folder / "onesource.toml").write_text(text.replace('"catalogue"', f'"{ROOT / "catalogue"}"'), "utf8")
    settings = load_settings(folder / "onesource.toml")
    catalogue = catalogue_of(settings)
    scene = Scene(folder / "demo")
    scene.prepare()
    scene.build(catalogue, residents, 1, lambda *_: None)
    return settings, catalogue, scene


def applicants(scene: Scene) -> list[str]:
    """Identity numbers of residents who have a housing fund account, so that every department has something to say."""
    import sqlite3

    with sqlite3.connect(scene.city / "housing-fund.db") as fund:
        rows = fund.execute("SELECT DISTINCT GRZJHM FROM DP_GRZH ORDER BY GRZJHM LIMIT ?", (APPLICANTS,))
        return [row[0] for row in rows]


async def open_cases(settings: Settings, catalogue: Catalogue, numbers: list[str]) -> list[str]:
    """One open case for each applicant."""
    rooms = compose(settings, catalogue)
    rooms.cases.open()
    service = next(s for s in catalogue.services.values() if s.name == SERVICE)
    cases = [f"BENCH-{index:05d}" for index in range(len(numbers))]
    for case, number in zip(cases, numbers, strict=True):
        subject = CaseSubject("Person", number, "APPLICANT", "benchmark")
        await rooms.cases.accept(service, case, [subject], "benchmark", datetime.now(UTC))
    rooms.cases.close()
    return cases


@contextmanager
def server(command: list[str], port: int, environment: dict[str, str]) -> Iterator[None]:
    """A server process on the first core, stopped at the end."""
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(  # noqa: S603 - our own commands
            command, env=os.environ | environment, stdout=log, stderr=log, cwd=ROOT
        )
        try:
            if hasattr(os, "sched_setaffinity"):
                os.sched_setaffinity(process.pid, {0})
            for _ in range(200):
                with socket.socket() as probe:
                    if probe.connect_ex(("127.0.0.1", port)) == 0:
                        break
                time.sleep(0.1)
            else:
                raise RuntimeError("the server did not start")
            yield
        finally:
            process.terminate()
            process.wait(10)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def questions(numbers: list[str], cases: list[str]) -> list[bytes]:
    """One body for each applicant, under the case of each."""
    query = " ".join(QUERY.replace(PROVENANCE, "").split())
    return [
        orjson.dumps(
            {
                "query": query,
                "variables": {
                    "idNumber": number,
                    "use": {"purpose": "ADMINISTRATIVE_BASIS", "basis": {"case": case}},
                },
            }
        )
        for number, case in zip(numbers, cases, strict=True)
    ]


@dataclass(frozen=True, slots=True)
class Contender:
    """A server to be measured: its title and its requests."""

    title: str
    port: int
    requests: list[bytes]


def rounds(contenders: list[Contender], clients: int, count: int) -> dict[str, list[Measured]]:
    """Measure each in turn, a second at a time, so that a machine that slows down meanwhile slows both."""
    measured: dict[str, list[Measured]] = {one.title: [] for one in contenders}
    for _ in range(count):
        for one in contenders:
            measured[one.title].append(uvloop.run(measure(one.port, one.requests, clients, 1.0)))
    return measured


def show(measured: dict[int, dict[str, list[Measured]]], same: bool) -> None:
    """Print medians over the rounds, and the ratio to the hand-written handler with its spread."""
    title = f"25 fields, 5 departments · {platform.machine()} · Python {platform.python_version()}"
    table = Table(title=f"{title} · answers {'equal' if same else 'DIFFER'}")
    for column in ("clients", "", "requests/s", "p50 ms", "p99 ms", "ratio", "from", "to"):
        table.add_column(column, justify="right")
    for clients, by_title in measured.items():
        hand = by_title[HAND]
        for name, rows in by_title.items():
            ratios = sorted(one.rate / base.rate for one, base in zip(rows, hand, strict=True))
            table.add_row(
                str(clients),
                name,
                f"{median(one.rate for one in rows):.0f}",
                f"{median(one.p50 for one in rows):.2f}",
                f"{median(one.p99 for one in rows):.2f}",
                f"{median(ratios):.2f}",
                f"{ratios[0]:.2f}",
                f"{ratios[-1]:.2f}",
            )
    Console(width=100).print(table)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--residents", type=int, default=10_000)
    arguments.add_argument("--rounds", type=int, default=7, help="seconds for each contender and number of clients")
    given = arguments.parse_args()
    if hasattr(os, "sched_setaffinity") and (os.cpu_count() or 1) > 1:
        os.sched_setaffinity(0, {1})
    with tempfile.TemporaryDirectory() as name:
        settings, catalogue, scene = prepare(Path(name), given.residents)
        numbers = applicants(scene)
        bodies = questions(numbers, asyncio.run(open_cases(settings, catalogue, numbers)))
        token = scene.token(IDENTITIES[0], settings.identity.issuer, settings.identity.audience)
        codes = json.dumps({t.name: {v.code: v.name for v in t.values} for t in catalogue.codes.values()})
        hand, ours = (
            Contender(title, port, [post(port, token, body) for body in bodies])
            for title, port in ((HAND, free_port()), ("onesource", free_port()))
        )
        by_hand = [sys.executable, "-m", "uvicorn", "benchmarks.by_hand:app", "--port", str(hand.port)]
        city = {"BENCHMARK_CITY": str(scene.city), "BENCHMARK_CODES": codes}
        file = {"ONESOURCE_FILE": str(Path(name) / "onesource.toml"), "ONESOURCE_SERVER__PORT": str(ours.port)}
        rates = ("SUBJECT", "SUBJECT_BURST", "CLIENT", "CLIENT_BURST")  # one person asks it all
        file |= {f"ONESOURCE_RATES__{rate}": "1000000" for rate in rates}
        with (
            server([*by_hand, "--no-access-log", "--log-level", "warning"], hand.port, city),
            server([sys.executable, "-c", "import app; app.main()", "serve"], ours.port, file),
        ):
            warm = rounds([hand, ours], 8, 2)
            measured = {clients: rounds([hand, ours], clients, given.rounds) for clients in (1, 32)}
    pairs = zip(warm[hand.title][-1].bodies, warm[ours.title][-1].bodies, strict=False)
    same = all(orjson.loads(a)["data"] == orjson.loads(b)["data"] for a, b in pairs)
    show(measured, same)
    if not same:
        raise SystemExit("the answers differ")


if __name__ == "__main__":
    main()
