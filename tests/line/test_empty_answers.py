"""Null, empty list, unknown person: each kind of empty answer means one thing."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest

from tests.line.desk import STRANGER, Desk
from tests.service import codes, paths


def test_resource_without_an_allowed_item_is_null_and_never_a_list(desk: Desk) -> None:
    for who in ("applicant", "child"):
        body = desk.service.person(
            "sealedJuvenileRecords { caseNumber } studentRecords { __typename } adoptionRegistrations { authority }",
            desk.names[who],
            desk.case,
        )
        assert body["data"]["person"] == {
            "sealedJuvenileRecords": None,
            "studentRecords": None,
            "adoptionRegistrations": None,
        }


def test_allowed_resource_without_records_is_an_empty_list_or_null(desk: Desk) -> None:
    body = desk.service.person("marriageRegistrations { name } housingFund { name }", desk.names["child"], desk.case)
    assert body["data"]["person"] == {"marriageRegistrations": [], "housingFund": None}
    assert "errors" not in body


def test_unknown_person_is_told_to_who_may_read_the_register(desk: Desk) -> None:
    body = desk.service.person("householdRegistration { name }", STRANGER, desk.names["case_stranger"])
    assert (codes(body), paths(body)) == (["ENTITY_UNKNOWN"], ["person.householdRegistration"])


@pytest.mark.parametrize("selection", ["householdRegistration { name }", "householdRegistration { __typename }"])
def test_unknown_person_is_not_told_without_the_register(desk: Desk, selection: str) -> None:
    known = desk.service.person(f"{selection} housingFund {{ name }}", desk.applicant, desk.names["case_fund"])
    unknown = desk.service.person(f"{selection} housingFund {{ name }}", STRANGER, desk.names["case_fund_stranger"])
    assert codes(known) == codes(unknown) == ["FIELD_DENIED"]
    assert known["errors"] == unknown["errors"]
    assert unknown["data"]["person"]["householdRegistration"] is None


def test_unknown_person_is_not_told_by_other_resources(desk: Desk) -> None:
    body = desk.service.person(
        "housingFund { name } marriageRegistrations { name }", STRANGER, desk.names["case_stranger"]
    )
    assert body["data"]["person"] == {"housingFund": None, "marriageRegistrations": []}
    assert "errors" not in body


def test_each_unknown_person_of_a_list_is_told_at_its_place(desk: Desk) -> None:
    case = desk.service.accept("LIST-1", ("APPLICANT", desk.applicant), ("SPOUSE", STRANGER))
    body = desk.service.ask(
        "query($ids: [CitizenIdNumber!]!, $use: UseInput!)"
        " { persons(idNumbers: $ids, use: $use) { householdRegistration { name } } }",
        {"ids": [STRANGER, desk.applicant], "use": {"purpose": "ADMINISTRATIVE_BASIS", "basis": {"case": case}}},
    )
    assert paths(body) == ["persons.0.householdRegistration"]
    assert body["data"]["persons"][0] == {"householdRegistration": None}
    assert body["data"]["persons"][1]["householdRegistration"]["name"]


def test_no_identifiers_give_an_empty_list(desk: Desk) -> None:
    body = desk.service.ask(
        "query($use: UseInput!) { persons(idNumbers: [], use: $use) { householdRegistration { name } } }",
        {"use": {"purpose": "ADMINISTRATIVE_BASIS", "basis": {"case": desk.case}}},
    )
    assert body["data"] == {"persons": []}


def test_row_under_a_15_digit_number_is_found_by_the_18_digit_one(desk: Desk) -> None:
    legacy = desk.applicant[:6] + desk.applicant[8:17]
    with closing(sqlite3.connect(desk.database("civil-affairs"))) as source:
        stored = source.execute(
            "SELECT gmsfhm FROM hydj_xx WHERE gmsfhm IN (?, ?)", (legacy, desk.applicant)
        ).fetchall()
    assert (legacy,) in stored
    body = desk.service.person("marriageRegistrations { idNumber maritalStatus }", desk.applicant, desk.case)
    found = body["data"]["person"]["marriageRegistrations"]
    assert len(found) == len(stored)
    assert {one["idNumber"] for one in found} == {desk.applicant}


def test_case_opened_with_a_15_digit_number_covers_the_18_digit_one(desk: Desk) -> None:
    legacy = desk.applicant[:6] + desk.applicant[8:17]
    case = desk.service.accept("LEGACY-1", ("APPLICANT", legacy))
    for number in (legacy, desk.applicant):
        body = desk.service.person("idNumber housingFund { name }", number, case)
        assert body["data"]["person"]["idNumber"] == desk.applicant
        assert body["data"]["person"]["housingFund"]["name"]
