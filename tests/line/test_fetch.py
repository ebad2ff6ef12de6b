"""What is read at the sources: no column that is denied, nothing twice, one statement a department whatever the number of people."""

from __future__ import annotations

from typing import Any

import pytest

from demo.scene import QUERY
from tests.line.desk import Desk, statements
from tests.service import codes, paths, use

PERSON = "query($id: CitizenIdNumber!, $use: UseInput!%s) { person(idNumber: $id, use: $use) { %s } }"


def test_denied_column_is_never_fetched(desk: Desk) -> None:
    desk.fetches.clear()
    with statements() as sent:
        body = desk.service.person("householdRegistration { name photo priorRegion }", desk.applicant, desk.case)
    assert codes(body) == ["FIELD_DENIED", "FIELD_DENIED"]
    assert desk.selected() == {"HouseholdRegistration": {"name"}}
    (text,) = sent
    assert '."XM"' in text
    assert "XP" not in text
    assert "ZXQXZQH" not in text


def test_unasked_column_is_never_fetched(desk: Desk) -> None:
    with statements() as sent:
        desk.service.person("householdRegistration { sex }", desk.applicant, desk.case)
    (text,) = sent
    assert {column for column in ("XM", "XB", "MZ", "HJZT") if f'"{column}"' in text} == {"XB"}


@pytest.mark.parametrize(
    "selection", ["sealedJuvenileRecords { caseNumber }", "birthRegistration { __typename }", "mother { idNumber }"]
)
def test_resource_without_an_allowed_item_is_not_asked(desk: Desk, selection: str) -> None:
    with statements() as sent:
        body = desk.service.person(selection, desk.applicant, desk.case)
    assert codes(body) == ["FIELD_DENIED"]
    assert sent == []


@pytest.mark.parametrize("case", ["case_closed", "case_expired", "case_stranger"])
def test_refused_root_asks_no_department(desk: Desk, case: str) -> None:
    with statements() as sent:
        body = desk.service.ask(QUERY, {"idNumber": desk.applicant, "use": use(desk.names[case])})
    assert codes(body) == ["USE_DENIED"]
    assert sent == []


def test_five_departments_and_fifty_people_take_five_statements(desk: Desk) -> None:
    numbers = desk.numbers(50)
    case = desk.service.accept("FIFTY", *(("CHILD" if n else "APPLICANT", one) for n, one in enumerate(numbers)))
    document = QUERY.replace("$idNumber: CitizenIdNumber!", "$ids: [CitizenIdNumber!]!")
    document = document.replace("person(idNumber: $idNumber", "persons(idNumbers: $ids")
    with statements() as sent:
        body = desk.service.ask(document, {"ids": numbers, "use": use(case)})
    assert "errors" not in body
    assert len({person["householdRegistration"]["idNumber"] for person in body["data"]["persons"]}) == 50
    assert len(sent) == 5
    assert all(text.startswith("SELECT") for text in sent)


def test_two_roots_with_the_same_items_share_a_statement(desk: Desk) -> None:
    document = """query($a: CitizenIdNumber!, $b: CitizenIdNumber!, $use: UseInput!) {
      a: person(idNumber: $a, use: $use) { householdRegistration { name } }
      b: person(idNumber: $b, use: $use) { householdRegistration { name } }
    }"""
    with statements() as sent:
        body = desk.service.ask(document, {"a": desk.applicant, "b": desk.names["spouse"], "use": use(desk.case)})
    assert body["data"]["a"] != body["data"]["b"]
    assert len(sent) == 1


def _columns(desk: Desk, document: str, **variables: Any) -> dict[str, set[str]]:
    desk.fetches.clear()
    body = desk.service.ask(document, {"id": desk.applicant, "use": use(desk.case), **variables})
    assert "errors" not in body
    return desk.selected()


def test_include_and_skip_choose_the_columns_of_each_request(desk: Desk) -> None:
    document = PERSON % (
        ", $more: Boolean!, $less: Boolean = false",
        "householdRegistration { name sex @include(if: $more) town @skip(if: $less) }"
        " housingFund @include(if: $more) { accountStatus }",
    )
    for _ in range(2):  # the second round runs on the plans that the first has left
        assert _columns(desk, document, more=True) == {
            "HouseholdRegistration": {"name", "sex", "town"},
            "HousingFund": {"accountStatus"},
        }
        assert _columns(desk, document, more=False) == {"HouseholdRegistration": {"name", "town"}}
        assert _columns(desk, document, more=False, less=True) == {"HouseholdRegistration": {"name"}}


def test_include_on_fragments_chooses_columns_too(desk: Desk) -> None:
    document = PERSON % (
        ", $more: Boolean!",
        "...More @include(if: $more) ... @skip(if: $more) { housingFund { accountStatus } }",
    )
    document += " fragment More on Person { householdRegistration { name } }"
    assert _columns(desk, document, more=True) == {"HouseholdRegistration": {"name"}}
    assert _columns(desk, document, more=False) == {"HousingFund": {"accountStatus"}}
    assert _columns(desk, document, more=True) == {"HouseholdRegistration": {"name"}}


def test_denied_field_that_is_not_included_is_no_error(desk: Desk) -> None:
    document = PERSON % (", $photo: Boolean!", "householdRegistration { name photo @include(if: $photo) }")
    variables = {"id": desk.applicant, "use": use(desk.case)}
    assert "errors" not in desk.service.ask(document, {**variables, "photo": False})
    assert paths(desk.service.ask(document, {**variables, "photo": True})) == ["person.householdRegistration.photo"]
    assert "errors" not in desk.service.ask(document, {**variables, "photo": False})


def test_one_text_is_decided_anew_for_another_purpose_and_role(desk: Desk) -> None:
    document = PERSON % ("", "householdRegistration { idNumber ethnicGroup }")

    def asked(purpose: str, **who: str) -> Any:
        variables = {"id": desk.applicant, "use": use(desk.case, purpose)}
        return desk.service.ask(document, variables, **who)["data"]["person"]["householdRegistration"]

    for _ in range(2):
        assert asked("ADMINISTRATIVE_BASIS") == {"idNumber": desk.applicant, "ethnicGroup": "HAN"}
        assert asked("WORK_REFERENCE") == {"idNumber": "421***********" + desk.applicant[-4:], "ethnicGroup": None}
        assert asked("ADMINISTRATIVE_BASIS", role="officer") is None


def test_denied_field_of_many_rows_and_people_is_one_error(desk: Desk) -> None:
    document = """query($ids: [CitizenIdNumber!]!, $use: UseInput!) {
      persons(idNumbers: $ids, use: $use) { socialInsurance { insuranceType idNumber again: idNumber } }
    }"""
    ids = [desk.applicant, desk.names["spouse"]]
    body = desk.service.ask(document, {"ids": ids, "use": use(desk.case)})
    assert sum(len(person["socialInsurance"]) for person in body["data"]["persons"]) > 4
    assert paths(body) == ["persons.socialInsurance.idNumber", "persons.socialInsurance.again"]
    assert set(codes(body)) == {"FIELD_DENIED"}
