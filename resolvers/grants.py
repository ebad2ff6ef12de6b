"""Root fields for grants: apply for one, decide on it item by item, limit it, end it, record its agreement. For officers.

Each step is on record before it takes effect, and in force in this process before it is answered. A department that a grant does not concern reads
it as unknown.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Annotated

import strawberry
from strawberry.types import Info

from policies import granting
from policies.control import ControlConflict
from policies.granting import GrantFault, Narrowing, Ruling, Verdict
from policies.grants import AgreementState, Decider, Grant, GrantItem, GrantState, GrantStep, Notice
from policies.identity import Role
from resolvers.disclose import Act
from resolvers.grant_types import ApplyForGrantInput, DecideGrantInput, GrantView, LimitGrantInput, grant_view
from resolvers.line import Context
from schema.errors import FieldFault, Text
from schema.formats import CHINA
from schema.identifiers import names_person

_GRANT = "Grant"
MAX_TEXT = 500
MAX_NAME = 200

_Id = Annotated[str, strawberry.argument(description="授权编号")]
_Reason = Annotated[str, strawberry.argument(description="理由")]
_Before = Annotated[str, strawberry.argument(description="续查位置: the id of the last grant seen.")]
_First = Annotated[int, strawberry.argument(description="条数: at most so many, 100 at the most.")]


@strawberry.type
class GrantQueries:
    @strawberry.field(description="共享授权: null where there is none that concerns the acting department.")
    async def grant(self, info: Info[Context, None], id: _Id) -> GrantView | None:  # noqa: A002
        context = in_role(info, Role.OFFICER, Role.AUDITOR)
        found = await concerned(context, id)
        if found is None:
            return None
        context.note(Act("grant", _GRANT, found.id))
        return grant_view(found)

    @strawberry.field(
        description="共享授权列表: those that the acting department uses or provides, newest first; all of them for the supervising department."
    )
    async def grants(
        self,
        info: Info[Context, None],
        first: _First = 20,
        state: Annotated[GrantState | None, strawberry.argument(description="状态")] = None,
        before: _Before = "",
    ) -> list[GrantView] | None:
        context = in_role(info, Role.OFFICER, Role.AUDITOR)
        context.note(Act("grants", _GRANT))
        department = "" if supervises(context) else context.identity.department
        found = await context.line.control.grants(department, state, max(0, min(first, 100)), before)
        return [grant_view(one) for one in found]


@strawberry.type
class GrantMutations:
    @strawberry.mutation(description="申请: apply to a provider for items, as an officer of the using department.")
    async def apply_for_grant(
        self,
        info: Info[Context, None],
        input: Annotated[ApplyForGrantInput, strawberry.argument(description="共享申请")],  # noqa: A002
    ) -> GrantView | None:
        context = in_role(info, Role.OFFICER)
        items = [
            GrantItem(written("coordinate", one.coordinate, MAX_NAME), written("authority", one.authority, MAX_TEXT))
            for one in input.items[: granting.MAX_ITEMS + 1]
        ]
        with told():
            grant = granting.application(
                context.snapshot.catalogue,
                items,
                frozenset(input.purposes),
                frozenset(input.modes),
                written("scope", input.scope, MAX_TEXT),
                frozenset(input.rows),
                _step(context, "applyForGrant"),
            )
        await context.intend(Act("applyForGrant", _GRANT))
        kept = await context.line.control.apply(grant)
        context.note(Act("applyForGrant", _GRANT, kept.id))
        return grant_view(kept)

    @strawberry.mutation(
        description="决定: item by item, as an officer of the provider, or of the supervising department for itself or the government."
    )
    async def decide_grant(
        self,
        info: Info[Context, None],
        input: Annotated[DecideGrantInput, strawberry.argument(description="共享决定")],  # noqa: A002
    ) -> GrantView | None:
        context = in_role(info, Role.OFFICER)
        grant = await _known(context, input.id)
        _may_decide(context, grant, input.decided_by)
        verdicts = {
            one.coordinate: Verdict(one.granted, written("reason", one.reason, MAX_TEXT, needed=False))
            for one in input.verdicts
        }
        if len(verdicts) < len(input.verdicts):
            raise FieldFault("GRANT_INVALID", Text("an item is decided on twice", "同一信息项有多个决定"))
        ruling = Ruling(
            verdicts,
            input.decided_by,
            written("document", input.document, MAX_NAME, needed=False),
            _moment(input.not_before),
            _moment(input.expires),
            written("agreement", input.agreement, MAX_NAME, needed=False),
            frozenset(input.rows),
        )
        step = _step(context, "decideGrant", written("note", input.note, MAX_TEXT, needed=False))
        catalogue = context.snapshot.catalogue
        with told():
            decided = granting.decide(grant, catalogue, ruling, _moment(context.now), step)
        notice = granting.exception_notice(decided, catalogue, step.at)
        return await _changed(context, decided, grant, notice)

    @strawberry.mutation(
        description="限制: fewer items, purposes or modes, an earlier end, more conditions. For the provider."
    )
    async def limit_grant(
        self,
        info: Info[Context, None],
        input: Annotated[LimitGrantInput, strawberry.argument(description="限制授权")],  # noqa: A002
    ) -> GrantView | None:
        context = in_role(info, Role.OFFICER)
        grant = await _known(context, input.id)
        _of_provider(context, grant)
        narrowing = Narrowing(
            None if input.items is None else frozenset(input.items),
            None if input.purposes is None else frozenset(input.purposes),
            None if input.modes is None else frozenset(input.modes),
            None if input.expires is None else _moment(input.expires),
            frozenset(input.rows),
        )
        step = _step(context, "limitGrant", written("reason", input.reason, MAX_TEXT))
        with told():
            limited = granting.limit(grant, context.snapshot.catalogue, narrowing, step)
        return await _changed(context, limited, grant)

    @strawberry.mutation(
        description="终止: end a grant for good, as the provider or the supervising department, which is told."
    )
    async def end_grant(self, info: Info[Context, None], id: _Id, reason: _Reason) -> GrantView | None:  # noqa: A002
        context = in_role(info, Role.OFFICER)
        grant = await _known(context, id)
        if not supervises(context):
            _of_provider(context, grant)
        step = _step(context, "endGrant", written("reason", reason, MAX_TEXT))
        with told():
            ended = granting.end(grant, step)
        return await _changed(context, ended, grant, granting.end_notice(ended, step))

    @strawberry.mutation(description="登记保密协议: for the provider or the supervising department (Xianning 18).")
    async def record_agreement(
        self,
        info: Info[Context, None],
        id: _Id,  # noqa: A002
        state: Annotated[AgreementState, strawberry.argument(description="保密协议状态")] = AgreementState.VALID,
        number: Annotated[str, strawberry.argument(description="保密协议编号")] = "",
    ) -> GrantView | None:
        context = in_role(info, Role.OFFICER)
        grant = await _known(context, id)
        if not supervises(context):
            _of_provider(context, grant)
        number = written("number", number, MAX_NAME, needed=False)
        with told():
            changed = granting.agreement(grant, number, state, _step(context, "recordAgreement", number))
        return await _changed(context, changed, grant)


def in_role(info: Info[Context, None], *roles: Role) -> Context:
    """The context of a caller in one of these roles; ROLE_REQUIRED for any other."""
    if info.context.identity.role not in roles:
        names = ", ".join(roles)
        raise FieldFault("ROLE_REQUIRED", Text(f"this needs the role {names}", f"需要岗位：{names}"))
    return info.context


def supervises(context: Context) -> bool:
    """Whether the acting department supervises sharing."""
    return context.identity.department == context.line.supervisor


def written(name: str, text: str, most: int, *, needed: bool = True, code: str = "GRANT_INVALID") -> str:
    """The text without blanks around it; a fault of this code if it is too long, not of one line, or missing."""
    stripped = text.strip()
    if len(stripped) > most or not stripped.isprintable() or (needed and not stripped):
        least = 1 if needed else 0
        raise FieldFault(
            code,
            Text(f"`{name}` has {least} to {most} printable characters", f"{name} 应为{least}至{most}个可打印字符"),
        )
    if name == "reason" and names_person(stripped):  # others read it, and no ledger shows that they do
        raise FieldFault(
            code, Text(f"`{name}` names a person by number: leave it out", f"{name} 含公民身份号码，请删去")
        )
    return stripped


@contextmanager
def told() -> Iterator[None]:
    """Tell the caller what is not possible."""
    try:
        yield
    except GrantFault as fault:
        raise FieldFault(fault.code, fault.reason) from None
    except ControlConflict:
        changed = Text("somebody else changed it meanwhile: read it again", "已被他人修改，请重新查询后办理")
        raise FieldFault("GRANT_STATE", changed) from None


async def concerned(context: Context, id: str) -> Grant | None:  # noqa: A002
    """The grant of this id, if the acting department uses, provides or supervises it."""
    grant = await context.line.control.grant(id)
    if grant is None or supervises(context):
        return grant
    return grant if context.identity.department in (grant.department, grant.provider) else None


def required(en: str, zh: str) -> FieldFault:
    """ROLE_REQUIRED, for an officer of another department."""
    return FieldFault("ROLE_REQUIRED", Text(f"this needs an officer of {en}", f"须由{zh}的数据专员办理"))


def micros(moment: datetime) -> int:
    """Unix microseconds."""
    return int(moment.timestamp()) * 1_000_000 + moment.microsecond


async def _known(context: Context, id: str) -> Grant:  # noqa: A002
    grant = await concerned(context, id)
    if grant is None:
        raise FieldFault("GRANT_UNKNOWN")
    return grant


def _of_provider(context: Context, grant: Grant) -> None:
    if context.identity.department != grant.provider:
        raise required(grant.provider, f"提供部门 {grant.provider} ")


def _may_decide(context: Context, grant: Grant, by: Decider) -> None:
    if by is Decider.PROVIDER:
        _of_provider(context, grant)
    elif not supervises(context):
        raise required(context.line.supervisor, f"数据主管部门 {context.line.supervisor} ")
    elif by is Decider.BUREAU and grant.department == context.identity.department:
        own = Text(
            "nobody decides on their own application: let the government",
            "不得决定本部门的申请，请提请本级人民政府决定",
        )
        raise FieldFault("GRANT_INVALID", own)


async def _changed(context: Context, grant: Grant, expected: Grant, notice: Notice | None = None) -> GrantView:
    """Record the last step, take it, and return when it is in force here."""
    await context.intend(Act(grant.steps[-1].action, _GRANT, grant.id))
    with told():
        kept = await context.line.control.change(grant, expected, (notice,) if notice else ())
    await context.line.policy.refresh()
    return grant_view(kept)


def _step(context: Context, action: str, note: str = "") -> GrantStep:
    identity = context.identity
    return GrantStep(action, identity.subject, identity.department, micros(context.now), note)


def _moment(moment: datetime | None) -> str:
    """The time in UTC to the second, as rules write it; "" for none. A time without an offset is China's."""
    if moment is None:
        return ""
    if not 2000 <= moment.year < 9999:
        raise FieldFault("GRANT_INVALID", Text("the time is out of range", "时间超出范围"))
    aware = moment if moment.tzinfo else moment.replace(tzinfo=CHINA)
    return aware.astimezone(UTC).replace(microsecond=0).isoformat().replace("+00:00", "Z")
