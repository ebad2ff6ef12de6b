"""`onesource audit affected`, `corrections`, `notices` and `reidentify` against a running service."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from tests.terminal.conftest import Ran, Run
from tests.terminal.server import Server
from tests.terminal.test_grants import Officer, officer

__all__ = ["officer"]
ITEM = "HouseholdRegistration.town"


@pytest.fixture
def shown(lookup: Any) -> Ran:
    """The housing department's clerk was shown the applicant's town."""
    ran: Ran = lookup(ITEM)
    assert ran.code == 0, ran.err
    return ran


def test_a_correction_is_recorded_and_the_using_department_reads_its_notice(
    officer: Officer, server: Server, shown: Ran
) -> None:
    about = ("--item", ITEM, "--id", server.examples.applicant.identifier, "--since", "1950-01-01")
    affected = officer("public-security", "audit", "affected", *about, "--json")
    assert affected.code == 0, affected.err
    readers = [json.loads(line) for line in affected.out.splitlines()]
    assert {(one["subject"], one["department"], one["case"]) for one in readers} == {
        ("clerk-01", "housing", server.case)
    }
    table = officer("public-security", "audit", "affected", *about)
    for word in ("clerk-01@housing", server.case, "RETURNED", "readings in all"):
        assert word in table.out
    sent = ("corrections", "record", *about, "--reason", "登记错误", "--reference", "更正〔2026〕1号")
    recorded = officer("public-security", *sent)
    assert recorded.code == 0, recorded.err
    found = re.search(r"\bC\d+\b", recorded.out)
    assert found
    assert "housing（" in recorded.out
    assert officer("public-security", *sent).out == recorded.out
    listed = officer("public-security", "corrections", "list")
    assert found[0] in listed.out
    told = officer("housing", "notices")
    for word in (found[0], "更正错误信息", server.case, readers[0]["operationId"], "登记错误"):
        assert word in told.out
    assert found[0] not in officer("education", "notices").out
    assert server.examples.applicant.identifier not in told.out + recorded.out


def test_what_is_no_item_or_time_is_refused_before_asking(officer: Officer) -> None:
    for given in (("--item", "town", "--since", "2026-01-01"), ("--item", ITEM, "--since", "neulich")):
        assert officer("public-security", "audit", "affected", "--id", "x", *given).code == 2


def test_two_auditors_re_identify_together(
    run: Run, officer: Officer, server: Server, tokens: dict[str, str], shown: Ran
) -> None:
    own = ("--token", tokens["auditor-01"], "--settings", server.file)
    lines = run("audit", "tail", "--json", "--case", server.case, *own).out.splitlines()
    hashed = next(line["dataSubject"] for line in map(json.loads, lines) if line["item"] == "town")
    asked = officer("housing", "reidentify", "request", hashed, "--reason", "投诉核查", role="auditor")
    found = re.search(r"\bR\d+\b", asked.out)
    assert found, asked.err
    assert found[0] in run("reidentify", "list", *own).out
    approved = run("reidentify", "approve", found[0], *own)
    assert approved.code == 0, approved.err
    assert f"Person {server.examples.applicant.identifier}" in approved.out
    told = officer("housing", "reidentify", "reveal", found[0], role="auditor")
    assert f"Person {server.examples.applicant.identifier}" in told.out
    again = officer("housing", "reidentify", "reveal", found[0], role="auditor")
    assert again.code == 1
    assert "REIDENTIFICATION_STATE" in again.err
