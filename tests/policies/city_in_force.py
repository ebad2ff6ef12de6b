"""A policy that follows a control database, for tests of what is in force when: the small catalogue, one grant, one suspension."""

from __future__ import annotations

from dataclasses import replace

from policies.grants import AgreementState, Decider, Grant, GrantItem, GrantState, Suspension
from policies.live import Policy
from policies.rules import FIRST_TIME, LAST_TIME, rules_from
from policies.snapshot import Snapshot
from schema.catalogue import Purpose, ShareMode
from tests.policies.small import CATALOGUE, Question

LEASE = 1.0
NAME = Question()
"""Shared without conditions: allowed unless it is suspended."""
PHOTO = Question(coordinate="Register.photo")
"""Shared on condition: allowed while a grant is in force."""
APPLICATION = Grant(
    id="",
    department="housing",
    provider="housing",
    items=(GrantItem("Register.photo", "办法第七条"),),
    purposes=frozenset({Purpose.ADMINISTRATIVE_BASIS}),
    modes=frozenset({ShareMode.ONLINE_QUERY}),
    scope="",
    rows=frozenset(),
    not_before="",
    expires="",
    agreement="",
    agreement_state=AgreementState.MISSING,
    state=GrantState.APPLIED,
)
OF_EVERYTHING = Suspension("", "housing", "housing", "", "", "超范围使用", "officer-01", 1)
OF_THE_NAME = replace(OF_EVERYTHING, department="", object="Register.name")


def granted(application: Grant) -> Grant:
    return replace(
        application,
        items=tuple(replace(item, granted=True) for item in application.items),
        not_before=FIRST_TIME,
        expires=LAST_TIME,
        agreement="保密〔2026〕1号",
        agreement_state=AgreementState.VALID,
        state=GrantState.GRANTED,
        decided_by=Decider.PROVIDER,
        document="函〔2026〕1号",
    )


def of_grant(grant: Grant) -> Suspension:
    return replace(OF_EVERYTHING, department="", grant=grant.id)


def base() -> Snapshot:
    return Snapshot(CATALOGUE, rules_from(CATALOGUE))


def allows(policy: Policy, question: Question) -> bool:
    """What the policy in force says; PolicyUnavailable if there is none."""
    return question.of(policy.snapshot()).allow
