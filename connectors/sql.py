"""Kind `sql`: a relational database through SQLAlchemy.

Each plan node's statement is written once by SQLAlchemy Core and kept. Statements run on threads of this source alone, so that a
slow source holds nobody else; an embedded SQLite file is read in place for a few milliseconds first. A SQLite file is opened read-only;
every statement here is a SELECT.
"""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from connectors.contract import INVALID, FetchRequest, Row, Rows, SourceError
from schema.catalogue import Item, ItemType, Resource
from schema.embedded import file_at
from schema.formats import Convert, decoder, key_forms, str_of

_THREADS = 2
_MAX_KEYS = 1000
_MAX_STATEMENTS = 2048
_HERE_SECONDS = 0.005


class Statement:
    """One SELECT for look-ups by keys, for every number of keys (rounded up to a power of two), and its decoders."""

    def __init__(self, resource: Resource, key: str, columns: tuple[str, ...], dialect: sa.Dialect) -> None:
        self._dialect = dialect
        self.resource = resource
        self._key_item = resource.items[key]
        items = [resource.items[name] for name in columns]
        schema, _, name = (resource.table or "").rpartition(".")
        names = dict.fromkeys([self._key_item.column, *(i.column for i in items), *filter(None, [resource.updated])])
        # columns are qualified by their table: SQLite reads an unknown quoted name as a text
        self._table = sa.table(name, *(sa.column(column) for column in names), schema=schema or None)
        selected = [self._key_item.column, *filter(None, [resource.updated]), *(i.column for i in items)]
        self._selected = [self._table.c[column].label(f"c{n}") for n, column in enumerate(selected)]
        self._order = self._ordering(items)
        self._texts: dict[int, tuple[str, list[int] | None]] = {}
        self._plain = [n for n, item in enumerate(items) if _is_plain(item)]
        self._decoders = [(n, _decoder(item)) for n, item in enumerate(items) if not _is_plain(item)]
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

    def forms(self, keys: tuple[str, ...]) -> dict[Any, str]:
        """Every form in which the source may write these keys, with the key that it writes."""
        item = self._key_item
        return {form: key for key in keys for form in key_forms(item.type, item.format, key)}

    def bound(self, forms: Iterable[Any]) -> tuple[str, Any]:
        """The text for these forms of keys and its parameters as the driver takes them.

        The last form fills up to the next power of two, so that few texts serve every number of keys.
        """
        wanted = list(forms)
        size = 1 << max(0, len(wanted) - 1).bit_length()
        if size not in self._texts:
            self._texts[size] = self._write(size)
        text, positions = self._texts[size]
        wanted += [wanted[-1]] * (size - len(wanted))
        if positions is None:
            return text, {f"k{n}": form for n, form in enumerate(wanted)}
        return text, [wanted[position] for position in positions]

    def _write(self, size: int) -> tuple[str, list[int] | None]:
        keys = [sa.bindparam(f"k{n}", type_=sa.String) for n in range(size)]
        selected = sa.select(*self._selected).where(self._table.c[self._key_item.column].in_(keys))
        written = selected.order_by(*self._order).compile(dialect=self._dialect)
        return str(written), [int(name[1:]) for name in written.positiontup or ()] if written.positional else None

    def decode(self, forms: Mapping[Any, str], raw: Any) -> Row:
        """A row of the driver as a `Row` of canonical values; `forms` are those asked for."""
        updated, start = None, 1
        if self._updated:
            start = 2
            if raw[1] is not None:
                moment = _convert(self._updated, raw[1])
                updated = None if moment is INVALID else moment
        values = list(raw[start:])
        for index in self._plain:
            if type(values[index]) is not str and values[index] is not None:
                values[index] = _convert(str_of, values[index])
        for index, decode in self._decoders:
            if values[index] is not None:
                values[index] = _convert(decode, values[index])
        key = forms.get(raw[0])
        return Row(_convert(self._key, raw[0]) if key is None else key, updated, tuple(values))


def _is_plain(item: Item) -> bool:
    """Whether a text of the driver is the item's value already."""
    return item.type in (ItemType.STRING, ItemType.CODE) and item.format == "text" and not item.values


def _decoder(item: Item) -> Convert:
    return decoder(item.type, item.format, item.values)


def _convert(convert: Convert, value: Any) -> Any:
    try:
        return convert(value)
    except (ValueError, TypeError, ArithmeticError, OSError):
        return INVALID


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
        self._statements: dict[tuple[str, str, tuple[str, ...]], Statement] = {}
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

        there = await self._on_thread(present, 5)
        return tuple(column for column in wanted if column not in there)

    async def fetch(self, request: FetchRequest) -> Rows:
        statement = self._statement(request.resource, request.key, request.columns)
        deadline = time.monotonic() + request.timeout
        rows: list[Row] = []
        keys = tuple(dict.fromkeys(request.keys))
        for start in range(0, len(keys), _MAX_KEYS):
            forms = statement.forms(keys[start : start + _MAX_KEYS])
            text, parameters = statement.bound(forms)
            raw = self._select_here(text, parameters) if self._file else None
            if raw is None:
                work = partial(self._select, text, parameters, deadline)
                raw = await self._on_thread(work, deadline - time.monotonic())
            rows += [statement.decode(forms, row) for row in raw]
        return Rows(rows, datetime.now(UTC))

    def explain(self, request: FetchRequest) -> str:
        return self._statement(request.resource, request.key, request.columns).bound(("",))[0]

    def _statement(self, resource: Resource, key: str, columns: tuple[str, ...]) -> Statement:
        cached = self._statements.get((resource.name, key, columns))
        if cached is None or cached.resource is not resource:
            cached = Statement(resource, key, columns, self._engine.dialect)
            if len(self._statements) >= _MAX_STATEMENTS:
                self._statements.clear()
            self._statements[resource.name, key, columns] = cached
        return cached

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
