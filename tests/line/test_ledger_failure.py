"""What cannot be put on record does not leave, and no restart is needed afterwards."""

from __future__ import annotations

import sqlite3
from typing import Any

import pytest

from audit.ledger import Ledger
from demo.scene import QUERY
from tests.line.desk import Desk
from tests.service import codes, use


def _broken(*_: Any) -> None:
    raise sqlite3.OperationalError("disk I/O error")


@pytest.mark.parametrize(
    ("document", "who"),
    [
        (QUERY, {}),
        ("{ cases { number } }", {}),
        ("{ disclosures(first: 9) { edges { node { id } } } }", {"role": "auditor"}),
        ("{ no such field }", {}),
    ],
    ids=["data", "cases", "audit", "invalid"],
)
def test_nothing_leaves_when_the_ledger_cannot_be_written(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, document: str, who: dict[str, str]
) -> None:
    content = {"query": document, "variables": {"idNumber": desk.applicant, "use": use(desk.case)}}
    recorded = len(desk.service.frames())
    monkeypatch.setattr(Ledger, "_write", _broken)
    withheld = desk.service.post(content, None, **who)
    assert withheld.status_code == 503
    assert codes(withheld.json()) == ["LEDGER_UNAVAILABLE"]
    assert "data" not in withheld.json()
    assert desk.service.examples.applicant.name not in withheld.text
    assert len(desk.service.frames()) == recorded
    monkeypatch.undo()
    assert desk.service.post(content, None, **who).status_code != 503
    assert len(desk.service.frames()) == recorded + 1


def test_service_answers_again_when_the_ledger_is_back(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(2):
        with monkeypatch.context() as broken:
            broken.setattr(Ledger, "_write", _broken)
            body = desk.service.person("householdRegistration { name }", desk.applicant, desk.case)
            assert codes(body) == ["LEDGER_UNAVAILABLE"]
        body = desk.service.person("householdRegistration { name }", desk.applicant, desk.case)
        assert body["data"]["person"]["householdRegistration"]["name"] == desk.service.examples.applicant.name
