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
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from tests.audit.places import Place, place

ROOT = Path(__file__).parents[2]
ROUNDS = 10
CLIENTS = 12
ANSWERS = 40
"""The server is killed the moment that so many answers have come, with other requests on their way."""


PARENT = """
import os, signal, sys
import aiodataloader, alembic.command, casbin, faker, httpx, jwt, orjson, pydantic_settings, rich.progress
import sqlalchemy.dialects.sqlite, starlette.applications, strawberry, typer, uvicorn, uvloop, yaml

for line in sys.stdin:
    port, file = line.rstrip().split(" ", 1)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    if child := os.fork():
        print(child, flush=True)
        continue
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nowhere, stream)
    os.environ["ONESOURCE_SERVER__PORT"] = port
    sys.argv = ["onesource", "serve", "--settings", file]
    from app import main
    main()
"""
"""Imports the libraries once; for each line on its input it forks a process that is `onesource serve`, and tells its id."""


@dataclass
class Server:
    """A server process of our own."""

    process: int
    address: str
    killed: bool = False

    def await_ready(self) -> None:
        end = time.monotonic() + 30
        while time.monotonic() < end:
            try:
                httpx.get(f"{self.address}/health/ready", timeout=5).raise_for_status()
            except httpx.HTTPError:
                time.sleep(0.05)
            else:
                return
        raise AssertionError("the server did not become ready")

    def kill(self) -> None:
        if not self.killed:
            os.kill(self.process, signal.SIGKILL)
            self.killed = True


@contextmanager
def serving(where: Place) -> Iterator[Callable[[], Server]]:
    """Starts servers over this place, each in a process of its own, on a free port."""
    started: list[Server] = []
    with subprocess.Popen(
        [sys.executable, "-c", PARENT], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
    ) as parent:

        def start() -> Server:
            assert parent.stdin
            assert parent.stdout
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", 0))
                port = probe.getsockname()[1]
            parent.stdin.write(f"{port} {where.file}\n")
            started.append(Server(int(parent.stdout.readline()), f"http://127.0.0.1:{port}"))
            return started[-1]

        try:
            yield start
        finally:
            for server in started:
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
        while not server.killed:
            try:
                body = (await http.post("/graphql", json=question)).json()
            except httpx.HTTPError:
                cut_off += 1
                return
            assert "errors" not in body, body
            answered.append(body["extensions"]["operationId"])
            if len(answered) == ANSWERS:
                server.kill()

    async with httpx.AsyncClient(base_url=server.address, headers=where.headers, timeout=20) as http:
        await asyncio.gather(*(client(http) for _ in range(CLIENTS)))
    return answered, cut_off


def test_every_answered_operation_is_on_record_after_a_kill(city: Path, tmp_path: Path) -> None:
    where = place(tmp_path, city)
    cut_off = 0
    with serving(where) as start:
        server = start()
        for left in reversed(range(ROUNDS)):
            server.await_ready()
            following = start() if left else server
            answered, cut = asyncio.run(ask_until_killed(server, where))
            cut_off += cut
            assert len(answered) >= ANSWERS
            assert set(answered) <= on_record(where)
            server = following
    assert cut_off > ROUNDS
