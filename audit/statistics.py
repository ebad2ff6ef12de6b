"""Patterns and statistics of a month, from counts that the index keeps: nothing here grows with the number of records.

A month is a number such as 202611, in China's time. What a pattern shows is a reason to ask, no finding: a look-up
outside working hours or of somebody again may have its reason outside this system.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from statistics import median
from typing import Any

import sqlalchemy as sa

from audit.entries import (
    activity_table,
    entries_table,
    freshness_table,
    looks_table,
    profiles_table,
    shapes_table,
    tallies_table,
)
from audit.frame import decode
from audit.ledger import Ledger
from audit.records import SHOWN, Reader, digest

_ACTIVITY, _LOOKS, _TALLIES = activity_table.c, looks_table.c, tallies_table.c
_LOOKED_AT = 2_000
"""How many data subjects who were looked up again are asked after for a follow-up, the most often looked up first."""
FOLLOW_UPS = ("acceptCase", "closeCase")
"""Acts that follow a look-up up: a case of the data subject was opened or closed."""


@dataclass(frozen=True, slots=True)
class Activity:
    """A user's month in one department and role.

    `records` that they asked for, `outside_hours` of them; `applicants` are the distinct data subjects that they saw as the subject of a
    case, in so many distinct `cases`; `others` those they saw in other ways; `refused` counts denied items.
    """

    subject: str
    department: str
    role: str
    records: int
    outside_hours: int
    applicants: int
    others: int
    cases: int
    refused: int

    @property
    def subjects(self) -> int:
        return self.applicants + self.others


@dataclass(frozen=True, slots=True)
class Compared:
    """A user against the peers of the same department and role: the median of the peers' data subjects, and how many times that it is."""

    activity: Activity
    peers: int
    median: float
    ratio: float | None


@dataclass(frozen=True, slots=True)
class LookedUpAgain:
    """An applicant whom the same user saw on `days` days of the month, and no case of theirs was opened or closed in that department since.

    `first_at` in microseconds since 1970 UTC; `entity` a keyed hash, `case` the one of the first look-up on the last of these days.
    """

    subject: str
    department: str
    role: str
    entity: str
    case: str
    days: int
    first_at: int


@dataclass(frozen=True, slots=True)
class Patterns:
    """The users of a month that stand out, each list with the most striking first. `unread`: more were looked up again than were asked after."""

    outside_hours: tuple[Activity, ...]
    more_applicants: tuple[Activity, ...]
    looked_up_again: tuple[LookedUpAgain, ...]
    top_users: tuple[Compared, ...]
    unread: bool


@dataclass(frozen=True, slots=True)
class Use:
    """A department's use in a month: records that its users asked for, how many users, and fields by resource and outcome."""

    department: str
    records: int
    users: int
    fields: dict[tuple[str, str], int]


@dataclass(frozen=True, slots=True)
class Age:
    """How many records were shown whose last change is known, and how old they were on average when they were, in seconds."""

    records: int
    seconds: float


def patterns_of(connection: sa.Connection, ledger: Ledger, month: int, department: str, limit: int) -> Patterns:
    """The patterns of a month, of one department or (empty) of all; at most `limit` of each kind. StoreUnavailable."""
    active = _active(connection, month, department)
    outside = sorted((one for one in active if one.outside_hours), key=lambda one: -one.outside_hours)
    more = sorted((one for one in active if one.applicants > one.cases), key=lambda one: -one.applicants / one.cases)
    again, unread = _looked_up_again(connection, ledger, month, department, limit)
    top = sorted(_compared(active), key=lambda one: (-(one.ratio or 0), -one.activity.subjects))
    return Patterns(tuple(outside[:limit]), tuple(more[:limit]), again, tuple(top[:limit]), unread)


def uses_of(connection: sa.Connection, month: int) -> list[Use]:
    """What every department used in a month."""
    fields: dict[str, dict[tuple[str, str], int]] = defaultdict(dict)
    for row in connection.execute(sa.select(tallies_table).where(_TALLIES.month == month)):
        fields[row.department][row.resource, row.outcome] = row.lines
    counted = (
        sa.select(_ACTIVITY.department, sa.func.sum(_ACTIVITY.records), sa.func.count(_ACTIVITY.user.distinct()))
        .where(_ACTIVITY.month == month)
        .group_by(_ACTIVITY.department)
        .order_by(_ACTIVITY.department)
    )
    return [Use(name, int(records), users, fields[name]) for name, records, users in connection.execute(counted)]


def ages_of(connection: sa.Connection, month: int) -> dict[str, Age]:
    """How old the records of each resource were when they were shown in a month."""
    wanted = sa.select(freshness_table).where(freshness_table.c.month == month)
    return {row.resource: Age(row.records, row.seconds / row.records) for row in connection.execute(wanted)}


def is_shown(outcome: str) -> bool:
    """Whether a field with this outcome was provided to its user: told, or used for them."""
    return outcome in SHOWN or outcome in ("JOINED", "USED")


def _active(connection: sa.Connection, month: int, department: str) -> list[Activity]:
    columns = [_ACTIVITY.user, _ACTIVITY.department, _ACTIVITY.role, _ACTIVITY.records, _ACTIVITY.outside_hours]
    columns += [_ACTIVITY.applicants, _ACTIVITY.others, _ACTIVITY.cases, _ACTIVITY.refused]
    wanted = sa.select(*columns).where(_ACTIVITY.month == month).order_by(_ACTIVITY.user)
    if department:
        wanted = wanted.where(_ACTIVITY.department == department)
    return [Activity(*row) for row in connection.execute(wanted)]


def _compared(active: list[Activity]) -> list[Compared]:
    groups: dict[tuple[str, str], list[Activity]] = defaultdict(list)
    for one in active:
        groups[one.department, one.role].append(one)
    compared = []
    for group in groups.values():
        counts = sorted(one.subjects for one in group)
        for one in group:
            peers = counts.copy()
            peers.remove(one.subjects)
            middle = float(median(peers)) if peers else 0.0
            compared.append(Compared(one, len(peers), middle, one.subjects / middle if middle else None))
    return compared


def _looked_up_again(
    connection: sa.Connection, ledger: Ledger, month: int, department: str, limit: int
) -> tuple[tuple[LookedUpAgain, ...], bool]:
    of_actor = sa.and_(_ACTIVITY.month == _LOOKS.month, _ACTIVITY.actor == _LOOKS.actor)
    wanted = (
        sa.select(
            _LOOKS.entity,
            _LOOKS.days,
            _LOOKS.first_at,
            _LOOKS.seq,
            _ACTIVITY.user,
            _ACTIVITY.department,
            _ACTIVITY.role,
        )
        .join(activity_table, of_actor)
        .where(_LOOKS.month == month, _LOOKS.days > 1)
        .order_by(_LOOKS.days.desc(), _LOOKS.first_at)
        .limit(_LOOKED_AT)
    )
    if department:
        wanted = wanted.where(_ACTIVITY.department == department)
    rows = connection.execute(wanted).all()
    found: list[Any] = []
    for row in rows:
        if len(found) == limit:
            break
        if not _was_followed_up(connection, row):
            found.append(row)
    frames = {one.seq: one.frame for one in ledger.frames({row.seq for row in found})}
    reader = Reader(ledger.coordinates())
    again = []
    for row in found:
        key = next(key for key in reader.records(decode(frames[row.seq])) if digest(key.entity) == row.entity)
        again.append(LookedUpAgain(row.user, row.department, row.role, key.entity, key.case, row.days, row.first_at))
    return tuple(again), len(rows) == _LOOKED_AT and len(found) < limit


def _was_followed_up(connection: sa.Connection, row: Any) -> bool:
    profiles, shapes, entries = profiles_table.c, shapes_table.c, entries_table.c
    acts = sa.select(shapes.shape).where(shapes.item.in_(FOLLOW_UPS), shapes.outcome == "NAMED")
    follow_up = (
        sa.select(entries.id)
        .join(profiles_table, profiles.id == entries.profile)
        .where(entries.entity == row.entity, entries.at > row.first_at)
        .where(profiles.department == row.department, (profiles.shape + 0).in_(acts))
        .limit(1)
    )
    return connection.execute(follow_up).first() is not None
