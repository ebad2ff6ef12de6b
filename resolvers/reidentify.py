"""Root fields that turn a keyed hash of the ledger back into a data subject, by two persons (separate roles, GB/T 39477).

One auditor asks, another auditor, of the supervising department, approves: who could re-identify alone could browse the ledger for people.
Each of the two is told once, the one who asked within a quarter of an hour. Every step is on record before it takes effect.
"""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Annotated

import strawberry
from strawberry.types import Info

from audit.store import StoreUnavailable
from policies.identity import Role
from policies.reidentifications import OPEN, PENDING, Reidentification, ReidentificationState
from resolvers.disclose import Act
from resolvers.grant_types import local
from resolvers.grants import MAX_NAME, MAX_TEXT, in_role, micros, supervises, written
from resolvers.line import Context
from schema.errors import Fault, FieldFault, RequestError, Text
from schema.types import titled_enum

_RESOURCE = "Reidentification"
_REFUSED = {
    ReidentificationState.REQUESTED: Text("nobody has approved it yet", "尚未获批准"),
    ReidentificationState.APPROVED: Text("it is approved already", "已获批准"),
    ReidentificationState.REVEALED: Text("whoever asked has been told already", "已向申请人告知"),
    ReidentificationState.EXPIRED: Text("it has expired", "已过期"),
}

titled_enum(
    ReidentificationState,
    "还原申请状态: where a request to re-identify stands.",
    {
        ReidentificationState.REQUESTED: "待批准",
        ReidentificationState.APPROVED: "已批准，申请人可查看一次",
        ReidentificationState.REVEALED: "已向申请人告知",
        ReidentificationState.EXPIRED: "已过期",
    },
)

_Id = Annotated[str, strawberry.argument(description="还原申请编号")]


@strawberry.type(name="Reidentification", description="还原申请: a request to tell whose a hash of the ledger is.")
class ReidentificationView:
    id: str = strawberry.field(description="还原申请编号")
    hash: str = strawberry.field(description="数据主体（密钥散列）")
    reason: str = strawberry.field(description="理由")
    requested_by: str = strawberry.field(description="申请人: who@department.")
    at: datetime = strawberry.field(description="申请时间")
    state: ReidentificationState = strawberry.field(description="状态")
    approved_by: str | None = strawberry.field(description="批准人")
    approved_at: datetime | None = strawberry.field(description="批准时间")
    expires_at: datetime = strawberry.field(description="截止时间: to approve it, then for who asked to be told.")


@strawberry.type(name="ReidentifiedSubject", description="还原结果: told once to each of the two persons.")
class ReidentifiedSubjectView:
    entity: str = strawberry.field(description="实体")
    identifier: str = strawberry.field(description="标识号码")
    request: ReidentificationView = strawberry.field(description="还原申请")


@strawberry.type
class ReidentificationQueries:
    @strawberry.field(
        description="还原申请列表: newest first; all of them for auditors of the supervising department, their own for others."
    )
    async def reidentifications(
        self,
        info: Info[Context, None],
        first: Annotated[int, strawberry.argument(description="条数: 100 at the most.")] = 50,
    ) -> list[ReidentificationView] | None:
        context = in_role(info, Role.AUDITOR)
        context.note(Act("reidentifications", _RESOURCE))
        by = "" if supervises(context) else context.identity.subject
        found = await context.line.control.reidentifications.latest(max(0, min(first, 100)), by)
        return [_view(context, one) for one in found]


@strawberry.type
class ReidentificationMutations:
    @strawberry.mutation(description="申请还原: ask to be told whose a hash is. For auditors.")
    async def request_reidentification(
        self,
        info: Info[Context, None],
        hash: Annotated[str, strawberry.argument(description="数据主体（密钥散列）: as `disclosures` tells it.")],  # noqa: A002
        reason: Annotated[str, strawberry.argument(description="理由")],
    ) -> ReidentificationView | None:
        context = in_role(info, Role.AUDITOR)
        why = written("reason", reason, MAX_TEXT, code="REIDENTIFICATION_INVALID")
        hashed = written("hash", hash, MAX_NAME, code="REIDENTIFICATION_INVALID")
        if not await _kept(context, hashed):
            raise FieldFault("IDENTITY_UNKNOWN")
        await context.intend(Act("requestReidentification", _RESOURCE, hashes=(hashed,)))
        who = context.identity
        asked = Reidentification("", hashed, why, who.subject, who.department, micros(context.now))
        kept = await context.line.control.reidentifications.request(asked)
        if kept is None:
            waits = Text("one for this hash waits to be approved", "该散列已有待批准的申请")
            raise FieldFault("REIDENTIFICATION_STATE", waits)
        context.note(Act("requestReidentification", _RESOURCE, kept.id, hashes=(hashed,)))
        return _view(context, kept)

    @strawberry.mutation(
        description="批准还原: approve another person's request, and be told whose the hash is, once. For auditors of the supervising department."
    )
    async def approve_reidentification(self, info: Info[Context, None], id: _Id) -> ReidentifiedSubjectView | None:  # noqa: A002
        context = in_role(info, Role.AUDITOR)
        if not supervises(context):
            by = context.line.supervisor
            raise FieldFault("ROLE_REQUIRED", Text(f"this needs an auditor of {by}", f"须由 {by} 的审计人员办理"))
        known = await _known(context, id)
        if known.requested_by == context.identity.subject:
            raise FieldFault("REIDENTIFICATION_OWN")
        _in_state(context, known, ReidentificationState.REQUESTED)
        await context.intend(Act("approveReidentification", _RESOURCE, known.id, hashes=(known.hash,)))
        requests, now = context.line.control.reidentifications, micros(context.now)
        if not await requests.approve(known.id, context.identity.subject, now):
            raise FieldFault("REIDENTIFICATION_STATE")
        return await _told(context, known.id)

    @strawberry.mutation(
        description="查看还原结果: be told whose the hash is that one has asked about, once, after the approval. For who asked."
    )
    async def reveal_reidentification(self, info: Info[Context, None], id: _Id) -> ReidentifiedSubjectView | None:  # noqa: A002
        context = in_role(info, Role.AUDITOR)
        known = await _known(context, id)
        if known.requested_by != context.identity.subject:
            raise FieldFault("REIDENTIFICATION_UNKNOWN")
        _in_state(context, known, ReidentificationState.APPROVED)
        await context.intend(Act("revealReidentification", _RESOURCE, known.id, hashes=(known.hash,)))
        requests, now = context.line.control.reidentifications, micros(context.now)
        if not await requests.reveal(known.id, context.identity.subject, now):
            raise FieldFault("REIDENTIFICATION_STATE")
        return await _told(context, known.id)


async def _known(context: Context, id: str) -> Reidentification:  # noqa: A002
    found = await context.line.control.reidentifications.find(id)
    if found is None:
        raise FieldFault("REIDENTIFICATION_UNKNOWN")
    return found


def _in_state(context: Context, one: Reidentification, needed: ReidentificationState) -> None:
    state = one.state(micros(context.now))
    if state is not needed:
        raise FieldFault("REIDENTIFICATION_STATE", _REFUSED[state])


async def _kept(context: Context, hashed: str) -> bool:
    """Whether the ledger keeps whose this hash is; it is not opened. RequestError LEDGER_UNAVAILABLE."""
    try:
        return await asyncio.to_thread(context.line.recorder.ledger.store.identity, hashed) is not None
    except StoreUnavailable:
        raise RequestError(Fault("LEDGER_UNAVAILABLE")) from None


async def _told(context: Context, id: str) -> ReidentifiedSubjectView:  # noqa: A002
    """Whose the hash is. RequestError LEDGER_UNAVAILABLE, FieldFault IDENTITY_UNKNOWN."""
    one, recorder = await _known(context, id), context.line.recorder
    try:
        whose = await asyncio.to_thread(recorder.identities.opened, recorder.ledger, one.hash)
    except StoreUnavailable:
        raise RequestError(Fault("LEDGER_UNAVAILABLE")) from None
    if whose is None:
        raise FieldFault("IDENTITY_UNKNOWN")
    return ReidentifiedSubjectView(entity=whose[0], identifier=whose[1], request=_view(context, one))


def _view(context: Context, one: Reidentification) -> ReidentificationView:
    ends = one.at + PENDING if one.approved_at is None else one.approved_at + OPEN
    return ReidentificationView(
        id=one.id,
        hash=one.hash,
        reason=one.reason,
        requested_by=f"{one.requested_by}@{one.department}",
        at=local(one.at),
        state=one.state(micros(context.now)),
        approved_by=one.approved_by,
        approved_at=None if one.approved_at is None else local(one.approved_at),
        expires_at=local(ends),
    )
