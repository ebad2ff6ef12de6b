"""The map of data subjects in a store: its rows, and of each what it was in the version before, so that a proof is possible meanwhile."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from itertools import islice
from typing import Any

import sqlalchemy as sa

from audit.store import Lease, MapVersion
from audit.store_sql import SqlStore, metadata

_KEPT = 3
_MOST_PARAMETERS = 1_000

versions_table = sa.Table(
    "subject_maps",
    metadata,
    sa.Column("version", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("size", sa.BigInteger, nullable=False),
    sa.Column("root", sa.LargeBinary, nullable=False),
    sa.Column("key_ids", sa.Text, nullable=False),
    sa.Column("checkpoint", sa.BigInteger, nullable=False),
)
rows_table = sa.Table(
    "subject_rows",
    metadata,
    sa.Column("place", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=False),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("content", sa.LargeBinary, nullable=False),
    sa.Column("before", sa.LargeBinary, nullable=True),
)
_VERSIONS, _ROWS = versions_table.c, rows_table.c


class MapStore(SqlStore):
    """A store with the map's tables (see `audit.store.Store`)."""

    def map_versions(self) -> list[MapVersion]:
        """The latest versions, at most three, newest first."""
        newest = sa.select(versions_table).order_by(_VERSIONS.version.desc()).limit(_KEPT)
        with self._read() as connection:
            return [
                MapVersion(one.version, one.size, _bytes(one.root), tuple(one.key_ids.split()), one.checkpoint)
                for one in connection.execute(newest)
            ]

    def begin_map(self, lease: Lease, new: MapVersion) -> None:
        """Keep that this version is being written. LeaseLost."""
        row = {"version": new.version, "size": new.size, "root": b"", "key_ids": "", "checkpoint": 0}
        with self._under(lease) as connection:
            connection.execute(sa.insert(versions_table).values(row))

    def write_map(self, lease: Lease, version: int, rows: Mapping[int, bytes]) -> None:
        """Keep some rows of the version being written, by place; what they were in the one before stays readable. LeaseLost."""
        new = self._insert(rows_table)
        # one that was cut off while it wrote this version begins again: what was before that stays what was before
        before = sa.case((_ROWS.version < version, _ROWS.content), else_=_ROWS.before)
        changed = {"content": new.excluded.content, "before": before, "version": version}
        written = [{"place": place, "version": version, "content": row, "before": None} for place, row in rows.items()]
        with self._under(lease) as connection:
            connection.execute(new.on_conflict_do_update(index_elements=["place"], set_=changed), written)

    def finish_map(self, lease: Lease, whole: MapVersion) -> None:
        """Keep that all of its rows are written: root and key ids. LeaseLost."""
        told = {"root": whole.root, "key_ids": " ".join(whole.key_ids)}
        with self._under(lease) as connection:
            connection.execute(sa.update(versions_table).where(_VERSIONS.version == whole.version).values(told))

    def commit_map(self, version: int, checkpoint: int) -> None:
        """Keep which checkpoint committed to it first; older versions go."""
        first = sa.and_(_VERSIONS.version == version, _VERSIONS.checkpoint == 0)
        with self._change() as connection:
            connection.execute(sa.update(versions_table).where(first).values(checkpoint=checkpoint))
            connection.execute(sa.delete(versions_table).where(_VERSIONS.version < version - 1))

    def map_rows(self, places: Collection[int], version: int) -> dict[int, bytes]:
        """The rows at these places in this version, which is the last but one at the oldest; one that is not there is left out."""
        wanted, rows = iter(places), dict[int, bytes]()
        with self._read() as connection:
            while part := list(islice(wanted, _MOST_PARAMETERS)):
                for row in connection.execute(sa.select(rows_table).where(_ROWS.place.in_(part))):
                    if content := _in(version, row):
                        rows[row.place] = content
        return rows

    def map_page(self, after: int, limit: int, version: int) -> dict[int, bytes]:
        """The rows in the order of places, from the one behind `after`, as this version has them: empty where it has none yet."""
        page = sa.select(rows_table).where(_ROWS.place > after).order_by(_ROWS.place).limit(limit)
        with self._read() as connection:
            return {row.place: _in(version, row) for row in connection.execute(page)}


def _in(version: int, row: sa.Row[Any]) -> bytes:
    """What the row was in this version, empty where it was not there."""
    return _bytes(row.content if row.version <= version else row.before)


def _bytes(content: Any) -> bytes:
    return bytes(content) if isinstance(content, bytes | memoryview) else b""  # SQLite's columns hold anything
