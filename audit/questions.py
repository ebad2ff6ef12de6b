"""Questions to the ledger: what to look for, and the records that fit, newest first.

However little a question narrows, no page needs more than a look into each profile that fits (their number is that of departments
times ways of asking, not of records) and a few more into those that have the newest records.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from audit.entries import entries_table, profile_of, profiles_table, shapes_table
from audit.frame import decode
from audit.hours import is_outside_hours
from audit.records import Key, Reader, Told, digest, grant_of, text_of

_ENTRIES, _PROFILES, _SHAPES = entries_table.c, profiles_table.c, shapes_table.c
_COLUMNS = (_ENTRIES.id, _ENTRIES.seq, _ENTRIES.at, _ENTRIES.entity, _ENTRIES.case, _ENTRIES.profile)
_NEAR = 5_000
"""So many of the newest entries are looked through before any profile is asked for its own."""

Row = sa.Row[int, int, int, int, int, int]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a page ends: a record's moment in microseconds since 1970 UTC, and its entry's number."""

    at: int
    entry: int


@dataclass(frozen=True, slots=True)
class Question:
    """What to look for; every part that is not empty must hold, those of a line (from `resource` on) by one and the same line.

    `entity` is a keyed hash. `since` and `until` are microseconds since 1970 UTC, `until` no longer belongs to it.
    `used_only`: an item that was used to choose or order and told in no other way. `before`: only what is older than this place.
    """

    entity: str = ""
    subject: str = ""
    department: str = ""
    client: str = ""
    purpose: str = ""
    case: str = ""
    scenario: str = ""
    outside_hours: bool = False
    since: int | None = None
    until: int | None = None
    before: Place | None = None
    resource: str = ""
    item: str = ""
    outcome: str = ""
    rule: str = ""
    grant: str = ""
    used_only: bool = False


@dataclass(frozen=True, slots=True)
class Line:
    """One resolved field of a record, as auditors read it; `item` is empty where there is none, or names an act."""

    resource: str
    item: str
    outcome: str
    rule: str
    subject_class: str


@dataclass(frozen=True, slots=True)
class Disclosure:
    """One record: what one operation told of one data subject. `at` in microseconds since 1970 UTC; `entity` a keyed hash or empty.

    `lines` are those that the question asked for.
    """

    place: Place
    operation: str
    seq: int
    subject: str
    department: str
    role: str
    client: str
    purpose: str
    case: str
    scenario: str
    entity: str
    policy: str
    lines: tuple[Line, ...]


def entries_of(connection: sa.Connection, question: Question, limit: int) -> list[Row]:
    """The entries that fit, newest first, at most `limit`."""
    profiles = _profiles(question)
    bound = [column == digest(text_of(value)) for column, value in _keys(question) if value]
    fits = [*bound, *_times(question)]
    if profiles is not None and not bound:
        return _by_profile(connection, profiles, question, limit)
    if profiles is not None:
        fits.append(
            (_ENTRIES.profile + 0).in_(profiles)
        )  # + 0: whose data, which case or which user narrows more than any profile
    return _newest(connection, fits, question.before, limit)


_Records = dict[tuple[int, int, int], tuple[Key, Sequence[Told]]]
"""A frame's records by entity, case and profile, as entries have them."""


class RecordsOf:
    """The records that entries point to, read from their frames, each frame once."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._read: dict[int, tuple[Mapping[str, Any], _Records]] = {}

    def record(self, row: Row, stored: bytes, question: Question) -> Disclosure:
        """The record of an entry. LookupError if the frame has no such record."""
        if row.seq not in self._read:
            self._read[row.seq] = self._records(stored)
        frame, records = self._read[row.seq]
        key, told = records[row.entity, row.case, row.profile]
        return Disclosure(
            place=Place(row.at, row.id),
            operation=frame["operation"],
            seq=row.seq,
            subject=frame["subject"],
            department=frame["department"],
            role=frame["role"],
            client=frame["client"],
            purpose=key.purpose,
            case=key.case,
            scenario=key.scenario,
            entity=key.entity,
            policy=frame["policy"],
            lines=tuple(_lines(told, question)),
        )

    def _records(self, stored: bytes) -> tuple[Mapping[str, Any], _Records]:
        frame = decode(stored)
        outside = is_outside_hours(frame["at"])
        who = (text_of(frame["department"]), text_of(frame["role"]), text_of(frame["client"]))
        records: _Records = {}
        for key, parts in self._reader.records(frame).items():
            shape = self._reader.shape(parts)
            profile = digest(*profile_of(who, key, outside), shape.number)
            records[digest(key.entity), digest(key.case), profile] = (key, shape.lines)
        return frame, records


def _lines(told: Sequence[Told], question: Question) -> Iterator[Line]:
    other_ways = {(line.resource, line.item) for line in told if line.outcome != "USED"}
    for line in told:
        if question.used_only and (line.outcome != "USED" or (line.resource, line.item) in other_ways):
            continue
        values = (line.resource, line.item, line.outcome, line.rule, grant_of(line.rule))
        wanted = (question.resource, question.item, question.outcome, question.rule, question.grant)
        if all(not asked or value == asked for value, asked in zip(values, wanted, strict=True)):
            yield Line(line.resource, line.item, line.outcome, line.rule, line.subject_class)


def _keys(question: Question) -> Iterator[tuple[sa.ColumnElement[int], str]]:
    yield _ENTRIES.entity, question.entity
    yield _ENTRIES.case, question.case
    yield _ENTRIES.user, question.subject


def _times(question: Question) -> list[sa.ColumnElement[bool]]:
    times = []
    if question.since is not None:
        times.append(_ENTRIES.at >= question.since)
    if question.until is not None:
        times.append(_ENTRIES.at < question.until)
    return times


def _profiles(question: Question) -> sa.Select[tuple[int]] | None:
    """The profiles that fit; None if all do."""
    who = ("department", "client", "purpose", "scenario")
    fits = [_PROFILES[name] == text_of(value) for name in who if (value := getattr(question, name))]
    if question.outside_hours:
        fits.append(_PROFILES.outside_hours)
    lines = [
        _SHAPES[name] == text_of(value)
        for name in ("resource", "item", "outcome", "rule", "grant")
        if (value := getattr(question, name))
    ]
    if question.used_only:
        lines.append(_SHAPES.used_only)
    if lines:
        fits.append(_PROFILES.shape.in_(sa.select(_SHAPES.shape).where(*lines)))
    return sa.select(_PROFILES.id).where(*fits) if fits else None


def _newest(
    connection: sa.Connection, fits: list[sa.ColumnElement[bool]], before: Place | None, limit: int
) -> list[Row]:
    """The newest entries that fit. Two looks, for in an index one of `at = ? AND id < ?` and `at < ?` is a range, `OR` is not."""
    wanted = sa.select(*_COLUMNS).where(*fits).order_by(_ENTRIES.at.desc(), _ENTRIES.id.desc())
    if before is None:
        return list(connection.execute(wanted.limit(limit)))
    same = wanted.where(_ENTRIES.at == before.at, _ENTRIES.id < before.entry)
    rows = list(connection.execute(same.limit(limit)))
    if len(rows) < limit:
        rows += connection.execute(wanted.where(_ENTRIES.at < before.at).limit(limit - len(rows)))
    return rows


def _near(connection: sa.Connection, profiles: sa.Select[tuple[int]], question: Question, limit: int) -> list[Row]:
    """Those of the newest `_NEAR` entries, at most `limit`, that have one of these profiles."""
    newest = sa.select(*_COLUMNS).where(*_times(question)).order_by(_ENTRIES.at.desc(), _ENTRIES.id.desc())
    if before := question.before:
        same = sa.and_(_ENTRIES.at == before.at, _ENTRIES.id >= before.entry)
        newest = newest.where(_ENTRIES.at <= before.at, ~same)
    near = newest.limit(_NEAR).subquery()
    wanted = sa.select(near).where(near.c.profile.in_(profiles)).order_by(near.c.at.desc(), near.c.id.desc())
    return list(connection.execute(wanted.limit(limit)))


def _by_profile(
    connection: sa.Connection, profiles: sa.Select[tuple[int]], question: Question, limit: int
) -> list[Row]:
    """The newest entries of these profiles: among the newest of all, where they are enough of them.

    Else the newest entry of each profile tells which of them can have an entry on this page: as many as the page has entries, and those that
    are as new as the last of them.
    """
    rows = _near(connection, profiles, question, limit)
    if len(rows) == limit:
        return rows
    rows = []
    times, before = _times(question), question.before
    if before:
        same = [_ENTRIES.at == before.at, _ENTRIES.id < before.entry, (_ENTRIES.profile + 0).in_(profiles), *times]
        rows = list(connection.execute(sa.select(*_COLUMNS).where(*same).order_by(_ENTRIES.id.desc()).limit(limit)))
        times = [*times, _ENTRIES.at < before.at]
    chosen = profiles.subquery()
    newest = sa.select(sa.func.max(_ENTRIES.at)).where(_ENTRIES.profile == chosen.c.id, *times).scalar_subquery()
    last = [(at, profile) for profile, at in connection.execute(sa.select(chosen.c.id, newest)) if at is not None]
    last.sort(reverse=True)
    least = last[limit - 1][0] if len(last) >= limit else 0
    found: list[Row] = []
    for at, profile in last:
        if at < least:
            break
        of_profile = sa.select(*_COLUMNS).where(_ENTRIES.profile == profile, _ENTRIES.at >= least, *times)
        found += connection.execute(of_profile.order_by(_ENTRIES.at.desc(), _ENTRIES.id.desc()).limit(limit))
    found.sort(key=lambda row: (row.at, row.id), reverse=True)
    return (rows + found)[:limit]
