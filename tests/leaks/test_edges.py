"""Edges that chance seldom meets, each with the leak that it would be: over the open city, with one thing closed at a time."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime, timedelta
from pathlib import Path

import orjson
import pytest

from policies.cases import Case
from policies.decision import Act
from policies.grants import DisabledKind, Disablement, Suspension
from policies.identity import Identity, Role
from resolvers.authorise import by_case
from schema.catalogue import Catalogue, MaskKind, Purpose, SubjectClass
from tests.leaks.city import citizen, open_catalogue
from tests.leaks.closing import (
    ADULT,
    CHANCE,
    CHILD,
    LIMITED,
    NAMED,
    NOW,
    OTHER,
    OWN,
    READ,
    by_grant_only,
    desk,
    grant,
    item,
    needed,
    publish,
)

# -- who is admitted --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "name"), [(DisabledKind.TOKEN, "token"), (DisabledKind.CLIENT, "client")])
def test_disabled_token_or_client_is_told_nothing(tmp_path: Path, kind: DisabledKind, name: str) -> None:
    with desk(tmp_path) as one:
        assert one.person("register { name }")["register"]["name"]
        one.run(one.town.control.disable(Disablement(kind, name, "", "遗失", "officer", 0)))
        one.run(one.town.policy.refresh())
        assert one.person("register { name }") is None
        assert one.person("register { name }", who=one.identity(token="t2", client="c2")) is not None


def test_grant_that_was_suspended_before_a_process_began_gives_nothing(tmp_path: Path) -> None:
    with desk(tmp_path, by_grant_only("Register.name"), granted=grant("Register.name")) as one:
        one.run(one.town.control.suspend(Suspension("", "civil", "", "G1", "", "超范围", "officer", 0)))
        one.run(one.town.policy.refresh())
        assert one.person("register { name }")["register"] is None
        one.run(one.town.control.lift("S1", 1))
        one.run(one.town.policy.refresh())
        assert one.person("register { name }")["register"]["name"]


def test_case_is_over_in_the_moment_of_its_expiry(tmp_path: Path) -> None:
    with desk(tmp_path) as one:
        opened = NOW - timedelta(days=1)
        ends = opened + timedelta(days=one.both.catalogue.services["S-1"].days)
        one.both.now = ends - timedelta(microseconds=1)
        assert one.person("register { name }") is not None
        one.both.now = ends
        assert one.person("register { name }") is None


def test_case_of_a_service_item_that_is_anothers_now_proves_nothing() -> None:
    catalogue = open_catalogue()
    service = catalogue.services["S-1"]
    other = next(slug for slug in catalogue.departments if slug != service.department)
    case = Case("C", other, service.code, NOW, NOW + timedelta(days=1), None, ())
    who = Identity("clerk-1", other, Role.CLERK, "421200", "client", 1e12)
    assert by_case("C", case, who, catalogue, NOW).refusal


# -- nothing is asked of a department that may not be ------------------------------------------------------------


def test_who_is_refused_is_not_asked_about(tmp_path: Path) -> None:
    with desk(tmp_path) as one:
        one.requests()
        one.ask(f'{{ persons(idNumbers: ["{ADULT}", "{OTHER}"], use: {one.use()}) {{ register {{ name }} }} }}')
        assert [request.keys for request in one.requests()] == [(ADULT,)]


def test_what_may_not_be_verified_is_neither_asked_for_nor_counted(tmp_path: Path) -> None:
    closed = [needed(f"Register.{name}") for name in ("name", "bornOn")]
    with desk(tmp_path, *closed, attempts=1) as one:
        one.requests()
        selection = 'verifyRegister(expect: { name: "陈", bornOn: "2020-01-01" }) { name bornOn }'
        for _ in range(2):
            verdicts = one.person(selection, Purpose.DATA_VERIFICATION)["verifyRegister"]
            assert verdicts == {"name": "DENIED", "bornOn": "DENIED"}
        assert one.requests() == []
        rules = {rule for frame in one.town.frames() for node in frame["nodes"] for rule in node["rules"]}
        assert "DENY/VERIFICATION/ATTEMPTS" not in rules


def test_of_several_items_only_those_that_may_be_verified_are_asked_for(tmp_path: Path) -> None:
    with desk(tmp_path, needed("Register.name")) as one:
        one.requests()
        selection = 'verifyRegister(expect: { name: "陈", bornOn: "2020-01-01" }) { name bornOn }'
        assert one.person(selection, Purpose.DATA_VERIFICATION)["verifyRegister"]["name"] == "DENIED"
        assert [request.columns for request in one.requests()] == [("bornOn",)]


def test_refused_search_is_not_asked(tmp_path: Path) -> None:
    with desk(tmp_path, needed("Register.name")) as one:
        one.requests()
        body = one.ask(
            f'{{ registers(where: {{ name: {{ eq: "陈" }} }}, use: {one.use()}) {{ totalCount edges {{ cursor }} }} }}'
        )
        assert body["data"] == {"registers": None}
        assert one.requests() == []


def test_number_of_records_that_may_not_be_counted_is_not_asked(tmp_path: Path) -> None:
    reading = needed("Register.idNumber", purposes=())
    with desk(tmp_path, reading) as one:
        one.requests()
        body = one.ask(f"{{ registers(use: {one.use()}) {{ totalCount }} }}")
        assert body["data"] == {"registers": None}
        assert one.requests() == []


# -- whose data it is -------------------------------------------------------------------------------------------


def test_verdict_on_a_relative_needs_what_a_relative_needs(tmp_path: Path) -> None:
    with desk(tmp_path, needed("Register.motherIdNumber", SubjectClass.SUBJECT)) as one:
        selection = f'verifyRegister(expect: {{ motherIdNumber: "{OTHER}" }}) {{ motherIdNumber }}'
        assert one.person(selection, Purpose.DATA_VERIFICATION)["verifyRegister"]["motherIdNumber"] == "DENIED"


def test_who_is_met_is_not_named_where_the_number_may_not_be_read(tmp_path: Path) -> None:
    with desk(tmp_path) as one:
        for purpose, named in ((READ, True), (Purpose.DATA_VERIFICATION, False)):
            mother = one.person("mother { idNumber __typename }", purpose)["mother"]
            assert mother["__typename"] == "Person"
            assert (mother["idNumber"] is not None) is named


def test_search_by_a_relative_needs_what_a_relative_needs(tmp_path: Path) -> None:
    with desk(tmp_path, needed("Register.motherIdNumber", SubjectClass.SUBJECT)) as one:
        where = f'where: {{ motherIdNumber: {{ eq: "{OTHER}" }} }}'
        assert one.ask(f"{{ registers({where}, use: {one.use()}) {{ totalCount }} }}")["data"]["registers"] is None


def test_minor_is_not_met_across_a_relation_where_only_adults_are(tmp_path: Path) -> None:
    for limited, met in (((), True), (LIMITED, False)):
        folder = tmp_path / str(met)
        folder.mkdir()
        with desk(folder, *limited) as one:
            for row in one.records["Register"]:
                row["motherIdNumber"] = ADULT
            one.lives_in()
            told = [child["idNumber"] for child in one.person("children { idNumber }")["children"]]
            assert (CHILD in told) is met
            assert ADULT in told


def test_minors_case_shows_nothing_where_only_adults_are(tmp_path: Path) -> None:
    with desk(tmp_path, *LIMITED) as one:
        one.case = one.run(one.both.accept("S-1", [("Person", CHILD), ("Person", ADULT)]))
        assert one.person("register { name }", number=CHILD) == {"register": None}
        body = one.ask(f"{{ registers(use: {one.use()}) {{ totalCount edges {{ node {{ idNumber }} }} }} }}")
        assert body["data"]["registers"] == {"totalCount": 1, "edges": [{"node": {"idNumber": ADULT}}]}


@pytest.mark.parametrize(
    ("now", "adult"),
    [("2026-05-31T23:59:59+08:00", False), ("2026-06-01T00:00:00+08:00", True), ("2026-05-02T12:00:00+08:00", False)],
)
def test_who_turns_eighteen_is_an_adult_from_that_day_on_in_china(tmp_path: Path, now: str, adult: bool) -> None:
    with desk(tmp_path, *LIMITED) as one:
        one.both.now = datetime.fromisoformat(now)
        young = citizen(CHANCE, date(2008, 6, 1))
        one.records["Register"] = [row | {"idNumber": young} for row in one.records["Register"][:1]]
        one.lives_in()
        one.case = one.run(one.both.accept("S-1", [("Person", young)]))
        assert (one.person("register { name }", number=young)["register"] is not None) is adult


def test_minors_are_not_searched_for_under_a_scenario(tmp_path: Path) -> None:
    with desk(tmp_path, *LIMITED) as one:
        scenario = next(iter(one.both.catalogue.scenarios.values()))
        department = one.both.catalogue.services[scenario.services[0]].department
        use = one.use(scenario=scenario.name)
        body = one.ask(f"{{ registers(use: {use}) {{ totalCount }} }}", one.identity(department=department))
        assert body["data"]["registers"] is None


# -- which records ----------------------------------------------------------------------------------------------


def test_verdict_is_given_on_records_of_the_own_region_only(tmp_path: Path) -> None:
    with desk(tmp_path, *LIMITED) as one:
        (row,) = [row for row in one.records["Tenancy"] if row["idNumber"] == ADULT]
        for region, verdict in (("421202", "MATCH"), ("420102", "ABSENT"), (None, "ABSENT")):
            row["region"] = region
            one.lives_in()
            selection = f'verifyTenancy(expect: {{ contract: "{row["contract"]}" }}) {{ contract }}'
            assert one.person(selection, Purpose.DATA_VERIFICATION)["verifyTenancy"]["contract"] == verdict


def test_relation_is_followed_through_records_of_the_own_region_only(tmp_path: Path) -> None:
    with desk(tmp_path, *LIMITED) as one:
        (row,) = [row for row in one.records["Tenancy"] if row["idNumber"] == ADULT]
        for region, count in (("421202", 1), ("420102", 0), (None, 0)):
            row["region"] = region
            one.lives_in()
            assert len(one.person("landlords { creditCode }")["landlords"]) == count


@pytest.mark.parametrize("selection", ["__typename", "provenance { provider }", "name"])
def test_verification_does_not_tell_that_a_record_exists(tmp_path: Path, selection: str) -> None:
    with desk(tmp_path) as one:
        assert one.person(f"register {{ {selection} }}")["register"]
        assert one.person(f"register {{ {selection} }}", Purpose.DATA_VERIFICATION)["register"] is None


@pytest.mark.parametrize("of", ["read", "filter", "total"])
def test_page_has_no_records_beyond_the_conditions_of_any_use(tmp_path: Path, of: str) -> None:
    """The key, or an item, comes by a grant for the own region; other uses know no conditions."""
    coordinate = "Register.idNumber" if of == "total" else "Register.name"
    with desk(tmp_path, by_grant_only(coordinate), granted=grant(coordinate, rows=OWN)) as one:
        (row,) = [row for row in one.records["Register"] if row["idNumber"] == ADULT]
        row["name"] = "陈"
        where = 'where: { name: { eq: "陈" } }, ' if of == "filter" else ""
        shown = "node { name }" if of == "read" else "cursor"
        for region, count in (("421202", 1), ("420102", 0)):
            row["region"] = region
            one.lives_in()
            body = one.ask(f"{{ registers({where}use: {one.use()}) {{ totalCount edges {{ {shown} }} }} }}")
            assert body["data"]["registers"]["totalCount"] == count, body
            assert len(body["data"]["registers"]["edges"]) == count


def test_search_by_an_item_stays_within_the_records_that_it_may_be_read_of(tmp_path: Path) -> None:
    """A rule file lets search by names everywhere; they may be read in the own region only."""
    with desk(tmp_path, by_grant_only("Register.name"), granted=grant("Register.name", rows=OWN)) as one:
        publish(one, "Register.name", Act.FILTER, allow=True)
        (row,) = [row for row in one.records["Register"] if row["idNumber"] == ADULT]
        row["name"] = "陈"
        for region, count in (("421202", 1), ("420102", 0)):
            row["region"] = region
            one.lives_in()
            body = one.ask(f'{{ registers(where: {{ name: {{ eq: "陈" }} }}, use: {one.use()}) {{ totalCount }} }}')
            assert body["data"]["registers"] == {"totalCount": count}, body


def test_records_are_counted_within_those_that_may_be_counted(tmp_path: Path) -> None:
    """A rule file lets everybody know that there are tenancies; they may be counted in the own region only."""
    with desk(
        tmp_path, by_grant_only("Tenancy.idNumber"), granted=grant("Tenancy.idNumber", provider="housing", rows=OWN)
    ) as one:
        publish(one, "Tenancy.idNumber", Act.EXIST, allow=True)
        (row,) = [row for row in one.records["Tenancy"] if row["idNumber"] == ADULT]
        for region, count in (("421202", 1), ("420102", 0)):
            row["region"] = region
            one.lives_in()
            body = one.ask(f"{{ tenancies(use: {one.use()}) {{ totalCount }} }}")
            assert body["data"]["tenancies"] == {"totalCount": count}, body


def test_records_that_may_be_found_and_not_counted_are_not_counted(tmp_path: Path) -> None:
    with desk(tmp_path) as one:
        publish(one, "Register.idNumber", Act.AGGREGATE, allow=False)
        one.requests()
        body = one.ask(f"{{ registers(use: {one.use()}) {{ totalCount edges {{ node {{ idNumber }} }} }} }}")
        assert body["data"]["registers"] == {"totalCount": None, "edges": [{"node": {"idNumber": ADULT}}]}
        assert len(one.requests()) == 1


def test_cursor_does_not_open_under_another_purpose(tmp_path: Path) -> None:
    with desk(tmp_path) as one:
        page = f"{{ registers(first: 1, %s use: {one.use()}) {{ pageInfo {{ endCursor }} }} }}"
        cursor = one.ask(page.replace("%s", ""))["data"]["registers"]["pageInfo"]["endCursor"]
        following = page.replace("%s", f'after: "{cursor}",')
        assert "errors" not in one.ask(following)
        other = following.replace(READ, Purpose.BUSINESS_COLLABORATION)
        assert [error["extensions"]["code"] for error in one.ask(other)["errors"]] == ["CURSOR_INVALID"]


# -- nothing is kept that another may not see ---------------------------------------------------------------------


def test_same_document_of_another_region_shows_that_region(tmp_path: Path) -> None:
    with desk(tmp_path, *LIMITED) as one:
        (row,) = [row for row in one.records["Tenancy"] if row["idNumber"] == ADULT]
        row["region"] = "421202"
        one.lives_in()
        for region, count in (("421200", 1), ("420100", 0), ("", 0), ("421200", 1), ("420000", 1)):
            found = one.person("tenancies { contract }", who=one.identity(region=region))["tenancies"]
            assert len(found) == count, region


def test_same_document_of_another_purpose_is_decided_anew(tmp_path: Path) -> None:
    masked = {Purpose.WORK_REFERENCE: MaskKind.NAME}
    with desk(tmp_path, item("Register.name", masks=masked)) as one:
        (row,) = [row for row in one.records["Register"] if row["idNumber"] == ADULT]
        row["name"] = "欧阳小明"
        one.lives_in()
        told = []
        for purpose in (READ, Purpose.WORK_REFERENCE, Purpose.DATA_VERIFICATION, READ):
            values = {"use": {"purpose": purpose, "basis": {"case": one.case}}}
            body = orjson.loads(one.run(one.town.ask(NAMED, values, one.identity())).body)
            register = body["data"]["person"]["register"]
            told.append(register and register["name"])
        assert told == ["欧阳小明", "欧**", None, "欧阳小明"]


def test_same_document_in_another_role_is_decided_anew(tmp_path: Path) -> None:
    with desk(tmp_path) as one:
        assert one.person("register { name }")["register"]
        for role in (Role.OFFICER, Role.AUDITOR):
            assert one.person("register { name }", who=one.identity(role=role))["register"] is None


def test_same_document_under_another_basis_is_decided_anew(tmp_path: Path) -> None:
    def unneeded(catalogue: Catalogue) -> Catalogue:
        service = catalogue.services["S-2"]
        materials = tuple(
            replace(m, uses=tuple(u for u in m.uses if u.coordinate != "Register.name")) for m in service.materials
        )
        of = catalogue.services["S-1"].department
        return replace(
            catalogue, services={**catalogue.services, "S-2": replace(service, department=of, materials=materials)}
        )

    with desk(tmp_path, unneeded) as one:
        other = one.run(one.both.accept("S-2", [("Person", ADULT)]))
        told = []
        for case in (one.case, other, one.case):
            values = {"use": {"purpose": READ, "basis": {"case": case}}}
            body = orjson.loads(one.run(one.town.ask(NAMED, values, one.identity())).body)
            told.append(bool(body["data"]["person"]["register"]))
        assert told == [True, False, True]


# -- order ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("in_sqlite", [False, True])
def test_order_of_entities_across_a_relation_is_not_that_of_their_writing(tmp_path: Path, in_sqlite: bool) -> None:
    with desk(tmp_path) as one:
        for row in one.records["Register"]:
            row["motherIdNumber"], row["updated"] = ADULT, None
        orders = []
        for turn in (1, -1):
            one.records["Register"] = sorted(one.records["Register"], key=lambda row: row["idNumber"])[::turn]
            folder = tmp_path / f"turn{turn}"
            folder.mkdir()
            one.lives_in(folder if in_sqlite else None)
            orders.append([child["idNumber"] for child in one.person("children { idNumber }")["children"]])
        assert orders[0] == orders[1]
        assert len(orders[0]) == 3


def test_order_of_entities_does_not_tell_identifiers_behind_a_mask(tmp_path: Path) -> None:
    """Whatever the hidden part of their numbers is: over many families the order is the numbers' no more often than not."""
    masked = dict.fromkeys(Purpose, MaskKind.ID_NUMBER)
    with desk(tmp_path, item("Register.idNumber", masks=masked)) as one:
        template, sorted_ones = one.records["Register"][0], 0
        for _ in range(60):
            numbers = [citizen(CHANCE) for _ in range(3)]
            rows = [template | {"idNumber": n, "name": n, "motherIdNumber": ADULT, "updated": None} for n in numbers]
            one.records["Register"] = rows
            one.lives_in()
            told = [child["register"]["name"] for child in one.person("children { register { name } }")["children"]]
            assert sorted(told) == sorted(numbers)
            sorted_ones += told == sorted(numbers)
        assert sorted_ones < 30, "one in six is chance"


def test_order_of_records_does_not_tell_what_is_behind_a_mask(tmp_path: Path) -> None:
    masked = dict.fromkeys(Purpose, MaskKind.NAME)
    with desk(tmp_path, item("Tenancy.address", masks=masked)) as one:
        (row,) = [row for row in one.records["Tenancy"] if row["idNumber"] == ADULT]
        orders = []
        for first, second in (("陈一", "陈二"), ("陈二", "陈一")):
            one.records["Tenancy"] = [
                row | {"address": address, "contract": contract, "updated": None}
                for address, contract in ((first, "甲"), (second, "乙"))
            ]
            one.lives_in()
            found = one.person("tenancies { address contract }")["tenancies"]
            orders.append([record["contract"] for record in found])
        assert orders[0] == orders[1]
