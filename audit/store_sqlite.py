"""The embedded store: one SQLite file, for one machine.

`synchronous=FULL` in WAL mode: a commit has been synced to the disk when `append` returns. SQLite lets one process write at a time, so
places become visible in their order, and a transaction that fails gives its places back.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Sequence
from functools import partial

import sqlalchemy as sa

from audit.store import NewFrame, StoreUnavailable
from audit.store_map import MapStore
from audit.store_months import MonthStore
from audit.store_sql import frames_table, metadata, unavailable
from schema.embedded import file_at

SYNCHRONOUS = "FULL"
_FRAMES = """CREATE TABLE IF NOT EXISTS frames (
  seq INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, at BIGINT NOT NULL, operation VARCHAR(48) NOT NULL UNIQUE, frame BLOB NOT NULL
)"""
_APPEND = "INSERT INTO frames (at, operation, frame) VALUES (?, ?, ?)"


class SqliteStore(MonthStore, MapStore):
    """The store at a SQLite URL; `timeout` in seconds is how long to wait for another process's write."""

    def __init__(self, url: sa.URL, timeout: float) -> None:
        engine = sa.create_engine(url, hide_parameters=True)
        sa.event.listen(engine, "connect", partial(_prepare, int(timeout * 1000)))
        super().__init__(engine, engine)
        self._place = url.database
        self._file: tuple[int, int] | None = None

    def open(self) -> None:
        """Create what is missing."""
        with unavailable(), self._changing.begin() as connection:
            connection.exec_driver_sql(_FRAMES)
            for table in metadata.sorted_tables:  # another process may do the same at the same moment
                connection.execute(sa.schema.CreateTable(table, if_not_exists=True))
        self._file = file_at(self._place)

    def append(self, batch: Sequence[NewFrame]) -> None:
        """Return when all of the batch is durable, in its order; else none of it is."""
        try:
            packed = self._compression.pack([one.frame for one in batch])
            with self._change() as connection:
                rows = [(one.at, one.operation, stored) for one, stored in zip(batch, packed, strict=True)]
                connection.exec_driver_sql(_APPEND, rows)
        except StoreUnavailable:
            self._compression.forget()
            self._changing.dispose()  # a file that was opened when it could only be read is opened anew
            raise

    def check(self) -> None:
        """Return if frames could be appended now: the file is in its place, may be written, and nobody keeps it locked."""
        self._ready()
        with unavailable(), self._changing.connect() as connection:
            connection.exec_driver_sql("BEGIN IMMEDIATE")
            connection.rollback()

    def head(self) -> int:
        """The place of the last frame, 0 for an empty ledger."""
        self._ready()
        with self._read() as connection:
            return connection.execute(sa.select(sa.func.max(frames_table.c.seq))).scalar() or 0

    def _now(self) -> sa.ColumnElement[float]:
        return sa.literal(time.time())

    def _ready(self) -> None:
        """A file that was moved away or replaced would take frames along that nobody finds again."""
        if file_at(self._place) != self._file:
            raise StoreUnavailable("another file stands in the ledger's place")


def _prepare(patience: int, connection: sqlite3.Connection, _: object) -> None:
    """`patience` is how long to wait for another process's write, in milliseconds."""
    connection.text_factory = partial(
        str, encoding="utf8", errors="replace"
    )  # what is no text must not keep an auditor from reading on
    connection.executescript(
        f"PRAGMA busy_timeout={patience}; PRAGMA journal_mode=WAL; PRAGMA synchronous={SYNCHRONOUS}; PRAGMA wal_autocheckpoint=8000;"
    )
