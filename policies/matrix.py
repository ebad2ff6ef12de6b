"""The matrix: what the rules of sharing say of every department, every item and every purpose, in one table.

It asks the share model alone, whatever the case or the scenario: a basis must need an item beside. Where only some channel, basis or class of person is
allowed, the cell says which. Each cell is decided by the snapshot's own enforcer.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from policies.decision import END, Act, Decision, Use
from policies.identity import Role
from policies.rules import ANY, CHANNELS, ShareRow
from policies.snapshot import Snapshot
from schema.catalogue import PURPOSE_TITLES, Purpose, ShareMode, SubjectClass


class Effect(StrEnum):
    """What a cell of the matrix says."""

    ALLOWED = "ALLOWED"
    MASKED = "MASKED"
    VERIFY = "VERIFY"
    GRANT = "GRANT"
    SCENARIO = "SCENARIO"
    CONDITION = "CONDITION"
    NOT_SHARED = "NOT_SHARED"
    SUSPENDED = "SUSPENDED"
    PURPOSE = "PURPOSE"
    AUDIENCE = "AUDIENCE"
    REFUSED = "REFUSED"


_BY_RULE = {
    "GRANT/": Effect.GRANT,
    "SCENARIO/": Effect.SCENARIO,
    "SUSPENSION/": Effect.SUSPENDED,
    "DENY/CLASS/CONDITIONAL": Effect.CONDITION,
    "DENY/CLASS/NOT_SHARED": Effect.NOT_SHARED,
    "DENY/PURPOSE": Effect.PURPOSE,
    "DENY/ACT": Effect.PURPOSE,
    "DENY/AUDIENCE": Effect.AUDIENCE,
}


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell; `channels`, `bases` and `subjects` say what it is allowed through, empty where it is denied."""

    effect: Effect
    rule: str
    article: str
    en: str
    zh: str
    mask: str
    rows: tuple[str, ...]
    channels: tuple[str, ...]
    bases: tuple[str, ...]
    subjects: tuple[str, ...]
    until: str


@dataclass(frozen=True, slots=True)
class _Way:
    """A way to ask: through a channel, under a basis (`any` for whatever basis), of a class of person."""

    channel: str
    basis: str
    subject: SubjectClass


def matrix(snapshot: Snapshot, at: float) -> dict[str, Any]:
    """The whole table as JSON at a moment (Unix seconds): `cells[item]` has a number of `pool` for each department and purpose, in their order."""
    catalogue = snapshot.catalogue
    pool: dict[Cell, int] = {}
    known: dict[tuple[str, Purpose, tuple[ShareRow, ...]], int] = {}
    items, cells = [], []
    for number, resource in enumerate(catalogue.resources.values()):
        for item in resource.items.values():
            coordinate = f"{resource.name}.{item.name}"
            items.append([coordinate, item.title, number, item.grade, item.share.share_class.value])
            line = []
            for department in catalogue.departments:
                rows = snapshot.rows_about(coordinate, department)
                for purpose in Purpose:
                    # departments about which the rules say the same are decided alike
                    key = (coordinate, purpose, tuple(rows))
                    if key not in known:
                        cell = _cell(snapshot, department, coordinate, purpose, rows, at)
                        known[key] = pool.setdefault(cell, len(pool))
                    line.append(known[key])
            cells.append(line)
    return {
        "version": snapshot.version,
        "at": datetime.fromtimestamp(at, UTC).isoformat(),
        "departments": [[one.slug, one.title] for one in catalogue.departments.values()],
        "purposes": [[purpose.value, PURPOSE_TITLES[purpose]] for purpose in Purpose],
        "resources": [
            [one.name, one.title, list(catalogue.departments).index(one.department), one.share.share_class.value]
            for one in catalogue.resources.values()
        ],
        "items": items,
        "fields": list(Cell.__dataclass_fields__),
        "pool": [[getattr(cell, name) for name in Cell.__dataclass_fields__] for cell in pool],
        "cells": cells,
    }


def _cell(
    snapshot: Snapshot, department: str, coordinate: str, purpose: Purpose, rows: Sequence[ShareRow], at: float
) -> Cell:
    act = Act.VERIFY if purpose is Purpose.DATA_VERIFICATION else Act.READ
    allowed: list[tuple[_Way, Decision]] = []
    refused: list[Decision] = []
    for way in _ways(snapshot, coordinate, rows, purpose):
        caller = snapshot.caller(department, Role.CLERK, way.channel, purpose, way.basis)
        decision = caller._by_share(Use(coordinate, act, way.subject), at)
        if decision.allow:
            allowed.append((way, decision))
        else:
            refused.append(decision)
    if not allowed:
        return _told(snapshot, act, refused[0], [])
    first = allowed[0][1]
    return _told(snapshot, act, first, [way for way, decision in allowed if decision.rule_id == first.rule_id])


def _ways(snapshot: Snapshot, coordinate: str, rows: Sequence[ShareRow], purpose: Purpose) -> Iterator[_Way]:
    """The ways that the rows tell apart, an online query under whatever basis first: it says why where none is allowed."""
    own = snapshot.catalogue.item(coordinate).subject
    yield _Way(CHANNELS[ShareMode.ONLINE_QUERY], ANY, own)
    seen = {_Way(CHANNELS[ShareMode.ONLINE_QUERY], ANY, own)}
    for row in sorted(rows, key=lambda row: (row.basis != ANY, row.basis, row.channel)):
        if row.eft == "allow" and row.purpose in (ANY, purpose):
            for channel in CHANNELS.values() if row.channel == ANY else (row.channel,):
                way = _Way(channel, row.basis, own if row.subject == ANY else SubjectClass(row.subject))
                if way not in seen:
                    seen.add(way)
                    yield way


def _told(snapshot: Snapshot, act: Act, decision: Decision, ways: Sequence[_Way]) -> Cell:
    try:
        article = snapshot.text(decision.rule_id).article
    except KeyError:
        article = ""
    until = datetime.fromtimestamp(decision.until, UTC).isoformat() if decision.until < END else ""
    return Cell(
        effect=_effect(decision, act),
        rule=decision.rule_id,
        article=article,
        en=decision.reason.en,
        zh=decision.reason.zh,
        mask=decision.mask.value if decision.mask else "",
        rows=tuple(sorted(condition.value for condition in decision.rows)),
        channels=tuple(dict.fromkeys(way.channel for way in ways)),
        bases=tuple(dict.fromkeys(way.basis for way in ways)),
        subjects=tuple(dict.fromkeys(way.subject.value for way in ways)),
        until=until,
    )


def _effect(decision: Decision, act: Act) -> Effect:
    for beginning, effect in _BY_RULE.items():
        if decision.rule_id.startswith(beginning):
            return effect
    if not decision.allow:
        return Effect.REFUSED
    if act is Act.VERIFY:
        return Effect.VERIFY
    return Effect.MASKED if decision.mask else Effect.ALLOWED
