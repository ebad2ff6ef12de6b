"""A dry run tells what a request would do and why, as the real run decides, and touches no data."""

from __future__ import annotations

from typing import Any

import pytest

from policies.decision import Act, Use
from schema.catalogue import Purpose, SubjectClass
from tests.line.desk import Desk
from tests.service import codes, use

PERSON = "query($id: CitizenIdNumber!, $use: UseInput!) { person(idNumber: $id, use: $use) { %s } }"
DRY = {"onesource": {"dryRun": True}}


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
