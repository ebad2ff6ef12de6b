"""What may become of a grant: an application, its decision, limits, end, and confidentiality agreement.

Pure: a grant and a step in, the next grant out; what is not possible is refused with GrantFault. A grant gets narrower or ends, it never gets wider:
for more there is another application.
Sources: Changsha 29, Hunan ch. 3, Xianning 15, 16 and 18, Shuangliao 23.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from policies.grants import (
    AgreementState,
    Decider,
    Grant,
    GrantItem,
    GrantState,
    GrantStep,
    Notice,
    NoticeKind,
)
from schema.catalogue import Catalogue, ItemType, Purpose, Resource, RowCondition, ShareClass, ShareMode
from schema.errors import Text

MAX_ITEMS = 200
_T = TypeVar("_T", bound=str)


class GrantFault(Exception):
    """What was asked of a grant is not possible: an error code, and why."""

    def __init__(self, code: str, en: str, zh: str) -> None:
        super().__init__(code)
        self.code = code
        self.reason = Text(en, zh)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is decided on one item; a refusal says why."""

    granted: bool
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Ruling:
    """A decision: a verdict on each item by its coordinate, who decided by which document, from when until when, on which further conditions."""

    verdicts: Mapping[str, Verdict]
    decided_by: Decider
    document: str = ""
    not_before: str = ""
    expires: str = ""
    agreement: str = ""
    rows: frozenset[RowCondition] = frozenset()


@dataclass(frozen=True, slots=True)
class Narrowing:
    """What is left of a grant, None for what stays as it is; `rows` are conditions that come on top."""

    items: frozenset[str] | None = None
    purposes: frozenset[Purpose] | None = None
    modes: frozenset[ShareMode] | None = None
    expires: str | None = None
    rows: frozenset[RowCondition] = frozenset()


def application(
    catalogue: Catalogue,
    items: Sequence[GrantItem],
    purposes: frozenset[Purpose],
    modes: frozenset[ShareMode],
    scope: str,
    rows: frozenset[RowCondition],
    step: GrantStep,
) -> Grant:
    """An application of the step's department for items of one provider, each with its statutory authority (Xianning 15)."""
    coordinates = [item.coordinate for item in items]
    if not 1 <= len(items) <= MAX_ITEMS or len(set(coordinates)) < len(items):
        raise _invalid(f"apply for 1 to {MAX_ITEMS} items, each once", f"申请的信息项应为1至{MAX_ITEMS}项，且不得重复")
    if not all(item.authority for item in items):
        raise _invalid("each item needs the statutory authority to use it", "须逐项列明法定职权依据")
    if not purposes or not modes or not scope:
        raise _invalid("purposes, modes and scope are needed", "须明确使用用途、共享方式和共享范围")
    providers = {resource.department for resource in _resources(catalogue, coordinates)}
    if len(providers) > 1:
        raise _invalid("the items have several providers: apply to each", "信息项分属多个提供部门，请分别申请")
    (provider,) = providers
    if provider == step.department:
        raise _invalid("your own department provides this", "所申请的信息项由本部门提供")
    grant = Grant(
        id="",
        department=step.department,
        provider=provider,
        items=tuple(GrantItem(item.coordinate, item.authority) for item in items),
        purposes=purposes,
        modes=modes,
        scope=scope,
        rows=rows,
        not_before="",
        expires="",
        agreement="",
        agreement_state=AgreementState.MISSING,
        state=GrantState.APPLIED,
        steps=(step,),
    )
    _lint(catalogue, grant, coordinates)
    return grant


def decide(grant: Grant, catalogue: Catalogue, ruling: Ruling, now: str, step: GrantStep) -> Grant:
    """The grant as decided item by item: GRANTED if one item is granted, else REFUSED.

    A refusal may be decided again by the same decider or a higher one (bureau, then government: Xianning 15), not after the government. Granting needs a
    document and an end; refusing needs a reason for each item. An agreement that is named is in force.
    """
    _decidable(grant, ruling.decided_by)
    if ruling.verdicts.keys() != {item.coordinate for item in grant.items}:
        raise _invalid("decide on each item of the application, and no other", "须对申请的每一信息项逐项作出决定")
    items = tuple(_decided(item, ruling.verdicts[item.coordinate]) for item in grant.items)
    granted = [item.coordinate for item in items if item.granted]
    if not ruling.document and (granted or ruling.decided_by is not Decider.PROVIDER):
        raise _invalid("name the document of the decision", "须填写决定文书")
    not_before = ruling.not_before or now
    if granted and (not ruling.expires or ruling.expires <= max(not_before, now)):
        raise _invalid(
            "the end is needed, after the beginning and after now", "须明确有效期止，且晚于有效期起和当前时间"
        )
    decided = replace(
        grant,
        items=items,
        rows=grant.rows | ruling.rows,
        not_before=not_before if granted else "",
        expires=ruling.expires if granted else "",
        agreement=ruling.agreement if granted else "",
        agreement_state=AgreementState.VALID if granted and ruling.agreement else AgreementState.MISSING,
        state=GrantState.GRANTED if granted else GrantState.REFUSED,
        decided_by=ruling.decided_by,
        document=ruling.document,
        steps=(*grant.steps, step),
    )
    _lint(catalogue, decided, granted)
    return decided


def limit(grant: Grant, catalogue: Catalogue, narrowing: Narrowing, step: GrantStep) -> Grant:
    """The grant with less: fewer items, purposes or modes, an earlier end, more conditions on records. The step's note is the reason."""
    _in_state(grant, GrantState.GRANTED)
    _reasoned(step)
    there = frozenset(item.coordinate for item in grant.granted)
    kept = _part(there, narrowing.items, "items", "信息项")
    expires = grant.expires if narrowing.expires is None else narrowing.expires
    if not grant.not_before < expires <= grant.expires:
        raise _invalid("the end can only be earlier, and after the beginning", "有效期止只能提前，且须晚于有效期起")
    limited = replace(
        grant,
        items=tuple(
            item if not item.granted or item.coordinate in kept else replace(item, granted=False, reason=step.note)
            for item in grant.items
        ),
        purposes=_part(grant.purposes, narrowing.purposes, "purposes", "使用用途"),
        modes=_part(grant.modes, narrowing.modes, "modes", "共享方式"),
        rows=grant.rows | narrowing.rows,
        expires=expires,
    )
    if limited == grant:
        raise _invalid("nothing would be limited", "未作任何限制")
    for name in sorted({coordinate.partition(".")[0] for coordinate in kept} & catalogue.resources.keys()):
        _fits(catalogue.resources[name], catalogue, narrowing.rows)
    return replace(limited, steps=(*grant.steps, step))


def end(grant: Grant, step: GrantStep) -> Grant:
    """The grant ended for good (终止提供, Hunan ch. 3). The step's note is the reason."""
    _in_state(grant, GrantState.GRANTED)
    _reasoned(step)
    return replace(grant, state=GrantState.ENDED, steps=(*grant.steps, step))


def agreement(grant: Grant, number: str, state: AgreementState, step: GrantStep) -> Grant:
    """The grant with its confidentiality agreement recorded (Xianning 18): VALID with its number, or ENDED."""
    _in_state(grant, GrantState.GRANTED)
    if state is AgreementState.VALID and not number:
        raise _invalid("name the agreement", "须填写保密协议编号")
    if state is AgreementState.MISSING or (
        state is AgreementState.ENDED and grant.agreement_state is not AgreementState.VALID
    ):
        raise GrantFault("GRANT_STATE", "there is no agreement that could end", "没有生效中的保密协议")
    changed = replace(grant, agreement=number or grant.agreement, agreement_state=state)
    if changed == grant:
        raise GrantFault("GRANT_STATE", "this agreement is recorded already", "该保密协议已登记")
    return replace(changed, steps=(*grant.steps, step))


def exception_notice(grant: Grant, catalogue: Catalogue, at: int) -> Notice | None:
    """What the supervising authority is told of NOT_SHARED items that were granted by agreement (备案, Hunan ch. 3); None if there are none."""
    named = [
        item.coordinate
        for item in grant.granted
        if catalogue.item(item.coordinate).share.share_class is ShareClass.NOT_SHARED
    ]
    if not named:
        return None
    listed = ", ".join(named)
    text = Text(
        f"{grant.provider} agreed to share with {grant.department} what is not shared: {listed} ({grant.document})",
        f"{grant.provider} 经协商同意向 {grant.department} 提供不予共享类信息项：{listed}（{grant.document}）",
    )
    return Notice(0, at, NoticeKind.EXCEPTION, text, grant.id)


def end_notice(grant: Grant, step: GrantStep) -> Notice:
    """What the supervising authority is told of a grant that ended (Hunan ch. 3)."""
    text = Text(
        f"{step.department} ended {grant.id} for {grant.department}: {step.note}",
        f"{step.department} 终止向 {grant.department} 提供（{grant.id}），理由：{step.note}",
    )
    return Notice(0, step.at, NoticeKind.ENDED, text, grant.id)


def _invalid(en: str, zh: str) -> GrantFault:
    return GrantFault("GRANT_INVALID", en, zh)


def _in_state(grant: Grant, state: GrantState) -> None:
    if grant.state is not state:
        raise GrantFault("GRANT_STATE", f"the grant is {grant.state}, not {state}", f"授权状态为 {grant.state}")


def _reasoned(step: GrantStep) -> None:
    if not step.note:
        raise _invalid("say why", "须说明理由")


def _decidable(grant: Grant, by: Decider) -> None:
    ranks = tuple(Decider)
    again = (
        grant.state is GrantState.REFUSED
        and grant.decided_by is not None
        and grant.decided_by is not Decider.GOVERNMENT
        and ranks.index(by) >= ranks.index(grant.decided_by)
    )
    if grant.state is not GrantState.APPLIED and not again:
        raise GrantFault(
            "GRANT_STATE",
            f"the application is {grant.state} and not open to {by}",
            f"申请状态为 {grant.state}，不得再由 {by} 决定",
        )


def _decided(item: GrantItem, verdict: Verdict) -> GrantItem:
    if not verdict.granted and not verdict.reason:
        raise _invalid(f"say why {item.coordinate} is refused", f"不同意共享 {item.coordinate} 的，须说明理由")
    return replace(item, granted=verdict.granted, reason=verdict.reason)


def _resources(catalogue: Catalogue, coordinates: Iterable[str]) -> list[Resource]:
    """The resource of each coordinate, each once, in order; a fault for an item that the catalogue does not have."""
    found: dict[str, Resource] = {}
    for coordinate in coordinates:
        name, _, item = coordinate.partition(".")
        resource = catalogue.resources.get(name)
        if resource is None or item not in resource.items:
            raise _invalid(f"the catalogue has no item {coordinate}", f"目录中没有信息项 {coordinate}")
        found[name] = resource
    return list(found.values())


def _lint(catalogue: Catalogue, grant: Grant, coordinates: Sequence[str]) -> None:
    """Refuse a grant of these items that the catalogue does not allow for."""
    for resource in _resources(catalogue, coordinates):
        if resource.department != grant.provider:
            raise _invalid(f"{resource.name} is not of {grant.provider}", f"{resource.name} 不由 {grant.provider} 提供")
        if not grant.modes <= resource.modes:
            raise _invalid(
                f"{resource.name} is shared through {_listed(resource.modes)} only",
                f"{resource.name} 的共享方式仅限 {_listed(resource.modes)}",
            )
        _fits(resource, catalogue, grant.rows)
    for coordinate in coordinates:
        purposes = catalogue.item(coordinate).purposes
        if not grant.purposes <= purposes:
            raise _invalid(
                f"{coordinate} is shared for {_listed(purposes)} only",
                f"{coordinate} 的使用用途仅限 {_listed(purposes)}",
            )


def _fits(resource: Resource, catalogue: Catalogue, rows: frozenset[RowCondition]) -> None:
    """Refuse a condition that nobody could tell of this resource's records."""
    if RowCondition.OWN_REGION in rows and resource.region is None:
        raise _invalid(f"records of {resource.name} have no region", f"{resource.name} 的记录没有行政区划")
    entity = catalogue.entities.get(resource.entity or "")
    if RowCondition.ADULTS in rows and (entity is None or entity.type is not ItemType.ID_NUMBER):
        raise _invalid(f"records of {resource.name} are not of persons", f"{resource.name} 的记录不属于自然人")


def _part(there: frozenset[_T], kept: frozenset[_T] | None, en: str, zh: str) -> frozenset[_T]:
    if kept is None:
        return there
    if not kept or not kept <= there:
        raise _invalid(f"keep some of the {en} granted, and no other", f"保留的{zh}须为已授权的一部分")
    return kept


def _listed(words: Iterable[str]) -> str:
    return ", ".join(sorted(words))
