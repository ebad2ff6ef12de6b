"""The record is complete, and nothing more: its lines are, one to one, the governed fields of the answer and its denials.

The expected lines are counted from the question's own tree and the answer's text; nothing of the line's stages is asked.
"""

from __future__ import annotations

import json
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from contextlib import closing
from random import Random
from typing import Any

import pytest

from schema.catalogue import Catalogue, Entity, ItemType, Relation, Resource
from schema.formats import decoder
from tests.line.decided import forget_attempts
from tests.line.desk import Desk
from tests.line.naive import OFTEN
from tests.line.questions import Field, Fragment, Questions, Selection, children, flattened, printed
from tests.line.test_differential import arguments_of, roots_of
from tests.service import codes, use

COUNT = 150
Line = tuple[str, str, str, str]
"""Path without list places, `Resource.item`, the letter of its outcome, whose: a keyed hash, or ? where the answer does not tell."""
DOCUMENT = "query($id: CitizenIdNumber!, $use: UseInput!) { person(idNumber: $id, use: $use) { %s } }"


class Expected:
    """Counts the lines that an answer must have left."""

    def __init__(self, catalogue: Catalogue, hashed: Any, body: Mapping[str, Any]) -> None:
        self.lines: Counter[Line] = Counter()
        self.rows: Counter[tuple[str, str]] = Counter()
        """How many records were told of at each path of each resource."""
        self.ways: set[str] = set()
        """Paths of relations."""
        self._catalogue = catalogue
        self._hashed = hashed
        self._resources = [r for r in catalogue.resources.values() if r.connected and r.entity]
        self._refused = {
            ".".join(str(part) for part in error["path"]) for error in body.get("errors", ()) if error.get("path")
        }

    def _add(self, path: Sequence[str], item: str, letter: str, whose: str) -> None:
        self.lines[".".join(path), item, letter, whose] += 1

    def root(self, key: str, fields: list[Field], identifiers: list[str], answer: Any) -> None:
        """One root: each identifier with its value in the answer, refused ones once however often they stand there."""
        entity = next(e for e in self._catalogue.entities.values() if fields[0].name in (e.root, e.plural))
        many = fields[0].name == entity.plural
        refused: set[str] = set()
        for number, (identifier, value) in enumerate(zip(identifiers, answer if many else [answer], strict=True)):
            whose = self._hashed.of(entity.name, identifier)
            if (f"{key}.{number}" if many else key) not in self._refused:
                self._entity(entity, children(fields), value, (key,), whose)
            elif identifier not in refused:
                refused.add(identifier)
                before = self.lines.total()
                self._nothing(entity, children(fields), (key,), whose)
                if self.lines.total() == before:  # that somebody was asked for is on record all the same
                    self._add((key,), entity.name, "D", whose)

    def _nothing(self, entity: Entity, selections: Sequence[Selection], path: tuple[str, ...], whose: str) -> None:
        """A refused root: every item that was asked for below it is denied, all under the one who was asked for."""
        for key, fields in flattened(selections).items():
            if resource := self._edge(entity, fields[0].name):
                for item in self._items(resource, fields)[0]:
                    self._add((*path, key), f"{resource.name}.{item}", "D", whose)
            elif way := self._way(entity, fields[0].name):
                resource, relation, target, _ = way
                self._add((*path, key), f"{resource.name}.{relation.item}", "D", whose)
                self._nothing(target, children(fields), (*path, key), whose)

    def _entity(
        self, entity: Entity, selections: Sequence[Selection], value: Any, path: tuple[str, ...], whose: str
    ) -> None:
        for key, fields in flattened(selections).items():
            place = (*path, key)
            if resource := self._edge(entity, fields[0].name):
                self._resource(resource, fields, value[key], place, whose)
            elif way := self._way(entity, fields[0].name):
                resource, relation, target, forward = way
                near, beyond = (resource.key, relation.item) if forward else (relation.item, resource.key)
                reached = value[key] if isinstance(value[key], list) else [value[key]] if value[key] else []
                letter = "D" if ".".join(place) in self._refused else "J" if reached else "A"
                self.ways.add(".".join(place))
                self.rows[".".join(place), resource.name] += (len(reached) if not forward else 1) if reached else 0
                for item in (near, beyond):
                    self._add(place, f"{resource.name}.{item}", letter, whose)
                for one in reached:
                    self._reached(target, children(fields), one, place, f"{resource.name}.{beyond}")
                    if not forward:  # the record that led there is of the one whom it led to
                        self._add(place, f"{resource.name}.{near}", "J", self._named(target, children(fields), one))

    def _reached(
        self, entity: Entity, selections: list[Selection], value: Any, path: tuple[str, ...], told: str
    ) -> None:
        """An entity beyond a relation; `told` is the item that names it, on record where the question asks for its identifier."""
        whose = self._named(entity, selections, value)
        if shown := self._shown(entity, selections, value):
            self._add(path, told, "R" if shown[0] else "D", whose)
        self._entity(entity, selections, value, path, whose)

    def _shown(self, entity: Entity, selections: Sequence[Selection], value: Any) -> list[Any]:
        """What stands where the question asks for a reached entity's identifier."""
        names = {key: fields[0].name for key, fields in flattened(selections).items()}
        return [value[key] for key, name in names.items() if name == entity.identifier]

    def _named(self, entity: Entity, selections: Sequence[Selection], value: Any) -> str:
        """Whose a reached entity's records are, as far as the answer tells."""
        shown = self._shown(entity, selections, value)
        return str(self._hashed.of(entity.name, shown[0])) if shown and shown[0] else "?"

    def _resource(self, resource: Resource, fields: list[Field], value: Any, path: tuple[str, ...], whose: str) -> None:
        items, cells = self._items(resource, fields)
        place = ".".join(path)
        denied = {item for item in items if place in self._refused}
        denied |= {item for key, item in cells.items() if f"{place}.{key}" in self._refused}
        records = value if isinstance(value, list) else [value]
        for record in records or [None]:
            self.rows[place, resource.name] += record is not None
            for item in items:
                shown = [record[key] for key, name in cells.items() if name == item] if record else [None]
                there = record is not None if not cells else shown[0] is not None
                letter = "D" if item in denied else "A" if not there else "E" if not cells else "R"
                if letter == "R" and "*" in str(shown[0]):
                    letter = "M"
                self._add(path, f"{resource.name}.{item}", letter, whose)

    def _items(self, resource: Resource, fields: list[Field]) -> tuple[list[str], dict[str, str]]:
        """The items that a record is asked for, its key where there are none; and which item each response key shows."""
        cells = {key: below[0].name for key, below in flattened(children(fields)).items()}
        shown = {key: name for key, name in cells.items() if name in resource.items}
        return list(dict.fromkeys(shown.values())) or [resource.key or ""], shown

    def _edge(self, entity: Entity, field: str) -> Resource | None:
        return next((r for r in self._resources if r.entity == entity.name and r.field == field), None)

    def _way(self, entity: Entity, field: str) -> tuple[Resource, Relation, Entity, bool] | None:
        for resource in self._resources:
            for relation in resource.relations:
                if resource.entity == entity.name and relation.name == field:
                    return resource, relation, self._catalogue.entities[relation.to], True
                if relation.to == entity.name and relation.inverse == field:
                    return resource, relation, self._catalogue.entities[resource.entity or ""], False
        return None


def frame_of(desk: Desk, body: Mapping[str, Any]) -> dict[str, Any]:
    """The frame of this answer's operation."""
    return next(f for f in reversed(desk.service.frames()) if f["operation"] == body["extensions"]["operationId"])


def recorded(desk: Desk, body: Mapping[str, Any]) -> Counter[Line]:
    """The lines of this answer's operation."""
    frame = frame_of(desk, body)
    names = desk.service.rooms.ledger.coordinates()
    return Counter(
        (node["path"], item, letter, whose)
        for node in frame["nodes"]
        for outcomes, entities in node["groups"].items()
        for whose in entities
        for item, letter in zip([names[n] for n in node["items"]] or [node["resource"]], outcomes, strict=True)
    )


def moments(desk: Desk) -> dict[tuple[str, str], set[int]]:
    """When each data subject's rows of each resource were last changed, from the sources' files: microseconds since 1970."""
    hashed, found = desk.service.rooms.line.recorder.hashes, defaultdict(set)
    for resource in desk.service.catalogue.resources.values():
        if not resource.connected or not resource.entity or not resource.updated:
            continue
        item = resource.items[resource.key or ""]
        key = decoder(item.type, item.format, item.values)
        changed = decoder(ItemType.DATETIME, resource.updated_format, {})
        with closing(sqlite3.connect(desk.database(resource.department))) as source:
            for whose, at in source.execute(f"SELECT {item.column}, {resource.updated} FROM {resource.table}"):
                if whose and at:
                    number = round(changed(at).timestamp()) * 1_000_000
                    found[resource.name, hashed.of(resource.entity, key(whose))].add(number)
    return found


def check_versions(frame: Mapping[str, Any], known: Mapping[tuple[str, str], set[int]], expected: Expected) -> None:
    """Check that every record that told of a row says which version it was, as its source has it, and that nothing else says one."""
    found: Counter[tuple[str, str]] = Counter()
    for node in frame["nodes"]:
        assert node["versions"].keys() <= node["groups"].keys()
        for letters, versions in node["versions"].items():
            for whose, version in zip(node["groups"][letters], versions, strict=True):
                rows = version if isinstance(version, list) else [] if version is None else [version]
                assert set(rows) <= known[node["resource"], whose]
                absent = set(letters) == {"A"} and node["path"] in expected.ways  # a row that leads nowhere
                found[node["path"], node["resource"]] += bool(rows) and not absent
    assert +found == +expected.rows


def told_apart(lines: Counter[Line], known: set[str]) -> Counter[Line]:
    """The lines with ? for everybody whom the answer does not name."""
    found: Counter[Line] = Counter()
    for (path, item, letter, whose), count in lines.items():
        found[path, item, letter, whose if whose in known else "?"] += count
    return found


def naming(selections: Sequence[Selection], catalogue: Catalogue, entity: Entity) -> tuple[Selection, ...]:
    """The selections, with the identifier of every entity beyond a relation."""
    finder = Expected(catalogue, None, {})
    named: list[Selection] = []
    for one in selections:
        if isinstance(one, Fragment):
            named.append(Fragment(one.name, one.type, naming(one.children, catalogue, entity), one.directive))
        elif way := finder._way(entity, one.name):
            below = naming(one.children, catalogue, way[2])
            who = Field("who", way[2].identifier)
            named.append(Field(one.key, one.name, one.arguments, (*below, who), one.directive))
        else:
            named.append(one)
    return tuple(named)


@pytest.mark.parametrize(("purpose", "outcomes"), [("ADMINISTRATIVE_BASIS", "RADEJ"), ("WORK_REFERENCE", "RDEM")])
def test_the_lines_are_the_fields_of_the_answer_and_its_denials(desk: Desk, purpose: str, outcomes: str) -> None:
    catalogue = desk.service.catalogue
    questions = Questions(catalogue, Random(purpose), OFTEN)
    asked = roots_of(desk)
    kind = catalogue.entities["Person"]
    letters: Counter[str] = Counter()
    known = moments(desk)
    for number in range(COUNT):
        roots = questions.roots("Person", arguments_of(asked))
        if number % 2:
            roots = tuple(
                Field(one.key, one.name, one.arguments, naming(one.children, catalogue, kind), one.directive)
                for one in roots
                if isinstance(one, Field)
            )
        document = printed(roots, "$use: UseInput!")
        body = desk.service.ask(document, {"use": use(desk.case, purpose), "yes": True, "no": False})
        assert set(codes(body)) <= {"FIELD_DENIED", "USE_DENIED"}, document
        expected = Expected(catalogue, desk.service.rooms.line.recorder.hashes, body)
        for key, fields in flattened(roots).items():
            expected.root(key, fields, asked[key], body["data"][key])
        named = {whose for _, _, _, whose in expected.lines}
        found = told_apart(recorded(desk, body), named)
        assert found == told_apart(expected.lines, named), document
        check_versions(frame_of(desk, body), known, expected)
        for (_, _, letter, _), count in found.items():
            letters[letter] += count
    assert letters.keys() == set(outcomes)  # no outcome went untried


ITEMS = {
    "HouseholdRegistration": {"name": ["张冬梅", "李某"], "ethnicGroup": ["HAN", "TUJIA"]},
    "MarriageRegistration": {"marriedOn": ["2011-05-20", "2011-05-21"]},
}


@pytest.mark.parametrize("seed", range(6))
def test_every_verdict_is_a_line(desk: Desk, seed: int) -> None:
    chance = Random(seed)
    letter_of = {"MATCH": "Y", "MISMATCH": "N", "DENIED": "D"}
    for _ in range(8):
        forget_attempts(desk)
        selections, expected = [], []
        for resource in chance.sample(sorted(ITEMS), k=chance.randint(1, 2)):
            chosen = chance.sample(sorted(ITEMS[resource]), k=chance.randint(1, len(ITEMS[resource])))
            given = ", ".join(
                f"{item}: {value if item == 'ethnicGroup' else json.dumps(value, ensure_ascii=False)}"
                for item in chosen
                for value in [chance.choice(ITEMS[resource][item])]
            )
            selections.append(f"verify{resource}(expect: {{{given}}}) {{ {' '.join(chosen)} }}")
            expected.append((resource, chosen))
        variables = {"id": desk.applicant, "use": use(desk.names["case_hardship"], "DATA_VERIFICATION")}
        body = desk.service.ask(DOCUMENT % " ".join(selections), variables)
        assert "errors" not in body
        whose = desk.service.rooms.line.recorder.hashes.of("Person", desk.applicant)
        told = body["data"]["person"]
        for node in frame_of(desk, body)["nodes"]:  # what was compared was told of, denied items apart
            assert [len(one) for one in node["versions"].values()] == [1] * (set(node["groups"]) != {"D"})
        assert recorded(desk, body) == Counter(
            (f"person.verify{resource}", f"{resource}.{item}", letter_of[told[f"verify{resource}"][item]], whose)
            for resource, chosen in expected
            for item in chosen
        )
