"""The kinds of source that the contract suite runs against. A further kind is one entry in `KINDS`."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

import sqlalchemy as sa

from connectors.contract import Connector
from connectors.kinds import connect
from connectors.sql import SqlConnector
from schema.catalogue import Item, ItemType, Resource
from schema.formats import encoder

Record = Mapping[str, Any]
"""Canonical values by item, and `updated`; a value can be `Raw`. An item that is left out of every record has no column."""


@dataclass(frozen=True)
class Raw:
    """A value as the source writes it, where it is not what an encoder would write; `means` is what a connector makes of it."""

    written: Any
    means: Any


class Kind(Protocol):
    """A kind of source: makes a source with these records in `folder` and a connector to it."""

    @property
    def name(self) -> str:
        """What tests call it."""

    def source(self, resource: Resource, records: Sequence[Record] | None, folder: Path) -> Connector:
        """The connector to a source whose table has these records; None: it has no such table."""


class MemoryKind:
    name = "memory"

    def source(self, resource: Resource, records: Sequence[Record] | None, folder: Path) -> Connector:
        if records is None:
            return connect("memory", records={})
        meant = [
            {name: value.means if isinstance(value, Raw) else value for name, value in record.items()}
            for record in records
        ]
        return connect("memory", records={resource.name: meant})


@dataclass(frozen=True)
class SqlKind:
    """A database through SQLAlchemy. `url` holds {folder} where its file stands."""

    name: str
    url: str

    def source(self, resource: Resource, records: Sequence[Record] | None, folder: Path) -> SqlConnector:
        url = self.url.format(folder=folder)
        engine = sa.create_engine(url)
        write_table(engine, resource, records)
        engine.dispose()
        connector = connect("sql", url=url)
        assert isinstance(connector, SqlConnector)
        return connector


KINDS: tuple[Kind, ...] = (MemoryKind(), SqlKind("sqlite", "sqlite:///{folder}/source.db"))

POSTGRES = os.environ.get("ONESOURCE_TEST_POSTGRES")
POSTGRES_SCHEMA = f"connectors_{os.getpid()}"
"""Where this process keeps its tables: several may test on one server."""


def postgres_kind() -> SqlKind:
    """A schema of the server that ONESOURCE_TEST_POSTGRES names."""
    url = sa.make_url(POSTGRES or "").update_query_dict({"options": f"-csearch_path={POSTGRES_SCHEMA}"})
    return SqlKind("postgresql", url.render_as_string(hide_password=False))


def write_table(engine: sa.Engine, resource: Resource, records: Sequence[Record] | None) -> None:
    """Make the resource's table anew with these records, as its source would write them; None: no table."""
    names = set().union(*records) if records else set(resource.items)
    items = [item for item in resource.items.values() if item.name in names]
    columns = {item.column: _column_type(item) for item in items} | {resource.updated or "GXSJ": sa.String()}
    metadata = sa.MetaData()
    made = sa.Table(resource.table or "", metadata, *(sa.Column(name, kind) for name, kind in columns.items()))
    metadata.drop_all(engine)
    with engine.begin() as connection:
        if records is None:
            connection.execute(sa.text("CREATE TABLE SOMETHING_ELSE (X INTEGER)"))
            return
        made.create(connection)
        for record in records:
            row = {item.column: written(item, record.get(item.name)) for item in items}
            connection.execute(made.insert(), row | {resource.updated or "GXSJ": _updated(resource, record)})


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


def _column_type(item: Item) -> sa.types.TypeEngine[Any]:
    if item.format == "bytes":
        return sa.LargeBinary()
    return sa.BigInteger() if item.format in ("int", "cents", "01", "epoch") else sa.String()
