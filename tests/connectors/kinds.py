"""The kinds of source that the contract suite runs against. A further kind is one entry in `KINDS`.

The suite asks of each what the contract says, and of its capabilities that it answers as the reference does or refuses.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

import sqlalchemy as sa

from connectors.contract import Capability, Connector
from connectors.kinds import connect
from schema.catalogue import Item, ItemType, Resource
from schema.formats import encoder
from tests import servers

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
    def capabilities(self) -> frozenset[Capability]:
        """What its connectors must say that they can, and do as the reference does."""

    def write(self, resource: Resource, records: Sequence[Record] | None, folder: Path) -> None:
        """Make the source's table have these records and no others; None: there is no such table."""

    def connector(self, folder: Path) -> Connector:
        """A connector to the source."""


@dataclass(frozen=True)
class MemoryKind:
    name: str = "memory"
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
    capabilities: frozenset[Capability] = frozenset(Capability)

    def write(self, resource: Resource, records: Sequence[Record] | None, folder: Path) -> None:
        write_table(self.place(folder), resource, records)

    def connector(self, folder: Path) -> Connector:
        url = self.place(folder)
        return connect("sql", url=url.set(drivername=self.driver) if self.driver else url)


def sqlite(folder: Path) -> sa.URL:
    return sa.make_url(f"sqlite:///{folder / 'source.db'}")


def postgresql(folder: Path) -> sa.URL:
    return servers.database(servers.postgres)


MEMORY = MemoryKind()
SQLITE = SqlKind("sqlite", sqlite)
THREADS = SqlKind("threads", postgresql, "postgresql+psycopg")
"""A dialect of which the connector knows no driver of its own: any synchronous one, on threads."""

KINDS: tuple[Kind, ...] = (MEMORY, SQLITE, THREADS)
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
    drop = sa.schema.DropTable(table, if_exists=True)
    if records is None:
        other = sa.Table("SOMETHING_ELSE", metadata, sa.Column("X", sa.Integer))
        servers.execute(url, drop, sa.schema.CreateTable(other, if_not_exists=True))
        return
    insert = (table.insert(), [_texts(row, table) for row in rows])
    servers.execute(url, drop, sa.schema.CreateTable(table), *([insert] if rows else []))


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
