"""What an operation costs, told from its document: fields, levels, aliases with fragments expanded, and the fields weighted by list sizes.

One walk, before validation, in time linear in the document: each fragment is measured once and never expanded. What only the
variables tell stays open in `Cost`, and is filled in once they are known: before any department is asked.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLField,
    GraphQLNamedType,
    GraphQLSchema,
    InlineFragmentNode,
    IntValueNode,
    ListValueNode,
    OperationDefinitionNode,
    SelectionNode,
    SelectionSetNode,
    ValueNode,
    VariableNode,
    get_named_type,
    get_nullable_type,
    is_list_type,
    is_non_null_type,
)

from schema.errors import Fault, RequestError

LIST_SIZE = 5
"""How many objects a list is taken to have where nothing in the document bounds it: a to-many relation or resource."""
PAGE = "first"
"""The argument that bounds a page."""
_INTROSPECTION = ("__schema", "__type")
_MAX_DIGITS = 9
_HUGE = 10**_MAX_DIGITS


@dataclass(frozen=True, slots=True)
class Cost:
    """Fields of a selection: `known`, and parts that come as often as their factor, a number or a variable, tells."""

    known: int = 0
    parts: tuple[tuple[int | Open, Cost], ...] = ()

    def at(self, variables: Mapping[str, Any]) -> int:
        """The number under these coerced variables; one that is not there counts as its default."""
        return self.known + sum(_number(factor, variables) * cost.at(variables) for factor, cost in self.parts)

    def times(self, factor: int | Open) -> Cost:
        if isinstance(factor, Open):
            return Cost(0, ((factor, self),))
        if factor == 1:
            return self
        return Cost(self.known * factor, ((factor, Cost(0, self.parts)),) if self.parts else ())


@dataclass(frozen=True, slots=True)
class Open:
    """A size that a variable tells: the length of a list, or a number; `default` where it has no value."""

    variable: str
    default: int


@dataclass(frozen=True, slots=True)
class Extent:
    """A selection with its fragments expanded: how many fields, levels and aliases, and what it costs."""

    fields: int = 0
    depth: int = 0
    aliases: int = 0
    cost: Cost = Cost()


def _number(factor: int | Open, variables: Mapping[str, Any]) -> int:
    if isinstance(factor, int):
        return factor
    value = variables.get(factor.variable)
    if isinstance(value, list | tuple):
        return max(len(value), 1)
    return max(value, 1) if isinstance(value, int) else factor.default


class Measure:
    """Measures the definitions of one document against a schema; what the schema does not know counts as single objects.

    `introspections` counts the introspection fields and the aliases below them: each repeats whole lists of types.
    RequestError QUERY_TOO_LARGE as soon as a selection has more than `most` fields. Cycles are left to validation.
    """

    def __init__(self, document: DocumentNode, schema: GraphQLSchema, most: int) -> None:
        self._fragments = {d.name.value: d for d in document.definitions if isinstance(d, FragmentDefinitionNode)}
        self._schema = schema
        self._most = most
        self._measured: dict[tuple[str, bool], Extent] = {}
        self._open: set[str] = set()
        self._inside = False
        self.introspections = 0

    def definition(self, definition: OperationDefinitionNode | FragmentDefinitionNode) -> Extent:
        """The extent of an operation or, alone, of a fragment."""
        if isinstance(definition, OperationDefinitionNode):
            return self._selections(definition.selection_set, self._schema.get_root_type(definition.operation), False)
        on = definition.type_condition.name.value
        return self._selections(definition.selection_set, self._schema.get_type(on), False)

    def _selections(self, selections: SelectionSetNode | None, owner: GraphQLNamedType | None, paged: bool) -> Extent:
        fields = depth = aliases = known = 0
        parts: list[tuple[int | Open, Cost]] = []
        for node in selections.selections if selections else ():
            extent = self._selection(node, owner, paged)
            fields += extent.fields
            if fields > self._most:
                raise RequestError(Fault("QUERY_TOO_LARGE"))
            depth = max(depth, extent.depth)
            aliases += extent.aliases
            known += extent.cost.known
            parts += extent.cost.parts
        return Extent(fields, depth, aliases, Cost(known, tuple(parts)))

    def _selection(self, node: SelectionNode, owner: GraphQLNamedType | None, paged: bool) -> Extent:
        if isinstance(node, FieldNode):
            return self._field(node, owner, paged)
        if isinstance(node, FragmentSpreadNode):
            return self._fragment(node.name.value, paged)
        assert isinstance(node, InlineFragmentNode)
        on = self._schema.get_type(node.type_condition.name.value) if node.type_condition else owner
        return self._selections(node.selection_set, on, paged)

    def _field(self, node: FieldNode, owner: GraphQLNamedType | None, paged: bool) -> Extent:
        outside, self._inside = self._inside, self._inside or node.name.value in _INTROSPECTION
        self.introspections += self._inside and (not outside or node.alias is not None)
        known = self._schema.get_field(owner, node.name.value) if owner else None  # type: ignore[arg-type]
        size = _size(node, known, paged)
        # the page's size holds for what is below, so the list in the page's object is not counted again
        below = self._selections(node.selection_set, get_named_type(known.type) if known else None, _is_page(known))
        self._inside = outside
        return Extent(
            below.fields + 1,
            below.depth + 1,
            below.aliases + (node.alias is not None),
            Cost(below.cost.known + 1, below.cost.parts).times(size),
        )

    def _fragment(self, name: str, paged: bool) -> Extent:
        key = name, paged
        if key not in self._measured:
            if name in self._open or name not in self._fragments:
                return Extent()
            self._open.add(name)
            on = self._fragments[name].type_condition.name.value
            outside, self._inside = self._inside, on.startswith("__")
            self._measured[key] = self._selections(
                self._fragments[name].selection_set, self._schema.get_type(on), paged
            )
            self._inside = outside
            self._open.discard(name)
        return self._measured[key]


def _is_page(known: GraphQLField | None) -> bool:
    """Whether a field answers with a page: an object that holds the list which its argument bounds."""
    return known is not None and PAGE in known.args and not is_list_type(get_nullable_type(known.type))


def _size(node: FieldNode, known: GraphQLField | None, paged: bool) -> int | Open:
    """How many objects this field stands for: its page, its identifiers, a list's usual size, or one."""
    if known is None:
        return 1
    given = {argument.name.value: argument.value for argument in node.arguments or ()}
    if PAGE in known.args:
        default = known.args[PAGE].default_value
        return _given(given.get(PAGE), default if isinstance(default, int) else LIST_SIZE)
    if not is_list_type(get_nullable_type(known.type)) or paged:
        return 1
    for name, argument in known.args.items():
        if is_non_null_type(argument.type) and is_list_type(get_nullable_type(argument.type)):
            return _given(given.get(name), 1)
    return LIST_SIZE


def _given(value: ValueNode | None, default: int) -> int | Open:
    """The number or the length that an argument's value tells."""
    if isinstance(value, VariableNode):
        return Open(value.name.value, default)
    if isinstance(value, ListValueNode):
        return max(len(value.values), 1)
    if isinstance(value, IntValueNode):
        return max(int(value.value), 1) if len(value.value) <= _MAX_DIGITS else _HUGE
    return default
