"""Frames for tests, and a ledger with its index in a folder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from audit.frame import Frame, NodeFrame, SubjectHash
from audit.index import Answer, Index
from audit.ledger import Ledger
from audit.stores import store_at

HASH = SubjectHash(bytes(range(32)))
ITEMS = ("Register.name", "Register.address", "Tax.payer")


def node(entity: str = "", outcomes: str = "RA", **changes: Any) -> NodeFrame:
    """A node that returned Register.name and had no Register.address of that entity (a hash)."""
    made: dict[str, Any] = {
        "path": "person",
        "resource": "Register",
        "subject": "SUBJECT",
        "purpose": "ADMINISTRATIVE_BASIS",
        "case": "N-1",
        "service": "S-1",
        "items": (1, 2),
        "rules": ("SHARE/Register.name", "SHARE/Register.address"),
        "groups": {outcomes: [entity or HASH.of("Person", "421202199001011234")]},
        "others": [],
    }
    return NodeFrame(**made | changes)


def frame(operation: str, *nodes: NodeFrame, **changes: Any) -> Frame:
    """The frame of an operation that asked for these nodes."""
    made: dict[str, Any] = {
        "operation": operation,
        "at": 1_780_000_000_000_000,
        "subject": "clerk-01",
        "department": "housing",
        "role": "clerk",
        "region": "421200",
        "client": "demo",
        "channel": "query",
        "document": "d" * 32,
        "name": "Applicant",
        "policy": "p1",
        "catalogue": "c1",
        "outcome": "answered",
        "fields": (),
        "nodes": nodes,
    }
    return Frame(**made | changes)


def open_ledger(folder: Path, timeout: float = 5) -> Ledger:
    """The ledger in this folder, open, with the numbers of `ITEMS`."""
    ledger = Ledger(store_at(f"sqlite:///{folder / 'ledger.db'}", timeout), timeout)
    ledger.open()
    ledger.item_numbers(ITEMS)
    return ledger


def index_of(folder: Path, ledger: Ledger) -> Index:
    """The index in this folder, not open yet."""
    return Index(f"sqlite:///{folder / 'index.db'}", ledger)


async def append(ledger: Ledger, *frames: Frame) -> None:
    """Put the frames on record, one after the other."""
    for one in frames:
        await ledger.append(one.at, one.operation, one.encode())


def numbers_of(ledger: Ledger, *coordinates: str) -> Mapping[str, int]:
    return ledger.item_numbers(coordinates)


@dataclass(frozen=True)
class SeenLine:
    """A line of an answer with what is said of its record."""

    id: str
    at: int
    operation: str
    subject: str
    department: str
    role: str
    purpose: str
    case: str
    scenario: str
    entity: str
    policy: str
    resource: str
    item: str
    outcome: str
    rule: str
    subject_class: str


def lines_of(answer: Answer) -> list[SeenLine]:
    """Every line of an answer, in its order."""
    return [
        SeenLine(
            f"{one.place.entry}.{number}", one.place.at, one.operation, one.subject, one.department, one.role,
            one.purpose, one.case, one.scenario, one.entity, one.policy,
            line.resource, line.item, line.outcome, line.rule, line.subject_class,
        )
        for one in answer.records
        for number, line in enumerate(one.lines)
    ]  # fmt: skip
