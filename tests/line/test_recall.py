"""Recall: who was shown a wrong value is found, exactly, and each department affected is told once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import pytest

import audit.index
from schema.formats import CHINA
from tests.line.recall_world import COORDINATES, NAMES, TABLES, VALUES, Reading, World, open_world
from tests.service import codes

READERS = """query($resource: String!, $item: String!, $entity: String!, $between: BetweenInput!, $value: String, $first: Int!, $after: String) {
  affectedReaders(resource: $resource, item: $item, entity: $entity, between: $between, value: $value, first: $first, after: $after) {
    edges { cursor node { operationId at subject department role client case purpose outcomes } }
    pageInfo { hasNextPage hasPreviousPage endCursor } totalCount undetermined
  } }"""
STEPS, QUESTIONS = 100, 60
LONG_AGO = datetime(1950, 1, 1, tzinfo=CHINA)


@pytest.fixture(scope="module")
def world(city: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(audit.index, "_PAUSE", 0.02)  # each question waits until the one before it is indexed
        with open_world(tmp_path_factory.mktemp("recall"), city) as opened:
            yield opened


def between(since: datetime, until: datetime | None) -> dict[str, Any]:
    return {"since": since.isoformat(), "until": until and until.isoformat()}


def ask(world: World, person: str, coordinate: tuple[str, str], **more: Any) -> dict[str, Any]:
    """The answer to a question about readers, as an officer of the provider."""
    resource, item = coordinate
    given = {"resource": resource, "item": item, "entity": person, "first": 500, "after": None, "value": None} | more
    return world.service.ask(READERS, given, role="officer", department=TABLES[resource].department)


def told(readings: list[Reading]) -> set[tuple[Any, ...]]:
    """What the answer must have of these readings: one for each operation."""
    outcomes = defaultdict(set)
    for one in readings:
        who = (one.operation, one.subject, one.department, "clerk", one.client, one.case, one.purpose)
        outcomes[who].add(one.outcome)
    return {(*who, tuple(sorted(how))) for who, how in outcomes.items()}


def found(body: dict[str, Any]) -> set[tuple[Any, ...]]:
    names = ("operationId", "subject", "department", "role", "client", "case", "purpose")
    nodes = [edge["node"] for edge in body["data"]["affectedReaders"]["edges"]]
    listed = [(*(node[name] for name in names), tuple(node["outcomes"])) for node in nodes]
    assert len(set(listed)) == len(listed) == body["data"]["affectedReaders"]["totalCount"]
    return set(listed)


@pytest.mark.parametrize("seed", range(2))
def test_the_readers_found_are_those_of_a_naive_memory(world: World, seed: int) -> None:
    chance = Random(seed)
    begun = world.now
    for _ in range(STEPS):
        world.now += timedelta(seconds=chance.randint(1, 90))
        (world.update if chance.random() < 0.35 else world.read)(chance)
    moments = sorted({LONG_AGO, *world.moments, begun, world.now + timedelta(seconds=1)})
    outcomes, sizes = set(), []
    for _ in range(QUESTIONS):
        person, coordinate = chance.choice(world.people), chance.choice(COORDINATES)
        since, until = sorted(chance.sample(moments, 2))
        since = chance.choice((since, LONG_AGO))
        value = chance.choice(("", None, *VALUES[coordinate]))
        expected = world.wrong(person, coordinate, since, until, value)
        body = ask(world, person, coordinate, between=between(since, until), value=value)
        if expected is None:
            assert codes(body) == ["VALUE_REQUIRED"]
        else:
            assert "errors" not in body
            assert found(body) == told(expected)
            outcomes |= {one.outcome for one in expected}
            sizes.append(len(expected))
    assert outcomes >= {"RETURNED", "MASKED", "ABSENT", "MATCHED"}
    assert max(sizes) > 5


def test_pages_follow_each_other_newest_first_and_repeat_nothing(world: World) -> None:
    person, coordinate = world.people[0], ("HouseholdRegistration", "name")
    for seed in range(12):
        world._look_up(Random(seed), {"department": "housing", "subject": "clerk-01", "client": "demo"})
    ever = between(LONG_AGO, None)
    whole = ask(world, person, coordinate, between=ever, value=NAMES[0])["data"]["affectedReaders"]
    assert whole["totalCount"] > 3
    assert [edge["node"]["at"] for edge in whole["edges"]] == sorted(
        (e["node"]["at"] for e in whole["edges"]), reverse=True
    )
    pages: list[Any] = []
    after = None
    while True:
        page = ask(world, person, coordinate, between=ever, value=NAMES[0], first=2, after=after)["data"][
            "affectedReaders"
        ]
        assert page["pageInfo"]["hasPreviousPage"] == bool(pages)
        pages += page["edges"]
        after = page["pageInfo"]["endCursor"]
        if not page["pageInfo"]["hasNextPage"]:
            break
    assert pages == whole["edges"]
