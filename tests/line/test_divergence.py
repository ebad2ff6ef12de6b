"""One datum as several departments hold it, side by side, for whoever may see it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

from tests.line.desk import Desk

QUESTION = """query($item: String!, $identifier: String!, $use: UseInput!) {
  divergence(item: $item, identifier: $identifier, use: $use) {
    authority agrees held { item provider authoritative status values updatedAt differs obstacles { code item ruleId } } } }"""
NAME = "HouseholdRegistration.name"


def ask(desk: Desk, item: str = NAME, purpose: str = "ADMINISTRATIVE_BASIS", **changes: Any) -> dict[str, Any]:
    use = {"purpose": purpose, "basis": {"case": changes.pop("case", desk.case)}}
    identifier = changes.pop("identifier", desk.applicant)
    return desk.service.ask(QUESTION, {"item": item, "identifier": identifier, "use": use}, **changes)


def divergence(desk: Desk, item: str = NAME, **changes: Any) -> dict[str, Any]:
    body = ask(desk, item, **changes)
    assert "errors" not in body, body["errors"]
    found: dict[str, Any] = body["data"]["divergence"]
    return found


@pytest.fixture
def misspelt(desk: Desk) -> Iterator[str]:
    """The applicant's name as the housing fund has it wrong."""
    with closing(sqlite3.connect(desk.database("housing-fund"))) as fund:
        (table, name, number) = next(
            (r.table, r.items["name"].column, r.items["idNumber"].column)
            for r in desk.service.rooms.catalogue.resources.values()
            if r.name == "HousingFund"
        )
        ((before,),) = fund.execute(f"SELECT {name} FROM {table} WHERE {number} = ?", (desk.applicant,))
        with fund:
            fund.execute(f"UPDATE {table} SET {name} = '误记' WHERE {number} = ?", (desk.applicant,))
        yield "误记"
        with fund:
            fund.execute(f"UPDATE {table} SET {name} = ? WHERE {number} = ?", (before, desk.applicant))


def test_departments_that_hold_the_same_agree(desk: Desk) -> None:
    found = divergence(desk)
    assert (found["authority"], found["agrees"]) == (NAME, True)
    first, *others = found["held"]
    assert (first["authoritative"], first["values"], first["differs"]) == (
        True,
        [desk.service.examples.applicant.name],
        None,
    )
    assert {one["differs"] for one in others if one["values"]} == {False}


def test_a_department_that_holds_another_value_is_named(desk: Desk, misspelt: str) -> None:
    found = divergence(desk)
    assert found["agrees"] is False
    assert [(one["item"], one["values"]) for one in found["held"] if one["differs"]] == [
        ("HousingFund.name", [misspelt])
    ]


def test_any_of_the_items_leads_to_the_same_answer(desk: Desk) -> None:
    assert divergence(desk, "HousingFund.name") == divergence(desk)


def test_what_may_not_be_read_is_not_compared_and_says_why(desk: Desk) -> None:
    one = next(one for one in divergence(desk)["held"] if one["item"] == "HousingSecurity.name")
    assert (one["status"], one["values"], one["differs"]) == ("NOT_AUTHORISED", [], None)
    assert one["obstacles"][0]["ruleId"].startswith("DENY/")


def test_nothing_is_compared_under_a_basis_that_proves_nothing(desk: Desk, misspelt: str) -> None:
    found = divergence(desk, identifier=desk.names["stranger"])
    assert found["agrees"] is None
    assert {one["status"] for one in found["held"]} == {"NOT_AUTHORISED"}
    assert {tuple(one["values"]) for one in found["held"]} == {()}


def test_every_value_that_is_shown_is_on_record(desk: Desk) -> None:
    ledger = desk.service.rooms.ledger
    before = ledger.head()
    shown = {one["item"].partition(".")[0] for one in divergence(desk)["held"] if one["values"]}
    frames = [frame.frame.decode() for frame in ledger.read(before, 10)]
    assert all(any(f'"resource":"{name}"' in frame for frame in frames) for name in shown)
    assert any('"path":"divergence"' in frame for frame in frames)


@pytest.mark.parametrize(
    "item", ["Nothing.name", "HouseholdRegistration.nothing", "HouseholdRegistration", "", "EcologicalEnvironment.x"]
)
def test_an_item_that_is_none_is_an_error(desk: Desk, item: str) -> None:
    assert ask(desk, item)["errors"][0]["extensions"]["code"] == "RESOURCE_UNKNOWN"


def test_a_number_that_is_none_is_an_error_before_anybody_is_asked(desk: Desk) -> None:
    desk.fetches.clear()
    assert ask(desk, identifier="421202198403218930")["errors"][0]["extensions"]["code"] == "IDENTIFIER_INVALID"
    assert desk.fetches == []
