"""Root field that shows one datum as several departments hold it, side by side (多元校核, Changsha 32).

It asks through the line, in an operation of its own: who may not read an item is told why, and its value is not compared.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import strawberry
from strawberry.types import Info

from policies.cases import CaseSubject
from resolvers.access import basis_of
from resolvers.disclose import Act
from resolvers.line import Context
from resolvers.materials import ObstacleView, ask, begin, displayed, obstacle
from resolvers.prefill import Found, MaterialStatus, Part, found_of
from schema.catalogue import Catalogue, Item, Resource
from schema.errors import FieldFault, Text
from schema.identifiers import PARSERS, IdentifierError
from schema.same import same_items
from schema.types import UseInput


@strawberry.type(name="HeldValue", description="持有值: a datum as one department holds it; a value a record.")
class HeldView:
    item: str = strawberry.field(description="信息项: its coordinate.")
    title: str = strawberry.field(description="名称")
    provider: str = strawberry.field(description="提供部门")
    authoritative: bool = strawberry.field(
        description="是否权威来源: whether this item counts where they differ (一数一源)."
    )
    status: MaterialStatus = strawberry.field(description="状态")
    values: list[str | None] = strawberry.field(description="值: as shown to this use, in the order of the records.")
    updated_at: datetime | None = strawberry.field(description="最近更新时间")
    differs: bool | None = strawberry.field(
        description="是否不一致: whether a value differs from the authoritative one; null where one of them is not shown."
    )
    obstacles: list[ObstacleView] = strawberry.field(description="未获取原因")


@strawberry.type(name="Divergence", description="多元校核: one datum as each department holds it.")
class DivergenceView:
    authority: str = strawberry.field(description="权威信息项")
    agrees: bool | None = strawberry.field(description="是否一致; null where fewer than two values are shown.")
    held: list[HeldView] = strawberry.field(description="各部门的值: the authoritative first.")


@strawberry.type
class DivergenceQueries:
    @strawberry.field(
        description="多元校核: one datum of one entity, as each department holds it that the use may see."
    )
    async def divergence(
        self,
        info: Info[Context, None],
        item: Annotated[str, strawberry.argument(description="信息项: a coordinate, `Resource.item`.")],
        identifier: Annotated[str, strawberry.argument(description="标识号码: of the entity whose datum it is.")],
        use: Annotated[UseInput, strawberry.argument(description="用途与依据")],
    ) -> DivergenceView | None:
        context = info.context
        catalogue = context.snapshot.catalogue
        same = _same(catalogue, item)
        entity = catalogue.entities[same[0][0].entity or ""]
        try:
            number = PARSERS[entity.type](identifier)
        except IdentifierError as error:
            raise FieldFault("IDENTIFIER_INVALID", Text(error.reason_en, error.reason_zh)) from None
        begin(Act("divergence", same[0][0].name, subjects=((entity.name, number),)), context)
        parts = [Part(0, entity.name, "", resource, (one.name,)) for resource, one in same]
        basis = {kind: value for kind, value in basis_of(use).items() if value is not None}
        subject = CaseSubject(entity.name, number, "", "")
        answer = await ask(parts, [subject], {"purpose": use.purpose.value, "basis": basis}, context)
        return _view(same, [found_of(part, answer, 0) for part in parts], catalogue)


def _same(catalogue: Catalogue, coordinate: str) -> list[tuple[Resource, Item]]:
    name, _, item = coordinate.partition(".")
    resource = catalogue.resources.get(name)
    if resource is None or item not in resource.items or not resource.connected:
        raise FieldFault("RESOURCE_UNKNOWN")
    return [(held, one) for held, one in same_items(catalogue, coordinate) if held.connected]


def _view(same: list[tuple[Resource, Item]], found: list[Found], catalogue: Catalogue) -> DivergenceView:
    shown = [
        [displayed(item, record.values[item.name], catalogue) for record in one.records]
        for (_, item), one in zip(same, found, strict=True)
    ]
    held = [
        HeldView(
            item=f"{resource.name}.{item.name}",
            title=f"{resource.title} {item.title}",
            provider=catalogue.departments[resource.department].title,
            authoritative=number == 0,
            status=one.status,
            values=shown[number],
            updated_at=_latest(one),
            differs=_differs(shown[0], shown[number]) if number else None,
            obstacles=[obstacle(error) for error in one.errors],
        )
        for number, ((resource, item), one) in enumerate(zip(same, found, strict=True))
    ]
    distinct = [set(values) for values in shown if values]
    agrees = len(set().union(*distinct)) == 1 if len(distinct) > 1 else None
    return DivergenceView(authority=held[0].item, agrees=agrees, held=held)


def _differs(authority: list[str | None], values: list[str | None]) -> bool | None:
    return set(values) != set(authority) if authority and values else None


def _latest(found: Found) -> datetime | None:
    moments = [record.provenance["updatedAt"] for record in found.records if record.provenance["updatedAt"]]
    return max(map(datetime.fromisoformat, moments), default=None)
