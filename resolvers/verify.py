"""Verify: values that a clerk types, compared with the source's; the answer is a verdict, never a value (数据校核, Changsha 31).

Attempts are counted for each acting department, data subject and item over a rolling period, across cases, before anything is fetched: nobody learns a
value by guessing. An attempt that got no verdict because a source failed is given back.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Any

from graphql import GraphQLSchema
from graphql.execution.values import VariableValues

from audit.frame import SubjectHash
from connectors.contract import INVALID, Row
from policies.control import Control
from resolvers.authorise import arguments
from resolvers.plan import Plan, VerificationNode
from schema.catalogue import Catalogue, Item, ItemType
from schema.errors import Fault, RequestError, Text
from schema.names import verification_field

Expected = Mapping[VerificationNode, Mapping[str, Any]]
"""The canonical values to be verified, by node and item."""
MATCH, MISMATCH, ABSENT, DENIED = "MATCH", "MISMATCH", "ABSENT", "DENIED"
_DAY_SECONDS = 86_400


@dataclass(frozen=True, slots=True)
class Attempts:
    """Counts attempts for one acting department: at most `most` of an item of a data subject within `days`."""

    control: Control
    hashes: SubjectHash
    department: str
    at: float
    most: int
    days: int

    async def take(self, entity: str, keys: Sequence[str], coordinates: Sequence[str]) -> frozenset[tuple[str, str]]:
        """The (key, coordinate) pairs that may be tried now, each counted; ControlUnavailable if they cannot be counted."""
        named = {self._named(entity, key, one): (key, one) for key in keys for one in coordinates}
        since = self.at - self.days * _DAY_SECONDS
        taken = await self.control.take(self.department, list(named), self.at, since, self.most)
        return frozenset(named[one] for one in taken)

    async def give_back(self, entity: str, taken: frozenset[tuple[str, str]]) -> None:
        """Undo the count of attempts that got no verdict."""
        named = [self._named(entity, key, one) for key, one in taken]
        await self.control.give_back(self.department, named, self.at)

    def _named(self, entity: str, key: str, coordinate: str) -> tuple[str, str]:
        return self.hashes.of(entity, key), coordinate


def expectations(plan: Plan, variables: VariableValues, schema: GraphQLSchema, catalogue: Catalogue) -> Expected:
    """What is expected at each verification of the plan; RequestError for values that do not fit. A null is as good as nothing."""
    expected: dict[VerificationNode, Mapping[str, Any]] = {}
    for node in plan.verifications:
        owner: Any = schema.type_map[node.owner]
        field = owner.fields[verification_field(node.resource.name)]
        given = arguments(field, node.field, variables)["expect"]
        items = node.resource.items
        expected[node] = {
            name: canonical(items[name], value, catalogue) for name, value in given.items() if value is not None
        }
    return expected


def canonical(item: Item, value: Any, catalogue: Catalogue) -> Any:
    """A coerced value as sources write it canonically: an enum's name becomes the standard's code. RequestError for what is no number."""
    if item.type is ItemType.CODE:
        name = value.value if isinstance(value, Enum) else value
        return next(v.code for v in catalogue.codes[item.codes or ""].values if v.name == name)
    if item.type is ItemType.DECIMAL and not value.is_finite():  # Decimal reads NaN, and comparing with it may raise
        raise RequestError(Fault("VARIABLES_INVALID", reason=Text("a decimal is a number", "应为数值")))
    return value


def verdict(item: Item, position: int, rows: Sequence[Row], expected: Any) -> str | None:
    """The verdict on one item over the records of one entity; None where a stored value is not of its type."""
    values = [row.values[position] for row in rows]
    if any(value is INVALID for value in values):
        return None
    there = [value for value in values if value is not None]
    if not there:
        return ABSENT
    return MATCH if any(_equal(item, value, expected) for value in there) else MISMATCH


def _equal(item: Item, stored: Any, expected: Any) -> bool:
    if item.type is ItemType.STRING:
        return _plain(stored) == _plain(expected)
    if isinstance(stored, datetime) and isinstance(expected, datetime) and expected.tzinfo is None:
        return stored.replace(tzinfo=None) == expected
    return bool(stored == expected)


def _plain(text: str) -> str:
    """A text as a clerk would take it: full-width as half-width, without blanks, without case."""
    return "".join(unicodedata.normalize("NFKC", text).split()).casefold()
