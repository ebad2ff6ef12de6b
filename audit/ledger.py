"""The ledger: frames, durable before any answer leaves.

Group commit: operations that finish while a write is under way share the next one; nobody lingers when the ledger is idle. SQLite
writes with `synchronous=FULL`, so a commit has reached the disk when `append` returns. What cannot be written raises
`LedgerUnavailable`, and the next append tries anew: no restart is needed when the disk is back.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Collection, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

import sqlalchemy as sa

from schema.embedded import file_at

_LOG = logging.getLogger("onesource.ledger")

metadata = sa.MetaData()
frames_table = sa.Table(
    "frames",
    metadata,
    sa.Column("seq", sa.Integer, primary_key=True),
    sa.Column("at", sa.BigInteger, nullable=False),
    sa.Column("operation", sa.String(48), nullable=False, unique=True),
    sa.Column("frame", sa.LargeBinary, nullable=False),
    sqlite_autoincrement=True,
)
items_table = sa.Table(
    "items",
    metadata,
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("coordinate", sa.String(255), nullable=False, unique=True),
    sqlite_autoincrement=True,
)


_MAX_WAITING = 10_000
"""How many operations may wait for a slow store before the next is refused at once."""


class LedgerUnavailable(Exception):
    """A frame could not be made durable in time. No data may leave."""


@dataclass(frozen=True, slots=True)
class StoredFrame:
    """A frame as it was read back; `seq` is its place in the ledger."""

    seq: int
    frame: bytes


@dataclass(slots=True)
class _Waiting:
    at: int
    operation: str
    frame: bytes
    durable: asyncio.Future[None]


class Ledger:
    """The embedded store of frames. One writer a process; several processes may write to one file."""

    def __init__(self, url: str, timeout: float) -> None:
        self._engine = sa.create_engine(url)
        if self._engine.dialect.name == "sqlite":
            sa.event.listen(self._engine, "connect", partial(_prepare_sqlite, int(timeout * 1000)))
        self._timeout = timeout
        self._place = self._engine.url.database if self._engine.dialect.name == "sqlite" else None
        self._file: tuple[int, int] | None = None
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="ledger")
        self._waiting: list[_Waiting] = []
        self._writing: asyncio.Task[None] | None = None

    def open(self) -> None:
        """Create the tables; LedgerUnavailable if the store cannot be written."""
        try:
            with self._engine.begin() as connection:
                for table in metadata.sorted_tables:  # another process may do the same at the same moment
                    connection.execute(sa.schema.CreateTable(table, if_not_exists=True))
            self._file = file_at(self._place)
        except sa.exc.SQLAlchemyError as error:
            raise LedgerUnavailable from error

    async def close(self) -> None:
        """Wait for the write under way, then let go of the store."""
        if self._writing:
            await asyncio.wait({self._writing})
        self._writer.shutdown(wait=True)
        self._engine.dispose()

    def item_numbers(self, coordinates: Iterable[str]) -> Mapping[str, int]:
        """The permanent number of each coordinate; new ones get the next numbers, none is ever used again."""
        wanted = list(coordinates)
        try:
            with self._engine.begin() as connection:
                known = {row.coordinate: row.number for row in connection.execute(sa.select(items_table))}
                new = [{"coordinate": c} for c in dict.fromkeys(wanted) if c not in known]
                if new:
                    connection.execute(sa.insert(items_table).prefix_with("OR IGNORE", dialect="sqlite"), new)
                    known = {row.coordinate: row.number for row in connection.execute(sa.select(items_table))}
        except sa.exc.SQLAlchemyError as error:
            raise LedgerUnavailable from error
        return {coordinate: known[coordinate] for coordinate in wanted}

    async def append(self, at: int, operation: str, frame: bytes) -> None:
        """Return when the frame is durable; LedgerUnavailable if it is not within the timeout."""
        if len(self._waiting) >= _MAX_WAITING:
            raise LedgerUnavailable
        loop = asyncio.get_running_loop()
        waiting = _Waiting(at, operation, frame, loop.create_future())
        self._waiting.append(waiting)
        if self._writing is None:
            self._writing = loop.create_task(self._drain())
        try:
            async with asyncio.timeout(self._timeout):
                await waiting.durable
        except TimeoutError:
            raise LedgerUnavailable from None

    async def _drain(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            while self._waiting:
                batch, self._waiting = self._waiting, []
                try:
                    await loop.run_in_executor(self._writer, self._write, batch)
                except Exception as error:
                    _LOG.error("ledger write failed: %s", type(error).__name__)
                    _settle(batch, LedgerUnavailable())
                else:
                    _settle(batch, None)
        finally:
            self._writing = None

    def _in_place(self) -> None:
        if file_at(self._place) != self._file:
            raise LedgerUnavailable

    def _write(self, batch: list[_Waiting]) -> None:
        self._in_place()
        with self._engine.begin() as connection:
            connection.execute(
                sa.insert(frames_table), [{"at": w.at, "operation": w.operation, "frame": w.frame} for w in batch]
            )

    def read(self, after: int, limit: int) -> list[StoredFrame]:
        """Frames in order, from the one behind `after`."""
        wanted = sa.select(frames_table.c.seq, frames_table.c.frame).where(frames_table.c.seq > after)
        with self._engine.connect() as connection:
            rows = connection.execute(wanted.order_by(frames_table.c.seq).limit(limit))
            return [StoredFrame(row.seq, row.frame) for row in rows]

    def frames(self, places: Collection[int]) -> list[StoredFrame]:
        """The frames at these places, in order."""
        wanted = sa.select(frames_table.c.seq, frames_table.c.frame).where(frames_table.c.seq.in_(places))
        with self._engine.connect() as connection:
            return [StoredFrame(row.seq, row.frame) for row in connection.execute(wanted.order_by(frames_table.c.seq))]

    def head(self) -> int:
        """The place of the last frame, 0 for an empty ledger."""
        self._in_place()
        with self._engine.connect() as connection:
            return connection.execute(sa.select(sa.func.max(frames_table.c.seq))).scalar() or 0

    def coordinates(self) -> dict[int, str]:
        """The dictionary of items: permanent number to coordinate, of every catalogue version there ever was."""
        with self._engine.connect() as connection:
            return {row.number: row.coordinate for row in connection.execute(sa.select(items_table))}


def _settle(batch: list[_Waiting], error: LedgerUnavailable | None) -> None:
    for waiting in batch:
        if waiting.durable.done():
            continue
        if error:
            waiting.durable.set_exception(error)
        else:
            waiting.durable.set_result(None)


def _prepare_sqlite(patience: int, connection: sqlite3.Connection, _: object) -> None:
    """`patience` is how long to wait for another process's write, in milliseconds."""
    connection.executescript(f"PRAGMA busy_timeout={patience}; PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;")
