"""Kind `sql`: a relational database, whose dialect its URL names.

SQLAlchemy writes each plan node's statement once (`connectors.statements`), and it is kept. Drivers are asked directly: asyncpg for
PostgreSQL, asyncmy for MariaDB and MySQL, SQLite in place, any other on threads. Sessions are read-only, and are sent SELECTs alone.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, TypeVar

import sqlalchemy as sa

from connectors import clock
from connectors.clauses import COLLATIONS, Shape, Values, shape_of
from connectors.contract import (
    Capability,
    CountRequest,
    FetchRequest,
    Request,
    Row,
    Rows,
    SearchRequest,
    SourceError,
    askable,
    in_order,
    require_exact,
)
from connectors.database import Database
from connectors.embedded import Embedded
from connectors.mariadb import MariaDB
from connectors.postgresql import PostgreSQL
from connectors.statements import Count, LookUp, Page, Select, Writing, columns_of
from connectors.threads import Threads
from schema.catalogue import Resource

_MAX_STATEMENTS = 2048
_HEALTH_SECONDS = 2
_CHECK_SECONDS = 5
_S = TypeVar("_S", LookUp, Page, Count)

_DATABASES: dict[str, type[Embedded | PostgreSQL | MariaDB]] = {
    "sqlite": Embedded,
    "postgresql": PostgreSQL,
    "postgresql+asyncpg": PostgreSQL,
    "mariadb": MariaDB,
    "mysql": MariaDB,
    "mariadb+asyncmy": MariaDB,
    "mysql+asyncmy": MariaDB,
}
"""What reads a URL's database; a URL that names another dialect or driver is read on threads."""


class DatabaseConnector:
    """A source that is asked by SELECTs."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._statements: dict[tuple[Any, ...], LookUp | Page | Count] = {}

    async def open(self) -> None:
        """Nothing to do: connections are made when first needed."""

    async def close(self) -> None:
        await self._database.close()

    async def health(self) -> bool:
        try:
            deadline = time.monotonic() + _HEALTH_SECONDS
            # of a SQLite file nothing is read before a table is
            text = "SELECT count(*) FROM sqlite_schema" if self._database.terms == "sqlite" else "SELECT 1"
            await self._database.select(Select(text, ()), (), deadline)
        except SourceError:
            return False
        return True

    def capabilities(self) -> frozenset[Capability]:
        return frozenset(Capability) if self._database.terms in COLLATIONS else frozenset()

    async def check(self, resource: Resource) -> tuple[str, ...]:
        wanted = [item.column for item in resource.items.values()]
        if resource.updated:
            wanted.append(resource.updated)
        if await self._has(resource, wanted):
            return ()
        return tuple([column for column in wanted if not await self._has(resource, [column])])

    async def _has(self, resource: Resource, columns: Sequence[str]) -> bool:
        """Whether the resource's table has all of these columns."""
        try:
            select = columns_of(resource, columns, self._database.dialect)
            await self._database.select(select, (), time.monotonic() + _CHECK_SECONDS)
        except SourceError as error:
            if error.code != "SOURCE_CHANGED":
                raise
            return False
        return True

    async def fetch(self, request: Request) -> Rows:
        deadline = time.monotonic() + request.timeout
        if request.where or not isinstance(request, FetchRequest):
            await self._database.meet(deadline)
        shapes, values = self._conditions(request)
        if not isinstance(request, FetchRequest):
            return await self._search(request, shapes, values, deadline)
        statement = self._look_up(request.resource, request.key, request.columns, shapes)
        keys = askable(request.keys)
        rows: list[Row] = []
        for start in range(0, len(keys), self._database.batch):
            forms = statement.forms(keys[start : start + self._database.batch])
            raw = await self._database.select(*statement.bound(forms, values), deadline)
            rows += statement.decode(forms, raw)
        return Rows(in_order(rows) if statement.several else rows, clock.now())

    async def _search(
        self, request: SearchRequest | CountRequest, shapes: tuple[Shape, ...], values: Values, deadline: float
    ) -> Rows:
        require_exact(request, self.capabilities())
        if isinstance(request, CountRequest):
            count = self._count(request, shapes).bound(values)
            raw = await self._database.select(*count, deadline)
            return Rows((), clock.now(), count=raw[0][0])
        page = self._page(request, shapes)
        found = page.bound(request.first, request.after, values)
        rows, cursors = page.decode_page(await self._database.select(*found, deadline))
        return Rows(rows, clock.now(), cursors)

    def explain(self, request: Request) -> str:
        shapes, values = self._conditions(request)
        if isinstance(request, FetchRequest):
            statement = self._look_up(request.resource, request.key, request.columns, shapes)
            return statement.bound(("",), values)[0].text
        require_exact(request, self.capabilities())
        return (self._count(request, shapes) if isinstance(request, CountRequest) else self._page(request, shapes)).text

    def _conditions(self, request: Request) -> tuple[tuple[Shape, ...], Values]:
        """The shapes of the request's conditions, and their parameters."""
        if not request.where:
            return (), {}
        require_exact(request, self.capabilities())
        shapes: list[Shape] = []
        values: Values = {}
        for number, condition in enumerate(request.where):
            item = request.resource.items[condition.item]
            shape, further = shape_of(item, condition, f"w{number}", self._database.terms)
            shapes.append(shape)
            values |= further
        return tuple(shapes), values

    def _look_up(self, resource: Resource, key: str, columns: tuple[str, ...], where: tuple[Shape, ...]) -> LookUp:
        name = (resource.name, key, columns, where, self._database.terms)
        kept = self._statements.get(name)
        if isinstance(kept, LookUp) and kept.resource is resource:
            return kept
        return self._keep(name, LookUp(resource, key, columns, where, self._writing()))

    def _page(self, request: SearchRequest, where: tuple[Shape, ...]) -> Page:
        empty = tuple(value is None for value in request.after) if request.after is not None else None
        resource, columns, order = request.resource, request.columns, request.order
        name = (resource.name, columns, order, where, empty, self._database.terms)
        kept = self._statements.get(name)
        if isinstance(kept, Page) and kept.resource is resource:
            return kept
        return self._keep(name, Page(resource, columns, order, where, empty, self._writing()))

    def _count(self, request: CountRequest, where: tuple[Shape, ...]) -> Count:
        name = (request.resource.name, where, self._database.terms)
        kept = self._statements.get(name)
        if isinstance(kept, Count) and kept.resource is request.resource:
            return kept
        return self._keep(name, Count(request.resource, where, self._writing()))

    def _writing(self) -> Writing:
        return Writing(self._database.dialect, self._database.terms)

    def _keep(self, shape: tuple[Any, ...], written: _S) -> _S:
        """Keep a statement, which depends on this shape alone and never on values."""
        if len(self._statements) >= _MAX_STATEMENTS:
            self._statements.clear()
        self._statements[shape] = written
        return written


class SqlConnector(DatabaseConnector):
    """One relational source, read through at most `pool` connections. ValueError for a dialect or driver that is not there."""

    def __init__(self, url: str | sa.URL, pool: int = 4) -> None:
        try:
            parsed = sa.make_url(url)
        except (sa.exc.ArgumentError, ValueError):
            raise ValueError("not a database URL") from None
        try:
            super().__init__(_DATABASES.get(parsed.drivername, Threads)(parsed, pool))
        except (sa.exc.NoSuchModuleError, ImportError):
            raise ValueError(f"no driver is installed for {parsed.drivername}") from None
        except sa.exc.ArgumentError:
            raise ValueError("the URL has something that its dialect does not know") from None
