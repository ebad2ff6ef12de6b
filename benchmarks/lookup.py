"""The applicant look-up (25 fields, 5 departments) against the same five queries by hand, in one run, as a ratio.

    make bench

Each server is one process pinned to the first core, the load comes from the second (where there are two). Same embedded data, same
applicants, same client; every body is compared. onesource runs as it is served: tokens, cases, decisions, durable ledger.
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
from datetime import UTC, datetime
from pathlib import Path

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


def run(
    command: list[str], environment: dict[str, str], bodies: list[bytes], token: str, seconds: float, port: int
) -> dict[int, Measured]:
    with server(command, port, environment):
        requests = [post(port, token, body) for body in bodies]
        uvloop.run(measure(port, requests, 8, 1.0))  # warm
        return {clients: uvloop.run(measure(port, requests, clients, seconds)) for clients in (1, 32)}


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--residents", type=int, default=10_000)
    arguments.add_argument("--seconds", type=float, default=5.0)
    given = arguments.parse_args()
    if hasattr(os, "sched_setaffinity") and (os.cpu_count() or 1) > 1:
        os.sched_setaffinity(0, {1})
    with tempfile.TemporaryDirectory() as name:
        settings, catalogue, scene = prepare(Path(name), given.residents)
        numbers = applicants(scene)
        cases = asyncio.run(open_cases(settings, catalogue, numbers))
        query = " ".join(QUERY.replace(PROVENANCE, "").split())
        bodies = [
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
        token = scene.token(IDENTITIES[0], settings.identity.issuer, settings.identity.audience)
        codes = json.dumps({t.name: {v.code: v.name for v in t.values} for t in catalogue.codes.values()})
        port = free_port()
        hand = run(
            [sys.executable, "-m", "uvicorn", "benchmarks.by_hand:app", "--port", str(port), "--no-access-log", "--log-level", "warning"],
            {"BENCHMARK_CITY": str(scene.city), "BENCHMARK_CODES": codes}, bodies, token, given.seconds, port,
        )  # fmt: skip
        port = free_port()
        ours = run(
            [sys.executable, "-c", "import app; app.main()", "serve"],
            {"ONESOURCE_FILE": str(Path(name) / "onesource.toml"), "ONESOURCE_SERVER__PORT": str(port)}, bodies, token, given.seconds, port,
        )  # fmt: skip
    same = all(
        orjson.loads(a)["data"] == orjson.loads(b)["data"]
        for a, b in zip(hand[32].bodies, ours[32].bodies, strict=False)
    )
    table = Table(
        title=f"25 fields, 5 departments · {platform.machine()} · Python {platform.python_version()} · answers {'equal' if same else 'DIFFER'}"
    )
    for title in ("clients", "", "requests/s", "p50 ms", "p99 ms", "ratio"):
        table.add_column(title, justify="right")
    for clients in (1, 32):
        for title, one in (("by hand", hand[clients]), ("onesource", ours[clients])):
            ratio = f"{one.rate / hand[clients].rate:.2f}"
            table.add_row(str(clients), title, f"{one.rate:.0f}", f"{one.p50:.2f}", f"{one.p99:.2f}", ratio)
    Console().print(table)
    if not same:
        raise SystemExit("the answers differ")


if __name__ == "__main__":
    main()
