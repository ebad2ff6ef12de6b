"""Kind `sql`: a relational database through SQLAlchemy.

Each plan node's statement is written once by SQLAlchemy Core and kept. Statements run on threads of this source alone, so that a
slow source holds nobody else. Reads only: SQLite opens read-only, others begin read-only transactions where the dialect can.
"""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from connectors.contract import INVALID, FetchRequest, Row, Rows, SourceError
from schema.catalogue import Item, ItemType, Resource
from schema.formats import Convert, decoder, key_forms

_THREADS = 2
_MAX_KEYS = 1000
_MAX_STATEMENTS = 2048


class Statement:
    """One SELECT for look-ups by keys: its text for every number of keys (rounded up to a power of two), and its decoders."""

    def __init__(self, resource: Resource, key: str, columns: tuple[str, ...], dialect: sa.Dialect) -> None:
        self.resource = resource
        self._dialect = dialect
        self._key_item = resource.items[key]
        items = [resource.items[name] for name in columns]
        schema, _, name = (resource.table or "").rpartition(".")
        names = dict.fromkeys([self._key_item.column, *(i.column for i in items), *filter(None, [resource.updated])])
        # columns are qualified by their table: SQLite reads an unknown quoted name as a text
        self._table = sa.table(name, *(sa.column(column) for column in names), schema=schema or None)
        selected = [self._key_item.column, *filter(None, [resource.updated]), *(i.column for i in items)]
        self._selected = [self._table.c[column].label(f"c{n}") for n, column in enumerate(selected)]
        self._order = self._ordering(items)
        self._texts: dict[int, tuple[str, list[str] | None]] = {}
        self._decoders = [_decoder(item) for item in items]
        self._key = _decoder(self._key_item)
        self._updated = decoder(ItemType.DATETIME, resource.updated_format, {}) if resource.updated else None

    def _ordering(self, items: list[Item]) -> list[sa.ColumnElement[Any]]:
        if not self.resource.many:
            return []
        updated = [self.resource.updated] if self.resource.updated else []
        return [
            self._table.c[column]
            for column in dict.fromkeys([*updated, *(i.column for i in items if i.type is not ItemType.IMAGE)])
        ]

    def bound(self, keys: tuple[str, ...]) -> tuple[str, Any]:
        """The text for these keys and its parameters as the driver takes them."""
        item = self._key_item
        forms = [form for key in keys for form in key_forms(item.type, item.format, key)]
        size = 1 << max(0, len(forms) - 1).bit_length()
        if size not in self._texts:
            self._texts[size] = self._compile(size)
        text, positions = self._texts[size]
        named = {f"k{n}": form for n, form in enumerate(forms)}
        named |= {f"k{n}": forms[-1] for n in range(len(forms), size)}
        return text, tuple(named[name] for name in positions) if positions is not None else named

    def _compile(self, size: int) -> tuple[str, list[str] | None]:
        wanted = [sa.bindparam(f"k{n}", type_=sa.String) for n in range(size)]
        statement = sa.select(*self._selected).where(self._table.c[self._key_item.column].in_(wanted))
        compiled = statement.order_by(*self._order).compile(
            dialect=self._dialect, compile_kwargs={"render_postcompile": True}
        )
        return str(compiled), list(compiled.positiontup or []) if compiled.positional else None

    def decode(self, raw: Any) -> Row:
        """A row of the driver as a `Row` of canonical values."""
        updated, start = None, 1
        if self._updated:
            start = 2
            moment = _convert(self._updated, raw[1])
            updated = moment if isinstance(moment, datetime) else None
        values = tuple(map(_convert, self._decoders, raw[start:]))
        return Row(_convert(self._key, raw[0]), updated, values)


def _decoder(item: Item) -> Convert:
    return decoder(item.type, item.format, item.values)


def _convert(convert: Convert, value: Any) -> Any:
    if value is None:
        return None
    try:
        return convert(value)
    except (ValueError, TypeError, ArithmeticError, OSError):
        return INVALID


_CHANGED = ("no such table", "no such column", "does not exist", "unknown column", "doesn't exist", "unknown table")


def _code_of(error: sa.exc.SQLAlchemyError) -> str:
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
        self._file: Path | None = None
        arguments: dict[str, Any] = {"pool_size": _THREADS, "max_overflow": 0, "pool_timeout": 5}
        if parsed.get_backend_name() == "sqlite":
            self._file = Path(parsed.database or "")
            arguments["creator"] = self._connect_sqlite
            arguments["poolclass"] = sa.pool.QueuePool
        else:
            arguments["execution_options"] = {"isolation_level": "AUTOCOMMIT"}
            arguments["pool_pre_ping"] = True
        self._engine = sa.create_engine(parsed, **arguments)
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix=f"sql-{parsed.get_backend_name()}")
        self._statements: dict[tuple[str, str, tuple[str, ...]], Statement] = {}

    async def open(self) -> None:
        """Nothing to do: connections are made when first needed."""

    async def close(self) -> None:
        self._engine.dispose()
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def health(self) -> bool:
        try:
            await self._run(lambda: self._select("SELECT 1", (), time.monotonic() + 2), 2)
        except SourceError:
            return False
        return True

    def capabilities(self) -> frozenset[str]:
        return frozenset()

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

        there = await self._run(present, 5)
        return tuple(column for column in wanted if column not in there)

    async def fetch(self, request: FetchRequest) -> Rows:
        statement = self._statement(request.resource, request.key, request.columns)
        deadline = time.monotonic() + request.timeout
        rows: list[Row] = []
        for start in range(0, len(request.keys), _MAX_KEYS):
            text, parameters = statement.bound(request.keys[start : start + _MAX_KEYS])
            rows += await self._run(partial(self._read, statement, text, parameters, deadline), request.timeout)
        return Rows(rows, datetime.now(UTC))

    def explain(self, request: FetchRequest) -> str:
        return self._statement(request.resource, request.key, request.columns).bound(request.keys[:1])[0]

    def _statement(self, resource: Resource, key: str, columns: tuple[str, ...]) -> Statement:
        cached = self._statements.get((resource.name, key, columns))
        if cached is None or cached.resource is not resource:
            cached = Statement(resource, key, columns, self._engine.dialect)
            if len(self._statements) >= _MAX_STATEMENTS:
                self._statements.clear()
            self._statements[resource.name, key, columns] = cached
        return cached

    def _read(self, statement: Statement, text: str, parameters: Any, deadline: float) -> list[Row]:
        return [statement.decode(row) for row in self._select(text, parameters, deadline)]

    async def _run(self, work: Callable[[], Any], seconds: float) -> Any:
        try:
            async with asyncio.timeout(seconds):
                return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        except TimeoutError:
            raise SourceError("SOURCE_TIMEOUT") from None
        except sa.exc.SQLAlchemyError as error:
            raise SourceError(_code_of(error)) from error
        except (OSError, sqlite3.Error) as error:
            raise SourceError("SOURCE_UNAVAILABLE") from error

    def _select(self, text: str, parameters: Any, deadline: float) -> list[Any]:
        with self._engine.connect() as connection:
            driver = connection.connection.driver_connection
            if isinstance(driver, sqlite3.Connection):
                # the statement ends by itself when nobody waits for it any more
                driver.set_progress_handler(lambda: time.monotonic() > deadline, 10_000)
            return list(connection.exec_driver_sql(text, parameters))

    def _connect_sqlite(self) -> sqlite3.Connection:
        if self._file is None or not self._file.is_file():
            raise FileNotFoundError("the database file is missing")
        uri = f"{self._file.resolve().as_uri()}?mode=ro"
        connection = sqlite3.connect(uri, uri=True, timeout=1, check_same_thread=False)
        connection.execute("PRAGMA query_only=ON")
        return connection
