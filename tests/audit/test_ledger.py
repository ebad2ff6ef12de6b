"""The ledger: durable before `append` returns, shared commits, one refusal when it cannot be written."""

from __future__ import annotations

import asyncio
import json
import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from audit.ledger import Ledger, LedgerUnavailable
from audit.store import StoreUnavailable
from audit.stores import store_at
from tests.audit.frames import numbers_of, open_ledger

ROOT = Path(__file__).parents[2]
run = asyncio.run


class Writes:
    """What was written to a ledger of this process: each INSERT of frames with its connection's settings, and the commits."""

    def __init__(self) -> None:
        self.commits = 0
        self.begun: list[float] = []
        self.settings: list[tuple[int, str]] = []

    def statement(self, _conn: object, cursor: Any, text: str, *_: object) -> None:
        if text.startswith("INSERT INTO frames"):
            self.begun.append(time.perf_counter())
            ask = cursor.connection.execute
            self.settings.append((ask("PRAGMA synchronous").fetchone()[0], ask("PRAGMA journal_mode").fetchone()[0]))

    def commit(self, _conn: object) -> None:
        self.commits += 1


@pytest.fixture
def writes() -> Iterator[Writes]:
    seen = Writes()
    heard: list[tuple[str, Callable[..., None]]] = [("before_cursor_execute", seen.statement), ("commit", seen.commit)]
    for name, listener in heard:
        sa.event.listen(sa.Engine, name, listener)
    yield seen
    for name, listener in heard:
        sa.event.remove(sa.Engine, name, listener)


def execute(folder: Path, *statements: str) -> None:
    connection = sqlite3.connect(folder / "ledger.db", isolation_level=None)
    for statement in statements:
        connection.execute(statement)
    connection.close()


def stored(folder: Path) -> list[tuple[int, str]]:
    """Place and operation of every frame, read by a connection of its own: committed frames only."""
    connection = sqlite3.connect(folder / "ledger.db")
    rows = connection.execute("SELECT seq, operation FROM frames ORDER BY seq").fetchall()
    connection.close()
    return rows


async def append(ledger: Ledger, operation: str) -> None:
    await ledger.append(1, operation, operation.encode())


# -- durable -----------------------------------------------------------------------------------------------------


def test_the_writers_own_connection_syncs_every_commit(tmp_path: Path, writes: Writes) -> None:
    async def work() -> None:
        ledger = open_ledger(tmp_path)
        for number in range(5):
            await append(ledger, f"o-{number}")
        await asyncio.gather(*(append(ledger, f"p-{number}") for number in range(20)))
        await ledger.close()

    run(work())
    full = 2
    assert writes.settings
    assert set(writes.settings) == {(full, "wal")}


def test_a_frame_is_committed_when_append_returns(tmp_path: Path) -> None:
    async def work() -> None:
        ledger = open_ledger(tmp_path)
        for number in range(20):
            await append(ledger, f"o-{number}")
            assert stored(tmp_path)[-1][1] == f"o-{number}"
        await ledger.close()

    run(work())


def test_frames_are_read_back_in_order_and_from_any_place(tmp_path: Path) -> None:
    async def work() -> None:
        ledger = open_ledger(tmp_path)
        assert (ledger.head(), ledger.read(0, 10)) == (0, [])
        for number in range(7):
            await append(ledger, f"o-{number}")
        frames = ledger.read(0, 10)
        assert [one.frame for one in frames] == [f"o-{number}".encode() for number in range(7)]
        assert ledger.head() == frames[-1].seq
        assert ledger.read(frames[2].seq, 2) == frames[3:5]
        await ledger.close()

    run(work())


# -- group commit ------------------------------------------------------------------------------------------------


def test_concurrent_appends_share_commits(tmp_path: Path, writes: Writes) -> None:
    async def work() -> None:
        ledger = open_ledger(tmp_path)
        writes.commits = 0
        await asyncio.gather(*(append(ledger, f"o-{number}") for number in range(300)))
        await ledger.close()

    run(work())
    assert len(stored(tmp_path)) == 300
    assert 1 <= writes.commits <= 3


def test_appends_that_come_while_a_write_is_under_way_share_the_next(tmp_path: Path, writes: Writes) -> None:
    async def one_after_another(ledger: Ledger, name: str) -> None:
        for number in range(20):
            await append(ledger, f"{name}-{number}")

    async def work() -> None:
        ledger = open_ledger(tmp_path)
        writes.commits = 0
        await asyncio.gather(*(one_after_another(ledger, f"client-{number}") for number in range(16)))
        await ledger.close()

    run(work())
    assert len(stored(tmp_path)) == 320
    assert writes.commits <= 100


def test_nobody_lingers_when_the_ledger_is_idle(tmp_path: Path, writes: Writes) -> None:
    waits: list[float] = []

    async def work() -> None:
        ledger = open_ledger(tmp_path)
        for number in range(21):
            called = time.perf_counter()
            await append(ledger, f"o-{number}")
            waits.append(writes.begun[-1] - called)
        await ledger.close()

    run(work())
    assert sorted(waits)[10] < 0.005


# -- what cannot be written ----------------------------------------------------------------------------------------


def test_a_failing_write_refuses_the_whole_batch_and_the_next_append_works(tmp_path: Path) -> None:
    async def work() -> list[Any]:
        ledger = open_ledger(tmp_path)
        await append(ledger, "before")
        execute(tmp_path, "ALTER TABLE frames RENAME TO away")
        refused = await asyncio.gather(*(append(ledger, f"o-{n}") for n in range(10)), return_exceptions=True)
        execute(tmp_path, "ALTER TABLE away RENAME TO frames")
        await append(ledger, "after")
        await ledger.close()
        return refused

    refused = run(work())
    assert [type(one) for one in refused] == [LedgerUnavailable] * 10
    assert [operation for _, operation in stored(tmp_path)] == ["before", "after"]


def test_a_full_disk_refuses_and_space_heals(tmp_path: Path) -> None:
    def no_space(connection: sqlite3.Connection, _: object) -> None:
        connection.execute("PRAGMA max_page_count=1")

    async def work() -> None:
        ledger = open_ledger(tmp_path)
        await ledger.close()
        sa.event.listen(sa.pool.Pool, "connect", no_space)
        try:
            full = Ledger(store_at(f"sqlite:///{tmp_path / 'ledger.db'}", 5), 5)
            full.open()
            with pytest.raises(LedgerUnavailable):
                await full.append(1, "too large", os.urandom(1_000_000))
            await full.close()
        finally:
            sa.event.remove(sa.pool.Pool, "connect", no_space)
        again = open_ledger(tmp_path)
        await append(again, "after")
        await again.close()

    run(work())
    assert stored(tmp_path)[-1][1] == "after"


def test_an_operation_is_on_record_once(tmp_path: Path) -> None:
    async def work() -> None:
        ledger = open_ledger(tmp_path)
        await append(ledger, "same")
        with pytest.raises(LedgerUnavailable):
            await append(ledger, "same")
        await append(ledger, "other")
        await ledger.close()

    run(work())
    assert [operation for _, operation in stored(tmp_path)] == ["same", "other"]


def test_a_write_that_takes_too_long_is_refused_in_time(tmp_path: Path) -> None:
    async def work() -> float:
        ledger = open_ledger(tmp_path, timeout=0.2)
        lock = sqlite3.connect(tmp_path / "ledger.db", isolation_level=None)
        lock.execute("BEGIN IMMEDIATE")
        begun = time.perf_counter()
        with pytest.raises(LedgerUnavailable):
            await append(ledger, "late")
        took = time.perf_counter() - begun
        lock.execute("ROLLBACK")
        lock.close()
        await asyncio.sleep(0.1)  # the writer still waits for the lock, a moment longer than its caller
        await append(ledger, "after")
        await ledger.close()
        return took

    assert 0.15 < run(work()) < 0.5
    assert stored(tmp_path)[-1][1] == "after"


def test_a_closed_ledger_refuses(tmp_path: Path) -> None:
    async def work() -> None:
        ledger = open_ledger(tmp_path)
        await ledger.close()
        with pytest.raises(LedgerUnavailable):
            await append(ledger, "late")

    run(work())
    assert stored(tmp_path) == []


def test_closing_waits_for_the_writes_under_way(tmp_path: Path) -> None:
    async def work() -> list[Any]:
        ledger = open_ledger(tmp_path)
        appends = [asyncio.ensure_future(append(ledger, f"o-{number}")) for number in range(50)]
        await asyncio.sleep(0)
        await ledger.close()
        return await asyncio.gather(*appends, return_exceptions=True)

    assert run(work()) == [None] * 50
    assert len(stored(tmp_path)) == 50


def test_a_caller_that_goes_away_costs_nobody_else_the_record(tmp_path: Path) -> None:
    async def work() -> None:
        ledger = open_ledger(tmp_path)
        appends = [asyncio.ensure_future(append(ledger, f"o-{number}")) for number in range(30)]
        await asyncio.sleep(0)
        for one in appends[::3]:
            one.cancel()
        results = await asyncio.gather(*appends, return_exceptions=True)
        await ledger.close()
        on_record = {operation for _, operation in stored(tmp_path)}
        assert all(f"o-{number}" in on_record for number, one in enumerate(results) if one is None)
        assert [one is None for one in results] == [bool(number % 3) for number in range(30)]

    run(work())


@pytest.mark.parametrize("broken", ["garbage", "folder"])
def test_a_store_that_cannot_be_opened_is_told(tmp_path: Path, broken: str) -> None:
    if broken == "garbage":
        (tmp_path / "ledger.db").write_bytes(b"not a database, not at all. " * 200)
    else:
        (tmp_path / "ledger.db").mkdir()
    with pytest.raises(StoreUnavailable):
        open_ledger(tmp_path)


# -- several processes -------------------------------------------------------------------------------------------

WRITER = """
import asyncio, json, sys
from audit.ledger import Ledger
from audit.stores import store_at

async def work(url, name):
    ledger = Ledger(store_at(url, 20), 20)
    ledger.open()
    print(json.dumps(dict(ledger.item_numbers([f"{name}.own", "Shared.a", "Shared.b"]))), flush=True)
    sys.stdin.readline()
    for start in range(0, 200, 4):
        await asyncio.gather(*(ledger.append(1, f"{name}-{n}", b"x" * 300) for n in range(start, start + 4)))
    await ledger.close()

asyncio.run(work(*sys.argv[1:]))
"""


def test_several_processes_write_to_one_ledger(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, url, name],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for name in ("left", "right")
    ]
    numbers = [json.loads(one.stdout.readline()) for one in writers if one.stdout]
    for one in writers:
        one.communicate("go\n", timeout=30)
    assert [one.returncode for one in writers] == [0, 0]
    rows = stored(tmp_path)
    assert {operation for _, operation in rows} == {f"{name}-{n}" for name in ("left", "right") for n in range(200)}
    assert len({seq for seq, _ in rows}) == len(rows) == 400
    assert numbers[0]["Shared.a"] == numbers[1]["Shared.a"]
    assert len({number for one in numbers for number in one.values()}) == 4


# -- item numbers ------------------------------------------------------------------------------------------------


def test_item_numbers_are_permanent(tmp_path: Path) -> None:
    ledger = open_ledger(tmp_path)
    first = numbers_of(ledger, "A.x", "A.y", "B.z")
    assert len(set(first.values())) == 3
    again = open_ledger(tmp_path)
    assert numbers_of(again, "B.z", "A.y", "A.x") == first
    run(ledger.close())
    run(again.close())


def test_a_renamed_item_gets_a_new_number_and_the_old_one_keeps_its_name(tmp_path: Path) -> None:
    ledger = open_ledger(tmp_path)
    before = numbers_of(ledger, "A.x", "A.y")
    after = numbers_of(ledger, "A.renamed", "A.y")
    assert after["A.y"] == before["A.y"]
    assert after["A.renamed"] not in before.values()
    assert ledger.coordinates()[before["A.x"]] == "A.x"
    run(ledger.close())


def test_a_removed_item_that_comes_back_has_its_number_again(tmp_path: Path) -> None:
    ledger = open_ledger(tmp_path)
    before = numbers_of(ledger, "A.x", "A.y")
    numbers_of(ledger, "A.y", "A.new")
    assert numbers_of(ledger, "A.new", "A.x")["A.x"] == before["A.x"]
    run(ledger.close())


def test_a_number_is_never_used_again_even_if_its_row_is_lost(tmp_path: Path) -> None:
    ledger = open_ledger(tmp_path)
    lost = numbers_of(ledger, "A.x")["A.x"]
    run(ledger.close())
    execute(tmp_path, "DELETE FROM items WHERE coordinate = 'A.x'")
    again = open_ledger(tmp_path)
    assert numbers_of(again, "A.new")["A.new"] > lost
    run(again.close())


def test_a_coordinate_named_twice_has_one_number(tmp_path: Path) -> None:
    ledger = open_ledger(tmp_path)
    assert len(numbers_of(ledger, "A.x", "A.x")) == 1
    assert list(ledger.coordinates().values()).count("A.x") == 1
    run(ledger.close())
