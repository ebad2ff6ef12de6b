"""A frame: the durable record of one operation. No values: identifiers enter as keyed hashes only.

Frames are JSON so that a court can read them without this program. Item numbers are permanent (`Ledger` keeps their dictionary). Each
group holds one letter for each item, and the entities whose records had exactly these outcomes:
R returned, A absent, M masked, D denied, F could not be had, J used to follow a relation, E told that the record exists, U used to
choose or order records, Y and N verified: it matched, it did not. What was asked under a scenario went through the channel `system`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

FRAME_VERSION = 1
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


@dataclass(frozen=True, slots=True)
class NodeFrame:
    """What one node of the plan disclosed; `groups` maps outcome letters to hashed entities, `items` are permanent numbers."""

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

    def encode(self) -> bytes:
        """The frame as JSON in UTF-8 without spaces; keys stand in the order of the fields here, `groups` sorted."""
        return orjson.dumps(self, option=orjson.OPT_SORT_KEYS)


def decode(frame: bytes) -> dict[str, Any]:
    """A frame's JSON as plain values."""
    return dict(orjson.loads(frame))
