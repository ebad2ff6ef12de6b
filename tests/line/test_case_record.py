"""What is done with cases is on record: before it takes effect, with its number, its service item and its people."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from audit.ledger import Ledger, LedgerUnavailable
from tests.service import HOUSING, Service, codes, running, use

AUDIT = """query($case: String, $who: DataSubjectInput) {
  disclosures(first: 50, filter: {case: $case, dataSubject: $who}) { edges { node { lines { resource item outcome } } } }
}"""
ACCEPT = "mutation($input: AcceptCaseInput!) { acceptCase(input: $input) { number state } }"


def lines(service: Service, **asked: Any) -> list[tuple[str, str]]:
    page = service.ask(AUDIT, asked, role="auditor", department="data-bureau")["data"]["disclosures"]
    return [(line["item"], line["outcome"]) for edge in page["edges"] for line in edge["node"]["lines"]]


def test_an_auditor_finds_who_opened_a_case_for_whom(service: Service) -> None:
    applicant = service.examples.applicant.identifier
    service.accept("RECORD-1", ("APPLICANT", applicant))
    assert lines(service, case="RECORD-1") == [("acceptCase", "NAMED"), ("acceptCase", "ATTEMPTED")]
    of_person = lines(service, case="RECORD-1", who={"entity": "Person", "identifier": applicant})
    assert of_person == [("acceptCase", "NAMED"), ("acceptCase", "ATTEMPTED")]


def test_looking_at_a_case_and_closing_it_are_on_record(service: Service) -> None:
    service.accept("RECORD-2", ("APPLICANT", service.examples.spouse.identifier))
    service.ask('{ case(number: "RECORD-2") { state } }')
    service.ask('mutation { closeCase(number: "RECORD-2") { state } }')
    found = [item for item, _ in lines(service, case="RECORD-2")]
    assert found == ["closeCase", "closeCase", "case", "acceptCase", "acceptCase"]


def test_an_auditors_question_is_on_record_with_the_person_asked_about(service: Service) -> None:
    who = {"entity": "Person", "identifier": service.examples.deceased.identifier}
    lines(service, who=who)
    assert ("disclosures", "NAMED") in lines(service, who=who)


def test_a_case_is_neither_opened_nor_closed_while_the_ledger_cannot_be_written(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_number = service.accept("RECORD-3", ("APPLICANT", service.examples.spouse.identifier))
    subjects = [{"role": "APPLICANT", "identifier": service.examples.child.identifier, "basis": "本人申请"}]
    with monkeypatch.context() as patch:

        def refuse(*_: object) -> None:
            raise LedgerUnavailable

        patch.setattr(Ledger, "_write", refuse)
        opened = service.post(
            {"query": ACCEPT, "variables": {"input": {"number": "RECORD-4", "service": HOUSING, "subjects": subjects}}}
        )
        closed = service.post({"query": f'mutation {{ closeCase(number: "{open_number}") {{ state }} }}'})
    assert [opened.status_code, closed.status_code] == [503, 503]
    body = service.ask('{ a: case(number: "RECORD-3") { state } b: case(number: "RECORD-4") { state } }')
    assert body["data"] == {"a": {"state": "OPEN"}, "b": None}


def test_a_refused_root_without_any_item_names_its_person_in_the_ledger(service: Service) -> None:
    case = service.accept("RECORD-5", ("APPLICANT", service.examples.spouse.identifier))
    child = service.examples.child.identifier
    assert codes(service.person("idNumber", child, case)) == ["USE_DENIED"]
    (node,) = service.frames()[-1]["nodes"]
    assert (node["case"], node["rules"]) == ("RECORD-5", ["DENY/CASE/SUBJECT"])
    assert ("", "DENIED") in [
        (item or "", outcome) for item, outcome in lines(service, who={"entity": "Person", "identifier": child})
    ]


def test_a_case_number_of_any_length_adds_little_to_the_ledger(service: Service) -> None:
    document = "query($id: CitizenIdNumber!, $use: UseInput!) { " + " ".join(
        f"a{n}: person(idNumber: $id, use: $use) {{ householdRegistration {{ name }} }}" for n in range(40)
    )
    applicant = service.examples.applicant.identifier
    body = service.ask(document + " }", {"id": applicant, "use": use("x" * 400_000)})
    assert set(codes(body)) == {"USE_DENIED"}
    (stored,) = service.rooms.ledger.read(service.rooms.ledger.head() - 1, 1)
    assert len(stored.frame) < 40_000


def test_many_mutations_in_one_operation_are_refused(service: Service) -> None:
    closing = " ".join(f'a{n}: closeCase(number: "NONE-{n}") {{ state }}' for n in range(51))
    assert codes(service.ask(f"mutation {{ {closing} }}")) == ["QUERY_TOO_LARGE"]


def test_a_departments_own_database_outlives_a_rebuilt_city(city: Path, tmp_path: Path) -> None:
    with running(tmp_path, city) as service:
        folder = service.scene.city
        (folder / "parks.db").write_bytes(b"somebody's own")
        service.scene.build(service.catalogue, 300, 1, lambda *_: None)
        assert (folder / "parks.db").read_bytes() == b"somebody's own"
        assert service.scene.size() == (300, 1)


@pytest.mark.parametrize("written", ["{}", "GZF-{}"])
def test_an_acceptance_number_names_no_subject_for_the_ledger_shows_it(service: Service, written: str) -> None:
    applicant = service.examples.applicant.identifier
    subjects = [{"role": "APPLICANT", "identifier": applicant, "basis": "本人申请"}]
    asked = {"input": {"number": written.format(applicant), "service": HOUSING, "subjects": subjects}}
    assert codes(service.ask(ACCEPT, asked)) == ["CASE_INVALID"]
