"""Requests to turn a keyed hash of the ledger back into a data subject, each by two persons; kept in the control database.

One asks, another approves, within a day. Each of the two is told once, the one who asked within a quarter of an hour. The database
holds the hash and never whose it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import sqlalchemy as sa

from policies.control_database import Database, reidentifications
from policies.control_values import number_of

PENDING = 24 * 3600 * 1_000_000
"""Microseconds that a request waits to be approved."""
OPEN = 15 * 60 * 1_000_000
"""Microseconds from the approval in which the one who asked may be told."""
_COLUMNS = (
    *("hash", "reason", "requested_by", "department", "at"),
    *("approved_by", "approved_at", "revealed_at"),
)


class ReidentificationState(StrEnum):
    """还原申请状态."""

    REQUESTED = "REQUESTED"
    APPROVED = "APPROVED"
    """Approved, and the one who asked may still be told."""
    REVEALED = "REVEALED"
    EXPIRED = "EXPIRED"


@dataclass(frozen=True, slots=True)
class Reidentification:
    """A request. `id` is `R` and a number; persons by their `sub`; times in Unix microseconds, `revealed_at` when the one who asked was told."""

    id: str
    hash: str
    reason: str
    requested_by: str
    department: str
    at: int
    approved_by: str | None = None
    approved_at: int | None = None
    revealed_at: int | None = None

    def state(self, now: int) -> ReidentificationState:
        if self.revealed_at is not None:
            return ReidentificationState.REVEALED
        if self.approved_at is not None:
            open_still = now < self.approved_at + OPEN
            return ReidentificationState.APPROVED if open_still else ReidentificationState.EXPIRED
        return ReidentificationState.REQUESTED if now < self.at + PENDING else ReidentificationState.EXPIRED


class Reidentifications:
    """The requests in one control database. Every method may raise ControlUnavailable."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def request(self, asked: Reidentification) -> Reidentification | None:
        """Keep a request: it with its id. None if one for the same hash still waits for an approval."""
        r = reidentifications.c
        values = {name: getattr(asked, name) for name in _COLUMNS}

        def work(connection: sa.Connection) -> Reidentification | None:
            if connection.dialect.name == "postgresql":
                named = f"reidentification/{asked.hash}"
                connection.execute(sa.select(sa.func.pg_advisory_xact_lock(sa.func.hashtextextended(named, 0))))
            if _read(connection, r.hash == asked.hash, r.approved_at.is_(None), r.at > asked.at - PENDING):
                return None
            inserted = sa.insert(reidentifications).values(values).returning(r.id)
            return _read(connection, r.id == connection.execute(inserted).scalar_one())[0]

        return await self._database.write(work)

    async def approve(self, id: str, by: str, at: int) -> bool:  # noqa: A002
        """Approve a request that waits for it, by another person than asked; False if it does not, or not any more."""
        r = reidentifications.c
        waits = [r.id == number_of(id, "R"), r.approved_at.is_(None), r.at > at - PENDING, r.requested_by != by]
        approved = sa.update(reidentifications).where(*waits).values(approved_by=by, approved_at=at)
        return await self._database.write(lambda connection: connection.execute(approved).rowcount == 1)

    async def reveal(self, id: str, by: str, at: int) -> bool:  # noqa: A002
        """Note that the one who asked is told now; False if it is somebody else, too late, too early or the second time."""
        r = reidentifications.c
        waits = [r.id == number_of(id, "R"), r.approved_at > at - OPEN, r.revealed_at.is_(None), r.requested_by == by]
        revealed = sa.update(reidentifications).where(*waits).values(revealed_at=at)
        return await self._database.write(lambda connection: connection.execute(revealed).rowcount == 1)

    async def find(self, id: str) -> Reidentification | None:  # noqa: A002
        """The request of this id."""
        where = reidentifications.c.id == number_of(id, "R")
        found = await self._database.read(lambda connection: _read(connection, where))
        return found[0] if found else None

    async def latest(self, limit: int, by: str = "") -> tuple[Reidentification, ...]:
        """The requests (of this person only), newest first, at most `limit`."""
        where = [reidentifications.c.requested_by == by] if by else []
        return await self._database.read(lambda connection: _read(connection, *where, limit=limit))


def _read(connection: sa.Connection, *where: sa.ColumnElement[bool], limit: int = 1) -> tuple[Reidentification, ...]:
    chosen = sa.select(reidentifications).where(*where).order_by(reidentifications.c.id.desc()).limit(max(0, limit))
    return tuple(
        Reidentification(f"R{row.id}", *(getattr(row, name) for name in _COLUMNS)) for row in connection.execute(chosen)
    )
