"""Root fields for what stops at once: suspensions, disablements, and what the supervising authority was told of them. For officers.

A suspension is in force in this process before it is answered, in the others with their next look at the control database.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import strawberry
from strawberry.types import Info

from policies.grants import DisabledKind, Disablement, Notice, NoticeKind, Suspension
from policies.identity import Role
from resolvers.disclose import Act
from resolvers.grant_types import local
from resolvers.grants import MAX_NAME, MAX_TEXT, concerned, in_role, micros, required, supervises, written
from resolvers.line import Context
from schema.errors import FieldFault, Text
from schema.types import titled_enum

_SUSPENSION, _DISABLEMENT, _NOTICE = "Suspension", "Disablement", "Notice"
_MOST = 100

titled_enum(
    DisabledKind,
    "停用对象",
    {DisabledKind.PERSON: "人员", DisabledKind.TOKEN: "令牌", DisabledKind.CLIENT: "客户端"},
)
titled_enum(
    NoticeKind,
    "通知事项: what a department was told of, the supervising one of all but CORRECTED (Hunan ch. 3, Changsha 32).",
    {
        NoticeKind.SUSPENDED: "暂停提供",
        NoticeKind.LIFTED: "恢复提供",
        NoticeKind.ENDED: "终止提供",
        NoticeKind.EXCEPTION: "不予共享类协商提供备案",
        NoticeKind.RULES: "规则文件变更",
        NoticeKind.CORRECTED: "更正错误信息",
    },
)


@strawberry.type(name="Suspension", description="暂停提供: in force from `at` until it is lifted.")
class SuspensionView:
    id: str = strawberry.field(description="暂停编号")
    provider: str = strawberry.field(description="提供部门")
    department: str | None = strawberry.field(description="使用部门: null for every one, or where a grant is named.")
    grant: str | None = strawberry.field(description="授权编号")
    object: str | None = strawberry.field(description="信息资源或信息项")
    reason: str = strawberry.field(description="理由")
    by: str = strawberry.field(description="经办人: who@department.")
    at: datetime = strawberry.field(description="暂停时间")
    lifted_at: datetime | None = strawberry.field(description="恢复时间")
    notice: int | None = strawberry.field(description="报告编号: the notice to the supervising department.")
    told_at: datetime | None = strawberry.field(description="报告时间")


@strawberry.type(name="Disablement", description="停用: refused until enabled again.")
class DisablementView:
    kind: DisabledKind = strawberry.field(description="停用对象")
    name: str = strawberry.field(description="名称: the token's claim `sub`, `jti` or `client`.")
    department: str | None = strawberry.field(description="部门: a person in this acting department only.")
    reason: str = strawberry.field(description="理由")
    by: str = strawberry.field(description="经办人: who@department.")
    at: datetime = strawberry.field(description="停用时间")


@strawberry.type(name="NoticeUse", description="使用记录: where a value was used that has turned out wrong.")
class NoticeUseView:
    operation_id: str = strawberry.field(description="操作编号")
    case: str | None = strawberry.field(description="受理号")
    at: datetime = strawberry.field(description="使用时间")
    outcomes: list[str] = strawberry.field(description="结果: how it was shown: RETURNED, MASKED, MATCHED ...")


@strawberry.type(
    name="Notice", description="报告、通知: what the acting department was told (Hunan ch. 3, Changsha 32)."
)
class NoticeView:
    number: int = strawberry.field(description="报告编号")
    at: datetime = strawberry.field(description="报告时间")
    kind: NoticeKind = strawberry.field(description="报告事项")
    en: str = strawberry.field(description="英文内容")
    zh: str = strawberry.field(description="中文内容")
    reference: str = strawberry.field(description="授权、暂停或更正编号")
    uses: list[NoticeUseView] = strawberry.field(
        description="使用记录: of this department, where a value was corrected."
    )


@strawberry.input(
    description="暂停提供: a grant, or an item or resource (for a department or everybody), or everything for a department."
)
class SuspendInput:
    reason: str = strawberry.field(description="理由")
    grant: str | None = strawberry.field(default=None, description="授权编号")
    object: str | None = strawberry.field(default=None, description="信息资源或信息项: Resource or Resource.item.")
    department: str | None = strawberry.field(default=None, description="使用部门")
    provider: str | None = strawberry.field(
        default=None, description="提供部门: for the supervising department, where everything is suspended."
    )


@strawberry.input(description="停用对象")
class DisabledInput:
    kind: DisabledKind = strawberry.field(description="停用对象")
    name: str = strawberry.field(description="名称: the token's claim `sub`, `jti` or `client`.")
    department: str | None = strawberry.field(
        default=None, description="部门: a person in this acting department only; an officer's own, if not given."
    )


@strawberry.type
class SuspensionQueries:
    @strawberry.field(
        description="暂停提供列表: those that concern the acting department, newest first; all of them for the supervising department."
    )
    async def suspensions(
        self,
        info: Info[Context, None],
        open: Annotated[bool, strawberry.argument(description="仅限未恢复")] = True,  # noqa: A002
        first: Annotated[int, strawberry.argument(description="条数: 100 at the most.")] = 50,
    ) -> list[SuspensionView] | None:
        context = in_role(info, Role.OFFICER, Role.AUDITOR)
        context.note(Act("suspensions", _SUSPENSION))
        found = await context.line.control.suspensions("", open)
        chosen: list[Suspension] = []
        for one in found:
            if len(chosen) >= max(0, min(first, _MOST)):
                break
            if await _concerns(context, one):
                chosen.append(one)
        notices = await context.line.control.told(one.id for one in chosen)
        return [_view(one, notices.get(one.id)) for one in chosen]

    @strawberry.field(description="停用列表: all of them for the supervising department, else those of the acting one.")
    async def disablements(self, info: Info[Context, None]) -> list[DisablementView] | None:
        context = in_role(info, Role.OFFICER, Role.AUDITOR)
        context.note(Act("disablements", _DISABLEMENT))
        found = await context.line.control.disablements()
        own = context.identity.department
        return [_disablement_view(one) for one in found if supervises(context) or one.department == own]

    @strawberry.field(
        description="报告、通知: what the acting department was told, in its order: of corrections every one, of all else the supervising one."
    )
    async def notices(
        self,
        info: Info[Context, None],
        after: Annotated[int, strawberry.argument(description="续查位置: the number of the last notice seen.")] = 0,
        first: Annotated[int, strawberry.argument(description="条数: 100 at the most.")] = 50,
    ) -> list[NoticeView] | None:
        context = in_role(info, Role.OFFICER, Role.AUDITOR)
        context.note(Act("notices", _NOTICE))
        to = [context.identity.department, *([""] if supervises(context) else [])]
        found = await context.line.control.notices(max(0, after), max(0, min(first, _MOST)), to)
        return [_notice_view(one) for one in found]


@strawberry.type
class SuspensionMutations:
    @strawberry.mutation(description="暂停提供: at once, by the provider or the supervising department, which is told.")
    async def suspend(
        self,
        info: Info[Context, None],
        input: Annotated[SuspendInput, strawberry.argument(description="暂停提供")],  # noqa: A002
    ) -> SuspensionView | None:
        context = in_role(info, Role.OFFICER)
        reason = written("reason", input.reason, MAX_TEXT)
        suspension = await _suspension(context, input, reason)
        if not supervises(context) and suspension.provider != context.identity.department:
            raise required(suspension.provider, f"提供部门 {suspension.provider} ")
        stopped = suspension.grant or suspension.object or suspension.department
        await context.intend(Act("suspend", _SUSPENSION, stopped))
        kept = await context.line.control.suspend(suspension)
        context.note(Act("suspend", _SUSPENSION, kept.id))
        await context.line.policy.refresh()
        return await _told(context, kept)

    @strawberry.mutation(
        description="恢复提供: by the provider for what it suspended itself, or by the supervising department."
    )
    async def lift_suspension(
        self,
        info: Info[Context, None],
        id: Annotated[str, strawberry.argument(description="暂停编号")],  # noqa: A002
    ) -> SuspensionView | None:
        context = in_role(info, Role.OFFICER)
        known = await context.line.control.suspension(id)
        if known is None or not await _concerns(context, known):
            raise FieldFault("SUSPENSION_UNKNOWN")
        own = known.provider == context.identity.department == known.by.rpartition("@")[2]
        if not own and not supervises(context):
            raise required("the department that suspended it", "作出暂停决定的部门")
        await context.intend(Act("liftSuspension", _SUSPENSION, known.id))
        lifted = await context.line.control.lift(known.id, micros(context.now)) or known
        await context.line.policy.refresh()
        return await _told(context, lifted)

    @strawberry.mutation(
        description="停用: refuse a person, token or client at once. The supervising department anybody, others persons within their own department."
    )
    async def disable(
        self,
        info: Info[Context, None],
        input: Annotated[DisabledInput, strawberry.argument(description="停用对象")],  # noqa: A002
        reason: Annotated[str, strawberry.argument(description="理由")],
    ) -> DisablementView | None:
        context = in_role(info, Role.OFFICER)
        kind, name, department = _who(context, input)
        disablement = Disablement(
            kind, name, department, written("reason", reason, MAX_TEXT), _by(context), micros(context.now)
        )
        if (kind, name) in _own(context) and department in ("", context.identity.department):
            raise FieldFault("DISABLEMENT_OWN")
        await context.intend(Act("disable", _DISABLEMENT, f"{kind}/{name}"))
        await context.line.control.disable(disablement)
        await context.line.policy.refresh()
        return _disablement_view(disablement)

    @strawberry.mutation(description="启用: admit again. True if this was disabled, by exactly the same three.")
    async def enable(
        self,
        info: Info[Context, None],
        input: Annotated[DisabledInput, strawberry.argument(description="停用对象")],  # noqa: A002
    ) -> bool | None:
        context = in_role(info, Role.OFFICER)
        kind, name, department = _who(context, input)
        await context.intend(Act("enable", _DISABLEMENT, f"{kind}/{name}"))
        was = await context.line.control.enable(kind, name, department)
        await context.line.policy.refresh()
        return was


async def _suspension(context: Context, given: SuspendInput, reason: str) -> Suspension:
    """The suspension that is asked for; a fault where it stops nothing that there is."""
    catalogue = context.snapshot.catalogue
    grant, named, department = given.grant or "", given.object or "", given.department or ""
    if department and department not in catalogue.departments:
        raise _invalid("there is no such department", "没有该部门")
    if grant:
        if named or department:
            raise _invalid("name a grant, or an object or department", "授权编号不得与信息项或使用部门同时填写")
        known = await concerned(context, grant)
        if known is None:
            raise FieldFault("GRANT_UNKNOWN")
        provider = known.provider
    elif named:
        name, _, item = named.partition(".")
        resource = catalogue.resources.get(name)
        if resource is None or ("." in named and item not in resource.items):
            raise _invalid("the catalogue has no such resource or item", "目录中没有该信息资源或信息项")
        provider = resource.department
    elif department:
        provider = given.provider or context.identity.department
        if provider not in catalogue.departments:
            raise _invalid("there is no such department", "没有该部门")
    else:
        raise _invalid("name a grant, an object or a department", "须填写授权编号、信息项或使用部门")
    if given.provider and given.provider != provider:
        raise _invalid(f"this is provided by {provider}", f"提供部门为 {provider}")
    return Suspension("", provider, department, grant, named, reason, _by(context), micros(context.now))


async def _concerns(context: Context, one: Suspension) -> bool:
    """Whether the acting department provides, uses or supervises what is suspended."""
    own = context.identity.department
    if supervises(context) or own in (one.provider, one.department):
        return True
    if one.grant:
        return await concerned(context, one.grant) is not None
    return not one.department


def _supervising(context: Context) -> None:
    if not supervises(context):
        raise required(context.line.supervisor, f"数据主管部门 {context.line.supervisor} ")


def _who(context: Context, given: DisabledInput) -> tuple[DisabledKind, str, str]:
    """Whom an officer may disable and enable."""
    name, department = written("name", given.name, MAX_NAME), given.department or ""
    if not supervises(context):
        department = department or context.identity.department
        if given.kind is not DisabledKind.PERSON or department != context.identity.department:
            _supervising(context)
    if department and given.kind is not DisabledKind.PERSON:
        raise _invalid("a token or client has no department", "令牌和客户端不区分部门")
    if department and department not in context.snapshot.catalogue.departments:
        raise _invalid("there is no such department", "没有该部门")
    return given.kind, name, department


def _by(context: Context) -> str:
    return f"{context.identity.subject}@{context.identity.department}"


def _invalid(en: str, zh: str) -> FieldFault:
    return FieldFault("SUSPENSION_INVALID", Text(en, zh))


async def _told(context: Context, one: Suspension) -> SuspensionView:
    notices = await context.line.control.told([one.id])
    return _view(one, notices.get(one.id))


def _notice_view(one: Notice) -> NoticeView:
    return NoticeView(
        number=one.number,
        at=local(one.at),
        kind=one.kind,
        en=one.text.en,
        zh=one.text.zh,
        reference=one.reference,
        uses=[
            NoticeUseView(
                operation_id=use.operation, case=use.case or None, at=local(use.at), outcomes=list(use.outcomes)
            )
            for use in one.uses
        ],
    )


def _view(one: Suspension, notice: Notice | None) -> SuspensionView:
    return SuspensionView(
        id=one.id,
        provider=one.provider,
        department=one.department or None,
        grant=one.grant or None,
        object=one.object or None,
        reason=one.reason,
        by=one.by,
        at=local(one.at),
        lifted_at=None if one.lifted_at is None else local(one.lifted_at),
        notice=notice.number if notice else None,
        told_at=local(notice.at) if notice else None,
    )


def _disablement_view(one: Disablement) -> DisablementView:
    return DisablementView(
        kind=one.kind,
        name=one.name,
        department=one.department or None,
        reason=one.reason,
        by=one.by,
        at=local(one.at),
    )


def _own(context: Context) -> tuple[tuple[DisabledKind, str], ...]:
    """What the caller acts by: who disabled it could not enable it again."""
    identity = context.identity
    return (
        (DisabledKind.PERSON, identity.subject),
        (DisabledKind.TOKEN, identity.token),
        (DisabledKind.CLIENT, identity.client),
    )
