"""Every rule id that an answer or the ledger tells has an article: its own, or the one that docs/rules.md names."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from policies.decision import NextStep
from tests.line.case_folder import CASES, read_question, results
from tests.line.decided import decided
from tests.line.desk import Desk
from tests.service import ROOT

_PAGE = (ROOT / "docs/rules.md").read_text("utf8")
_ROW = re.compile(r"^\| `([A-Z]+/[^`]*)` \|(.*)\|$", re.MULTILINE)
FAMILIES = {rid.partition("/")[0]: cells for rid, cells in _ROW.findall(_PAGE) if not rid.startswith("DENY/")}
DENIALS = {rid: cells.rpartition("`")[0].rpartition("`")[2] for rid, cells in _ROW.findall(_PAGE) if "DENY/" in rid}
UNREACHED = {"DENY/ROWS/ADULTS": "no scenario of the catalogue is about records of adults only"}
"""Denials that stand in no case folder, and why."""


def _told() -> Iterator[tuple[str, str]]:
    """Rule ids with their next step, as the case folders' answers tell them."""
    for file in CASES.glob("*/response.json"):
        for error in json.loads(file.read_text("utf8"))["body"].get("errors", ()):
            about: dict[str, Any] = error["extensions"]
            if "ruleId" in about:
                yield about["ruleId"], about.get("next", {}).get("action", "")


def test_every_denial_of_the_code_stands_on_the_page() -> None:
    found: set[str] = set()
    for room in ("policies", "resolvers"):
        for file in (ROOT / room).glob("*.py"):
            for rid in re.findall(r'"(DENY/[A-Z_/{}a-z]+)"', file.read_text("utf8")):
                found |= {rid.replace("{kind}", kind) for kind in ("SERVICE", "SCENARIO")}
    assert found == set(DENIALS)


def test_every_denial_of_the_page_has_a_case_folder() -> None:
    assert {rid for rid, _ in _told() if rid.startswith("DENY/")} == set(DENIALS) - set(UNREACHED)


def test_the_page_tells_the_next_step_that_answers_tell() -> None:
    assert set(DENIALS.values()) <= set(NextStep)
    assert {(rid, step) for rid, step in _told() if rid in DENIALS} == {
        (rid, step) for rid, step in DENIALS.items() if rid not in UNREACHED
    }


def test_every_row_of_the_page_names_a_regulation() -> None:
    for _, cells in _ROW.findall(_PAGE):
        assert re.search(r"Changsha \d|Hunan ch|Xianning \d|Shuangliao \d|what the row names", cells), cells


@pytest.mark.parametrize("folder", sorted(CASES.iterdir()), ids=lambda folder: str(folder.name))
def test_every_rule_in_the_ledger_has_an_article(desk: Desk, folder: Path) -> None:
    with decided(desk, folder) as ids:
        results(desk, read_question(folder, desk.names), ids)
        snapshot = desk.service.rooms.line.policy.snapshot()
        frame = desk.service.frames()[-1]
    for rid in {rule for node in frame["nodes"] for rule in node["rules"]}:
        if rid not in DENIALS:
            assert rid.partition("/")[0] in FAMILIES, rid
            assert snapshot.text(rid).article.strip(), rid
            assert snapshot.text(rid).reason.zh, rid
