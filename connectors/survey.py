"""Surveys a live relational source: its tables with columns, comments, keys and a sample of values, for a draft of its catalogue file.

It only reads: one SELECT a table, of `schema.draft.SAMPLE` records at most. The sample stays in memory and is never shown.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import create_async_engine

from connectors.contract import SourceError
from schema.draft import SAMPLE, Column, Kind, Table

_ASYNC = {"mysql": "mysql+asyncmy", "mariadb": "mariadb+asyncmy", "postgresql": "postgresql+psycopg"}
_KINDS: tuple[tuple[type[sa.types.TypeEngine[Any]], Kind], ...] = (
    (sa.Boolean, Kind.BOOLEAN),
    (sa.Integer, Kind.INTEGER),
    (sa.Numeric, Kind.DECIMAL),
    (sa.DateTime, Kind.DATETIME),
    (sa.Date, Kind.DATE),
    (sa.LargeBinary, Kind.BYTES),
    (sa.types._Binary, Kind.BYTES),
    (sa.String, Kind.TEXT),
)


async def survey(url: str, schema: str = "", only: Sequence[str] = (), seconds: float = 60) -> tuple[Table, ...]:
    """The tables and views of a schema of a source (empty: the default one), or those of `only`, in the order of their names.

    SourceError SOURCE_UNAVAILABLE, SOURCE_REFUSED or SOURCE_TIMEOUT; its cause is for our log only.
    """
    parsed = sa.make_url(url)
    backend = parsed.get_backend_name()
    try:
        async with asyncio.timeout(seconds):
            if backend not in _ASYNC:
                return await asyncio.to_thread(_survey_here, parsed, schema, only)
            engine = create_async_engine(parsed.set(drivername=_ASYNC[backend]), poolclass=sa.pool.NullPool)
            try:
                async with engine.connect() as connection:
                    return await connection.run_sync(_tables, schema, only)
            finally:
                await engine.dispose()
    except TimeoutError as error:
        raise SourceError("SOURCE_TIMEOUT") from error
    except (sa.exc.SQLAlchemyError, OSError, ImportError) as error:
        refused = any(
            word in str(error).lower() for word in ("access denied", "authentication failed", "permission denied")
        )
        raise SourceError("SOURCE_REFUSED" if refused else "SOURCE_UNAVAILABLE") from error


def _survey_here(url: sa.URL, schema: str, only: Sequence[str]) -> tuple[Table, ...]:
    if url.get_backend_name() == "sqlite":  # else SQLite would make the file
        url = url.set(database=f"file:{url.database}", query={"mode": "ro", "uri": "true"})
    engine = sa.create_engine(url, poolclass=sa.pool.NullPool)
    with engine.connect() as connection:
        return _tables(connection, schema, only)


def _tables(connection: sa.Connection, schema: str, only: Sequence[str]) -> tuple[Table, ...]:
    look = _Look(connection, sa.inspect(connection), schema or None)
    views = {*look.inspector.get_view_names(look.schema)}
    names = sorted({*look.inspector.get_table_names(look.schema), *views})
    return tuple(look.table(name, name in views) for name in names if not only or name in only)


@dataclass(frozen=True)
class _Look:
    connection: sa.Connection
    inspector: sa.Inspector
    schema: str | None

    def table(self, name: str, is_view: bool) -> Table:
        found = self.inspector.get_columns(name, self.schema)
        sample = self._sample(name, [column["name"] for column in found])
        columns = tuple(
            Column(
                column["name"],
                _kind(column["type"]),
                column.get("comment") or "",
                tuple(row[number] for row in sample if row[number] is not None),
            )
            for number, column in enumerate(found)
        )
        unique = () if is_view else tuple(one for one in self._unique(name) if one)
        return Table(f"{self.schema}.{name}" if self.schema else name, self._comment(name), is_view, columns, unique)

    def _unique(self, name: str) -> Iterator[frozenset[str]]:
        yield frozenset(self.inspector.get_pk_constraint(name, self.schema)["constrained_columns"])
        for constraint in self.inspector.get_unique_constraints(name, self.schema):
            yield frozenset(constraint["column_names"])
        for index in self.inspector.get_indexes(name, self.schema, include_auto_indexes=True):
            if index["unique"] and None not in index["column_names"]:  # None stands for an expression
                yield frozenset(column for column in index["column_names"] if column)

    def _comment(self, name: str) -> str:
        try:
            return self.inspector.get_table_comment(name, self.schema)["text"] or ""
        except NotImplementedError:  # SQLite has none
            return ""

    def _sample(self, name: str, columns: Sequence[str]) -> Sequence[Sequence[Any]]:
        quoted: list[sa.ColumnClause[Any]] = [sa.column(sa.sql.quoted_name(column, quote=True)) for column in columns]
        table = sa.table(sa.sql.quoted_name(name, quote=True), *quoted, schema=self.schema)
        return self.connection.execute(sa.select(*table.c).limit(SAMPLE)).all() if columns else []


def _kind(declared: sa.types.TypeEngine[Any]) -> Kind:
    return next((kind for known, kind in _KINDS if isinstance(declared, known)), Kind.OTHER)
