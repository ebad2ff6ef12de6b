"""Auditors' questions to the whole service: what they find, who may ask, and what is refused with a code."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from schema.formats import CHINA
from tests.service import Service, codes

FIND = """query($filter: DisclosureFilter, $first: Int, $after: String) {
  disclosures(filter: $filter, first: $first, after: $after) {
    edges { cursor node { operationId subject department case dataSubject lines { resource item outcome } } }
    pageInfo { hasNextPage hasPreviousPage endCursor }
    indexedThrough
    recordedThrough
  }
}"""
PATTERNS = """query($month: String!) { auditPatterns(month: $month) {
  moreApplicantsThanCases { subject } lookedUpAgain { subject } outsideHours { subject }
  topUsers { activity { subject department records } peers } indexedThrough recordedThrough
} }"""
STATISTICS = """query($month: String!) { auditStatistics(month: $month) {
  departments { department records users used refused shared withheld freshness { resource title updateCycle records averageDays } }
  indexedThrough recordedThrough
} }"""


def as_auditor(service: Service, document: str, **asked: Any) -> dict[str, Any]:
    return service.ask(document, asked, role="auditor", department="data-bureau")


def month() -> str:
    return f"{datetime.now(CHINA):%Y-%m}"


@pytest.fixture
def case(service: Service) -> str:
    number = f"AUDIT-{len(service.frames())}"
    service.accept(number, ("APPLICANT", service.examples.applicant.identifier))
    service.person("householdRegistration { name photo }", service.examples.applicant.identifier, number)
    return number


def test_an_auditor_finds_who_saw_which_item_of_whom(service: Service, case: str) -> None:
    who = {"entity": "Person", "identifier": service.examples.applicant.identifier}
    asked = {"dataSubject": who, "case": case, "item": "HouseholdRegistration.name", "outcome": "RETURNED"}
    found = as_auditor(service, FIND, filter=asked, first=10)["data"]["disclosures"]
    (edge,) = found["edges"]
    assert (edge["node"]["subject"], edge["node"]["department"], edge["node"]["case"]) == ("clerk-01", "housing", case)
    assert edge["node"]["lines"] == [{"resource": "HouseholdRegistration", "item": "name", "outcome": "RETURNED"}]
    assert found["indexedThrough"] >= found["recordedThrough"] > 0
    assert who["identifier"] not in str(found)


def test_pages_follow_each_other(service: Service, case: str) -> None:
    whole = as_auditor(service, FIND, filter={"case": case}, first=100)["data"]["disclosures"]["edges"]
    assert len(whole) > 2
    seen: list[Any] = []
    after = None
    while True:
        page = as_auditor(
            service, FIND, filter={"case": case, "until": "2100-01-01", "department": "housing"}, first=1, after=after
        )
        page = page["data"]["disclosures"]
        seen += page["edges"]
        assert page["pageInfo"]["hasPreviousPage"] is (after is not None)
        after = page["pageInfo"]["endCursor"]
        if not page["pageInfo"]["hasNextPage"]:
            break
    assert [edge["node"] for edge in seen] == [one["node"] for one in whole if one["node"]["department"] == "housing"]


def test_a_cursor_tells_nothing_and_serves_nobody_elses_question(service: Service, case: str) -> None:
    page = as_auditor(service, FIND, filter={"case": case}, first=1)["data"]["disclosures"]
    cursor = page["pageInfo"]["endCursor"]
    assert cursor == page["edges"][0]["cursor"]
    assert "." not in cursor
    for asked in (
        {"filter": {"case": case, "department": "housing"}},
        {"filter": {"case": case}, "subject": "auditor-02"},
        {"filter": {"case": case}, "cursor": cursor[:-2] + "AA"},
    ):
        subject = str(asked.pop("subject", "auditor-01"))
        given = {"first": 1, "after": cursor} | {
            "after" if name == "cursor" else name: one for name, one in asked.items()
        }
        body = service.ask(FIND, given, role="auditor", department="data-bureau", subject=subject)
        assert codes(body) == ["PAGE_INVALID"]
    assert "errors" not in as_auditor(service, FIND, filter={"case": case}, first=1, after=cursor)


def test_it_is_on_record_who_asked_the_ledger_about_whom(service: Service, case: str) -> None:
    person = {"entity": "Person", "identifier": service.examples.applicant.identifier}
    asked = {"dataSubject": person, "department": "housing", "subject": "clerk-01", "case": case, "outcome": "DENIED"}
    as_auditor(service, FIND, filter=asked, first=10)
    (told,) = service.frames()[-1]["asked"]
    hashed = service.rooms.line.recorder.hashes.of("Person", person["identifier"])
    assert {name: told[name] for name in told if name != "digest"} == {
        "field": "disclosures", "subject": "clerk-01", "department": "housing", "case": case, "dataSubject": hashed,
    }  # fmt: skip
    assert service.frames()[-1]["nodes"][0]["others"] == [hashed]
    as_auditor(service, FIND, filter=asked, first=3)
    as_auditor(service, FIND, filter=asked | {"outcome": "RETURNED"}, first=3)
    same, other = (one["asked"][0]["digest"] for one in service.frames()[-2:])
    assert same == told["digest"] != other
    as_auditor(service, PATTERNS, month="2026-11")
    (told,) = service.frames()[-1]["asked"]
    assert (told["field"], told["month"]) == ("auditPatterns", "2026-11")


def test_only_questions_to_the_ledger_say_what_was_asked(service: Service, case: str) -> None:
    service.person("householdRegistration { name }", service.examples.applicant.identifier, case)
    assert "asked" not in service.frames()[-1]


@pytest.mark.parametrize("role", ["clerk", "developer", "officer"])
@pytest.mark.parametrize(
    "document",
    [
        FIND,
        PATTERNS.replace("$month: String!", '$month: String = "2026-11"'),
        STATISTICS.replace("$month: String!", '$month: String = "2026-11"'),
    ],
    ids=["disclosures", "patterns", "statistics"],
)
def test_nobody_but_an_auditor_reads_the_ledger(service: Service, case: str, role: str, document: str) -> None:
    body = service.ask(document, {"first": 5} if document is FIND else {}, role=role, department="data-bureau")
    assert codes(body) == ["ROLE_REQUIRED"]
    assert set(body["data"].values()) == {None}


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        ({}, "RANGE_UNBOUNDED"),
        ({"filter": {"since": "2026-11-01T00:00:00Z"}}, "RANGE_UNBOUNDED"),
        ({"filter": {"since": "2026-11-02T00:00:00Z", "until": "2026-11-01T00:00:00Z"}, "first": 5}, "RANGE_INVALID"),
        ({"filter": {"since": "2026-11-02T00:00:00Z", "until": "2026-11-02T08:00:00"}, "first": 5}, "RANGE_INVALID"),
        ({"first": 0}, "PAGE_INVALID"),
        ({"first": 501}, "PAGE_INVALID"),
        ({"first": 5, "after": "x"}, "PAGE_INVALID"),
        ({"first": 5, "after": "9" * 40}, "PAGE_INVALID"),
        ({"first": 5, "filter": {"item": "name"}}, "VARIABLES_INVALID"),
        ({"first": 5, "filter": {"resource": "A", "item": "B.name"}}, "VARIABLES_INVALID"),
        (
            {"first": 5, "filter": {"dataSubject": {"entity": "Person", "identifier": "421202199001011230"}}},
            "IDENTIFIER_INVALID",
        ),
        ({"first": 5, "filter": {"dataSubject": {"entity": "Nobody", "identifier": "1"}}}, "IDENTIFIER_INVALID"),
    ],
)
def test_a_wrong_question_is_refused_with_a_code_and_a_hint(service: Service, asked: dict[str, Any], code: str) -> None:
    body = as_auditor(service, FIND, **asked)
    assert codes(body) == [code]
    assert body["data"] == {"disclosures": None}
    assert body["errors"][0]["extensions"]["hint"]["zh"]
    assert "421202199001011230" not in str(body)


def test_a_bounded_range_needs_no_first(service: Service, case: str) -> None:
    asked = {"since": "2020-01-01T00:00:00Z", "until": "2100-01-01T00:00:00Z", "case": case}
    assert as_auditor(service, FIND, filter=asked)["data"]["disclosures"]["edges"]


@pytest.mark.parametrize("given", ["2026-13", "2026", "202611", "", "2026-11-01"])
@pytest.mark.parametrize("document", [PATTERNS, STATISTICS], ids=["patterns", "statistics"])
def test_a_month_that_is_none_is_refused(service: Service, document: str, given: str) -> None:
    assert codes(as_auditor(service, document, month=given)) == ["RANGE_INVALID"]


def test_patterns_and_statistics_count_what_was_asked(service: Service, case: str) -> None:
    found = as_auditor(service, PATTERNS, month=month())["data"]["auditPatterns"]
    assert ("clerk-01", "housing") in [
        (one["activity"]["subject"], one["activity"]["department"]) for one in found["topUsers"]
    ]
    assert found["indexedThrough"] >= found["recordedThrough"]
    before = _of(service, "housing")
    service.person("householdRegistration { name photo }", service.examples.applicant.identifier, case)
    after = _of(service, "housing")
    assert (after["records"] - before["records"], after["used"] - before["used"]) == (1, 1)
    assert after["refused"] - before["refused"] == 1
    provider = service.catalogue.resources["HouseholdRegistration"].department
    assert _of(service, provider)["shared"] > 0


def _of(service: Service, department: str) -> dict[str, Any]:
    rows = as_auditor(service, STATISTICS, month=month())["data"]["auditStatistics"]["departments"]
    (row,) = [row for row in rows if row["department"] == department]
    return dict(row)


def test_statistics_tell_how_old_the_records_were_that_were_shown(service: Service, case: str) -> None:
    register = service.catalogue.resources["HouseholdRegistration"]

    def age() -> tuple[int, float]:
        found = [one for one in _of(service, register.department)["freshness"] if one["resource"] == register.name]
        assert all((one["title"], one["updateCycle"]) == (register.title, register.update_cycle) for one in found)
        return (found[0]["records"], found[0]["averageDays"]) if found else (0, 0.0)

    (records, days), asked = age(), "householdRegistration { name provenance { updatedAt } }"
    shown = service.person(asked, service.examples.applicant.identifier, case)["data"]["person"][
        "householdRegistration"
    ]
    since = datetime.now(UTC) - datetime.fromisoformat(shown["provenance"]["updatedAt"])
    expected = (records * days + since.total_seconds() / 86_400) / (records + 1)
    found = age()
    assert found[0] == records + 1
    assert found[1] == pytest.approx(expected, abs=0.05)


def test_the_question_itself_is_on_record(service: Service, case: str) -> None:
    as_auditor(service, PATTERNS, month=month())
    found = as_auditor(service, FIND, filter={"item": "AuditLine.auditPatterns"}, first=1)["data"]["disclosures"]
    assert found["edges"][0]["node"]["department"] == "data-bureau"
