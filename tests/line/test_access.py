"""`access` tells what a real request would be answered by, and touches no data."""

from __future__ import annotations

from typing import Any

import pytest

from policies.decision import Act
from resolvers.access import uses_of
from schema.catalogue import Purpose, ShareClass, SubjectClass
from tests.line.desk import Desk
from tests.service import codes, use

ACCESS = """query($resource: String!, $use: UseInput!, $subject: SubjectClass! = SUBJECT) {
  access(resource: $resource, use: $use, subject: $subject) {
    resource title shareClass provider policyVersion basisHolds basisRefusal { en zh }
    items { coordinate title grade shareClass acts {
      act subject allowed ruleId article reason { en zh } mask rows next { action en zh } validUntil } } } }"""


def access(desk: Desk, resource: str, using: dict[str, Any], subject: str = "SUBJECT", **who: Any) -> dict[str, Any]:
    variables = {"resource": resource, "use": using, "subject": subject}
    body = desk.service.ask(ACCESS, variables, **who)
    assert "errors" not in body, body
    return dict(body["data"]["access"])


def acts(told: dict[str, Any], item: str) -> dict[str, dict[str, Any]]:
    (found,) = [one for one in told["items"] if one["coordinate"] == f"{told['resource']}.{item}"]
    return {act["act"]: act for act in found["acts"]}


def test_access_tells_of_each_item_what_a_real_request_is_answered_by(desk: Desk) -> None:
    told = access(desk, "HouseholdRegistration", use(desk.case))
    names = [one["coordinate"].partition(".")[2] for one in told["items"]]
    assert set(names) == set(desk.service.catalogue.resources["HouseholdRegistration"].items)
    body = desk.service.person(f"householdRegistration {{ {' '.join(names)} }}", desk.applicant, desk.case)
    refused = {error["path"][-1]: error["extensions"] for error in body["errors"]}
    assert refused
    assert len(refused) < len(names)
    for name in names:
        read = acts(told, name)["READ"]
        assert read["allowed"] is (name not in refused)
        if not read["allowed"]:
            assert read["ruleId"] == refused[name]["ruleId"]
            assert read["reason"] == refused[name]["reason"]
            assert read["next"] == refused[name]["next"]


def test_access_names_provider_class_article_and_grade(desk: Desk) -> None:
    told = access(desk, "HouseholdRegistration", use(desk.case))
    assert (told["title"], told["shareClass"], told["basisHolds"]) == ("户籍登记信息", "UNCONDITIONAL", True)
    assert told["provider"] == desk.service.catalogue.departments["public-security"].title
    assert told["policyVersion"] == desk.service.rooms.policy.version
    read = acts(told, "name")["READ"]
    item = desk.service.catalogue.item("HouseholdRegistration.name")
    assert read["article"] == item.share.basis
    assert read["ruleId"] == "SHARE/HouseholdRegistration.name/ADMINISTRATIVE_BASIS"
    (found,) = [one for one in told["items"] if one["coordinate"] == "HouseholdRegistration.name"]
    assert (found["title"], found["grade"]) == (item.title, item.grade)


def test_access_of_a_denied_item_says_what_to_do(desk: Desk) -> None:
    read = acts(access(desk, "HouseholdRegistration", use(desk.case)), "photo")["READ"]
    assert (read["allowed"], read["next"]["action"]) == (False, "APPLY")
    assert read["next"]["zh"]
    assert read["next"]["en"]


def test_access_tells_masks_and_row_conditions(desk: Desk) -> None:
    masked = access(desk, "HouseholdRegistration", use(desk.case, "WORK_REFERENCE"))
    assert {act["mask"] for one in masked["items"] for act in one["acts"]} - {None}
    with_rows = [r for r in desk.service.catalogue.resources.values() if r.rows and r.connected]
    assert with_rows
    for resource in with_rows:
        told = access(desk, resource.name, use(desk.case))
        for one in told["items"]:
            for act in one["acts"]:
                assert set(act["rows"]) == (set(map(str, resource.rows)) if act["allowed"] else set())


def test_access_composes_the_subject_class_as_a_relation_does(desk: Desk) -> None:
    near = access(desk, "HouseholdRegistration", use(desk.case))
    far = access(desk, "HouseholdRegistration", use(desk.case), "THIRD_PARTY")
    assert acts(near, "name")["READ"]["subject"] == "SUBJECT"
    assert acts(far, "name")["READ"]["subject"] == "THIRD_PARTY"
    assert acts(near, "name")["READ"]["allowed"]
    assert not acts(far, "name")["READ"]["allowed"]


def test_access_of_every_resource_has_an_act_for_every_item_and_none_twice(desk: Desk) -> None:
    for resource in desk.service.catalogue.resources.values():
        for one in access(desk, resource.name, use(desk.case))["items"]:
            named = [(act["act"], act["subject"]) for act in one["acts"]]
            assert named
            assert len(set(named)) == len(named)


def test_acts_follow_the_search_and_the_verifiability_of_an_item(desk: Desk) -> None:
    catalogue = desk.service.catalogue
    searched = [r for r in catalogue.resources.values() if r.search]
    assert searched
    for resource in catalogue.resources.values():
        for item in resource.items.values():
            asked = {one.act for one in uses_of(catalogue, resource, item, SubjectClass.SUBJECT)}
            where = resource.search.where if resource.search else ()
            assert (Act.FILTER in asked) is (item.name in where)
            verifiable = catalogue.verifiable(item) and Purpose.DATA_VERIFICATION in item.purposes
            assert (Act.VERIFY in asked) is verifiable
            assert (Act.EXIST in asked) is (item.name == resource.key)


@pytest.mark.parametrize("case", ["no-such-case", "case_closed", "case_expired"])
def test_a_case_that_proves_nothing_refuses_every_item_with_its_reason(desk: Desk, case: str) -> None:
    number = desk.names.get(case, case)
    told = access(desk, "HouseholdRegistration", use(number))
    body = desk.service.person("householdRegistration { name }", desk.applicant, number)
    assert codes(body) == ["USE_DENIED"]
    assert told["basisHolds"] is False
    assert told["basisRefusal"] == body["errors"][0]["extensions"]["reason"]
    rules = {(act["allowed"], act["ruleId"]) for one in told["items"] for act in one["acts"]}
    assert rules == {(False, body["errors"][0]["extensions"]["ruleId"])}


def test_a_scenario_is_explained_for_its_own_department_only(desk: Desk) -> None:
    using = {"purpose": "ADMINISTRATIVE_BASIS", "basis": {"scenario": "public-rental-housing-review"}}
    told = access(desk, "HousingFund", using, role="developer")
    assert acts(told, "accountStatus")["READ"]["allowed"]
    assert not access(desk, "HousingFund", using, role="developer", department="taxation")["basisHolds"]
    assert not access(desk, "HousingFund", using, role="clerk")["basisHolds"]


@pytest.mark.parametrize("role", ["auditor", "officer"])
def test_a_role_that_reads_nothing_is_told_so(desk: Desk, role: str) -> None:
    told = access(desk, "HouseholdRegistration", use(desk.case), role=role)
    assert {act["ruleId"] for one in told["items"] for act in one["acts"]} == {"DENY/ROLE"}


def test_an_unknown_resource_is_an_error(desk: Desk) -> None:
    body = desk.service.ask(ACCESS, {"resource": "Nothing", "use": use(desk.case)})
    assert body["data"]["access"] is None
    assert codes(body) == ["RESOURCE_UNKNOWN"]


def test_access_asks_no_department_and_is_on_record(desk: Desk) -> None:
    desk.fetches.clear()
    access(desk, "HouseholdRegistration", use(desk.case))
    assert desk.fetches == []
    frame = desk.service.frames()[-1]
    (node,) = frame["nodes"]
    assert (node["path"], node["resource"], node["case"]) == ("access", "HouseholdRegistration", desk.case)
    assert node["items"] == []


def test_every_class_of_sharing_is_met_by_these_tests(desk: Desk) -> None:
    classes = {i.share.share_class for r in desk.service.catalogue.resources.values() for i in r.items.values()}
    assert classes == set(ShareClass)
    told = access(desk, "SealedJuvenileRecord", use(desk.case))
    assert {act["allowed"] for one in told["items"] for act in one["acts"]} == {False}
