"""MariaDB and MySQL through asyncmy: read-only sessions, and statements that the server itself ends in time.

Statements go as texts: prepared ones are a quarter quicker, but show the zero dates that these databases know as NULL.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any

import asyncmy
import sqlalchemy as sa
from asyncmy import errors
from asyncmy.constants.FIELD_TYPE import BIT
from asyncmy.converters import conversions

from connectors.contract import SourceError
from connectors.database import loop_time
from connectors.pool import Pool
from connectors.statements import Select

_GRACE_SECONDS = 0.05
SESSION = ("SET SESSION TRANSACTION READ ONLY", "SET SESSION sql_mode = ''")
"""What a session is told first. The server's own `sql_mode` could change what our SQL means."""
_CODES = {
    1044: "SOURCE_REFUSED", 1045: "SOURCE_REFUSED", 1142: "SOURCE_REFUSED", 1143: "SOURCE_REFUSED", 1227: "SOURCE_REFUSED",
    1410: "SOURCE_REFUSED", 1698: "SOURCE_REFUSED", 1820: "SOURCE_REFUSED", 1862: "SOURCE_REFUSED", 1792: "SOURCE_REFUSED", 4151: "SOURCE_REFUSED",
    1054: "SOURCE_CHANGED", 1109: "SOURCE_CHANGED", 1146: "SOURCE_CHANGED", 1267: "SOURCE_CHANGED", 1356: "SOURCE_CHANGED", 1051: "SOURCE_CHANGED",
    1205: "SOURCE_TIMEOUT", 1317: "SOURCE_TIMEOUT", 1969: "SOURCE_TIMEOUT", 3024: "SOURCE_TIMEOUT",
}  # fmt: skip
"""Codes by the server's error number."""

_MIXED = (1267, 1270, 1271)
"""Illegal mix of collations: the server would not compare a text with a column whose encoding cannot write it."""

Connection = asyncmy.connection.Connection


class MariaDB:
    """A MariaDB or MySQL database; which of them, its server tells."""

    batch = 1000

    def __init__(self, url: sa.URL, pool: int) -> None:
        self.dialect = sa.make_url("mariadb+asyncmy://").get_dialect()()
        self.terms = "mariadb"
        self._met = False
        self._arguments = dict(self.dialect.create_connect_args(url.set(drivername="mariadb+asyncmy"))[1])
        self._pool = Pool(pool, self._connect, self._close, _keeps, _lost)

    async def meet(self, deadline: float) -> None:
        if not self._met:
            await self.select(Select("SELECT 1", ()), (), deadline)

    async def select(self, select: Select, parameters: Any, deadline: float) -> Sequence[Any]:
        try:
            read = partial(self._read, parameters, deadline)
            return await self._pool.run(partial(_read_either, select, read), loop_time(deadline) + _GRACE_SECONDS)
        except (TimeoutError, errors.Error, OSError, EOFError, UnicodeError) as error:
            raise SourceError(_code_of(error)) from error

    async def close(self) -> None:
        await self._pool.close()

    async def _read(self, parameters: Any, deadline: float, connection: Connection, text: str) -> Sequence[Any]:
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        if self.terms == "mariadb":
            text = limited(text, left)
        else:
            text = text.replace("SELECT ", f"SELECT /*+ MAX_EXECUTION_TIME({int(left * 1000) or 1}) */ ", 1)
        async with connection.cursor() as cursor:
            await cursor.execute(text, parameters)
            rows: Sequence[Any] = await cursor.fetchall()
            return rows

    async def _connect(self) -> Connection:
        connection = await asyncmy.connect(
            **self._arguments | {"charset": "utf8mb4", "autocommit": True},
            conv={**conversions, BIT: lambda value: int.from_bytes(value, "big")},
        )
        try:
            async with connection.cursor() as cursor:
                for statement in SESSION:
                    await cursor.execute(statement)
        except BaseException:
            connection.close()
            raise
        self.terms = "mariadb" if "mariadb" in connection.get_server_info().lower() else "mysql"
        self._met = True
        return connection

    async def _close(self, connection: Connection, busy: bool) -> None:
        """Close; where a statement may still run, by a second connection that ends it at the server."""
        if not busy:
            await connection.ensure_closed()
            return
        number = connection.thread_id()
        connection.close()
        other = await asyncmy.connect(**self._arguments)
        try:
            async with other.cursor() as cursor:
                await cursor.execute(f"KILL {int(number)}")
        finally:
            other.close()


async def _read_either(
    select: Select, read: Callable[[Connection, str], Awaitable[Sequence[Any]]], connection: Connection
) -> Sequence[Any]:
    try:
        return await read(connection, select.text)
    except errors.Error as error:
        if not select.wide or not error.args or error.args[0] not in _MIXED:
            raise
        return await read(connection, select.wide)  # a parameter that the column could not hold


def limited(text: str, seconds: float) -> str:
    """The statement as MariaDB itself ends it after so many seconds."""
    return f"SET STATEMENT max_statement_time={max(seconds, 0.001):.3f} FOR {text}"


def code_of_number(error: BaseException) -> str:
    """The code of an error that begins with the server's number, whichever driver tells it."""
    return _CODES.get(error.args[0] if error.args else 0, "SOURCE_UNAVAILABLE")


def _code_of(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "SOURCE_TIMEOUT"
    return "SOURCE_VALUE_INVALID" if isinstance(error, UnicodeError) else code_of_number(error)


def _keeps(error: Exception) -> bool:
    """An error that the server told of a statement leaves the connection as it was."""
    return isinstance(error, errors.Error) and bool(error.args) and error.args[0] in _CODES


def _lost(error: Exception) -> bool:
    if isinstance(error, TimeoutError):
        return False
    if isinstance(error, errors.Error):
        return (
            not error.args
            or not isinstance(error.args[0], int)
            or error.args[0] in (2006, 2013, 2014, 1053, 1927, 4031)
        )
    return isinstance(error, OSError | EOFError)
