"""A SQLite file as a source: absent, broken, locked, slow, replaced; read and never written."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

import connectors.embedded
from connectors.contract import INVALID, SourceError
from connectors.kinds import KINDS, connect
from connectors.sql import SqlConnector
from schema.catalogue import Resource
from tests.connectors.conftest import request_for
from tests.connectors.kinds import write_table
from tests.connectors.resources import item, resource

REGISTER = resource("Register", item("id"), item("name"), item("note"))
SLOW_VIEW = """CREATE VIEW T_REGISTER AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n)
SELECT 'a' AS ID, i AS NAME, '' AS NOTE, NULL AS GXSJ FROM n WHERE i < 0"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "source.db"


@pytest.fixture
def source(file: Path) -> Iterator[SqlConnector]:
    made = connect("sql", url=f"sqlite:///{file}")
    assert isinstance(made, SqlConnector)
    yield made
    asyncio.run(made.close())


def write(file: Path, name: str = "甲", of: Resource = REGISTER) -> None:
    write_table(sa.make_url(f"sqlite:///{file}"), of, [dict.fromkeys(of.items, name) | {"id": "a"}])


def execute(file: Path, *statements: str) -> None:
    connection = sqlite3.connect(file)
    with connection:
        for statement in statements:
            connection.execute(statement)
    connection.close()


def ask(source: SqlConnector, of: Resource = REGISTER, timeout: float = 5) -> Any:
    """The values of key `a`, or the code of the error."""
    try:
        rows = asyncio.run(source.fetch(request_for(of, ["a"], *list(of.items)[1:], timeout=timeout))).rows
    except SourceError as error:
        return error.code
    return [row.values for row in rows]


class Statements:
    """The statements sent to any source and not ended yet, and all of their texts."""

    def __init__(self) -> None:
        self.running = 0
        self.texts: list[str] = []
        self.connections: set[Any] = set()

    def begin(self, connection: Any, text: str) -> None:
        self.running += 1
        self.texts.append(text)
        self.connections.add(connection)

    def end(self) -> None:
        self.running -= 1


@pytest.fixture
def statements() -> Iterator[Statements]:
    seen = Statements()
    read = connectors.embedded.read

    def note(connection: sa.PoolProxiedConnection, text: str, parameters: Any, deadline: float) -> Sequence[Any]:
        seen.begin(connection.driver_connection, text)
        try:
            return read(connection, text, parameters, deadline)
        finally:
            seen.end()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(connectors.embedded, "read", note)
        yield seen


def within(seconds: float, holds: Callable[[], bool]) -> bool:
    end = time.monotonic() + seconds
    while not holds() and time.monotonic() < end:
        time.sleep(0.01)
    return holds()


# -- not there, not a database -----------------------------------------------------------------------------------


def test_a_missing_file_is_unavailable_until_it_comes(file: Path, source: SqlConnector) -> None:
    asyncio.run(source.open())
    assert ask(source) == "SOURCE_UNAVAILABLE"
    assert not asyncio.run(source.health())
    assert not file.exists()
    write(file)
    assert ask(source) == [("甲", "甲")]
    assert asyncio.run(source.health())


def test_a_file_that_goes_away_is_unavailable_and_not_read_from_memory(file: Path, source: SqlConnector) -> None:
    write(file)
    assert ask(source) == [("甲", "甲")]
    file.unlink()
    assert ask(source) == "SOURCE_UNAVAILABLE"
    assert not asyncio.run(source.health())


def test_a_file_put_in_its_place_is_read_from_then_on(file: Path, source: SqlConnector) -> None:
    write(file)
    assert ask(source) == [("甲", "甲")]
    fresh = file.with_name("fresh.db")
    write(fresh, "乙")
    fresh.replace(file)
    assert ask(source) == [("乙", "乙")]


def test_what_the_department_writes_is_read_at_once(file: Path, source: SqlConnector) -> None:
    write(file)
    assert ask(source) == [("甲", "甲")]
    execute(file, "UPDATE T_REGISTER SET NAME = '丙'")
    assert ask(source) == [("丙", "甲")]


@pytest.mark.parametrize("garbage", [b"not a database, not at all. " * 200, b"SQLite format 3\x00" + b"\xff" * 5000])
def test_a_garbage_file_is_unavailable(file: Path, source: SqlConnector, garbage: bytes) -> None:
    file.write_bytes(garbage)
    assert ask(source) == "SOURCE_UNAVAILABLE"
    assert not asyncio.run(source.health())
    with pytest.raises(SourceError):
        asyncio.run(source.check(REGISTER))


def test_a_folder_in_the_files_place_is_unavailable(file: Path, source: SqlConnector) -> None:
    file.mkdir()
    assert ask(source) == "SOURCE_UNAVAILABLE"


def test_a_lost_column_that_comes_back_is_read_again(file: Path, source: SqlConnector) -> None:
    write(file)
    execute(file, "ALTER TABLE T_REGISTER RENAME COLUMN NAME TO XM")
    assert ask(source) == "SOURCE_CHANGED"
    execute(file, "ALTER TABLE T_REGISTER RENAME COLUMN XM TO NAME")
    assert ask(source) == [("甲", "甲")]


# -- slow, locked ------------------------------------------------------------------------------------------------


def test_a_slow_statement_ends_in_its_time_and_gives_its_thread_back(
    file: Path, source: SqlConnector, statements: Statements
) -> None:
    execute(file, SLOW_VIEW)

    async def ask_at_once() -> Sequence[Any]:
        slow = [source.fetch(request_for(REGISTER, ["a"], "name", timeout=0.3)) for _ in range(2)]
        return await asyncio.gather(*slow, return_exceptions=True)

    begun = time.monotonic()
    results = asyncio.run(ask_at_once())
    took = time.monotonic() - begun
    assert [getattr(one, "code", one) for one in results] == ["SOURCE_TIMEOUT"] * 2
    assert 0.25 < took < 0.6
    assert within(0.3, lambda: statements.running == 0)
    assert asyncio.run(source.health())


def test_a_slow_source_does_not_hold_the_event_loop(file: Path, source: SqlConnector) -> None:
    execute(file, SLOW_VIEW)

    async def longest_pause() -> float:
        slow = asyncio.ensure_future(source.fetch(request_for(REGISTER, ["a"], "name", timeout=0.3)))
        longest, last = 0.0, time.monotonic()
        while not slow.done():
            await asyncio.sleep(0.001)
            longest, last = max(longest, time.monotonic() - last), time.monotonic()
        with pytest.raises(SourceError):
            await slow
        return longest

    assert asyncio.run(longest_pause()) < 0.15


def test_a_locked_source_times_out_in_its_time_and_answers_when_it_is_free(
    file: Path, source: SqlConnector, statements: Statements
) -> None:
    write(file)
    lock = sqlite3.connect(file, isolation_level=None)
    lock.execute("BEGIN EXCLUSIVE")
    begun = time.monotonic()
    assert ask(source, timeout=0.3) == "SOURCE_TIMEOUT"
    assert 0.25 < time.monotonic() - begun < 0.6
    assert within(0.3, lambda: statements.running == 0)
    lock.execute("ROLLBACK")
    lock.close()
    assert ask(source, timeout=0.3) == [("甲", "甲")]


def test_a_lock_that_is_over_in_time_costs_nothing_but_time(file: Path, source: SqlConnector) -> None:
    write(file)
    lock = sqlite3.connect(file, isolation_level=None, check_same_thread=False)
    lock.execute("BEGIN EXCLUSIVE")
    release = threading.Timer(0.3, lambda: lock.execute("ROLLBACK"))
    release.start()
    assert ask(source, timeout=2) == [("甲", "甲")]
    release.join()
    lock.close()


def test_a_batch_of_several_statements_has_one_deadline(file: Path, source: SqlConnector) -> None:
    execute(file, SLOW_VIEW.replace("'a' AS ID", "'key-' || i AS ID").replace("FROM n)", "FROM n LIMIT 300000)"))

    def took(count: int, timeout: float) -> float:
        begun = time.monotonic()
        keys = [f"key-{number}" for number in range(count)]
        asyncio.run(source.fetch(request_for(REGISTER, keys, "name", timeout=timeout)))
        return time.monotonic() - begun

    one_statement = took(1000, 10)
    begun = time.monotonic()
    with pytest.raises(SourceError, match="SOURCE_TIMEOUT"):
        took(5000, 1.5 * one_statement)
    assert time.monotonic() - begun < 1.5 * one_statement + 0.3


# -- reads only --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO T_REGISTER (ID) VALUES ('b')",
        "UPDATE T_REGISTER SET NAME = ''",
        "DELETE FROM T_REGISTER",
        "DROP TABLE T_REGISTER",
        "CREATE TABLE T_NEW (X)",
    ],
)
def test_nothing_can_be_written_through_a_sources_connection(
    file: Path, source: SqlConnector, statements: Statements, statement: str
) -> None:
    write(file)
    statements.connections.clear()
    assert ask(source) == [("甲", "甲")]
    assert asyncio.run(source.health())
    before = file.read_bytes()
    assert statements.connections
    for connection in statements.connections:
        connection.execute("PRAGMA query_only=OFF")  # even then the file itself is open for reading only
        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            connection.execute(statement)
    assert file.read_bytes() == before


# -- statements --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    ['X"; DROP TABLE T_REGISTER; --', "姓名", "select", "a.b", "50%", "k:0", "it's", "`x`", "[x]", "a b", "c0"],
)
def test_any_name_is_a_name_and_never_sql(file: Path, source: SqlConnector, name: str) -> None:
    odd = resource("Odd", item("id"), item("value", column=name), table=f"T {name.replace('.', '')}")
    write(file, "值", odd)
    execute(file, "CREATE TABLE T_REGISTER (X)")
    assert ask(source, odd) == [("值",)]
    assert asyncio.run(source.check(odd)) == ()
    execute(file, "SELECT X FROM T_REGISTER")


def test_only_what_was_asked_for_is_selected(file: Path, source: SqlConnector, statements: Statements) -> None:
    write(file)
    statements.texts.clear()
    asyncio.run(source.fetch(request_for(REGISTER, ["a"], "name")))
    (text,) = [text for text in statements.texts if text.startswith("SELECT")]
    assert "NAME" in text
    assert "NOTE" not in text
    assert "*" not in text
    assert text == source.explain(request_for(REGISTER, ["a"], "name"))


@pytest.mark.parametrize(("keys", "expected"), [(1, 1), (50, 1), (1000, 1), (2500, 3)])
def test_a_batch_is_one_statement_for_a_thousand_keys(
    file: Path, source: SqlConnector, statements: Statements, keys: int, expected: int
) -> None:
    write(file)
    statements.texts.clear()
    asyncio.run(source.fetch(request_for(REGISTER, [f"key-{number}" for number in range(keys)], "name")))
    assert len([text for text in statements.texts if text.startswith("SELECT")]) == expected


def test_batches_of_like_size_share_one_text(file: Path, source: SqlConnector, statements: Statements) -> None:
    write(file)
    statements.texts.clear()
    for size in (33, 40, 64):
        asyncio.run(source.fetch(request_for(REGISTER, [f"key-{number}" for number in range(size)], "name")))
    assert len({text for text in statements.texts if text.startswith("SELECT")}) == 1


def test_a_text_in_another_encoding_costs_its_own_cell_only(file: Path, source: SqlConnector) -> None:
    write(file)
    execute(file, "UPDATE T_REGISTER SET NAME = CAST(x'D5C5C8FD' AS TEXT)")
    assert ask(source) == [(INVALID, "甲")]


# -- life --------------------------------------------------------------------------------------------------------


def test_a_closed_connector_leaves_no_thread_and_no_open_file(file: Path) -> None:
    execute(file, SLOW_VIEW)
    before = set(threading.enumerate())
    made = connect("sql", url=f"sqlite:///{file}")
    assert isinstance(made, SqlConnector)
    assert ask(made, timeout=0.1) == "SOURCE_TIMEOUT"
    assert set(threading.enumerate()) - before
    asyncio.run(made.close())
    assert within(1, lambda: not set(threading.enumerate()) - before)
    assert not [one for one in Path("/proc/self/fd").iterdir() if one.is_symlink() and one.resolve() == file.resolve()]


def test_a_kind_that_nobody_knows_is_refused() -> None:
    with pytest.raises(KeyError):
        connect("oracle-of-delphi")


@pytest.mark.parametrize("kind", KINDS)
def test_a_setting_that_a_kind_does_not_know_is_refused(kind: str) -> None:
    with pytest.raises(TypeError):
        connect(kind, surprise=True)
