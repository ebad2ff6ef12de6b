"""Each defect of Casbin that was seen in public and could touch us."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import PackageNotFoundError, version

import casbin
import pytest

from policies.decision import Act, Use
from policies.identity import STAFF, Role
from policies.lint import RuleError, lint_roles, lint_rules
from policies.parts import MODELS
from policies.rules import ROLE_LINKS, Rules, ShareRow, rules_from
from policies.snapshot import Snapshot, _Enforcers
from schema.catalogue import Purpose, SubjectClass
from tests.policies.small import BASIS, CATALOGUE, NOON, Question, basis_row, group, rules, share_row, snapshot

USE = Use("Register.name", Act.READ, SubjectClass.SUBJECT)


@pytest.fixture
def enforcers(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[casbin.Enforcer]]:
    """Every enforcer that is made during the test."""
    made: list[casbin.Enforcer] = []

    plain = casbin.Enforcer.__init__

    def watched(self: casbin.Enforcer, *given: object) -> None:
        plain(self, *given)
        made.append(self)

    monkeypatch.setattr(casbin.Enforcer, "__init__", watched)
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
        Snapshot(CATALOGUE, empty)


def test_an_enforcer_without_rows_would_allow_blanks_and_is_not_asked(enforcers: list[casbin.Enforcer]) -> None:
    held = _Enforcers(MODELS)
    share, basis = enforcers
    assert basis.enforce(*[""] * 5), "the defect is gone: this guard may go too"
    assert not share.enforce(*[""] * 12)  # the times save it
    assert held.basis([], ("",) * 5) == (False, "")
    assert held.share([], ("",) * 12) == (False, "")


def test_a_field_whose_rows_are_all_gone_is_denied() -> None:
    base = snapshot(share_row("A", object="Tax.payer"))
    granted = base.with_changes({"GRANT/G1": group(share_row("GRANT/G1"))}, 1)
    gone = granted.with_changes({"GRANT/G1": Rules()}, 2)
    assert [Question().of(one).allow for one in (base, granted, gone)] == [False, True, False]


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
    rows = [share_row("A")]
    asked: tuple[str, ...] = (
        "housing",
        "clerk",
        "Register",
        "Register.name",
        "class/UNCONDITIONAL",
        "provider/housing",
    )
    asked += ("SUBJECT", "read", "query", "ADMINISTRATIVE_BASIS", "SERVICE/S-1", "2026-06-01T12:00:00Z")
    held = _Enforcers(MODELS)
    assert held.share(rows, asked) == (True, "A")
    for blank in ("", " ", "\t"):
        assert held.share(rows, (blank,) * 12) == (False, "")
        for place in range(12):
            assert held.share(rows, (*asked[:place], blank, *asked[place + 1 :])) == (False, "")


def test_an_allow_without_a_rule_id_is_a_denial() -> None:
    asked = ("SERVICE/S-1", "Register.name", "SUBJECT", "read", "ADMINISTRATIVE_BASIS")
    held = _Enforcers(MODELS)
    assert held.basis([basis_row("B")], asked) == (True, "B")
    assert held.basis([basis_row("")], asked) == (False, "")


@pytest.mark.parametrize("row", [share_row(""), share_row(" "), share_row("A", eft="")])
def test_a_row_without_a_rule_id_or_effect_never_enters(row: ShareRow) -> None:
    with pytest.raises(RuleError):
        snapshot(share_row("B"), row)


def test_explanations_name_the_rule_under_deny_override() -> None:
    assert Question().of(snapshot(share_row("A"))).rule_id == "A"
    assert Question().of(snapshot(share_row("D", eft="deny"))).rule_id == "D"


@pytest.mark.parametrize("typo", ["Deny", "DENY", "deny ", "dney", "", "Allow"])
def test_a_misspelt_effect_is_refused(typo: str) -> None:
    with pytest.raises(RuleError, match="POL101 unknown eft"):
        snapshot(share_row("A"), share_row("D", eft=typo))


def test_a_deny_that_hangs_on_a_role_link_is_refused() -> None:
    with pytest.raises(RuleError, match="role link"):
        lint_rules(rules(share_row("A"), share_row("D", role="reader", eft="deny")), CATALOGUE)


@pytest.mark.parametrize("role", ["any", *STAFF])
def test_a_deny_for_everybody_or_for_one_acting_role_needs_no_link(role: str) -> None:
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
    asked = snapshot(share_row("A", role="reader"))
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


def test_a_matcher_evaluates_no_text_of_a_row() -> None:
    with pytest.raises(RuleError):
        snapshot(share_row("A"), share_row("B", object='eval("True")'))
    with pytest.raises(RuleError):
        snapshot(share_row("A"), share_row("B", object="Register.*"))


def test_a_matcher_is_compiled_once_for_all_questions(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled: list[str] = []
    plain = casbin.Enforcer._get_expression

    def counted(expr: str, functions: object = None) -> object:
        compiled.append(expr)
        return plain(expr, functions)

    monkeypatch.setattr(casbin.Enforcer, "_get_expression", staticmethod(counted))
    asked = snapshot(share_row("A"))
    assert [Question(department=f"department-{number}").of(asked).allow for number in range(20)] == [True] * 20
    assert len(compiled) == 2, "one for each model"


def test_threads_do_not_decide_by_each_others_rows() -> None:
    asked = snapshot(share_row("A", dept="housing"), share_row("D", dept="taxation", eft="deny"))

    def wrong(department: str) -> int:
        caller = asked.caller(department, Role.CLERK, "query", Purpose.ADMINISTRATIVE_BASIS, BASIS)
        return sum(caller._decide(USE, NOON.timestamp()).allow is not (department == "housing") for _ in range(300))

    switching = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(8) as threads:
            assert sum(threads.map(wrong, ["housing", "taxation"] * 4)) == 0
    finally:
        sys.setswitchinterval(switching)


def test_a_changed_snapshot_does_not_change_the_old_one() -> None:
    old = snapshot(share_row("A"))
    assert Question().of(old).allow
    new = old.with_changes({"FILE/f": group(share_row("D", eft="deny"))}, 1)
    assert not Question().of(new).allow
    assert Question().of(old).allow
    assert Question(department="taxation").of(old).allow
    assert not Question(department="taxation").of(new).allow
    assert old.version != new.version


def test_a_new_snapshot_does_not_change_the_old_one() -> None:
    old = snapshot(share_row("A"))
    assert Question().of(old).allow
    new = snapshot(share_row("A"), share_row("D", eft="deny"))
    assert not Question().of(new).allow
    assert Question().of(old).allow
    assert Question(department="taxation").of(old).allow
    assert not Question(department="taxation").of(new).allow
    assert old.version != new.version
