"""Databases on servers: read and never written, in time or not at all, and their errors by class."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from connectors.contract import INVALID, Condition, CountRequest, Operator
from connectors.kinds import connect
from schema.catalogue import ItemType
from schema.formats import CHINA
from schema.identifiers import to_citizen_id
from tests import servers
from tests.connectors.conftest import request_for
from tests.connectors.databases import REGISTER, Place, asked, took
from tests.connectors.kinds import MARIADB, POSTGRESQL, THREADS
from tests.connectors.resources import item, resource

PLAIN = '"ID" VARCHAR(50), "NAME" VARCHAR(50), "NOTE" VARCHAR(50), "GXSJ" VARCHAR(50)'
ROW = "('a', '甲', '乙', NULL)"
SERVERS = [POSTGRESQL, MARIADB, THREADS]


@pytest.fixture(params=SERVERS, ids=lambda kind: kind.name)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    with asyncio.Runner() as runner:
        made = Place(request.param, tmp_path, runner.run)
        yield made
        made.close()


# -- reads only --------------------------------------------------------------------------------------------------


def test_a_view_that_writes_when_it_is_read_writes_nothing(place: Place) -> None:
    place.execute('DROP TABLE IF EXISTS "WRITTEN"', 'CREATE TABLE "WRITTEN" ("X" INTEGER)')
    if place.is_postgres:
        body = """BEGIN INSERT INTO "WRITTEN" VALUES (1); RETURN 'a'; END"""
        place.execute(f"CREATE OR REPLACE FUNCTION written() RETURNS text LANGUAGE plpgsql AS $${body}$$")
    else:
        place.execute("DROP FUNCTION IF EXISTS written")
        body = 'BEGIN INSERT INTO "WRITTEN" VALUES (1); RETURN 1; END'
        place.execute(f"CREATE FUNCTION written() RETURNS INTEGER NOT DETERMINISTIC MODIFIES SQL DATA {body}")
    place.view("""SELECT 'a' AS "ID", written() AS "NAME", '' AS "NOTE", NULL AS "GXSJ" """)
    assert place.ask(place.connector()) == "SOURCE_REFUSED"
    assert place.execute('SELECT count(*) FROM "WRITTEN"') == [(0,)]
    place.drop("T_REGISTER")


@pytest.mark.parametrize(
    "name",
    ['X"; DROP TABLE "T_REGISTER"; --', "X`; DROP TABLE `T_REGISTER`; --", "姓名", "select", "50%", "%s", "k:0", "it's", "[x]", "a b", "$1", "?", "c0", "a\\"],
)  # fmt: skip
def test_any_name_is_a_name_and_never_sql(place: Place, tmp_path: Path, name: str) -> None:
    odd = resource("Odd", item("id"), item("value", column=name), table=f"T {name.replace('.', '')}")
    place.table(PLAIN, ROW)
    place.kind.write(odd, [{"id": "a", "value": "值"}], tmp_path)
    source = place.connector()
    assert place.ask(source, odd) == [("值",)]
    assert place.run(source.check(odd)) == ()
    counted = place.run(source.fetch(CountRequest(odd, 5, (Condition("value", Operator.EQ, ("值",)),))))
    assert counted.count == 1
    assert place.ask(source) == [("甲", "乙")]
    place.kind.write(odd, None, tmp_path)


# -- deadlines and cancellation ----------------------------------------------------------------------------------


def test_a_statement_that_passes_its_time_ends_at_the_server(place: Place) -> None:
    place.slow()
    source = place.connector(pool=2)
    code, seconds = place.run(took(asked(source, timeout=0.5)))
    assert code == "SOURCE_TIMEOUT"
    assert 0.4 < seconds < 1.5
    assert place.within(2, lambda: place.running() == 0)
    place.table(PLAIN, ROW)
    assert place.ask(source) == [("甲", "乙")]


def test_a_statement_whose_operation_is_cancelled_ends_at_the_server_and_the_pool_keeps_its_room(place: Place) -> None:
    place.slow()
    source = place.connector(pool=2)

    async def cancel_each_way() -> None:
        for pause in (0, 0, 0.001, 0.01, 0.05, 0.3, 0.3, 0.3):
            task = asyncio.ensure_future(asked(source, timeout=20))
            await asyncio.sleep(pause)
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    place.run(cancel_each_way())
    assert place.within(2, lambda: place.running() == 0)
    place.table(PLAIN, ROW)

    async def at_once() -> list[Any]:
        return await asyncio.gather(*[asked(source) for _ in range(6)])

    assert place.run(at_once()) == [[("甲", "乙")]] * 6
    assert len(place.sessions()) <= 2


def test_many_questions_at_once_share_a_few_connections(place: Place) -> None:
    place.table(PLAIN, ROW)
    source = place.connector(pool=2)

    async def at_once() -> list[Any]:
        return await asyncio.gather(*[asked(source, timeout=20) for _ in range(100)])

    assert place.run(at_once()) == [[("甲", "乙")]] * 100
    assert 1 <= len(place.sessions()) <= 2


def test_who_waits_for_a_connection_gives_up_in_time(place: Place) -> None:
    place.slow(2)
    source = place.connector(pool=1)

    async def both() -> list[Any]:
        first = asyncio.ensure_future(asked(source, timeout=5))
        await asyncio.sleep(0.2)
        return [*await took(asked(source, timeout=0.3)), await first]

    code, seconds, first = place.run(both())
    assert code == "SOURCE_TIMEOUT"
    assert seconds < 1
    assert isinstance(first, list)


def test_a_closed_connector_leaves_no_session_and_no_thread(place: Place) -> None:
    place.table(PLAIN, ROW)
    before, threads = set(place.sessions()), set(threading.enumerate())
    source = place.connector()
    assert place.ask(source) == [("甲", "乙")]
    assert set(place.sessions()) - before
    place.run(source.close())
    assert place.within(2, lambda: set(place.sessions()) <= before)
    assert not [one for one in set(threading.enumerate()) - threads if one.name.startswith("sql")]


# -- errors by class ---------------------------------------------------------------------------------------------


def test_sessions_that_the_server_ended_are_made_anew_unnoticed(place: Place) -> None:
    place.table(PLAIN, ROW)
    source = place.connector(pool=3)

    async def at_once() -> list[Any]:
        return await asyncio.gather(*[asked(source) for _ in range(3)])

    place.run(at_once())
    place.end_sessions()
    assert place.run(at_once()) == [[("甲", "乙")]] * 3


def test_nobody_at_the_address_is_unavailable(place: Place) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    source = place.connector(port=port)
    assert place.ask(source) == "SOURCE_UNAVAILABLE"
    assert not place.run(source.health())


@pytest.mark.parametrize(
    ("answers", "code"), [(None, "SOURCE_TIMEOUT"), (b"HTTP/1.1 400 Bad Request\r\n\r\n", "SOURCE_UNAVAILABLE")]
)
def test_a_server_of_another_kind_is_no_source(place: Place, answers: bytes | None, code: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        held = []

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = server.accept()
                    if answers is None:
                        held.append(connection)
                    else:
                        connection.sendall(answers)
                        connection.close()

        threading.Thread(target=serve, daemon=True).start()
        source = place.connector(port=server.getsockname()[1])
        told, seconds = place.run(took(asked(source, timeout=0.5)))
        for connection in held:
            connection.close()
    assert (told in (code, "SOURCE_TIMEOUT"), seconds < 1.5) == (True, True)


def test_a_database_that_is_not_there_is_no_source(place: Place) -> None:
    assert place.ask(place.connector(database="nowhere")) in ("SOURCE_UNAVAILABLE", "SOURCE_REFUSED")


def test_an_account_that_is_not_there_is_refused(place: Place) -> None:
    assert place.ask(place.connector(username="nobody_at_all", password="wrong")) == "SOURCE_REFUSED"


def test_a_column_that_may_not_be_read_is_refused_and_the_others_are_not(place: Place) -> None:
    place.table(PLAIN, ROW)
    user = f"reader_{place.url.database}"
    host = "" if place.is_postgres else f"@'{place.host()}'"
    columns = '("ID", "NAME", "GXSJ")'
    if place.is_postgres:
        place.execute(f"CREATE ROLE {user} LOGIN PASSWORD 'p'", f'GRANT SELECT {columns} ON "T_REGISTER" TO {user}')
    else:
        place.execute(
            f"CREATE USER {user}{host} IDENTIFIED BY 'p'", f'GRANT SELECT {columns} ON "T_REGISTER" TO {user}{host}'
        )
    try:
        source = place.connector(username=user, password="p")
        narrow = replace(REGISTER, items={name: REGISTER.items[name] for name in ("id", "name")})
        assert place.ask(source, narrow) == [("甲",)]
        assert place.ask(source) == "SOURCE_REFUSED"
        assert place.ask(source, narrow) == [("甲",)]
    finally:
        place.drop("T_REGISTER")
        place.execute(f"DROP {'ROLE' if place.is_postgres else 'USER'} {user}{host}")


# -- what changed over night -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "expected"), [("INTEGER", [("42", "x")]), ("DATE", "SOURCE_VALUE"), ("VARCHAR(9)", [("42", "x")])]
)
def test_a_column_that_changed_its_type_is_read_as_it_is_now(place: Place, kind: str, expected: Any) -> None:
    place.table(PLAIN, "('a', '42', 'x', NULL)")
    source = place.connector(pool=1)
    assert place.ask(source) == [("42", "x")]
    value = "'2026-01-31'" if kind == "DATE" else "42"
    place.execute('ALTER TABLE "T_REGISTER" DROP COLUMN "NAME"', f'ALTER TABLE "T_REGISTER" ADD COLUMN "NAME" {kind}')
    place.execute(f'UPDATE "T_REGISTER" SET "NAME" = {value}')
    assert place.ask(source) == ([(INVALID, "x")] if expected == "SOURCE_VALUE" else expected)


@pytest.mark.parametrize("place", [POSTGRESQL, MARIADB], ids=lambda kind: kind.name, indirect=True)
@pytest.mark.parametrize("kind", ["BIGINT", "NUMERIC(18)"])
def test_a_key_that_became_a_number_is_found_by_its_digits_alone(place: Place, kind: str) -> None:
    place.table(f'"ID" {kind}, "NAME" VARCHAR(9), "NOTE" VARCHAR(9), "GXSJ" VARCHAR(9)', "(42, 'x', '', NULL)")
    source = place.connector()
    keys = ["42", "042", "x", "", "4.2e1", str(2**70)]
    found = place.run(source.fetch(request_for(REGISTER, keys, "name")))
    assert [(row.key, row.values) for row in found.rows] == ([("42", ("x",))] if kind == "BIGINT" else [])


def test_a_key_whose_column_became_a_date_is_a_change_or_finds_nothing(place: Place) -> None:
    place.table('"ID" DATE, "NAME" VARCHAR(9), "NOTE" VARCHAR(9), "GXSJ" VARCHAR(9)', "('2026-01-31', 'x', '', NULL)")
    assert place.ask(place.connector()) in ("SOURCE_CHANGED", [])


def test_a_number_that_is_none_has_no_place_in_a_search(place: Place) -> None:
    years = resource("Register", item("id"), item("name"), item("note", ItemType.INT))
    place.table(PLAIN, ROW, "('b', '丙', '7', NULL)")
    source = place.connector()
    request = CountRequest(years, 5, (Condition("note", Operator.GTE, (1,)),))
    if place.is_postgres:
        with pytest.raises(Exception, match="SOURCE_VALUE_INVALID"):
            place.run(source.fetch(request))
    else:
        assert place.run(source.fetch(request)).count == 1


# -- types -------------------------------------------------------------------------------------------------------

TYPED = resource(
    "Typed",
    item("id", ItemType.ID_NUMBER, "15or18"),
    item("day", ItemType.DATE),
    item("moment", ItemType.DATETIME),
    item("fee", ItemType.DECIMAL),
    item("big", ItemType.INT),
    item("open", ItemType.BOOLEAN, "01"),
    item("code", ItemType.CODE),
    item("json"),
    item("photo", ItemType.IMAGE),
    item("empty"),
    item("nothing"),
)
OLD = to_citizen_id("421202900131123")


def test_each_databases_own_types_become_canonical(place: Place) -> None:
    moment, photo, boolean = (
        ("TIMESTAMPTZ", "BYTEA", "BOOLEAN") if place.is_postgres else ("DATETIME", "BLOB", "BIT(1)")
    )
    columns = f"""
        "ID" CHAR(18), "DAY" DATE, "MOMENT" {moment}, "FEE" DECIMAL(20, 2), "BIG" BIGINT, "OPEN" {boolean}, "CODE" CHAR(4), "JSON" JSON,
        "PHOTO" {photo}, "EMPTY" VARCHAR(9), "NOTHING" VARCHAR(9), "GXSJ" TIMESTAMP NULL"""
    at = "'2026-01-31 09:30:00+08'" if place.is_postgres else "'2026-01-31 09:30:00'"
    bytes_ = r"'\x8900ff'" if place.is_postgres else "x'8900ff'"
    true = "TRUE" if place.is_postgres else "b'1'"
    json = """'{"a": "甲"}'""" if place.is_postgres else "JSON_OBJECT('a', '甲')"
    row = f"""('421202900131123', '1990-01-31', {at}, 11863.00, 9007199254740993, {true}, '1', {json}, {bytes_}, '', NULL, '2026-01-31 09:30:00')"""
    place.table(columns, row, name="T_TYPED")
    found = place.run(place.connector().fetch(request_for(TYPED, [OLD], *list(TYPED.items)[1:])))
    dawn = datetime(2026, 1, 31, 9, 30, tzinfo=CHINA)
    text = '{"a": "甲"}' if place.kind is not THREADS else INVALID  # psycopg reads JSON itself
    code = "1" if place.kind is not THREADS else "1   "
    (one,) = found.rows
    assert (one.key, one.updated) == (OLD, dawn)
    assert one.values == (
        date(1990, 1, 31),
        dawn,
        Decimal("11863.00"),
        9007199254740993,
        True,
        code,
        text,
        b"\x89\x00\xff",
        "",
        None,
    )
    assert str(one.values[2]) == "11863.00"
    place.drop("T_TYPED")


def test_zero_dates_are_no_dates_and_not_nothing(tmp_path: Path) -> None:
    with asyncio.Runner() as runner:
        place = Place(MARIADB, tmp_path, runner.run)
        place.table('"ID" VARCHAR(9), "NAME" VARCHAR(9), "NOTE" DATE, "GXSJ" VARCHAR(9)')
        place.execute("SET sql_mode = ''", "INSERT INTO T_REGISTER VALUES ('a', 'x', '0000-00-00', NULL)")
        of = resource("Register", item("id"), item("name"), item("note", ItemType.DATE))
        assert place.ask(place.connector(), of) == [("x", INVALID)]
        place.close()


# -- a server of its own -----------------------------------------------------------------------------------------


def test_a_server_that_was_killed_answers_when_it_is_back(tmp_path: Path) -> None:
    with servers.cluster() as cluster, asyncio.Runner() as runner:
        url = cluster.url.set(drivername="postgresql")
        servers.execute(url, f'CREATE TABLE "T_REGISTER" ({PLAIN})', f'INSERT INTO "T_REGISTER" VALUES {ROW}')
        source = connect("sql", url=url)
        assert runner.run(asked(source)) == [("甲", "乙")]
        servers.execute(url, "CHECKPOINT")
        cluster.kill()
        assert runner.run(asked(source)) == "SOURCE_UNAVAILABLE"
        cluster.start()
        assert runner.run(asked(source)) == [("甲", "乙")]
        servers.execute(url, "CREATE ROLE reader LOGIN PASSWORD 'right'", 'GRANT SELECT ON "T_REGISTER" TO reader')
        hba = cluster.data / "pg_hba.conf"
        hba.write_text(f"host all reader 127.0.0.1/32 scram-sha-256\n{hba.read_text('utf8')}", "utf8")
        servers.execute(url, "SELECT pg_reload_conf()")
        for password, expected in (("right", [("甲", "乙")]), ("wrong", "SOURCE_REFUSED"), (None, "SOURCE_REFUSED")):
            for driver in ("postgresql", "postgresql+psycopg"):
                reader = connect("sql", url=url.set(drivername=driver, username="reader", password=password))
                assert runner.run(asked(reader)) == expected
                runner.run(reader.close())
        runner.run(source.close())
