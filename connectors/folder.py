"""The deliveries of a folder as one embedded database: what the kind `file` asks.

A thread of its own looks at the folder once a second. A new delivery is loaded beside the one in force and takes its place in one step;
one that is refused leaves the last good one in force. A table whose deliveries are all taken away is withdrawn.
"""

from __future__ import annotations

import asyncio
import logging
import tempfile
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from math import inf
from pathlib import Path
from typing import Any

import duckdb
import sqlalchemy as sa
from sqlalchemy.engine.default import DefaultDialect
from sqlalchemy.sql.compiler import SQLCompiler

from connectors.contract import SourceError
from connectors.deliveries import Delivery, Refused, Unfinished, find, name_of, opened, tables_in, take
from connectors.statements import Select

_LOOK_SECONDS = 1.0
_AGAIN_SECONDS = 30.0
_URGE_SECONDS = 0.02
_LOG = logging.getLogger("onesource.sources")


class _Compiler(SQLCompiler):
    """SQL as DuckDB takes it: a text that is no number is NULL in a condition, and not the end of the statement."""

    def visit_cast(self, cast: Any, **kwargs: Any) -> str:
        return f"TRY_{super().visit_cast(cast, **kwargs)}"  # type: ignore[no-untyped-call]


class DuckDB(DefaultDialect):
    """DuckDB's SQL, with parameters by place."""

    name = "duckdb"
    driver = "duckdb"
    statement_compiler = _Compiler
    supports_statement_cache = False

    def __init__(self) -> None:
        super().__init__(paramstyle="qmark")


@dataclass(frozen=True, slots=True)
class State:
    """How a table stands: the delivery in force, and those refused with the reasons, all by file name."""

    table: str
    in_force: str | None
    refused: dict[str, str]


@dataclass(slots=True)
class _Table:
    """What is in force of a table, under which name it is attached, and what is not looked at again until when (monotonic seconds), and why."""

    in_force: Delivery | None = None
    attached: str = ""
    passed_over: dict[Delivery | None, tuple[float, str]] = field(default_factory=dict)


class Folder:
    """The deliveries of a folder. `encoding` is of CSV; `marked`: each has an `.ok` beside it; `memory` in megabytes, `pool` of threads."""

    dialect: sa.Dialect = DuckDB()
    terms = "duckdb"
    batch = 20_000

    def __init__(self, folder: Path, encoding: str, marked: bool, memory: int, pool: int) -> None:
        self._folder, self._encoding, self._marked, self._memory = folder, encoding, marked, memory
        self._threads = ThreadPoolExecutor(pool, thread_name_prefix="file")
        self._tables: dict[str, _Table] = {}
        self._numbers = count(1)
        self._lock = threading.Lock()
        self._begun: _Begun | None = None
        self._looked, self._closing = threading.Event(), threading.Event()
        self.readable = True
        """Whether the folder could be read when it was last looked at."""

    def begin(self) -> None:
        """Begin to look at the folder; of itself when first asked."""
        with self._lock:
            if self._begun is None and not self._closing.is_set():
                private = tempfile.TemporaryDirectory(prefix="onesource-", ignore_cleanup_errors=True)
                watch = threading.Thread(target=self._watch, name="file-watch", daemon=True)
                self._begun = _Begun(private, opened(Path(private.name), self._memory), watch)
                watch.start()

    async def meet(self, deadline: float) -> None:
        """Nothing to learn: DuckDB compares texts by code point."""

    async def select(self, select: Select, parameters: Any, deadline: float) -> Sequence[Any]:
        statement = _Statement(deadline)
        work = partial(self._select, statement, select.text, parameters)
        try:
            async with asyncio.timeout(deadline - time.monotonic()):
                return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        except (TimeoutError, duckdb.InterruptException):
            raise SourceError("SOURCE_TIMEOUT") from None
        except (duckdb.CatalogException, duckdb.BinderException):
            raise SourceError("SOURCE_CHANGED" if self.readable else "SOURCE_UNAVAILABLE") from None
        except (duckdb.Error, OSError) as error:
            raise SourceError("SOURCE_UNAVAILABLE") from error
        finally:
            statement.end()  # of itself by now, or nobody waits for it any more

    def _select(self, statement: _Statement, text: str, parameters: Any) -> Sequence[Any]:
        self.begin()
        if not self._looked.wait(max(0, statement.deadline - time.monotonic())):
            raise TimeoutError
        with self._lock:
            if self._begun is None:
                raise OSError("closed")
            cursor = self._begun.database.cursor()
        try:
            return statement.read(cursor, text, parameters)
        finally:
            cursor.close()

    async def close(self) -> None:
        self._closing.set()
        await asyncio.to_thread(self._threads.shutdown, cancel_futures=True)
        begun = self._begun
        if begun:
            await asyncio.to_thread(begun.watch.join)
            with self._lock:
                self._begun = None
                begun.database.close()
            begun.private.cleanup()

    def states(self) -> tuple[State, ...]:
        """How each table stands."""
        return tuple(
            State(
                name,
                table.in_force.path.name if table.in_force else None,
                {one.path.name if one else name: reason for one, (_, reason) in table.passed_over.items()},
            )
            for name, table in sorted(self._tables.copy().items())
        )

    # -- the watch -----------------------------------------------------------------------------------------------

    def _watch(self) -> None:
        assert self._begun
        database, private = self._begun.database.cursor(), Path(self._begun.private.name)
        while not self._closing.is_set():
            self._look(database, private)
            self._looked.set()
            self._closing.wait(_LOOK_SECONDS)
        database.close()

    def _look(self, database: duckdb.DuckDBPyConnection, private: Path) -> None:
        try:
            delivered = tables_in(self._folder)
        except OSError as error:
            if self.readable:
                _LOG.warning("the folder of deliveries %r cannot be read (%s)", self._folder.name, type(error).__name__)
            self.readable = False
            return  # what is in force stays
        self.readable = True
        names: dict[str, str] = {}
        for name in [*self._tables, *delivered]:  # DuckDB takes t for T
            names.setdefault(name.casefold(), name)
        for name in sorted(names.values()):
            if self._closing.is_set():
                return
            self._look_at(name, self._tables.setdefault(name, _Table()), database, private)

    def _look_at(self, name: str, table: _Table, database: duckdb.DuckDBPyConnection, private: Path) -> None:
        try:
            found = find(self._folder, name, self._marked)
        except (Unfinished, OSError):
            return
        except Refused as refused:
            self._pass_over(name, table, None, str(refused), inf)
            return
        table.passed_over = {one: why for one, why in table.passed_over.items() if one in found}
        if not found and table.in_force:
            database.execute(f"DROP VIEW {_view(name)}")
            self._detach(table, database)
            table.in_force = None
            _LOG.warning("table %r is withdrawn: its deliveries were taken away", name)
        for delivery in found:
            if delivery == table.in_force:
                return
            if table.passed_over.get(delivery, (0.0, ""))[0] > time.monotonic():
                continue
            try:
                self._load(name, table, delivery, database, private / f"{next(self._numbers)}.duckdb")
                return
            except Refused as refused:
                self._pass_over(name, table, delivery, str(refused), inf)
            except Unfinished as unfinished:
                why = "it cannot be read now" if unfinished.__cause__ else "it was written meanwhile"
                until = time.monotonic() + (_AGAIN_SECONDS if unfinished.__cause__ else 0)
                self._pass_over(name, table, delivery, why, until)

    def _load(
        self, name: str, table: _Table, delivery: Delivery, database: duckdb.DuckDBPyConnection, file: Path
    ) -> None:
        """Put a delivery in force: readers see the old one or the new one, and never both."""
        attached = take(delivery, self._encoding, database, file)
        if schema := name.rpartition(".")[0]:
            database.execute(f"CREATE SCHEMA IF NOT EXISTS {name_of(schema)}")
        database.execute(f"CREATE OR REPLACE VIEW {_view(name)} AS SELECT * FROM {attached}.main.delivery")  # noqa: S608 - names are quoted
        self._detach(table, database)
        table.in_force, table.attached = delivery, attached
        _LOG.info("delivery %r of table %r is in force", delivery.path.name, name)

    def _detach(self, table: _Table, database: duckdb.DuckDBPyConnection) -> None:
        """Let go of what was in force; a statement under way reads on."""
        if table.attached:
            database.execute(f"DETACH {table.attached}")
            table.attached = ""

    def _pass_over(self, name: str, table: _Table, delivery: Delivery | None, why: str, until: float) -> None:
        told = table.passed_over.get(delivery, (0.0, ""))[1]
        table.passed_over[delivery] = until, why
        if told != why:
            stays = f"{table.in_force.path.name!r} stays in force" if table.in_force else "nothing is in force"
            file = delivery.path.name if delivery else name
            _LOG.warning("delivery %r of table %r is not taken: %s; %s", file, name, why, stays)


def _view(table: str) -> str:
    schema, _, name = table.rpartition(".")
    return f"{name_of(schema)}.{name_of(name)}" if schema else name_of(name)


@dataclass(frozen=True, slots=True)
class _Begun:
    """What a folder that is looked at holds open."""

    private: tempfile.TemporaryDirectory[str]
    database: duckdb.DuckDBPyConnection
    watch: threading.Thread


class _Statement:
    """One statement on a thread, which ends by its deadline, or when nobody waits for it any more."""

    def __init__(self, deadline: float) -> None:
        self.deadline = deadline
        self._ended = threading.Event()
        self._change = threading.Event()

    def end(self) -> None:
        """Stop it if it runs."""
        self.deadline = 0
        self._change.set()

    def read(self, cursor: duckdb.DuckDBPyConnection, text: str, parameters: Any) -> Sequence[Any]:
        if time.monotonic() >= self.deadline:
            raise TimeoutError
        guard = threading.Thread(target=self._guard, args=(cursor,), name="file-guard", daemon=True)
        guard.start()
        try:
            return cursor.execute(text, parameters).fetchall()
        finally:
            self._ended.set()
            self._change.set()
            guard.join()

    def _guard(self, cursor: duckdb.DuckDBPyConnection) -> None:
        self._change.wait(max(0, self.deadline - time.monotonic()))
        while not self._ended.wait(_URGE_SECONDS if time.monotonic() >= self.deadline else 0):
            cursor.interrupt()  # more than once: it is not heard between two steps of a statement
