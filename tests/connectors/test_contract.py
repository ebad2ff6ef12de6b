"""What every kind of source owes to the line: one suite, run for each kind."""

from __future__ import annotations

import asyncio
import random
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from connectors.contract import INVALID, SourceError
from schema.catalogue import ItemType
from schema.formats import CHINA, FORMATS
from schema.identifiers import to_citizen_id
from tests.connectors.conftest import Sources, request_for
from tests.connectors.kinds import Kind, Raw
from tests.connectors.resources import item, resource

REGISTER = resource("Register", item("id"), item("name"), item("note"))
AWARDS = resource("Awards", item("id"), item("title"), item("year", ItemType.INT), many=True)
DAWN = datetime(2026, 1, 31, 9, 30, tzinfo=CHINA)


def person(key: str, name: str | None = "某人", note: str | None = "") -> dict[str, Any]:
    return {"id": key, "name": name, "note": note, "updated": DAWN}


# -- keys ------------------------------------------------------------------------------------------------------


def test_records_are_found_by_their_keys(sources: Sources) -> None:
    rows = sources.fetch(REGISTER, [person("a", "甲"), person("b", "乙"), person("c", "丙")], ["a", "c"], "name").rows
    assert {row.key: row.values for row in rows} == {"a": ("甲",), "c": ("丙",)}


def test_an_unknown_key_has_no_row(sources: Sources) -> None:
    assert sources.fetch(REGISTER, [person("a")], ["nobody", "A", "", "a "], "name").rows == []


def test_no_keys_find_nothing(sources: Sources) -> None:
    assert sources.fetch(REGISTER, [person("a")], [], "name").rows == []


def test_a_key_is_a_value_and_never_a_pattern_or_a_statement(sources: Sources) -> None:
    nasty = ["%", "_", "*", "a' OR '1'='1", 'a" --', "a;b", "\\", "?", ":k0", "%s", "甲"]
    rows = sources.fetch(REGISTER, [person("a"), *map(person, nasty[2:])], nasty, "name").rows
    assert sorted(row.key for row in rows) == sorted(nasty[2:])


@pytest.mark.parametrize("key", ["a\0", "\ud800"])
def test_a_key_that_no_source_can_hold_is_nobodys_and_costs_no_other(sources: Sources, key: str) -> None:
    assert [row.key for row in sources.fetch(REGISTER, [person("a")], ["a", key], "name").rows] == ["a"]


@pytest.mark.parametrize("count", [1, 1000, 2500])
def test_a_batch_of_any_size_finds_each_record_once(sources: Sources, count: int) -> None:
    keys = [f"key-{number}" for number in range(count)]
    rows = sources.fetch(REGISTER, [person(key, note=key) for key in keys], [*keys, "nobody"], "note").rows
    assert sorted((row.key, *row.values) for row in rows) == sorted((key, key) for key in keys)


def test_a_key_asked_twice_gives_its_rows_once(sources: Sources) -> None:
    others = [f"key-{number}" for number in range(1500)]
    rows = sources.fetch(REGISTER, [person("a")], ["a", "a", *others, "a"], "name").rows
    assert [row.key for row in rows] == ["a"]


def test_records_can_be_asked_by_another_item_than_the_resources_key(sources: Sources) -> None:
    rows = sources.fetch(REGISTER, [person("a", "甲"), person("b", "乙")], ["乙"], "id", key="name").rows
    assert [(row.key, row.values) for row in rows] == [("乙", ("b",))]


# -- columns and order -----------------------------------------------------------------------------------------


def test_values_come_in_the_order_of_the_columns_asked_for(sources: Sources) -> None:
    records = [person("a", "甲", "备注")]
    assert sources.fetch(REGISTER, records, ["a"], "note", "id", "name").rows[0].values == ("备注", "a", "甲")
    assert sources.fetch(REGISTER, records, ["a"], "name").rows[0].values == ("甲",)


def award(title: str, year: int, hours: int) -> dict[str, Any]:
    return {"id": "a", "title": title, "year": year, "updated": DAWN + timedelta(hours=hours)}


def test_rows_of_a_key_come_by_their_last_change(sources: Sources) -> None:
    awards = [award("late", 1, 3), award("early", 3, 1), award("middle", 2, 2)]
    rows = sources.fetch(AWARDS, awards, ["a"], "title").rows
    assert [row.values[0] for row in rows] == ["early", "middle", "late"]


def test_rows_of_one_change_come_by_their_values_however_they_are_stored(sources: Sources) -> None:
    awards = [award(title, 1, 0) for title in "fbdace"]
    for seed in range(3):
        random.Random(seed).shuffle(awards)
        rows = sources.fetch(AWARDS, awards, ["a", "nobody"], "title", "year").rows
        assert "".join(row.values[0] for row in rows) == "abcdef"


def test_rows_alike_are_all_there(sources: Sources) -> None:
    assert len(sources.fetch(AWARDS, [award("same", 1, 0)] * 3, ["a"], "title").rows) == 3


def test_rows_of_many_keys_each_keep_their_order(sources: Sources) -> None:
    keys = [f"key-{number}" for number in range(1200)]
    awards = [award(title, 1, 0) | {"id": key} for key in keys for title in ("z", "y")]
    rows = sources.fetch(AWARDS, awards, keys, "title").rows
    assert [row.values[0] for row in rows if row.key == "key-7"] == ["y", "z"]
    assert [row.values[0] for row in rows if row.key == "key-1177"] == ["y", "z"]


# -- values ----------------------------------------------------------------------------------------------------

A_DAY = date(1990, 1, 31)
A_MOMENT = datetime(1990, 1, 31, 23, 59, 58, tzinfo=CHINA)
CODE, ID = "91420100052019361M", to_citizen_id("421202900131123")
VALUES: dict[ItemType, list[Any]] = {
    ItemType.STRING: ["", "x", "张三丰", "𠮷野家", "a'b\"c\n;--", "NULL", "ＡＢ", "1"],
    ItemType.INT: [0, -1, 42, 2**40],
    ItemType.DECIMAL: [Decimal("0"), Decimal("11863.00"), Decimal("-0.01"), Decimal("99999999999.99")],
    ItemType.BOOLEAN: [True, False],
    ItemType.DATE: [A_DAY, date(1949, 10, 1), date(2024, 2, 29)],
    ItemType.DATETIME: [A_MOMENT, datetime(2026, 6, 1, tzinfo=CHINA)],
    ItemType.ID_NUMBER: [ID, to_citizen_id("421202680229999")],
    ItemType.CREDIT_CODE: [CODE],
    ItemType.UNIT_NUMBER: ["421202001001GB00001F00010001"],
    ItemType.COMPONENT_CODE: ["4212020101000001"],
    ItemType.CODE: ["1", "2", "97"],
    ItemType.IMAGE: [b"\x89PNG\x00\xff", b""],
}
WRITTEN = [(kind, name) for kind, formats in FORMATS.items() for name in formats]


@pytest.mark.parametrize(("kind_of_item", "written"), WRITTEN, ids=lambda part: str(part))
def test_every_format_gives_canonical_values(
    sources: Sources, kind: Kind, kind_of_item: ItemType, written: str
) -> None:
    one = resource("One", item("id"), item("value", kind_of_item, written))
    values = VALUES[kind_of_item]
    records = [{"id": str(number), "value": value} for number, value in enumerate(values)]
    if written == "bytes" and not kind.holds_bytes:  # what it writes instead is a text
        values = [INVALID for _ in values]
    rows = sources.fetch(one, records, [str(number) for number in range(len(values))], "value").rows
    found = {int(row.key): row.values[0] for row in rows}
    assert [found[number] for number in range(len(values))] == values
    assert [type(found[number]) for number in range(len(values))] == [type(value) for value in values]


def test_null_is_none_and_an_empty_text_is_a_text(sources: Sources) -> None:
    assert sources.fetch(REGISTER, [person("a", None, "")], ["a"], "name", "note").rows[0].values == (None, "")


@pytest.mark.parametrize("kind_of_item", ItemType)
def test_null_is_none_in_every_type(sources: Sources, kind_of_item: ItemType) -> None:
    one = resource("One", item("id"), item("value", kind_of_item))
    assert sources.fetch(one, [{"id": "a", "value": None}], ["a"], "value").rows[0].values == (None,)


def test_a_sources_own_codes_become_the_standards(sources: Sources) -> None:
    sex = item("sex", ItemType.CODE, values={"M": "1", "F": "2", "未知": "0"})
    one = resource("One", item("id"), sex)
    records = [{"id": code, "sex": code} for code in "012"] + [{"id": "x", "sex": Raw("X", INVALID)}]
    rows = sources.fetch(one, records, ["0", "1", "2", "x"], "sex").rows
    assert {row.key: row.values[0] for row in rows} == {"0": "0", "1": "1", "2": "2", "x": INVALID}


LEGACY = resource("Legacy", item("id", ItemType.ID_NUMBER, "15or18"), item("name"))


def test_a_record_under_a_legacy_number_is_found_by_the_number_of_today(sources: Sources) -> None:
    records = [{"id": Raw("421202900131123", ID), "name": "甲"}]
    rows = sources.fetch(LEGACY, records, [ID], "name", "id").rows
    assert [(row.key, row.values) for row in rows] == [(ID, ("甲", ID))]


def test_a_number_is_found_with_a_lower_case_x(sources: Sources) -> None:
    number = next(n for n in (to_citizen_id(f"42120290013{tail}") for tail in range(1000, 9999)) if n.endswith("X"))
    records = [{"id": Raw(number.lower(), number), "name": "甲"}]
    for written in ("15or18", "18"):
        one = replace(LEGACY, items={**LEGACY.items, "id": item("id", ItemType.ID_NUMBER, written)})
        assert [row.key for row in sources.fetch(one, records, [number], "name").rows] == [number]


INVALIDS: list[tuple[ItemType, str, list[Any]]] = [
    (ItemType.INT, "int", ["abc", "", 1.5]),
    (ItemType.DECIMAL, "decimal", ["abc", "", "NaN", "Infinity", "1,000.00"]),
    (ItemType.DECIMAL, "cents", ["12.5", ""]),
    (ItemType.BOOLEAN, "YN", ["y", "", "1"]),
    (ItemType.BOOLEAN, "01", [2, -1]),
    (ItemType.DATE, "compact", ["19900230", "1990131", "", "00000000", "1990-1-1"]),
    (ItemType.DATE, "iso", ["1990/01/31", "", "0000-00-00", "1990-02-30", "19900131"]),
    (ItemType.DATE, "slash", ["1990-01-31", "1990/02/30"]),
    (ItemType.DATE, "int", [19900230, 0]),
    (ItemType.DATETIME, "compact", ["20260131", "20260131256000"]),
    (ItemType.DATETIME, "epoch", [10**18]),
    (ItemType.ID_NUMBER, "18", ["421202199001311234", "abc", "", "42120219900131"]),
    (ItemType.ID_NUMBER, "15or18", ["421202991331123"]),
    (ItemType.IMAGE, "base64", ["***", "abc"]),
]


@pytest.mark.parametrize(("kind_of_item", "written", "wrong"), INVALIDS)
def test_a_value_that_is_none_of_its_type_costs_its_own_cell_only(
    sources: Sources, kind_of_item: ItemType, written: str, wrong: list[Any]
) -> None:
    one = resource("One", item("id"), item("value", kind_of_item, written), item("name"))
    good = VALUES[kind_of_item][0]
    records = [{"id": f"w{n}", "value": Raw(raw, INVALID), "name": "甲"} for n, raw in enumerate(wrong)]
    records.append({"id": "good", "value": good, "name": "乙"})
    rows = sources.fetch(one, records, ["good", *(f"w{n}" for n in range(len(wrong)))], "value", "name").rows
    values = {row.key: row.values for row in rows}
    assert values.pop("good") == (good, "乙")
    assert values == {f"w{n}": (INVALID, "甲") for n in range(len(wrong))}


# -- provenance ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("written", ["iso", "compact", "epoch"])
def test_a_row_tells_its_last_change_at_the_source(sources: Sources, written: str) -> None:
    one = replace(REGISTER, updated_format=written)
    (row,) = sources.fetch(one, [person("a")], ["a"], "name").rows
    assert row.updated == DAWN
    assert row.updated
    assert row.updated.utcoffset() is not None


def test_a_last_change_that_is_absent_or_unreadable_is_unknown(sources: Sources) -> None:
    records = [person("a") | {"updated": None}, person("b") | {"updated": Raw("yesterday", None)}]
    rows = sources.fetch(REGISTER, records, ["a", "b"], "name").rows
    assert {row.key: row.updated for row in rows} == {"a": None, "b": None}


def test_rows_tell_when_they_were_fetched(sources: Sources) -> None:
    before = datetime.now(UTC)
    fetched = sources.fetch(REGISTER, [person("a")], ["a"], "name").fetched_at
    assert before <= fetched <= datetime.now(UTC)
    assert fetched.utcoffset() is not None


# -- what is lost ----------------------------------------------------------------------------------------------


def without(name: str) -> list[dict[str, Any]]:
    return [{key: value for key, value in person("a").items() if key != name}]


@pytest.mark.parametrize("lost", ["name", "id"])
def test_a_lost_column_is_a_change_of_the_source_and_never_its_own_name(sources: Sources, lost: str) -> None:
    with pytest.raises(SourceError) as told:
        sources.fetch(REGISTER, without(lost), ["a", lost, lost.upper()], "name", "note")
    assert told.value.code == "SOURCE_CHANGED"


def test_a_lost_column_that_is_not_asked_for_costs_nothing(sources: Sources) -> None:
    assert sources.fetch(REGISTER, without("name"), ["a"], "note").rows[0].values == ("",)


def test_a_lost_table_is_a_change_of_the_source(sources: Sources) -> None:
    with pytest.raises(SourceError) as told:
        sources.fetch(REGISTER, None, ["a"], "name")
    assert told.value.code == "SOURCE_CHANGED"


@pytest.mark.parametrize(
    ("records", "lost"),
    [([person("a")], ()), (without("name"), ("NAME",)), (without("id"), ("ID",))],
    ids=["whole", "name", "key"],
)
def test_check_names_the_lost_columns(sources: Sources, records: list[dict[str, Any]], lost: tuple[str, ...]) -> None:
    assert sources.run(sources.source(REGISTER, records).check(REGISTER)) == lost


def test_check_names_every_column_of_a_lost_table(sources: Sources) -> None:
    assert {"ID", "NAME", "NOTE"} <= set(sources.run(sources.source(REGISTER, None).check(REGISTER)))


# -- the rest of the contract ----------------------------------------------------------------------------------


def test_explain_shows_what_is_read_and_no_value(sources: Sources) -> None:
    source = sources.source(REGISTER, [person("secret-key", "秘密")])
    shown = source.explain(request_for(REGISTER, ["secret-key"], "name"))
    assert "name" in shown.lower()
    assert "note" not in shown.lower()
    assert "secret-key" not in shown
    assert source.explain(request_for(REGISTER, [], "name")) == shown


def test_a_source_that_answers_is_healthy(sources: Sources) -> None:
    assert sources.run(sources.source(REGISTER, [person("a")]).health())


def test_a_source_says_what_it_can(sources: Sources, kind: Kind) -> None:
    source = sources.source(REGISTER, [person("a")])
    assert sources.run(source.health())
    assert source.capabilities() == kind.capabilities


def test_many_questions_at_once_are_all_answered(sources: Sources) -> None:
    source = sources.source(REGISTER, [person(f"key-{number}", f"名{number}") for number in range(50)])

    async def ask() -> list[Any]:
        questions = [source.fetch(request_for(REGISTER, [f"key-{number}"], "name")) for number in range(50)]
        return [answer.rows[0].values[0] for answer in await asyncio.gather(*questions)]

    assert sources.run(ask()) == [f"名{number}" for number in range(50)]
