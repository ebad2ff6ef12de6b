"""A SQLite file: read in place for a few milliseconds, then on threads. It is opened for reading only, and must exist."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from connectors.contract import SourceError
from connectors.statements import Select
from schema.embedded import file_at

_HERE_SECONDS = 0.005
_CHANGED = ("no such table", "no such column")


class Embedded:
    """The SQLite file that `url` names."""

    batch = 1000
    terms = "sqlite"

    def __init__(self, url: sa.URL, pool: int) -> None:
        self.dialect = url.get_dialect()()
        self._file = Path(url.database or "")
        self._pool = sa.pool.QueuePool(
            self._connect,  # type: ignore[arg-type]
            pool_size=pool + 1,
            max_overflow=0,
            timeout=5,
        )
        self._threads = ThreadPoolExecutor(pool, thread_name_prefix="sql-sqlite")
        self._here: tuple[sa.PoolProxiedConnection, tuple[int, int] | None] | None = None

    async def meet(self, deadline: float) -> None:
        """Nothing to learn: every SQLite compares alike."""

    async def select(self, select: Select, parameters: Any, deadline: float) -> Sequence[Any]:
        rows = self._select_here(select.text, parameters) if select.brief else None  # a search can read the whole table
        if rows is not None:
            return rows
        work = partial(self._select_there, select.text, parameters, deadline)
        return await self._on_thread(work, deadline - time.monotonic())

    async def close(self) -> None:
        # a statement under way ends by its deadline; its connection is in the pool only then
        await asyncio.to_thread(self._threads.shutdown, cancel_futures=True)
        self._forget()
        self._pool.dispose()

    async def _on_thread(self, work: Callable[[], Sequence[Any]], seconds: float) -> Sequence[Any]:
        try:
            async with asyncio.timeout(seconds):
                return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        except (TimeoutError, sa.exc.SQLAlchemyError, sqlite3.Error, OSError) as error:
            raise SourceError(_code_of(error)) from error

    def _select_there(self, text: str, parameters: Any, deadline: float) -> Sequence[Any]:
        connection = self._pool.connect()
        try:
            pause = max(0, int((deadline - time.monotonic()) * 1000))
            connection.cursor().execute(f"PRAGMA busy_timeout={pause}")
            return read(connection, text, parameters, deadline)
        finally:
            connection.close()  # back to the pool

    def _select_here(self, text: str, parameters: Any) -> Sequence[Any] | None:
        """Read without a change of threads, which would cost more than the read; None if it takes longer than that."""
        try:
            return read(self._connection_here(), text, parameters, time.monotonic() + _HERE_SECONDS)
        except (sa.exc.SQLAlchemyError, sqlite3.Error, OSError) as error:
            if (code := _code_of(error)) == "SOURCE_TIMEOUT":
                return None
            self._forget()
            raise SourceError(code) from error

    def _connection_here(self) -> sa.PoolProxiedConnection:
        """The connection for reads in the event loop, made anew when another file stands at the path."""
        file = file_at(str(self._file))
        if self._here is None or self._here[1] != file:
            self._forget()
            connection = self._pool.connect()
            connection.cursor().execute("PRAGMA busy_timeout=0")
            self._here = connection, file
        return self._here[0]

    def _forget(self) -> None:
        """Drop the connections to a file that is gone or troubled."""
        if self._here:
            self._here[0].invalidate()
            self._here = None
            self._pool.dispose()
            self._pool = self._pool.recreate()

    def _connect(self) -> sqlite3.Connection:
        if not self._file.is_file():
            raise FileNotFoundError("the database file is missing")
        uri = f"{self._file.resolve().as_uri()}?mode=ro"
        connection = sqlite3.connect(uri, uri=True, timeout=1, check_same_thread=False)
        connection.execute("PRAGMA query_only=ON")
        return connection


def _code_of(error: Exception) -> str:
    words = str(error).lower()
    if any(word in words for word in _CHANGED):
        return "SOURCE_CHANGED"
    slow = isinstance(error, TimeoutError | sa.exc.TimeoutError) or "interrupted" in words or "locked" in words
    return "SOURCE_TIMEOUT" if slow else "SOURCE_UNAVAILABLE"


def read(connection: sa.PoolProxiedConnection, text: str, parameters: Any, deadline: float) -> Sequence[Any]:
    """All rows of a SELECT by the driver itself, which ends by the deadline. Every statement comes through here."""
    driver: Any = connection.driver_connection
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
