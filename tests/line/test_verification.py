"""Verification: a verdict and never a value, by the clerk's own way of writing, a few times only."""

from __future__ import annotations

import asyncio
import json
import logging
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import pytest
import sqlalchemy as sa

from policies.identity import Identity, Role
from resolvers.line import Answer, Request
from schema.formats import legacy_id
from tests.line.case_folder import CASES
from tests.line.decided import Down, decided, forget_attempts
from tests.line.desk import Desk
from tests.service import codes, use

NAME = "HouseholdRegistration.name"
DOCUMENT = "query($id: CitizenIdNumber!, $use: UseInput!) { person(idNumber: $id, use: $use) { %s } }"
MOST = 5


@pytest.fixture(autouse=True)
def fresh(desk: Desk) -> None:
    forget_attempts(desk)
    desk.fetches.clear()


def asked(desk: Desk, selection: str, who: str = "applicant", case: str = "case_hardship", **caller: str) -> Any:
    """The answer's body to a verification."""
    purpose = caller.pop("purpose", "DATA_VERIFICATION")
    variables = {"id": desk.names[who], "use": use(desk.names[case], purpose)}
    return desk.service.ask(DOCUMENT % selection, variables, **caller)


def told(desk: Desk, resource: str, item: str, written: str, **more: str) -> str | None:
    """The verdict on one item, None where the answer has none."""
    body = asked(desk, f"verify{resource}(expect: {{{item}: {written}}}) {{ {item} }}", **more)
    if body.get("data") is None or body["data"]["person"] is None:
        return None
    value = body["data"]["person"][f"verify{resource}"]
    return None if value is None else value[item]


def guess(desk: Desk, name: str = "张冬梅", **more: str) -> str | None:
    return told(desk, "HouseholdRegistration", "name", json.dumps(name), **more)


# -- how values are compared -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("written", ["张冬梅", " 张冬梅 ", "张 冬 梅", "张　冬梅", "张\t冬\n梅"])
def test_blanks_make_no_difference(desk: Desk, written: str) -> None:
    assert guess(desk, written) == "MATCH"


@pytest.mark.parametrize("written", ["", "张冬", "张冬梅梅", "%", "张_梅", "张*", "張冬梅"])
def test_a_part_or_a_pattern_is_no_match(desk: Desk, written: str) -> None:
    assert guess(desk, written) == "MISMATCH"


def test_full_width_and_case_make_no_difference(desk: Desk) -> None:
    with closing(sqlite3.connect(desk.database("public-security"))) as register, register:
        change = "UPDATE T_HJXX SET XM = ? WHERE GMSFHM = ?"
        register.execute(change, ("Ａnna Ｌee２", desk.applicant))
        register.commit()
        try:
            assert [guess(desk, one) for one in ("ANNA LEE2", "anna　lee２", "anna lee3")] == [
                "MATCH",
                "MATCH",
                "MISMATCH",
            ]
        finally:
            register.execute(change, ("张冬梅", desk.applicant))


def test_a_code_is_verified_by_its_name(desk: Desk) -> None:
    assert told(desk, "HouseholdRegistration", "ethnicGroup", "HAN") == "MATCH"
    assert told(desk, "HouseholdRegistration", "ethnicGroup", "TUJIA") == "MISMATCH"


def test_a_date_is_verified_by_its_day(desk: Desk) -> None:
    assert told(desk, "MarriageRegistration", "marriedOn", '"2011-05-20"') == "MATCH"
    assert told(desk, "MarriageRegistration", "marriedOn", '"2011-05-19"') == "MISMATCH"


@pytest.mark.parametrize("written", ["421202198509256228", '"４２１２０２１９８５０９２５６２２８"', "LEGACY"])
def test_an_identifier_is_verified_in_each_of_its_forms(desk: Desk, written: str) -> None:
    number = legacy_id(desk.applicant) if written == "LEGACY" else written.strip('"')
    assert told(desk, "HouseholdRegistration", "idNumber", f'"{number}"') == "MATCH"


def test_an_identifier_that_is_none_is_refused_and_not_counted(desk: Desk) -> None:
    for _ in range(MOST + 1):
        body = asked(desk, 'verifyHouseholdRegistration(expect: {idNumber: "421202198509256229"}) { idNumber }')
        assert "data" not in body
    assert told(desk, "HouseholdRegistration", "idNumber", f'"{desk.applicant}"') == "MATCH"


def test_one_of_many_records_is_enough(desk: Desk) -> None:
    assert told(desk, "ElectronicCertificate", "certificateNumber", f'"{desk.applicant}"') == "MATCH"
    assert told(desk, "ElectronicCertificate", "certificateNumber", f'"{desk.names["spouse"]}"') == "MISMATCH"


def test_a_stored_value_that_is_none_of_its_type_has_no_verdict(desk: Desk) -> None:
    with closing(sqlite3.connect(desk.database("civil-affairs"))) as marriages, marriages:
        change = "UPDATE hydj_xx SET djrq = ? WHERE gmsfhm = ?"
        column = [row[1] for row in marriages.execute("PRAGMA table_info(hydj_xx)")][3]
        change = change.replace("djrq", column)
        marriages.execute(change, ("someday", legacy_id(desk.applicant)))
        marriages.commit()
        try:
            body = asked(desk, 'verifyMarriageRegistration(expect: {marriedOn: "2011-05-20"}) { marriedOn }')
            assert body["data"]["person"] == {"verifyMarriageRegistration": {"marriedOn": None}}
            assert codes(body) == ["SOURCE_VALUE_INVALID"]
        finally:
            marriages.execute(change, ("2011-05-20", legacy_id(desk.applicant)))


# -- what may not be verified ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("purpose", ["ADMINISTRATIVE_BASIS", "WORK_REFERENCE", "BUSINESS_COLLABORATION"])
def test_a_verification_under_another_purpose_is_denied_and_not_counted(desk: Desk, purpose: str) -> None:
    for _ in range(MOST + 1):
        assert guess(desk, purpose=purpose) == "DENIED"
    assert desk.fetches == []
    assert guess(desk) == "MATCH"


def test_who_is_no_subject_of_the_case_is_not_verified(desk: Desk) -> None:
    assert guess(desk, who="spouse", case="case_alone_hardship") is None
    assert desk.fetches == []


def test_items_of_few_values_have_no_verification(desk: Desk) -> None:
    types = desk.service.rooms.line._schema.type_map
    offered: Any = types["HouseholdRegistrationExpectation"]
    assert not {"sex", "status", "cancellationReason", "photo"} & set(offered.fields)
    assert {"name", "idNumber", "ethnicGroup", "town"} <= set(offered.fields)


# -- how often ---------------------------------------------------------------------------------------------------------


def test_attempts_are_used_up_by_right_and_wrong_guesses_alike(desk: Desk) -> None:
    guesses = [guess(desk, one) for one in ("甲", "乙", "张冬梅", "丙", "张冬梅", "张冬梅", "丁")]
    assert guesses == ["MISMATCH", "MISMATCH", "MATCH", "MISMATCH", "MATCH", "DENIED", "DENIED"]
    assert len(desk.fetches) == MOST


def test_attempts_count_for_one_department_person_and_item(desk: Desk) -> None:
    for _ in range(MOST):
        assert guess(desk) == "MATCH"
    assert guess(desk) == "DENIED"
    assert guess(desk, who="spouse") == "MISMATCH"
    assert told(desk, "HouseholdRegistration", "ethnicGroup", "HAN") == "MATCH"
    assert guess(desk, case="case_support", department="market-supervision") == "MATCH"


def test_another_case_clerk_or_client_gives_no_further_attempts(desk: Desk) -> None:
    for _ in range(MOST):
        guess(desk)
    assert guess(desk, case="case_alone_hardship") == "DENIED"
    assert guess(desk, case="case") == "DENIED"  # of another service item
    assert guess(desk, subject="clerk-99", client="another", role="developer") == "DENIED"


def test_aliases_in_one_request_count_each(desk: Desk) -> None:
    names = ["甲", "乙", "丙", "丁", "戊", "己", "张冬梅"]
    fields = " ".join(
        f"v{n}: verifyHouseholdRegistration(expect: {{name: {json.dumps(name)}}}) {{ name }}"
        for n, name in enumerate(names)
    )
    verdicts = [one["name"] for one in asked(desk, fields)["data"]["person"].values()]
    assert verdicts.count("DENIED") == len(names) - MOST
    assert guess(desk) == "DENIED"


def test_two_roots_about_one_person_count_each(desk: Desk) -> None:
    field = 'person(idNumber: $id, use: $use) { verifyHouseholdRegistration(expect: {name: "甲"}) { name } }'
    document = "query($id: CitizenIdNumber!, $use: UseInput!) { " + " ".join(f"r{n}: {field}" for n in range(7)) + " }"
    variables = {"id": desk.applicant, "use": use(desk.names["case_hardship"], "DATA_VERIFICATION")}
    data = desk.service.ask(document, variables)["data"]
    verdicts = [root["verifyHouseholdRegistration"]["name"] for root in data.values()]
    assert verdicts.count("MISMATCH") == MOST
    assert verdicts.count("DENIED") == 2


def test_requests_at_the_same_time_have_no_more_attempts_than_one_after_another(desk: Desk) -> None:
    document = DOCUMENT % 'verifyHouseholdRegistration(expect: {name: "甲"}) { name }'
    variables = {"id": desk.applicant, "use": use(desk.names["case_hardship"], "DATA_VERIFICATION")}
    clerk = Identity("clerk-01", "housing", Role.CLERK, "421200", "demo", time.time() + 60, "t")
    line = desk.service.rooms.line

    async def at_once() -> list[Answer]:
        request = Request(document, variables, None)
        return list(await asyncio.gather(*(line.answer(request, clerk) for _ in range(30))))

    answers = [json.loads(answer.body)["data"]["person"] for answer in desk.run(at_once)]
    verdicts = [answer["verifyHouseholdRegistration"]["name"] for answer in answers]
    assert (verdicts.count("MISMATCH"), verdicts.count("DENIED")) == (MOST, 25)


@pytest.mark.parametrize(("days_ago", "verdict"), [(31, "MATCH"), (29, "DENIED")])
def test_attempts_come_back_when_the_period_has_rolled_on(desk: Desk, days_ago: int, verdict: str) -> None:
    line, then = desk.service.rooms.line, time.time() - days_ago * 86_400
    pair = (line.recorder.hashes.of("Person", desk.applicant), NAME)
    for _ in range(MOST):
        desk.run(line.control.take, "housing", [pair], then, then - 1, MOST)
    assert guess(desk) == verdict


def test_an_attempt_without_a_verdict_is_given_back(desk: Desk) -> None:
    with desk.replaced(Down({}), "public-security"):
        for _ in range(MOST + 2):
            assert guess(desk) is None
    assert [guess(desk, "甲") for _ in range(MOST + 1)] == ["MISMATCH"] * MOST + ["DENIED"]


def test_a_source_that_fails_gives_back_no_other_attempt(desk: Desk) -> None:
    for _ in range(MOST):
        guess(desk)
    with desk.replaced(Down({}), "public-security"):
        assert guess(desk) == "DENIED"  # the source is not asked at all
    assert guess(desk) == "DENIED"


def test_no_value_is_no_attempt(desk: Desk) -> None:
    for _ in range(MOST + 1):
        asked(desk, 'verifyHouseholdRegistration(expect: {name: null, town: "某镇"}) { name }')
        asked(desk, 'verifyHouseholdRegistration(expect: {town: "某镇"}) { name }')
    assert guess(desk) == "MATCH"


def test_a_dry_run_verifies_nothing_and_costs_no_attempt(desk: Desk) -> None:
    document = DOCUMENT % 'verifyHouseholdRegistration(expect: {name: "独一无二甲"}) { name }'
    variables = {"id": desk.applicant, "use": use(desk.names["case_hardship"], "DATA_VERIFICATION")}
    clerk = Identity("clerk-01", "housing", Role.CLERK, "421200", "demo", time.time() + 60, "t")
    line = desk.service.rooms.line
    for _ in range(MOST + 1):
        answer = desk.run(line.answer, Request(document, variables, None, dry_run=True), clerk)
        assert json.loads(answer.body)["data"] == {}
        assert "独一无二甲" not in answer.body.decode()
    assert desk.fetches == []
    assert guess(desk) == "MATCH"


@contextmanager
def _attempts_gone(desk: Desk) -> Iterator[None]:
    database = str(sa.make_url(desk.service.settings.control.url).database)
    with closing(sqlite3.connect(database)) as control:
        control.execute("ALTER TABLE attempts RENAME TO attempts_gone")
        try:
            yield
        finally:
            control.execute("ALTER TABLE attempts_gone RENAME TO attempts")


def test_nothing_is_verified_or_shown_where_attempts_cannot_be_counted(desk: Desk) -> None:
    with _attempts_gone(desk):
        body = asked(desk, 'idNumber verifyHouseholdRegistration(expect: {name: "张冬梅"}) { name }')
    assert "data" not in body
    assert codes(body) == ["CONTROL_UNAVAILABLE"]
    assert desk.fetches == []


# -- no value leaves ---------------------------------------------------------------------------------------------------


def test_neither_the_stored_nor_the_expected_value_is_told_or_kept_anywhere(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    before = len(desk.service.frames())
    bodies = []
    for expected in ("独一无二甲", "张冬梅"):
        field = "verifyHouseholdRegistration(expect: {name: $name}) { name }"
        document = DOCUMENT.replace("$use: UseInput!", "$use: UseInput!, $name: String") % field
        variables = {"id": desk.applicant, "use": use(desk.names["case_hardship"], "DATA_VERIFICATION")}
        bodies.append(desk.service.ask(document, variables | {"name": expected}))
        desk.service.ask(document, variables | {"name": [expected, expected]})  # told to who wrote it, and kept nowhere
        with desk.replaced(Down({}), "public-security"):
            bodies.append(desk.service.ask(document, variables | {"name": expected}))
    kept = json.dumps(desk.service.frames()[before:], ensure_ascii=False)
    for where in (json.dumps(bodies, ensure_ascii=False), kept, caplog.text):
        assert "独一无二甲" not in where
        assert "张冬梅" not in where
    assert desk.applicant not in kept


@pytest.mark.parametrize(
    ("written", "verdict"),
    [
        ("315.5", "MATCH"),
        ("315.50", "MATCH"),
        ("3.155e2", "MATCH"),
        ("315.49", "MISMATCH"),
        ("0E-99999999", "MISMATCH"),
        ("1E+999999999", "MISMATCH"),
    ],
)
def test_a_decimal_is_verified_by_its_value(desk: Desk, written: str, verdict: str) -> None:
    with decided(desk, CASES / "verification_in_own_region"):  # grants the item
        assert told(desk, "HousingSecurity", "monthlyRent", f'"{written}"', region="421202") == verdict


@pytest.mark.parametrize("written", ["NaN", "sNaN", "-Infinity"])
def test_a_decimal_that_is_no_number_is_refused_before_anything_is_asked(desk: Desk, written: str) -> None:
    with decided(desk, CASES / "verification_in_own_region"):
        body = asked(
            desk, f'verifyHousingSecurity(expect: {{monthlyRent: "{written}"}}) {{ monthlyRent }}', region="421202"
        )
    assert "data" not in body
    assert codes(body) == ["VARIABLES_INVALID"]
    assert desk.fetches == []
