"""Explaining: `access` and dry runs tell what a real request would be answered by, and touch no data."""

from __future__ import annotations

from typing import Any

import pytest

from policies.decision import Act, Use
from resolvers.access import uses_of
from schema.catalogue import Purpose, ShareClass, SubjectClass
from tests.line.desk import Desk
from tests.service import codes, use

ACCESS = """query($resource: String!, $use: UseInput!, $subject: SubjectClass! = SUBJECT) {
  access(resource: $resource, use: $use, subject: $subject) {
    resource title shareClass provider policyVersion basisHolds basisRefusal { en zh }
    items { coordinate title grade shareClass acts {
      act subject allowed ruleId article reason { en zh } mask rows next { action en zh } validUntil } } } }"""
PERSON = "query($id: CitizenIdNumber!, $use: UseInput!) { person(idNumber: $id, use: $use) { %s } }"
DRY = {"onesource": {"dryRun": True}}


def access(desk: Desk, resource: str, using: dict[str, Any], subject: str = "SUBJECT", **who: Any) -> dict[str, Any]:
    variables = {"resource": resource, "use": using, "subject": subject}
    body = desk.service.ask(ACCESS, variables, **who)
    assert "errors" not in body, body
    return dict(body["data"]["access"])


def acts(told: dict[str, Any], item: str) -> dict[str, dict[str, Any]]:
    (found,) = [one for one in told["items"] if one["coordinate"] == f"{told['resource']}.{item}"]
    return {act["act"]: act for act in found["acts"]}


def dry_run(
    desk: Desk, selection: str, identifier: str, using: dict[str, Any], extensions: Any = None, **who: Any
) -> dict[str, Any]:
    content = {
        "query": PERSON % selection,
        "variables": {"id": identifier, "use": using},
        "extensions": DRY if extensions is None else extensions,
    }
    return dict(desk.service.post(content, **who).json())


def told_of(body: dict[str, Any]) -> dict[str, Any]:
    assert set(body) == {"data", "extensions"}, body
    assert body["data"] == {}
    return dict(body["extensions"]["dryRun"])


# -- access


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
    told = access(desk, "HousingFund", using)
    assert acts(told, "accountStatus")["READ"]["allowed"]
    assert not access(desk, "HousingFund", using, department="taxation")["basisHolds"]


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


# -- dry run

WIDE = """householdRegistration { name photo } ownedRealEstate { unitNumber realEstateRegistration { usage } }
  marriageRegistrations { provenance { provider } }"""


def test_a_dry_run_asks_no_department_and_answers_no_data(desk: Desk) -> None:
    desk.fetches.clear()
    told = told_of(dry_run(desk, WIDE, desk.applicant, use(desk.case)))
    assert desk.fetches == []
    assert told["policyVersion"] == desk.service.rooms.policy.version


def test_a_dry_run_decides_as_the_real_run_does(desk: Desk) -> None:
    told = told_of(dry_run(desk, WIDE, desk.applicant, use(desk.case)))
    body = desk.service.ask(PERSON % WIDE, {"id": desk.applicant, "use": use(desk.case)})
    record = next(n for n in told["nodes"] if n["path"] == ["person", "householdRegistration"])
    decided = {one["coordinate"]: one for one in record["items"]}
    assert decided["HouseholdRegistration.name"]["allowed"]
    (photo,) = [e["extensions"] for e in body["errors"] if e["path"][-1] == "photo"]
    refused = decided["HouseholdRegistration.photo"]
    assert (refused["allowed"], refused["ruleId"], refused["reason"], refused["next"]) == (
        False, photo["ruleId"], photo["reason"], photo["next"],
    )  # fmt: skip


def test_a_dry_run_is_what_the_frame_of_the_real_run_says(desk: Desk) -> None:
    told = told_of(dry_run(desk, WIDE, desk.applicant, use(desk.case)))
    desk.service.ask(PERSON % WIDE, {"id": desk.applicant, "use": use(desk.case)})
    real = desk.service.frames()[-1]
    explained = {(".".join(map(str, n["path"])), one["ruleId"]) for n in told["nodes"] for one in n["items"]}
    recorded = {(node["path"], rule) for node in real["nodes"] for rule in node["rules"]}
    assert recorded
    assert recorded <= explained


def owners(desk: Desk, **extensions: Any) -> dict[str, Any]:
    selection = "owner { idNumber householdRegistration { name town } }"
    document = f"query($id: RealEstateUnitNumber!, $use: UseInput!) {{ realEstateUnit(unitNumber: $id, use: $use) {{ {selection} }} }}"
    variables = {"id": desk.names["unit"], "use": use(desk.names["case_unit"])}
    return dict(desk.service.post({"query": document, "variables": variables, "extensions": extensions}).json())


def test_a_dry_run_shows_a_reached_entity_in_both_of_its_classes(desk: Desk) -> None:
    told = told_of(owners(desk, **DRY))
    beyond = [n for n in told["nodes"] if n["path"] == ["realEstateUnit", "owner", "householdRegistration"]]
    assert [node["subject"] for node in beyond] == ["SUBJECT", "RELATED"]
    shown = [{one["coordinate"] for one in node["items"] if one["allowed"]} for node in beyond]
    assert shown == [{"HouseholdRegistration.town"}, {"HouseholdRegistration.name"}]
    real = owners(desk)
    (refused,) = [e for e in real["errors"] if e["path"][-1] == "town"]
    (town,) = [one for one in beyond[1]["items"] if one["coordinate"] == "HouseholdRegistration.town"]
    assert refused["extensions"]["ruleId"] == town["ruleId"]


def test_a_dry_run_tells_of_the_relation_and_of_the_identifier_that_it_shows(desk: Desk) -> None:
    told = told_of(owners(desk, **DRY))
    (join,) = [n for n in told["nodes"] if n["act"] == "join"]
    assert (join["resource"], join["path"]) == ("RealEstateRegistration", ["realEstateUnit", "owner"])
    assert {one["coordinate"] for one in join["items"]} == {
        "RealEstateRegistration.unitNumber",
        "RealEstateRegistration.ownerIdNumber",
    }
    shown = [n for n in told["nodes"] if n["path"] == ["realEstateUnit", "owner", "idNumber"]]
    assert [(n["subject"], n["act"], n["asked"]) for n in shown] == [
        ("SUBJECT", "read", False),
        ("RELATED", "read", False),
    ]


def test_each_decision_of_a_dry_run_is_the_snapshots_own(desk: Desk) -> None:
    told = told_of(dry_run(desk, WIDE, desk.applicant, use(desk.case)))
    snapshot = desk.service.rooms.policy.snapshot()
    basis = told["roots"][0]["basis"]
    caller = snapshot.caller("housing", "clerk", "query", Purpose.ADMINISTRATIVE_BASIS, basis)
    assert told["nodes"]
    for node in told["nodes"]:
        for one in node["items"]:
            wanted = Use(one["coordinate"], Act(node["act"]), SubjectClass(one["subject"]))
            decision = caller.decide(wanted, 1_800_000_000)
            assert (decision.allow, decision.rule_id) == (one["allowed"], one["ruleId"])


def test_only_a_developer_sees_statements_and_they_hold_no_value(desk: Desk) -> None:
    using = use(desk.case)
    assert all("statement" not in n for n in told_of(dry_run(desk, WIDE, desk.applicant, using))["nodes"])
    told = told_of(dry_run(desk, WIDE, desk.applicant, using, role="developer"))
    statements = [n["statement"] for n in told["nodes"] if "statement" in n]
    assert statements
    assert all(text.startswith("SELECT") for text in statements)
    assert all(n["asked"] is ("statement" in n) for n in told["nodes"])
    assert desk.applicant not in str(told)
    photo = desk.service.catalogue.item("HouseholdRegistration.photo").column
    assert not any(photo in text for text in statements)


def test_statements_of_a_dry_run_are_those_of_the_real_run(desk: Desk) -> None:
    using = use(desk.case)
    told = told_of(dry_run(desk, WIDE, desk.applicant, using, role="developer"))
    asked = {(n["resource"], n["statement"]) for n in told["nodes"] if "statement" in n}
    desk.fetches.clear()
    desk.service.ask(PERSON % WIDE, {"id": desk.applicant, "use": using}, role="developer")
    sources = desk.service.rooms.sources
    real = {(r.resource.name, sources[d].connector.explain(r)) for d, r in desk.fetches}
    assert real
    assert real <= asked


def test_a_root_whose_basis_fails_has_its_refusals_and_no_node(desk: Desk) -> None:
    told = told_of(dry_run(desk, WIDE, desk.names["stranger"], use(desk.case)))
    (refusal,) = told["roots"][0]["refusals"]
    assert (refusal["index"], refusal["ruleId"]) == (0, "DENY/CASE/SUBJECT")
    closed = told_of(dry_run(desk, WIDE, desk.applicant, use(desk.names["case_closed"])))
    assert closed["nodes"] == []
    assert closed["roots"][0]["basis"] is None
    assert closed["roots"][0]["refusals"][0]["ruleId"] == "DENY/CASE/CLOSED"


def test_a_dry_run_is_on_record_with_whom_it_named(desk: Desk) -> None:
    body = dry_run(desk, WIDE, desk.applicant, use(desk.case))
    frame = desk.service.frames()[-1]
    assert frame["operation"] == body["extensions"]["operationId"]
    assert frame["outcome"] == "dry-run"
    (node,) = frame["nodes"]
    assert (node["resource"], node["case"], node["items"], node["groups"]) == ("Person", desk.case, [], {})
    assert len(node["others"]) == 1


def test_a_dry_run_counts_no_attempt_at_verification(desk: Desk) -> None:
    content = {
        "query": PERSON % 'verifyHouseholdRegistration(expect: {name: "张三"}) { name }',
        "variables": {"id": desk.applicant, "use": use(desk.names["case_representative"], "DATA_VERIFICATION")},
    }
    most = desk.service.rooms.line.terms.verify_attempts
    for _ in range(most + 2):
        told = told_of(dict(desk.service.post(content | {"extensions": DRY}, department="market-supervision").json()))
    (node,) = told["nodes"]
    assert (node["act"], node["asked"], node["items"][0]["allowed"]) == ("verify", True, True)
    real = [desk.service.post(content, department="market-supervision").json() for _ in range(most + 1)]
    verdicts = [body["data"]["person"]["verifyHouseholdRegistration"]["name"] for body in real]
    assert set(verdicts[:most]) == {"MISMATCH"}
    assert verdicts[most] == "DENIED"


def test_a_mutation_is_refused_in_a_dry_run(desk: Desk) -> None:
    content = {"query": 'mutation { closeCase(number: "GZF-2") { state } }', "extensions": DRY}
    body = desk.service.post(content).json()
    assert codes(body) == ["DRY_RUN_QUERY_ONLY"]
    state = desk.service.ask('{ case(number: "GZF-2") { state } }')["data"]["case"]
    assert state == {"state": "OPEN"}


def test_ungoverned_roots_are_named_and_not_executed(desk: Desk) -> None:
    before = len(desk.service.frames())
    content = {"query": "{ cases { number } }", "extensions": DRY}
    told = told_of(dict(desk.service.post(content).json()))
    assert told["ungoverned"] == ["cases"]
    (frame,) = desk.service.frames()[before:]
    assert frame["nodes"] == []


def test_a_dry_run_tells_what_the_operation_costs(desk: Desk) -> None:
    cost = told_of(dry_run(desk, WIDE, desk.applicant, use(desk.case)))["cost"]
    assert 5 < cost["cost"] < cost["limit"]
    assert cost["limit"] == desk.service.settings.limits.cost


@pytest.mark.parametrize(
    "wrong", [{"onesource": {"dryrun": True}}, {"onesource": {"dryRun": "yes"}}, {"onesource": True}]
)
def test_a_dry_run_that_is_misspelt_does_not_run(desk: Desk, wrong: Any) -> None:
    desk.fetches.clear()
    assert codes(dry_run(desk, WIDE, desk.applicant, use(desk.case), wrong)) == ["REQUEST_MALFORMED"]
    assert desk.fetches == []


def test_without_the_word_it_is_a_real_run(desk: Desk) -> None:
    body = dry_run(
        desk, "householdRegistration { name }", desk.applicant, use(desk.case), {"onesource": {"dryRun": False}}
    )
    assert body["data"]["person"]["householdRegistration"]["name"]


def test_every_class_of_sharing_is_met_by_these_tests(desk: Desk) -> None:
    classes = {i.share.share_class for r in desk.service.catalogue.resources.values() for i in r.items.values()}
    assert classes == set(ShareClass)
    told = access(desk, "SealedJuvenileRecord", use(desk.case))
    assert {act["allowed"] for one in told["items"] for act in one["acts"]} == {False}


# -- searches

SEARCH = """query($use: UseInput!, $first: Int! = 2) {
  housingSecurities(use: $use, first: $first, where: {status: {eq: ACTIVE}}, orderBy: [{by: startedOn}]) {
    totalCount edges { node { name regionCode address } } } }"""
REVIEW = {"purpose": "ADMINISTRATIVE_BASIS", "basis": {"scenario": "public-rental-housing-review"}}


def search(desk: Desk, using: dict[str, Any], **extensions: Any) -> dict[str, Any]:
    content = {"query": SEARCH, "variables": {"use": using}, "extensions": extensions}
    return dict(desk.service.post(content, role="developer").json())


def test_a_dry_run_of_a_search_tells_what_it_uses_and_what_it_shows(desk: Desk) -> None:
    desk.fetches.clear()
    told = told_of(search(desk, REVIEW, **DRY))
    assert desk.fetches == []
    used, shown = told["nodes"]
    assert (used["act"], used["path"]) == ("search", ["housingSecurities"])
    assert {one["act"] for one in used["items"]} == {"exist", "filter", "sort", "aggregate"}
    assert [one["coordinate"].partition(".")[2] for one in shown["items"]] == ["name", "regionCode", "address"]
    assert told["roots"][0]["basis"] == "SCENARIO/public-rental-housing-review"


def test_a_dry_run_of_a_search_decides_as_the_real_search_does(desk: Desk) -> None:
    told = told_of(search(desk, REVIEW, **DRY))
    search(desk, REVIEW)
    frame = desk.service.frames()[-1]
    recorded = {rule for node in frame["nodes"] for rule in node["rules"]}
    assert recorded
    assert recorded <= {one["ruleId"] for node in told["nodes"] for one in node["items"]}


def test_the_statement_of_a_search_is_the_real_ones(desk: Desk) -> None:
    told = told_of(search(desk, REVIEW, **DRY))
    desk.fetches.clear()
    search(desk, REVIEW)
    sources = desk.service.rooms.sources
    real = {sources[department].connector.explain(asked) for department, asked in desk.fetches}
    statements = {node["statement"] for node in told["nodes"] if "statement" in node}
    assert len(statements) == 1
    assert statements <= real


def test_a_search_whose_basis_fails_has_its_refusal_and_no_node(desk: Desk) -> None:
    told = told_of(search(desk, use(desk.names["case_closed"]), **DRY))
    assert told["nodes"] == []
    assert told["roots"][0]["refusals"][0]["ruleId"] == "DENY/CASE/CLOSED"
