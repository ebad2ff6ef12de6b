"""Grants, suspensions and rules to keep in a control database."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import sqlalchemy as sa

from policies.control import Control
from policies.decision import Mask, Rows
from policies.grants import (
    AgreementState,
    Decider,
    DisabledKind,
    Disablement,
    Grant,
    GrantItem,
    GrantState,
    GrantStep,
    Suspension,
)
from policies.rules import BasisRow, RuleText, ShareRow
from schema.catalogue import MaskKind, Purpose, RowCondition, ShareMode
from schema.errors import Text

NOW = 1_780_000_000_000_000
run = asyncio.run


def step(action: str, at: int = NOW) -> GrantStep:
    return GrantStep(action, "officer-01", "housing", at, "说明")


APPLICATION = Grant(
    id="",
    department="housing",
    provider="civil-affairs",
    items=(
        GrantItem("MinimumLivingAllowance.number", "社会救助暂行办法第十一条"),
        GrantItem("MinimumLivingAllowance.authority", "社会救助暂行办法第十一条"),
    ),
    purposes=frozenset({Purpose.ADMINISTRATIVE_BASIS, Purpose.WORK_REFERENCE}),
    modes=frozenset({ShareMode.ONLINE_QUERY}),
    scope="公共租赁住房审核",
    rows=frozenset({RowCondition.OWN_REGION}),
    not_before="",
    expires="",
    agreement="",
    agreement_state=AgreementState.MISSING,
    state=GrantState.APPLIED,
    steps=(step("apply"),),
)
SUSPENSION = Suspension("", "civil-affairs", "housing", "", "", "超范围使用", "officer-02", NOW)
DISABLED = Disablement(DisabledKind.PERSON, "clerk-01", "housing", "离岗", "officer-01", NOW)


def granted(grant: Grant, *, state: GrantState = GrantState.GRANTED) -> Grant:
    first, second = grant.items
    return replace(
        grant,
        items=(replace(first, granted=True), replace(second, granted=False, reason="非必要")),
        not_before="2026-01-01T00:00:00Z",
        expires="2027-01-01T00:00:00Z",
        agreement="保密〔2026〕1号",
        agreement_state=AgreementState.VALID,
        state=state,
        decided_by=Decider.PROVIDER,
        document="咸民函〔2026〕1号",
        steps=(*grant.steps, step("decide", NOW + 1)),
    )


def open_control(url: sa.URL) -> Control:
    opened = Control(url)
    opened.open()
    return opened


def decided(control: Control) -> Grant:
    applied = run(control.apply(APPLICATION))
    return run(control.change(granted(applied), applied))


ROW = ShareRow(
    "housing", "reader", "BirthCertificate.name", "any", "read", "query", "ADMINISTRATIVE_BASIS", "any",
    "2026-01-01T00:00:00Z", "2027-01-01T00:00:00Z", "allow", "FILE/1",
)  # fmt: skip
NEED = BasisRow("SERVICE/x", "BirthCertificate.name", "SUBJECT", "read", "ADMINISTRATIVE_BASIS", "allow", "FILE/1")
TEXT = RuleText("FILE/1", "第一条", Text("why", "理由"), (Mask(MaskKind.NAME), Rows(RowCondition.ADULTS)))
A, B = ("hash-a", "R.name"), ("hash-b", "R.name")
