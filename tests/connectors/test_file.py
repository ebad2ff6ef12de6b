"""Deliveries in a folder: taken over whole or not at all, the last good one in force, and nothing else ever read."""

from __future__ import annotations

import asyncio
import io
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connectors import folder as folders
from connectors.contract import INVALID, SourceError
from connectors.deliveries import _write_csv
from connectors.file import FileConnector
from connectors.folder import State
from connectors.statements import Select
from schema.catalogue import ItemType, Resource
from tests.connectors.conftest import request_for
from tests.connectors.resources import item, resource

PEOPLE = resource("People", item("id"), item("name"), updated=None)
HEAD = "ID,NAME\n"


@pytest.fixture(autouse=True)
def _looks_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folders, "_LOOK_SECONDS", 0.02)


class Desk:
    """A folder of deliveries and a connector to it."""

    def __init__(self, folder: Path, runner: asyncio.Runner) -> None:
        self.folder = folder
        self.run = runner.run
        self._made: list[FileConnector] = []
        self.source = self.connector()

    def connector(self, **settings: Any) -> FileConnector:
        self.source = FileConnector(self.folder, **settings)
        self._made.append(self.source)
        return self.source

    def deliver(self, content: str | bytes, name: str = "T_PEOPLE.csv") -> None:
        """As the rule says: written under another name, and renamed."""
        file = self.folder / name
        file.parent.mkdir(exist_ok=True)
        part = file.with_name(file.name + ".part")
        part.write_bytes(content if isinstance(content, bytes) else content.encode())
        part.replace(file)

    def ask(self, key: str = "a", of: Resource = PEOPLE, *columns: str, timeout: float = 10) -> Any:
        """The values of a key's record, None without one, or the code of the error."""
        try:
            rows = self.run(self.source.fetch(request_for(of, [key], *(columns or ("name",)), timeout=timeout))).rows
        except SourceError as error:
            return error.code
        return rows[0].values if rows else None

    def soon(self, expected: Any, asked: Callable[[], Any]) -> None:
        """Within five seconds this is the answer."""
        until = time.monotonic() + 5
        while (found := asked()) != expected and time.monotonic() < until:
            time.sleep(0.02)
        assert found == expected

    def refusals(self, table: str = "T_PEOPLE") -> dict[str, str]:
        return next((one.refused for one in self.source.deliveries() if one.table == table), {})

    def close(self) -> None:
        for one in self._made:
            self.run(one.close())


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with asyncio.Runner() as runner:
        made = Desk(tmp_path, runner)
        yield made
        made.close()


def parquet(desk: Desk, select: str, name: str = "T_PEOPLE.parquet") -> None:
    with duckdb.connect() as database:
        database.execute(f"COPY ({select}) TO '{desk.folder}/new.part' (FORMAT parquet)")
    (desk.folder / "new.part").replace(desk.folder / name)


# -- what is in force ------------------------------------------------------------------------------------------------


def test_a_new_delivery_takes_the_place_of_the_old_one(desk: Desk) -> None:
    desk.deliver(HEAD + "a,old\n")
    assert desk.ask() == ("old",)
    desk.deliver(HEAD + "a,new\n")
    desk.soon(("new",), desk.ask)


def test_the_last_delivery_by_name_is_in_force_and_the_one_before_when_it_is_taken_away(desk: Desk) -> None:
    desk.deliver(HEAD + "a,first\n", "T_PEOPLE/20261101.csv")
    desk.deliver(HEAD + "a,second\n", "T_PEOPLE/20261102.csv")
    assert desk.ask() == ("second",)
    (desk.folder / "T_PEOPLE/20261102.csv").unlink()
    desk.soon(("first",), desk.ask)


def test_a_table_whose_deliveries_are_taken_away_is_withdrawn(desk: Desk) -> None:
    desk.deliver(HEAD + "a,name\n")
    assert desk.ask() == ("name",)
    (desk.folder / "T_PEOPLE.csv").unlink()
    desk.soon("SOURCE_CHANGED", desk.ask)
    desk.deliver(HEAD + "a,again\n")
    desk.soon(("again",), desk.ask)


def test_a_folder_that_is_gone_costs_nothing_that_was_in_force(desk: Desk) -> None:
    desk.deliver(HEAD + "a,name\n")
    assert desk.ask() == ("name",)
    assert desk.run(desk.source.health())
    away = desk.folder.with_name("away")
    desk.folder.rename(away)
    desk.soon(False, lambda: desk.run(desk.source.health()))
    assert desk.ask() == ("name",)
    assert desk.ask(of=resource("Other", item("id"), item("name"))) == "SOURCE_UNAVAILABLE"
    away.rename(desk.folder)
    desk.soon(True, lambda: desk.run(desk.source.health()))


def test_readers_see_the_old_delivery_or_the_new_one_and_never_both(desk: Desk) -> None:
    keys = [f"k{number}" for number in range(3000)]
    texts = ["".join([HEAD, *(f"{key},{turn}\n" for key in keys)]) for turn in range(4)]
    desk.deliver(texts[0])
    assert desk.ask("k0") == ("0",)
    done = threading.Event()

    def deliver() -> None:
        for turn in range(40):
            desk.deliver(texts[turn % 4])
            time.sleep(0.03)
        done.set()

    writer = threading.Thread(target=deliver)
    writer.start()
    seen = set()
    while not done.is_set():
        rows = desk.run(desk.source.fetch(request_for(PEOPLE, keys, "name", timeout=10))).rows
        turns = {row.values[0] for row in rows}
        assert len(rows) == len(keys)
        assert len(turns) == 1
        seen |= turns
    writer.join()
    assert len(seen) > 1


# -- what is not complete --------------------------------------------------------------------------------------------


def test_a_file_of_another_name_is_no_delivery(desk: Desk) -> None:
    for name in ("T_PEOPLE.csv.part", ".T_PEOPLE.csv", "T_PEOPLE.CSV~", "T_PEOPLE.txt"):
        (desk.folder / name).write_text(HEAD + "a,x\n")
    assert desk.ask() == "SOURCE_CHANGED"


def test_a_marked_delivery_counts_once_its_marker_is_as_new_as_itself(desk: Desk) -> None:
    desk.connector(marked=True)
    file, marker = desk.folder / "T_PEOPLE.csv", desk.folder / "T_PEOPLE.csv.ok"
    file.write_text(HEAD + "a,first\n")
    assert desk.ask() == "SOURCE_CHANGED"
    marker.touch()
    desk.soon(("first",), desk.ask)
    file.write_text(HEAD + "a,second, and not yet")
    os.utime(file, ns=(marker.stat().st_mtime_ns + 1,) * 2)
    time.sleep(0.2)
    assert desk.ask() == ("first",)
    file.write_text(HEAD + "a,second\n")
    marker.touch()
    desk.soon(("second",), desk.ask)


BROKEN = {
    "half a line": (HEAD + "a,ne", "its last line does not end"),
    "a field short": (HEAD + "a,new\nb\n", "line 3 is not as the others are"),
    "a field too many": (HEAD + "a,new\nb,c,d\n", "line 3 is not as the others are"),
    "an open quote": (HEAD + 'a,"new\n', "a quote is not closed"),
    "a quote that swallows a line": (HEAD + 'a,x"y\nb,"z\n', "a quote stands within a value"),
    "a quote after a value": (HEAD + 'a,x"\nb,"z"\n', "a quote stands within a value"),
    "a value after a quote": (HEAD + 'a,"x"y\n', "a quote stands within a value"),
    "a blank line": (HEAD + "a,new\n\nb,new\n", "were read"),
    "a carriage return alone": (HEAD + "a,ne\rw\n", "a carriage return alone"),
    "nothing at all": ("", "its last line does not end"),
    "a column without a name": ("ID,NAME,\na,new,x\n", "does not name every column"),
    "two columns of one name": ("ID,NAME,name\na,new,x\n", "two of its columns have one name"),
    "another encoding": ((HEAD + "a,张三\n").encode("gbk"), "it is not utf-8"),
}


@pytest.mark.parametrize(("content", "reason"), BROKEN.values(), ids=BROKEN)
def test_a_broken_delivery_is_refused_whole_and_the_last_good_one_stays_in_force(
    desk: Desk, caplog: pytest.LogCaptureFixture, content: str | bytes, reason: str
) -> None:
    desk.deliver(HEAD + "a,good\n")
    assert desk.ask() == ("good",)
    with caplog.at_level(logging.WARNING, "onesource.sources"):
        desk.deliver(content)
        desk.soon(True, lambda: reason in desk.refusals().get("T_PEOPLE.csv", ""))
    assert desk.ask() == ("good",)
    assert desk.run(desk.source.health())
    assert desk.source.deliveries() == (State("T_PEOPLE", "T_PEOPLE.csv", desk.refusals()),)
    (line,) = [record.getMessage() for record in caplog.records]
    assert "stays in force" in line
    assert "new" not in line
    desk.deliver(HEAD + "a,mended\n")
    desk.soon(("mended",), desk.ask)
    assert desk.refusals() == {}


def test_a_refused_delivery_leaves_the_one_before_in_force_after_a_restart_too(desk: Desk) -> None:
    desk.deliver(HEAD + "a,good\n", "T_PEOPLE/20261101.csv")
    desk.deliver(HEAD + "a,ne", "T_PEOPLE/20261102.csv")
    assert desk.ask() == ("good",)
    assert list(desk.refusals()) == ["20261102.csv"]
    desk.connector()
    assert desk.ask() == ("good",)


def test_a_parquet_file_cut_short_is_refused(desk: Desk) -> None:
    parquet(desk, "SELECT 'a' AS ID, 'good' AS NAME")
    assert desk.ask() == ("good",)
    whole = (desk.folder / "T_PEOPLE.parquet").read_bytes()
    desk.deliver(whole[:-20], "T_PEOPLE.parquet")
    desk.soon({"T_PEOPLE.parquet": "it cannot be read"}, desk.refusals)
    assert desk.ask() == ("good",)


def test_a_table_delivered_in_two_ways_is_refused(desk: Desk) -> None:
    desk.deliver(HEAD + "a,csv\n")
    parquet(desk, "SELECT 'a' AS ID, 'parquet' AS NAME")
    assert desk.ask() == "SOURCE_CHANGED"
    assert "2 places" in desk.refusals()["T_PEOPLE"]


def test_nothing_but_a_plain_file_is_read(desk: Desk) -> None:
    elsewhere = desk.folder.parent / "elsewhere.csv"
    elsewhere.write_text(HEAD + "a,secret\n")
    (desk.folder / "T_PEOPLE.csv").symlink_to(elsewhere)
    os.mkfifo(desk.folder / "T_PIPE.csv")
    (desk.folder / "T_FOLDER.csv").mkdir()
    assert desk.ask() == "SOURCE_CHANGED"
    assert desk.ask(of=resource("Pipe", item("id"), item("name"))) == "SOURCE_CHANGED"


# -- how values are written ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("encoding", "written"),
    [("utf-8", "utf-8"), ("utf-8", "utf-8-sig"), ("gb18030", "gbk"), ("gb18030", "gb18030")],
)
def test_texts_come_out_whole_from_every_encoding(desk: Desk, encoding: str, written: str) -> None:
    desk.connector(encoding=encoding)
    chinese = resource("People", item("id", column="编号"), item("name", column="姓名"), updated=None)
    name = "张三，“丰”" if written == "gbk" else "张三𠮷㐀"
    desk.deliver(f'编号,姓名\r\n001,"{name}\r\n第二行"\r\n'.encode(written))
    assert desk.ask("001", chinese) == (f"{name}\r\n第二行",)


def test_utf_8_that_is_declared_as_gbk_is_refused_where_it_says_what_it_is(desk: Desk) -> None:
    desk.connector(encoding="gb18030")
    desk.deliver((HEAD + "a,张三\n").encode("utf-8-sig"))
    assert desk.ask() == "SOURCE_CHANGED"
    assert "it is UTF-8" in desk.refusals()["T_PEOPLE.csv"]


ROWS = st.lists(st.lists(st.one_of(st.none(), st.text('a",\n\r 0', max_size=6)), min_size=2, max_size=2), max_size=6)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=ROWS, ends=st.sampled_from(["\n", "\r\n"]), piece=st.integers(1, 5))
def test_a_csv_is_copied_as_it_reads_however_it_is_cut_into_pieces(
    rows: list[list[str]], ends: str, piece: int
) -> None:
    def text_of(end: str) -> str:
        written = [
            ["ID", "NAME"],
            *([value if value is None else value.replace('"', '""') for value in row] for row in rows),
        ]
        return "".join(",".join("" if value is None else f'"{value}"' for value in row) + end for row in written)

    text, copy = text_of(ends), io.BytesIO()
    assert _write_csv(_pieces(text, piece), copy) == len(rows)
    assert copy.getvalue().decode() == text_of("\n")


def _pieces(text: str, size: int) -> Iterator[str]:
    """The pieces that `_decoded` makes: none ends between a carriage return and its line feed."""
    held = ""
    for start in range(0, len(text), size):
        held += text[start : start + size]
        if not held.endswith("\r"):
            yield held
            held = ""
    yield held


def test_csv_keeps_leading_zeros_and_tells_nothing_from_an_empty_text(desk: Desk) -> None:
    desk.deliver('ID,NAME\n007,\n7,""\n')
    assert desk.ask("007") == (None,)
    assert desk.ask("7") == ("",)


def test_parquet_is_read_by_its_types(desk: Desk) -> None:
    typed = resource(
        "Typed",
        item("id"),
        item("count", ItemType.INT),
        item("fee", ItemType.DECIMAL),
        item("day", ItemType.DATE),
        item("at", ItemType.DATETIME),
        item("zoned", ItemType.DATETIME),
        item("valid", ItemType.BOOLEAN, "01"),
        item("photo", ItemType.IMAGE),
        item("state", ItemType.CODE, "int"),
        updated="ZONED",
    )
    parquet(
        desk,
        "SELECT 7::INTEGER AS ID, 9007199254740993::BIGINT AS COUNT, 11863.00::DECIMAL(12, 2) AS FEE, "
        "DATE '1990-01-31' AS DAY, TIMESTAMP '2026-01-31 09:30:00' AS AT, "
        "TIMESTAMPTZ '2026-01-31 09:30:00+08' AS ZONED, true AS VALID, '\\x00\\xFF'::BLOB AS PHOTO, 3::TINYINT AS STATE",
        "T_TYPED.parquet",
    )
    values = desk.ask("7", typed, *list(typed.items)[1:])
    moment = datetime(2026, 1, 31, 1, 30, tzinfo=UTC)
    assert values == (2**53 + 1, Decimal("11863.00"), date(1990, 1, 31), moment, moment, True, b"\x00\xff", "3")
    assert str(values[1]) == "11863.00"


def test_a_column_of_lists_counts_as_lost(desk: Desk) -> None:
    parquet(desk, "SELECT 'a' AS ID, ['x'] AS NAME")
    assert desk.ask() == "SOURCE_CHANGED"
    assert desk.run(desk.source.check(PEOPLE)) == ("NAME",)


def test_a_fraction_where_a_whole_number_should_be_is_invalid(desk: Desk) -> None:
    counted = resource("Counted", item("id"), item("count", ItemType.INT), updated=None)
    parquet(desk, "SELECT 'a' AS ID, 1.5::DOUBLE AS COUNT", "T_COUNTED.parquet")
    assert desk.ask("a", counted, "count") == (INVALID,)


# -- what the database may -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT * FROM read_text('/etc/hostname')",
        "COPY (SELECT 1) TO '/tmp/onesource-leak.csv'",
        "ATTACH '/tmp/onesource-other.duckdb'",
        "INSTALL httpfs",
        "SET enable_external_access = true",
        "SET memory_limit = '100GB'",
        "SET threads = 8",
        "INSERT INTO T_PEOPLE VALUES ('b', 'x')",
    ],
)
def test_the_database_reaches_nothing_else_and_cannot_be_told_otherwise(desk: Desk, statement: str) -> None:
    desk.deliver(HEAD + "a,name\n")
    assert desk.ask() == ("name",)
    begun = desk.source._folder._begun
    assert begun
    with pytest.raises(duckdb.Error):
        begun.database.cursor().execute(statement)


@pytest.mark.parametrize("name", ['X"; DROP TABLE T_PEOPLE; --', "it's", "select", "a b", "姓名", "[x]"])
def test_any_name_of_a_column_is_a_name(desk: Desk, name: str) -> None:
    odd = resource("People", item("id"), item("name", column=name), updated=None)
    desk.deliver(f'ID,"{name.replace(chr(34), chr(34) * 2)}"\na,x\n')
    assert desk.ask("a", odd) == ("x",)
    assert desk.run(desk.source.check(odd)) == ()


@pytest.mark.parametrize("table", ["../T_PEOPLE", "/etc/passwd", "T_PEOPLE/20261101", ".hidden", "*"])
def test_a_tables_name_never_leads_out_of_the_folder(desk: Desk, table: str) -> None:
    desk.deliver(HEAD + "a,name\n")
    assert desk.ask(of=resource("People", item("id"), item("name"), table=table, updated=None)) == "SOURCE_CHANGED"


def test_a_statement_ends_by_its_deadline_and_the_next_one_is_answered(desk: Desk) -> None:
    rows = "".join(f"k{number},{number % 7}\n" for number in range(200_000))
    desk.deliver(HEAD + rows)
    assert desk.ask("k5") == ("5",)
    begun = time.monotonic()
    folder = desk.source._folder
    slow = "SELECT count(*) FROM T_PEOPLE a, T_PEOPLE b, T_PEOPLE c WHERE a.NAME || b.NAME || c.NAME = 'x'"
    with pytest.raises(SourceError, match="SOURCE_TIMEOUT"):
        desk.run(folder.select(Select(slow, ()), (), time.monotonic() + 0.3))
    assert 0.25 < time.monotonic() - begun < 2
    desk.soon(0, lambda: sum(thread.name == "file-guard" for thread in threading.enumerate()))
    assert desk.ask("k5") == ("5",)


def test_a_closed_connector_leaves_no_file_and_no_thread(desk: Desk) -> None:
    desk.deliver(HEAD + "a,name\n")
    assert desk.ask() == ("name",)
    begun = desk.source._folder._begun
    assert begun
    private = Path(begun.private.name)
    assert private.is_dir()
    assert not list(private.glob("*.duckdb"))  # nothing of a delivery has a name even while it is in force
    assert private.stat().st_mode & 0o077 == 0
    desk.run(desk.source.close())
    assert not private.exists()
    assert not [one for one in threading.enumerate() if one.name.startswith("file")]
    assert not [one for one in Path("/proc/self/fd").iterdir() if str(private) in os.path.realpath(one)]
