"""Parse and validate: a document becomes an `Operation`, once for each text.

Limits hold on the *expanded* tree: it is measured (`resolvers.cost`) before validation, because validation of nested fragments can
take exponential time (746 bytes took 0.86 s).
"""

from __future__ import annotations

import hashlib
import re
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from graphql import (
    BooleanValueNode,
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    GraphQLSchema,
    InlineFragmentNode,
    OperationDefinitionNode,
    OperationType,
    SelectionSetNode,
    VariableNode,
    parse,
    validate,
)
from graphql.execution.values import VariableValues, get_variable_values
from graphql.validation.rules import overlapping_fields_can_be_merged

from resolvers.cost import Cost, Measure
from schema.errors import CODES, Fault, RequestError, Text

_USE = re.compile(r"\b(UseInput|BasisInput)\b")
_MAX_WORDS = 300
_MAX_INTROSPECTIONS = 10
_MAX_NAME = 100
_KEPT_CHARACTERS = 8_000_000
# what graphql-core says when it gives up on its own bounds
_GIVEN_UP = (
    (re.compile(r"more than \d+ tokens|^Validation aborted"), "QUERY_TOO_LARGE"),
    (re.compile(r"nested too deeply|introspection depth exceeded"), "QUERY_TOO_DEEP"),
)
# comparing repeated fields in pairs up to graphql-core's own bound takes two seconds; this one takes 0.3
overlapping_fields_can_be_merged.MAX_COMPLEXITY_BUDGET = 100_000


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of one operation: the document's tokens, its fields, levels and aliases with fragments expanded, its fields weighted by list
    sizes (`cost`), its root fields, the identifiers asked for, the entities reached across one relation, and the `seconds` that departments are
    waited for; and whether it may introspect."""

    tokens: int = 10_000
    fields: int = 2_000
    depth: int = 20
    aliases: int = 200
    cost: int = 50_000
    roots: int = 50
    identifiers: int = 1_000
    records: int = 10_000
    page: int = 100
    seconds: float = 10.0
    introspection: bool = True


@dataclass(frozen=True, eq=False)
class Operation:
    """A valid operation. `cost` is open where the variables tell. `conditions` are the Boolean variables that decide which fields it has; `variants` keeps a plan for each of
    their combinations."""

    digest: str
    name: str | None
    definition: OperationDefinitionNode
    document: DocumentNode
    fragments: Mapping[str, FragmentDefinitionNode]
    cost: Cost
    conditions: tuple[str, ...]
    variants: dict[tuple[Any, ...], Any] = field(default_factory=dict)

    @property
    def is_query(self) -> bool:
        return self.definition.operation is OperationType.QUERY


def cost_of(operation: Operation, variables: VariableValues) -> int:
    """What the operation costs under these variables: its fields, fragments expanded, weighted by list sizes."""
    return operation.cost.at(variables.coerced)


def fault_of(error: GraphQLError, default: str) -> Fault:
    """graphql-core's error as a fault: an identifier's own reason, a missing use by its code, else `default` with its words."""
    locations = tuple((place.line, place.column) for place in error.locations or ())
    known = (error.extensions or {}).get("code")
    if known in CODES:
        reason = error.extensions["reason"]  # type: ignore[index]
        return Fault(known, reason=Text(reason["en"], reason["zh"]), locations=locations)
    words = error.message if len(error.message) <= _MAX_WORDS else error.message[:_MAX_WORDS] + "…"
    code = "USE_REQUIRED" if _USE.search(error.message) else default
    code = next((given_up for pattern, given_up in _GIVEN_UP if pattern.search(error.message)), code)
    return Fault(code, reason=Text(words, CODES[code].message.zh), locations=locations)


class Documents:
    """Parsed and validated operations by text and name, the latest `size` of them and of eight million characters together."""

    def __init__(self, schema: GraphQLSchema, limits: Limits, size: int = 1_000) -> None:
        self._schema = schema
        self._limits = limits
        self._size = size
        self._kept: OrderedDict[tuple[str, str | None], Operation] = OrderedDict()
        self._characters = 0

    def operation(self, text: str, name: str | None) -> Operation:
        """The operation of that name in the document; RequestError if there is none or it is not valid."""
        key = (text, name)
        operation = self._kept.get(key)
        if operation is None:
            operation = self._kept[key] = self._prepare(text, name)
            self._characters += len(text)
            while len(self._kept) > self._size or self._characters > _KEPT_CHARACTERS:
                (dropped, _), _ = self._kept.popitem(last=False)
                self._characters -= len(dropped)
        else:
            self._kept.move_to_end(key)
        return operation

    def names(self, text: str) -> tuple[str, ...]:
        """The names of a document's operations, "" for one without; RequestError if the document is not valid, or one of them may not run."""
        document, _ = self._valid(text)
        operations = [d for d in document.definitions if isinstance(d, OperationDefinitionNode)]
        names = tuple(one.name.value if one.name else "" for one in operations)
        for name in names or ("",):
            _choose(document, name or None)
        return names

    def _prepare(self, text: str, name: str | None) -> Operation:
        document, costs = self._valid(text)
        definition = _choose(document, name)
        fragments = {d.name.value: d for d in document.definitions if isinstance(d, FragmentDefinitionNode)}
        return Operation(
            digest=hashlib.sha256(text.encode()).hexdigest()[:32],
            name=name,
            definition=definition,
            document=document,
            fragments=fragments,
            cost=costs[id(definition)],
            conditions=_conditions(definition, fragments),
        )

    def _valid(self, text: str) -> tuple[DocumentNode, Mapping[int, Cost]]:
        """The valid document within its limits, and what each of its operations costs."""
        try:
            document = parse(text, max_tokens=self._limits.tokens, no_location=False)
        except GraphQLError as error:
            raise RequestError(fault_of(error, "GRAPHQL_PARSE_FAILED")) from None
        except RecursionError:
            raise RequestError(Fault("QUERY_TOO_DEEP")) from None
        costs = _bound(document, self._schema, self._limits)
        errors = validate(self._schema, document, max_errors=10, hide_suggestions=True)
        if errors:
            raise RequestError(*(fault_of(error, "GRAPHQL_VALIDATION_FAILED") for error in errors))
        return document, costs

    def variables(self, operation: Operation, given: Mapping[str, Any]) -> VariableValues:
        """The operation's variables, coerced; RequestError with each that does not fit, or where the operation with them costs too much."""
        coerced = get_variable_values(
            self._schema,
            operation.definition.variable_definitions or (),
            dict(given),
            max_errors=5,
            hide_suggestions=True,
        )
        if isinstance(coerced, VariableValues):
            _afford(cost_of(operation, coerced), self._limits.cost)
            return coerced
        raise RequestError(*(fault_of(error, "VARIABLES_INVALID") for error in coerced))


def _choose(document: DocumentNode, name: str | None) -> OperationDefinitionNode:
    operations = [d for d in document.definitions if isinstance(d, OperationDefinitionNode)]
    named = [o for o in operations if name is None or (o.name and o.name.value == name)]
    if len(named) != 1 or named[0].operation is OperationType.SUBSCRIPTION:
        raise RequestError(Fault("OPERATION_UNKNOWN"))
    if (chosen := named[0].name) and len(chosen.value) > _MAX_NAME:  # the ledger keeps it
        raise RequestError(Fault("QUERY_TOO_LARGE"))
    return named[0]


def _bound(document: DocumentNode, schema: GraphQLSchema, limits: Limits) -> Mapping[int, Cost]:
    """What each operation of the document costs, by its node's id; RequestError for one that is over a limit whatever its variables are."""
    measure = Measure(document, schema, limits.fields)
    costs = {}
    total = 0
    try:
        for definition in document.definitions:
            if isinstance(definition, OperationDefinitionNode | FragmentDefinitionNode):
                extent = measure.definition(definition)
                total += extent.fields
                if extent.depth > limits.depth:
                    raise RequestError(Fault("QUERY_TOO_DEEP"))
                if extent.aliases > limits.aliases:
                    raise RequestError(Fault("QUERY_TOO_LARGE", reason=_aliases(limits.aliases)))
                costs[id(definition)] = extent.cost
        if measure.introspections and not limits.introspection:
            raise RequestError(Fault("INTROSPECTION_OFF"))
        if total > 2 * limits.fields or measure.introspections > _MAX_INTROSPECTIONS:
            raise RequestError(Fault("QUERY_TOO_LARGE"))
        for cost in costs.values():
            _afford(cost.at({}), limits.cost)
    except RecursionError:
        raise RequestError(Fault("QUERY_TOO_DEEP")) from None
    return costs


def _aliases(most: int) -> Text:
    return Text(f"more than {most} aliases, fragments expanded", f"展开后别名超过 {most} 个")


def _afford(cost: int, limit: int) -> None:
    if cost > limit:
        reason = Text(f"it costs {cost}, the limit is {limit}", f"开销 {cost}，上限 {limit}")
        raise RequestError(Fault("QUERY_TOO_EXPENSIVE", reason=reason, extra={"cost": cost, "limit": limit}))


def _conditions(
    definition: OperationDefinitionNode, fragments: Mapping[str, FragmentDefinitionNode]
) -> tuple[str, ...]:
    found: set[str] = set()
    todo: list[Any] = [definition, *fragments.values()]
    while todo:
        for node in todo.pop().selection_set.selections:
            for directive in node.directives or ():
                for argument in directive.arguments or ():
                    if isinstance(argument.value, VariableNode):
                        found.add(argument.value.name.value)
            if getattr(node, "selection_set", None):
                todo.append(node)
    return tuple(sorted(found))


Collected = dict[str, list[FieldNode]]


def collect(operation: Operation, selection_sets: list[SelectionSetNode], conditions: Mapping[str, bool]) -> Collected:
    """The fields of merged selection sets by response key, in document order, under the given values of `@include` and `@skip`.

    Every object type here is concrete, so a fragment that validation let through always applies.
    """
    collected: Collected = {}
    seen: set[str] = set()

    def walk(selections: SelectionSetNode) -> None:
        for node in selections.selections:
            if not _wanted(node, conditions):
                continue
            if isinstance(node, FieldNode):
                key = node.alias.value if node.alias else node.name.value
                collected.setdefault(key, []).append(node)
            elif isinstance(node, InlineFragmentNode):
                walk(node.selection_set)
            elif isinstance(node, FragmentSpreadNode) and node.name.value not in seen:
                seen.add(node.name.value)
                walk(operation.fragments[node.name.value].selection_set)

    for selections in selection_sets:
        walk(selections)
    return collected


def _wanted(node: Any, conditions: Mapping[str, bool]) -> bool:
    for directive in node.directives or ():
        name = directive.name.value
        if name in ("include", "skip"):
            value = directive.arguments[0].value
            holds = value.value if isinstance(value, BooleanValueNode) else conditions[value.name.value]
            if holds is (name == "skip"):
                return False
    return True
