"""Each defect of Casbin that was seen in public and could touch us."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version

import casbin
import pytest

from policies.decision import Act
from policies.identity import Role
from policies.rules import ROLE_LINKS, RuleError, Rules, lint_roles, lint_rules, rules_from
from policies.snapshot import Snapshot
from schema.catalogue import SubjectClass
from tests.policies.small import CATALOGUE, Question, basis_row, rules, share_row, snapshot


@pytest.fixture
def enforcers(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[casbin.Enforcer]]:
    """Every enforcer that is made during the test."""
    made: list[casbin.Enforcer] = []

    class Watched(casbin.Enforcer):  # type: ignore[misc]
        def __init__(self, *given: object) -> None:
            super().__init__(*given)
            made.append(self)

    monkeypatch.setattr(casbin, "Enforcer", Watched)
    yield made
    assert made


def test_the_maintained_package_is_installed_and_the_old_one_is_not() -> None:
    assert tuple(map(int, version("pycasbin").split(".")[:2])) >= (2, 8)
    with pytest.raises(PackageNotFoundError):
        version("casbin")


def test_expressions_are_evaluated_by_a_version_without_the_known_hole() -> None:
    assert tuple(map(int, version("simpleeval").split(".")[:3])) >= (1, 0, 5)


@pytest.mark.parametrize("empty", [Rules((), (basis_row("B"),)), Rules((share_row("A"),), ())], ids=["share", "basis"])
def test_a_policy_without_rules_is_refused(empty: Rules) -> None:
    with pytest.raises(RuleError, match="no rules"):
        lint_rules(empty)


def test_a_snapshot_without_rows_denies_everything() -> None:
    empty = Snapshot(CATALOGUE, Rules((), ()))
    answers = [
        Question(act=act, subject=subject, role=role).of(empty)
        for act in Act
        for subject in SubjectClass
        for role in Role
    ]
    assert not any(answer.allow for answer in answers)


def test_an_object_without_rows_is_denied_beside_one_with_rows() -> None:
    rows = snapshot(share_row("A"))
    assert Question().of(rows).allow
    assert not Question(coordinate="Register.address").of(rows).allow


@pytest.mark.parametrize("blank", ["", " ", "\t"])
@pytest.mark.parametrize("dimension", ["department", "channel"])
def test_a_blank_request_is_denied_even_by_rows_for_everybody(dimension: str, blank: str) -> None:
    rows = snapshot(share_row("A"))
    assert Question().of(rows).allow
    assert not Question().but(**{dimension: blank}).of(rows).allow


def test_a_wholly_blank_request_is_denied_with_rows_and_without() -> None:
    blank = Question(act="", subject="", department="", role="", channel="", purpose="")  # type: ignore[arg-type]
    assert not blank.of(snapshot(share_row("A"))).allow
    assert not blank.of(Snapshot(CATALOGUE, Rules((), ()))).allow


def test_an_allow_without_a_rule_id_is_a_denial() -> None:
    unnamed = snapshot(share_row(""))
    decision = Question().of(unnamed)
    assert not decision.allow
    assert decision.rule_id


def test_a_basis_without_a_rule_id_is_a_denial() -> None:
    assert not Question().of(snapshot(share_row("A"), basis_row(""))).allow


@pytest.mark.parametrize("typo", ["Deny", "DENY", "deny ", "dney", "", "Allow"])
def test_a_misspelt_effect_is_refused(typo: str) -> None:
    with pytest.raises(RuleError, match="effect"):
        lint_rules(rules(share_row("A"), share_row("D", eft=typo)))


def test_a_deny_that_hangs_on_a_role_link_is_refused() -> None:
    with pytest.raises(RuleError, match="role link"):
        lint_rules(rules(share_row("A"), share_row("D", role="reader", eft="deny")))


@pytest.mark.parametrize("role", ["any", *Role])
def test_a_deny_for_everybody_or_for_one_acting_role_needs_no_link(role: str) -> None:
    lint_rules(rules(share_row("A"), share_row("D", role=role, eft="deny")))
    denied = snapshot(share_row("A"), share_row("D", role=role, eft="deny"))
    asked = Role(role) if role != "any" else Role.CLERK
    assert Question(role=asked).of(denied).rule_id == "D"


def test_roles_linked_deeper_than_casbin_follows_are_refused() -> None:
    chain = [(f"r{n}", f"r{n + 1}") for n in range(9)]
    lint_roles(chain[:8])
    with pytest.raises(RuleError, match="deeper"):
        lint_roles(chain)


def test_roles_linked_in_a_circle_are_refused() -> None:
    with pytest.raises(RuleError, match="circle"):
        lint_roles([("clerk", "reader"), ("reader", "clerk")])


def test_the_role_links_in_force_are_shallow() -> None:
    lint_roles(ROLE_LINKS)


def test_questions_do_not_grow_the_role_manager(enforcers: list[casbin.Enforcer]) -> None:
    asked = Snapshot(CATALOGUE, rules(share_row("A", role="reader")))
    for number in range(200):
        for role in Role:
            Question(department=f"department-{number}", role=role).of(asked)
    grown = [set(enforcer.rm_map["g"].all_roles) for enforcer in enforcers if "g" in enforcer.rm_map]
    assert len(grown) == 1
    assert grown[0] <= {*Role, "reader"}


def test_a_role_that_is_none_of_ours_is_no_role() -> None:
    with pytest.raises(ValueError, match="ghost"):
        Role("ghost")


@pytest.mark.parametrize("reload", ["load_policy", "load_filtered_policy", "clear_policy", "build_role_links"])
def test_a_live_enforcer_is_never_reloaded(
    enforcers: list[casbin.Enforcer], monkeypatch: pytest.MonkeyPatch, reload: str
) -> None:
    live = Snapshot(CATALOGUE, rules_from(CATALOGUE))

    def reloaded(*_: object) -> None:
        raise AssertionError(f"{reload} of a live enforcer")

    for enforcer in enforcers:
        monkeypatch.setattr(enforcer, reload, reloaded)
    assert Question().of(live).allow
    assert not Question(coordinate="Tax.payer").of(live).allow
    assert not Question(role=Role.AUDITOR).of(live).allow


def test_a_new_snapshot_does_not_change_the_old_one() -> None:
    old = snapshot(share_row("A"))
    assert Question().of(old).allow
    new = snapshot(share_row("A"), share_row("D", eft="deny"))
    assert not Question().of(new).allow
    assert Question().of(old).allow
    assert Question(department="taxation").of(old).allow
    assert not Question(department="taxation").of(new).allow
    assert old.version != new.version
