"""A frame: the durable record of one operation. No values: identifiers enter as keyed hashes only.

Frames are JSON so that a court can read them without this program. Item numbers are permanent (`Ledger` keeps their dictionary). Each
group holds one letter for each item, and the entities whose records had exactly these outcomes:
R returned, A absent, M masked, D denied, F could not be had, J used to follow a relation, E told that the record exists, U used to
choose or order records, Y and N verified: it matched, it did not. What was asked under a scenario went through the channel `system`.

`versions` (since frames of version 2) stand beside `groups`, in the same order, and say which state of each record was shown: a number is
its last change at the source in microseconds since 1970 UTC. Where the source tells no moment, a text has a keyed digest of 11
characters for each item whose value was told (R, M, Y, N, A, J). A list has one of these for each row behind the record; null: no row.
A frame holds the whole decision request, so that it can be decided again: who asked, when, under which policy version, with which cases as they were
then, and of each item the act that it was asked for and whose datum it is there. Frames of version 1 lack acts, classes, rows and cases.
"""

from __future__ import annotations

import hashlib
import os
import time
import uuid
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

FRAME_VERSION = 2
OUTCOMES = {
    "R": "RETURNED",
    "A": "ABSENT",
    "M": "MASKED",
    "D": "DENIED",
    "F": "FAILED",
    "J": "JOINED",
    "E": "EXISTS",
    "U": "USED",
    "Y": "MATCHED",
    "N": "MISMATCHED",
}
TOLD = frozenset("RMYNAJ")
"""Outcomes that told something of the item's value, if there was a row."""
_DIGEST = 11
"""Characters of a value's digest."""
ACTS = {
    "r": "read",
    "e": "exist",
    "j": "join",
    "v": "verify",
    "f": "filter",
    "s": "sort",
    "a": "aggregate",
    "g": "group",
    "x": "export",
}
"""What an item was asked for, by its letter in `acts`."""
CLASSES = {"S": "SUBJECT", "R": "RELATED", "T": "THIRD_PARTY"}
"""Whose datum it was there, by its letter in `classes`."""


def new_operation_id() -> str:
    """A new operation's id: a UUID of version 7 (RFC 9562), in the order of time, so that a store's index of operations grows at its end."""
    content = bytearray((time.time_ns() // 1_000_000).to_bytes(6) + os.urandom(10))
    content[6] = content[6] & 0x0F | 0x70
    content[8] = content[8] & 0x3F | 0x80
    return str(uuid.UUID(bytes=bytes(content)))


class SubjectHash:
    """Hashes identifiers of data subjects under a key, so that the ledger can be searched for a person but tells of none.

    BLAKE2b with a key (RFC 7693), 16 bytes in hexadecimal, after the key's id: old keys stay usable beside new ones.
    """

    def __init__(self, secret: bytes) -> None:
        if len(secret) != 32:
            raise ValueError("the ledger's secret must have 32 bytes")
        self._secret = secret
        self.key_id = hashlib.sha256(b"onesource/ledger/key-id" + secret).hexdigest()[:6]

    def of(self, entity: str, identifier: str) -> str:
        hashed = hashlib.blake2b(f"{entity}\x1f{identifier}".encode(), key=self._secret, digest_size=16)
        return f"{self.key_id}:{hashed.hexdigest()}"

    def value(self, entity: str, identifier: str, coordinate: str, value: str) -> str:
        """A digest of one item's value (8 bytes, base64url): equal values of two people do not look alike."""
        parts = "\x1f".join((entity, identifier, coordinate, value))
        hashed = hashlib.blake2b(
            parts.encode("utf8", "surrogatepass"), key=self._secret, digest_size=8, person=b"value"
        )
        return urlsafe_b64encode(hashed.digest()).decode().rstrip("=")


@dataclass(frozen=True, slots=True)
class NodeFrame:
    """What one node of the plan disclosed; `groups` maps outcome letters to hashed entities, `items` are permanent numbers.

    `versions` has the versions of the records in `groups`, by the same letters and in the same order; letters without any are left out.
    `acts` and `classes` have a letter for each item (`ACTS`, `CLASSES`), `rows` the conditions on records that the allowed ones were under.
    """

    path: str
    resource: str
    subject: str
    purpose: str
    case: str
    service: str
    items: tuple[int, ...]
    rules: tuple[str, ...]
    groups: Mapping[str, list[str]]
    others: list[str]
    scenario: str = ""
    versions: Mapping[str, list[Any]] = field(default_factory=dict)
    acts: str = ""
    classes: str = ""
    rows: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class CaseFrame:
    """A case as it was when the operation was decided: times in microseconds since 1970 UTC, its subjects as keyed hashes.

    It is the caller's department's. A case that a node names and no CaseFrame has was unknown.
    """

    number: str
    service: str
    opened: int
    expires: int
    closed: int | None
    subjects: list[str]


@dataclass(frozen=True, slots=True)
class Frame:
    """One operation. `at` is in microseconds since 1970 UTC; `fields` names the ungoverned root fields that it had."""

    operation: str
    at: int
    subject: str
    department: str
    role: str
    region: str
    client: str
    channel: str
    document: str
    name: str
    policy: str
    catalogue: str
    outcome: str
    fields: tuple[str, ...]
    nodes: tuple[NodeFrame, ...]
    version: int = FRAME_VERSION
    cases: tuple[CaseFrame, ...] = ()

    def encode(self) -> bytes:
        """The frame as JSON in UTF-8 without spaces; keys stand in the order of the fields here, `groups` sorted."""
        return orjson.dumps(self, option=orjson.OPT_SORT_KEYS)


@dataclass(frozen=True, slots=True)
class AuditFrame(Frame):
    """An operation that asked the ledger itself. `asked` tells for each question its root field, a digest of the whole question, and the user,
    department, case, month and (as a keyed hash) data subject that it named."""

    asked: tuple[Mapping[str, str], ...] = ()


def shown_of(version: Any, outcomes: str, place: int) -> list[int | str]:
    """Of a record's version in a frame, what stands for the item at this place of its outcomes: last changes, digests of its value."""
    rows = version if isinstance(version, list) else [] if version is None else [version]
    if outcomes[place] not in TOLD:
        return []
    begin = _DIGEST * sum(letter in TOLD for letter in outcomes[:place])
    return [row if isinstance(row, int) else row[begin : begin + _DIGEST] for row in rows]


def decode(frame: bytes) -> dict[str, Any]:
    """A frame's JSON as plain values."""
    return dict(orjson.loads(frame))


def labelled(frame: bytes, operation: Any, at: Any) -> bool:
    """Whether operation and moment beside a frame are those in it."""
    if not isinstance(operation, str) or not isinstance(at, int):
        return False
    try:
        told = decode(frame)
    except (ValueError, TypeError):
        return False
    return told.get("operation") == operation and told.get("at") == at
