"""Log before disclose, on a real server: whatever was answered is on record, killed at any moment."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from tests.audit.places import Place, place

ROOT = Path(__file__).parents[2]
ROUNDS = 10
CLIENTS = 12
ANSWERS = 40
"""The server is killed the moment that so many answers have come, with other requests on their way."""


@dataclass
class Server:
    """A server process of our own."""

    process: subprocess.Popen[bytes]
    address: str

    def await_ready(self) -> None:
        end = time.monotonic() + 30
        while self.process.poll() is None and time.monotonic() < end:
            try:
                httpx.get(f"{self.address}/health/ready", timeout=5).raise_for_status()
            except httpx.HTTPError:
                time.sleep(0.05)
            else:
                return
        raise AssertionError("the server did not become ready")

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


@contextmanager
def serving(where: Place) -> Iterator[Server]:
    """`onesource serve` in a process of its own, on a free port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, "-c", "from app import main; main()", "serve", "--settings", str(where.file)],
        cwd=ROOT,
        env=os.environ | {"ONESOURCE_SERVER__PORT": str(port)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    server = Server(process, f"http://127.0.0.1:{port}")
    try:
        yield server
    finally:
        server.kill()


def on_record(where: Place) -> set[str]:
    """The operations in the ledger's file, read after the server is gone."""
    connection = sqlite3.connect(where.ledger)
    found = {row[0] for row in connection.execute("SELECT operation FROM frames")}
    assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    connection.close()
    return found


async def ask_until_killed(server: Server, where: Place) -> tuple[list[str], int]:
    """The operations that clients had an answer of, and how many requests were on their way when the server was killed."""
    answered: list[str] = []
    cut_off = 0
    question = where.question

    async def client(http: httpx.AsyncClient) -> None:
        nonlocal cut_off
        while server.process.returncode is None:
            try:
                body = (await http.post("/graphql", json=question)).json()
            except httpx.HTTPError:
                cut_off += 1
                return
            assert body["data"]["person"]["householdRegistration"]["name"], body
            answered.append(body["extensions"]["operationId"])
            if len(answered) == ANSWERS:
                server.kill()

    async with httpx.AsyncClient(base_url=server.address, headers=where.headers, timeout=20) as http:
        await asyncio.gather(*(client(http) for _ in range(CLIENTS)))
    return answered, cut_off


def test_every_answered_operation_is_on_record_after_a_kill(city: Path, tmp_path: Path) -> None:
    where = place(tmp_path, city)
    cut_off = 0
    with ExitStack() as servers:
        following = servers.enter_context(serving(where))
        following.await_ready()
        for left in reversed(range(ROUNDS)):
            server = following
            if left:
                following = servers.enter_context(serving(where))
            server.await_ready()
            answered, cut = asyncio.run(ask_until_killed(server, where))
            cut_off += cut
            assert len(answered) >= ANSWERS
            assert set(answered) <= on_record(where)
    assert cut_off > ROUNDS
