"""Kind `rest`: JSON over HTTP, as the catalogue says how each resource is asked (`schema.http`).

A service is asked by keys alone: it takes no conditions and no orders, so that its capabilities are none. What it answers beside the
records of these keys is dropped. Keys are percent-encoded, and none of them can change a path.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping, Sequence
from typing import Any
from urllib.parse import quote

from connectors import clock, paging
from connectors.client import Absent, Budget, Call, Client, ClientCredentials, HeaderKey, Tls
from connectors.contract import (
    Capability,
    FetchRequest,
    Request,
    Row,
    Rows,
    SourceError,
    askable,
    in_order,
    require_exact,
)
from connectors.records import Records, names_of
from schema.catalogue import Resource
from schema.formats import forms_of_keys
from schema.http import COLUMNS, KEY, KEYS, HttpLookUp, HttpSource, KeyList

_CHECK_SECONDS = 5


class RestConnector:
    """The service at the address `url`. Answers to one request, all pages together, have `max_bytes` at most.

    ValueError or OSError for certificates that cannot be used.
    """

    def __init__(
        self,
        url: str,
        concurrency: int = 4,
        max_bytes: int = 8_000_000,
        auth: HeaderKey | ClientCredentials | None = None,
        tls: Tls | None = None,
    ) -> None:
        self._client = Client(url, concurrency, auth, tls)
        self._max_bytes = max_bytes

    async def open(self) -> None:
        """Nothing to do: connections are made when first needed."""

    async def close(self) -> None:
        await self._client.close()

    async def health(self) -> bool:
        try:
            async with asyncio.timeout(_CHECK_SECONDS):
                return await self._client.alive()
        except TimeoutError:
            return False

    def capabilities(self) -> frozenset[Capability]:
        return frozenset()

    async def check(self, resource: Resource) -> tuple[str, ...]:
        """What the service's own list of columns lacks. A service without one is not asked: there is nobody to ask it about."""
        columns = [*(item.column for item in resource.items.values()), *filter(None, [resource.updated])]
        wanted = [column for column in columns if column != KEY]
        if resource.http is None:
            return tuple(wanted)
        if resource.http.columns is None:
            return ()
        path, place = resource.http.columns
        try:
            async with asyncio.timeout(_CHECK_SECONDS):
                answer = await self._client.ask(self._client.address(Call(path)), Call(path), Budget(self._max_bytes))
                listed = place.all(answer)
        except TimeoutError:
            raise SourceError("SOURCE_TIMEOUT") from None
        except LookupError:
            listed = []
        except SourceError as error:
            if error.code != "SOURCE_CHANGED":
                raise
            listed = []
        return tuple(column for column in wanted if names_of([column])[0] not in listed)

    async def fetch(self, request: Request) -> Rows:
        http, look_up = _look_up(request)
        assert isinstance(request, FetchRequest)
        item = request.resource.items[request.key]
        forms = list(forms_of_keys(item.type, item.format, askable(request.keys)).items())
        batches = [dict(forms[start : start + look_up.batch]) for start in range(0, len(forms), look_up.batch)]
        found = await _all([self._batch(request, http, look_up, batch) for batch in batches], request.timeout)
        asked = set(request.keys)
        rows = [row for batch in found for row in batch if row.key in asked]
        several = request.resource.many or request.key != request.resource.key
        return Rows(in_order(rows) if several else rows, clock.now())

    async def _batch(
        self, request: FetchRequest, http: HttpSource, look_up: HttpLookUp, forms: Mapping[str, str]
    ) -> list[Row]:
        """The rows of the keys of one request, of all its pages; `forms` as `Records` has them."""
        items, updated = request.resource.items, request.resource.updated
        columns = [items[name].column for name in (request.key, *request.columns)] + ([updated] if updated else [])
        records = Records(request, forms, http.omits_null)
        call = _call(look_up, list(forms), names_of(columns))
        answered = await self._pages(call, http)
        rows = [row for one in answered if (row := records.row(one)) is not None]
        # what answers another question does not say that there is no record
        if answered and not any(row.key in request.keys for row in rows):
            raise SourceError("SOURCE_CHANGED")
        return rows

    async def _pages(self, call: Call, http: HttpSource) -> list[Any]:
        """The records of all pages of an answer."""
        budget, seen, found = Budget(self._max_bytes), set[str](), list[Any]()
        turn: Call | str | None = paging.first(call, http.paging)
        for number in range(paging.MAX_PAGES):
            address = turn if isinstance(turn, str) else self._client.address(turn or call)
            if address in seen:
                break
            seen.add(address)
            try:
                answer = await self._client.ask(address, call, budget)
                records = http.records.all(answer)
            except Absent:
                return found
            except LookupError as error:
                raise SourceError("SOURCE_CHANGED") from error
            found += records
            page = paging.Page(number, address, len(records), len(found))
            turn = paging.following(call, http.paging, page, answer, http.omits_null)
            if turn is None:
                return found
        raise SourceError("SOURCE_CHANGED")  # pages without end

    def explain(self, request: Request) -> str:
        _, look_up = _look_up(request)
        assert isinstance(request, FetchRequest)
        names = [request.resource.items[name].column for name in (request.key, *request.columns)]
        query = "&".join(f"{name}={value}" for name, value in look_up.query.items())
        body = (
            "" if look_up.body is None else " " + ", ".join(f"{name}: {value}" for name, value in look_up.body.items())
        )
        method = "GET" if look_up.body is None else "POST"
        return f"{method} {look_up.path}{'?' if query else ''}{query}{body} -> {', '.join(dict.fromkeys(names))}"


async def _all(work: Sequence[Coroutine[Any, Any, list[Row]]], seconds: float) -> list[list[Row]]:
    """What each brings; the first failure ends the others."""
    try:
        async with asyncio.timeout(seconds), asyncio.TaskGroup() as group:
            tasks = [group.create_task(one) for one in work]
    except TimeoutError:
        raise SourceError("SOURCE_TIMEOUT") from None
    except ExceptionGroup as errors:
        raise errors.exceptions[0]  # noqa: B904 - it has its own cause
    return [task.result() for task in tasks]


def _look_up(request: Request) -> tuple[HttpSource, HttpLookUp]:
    """How the resource is asked by the request's key; SourceError SOURCE_UNSUPPORTED where it is not."""
    require_exact(request, frozenset())
    http = request.resource.http
    found = http.look_ups.get(request.key) if http and isinstance(request, FetchRequest) else None
    if http is None or found is None:
        raise SourceError("SOURCE_UNSUPPORTED")
    return http, found


def _call(look_up: HttpLookUp, forms: Sequence[str], columns: Sequence[str]) -> Call:
    """The request for these keys, every part of it encoded; SourceError SOURCE_UNSUPPORTED for a key that it cannot tell apart."""
    segments = [_segment(forms[0]) if segment == KEY else segment for segment in look_up.path.split("/")]
    query: list[tuple[str, str]] = []
    for name, value in look_up.query.items():
        if value == KEYS and look_up.keys is KeyList.REPEAT:
            query += [(name, quote(form, safe="")) for form in forms]
        elif value == KEYS:
            query.append((name, _comma_list(forms)))
        else:
            text = {KEY: forms[0], COLUMNS: ",".join(columns)}.get(value, value)
            query.append((name, quote(text, safe="," if value == COLUMNS else "")))
    body = None
    if look_up.body is not None:
        meant: Mapping[str, Any] = {KEY: forms[0], KEYS: list(forms), COLUMNS: list(columns)}
        body = {name: meant.get(value, value) for name, value in look_up.body.items()}
    return Call("/".join(segments), query, body, look_up.absent)


def _segment(form: str) -> str:
    """A key as one segment of a path, and never as more or less than that, whatever the service makes of its encoding."""
    if form in ("", ".", "..") or not form.isprintable() or "/" in form or "\\" in form or "%" in form or ";" in form:
        raise SourceError("SOURCE_UNSUPPORTED")
    return quote(form, safe="")


def _comma_list(forms: Sequence[str]) -> str:
    if any("," in form for form in forms):
        raise SourceError("SOURCE_UNSUPPORTED")
    return ",".join(quote(form, safe="") for form in forms)
