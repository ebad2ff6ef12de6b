"""Writes records as the departments' databases would hold them: their tables, columns, formats and local codes.

All of it follows from the catalogue; nothing here knows a resource or an item by name.
"""

from __future__ import annotations

import os
import sqlite3
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from schema.catalogue import Catalogue, Item, ItemType, Resource
from schema.formats import CHINA, encoder, legacy_id

_BATCH = 500
_NEW_NUMBERS = datetime(1999, 10, 1, tzinfo=CHINA)
"""From this day identity numbers have 18 digits (国发〔1999〕15号)."""

_SAMPLES: dict[ItemType, Any] = {
    ItemType.INT: 1,
    ItemType.DECIMAL: Decimal(1),
    ItemType.BOOLEAN: True,
    ItemType.DATE: date(2000, 1, 1),
    ItemType.DATETIME: datetime(2000, 1, 1, tzinfo=UTC),
    ItemType.CODE: "1",
    ItemType.IMAGE: b"",
}


@dataclass(frozen=True, slots=True)
class Record:
    """One record of a resource in canonical values, `updated` in China's time; items not named are NULL."""

    resource: str
    updated: datetime
    values: Mapping[str, Any]


@dataclass(slots=True)
class Table:
    """A resource's table: how to write a record into it, and the rows that wait for it."""

    resource: Resource
    database: sqlite3.Connection
    insert: str
    items: tuple[tuple[str, Callable[[Any, datetime], Any]], ...]
    updated: Callable[[Any], Any] | None
    rows: list[tuple[Any, ...]] = field(default_factory=list)
    count: int = 0

    def add(self, record: Record) -> None:
        """Takes a record; writes when enough have come. Values of items unknown to this catalogue are left out."""
        values, updated = record.values, record.updated
        row = [None if (value := values.get(name)) is None else encode(value, updated) for name, encode in self.items]
        if self.updated:
            row.append(self.updated(updated))
        self.rows.append(tuple(row))
        self.count += 1
        if len(self.rows) >= _BATCH:
            self.flush()

    def flush(self) -> None:
        """Writes what waits."""
        self.database.executemany(self.insert, self.rows)
        self.rows.clear()


def quoted(name: str) -> str:
    """An SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def _encode(item: Item, seed: int, forced: frozenset[str]) -> Callable[[Any, datetime], Any]:
    """The item's encoder. Of `15or18`, what is older than 1999-10-01, `forced`, or in 3 of 10 persons is legacy."""
    plain = encoder(item.type, item.format, item.values)
    if item.type is not ItemType.ID_NUMBER or item.format != "15or18":
        return lambda value, _: plain(value)

    def encode(value: str, updated: datetime) -> str:
        old = updated < _NEW_NUMBERS or value in forced or zlib.crc32(value.encode(), seed & 0xFFFF) % 10 < 3
        return legacy_id(value) if old else value

    return encode


def _affinity(convert: Callable[[Any], Any], item_type: ItemType, values: Mapping[str, str]) -> str:
    """The SQL type of what an encoder writes."""
    sample = next(iter(values.values())) if values else _SAMPLES.get(item_type, "")
    return {int: "INTEGER", bytes: "BLOB"}.get(type(convert(sample)), "TEXT")


def _create(resource: Resource, database: sqlite3.Connection, seed: int, forced: frozenset[str]) -> Table:
    """Creates the resource's table. Two items on one column: the first one writes it."""
    columns: dict[str, tuple[str, str]] = {}
    items = []
    for item in resource.items.values():
        if item.column.casefold() in columns:
            continue
        kind = _affinity(encoder(item.type, item.format, item.values), item.type, item.values)
        columns[item.column.casefold()] = (item.column, kind)
        items.append((item.name, _encode(item, seed, forced)))
    updated = None
    if resource.updated and resource.updated.casefold() not in columns:
        updated = encoder(ItemType.DATETIME, resource.updated_format, {})
        columns[resource.updated.casefold()] = (resource.updated, _affinity(updated, ItemType.DATETIME, {}))
    table = quoted(resource.table or "")
    database.execute(f"CREATE TABLE {table} ({', '.join(f'{quoted(name)} {kind}' for name, kind in columns.values())})")
    insert = f"INSERT INTO {table} VALUES ({', '.join('?' * len(columns))})"  # noqa: S608 - quoted by `quoted`
    return Table(resource, database, insert, tuple(items), updated)


class Databases:
    """The departments' databases in the making, in one folder: `<department slug>.db`."""

    def __init__(self, catalogue: Catalogue, folder: Path, *, seed: int, legacy: frozenset[str]) -> None:
        """Creates a database for every department with a connection; persons in `legacy` keep 15-digit numbers."""
        self.tables: dict[str, Table] = {}
        self._databases: dict[str, sqlite3.Connection] = {}
        self._folder = folder
        for slug, department in catalogue.departments.items():
            if department.connection is not None:
                self._databases[slug] = _open(folder / f"{slug}.db")
        for name, resource in catalogue.resources.items():
            if resource.connected and resource.department in self._databases:
                self.tables[name] = _create(resource, self._databases[resource.department], seed, legacy)

    def add(self, record: Record) -> None:
        """Writes a record; one of a resource that this catalogue does not connect is dropped."""
        table = self.tables.get(record.resource)
        if table is not None:
            table.add(record)

    def index(self, table: Table) -> None:
        """Creates the indexes of a table: its key, the items of its relations, its last change."""
        table.flush()
        resource = table.resource
        names = dict.fromkeys([resource.key, *(relation.item for relation in resource.relations)])
        columns = [resource.items[name].column for name in names if name]
        for number, column in enumerate(dict.fromkeys([*columns, *filter(None, [resource.updated])])):
            name = quoted(f"IX_{resource.table}_{number}")
            table.database.execute(f"CREATE INDEX {name} ON {quoted(resource.table or '')} ({quoted(column)})")

    def close(self) -> None:
        """Closes all databases; what they hold is on the disk then."""
        for slug, database in self._databases.items():
            database.commit()
            database.close()
            with (self._folder / f"{slug}.db").open("rb") as file:
                os.fsync(file.fileno())


def _open(path: Path) -> sqlite3.Connection:
    """A new database. It is worthless until it is complete, so it needs no journal."""
    database = sqlite3.connect(path)
    for pragma in ("page_size = 4096", "journal_mode = OFF", "synchronous = OFF", "locking_mode = EXCLUSIVE"):
        database.execute(f"PRAGMA {pragma}")
    return database
