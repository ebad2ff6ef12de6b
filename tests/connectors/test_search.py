"""Conditions, orders, pages and counts: every database answers as the naive reference does."""

from __future__ import annotations

import asyncio
import re
import sqlite3
from collections.abc import Sequence
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from connectors.contract import (
    INVALID,
    Capability,
    Condition,
    Connector,
    CountRequest,
    FetchRequest,
    Operator,
    Order,
    Rows,
    SearchRequest,
    SourceError,
)
from schema.catalogue import ItemType, Resource, Search
from schema.formats import FORMATS, is_ordered, is_prefixed, is_searchable
from tests.connectors.kinds import KINDS, MEMORY, PARQUET, SQL_KINDS, SQLITE, Kind, Raw, Record, SqlKind, those_that
from tests.connectors.resources import item, resource
from tests.connectors.things import (
    BETWEEN,
    ENDS_WITH_X,
    MOMENTS,
    OLD,
    OLDER,
    ORDER,
    RECORDS,
    STORED,
    THINGS,
    WHERE,
    YOUNG,
)

ALL = those_that(Capability.CONDITIONS, Capability.SEARCH, Capability.COUNT)


@pytest.fixture(params=ALL, ids=lambda kind: kind.name)
def tried(request: pytest.FixtureRequest) -> Kind:
    """A kind that is compared with the reference."""
    found: Kind = request.param
    return found


@pytest.fixture(params=[MEMORY, *ALL], ids=lambda kind: kind.name)
def kind(request: pytest.FixtureRequest) -> Kind:
    found: Kind = request.param
    return found


def ask(kind: Kind, records: Sequence[Record], folder: Path, *requests: Any, of: Resource = THINGS) -> list[Rows | str]:
    """The answer to each request, or the code of its error, from one source."""

    async def each() -> list[Rows | str]:
        kind.write(of, records, folder)
        connector = kind.connector(folder)
        answers: list[Rows | str] = []
        for request in requests:
            try:
                answers.append(await connector.fetch(request))
            except SourceError as error:
                answers.append(error.code)
        await connector.close()
        return answers

    return asyncio.run(each())


def search(*order: Order, first: int = 100, of: Resource = THINGS, **further: Any) -> SearchRequest:
    return SearchRequest(of, further.pop("columns", ("title",)), order or (Order("serial"),), first, 5, **further)


async def walk(connector: Connector, request: SearchRequest) -> list[tuple[Any, ...]]:
    """Every row of a search, page by page."""
    found: list[tuple[Any, ...]] = []
    while True:
        page = await connector.fetch(request)
        found += [(row.key, *row.values) for row in page.rows]
        assert len(found) <= 100, "the pages do not end"
        if len(page.rows) < request.first:
            return found
        request = replace(request, after=page.cursors[-1])


RANDOM = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


RANDOMLY = [kind for kind in ALL if kind is not PARQUET]
"""A Parquet delivery that was loaded is the same as a CSV delivery, and takes longer to write."""


@pytest.mark.parametrize("tried", RANDOMLY, ids=lambda kind: kind.name)
@RANDOM
@given(records=RECORDS, where=WHERE, order=ORDER, first=st.integers(1, 4))
def test_a_search_finds_what_the_reference_finds_in_its_order_on_pages_of_any_size(
    tried: Kind,
    tmp_path: Path,
    records: list[Record],
    where: tuple[Condition, ...],
    order: tuple[Order, ...],
    first: int,
) -> None:
    async def both() -> None:
        whole = search(*order, where=where, columns=("serial", "title"))
        for one in (MEMORY, tried):
            one.write(THINGS, records, tmp_path)
        reference, source = MEMORY.connector(tmp_path), tried.connector(tmp_path)
        expected = await reference.fetch(whole)
        assert (await source.fetch(whole)).cursors == expected.cursors
        rows = [(row.key, *row.values) for row in expected.rows]
        assert await walk(source, replace(whole, first=first)) == rows
        assert await walk(reference, replace(whole, first=first)) == rows
        assert (await source.fetch(CountRequest(THINGS, 5, where))).count == len(rows)
        assert (await reference.fetch(CountRequest(THINGS, 5, where))).count == len(rows)
        await source.close()

    asyncio.run(both())


@pytest.mark.parametrize("tried", RANDOMLY, ids=lambda kind: kind.name)
@RANDOM
@given(records=RECORDS, where=WHERE)
@example(records=[], where=(Condition("title", Operator.IN, ()),))
def test_a_look_up_with_conditions_finds_what_the_reference_finds(
    tried: Kind, tmp_path: Path, records: list[Record], where: tuple[Condition, ...]
) -> None:
    asked = FetchRequest(THINGS, "person", (OLD, YOUNG, ENDS_WITH_X), ("serial", "title"), 5, where)
    answers = [ask(kind, records, tmp_path, asked)[0] for kind in (MEMORY, tried)]
    found = [sorted((row.key, row.values) for row in rows.rows) for rows in answers if isinstance(rows, Rows)]
    assert len(found) == 2
    assert found[0] == found[1]


# -- by hand: what the reference itself owes ---------------------------------------------------------------------


def thing(serial: str, **values: Any) -> dict[str, Any]:
    return {**dict.fromkeys(STORED), "person": OLD, "serial": serial, "updated": None, **values}


def serials(rows: Rows | str) -> str:
    return rows if isinstance(rows, str) else "".join(row.values[0] for row in rows.rows)


def test_null_comes_last_in_both_directions(kind: Kind, tmp_path: Path) -> None:
    records = [thing("a", year=None), thing("b", year=1), thing("c", year=2)]
    up, down = (search(Order("year", way), Order("serial"), columns=("serial",)) for way in (False, True))
    assert [serials(rows) for rows in ask(kind, records, tmp_path, up, down)] == ["bca", "cba"]


def test_texts_come_by_code_point_and_numbers_by_size(kind: Kind, tmp_path: Path) -> None:
    records = [
        thing(serial, title=title, year=year)
        for serial, title, year in zip("abcde", "李张b𠮷～", (10, 9, -1, 0, 2), strict=True)
    ]
    by_title = search(Order("title"), Order("serial"), columns=("serial",))
    by_year = search(Order("year"), Order("serial"), columns=("serial",))
    assert [serials(rows) for rows in ask(kind, records, tmp_path, by_title, by_year)] == ["cbaed", "cdeba"]


@pytest.mark.parametrize(
    ("operator", "values", "expected"),
    [
        (Operator.EQ, ("ab",), "a"),
        (Operator.IN, ("ab", "AB", "x"), "ab"),
        (Operator.GTE, ("a_",), "ad"),
        (Operator.LTE, ("a%",), "bc"),
        (Operator.STARTS_WITH, ("a",), "acd"),
        (Operator.STARTS_WITH, ("a%",), "c"),
        (Operator.STARTS_WITH, ("a_",), "d"),
        (Operator.STARTS_WITH, ("",), "abcd"),
        (Operator.EQ, ("x' OR '1'='1",), ""),
        (Operator.IN, (), ""),
    ],
)
def test_each_operator_compares_case_and_wildcards_as_they_are_and_null_meets_none(
    kind: Kind, tmp_path: Path, operator: Operator, values: tuple[str, ...], expected: str
) -> None:
    titles = {"a": "ab", "b": "AB", "c": "a%", "d": "a_b", "e": None}
    records = [thing(serial, title=title) for serial, title in titles.items()]
    asked = search(where=(Condition("title", operator, values),), columns=("serial",))
    assert serials(ask(kind, records, tmp_path, asked)[0]) == expected


HALF = timedelta(milliseconds=500)


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        (Condition("at", Operator.GTE, (MOMENTS[0],)), "ab"),
        (Condition("at", Operator.GTE, (MOMENTS[0] + HALF,)), "b"),
        (Condition("at", Operator.LTE, (MOMENTS[0] + HALF,)), "a"),
        (Condition("at", Operator.EQ, (MOMENTS[0] + HALF,)), ""),
        (Condition("fee", Operator.LTE, (Decimal("-0.005"),)), "a"),
        (Condition("fee", Operator.GTE, (Decimal("0.005"),)), ""),
        (Condition("year", Operator.LTE, (2**70,)), "ab"),
        (Condition("year", Operator.GTE, (2**70,)), ""),
        (Condition("region", Operator.EQ, ("421202",)), "ab"),
        (Condition("region", Operator.EQ, ("421202 ",)), ""),
        (Condition("sex", Operator.EQ, ("2",)), "ab"),
        (Condition("person", Operator.EQ, (ENDS_WITH_X,)), "ab"),
    ],
    ids=lambda one: str(one)[:80],
)
def test_a_value_is_asked_in_every_way_that_the_source_writes_it_and_in_no_other(
    kind: Kind, tmp_path: Path, condition: Condition, expected: str
) -> None:
    first = {"at": MOMENTS[0], "fee": Decimal("-0.01"), "year": 2**63 - 1, "sex": "2", "person": ENDS_WITH_X}
    second = {"at": MOMENTS[1], "fee": Decimal("0"), "year": 1, "sex": Raw("F", "2")}
    person = Raw(ENDS_WITH_X.lower(), ENDS_WITH_X)
    records = [
        thing("a", **first, region=Raw("421202\u3000\t", "421202")),
        thing("b", **second, region="421202", person=person),
    ]
    assert serials(ask(kind, records, tmp_path, search(where=(condition,), columns=("serial",)))[0]) == expected


@pytest.mark.parametrize(
    ("declared", "stored", "asked", "found"),
    [
        ("TEXT COLLATE NOCASE", "ab", "ab", 1),
        ("TEXT COLLATE NOCASE", "ab", "AB", 0),
        ("TEXT COLLATE RTRIM", "ab ", "ab", 0),
        ("INTEGER", 42, "42", 1),
        ("INTEGER", 42, "042", 0),
        ("", 42, "42", 1),
    ],
)
def test_a_column_of_another_kind_compares_as_every_other(
    tmp_path: Path, declared: str, stored: Any, asked: str, found: int
) -> None:
    one = resource("One", item("id"), item("value"))

    async def count() -> int | None:
        source = SQLITE.connector(tmp_path)
        with sqlite3.connect(tmp_path / "source.db") as connection:
            connection.execute(f"CREATE TABLE T_ONE (ID TEXT, VALUE {declared}, GXSJ TEXT)")
            connection.execute("INSERT INTO T_ONE VALUES ('a', ?, NULL)", (stored,))
        rows = await source.fetch(CountRequest(one, 5, (Condition("value", Operator.EQ, (asked,)),)))
        await source.close()
        return rows.count

    assert asyncio.run(count()) == found


def test_a_search_among_a_cases_people_has_a_condition_on_the_key(kind: Kind, tmp_path: Path) -> None:
    records = [thing("a"), thing("b", person=YOUNG), thing("c", person=OLDER), thing("d", person=None)]
    asked = search(where=(Condition("person", Operator.IN, (OLD, YOUNG)),), columns=("serial",))
    (rows,) = ask(kind, records, tmp_path, asked)
    assert isinstance(rows, Rows)
    assert [(row.key, row.values) for row in rows.rows] == [(OLD, ("a",)), (YOUNG, ("b",))]


def test_a_record_without_a_key_is_neither_found_nor_counted(kind: Kind, tmp_path: Path) -> None:
    records = [thing("a"), thing("b", person=None)]
    found, count = ask(kind, records, tmp_path, search(columns=("serial",)), CountRequest(THINGS, 5))
    assert serials(found) == "a"
    assert isinstance(count, Rows)
    assert (count.count, count.rows) == (1, ())


@pytest.mark.parametrize("wrong", [{"compact": Raw("19900230", INVALID)}, {"person": Raw("421202", INVALID)}])
def test_a_record_without_a_key_or_a_place_in_the_order_fails_its_page(
    kind: Kind, tmp_path: Path, wrong: dict[str, Any]
) -> None:
    records = [thing("a"), thing("b", **wrong)]
    by_date, by_serial = search(Order("compact"), Order("serial")), search(Order("serial"))
    answers = ask(kind, records, tmp_path, by_date, by_serial)
    assert answers[0] == "SOURCE_VALUE_INVALID"
    assert (answers[1] == "SOURCE_VALUE_INVALID") == ("person" in wrong)


def test_pages_neither_lose_nor_repeat_while_records_are_written(tried: Kind, tmp_path: Path) -> None:
    records = [thing(f"{n:02}", year=n % 3 or None) for n in range(20)]
    order = (Order("year", descending=True), Order("serial"))

    async def read() -> list[str]:
        tried.write(THINGS, records, tmp_path)
        connector, found = tried.connector(tmp_path), []
        request, written = search(*order, first=3, columns=("serial",)), list(records)
        while True:
            page = await connector.fetch(request)
            found += [row.values[0] for row in page.rows]
            if len(page.rows) < request.first:
                await connector.close()
                return found
            written.append(thing(f"x{len(found):02}", year=len(found) % 4 or None))
            tried.write(THINGS, written, tmp_path)
            request = replace(request, after=page.cursors[-1])

    found = asyncio.run(read())
    assert len(found) == len(set(found))
    assert {record["serial"] for record in records} <= set(found)


# -- what is refused ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_what_a_kind_does_not_say_that_it_can_it_refuses(kind: Kind, tmp_path: Path) -> None:
    where = (Condition("title", Operator.EQ, ("a",)),)
    requests = {
        Capability.CONDITIONS: FetchRequest(THINGS, "person", (OLD,), ("title",), 5, where),
        Capability.SEARCH: search(columns=("serial",)),
        Capability.COUNT: CountRequest(THINGS, 5),
    }
    answers = ask(kind, [thing("a", title="a")], tmp_path, *requests.values())
    refused = {one for one, answer in zip(requests, answers, strict=True) if answer == "SOURCE_UNSUPPORTED"}
    assert refused == set(Capability) - kind.capabilities


INEXACT = [
    (kind, written, operator)
    for kind, formats in FORMATS.items()
    for written in formats
    for operator in (Operator.EQ, Operator.GTE, Operator.STARTS_WITH)
    if not {Operator.EQ: is_searchable, Operator.GTE: is_ordered, Operator.STARTS_WITH: is_prefixed}[operator](
        item("value", kind, written)
    )
]


@pytest.mark.parametrize(("kind_of_item", "written", "operator"), INEXACT)
def test_what_a_format_does_not_allow_exactly_is_refused(
    kind: Kind, tmp_path: Path, kind_of_item: ItemType, written: str, operator: Operator
) -> None:
    odd = resource("Odd", item("id"), item("value", kind_of_item, written), search=Search((), (), ("id",)))
    where = (Condition("value", operator, ("1",)),)
    requests = [
        FetchRequest(odd, "id", ("a",), ("value",), 5, where),
        search(Order("id"), of=odd, where=where, columns=()),
        CountRequest(odd, 5, where),
    ]
    assert ask(kind, [], tmp_path, *requests, of=odd) == ["SOURCE_UNSUPPORTED"] * 3


@pytest.mark.parametrize(
    "condition",
    [
        Condition("title", Operator.EQ, ()),
        Condition("title", Operator.EQ, ("a", "b")),
        Condition("title", Operator.EQ, ("a\0",)),
        Condition("title", Operator.STARTS_WITH, ("\ud800",)),
        Condition("title", Operator.STARTS_WITH, (4,)),
        Condition("title", Operator.IN, tuple(map(str, range(1001)))),
        Condition("year", Operator.GTE, ("soon",)),
        Condition("compact", Operator.LTE, (MOMENTS[0],)),
        Condition("compact", Operator.GTE, (date(999, 1, 1),)),
        Condition("person", Operator.GTE, ("421202",)),
        Condition("sex", Operator.GTE, ("1",)),
    ],
    ids=lambda one: str(one)[:80],
)
def test_a_condition_that_says_nothing_exact_is_refused(kind: Kind, tmp_path: Path, condition: Condition) -> None:
    assert ask(kind, [], tmp_path, CountRequest(THINGS, 5, (condition,))) == ["SOURCE_UNSUPPORTED"]


@pytest.mark.parametrize(
    "request_",
    [
        search(Order("year")),
        search(Order("serial"), Order("serial")),
        search(Order("sex"), Order("serial")),
        search(first=0),
        search(after=()),
        search(Order("at"), Order("serial"), after=(BETWEEN["at"][0], "a")),
        search(Order("year"), Order("serial"), after=("1", "a")),
        search(of=replace(THINGS, search=None)),
    ],
)
def test_a_page_whose_records_have_no_place_of_their_own_is_refused(
    kind: Kind, tmp_path: Path, request_: SearchRequest
) -> None:
    assert ask(kind, [], tmp_path, request_) == ["SOURCE_UNSUPPORTED"]


# -- statements --------------------------------------------------------------------------------------------------


def test_explain_shows_the_statement_without_values(kind: Kind, tmp_path: Path) -> None:
    where = (Condition("title", Operator.STARTS_WITH, ("secret",)), Condition("year", Operator.IN, (424242,)))
    source = kind.connector(tmp_path)
    texts = [
        source.explain(FetchRequest(THINGS, "person", (OLD,), ("serial",), 5, where)),
        source.explain(search(Order("year"), Order("serial"), where=where, after=(424242, "secret"))),
        source.explain(CountRequest(THINGS, 5, where)),
    ]
    asyncio.run(source.close())
    for text in texts:
        assert "title" in text.lower()
        assert "secret" not in text
        assert "424242" not in text
        assert OLD not in text
        assert "region" not in text.lower()


@pytest.mark.parametrize("sql", SQL_KINDS, ids=lambda kind: kind.name)
def test_a_statement_selects_key_change_columns_and_the_orders_items_alone(sql: SqlKind, tmp_path: Path) -> None:
    source = sql.connector(tmp_path)
    text = source.explain(
        search(Order("year"), Order("serial"), where=(Condition("fee", Operator.GTE, (Decimal(1),)),))
    )
    counted = source.explain(CountRequest(THINGS, 5, (Condition("fee", Operator.GTE, (Decimal(1),)),)))
    asyncio.run(source.close())
    selected = text.partition("FROM")[0].upper()
    assert [name.upper() for name in (*THINGS.items, "GXSJ") if re.search(rf'["`]{name}["`]', selected, re.I)] == [
        "PERSON",
        "TITLE",
        "YEAR",
        "SERIAL",
        "GXSJ",
    ]
    assert "FEE" in text.partition("WHERE")[2]
    assert "count(*)" in counted


def test_texts_are_kept_by_shape_and_never_by_values(tmp_path: Path) -> None:
    requests = [search(where=(Condition("year", Operator.GTE, (year,)),), after=(f"s{year}",)) for year in range(50)]
    requests += [search(where=(Condition("title", Operator.IN, ("a", "b", f"t{n}")),)) for n in range(50)]

    async def kept() -> int:
        SQLITE.write(THINGS, [], tmp_path)
        source = SQLITE.connector(tmp_path)
        for request in requests:
            await source.fetch(request)
        await source.close()
        return len(source._statements)  # type: ignore[attr-defined]

    assert asyncio.run(kept()) == 2
