"""`onesource audit find`, `patterns` and `monthly` against a running service."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

import pytest

from schema.formats import CHINA
from tests.terminal.server import Server

MONTH = f"{datetime.now(CHINA):%Y-%m}"


@pytest.fixture
def options(server: Server, tokens: dict[str, str]) -> tuple[Any, ...]:
    return ("--settings", server.file, "--token", tokens["auditor-01"])


def test_an_item_is_found_by_outcome_and_person(run: Any, lookup: Any, server: Server, options: Any) -> None:
    lookup("HouseholdRegistration.name", "HouseholdRegistration.photo")
    who = ("--subject-id", server.examples.applicant.identifier)
    ran = run("audit", "find", *options, *who, "--item", "HouseholdRegistration.photo", "--outcome", "DENIED", "--json")
    found = [json.loads(line) for line in ran.out.splitlines()]
    assert {(line["item"], line["outcome"]) for line in found} == {("photo", "DENIED")}
    assert "indexed" in ran.err


def test_the_next_page_is_told(run: Any, lookup: Any, options: Any) -> None:
    for _ in range(2):
        lookup("HouseholdRegistration.name")
    first = run("audit", "find", *options, "-n", 1)
    cursor = first.out.split("--after ")[1].split()[0]
    second = run("audit", "find", *options, "-n", 1, "--after", cursor)
    assert second.code == 0
    assert cursor not in second.out


@pytest.mark.parametrize(
    ("more", "code"),
    [(("--since", "2026-11-02", "--until", "2026-11-01"), "RANGE_INVALID"), (("--item", "name"), "VARIABLES_INVALID")],
)
def test_a_wrong_question_exits_with_1_and_the_code(run: Any, options: Any, more: Any, code: str) -> None:
    ran = run("audit", "find", *options, *more)
    assert (ran.code, ran.out) == (1, "")
    assert code in ran.err


def test_patterns_are_four_tables_in_chinese(run: Any, lookup: Any, options: Any) -> None:
    lookup("HouseholdRegistration.name")
    ran = run("audit", "patterns", *options, "--month", MONTH)
    assert ran.code == 0
    for title in ("非工作时间查询", "申请人多于办件", "反复查询而无后续", "同岗比较", "clerk-01@housing"):
        assert title in ran.out


def test_a_month_of_departments_is_a_table_or_json(run: Any, lookup: Any, options: Any) -> None:
    lookup("HouseholdRegistration.name")
    ran = run("audit", "monthly", *options, "--month", MONTH)
    assert ran.code == 0
    assert "共享项次" in ran.out
    told = json.loads(run("audit", "monthly", *options, "--month", MONTH, "--json").out)
    assert "housing" in [one["department"] for one in told["departments"]]


def test_a_clerk_may_not_ask(run: Any, server: Server, tokens: dict[str, str]) -> None:
    for command in (("find",), ("patterns", "--month", MONTH), ("monthly", "--month", MONTH)):
        ran = run("audit", *command, "--settings", server.file, "--token", tokens["clerk-01"])
        assert ran.code == 1
        assert "ROLE_REQUIRED" in ran.err
