"""The control database: what departments decide about sharing while the service runs.

Grants, suspensions, disablements, rule files, trusted operations, attempts at verification, and what the supervising authority was told.
Several processes share it; `sequence` tells each of them that something has changed, `changes` what.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import sqlalchemy as sa

from policies import control_database as tables
from policies.control_database import ControlUnavailable, Database, next_number
from policies.control_values import (
    disablement_of,
    grant_columns,
    item_columns,
    lift_notice,
    notice_of,
    number_of,
    read_grants,
    read_suspensions,
    rules_columns,
    rules_of,
    step_columns,
    suspension_notice,
    write_notice,
)
from policies.corrections import Corrections
from policies.grants import DisabledKind, Disablement, Grant, GrantState, Notice, Suspension
from policies.reidentifications import Reidentifications
from policies.rules import Rules

__all__ = ["Changes", "Control", "ControlConflict", "ControlUnavailable", "Operation"]

Attempt = tuple[str, str]
"""A try to verify: the data subject's hash, and the coordinate `Resource.item`."""
_CHUNK = 500
"""Values in one IN: far from the limits of both databases."""


class ControlConflict(Exception):
    """Somebody else changed it meanwhile: read it again, and decide anew."""


@dataclass(frozen=True, slots=True)
class Changes:
    """What is in force at `sequence`: the grants that changed, every open suspension, every disablement; whether rule files changed."""

    sequence: int
    grants: tuple[Grant, ...]
    suspensions: tuple[Suspension, ...]
    disablements: tuple[Disablement, ...]
    rules: bool


@dataclass(frozen=True, slots=True)
class Operation:
    """A trusted operation: the digest under which it is asked for, its name, its text."""

    digest: str
    name: str
    document: str


class Control:
    """The control database at a SQLAlchemy URL (SQLite or PostgreSQL). Every method may raise ControlUnavailable."""

    def __init__(self, url: str | sa.URL) -> None:
        self._database = Database(url)
        self.corrections = Corrections(self._database)
        self.reidentifications = Reidentifications(self._database)

    def open(self) -> None:
        """Create or migrate the tables."""
        self._database.open()

    def close(self) -> None:
        self._database.close()

    async def sequence(self) -> int:
        """The number of the last change that touches decisions: cheap, to be asked often. 0 when there was none."""
        return await self._database.number()

    async def changes(self, after: int) -> Changes:
        """What changed since the number `after`, read at one moment. Of grants, for 0, all that are GRANTED."""
        g = tables.grants.c

        def work(connection: sa.Connection) -> Changes:
            number = connection.execute(sa.select(tables.sequence.c.number)).scalar_one()
            changed = g.changed > after if after else g.state == GrantState.GRANTED.value
            files = sa.exists().where(tables.rule_files.c.changed > after)
            return Changes(
                sequence=number,
                grants=read_grants(connection, sa.select(g.id).where(changed)),
                suspensions=read_suspensions(connection, tables.suspensions.c.lifted_at.is_(None)),
                disablements=_read_disablements(connection),
                rules=bool(connection.execute(sa.select(files)).scalar_one()),
            )

        return await self._database.read(work)

    # -- grants ------------------------------------------------------------------------------------------------

    async def apply(self, grant: Grant) -> Grant:
        """Keep an application: the grant with its id. An application decides nothing, so it is no change of policy."""

        def work(connection: sa.Connection) -> Grant:
            inserted = sa.insert(tables.grants).values(grant_columns(grant, 0)).returning(tables.grants.c.id)
            number = connection.execute(inserted).scalar_one()
            connection.execute(sa.insert(tables.grant_items), item_columns(number, grant.items))
            if grant.steps:
                connection.execute(sa.insert(tables.grant_steps), step_columns(number, grant.steps))
            return replace(grant, id=f"G{number}")

        return await self._database.write(work)

    async def change(self, grant: Grant, expected: Grant, notices: Sequence[Notice] = ()) -> Grant:
        """Replace `expected` by `grant`, which goes on from its steps, and tell the notices. ControlConflict if it is not as expected."""
        number = number_of(expected.id, "G")
        kept = len(expected.steps)
        if number is None or grant.id != expected.id or grant.steps[:kept] != expected.steps:
            raise ControlConflict

        def work(connection: sa.Connection) -> Grant:
            changed = next_number(connection)
            if read_grants(connection, _numbered(number)) != (expected,):
                raise ControlConflict
            connection.execute(
                sa.update(tables.grants).where(tables.grants.c.id == number).values(grant_columns(grant, changed))
            )
            connection.execute(sa.delete(tables.grant_items).where(tables.grant_items.c.grant_id == number))
            connection.execute(sa.insert(tables.grant_items), item_columns(number, grant.items))
            if steps := step_columns(number, grant.steps[kept:], kept):
                connection.execute(sa.insert(tables.grant_steps), steps)
            for notice in notices:
                write_notice(connection, notice, grant.id)
            return grant

        return await self._database.write(work)

    async def grant(self, id: str) -> Grant | None:  # noqa: A002
        """The grant of this id, None if there is none."""
        number = number_of(id, "G")
        if number is None:
            return None
        found = await self._database.read(lambda connection: read_grants(connection, _numbered(number)))
        return found[0] if found else None

    async def grants(
        self, department: str = "", state: GrantState | None = None, limit: int = 100, before: str = ""
    ) -> tuple[Grant, ...]:
        """Grants that the department uses or provides (all of them for ""), newest first, at most `limit`, older than the id `before`."""
        g = tables.grants.c
        chosen = sa.select(g.id).order_by(g.id.desc()).limit(max(0, limit))
        if department:
            chosen = chosen.where(sa.or_(g.department == department, g.provider == department))
        if state:
            chosen = chosen.where(g.state == state.value)
        if before:
            chosen = chosen.where(g.id < (number_of(before, "G") or 0))
        return await self._database.read(lambda connection: read_grants(connection, sa.select(chosen.subquery().c.id)))

    # -- suspensions -------------------------------------------------------------------------------------------

    async def suspend(self, suspension: Suspension) -> Suspension:
        """Put a suspension in force and tell the supervising authority: the suspension with its id."""
        values = {
            name: getattr(suspension, name)
            for name in ("provider", "department", "grant", "object", "reason", "by", "at", "lifted_at")
        }

        def work(connection: sa.Connection) -> Suspension:
            next_number(connection)
            inserted = sa.insert(tables.suspensions).values(values).returning(tables.suspensions.c.id)
            kept = replace(suspension, id=f"S{connection.execute(inserted).scalar_one()}")
            write_notice(connection, suspension_notice(kept), kept.id)
            return kept

        return await self._database.write(work)

    async def lift(self, id: str, at: int) -> Suspension | None:  # noqa: A002
        """End a suspension at `at` (Unix microseconds); one that was lifted stays as it was. None if there is none."""
        s = tables.suspensions.c
        number = number_of(id, "S")
        if number is None:
            return None

        def work(connection: sa.Connection) -> Suspension | None:
            next_number(connection)
            open_one = sa.update(tables.suspensions).where(s.id == number, s.lifted_at.is_(None))
            if connection.execute(open_one.values(lifted_at=at)).rowcount:
                (lifted,) = read_suspensions(connection, s.id == number)
                write_notice(connection, lift_notice(lifted), lifted.id)
            return next(iter(read_suspensions(connection, s.id == number)), None)

        return await self._database.write(work)

    async def suspension(self, id: str) -> Suspension | None:  # noqa: A002
        """The suspension of this id, open or lifted; None if there is none."""
        where = tables.suspensions.c.id == number_of(id, "S")
        found = await self._database.read(lambda connection: read_suspensions(connection, where))
        return found[0] if found else None

    async def suspensions(self, provider: str = "", open_only: bool = True) -> tuple[Suspension, ...]:
        """The suspensions of a provider (of all for ""), newest first."""
        s = tables.suspensions.c
        where = [s.provider == provider] if provider else []
        if open_only:
            where.append(s.lifted_at.is_(None))
        return await self._database.read(lambda connection: read_suspensions(connection, *where))

    # -- disablements ------------------------------------------------------------------------------------------

    async def disable(self, disablement: Disablement) -> None:
        """Refuse a person, token or client from now on; who is disabled already gets this reason."""
        values = {name: getattr(disablement, name) for name in ("kind", "name", "department", "reason", "by", "at")} | {
            "kind": disablement.kind.value
        }

        def work(connection: sa.Connection) -> None:
            next_number(connection)
            connection.execute(sa.delete(tables.disablements).where(*_who(values)))
            connection.execute(sa.insert(tables.disablements).values(values))

        await self._database.write(work)

    async def enable(self, kind: DisabledKind, name: str, department: str) -> bool:
        """Admit again who was disabled by exactly these three; False if nobody was."""

        def work(connection: sa.Connection) -> bool:
            next_number(connection)
            who = _who({"kind": kind.value, "name": name, "department": department})
            return connection.execute(sa.delete(tables.disablements).where(*who)).rowcount > 0

        return await self._database.write(work)

    async def disablements(self) -> tuple[Disablement, ...]:
        """Who is disabled, the latest first."""
        return await self._database.read(_read_disablements)

    # -- what departments were told ------------------------------------------------------------------------------

    async def notices(self, after: int = 0, limit: int = 100, to: Sequence[str] = ("",)) -> tuple[Notice, ...]:
        """What these departments ("" is the supervising one) were told after the notice numbered `after`, in its order, at most `limit`."""
        n = tables.notices.c
        fits = sa.select(tables.notices).where(n.department.in_(to), n.number > after)
        asked = fits.order_by(n.number).limit(max(0, limit))
        return await self._database.read(lambda connection: tuple(map(notice_of, connection.execute(asked))))

    async def told(self, references: Iterable[str]) -> Mapping[str, Notice]:
        """The first notice about each of these grants and suspensions, by reference."""
        n = tables.notices.c
        names = sorted(set(references))

        def work(connection: sa.Connection) -> dict[str, Notice]:
            found: dict[str, Notice] = {}
            for start in range(0, len(names), _CHUNK):
                asked = sa.select(tables.notices).where(n.reference.in_(names[start : start + _CHUNK]))
                for row in connection.execute(asked.order_by(n.number)):
                    found.setdefault(row.reference, notice_of(row))
            return found

        return await self._database.read(work)

    # -- rule files ----------------------------------------------------------------------------------------------

    async def publish(self, name: str, rules: Rules, notice: Notice | None = None) -> None:
        """Replace the whole rule file of that name, and tell the notice; without rows it is gone."""
        f = tables.rule_files.c

        def work(connection: sa.Connection) -> None:
            values = {**rules_columns(rules), "changed": next_number(connection)}
            if not connection.execute(sa.update(tables.rule_files).where(f.name == name).values(values)).rowcount:
                connection.execute(sa.insert(tables.rule_files).values(name=name, **values))
            if notice:
                write_notice(connection, notice, name)

        await self._database.write(work)

    async def files(self) -> Mapping[str, Rules]:
        """The rule files that have rows, by name."""

        def work(connection: sa.Connection) -> dict[str, Rules]:
            found = connection.execute(sa.select(tables.rule_files).order_by(tables.rule_files.c.name))
            files = {row.name: rules_of(row) for row in found}
            return {name: rules for name, rules in files.items() if rules.share or rules.basis}

        return await self._database.read(work)

    # -- attempts at verification ----------------------------------------------------------------------------------

    async def take(
        self, department: str, attempts: Sequence[Attempt], at: float, since: float, most: int
    ) -> frozenset[Attempt]:
        """Record one attempt for each pair of which the department has fewer than `most` from `since` on (Unix seconds); those recorded.

        However many processes take at once, no pair has more than `most`. Attempts before `since` are forgotten.
        """
        a = tables.attempts.c
        wanted = sorted(set(attempts))

        def work(connection: sa.Connection) -> frozenset[Attempt]:
            _one_after_another(connection, department)
            connection.execute(sa.delete(tables.attempts).where(a.department == department, a.at < _micros(since)))
            used: dict[Attempt, int] = {}
            entities = sorted({entity for entity, _ in wanted})
            counted = sa.select(a.entity, a.coordinate, sa.func.count()).group_by(a.entity, a.coordinate)
            for start in range(0, len(entities), _CHUNK):
                chunk = counted.where(a.department == department, a.entity.in_(entities[start : start + _CHUNK]))
                used.update({(entity, coordinate): n for entity, coordinate, n in connection.execute(chunk)})
            taken = [pair for pair in wanted if used.get(pair, 0) < most]
            rows = [{"department": department, "entity": e, "coordinate": c, "at": _micros(at)} for e, c in taken]
            if rows:
                connection.execute(sa.insert(tables.attempts), rows)
            return frozenset(taken)

        return await self._database.write(work)

    async def give_back(self, department: str, attempts: Iterable[Attempt], at: float) -> None:
        """Undo attempts that were recorded at `at`: one for each pair, for the source gave no verdict."""
        a = tables.attempts.c

        def work(connection: sa.Connection) -> None:
            for entity, coordinate in sorted(set(attempts)):
                one = sa.select(sa.func.max(a.id)).where(
                    a.department == department, a.entity == entity, a.coordinate == coordinate, a.at == _micros(at)
                )
                connection.execute(sa.delete(tables.attempts).where(a.id == one.scalar_subquery()))

        await self._database.write(work)

    # -- trusted operations ------------------------------------------------------------------------------------------

    async def register(self, operations: Sequence[Operation], by: str, at: int) -> None:
        """Trust these operations from now on; one that is known stays as it is, for a digest stands for one text."""
        o = tables.operations.c

        def work(connection: sa.Connection) -> None:
            _one_after_another(connection, "operations")
            known = set(connection.execute(sa.select(o.digest)).scalars())
            for one in operations:
                if one.digest not in known:
                    known.add(one.digest)
                    values = {"digest": one.digest, "name": one.name, "document": one.document, "by": by, "at": at}
                    connection.execute(sa.insert(tables.operations).values(values))

        await self._database.write(work)

    async def unregister(self, digests: Collection[str]) -> int:
        """Trust the operations with these digests no more; how many of them there were."""
        gone = sa.delete(tables.operations).where(tables.operations.c.digest.in_(digests))
        return await self._database.write(lambda connection: connection.execute(gone).rowcount)

    async def operation(self, digest: str) -> str | None:
        """The text of the trusted operation with this digest, None if there is none."""
        asked = sa.select(tables.operations.c.document).where(tables.operations.c.digest == digest)
        return await self._database.read(lambda connection: connection.execute(asked).scalar_one_or_none())

    async def operations(self) -> tuple[Operation, ...]:
        """All trusted operations by name."""
        o = tables.operations.c
        asked = sa.select(o.digest, o.name, o.document).order_by(o.name, o.digest)
        return await self._database.read(lambda connection: tuple(Operation(*row) for row in connection.execute(asked)))


def _numbered(number: int) -> sa.Select[tuple[int]]:
    return sa.select(tables.grants.c.id).where(tables.grants.c.id == number)


def _read_disablements(connection: sa.Connection) -> tuple[Disablement, ...]:
    d = tables.disablements.c
    found = connection.execute(sa.select(tables.disablements).order_by(d.at.desc(), d.kind, d.name, d.department))
    return tuple(map(disablement_of, found))


def _who(values: Mapping[str, str]) -> list[sa.ColumnElement[bool]]:
    return [tables.disablements.c[name] == values[name] for name in ("kind", "name", "department")]


def _one_after_another(connection: sa.Connection, what: str) -> None:
    """Let transactions of the same `what` wait for each other; SQLite has one writer at a time anyway."""
    if connection.dialect.name == "postgresql":
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(sa.func.hashtextextended(what, 0))))


def _micros(seconds: float) -> int:
    return round(seconds * 1_000_000)
