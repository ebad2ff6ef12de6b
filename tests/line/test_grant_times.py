"""A grant begins and ends at its second, whatever was prepared before: the same text, asked before and after."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from policies.snapshot import utc_text
from tests.line.decided import decided
from tests.line.desk import Desk
from tests.service import codes, use

DOCUMENT = "query($id: CitizenIdNumber!, $use: UseInput!) { person(idNumber: $id, use: $use) { disabilityCertificate { issuedOn } } }"
SECURITIES = "query($use: UseInput!, $after: String) { housingSecurities(use: $use, first: 1, after: $after) { edges { cursor } } }"


def control(folder: Path, provider: str, items: list[str], **times: str) -> Path:
    grant = {"department": "housing", "provider": provider, "items": dict.fromkeys(items, True)}
    (folder / "control.json").write_text(json.dumps({"grants": {"grant": grant | times}}), "utf8")
    return folder


def told(desk: Desk) -> str:
    variables = {"id": desk.applicant, "use": use(desk.names["case_hardship"])}
    body = desk.service.ask(DOCUMENT, variables)
    return "shown" if "errors" not in body else str(body["errors"][0]["extensions"]["ruleId"])


@pytest.mark.parametrize(
    ("limit", "before", "after"), [("expires", "shown", "DENY/TIME"), ("not_before", "DENY/TIME", "shown")]
)
def test_a_grant_turns_at_its_second(desk: Desk, tmp_path: Path, limit: str, before: str, after: str) -> None:
    turn = int(time.time()) + 2
    items = [f"DisabilityCertificate.{name}" for name in ("idNumber", "issuedOn")]
    folder = control(tmp_path, "disabled-persons-federation", items, **{limit: utc_text(turn)})
    with decided(desk, folder):
        assert told(desk) == told(desk) == before
        time.sleep(max(0.0, turn - time.time()) + 0.02)
        assert told(desk) == after


def test_a_cursor_does_not_prolong_the_grant_that_it_was_given_under(desk: Desk, tmp_path: Path) -> None:
    turn = int(time.time()) + 2
    folder = control(tmp_path, "housing", ["HousingSecurity.idNumber"], expires=utc_text(turn))
    variables: dict[str, Any] = {"use": use(desk.names["case_hardship"])}
    with decided(desk, folder):
        first = desk.service.ask(SECURITIES, variables)
        cursor = first["data"]["housingSecurities"]["edges"][0]["cursor"]
        assert "errors" not in desk.service.ask(SECURITIES, variables | {"after": cursor})
        time.sleep(max(0.0, turn - time.time()) + 0.02)
        later = desk.service.ask(SECURITIES, variables | {"after": cursor})
    assert later["data"] == {"housingSecurities": None}
    assert codes(later) == ["FIELD_DENIED"]
