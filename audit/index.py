"""The search index: behind the ledger, in a database of its own, rebuilt from the frames at will.

Entries say which frame to open; lines are read from the frames themselves. The index is no proof and holds nothing that they do not
hold. Each answer says how far the index has come.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import sqlalchemy as sa

from audit.entries import (
    ENTRY_INDEXES,
    FORM,
    Batch,
    Entries,
    activity_table,
    entries_table,
    freshness_table,
    looks_table,
    metadata,
    position_table,
    tallies_table,
)
from audit.hours import calendar
from audit.index_rows import Writer
from audit.ledger import Ledger
from audit.questions import Disclosure, Place, Question, RecordsOf, entries_of
from audit.records import Reader
from audit.store import KeptMonth, StoredFrame, StoreUnavailable

_LOG = logging.getLogger("onesource.ledger")
_BATCH = 5_000
_PAUSE = 0.5
_LONG = 50_000
"""From so many frames on, an index that is begun has no indexes of its entries before it has caught up."""
_PREPARING = 20_350_001
"""The advisory lock of PostgreSQL under which tables are made."""

T = TypeVar("T")


class IndexIncomplete(Exception):
    """The index is being built anew, and cannot be asked yet."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the index is, and how far the ledger was when the question was asked; both are places in the ledger.

    `removed` is the last month that was removed by rule, such as 2026-11; empty for none.
    """

    indexed: int
    recorded: int
    removed: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """Records newest first; `indexed` and `recorded` say how far index and ledger are. `end` is where the page ends, None if nothing follows.

    `removed`: as in `Progress`.
    """

    records: tuple[Disclosure, ...]
    indexed: int
    recorded: int
    end: Place | None
    removed: str = ""


class Index:
    """The index of one ledger, in a database of its own (SQLite or PostgreSQL)."""

    def __init__(self, url: str | sa.URL, ledger: Ledger) -> None:
        self._engine = sa.create_engine(url)
        if self._engine.dialect.name == "sqlite":
            sa.event.listen(self._engine, "connect", _prepare_sqlite)
        self._ledger = ledger
        self._following: asyncio.Task[None] | None = None
        self._writer = Writer()
        self._entries = Entries(Reader({}))
        self._last = 0

    def open(self) -> None:
        """Begin to follow the ledger."""
        self.prepare()
        self._following = asyncio.get_running_loop().create_task(self._follow())

    def prepare(self) -> None:
        """Make the tables; those of an index of another form, of another calendar or of another ledger are made anew."""
        with self._engine.begin() as connection:
            if connection.dialect.name == "postgresql":  # another process may do the same at the same moment
                connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_PREPARING)))
            if not self._fits(connection):
                metadata.drop_all(connection)
            metadata.create_all(connection)
            if connection.execute(sa.select(position_table.c.seq)).first() is None:
                built = self._ledger.head() < _LONG
                if built:
                    _make_indexes(connection)
                connection.execute(
                    sa.insert(position_table).values(id=1, seq=0, form=FORM, calendar=calendar(), built=built)
                )

    async def close(self) -> None:
        if self._following:
            self._following.cancel()
            await asyncio.wait({self._following})
        self._engine.dispose()

    def _fits(self, connection: sa.Connection) -> bool:
        present = sa.inspect(connection)
        for table in metadata.sorted_tables:
            if not present.has_table(table.name):
                return False
            if {c["name"] for c in present.get_columns(table.name)} != set(table.columns.keys()):
                return False
        marked = connection.execute(sa.select(position_table.c.form, position_table.c.calendar)).first()
        return marked in (None, (FORM, calendar())) and _position(connection) <= self._ledger.head()

    async def _follow(self) -> None:
        while True:
            try:
                caught_up = await asyncio.to_thread(self.advance) < _BATCH
            except (sa.exc.SQLAlchemyError, StoreUnavailable, ValueError, KeyError) as error:
                _LOG.error("index stands still: %s", type(error).__name__)
                caught_up = True
            await asyncio.sleep(_PAUSE if caught_up else 0)

    def advance(self) -> int:
        """Index the next frames, at most a batch; returns how many there were."""
        try:
            with self._engine.begin() as connection:
                # writing the position first takes the lock, so that two processes never index the same frames
                connection.execute(sa.update(position_table).values(seq=position_table.c.seq))
                position = _position(connection)
                if position < self._last:  # somebody else has begun the index anew
                    self._writer.forget()
                frames = self._ledger.read(position, _BATCH)
                if frames:
                    self._writer.write(connection, self._batch(frames))
                    connection.execute(sa.update(position_table).values(seq=frames[-1].seq))
                    position = frames[-1].seq
                if len(frames) < _BATCH and not _is_built(connection):
                    _make_indexes(connection)
                    connection.execute(sa.update(position_table).values(built=True))
        except BaseException:
            self._writer.forget()  # nothing of this batch was kept
            raise
        self._last = position
        return len(frames)

    def _batch(self, frames: Sequence[StoredFrame]) -> Batch:
        try:
            return self._entries.batch(frames)
        except KeyError:  # an item of a newer catalogue
            self._entries = Entries(Reader(self._ledger.coordinates()))
            return self._entries.batch(frames)

    def forget(self, month: KeptMonth) -> None:
        """Delete what is kept of a removed month; what later months count of its last places stays counted. sqlalchemy.exc.SQLAlchemyError."""
        number = int(month.month.replace("-", ""))
        with self._engine.begin() as connection:
            # writing the position first waits for a batch that may still have read the month's frames
            connection.execute(sa.update(position_table).values(seq=position_table.c.seq))
            connection.execute(sa.delete(entries_table).where(entries_table.c.seq <= month.last))
            gone = sa.or_(looks_table.c.month <= number, looks_table.c.seq <= month.last)
            connection.execute(sa.delete(looks_table).where(gone))
            for counts in (activity_table, freshness_table, tallies_table):
                connection.execute(sa.delete(counts).where(counts.c.month <= number))

    async def ask(self, question: Question, limit: int) -> Answer:
        """The newest records that fit, at most `limit`, indexed as far as the ledger was when asked (waits at most two seconds)."""
        progress = await self.progress()
        return await asyncio.to_thread(self._select, question, limit, progress)

    async def progress(self) -> Progress:
        """How far the index is, once it is as far as the ledger was when asked, or after two seconds. IndexIncomplete."""
        recorded = await asyncio.to_thread(self._ledger.head)
        for _ in range(40):
            indexed = await asyncio.to_thread(self._indexed)
            if indexed >= recorded:
                break
            await asyncio.sleep(0.05)
        removed = await asyncio.to_thread(self._ledger.removed)
        return Progress(indexed, recorded, removed.month if removed else "")

    async def read(self, work: Callable[[sa.Connection, Ledger], T]) -> tuple[T, Progress]:
        """What `work` reads from the index, with the index's progress."""

        def run() -> T:
            with self._engine.connect() as connection:
                _check_built(connection)
                return work(connection, self._ledger)

        progress = await self.progress()
        return await asyncio.to_thread(run), progress

    def _indexed(self) -> int:
        with self._engine.connect() as connection:
            return _position(connection)

    def _select(self, question: Question, limit: int, progress: Progress) -> Answer:
        with self._engine.connect() as connection:
            _check_built(connection)
            rows = entries_of(connection, question, limit + 1)
        page = rows[:limit]
        removed = self._ledger.removed()
        gone = removed.last if removed else 0  # its entries go after it
        frames = {f.seq: f for f in self._ledger.frames({row.seq for row in page})}
        of = RecordsOf(Reader(self._ledger.coordinates()))
        records = tuple(of.record(row, frames[row.seq].frame, question) for row in page if row.seq > gone)
        end = Place(page[-1].at, page[-1].id) if len(rows) > limit else None
        return Answer(records, progress.indexed, progress.recorded, end, progress.removed)


def _position(connection: sa.Connection) -> int:
    return connection.execute(sa.select(position_table.c.seq)).scalar() or 0


def _is_built(connection: sa.Connection) -> bool:
    return bool(connection.execute(sa.select(position_table.c.built)).scalar())


def _check_built(connection: sa.Connection) -> None:
    """IndexIncomplete while the entries have no indexes: a question would read them all."""
    if not _is_built(connection):
        raise IndexIncomplete


def _make_indexes(connection: sa.Connection) -> None:
    for name, columns in ENTRY_INDEXES.items():
        quoted = ", ".join(f'"{column}"' for column in columns)
        connection.exec_driver_sql(f"CREATE INDEX IF NOT EXISTS {name} ON entries ({quoted})")


def _prepare_sqlite(connection: sqlite3.Connection, _: object) -> None:
    connection.executescript(
        "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA busy_timeout=2000; PRAGMA cache_size=-65536;"
    )
