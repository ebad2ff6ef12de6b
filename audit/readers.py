"""Readers: who was shown a value that turned out to be wrong (Changsha 32), and nobody else.

The index finds the data subject's records in which the item stands; the frames say which version of the record each of them was shown.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import sqlalchemy as sa

from audit.frame import OUTCOMES, decode, shown_of
from audit.ledger import Ledger
from audit.questions import Place, Question, entries_of
from audit.records import text_of

_PORTION = 500
_CERTAIN = frozenset("RMYNJ")
"""Outcomes that told of a value; whether an absent one told of a row, frames of version 1 do not say."""


class _About(NamedTuple):
    """Under what a record was read."""

    purpose: str
    case: str
    scenario: str


@dataclass(frozen=True, slots=True)
class Wrong:
    """A wrong value: of which item, in whose record (a keyed hash), when it stood at the source.

    From `since` until, not with, `until`, microseconds since 1970 UTC; None: it still stands. `digest` is the value's, empty if it is not known.
    """

    entity: str
    resource: str
    item: str
    since: int
    until: int | None
    digest: str = ""

    def stood(self, at: int) -> bool:
        """Whether the value stood at that moment."""
        return self.since <= at and (self.until is None or at < self.until)


@dataclass(frozen=True, slots=True)
class Reader:
    """Who was shown the value, when (`at` in microseconds since 1970 UTC), and how: `outcomes` are the names of its readings' outcomes.

    `seq` is the place of the operation's frame, `number` tells its readers apart.
    """

    seq: int
    number: int
    operation: str
    at: int
    subject: str
    department: str
    role: str
    client: str
    purpose: str
    case: str
    scenario: str
    outcomes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Readers:
    """All readers, newest first. `undetermined` counts readings in frames that do not say versions yet.

    `needs_value`: there are readings of which only the value tells whether it was the wrong one, and it was not given.
    """

    readers: tuple[Reader, ...]
    undetermined: int
    needs_value: bool


def readers_of(connection: sa.Connection, ledger: Ledger, wrong: Wrong) -> Readers:
    """Who was shown the wrong value. What was denied, or only used to choose records, is no reading."""
    number = next((n for n, name in ledger.coordinates().items() if name == f"{wrong.resource}.{wrong.item}"), None)
    readers: list[Reader] = []
    undetermined, needs_value = 0, False
    for seq, frame in _frames(connection, ledger, wrong):
        found: dict[_About, set[str]] = {}
        for node in frame["nodes"]:
            for letter, versions in _readings(node, wrong, number):
                if versions is None:
                    undetermined += letter in _CERTAIN
                    continue
                needs_value = needs_value or (not wrong.digest and _is_open(versions, wrong, frame["at"]))
                if any(_is_wrong(one, wrong, frame["at"]) for one in versions):
                    about = _About(node["purpose"], text_of(node["case"]), node.get("scenario", ""))
                    found.setdefault(about, set()).add(OUTCOMES[letter])
        for place, (about, outcomes) in enumerate(sorted(found.items())):
            who = {name: frame[name] for name in ("operation", "at", "subject", "department", "role", "client")}
            readers.append(Reader(seq, place, **who, **about._asdict(), outcomes=tuple(sorted(outcomes))))
    return Readers(tuple(readers), undetermined, needs_value)


def _frames(connection: sa.Connection, ledger: Ledger, wrong: Wrong) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """The frames in which the data subject's record stands with this item, newest first, each once."""
    question = Question(entity=wrong.entity, resource=wrong.resource, item=wrong.item)
    seen: set[int] = set()
    while rows := entries_of(connection, question, _PORTION):
        question = replace(question, before=Place(rows[-1].at, rows[-1].id))
        fresh = [seq for seq in dict.fromkeys(row.seq for row in rows) if seq not in seen]
        seen.update(fresh)
        frames = {stored.seq: stored.frame for stored in ledger.frames(fresh)}
        for seq in fresh:
            yield seq, decode(frames[seq])


def _readings(
    node: Mapping[str, Any], wrong: Wrong, number: int | None
) -> Iterator[tuple[str, list[int | str] | None]]:
    """Each reading of the item in the data subject's records at this node: outcome, and what says which value it was (None: not kept)."""
    if node["resource"] != wrong.resource or number not in node["items"]:
        return
    places = [place for place, item in enumerate(node["items"]) if item == number]
    for outcomes, entities in node["groups"].items():
        versions = node["versions"].get(outcomes, ()) if "versions" in node else None
        for position, entity in enumerate(entities):
            if entity != wrong.entity:
                continue
            for place in places:
                known = None if versions is None else shown_of(versions[position], outcomes, place) if versions else []
                yield outcomes[place], known


def _is_wrong(shown: int | str, wrong: Wrong, at: int) -> bool:
    if isinstance(shown, int):
        return wrong.stood(shown)
    return shown == wrong.digest and wrong.stood(at)


def _is_open(versions: list[int | str], wrong: Wrong, at: int) -> bool:
    """Whether it takes the value to tell whether this was it."""
    return any(isinstance(one, str) for one in versions) and wrong.stood(at)
