"""What the index keeps of a frame: a record for each data subject, purpose and case that an operation touched, and counts by month.

A record's entry is a few numbers. What many records have in common (department, role, purpose, which items with which outcome under
which rule) is its profile, kept once; texts of which there are many (data subjects, cases, users) are digests of 63 bits, and the
frame that the entry points to says which text it was. Days and months are those of China (UTC+8).
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from functools import lru_cache
from typing import Any

import sqlalchemy as sa

from audit.frame import OUTCOMES, decode
from audit.store import StoredFrame

FORM = 2
"""Counts the forms of the index: one of another form is built anew."""

WORKING_DAYS, WORKING_HOURS = range(5), range(8, 18)
"""Working hours: Monday (0) to Friday, 8 to 18 o'clock in China. Public holidays are not known here: they are announced a year at a time."""

SHOWN = frozenset({"RETURNED", "MASKED", "ABSENT", "EXISTS", "MATCHED", "MISMATCHED"})
"""Outcomes that told the user something of the data subject."""

_BIG = sa.BigInteger()
_COUNTED = sa.BigInteger().with_variant(sa.Integer, "sqlite")  # SQLite counts up INTEGER only

metadata = sa.MetaData()
position_table = sa.Table(
    "position",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("seq", _BIG, nullable=False),
    sa.Column("form", sa.Integer, nullable=False),
)
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
    sa.Index("entries_at", "at", "id"),
    sa.Index("entries_entity", "entity", "at", "id"),
    sa.Index("entries_case", "case", "at", "id"),
    sa.Index("entries_user", "user", "at", "id"),
    sa.Index("entries_profile", "profile", "at", "id"),
    sqlite_autoincrement=True,
)
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
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("entity", _BIG, nullable=False),
    sa.Column("days", sa.Integer, nullable=False),
    sa.Column("day", sa.Integer, nullable=False),
    sa.Column("first_at", _BIG, nullable=False),
    sa.Column("seq", _BIG, nullable=False),
)
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

_ACTS = {"attempted": "ATTEMPTED", "dry-run": "DRY_RUN"}
"""What an act without items is read as, by its frame's outcome."""


@dataclass(frozen=True, slots=True)
class Key:
    """What a record of an operation is about: whose data (a keyed hash), for which purpose, in which case or scenario."""

    entity: str
    purpose: str = ""
    case: str = ""
    scenario: str = ""


@dataclass(frozen=True, slots=True)
class Told:
    """One line of a record: an item (empty where there is none, or the name of an act) with its outcome and rule."""

    resource: str
    item: str
    outcome: str
    rule: str
    subject_class: str
    governed: bool


@dataclass(slots=True)
class Batch:
    """What a batch of frames adds to the index; `looks` by id, the others by their tables' keys."""

    entries: list[dict[str, Any]] = field(default_factory=list)
    profiles: dict[int, dict[str, Any]] = field(default_factory=dict)
    shapes: dict[int, list[dict[str, Any]]] = field(default_factory=dict)
    looks: dict[int, dict[str, Any]] = field(default_factory=dict)
    activity: dict[tuple[int, int], Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    actors: dict[int, tuple[str, str, str]] = field(default_factory=dict)
    tallies: Counter[tuple[int, str, str, str]] = field(default_factory=Counter)


def digest(*parts: object) -> int:
    """63 bits of what the parts are, never 0; 0 for a single empty text."""
    if parts == ("",):
        return 0
    hashed = hashlib.blake2b("\x1f".join(map(str, parts)).encode("utf8", "surrogatepass"), digest_size=8).digest()
    return (int.from_bytes(hashed) >> 1) or 1


def text_of(value: str) -> str:
    """A text that every database can hold: PostgreSQL has no NUL."""
    return value.replace("\x00", "\ufffd")


def china_day(at: int) -> int:
    """The day in China, counted from 1970, of a moment in microseconds."""
    return (at // 1_000_000 + 8 * 3600) // 86_400


@lru_cache(4096)
def month_of(day: int) -> int:
    """202611 for a day in November 2026."""
    then = date.fromordinal(date(1970, 1, 1).toordinal() + day)
    return then.year * 100 + then.month


def is_outside_hours(at: int) -> bool:
    hour = (at // 3_600_000_000 + 8) % 24
    return (china_day(at) + 3) % 7 not in WORKING_DAYS or hour not in WORKING_HOURS


def records_of(frame: Mapping[str, Any], names: Mapping[int, str]) -> dict[Key, list[Told]]:
    """The records of a decoded frame with their lines; an operation that touched nobody's data is one record of nobody."""
    records: dict[Key, list[Told]] = {}
    for node in frame["nodes"]:
        about = (
            node["purpose"],
            text_of(node["case"]),
            node.get("scenario", ""),
        )  # frames of the first version have none
        items = [names[number].partition(".")[2] for number in node["items"]] or [""]
        kind, resource = node["subject"], node["resource"]
        for outcomes, entities in node["groups"].items():
            told = [
                Told(resource, item, OUTCOMES[letter], rule, kind, True)
                for item, rule, letter in zip(items, node["rules"], outcomes, strict=True)
            ]
            for entity in entities:
                records.setdefault(Key(entity, *about), []).extend(told)
        named = node["others"] or ([] if node["groups"] else [""])
        for entity in dict.fromkeys(named):
            act = "" if node["groups"] else node["path"]
            line = Told(resource, act, _ACTS.get(frame["outcome"], "NAMED"), "", kind, False)
            records.setdefault(Key(entity, *about), []).append(line)
    if not records:
        records[Key("")] = [Told(",".join(frame["fields"]), "", str(frame["outcome"]).upper(), "", "", False)]
    return records


def batch_of(frames: Iterable[StoredFrame], names: Mapping[int, str]) -> Batch:
    """What these frames add to the index. KeyError for an item that `names` has no name of."""
    batch = Batch()
    for stored in frames:
        frame = decode(stored.frame)
        for key, told in records_of(frame, names).items():
            _add(batch, stored.seq, frame, key, told)
    return batch


def numbers_of(frame: Mapping[str, Any], key: Key, told: list[Told]) -> tuple[int, int, int]:
    """The entity, the case and the profile of a record, as its entry has them."""
    return digest(key.entity), digest(key.case), digest(*_profile(frame, key), _shape(told))


def grant_of(rule: str) -> str:
    """The id of the grant under which a rule allows; empty for a rule of another kind."""
    return rule.split("/")[1] if rule.startswith("GRANT/") else ""


def _profile(frame: Mapping[str, Any], key: Key) -> tuple[Any, ...]:
    who = tuple(text_of(frame[name]) for name in ("department", "role", "client"))
    return (*who, key.purpose, text_of(key.scenario), is_outside_hours(frame["at"]))


def _shape(told: list[Told]) -> int:
    lines = sorted({(line.resource, line.item, line.outcome, line.rule) for line in told})
    return digest(*(part for line in lines for part in line))


def _add(batch: Batch, seq: int, frame: Mapping[str, Any], key: Key, told: list[Told]) -> None:
    shape, about = _shape(told), _profile(frame, key)
    entity, case, profile = digest(key.entity), digest(key.case), digest(*about, shape)
    if profile not in batch.profiles:
        of_profile = dict(zip((*_WHO, "outside_hours"), about, strict=True))
        batch.profiles[profile] = of_profile | {"id": profile, "shape": shape}
    if shape not in batch.shapes:
        batch.shapes[shape] = list(_rows_of_shape(shape, told))
    user = text_of(frame["subject"])
    batch.entries.append(
        {"seq": seq, "at": frame["at"], "entity": entity, "case": case, "user": digest(user), "profile": profile}
    )
    if any(line.governed for line in told):
        _count(batch, seq, frame["at"], (user, *about[:2]), entity, case, told)


def _rows_of_shape(shape: int, told: list[Told]) -> Iterator[dict[str, Any]]:
    outcomes = defaultdict(set)
    for line in told:
        outcomes[line.resource, line.item].add(line.outcome)
    lines = sorted({(line.resource, line.item, line.outcome, line.rule) for line in told})
    for number, (resource, item, outcome, rule) in enumerate(lines):
        yield {
            "shape": shape,
            "number": number,
            "resource": text_of(resource),
            "item": item,
            "outcome": outcome,
            "rule": rule,
            "grant": grant_of(rule),
            "used_only": outcomes[resource, item] == {"USED"},
        }


def _count(batch: Batch, seq: int, at: int, who: tuple[str, ...], entity: int, case: int, told: list[Told]) -> None:
    day = china_day(at)
    month, actor = month_of(day), digest(*who)
    batch.actors[actor] = (who[0], who[1], who[2])
    activity = batch.activity[month, actor]
    activity["records"] += 1
    activity["outside_hours"] += is_outside_hours(at)
    for line in told:
        if line.governed:
            batch.tallies[month, who[1], line.resource, line.outcome] += 1
            activity["refused"] += line.outcome == "DENIED"
    if entity and any(line.outcome in SHOWN for line in told):
        applies = case and any(line.subject_class == "SUBJECT" for line in told)
        _look(batch, month, actor, "applicants" if applies else "others", entity, at, seq)
        if case:
            _look(batch, month, actor, "cases", case, at, seq)


def _look(batch: Batch, month: int, actor: int, kind: str, key: int, at: int, seq: int) -> None:
    """Note that a user saw this one on this day; within a batch the days may be several."""
    day, number = china_day(at), digest(month, actor, kind, key)
    seen = batch.looks.get(number)
    if seen is None:
        batch.looks[number] = {
            "id": number, "month": month, "actor": actor, "kind": kind, "entity": key if kind == "applicants" else 0,
            "days": 1, "day": day, "since": day, "first_at": at, "seq": seq,
        }  # fmt: skip
    else:
        seen["days"] += day > seen["day"]
        seen["day"] = max(day, seen["day"])
        seen["seq"] = seq
