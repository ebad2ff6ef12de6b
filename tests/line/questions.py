"""Random questions of the governed schema: a tree of fields and fragments, printed as a document.

Response keys are chosen so that equal keys always mean equal fields: such fields may stand several times and merge.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from random import Random

from schema.catalogue import Catalogue, Entity, Resource

CONDITIONS = ("yes", "no")
"""Boolean variables of every question, named by their values."""


@dataclass(frozen=True)
class Field:
    """A field with its response key; `children` is empty for a leaf."""

    key: str
    name: str
    arguments: str = ""
    children: tuple[Selection, ...] = ()
    directive: str = ""


@dataclass(frozen=True)
class Fragment:
    """Selections behind a fragment on `type`; an inline one where `name` is empty."""

    name: str
    type: str
    children: tuple[Selection, ...]
    directive: str = ""


Selection = Field | Fragment
DIRECTIVES = {
    "@include(if: $yes)": True,
    "@include(if: $no)": False,
    "@skip(if: $yes)": False,
    "@skip(if: $no)": True,
    "@skip(if: true)": False,
    "": True,
}
"""Directives, and whether a selection under them is wanted."""


def flattened(selections: Sequence[Selection]) -> dict[str, list[Field]]:
    """The wanted fields by response key, in document order, fragments opened."""
    found: dict[str, list[Field]] = {}
    for one in selections:
        if not DIRECTIVES[one.directive]:
            continue
        if isinstance(one, Fragment):
            for key, fields in flattened(one.children).items():
                found.setdefault(key, []).extend(fields)
        else:
            found.setdefault(one.key, []).append(one)
    return found


def children(fields: Sequence[Field]) -> list[Selection]:
    """What is selected below fields that merge."""
    return [child for field in fields for child in field.children]


class Questions:
    """Draws questions about the catalogue's entities; each is valid. Resources named in `often` come more often than others."""

    def __init__(self, catalogue: Catalogue, rng: Random, often: frozenset[str] = frozenset()) -> None:
        self._rng = rng
        self._often = often
        self._fragments = 0
        self._entities = catalogue.entities
        self._resources = [r for r in catalogue.resources.values() if r.connected and r.entity]

    def roots(self, entity: str, arguments: Mapping[str, str]) -> tuple[Selection, ...]:
        """One to three roots; `arguments` maps response keys to printed arguments, those of `many...` are lists."""
        kind = self._entities[entity]
        keys = self._rng.sample(sorted(arguments), k=min(len(arguments), self._rng.randint(1, 3)))
        return tuple(
            Field(key, kind.plural if key.startswith("many") else kind.root, arguments[key], self._entity(kind, 2))
            for key in keys
        )

    def _entity(self, entity: Entity, depth: int) -> tuple[Selection, ...]:
        edges = [r for r in self._resources if r.entity == entity.name]
        preferred = [r for r in edges if r.name in self._often]
        relations = list(self._relations(entity)) if depth else []
        fields: list[Field] = []
        for _ in range(self._rng.randint(1, 4)):
            pick = self._rng.random()
            if pick < 0.15:
                fields.append(self._leaf(self._rng.choice(["__typename", entity.identifier])))
            elif pick < 0.4 and relations:
                name, target = self._rng.choice(relations)
                fields.append(self._field(name, self._entity(target, depth - 1)))
            else:
                resource = self._rng.choice(preferred if preferred and pick < 0.8 else edges)
                fields.append(self._field(resource.field, self._record(resource)))
        return self._wrapped(fields, entity.name)

    def _relations(self, entity: Entity) -> Iterator[tuple[str, Entity]]:
        for resource in self._resources:
            for relation in resource.relations:
                if resource.entity == entity.name:
                    yield relation.name, self._entities[relation.to]
                if relation.to == entity.name and relation.inverse:
                    yield relation.inverse, self._entities[resource.entity or ""]

    def _record(self, resource: Resource) -> tuple[Selection, ...]:
        items = [name for name, item in resource.items.items() if item.type != "Base64"]
        fields = []
        for _ in range(self._rng.randint(1, 6)):
            pick = self._rng.random()
            if pick < 0.1:
                fields.append(self._leaf("__typename"))
            elif pick < 0.2:
                fields.append(self._field("provenance", (self._leaf("provider"), self._leaf("resourceCode"))))
            else:
                fields.append(self._leaf(self._rng.choice(items)))
        return self._wrapped(fields, resource.name)

    def _leaf(self, name: str) -> Field:
        return self._field(name, ())

    def _field(self, name: str, below: tuple[Selection, ...]) -> Field:
        key = self._rng.choice([name, name, f"a_{name}", f"b_{name}"])
        return Field(key, name, "", below, self._directive())

    def _directive(self) -> str:
        return self._rng.choice(list(DIRECTIVES)) if self._rng.random() < 0.15 else ""

    def _wrapped(self, fields: list[Field], on: str) -> tuple[Selection, ...]:
        """The fields, some of them behind fragments, now and then with `__typename` in front."""
        selections: list[Selection] = [Field("__typename", "__typename")] if self._rng.random() < 0.5 else []
        for field in fields:
            if self._rng.random() < 0.25:
                self._fragments += 1
                name = self._rng.choice([f"F{self._fragments}", ""])
                selections.append(Fragment(name, on, (field,), self._directive()))
            else:
                selections.append(field)
        return tuple(selections)


def printed(roots: Sequence[Selection], variables: str) -> str:
    """The document of a question; `variables` declares those of the arguments."""
    fragments: list[str] = []
    body = _selections(roots, fragments)
    used = [name for name in CONDITIONS if f"${name})" in body + "".join(fragments)]
    declared = ", ".join([variables, *(f"${name}: Boolean!" for name in used)])
    return "\n".join([f"query({declared}) {body}", *fragments])


def _selections(selections: Sequence[Selection], fragments: list[str]) -> str:
    parts = []
    for one in selections:
        if isinstance(one, Field):
            alias = "" if one.key == one.name else f"{one.key}: "
            below = " " + _selections(one.children, fragments) if one.children else ""
            parts.append(f"{alias}{one.name}{one.arguments} {one.directive}{below}".strip())
        elif one.name:
            fragments.append(f"fragment {one.name} on {one.type} {_selections(one.children, fragments)}")
            parts.append(f"...{one.name} {one.directive}".strip())
        else:
            parts.append(f"... on {one.type} {one.directive} {_selections(one.children, fragments)}")
    return "{ " + " ".join(parts) + " }"
