"""PostgreSQL through asyncpg: read-only sessions, prepared statements kept by each connection.

Connections are asyncpg's own, not SQLAlchemy's engine's, whose asynchronous way costs twice the time of a look-up (benchmarks/connectors.md).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from functools import partial
from typing import Any

import asyncpg
import sqlalchemy as sa
from asyncpg.prepared_stmt import PreparedStatement

from connectors.contract import SourceError, is_text
from connectors.database import loop_time
from connectors.pool import Pool
from connectors.statements import Select

_KEPT = 200
_SETTINGS = {
    "default_transaction_read_only": "on",
    "statement_timeout": "60000",  # should we be gone without a word; a source's own timeout is shorter
    "application_name": "onesource",
}
_SSL_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
_CODES = {
    "28": "SOURCE_REFUSED",  # invalid authorization
    "42501": "SOURCE_REFUSED",  # insufficient privilege
    "25006": "SOURCE_REFUSED",  # read-only transaction
    "42": "SOURCE_CHANGED",  # undefined table, column, operator between types
    "3F": "SOURCE_CHANGED",  # undefined schema
    "0A": "SOURCE_CHANGED",  # cached plan must not change result type
    "57014": "SOURCE_TIMEOUT",  # cancelled
    "55P03": "SOURCE_TIMEOUT",  # lock not available
    "22000": "SOURCE_CHANGED",  # asyncpg: a column's type takes no such key any more
    "22": "SOURCE_VALUE_INVALID",  # what is stored is no number
}
"""Codes by SQLSTATE or its class."""

_CODECS = {"UTF8": "", "EUC_CN": "gb2312"}
"""What a server of this encoding can hold, as Python names it; of others ASCII alone is asked for."""

_TERMS = {"UTF8": "postgresql", "EUC_CN": "postgresql-bytes"}

_ERRORS = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)


@dataclass(frozen=True, slots=True)
class _Prepared:
    statement: PreparedStatement[asyncpg.Record]
    fits: tuple[Callable[[Any], Any], ...]
    """For each parameter, a value as the server's type takes it; None for what no column of that type could hold."""
    padded: tuple[int, ...]
    """The columns of the type char(n), whose blanks at the end are none of the value."""


@dataclass(slots=True)
class _Session:
    connection: asyncpg.Connection[asyncpg.Record]
    prepared: dict[str, _Prepared] = field(default_factory=dict)


class PostgreSQL:
    """A PostgreSQL database; `url` is libpq's, with sslmode, sslrootcert and the like."""

    batch = 10_000

    def __init__(self, url: sa.URL, pool: int) -> None:
        self.dialect = sa.make_url("postgresql+asyncpg://").get_dialect()()
        self.terms = "postgresql"
        self._met = False
        if url.query.get("sslmode", "prefer") not in _SSL_MODES:
            raise ValueError(f"sslmode is one of {', '.join(_SSL_MODES)}")
        self._dsn = url.set(drivername="postgresql").render_as_string(hide_password=False)
        self._pool = Pool(pool, self._connect, _close, _keeps, _lost)

    async def meet(self, deadline: float) -> None:
        if not self._met:
            await self.select(Select("SELECT 1", ()), (), deadline)

    async def select(self, select: Select, parameters: Any, deadline: float) -> Sequence[Any]:
        try:
            return await self._pool.run(partial(_read, select.text, parameters), loop_time(deadline))
        except (TimeoutError, *_ERRORS, OSError, UnicodeError) as error:
            raise SourceError(_code_of(error)) from error

    async def close(self) -> None:
        await self._pool.close()

    async def _connect(self) -> _Session:
        # asyncpg names prepared statements where it has a cache: unnamed ones are decoded by the types of yesterday
        connection = await asyncpg.connect(self._dsn, server_settings=_SETTINGS)
        self.terms = terms_of(connection.get_settings().server_encoding)
        self._met = True
        return _Session(connection)


async def _read(text: str, parameters: Sequence[Any], session: _Session) -> Sequence[Any]:
    prepared = session.prepared.get(text) or await _prepare(session, text)
    try:
        rows = await _fetch(prepared, parameters)
    except (asyncpg.InvalidCachedStatementError, asyncpg.OutdatedSchemaCacheError):
        del session.prepared[text]  # the table was altered
        prepared = await _prepare(session, text)
        rows = await _fetch(prepared, parameters)
    return [_trimmed(row, prepared.padded) for row in rows] if prepared.padded else rows


async def _fetch(prepared: _Prepared, parameters: Sequence[Any]) -> list[asyncpg.Record]:
    rows: list[asyncpg.Record] = await prepared.statement.fetch(
        *[fit(value) for fit, value in zip(prepared.fits, parameters, strict=True)]
    )
    return rows


async def _prepare(session: _Session, text: str) -> _Prepared:
    if len(session.prepared) >= _KEPT:
        session.prepared.clear()
    statement = await session.connection.prepare(text)
    encoding = session.connection.get_settings().server_encoding
    fits = tuple(_fit(one.name, encoding) for one in statement.get_parameters())
    padded = tuple(n for n, one in enumerate(statement.get_attributes()) if one.type.name == "bpchar")
    session.prepared[text] = _Prepared(statement, fits, padded)
    return session.prepared[text]


def _trimmed(row: asyncpg.Record, padded: Sequence[int]) -> list[Any]:
    values = list(row)
    for place in padded:
        if values[place] is not None:
            values[place] = values[place].rstrip(" ")
    return values


# -- parameters ----------------------------------------------------------------------------------------------------

_SIZES = {"int2": 2**15, "int4": 2**31, "int8": 2**63}


def _fit(kind: str, encoding: str) -> Callable[[Any], Any]:
    if kind.endswith("[]"):
        return partial(_several, _fit(kind[:-2], encoding), kind in _TEXT_ARRAYS and encoding == "UTF8")
    if kind in _SIZES:
        return partial(_integer, _SIZES[kind])
    if kind == "numeric":
        return _numeric
    if kind in ("text", "varchar", "bpchar", "name"):
        return partial(_text, _CODECS.get(encoding, "ascii"))
    return lambda value: value


_TEXT_ARRAYS = ("text[]", "varchar[]", "bpchar[]")


def _several(one: Callable[[Any], Any], any_text: bool, values: Sequence[Any]) -> Sequence[Any]:
    """The values that fit; keys are texts already (`contract.askable`), and any text fits into UTF-8."""
    return values if any_text else [fitted for value in values if (fitted := one(value)) is not None]


def _integer(bound: int, value: Any) -> int | None:
    try:
        number = int(value)
    except ValueError:
        return None
    return number if -bound <= number < bound else None


def _numeric(value: Any) -> Decimal | None:
    try:
        return Decimal(value)
    except InvalidOperation:
        return None


def _text(codec: str, value: Any) -> Any:
    """A text that the server can hold: one that it cannot, no column of its holds."""
    if not isinstance(value, str) or not is_text(value):
        return None if isinstance(value, str) else value
    try:
        if codec:
            value.encode(codec)
    except UnicodeEncodeError:
        return None
    return value


def terms_of(encoding: str) -> str:
    """How texts are compared on a server of this encoding: what it stores as UTF-8 stands in the order of code points."""
    return _TERMS.get(encoding, "postgresql-other")


# -- errors --------------------------------------------------------------------------------------------------------


def code_of_state(state: str) -> str:
    """The code of a SQLSTATE."""
    return _CODES.get(state) or _CODES.get(state[:2]) or "SOURCE_UNAVAILABLE"


def _code_of(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "SOURCE_TIMEOUT"
    if isinstance(error, asyncpg.PostgresError):
        return code_of_state(error.sqlstate or "")
    return "SOURCE_VALUE_INVALID" if isinstance(error, UnicodeError) else "SOURCE_UNAVAILABLE"


def _keeps(error: Exception) -> bool:
    """An error that the server told of a statement leaves the connection as it was."""
    return isinstance(error, asyncpg.PostgresError) and not _lost(error)


def _lost(error: Exception) -> bool:
    if isinstance(error, asyncpg.PostgresError):
        return (error.sqlstate or "").startswith(("08", "57P"))
    return isinstance(error, (*_ERRORS, OSError)) and not isinstance(error, TimeoutError)


async def _close(session: _Session, busy: bool) -> None:  # noqa: ARG001 - asyncpg has told the server to cancel
    try:
        await session.connection.close(timeout=2)  # waits until the server has cancelled
    finally:
        session.connection.terminate()
