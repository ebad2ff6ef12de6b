"""The records of a frame: one for each data subject, purpose and case that its operation touched, with a line for each item.

Frames repeat each other: what nodes have in common is read once and kept (`Part`), and so is what whole records have in common (`Shape`).
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

from audit.frame import OUTCOMES

SHOWN = frozenset({"RETURNED", "MASKED", "ABSENT", "EXISTS", "MATCHED", "MISMATCHED"})
"""Outcomes that told the user something of the data subject."""
ACTS = {"attempted": "ATTEMPTED", "dry-run": "DRY_RUN"}
"""What an act without items is read as, by its frame's outcome."""
_MOST_KEPT = 100_000


class Key(NamedTuple):
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


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """The lines that one node has of one record; the same lines are the same part."""

    lines: tuple[Told, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Shape:
    """What records with the same lines have in common.

    `number` is the digest of the lines, `tallies` counts those that a decision governed by resource and outcome, `refused` those of them that were denied; `shown` says that
    something was told, `applies` that the data subject was the subject of the case.
    """

    number: int
    lines: tuple[Told, ...]
    tallies: Mapping[tuple[str, str], int]
    refused: int
    shown: bool
    applies: bool

    def rows(self) -> list[tuple[Any, ...]]:
        """Number of the shape, number of the line, resource, item, outcome, rule, grant, and whether the item was used in no other way."""
        outcomes = defaultdict(set)
        for line in self.lines:
            outcomes[line.resource, line.item].add(line.outcome)
        return [
            (self.number, place, text_of(of), item, outcome, rule, grant_of(rule), outcomes[of, item] == {"USED"})
            for place, (of, item, outcome, rule) in enumerate(_distinct(self.lines))
        ]


class Reader:
    """Reads records by the dictionary of items (`names`: permanent number to coordinate)."""

    def __init__(self, names: Mapping[int, str]) -> None:
        self._names = names
        self._parts: dict[tuple[Any, ...], Part] = {}
        self._shapes: dict[tuple[Part, ...], Shape] = {}

    def records(self, frame: Mapping[str, Any]) -> dict[Key, list[Part]]:
        """The records of a decoded frame; an operation that touched nobody's data is one record of nobody. KeyError for an unknown item."""
        records: dict[Key, list[Part]] = {}
        for node in frame["nodes"]:
            purpose, case = node["purpose"], text_of(node["case"])
            scenario = node.get("scenario", "")  # frames of the first version have none
            groups = node["groups"]
            if groups:
                told = (node["resource"], node["subject"], tuple(node["items"]), tuple(node["rules"]))
                for outcomes, entities in groups.items():
                    part = self._parts.get((outcomes, *told)) or self._governed(outcomes, *told)
                    for entity in entities:
                        records.setdefault(Key(entity, purpose, case, scenario), []).append(part)
            named = node["others"] or ([] if groups else [""])
            if named:
                part = self._act(node["resource"], "" if groups else node["path"], frame["outcome"], node["subject"])
                for entity in dict.fromkeys(named):
                    records.setdefault(Key(entity, purpose, case, scenario), []).append(part)
        if not records:
            line = Told(",".join(frame["fields"]), "", str(frame["outcome"]).upper(), "", "", False)
            records[Key("")] = [self._kept((line,), line)]
        return records

    def shape(self, parts: Sequence[Part]) -> Shape:
        """The shape of a record with these parts."""
        key = tuple(parts)
        shape = self._shapes.get(key)
        if shape is None:
            shape = self._shapes[key] = _shape([line for part in parts for line in part.lines])
        return shape

    def forget(self) -> None:
        """Let go of what is kept, if it has become too much."""
        if len(self._parts) + len(self._shapes) > _MOST_KEPT:
            self._parts.clear()
            self._shapes.clear()

    def _governed(
        self, outcomes: str, resource: str, kind: str, numbers: tuple[int, ...], rules: tuple[str, ...]
    ) -> Part:
        items = [self._names[number].partition(".")[2] for number in numbers] or [""]
        lines = tuple(
            Told(resource, item, OUTCOMES[letter], rule, kind, True)
            for item, rule, letter in zip(items, rules, outcomes, strict=True)
        )
        return self._kept((outcomes, resource, kind, numbers, rules), *lines)

    def _act(self, resource: str, act: str, outcome: str, kind: str) -> Part:
        line = Told(resource, act, ACTS.get(outcome, "NAMED"), "", kind, False)
        return self._parts.get((line,)) or self._kept((line,), line)

    def _kept(self, key: tuple[Any, ...], *lines: Told) -> Part:
        return self._parts.setdefault(key, Part(lines))


@lru_cache(200_000, typed=True)
def digest(*parts: object) -> int:
    """63 bits of what the parts are, never 0; 0 for a single empty text."""
    return digest_of(parts)


def digest_of(parts: Sequence[object]) -> int:
    """`digest`, of what is asked for only once."""
    if parts == ("",):
        return 0
    hashed = hashlib.blake2b("\x1f".join(map(str, parts)).encode("utf8", "surrogatepass"), digest_size=8).digest()
    return (int.from_bytes(hashed) >> 1) or 1


def text_of(value: str) -> str:
    """A text that every database can hold: PostgreSQL has no NUL."""
    return value.replace("\x00", "\ufffd")


def grant_of(rule: str) -> str:
    """The id of the grant under which a rule allows; empty for a rule of another kind."""
    return rule.split("/")[1] if rule.startswith("GRANT/") else ""


def _shape(lines: list[Told]) -> Shape:
    governed = [line for line in lines if line.governed]
    return Shape(
        number=digest_of([part for line in _distinct(lines) for part in line]),
        lines=tuple(lines),
        tallies=Counter((line.resource, line.outcome) for line in governed),
        refused=sum(line.outcome == "DENIED" for line in governed),
        shown=any(line.outcome in SHOWN for line in lines),
        applies=any(line.subject_class == "SUBJECT" for line in lines),
    )


def _distinct(lines: Sequence[Told]) -> list[tuple[str, str, str, str]]:
    return sorted({(line.resource, line.item, line.outcome, line.rule) for line in lines})
