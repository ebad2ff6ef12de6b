"""A source that is gone, broken, changed, locked or slow costs its own fields, with one error a resource; the rest answers in time."""

from __future__ import annotations

import asyncio
import json
import shutil
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from connectors.contract import Request, Rows, SourceError
from connectors.memory import MemoryConnector
from tests.line.desk import Desk, sqlite_source
from tests.service import codes, paths, use

ASKED = """query($ids: [CitizenIdNumber!]!, $use: UseInput!) {
  persons(idNumbers: $ids, use: $use) {
    housingFund { accountStatus employerName again: employerName }
    householdRegistration { name }
    representedOrganizations { unifiedSocialCreditCode }
  }
}"""


def _script(file: Path, sql: str) -> None:
    with closing(sqlite3.connect(file)) as database:
        database.executescript(sql)


def _remove(file: Path) -> None:
    file.unlink()


def _overwrite(file: Path) -> None:
    file.write_bytes(b"no database at all " * 1000)


def _truncate(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:5000])


def _empty(file: Path) -> None:
    file.write_bytes(b"")


def _lose_column(file: Path) -> None:
    _script(file, "ALTER TABLE DP_GRZH RENAME COLUMN DWMC TO DWMC_OLD")


def _lose_update_time(file: Path) -> None:
    _script(file, "ALTER TABLE DP_GRZH RENAME COLUMN XGSJ TO XGSJ_OLD")


def _lose_table(file: Path) -> None:
    _script(file, "ALTER TABLE DP_GRZH RENAME TO DP_GRZH_OLD")


def _ask(desk: Desk) -> tuple[dict[str, Any], float]:
    started = time.perf_counter()
    ids = [desk.applicant, desk.names["spouse"]]
    body = desk.service.ask(ASKED, {"ids": ids, "use": use(desk.case)})
    return body, time.perf_counter() - started


def _only_housing_fund_is_lost(body: dict[str, Any], code: str) -> None:
    assert [person["housingFund"] for person in body["data"]["persons"]] == [None, None]
    assert all(person["householdRegistration"]["name"] for person in body["data"]["persons"])
    assert body["data"]["persons"][0]["representedOrganizations"]
    assert (codes(body), paths(body)) == ([code], ["persons.housingFund"])
    (error,) = body["errors"]
    assert error["extensions"]["resource"] == "HousingFund"
    assert error["extensions"]["provider"] == "咸宁住房公积金中心"
    assert error["extensions"]["contact"]


@pytest.mark.parametrize(
    ("harm", "code"),
    [
        (_remove, "SOURCE_UNAVAILABLE"),
        (_overwrite, "SOURCE_UNAVAILABLE"),
        (_truncate, "SOURCE_UNAVAILABLE"),
        (_empty, "SOURCE_CHANGED"),
        (_lose_column, "SOURCE_CHANGED"),
        (_lose_update_time, "SOURCE_CHANGED"),
        (_lose_table, "SOURCE_CHANGED"),
    ],
)
def test_harmed_source_costs_its_own_fields(
    desk: Desk, tmp_path: Path, harm: Callable[[Path], None], code: str
) -> None:
    file = Path(shutil.copy(desk.database("housing-fund"), tmp_path / "harmed.db"))
    harm(file)
    with desk.replaced(sqlite_source(file), "housing-fund"):
        body, seconds = _ask(desk)
    _only_housing_fund_is_lost(body, code)
    assert seconds < 1
    assert str(tmp_path) not in json.dumps(body), "an error tells nothing of the source's place"


def test_lost_column_costs_only_who_asks_for_it_and_never_comes_as_its_name(desk: Desk, tmp_path: Path) -> None:
    file = Path(shutil.copy(desk.database("housing-fund"), tmp_path / "changed.db"))
    _lose_column(file)
    with desk.replaced(sqlite_source(file), "housing-fund"):
        body, _ = _ask(desk)
        without = desk.service.person("housingFund { accountStatus }", desk.applicant, desk.case)
    assert "DWMC" not in json.dumps(body)
    assert without["data"]["person"]["housingFund"] == {"accountStatus": "NORMAL"}
    assert "errors" not in without


def test_locked_source_times_out_alone(desk: Desk, tmp_path: Path) -> None:
    file = Path(shutil.copy(desk.database("housing-fund"), tmp_path / "locked.db"))
    with closing(sqlite3.connect(file, isolation_level=None)) as writer:
        writer.execute("BEGIN EXCLUSIVE")
        with desk.replaced(sqlite_source(file), "housing-fund", timeout=0.3):
            body, seconds = _ask(desk)
            _only_housing_fund_is_lost(body, "SOURCE_TIMEOUT")
            assert seconds < 1.5
            writer.execute("ROLLBACK")
            body, _ = _ask(desk)
    assert "errors" not in body
    assert body["data"]["persons"][0]["housingFund"]["accountStatus"] == "NORMAL"


class _Stuck(MemoryConnector):
    """A source that does not answer and does not give up."""

    async def fetch(self, request: Request) -> Rows:
        await asyncio.sleep(60)
        raise AssertionError("it was waited for")


class _Failing(MemoryConnector):
    """A source of some other kind that says by itself what is wrong."""

    def __init__(self, code: str) -> None:
        super().__init__({})
        self._code = code

    async def fetch(self, request: Request) -> Rows:
        raise SourceError(self._code)


def test_slow_source_costs_its_own_fields_and_the_rest_answers_in_time(desk: Desk) -> None:
    with desk.replaced(_Stuck({}), "housing-fund", timeout=0.2):
        body, seconds = _ask(desk)
    _only_housing_fund_is_lost(body, "SOURCE_TIMEOUT")
    assert seconds < 1.2


def test_slow_sources_are_waited_for_side_by_side(desk: Desk) -> None:
    with desk.replaced(_Stuck({}), "housing-fund", "public-security", "market-supervision", timeout=0.3):
        body, seconds = _ask(desk)
    assert codes(body) == ["SOURCE_TIMEOUT"] * 3
    assert paths(body) == ["persons.housingFund", "persons.householdRegistration", "persons.representedOrganizations"]
    assert seconds < 1.2


@pytest.mark.parametrize("code", ["SOURCE_UNAVAILABLE", "SOURCE_CHANGED", "SOURCE_TIMEOUT"])
def test_code_of_any_kind_of_source_is_told(desk: Desk, code: str) -> None:
    with desk.replaced(_Failing(code), "housing-fund"):
        body, _ = _ask(desk)
    _only_housing_fund_is_lost(body, code)


def test_failed_source_is_on_record_as_failed(desk: Desk) -> None:
    with desk.replaced(_Failing("SOURCE_UNAVAILABLE"), "housing-fund"):
        _ask(desk)
    (node,) = (n for n in desk.service.frames()[-1]["nodes"] if n["resource"] == "HousingFund")
    assert {letters: len(whose) for letters, whose in node["groups"].items()} == {"FF": 2}


def test_failed_register_does_not_make_a_person_unknown(desk: Desk) -> None:
    with desk.replaced(_Failing("SOURCE_UNAVAILABLE"), "public-security"):
        body = desk.service.person(
            "householdRegistration { name }", desk.names["stranger"], desk.names["case_stranger"]
        )
    assert codes(body) == ["SOURCE_UNAVAILABLE"]


@pytest.mark.parametrize(
    ("change", "lost"),
    [
        ("GRZHZT = '77'", "accountStatus"),
        ("GRZHZT = x'ff00'", "accountStatus"),
        ("DJRQ = '2013/02/30'", "registeredOn"),
        ("DJRQ = 20130301", "registeredOn"),
        ("DWMC = x'89504e47'", "employerName"),
    ],
)
def test_value_of_a_wrong_type_costs_its_own_field(desk: Desk, tmp_path: Path, change: str, lost: str) -> None:
    file = Path(shutil.copy(desk.database("housing-fund"), tmp_path / "wrong.db"))
    _script(file, f"UPDATE DP_GRZH SET {change} WHERE GRZJHM = '{desk.applicant}'")
    selection = "housingFund { accountStatus registeredOn employerName } householdRegistration { name }"
    sound = desk.service.person(selection, desk.applicant, desk.case)
    with desk.replaced(sqlite_source(file), "housing-fund"):
        body = desk.service.person(selection, desk.applicant, desk.case)
    assert (codes(body), paths(body)) == (["SOURCE_VALUE_INVALID"], [f"person.housingFund.{lost}"])
    assert sound["data"]["person"]["housingFund"][lost] is not None
    sound["data"]["person"]["housingFund"][lost] = None
    assert body["data"] == sound["data"]


def test_wrong_value_in_many_rows_is_one_error(desk: Desk, tmp_path: Path) -> None:
    file = Path(shutil.copy(desk.database("human-resources"), tmp_path / "wrong.db"))
    item = desk.service.catalogue.item("SocialInsurance.insuranceType")
    table = desk.service.catalogue.resources["SocialInsurance"].table
    _script(file, f"UPDATE {table} SET {item.column} = 'nonsense'")
    with desk.replaced(sqlite_source(file), "human-resources"):
        body = desk.service.person("socialInsurance { insuranceType employerName }", desk.applicant, desk.case)
    rows = body["data"]["person"]["socialInsurance"]
    assert len(rows) > 1
    assert all(row["insuranceType"] is None and row["employerName"] for row in rows)
    assert (codes(body), paths(body)) == (["SOURCE_VALUE_INVALID"], ["person.socialInsurance.insuranceType"])


def test_two_records_where_one_must_be_are_told(desk: Desk, tmp_path: Path) -> None:
    file = Path(shutil.copy(desk.database("housing-fund"), tmp_path / "double.db"))
    _script(file, f"INSERT INTO DP_GRZH SELECT * FROM DP_GRZH WHERE GRZJHM = '{desk.applicant}'")
    with desk.replaced(sqlite_source(file), "housing-fund"):
        body, _ = _ask(desk)
    assert body["data"]["persons"][0]["housingFund"] is None
    assert (codes(body), paths(body)) == (["SOURCE_AMBIGUOUS"], ["persons.0.housingFund"])
