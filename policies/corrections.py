"""Corrections: what a provider found wrong in its data and put right, and whom it told (Changsha 32); kept in the control database.

Neither an identifier nor a value is kept: whose record it was stands as a keyed hash.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import sqlalchemy as sa

from policies.control_database import Database, corrections, notices
from policies.control_values import notice_of, write_notice
from policies.grants import Notice

_COLUMNS = (
    *("provider", "resource", "item", "entity", "since", "until", "reference", "reason", "by", "at"),
    *("undetermined", "request"),
)


@dataclass(frozen=True, slots=True)
class Correction:
    """A correction. `id` is `C` and a number, `entity` a keyed hash; the wrong value stood from `since` until, not with, `until` (Unix microseconds).

    `request` is a keyed digest of what was asked for, by which the same request is known again. `undetermined` counts readings of which the
    ledger does not say which version they were of. `notices` are those to the departments affected.
    """

    id: str
    provider: str
    resource: str
    item: str
    entity: str
    since: int
    until: int | None
    reference: str
    reason: str
    by: str
    at: int
    undetermined: int
    request: str
    notices: tuple[Notice, ...] = ()


class ReferenceTaken(Exception):
    """The provider has another correction under this reference."""


class Corrections:
    """The corrections in one control database. Every method may raise ControlUnavailable."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def record(self, correction: Correction, told: Sequence[Notice]) -> Correction:
        """Keep a correction and tell the departments affected, all or nothing. The same request again is the one that was kept.

        ReferenceTaken for another one under its reference.
        """
        values = {name: getattr(correction, name) for name in _COLUMNS}

        def work(connection: sa.Connection) -> Correction:
            if connection.dialect.name == "postgresql":  # the same request, sent twice at once, waits for the first
                named = f"correction/{correction.provider}/{correction.reference}"
                connection.execute(sa.select(sa.func.pg_advisory_xact_lock(sa.func.hashtextextended(named, 0))))
            known = _read(connection, *_same(correction.provider, correction.reference))
            if known:
                if known[0].request != correction.request:
                    raise ReferenceTaken
                return known[0]
            inserted = sa.insert(corrections).values(values).returning(corrections.c.id)
            number = connection.execute(inserted).scalar_one()
            for notice in told:
                write_notice(connection, notice, f"C{number}")
            return _read(connection, corrections.c.id == number)[0]

        return await self._database.write(work)

    async def find(self, provider: str, reference: str) -> Correction | None:
        """The provider's correction under this reference."""
        found = await self._database.read(lambda connection: _read(connection, *_same(provider, reference)))
        return found[0] if found else None

    async def latest(self, provider: str, limit: int) -> tuple[Correction, ...]:
        """The provider's corrections (all of them for ""), newest first, at most `limit`."""
        where = [corrections.c.provider == provider] if provider else []
        return await self._database.read(lambda connection: _read(connection, *where, limit=limit))


def _same(provider: str, reference: str) -> tuple[sa.ColumnElement[bool], ...]:
    return corrections.c.provider == provider, corrections.c.reference == reference


def _read(connection: sa.Connection, *where: sa.ColumnElement[bool], limit: int = 1) -> tuple[Correction, ...]:
    chosen = sa.select(corrections).where(*where).order_by(corrections.c.id.desc()).limit(max(0, limit))
    found = [Correction(f"C{row.id}", *(getattr(row, name) for name in _COLUMNS)) for row in connection.execute(chosen)]
    told: dict[str, list[Notice]] = {one.id: [] for one in found}
    asked = sa.select(notices).where(notices.c.reference.in_(told)).order_by(notices.c.number)
    for row in connection.execute(asked):
        told[row.reference].append(notice_of(row))
    return tuple(replace(one, notices=tuple(told[one.id])) for one in found)
