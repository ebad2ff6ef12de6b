"""The proof of the twins: random worlds, callers, bases and operations, asked of a city and of its twin; every answer must be the same.

One operation is one request, answered by both. It returns data where the ledger says that a value, a verdict or a record was told.
"""

from __future__ import annotations

import asyncio
import random
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson

from policies.identity import Identity, Role
from schema.catalogue import Catalogue, Purpose, RowCondition, ShareMode
from tests.leaks.city import REGIONS, Records, random_catalogue, random_people, random_records
from tests.leaks.documents import Documents, Drawn, Values
from tests.leaks.lines import Reply, Town, Towns, towns
from tests.leaks.sight import Eyes, Place, View
from tests.leaks.twin import twin_of
from tests.policies.worlds import DEPARTMENTS, MOMENTS, World, random_grant, random_local, random_suspension

DOCUMENTS = 32
QUESTIONS_A_VIEW = 40
TELLING = frozenset("RMEYN")
"""Outcomes by which something is told."""


@dataclass
class Tally:
    """What was asked, and what was different."""

    operations: int = 0
    told: int = 0
    differences: list[str] = field(default_factory=list)
    kinds: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0

    def __str__(self) -> str:
        rate, share = self.operations / max(self.seconds, 1e-9), self.told / max(self.operations, 1)
        kinds = ", ".join(f"{name} {count}" for name, count in sorted(self.kinds.items()))
        return (
            f"{self.operations} operations, {share:.0%} returned data, {len(self.differences)} differences, "
            f"{rate:.0f} a second; {kinds}"
        )

    def add(self, other: Tally) -> None:
        self.operations += other.operations
        self.told += other.told
        self.differences += other.differences
        self.kinds += other.kinds
        self.seconds = max(self.seconds, other.seconds)


def prove(seed: int, operations: int, folder: Path, views: int = 10, most: int = 5) -> Tally:
    """Ask at least `operations` random operations in random worlds, from `seed` on, by `views` views in each, until `most` differ."""
    tally = Tally()
    began = time.perf_counter()
    while tally.operations < operations and len(tally.differences) < most:
        with tempfile.TemporaryDirectory(dir=folder) as world_folder:
            asyncio.run(_prove_world(seed, tally, operations, Path(world_folder), views, most))
        seed += 1
    tally.seconds = time.perf_counter() - began
    return tally


def random_world(chance: random.Random) -> World:
    """A world whose rules can be enacted: conditions on adults where there are persons only."""
    catalogue = random_catalogue(chance)
    scenarios = {
        name: replace(one, rows=_fitting(one.rows, [use.coordinate for use in one.items]))
        if chance.random() < 0.5
        else replace(one, rows=frozenset())
        for name, one in catalogue.scenarios.items()
    }
    scenarios = {n: replace(one, modes=one.modes | {ShareMode.SYSTEM_INTEGRATION}) for n, one in scenarios.items()}
    catalogue = replace(catalogue, scenarios=scenarios)
    grants = [random_grant(chance, catalogue, f"G{number}") for number in range(1, 10)]
    grants = [replace(one, rows=_fitting(one.rows, [i.coordinate for i in one.items])) for one in grants]
    suspensions = [random_suspension(chance, catalogue, grants, f"S{n}") for n in range(1, chance.choice((1, 2, 3)))]
    local = [random_local(chance, catalogue, f"RULE/f/{number}") for number in range(chance.choice((0, 0, 2)))]
    return World(catalogue, tuple(grants), tuple(suspensions), tuple(local))


def _fitting(rows: frozenset[RowCondition], coordinates: list[str]) -> frozenset[RowCondition]:
    organisations = any(one.startswith(("Enterprise.", "Penalty.")) for one in coordinates)
    return rows - {RowCondition.ADULTS} if organisations else rows


async def _prove_world(seed: int, tally: Tally, operations: int, folder: Path, views: int, most: int) -> None:
    chance = random.Random(seed)
    world = random_world(chance)
    people = random_people(chance)
    records = random_records(chance, world.catalogue, people)
    with towns(world.catalogue, folder, chance.choice((5, 1000, 1000))) as both:
        await both.enact(world)
        draws = Documents(both.pair[0].line._schema, chance)
        documents = [draws.draw(verifies=number % 4 == 0) for number in range(DOCUMENTS)]
        for number in range(views):
            if tally.operations >= operations or len(tally.differences) >= most:
                return
            await _View(chance, world, both, people, records, documents, tally, seed).prove(number % 10 == 4, most)


@dataclass
class _View:
    """One view: its twin city, and the operations that are asked of both."""

    chance: random.Random
    world: World
    both: Towns
    people: dict[str, list[str]]
    records: Records
    documents: list[Drawn]
    tally: Tally
    seed: int

    async def prove(self, in_sqlite: bool, most: int) -> None:
        view, who, use = await self._drawn()
        seen = Eyes(self.world, view, self.records).look()
        twin, numbers = twin_of(self.chance, self.catalogue, view, self.records, seen)
        self.both.pair[1].hashes.numbers = {new: old for old, new in numbers.items()}
        with (
            tempfile.TemporaryDirectory(dir=self.both.folder) as left,
            tempfile.TemporaryDirectory(dir=self.both.folder) as right,
        ):
            for town, records, folder in zip(self.both.pair, (self.records, twin), (left, right), strict=True):
                town.lives_in(self.catalogue, records, Path(folder) if in_sqlite else None)
            await self._ask_all(view, who, use, "sqlite" if in_sqlite else "memory", most)
            for town in self.both.pair:
                for source in town.line._loads.sources.values():
                    await source.connector.close()

    @property
    def catalogue(self) -> Catalogue:
        return self.world.catalogue

    async def _drawn(self) -> tuple[View, Identity, dict[str, Any]]:
        """A random caller with a random basis, which more often than not is one that the caller has."""
        chance, catalogue = self.chance, self.catalogue
        at = chance.choice(MOMENTS)
        self.both.now = datetime.fromtimestamp(at, UTC)
        asked: frozenset[Place] = frozenset(
            (entity, name)
            for entity, names in self.people.items()
            for name in chance.sample(names, chance.choice((1, 2, 4)))
        )
        scenario = chance.random() < 0.4
        role = chance.choice((Role.CLERK, Role.DEVELOPER) * 20 + (Role.OFFICER,))
        if scenario and chance.random() < 0.95:
            role = Role.DEVELOPER  # a scenario is for systems
        if scenario:
            of = chance.choice(list(catalogue.scenarios.values()))
            department = catalogue.services[chance.choice(of.services)].department
            purposes: list[Purpose] = sorted(of.purposes)
            basis, given = f"SCENARIO/{of.name}", {"scenario": of.name}
        else:
            service = chance.choice(list(catalogue.services.values()))
            department, purposes, basis = service.department, sorted(service.purposes), f"SERVICE/{service.code}"
            subjects = [chance.choice([one for one in sorted(asked) if one[0] == entity]) for entity in self.people]
            subjects += chance.sample(sorted(asked - set(subjects)), min(len(asked) - 2, chance.choice((0, 0, 1, 2))))
            given = {"case": await self.both.accept(service.code, subjects)}
        if chance.random() < 0.03:
            department = chance.choice(DEPARTMENTS)
        own = [one.department for one in catalogue.services.values() if not scenario and one.code == basis[8:]]
        own += [catalogue.services[c].department for c in (of.services if scenario else ())]
        shown = [one for one in purposes if one is not Purpose.DATA_VERIFICATION]
        purpose = chance.choice(shown if shown and chance.random() < 0.85 else purposes)
        view = View(
            department, role.value, chance.choice((*REGIONS, "421200", "421200", "")), purpose,
            basis if department in own and not (scenario and role is Role.CLERK) else "", "system" if scenario else "query", at,
            frozenset() if scenario or department not in own else frozenset(subjects), asked,
        )  # fmt: skip
        who = Identity(f"{role}-{chance.randrange(3)}", department, role, view.region, "client", 1e12)
        return view, who, {"purpose": purpose.value, "basis": given}

    async def _ask_all(self, view: View, who: Identity, use: dict[str, Any], kind: str, most: int) -> None:
        values = Values(self.chance, self.catalogue, self.records, view, use)
        verifies = view.purpose is Purpose.DATA_VERIFICATION
        fitting = [one for one in self.documents if one.verifies is verifies] or self.documents
        telling: list[
            Drawn
        ] = []  # what told something is asked again, of others: pure chance would be refused too often
        for _ in range(QUESTIONS_A_VIEW):
            if len(self.tally.differences) >= most:
                return
            drawn = self.chance.choice(fitting if self.chance.random() < 0.95 else self.documents)
            if telling and self.chance.random() < 0.4:
                drawn = self.chance.choice(telling)
            variables, told = values.of(drawn), self.tally.told
            for _ in range(3):  # a page, and those after it
                cursors = await self._ask(drawn, variables, who, kind)
                if not cursors or self.chance.random() < 0.3:
                    break
                variables = variables | {drawn.searches[key]: cursor for key, cursor in cursors.items()}
            if self.tally.told > told:
                telling.append(drawn)

    async def _ask(self, drawn: Drawn, variables: dict[str, Any], who: Identity, kind: str) -> dict[str, str]:
        """Ask both; the cursors that the answer holds, by search."""
        left, right = [await town.ask(drawn.text, variables, who) for town in self.both.pair]
        frames = [_told(town) for town in self.both.pair]
        self.tally.operations += 1
        self.tally.told += frames[0]
        self.tally.kinds[f"{kind}"] += 1
        kind = "verifications" if drawn.verifies else "searches" if drawn.searches else "look-ups"
        self.tally.kinds[kind] += 1
        self.tally.kinds[f"{kind} that told"] += frames[0]
        if left != right:
            self.tally.differences.append(_difference(self.seed, drawn, variables, who, left, right))
        body = orjson.loads(left.body)
        assert left.status == 200, body
        data = body.get("data") or {}
        found = {key: self._cursor(data.get(key)) for key in drawn.searches}
        return {key: cursor for key, cursor in found.items() if cursor}

    def _cursor(self, page: Any) -> str | None:
        cursors: list[str] = []
        todo = [page]
        while todo:
            one = todo.pop()
            if isinstance(one, dict):
                cursors += [value for key, value in one.items() if key.lower().endswith("cursor") and value]
                todo += one.values()
            elif isinstance(one, list):
                todo += one
        return self.chance.choice(cursors) if cursors else None


def _told(town: Town) -> bool:
    nodes = [node for frame in town.frames() for node in frame["nodes"]]
    return any(TELLING & set(letters) for node in nodes for letters in node["groups"])


def _difference(seed: int, drawn: Drawn, variables: dict[str, Any], who: Identity, left: Reply, right: Reply) -> str:
    return f"world {seed}\n{drawn.text}\n{variables}\n{who}\n{left.status} {left.body.decode()}\n{right.status} {right.body.decode()}"
