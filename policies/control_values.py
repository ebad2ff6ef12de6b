"""How the control database writes grants, suspensions, notices and rules: values to rows, and back."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

import sqlalchemy as sa

from policies.control_database import grant_items, grant_steps, grants, notices, suspensions
from policies.decision import Mask, Obligation, Rows
from policies.grants import (
    AgreementState,
    Decider,
    DisabledKind,
    Disablement,
    Grant,
    GrantItem,
    GrantState,
    GrantStep,
    Notice,
    NoticeKind,
    NoticeUse,
    Suspension,
)
from policies.rules import BasisRow, Rules, RuleText, ShareRow
from schema.catalogue import MaskKind, Purpose, RowCondition, ShareMode
from schema.errors import Text

_NUMBER = re.compile(r"[1-9][0-9]{0,17}", re.ASCII)


def number_of(name: str, letter: str) -> int | None:
    """The number in an id such as `G12`, None for what is no such id."""
    digits = name.removeprefix(letter)
    return int(digits) if name.startswith(letter) and _NUMBER.fullmatch(digits) else None


def grant_columns(grant: Grant, changed: int) -> dict[str, Any]:
    """A grant without its items and steps, as columns."""
    return {
        "department": grant.department,
        "provider": grant.provider,
        "purposes": sorted(grant.purposes),
        "modes": sorted(grant.modes),
        "scope": grant.scope,
        "rows": sorted(grant.rows),
        "not_before": grant.not_before,
        "expires": grant.expires,
        "agreement": grant.agreement,
        "agreement_state": grant.agreement_state.value,
        "state": grant.state.value,
        "decided_by": grant.decided_by.value if grant.decided_by else None,
        "document": grant.document,
        "changed": changed,
    }


def item_columns(grant_id: int, items: Iterable[GrantItem]) -> list[dict[str, Any]]:
    return [
        {
            "grant_id": grant_id,
            "place": place,
            "coordinate": item.coordinate,
            "authority": item.authority,
            "granted": item.granted,
            "reason": item.reason,
        }
        for place, item in enumerate(items)
    ]


def step_columns(grant_id: int, steps: Iterable[GrantStep], first: int = 0) -> list[dict[str, Any]]:
    """Steps as rows, the first of them at place `first`."""
    return [
        {
            "grant_id": grant_id,
            "place": place,
            "action": step.action,
            "by": step.by,
            "department": step.department,
            "at": step.at,
            "note": step.note,
        }
        for place, step in enumerate(steps, first)
    ]


def read_grants(connection: sa.Connection, ids: sa.Select[Any]) -> tuple[Grant, ...]:
    """The grants whose numbers `ids` selects, whole, newest first: three statements, however many there are."""
    items: dict[int, list[GrantItem]] = {}
    steps: dict[int, list[GrantStep]] = {}
    chosen = ids.scalar_subquery()
    i, s = grant_items.c, grant_steps.c
    for row in connection.execute(sa.select(grant_items).where(i.grant_id.in_(chosen)).order_by(i.grant_id, i.place)):
        items.setdefault(row.grant_id, []).append(GrantItem(row.coordinate, row.authority, row.granted, row.reason))
    for row in connection.execute(sa.select(grant_steps).where(s.grant_id.in_(chosen)).order_by(s.grant_id, s.place)):
        steps.setdefault(row.grant_id, []).append(GrantStep(row.action, row.by, row.department, row.at, row.note))
    found = connection.execute(sa.select(grants).where(grants.c.id.in_(chosen)).order_by(grants.c.id.desc()))
    return tuple(_grant(row, tuple(items.get(row.id, ())), tuple(steps.get(row.id, ()))) for row in found)


def _grant(row: Any, items: tuple[GrantItem, ...], steps: tuple[GrantStep, ...]) -> Grant:
    return Grant(
        id=f"G{row.id}",
        department=row.department,
        provider=row.provider,
        items=items,
        purposes=frozenset(map(Purpose, row.purposes)),
        modes=frozenset(map(ShareMode, row.modes)),
        scope=row.scope,
        rows=frozenset(map(RowCondition, row.rows)),
        not_before=row.not_before,
        expires=row.expires,
        agreement=row.agreement,
        agreement_state=AgreementState(row.agreement_state),
        state=GrantState(row.state),
        decided_by=Decider(row.decided_by) if row.decided_by else None,
        document=row.document,
        steps=steps,
    )


def read_suspensions(connection: sa.Connection, *where: sa.ColumnElement[bool]) -> tuple[Suspension, ...]:
    """The suspensions that meet these conditions, newest first."""
    found = connection.execute(sa.select(suspensions).where(*where).order_by(suspensions.c.id.desc()))
    return tuple(
        Suspension(
            f"S{row.id}", row.provider, row.department, row.grant, row.object, row.reason, row.by, row.at, row.lifted_at
        )
        for row in found
    )


def disablement_of(row: Any) -> Disablement:
    return Disablement(DisabledKind(row.kind), row.name, row.department, row.reason, row.by, row.at)


def write_notice(connection: sa.Connection, notice: Notice, reference: str) -> None:
    """Tell a department of what `reference` names."""
    connection.execute(
        sa.insert(notices).values(
            at=notice.at,
            kind=notice.kind.value,
            en=notice.text.en,
            zh=notice.text.zh,
            reference=reference,
            department=notice.department,
            uses=[[use.operation, use.case, use.at, [*use.outcomes]] for use in notice.uses] or None,
        )
    )


def notice_of(row: Any) -> Notice:
    uses = tuple(NoticeUse(operation, case, at, tuple(outcomes)) for operation, case, at, outcomes in row.uses or ())
    text = Text(row.en, row.zh)
    return Notice(row.number, row.at, NoticeKind(row.kind), text, row.reference, row.department, uses)


def suspension_notice(one: Suspension) -> Notice:
    """What the supervising authority is told of a suspension (Hunan ch. 3)."""
    what = _what(one)
    text = Text(
        f"{one.provider} suspended {what.en}: {one.reason}", f"{one.provider} 暂停提供{what.zh}，理由：{one.reason}"
    )
    return Notice(0, one.at, NoticeKind.SUSPENDED, text, one.id)


def lift_notice(one: Suspension) -> Notice:
    """What the supervising authority is told of a suspension's end."""
    what = _what(one)
    text = Text(f"{one.provider} provides {what.en} again ({one.id})", f"{one.provider} 恢复提供{what.zh}（{one.id}）")
    return Notice(0, one.lifted_at or 0, NoticeKind.LIFTED, text, one.id)


def _what(one: Suspension) -> Text:
    if one.grant:
        return Text(f"the grant {one.grant}", f"授权 {one.grant}")
    who = Text(f"for {one.department}", f"（使用部门 {one.department}）")
    if one.object:
        return Text(
            f"{one.object} {who.en if one.department else 'for everybody'}",
            f" {one.object}{who.zh if one.department else '（全部使用部门）'}",
        )
    return Text(f"everything {who.en}", f"全部信息资源{who.zh}")


def rules_columns(rules: Rules) -> dict[str, Any]:
    """The rows and texts of a rule file, as JSON."""
    rows = [["share", *share] for share in rules.share] + [["basis", *basis] for basis in rules.basis]
    texts = [
        {
            "rid": text.rid,
            "article": text.article,
            "en": text.reason.en,
            "zh": text.reason.zh,
            "obligations": [_obligation(one) for one in text.obligations],
        }
        for text in rules.texts.values()
    ]
    return {"rows": rows, "texts": texts}


def rules_of(row: Any) -> Rules:
    """The rules of a file as they were published; ValueError, TypeError or KeyError for what never was."""
    texts = [
        RuleText(
            rid=text["rid"],
            article=text["article"],
            reason=Text(text["en"], text["zh"]),
            obligations=tuple(_obligation_of(one) for one in text["obligations"]),
        )
        for text in row.texts
    ]
    kinds: Mapping[str, list[Any]] = {"share": [], "basis": []}
    for kind, *columns in row.rows:
        kinds[kind].append(ShareRow(*columns) if kind == "share" else BasisRow(*columns))
    return Rules(tuple(kinds["share"]), tuple(kinds["basis"]), {text.rid: text for text in texts})


def _obligation(obligation: Obligation) -> list[str]:
    if isinstance(obligation, Mask):
        return ["mask", obligation.kind.value]
    return ["rows", obligation.condition.value]


def _obligation_of(written: list[str]) -> Obligation:
    kind, value = written
    if kind == "mask":
        return Mask(MaskKind(value))
    if kind == "rows":
        return Rows(RowCondition(value))
    raise ValueError("an unknown obligation: a rule must not be kept without it")
