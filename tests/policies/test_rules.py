"""Rules from the catalogue, and the lint that keeps out what Casbin would misread."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from policies.decision import Act
from policies.lint import RuleError, lint_rules
from policies.rules import ANY, BasisRow, Rules, ShareRow, acts_of, rules_from, text_key
from policies.snapshot import Snapshot
from schema.catalogue import Purpose, Search
from schema.load import load_catalogue
from tests.policies.small import BASIS, CATALOGUE, REGISTER, basis_row, rules, share_row

ROOT = Path(__file__).parents[2]


def all_rows(made: Rules) -> tuple[ShareRow | BasisRow, ...]:
    return (*made.share, *made.basis)


def test_only_unconditional_items_give_an_allow() -> None:
    objects = {row.object for row in rules_from(CATALOGUE).share}
    assert {"Register.name", "Tax.payer"} <= objects
    assert not {"Register.photo", "Register.cause", "Register", "class/UNCONDITIONAL"} & objects


def test_nothing_is_shown_for_verification() -> None:
    rows = [row for row in rules_from(CATALOGUE).share if row.purpose == Purpose.DATA_VERIFICATION]
    assert {row.act for row in rows} == {"verify", "join"}
    assert {row.object for row in rows if row.act == "join"} == {"Register.idNumber", "Tax.payer"}


def test_nothing_that_can_be_guessed_is_verified() -> None:
    verified = {row.object for row in rules_from(CATALOGUE).share if row.act == "verify"}
    assert "Register.verifiable" in verified
    assert "Register.sealed" not in verified


def test_the_audience_of_a_resource_is_the_department_of_its_rows() -> None:
    rows = rules_from(CATALOGUE).share
    assert {row.dept for row in rows if row.object == "Tax.payer" and row.basis == ANY} == {"taxation"}
    assert {row.dept for row in rows if row.object == "Register.name" and row.basis == ANY} == {ANY}


def test_the_share_modes_of_a_resource_are_the_channels_of_its_rows() -> None:
    rows = rules_from(CATALOGUE).share
    assert {row.channel for row in rows if row.object == "Register.name"} == {"query", "batch"}
    assert {row.channel for row in rows if row.object == "Tax.payer" and row.basis == ANY} == {"query"}


def test_an_act_has_rules_where_the_catalogue_has_a_use_for_it() -> None:
    searched = replace(REGISTER, search=Search(("name",), ("address",), ("idNumber",)))
    shown = Purpose.ADMINISTRATIVE_BASIS

    def acts(name: str, resource: Any = searched) -> set[Act]:
        return set(acts_of(CATALOGUE, resource, resource.items[name], shown))

    assert acts("name", REGISTER) == {Act.READ}
    assert acts("name") == {Act.READ, Act.FILTER}
    assert acts("address") == {Act.READ, Act.SORT}
    assert acts("idNumber") == {Act.READ, Act.JOIN, Act.EXIST, Act.SORT, Act.AGGREGATE}
    assert acts("idNumber", REGISTER) == {Act.READ, Act.JOIN, Act.EXIST}


def test_a_service_needs_its_items_of_the_subjects_that_it_names() -> None:
    rows = [row for row in rules_from(CATALOGUE).basis if row.object == "Register.address"]
    assert {(row.basis, row.subject) for row in rows} == {(BASIS, "SUBJECT"), ("SCENARIO/review", "SUBJECT")}


def test_every_row_has_a_text_in_both_languages() -> None:
    made = rules_from(CATALOGUE)
    for row in all_rows(made):
        text = made.texts.get(row.rid) or made.texts[text_key(row.rid)]
        assert text.article
        assert text.reason.en
        assert text.reason.zh


def test_the_shipped_catalogue_gives_rules_without_a_fault() -> None:
    made = rules_from(load_catalogue(ROOT / "catalogue", ("careful-officer",)))
    assert len({row.object for row in made.share}) > 200
    assert {row.eft for row in all_rows(made)} == {"allow"}


def test_the_shipped_catalogue_makes_a_snapshot() -> None:
    shipped = load_catalogue(ROOT / "catalogue", ("careful-officer",))
    assert Snapshot(shipped, rules_from(shipped)).groups() == {}


@pytest.mark.parametrize(
    ("changes", "code", "said"),
    [
        ({"purpose": "ADMINISTRATIVE"}, "POL104", "unknown purpose"),
        ({"purpose": ""}, "POL104", "unknown purpose"),
        ({"subject": "subject"}, "POL104", "unknown subject"),
        ({"act": "raed"}, "POL104", "unknown act"),
        ({"channel": "online"}, "POL104", "unknown channel"),
        ({"role": "clrek"}, "POL104", "unknown role"),
        ({"object": ""}, "POL110", "unknown object"),
        ({"object": "Register.nmae"}, "POL110", "unknown object"),
        ({"object": "UNCONDITIONAL"}, "POL110", "unknown object"),
        ({"object": "provider/nobody"}, "POL110", "unknown object"),
        ({"dept": " housing"}, "POL109", "unknown dept"),
        ({"dept": "nobody"}, "POL109", "unknown dept"),
        ({"basis": "SERVICE/none"}, "POL111", "unknown basis"),
        ({"basis": "S-1"}, "POL111", "unknown basis"),
        ({"rid": ""}, "POL102", "empty or padded"),
        ({"rid": " B"}, "POL102", "empty or padded"),
        ({"nbf": "2026-06-01"}, "POL105", "no time"),
        ({"nbf": "2026-06-01T00:00:00+08:00"}, "POL105", "no time"),
        ({"nbf": "2026-13-01T00:00:00Z"}, "POL105", "no time"),
        ({"exp": "9999-06-01 00:00:00Z"}, "POL105", "no time"),
        ({"exp": "2026-06-01T00:00:00Z\n"}, "POL105", "no time"),
        ({"exp": "２０２６-06-01T00:00:00Z"}, "POL105", "no time"),
        ({"nbf": "2026-06-02T00:00:00Z", "exp": "2026-06-01T00:00:00Z"}, "POL105", "ends before"),
        ({"nbf": "2026-06-01T00:00:00Z", "exp": "2026-06-01T00:00:00Z"}, "POL105", "ends before"),
    ],
)
@pytest.mark.parametrize("effect", ["allow", "deny"])
def test_a_share_row_that_would_never_apply_is_refused(
    effect: str, changes: dict[str, Any], code: str, said: str
) -> None:
    with pytest.raises(RuleError, match=said) as refused:
        lint_rules(rules(share_row("A"), share_row("B")._replace(eft=effect, **changes)), CATALOGUE)
    assert code in {problem.code for problem in refused.value.problems}
    assert all(problem.hint for problem in refused.value.problems)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"subject": "any"}, "POL104"),
        ({"purpose": "any"}, "POL104"),
        ({"purpose": "administrative_basis"}, "POL104"),
        ({"act": "any"}, "POL101"),
        ({"eft": "permit"}, "POL101"),
        ({"object": "Register"}, "POL101"),
    ],
)
def test_a_basis_row_that_would_never_apply_is_refused(changes: dict[str, Any], code: str) -> None:
    with pytest.raises(RuleError, match=code):
        lint_rules(rules(share_row("A"), basis_row("B"), basis_row("C", **changes)), CATALOGUE)


@pytest.mark.parametrize("named", ["", " ", "S-1", "SERVICE/none", "any"])
def test_a_basis_row_for_a_basis_that_nobody_has_is_refused(named: str) -> None:
    with pytest.raises(RuleError, match="POL111"):
        lint_rules(rules(share_row("A"), basis_row("B"), basis_row("C", basis=named)), CATALOGUE)


def test_a_row_without_a_text_is_refused() -> None:
    made = rules(share_row("A"))
    with pytest.raises(RuleError, match="has no reason"):
        lint_rules(Rules(made.share, made.basis, {"NEEDED": made.texts["NEEDED"]}), CATALOGUE)


def test_a_refusal_says_where_the_row_stands() -> None:
    with pytest.raises(RuleError, match=r"\(local\.csv:3\)"):
        lint_rules(
            rules(share_row("A"), share_row("B", act="raed")), CATALOGUE, lambda number: f"local.csv:{number + 2}"
        )
