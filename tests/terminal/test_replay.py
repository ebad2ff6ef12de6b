"""`onesource audit replay`: from a record to what it is decided as again, without the service."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from audit.store import StoredFrame
from schema.formats import CHINA
from tests.line.officers import APPLY, DECIDE, PROVIDER, SUSPEND, USING, application, ask, ruling
from tests.service import Service, running, write_settings
from tests.terminal.conftest import Ran, Run

SELECTION = "householdRegistration { name photo }"


@dataclass
class Office:
    """A running service with two operations on record, the first of them under a grant, and the command beside it."""

    service: Service
    folder: Path
    run: Run
    operations: tuple[str, ...] = ()

    def replay(self, *arguments: object) -> Ran:
        return self.run("audit", "replay", *arguments, "--settings", self.folder / "onesource.toml")

    def told(self, *arguments: object) -> tuple[int, list[dict[str, Any]]]:
        """The exit code and the lines of JSON."""
        ran = self.replay("--json", *arguments)
        return ran.code, [json.loads(line) for line in ran.out.splitlines()]

    def altered(self, statement: str) -> None:
        connection = sqlite3.connect(self.folder / "demo" / "ledger.db", timeout=10)
        assert connection.execute(statement).rowcount
        connection.commit()
        connection.close()


@pytest.fixture
def office(city: Path, tmp_path: Path, run: Run) -> Iterator[Office]:
    with running(tmp_path, city) as service:
        applicant = service.examples.applicant.identifier
        grant = ask(service, APPLY, USING, input=application())
        ask(service, DECIDE, PROVIDER, input=ruling(grant))
        found = [
            service.person(SELECTION, applicant, service.accept(number, ("APPLICANT", applicant)))
            for number in ("重演-1", "重演-2")
        ]
        yield Office(service, tmp_path, run, tuple(body["extensions"]["operationId"] for body in found))


def test_everything_on_record_is_decided_as_it_was(office: Office) -> None:
    ran = office.replay()
    assert (ran.code, ran.err) == (0, "")
    assert "4 项决定 decisions, 0 项不一致 different" in ran.out
    assert office.told() == (
        0,
        [{"kind": "END", "operations": office.service.rooms.ledger.head(), "uses": 4, "different": 0, "undecided": {}}],
    )


def test_only_what_was_asked_for_is_decided_again(office: Office) -> None:
    tomorrow = (datetime.now(CHINA) + timedelta(days=1)).date()

    def counted(*arguments: object) -> tuple[int, int]:
        code, (end,) = office.told(*arguments)
        assert code == 0
        return end["operations"], end["uses"]

    assert counted("--operation", office.operations[0]) == (1, 2)
    assert counted("--case", "重演-2") == (3, 2)  # that it was accepted, attempted and done, and the look-up
    assert counted("--from", tomorrow) == (0, 0)
    assert counted("--until", "2026-01-01T00:00") == (0, 0)
    assert counted("--from", "2026-01-01", "--until", tomorrow)[1] == 4


@pytest.mark.parametrize(
    ("option", "value"), [("--from", "yesterday"), ("--until", "2026-13-01"), ("--operation", "none")]
)
def test_what_is_no_time_and_no_operation_is_wrong_use(office: Office, option: str, value: str) -> None:
    ran = office.replay(option, value)
    assert (ran.code, ran.out) == (2, "")
    assert value in ran.err or option in ran.err


def test_what_today_would_refuse_is_listed_with_today_only(office: Office) -> None:
    suspended = ask(
        office.service, SUSPEND, PROVIDER, input={"object": "HouseholdRegistration.photo", "reason": "核查"}
    )
    assert office.told()[0] == 0
    code, lines = office.told("--today")
    assert code == 0
    assert [(one["kind"], one.get("item"), one.get("replayed", {}).get("rule")) for one in lines] == [
        ("REFUSED_TODAY", "HouseholdRegistration.photo", f"SUSPENSION/{suspended['id']}"),
        ("REFUSED_TODAY", "HouseholdRegistration.photo", f"SUSPENSION/{suspended['id']}"),
        ("END", None, None),
    ]
    assert lines[0]["operation"] == office.operations[0]
    shown = office.replay("--today")
    assert "2 项今日将拒绝 would be refused today" in shown.out
    assert suspended["id"] in shown.out


@pytest.mark.parametrize(
    ("statement", "because"),
    [
        ("DELETE FROM policy_parts", "POLICY_MISSING"),
        (
            "DELETE FROM policy_parts WHERE length(part) = (SELECT max(length(part)) FROM policy_parts)",
            "POLICY_MISSING",
        ),
        ("UPDATE policy_parts SET part = substr(part, 1, length(part) - 1)", "POLICY_CHANGED"),
        ("UPDATE policy_parts SET part = (SELECT max(part) FROM policy_parts)", "POLICY_CHANGED"),
        ("UPDATE policy_parts SET part = 'text'", "POLICY_CHANGED"),
    ],
)
def test_an_archive_that_is_gone_or_changed_is_told(office: Office, statement: str, because: str) -> None:
    office.altered(statement)
    code, lines = office.told()
    assert code == 1
    assert {one["because"] for one in lines if one["kind"] == "UNDECIDED"} == {because}
    assert lines[-1]["undecided"] == {because: 2}
    shown = office.replay()
    assert shown.code == 1
    assert "✗ 2 条无法重演 not decided again" in shown.out


def test_a_frame_that_was_altered_is_shown(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    read = type(office.service.rooms.ledger.store).find

    def altered(self: Any, operation: str) -> Any:
        found = read(self, operation)
        assert found
        return StoredFrame(found.seq, found.frame.replace(b"GRANT/G1/", b"GRANT/G2/"))

    monkeypatch.setattr(type(office.service.rooms.ledger.store), "find", altered)
    ran = office.replay("--operation", office.operations[0])
    assert ran.code == 1
    assert "GRANT/G2/HouseholdRegistration.photo" in ran.out
    assert "GRANT/G1/HouseholdRegistration.photo" in ran.out
    assert "1 项不一致 different" in ran.out


def test_without_a_ledger_there_is_nothing_to_decide_again(tmp_path: Path, run: Run) -> None:
    ran = run("audit", "replay", "--settings", write_settings(tmp_path))
    assert (ran.code, ran.out) == (2, "")
