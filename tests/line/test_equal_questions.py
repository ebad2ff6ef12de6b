"""Fragments, inline fragments, directives and merged fields are other ways to write one question, with one answer."""

from __future__ import annotations

import json

import pytest

from tests.line.desk import Desk
from tests.service import use

HEAD = "query($id: CitizenIdNumber!, $use: UseInput!) "
PLAIN = (
    HEAD + "{ p: person(idNumber: $id, use: $use) { r: householdRegistration { name s: sex photo }"
    " representedOrganizations { unifiedSocialCreditCode e: enterpriseRegistration { n: enterpriseName } } } }"
)
WAYS = {
    "named fragments": HEAD
    + """{ p: person(idNumber: $id, use: $use) { ...Who ...What } }
    fragment Who on Person { r: householdRegistration { ...Register } }
    fragment Register on HouseholdRegistration { name s: sex photo }
    fragment What on Person { representedOrganizations { ...Organisation } }
    fragment Organisation on Organization { unifiedSocialCreditCode e: enterpriseRegistration { n: enterpriseName } }""",
    "inline fragments": HEAD
    + """{ ... on Query { p: person(idNumber: $id, use: $use) { ... { r: householdRegistration { ... { name } s: sex
    ... on HouseholdRegistration { photo } } }
    representedOrganizations { ... { unifiedSocialCreditCode e: enterpriseRegistration { n: enterpriseName } } } } } }""",
    "merged fields": HEAD
    + """{ p: person(idNumber: $id, use: $use) { r: householdRegistration { name } }
    p: person(idNumber: $id, use: $use) { r: householdRegistration { name s: sex } r: householdRegistration { photo }
    representedOrganizations { unifiedSocialCreditCode }
    representedOrganizations { e: enterpriseRegistration { n: enterpriseName } } } }""",
    "constant directives": HEAD
    + """{ p: person(idNumber: $id, use: $use) { r: householdRegistration @include(if: true) { name s: sex photo town
    @skip(if: true) } representedOrganizations @skip(if: false) { unifiedSocialCreditCode e: enterpriseRegistration {
    n: enterpriseName } } mother @include(if: false) { idNumber } } }""",
    "nested aliases of the same names": PLAIN.replace(
        "representedOrganizations", "representedOrganizations: representedOrganizations"
    ),
    "values instead of variables": """{ p: person(idNumber: "%(id)s", use: {purpose: ADMINISTRATIVE_BASIS, basis: {case: "%(case)s"}})
    { r: householdRegistration { name s: sex photo }
    representedOrganizations { unifiedSocialCreditCode e: enterpriseRegistration { n: enterpriseName } } } }""",
}


@pytest.mark.parametrize("way", WAYS)
def test_every_way_to_ask_gives_the_same_answer(desk: Desk, way: str) -> None:
    variables = {"id": desk.applicant, "use": use(desk.case)}
    document = WAYS[way]
    if "%(id)s" in document:
        document = document % {"id": desk.applicant, "case": desk.case}
    wanted, found = (desk.service.ask(text, variables) for text in (PLAIN, document))
    assert wanted["data"]["p"]["r"]["s"] == "FEMALE"
    assert json.dumps(found["data"]) == json.dumps(wanted["data"])
    assert found["errors"] == wanted["errors"]


def test_identifier_is_found_however_it_is_written(desk: Desk) -> None:
    full_width = desk.applicant.translate({ord(str(n)): chr(0xFF10 + n) for n in range(10)})
    spaced = f" {desk.applicant[:6]} {desk.applicant[6:14]} {desk.applicant[14:]} "
    for written in (full_width, spaced):
        body = desk.service.person("idNumber householdRegistration { name }", written, desk.case)
        assert body["data"]["person"]["idNumber"] == desk.applicant
        assert body["data"]["person"]["householdRegistration"]["name"]
