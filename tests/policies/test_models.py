"""The two model files mean what the architecture says."""

from __future__ import annotations

import re
from pathlib import Path

import casbin
import pytest

import policies
from policies.rules import BasisRow, ShareRow

FOLDER = Path(policies.__file__).parent
SHARE = FOLDER / "share.conf"
BASIS = FOLDER / "basis.conf"
EFFECT = "some(where (p_eft == allow)) && !some(where (p_eft == deny))"


def model(file: Path) -> dict[str, dict[str, casbin.model.assertion.Assertion]]:
    return dict(casbin.Enforcer(str(file)).model.model)


def tokens(file: Path, section: str) -> list[str]:
    return [token.partition("_")[2] for token in model(file)[section][section].tokens]


def test_a_share_request_names_every_dimension_of_a_decision() -> None:
    asked = ["dept", "role", "resource", "field", "class", "provider"]
    asked += ["subject", "act", "channel", "purpose", "basis", "now"]
    assert tokens(SHARE, "r") == asked


def test_a_share_row_carries_its_time_its_effect_and_its_rule_id() -> None:
    assert tokens(SHARE, "p") == list(ShareRow._fields)
    assert {"nbf", "exp", "eft", "rid"} < set(ShareRow._fields)


def test_a_basis_row_says_which_basis_needs_what_of_whom_for_which_purpose() -> None:
    assert tokens(BASIS, "r") == ["basis", "field", "subject", "act", "purpose"]
    assert tokens(BASIS, "p") == list(BasisRow._fields)


@pytest.mark.parametrize("file", [SHARE, BASIS], ids=lambda file: file.stem)
def test_deny_is_the_default_and_deny_overrides(file: Path) -> None:
    assert model(file)["e"]["e"].value == EFFECT


def test_only_roles_are_linked() -> None:
    assert set(model(SHARE)["g"]) == {"g"}
    assert model(SHARE)["g"]["g"].value == "_, _"
    assert "g" not in model(BASIS)
    assert re.findall(r"\bg\([^)]*\)", SHARE.read_text("utf8")) == ["g(r.role, p.role)", 'g(r.role, "reader")']


@pytest.mark.parametrize("file", [SHARE, BASIS], ids=lambda file: file.stem)
@pytest.mark.parametrize("slow_or_loose", ["eval", "regex", "keyMatch", "globMatch", " in "])
def test_no_matcher_is_slow_or_unanchored(file: Path, slow_or_loose: str) -> None:
    assert slow_or_loose not in model(file)["m"]["m"].value


@pytest.mark.parametrize("file", [SHARE, BASIS], ids=lambda file: file.stem)
def test_every_token_of_a_request_is_asked_about(file: Path) -> None:
    matcher = model(file)["m"]["m"].value
    assert [token for token in model(file)["r"]["r"].tokens if token not in matcher] == []
