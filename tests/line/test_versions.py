"""Versions: what a frame says of the state of each record that was shown, and how relations and searches are recalled."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest

from audit.frame import SubjectHash, shown_of
from connectors.contract import INVALID, Row
from resolvers.versions import changed_at, of_rows, version_of, written
from schema.formats import CHINA
from tests.line.desk import Desk
from tests.line.test_recall import READERS
from tests.service import use

AT = datetime(2026, 11, 1, 8, 30, 15, 250, CHINA)
EVER = {"since": "1950-01-01T00:00:00", "until": None}


def row(*values: Any, updated: datetime | None = None) -> Row:
    return Row("421202199001011234", updated, values)


@pytest.mark.parametrize(
    ("updated", "exact"),
    [
        (AT, AT),
        (AT.replace(tzinfo=None), AT),
        (AT.astimezone(UTC), AT),
        (datetime(1965, 3, 1, 8, 0, 0, 5, CHINA), datetime(1965, 3, 1, 8, 0, 0, 5, CHINA)),
        (datetime(2026, 11, 1, tzinfo=CHINA), None),
        (datetime(2026, 10, 31, 16, tzinfo=UTC), None),
        (datetime(1965, 3, 1, tzinfo=CHINA), None),
        (None, None),
    ],
)
def test_a_day_alone_is_no_moment(updated: datetime | None, exact: datetime | None) -> None:
    found = changed_at(row(updated=updated))
    assert (found is None) is (exact is None)
    if exact:
        assert found == round(exact.replace(microsecond=0).timestamp()) * 1_000_000 + exact.microsecond


@pytest.mark.parametrize("letters", ["DD", "FF", "DF", "DFF"])
def test_what_tells_nothing_of_a_record_has_no_version(letters: str) -> None:
    items, columns = [f"i{n}" for n in range(len(letters))], list(range(len(letters)))
    for updated in (AT, None):
        assert version_of(row("a", "b", "c", updated=updated), letters, items, columns) is None


def test_values_stand_for_a_version_where_the_source_tells_none() -> None:
    shown = row("甲", None, INVALID, "丁")
    places: Sequence[int | None] = (0, 1, 2, None, 3)
    assert version_of(shown, "RAFDM", ("a", "b", "c", "d", "e"), places) == (("a", "甲"), ("b", None), ("e", "丁"))
    assert version_of(row("甲"), "E", ("a",), (0,)) is None


def test_a_record_of_several_rows_has_the_version_of_each() -> None:
    assert of_rows([]) is None
    assert of_rows([None]) is None
    assert of_rows([5, None]) == 5
    assert of_rows([5, 5]) == [5, 5]


def test_the_version_of_an_item_is_read_at_its_place() -> None:
    digests = ["a" * 11, "b" * 11, "c" * 11]
    assert [shown_of("".join(digests), "RDAFM", place) for place in range(5)] == [
        digests[:1], [], digests[1:2], [], digests[2:],
    ]  # fmt: skip
    assert shown_of(17, "RD", 0) == [17]
    assert shown_of(17, "RD", 1) == []
    assert shown_of([17, digests[0]], "Y", 0) == [17, digests[0]]
    assert shown_of(None, "A", 0) == []
    assert shown_of(17, "U", 0) == shown_of(17, "E", 0) == []


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (Decimal("11863.00"), Decimal("11863.0")),
        (Decimal("0.00"), Decimal("-0")),
        (AT, AT.astimezone(UTC)),
        (None, ""),
    ],
)
def test_equal_values_are_digested_alike(one: Any, other: Any) -> None:
    assert written(one) == written(other)


def test_values_that_differ_are_digested_apart() -> None:
    values = (True, False, 1, 0, "a", "A", "a ", Decimal("1.5"), Decimal("1E+3"), date(2026, 1, 2), AT, b"a", None)
    assert len({written(value) for value in values}) == len(values)


def test_a_digest_is_bound_to_entity_identifier_item_and_key() -> None:
    hashes, other = SubjectHash(bytes(32)), SubjectHash(bytes(range(32)))
    made = [
        hashes.value("Person", "1", "R.a", "v"),
        hashes.value("Person", "2", "R.a", "v"),
        hashes.value("Organization", "1", "R.a", "v"),
        hashes.value("Person", "1", "R.b", "v"),
        hashes.value("Person", "1", "R.a", "w"),
        other.value("Person", "1", "R.a", "v"),
    ]
    assert len(set(made)) == len(made)
    assert {len(one) for one in made} == {11}
    assert made[0] == hashes.value("Person", "1", "R.a", "v")


# -- relations and searches ---------------------------------------------------------------------------------------


def readers(desk: Desk, resource: str, item: str, entity: str) -> dict[str, list[str]]:
    """The operations that showed the item, and how."""
    given = {"resource": resource, "item": item, "entity": entity, "between": EVER, "first": 500}
    body = desk.service.ask(READERS, given, role="auditor", department="data-bureau")
    assert "errors" not in body, body
    nodes = [edge["node"] for edge in body["data"]["affectedReaders"]["edges"]]
    return {node["operationId"]: node["outcomes"] for node in nodes}


def test_whoever_was_led_by_a_wrong_value_is_found_in_both_directions(desk: Desk) -> None:
    organisation = desk.names["organisation"]
    wrong = ("EnterpriseRegistration", "legalRepresentativeIdNumber", organisation)
    who = {"department": "market-supervision"}
    document = "query($id: UnifiedSocialCreditCode!, $use: UseInput!) { organization(unifiedSocialCreditCode: $id, use: $use) { %s } }"
    given = {"id": organisation, "use": use(desk.names["case_organisation"])}
    forth = desk.service.ask(document % "legalRepresentative { householdRegistration { name } }", given, **who)
    back = desk.service.person("representedOrganizations { __typename }", desk.applicant, desk.case)
    beside = desk.service.ask(document % "enterpriseRegistration { enterpriseName }", given, **who)
    found = readers(desk, *wrong)
    assert "errors" not in beside
    for body in (forth, back):
        assert found[body["extensions"]["operationId"]] == ["JOINED"], body
    assert beside["extensions"]["operationId"] not in found


def test_what_only_chose_or_ordered_records_is_no_reading(desk: Desk) -> None:
    document = """query($use: UseInput!) { socialInsurance(first: 9, use: $use, orderBy: [{by: enrolledOn, direction: ASC}]) {
      totalCount edges { node { %s } } } }"""
    given = {"use": use(desk.names["case_hardship"])}
    chosen = desk.service.ask(document % "insuranceType", given)
    shown = desk.service.ask(document % "insuranceType enrolledOn", given)
    assert "errors" not in shown
    assert "errors" not in chosen
    found = readers(desk, "SocialInsurance", "enrolledOn", desk.applicant)
    assert shown["extensions"]["operationId"] in found
    assert chosen["extensions"]["operationId"] not in found
