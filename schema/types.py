"""The GraphQL schema, generated from the catalogue.

One object type per entity and per connected resource, one enum per code table that is in use, typed scalars, a Chinese title in
every description. Built in two passes because `create_type` cannot hold forward references: objects with their
leaves, then the edges between them. No field made here has a resolver: governed roots are answered whole by
`resolvers.line`, and an executor that met one would answer null.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from typing import Any, NewType

import strawberry
from graphql import GraphQLError, GraphQLSchema
from strawberry.annotation import StrawberryAnnotation
from strawberry.schema.config import StrawberryConfig
from strawberry.tools import create_type
from strawberry.types import get_object_definition
from strawberry.types.arguments import StrawberryArgument
from strawberry.types.field import StrawberryField
from strawberry.types.scalar import ScalarDefinition

from schema import identifiers
from schema.catalogue import PURPOSE_TITLES, Catalogue, Entity, Item, ItemType, Purpose, Relation, Resource, ShareClass
from schema.connections import SearchTypes
from schema.names import expectation_type, verdicts_type, verification_field

CitizenIdNumber = NewType("CitizenIdNumber", str)
UnifiedSocialCreditCode = NewType("UnifiedSocialCreditCode", str)
RealEstateUnitNumber = NewType("RealEstateUnitNumber", str)
CityComponentCode = NewType("CityComponentCode", str)
Base64 = NewType("Base64", bytes)


def titled_enum(python_enum: type[Enum], description: str, titles: Mapping[Any, str]) -> None:
    """Make `python_enum` a GraphQL enum whose values have titles."""
    strawberry.enum(python_enum, description=description)
    for member in python_enum.__strawberry_definition__.values:  # type: ignore[attr-defined]
        member.description = titles[member.value]


class Verdict(Enum):
    """What a verification answers (数据校核); never a value."""

    MATCH = "MATCH"
    MISMATCH = "MISMATCH"
    ABSENT = "ABSENT"
    DENIED = "DENIED"


titled_enum(
    Verdict,
    "校核结果: what a verification answers, never a value (Changsha 31).",
    {"MATCH": "一致", "MISMATCH": "不一致", "ABSENT": "来源无此信息", "DENIED": "不得校核"},
)
titled_enum(Purpose, "使用用途: what the data is used for (Changsha 31).", PURPOSE_TITLES)


IDENTIFIERS: dict[ItemType, tuple[Any, str]] = {
    ItemType.ID_NUMBER: (CitizenIdNumber, "公民身份号码 (GB 11643)"),
    ItemType.CREDIT_CODE: (UnifiedSocialCreditCode, "统一社会信用代码 (GB 32100)"),
    ItemType.UNIT_NUMBER: (RealEstateUnitNumber, "不动产单元号 (GB/T 37346)"),
    ItemType.COMPONENT_CODE: (CityComponentCode, "城市部件代码 (GB/T 30428.2)"),
}
"""Scalars of identifiers: Python type and description."""

_PYTHON_TYPES: dict[ItemType, Any] = {
    ItemType.STRING: str,
    ItemType.INT: int,
    ItemType.DECIMAL: Decimal,
    ItemType.BOOLEAN: bool,
    ItemType.DATE: date,
    ItemType.DATETIME: datetime,
    ItemType.IMAGE: Base64,
    **{item_type: scalar for item_type, (scalar, _) in IDENTIFIERS.items()},
}


def _parse_identifier(name: str, parse: Callable[[str], str]) -> Callable[[Any], str]:
    def parse_value(value: Any) -> str:
        try:
            if not isinstance(value, str):
                raise identifiers.IdentifierError(
                    "give the number as a text, in quotes", "请以文本形式（加引号）填写号码"
                )
            return parse(value)
        except identifiers.IdentifierError as error:
            reason = {"en": f"{name}: {error.reason_en}", "zh": error.reason_zh}
            raise GraphQLError(reason["en"], extensions={"code": "IDENTIFIER_INVALID", "reason": reason}) from None

    return parse_value


SCALARS: dict[object, ScalarDefinition] = {
    scalar: strawberry.scalar(
        name=item_type.value,
        description=title,
        serialize=str,
        parse_value=_parse_identifier(item_type.value, identifiers.PARSERS[item_type]),
    )
    for item_type, (scalar, title) in IDENTIFIERS.items()
}
SCALARS[Base64] = strawberry.scalar(
    name="Base64", description="Bytes as Base64 text.", serialize=lambda v: base64.b64encode(v).decode()
)


@strawberry.input(one_of=True, description="依据: what proves the purpose. Exactly one.")
class BasisInput:
    case: str | None = strawberry.field(
        default=strawberry.UNSET, description="受理号: the acceptance number of an open case of the acting department."
    )
    scenario: str | None = strawberry.field(
        default=strawberry.UNSET,
        description="应用场景: the name of a scenario of the acting department, for systems (Shuangliao 24).",
    )


@strawberry.input(description="用途与依据: what the data is used for and what proves it (Changsha 31, Xianning 15).")
class UseInput:
    purpose: Purpose = strawberry.field(description="用途")
    basis: BasisInput = strawberry.field(description="依据")


@strawberry.type(description="来源: where a record comes from and how fresh it is.")
class Provenance:
    provider: str = strawberry.field(description="提供部门")
    provider_code: str = strawberry.field(description="提供部门的统一社会信用代码")
    resource_code: str = strawberry.field(description="信息资源代码")
    updated_at: datetime | None = strawberry.field(description="在来源处最后更新的时间")
    fetched_at: datetime = strawberry.field(description="本次取得的时间")
    usable_as_basis: bool = strawberry.field(description="可否作为行政依据: false for a work reference (Changsha 31).")
    notice: str | None = strawberry.field(description="使用提示")


_CLASS_TITLES = {
    ShareClass.UNCONDITIONAL: "无条件共享",
    ShareClass.CONDITIONAL: "有条件共享",
    ShareClass.NOT_SHARED: "不予共享",
}


def _leaf(name: str, annotation: Any, description: str) -> StrawberryField:
    return StrawberryField(
        python_name=f"f_{name}",
        graphql_name=name,
        type_annotation=StrawberryAnnotation(annotation),
        description=description,
    )


def _item_field(item: Item, enums: Mapping[str, Any]) -> StrawberryField:
    python_type = enums[item.codes] if item.codes else _PYTHON_TYPES[item.type]
    described = f"{item.title} · {_CLASS_TITLES[item.share.share_class]}"
    if item.description:
        described += f" · {item.description}"
    return _leaf(item.name, python_type | None, described)


def _enums(catalogue: Catalogue) -> dict[str, Any]:
    used = {item.codes for resource in catalogue.resources.values() for item in resource.items.values()}
    made = {}
    for table in catalogue.codes.values():
        if table.name not in used:
            continue
        values = {v.name: strawberry.enum_value(v.name, description=f"{v.title} ({v.code})") for v in table.values}
        python_enum = Enum(table.name, values)  # type: ignore[misc]
        made[table.name] = strawberry.enum(python_enum, description=f"{table.title} ({table.standard})")
    return made


def _object(name: str, fields: list[StrawberryField], description: str, *, is_input: bool = False) -> type:
    return create_type(name, fields, description=description, is_input=is_input)


def _described(resource: Resource, catalogue: Catalogue) -> str:
    provider = catalogue.departments[resource.department].title
    return f"{resource.title} · {provider} · {resource.code} · {_CLASS_TITLES[resource.share.share_class]}"


def _verification(catalogue: Catalogue, resource: Resource, enums: Mapping[str, Any]) -> StrawberryField | None:
    """The field that verifies values of a resource, with its types; None where nothing of it may be verified."""
    items = [
        item
        for item in resource.items.values()
        if Purpose.DATA_VERIFICATION in item.purposes and catalogue.verifiable(item)
    ]
    if not items:
        return None
    expectation = _object(
        expectation_type(resource.name),
        [_expected(item, enums) for item in items],
        f"待校核内容: {resource.title}",
        is_input=True,
    )
    verdicts: Any = _object(
        verdicts_type(resource.name),
        [_leaf(item.name, Verdict | None, f"{item.title}: null where no value was given.") for item in items],
        f"校核结果: {resource.title}",
    )
    field = _leaf(
        verification_field(resource.name), verdicts | None, f"校核: {resource.title}, under DATA_VERIFICATION only."
    )
    field.arguments = [
        StrawberryArgument(
            python_name="expect",
            graphql_name="expect",
            type_annotation=StrawberryAnnotation(expectation),
            description="待校核内容",
        )
    ]
    return field


def _expected(item: Item, enums: Mapping[str, Any]) -> StrawberryField:
    field = _item_field(item, enums)
    field.default = strawberry.UNSET
    return field


def _add(owner: type, field: StrawberryField) -> None:
    definition = get_object_definition(owner, strict=True)
    definition.fields.append(field)


def _use_argument() -> StrawberryArgument:
    return StrawberryArgument(
        python_name="use", graphql_name="use", type_annotation=StrawberryAnnotation(UseInput), description="用途与依据"
    )


def _roots(entity: Entity, entity_type: Any) -> tuple[StrawberryField, StrawberryField]:
    scalar = IDENTIFIERS[entity.type][0]

    def identifier(name: str, annotation: Any) -> StrawberryArgument:
        return StrawberryArgument(
            python_name=name,
            graphql_name=name,
            type_annotation=StrawberryAnnotation(annotation),
            description=IDENTIFIERS[entity.type][1],
        )

    one = _leaf(entity.root, entity_type | None, f"{entity.title}: by its identifier.")
    one.arguments = [identifier(entity.identifier, scalar), _use_argument()]
    many = _leaf(
        entity.plural,
        list[entity_type | None] | None,
        f"{entity.title}: several, in the order of the identifiers given.",
    )
    many.arguments = [identifier(entity.identifiers, list[scalar]), _use_argument()]  # type: ignore[valid-type]
    return one, many


def _relation_fields(
    resource: Resource, relation: Relation, types: Mapping[str, Any]
) -> Iterable[tuple[str, StrawberryField]]:
    def edge(name: str, title: str, target: Any, many: bool) -> StrawberryField:
        return _leaf(name, (list[target] if many else target) | None, f"{title} · 经由 {resource.title}")

    assert resource.entity  # the lint admits relations on connected resources only
    yield resource.entity, edge(relation.name, relation.title, types[relation.to], relation.many)
    if relation.inverse:
        inverse = edge(relation.inverse, relation.inverse_title, types[resource.entity], relation.inverse_many)
        yield relation.to, inverse


def governed_types(catalogue: Catalogue) -> list[StrawberryField]:
    """The governed root fields, with every type below them."""
    enums = _enums(catalogue)
    entities: dict[str, Any] = {
        entity.name: _object(
            entity.name,
            [_leaf(entity.identifier, IDENTIFIERS[entity.type][0] | None, IDENTIFIERS[entity.type][1])],
            f"{entity.title}",
        )
        for entity in catalogue.entities.values()
    }
    searches = SearchTypes(_PYTHON_TYPES, enums, _use_argument())
    roots: list[StrawberryField] = []
    for resource in catalogue.resources.values():
        if not resource.connected or not resource.entity:
            continue
        fields = [_item_field(item, enums) for item in resource.items.values()]
        fields.append(_leaf("provenance", Provenance, "来源"))
        described = _described(resource, catalogue)
        resource_type: Any = _object(resource.name, fields, described)
        annotation = (list[resource_type] if resource.many else resource_type) | None
        _add(entities[resource.entity], _leaf(resource.field, annotation, described))
        if resource.search:
            roots.append(searches.field(resource, resource_type))
        if verification := _verification(catalogue, resource, enums):
            _add(entities[resource.entity], verification)
    for resource in catalogue.resources.values():
        for relation in resource.relations:
            for owner, field in _relation_fields(resource, relation, entities):
                _add(entities[owner], field)
    looked_up = [root for entity in catalogue.entities.values() for root in _roots(entity, entities[entity.name])]
    return looked_up + roots


def build_schema(
    catalogue: Catalogue, queries: Sequence[StrawberryField] = (), mutations: Sequence[StrawberryField] = ()
) -> strawberry.Schema:
    """The executable schema: governed roots from the catalogue, beside the given ungoverned root fields."""
    query = create_type("Query", [*governed_types(catalogue), *queries], description="查询")
    mutation = create_type("Mutation", list(mutations), description="办理") if mutations else None
    config = StrawberryConfig(scalar_map=SCALARS, disable_field_suggestions=True)
    return strawberry.Schema(query=query, mutation=mutation, config=config)


def core_schema(schema: strawberry.Schema) -> GraphQLSchema:
    """graphql-core's schema behind Strawberry's."""
    return schema._schema
