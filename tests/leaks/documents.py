"""Random operations, made from the GraphQL schema itself: whatever can be asked of governed data will be.

A document is drawn once and asked many times, with other values: its arguments are variables, whose values are drawn by their types
from what the city holds, seen or hidden.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from graphql import (
    GraphQLArgument,
    GraphQLEnumType,
    GraphQLField,
    GraphQLInputObjectType,
    GraphQLInputType,
    GraphQLObjectType,
    GraphQLSchema,
    get_named_type,
    get_nullable_type,
    is_leaf_type,
    is_list_type,
    is_required_argument,
)

from schema.catalogue import Catalogue, ItemType
from tests.leaks.city import Records
from tests.leaks.sight import Place, View

_PAGED = ("orderBy", "first", "after")


APART = ("access", "divergence")
"""Roots that take a use and are not governed themselves: what they show they ask the line for."""


@dataclass(frozen=True)
class Variable:
    """A variable of a document: the argument it is given to, of which root."""

    name: str
    type: GraphQLInputType
    argument: str
    root: str


@dataclass(frozen=True)
class Drawn:
    """A document with its variables; `searches` maps each search's response key to its variable `after`."""

    text: str
    variables: tuple[Variable, ...]
    verifies: bool
    searches: dict[str, str]


@dataclass
class Documents:
    """Draws documents over the governed roots of a schema."""

    schema: GraphQLSchema
    chance: random.Random
    _names: int = 0
    _variables: list[Variable] = field(default_factory=list)
    _fragments: list[str] = field(default_factory=list)
    _searches: dict[str, str] = field(default_factory=dict)
    _root: str = ""

    def draw(self, verifies: bool) -> Drawn:
        """A document of one to three governed roots."""
        assert self.schema.query_type
        self._variables, self._fragments, self._searches = [], [], {}
        governed = {
            name: one for name, one in self.schema.query_type.fields.items() if "use" in one.args and name not in APART
        }
        searches = [name for name, one in governed.items() if "where" in one.args]
        roots = []
        for _ in range(self.chance.choice((1, 1, 1, 2))):
            search = not verifies and self.chance.random() < 0.28
            name = self.chance.choice(searches if search else [one for one in governed if one not in searches])
            key = self._alias(name)
            self._root = key
            roots.append(
                f"{key}: {name}{self._arguments(governed[name], key)} {self._below(governed[name], self.chance.choice((1, 1, 2, 2, 3)), verifies)}"
            )
        declared = ", ".join(f"${one.name}: {one.type}" for one in self._variables)
        text = "\n".join([f"query({declared}) {{ {' '.join(roots)} }}", *self._fragments])
        return Drawn(text, tuple(self._variables), "verify" in text, dict(self._searches))  # fmt: skip

    def _alias(self, name: str) -> str:
        self._names += 1
        return f"a{self._names}_{name}"

    def _arguments(self, of: GraphQLField, root: str = "") -> str:
        given = []
        for name, argument in of.args.items():
            if is_required_argument(argument) or name in ("where", "first") or self.chance.random() < 0.6:
                given.append(f"{name}: ${self._variable(name, argument)}")
                if name == "after":
                    self._searches[root] = self._variables[-1].name
        return f"({', '.join(given)})" if given else ""

    def _variable(self, name: str, argument: GraphQLArgument) -> str:
        shared = next((one.name for one in self._variables if name == "use" == one.argument), "")
        if shared:
            return shared
        self._names += 1
        self._variables.append(Variable(f"v{self._names}", argument.type, name, self._root))
        return self._variables[-1].name

    def _below(self, of: GraphQLField, depth: int, verifies: bool) -> str:
        named = get_named_type(of.type)
        return self._selection(named, depth, verifies) if isinstance(named, GraphQLObjectType) else ""

    def _selection(self, of: GraphQLObjectType, depth: int, verifies: bool) -> str:
        chance = self.chance
        names = [
            n for n, one in of.fields.items() if depth or is_leaf_type(get_named_type(one.type)) or not _nests(one)
        ]
        wanted = chance.sample(names, min(len(names), chance.choice((1, 2, 2, 3, 4))))
        if of.name.endswith("Connection"):
            wanted = list(dict.fromkeys(["edges", *wanted]))
        if of.name.endswith("Edge"):
            wanted = list(dict.fromkeys(["node", *wanted]))
        if verifies and (fields := [name for name in names if name.startswith("verify")]):
            wanted = [chance.choice(fields), *(name for name in wanted if not name.startswith("verify"))][:3]
        if chance.random() < 0.12:
            wanted.append("__typename")
        return f"{{ {' '.join(self._field(of, name, depth, verifies) for name in wanted)} }}"

    def _field(self, of: GraphQLObjectType, name: str, depth: int, verifies: bool) -> str:
        one = of.fields.get(name)
        key = name if not one or (one and not one.args and self.chance.random() < 0.6) else ""
        alias = "" if key else f"{self._alias(name)}: "
        text = f"{alias}{name}"
        if one:
            below = self._below(one, depth - 1, verifies)
            text += self._arguments(one) + (f" {below}" if below else "")
        pick = self.chance.random()
        if pick < 0.06:
            return f"... {{ {text} }}"
        if pick < 0.12:
            return f"... on {of.name} @include(if: true) {{ {text} }}"
        if pick < 0.18:
            self._names += 1
            self._fragments.append(f"fragment F{self._names} on {of.name} {{ {text} }}")
            return f"...F{self._names}"
        return text


def _nests(one: GraphQLField) -> bool:
    """Whether a field leads on to other entities."""
    named = get_named_type(one.type)
    return isinstance(named, GraphQLObjectType) and any(name.startswith("verify") for name in named.fields)


# -- values of variables ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Values:
    """Draws values for a document's variables, for one view over what a city holds."""

    chance: random.Random
    catalogue: Catalogue
    records: Records
    view: View
    use: dict[str, Any]

    def of(self, drawn: Drawn) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for one in drawn.variables:
            if one.argument == "after":
                continue  # a cursor comes from an earlier page
            values[one.name] = self.use if one.argument == "use" else self._argument(one)
        return values

    def _argument(self, one: Variable) -> Any:
        named = get_named_type(one.type)
        if one.argument == "first":
            return self.chance.choice((1, 2, 3, 100))
        if isinstance(named, GraphQLInputObjectType):
            resource = self.catalogue.resources[_resource_of(named.name)]
            if one.argument == "orderBy":
                return [self._order(named) for _ in range(self.chance.choice((0, 0, 1, 2)))]
            if one.argument == "expect":
                items = [name for name in named.fields if self.chance.random() < 0.7]
                return {name: self._held(resource.name, name) for name in items}
            items = [name for name in named.fields if self.chance.random() < 0.1]
            return {name: self._condition(named, resource.name, name) for name in items[:2]}
        entity = next(e for e in self.catalogue.entities.values() if e.type.value == named.name)
        if is_list_type(get_nullable_type(one.type)):
            return [self._identifier(entity.name) for _ in range(self.chance.choice((1, 2, 3)))]
        return self._identifier(entity.name)

    def _identifier(self, entity: str) -> str:
        asked = [name for kind, name in sorted(self.view.asked) if kind == entity]
        wanted: list[Place] = sorted(self.view.subjects & self.view.asked)
        mine = [name for kind, name in wanted if kind == entity]
        return self.chance.choice(mine if mine and self.chance.random() < 0.92 else asked)

    def _order(self, named: GraphQLInputObjectType) -> dict[str, Any]:
        by = get_named_type(named.fields["by"].type)
        assert isinstance(by, GraphQLEnumType)
        return {"by": self.chance.choice(list(by.values)), "direction": self.chance.choice(("ASC", "DESC"))}

    def _condition(self, named: GraphQLInputObjectType, resource: str, name: str) -> dict[str, Any]:
        of = get_named_type(named.fields[name].type)
        assert isinstance(of, GraphQLInputObjectType)
        operator = self.chance.choice(list(of.fields))
        if operator == "in":
            return {operator: [self._held(resource, name) for _ in range(self.chance.choice((1, 2, 3)))]}
        value = self._held(resource, name)
        return {operator: value[: self.chance.choice((1, 2, 5))] if operator == "startsWith" else value}

    def _held(self, resource: str, name: str) -> Any:
        """A value that the city holds there, as a client writes it: whoever guesses right must learn nothing by it."""
        item = self.catalogue.resources[resource].items[name]
        held = [row[name] for row in self.records[resource] if row[name] is not None]
        value = self.chance.choice(held) if held else None
        if value is None:
            return _BLANK.get(item.type, "")
        if item.type is ItemType.CODE:
            return next(one.name for one in self.catalogue.codes[item.codes or ""].values if one.code == value)
        if isinstance(value, date | datetime):
            return value.isoformat()
        return str(value) if isinstance(value, Decimal) else value


_BLANK: dict[ItemType, Any] = {
    ItemType.CODE: "V1",
    ItemType.BOOLEAN: True,
    ItemType.INT: 1,
    ItemType.DECIMAL: "1.00",
    ItemType.DATE: "2020-01-01",
    ItemType.DATETIME: "2020-01-01T00:00:00+00:00",
    ItemType.ID_NUMBER: "110101199003074514",
    ItemType.CREDIT_CODE: "91110000600037341L",
}


def _resource_of(name: str) -> str:
    for suffix in ("Expectation", "Filter", "Order"):
        name = name.removesuffix(suffix)
    return name
