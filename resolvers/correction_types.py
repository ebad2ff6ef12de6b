"""The GraphQL types of corrections, and of who was shown what was wrong."""

from __future__ import annotations

from datetime import datetime

import strawberry

from audit.readers import Reader
from policies.corrections import Correction
from resolvers.grant_types import local
from schema.connections import PageInfo


@strawberry.input(name="BetweenInput", description="起止时间: a time without a zone is China's.")
class BetweenInput:
    since: datetime = strawberry.field(description="起始时间, included.")
    until: datetime | None = strawberry.field(default=None, description="截止时间, not included; null: to this day.")


@strawberry.type(name="AffectedReader", description="受影响的使用者: who was shown the wrong value, in one operation.")
class AffectedReaderView:
    at: datetime = strawberry.field(description="时间")
    operation_id: str = strawberry.field(description="操作编号")
    place: str = strawberry.field(description="台账位置: of its frame in the ledger.")
    subject: str = strawberry.field(description="使用人")
    department: str = strawberry.field(description="使用部门")
    role: str = strawberry.field(description="岗位")
    client: str = strawberry.field(description="客户端")
    purpose: str | None = strawberry.field(description="用途")
    case: str | None = strawberry.field(description="受理号")
    scenario: str | None = strawberry.field(description="应用场景")
    outcomes: list[str] = strawberry.field(
        description="结果: how it was shown: RETURNED, MASKED, ABSENT, MATCHED, MISMATCHED, JOINED (a relation led by it)."
    )


@strawberry.type(name="AffectedReaderEdge", description="受影响的使用者及其位置 (Relay).")
class AffectedReaderEdge:
    cursor: str = strawberry.field(description="游标")
    node: AffectedReaderView = strawberry.field(description="受影响的使用者")


@strawberry.type(name="AffectedReaderConnection", description="受影响的使用者, newest first (Relay).")
class AffectedReaderConnection:
    edges: list[AffectedReaderEdge] = strawberry.field(description="受影响的使用者")
    page_info: PageInfo = strawberry.field(description="分页信息")
    total_count: int = strawberry.field(description="总数: of all pages.")
    undetermined: int = strawberry.field(
        description="无法确定: readings recorded before the ledger kept which version was shown; they are not listed."
    )
    indexed_through: int = strawberry.field(description="索引进度: how far the search index has come in the ledger.")
    recorded_through: int = strawberry.field(
        description="台账进度: how far the ledger was when the question was asked."
    )


@strawberry.input(name="RecordCorrectionInput", description="更正登记: what was wrong, in whose record, since when.")
class RecordCorrectionInput:
    resource: str = strawberry.field(description="信息资源")
    item: str = strawberry.field(description="信息项: its name in the resource.")
    entity: str = strawberry.field(description="标识号码: whose record; hashed on the way in, kept nowhere.")
    between: BetweenInput = strawberry.field(description="错误内容存在的时间: when it stood at the source.")
    reason: str = strawberry.field(description="理由")
    reference: str = strawberry.field(
        description="文号: the provider's own; the same correction sent again under it is recorded once."
    )
    value: str | None = strawberry.field(
        default=None,
        description="错误内容: needed where the source tells no moment of a record's last change; hashed, kept nowhere.",
    )


@strawberry.type(name="CorrectionNotice", description="更正通知: a department that was told.")
class CorrectionNoticeView:
    number: int = strawberry.field(description="报告编号")
    department: str = strawberry.field(description="使用部门")
    uses: int = strawberry.field(description="使用次数: operations that showed the wrong value.")


@strawberry.type(name="Correction", description="更正 (Changsha 32): what a provider put right, and whom it told.")
class CorrectionView:
    id: str = strawberry.field(description="更正编号")
    provider: str = strawberry.field(description="提供部门")
    resource: str = strawberry.field(description="信息资源")
    item: str = strawberry.field(description="信息项")
    data_subject: str = strawberry.field(description="数据主体（密钥散列）: whose record, as a keyed hash.")
    since: datetime = strawberry.field(description="起始时间")
    until: datetime | None = strawberry.field(description="截止时间")
    reason: str = strawberry.field(description="理由")
    reference: str = strawberry.field(description="文号")
    by: str = strawberry.field(description="经办人: who@department.")
    at: datetime = strawberry.field(description="登记时间")
    undetermined: int = strawberry.field(
        description="无法确定: readings of which the ledger does not say whether they were of the wrong value."
    )
    notices: list[CorrectionNoticeView] = strawberry.field(description="更正通知: one to each department affected.")


def reader_view(one: Reader) -> AffectedReaderView:
    return AffectedReaderView(
        at=local(one.at),
        operation_id=one.operation,
        place=str(one.seq),
        subject=one.subject,
        department=one.department,
        role=one.role,
        client=one.client,
        purpose=one.purpose or None,
        case=one.case or None,
        scenario=one.scenario or None,
        outcomes=list(one.outcomes),
    )


def correction_view(one: Correction) -> CorrectionView:
    return CorrectionView(
        id=one.id,
        provider=one.provider,
        resource=one.resource,
        item=one.item,
        data_subject=one.entity,
        since=local(one.since),
        until=None if one.until is None else local(one.until),
        reason=one.reason,
        reference=one.reference,
        by=one.by,
        at=local(one.at),
        undetermined=one.undetermined,
        notices=[
            CorrectionNoticeView(number=notice.number, department=notice.department, uses=len(notice.uses))
            for notice in one.notices
        ],
    )
