"""How much longer the kinds `file` and `rest` take than the same by hand: `python -m benchmarks.deliveries`.

10,000 keys of 20,000 records: from a Parquet delivery, against the same SELECT of DuckDB over the file; and from a service in a process of its own
that takes 500 keys a request, against httpx with as many requests at once. Prints medians in milliseconds and their ratio.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import socket
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import httpx
import orjson
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from benchmarks.connectors import COLUMNS, KEYS, NUMBERS, PEOPLE, compare
from connectors.contract import FetchRequest
from connectors.kinds import connect
from schema.catalogue import ItemType
from schema.formats import forms_of_keys
from schema.http import HttpLookUp, HttpSource, JsonPath

BATCH, AT_ONCE = 500, 4
FORMS = [str(form) for form in forms_of_keys(ItemType.ID_NUMBER, "18", KEYS)]
"""The keys as a source may write them: with x, too."""
KNOWN = frozenset(NUMBERS)
RECORD = {"NAME": "张某某", "TOWN": "浮山街道", "SINCE": "2000-01-01", "GXSJ": "2026-01-31 09:30:00"}
REQUEST = FetchRequest(PEOPLE[0], "id", tuple(KEYS), COLUMNS, 20)


async def parquet(folder: Path) -> None:
    file = folder / f"{PEOPLE[0].table}.parquet"
    with duckdb.connect() as database:
        values = ", ".join(f"'{value}' AS \"{name}\"" for name, value in RECORD.items())
        database.execute(f"COPY (SELECT unnest(?) AS \"ID\", {values}) TO '{file}' (FORMAT parquet)", [NUMBERS])
    source = connect("file", folder=folder)
    hand = duckdb.connect(config={"threads": 1})
    text = f'SELECT "ID", "GXSJ", "NAME", "TOWN", "SINCE" FROM \'{file}\' WHERE "ID" = ANY(?)'  # noqa: S608

    async def by_hand() -> list[Any]:
        return await asyncio.to_thread(lambda: hand.cursor().execute(text, [FORMS]).fetchall())

    assert len((await source.fetch(REQUEST)).rows) == len(await by_hand()) == len(KEYS)
    await compare(f"{len(KEYS)} keys from a Parquet delivery", 15, by_hand, lambda: source.fetch(REQUEST))
    await source.close()


async def service(url: str) -> None:
    http = HttpSource(JsonPath.parse("people[*]"), {"id": HttpLookUp("/people", {}, {"ids": "{keys}"}, batch=BATCH)})
    request = replace(REQUEST, resource=replace(PEOPLE[0], table=None, http=http))
    source = connect("rest", url=url, concurrency=AT_ONCE)
    few = asyncio.Semaphore(AT_ONCE)
    async with httpx.AsyncClient(base_url=url, trust_env=False) as client:

        async def batch(start: int) -> list[Any]:
            async with few:
                response = await client.post("/people", json={"ids": FORMS[start : start + BATCH]})
                found: list[Any] = response.json()["people"]
                return found

        async def by_hand() -> list[Any]:
            batches = await asyncio.gather(*[batch(start) for start in range(0, len(FORMS), BATCH)])
            return [one for found in batches for one in found]

        assert len((await source.fetch(request)).rows) == len(await by_hand()) == len(KEYS)
        title = f"{len(KEYS)} keys from a service, {BATCH} a request, {AT_ONCE} at once"
        await compare(title, 15, by_hand, lambda: source.fetch(request))
    await source.close()


def serve(listening: socket.socket) -> None:
    """The service: a POST with ids is answered by their records."""

    async def people(request: Request) -> Response:
        ids = orjson.loads(await request.body())["ids"]
        return Response(
            orjson.dumps({"people": [{"ID": one, **RECORD} for one in ids if one in KNOWN]}),
            media_type="application/json",
        )

    app = Starlette(routes=[Route("/people", people, methods=["POST"])])
    uvicorn.Server(uvicorn.Config(app, log_level="critical", lifespan="off")).run(sockets=[listening])


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(parquet(Path(folder)))
    listening = socket.create_server(("127.0.0.1", 0))
    process = multiprocessing.get_context("fork").Process(target=serve, args=(listening,), daemon=True)
    process.start()
    time.sleep(0.5)
    try:
        asyncio.run(service(f"http://127.0.0.1:{listening.getsockname()[1]}"))
    finally:
        process.terminate()
        process.join()


if __name__ == "__main__":
    main()
