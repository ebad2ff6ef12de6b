"""How much longer a connector takes than the same statements with the same parameters by hand: `python -m benchmarks.connectors`.

Prints medians in milliseconds and their ratio. PostgreSQL is the one that ONESOURCE_TEST_POSTGRES names, or one of its own.
"""

from __future__ import annotations

import asyncio
import gc
import statistics
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

import asyncpg
import sqlalchemy as sa

from connectors.contract import Connector, FetchRequest, Rows
from connectors.kinds import connect
from schema.catalogue import ItemType
from schema.formats import forms_of_keys
from schema.identifiers import to_citizen_id
from tests import servers
from tests.connectors.resources import item, resource

SOURCES = 5
NUMBERS = [
    to_citizen_id(f"421202{70 + n // 10_000:02}{1 + n // 1000 % 10:02}{1 + n // 40 % 25:02}{n % 40:03}")
    for n in range(20_000)
]
KEYS = NUMBERS[:10_000]
PEOPLE = [
    resource(f"People{n}", item("id", ItemType.ID_NUMBER), item("name"), item("town"), item("since", ItemType.DATE))
    for n in range(SOURCES)
]
COLUMNS = ("name", "town", "since")


async def compare(
    title: str, rounds: int, hand: Callable[[], Awaitable[Any]], ours: Callable[[], Awaitable[Any]]
) -> None:
    """Print the medians of both, measured in turns."""
    times: dict[str, list[float]] = {"by hand": [], "connector": []}
    for number in range(rounds + 2):
        for name, work in (("by hand", hand), ("connector", ours)):
            begun = time.perf_counter()
            await work()
            if number >= 2:  # the first ones prepare statements
                times[name].append((time.perf_counter() - begun) * 1000)
    by_hand, connector = (statistics.median(times[name]) for name in ("by hand", "connector"))
    print(f"{title:60} by hand {by_hand:8.3f} ms   connector {connector:8.3f} ms   ratio {connector / by_hand:.2f}")


async def batches(url: sa.URL) -> None:
    keys, forms = KEYS, [list(forms_of_keys(ItemType.ID_NUMBER, "18", some)) for some in (KEYS, KEYS[:100], KEYS[:1])]
    hands, sources = await opened(url)
    requests = [FetchRequest(one, "id", tuple(keys), COLUMNS, 20) for one in PEOPLE]

    async def by_hand() -> list[Any]:
        return list(await asyncio.gather(*[statement.fetch(forms[0]) for statement in hands]))

    async def ours() -> list[Rows]:
        return await asyncio.gather(*[s.fetch(r) for s, r in zip(sources, requests, strict=True)])

    found = await ours()
    assert [len(rows.rows) for rows in found] == [len(rows) for rows in await by_hand()] == [len(keys)] * SOURCES
    await compare(f"{len(keys)} keys at each of {SOURCES} PostgreSQL sources, 3 columns", 15, by_hand, ours)
    few = [replace(request, keys=request.keys[:100]) for request in requests]
    await compare(
        f"100 keys at each of {SOURCES} PostgreSQL sources", 100,
        lambda: asyncio.gather(*[statement.fetch(forms[1]) for statement in hands]),
        lambda: asyncio.gather(*[s.fetch(r) for s, r in zip(sources, few, strict=True)]),
    )  # fmt: skip
    one = replace(requests[0], keys=(keys[0],))
    await compare("one key", 2000, lambda: hands[0].fetch(forms[2]), lambda: sources[0].fetch(one))
    for source in sources:
        await source.close()


async def opened(url: sa.URL) -> tuple[list[Any], list[Connector]]:
    """A prepared statement by hand, and a connector, for each source."""
    hands = []
    for one in PEOPLE:
        connection = await asyncpg.connect(url.render_as_string(hide_password=False))
        text = f'SELECT "ID", "GXSJ", "NAME", "TOWN", "SINCE" FROM "{one.table}" WHERE "ID" = ANY($1)'  # noqa: S608
        hands.append(await connection.prepare(text))
    return hands, [connect("sql", url=url) for _ in PEOPLE]


async def fill(url: sa.URL) -> None:
    """Five departments' tables, as a PostgreSQL department types them: twice as many records as are asked for."""
    connection = await asyncpg.connect(url.render_as_string(hide_password=False))
    now = datetime.now(UTC)
    records = [(key, f"张{key[-4:]}", "浮山街道", date(2000, 1, 1), now) for key in NUMBERS]
    for one in PEOPLE:
        columns = (
            '"ID" varchar(18) PRIMARY KEY, "NAME" varchar(50), "TOWN" varchar(50), "SINCE" date, "GXSJ" timestamptz'
        )
        await connection.execute(f'CREATE TABLE "{one.table}" ({columns})')
        await connection.copy_records_to_table(one.table, records=records)
        await connection.execute(f'ANALYZE "{one.table}"')
    await connection.close()


def main() -> None:
    try:
        url = servers.database(servers.postgres)
        asyncio.run(fill(url))
        gc.collect()
        gc.freeze()
        gc.set_threshold(20_000, 10, 10)  # as the service does
        asyncio.run(batches(url))
    finally:
        servers.close()


if __name__ == "__main__":
    main()
