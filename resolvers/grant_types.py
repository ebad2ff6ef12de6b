"""The GraphQL types of grants: enums with titles, what is shown, what is sent."""

from __future__ import annotations

from datetime import datetime

import strawberry

from policies.grants import AgreementState, Decider, Grant, GrantState
from schema.catalogue import Purpose, RowCondition, ShareMode
from schema.formats import CHINA
from schema.types import titled_enum

titled_enum(
    GrantState,
    "授权状态",
    {
        GrantState.APPLIED: "已申请",
        GrantState.GRANTED: "已授权",
        GrantState.REFUSED: "不予共享",
        GrantState.ENDED: "已终止",
    },
)
titled_enum(
    AgreementState,
    "保密协议状态: only VALID makes a grant active (Xianning 18).",
    {AgreementState.MISSING: "未签订", AgreementState.VALID: "生效", AgreementState.ENDED: "已终止"},
)
titled_enum(
    Decider,
    "决定机关 (Changsha 29, Xianning 15).",
    {Decider.PROVIDER: "提供部门", Decider.BUREAU: "数据主管部门", Decider.GOVERNMENT: "本级人民政府"},
)
titled_enum(
    ShareMode,
    "共享方式 (Changsha 31, Xianning 15).",
    {
        ShareMode.SYSTEM_INTEGRATION: "系统对接",
        ShareMode.FRONT_END_EXCHANGE: "前置机共享",
        ShareMode.ONLINE_QUERY: "联机查询",
        ShareMode.BATCH_DOWNLOAD: "部门批量下载",
    },
)
titled_enum(
    RowCondition,
    "记录范围: which records are reached at all.",
    {RowCondition.OWN_REGION: "仅限本行政区域", RowCondition.ADULTS: "仅限成年人"},
)


@strawberry.type(name="GrantItem", description="授权信息项: one item of an application and what was decided on it.")
class GrantItemView:
    coordinate: str = strawberry.field(description="信息项: Resource.item")
    authority: str = strawberry.field(description="法定职权依据")
    granted: bool | None = strawberry.field(description="是否授权: null before the decision.")
    reason: str | None = strawberry.field(description="理由: why it was refused.")


@strawberry.type(name="GrantStep", description="办理过程: one step in the life of a grant.")
class GrantStepView:
    action: str = strawberry.field(description="动作: the mutation.")
    by: str = strawberry.field(description="经办人")
    department: str = strawberry.field(description="经办部门")
    at: datetime = strawberry.field(description="时间")
    note: str | None = strawberry.field(description="说明")


@strawberry.type(name="Grant", description="共享授权: an application for sharing and what became of it.")
class GrantView:
    id: str = strawberry.field(description="授权编号")
    department: str = strawberry.field(description="使用部门")
    provider: str = strawberry.field(description="提供部门")
    state: GrantState = strawberry.field(description="状态")
    active: bool = strawberry.field(description="是否生效: granted, with a valid agreement; within its time it allows.")
    items: list[GrantItemView] = strawberry.field(description="信息项")
    purposes: list[Purpose] = strawberry.field(description="使用用途")
    modes: list[ShareMode] = strawberry.field(description="共享方式")
    rows: list[RowCondition] = strawberry.field(description="记录范围")
    scope: str = strawberry.field(description="共享范围")
    not_before: datetime | None = strawberry.field(description="有效期起")
    expires: datetime | None = strawberry.field(description="有效期止")
    agreement: str | None = strawberry.field(description="保密协议编号")
    agreement_state: AgreementState = strawberry.field(description="保密协议状态")
    decided_by: Decider | None = strawberry.field(description="决定机关")
    document: str | None = strawberry.field(description="决定文书")
    steps: list[GrantStepView] = strawberry.field(description="办理过程")


@strawberry.input(description="申请信息项 (Xianning 15).")
class GrantItemInput:
    coordinate: str = strawberry.field(description="信息项: Resource.item")
    authority: str = strawberry.field(description="法定职权依据: the article that lets the department use it.")


@strawberry.input(description="共享申请: for items of one provider.")
class ApplyForGrantInput:
    items: list[GrantItemInput] = strawberry.field(description="信息项")
    purposes: list[Purpose] = strawberry.field(description="使用用途")
    modes: list[ShareMode] = strawberry.field(description="共享方式")
    scope: str = strawberry.field(description="共享范围: who uses it, for what.")
    rows: list[RowCondition] = strawberry.field(default_factory=list, description="记录范围")


@strawberry.input(description="逐项决定")
class GrantVerdictInput:
    coordinate: str = strawberry.field(description="信息项")
    granted: bool = strawberry.field(description="是否同意共享")
    reason: str = strawberry.field(default="", description="理由: needed for a refusal.")


@strawberry.input(description="共享决定: item by item. What is granted needs `document` and `expires`.")
class DecideGrantInput:
    id: str = strawberry.field(description="授权编号")
    decided_by: Decider = strawberry.field(default=Decider.PROVIDER, description="决定机关")
    verdicts: list[GrantVerdictInput] = strawberry.field(description="逐项决定")
    document: str = strawberry.field(default="", description="决定文书")
    not_before: datetime | None = strawberry.field(default=None, description="有效期起: now, if it is not given.")
    expires: datetime | None = strawberry.field(default=None, description="有效期止")
    agreement: str = strawberry.field(default="", description="保密协议编号: of an agreement in force.")
    rows: list[RowCondition] = strawberry.field(default_factory=list, description="记录范围: further conditions.")
    note: str = strawberry.field(default="", description="说明")


@strawberry.input(description="限制授权: what is left; what is not given stays. It never gets wider.")
class LimitGrantInput:
    id: str = strawberry.field(description="授权编号")
    reason: str = strawberry.field(description="理由")
    items: list[str] | None = strawberry.field(default=None, description="保留的信息项")
    purposes: list[Purpose] | None = strawberry.field(default=None, description="保留的使用用途")
    modes: list[ShareMode] | None = strawberry.field(default=None, description="保留的共享方式")
    expires: datetime | None = strawberry.field(default=None, description="提前的有效期止")
    rows: list[RowCondition] = strawberry.field(default_factory=list, description="增加的记录范围")


def local(at: int) -> datetime:
    """Unix microseconds as a time in China."""
    return datetime.fromtimestamp(at / 1_000_000, CHINA)


def _time(time: str) -> datetime | None:
    return datetime.fromisoformat(time).astimezone(CHINA) if time else None


def grant_view(grant: Grant) -> GrantView:
    return GrantView(
        id=grant.id,
        department=grant.department,
        provider=grant.provider,
        state=grant.state,
        active=grant.active,
        items=[
            GrantItemView(coordinate=i.coordinate, authority=i.authority, granted=i.granted, reason=i.reason or None)
            for i in grant.items
        ],
        purposes=sorted(grant.purposes),
        modes=sorted(grant.modes),
        rows=sorted(grant.rows),
        scope=grant.scope,
        not_before=_time(grant.not_before),
        expires=_time(grant.expires),
        agreement=grant.agreement or None,
        agreement_state=grant.agreement_state,
        decided_by=grant.decided_by,
        document=grant.document or None,
        steps=[
            GrantStepView(action=s.action, by=s.by, department=s.department, at=local(s.at), note=s.note or None)
            for s in grant.steps
        ],
    )
