"""The materials of a case: what need not be submitted, what must be, and why something is missing."""

from __future__ import annotations

from typing import Any

import pytest

from connectors.contract import Request, Rows, SourceError
from resolvers.prefill import parts_of
from schema.catalogue import Purpose
from schema.load import load_catalogue
from tests.line.desk import STRANGER, Desk, statements
from tests.service import ROOT

MATERIALS = """query($number: String!) { case(number: $number) { materials {
  title basis purpose role maskedIdentifier status
  records { resource title provider updatedAt fetchedAt items { item title value } }
  obstacles { code item reason { zh } next { en } ruleId } } } }"""
SHIPPED = load_catalogue(ROOT / "catalogue")


def materials(desk: Desk, number: str, **caller: str) -> list[dict[str, Any]]:
    body = desk.service.ask(MATERIALS, {"number": number}, **caller)
    assert "errors" not in body, body["errors"]
    found: list[dict[str, Any]] = body["data"]["case"]["materials"]
    return found


def of(found: list[dict[str, Any]], title: str, role: str | None = "APPLICANT") -> dict[str, Any]:
    (one,) = (m for m in found if m["title"].startswith(title) and m["role"] == role)
    return one


def values(material: dict[str, Any], resource: str) -> dict[str, str | None]:
    return {
        i["item"].partition(".")[2]: i["value"]
        for r in material["records"]
        if r["resource"] == resource
        for i in r["items"]
    }


class _Dead:
    """A source that cannot be reached."""

    async def fetch(self, request: Request) -> Rows:
        raise SourceError("SOURCE_UNAVAILABLE")


def test_what_a_department_holds_need_not_be_submitted(desk: Desk) -> None:
    material = of(materials(desk, desk.case), "居民身份证")
    assert (material["status"], material["purpose"]) == ("OBTAINED", "ADMINISTRATIVE_BASIS")
    assert values(material, "HouseholdRegistration")["name"] == desk.service.examples.applicant.name
    assert material["records"][0]["provider"] == "咸宁市公安局"
    assert material["records"][0]["updatedAt"]
    assert material["basis"].startswith("《公共租赁住房管理办法》")


def test_an_item_that_is_denied_is_told_beside_what_was_obtained(desk: Desk) -> None:
    material = of(materials(desk, desk.case), "居民身份证")
    assert [(o["code"], o["item"]) for o in material["obstacles"]] == [("FIELD_DENIED", "HouseholdRegistration.photo")]
    assert values(material, "HouseholdRegistration")["photo"] is None


def test_codes_are_told_by_their_titles(desk: Desk) -> None:
    material = of(materials(desk, desk.case), "结婚证")
    assert values(material, "MarriageRegistration")["maritalStatus"] == "已婚"


def test_each_subject_of_the_case_has_materials_of_its_own(desk: Desk) -> None:
    found = materials(desk, desk.case)
    assert {m["role"] for m in found if m["title"].startswith("居民身份证")} == {"APPLICANT", "SPOUSE", "CHILD"}
    spouse = of(found, "居民身份证", "SPOUSE")
    assert values(spouse, "HouseholdRegistration")["name"] == desk.service.examples.spouse.name
    assert desk.names["spouse"] not in str(spouse["maskedIdentifier"])


def test_what_a_relation_leads_to_replaces_a_material_too(desk: Desk) -> None:
    body = desk.service.ask(
        "query($id: CitizenIdNumber!, $case: String!) { person(idNumber: $id, use: {purpose: ADMINISTRATIVE_BASIS, basis: {case: $case}})"
        " { ownedRealEstate { realEstateRegistration { location } } } }",
        {"id": desk.applicant, "case": desk.case},
    )
    owned = [one["realEstateRegistration"]["location"] for one in body["data"]["person"]["ownedRealEstate"]]
    material = of(materials(desk, desk.case), "住房情况证明")
    told = [
        i["value"] for r in material["records"] for i in r["items"] if i["item"] == "RealEstateRegistration.location"
    ]
    assert sorted(told) == sorted(owned)
    assert material["status"] == ("OBTAINED" if owned else "NOT_FOUND")


def test_what_is_not_found_is_told_as_such(desk: Desk) -> None:
    found = materials(desk, desk.names["case_stranger"])
    assert {m["status"] for m in found if m["purpose"] == "ADMINISTRATIVE_BASIS"} == {"NOT_FOUND"}
    assert STRANGER not in str(found)


def test_what_nobody_holds_must_be_submitted_and_verification_waits_for_the_form(desk: Desk) -> None:
    case = desk.service.accept(
        "TQ-1", ("APPLICANT", desk.applicant), service="421200-GJ-FW-0001", department="housing-fund"
    )
    found = materials(desk, case, department="housing-fund")
    contract = of(found, "购房合同", None)
    assert (contract["status"], contract["records"], contract["purpose"]) == ("MUST_SUBMIT", [], None)
    assert of(found, "申报的姓名", None)["status"] == "TO_VERIFY"


def test_what_is_not_authorised_says_what_to_apply_for(desk: Desk) -> None:
    case = desk.service.accept(
        "TQ-2", ("APPLICANT", desk.applicant), service="421200-GJ-FW-0001", department="housing-fund"
    )
    material = of(materials(desk, case, department="housing-fund"), "公共租赁住房保障情况")
    assert (material["status"], material["records"]) == ("NOT_AUTHORISED", [])
    assert {o["item"] for o in material["obstacles"]} == {
        f"HousingSecurity.{i}" for i in ("status", "monthlyRent", "startedOn")
    }
    assert {o["ruleId"] for o in material["obstacles"]} == {"DENY/CLASS/CONDITIONAL"}
    assert all("apply" in o["next"]["en"].lower() for o in material["obstacles"])


def test_a_source_that_is_down_costs_its_own_materials_only(desk: Desk) -> None:
    before = {(m["title"], m["role"]): m["status"] for m in materials(desk, desk.case)}
    with desk.replaced(_Dead(), "housing-fund"):  # type: ignore[arg-type]
        after = {(m["title"], m["role"]): m["status"] for m in materials(desk, desk.case)}
    changed = {title for (title, role), status in after.items() if status != before[title, role]}
    assert changed == {"住房公积金缴存证明"}
    assert after["住房公积金缴存证明", "APPLICANT"] == "SOURCE_UNAVAILABLE"


def test_work_reference_is_masked_as_in_every_look_up(desk: Desk) -> None:
    material = of(materials(desk, desk.case), "申请表的预填")
    assert "*" in (values(material, "HouseholdRegistration")["idNumber"] or "")


def test_a_resource_is_asked_once_for_all_subjects_and_materials_of_a_purpose(desk: Desk) -> None:
    desk.fetches.clear()
    materials(desk, desk.case)
    asked = [request.resource.name for _, request in desk.fetches]
    service = SHIPPED.services["421200-ZJ-FW-0001"]
    purposes = {
        (use.coordinate.partition(".")[0], material.purpose)
        for material in service.materials
        if material.purpose is not Purpose.DATA_VERIFICATION
        for use in material.uses
    }
    relations = 2  # owned real estate and represented organizations are followed before they are read
    assert len(asked) == len(purposes) + relations


def test_every_value_of_a_material_is_on_record(desk: Desk) -> None:
    ledger = desk.service.rooms.ledger
    before = ledger.head()
    found = materials(desk, desk.names["case_alone"])
    frames = [frame.frame.decode() for frame in ledger.read(before, 100)]
    assert any('"path":"case"' in frame and '"path":"materials"' in frame for frame in frames)
    told = {record["resource"] for material in found for record in material["records"]}
    assert told
    assert all(any(f'"resource":"{name}"' in frame for frame in frames) for name in told)


def test_a_case_that_is_not_open_has_no_materials(desk: Desk) -> None:
    for name in ("case_closed", "case_expired"):
        body = desk.service.ask(MATERIALS, {"number": desk.names[name]})
        assert body["data"]["case"]["materials"] is None
        assert body["errors"][0]["extensions"]["code"] == "CASE_UNKNOWN"


def test_another_department_learns_nothing_of_a_case(desk: Desk) -> None:
    body = desk.service.ask(MATERIALS, {"number": desk.case}, department="market-supervision")
    assert body["data"]["case"] is None


def test_one_operation_asks_for_the_materials_of_few_cases_only(desk: Desk) -> None:
    roots = " ".join(f'c{n}: case(number: "{desk.case}") {{ materials {{ status }} }}' for n in range(6))
    with statements():
        body = desk.service.ask(f"{{ {roots} }}", {})
    codes = [error["extensions"]["code"] for error in body["errors"]]
    assert codes == ["QUERY_TOO_EXPENSIVE"]


@pytest.mark.parametrize("service", SHIPPED.services.values(), ids=lambda one: one.name)
def test_every_item_that_replaces_a_material_is_reached(service: Any) -> None:
    reached = {
        (part.material, f"{part.resource.name}.{item}") for part in parts_of(service, SHIPPED) for item in part.items
    }
    wanted = {
        (number, use.coordinate)
        for number, material in enumerate(service.materials)
        if material.purpose is not Purpose.DATA_VERIFICATION
        for use in material.uses
    }
    assert wanted - reached == set()
