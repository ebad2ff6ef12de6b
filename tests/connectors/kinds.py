"""The kinds of source that the contract suite runs against. A further kind is one entry in `KINDS`.

The suite asks of each what the contract says, and of its capabilities that it answers as the reference does or refuses.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

import duckdb
import sqlalchemy as sa

from connectors.contract import Capability, Connector
from connectors.kinds import connect
from schema.catalogue import Item, ItemType, Resource
from schema.formats import encoder
from tests import servers
from tests.connectors import services

Record = Mapping[str, Any]
"""Canonical values by item, and `updated`; a value can be `Raw`. An item that is left out of every record has no column."""


@dataclass(frozen=True)
class Raw:
    """A value as the source writes it, where it is not what an encoder would write; `means` is what a connector makes of it."""

    written: Any
    means: Any


class Kind(Protocol):
    """A kind of source: writes sources with given records, and makes connectors to them. A folder is one source."""

    @property
    def name(self) -> str:
        """What tests call it."""

    @property
    def holds_bytes(self) -> bool:
        """Whether its sources have bytes beside texts and numbers."""

    @property
    def capabilities(self) -> frozenset[Capability]:
        """What its connectors must say that they can, and do as the reference does."""

    def write(self, resource: Resource, records: Sequence[Record] | None, folder: Path) -> None:
        """Make the source's table have these records and no others; None: there is no such table."""

    def connector(self, folder: Path) -> Connector:
        """A connector to the source."""


@dataclass(frozen=True)
class MemoryKind:
    name: str = "memory"
    holds_bytes: bool = True
    capabilities: frozenset[Capability] = frozenset(Capability)
    _records: dict[Path, dict[str, Sequence[Record]]] = field(default_factory=dict)

    def write(self, resource: Resource, records: Sequence[Record] | None, folder: Path) -> None:
        held = self._records.setdefault(folder, {})
        if records is None:
            held.pop(resource.name, None)
            return
        held[resource.name] = [
            {name: value.means if isinstance(value, Raw) else value for name, value in record.items()}
            for record in records
        ]

    def connector(self, folder: Path) -> Connector:
        return connect("memory", records=self._records.setdefault(folder, {}))


@dataclass(frozen=True)
class SqlKind:
    """A database; `place` is the URL of the one that stands for a folder, `driver` the driver that a connection names, if any."""

    name: str
    place: Callable[[Path], sa.URL]
    driver: str = ""
    holds_bytes: bool = True
    capabilities: frozenset[Capability] = frozenset(Capability)

    def write(self, resource: Resource, records: Sequence[Record] | None, folder: Path) -> None:
        write_table(self.place(folder), resource, records)

    def connector(self, folder: Path) -> Connector:
        return self.connect(self.place(folder))

    def connect(self, url: sa.URL, pool: int = 4) -> Connector:
        """A connector through this kind's driver to any database of its dialect."""
        return connect("sql", url=url.set(drivername=self.driver) if self.driver else url, pool=pool)


@dataclass(frozen=True)
class FileKind:
    """Deliveries in a folder, with the ending `name`."""

    name: str
    holds_bytes: bool
    capabilities: frozenset[Capability] = frozenset(Capability)

    def write(self, resource: Resource, records: Sequence[Record] | None, folder: Path) -> None:
        file = folder / f"{resource.table}.{self.name}"
        if records is None:
            file.unlink(missing_ok=True)
            return
        part = file.with_suffix(".part")
        table = table_of(resource, records)
        if self.name == "csv":
            part.write_text(csv_of(table), encoding="utf-8", newline="")
        else:
            write_parquet(table, part)
        part.replace(file)

    def connector(self, folder: Path) -> Connector:
        return connect("file", folder=folder)


@dataclass(frozen=True)
class RestKind:
    """A service that is asked by batches of keys and answers in pages."""

    name: str = "rest"
    holds_bytes: bool = False
    capabilities: frozenset[Capability] = frozenset()

    def write(self, resource: Resource, records: Sequence[Record] | None, folder: Path) -> None:
        name = f"{_source_of(folder)}/{resource.table}"
        if records is None:
            services.TABLES.pop(name, None)
            return
        columns, rows = table_of(resource, records)
        services.TABLES[name] = [
            {column: _json(value) for column, value in zip(columns, row, strict=True)} for row in rows
        ]

    def connector(self, folder: Path) -> Connector:
        url = f"{services.department()}/{_source_of(folder)}"
        return services.ServiceConnector(connect("rest", url=url))


def _source_of(folder: Path) -> str:
    return f"{folder.parent.name}-{folder.name}"


def _json(value: Any) -> Any:
    return b64encode(value).decode() if isinstance(value, bytes) else value


Table = tuple[list[str], list[list[Any]]]
"""Names of columns, and rows of values."""


def table_of(resource: Resource, records: Sequence[Record]) -> Table:
    """Records as their source writes them; without any, every column is there."""
    names = set().union(*records) if records else set(resource.items)
    items = [item for item in resource.items.values() if item.name in names]
    rows = [[*(written(item, one.get(item.name)) for item in items), _updated(resource, one)] for one in records]
    return [*(item.column for item in items), resource.updated or "GXSJ"], rows


def csv_of(table: Table) -> str:
    """A table as CSV: NULL is nothing, every text is quoted."""
    columns, rows = table
    lines = [",".join(_quoted(name) for name in columns), *(",".join(map(_quoted, row)) for row in rows)]
    return "".join(f"{line}\n" for line in lines)


def _quoted(value: Any) -> str:
    return "" if value is None else '"' + str(_json(value)).replace('"', '""') + '"'


def write_parquet(table: Table, file: Path) -> None:
    """Write a table as Parquet, each column of the type that its values have."""
    columns, rows = table
    types = [_parquet_type([row[number] for row in rows]) for number in range(len(columns))]
    with duckdb.connect() as database:
        described = ", ".join(f'"{name}" {kind}' for name, kind in zip(columns, types, strict=True))
        database.execute(f"CREATE TABLE delivery ({described})")
        if rows:
            places = ", ".join(f"({', '.join('?' * len(columns))})" for _ in rows)
            database.execute(f"INSERT INTO delivery VALUES {places}", [value for row in rows for value in row])
        database.execute(f"COPY delivery TO '{file}' (FORMAT parquet)")


def _parquet_type(values: Sequence[Any]) -> str:
    kinds = {type(value) for value in values if value is not None}
    return "BLOB" if kinds == {bytes} else "BIGINT" if kinds == {int} else "VARCHAR"


def sqlite(folder: Path) -> sa.URL:
    return sa.make_url(f"sqlite:///{folder / 'source.db'}")


def postgresql(folder: Path) -> sa.URL:
    return servers.database(servers.postgres)


def mariadb(folder: Path) -> sa.URL:
    return servers.database(servers.mariadb)


MEMORY = MemoryKind()
SQLITE = SqlKind("sqlite", sqlite)
POSTGRESQL = SqlKind("postgresql", postgresql)
MARIADB = SqlKind("mariadb", mariadb)
THREADS = SqlKind("threads", postgresql, "postgresql+psycopg")
"""A dialect of which the connector knows no driver of its own: any synchronous one, on threads."""

CSV = FileKind("csv", holds_bytes=False)
PARQUET = FileKind("parquet", holds_bytes=True)
REST = RestKind()

KINDS: tuple[Kind, ...] = (MEMORY, SQLITE, POSTGRESQL, MARIADB, THREADS, CSV, PARQUET, REST)
SQL_KINDS = tuple(kind for kind in KINDS if isinstance(kind, SqlKind))


def those_that(*capabilities: Capability) -> list[Kind]:
    """The kinds that are compared with the reference: those with these capabilities, but for the reference itself."""
    return [kind for kind in KINDS if kind is not MEMORY and kind.capabilities >= set(capabilities)]


def write_table(url: sa.URL, resource: Resource, records: Sequence[Record] | None) -> None:
    """Make the resource's table anew with these records, as its source would write them; None: no table."""
    names = set().union(*records) if records else set(resource.items)
    items = [item for item in resource.items.values() if item.name in names]
    updated = resource.updated or "GXSJ"
    rows = [
        {item.column: written(item, record.get(item.name)) for item in items} | {updated: _updated(resource, record)}
        for record in records or ()
    ]
    columns = {item.column: _column_type(item, [row[item.column] for row in rows]) for item in items}
    metadata = sa.MetaData()
    table = sa.Table(resource.table or "", metadata, *(sa.Column(name, kind) for name, kind in columns.items()))
    table.append_column(sa.Column(updated, _TEXT))
    place, shape = (url, table.name), [(one.name, str(one.type)) for one in table.columns]
    if records is None:
        _SHAPES.pop(place, None)
        other = sa.Table("SOMETHING_ELSE", metadata, sa.Column("X", sa.Integer))
        servers.execute(
            url, sa.schema.DropTable(table, if_exists=True), sa.schema.CreateTable(other, if_not_exists=True)
        )
        return
    if _SHAPES.get(place) == shape and url.get_backend_name() != "sqlite":
        quote = "`" if url.get_backend_name() == "mariadb" else '"'
        emptied: list[servers.Statement] = [f"DELETE FROM {quote}{table.name}{quote}"]
    else:
        emptied = [sa.schema.DropTable(table, if_exists=True), sa.schema.CreateTable(table)]
    insert = (table.insert(), [_texts(row, table) for row in rows])
    servers.execute(url, *emptied, *([insert] if rows else []))
    _SHAPES[place] = shape


_SHAPES: dict[tuple[sa.URL, str], list[tuple[str, str]]] = {}
"""How the tables look that were made on servers: emptying one is much quicker than making it anew."""


def written(item: Item, value: Any) -> Any:
    """A canonical value as the item's source writes it."""
    if isinstance(value, Raw):
        return value.written
    return None if value is None else encoder(item.type, item.format, item.values)(value)


def _updated(resource: Resource, record: Record) -> Any:
    updated = record.get("updated")
    if isinstance(updated, datetime):
        return encoder(ItemType.DATETIME, resource.updated_format, {})(updated)
    return updated.written if isinstance(updated, Raw) else None


_TEXT = sa.String().with_variant(sa.String(500), "mysql", "mariadb")
_NUMBERS = ("int", "cents", "01", "epoch")


def _column_type(item: Item, values: Sequence[Any]) -> sa.types.TypeEngine[Any]:
    """The type that a department would choose: that of the values which it writes."""
    kinds = {type(value) for value in values if value is not None}
    if kinds == {bytes} or (not kinds and item.format == "bytes"):
        return sa.LargeBinary()
    return sa.BigInteger() if kinds == {int} or (not kinds and item.format in _NUMBERS) else _TEXT


def _texts(row: Mapping[str, Any], table: sa.Table) -> dict[str, Any]:
    """A row as a database with types takes it: what stands in a text's column is a text."""
    return {
        name: str(value) if isinstance(table.c[name].type, sa.String) and isinstance(value, int | float) else value
        for name, value in row.items()
    }
