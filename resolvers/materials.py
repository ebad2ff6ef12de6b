"""The field `materials` of a case: what need not be submitted, with its content, and what is still missing and why (一次性告知).

It asks for the case's subjects through the line, in an operation of its own for each purpose: same decisions, same masks, same ledger.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import orjson
import strawberry

from policies.cases import Case, CaseState, CaseSubject
from policies.masks import mask
from resolvers.access import TextView
from resolvers.disclose import Act
from resolvers.line import Context, Request
from resolvers.prefill import MaterialStatus, Obtained, Outcome, Part, document_of, outcomes_of, parts_of
from schema.catalogue import Catalogue, Item, ItemType, MaskKind, Purpose
from schema.errors import FieldFault
from schema.types import titled_enum

_MAX_OF_A_KIND = 5
"""How many fields of one kind that ask the line anew an operation may have: each is an operation or two of its own."""

STATUS_TITLES = {
    MaterialStatus.OBTAINED: "已获取，无需提交",
    MaterialStatus.NOT_FOUND: "未查到记录",
    MaterialStatus.NOT_AUTHORISED: "未获授权",
    MaterialStatus.SOURCE_UNAVAILABLE: "数据源暂不可用，可收取纸质材料",
    MaterialStatus.TO_VERIFY: "待核对",
    MaterialStatus.MUST_SUBMIT: "须提交",
}

titled_enum(MaterialStatus, "材料状态", STATUS_TITLES)


@strawberry.type(name="MaterialItem", description="信息项: one value that replaces a part of a material.")
class ItemView:
    item: str = strawberry.field(description="信息项: its coordinate.")
    title: str = strawberry.field(description="名称")
    value: str | None = strawberry.field(
        description="值: as it is read at the window; codes by their titles; null if absent or denied."
    )


@strawberry.type(name="MaterialRecord", description="记录: what a department holds.")
class RecordView:
    resource: str = strawberry.field(description="信息资源")
    title: str = strawberry.field(description="信息资源名称")
    provider: str = strawberry.field(description="提供部门")
    updated_at: datetime | None = strawberry.field(description="更新时间")
    fetched_at: datetime = strawberry.field(description="获取时间")
    items: list[ItemView] = strawberry.field(description="信息项")


@strawberry.type(name="MaterialObstacle", description="未获取原因: why something is missing, and what can be done.")
class ObstacleView:
    code: str = strawberry.field(description="错误码")
    item: str | None = strawberry.field(description="信息项: its coordinate, if it is about one.")
    reason: TextView = strawberry.field(description="理由")
    next: TextView = strawberry.field(description="下一步")
    rule_id: str | None = strawberry.field(description="规则")


@strawberry.type(
    name="Material", description="申请材料: a material of a case's service item, and whether it need be submitted."
)
class MaterialView:
    title: str = strawberry.field(description="材料名称")
    basis: str = strawberry.field(description="依据: the law that permits asking for it (Shuangliao 30).")
    purpose: Purpose | None = strawberry.field(description="用途; null where nobody holds it.")
    role: str | None = strawberry.field(description="当事人身份: whose records these are; null where it is the case's.")
    masked_identifier: str | None = strawberry.field(description="标识号码（脱敏）")
    status: MaterialStatus = strawberry.field(description="状态")
    records: list[RecordView] = strawberry.field(description="记录")
    obstacles: list[ObstacleView] = strawberry.field(description="未获取原因")


async def materials_of(case: Case, context: Context) -> list[MaterialView]:
    """How each material of the case stands now. FieldFault CASE_UNKNOWN if the case is not open, or its service item is gone."""
    begin(Act("materials", "Case", case.number, case.service), context)
    catalogue = context.snapshot.catalogue
    service = catalogue.services.get(case.service)
    if service is None or case.state(context.now) is not CaseState.OPEN:
        raise FieldFault("CASE_UNKNOWN")
    parts = parts_of(service, catalogue)
    answers: dict[Purpose, Mapping[str, Any]] = {}
    for purpose in dict.fromkeys(service.materials[part.material].purpose for part in parts):
        asked = [part for part in parts if service.materials[part.material].purpose is purpose]
        use = {"purpose": purpose.value, "basis": {"case": case.number}}
        answers[purpose] = await ask(asked, case.subjects, use, context)
    return [_view(outcome, catalogue) for outcome in outcomes_of(service, parts, case.subjects, answers)]


def begin(act: Act, context: Context) -> None:
    """Note a field that asks the line anew; FieldFault QUERY_TOO_EXPENSIVE if the operation has as many of its kind already."""
    if sum(one.field == act.field for one in context.acts) >= _MAX_OF_A_KIND:
        raise FieldFault("QUERY_TOO_EXPENSIVE")
    context.note(act)


async def ask(
    parts: Sequence[Part], subjects: Sequence[CaseSubject], use: Mapping[str, Any], context: Context
) -> Mapping[str, Any]:
    """What the line answers, in an operation of its own, to a question for these parts of these subjects."""
    identifiers: dict[str, Any] = {}
    for subject in subjects:
        identifiers.setdefault(subject.entity, []).append(subject.identifier)
    document = document_of(parts, context.snapshot.catalogue, identifiers)
    if not document:
        return {}
    variables = {name: value for name, value in identifiers.items() if f"${name}:" in document}
    answer = await context.line.answer(Request(document, {**variables, "use": use}, None), context.identity)
    return dict(orjson.loads(answer.body))


def _view(outcome: Outcome, catalogue: Catalogue) -> MaterialView:
    material, subject = outcome.material, outcome.subject
    return MaterialView(
        title=material.title,
        basis=material.basis,
        purpose=material.purpose if material.uses else None,
        role=subject.role if subject else None,
        masked_identifier=mask(MaskKind.ID_NUMBER, subject.identifier) if subject else None,
        status=outcome.status,
        records=[_record(record, catalogue) for record in outcome.records],
        obstacles=[obstacle(error) for error in outcome.errors],
    )


def _record(record: Obtained, catalogue: Catalogue) -> RecordView:
    resource, provenance = record.resource, record.provenance
    return RecordView(
        resource=resource.name,
        title=resource.title,
        provider=provenance["provider"],
        updated_at=_moment(provenance["updatedAt"]),
        fetched_at=datetime.fromisoformat(provenance["fetchedAt"]),
        items=[
            ItemView(
                item=f"{resource.name}.{name}",
                title=resource.items[name].title,
                value=displayed(resource.items[name], value, catalogue),
            )
            for name, value in record.values.items()
        ],
    )


def _moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def displayed(item: Item, value: Any, catalogue: Catalogue) -> str | None:
    """A value of an answer as people at the window read it."""
    if value is None:
        return None
    if item.type is ItemType.CODE:
        return next((one.title for one in catalogue.codes[item.codes or ""].values if one.name == value), str(value))
    if isinstance(value, bool):
        return "是" if value else "否"
    return str(value)


def obstacle(error: Mapping[str, Any]) -> ObstacleView:
    """An error of an answer, as people at the window read it."""
    told = error["extensions"]
    reason, following = told.get("reason") or told["message"], told.get("next") or told["hint"]
    return ObstacleView(
        code=told["code"],
        item=told.get("coordinate"),
        reason=TextView(en=reason["en"], zh=reason["zh"]),
        next=TextView(en=following["en"], zh=following["zh"]),
        rule_id=told.get("ruleId"),
    )
