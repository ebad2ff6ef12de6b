"""The control database itself: its tables, its transactions, the number of its last change. SQLite or PostgreSQL, with the same meaning.

Every change that touches decisions takes the sequence's one row first and holds it until it commits: changes come one after another, and
whoever reads a number sees all of the changes up to it.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.util import CommandError

from schema.embedded import file_at

_T = TypeVar("_T")
_ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")
_MIGRATION_LOCK = 7_034_001
"""PostgreSQL's advisory lock while one of several processes that start at once migrates."""
_POSTGRESQL = ("SET synchronous_commit = on", "SET statement_timeout = 5000", "SET lock_timeout = 5000")
"""What was answered as done must outlive a crash; milliseconds."""
_SQLITE = "PRAGMA busy_timeout=5000; PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON;"
_PATIENCE = {"connect_timeout": 3, "tcp_user_timeout": 5000}
"""Seconds and milliseconds that a server which has gone is waited for."""

metadata = sa.MetaData()
sequence = sa.Table(
    "sequence",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("number", sa.BigInteger, nullable=False),
)
grants = sa.Table(
    "grants",
    metadata,
    sa.Column("id", _ID, primary_key=True),
    sa.Column("department", sa.String(100), nullable=False, index=True),
    sa.Column("provider", sa.String(100), nullable=False, index=True),
    sa.Column("purposes", sa.JSON, nullable=False),
    sa.Column("modes", sa.JSON, nullable=False),
    sa.Column("scope", sa.Text, nullable=False),
    sa.Column("rows", sa.JSON, nullable=False),
    sa.Column("not_before", sa.String(20), nullable=False),
    sa.Column("expires", sa.String(20), nullable=False),
    sa.Column("agreement", sa.Text, nullable=False),
    sa.Column("agreement_state", sa.String(20), nullable=False),
    sa.Column("state", sa.String(20), nullable=False),
    sa.Column("decided_by", sa.String(20)),
    sa.Column("document", sa.Text, nullable=False),
    sa.Column("changed", sa.BigInteger, nullable=False, index=True),
)
grant_items = sa.Table(
    "grant_items",
    metadata,
    sa.Column("grant_id", _ID, sa.ForeignKey("grants.id", name="fk_grant_items_grant"), primary_key=True),
    sa.Column("coordinate", sa.String(250), primary_key=True),
    sa.Column("place", sa.Integer, nullable=False),
    sa.Column("authority", sa.Text, nullable=False),
    sa.Column("granted", sa.Boolean),
    sa.Column("reason", sa.Text, nullable=False),
)
grant_steps = sa.Table(
    "grant_steps",
    metadata,
    sa.Column("grant_id", _ID, sa.ForeignKey("grants.id", name="fk_grant_steps_grant"), primary_key=True),
    sa.Column("place", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("action", sa.String(50), nullable=False),
    sa.Column("by", sa.String(200), nullable=False),
    sa.Column("department", sa.String(100), nullable=False),
    sa.Column("at", sa.BigInteger, nullable=False),
    sa.Column("note", sa.Text, nullable=False),
)
suspensions = sa.Table(
    "suspensions",
    metadata,
    sa.Column("id", _ID, primary_key=True),
    sa.Column("provider", sa.String(100), nullable=False, index=True),
    sa.Column("department", sa.String(100), nullable=False),
    sa.Column("grant", sa.String(30), nullable=False),
    sa.Column("object", sa.String(250), nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("by", sa.String(200), nullable=False),
    sa.Column("at", sa.BigInteger, nullable=False),
    sa.Column("lifted_at", sa.BigInteger),
)
disablements = sa.Table(
    "disablements",
    metadata,
    sa.Column("kind", sa.String(20), primary_key=True),
    sa.Column("name", sa.String(250), primary_key=True),
    sa.Column("department", sa.String(100), primary_key=True),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("by", sa.String(200), nullable=False),
    sa.Column("at", sa.BigInteger, nullable=False),
)
notices = sa.Table(
    "notices",
    metadata,
    sa.Column("number", _ID, primary_key=True),
    sa.Column("at", sa.BigInteger, nullable=False),
    sa.Column("kind", sa.String(20), nullable=False),
    sa.Column("en", sa.Text, nullable=False),
    sa.Column("zh", sa.Text, nullable=False),
    sa.Column("reference", sa.String(30), nullable=False, index=True),
    sa.Column("department", sa.String(100), nullable=False, server_default=sa.text("''")),
    sa.Column("uses", sa.JSON(none_as_null=True)),
    sa.Index("ix_notices_department", "department", "number"),
)
corrections = sa.Table(
    "corrections",
    metadata,
    sa.Column("id", _ID, primary_key=True),
    sa.Column("provider", sa.String(100), nullable=False),
    sa.Column("resource", sa.String(100), nullable=False),
    sa.Column("item", sa.String(100), nullable=False),
    sa.Column("entity", sa.String(100), nullable=False),
    sa.Column("since", sa.BigInteger, nullable=False),
    sa.Column("until", sa.BigInteger),
    sa.Column("reference", sa.String(200), nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("by", sa.String(200), nullable=False),
    sa.Column("at", sa.BigInteger, nullable=False),
    sa.Column("undetermined", sa.Integer, nullable=False),
    sa.Column("request", sa.String(100), nullable=False),
    sa.UniqueConstraint("provider", "reference", name="uq_corrections_reference"),
)
reidentifications = sa.Table(
    "reidentifications",
    metadata,
    sa.Column("id", _ID, primary_key=True),
    sa.Column("hash", sa.String(100), nullable=False, index=True),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("requested_by", sa.String(200), nullable=False),
    sa.Column("department", sa.String(100), nullable=False),
    sa.Column("at", sa.BigInteger, nullable=False),
    sa.Column("approved_by", sa.String(200)),
    sa.Column("approved_at", sa.BigInteger),
    sa.Column("revealed_at", sa.BigInteger),
)
rule_files = sa.Table(
    "rule_files",
    metadata,
    sa.Column("name", sa.String(250), primary_key=True),
    sa.Column("rows", sa.JSON, nullable=False),
    sa.Column("texts", sa.JSON, nullable=False),
    sa.Column("changed", sa.BigInteger, nullable=False),
)
attempts = sa.Table(
    "attempts",
    metadata,
    sa.Column("id", _ID, primary_key=True),
    sa.Column("department", sa.String(100), nullable=False),
    sa.Column("entity", sa.String(100), nullable=False),
    sa.Column("coordinate", sa.String(250), nullable=False),
    sa.Column("at", sa.BigInteger, nullable=False),
    sa.Index("ix_attempts_whose", "department", "entity", "coordinate", "at"),
    sa.Index("ix_attempts_when", "department", "at"),
)
operations = sa.Table(
    "operations",
    metadata,
    sa.Column("digest", sa.String(100), primary_key=True),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("document", sa.Text, nullable=False),
    sa.Column("by", sa.String(200), nullable=False),
    sa.Column("at", sa.BigInteger, nullable=False),
)


class ControlUnavailable(Exception):
    """The control database cannot be read or written, or holds what it never should."""


_UNREADABLE = (
    sa.exc.SQLAlchemyError,
    sqlite3.Error,
    CommandError,
    ValueError,
    TypeError,
    KeyError,
    OverflowError,
    OSError,
)
"""What a database that is gone or damaged may cause."""


def migrate(engine: sa.Engine, revision: str = "head") -> None:
    """Bring the database to `revision`: `head`, `base`, or back by `-1`. CommandError for a newer one than this program knows."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "control_migrations"))
    with engine.connect() as connection:
        if engine.dialect.name == "postgresql":
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_MIGRATION_LOCK)))
        config.attributes["connection"] = connection
        if revision == "base" or revision.startswith("-"):
            command.downgrade(config, revision)
        else:
            command.upgrade(config, revision)
        connection.commit()


def next_number(connection: sa.Connection) -> int:
    """The number of the change that this transaction makes: no other change is made meanwhile."""
    counted = sa.update(sequence).values(number=sequence.c.number + 1).returning(sequence.c.number)
    return int(connection.execute(counted).scalar_one())


class Database:
    """Connections, transactions and threads of one control database."""

    def __init__(self, url: str | sa.URL) -> None:
        parsed = sa.make_url(url)
        self._embedded = parsed.get_backend_name() == "sqlite"
        self.engine = sa.create_engine(parsed, connect_args={} if self._embedded else _PATIENCE)
        sa.event.listen(self.engine, "connect", _prepare_sqlite if self._embedded else _prepare_postgresql)
        if self._embedded:
            sa.event.listen(self.engine, "begin", _begin_sqlite)
            self._writer: sa.Engine = self.engine.execution_options(begin="BEGIN IMMEDIATE")
            self._reader: sa.Engine = self.engine
        else:
            self._writer = self.engine
            self._reader = self.engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
        self._place = parsed.database if self._embedded else None
        self._file: tuple[int, int] | None = None
        self._polled: sa.PoolProxiedConnection | None = None
        # threads of its own: sources that keep the common ones busy must not delay what suspends them
        self._workers = ThreadPoolExecutor(4, "control")
        self._poller = ThreadPoolExecutor(1, "control-poll")

    def open(self) -> None:
        """Create or migrate the tables."""
        try:
            if self._place and self._place != ":memory:":
                Path(self._place).parent.mkdir(parents=True, exist_ok=True)
            migrate(self._writer)
            self._file = file_at(self._place)
        except _UNREADABLE as error:
            raise ControlUnavailable from error

    def close(self) -> None:
        self._workers.shutdown()
        self._poller.shutdown()
        if self._polled:
            self._polled.close()
        self.engine.dispose()

    async def read(self, work: Callable[[sa.Connection], _T]) -> _T:
        """What `work` reads, all of it from one moment."""
        return await self._run(self._reader, work)

    async def write(self, work: Callable[[sa.Connection], _T]) -> _T:
        """What `work` returns, once its changes are durable; none of them stays if it raises."""
        return await self._run(self._writer, work)

    async def number(self) -> int:
        """The number of the last change. An embedded database is read in place: quicker than a change of threads."""
        self._in_place()
        if self._embedded:
            return self._number_in_place()
        with _unavailable():
            return await asyncio.get_running_loop().run_in_executor(self._poller, self._number_by_server)

    async def _run(self, engine: sa.Engine, work: Callable[[sa.Connection], _T]) -> _T:
        self._in_place()

        def run() -> _T:
            with _unavailable(), engine.begin() as connection:
                return work(connection)

        return await asyncio.get_running_loop().run_in_executor(self._workers, run)

    def _number_in_place(self) -> int:
        with _unavailable():
            if self._polled is None:
                self._polled = self.engine.raw_connection()
            driver: Any = self._polled.driver_connection
            ((number,),) = driver.execute("SELECT number FROM sequence")
            return int(number)

    def _number_by_server(self) -> int:
        with self.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            return int(connection.execute(sa.select(sequence.c.number)).scalar_one())

    def _in_place(self) -> None:
        if file_at(self._place) != self._file:
            raise ControlUnavailable


@contextmanager
def _unavailable() -> Iterator[None]:
    """Turn what a lost or damaged database causes into ControlUnavailable."""
    try:
        yield
    except _UNREADABLE as error:
        raise ControlUnavailable from error


def _prepare_sqlite(connection: Any, _: object) -> None:
    connection.executescript(_SQLITE)
    connection.isolation_level = None  # the driver begins nothing by itself: `_begin_sqlite` does, reads included


def _begin_sqlite(connection: sa.Connection) -> None:
    """A write takes its lock at once, so that two never wait for each other; a read sees one moment."""
    connection.exec_driver_sql(connection.get_execution_options().get("begin", "BEGIN"))


def _prepare_postgresql(connection: Any, _: object) -> None:
    with connection.cursor() as cursor:
        for setting in _POSTGRESQL:
            cursor.execute(setting)
    connection.commit()
