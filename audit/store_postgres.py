"""The store on a PostgreSQL server, for several processes and machines.

Places come from one counted row, which a writer holds until its frames are durable: places have no gaps and become visible in their order,
which an identity column does not promise (a later number may commit first, and readers would pass over the earlier one). The price is
that one batch is written at a time; processes share that time by growing their batches.

Frames lie in monthly partitions (months of China), made a month ahead. An operation is on record once in a month.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Collection, Sequence
from datetime import date, datetime, timedelta
from functools import partial
from typing import Any

import psycopg
import sqlalchemy as sa
from psycopg import sql

from audit.store import NewFrame, StoreUnavailable
from audit.store_map import MapStore
from audit.store_months import MonthStore
from audit.store_sql import metadata, unavailable
from schema.formats import CHINA

_LOG = logging.getLogger("onesource.ledger")
_AHEAD_AGAIN = 60.0
"""Seconds between attempts at the partition ahead."""
_READING = 60_000
"""Milliseconds that a question may take; a batch has the ledger's own timeout."""
_TABLES = """
SELECT pg_advisory_xact_lock(hashtext('onesource.ledger'));
CREATE TABLE IF NOT EXISTS frames (seq bigint NOT NULL, at bigint NOT NULL, operation text NOT NULL, frame bytea NOT NULL)
  PARTITION BY RANGE (at);
CREATE TABLE IF NOT EXISTS head (id smallint PRIMARY KEY, seq bigint NOT NULL);
INSERT INTO head VALUES (1, 0) ON CONFLICT DO NOTHING;
"""
_PARTITION = """
SELECT pg_advisory_xact_lock(hashtext('onesource.ledger'));
CREATE TABLE IF NOT EXISTS frames_{name} PARTITION OF frames (PRIMARY KEY (seq), UNIQUE (operation))
  FOR VALUES FROM ({begin}) TO ({end});
"""
_APPEND = """
WITH counted AS (
  UPDATE head SET seq = seq + %b
  WHERE current_setting('fsync') = 'on' AND current_setting('synchronous_commit') IN ('on', 'remote_apply')
  RETURNING seq
)
INSERT INTO frames (seq, at, operation, frame)
SELECT counted.seq - %b + new.number, new.at, new.operation, new.frame
FROM counted, unnest(%b::bigint[], %b::text[], %b::bytea[]) WITH ORDINALITY AS new (at, operation, frame, number)
"""
"""One statement, so one round trip with its commit. Nothing is counted, so nothing inserted, where a commit would not be durable."""


_PARTITIONS = """
SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid WHERE i.inhparent = 'frames'::regclass ORDER BY c.relname
"""


class PostgresStore(MonthStore, MapStore):
    """The store at a PostgreSQL URL (psycopg 3); `timeout` in seconds is how long a batch may take."""

    def __init__(self, url: sa.URL, timeout: float) -> None:
        patience = int(timeout * 1000)
        waits = {
            "connect_timeout": max(2, math.ceil(timeout)),
            "tcp_user_timeout": patience,
        }  # libpq knows no second alone
        # what is long idle may be broken: reading asks first, for appending it would cost every batch a round trip
        reading = sa.create_engine(
            url, connect_args=waits, hide_parameters=True, isolation_level="AUTOCOMMIT", pool_pre_ping=True
        )
        changing = sa.create_engine(url, connect_args=waits, hide_parameters=True, pool_pre_ping=True)
        self._appending = sa.create_engine(
            url, connect_args=waits, hide_parameters=True, isolation_level="AUTOCOMMIT", pool_size=1
        )
        for engine, milliseconds in ((reading, _READING), (changing, _READING), (self._appending, patience)):
            sa.event.listen(engine, "connect", partial(_prepare, milliseconds))
        super().__init__(reading, changing)
        self._patience = patience
        self._months: set[date] = set()
        self._ahead_again = 0.0

    def open(self) -> None:
        """Create what is missing; StoreUnavailable for a server that does not sync what it commits."""
        with self._change() as connection:
            connection.exec_driver_sql(_TABLES)
            metadata.create_all(connection)
        self._make_months([int(datetime.now(CHINA).timestamp() * 1_000_000)])

    def close(self) -> None:
        self._appending.dispose()
        super().close()

    def append(self, batch: Sequence[NewFrame]) -> None:
        """Return when all of the batch is durable, in its order; else none of it is."""
        count = len(batch)
        packed = self._compression.pack([one.frame for one in batch])
        columns = [one.at for one in batch], [one.operation for one in batch], packed
        for again in (True, False):
            self._make_months(columns[0])
            try:
                with unavailable(), self._appending.connect() as connection:
                    if connection.exec_driver_sql(_APPEND, (count, count, *columns)).rowcount != count:
                        raise StoreUnavailable("the server does not sync what it commits")
            except StoreUnavailable as error:
                self._months.clear()  # perhaps a partition has gone
                if again and isinstance(getattr(error.__cause__, "orig", None), psycopg.errors.CheckViolation):
                    continue  # it has: a frame came when its month was sealed already
                self._compression.forget()
                raise
            return

    def check(self) -> None:
        """Return if frames could be appended now: the server takes changes, and nobody keeps the counted row."""
        with unavailable(), self._changing.connect() as connection:
            connection.exec_driver_sql(f"SET LOCAL lock_timeout = {self._patience}")
            connection.exec_driver_sql("SELECT seq FROM head FOR UPDATE").scalar_one()
            connection.rollback()

    def head(self) -> int:
        """The place of the last frame, 0 for an empty ledger."""
        with self._read() as connection:
            return int(connection.exec_driver_sql("SELECT seq FROM head").scalar_one())

    def _drop_partition(self, connection: sa.Connection, last: int) -> int:
        """Drop a partition whose frames all stand up to this place: how many there were, 0 for none.

        Where it would have to wait for others it does not: whoever waits for it makes appends wait behind it.
        """
        for name in connection.exec_driver_sql(_PARTITIONS).scalars().all():
            seq = sa.table(name, sa.column("seq")).c.seq
            kept = connection.execute(sa.select(seq).where(seq > last).limit(1)).first()
            count = 0 if kept else connection.execute(sa.select(sa.func.count(seq))).scalar_one()
            if not count:
                continue
            connection.exec_driver_sql("SET LOCAL lock_timeout = 200")
            try:
                with connection.begin_nested():
                    connection.exec_driver_sql(f"DROP TABLE {connection.dialect.identifier_preparer.quote(name)}")
            except sa.exc.OperationalError:
                return 0  # row by row, then
            return int(count)
        return 0

    def _now(self) -> sa.ColumnElement[float]:
        return sa.func.date_part("epoch", sa.func.clock_timestamp(), type_=sa.Double)

    def _make_months(self, moments: Collection[int]) -> None:
        """Make the partitions of these moments (microseconds), and the one ahead of the last."""
        first, last = _month(min(moments)), _month(max(moments))
        needed = {first, last} if last <= _next(first) else {_month(at) for at in moments}
        for month in needed - self._months:
            self._make(month)
        ahead = _next(last)
        if ahead in self._months or time.monotonic() < self._ahead_again:
            return
        try:
            self._make(ahead)
        except StoreUnavailable:  # there are weeks left to try
            self._ahead_again = time.monotonic() + _AHEAD_AGAIN
            _LOG.warning("the ledger's partition for the next month cannot be made yet")

    def _make(self, month: date) -> None:
        begin, end = (int(_begin(one) * 1_000_000) for one in (month, _next(month)))
        with self._change() as connection:
            connection.exec_driver_sql(_PARTITION.format(name=f"{month:%Y_%m}", begin=begin, end=end))
        self._months.add(month)


def _month(at: int) -> date:
    return datetime.fromtimestamp(at / 1_000_000, CHINA).date().replace(day=1)


def _next(month: date) -> date:
    return (month + timedelta(days=31)).replace(day=1)


def _begin(month: date) -> float:
    return datetime.combine(month, datetime.min.time(), CHINA).timestamp()


def _prepare(milliseconds: int, connection: psycopg.Connection[Any], _: object) -> None:
    """Let a statement take so long, and sync every commit; StoreUnavailable for a server that is not set up to."""
    for setting in ("fsync", "synchronous_commit"):
        if connection.execute(sql.SQL("SHOW {}").format(sql.Identifier(setting))).fetchone() == ("off",):
            raise StoreUnavailable(f"{setting} is off: the server does not keep what it commits")
    half = milliseconds // 2  # whoever waits for a lock is told before the whole patience is gone
    connection.execute(
        f"SET synchronous_commit = on; SET statement_timeout = {milliseconds}; SET lock_timeout = {half}"
    )
    connection.commit()
