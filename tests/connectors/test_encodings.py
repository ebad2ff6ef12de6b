"""Sources that write Chinese in GB 2312 or GBK: their texts are canonical, and compare by Unicode code point as everywhere."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connectors.contract import Condition, CountRequest, FetchRequest, Operator, Order, SearchRequest
from schema.catalogue import Search
from tests import servers
from tests.connectors.kinds import MEMORY, Raw, Record, SqlKind
from tests.connectors.resources import item, resource

PERSONS = resource(
    "Persons",
    item("name"),
    item("town", written="trim"),
    item("serial"),
    many=True,
    search=Search(where=(), order_by=(), identity=("serial",)),
)


def euc(folder: Path) -> sa.URL:
    return servers.database(servers.postgres, "ENCODING 'EUC_CN' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0")


def gbk(folder: Path) -> sa.URL:
    return servers.database(servers.mariadb, "CHARACTER SET gbk")


def gb2312(folder: Path) -> sa.URL:
    return servers.database(servers.mariadb, "CHARACTER SET gb2312")


ENCODED = [
    SqlKind("postgresql EUC_CN", euc),
    SqlKind("threads EUC_CN", euc, "postgresql+psycopg"),
    SqlKind("mariadb gbk", gbk),
    SqlKind("mariadb gb2312", gb2312),
]
STORED = ["一", "啊", "中", "李", "李四", "张", "张三", "b", "B", "B ", "～", "Ａ", "", "中国", "中b"]
ASKED = [*STORED, "〇", "𠮷", "é", "鎔", "李𠮷", "\u3000", "中国人"]
"""Some of these GB 2312 or GBK cannot write."""


@pytest.fixture(params=ENCODED, ids=lambda kind: kind.name)
def kind(request: pytest.FixtureRequest) -> SqlKind:
    found: SqlKind = request.param
    return found


@st.composite
def conditions(draw: st.DrawFn) -> Condition:
    name, operator = draw(st.sampled_from(["name", "town"])), draw(st.sampled_from(list(Operator)))
    count = 3 if operator is Operator.IN else 1
    return Condition(name, operator, tuple(draw(st.lists(st.sampled_from(ASKED), min_size=count, max_size=count))))


RECORDS = st.lists(st.tuples(st.sampled_from(STORED), st.sampled_from(["", *"一啊b"])), max_size=8).map(
    lambda pairs: [{"name": a, "town": b, "serial": f"s{n}", "updated": None} for n, (a, b) in enumerate(pairs)]
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    records=RECORDS,
    where=st.lists(conditions().filter(lambda one: one.item != "town" or one.operator in (Operator.EQ, Operator.IN)), max_size=2),
    down=st.booleans(),
    after=st.sampled_from(STORED),
)  # fmt: skip
def test_conditions_and_orders_are_those_of_the_reference(
    kind: SqlKind, tmp_path: Path, records: Sequence[Record], where: list[Condition], down: bool, after: str
) -> None:
    order = (Order("name", down), Order("serial"))
    if kind.name.startswith("threads"):  # a driver that writes in the server's own encoding takes no other text
        where = [one for one in where if not set("".join(one.values)) & set("〇𠮷é鎔")]
    search = SearchRequest(PERSONS, ("name", "town"), order, 100, 5, tuple(where))
    further = SearchRequest(PERSONS, ("name", "town"), order, 100, 5, tuple(where), (after, "s3"))
    requests = [search, further, CountRequest(PERSONS, 5, tuple(where))]

    async def answers(one: Any) -> list[Any]:
        one.write(PERSONS, records, tmp_path)
        connector = one.connector(tmp_path)
        found = [await connector.fetch(request) for request in requests]
        await connector.close()
        return [([(row.key, row.values) for row in rows.rows], rows.cursors, rows.count) for rows in found]

    assert asyncio.run(answers(kind)) == asyncio.run(answers(MEMORY))


def test_blanks_at_the_end_are_none_of_a_trimmed_text(kind: SqlKind, tmp_path: Path) -> None:
    records: list[Record] = [
        {"name": "a", "town": Raw("一\u3000 ", "一"), "serial": "s1"},
        {"name": "b", "town": "一", "serial": "s2"},
    ]

    async def count() -> int | None:
        kind.write(PERSONS, records, tmp_path)
        connector = kind.connector(tmp_path)
        rows = await connector.fetch(CountRequest(PERSONS, 5, (Condition("town", Operator.EQ, ("一",)),)))
        await connector.close()
        return rows.count

    assert asyncio.run(count()) == 2


def test_a_key_that_the_source_cannot_write_is_nobodys_and_costs_no_other(kind: SqlKind, tmp_path: Path) -> None:
    records = [{"name": name, "town": "一", "serial": f"s{n}"} for n, name in enumerate(STORED)]
    keys = ASKED if not kind.name.startswith("threads") else STORED

    async def found() -> list[str]:
        kind.write(PERSONS, records, tmp_path)
        connector = kind.connector(tmp_path)
        rows = await connector.fetch(FetchRequest(PERSONS, "name", tuple(keys), ("serial",), 5))
        await connector.close()
        return [row.key for row in rows.rows]

    assert sorted(asyncio.run(found())) == sorted(STORED)
