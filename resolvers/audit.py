"""Root field for auditors: what was disclosed, one line for each resolved field."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated

import strawberry
from strawberry.types import Info

from audit.index import Question
from policies.cases import MAX_NUMBER
from policies.identity import Role
from resolvers.disclose import Act
from resolvers.line import Context
from schema.errors import FieldFault, Text
from schema.formats import CHINA
from schema.identifiers import PARSERS, IdentifierError

_PLACE = re.compile(r"[0-9]{1,18}")


@strawberry.type(name="AuditLine", description="留痕: one resolved field of one operation.")
class LineView:
    id: str = strawberry.field(description="留痕编号")
    at: datetime = strawberry.field(description="时间")
    operation_id: str = strawberry.field(description="操作编号")
    subject: str = strawberry.field(description="使用人")
    department: str = strawberry.field(description="使用部门")
    role: str = strawberry.field(description="岗位")
    purpose: str | None = strawberry.field(description="用途")
    case: str | None = strawberry.field(description="受理号")
    scenario: str | None = strawberry.field(description="应用场景")
    data_subject: str | None = strawberry.field(description="数据主体（密钥散列）: whose data, as a keyed hash.")
    subject_class: str | None = strawberry.field(description="与办件的关系")
    resource: str = strawberry.field(description="信息资源")
    item: str | None = strawberry.field(description="信息项")
    outcome: str = strawberry.field(description="结果: RETURNED, ABSENT, MASKED, DENIED, FAILED, JOINED, NAMED ...")
    rule_id: str | None = strawberry.field(description="规则")
    policy_version: str = strawberry.field(description="策略版本")


@strawberry.type(name="AuditPage", description="留痕查询结果, newest first.")
class PageView:
    lines: list[LineView] = strawberry.field(description="留痕")
    indexed_through: int = strawberry.field(description="索引进度: how far the search index has come in the ledger.")
    recorded_through: int = strawberry.field(
        description="台账进度: how far the ledger was when the question was asked."
    )
    next_before: str | None = strawberry.field(description="续查位置: pass it as `before` for older lines.")


@strawberry.input(name="DataSubjectInput", description="数据主体: hashed on the way in, kept nowhere.")
class DataSubjectInput:
    entity: str = strawberry.field(description="实体, such as Person.")
    identifier: str = strawberry.field(description="标识号码")


@strawberry.type
class AuditQueries:
    @strawberry.field(
        description="留痕: who was shown what, of whom, for which purpose, under which rule. For auditors. "
        "`first` counts records of data subjects, each of which has a line for every item."
    )
    async def audit_lines(
        self,
        info: Info[Context, None],
        first: Annotated[int, strawberry.argument(description="条数: records of data subjects, 500 at the most.")] = 50,
        before: Annotated[str | None, strawberry.argument(description="续查位置")] = None,
        data_subject: Annotated[DataSubjectInput | None, strawberry.argument(description="数据主体")] = None,
        subject: Annotated[str | None, strawberry.argument(description="使用人")] = None,
        department: Annotated[str | None, strawberry.argument(description="使用部门")] = None,
        case: Annotated[str | None, strawberry.argument(description="受理号")] = None,
        resource: Annotated[str | None, strawberry.argument(description="信息资源")] = None,
    ) -> PageView | None:
        context = info.context
        if context.identity.role is not Role.AUDITOR:
            raise FieldFault("ROLE_REQUIRED", Text("this needs the role auditor", "需要审计岗位"))
        if before and not _PLACE.fullmatch(before):
            raise FieldFault("VARIABLES_INVALID", Text("`before` is none of ours", "续查位置无效"))
        asked = _identified(context, data_subject) if data_subject else None
        context.note(Act("auditLines", "AuditLine", (case or "")[:MAX_NUMBER], subjects=(asked,) if asked else ()))
        question = Question(
            entity=context.line.recorder.hashes.of(*asked) if asked else "",
            subject=subject or "",
            department=department or "",
            case=case or "",
            resource=resource or "",
            before=int(before) if before else 0,
        )
        answer = await context.line.index.ask(question, max(1, min(first, 500)))
        return PageView(
            lines=[
                LineView(
                    id=line.id,
                    at=datetime.fromtimestamp(line.at / 1_000_000, CHINA),
                    operation_id=line.operation,
                    subject=line.subject,
                    department=line.department,
                    role=line.role,
                    purpose=line.purpose or None,
                    case=line.case or None,
                    scenario=line.scenario or None,
                    data_subject=line.entity or None,
                    subject_class=line.subject_class or None,
                    resource=line.resource,
                    item=line.item or None,
                    outcome=line.outcome,
                    rule_id=line.rule or None,
                    policy_version=line.policy,
                )
                for line in answer.lines
            ],
            indexed_through=answer.indexed,
            recorded_through=answer.recorded,
            next_before=str(answer.next_before) if answer.next_before else None,
        )


def _identified(context: Context, given: DataSubjectInput) -> tuple[str, str]:
    entity = context.snapshot.catalogue.entities.get(given.entity)
    if entity is None:
        raise FieldFault("IDENTIFIER_INVALID", Text("there is no such entity", "没有该实体类型"))
    try:
        return entity.name, PARSERS[entity.type](given.identifier)
    except IdentifierError as error:
        raise FieldFault("IDENTIFIER_INVALID", Text(error.reason_en, error.reason_zh)) from None
