"""A relation leads to somebody else: what is seen there is what the rules allow of that person, and it is on record."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import Any

from connectors.contract import FetchRequest
from tests.line.desk import INSPECTION, Desk
from tests.service import codes, paths, use

UNITS = "query($units: [RealEstateUnitNumber!]!, $use: UseInput!) { realEstateUnits(unitNumbers: $units, use: $use) { %s } }"


def _ask(
    desk: Desk, case: str, units: list[str], selection: str, purpose: str = "ADMINISTRATIVE_BASIS"
) -> dict[str, Any]:
    return desk.service.ask(UNITS % selection, {"units": units, "use": use(case, purpose)})


def _other_unit(desk: Desk) -> tuple[str, str]:
    """A unit that belongs to somebody else than the applicant, and the owner's number."""
    items = desk.service.catalogue.resources["RealEstateRegistration"]
    unit, owner = items.items["unitNumber"].column, items.items["ownerIdNumber"].column
    with closing(sqlite3.connect(desk.database("natural-resources"))) as estates:
        row = estates.execute(
            f'SELECT "{unit}", "{owner}" FROM "{items.table}" WHERE "{owner}" <> ? AND length("{owner}") = 18 LIMIT 1',
            (desk.applicant,),
        ).fetchone()
    return row[0], row[1]


def test_each_reached_person_shows_what_the_own_class_allows(desk: Desk) -> None:
    unit, owner = _other_unit(desk)
    mine = desk.names["unit"]
    subjects = (("APPLICANT", mine), ("APPLICANT", unit), ("OWNER", desk.applicant))
    case = desk.service.accept("UNIT-2", *subjects, service=INSPECTION)
    body = _ask(desk, case, [mine, unit], "owner { idNumber householdRegistration { name town } }")
    subject, related = (one["owner"] for one in body["data"]["realEstateUnits"])
    assert (subject["idNumber"], related["idNumber"]) == (desk.applicant, owner)
    assert subject["householdRegistration"]["name"] is None
    assert subject["householdRegistration"]["town"]
    assert related["householdRegistration"]["name"]
    assert related["householdRegistration"]["town"] is None
    assert sorted(paths(body)) == [f"realEstateUnits.owner.householdRegistration.{name}" for name in ("name", "town")]


def test_columns_of_one_class_are_not_read_of_the_other(desk: Desk) -> None:
    unit, owner = _other_unit(desk)
    case = desk.service.accept("UNIT-3", ("APPLICANT", unit), ("APPLICANT", desk.names["unit"]), service=INSPECTION)
    desk.fetches.clear()
    _ask(desk, case, [unit, desk.names["unit"]], "owner { householdRegistration { name town } }")
    looked_up = [request for _, request in desk.fetches if isinstance(request, FetchRequest)]
    asked = {request.keys: request.columns for request in looked_up if request.resource.name.startswith("House")}
    assert asked == {tuple(sorted([owner, desk.applicant])): ("name",)}


def test_mask_holds_for_the_identifier_of_a_reached_entity(desk: Desk) -> None:
    selection = "owner { number: idNumber } realEstateRegistration { ownerIdNumber }"
    body = _ask(desk, desk.names["case_unit"], [desk.names["unit"]], selection, "WORK_REFERENCE")
    (unit,) = body["data"]["realEstateUnits"]
    masked = f"421***********{desk.applicant[-4:]}"
    assert unit == {"owner": {"number": masked}, "realEstateRegistration": {"ownerIdNumber": masked}}


def test_everybody_whose_number_was_told_is_on_record(desk: Desk) -> None:
    _ask(desk, desk.names["case_unit"], [desk.names["unit"]], "owner { idNumber }")
    whose = desk.service.rooms.line.recorder.hashes.of("Person", desk.applicant)
    nodes = desk.service.frames()[-1]["nodes"]
    assert any(whose in group for node in nodes for group in (*node["groups"].values(), node["others"]))


def test_nothing_is_reached_through_a_denied_relation(desk: Desk) -> None:
    desk.fetches.clear()
    body = desk.service.person(
        "mother { householdRegistration { name } } householdRegistration { town }", desk.applicant, desk.case
    )
    assert body["data"]["person"]["mother"] is None
    assert (codes(body), paths(body)) == (["FIELD_DENIED"], ["person.mother"])
    assert desk.selected() == {"HouseholdRegistration": {"town"}}
