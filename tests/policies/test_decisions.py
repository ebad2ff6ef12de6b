"""Each dimension of a decision: its rule id, its reason in both languages, what to do next, until when it holds."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from policies.decision import BEGINNING, END, NEXT_TEXTS, PLAIN_ACTS, Act, NextStep, Rows
from policies.identity import Role
from policies.rules import RuleText, rules_from
from policies.snapshot import Snapshot
from schema.catalogue import MaskKind, Purpose, RowCondition, SubjectClass
from schema.errors import Text
from tests.policies.small import CATALOGUE, NOON, Question, basis_row, rules, share_row, snapshot

CHINESE = re.compile(r"[一-鿿]")
LIVE = Snapshot(CATALOGUE, rules_from(CATALOGUE))
READ_NAME = Question()


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def test_an_unconditional_item_that_the_service_needs_is_allowed_by_its_own_rule() -> None:
    decision = READ_NAME.of(LIVE)
    assert decision.allow
    assert decision.rule_id == "SHARE/Register.name/ADMINISTRATIVE_BASIS"
    assert "实施细则第十二条" in decision.reason.zh
    assert decision.next_step is None
    assert decision.until == END


DENIALS: list[tuple[dict[str, Any], str, NextStep]] = [
    ({"coordinate": "Register.photo"}, "DENY/CLASS/CONDITIONAL", NextStep.APPLY),
    ({"coordinate": "Register.cause"}, "DENY/CLASS/NOT_SHARED", NextStep.NO_WAY),
    ({"coordinate": "Register.verifiable"}, "DENY/PURPOSE", NextStep.OTHER_PURPOSE),
    ({"purpose": Purpose.DATA_VERIFICATION}, "DENY/PURPOSE", NextStep.OTHER_PURPOSE),
    ({"act": Act.VERIFY}, "DENY/PURPOSE", NextStep.OTHER_PURPOSE),
    (
        {"coordinate": "Register.sealed", "act": Act.VERIFY, "purpose": Purpose.DATA_VERIFICATION},
        "DENY/PURPOSE",
        NextStep.OTHER_PURPOSE,
    ),
    ({"coordinate": "Tax.payer"}, "DENY/AUDIENCE", NextStep.APPLY),
    ({"channel": "system"}, "DENY/CHANNEL", NextStep.APPLY),
    ({"role": Role.OFFICER}, "DENY/ROLE", NextStep.OTHER_ROLE),
    ({"role": Role.AUDITOR}, "DENY/ROLE", NextStep.OTHER_ROLE),
    ({"coordinate": "Register.unneeded"}, "DENY/SERVICE/ITEM", NextStep.OPEN_CASE),
    ({"coordinate": "Register.address", "subject": SubjectClass.RELATED}, "DENY/SERVICE/SUBJECT", NextStep.OPEN_CASE),
    ({"purpose": Purpose.BUSINESS_COLLABORATION}, "DENY/SERVICE/PURPOSE", NextStep.OTHER_PURPOSE),
]


@pytest.mark.parametrize(("changes", "rule_id", "next_step"), DENIALS)
def test_a_denial_names_its_rule_its_reason_and_the_next_step(
    changes: dict[str, Any], rule_id: str, next_step: NextStep
) -> None:
    decision = READ_NAME.but(**changes).of(LIVE)
    assert not decision.allow
    assert (decision.rule_id, decision.next_step) == (rule_id, next_step)
    assert decision.reason.en
    assert CHINESE.search(decision.reason.zh)
    assert decision.obligations == ()


@pytest.mark.parametrize("act", [act for act in Act if act not in (Act.READ, Act.VERIFY)])
def test_an_act_without_a_rule_is_denied(act: Act) -> None:
    decision = READ_NAME.but(act=act).of(LIVE)
    assert (decision.allow, decision.rule_id, decision.next_step) == (False, "DENY/ACT", NextStep.NO_WAY)


def test_a_related_persons_item_is_allowed_where_the_service_says_so() -> None:
    assert READ_NAME.but(subject=SubjectClass.RELATED).of(LIVE).allow
    assert READ_NAME.but(coordinate="Register.address").of(LIVE).allow


def test_a_condition_is_told_with_its_basis() -> None:
    reason = READ_NAME.but(coordinate="Register.photo").of(LIVE).reason
    assert "仅限核验身份" in reason.zh
    assert "个人信息保护法第二十八条" in reason.zh


def test_what_is_not_shared_tells_its_basis() -> None:
    assert "档案法第十五条" in READ_NAME.but(coordinate="Register.cause").of(LIVE).reason.zh


def test_a_mask_comes_with_the_purpose_that_asks_for_it() -> None:
    assert READ_NAME.but(purpose=Purpose.WORK_REFERENCE).of(LIVE).mask is MaskKind.NAME
    assert READ_NAME.of(LIVE).mask is None


def test_the_audience_sees_what_others_do_not() -> None:
    assert READ_NAME.but(coordinate="Tax.payer", department="taxation").of(LIVE).allow


def test_a_subject_class_without_a_row_is_denied() -> None:
    only_subjects = snapshot(share_row("A", subject="SUBJECT"))
    decision = READ_NAME.but(subject=SubjectClass.THIRD_PARTY).of(only_subjects)
    assert (decision.allow, decision.rule_id, decision.next_step) == (False, "DENY/SUBJECT", NextStep.NO_WAY)


@pytest.mark.parametrize("step", NextStep)
def test_every_next_step_is_told_in_both_languages(step: NextStep) -> None:
    assert NEXT_TEXTS[step].en
    assert CHINESE.search(NEXT_TEXTS[step].zh)


# -- scenarios, plain acts, obligations -----------------------------------------------------------------------------


def test_a_scenario_names_itself_when_it_does_not_need_the_item() -> None:
    under = READ_NAME.but(basis="SCENARIO/review")
    assert under.of(LIVE).allow
    assert under.but(coordinate="Register.unneeded").of(LIVE).rule_id == "DENY/SCENARIO/ITEM"
    assert under.but(coordinate="Register.address", subject=SubjectClass.RELATED).of(LIVE).rule_id == (
        "DENY/SCENARIO/SUBJECT"
    )
    assert under.but(purpose=Purpose.WORK_REFERENCE).of(LIVE).rule_id == "DENY/SCENARIO/PURPOSE"


@pytest.mark.parametrize("act", sorted(PLAIN_ACTS))
def test_a_plain_act_needs_the_right_to_read(act: Act) -> None:
    needed = [basis_row("B", act=one) for one in (act, Act.READ)]
    both = snapshot(share_row("A", act=act.value), share_row("R", act="read"), *needed)
    alone = snapshot(share_row("A", act=act.value), *needed)
    assert READ_NAME.but(act=act).of(both).rule_id == "A"
    assert not READ_NAME.but(act=act).of(alone).allow
    assert not READ_NAME.but(act=act).of(snapshot(share_row("A"), basis_row("B", act=act.value))).allow


@pytest.mark.parametrize("act", sorted(PLAIN_ACTS))
def test_a_masked_value_is_neither_searched_nor_ordered_by(act: Act) -> None:
    needed = [basis_row("B", act=one, purpose="WORK_REFERENCE") for one in (act, Act.READ)]
    decision = READ_NAME.but(act=act, purpose=Purpose.WORK_REFERENCE).of(snapshot(share_row("A"), *needed))
    assert (decision.allow, decision.rule_id) == (False, "DENY/MASKED")


def test_a_plain_act_has_the_conditions_of_the_reading_too_and_ends_with_it() -> None:
    made = rules(
        share_row("A", act="filter"), share_row("R", act="read", exp="2026-06-01T12:00:05Z"),
        basis_row("B", act="filter"), basis_row("C", act="read"),
    )  # fmt: skip
    adults = replace(made.texts["R"], obligations=(Rows(RowCondition.ADULTS),))
    decision = READ_NAME.but(act=Act.FILTER).of(Snapshot(CATALOGUE, replace(made, texts={**made.texts, "R": adults})))
    assert (decision.allow, decision.rule_id, decision.rows) == (True, "A", frozenset({RowCondition.ADULTS}))
    assert decision.until == at("2026-06-01T12:00:05").timestamp()


def test_the_rule_that_obliges_to_least_is_named_and_applied() -> None:
    made = rules(share_row("A"), share_row("B"))
    bound = {**made.texts, "A": replace(made.texts["A"], obligations=(Rows(RowCondition.OWN_REGION),))}
    decision = READ_NAME.of(Snapshot(CATALOGUE, replace(made, texts=bound)))
    assert (decision.rule_id, decision.rows) == ("B", frozenset())


def test_an_item_that_some_may_read_is_told_as_not_for_this_department_whatever_the_order_of_the_rows() -> None:
    deny = share_row("D", eft="deny", dept="taxation", role="officer")
    allow = share_row("A", dept="taxation")
    assert READ_NAME.of(snapshot(deny, allow)).rule_id == "DENY/AUDIENCE"
    assert READ_NAME.of(snapshot(allow, deny)).rule_id == "DENY/AUDIENCE"


# -- deny rows -------------------------------------------------------------------------------------------------


def test_a_deny_row_overrides_and_says_why() -> None:
    decision = READ_NAME.of(snapshot(share_row("A"), share_row("D", eft="deny")))
    assert (decision.allow, decision.rule_id, decision.next_step) == (False, "D", NextStep.NO_WAY)
    assert decision.reason == Text("by D", "依D")


@pytest.mark.parametrize("object_", ["Register.name", "Register", "class/UNCONDITIONAL", "provider/housing"])
def test_a_deny_reaches_the_field_by_its_resource_and_class_too(object_: str) -> None:
    assert READ_NAME.of(snapshot(share_row("A"), share_row("D", object=object_, eft="deny"))).rule_id == "D"


@pytest.mark.parametrize(
    "elsewhere",
    [
        {"dept": "taxation"},
        {"role": "developer"},
        {"subject": "RELATED"},
        {"act": "join"},
        {"channel": "batch"},
        {"purpose": "WORK_REFERENCE"},
        {"exp": "2026-01-01T00:00:00Z"},
        {"object": "Tax"},
        {"object": "provider/taxation"},
        {"object": "class/CONDITIONAL"},
        {"basis": "SCENARIO/review"},
    ],
)
def test_a_deny_for_somebody_else_is_neither_applied_nor_given_as_the_reason(elsewhere: dict[str, str]) -> None:
    others = share_row("D", eft="deny", **elsewhere)
    assert READ_NAME.of(snapshot(share_row("A"), others)).rule_id == "A"
    assert READ_NAME.of(snapshot(share_row("A", dept="taxation"), others)).rule_id == "DENY/AUDIENCE"
    assert READ_NAME.of(snapshot(others)).rule_id == "DENY/PURPOSE"


def test_a_deny_row_of_the_basis_overrides_and_says_why() -> None:
    decision = READ_NAME.of(snapshot(share_row("A"), basis_row("B"), basis_row("D", eft="deny")))
    assert (decision.allow, decision.rule_id, decision.next_step) == (False, "D", NextStep.NO_WAY)


# -- time ------------------------------------------------------------------------------------------------------


def test_a_rule_begins_and_ends_to_the_second() -> None:
    june = snapshot(share_row("A", nbf="2026-06-01T00:00:00Z", exp="2026-07-01T00:00:00Z"))
    moments = ["2026-05-31T23:59:59", "2026-06-01T00:00:00", "2026-06-30T23:59:59", "2026-07-01T00:00:00"]
    told = [READ_NAME.but(now=at(moment)).of(june) for moment in moments]
    assert [one.allow for one in told] == [False, True, True, False]
    assert [one.rule_id for one in told] == ["DENY/TIME", "A", "A", "DENY/TIME"]
    begins, ends = at("2026-06-01T00:00:00").timestamp(), at("2026-07-01T00:00:00").timestamp()
    assert [(one.since, one.until) for one in told] == [
        (BEGINNING, begins), (begins, ends), (begins, ends), (ends, END)
    ]  # fmt: skip


def test_a_remembered_decision_does_not_outlive_its_rule() -> None:
    ends = snapshot(share_row("A", exp="2026-06-01T12:00:05Z"))
    assert READ_NAME.of(ends).until == at("2026-06-01T12:00:05").timestamp()
    assert READ_NAME.but(now=NOON + timedelta(seconds=4, microseconds=999_999)).of(ends).allow
    assert not READ_NAME.but(now=NOON + timedelta(seconds=5)).of(ends).allow


def test_a_remembered_decision_is_not_used_for_a_moment_before_it() -> None:
    begins = snapshot(share_row("A", nbf="2026-06-01T12:00:00Z"))
    assert READ_NAME.of(begins).allow
    assert not READ_NAME.but(now=NOON - timedelta(seconds=1)).of(begins).allow
    assert READ_NAME.of(begins).allow


def test_a_deny_that_begins_later_ends_an_allow() -> None:
    later = snapshot(share_row("A"), share_row("D", eft="deny", nbf="2026-06-01T12:00:10Z"))
    assert READ_NAME.of(later).until == at("2026-06-01T12:00:10").timestamp()
    assert READ_NAME.but(now=NOON + timedelta(seconds=10)).of(later).rule_id == "D"


def test_a_denial_by_the_service_is_asked_anew_when_the_share_rule_ends() -> None:
    ends = snapshot(share_row("A", exp="2026-06-01T12:00:05Z"), basis_row("B", subject="RELATED"))
    assert READ_NAME.of(ends).rule_id == "DENY/SERVICE/SUBJECT"
    assert READ_NAME.but(now=NOON + timedelta(seconds=5)).of(ends).rule_id == "DENY/TIME"


def test_a_remembered_decision_is_right_whatever_the_order_of_the_moments() -> None:
    window = snapshot(share_row("A", nbf="2026-06-01T12:00:00Z", exp="2026-06-01T12:00:10Z"))
    asked = [NOON + timedelta(seconds=seconds) for seconds in (-1, 0, 9, 10, 9, 0, -1, 10, 0)]
    told = [READ_NAME.but(now=moment).of(window).allow for moment in asked]
    assert told == [False, True, True, False, True, True, False, False, True]


# -- versions --------------------------------------------------------------------------------------------------


def test_the_same_content_has_the_same_version() -> None:
    assert snapshot(share_row("A")).version == snapshot(share_row("A")).version


def test_a_changed_row_text_or_catalogue_is_another_version() -> None:
    rows = rules(share_row("A"))
    text = RuleText("A", "第二条", Text("otherwise", "另"))
    versions = {
        Snapshot(CATALOGUE, rows).version,
        Snapshot(CATALOGUE, rules(share_row("A", purpose="WORK_REFERENCE"))).version,
        Snapshot(CATALOGUE, replace(rows, texts={**rows.texts, "A": text})).version,
        Snapshot(replace(CATALOGUE, version="v2"), rows).version,
    }
    assert len(versions) == 4
