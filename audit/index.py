"""The search index: behind the ledger, in a database of its own, rebuilt from the frames at will.

Entries say which frame to open; lines are read from the frames themselves. The index is no proof and holds nothing that they do not
hold. Each answer says how far the index has come.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert

from audit.entries import (
    FORM,
    Batch,
    activity_table,
    batch_of,
    entries_table,
    looks_table,
    metadata,
    position_table,
    profiles_table,
    shapes_table,
    tallies_table,
)
from audit.ledger import Ledger
from audit.questions import Disclosure, Place, Question, entries_of, record_of
from audit.store import StoredFrame, StoreUnavailable

_LOG = logging.getLogger("onesource.ledger")
_BATCH = 1_000
_PAUSE = 0.5
_PREPARING = 20_350_001
"""The advisory lock of PostgreSQL under which tables are made."""
_MAX_KNOWN = 500_000
_MOST_PARAMETERS = 10_000

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the index is, and how far the ledger was when the question was asked; both are places in the ledger."""

    indexed: int
    recorded: int


@dataclass(frozen=True, slots=True)
class Answer:
    """Records newest first; `indexed` and `recorded` say how far index and ledger are. `end` is where the page ends, None if nothing follows."""

    records: tuple[Disclosure, ...]
    indexed: int
    recorded: int
    end: Place | None


class Index:
    """The index of one ledger, in a database of its own (SQLite or PostgreSQL)."""

    def __init__(self, url: str | sa.URL, ledger: Ledger) -> None:
        self._engine = sa.create_engine(url)
        if self._engine.dialect.name == "sqlite":
            sa.event.listen(self._engine, "connect", _prepare_sqlite)
        self._ledger = ledger
        self._following: asyncio.Task[None] | None = None
        self._known: set[int] = set()
        self._last = 0
        self._names: Mapping[int, str] = {}

    def open(self) -> None:
        """Begin to follow the ledger."""
        self.prepare()
        self._following = asyncio.get_running_loop().create_task(self._follow())

    def prepare(self) -> None:
        """Make the tables; those of an index of another form or of another ledger are made anew."""
        with self._engine.begin() as connection:
            if connection.dialect.name == "postgresql":  # another process may do the same at the same moment
                connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_PREPARING)))
            if not self._fits(connection):
                metadata.drop_all(connection)
            metadata.create_all(connection)
            if connection.execute(sa.select(position_table.c.seq)).first() is None:
                connection.execute(sa.insert(position_table).values(id=1, seq=0, form=FORM))

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
        form = connection.execute(sa.select(position_table.c.form)).scalar()
        return form in (None, FORM) and _position(connection) <= self._ledger.head()

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
                    self._known.clear()
                frames = self._ledger.read(position, _BATCH)
                if frames:
                    self._write(connection, self._batch(frames))
                    connection.execute(sa.update(position_table).values(seq=frames[-1].seq))
                    position = frames[-1].seq
        except BaseException:
            self._known.clear()  # nothing of this batch was kept
            raise
        self._last = position
        return len(frames)

    def _batch(self, frames: Sequence[StoredFrame]) -> Batch:
        try:
            return batch_of(frames, self._names)
        except KeyError:  # an item of a newer catalogue
            self._names = self._ledger.coordinates()
            return batch_of(frames, self._names)

    def _write(self, connection: sa.Connection, batch: Batch) -> None:
        if len(self._known) > _MAX_KNOWN:
            self._known.clear()
        fresh = [row for shape, rows in batch.shapes.items() if shape not in self._known for row in rows]
        if fresh:
            connection.execute(_insert(connection, shapes_table).on_conflict_do_nothing(), fresh)
        fresh = [row for number, row in batch.profiles.items() if number not in self._known]
        if fresh:
            connection.execute(_insert(connection, profiles_table).on_conflict_do_nothing(), fresh)
        self._known.update(batch.shapes, batch.profiles)
        if batch.entries:
            connection.execute(sa.insert(entries_table), batch.entries)
        _note_looks(connection, batch)
        _add_up(
            connection,
            activity_table,
            [
                dict(zip(("user", "department", "role"), batch.actors[actor], strict=True))
                | {"month": month, "actor": actor}
                | {name: counts[name] for name in _COUNTS}
                for (month, actor), counts in sorted(batch.activity.items())
            ],
            _COUNTS,
        )
        keys = ("month", "department", "resource", "outcome")
        tallies = [dict(zip(keys, key, strict=True)) | {"lines": lines} for key, lines in batch.tallies.items()]
        _add_up(connection, tallies_table, tallies, ("lines",))

    async def ask(self, question: Question, limit: int) -> Answer:
        """The newest records that fit, at most `limit`, indexed as far as the ledger was when asked (waits at most two seconds)."""
        progress = await self.progress()
        return await asyncio.to_thread(self._select, question, limit, progress)

    async def progress(self) -> Progress:
        """How far the index is, once it is as far as the ledger was when asked, or after two seconds."""
        recorded = await asyncio.to_thread(self._ledger.head)
        for _ in range(40):
            indexed = await asyncio.to_thread(self._indexed)
            if indexed >= recorded:
                break
            await asyncio.sleep(0.05)
        return Progress(indexed, recorded)

    async def read(self, work: Callable[[sa.Connection, Ledger], T]) -> tuple[T, Progress]:
        """What `work` reads from the index, with the index's progress."""

        def run() -> T:
            with self._engine.connect() as connection:
                return work(connection, self._ledger)

        progress = await self.progress()
        return await asyncio.to_thread(run), progress

    def _indexed(self) -> int:
        with self._engine.connect() as connection:
            return _position(connection)

    def _select(self, question: Question, limit: int, progress: Progress) -> Answer:
        with self._engine.connect() as connection:
            rows = entries_of(connection, question, limit + 1)
        page = rows[:limit]
        frames = {f.seq: f for f in self._ledger.frames({row.seq for row in page})}
        names = self._ledger.coordinates()
        records = tuple(record_of(row, frames[row.seq].frame, names, question) for row in page)
        end = Place(page[-1].at, page[-1].id) if len(rows) > limit else None
        return Answer(records, progress.indexed, progress.recorded, end)


_COUNTS = ("records", "outside_hours", "applicants", "others", "cases", "refused")


def _position(connection: sa.Connection) -> int:
    return connection.execute(sa.select(position_table.c.seq)).scalar() or 0


def _insert(connection: sa.Connection, table: sa.Table) -> Any:
    return (postgresql_insert if connection.dialect.name == "postgresql" else sqlite_insert)(table)


def _add_up(connection: sa.Connection, table: sa.Table, rows: list[dict[str, Any]], counts: Collection[str]) -> None:
    """Insert the rows, or add their counts to those that are there."""
    if not rows:
        return
    adding = _insert(connection, table)
    added = {name: table.c[name] + adding.excluded[name] for name in counts}
    connection.execute(adding.on_conflict_do_update(index_elements=list(table.primary_key), set_=added), rows)


def _note_looks(connection: sa.Connection, batch: Batch) -> None:
    """Keep who looked whom up in which month, and count in the user's activity those who are new there."""
    known = {}
    columns = looks_table.c
    for numbers in _slices(list(batch.looks)):
        wanted = sa.select(columns.id, columns.days, columns.day).where(columns.id.in_(numbers))
        known.update({row.id: row for row in connection.execute(wanted)})
    fresh, again = [], []
    for number, look in batch.looks.items():
        since = look.pop("since")
        if (before := known.get(number)) is None:
            batch.activity[look["month"], look["actor"]][look["kind"]] += 1
            fresh.append(look)
        elif look["day"] > before.day:
            days = before.days + look["days"] - (since <= before.day)
            again.append({"number": number, "new_days": days, "new_day": look["day"], "new_seq": look["seq"]})
    if fresh:
        connection.execute(sa.insert(looks_table), fresh)
    if again:
        changed: dict[Any, Any] = {name: sa.bindparam(f"new_{name}") for name in ("days", "day", "seq")}
        connection.execute(sa.update(looks_table).where(columns.id == sa.bindparam("number")).values(changed), again)


def _slices(numbers: list[int]) -> Iterator[list[int]]:
    for begin in range(0, len(numbers), _MOST_PARAMETERS):
        yield numbers[begin : begin + _MOST_PARAMETERS]


def _prepare_sqlite(connection: sqlite3.Connection, _: object) -> None:
    connection.executescript("PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA busy_timeout=2000;")
