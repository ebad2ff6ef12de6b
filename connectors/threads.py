"""Any dialect that SQLAlchemy knows, through its synchronous driver, on threads of this source alone.

A driver that can cancel is told to at the deadline; else a thread is held until its server answers, and others wait for it no longer
than their own deadline. Sessions are read-only where the dialect has such; elsewhere the account's rights keep it from writing.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import sqlalchemy as sa

from connectors import mariadb, postgresql
from connectors.contract import SourceError
from connectors.statements import Select

_SESSION = {
    "postgresql": ("SET default_transaction_read_only = on", "SET statement_timeout = 60000"),
    "mysql": mariadb.SESSION,
    "mariadb": mariadb.SESSION,
}
_WORDS = (
    ("SOURCE_UNAVAILABLE", ("fatal:  database", "unable to open database")),
    ("SOURCE_REFUSED", ("denied", "authentication failed", "fatal:  role", "login failed", "insufficient privilege", "no password supplied")),
    ("SOURCE_CHANGED", ("no such table", "no such column", "does not exist", "unknown column", "unknown table", "invalid object name", "invalid column name", "invalid identifier")),
    ("SOURCE_TIMEOUT", ("interrupted", "locked", "timeout", "timed out", "cancel")),
)  # fmt: skip
"""Drivers agree on no class of error, so the words of those that are not known better are read."""


class Threads:
    """A database through the driver that `url` names, or the dialect's own."""

    batch = 1000

    def __init__(self, url: sa.URL, pool: int) -> None:
        arguments: dict[str, Any] = {"pool_size": pool, "max_overflow": 0, "pool_timeout": 60, "pool_pre_ping": True}
        if _autocommits(url.get_dialect()()):
            arguments["isolation_level"] = "AUTOCOMMIT"
        self._engine = sa.create_engine(url, **arguments)
        self.dialect = self._engine.dialect
        self.terms = self.dialect.name
        self._met = False
        self._errors: type[Exception] = self.dialect.loaded_dbapi.Error
        self._threads = ThreadPoolExecutor(pool, thread_name_prefix=f"sql-{self.dialect.name}")
        self._stoppers = ThreadPoolExecutor(1, thread_name_prefix=f"sql-{self.dialect.name}-stop")
        sa.event.listen(self._engine, "connect", self._begin)

    async def meet(self, deadline: float) -> None:
        if not self._met:
            await self.select(Select("SELECT 1", ()), (), deadline)

    async def select(self, select: Select, parameters: Any, deadline: float) -> Sequence[Any]:
        running = _Running()
        try:
            async with asyncio.timeout(deadline - time.monotonic()):
                return await asyncio.get_running_loop().run_in_executor(
                    self._threads, self._read, select.text, parameters, deadline, running
                )
        except (TimeoutError, sa.exc.SQLAlchemyError, self._errors, OSError, UnicodeError) as error:
            raise SourceError(self._code_of(error)) from error
        finally:
            if running.stop():
                self._stoppers.submit(running.cancel)

    async def close(self) -> None:
        # a statement under way ends by its deadline; its connection is in the pool only then
        await asyncio.to_thread(self._threads.shutdown, cancel_futures=True)
        await asyncio.to_thread(self._stoppers.shutdown)
        self._engine.dispose()

    def _begin(self, connection: Any, _: Any) -> None:
        """What a new session is told before anything else."""
        name = self.dialect.name
        with contextlib.closing(connection.cursor()) as cursor:
            for statement in _SESSION.get(name, ()):
                cursor.execute(statement)
            if name == "postgresql":
                cursor.execute("SHOW server_encoding")
                self.terms = postgresql.terms_of(cursor.fetchone()[0])
        self._met = True

    def _read(self, text: str, parameters: Any, deadline: float, running: _Running) -> Sequence[Any]:
        connection = self._engine.raw_connection()
        try:
            running.begin(connection.driver_connection)
            if self.dialect.name == "mariadb":
                text = mariadb.limited(text, deadline - time.monotonic())
            with contextlib.closing(connection.cursor()) as cursor:
                cursor.execute(text, parameters)
                rows: Sequence[Any] = cursor.fetchall()
            running.end()
        except BaseException:
            connection.invalidate()  # it may still be told to cancel
            raise
        connection.close()  # back to the pool
        return rows

    def _code_of(self, error: Exception) -> str:
        if isinstance(error, TimeoutError):
            return "SOURCE_TIMEOUT"
        if isinstance(error, UnicodeError):
            return "SOURCE_VALUE_INVALID"
        cause = getattr(error, "orig", None) or error
        if state := getattr(cause, "sqlstate", None):
            return postgresql.code_of_state(state)
        if self.dialect.name in ("mysql", "mariadb"):
            return mariadb.code_of_number(cause)
        words = str(cause).lower()
        return next((code for code, known in _WORDS if any(word in words for word in known)), "SOURCE_UNAVAILABLE")


def _autocommits(dialect: sa.Dialect) -> bool:
    """Whether a SELECT needs no transaction around it, which would cost two round trips more."""
    try:
        return "AUTOCOMMIT" in dialect.get_isolation_level_values(None)  # type: ignore[arg-type]
    except NotImplementedError:
        return False


class _Running:
    """A statement on a thread, which another one may stop: before it begins, or while it runs if its driver can."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._driver: Any = None
        self._over = False

    def begin(self, driver: Any) -> None:
        """TimeoutError if it was stopped already."""
        with self._lock:
            if self._over:
                raise TimeoutError
            self._driver = driver

    def end(self) -> None:
        """TimeoutError if it was stopped meanwhile."""
        self.begin(None)

    def stop(self) -> bool:
        """Whether there is something to cancel; from now on it neither begins nor ends well."""
        with self._lock:
            self._over = True
            return self._driver is not None and hasattr(self._driver, "cancel")

    def cancel(self) -> None:
        with contextlib.suppress(Exception):
            self._driver.cancel()
