"""Re-identification: nobody learns alone whose a hash is, and every step is on record first."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from audit.ledger import Ledger
from audit.store import StoreUnavailable
from audit.store_sql import SqlStore
from tests.service import Service, codes, use

REQUEST = "mutation($hash: String!, $reason: String!) { requestReidentification(hash: $hash, reason: $reason) { id state hash requestedBy approvedBy } }"
APPROVE = (
    "mutation($id: String!) { approveReidentification(id: $id) { entity identifier request { state approvedBy } } }"
)
REVEAL = "mutation($id: String!) { revealReidentification(id: $id) { entity identifier request { state } } }"
LIST = "{ reidentifications(first: 100) { id hash state requestedBy } }"
SUPERVISOR = "data-bureau"


@pytest.fixture
def now(service: Service) -> Iterator[list[timedelta]]:
    """How far the line's clock is ahead."""
    line, ahead = service.rooms.line, [timedelta()]
    before = line._clock
    line._clock = lambda: datetime.now(UTC) + ahead[0]
    yield ahead
    line._clock = before


@pytest.fixture(scope="module")
def case(service: Service) -> str:
    return service.accept("还原-1", ("APPLICANT", service.examples.applicant.identifier))


@pytest.fixture
def hashed(service: Service, case: str) -> Iterator[str]:
    """The applicant's hash, as `disclosures` tells it; what waits is approved behind the test."""
    service.person("householdRegistration { name }", service.examples.applicant.identifier, case)
    document = (
        "query($case: String!) { disclosures(filter: {case: $case}, first: 1) { edges { node { dataSubject } } } }"
    )
    found = service.ask(document, {"case": case}, role="auditor", department=SUPERVISOR)
    yield str(found["data"]["disclosures"]["edges"][0]["node"]["dataSubject"])
    for one in service.ask(LIST, {}, role="auditor", department=SUPERVISOR)["data"]["reidentifications"]:
        if one["state"] == "REQUESTED":
            approve(service, one["id"], subject="auditor-99")


def request(
    service: Service, hashed: str, subject: str = "auditor-01", department: str = "housing", **more: Any
) -> Any:
    given = {"hash": hashed, "reason": "投诉核查"} | more
    return service.ask(REQUEST, given, role="auditor", department=department, subject=subject)


def requested(service: Service, hashed: str, **who: str) -> str:
    body = request(service, hashed, **who)
    assert "errors" not in body, body
    return str(body["data"]["requestReidentification"]["id"])


def approve(
    service: Service, number: str, subject: str = "auditor-02", department: str = SUPERVISOR, role: str = "auditor"
) -> Any:
    return service.ask(APPROVE, {"id": number}, role=role, department=department, subject=subject)


def reveal(service: Service, number: str, subject: str = "auditor-01", department: str = "housing") -> Any:
    return service.ask(REVEAL, {"id": number}, role="auditor", department=department, subject=subject)


def test_two_persons_together_are_told_once_each(service: Service, hashed: str) -> None:
    applicant = service.examples.applicant.identifier
    number = requested(service, hashed)
    told = approve(service, number)["data"]["approveReidentification"]
    assert (told["entity"], told["identifier"]) == ("Person", applicant)
    assert told["request"] == {"state": "APPROVED", "approvedBy": "auditor-02"}
    assert codes(approve(service, number, subject="auditor-03")) == ["REIDENTIFICATION_STATE"]
    told = reveal(service, number)["data"]["revealReidentification"]
    assert (told["entity"], told["identifier"], told["request"]["state"]) == ("Person", applicant, "REVEALED")
    assert codes(reveal(service, number)) == ["REIDENTIFICATION_STATE"]


def test_each_step_is_on_record_before_it_takes_effect(service: Service, hashed: str) -> None:
    number = requested(service, hashed)
    approve(service, number)
    reveal(service, number)
    steps = [f for f in service.frames() if f["fields"] and "Reidentification" in f["fields"][0]][-6:]
    names = ("requestReidentification", "approveReidentification", "revealReidentification")
    assert [(f["fields"][0], f["outcome"]) for f in steps] == [
        (name, outcome) for name in names for outcome in ("attempted", "answered")
    ]
    assert all(hashed in node["others"] for frame in steps for node in frame["nodes"])
    assert service.examples.applicant.identifier not in str(steps)


@pytest.mark.parametrize("step", ["approve", "reveal"])
def test_nobody_is_told_what_cannot_be_put_on_record(
    service: Service, hashed: str, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    number = requested(service, hashed)
    if step == "reveal":
        approve(service, number)
    ask = {"approve": approve, "reveal": reveal}[step]
    with monkeypatch.context() as broken:
        broken.setattr(Ledger, "_write", lambda *_: (_ for _ in ()).throw(OSError("full")))
        body = ask(service, number)
    assert codes(body) == ["LEDGER_UNAVAILABLE"]
    assert service.examples.applicant.identifier not in str(body)
    assert "errors" not in ask(service, number)  # it had not taken effect


def test_nobody_approves_their_own_request_in_whatever_department(service: Service, hashed: str) -> None:
    number = requested(service, hashed)
    assert codes(approve(service, number, subject="auditor-01")) == ["REIDENTIFICATION_OWN"]
    assert codes(reveal(service, number)) == ["REIDENTIFICATION_STATE"]  # nor is told without one


@pytest.mark.parametrize(
    ("role", "department"),
    [("officer", SUPERVISOR), ("clerk", SUPERVISOR), ("developer", SUPERVISOR), ("auditor", "housing")],
)
def test_only_auditors_of_the_supervising_department_approve(
    service: Service, hashed: str, role: str, department: str
) -> None:
    number = requested(service, hashed)
    assert codes(approve(service, number, role=role, department=department)) == ["ROLE_REQUIRED"]


@pytest.mark.parametrize("role", ["officer", "clerk", "developer"])
def test_only_auditors_ask(service: Service, hashed: str, role: str) -> None:
    body = service.ask(REQUEST, {"hash": hashed, "reason": "x"}, role=role, department=SUPERVISOR)
    assert codes(body) == ["ROLE_REQUIRED"]
    assert codes(service.ask(LIST, {}, role=role, department=SUPERVISOR)) == ["ROLE_REQUIRED"]


def test_only_whoever_asked_is_told_after_the_approval(service: Service, hashed: str) -> None:
    number = requested(service, hashed)
    approve(service, number)
    assert codes(reveal(service, number, subject="auditor-04")) == ["REIDENTIFICATION_UNKNOWN"]
    assert codes(reveal(service, number, subject="auditor-02", department=SUPERVISOR)) == ["REIDENTIFICATION_UNKNOWN"]


def test_a_request_that_waits_is_not_made_twice(service: Service, hashed: str) -> None:
    requested(service, hashed)
    assert codes(request(service, hashed)) == ["REIDENTIFICATION_STATE"]
    assert codes(request(service, hashed, subject="auditor-05", department=SUPERVISOR)) == ["REIDENTIFICATION_STATE"]


def test_a_request_expires_after_a_day_and_an_approval_after_a_quarter_of_an_hour(
    service: Service, hashed: str, now: list[timedelta]
) -> None:
    number = requested(service, hashed)
    now[0] = timedelta(hours=24)
    assert codes(approve(service, number)) == ["REIDENTIFICATION_STATE"]
    again = requested(service, hashed)
    assert "errors" not in approve(service, again)
    now[0] += timedelta(minutes=15)
    assert codes(reveal(service, again)) == ["REIDENTIFICATION_STATE"]


def test_what_there_is_not_is_refused_with_a_code(service: Service, hashed: str) -> None:
    for unknown in ("ab:12", hashed[:-1], hashed.upper(), f"{hashed}0"):
        assert codes(request(service, unknown)) == ["IDENTITY_UNKNOWN"]
    for id_ in ("R999999", "G1", "R", "1"):
        assert codes(approve(service, id_)) == ["REIDENTIFICATION_UNKNOWN"]
        assert codes(reveal(service, id_)) == ["REIDENTIFICATION_UNKNOWN"]
    assert codes(request(service, hashed, reason=" ")) == ["REIDENTIFICATION_INVALID"]


def test_auditors_of_other_departments_see_their_own_requests_only(service: Service, hashed: str) -> None:
    number = requested(service, hashed, subject="auditor-06")
    seen = {
        subject: [
            one["id"]
            for one in service.ask(LIST, {}, role="auditor", department=department, subject=subject)["data"][
                "reidentifications"
            ]
        ]
        for subject, department in (("auditor-06", "housing"), ("auditor-07", "housing"), ("auditor-08", SUPERVISOR))
    }
    assert number in seen["auditor-06"]
    assert seen["auditor-07"] == []
    assert number in seen["auditor-08"]


def test_everybody_whom_a_frame_names_can_be_identified_and_the_store_does_not_tell(
    service: Service, case: str
) -> None:
    applicant = service.examples.applicant.identifier
    relations = "householdRegistration { name } representedOrganizations { unifiedSocialCreditCode }"
    body = service.person(relations, applicant, case)
    assert body["data"]["person"]["representedOrganizations"]
    named = {
        one
        for frame in service.frames()
        for node in frame["nodes"]
        for one in (*node["others"], *(one for ones in node["groups"].values() for one in ones))
        if one
    }
    recorder = service.rooms.line.recorder
    for one in named:
        whose = recorder.identities.opened(recorder.ledger, one)
        assert whose
        assert recorder.hashes.of(*whose) == one
    place = Path(service.settings.ledger.url.removeprefix("sqlite:///"))
    content = b"".join(file.read_bytes() for file in place.parent.glob(f"{place.name}*"))
    assert applicant.encode() not in content


def test_no_data_leaves_when_whose_it_was_cannot_be_kept(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    spouse = service.examples.spouse.identifier
    case = service.accept("还原-2", ("APPLICANT", spouse))
    recorder, recorded = service.rooms.line.recorder, len(service.frames())
    monkeypatch.setattr(recorder.identities, "_known", set())  # as after a start

    def full(*_: object) -> None:
        raise StoreUnavailable from sqlite3.OperationalError("database or disk is full")

    with monkeypatch.context() as broken:
        broken.setattr(SqlStore, "keep_identities", full)
        body = service.person("householdRegistration { name }", spouse, case)
    assert codes(body) == ["LEDGER_UNAVAILABLE"]
    assert len(service.frames()) == recorded
    assert "errors" not in service.person("householdRegistration { name }", spouse, case)


def test_an_identity_is_written_once(service: Service, case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[Any] = []
    monkeypatch.setattr(SqlStore, "keep_identities", lambda _, sealed: written.append(sealed))
    for _ in range(3):
        document = "query($id: CitizenIdNumber!, $use: UseInput!) { person(idNumber: $id, use: $use) { householdRegistration { name } } }"
        service.ask(document, {"id": service.examples.applicant.identifier, "use": use(case)})
    assert written == []
