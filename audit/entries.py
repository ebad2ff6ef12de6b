"""What the index keeps of frames: an entry for each record, and counts by month.

A record's entry is a few numbers. What many records have in common (department, role, purpose, which items with which outcome under
which rule) is its profile, kept once; texts of which there are many (data subjects, cases, users) are digests of 63 bits, and the
frame that the entry points to says which text it was. Days and months are those of China (UTC+8).
"""

from __future__ import annotations

import hashlib
import struct
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa

from audit.frame import decode
from audit.hours import china_day, is_outside_hours, month_of
from audit.records import Key, Reader, Shape, digest, text_of
from audit.store import StoredFrame

_PAIR = struct.Struct("<qq")
_MOST_KEPT = 200_000
FORM = 4
"""Counts the forms of the index: one of another form is built anew."""

_BIG = sa.BigInteger()
_COUNTED = sa.BigInteger().with_variant(sa.Integer, "sqlite")  # SQLite counts up INTEGER only

metadata = sa.MetaData()
position_table = sa.Table(
    "position",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("seq", _BIG, nullable=False),
    sa.Column("form", sa.Integer, nullable=False),
    sa.Column("calendar", sa.String(16), nullable=False),
    sa.Column("built", sa.Boolean, nullable=False),
)
"""How far the index is, in which form, and by whose holidays its hours are marked; `built` once `ENTRY_INDEXES` are there."""
entries_table = sa.Table(
    "entries",
    metadata,
    sa.Column("id", _COUNTED, primary_key=True),
    sa.Column("seq", _BIG, nullable=False),
    sa.Column("at", _BIG, nullable=False),
    sa.Column("entity", _BIG, nullable=False),
    sa.Column("case", _BIG, nullable=False),
    sa.Column("user", _BIG, nullable=False),
    sa.Column("profile", _BIG, nullable=False),
    sqlite_autoincrement=True,
)
ENTRY_INDEXES = {
    "entries_at": ("at",),
    "entries_entity": ("entity", "at"),
    "entries_case": ("case", "at"),
    "entries_user": ("user", "at"),
    "entries_profile": ("profile", "at"),
}
"""Made when the index has caught up with a long ledger: sorting once is much quicker than inserting each in its place."""
_WHO = ("department", "role", "client", "purpose", "scenario")
profiles_table = sa.Table(
    "profiles",
    metadata,
    sa.Column("id", _BIG, primary_key=True, autoincrement=False),
    *(sa.Column(name, sa.Text, nullable=False) for name in _WHO),
    sa.Column("outside_hours", sa.Boolean, nullable=False),
    sa.Column("shape", _BIG, nullable=False, index=True),
)
shapes_table = sa.Table(
    "shapes",
    metadata,
    sa.Column("shape", _BIG, primary_key=True, autoincrement=False),
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
    *(sa.Column(name, sa.Text, nullable=False) for name in ("resource", "item", "outcome", "rule", "grant")),
    sa.Column("used_only", sa.Boolean, nullable=False),
)
looks_table = sa.Table(
    "looks",
    metadata,
    sa.Column("id", _BIG, primary_key=True, autoincrement=False),
    sa.Column("month", sa.Integer, nullable=False),
    sa.Column("actor", _BIG, nullable=False),
    sa.Column("entity", _BIG, nullable=False),
    sa.Column("days", sa.Integer, nullable=False),
    sa.Column("day", sa.Integer, nullable=False),
    sa.Column("first_at", _BIG, nullable=False),
    sa.Column("seq", _BIG, nullable=False),
)
"""Who saw which applicant in which month, and on how many days; `id` is the digest of month, actor and entity."""
seen_table = sa.Table("seen", metadata, sa.Column("id", _BIG, primary_key=True, autoincrement=False))
"""Who saw which other person or which case in which month, so that each is counted once."""
sa.Index(
    "looks_again",
    looks_table.c.month,
    looks_table.c.days,
    sqlite_where=looks_table.c.days > 1,
    postgresql_where=looks_table.c.days > 1,
)
activity_table = sa.Table(
    "activity",
    metadata,
    sa.Column("month", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("actor", _BIG, primary_key=True, autoincrement=False),
    *(sa.Column(name, sa.Text, nullable=False) for name in ("user", "department", "role")),
    *(
        sa.Column(name, _BIG, nullable=False)
        for name in ("records", "outside_hours", "applicants", "others", "cases", "refused")
    ),
)
tallies_table = sa.Table(
    "tallies",
    metadata,
    sa.Column("month", sa.Integer, primary_key=True, autoincrement=False),
    *(sa.Column(name, sa.Text, primary_key=True) for name in ("department", "resource", "outcome")),
    sa.Column("lines", _BIG, nullable=False),
)
freshness_table = sa.Table(
    "freshness",
    metadata,
    sa.Column("month", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("resource", sa.Text, primary_key=True),
    sa.Column("records", _BIG, nullable=False),
    sa.Column("seconds", _BIG, nullable=False),
)
"""Of the records of a resource that were shown in a month and whose last change is known: how many, and their ages in all."""


@dataclass(slots=True)
class Look:
    """That a user saw an applicant: within a batch on `days` days of a month from `since` to `day`."""

    month: int
    actor: int
    entity: int
    days: int
    day: int
    since: int
    first_at: int
    seq: int


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asked: digests of the user, and of user, department and role; those as texts; department, role and client as texts."""

    user: int
    actor: int
    told: tuple[str, str, str]
    who: tuple[str, str, str]


@dataclass(slots=True)
class Batch:
    """What a batch of frames adds to the index; rows of entries and profiles in the order of their tables' columns, `looks` by id.

    `seen` by id: the month and actor for whom, and the count of `activity` to which it belongs if it is new. `counted` says how many records
    of a shape there were for a month and actor, outside working hours or not, `ages` how many records of a resource were shown in a month and
    their ages in seconds.
    """

    entries: list[tuple[int, ...]] = field(default_factory=list)
    profiles: dict[int, tuple[Any, ...]] = field(default_factory=dict)
    shapes: dict[int, Shape] = field(default_factory=dict)
    looks: dict[int, Look] = field(default_factory=dict)
    seen: dict[int, tuple[int, int, str]] = field(default_factory=dict)
    actors: dict[int, tuple[str, str, str]] = field(default_factory=dict)
    counted: Counter[tuple[int, int, bool, Shape]] = field(default_factory=Counter)
    ages: dict[tuple[int, str], tuple[int, int]] = field(default_factory=dict)

    def activity(self) -> dict[tuple[int, int], Counter[str]]:
        """Counts of each month and actor, without who is new to them."""
        activity: dict[tuple[int, int], Counter[str]] = {}
        for (month, actor, outside, shape), count in self.counted.items():
            mine = activity.setdefault((month, actor), Counter())
            mine["records"] += count
            mine["outside_hours"] += count * outside
            mine["refused"] += count * shape.refused
        return activity

    def tallies(self) -> Counter[tuple[int, str, str, str]]:
        """Lines by month, department, resource and outcome."""
        tallies: Counter[tuple[int, str, str, str]] = Counter()
        for (month, actor, _, shape), count in self.counted.items():
            department = self.actors[actor][1]
            for (resource, outcome), lines in shape.tallies.items():
                tallies[month, department, resource, outcome] += count * lines
        return tallies


class Entries:
    """Makes batches; keeps what callers and profiles of one batch the next will have too."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._callers: dict[tuple[str, ...], Caller] = {}
        self._profiles: dict[tuple[Any, ...], int] = {}

    def batch(self, frames: Iterable[StoredFrame]) -> Batch:
        """What these frames add to the index. KeyError for an item that the reader has no name of."""
        if len(self._callers) + len(self._profiles) > _MOST_KEPT:
            self._callers.clear()
            self._profiles.clear()
        self._reader.forget()
        batch = Batch()
        for stored in frames:
            frame = decode(stored.frame)
            caller, at = self._caller(frame, batch), frame["at"]
            outside, day = is_outside_hours(at), china_day(at)
            _note_ages(batch, month_of(day), at, frame["nodes"])
            for key, parts in self._reader.records(frame).items():
                shape = self._reader.shape(parts)
                entity, case = digest(key.entity), digest(key.case)
                profile = self._profile(caller, outside, key, shape, batch)
                batch.entries.append((stored.seq, at, entity, case, caller.user, profile))
                if shape.tallies:
                    month = month_of(day)
                    batch.counted[month, caller.actor, outside, shape] += 1
                    if entity and shape.shown:
                        _note(batch, month, day, caller.actor, entity, case, shape.applies, at, stored.seq)
        return batch

    def _caller(self, frame: Mapping[str, Any], batch: Batch) -> Caller:
        told = (frame["subject"], frame["department"], frame["role"], frame["client"])
        caller = self._callers.get(told)
        if caller is None:
            user, department, role, client = map(text_of, told)
            actor = (user, department, role)
            caller = Caller(digest(user), digest(*actor), actor, (department, role, client))
            self._callers[told] = caller
        batch.actors[caller.actor] = caller.told
        return caller

    def _profile(self, caller: Caller, outside: bool, key: Key, shape: Shape, batch: Batch) -> int:
        told = (caller.who, key.purpose, key.scenario, outside, shape)
        number = self._profiles.get(told)
        if number is None:
            number = self._profiles[told] = digest(*profile_of(caller.who, key, outside), shape.number)
        if number not in batch.profiles:
            batch.profiles[number] = (number, *profile_of(caller.who, key, outside), shape.number)
            batch.shapes.setdefault(shape.number, shape)
        return number


def _note_ages(batch: Batch, month: int, at: int, nodes: Iterable[Mapping[str, Any]]) -> None:
    """Note how old the records were that a frame's nodes showed; one whose last change the source does not tell has no age."""
    for node in nodes:
        changes = [one for versions in node.get("versions", {}).values() for one in versions if isinstance(one, int)]
        if changes:
            key = (month, node["resource"])
            records, seconds = batch.ages.get(key, (0, 0))
            aged = sum(max(0, at - changed) for changed in changes) // 1_000_000
            batch.ages[key] = records + len(changes), seconds + aged


def profile_of(who: tuple[str, str, str], key: Key, outside: bool) -> tuple[Any, ...]:
    """What a profile says beside its shape: department, role, client, purpose, scenario, and whether it was outside working hours."""
    return (*who, key.purpose, text_of(key.scenario), outside)


def _note(
    batch: Batch, month: int, day: int, actor: int, entity: int, case: int, applies: bool, at: int, seq: int
) -> None:
    """Note that a user saw this one, and this case, on this day; within a batch the days may be several."""
    if case:
        batch.seen[_number(month, actor, case, b"c")] = (month, actor, "cases")
    if not (case and applies):
        batch.seen[_number(month, actor, entity, b"o")] = (month, actor, "others")
        return
    number = _number(month, actor, entity, b"a")
    seen = batch.looks.get(number)
    if seen is None:
        batch.looks[number] = Look(month, actor, entity, 1, day, day, at, seq)
    elif day > seen.day:
        seen.days, seen.day, seen.seq = seen.days + 1, day, seq


def _number(month: int, actor: int, key: int, kind: bytes) -> int:
    """A number whose high bits are the month, so that the rows of a month lie together: months since 2000, then 52 bits of a digest."""
    months = min(max(month // 100 * 12 + month % 100 - 24_000, 0), 2_047)
    hashed = hashlib.blake2b(_PAIR.pack(actor, key) + kind, digest_size=8).digest()
    return months << 52 | int.from_bytes(hashed) >> 12
