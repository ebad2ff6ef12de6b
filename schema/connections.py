"""The types of root searches: Relay connections over the resources whose catalogue entry allows to search them.

`where` has one condition for each item that may be searched by, `orderBy` one value for each item that may be ordered by; what a source cannot
answer exactly is not in the schema. Source: GraphQL Cursor Connections Specification.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Any

import strawberry
from strawberry.annotation import StrawberryAnnotation
from strawberry.tools import create_type
from strawberry.types.arguments import StrawberryArgument
from strawberry.types.field import StrawberryField

from schema.catalogue import Item, ItemType, Resource
from schema.formats import is_ordered, is_prefixed
from schema.identifiers import PARSERS
from schema.names import condition_types, connection_type, edge_type, search_field

PAGE = 20
"""Records of a page that names no `first`."""


_DIRECTIONS = {
    name: strawberry.enum_value(name, description=title) for name, title in (("ASC", "升序"), ("DESC", "降序"))
}
_Direction = Enum("Direction", _DIRECTIONS)  # type: ignore[misc]
strawberry.enum(_Direction, description="排序方向: absent values come last in both.")


@strawberry.type(description="分页信息 (Relay).")
class PageInfo:
    has_next_page: bool = strawberry.field(description="是否有下一页")
    has_previous_page: bool = strawberry.field(description="是否有上一页")
    start_cursor: str | None = strawberry.field(description="本页首条的游标")
    end_cursor: str | None = strawberry.field(description="本页末条的游标")


def _leaf(name: str, annotation: Any, description: str, default: Any = None) -> StrawberryField:
    field = StrawberryField(
        python_name=f"f_{name}",
        graphql_name=name,
        type_annotation=StrawberryAnnotation(annotation),
        description=description,
    )
    if default is not None:
        field.default = default
    return field


def _argument(name: str, annotation: Any, description: str, default: Any = strawberry.UNSET) -> StrawberryArgument:
    return StrawberryArgument(
        python_name=name,
        graphql_name=name,
        type_annotation=StrawberryAnnotation(annotation),
        description=description,
        default=default,
    )


_OPERATORS = {
    "eq": "等于",
    "in": "属于",
    "gte": "大于等于",
    "lte": "小于等于",
    "startsWith": "前缀",
}


class SearchTypes:
    """Makes the search of each resource; `python_types` has the type of every item type, `enums` those of code tables."""

    def __init__(self, python_types: Mapping[ItemType, Any], enums: Mapping[str, Any], use: StrawberryArgument) -> None:
        self._python_types = python_types
        self._enums = enums
        self._use = use
        self._conditions: dict[str, Any] = {}

    def field(self, resource: Resource, resource_type: Any) -> StrawberryField:
        """The root field that searches a resource. Its entry allows it."""
        assert resource.search
        name = resource.name
        edge: Any = create_type(
            edge_type(name),
            [
                _leaf("cursor", str, "游标: sealed; good for the same caller, use and policy."),
                _leaf("node", resource_type | None, "记录"),
            ],
            description=f"{resource.title}: a record with its place.",
        )
        connection: Any = create_type(
            connection_type(name),
            [
                _leaf("edges", list[edge], "记录"),
                _leaf("pageInfo", PageInfo, "分页信息"),
                _leaf("totalCount", int | None, "总数: records that meet the conditions."),
            ],
            description=f"{resource.title}: a page of records.",
        )
        made = _leaf(
            search_field(resource.field, many=resource.many), connection | None, f"检索: {resource.title}, in pages."
        )
        order: Any = self._order(resource)
        made.arguments = [
            _argument("where", self._filter(resource) | None, "条件: all of them must hold."),
            _argument("orderBy", list[order] | None, "排序"),
            _argument("first", int, "条数", PAGE),
            _argument("after", str | None, "从该游标之后开始"),
            self._use,
        ]
        return made

    def _filter(self, resource: Resource) -> Any:
        assert resource.search
        fields = []
        for name in resource.search.where:
            item = resource.items[name]
            fields.append(_leaf(name, self._condition(item) | None, item.title, strawberry.UNSET))
        return create_type(f"{resource.name}Filter", fields, is_input=True, description=f"检索条件: {resource.title}")

    def _order(self, resource: Resource) -> Any:
        assert resource.search
        titles = {name: resource.items[name].title for name in (*resource.search.order_by, *resource.search.identity)}
        values = {name: strawberry.enum_value(name, description=title) for name, title in titles.items()}
        python_enum = Enum(f"{resource.name}OrderBy", values)  # type: ignore[misc]
        by = strawberry.enum(python_enum, description=f"排序项: {resource.title}")
        return create_type(
            f"{resource.name}Order",
            [
                _leaf("by", by, "排序项"),
                _leaf("direction", _Direction | None, "方向: ASC where none is given.", strawberry.UNSET),
            ],
            is_input=True,
            description=f"排序: {resource.title}",
        )

    def _condition(self, item: Item) -> Any:
        """The input type of conditions on an item: those that its source answers exactly."""
        operators = ["eq", "in"]
        # an identifier is asked for whole: between two of them stand people whom nobody has named
        if item.type is not ItemType.BOOLEAN and item.type not in PARSERS and is_ordered(item):
            operators += ["gte", "lte"]
        if item.type is ItemType.STRING and is_prefixed(item):
            operators.append("startsWith")
        scalar = item.codes or item.type.value
        name = condition_types(scalar)[len(operators) == 2]
        if name not in self._conditions:
            python_type: Any = self._enums[item.codes] if item.codes else self._python_types[item.type]
            fields = [
                _leaf(
                    one, (list[python_type] if one == "in" else python_type) | None, _OPERATORS[one], strawberry.UNSET
                )
                for one in operators
            ]
            self._conditions[name] = create_type(name, fields, is_input=True, description=f"条件: {scalar}")
        return self._conditions[name]
