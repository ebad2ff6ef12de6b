"""Every route to a field is the same door: whatever way a document takes, one decision is made, once on record, and a denial closes all of them.

The routes are made from the GraphQL schema: each root, singular and plural, each chain of relations up to four deep, each search; and each field at the end of them
plainly, under an alias, behind a fragment, an inline fragment, and selected twice. The schema has neither interface nor union.
"""

from __future__ import annotations

import asyncio
import random
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
from graphql import GraphQLObjectType, get_named_type
from graphql.type import is_abstract_type

from policies.grants import Suspension
from policies.identity import Identity, Role
from resolvers.operation import Limits
from schema.catalogue import Catalogue, Purpose, Resource
from tests.leaks.city import Record, open_catalogue, random_people, random_record
from tests.leaks.documents import APART
from tests.leaks.lines import Town, Towns, towns
from tests.policies.worlds import World

DEPTH = 4
SAMPLE = 15
"""Of the routes of two and more relations one in so many is asked; `prove_routes.py` asks all."""
NOW = datetime(2026, 6, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Route:
    """A way to an entity or a search: `opening` and `closing` stand around what is selected there; `entity` is empty for a search."""

    name: str
    opening: str
    closing: str
    entity: str
    depth: int = 0


FORMS: dict[str, Callable[[str, str], str]] = {
    "plain": lambda _, field: field,
    "alias": lambda _, field: f"other: {field}",
    "inline fragment": lambda of, field: f"... on {of} {{ {field} }}",
    "untyped fragment": lambda _, field: f"... {{ {field} }}",
    "fragment": lambda _, field: f"...F_{field.split()[0]}",
    "twice": lambda _, field: f"{field} {field}",
    "under conditions": lambda _, field: f"{field} @include(if: true) @skip(if: false)",
}


@dataclass
class House:
    """A line over the open city, with a case of everybody in it for each purpose that is asked under."""

    both: Towns
    people: dict[str, list[str]]
    loop: asyncio.Runner
    case: str = ""

    @property
    def town(self) -> Town:
        return self.both.pair[0]

    @property
    def catalogue(self) -> Catalogue:
        return self.both.catalogue

    def ask(
        self, text: str, purpose: Purpose = Purpose.ADMINISTRATIVE_BASIS
    ) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        """The answer, and the nodes that are on record for it."""
        service = self.catalogue.services["S-1"]
        who = Identity("clerk-1", service.department, Role.CLERK, "421200", "client", 1e12)
        values: dict[str, Any] = {"use": {"purpose": purpose, "basis": {"case": self.case}}}
        values |= {entity: names[0] for entity, names in self.people.items()}
        values |= {f"{entity}s": names[:1] for entity, names in self.people.items()}
        declared = [("use", "UseInput!"), ("Person", "CitizenIdNumber!"), ("Persons", "[CitizenIdNumber!]!")]
        declared += [("Organisation", "UnifiedSocialCreditCode!"), ("Organisations", "[UnifiedSocialCreditCode!]!")]
        used = [f"${name}: {kind}" for name, kind in declared if f"${name})" in text or f"${name}," in text]
        reply = self.loop.run(self.town.ask(f"query({', '.join(used)}) {text}", values, who))
        body = orjson.loads(reply.body)
        assert body.get("data"), body
        (frame,) = self.town.frames()
        return body, frame["nodes"]


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    catalogue, chance = open_catalogue(), random.Random(3)
    people = {entity: names[:most] for (entity, names), most in zip(random_people(chance).items(), (4, 2), strict=True)}
    records = {one.name: list(_full(chance, one, people)) for one in catalogue.resources.values()}
    with (
        towns(catalogue, tmp_path_factory.mktemp("house"), limits=Limits(cost=10_000_000), sides=1) as both,
        asyncio.Runner() as loop,
    ):
        both.now = NOW
        made = House(both, people, loop)
        made.town.lives_in(catalogue, records)
        loop.run(both.enact(World(catalogue)))
        made.case = loop.run(both.accept("S-1", [(entity, names[0]) for entity, names in people.items()]))
        yield made


def _full(chance: random.Random, resource: Resource, people: dict[str, list[str]]) -> Iterator[Record]:
    """A record without blanks of everybody, so that every way leads somewhere."""
    for key in people[resource.entity or ""]:
        record = random_record(chance, resource, key, people)
        while None in [record[name] for name in resource.items]:
            record = random_record(chance, resource, key, people)
        yield record


def _type(house: House, name: str) -> GraphQLObjectType:
    found = house.town.line._schema.type_map[name]
    assert isinstance(found, GraphQLObjectType)
    return found


def routes(house: House) -> list[Route]:
    """Every way to an entity or a page of records that the schema has."""
    query = _type(house, "Query")
    found = []
    for name, field in query.fields.items():
        if "use" not in field.args or name in APART:
            continue
        of = get_named_type(field.type).name
        if "where" in field.args:
            found.append(Route(name, f"{name}(use: $use) {{ edges {{ node {{", "} } }", "", 0))
            continue
        argument = next(one for one in field.args if one != "use")
        variable = of if argument == house.catalogue.entities[of].identifier else f"{of}s"
        found += _chains(house, Route(name, f"{name}({argument}: ${variable}, use: $use) {{", "}", of))
    return found


def _chains(house: House, route: Route) -> Iterator[Route]:
    yield route
    if route.depth == DEPTH:
        return
    for name, field in _type(house, route.entity).fields.items():
        of = get_named_type(field.type).name
        if of in house.catalogue.entities:
            opening, closing = f"{route.opening} {name} {{", f"}} {route.closing}"
            yield from _chains(house, Route(f"{route.name}.{name}", opening, closing, of, route.depth + 1))


def _documents(house: House, route: Route, form: str) -> Iterator[str]:
    """The documents that ask for every field at the end of a route in one form; for searches, one document each."""
    make = FORMS[form]
    resources = house.catalogue.resources.values()
    if not route.entity:
        field = _type(house, "Query").fields[route.name]
        edges = get_named_type(get_named_type(field.type).fields["edges"].type)
        of = get_named_type(edges.fields["node"].type).name
        yield _document(f"{{ {route.opening} {_leaves(house, of, make)} {route.closing} }}", house, [of])
        return
    edges = [one for one in resources if one.entity == route.entity]
    inner = " ".join(f"{one.field} {{ {_leaves(house, one.name, make)} }}" for one in edges)
    yield _document(f"{{ {route.opening} {inner} {route.closing} }}", house, [one.name for one in edges])


def _leaves(house: House, of: str, make: Callable[[str, str], str]) -> str:
    if "other: " in make(of, "x"):
        return " ".join(f"other_{name}: {name}" for name in house.catalogue.resources[of].items)
    return " ".join(make(of, name).replace("F_", f"F_{of}_") for name in house.catalogue.resources[of].items)


def _document(text: str, house: House, names: Sequence[str]) -> str:
    fragments = [
        f"fragment F_{of}_{name} on {of} {{ {name} }}"
        for of in names
        for name in house.catalogue.resources[of].items
        if f"...F_{of}_{name} " in text
    ]
    return "\n".join([text, *fragments])


Door = tuple[str, str, str]
"""What a decision is about: coordinate, act, subject class of the record's entity."""


def _doors(house: House, nodes: Sequence[dict[str, Any]]) -> Iterator[tuple[Door, str, str, str]]:
    """Each decision on record with its rule, its place and its outcomes."""
    for node in nodes:
        letters = ["".join(column) for column in zip(*node["groups"], strict=True)]
        for number, rule, outcomes in zip(node["items"], node["rules"], letters, strict=True):
            act = "join" if "J" in outcomes else "use" if "U" in outcomes else "read"
            yield (house.town.numbers[number], act, node["subject"]), rule, node["path"], outcomes


def test_schema_has_no_abstract_type_below_its_governed_roots(house: House) -> None:
    assert not [name for name, one in house.town.line._schema.type_map.items() if is_abstract_type(one)]


def test_there_are_routes_of_every_kind(house: House) -> None:
    found = routes(house)
    assert {route.depth for route in found} == set(range(DEPTH + 1))
    assert sum(not route.entity for route in found) == len(house.catalogue.resources)
    assert len(found) > 300, len(found)


def one_door(house: House, every: int) -> str:
    """Ask for every field by every route, of those of two and more relations one in `every`; how many routes and decisions there were."""
    rules: dict[Door, set[str]] = defaultdict(set)
    asked = _some(routes(house), every)
    for number, route in enumerate(asked):
        for form in list(FORMS) if route.depth < 2 else [list(FORMS)[number % len(FORMS)]]:
            for text in _documents(house, route, form):
                body, nodes = house.ask(text)
                assert "errors" not in body, (route.name, form, body["errors"])
                doors = list(_doors(house, nodes))
                read = [(door, place) for door, _, place, _ in doors if door[1] == "read"]
                # farther on, those who are met on the way from subjects and those from others are noted apart
                assert route.depth > 1 or len(set(read)) == len(read), (route.name, form)
                for door, rule, _, _ in doors:
                    rules[door].add(rule)
    assert {door: ids for door, ids in rules.items() if len(ids) != 1} == {}
    assert {door[0] for door in rules} == set(house.town.numbers.values())
    return f"{len(asked)} routes, {len(rules)} decisions"


def closed_doors(house: House, every: int) -> str:
    """Suspend one item of each resource at a time, and ask by every route, of those of two and more relations one in `every`."""
    resources = list(house.catalogue.resources.values())
    count = 0
    for number in range(max(len(one.items) for one in resources)):
        coordinates = [f"{one.name}.{list(one.items)[number]}" for one in resources if number < len(one.items)]
        ids = _suspended(house, coordinates)
        try:
            for place, route in enumerate(_some(routes(house), every)):
                form = list(FORMS)[(place + number) % len(FORMS)]
                for text in _documents(house, route, form):
                    count += 1
                    _assert_closed(house, coordinates, house.ask(text), (route.name, form))
        finally:
            _lift(house, ids)
    return f"{count} operations over {len(house.town.numbers)} suspended items"


def _some(found: list[Route], every: int) -> list[Route]:
    return [one for number, one in enumerate(found) if one.depth < 2 or number % every == 0]


def _assert_closed(
    house: House, coordinates: Sequence[str], answered: tuple[dict[str, Any], list[dict[str, Any]]], where: object
) -> None:
    """Nothing of these items is told by the record, nor stands in the answer under their names."""
    body, nodes = answered
    for door, rule, _, outcomes in _doors(house, nodes):
        if door[0] in coordinates:
            assert not set(outcomes) - set("DFA"), (door, where)
            assert not rule.startswith("SHARE/"), (door, rule, where)
    for one in coordinates:
        resource, _, item = one.partition(".")
        edge = house.catalogue.resources[resource].field
        assert not _values(body["data"], edge, {item, f"other_{item}"}, False), (one, where)


def _values(value: Any, edge: str, keys: set[str], inside: bool) -> list[Any]:
    """The values under these keys in the records below `edge`."""
    if isinstance(value, list):
        return [found for one in value for found in _values(one, edge, keys, inside)]
    if not isinstance(value, dict):
        return []
    own = [one for name, one in value.items() if inside and name in keys and one is not None]
    return own + [found for name, one in value.items() for found in _values(one, edge, keys, name in (edge, "node"))]


def _suspended(house: House, coordinates: Sequence[str]) -> list[str]:
    """Suspend these items for everybody; the ids of the suspensions."""

    async def suspend() -> list[str]:
        ids = []
        for one in coordinates:
            provider = house.catalogue.resources[one.partition(".")[0]].department
            made = await house.town.control.suspend(Suspension("", provider, "", "", one, "超范围", "officer@x", 0))
            ids.append(made.id)
        await house.town.policy.refresh()
        return ids

    return house.loop.run(suspend())


def _lift(house: House, ids: Sequence[str]) -> None:
    async def lift() -> None:
        for one in ids:
            await house.town.control.lift(one, 1)
        await house.town.policy.refresh()

    house.loop.run(lift())


def test_every_route_leads_to_one_decision_that_is_recorded_once(house: House) -> None:
    print(one_door(house, SAMPLE))


def test_suspension_of_a_field_closes_every_route_to_it(house: House) -> None:
    print(closed_doors(house, SAMPLE * 5))
