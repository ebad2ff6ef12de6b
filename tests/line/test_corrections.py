"""Corrections: who may ask and record, what each department is told, and what is kept nowhere."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

import audit.index
from audit.frame import decode
from audit.ledger import Ledger
from tests.line.recall_world import World, open_world
from tests.line.test_recall import LONG_AGO, READERS, between
from tests.service import codes

RECORD = """mutation($input: RecordCorrectionInput!) { recordCorrection(input: $input) {
  id provider resource item dataSubject since until reason reference by undetermined notices { number department uses }
} }"""
NOTICES = "{ notices(first: 100) { number kind zh en reference uses { operationId case at outcomes } } }"
LIST = "{ corrections { id reference by notices { department uses } } }"
PROVIDER, SUPERVISOR = "public-security", "data-bureau"
_references = itertools.count(1)


@pytest.fixture(scope="module")
def world(city: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(audit.index, "_PAUSE", 0.02)
        with open_world(tmp_path_factory.mktemp("corrections"), city) as opened:
            yield opened


def given(world: World, **more: Any) -> dict[str, Any]:
    """What to record: the first person's town has been wrong ever since."""
    made = {
        "resource": "HouseholdRegistration", "item": "town", "entity": world.people[0],
        "between": between(LONG_AGO, None), "reason": "登记错误", "reference": f"更正〔{next(_references)}〕号",
    }  # fmt: skip
    return made | more


def record(world: World, department: str = PROVIDER, role: str = "officer", **more: Any) -> dict[str, Any]:
    return world.service.ask(RECORD, {"input": given(world, **more)}, role=role, department=department)


def recorded(world: World, **more: Any) -> dict[str, Any]:
    body = record(world, **more)
    assert "errors" not in body, body
    return dict(body["data"]["recordCorrection"])


def notices(world: World, department: str) -> list[dict[str, Any]]:
    body = world.service.ask(NOTICES, {}, role="officer", department=department)
    assert "errors" not in body, body
    return [one for one in body["data"]["notices"] if one["kind"] == "CORRECTED"]


def look(world: World, department: str, selection: str, person: int = 0) -> str:
    """A look-up's operation id."""
    world.now += timedelta(seconds=1)
    who = {"department": department, "subject": f"clerk-{department}"}
    field = f"persons(idNumbers: $ids, use: $use) {{ {selection} }}"
    body = world._ask(field, "ADMINISTRATIVE_BASIS", who, ids=[world.people[person]])
    assert "errors" not in body, body
    return str(body["extensions"]["operationId"])


def test_each_department_that_was_shown_the_value_is_told_once_and_no_other(world: World) -> None:
    shown = "householdRegistration { name town }"
    housing = [look(world, "housing", shown), look(world, "housing", "x: " + shown)]
    resources = [look(world, "human-resources", shown)]
    look(world, "market-supervision", "householdRegistration { name }")
    look(world, "market-supervision", shown, person=1)
    correction = recorded(world)
    assert {one["department"]: one["uses"] for one in correction["notices"]} == {"housing": 2, "human-resources": 1}
    for department, operations in (("housing", housing), ("human-resources", resources)):
        (notice,) = [one for one in notices(world, department) if one["reference"] == correction["id"]]
        assert {use["operationId"] for use in notice["uses"]} == set(operations)
        assert {use["case"] for use in notice["uses"]} == {world.cases[department]}
        assert {tuple(use["outcomes"]) for use in notice["uses"]} <= {("RETURNED",), ("ABSENT",)}
        assert "户籍地镇(街道)" in notice["zh"]
        assert "HouseholdRegistration.town" in notice["en"]
        contact = world.service.catalogue.departments[PROVIDER].contact
        for part in ("登记错误", correction["reference"], contact):
            assert part in notice["zh"]
            assert part in notice["en"]
        (row,) = world.rows("HouseholdRegistration", world.people[0])
        for hidden in (world.people[0], row["name"], f"clerk-{department}"):
            assert hidden not in str(notice)
    for department in ("market-supervision", SUPERVISOR, PROVIDER, "education"):
        assert notices(world, department) == []


def test_a_correction_sent_twice_is_recorded_once(world: World) -> None:
    look(world, "housing", "householdRegistration { town }")
    sent = given(world)
    first = recorded(world, **sent)
    before = len(notices(world, "housing"))
    look(world, "housing", "householdRegistration { town }")
    assert recorded(world, **sent) == first
    assert recorded(world, **sent, department=SUPERVISOR) == first
    assert len(notices(world, "housing")) == before
    for other in ({"reason": "另一理由"}, {"item": "name"}, {"entity": world.people[1]}, {"value": "甲镇"}):
        assert codes(record(world, **(sent | other))) == ["CORRECTION_EXISTS"]


def test_a_correction_that_nobody_was_shown_tells_nobody(world: World) -> None:
    correction = recorded(world, entity=world.people[2], item="policeStation")
    assert correction["notices"] == []
    assert correction["undetermined"] == 0


def test_provider_and_supervising_department_read_the_corrections(world: World) -> None:
    reference = recorded(world)["reference"]
    for department in (PROVIDER, SUPERVISOR):
        for role in ("officer", "auditor"):
            body = world.service.ask(LIST, {}, role=role, department=department)
            assert reference in [one["reference"] for one in body["data"]["corrections"]]
    assert world.service.ask(LIST, {}, role="officer", department="housing")["data"]["corrections"] == []
    assert codes(world.service.ask(LIST, {}, role="clerk", department=PROVIDER)) == ["ROLE_REQUIRED"]


@pytest.mark.parametrize(
    ("role", "department", "reads", "records"),
    [
        ("officer", PROVIDER, True, True),
        ("officer", SUPERVISOR, True, True),
        ("officer", "housing", False, False),
        ("auditor", SUPERVISOR, True, False),
        ("auditor", "housing", True, False),
        ("clerk", PROVIDER, False, False),
        ("developer", SUPERVISOR, False, False),
    ],
)
def test_who_may_ask_and_who_may_record(world: World, role: str, department: str, reads: bool, records: bool) -> None:
    asked = {name: value for name, value in given(world).items() if name not in ("reason", "reference")}
    body = world.service.ask(READERS, asked | {"first": 5}, role=role, department=department)
    assert codes(body) == ([] if reads else ["ROLE_REQUIRED"])
    assert codes(record(world, department, role)) == ([] if records else ["ROLE_REQUIRED"])


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"resource": "Nothing"}, "RESOURCE_UNKNOWN"),
        ({"item": "nothing"}, "ITEM_UNKNOWN"),
        ({"item": "HouseholdRegistration.town"}, "ITEM_UNKNOWN"),
        ({"entity": "42120219880328202X"}, "IDENTIFIER_INVALID"),
        ({"entity": ""}, "IDENTIFIER_INVALID"),
        ({"between": {"since": "2026-11-02T00:00:00", "until": "2026-11-01T00:00:00"}}, "RANGE_INVALID"),
        ({"between": {"since": "2026-11-01T00:00:00", "until": "2026-11-01T00:00:00"}}, "RANGE_INVALID"),
        ({"between": {"since": "0001-01-01T00:00:00"}}, "RANGE_INVALID"),
        ({"between": {"since": "2126-11-01T00:00:00"}}, "RANGE_INVALID"),
        ({"item": "cancelledOn", "value": "gestern"}, "VALUE_INVALID"),
        ({"item": "sex", "value": "OTHERWISE"}, "VALUE_INVALID"),
        ({"item": "idNumber", "value": "42120219880328202X"}, "VALUE_INVALID"),
        ({"item": "photo", "value": "no picture"}, "VALUE_INVALID"),
    ],
)
def test_what_cannot_be_asked_is_refused_with_a_code(world: World, changed: dict[str, Any], code: str) -> None:
    asked = given(world) | changed
    sent = {name: value for name, value in asked.items() if name not in ("reason", "reference")}
    assert codes(world.service.ask(READERS, sent | {"first": 5}, role="auditor", department=SUPERVISOR)) == [code]
    assert codes(record(world, **changed)) == [code]


@pytest.mark.parametrize(("first", "after"), [(0, None), (501, None), (5, "1.1"), (5, "x")])
def test_a_page_that_is_none_is_refused(world: World, first: int, after: str | None) -> None:
    asked = {name: value for name, value in given(world).items() if name not in ("reason", "reference")}
    asked |= {"entity": world.people[2], "item": "policeStation", "first": first, "after": after}
    assert codes(world.service.ask(READERS, asked, role="auditor", department=SUPERVISOR)) == ["PAGE_INVALID"]


@pytest.mark.parametrize(
    "changed",
    [
        {"reason": " "},
        {"reference": ""},
        {"reason": "两\n行"},
        {"reference": "x" * 201},
        {"reason": "421202198803282021 更正"},
    ],
)
def test_reason_and_reference_are_needed(world: World, changed: dict[str, str]) -> None:
    assert codes(record(world, **changed)) == ["CORRECTION_INVALID"]


def test_the_value_is_needed_where_the_source_tells_no_last_change(world: World) -> None:
    look(world, "housing", "housingFund { name }")
    fund = {"resource": "HousingFund", "item": "name"}
    body = record(world, department="housing-fund", **fund)
    assert codes(body) == ["VALUE_REQUIRED"]
    assert body["errors"][0]["extensions"]["hint"]["en"].startswith("The source tells no moment")
    (row,) = world.rows("HousingFund", world.people[0])
    assert recorded(world, department="housing-fund", **fund, value="无此人")["notices"] == []
    told = recorded(world, department="housing-fund", **fund, value=row["name"])["notices"]
    assert [one["department"] for one in told] == ["housing"]


def test_neither_identifier_nor_value_is_kept(world: World) -> None:
    look(world, "housing", "housingFund { name }")
    recorded(world, department="housing-fund", resource="HousingFund", item="name", value="独一无二的值")
    assert world.service.rooms.control._database.engine.url.database
    for url in (world.service.settings.control.url, world.service.settings.ledger.url):
        place = Path(url.removeprefix("sqlite:///"))
        content = b"".join(file.read_bytes() for file in place.parent.glob(f"{place.name}*"))
        assert "独一无二的值".encode() not in content
        assert world.people[0].encode() not in content


def test_a_correction_is_on_record_before_it_takes_effect(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    reference = recorded(world)["reference"]
    attempted, done = world.service.frames()[-2:]
    whose = world.service.rooms.line.recorder.hashes.of("Person", world.people[0])
    for frame in (attempted, done):
        node = frame["nodes"][0]
        assert (node["path"], node["resource"], node["others"]) == ("recordCorrection", "Correction", [whose])
    assert (attempted["outcome"], attempted["nodes"][0]["case"]) == ("attempted", reference)
    before = len(notices(world, "housing"))
    sent = given(world)
    with monkeypatch.context() as broken:
        broken.setattr(Ledger, "_write", lambda *_: (_ for _ in ()).throw(OSError("full")))
        assert codes(record(world, **sent)) == ["LEDGER_UNAVAILABLE"]
    assert sent["reference"] not in str(world.service.ask(LIST, {}, role="officer", department=PROVIDER))
    assert len(notices(world, "housing")) == before


def test_nothing_is_recorded_while_the_index_might_miss_somebody(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    sent = given(world)
    with monkeypatch.context() as slow:
        slow.setattr(audit.index.Index, "_indexed", lambda _: 0)
        assert codes(record(world, **sent)) == ["INDEX_BEHIND"]
    assert recorded(world, **sent)["reference"] == sent["reference"]


def test_readings_recorded_before_versions_were_kept_are_counted_apart(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    look(world, "housing", "householdRegistration { ethnicGroup: town }", person=2)
    asked = given(world, entity=world.people[2]) | {"first": 50}
    asked = {name: value for name, value in asked.items() if name not in ("reason", "reference")}

    def of_the_first_form(frame: bytes) -> dict[str, Any]:
        return {name: value for name, value in decode(frame).items() if name != "nodes"} | {
            "version": 1,
            "nodes": [{k: v for k, v in node.items() if k != "versions"} for node in decode(frame)["nodes"]],
        }

    now = world.service.ask(READERS, asked, role="officer", department=PROVIDER)["data"]["affectedReaders"]
    monkeypatch.setattr("audit.readers.decode", of_the_first_form)
    then = world.service.ask(READERS, asked, role="officer", department=PROVIDER)["data"]["affectedReaders"]
    assert (now["totalCount"], now["undetermined"]) == (1, 0)
    assert (then["totalCount"], then["undetermined"]) == (0, 1)
