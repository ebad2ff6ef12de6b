"""A desk over the open city, where a test closes one thing: items, needs, records, grants."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from functools import cache
from pathlib import Path
from typing import Any

import orjson
import strawberry

from app import graphql_schema
from connectors.memory import MemoryConnector
from policies.decision import Act
from policies.grants import AgreementState, Grant, GrantItem, GrantState
from policies.identity import Identity, Role
from policies.rules import FIRST_TIME, LAST_TIME
from schema.catalogue import (
    Catalogue,
    Purpose,
    RowCondition,
    ServiceItemUse,
    Share,
    ShareClass,
    ShareMode,
    SubjectClass,
)
from tests.leaks.city import Records, citizen, credit_code, open_catalogue, random_record
from tests.leaks.lines import Town, Towns, towns
from tests.policies.worlds import LocalRule, local_rows

CHANCE = random.Random(11)
ADULT, OTHER = citizen(CHANCE, date(1980, 1, 1)), citizen(CHANCE, date(1975, 5, 5))
CHILD = citizen(CHANCE, date(2015, 1, 1))
FIRM = credit_code(CHANCE)
PEOPLE = {"Person": [ADULT, OTHER, CHILD], "Organisation": [FIRM]}
NOW = datetime(2026, 6, 1, tzinfo=UTC)
READ = Purpose.ADMINISTRATIVE_BASIS
NAMED = f'query($use: UseInput!) {{ person(idNumber: "{ADULT}", use: $use) {{ register {{ name }} }} }}'
Change = Callable[[Catalogue], Catalogue]


@dataclass
class Desk:
    """A line over the open city with two persons, a child and a firm; `case` has ADULT and FIRM as subjects."""

    both: Towns
    loop: asyncio.Runner
    records: Records
    case: str = ""

    @property
    def town(self) -> Town:
        return self.both.pair[0]

    def identity(self, **changes: Any) -> Identity:
        department = self.both.catalogue.services["S-1"].department
        return replace(Identity("clerk-1", department, Role.CLERK, "421200", "client", 1e12, "token"), **changes)

    def use(self, purpose: Purpose = READ, **basis: str) -> str:
        kind, name = next(iter((basis or {"case": self.case}).items()))
        return f'{{ purpose: {purpose}, basis: {{ {kind}: "{name}" }} }}'

    def ask(self, text: str, who: Identity | None = None) -> dict[str, Any]:
        reply = self.loop.run(self.town.ask(text, {}, who or self.identity()))
        return dict(orjson.loads(reply.body))

    def person(self, selection: str, purpose: Purpose = READ, who: Identity | None = None, number: str = ADULT) -> Any:
        body = self.ask(f'{{ person(idNumber: "{number}", use: {self.use(purpose)}) {{ {selection} }} }}', who)
        return (body.get("data") or {}).get("person")

    def requests(self) -> list[Any]:
        """What the sources were asked since the last time."""
        asked: list[Any] = []
        for source in self.town.line._loads.sources.values():
            assert isinstance(source.connector, MemoryConnector)
            asked += source.connector.requests
            source.connector.requests = []
        return asked

    def lives_in(self, folder: Path | None = None) -> None:
        self.town.lives_in(self.both.catalogue, self.records, folder)

    def run(self, work: Any) -> Any:
        return self.loop.run(work)


@cache
def _schema() -> strawberry.Schema:
    """The schema of the open city: what is closed here changes no type."""
    return graphql_schema(open_catalogue())


@contextmanager
def desk(folder: Path, *changes: Change, attempts: int = 1000, granted: Grant | None = None) -> Iterator[Desk]:
    """A desk of the open city with these changes; `granted` is to the department that asks."""
    catalogue = open_catalogue()
    for change in changes:
        catalogue = change(catalogue)
    chance = random.Random(2)
    records: Records = {}
    for one in catalogue.resources.values():
        records[one.name] = rows = []
        for key in PEOPLE[one.entity or ""]:
            record = random_record(chance, one, key, PEOPLE)
            while None in [record[name] for name in one.items]:
                record = random_record(chance, one, key, PEOPLE)
            rows.append(record)
    with towns(catalogue, folder, attempts, schema=_schema(), sides=1) as both, asyncio.Runner() as loop:
        both.now = NOW
        made = Desk(both, loop, records)
        if granted:
            loop.run(both.pair[0].control.apply(replace(granted, department=made.identity().department)))
        loop.run(both.pair[0].policy.refresh())
        made.lives_in()
        made.case = loop.run(both.accept("S-1", [("Person", ADULT), ("Organisation", FIRM)]))
        yield made


# -- what is closed ---------------------------------------------------------------------------------------------


def item(coordinate: str, **changes: Any) -> Change:
    """The catalogue with another item."""
    name, _, of = coordinate.partition(".")

    def change(catalogue: Catalogue) -> Catalogue:
        one = catalogue.resources[name]
        changed = replace(one, items={**one.items, of: replace(one.items[of], **changes)})
        return replace(catalogue, resources={**catalogue.resources, name: changed})

    return change


def rows(name: str, *conditions: RowCondition) -> Change:
    """The catalogue with conditions on the records of a resource."""

    def change(catalogue: Catalogue) -> Catalogue:
        one = replace(catalogue.resources[name], rows=frozenset(conditions))
        return replace(catalogue, resources={**catalogue.resources, name: one})

    return change


def needed(coordinate: str, *subjects: SubjectClass, purposes: tuple[Purpose, ...] = tuple(Purpose)) -> Change:
    """The catalogue in which service items and scenarios need this item of these persons for these purposes only."""

    def uses(given: tuple[ServiceItemUse, ...], purpose: Purpose | None) -> tuple[ServiceItemUse, ...]:
        wanted = frozenset(subjects) if purpose is None or purpose in purposes else frozenset[SubjectClass]()
        made = [replace(one, subjects=wanted) if one.coordinate == coordinate else one for one in given]
        return tuple(one for one in made if one.subjects)

    def change(catalogue: Catalogue) -> Catalogue:
        services = {
            code: replace(one, materials=tuple(replace(m, uses=uses(m.uses, m.purpose)) for m in one.materials))
            for code, one in catalogue.services.items()
        }
        scenarios = {name: replace(one, items=uses(one.items, None)) for name, one in catalogue.scenarios.items()}
        return replace(catalogue, services=services, scenarios=scenarios)

    return change


def by_grant_only(coordinate: str) -> Change:
    """The catalogue in which this item is shared by grants, and by nothing else."""

    def change(catalogue: Catalogue) -> Catalogue:
        return item(coordinate, share=CLOSED)(replace(catalogue, scenarios={}))

    return change


CLOSED = Share(ShareClass.CONDITIONAL, "第二条", None, "仅限核验")
OWN = frozenset({RowCondition.OWN_REGION})
LIMITED = (rows("Tenancy", RowCondition.OWN_REGION), rows("Register", RowCondition.ADULTS))


def grant(*coordinates: str, **changes: Any) -> Grant:
    made = Grant(
        "G1", "", "civil", tuple(GrantItem(one, "第九条", True) for one in coordinates), frozenset(Purpose),
        frozenset(ShareMode), "", frozenset(), FIRST_TIME, LAST_TIME, "协议", AgreementState.VALID, GrantState.GRANTED,
        document="函1号",
    )  # fmt: skip
    return replace(made, **changes)


def publish(one: Desk, coordinate: str, act: Act, *, allow: bool) -> None:
    """Put a rule file with one rule in force: this act with this item, for everybody."""
    rule = LocalRule(
        "RULE/f/1", allow, coordinate, None, None, None, act, None, None, None, FIRST_TIME, LAST_TIME
    )  # fmt: skip
    one.run(one.town.control.publish("f", local_rows(rule)))
    one.run(one.town.policy.refresh())
