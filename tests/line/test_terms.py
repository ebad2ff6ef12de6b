"""What no rule changes: who reads at all, what a case is for, and that nobody locks everybody out."""

from __future__ import annotations

from typing import Any

import pytest

from policies.archive import keep
from policies.rules import ANY, FIRST_TIME, LAST_TIME, Rules, RuleText, ShareRow
from schema.errors import Text
from tests.line.desk import Desk
from tests.line.officers import DISABLE, SUPERVISOR, ask, refused
from tests.service import codes

PERSON = "query($id: CitizenIdNumber!, $use: UseInput!) { person(idNumber: $id, use: $use) { %s } }"


def _opened(*roles: str) -> Rules:
    """A rule file that allows these roles everything about a name."""
    rows = [
        ShareRow(
            ANY,
            role,
            "HouseholdRegistration.name",
            ANY,
            ANY,
            ANY,
            ANY,
            ANY,
            FIRST_TIME,
            LAST_TIME,
            "allow",
            f"RULE/wide/{role}",
        )
        for role in roles
    ]
    texts = {row.rid: RuleText(row.rid, "试", Text("wide", "宽")) for row in rows}
    return Rules(tuple(rows), (), texts)


@pytest.mark.parametrize("role", ["officer", "auditor"])
def test_no_rule_lets_officers_or_auditors_read(desk: Desk, monkeypatch: pytest.MonkeyPatch, role: str) -> None:
    policy = desk.service.rooms.policy
    wide = policy.base.with_changes({"FILE/wide": _opened(ANY, role)}, 1)
    keep(desk.service.rooms.ledger.store, wide)
    monkeypatch.setattr(policy, "_snapshot", wide)
    body = desk.service.person("householdRegistration { name }", desk.applicant, desk.case, role=role)
    assert body["data"]["person"]["householdRegistration"] is None
    assert [error["extensions"]["ruleId"] for error in body["errors"]] == ["DENY/ROLE"]


def test_a_window_does_not_look_up_by_a_scenario(desk: Desk) -> None:
    use = {"purpose": "ADMINISTRATIVE_BASIS", "basis": {"scenario": "public-rental-housing-review"}}
    given = {"id": desk.applicant, "use": use}
    document = PERSON % "householdRegistration { status }"
    body = desk.service.ask(document, given, role="clerk", department="housing")
    assert codes(body) == ["USE_DENIED"]
    assert body["errors"][0]["extensions"]["ruleId"] == "DENY/SCENARIO/ROLE"
    assert "errors" not in desk.service.ask(document, given, role="developer", department="housing")


@pytest.mark.parametrize("selection", ["idNumber", "__typename"])
def test_who_was_asked_for_alone_is_on_record_with_purpose_and_case(desk: Desk, selection: str) -> None:
    desk.service.person(selection, desk.applicant, desk.case)
    frame = desk.service.frames()[-1]
    (node,) = frame["nodes"]
    assert (node["resource"], node["case"], node["purpose"]) == ("Person", desk.case, "ADMINISTRATIVE_BASIS")
    assert node["others"] == [desk.service.rooms.line.recorder.hashes.of("Person", desk.applicant)]


@pytest.mark.parametrize("given", [{"kind": "CLIENT", "name": "demo"}, {"kind": "PERSON", "name": "officer-01"}])
def test_nobody_disables_what_they_act_by(desk: Desk, given: dict[str, Any]) -> None:
    assert refused(desk.service, DISABLE, SUPERVISOR, input=given) == "DISABLEMENT_OWN"
    assert ask(desk.service, "{ disablements { name } }", SUPERVISOR) == []
