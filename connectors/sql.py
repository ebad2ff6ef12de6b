"""Kind `sql`: a relational database through SQLAlchemy.

Each plan node's statement is written once (`connectors.statements`) and kept. Statements run on threads of this source alone, so that a
slow source holds nobody else; an embedded SQLite file is read in place for a few milliseconds first. A SQLite file is opened read-only;
every statement here is a SELECT.
"""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
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
    require_exact,
)
from connectors.statements import Count, LookUp, Page
from schema.catalogue import Resource
from schema.embedded import file_at

_THREADS = 2
_MAX_KEYS = 1000
_MAX_STATEMENTS = 2048
_HERE_SECONDS = 0.005
_S = TypeVar("_S", LookUp, Page, Count)

_CHANGED = ("no such table", "no such column", "does not exist", "unknown column", "doesn't exist", "unknown table")


def _code_of(error: Exception) -> str:
    """The code of a driver's error: drivers agree on no class for a lost column, so their words are read."""
    words = str(error.__cause__ or error).lower()
    if any(word in words for word in _CHANGED):
        return "SOURCE_CHANGED"
    if isinstance(error, sa.exc.TimeoutError) or "interrupted" in words or "locked" in words:
        return "SOURCE_TIMEOUT"
    return "SOURCE_UNAVAILABLE"


class SqlConnector:
    """One relational source. `url` is SQLAlchemy's; a SQLite file must exist and is opened read-only."""

    def __init__(self, url: str | sa.URL) -> None:
        parsed = sa.make_url(url)
        self._file = Path(parsed.database or "") if parsed.get_backend_name() == "sqlite" else None
        arguments: dict[str, Any] = {"pool_size": _THREADS + 1, "max_overflow": 0, "pool_timeout": 5}
        if self._file:
            arguments |= {"creator": self._connect_sqlite, "poolclass": sa.pool.QueuePool}
        else:
            arguments["pool_pre_ping"] = True
        self._engine = sa.create_engine(parsed, isolation_level="AUTOCOMMIT", **arguments)
        self._driver_error: type[Exception] = self._engine.dialect.loaded_dbapi.Error
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix=f"sql-{parsed.get_backend_name()}")
        self._statements: dict[tuple[Any, ...], LookUp | Page | Count] = {}
        self._here: tuple[sa.PoolProxiedConnection, tuple[int, int] | None] | None = None

    async def open(self) -> None:
        """Nothing to do: connections are made when first needed."""

    async def close(self) -> None:
        # a statement under way ends by its deadline; its connection is in the pool only then
        await asyncio.to_thread(self._threads.shutdown, cancel_futures=True)
        self._forget()
        self._engine.dispose()

    async def health(self) -> bool:
        try:
            # of a SQLite file nothing is read before a table is
            text = "SELECT count(*) FROM sqlite_schema" if self._file else "SELECT 1"
            await self._on_thread(lambda: self._select(text, (), time.monotonic() + 2), 2)
        except SourceError:
            return False
        return True

    def capabilities(self) -> frozenset[Capability]:
        return frozenset(Capability) if self._engine.dialect.name in COLLATIONS else frozenset()

    async def check(self, resource: Resource) -> tuple[str, ...]:
        wanted = [item.column for item in resource.items.values()]
        if resource.updated:
            wanted.append(resource.updated)
        schema, _, table = (resource.table or "").rpartition(".")

        def present() -> set[str]:
            try:
                return {c["name"] for c in sa.inspect(self._engine).get_columns(table, schema=schema or None)}
            except sa.exc.NoSuchTableError:
                return set()

        there = await self._on_thread(present, 5)
        return tuple(column for column in wanted if column not in there)

    async def fetch(self, request: Request) -> Rows:
        deadline = time.monotonic() + request.timeout
        shapes, values = self._conditions(request) if request.where else ((), {})
        if not isinstance(request, FetchRequest):
            return await self._search(request, shapes, values, deadline)
        statement = self._look_up(request.resource, request.key, request.columns, shapes)
        keys = askable(request.keys)
        rows: list[Row] = []
        for start in range(0, len(keys), _MAX_KEYS):
            forms = statement.forms(keys[start : start + _MAX_KEYS])
            text, parameters = statement.bound(forms, values)
            raw = self._select_here(text, parameters) if self._file else None
            if raw is None:
                raw = await self._select_there(text, parameters, deadline)
            rows += [statement.decode(forms, row) for row in raw]
        return Rows(rows, clock.now())

    async def _search(
        self, request: SearchRequest | CountRequest, shapes: tuple[Shape, ...], values: Values, deadline: float
    ) -> Rows:
        require_exact(request, self.capabilities())
        # always on a thread: unlike a look-up, this can read the whole table
        if isinstance(request, CountRequest):
            raw = await self._select_there(*self._count(request, shapes).bound(values), deadline)
            return Rows((), clock.now(), count=raw[0][0])
        page = self._page(request, shapes)
        raw = await self._select_there(*page.bound(request.first, request.after, values), deadline)
        rows, cursors = page.decode_page(raw)
        return Rows(rows, clock.now(), cursors)

    async def _select_there(self, text: str, parameters: Any, deadline: float) -> Sequence[Any]:
        """Read on a thread of this source."""
        work = partial(self._select, text, parameters, deadline)
        rows: Sequence[Any] = await self._on_thread(work, deadline - time.monotonic())
        return rows

    def explain(self, request: Request) -> str:
        shapes, values = self._conditions(request)
        if isinstance(request, FetchRequest):
            return self._look_up(request.resource, request.key, request.columns, shapes).bound(("",), values)[0]
        require_exact(request, self.capabilities())
        return (self._count(request, shapes) if isinstance(request, CountRequest) else self._page(request, shapes)).text

    def _conditions(self, request: Request) -> tuple[tuple[Shape, ...], Values]:
        """The shapes of the request's conditions, and their parameters."""
        if not request.where:
            return (), {}
        require_exact(request, self.capabilities())
        shapes: list[Shape] = []
        values: Values = {}
        dialect = self._engine.dialect.name
        for number, condition in enumerate(request.where):
            shape, further = shape_of(request.resource.items[condition.item], condition, f"w{number}", dialect)
            shapes.append(shape)
            values |= further
        return tuple(shapes), values

    def _look_up(self, resource: Resource, key: str, columns: tuple[str, ...], where: tuple[Shape, ...]) -> LookUp:
        kept = self._statements.get((resource.name, key, columns, where))
        if isinstance(kept, LookUp) and kept.resource is resource:
            return kept
        written = LookUp(resource, key, columns, where, self._engine.dialect)
        return self._keep((resource.name, key, columns, where), written)

    def _page(self, request: SearchRequest, where: tuple[Shape, ...]) -> Page:
        empty = tuple(value is None for value in request.after) if request.after is not None else None
        resource, columns, order = request.resource, request.columns, request.order
        kept = self._statements.get((resource.name, columns, order, where, empty))
        if isinstance(kept, Page) and kept.resource is resource:
            return kept
        written = Page(resource, columns, order, where, empty, self._engine.dialect)
        return self._keep((resource.name, columns, order, where, empty), written)

    def _count(self, request: CountRequest, where: tuple[Shape, ...]) -> Count:
        kept = self._statements.get((request.resource.name, where))
        if isinstance(kept, Count) and kept.resource is request.resource:
            return kept
        return self._keep((request.resource.name, where), Count(request.resource, where, self._engine.dialect))

    def _keep(self, shape: tuple[Any, ...], written: _S) -> _S:
        """Keep a statement, which depends on this shape alone and never on values."""
        if len(self._statements) >= _MAX_STATEMENTS:
            self._statements.clear()
        self._statements[shape] = written
        return written

    async def _on_thread(self, work: Callable[[], Any], seconds: float) -> Any:
        try:
            async with asyncio.timeout(seconds):
                return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        except TimeoutError:
            raise SourceError("SOURCE_TIMEOUT") from None
        except (sa.exc.SQLAlchemyError, self._driver_error, OSError) as error:
            raise SourceError(_code_of(error)) from error

    def _select(self, text: str, parameters: Any, deadline: float) -> Sequence[Any]:
        connection = self._engine.raw_connection()
        try:
            if self._file:
                pause = max(0, int((deadline - time.monotonic()) * 1000))
                connection.cursor().execute(f"PRAGMA busy_timeout={pause}")
            return read(connection, text, parameters, deadline)
        finally:
            connection.close()  # back to the pool

    def _select_here(self, text: str, parameters: Any) -> Sequence[Any] | None:
        """Read a local file without a change of threads, which would cost more than the read; None if it takes longer than that."""
        try:
            return read(self._connection_here(), text, parameters, time.monotonic() + _HERE_SECONDS)
        except (sa.exc.SQLAlchemyError, self._driver_error, OSError) as error:
            if (code := _code_of(error)) == "SOURCE_TIMEOUT":
                return None
            self._forget()
            raise SourceError(code) from error

    def _connection_here(self) -> sa.PoolProxiedConnection:
        """The connection for reads in the event loop, made anew when another file stands at the path."""
        assert self._file
        file = file_at(str(self._file))
        if self._here is None or self._here[1] != file:
            self._forget()
            connection = self._engine.raw_connection()
            connection.cursor().execute("PRAGMA busy_timeout=0")
            self._here = connection, file
        return self._here[0]

    def _forget(self) -> None:
        """Drop the connections to a file that is gone or troubled."""
        if self._here:
            self._here[0].invalidate()
            self._here = None
            self._engine.dispose()

    def _connect_sqlite(self) -> sqlite3.Connection:
        if self._file is None or not self._file.is_file():
            raise FileNotFoundError("the database file is missing")
        uri = f"{self._file.resolve().as_uri()}?mode=ro"
        connection = sqlite3.connect(uri, uri=True, timeout=1, check_same_thread=False)
        connection.execute("PRAGMA query_only=ON")
        return connection


def read(connection: sa.PoolProxiedConnection, text: str, parameters: Any, deadline: float) -> Sequence[Any]:
    """All rows of a SELECT by the driver itself: SQLAlchemy wrote the text, its result objects would cost more than the read.

    Every statement of every look-up comes through here.
    """
    driver = connection.driver_connection
    if isinstance(driver, sqlite3.Connection):
        # the statement ends by itself when nobody waits for it any more
        driver.set_progress_handler(lambda: time.monotonic() > deadline, 10_000)
    cursor = connection.cursor()
    try:
        cursor.execute(text, parameters)
        return cursor.fetchall()
    except sqlite3.OperationalError as error:
        if "decode" not in str(error):
            raise
        return _read_with_bytes(driver, text, parameters)
    finally:
        cursor.close()


def _read_with_bytes(driver: Any, text: str, parameters: Any) -> list[Any]:
    """The same where some text is no UTF-8: it stays bytes, and so becomes INVALID without costing the other cells."""
    driver.text_factory = _text_or_bytes
    try:
        return list(driver.execute(text, parameters).fetchall())
    finally:
        driver.text_factory = str


def _text_or_bytes(stored: bytes) -> str | bytes:
    """A stored text; what is no UTF-8 stays bytes, and so becomes INVALID without costing the other rows."""
    try:
        return stored.decode()
    except UnicodeDecodeError:
        return stored
