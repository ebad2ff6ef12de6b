"""A data subject reads what was disclosed of the own person, whole and proven, and nothing else."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from audit.verify_offline import LOG_TYPES, OWN_LIST, check_own_list, parse_checkpoint, read_key
from terminal.citizens import MINE
from tests.service import HOUSING, Service, codes, running, use

ASK = """query($first: Int = 50, $after: String) { myDisclosures(first: $first, after: $after) {
  edges { cursor node {
    place at department role outcome covered dataSubject leaf text
    uses { resource resourceTitle provider item itemTitle outcome act records subjectClass purpose matter matterCode case ruleId article }
  } }
  pageInfo { hasNextPage hasPreviousPage endCursor } indexedThrough recordedThrough coveredThrough proof
} }"""
BIRTH = "421200-GA-FW-0001"


@pytest.fixture(scope="module")
def hall(city: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service whose map is committed to when a test says so."""
    with running(tmp_path_factory.mktemp("hall"), city, changed={"subjects": "86_400.0"}) as service:
        yield service


def commit(service: Service) -> None:
    one = service.rooms.integrator
    for _ in range(2):  # the one that may be under way, then one from now on
        one.subjects._begun = float("-inf")
        for thread, work in (
            (one._thread, one.advance),
            (one._mapping, one.subjects.advance),
            (one._thread, one.advance),
        ):
            thread.submit(work, *([True] if work == one.advance else [])).result()


def mine(service: Service, identifier: str = "", **asked: Any) -> Any:
    more = {"identifier": identifier} if identifier else {}
    body = service.ask(ASK, asked, role="citizen", **more)
    assert "errors" not in body, body
    return body["data"]["myDisclosures"]


def newest(found: Any, resource: str) -> list[Any]:
    """The uses of the newest entry about this resource."""
    return next(
        uses
        for edge in found["edges"]
        if (uses := [one for one in edge["node"]["uses"] if one["resource"] == resource])
    )


@pytest.fixture(scope="module")
def case(hall: Service) -> str:
    people = hall.examples
    hall.accept("CITIZEN-1", ("APPLICANT", people.applicant.identifier), ("CHILD", people.child.identifier))
    hall.person("householdRegistration { name photo }", people.applicant.identifier, "CITIZEN-1")
    return "CITIZEN-1"


def test_a_citizen_reads_who_used_which_item_for_which_matter_on_which_basis(hall: Service, case: str) -> None:
    found = mine(hall)
    name, photo = newest(found, "HouseholdRegistration")
    assert (name["item"], name["itemTitle"], name["outcome"], name["case"]) == ("name", "姓名", "RETURNED", case)
    assert (name["resourceTitle"], name["purpose"]) == ("户籍登记信息", "ADMINISTRATIVE_BASIS")
    assert name["provider"] == hall.catalogue.departments["public-security"].title
    assert (name["matter"], name["matterCode"]) == (hall.catalogue.services[HOUSING].title, HOUSING)
    assert name["ruleId"].startswith("SHARE/HouseholdRegistration.name")
    assert name["article"]
    assert (photo["outcome"], photo["ruleId"]) == ("DENIED", "DENY/CLASS/CONDITIONAL")
    entry = next(edge["node"] for edge in found["edges"] if name in edge["node"]["uses"])
    assert entry["department"] == hall.catalogue.departments["housing"].title
    assert "clerk-01" not in json.dumps(found)
    assert hall.examples.applicant.identifier not in json.dumps(found)


def test_what_was_merely_asked_for_is_told_too(hall: Service, case: str) -> None:
    stranger = hall.examples.spouse.identifier
    hall.person("householdRegistration { name }", stranger, case)
    (one,) = newest(mine(hall, stranger), "HouseholdRegistration")
    assert (one["outcome"], one["ruleId"]) == ("DENIED", "DENY/CASE/SUBJECT")
    assert one["case"] is None  # it is a case of others


def test_whom_anothers_record_names_reads_that_and_no_item_of_the_other(hall: Service) -> None:
    people = hall.examples
    applies = (("APPLICANT", people.applicant.identifier), ("NEWBORN", people.child.identifier))
    hall.accept("CITIZEN-2", *applies, service=BIRTH, department="public-security")
    body = hall.person(
        "birthRegistration { fatherIdNumber }", people.child.identifier, "CITIZEN-2", department="public-security"
    )
    assert body["data"]["person"]["birthRegistration"] == {"fatherIdNumber": people.spouse.identifier}
    (one,) = newest(mine(hall, people.spouse.identifier), "BirthRegistration")
    assert (one["outcome"], one["item"], one["case"]) == ("NAMED", None, None)
    assert one["matter"] == hall.catalogue.services[BIRTH].title
    assert people.applicant.identifier not in json.dumps(one)


def test_the_own_question_is_on_record_under_no_name(hall: Service, case: str) -> None:
    mine(hall)
    frame = hall.frames()[-1]
    who = hall.rooms.line.recorder.hashes.of("Person", hall.examples.applicant.identifier)
    assert (frame["subject"], frame["department"], frame["role"]) == (who, "", "citizen")
    assert frame["nodes"][0]["others"] == [who]
    assert {one["outcome"]: one["subject"] for one in hall.all_frames()}["signed-in"] != "citizen-01"
    (one,) = newest(mine(hall), "MyDisclosure")
    assert (one["act"], one["outcome"]) == ("myDisclosures", "NAMED")


def test_pages_follow_each_other_and_repeat_nothing(hall: Service, case: str) -> None:
    people = hall.examples
    hall.person("householdRegistration { name } housingFund { accountStatus }", people.child.identifier, case)
    whole = [edge["node"]["place"] for edge in mine(hall, people.child.identifier)["edges"]]
    assert len(whole) > 2
    assert whole == sorted(whole, key=int, reverse=True)
    seen, after = list[str](), None
    while True:
        page = mine(hall, people.child.identifier, first=1, after=after)
        seen += [edge["node"]["place"] for edge in page["edges"]]
        after = page["pageInfo"]["endCursor"]
        if not page["pageInfo"]["hasNextPage"]:
            break
    assert [place for place in seen if place in whole] == whole


def test_what_was_recorded_since_the_commitment_is_shown_and_marked(hall: Service, case: str) -> None:
    commit(hall)
    hall.person("householdRegistration { name }", hall.examples.applicant.identifier, case)
    found = mine(hall)
    marks = {int(edge["node"]["place"]): edge["node"]["covered"] for edge in found["edges"]}
    assert marks == {place: place <= found["coveredThrough"] for place in marks}
    assert set(marks.values()) == {True, False}


def test_the_whole_list_is_complete_and_its_proof_small(hall: Service, case: str) -> None:
    commit(hall)
    found = mine(hall, first=200)
    assert len(found["proof"].encode()) <= 4096
    entries = [
        {"subject": n["dataSubject"], "place": int(n["place"]), "leaf": n["leaf"], "text": n["text"]}
        for n in (edge["node"] for edge in found["edges"])
    ]
    key = read_key(hall.rooms.integrator._signer.key.text().encode(), LOG_TYPES)
    content = {"format": OWN_LIST, "entries": entries, "proof": json.loads(found["proof"])}
    _, covered, checkpoint, *_ = check_own_list(content, [key], [])
    assert covered.size == found["coveredThrough"] <= checkpoint.size
    places = {f["operation"]: place for place, f in enumerate(hall.all_frames(), 1)}
    assert covered.size <= len(places)


def test_nobody_ever_looked_is_proven_too(hall: Service, case: str) -> None:
    from datetime import date

    from tests.line.desk import born

    commit(hall)
    found = mine(hall, born(date(1950, 1, 1)))
    (own,) = json.loads(found["proof"])["lists"]
    assert own["count"] == 0
    assert [edge["node"]["covered"] for edge in found["edges"]] in ([], [False])


GOVERNED = "query($id: CitizenIdNumber!, $use: UseInput!) { person(idNumber: $id, use: $use) { householdRegistration { name } } }"
SEARCH = "query($use: UseInput!) { housingSecurities(use: $use, first: 1) { totalCount } }"
FORBIDDEN = (
    GOVERNED,
    SEARCH,
    '{ case(number: "CITIZEN-1") { state } }',
    "{ cases { number } }",
    "{ disclosures(first: 1) { recordedThrough } }",
    '{ auditStatistics(month: "2026-11") { month } }',
    "{ grants { id } }",
    "{ suspensions { id } }",
    "{ notices { number } }",
    'query($use: UseInput!) { access(resource: "HousingFund", use: $use) { title } }',
    'mutation { closeCase(number: "CITIZEN-1") { state } }',
    "{ myDisclosures(first: 1) { proof } cases { number } }",
)


@pytest.mark.parametrize("document", FORBIDDEN)
def test_a_citizen_may_ask_for_nothing_else_and_that_is_on_record(hall: Service, case: str, document: str) -> None:
    asked = {"id": hall.examples.applicant.identifier, "use": use(case)}
    sent = {name: value for name, value in asked.items() if f"${name}:" in document}
    response = hall.post({"query": document, "variables": sent}, role="citizen")
    body = response.json()
    assert (response.status_code, codes(body)) == (403, ["OWN_DISCLOSURES_ONLY"]), body
    assert "data" not in body
    assert hall.frames()[-1]["outcome"] == "own_disclosures_only"


def test_a_citizen_may_read_the_schema(hall: Service) -> None:
    assert hall.ask("{ __schema { queryType { name } } __typename }", role="citizen")["data"]["__typename"] == "Query"


@pytest.mark.parametrize("role", ["clerk", "developer", "officer", "auditor"])
def test_nobody_else_has_disclosures_of_the_own_person(hall: Service, role: str) -> None:
    body = hall.ask(ASK, role=role, department="data-bureau")
    assert codes(body) == ["ROLE_REQUIRED"]


@pytest.mark.parametrize("asked", [{"first": 0}, {"first": 201}, {"after": "x"}, {"after": "9" * 40}])
def test_a_page_that_is_none_is_refused(hall: Service, asked: dict[str, Any]) -> None:
    assert codes(hall.ask(ASK, asked, role="citizen")) == ["PAGE_INVALID"]


def test_the_commands_own_document_fits_the_schema(hall: Service) -> None:
    assert "errors" not in hall.ask(MINE, {"first": 1}, role="citizen")


def test_a_secret_that_was_changed_hides_nothing(city: Path, tmp_path: Path) -> None:
    """Records under the former secret are on the list too, and the proof is for both keys."""
    with running(tmp_path, city) as service:
        applicant = service.examples.applicant.identifier
        service.accept("OLD-1", ("APPLICANT", applicant))
        service.person("householdRegistration { name }", applicant, "OLD-1")
    secrets = tmp_path / "demo" / "secrets"
    (secrets / "ledger.key").rename(secrets / "former.key")
    (secrets / "ledger.key").write_text("ab" * 32, "utf8")
    text = (tmp_path / "onesource.toml").read_text("utf8")
    (tmp_path / "onesource.toml").write_text(
        text.replace("unsealed =", 'former_secret_files = ["demo/secrets/former.key"]\nunsealed ='), "utf8"
    )
    from starlette.testclient import TestClient

    from app import application, catalogue_of, compose
    from settings import load_settings

    loaded = load_settings(tmp_path / "onesource.toml")
    rooms = compose(loaded, catalogue_of(loaded))
    with TestClient(application(rooms, loaded)) as client:
        again = Service(rooms, loaded, client, service.examples)
        again.person("householdRegistration { name }", applicant, "OLD-1")
        commit(again)
        found = mine(again)
        entries = [
            {"subject": n["dataSubject"], "place": int(n["place"]), "leaf": n["leaf"], "text": n["text"]}
            for n in (edge["node"] for edge in found["edges"])
        ]
        content = {"format": OWN_LIST, "entries": entries, "proof": json.loads(found["proof"])}
        assert len(parse_checkpoint(content["proof"]["checkpoint"]).subjects.key_ids) == 2  # type: ignore[union-attr]
        assert len({entry["subject"] for entry in entries}) == 2
        check_own_list(content, [rooms.integrator._signer.key], [])
