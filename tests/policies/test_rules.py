"""Rules from the catalogue, and the lint that keeps out what Casbin would misread."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from policies.decision import Limit, Mask
from policies.rules import BasisRow, RuleError, Rules, ShareRow, lint_rules, rules_from
from schema.catalogue import MaskKind, Purpose
from schema.load import load_catalogue
from tests.policies.small import CATALOGUE, basis_row, department, rules, share_row

ROOT = Path(__file__).parents[2]


def all_rows(made: Rules) -> tuple[ShareRow | BasisRow, ...]:
    return (*made.share, *made.basis)


def test_only_unconditional_items_give_an_allow() -> None:
    objects = {row.object for row in rules_from(CATALOGUE).share}
    assert {"Register.name", "Tax.payer"} <= objects
    assert not {"Register.photo", "Register.cause", "Register", "UNCONDITIONAL"} & objects


def test_nothing_is_shown_for_verification() -> None:
    rows = rules_from(CATALOGUE).share
    assert {row.purpose for row in rows} == {*Purpose} - {Purpose.DATA_VERIFICATION}
    assert "Register.verifiable" not in {row.object for row in rows}


def test_the_audience_of_a_resource_is_the_department_of_its_rows() -> None:
    rows = rules_from(CATALOGUE).share
    assert {row.dept for row in rows if row.object == "Tax.payer"} == {"taxation"}
    assert {row.dept for row in rows if row.object == "Register.name"} == {"any"}


def test_the_share_modes_of_a_resource_are_the_channels_of_its_rows() -> None:
    rows = rules_from(CATALOGUE).share
    assert {row.channel for row in rows if row.object == "Register.name"} == {"query", "batch"}
    assert {row.channel for row in rows if row.object == "Tax.payer"} == {"query"}


def test_only_reading_and_joining_have_rules() -> None:
    assert {row.act for row in all_rows(rules_from(CATALOGUE))} == {"read", "join"}


def test_a_mask_obliges_under_its_purpose_only() -> None:
    texts = rules_from(CATALOGUE).texts
    assert texts["SHARE/Register.name/WORK_REFERENCE"].obligations == (Mask(MaskKind.NAME),)
    assert texts["SHARE/Register.name/ADMINISTRATIVE_BASIS"].obligations == ()


def test_a_service_needs_its_items_of_the_subjects_that_it_names() -> None:
    rows = [row for row in rules_from(CATALOGUE).basis if row.object == "Register.address"]
    assert {(row.service, row.subject) for row in rows} == {("S-1", "SUBJECT")}


def test_every_row_has_a_text_in_both_languages() -> None:
    made = rules_from(CATALOGUE)
    for row in all_rows(made):
        text = made.texts[row.rid]
        assert text.article
        assert text.reason.en
        assert text.reason.zh


def test_the_shipped_catalogue_gives_rules_without_a_fault() -> None:
    made = rules_from(load_catalogue(ROOT / "catalogue", ("careful-officer",)))
    assert len({row.object for row in made.share}) > 200
    assert {row.eft for row in all_rows(made)} == {"allow"}


def test_a_department_named_like_the_wildcard_is_refused() -> None:
    with pytest.raises(RuleError, match="every department"):
        rules_from(replace(CATALOGUE, departments={"any": department("any")}))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"purpose": "ADMINISTRATIVE"}, "unknown purpose"),
        ({"subject": "subject"}, "unknown subject"),
        ({"act": "raed"}, "unknown act"),
        ({"channel": "online"}, "unknown channel"),
        ({"role": "clrek"}, "unknown role"),
        ({"object": ""}, "empty or padded"),
        ({"dept": " housing"}, "empty or padded"),
        ({"nbf": "2026-06-01"}, "ISO 8601"),
        ({"nbf": "2026-06-01T00:00:00+08:00"}, "ISO 8601"),
        ({"nbf": "2026-13-01T00:00:00Z"}, "ISO 8601"),
        ({"exp": "9999-06-01 00:00:00Z"}, "ISO 8601"),
        ({"nbf": "2026-06-02T00:00:00Z", "exp": "2026-06-01T00:00:00Z"}, "ends before"),
        ({"nbf": "2026-06-01T00:00:00Z", "exp": "2026-06-01T00:00:00Z"}, "ends before"),
    ],
)
@pytest.mark.parametrize("effect", ["allow", "deny"])
def test_a_share_row_that_would_never_apply_is_refused(effect: str, changes: dict[str, Any], said: str) -> None:
    with pytest.raises(RuleError, match=said):
        lint_rules(rules(share_row("A"), share_row("B", eft=effect, **changes)))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"subject": "any"}, "unknown subject"),
        ({"act": "any"}, "unknown act"),
        ({"purpose": "any"}, "unknown purpose"),
        ({"purpose": "administrative_basis"}, "unknown purpose"),
        ({"eft": "permit"}, "effect"),
        ({"service": ""}, "empty or padded"),
    ],
)
def test_a_basis_row_that_would_never_apply_is_refused(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(RuleError, match=said):
        lint_rules(rules(share_row("A"), basis_row("B"), basis_row("C", **changes)))


def test_a_row_without_a_text_is_refused() -> None:
    made = rules(share_row("A"))
    with pytest.raises(RuleError, match="without a text"):
        lint_rules(Rules(made.share, made.basis, {"NEEDED": made.texts["NEEDED"]}))


def test_an_obligation_that_nothing_enforces_is_refused() -> None:
    made = rules(share_row("S-1"), basis_row("B-1"))
    made.texts["S-1"] = replace(made.texts["S-1"], obligations=(Limit(10),))
    with pytest.raises(RuleError, match="nothing enforces"):
        lint_rules(made)
