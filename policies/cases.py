"""Cases (办件): what stops browsing.

A case belongs to one department and one of its service items, carries the acceptance number (受理号), has subjects, and expires. It
authorises look-ups of its subjects only. Subjects' identifiers are sealed with AES-256-GCM at rest, bound to their case:
neither the database nor a copy of it tells who applied.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import TypeVar

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from schema.catalogue import Service
from schema.embedded import file_at

_MAX_REMEMBERED = 10_000
MAX_NUMBER = 64
"""Characters of an acceptance number, at most."""
_T = TypeVar("_T")

metadata = sa.MetaData()
cases_table = sa.Table(
    "cases",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("department", sa.String(100), nullable=False),
    sa.Column("number", sa.String(100), nullable=False),
    sa.Column("service", sa.String(100), nullable=False),
    sa.Column("opened_at", sa.BigInteger, nullable=False),
    sa.Column("opened_by", sa.String(200), nullable=False),
    sa.Column("expires_at", sa.BigInteger, nullable=False),
    sa.Column("closed_at", sa.BigInteger),
    sa.Column("closed_by", sa.String(200)),
    sa.UniqueConstraint("department", "number", name="uq_cases_department_number"),
)
subjects_table = sa.Table(
    "case_subjects",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column(
        "case_id", sa.Integer, sa.ForeignKey("cases.id", name="fk_case_subjects_case"), nullable=False, index=True
    ),
    sa.Column("entity", sa.String(100), nullable=False),
    sa.Column("role", sa.String(100), nullable=False),
    sa.Column("basis", sa.String(500), nullable=False),
    sa.Column("sealed", sa.LargeBinary, nullable=False),
)

_c, _s = cases_table.c, subjects_table.c
_CASE = (
    sa.select(_c.number, _c.department, _c.service, _c.opened_at, _c.expires_at, _c.closed_at)
    .add_columns(_s.entity, _s.sealed, _s.role, _s.basis)
    .join(subjects_table, _s.case_id == _c.id)
    .where(_c.department == sa.bindparam("department"), _c.number == sa.bindparam("number"))
    .order_by(_s.id)
)
"""A case, once for each of its subjects (it has one at least)."""
_LATEST = (
    sa.select(_c.number)
    .where(_c.department == sa.bindparam("department"))
    .order_by(_c.id.desc())
    .limit(sa.bindparam("limit"))
)


class CaseState(StrEnum):
    """办件状态."""

    OPEN = "OPEN"
    CLOSED = "CLOSED"
    EXPIRED = "EXPIRED"


@dataclass(frozen=True, slots=True)
class CaseSubject:
    """A subject of a case: entity, normalised identifier, role, and on which basis it was added."""

    entity: str
    identifier: str
    role: str
    basis: str


@dataclass(frozen=True, slots=True)
class Case:
    """A case with its subjects. Times are aware and in UTC."""

    number: str
    department: str
    service: str
    opened_at: datetime
    expires_at: datetime
    closed_at: datetime | None
    subjects: tuple[CaseSubject, ...]

    def state(self, now: datetime) -> CaseState:
        if self.closed_at:
            return CaseState.CLOSED
        return CaseState.EXPIRED if now >= self.expires_at else CaseState.OPEN


class CaseStoreUnavailable(Exception):
    """The case store cannot be read or written."""


_UNREADABLE = (sa.exc.SQLAlchemyError, InvalidTag, ValueError, TypeError, OverflowError, OSError)
"""What a damaged store may cause: a time or a sealed identifier that is none."""


class CaseExists(Exception):
    """The department already has a case of that number."""


class Seal:
    """Seals identifiers with AES-256-GCM under a secret of 32 bytes; each is bound to its case and entity."""

    def __init__(self, secret: bytes) -> None:
        if len(secret) != 32:
            raise ValueError("the case secret must have 32 bytes")
        self._aead = AESGCM(secret)

    def seal(self, identifier: str, bound_to: str) -> bytes:
        nonce = os.urandom(12)
        return nonce + self._aead.encrypt(nonce, identifier.encode(), bound_to.encode())

    def open(self, sealed: bytes, bound_to: str) -> str:
        if len(sealed) < 28:  # nonce and tag
            raise InvalidTag
        return self._aead.decrypt(sealed[:12], sealed[12:], bound_to.encode()).decode()


def migrate(engine: sa.Engine, revision: str = "head") -> None:
    """Bring the case store to `revision`: `head`, `base`, or back by `-1`. CommandError for a newer store than this program knows."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    with engine.connect() as connection:
        config.attributes["connection"] = connection
        if revision == "base" or revision.startswith("-"):
            command.downgrade(config, revision)
        else:
            command.upgrade(config, revision)
        connection.commit()


class CaseStore:
    """The cases of all departments, in one database of ours.

    A case that was read is remembered until anybody writes to the store, in this process or another: closing a case is in force at once.
    """

    def __init__(self, url: str, secret: bytes) -> None:
        self._engine = sa.create_engine(url)
        if self._engine.dialect.name == "sqlite":
            sa.event.listen(self._engine, "connect", _prepare_sqlite)
        self._seal = Seal(secret)
        self._reader: sa.PoolProxiedConnection | None = None
        written = _CASE.compile(dialect=self._engine.dialect)
        self._case_text = str(written), written.positiontup if written.positional else None
        self._driver_error: type[Exception] = self._engine.dialect.loaded_dbapi.Error
        self._place = self._engine.url.database if self._engine.dialect.name == "sqlite" else None
        self._file: tuple[int, int] | None = None
        self._remembered: dict[tuple[str, str], Case | None] = {}
        self._version = 0

    def open(self) -> None:
        """Create or migrate the tables."""
        try:
            migrate(self._engine)
            self._file = file_at(self._place)
        except (sa.exc.SQLAlchemyError, CommandError) as error:
            raise CaseStoreUnavailable from error

    def close(self) -> None:
        if self._reader:
            self._reader.close()
        self._engine.dispose()

    async def find(self, department: str, number: str) -> Case | None:
        """The department's case of that acceptance number, whatever its state."""
        self._in_place()
        try:
            return self._find(department, number)
        except _UNREADABLE as error:
            raise CaseStoreUnavailable from error

    async def of_department(self, department: str, limit: int) -> tuple[Case, ...]:
        """The department's latest cases, newest first, at most `limit`."""
        return await self._run(lambda: self._latest(department, limit))

    async def accept(
        self, service: Service, number: str, subjects: Sequence[CaseSubject], opened_by: str, now: datetime
    ) -> Case:
        """Open a case until `service.days` from now; `CaseExists` if the number is taken."""
        expires = now + timedelta(days=service.days)
        case = Case(number, service.department, service.code, now, expires, None, tuple(subjects))
        await self._run(lambda: self._insert(case, opened_by))
        return case

    async def close_case(self, department: str, number: str, closed_by: str, now: datetime) -> Case | None:
        """Close an open case at once; a case that is closed already stays as it was. None if there is none."""
        closing = (
            sa.update(cases_table)
            .where(cases_table.c.department == department, cases_table.c.number == number)
            .where(cases_table.c.closed_at.is_(None))
            .values(closed_at=_micros(now), closed_by=closed_by)
        )

        def run() -> None:
            with self._engine.begin() as connection:
                connection.execute(closing)

        await self._run(run)
        return await self.find(department, number)

    def _in_place(self) -> None:
        if file_at(self._place) != self._file:
            raise CaseStoreUnavailable

    async def _run(self, work: Callable[[], _T]) -> _T:
        self._in_place()
        try:
            return await asyncio.to_thread(work)
        except _UNREADABLE as error:
            raise CaseStoreUnavailable from error

    def _find(self, department: str, number: str) -> Case | None:
        """One read of an embedded store by its indexes: quicker than a change of threads."""
        if self._reader is None:
            self._reader = self._engine.raw_connection()
        key = (department, number)
        try:
            if self._place:
                # SQLite says whether anybody else has written since: what was read is good as long as nobody has
                ((version,),) = self._reader.driver_connection.execute("PRAGMA data_version")  # type: ignore[union-attr]
                if version != self._version or len(self._remembered) >= _MAX_REMEMBERED:
                    self._remembered.clear()
                    self._version = version
                if key not in self._remembered:
                    self._remembered[key] = self._read(self._reader, department, number)
                return self._remembered[key]
            return self._read(self._reader, department, number)
        except self._driver_error as error:
            self._reader.invalidate()
            self._reader = None
            raise CaseStoreUnavailable from error

    def _read(self, connection: sa.PoolProxiedConnection, department: str, number: str) -> Case | None:
        """A case by the driver itself: SQLAlchemy wrote the text, its result objects would cost more than the read."""
        text, names = self._case_text
        given = {"department": department, "number": number}
        cursor = connection.cursor()
        try:
            cursor.execute(text, tuple(given[name] for name in names) if names is not None else given)
            rows = cursor.fetchall()
        finally:
            cursor.close()
        if not rows:
            return None
        subjects = tuple(
            CaseSubject(entity, self._seal.open(sealed, f"{department}/{number}/{entity}"), role, basis)
            for *_, entity, sealed, role, basis in rows
        )
        _, _, service, opened, expires, closed, *_ = rows[0]
        until = None if closed is None else _moment(closed)
        return Case(number, department, service, _moment(opened), _moment(expires), until, subjects)

    def _insert(self, case: Case, opened_by: str) -> None:
        with self._engine.begin() as connection:
            try:
                result = connection.execute(
                    sa.insert(cases_table).values(
                        department=case.department,
                        number=case.number,
                        service=case.service,
                        opened_at=_micros(case.opened_at),
                        opened_by=opened_by,
                        expires_at=_micros(case.expires_at),
                    )
                )
            except sa.exc.IntegrityError as error:
                raise CaseExists from error
            (case_id,) = result.inserted_primary_key or (None,)
            connection.execute(
                sa.insert(subjects_table),
                [
                    {
                        "case_id": case_id,
                        "entity": s.entity,
                        "role": s.role,
                        "basis": s.basis,
                        "sealed": self._seal.seal(s.identifier, f"{case.department}/{case.number}/{s.entity}"),
                    }
                    for s in case.subjects
                ],
            )

    def _latest(self, department: str, limit: int) -> tuple[Case, ...]:
        with self._engine.connect() as connection:
            numbers = connection.execute(_LATEST, {"department": department, "limit": limit}).scalars().all()
            cases = [self._read(connection.connection, department, number) for number in numbers]
        return tuple(case for case in cases if case)


def _micros(moment: datetime) -> int:
    return int(moment.timestamp()) * 1_000_000 + moment.microsecond


def _moment(micros: int) -> datetime:
    return datetime.fromtimestamp(micros // 1_000_000, UTC).replace(microsecond=micros % 1_000_000)


def _prepare_sqlite(connection: sqlite3.Connection, _: object) -> None:
    connection.executescript(
        "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON; PRAGMA busy_timeout=2000;"
    )
