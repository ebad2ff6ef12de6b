"""HTTP services on 127.0.0.1 for the kind `rest`: a department's, made of records, and the resources that it is asked by."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from connectors.contract import Capability, Connector, Rows
from connectors.contract import Request as Question
from schema.catalogue import Resource
from schema.http import HttpLookUp, HttpSource, JsonPath, KeyList, Paging, PagingKind

TABLES: dict[str, Sequence[Mapping[str, Any]]] = {}
"""The records of each table of the service, as it writes them, by `<source>/<table>`."""
_PAGE = 150


def serve(app: Any, **settings: Any) -> str:
    """The address of an application that is served on a free port until the process ends."""
    listening = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_level="critical", lifespan="off", **settings))
    threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True).start()
    until = time.monotonic() + 10
    while not server.started and time.monotonic() < until:
        time.sleep(0.01)
    scheme = "https" if settings else "http"
    return f"{scheme}://127.0.0.1:{listening.getsockname()[1]}"


async def _records(request: Request) -> Response:
    records = TABLES.get(f"{request.path_params['source']}/{request.path_params['table']}")
    if records is None:
        return Response(status_code=404)
    column, keys = request.query_params["by"], set(request.query_params.getlist("key"))
    found = [one for one in records if column not in one or str(one[column]) in keys]
    page = int(request.query_params["page"])
    shown = found[(page - 1) * _PAGE : page * _PAGE]
    return JSONResponse({"meta": {"total": len(found)}, "data": {"items": shown}})


async def _columns(request: Request) -> Response:
    records = TABLES.get(f"{request.path_params['source']}/{request.path_params['table']}")
    if records is None:
        return Response(status_code=404)
    return JSONResponse([{"name": name} for name in (records[0] if records else ())])


@cache
def department() -> str:
    """The address of the department's service."""
    return serve(
        Starlette(
            routes=[Route("/{source}/{table}", _records), Route("/{source}/{table}/columns", _columns)],
        )
    )


def as_service(resource: Resource) -> Resource:
    """The resource as the department's service is asked for it: by each of its items, in batches and pages."""
    path = f"/{resource.table}"
    look_ups = {
        item.name: HttpLookUp(path, {"by": item.column, "key": "{keys}"}, None, KeyList.REPEAT, batch=200)
        for item in resource.items.values()
    }
    paging = Paging(PagingKind.PAGE, "page", 1, total=JsonPath.parse("meta.total"))
    columns = (f"{path}/columns", JsonPath.parse("[*].name"))
    http = HttpSource(JsonPath.parse("data.items[*]"), look_ups, paging, columns=columns)
    return replace(resource, table=None, http=http)


class ServiceConnector:
    """A connector that is asked for tables, and asks its service as the catalogue would say."""

    def __init__(self, connector: Connector) -> None:
        self._connector = connector
        self.open, self.close, self.health = connector.open, connector.close, connector.health

    def capabilities(self) -> frozenset[Capability]:
        return self._connector.capabilities()

    async def check(self, resource: Resource) -> tuple[str, ...]:
        return await self._connector.check(as_service(resource))

    async def fetch(self, request: Question) -> Rows:
        return await self._connector.fetch(replace(request, resource=as_service(request.resource)))

    def explain(self, request: Question) -> str:
        return self._connector.explain(replace(request, resource=as_service(request.resource)))
