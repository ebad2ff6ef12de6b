"""`onesource grant`, `suspend`, `lift`, `disable`, `enable`, `notices` against a running service."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

from tests.terminal.conftest import Ran, Run
from tests.terminal.server import Server

Officer = Callable[..., Ran]
PHOTO, NAME = "HouseholdRegistration.photo", "HouseholdRegistration.name"


@pytest.fixture
def officer(run: Run, server: Server) -> Officer:
    """Run a command as an officer of this department."""
    known: dict[tuple[str, str], str] = {}

    def do(department: str, *arguments: object, role: str = "officer") -> Ran:
        if (role, department) not in known:
            made = run("token", "--role", role, "--department", department, "--settings", server.file)
            known[role, department] = made.out.strip()
        return run(*arguments, "--token", known[role, department], "--settings", server.file)

    return do


@pytest.fixture
def applied(officer: Officer) -> str:
    """The id of an application of `housing` for two items of `public-security`."""
    ran = officer(
        "housing", "grant", "apply", "--item", f"{PHOTO}=公共租赁住房管理办法第七条", "--item", f"{NAME}=同上",
        "--purpose", "ADMINISTRATIVE_BASIS", "--mode", "ONLINE_QUERY", "--scope", "公租房审核",
    )  # fmt: skip
    assert ran.code == 0, ran.err
    found = re.search(r"共享授权 (G\d+)", ran.out)
    assert found
    return found.group(1)


@pytest.fixture
def granted(officer: Officer, applied: str) -> Any:
    ran = officer(
        "public-security", "grant", "decide", applied, "--grant", PHOTO, "--refuse", "all=非必要",
        "--document", "咸公函〔2026〕1号", "--until", "2099-01-01", "--agreement", "保密1号",
    )  # fmt: skip
    assert ran.code == 0, ran.err
    yield applied
    officer("public-security", "grant", "end", applied, "--reason", "试毕")


def test_an_application_is_shown_with_its_items_and_steps(officer: Officer, applied: str) -> None:
    ran = officer("public-security", "grant", "show", applied)
    for shown in (applied, "已申请", PHOTO, NAME, "公共租赁住房管理办法第七条", "applyForGrant", "demo-01@housing"):
        assert shown in ran.out


def test_items_are_granted_and_refused_one_by_one(officer: Officer, granted: str) -> None:
    ran = officer("housing", "grant", "show", granted)
    for shown in ("已授权（生效）", "同意", "不同意", "非必要", "咸公函〔2026〕1号", "2099-01-01", "保密1号 生效"):
        assert shown in ran.out
    listed = officer("housing", "grant", "list", "--state", "GRANTED")
    (row,) = (line for line in listed.out.splitlines() if f" {granted} " in line)
    assert "1/2" in row


def test_a_granted_item_is_shown_until_it_is_suspended(
    officer: Officer, granted: str, run: Run, server: Server, tokens: dict[str, str]
) -> None:
    asked = (
        "lookup", "--item", PHOTO, "--id", server.examples.applicant.identifier, "--case", server.case,
        "--token", tokens["clerk-01"], "--settings", server.file,
    )  # fmt: skip
    assert run(*asked).code == 0
    suspended = officer("public-security", "suspend", "--grant", granted, "--reason", "超范围使用")
    assert suspended.code == 0, suspended.err
    assert "超范围使用" in suspended.out
    assert run(*asked).code == 1
    found = re.search(r"(S\d+)", suspended.out)
    assert found
    assert found.group(1) in officer("housing", "suspend", "--list").out
    lifted = officer("public-security", "lift", found.group(1))
    assert lifted.code == 0
    assert run(*asked).code == 0
    told = officer("data-bureau", "notices")
    assert "暂停提供" in told.out
    assert "恢复提供" in told.out


def test_a_grant_is_limited_agreed_on_and_ended(officer: Officer, granted: str) -> None:
    limited = officer("public-security", "grant", "limit", granted, "--reason", "缩短期限", "--until", "2098-01-01")
    assert "2098-01-01" in limited.out
    assert "已终止" in officer("public-security", "grant", "agreement", granted, "--ended").out
    agreed = officer("public-security", "grant", "agreement", granted, "--number", "保密2号")
    assert "保密2号 生效" in agreed.out
    ended = officer("public-security", "grant", "end", granted, "--reason", "违规")
    assert "已终止" in ended.out


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--grant", PHOTO), "逐项"),
        (("--grant", "all", "--document", "x"), "有效期止"),
        (("--grant", PHOTO, "--refuse", f"{NAME}=x", "--until", "2099-01-01"), "决定文书"),
    ],
)
def test_a_decision_that_cannot_be_exits_with_1_and_the_reason(
    officer: Officer, applied: str, arguments: tuple[str, ...], told: str
) -> None:
    ran = officer("public-security", "grant", "decide", applied, *arguments)
    assert ran.code == 1
    assert "GRANT_INVALID" in ran.err
    assert told in ran.err


@pytest.mark.parametrize(
    "arguments",
    [
        ("--grant", PHOTO, "--refuse", f"{PHOTO}=x"),
        ("--grant", "all", "--refuse", "all=x"),
        ("--grant", "Other.item"),
        ("--refuse", PHOTO),
        ("--grant", "all", "--until", "tomorrow"),
        ("--grant", "all", "--until", "2099-13-01"),
        ("--grant", "all", "--by", "MAYOR"),
    ],
)
def test_wrong_use_exits_with_2(officer: Officer, applied: str, arguments: tuple[str, ...]) -> None:
    ran = officer("public-security", "grant", "decide", applied, *arguments)
    assert ran.code == 2
    assert "Traceback" not in ran.err
    assert "已申请" in officer("housing", "grant", "show", applied).out


def test_what_is_not_there_or_not_ones_own_exits_with_1(officer: Officer, applied: str) -> None:
    for department, arguments, told in (
        ("education", ("grant", "show", applied), "没有与本部门有关"),
        ("education", ("grant", "end", applied, "--reason", "x"), "GRANT_UNKNOWN"),
        ("housing", ("lift", "S999999"), "SUSPENSION_UNKNOWN"),
        ("housing", ("suspend", "--object", PHOTO, "--reason", "x"), "ROLE_REQUIRED"),
        (
            "housing",
            (
                "corrections",
                "record",
                "--item",
                PHOTO,
                "--id",
                "x",
                "--since",
                "2026-01-01",
                "--reason",
                "x",
                "--reference",
                "x",
            ),
            "ROLE_REQUIRED",
        ),
    ):
        ran = officer(department, *arguments)
        assert (ran.code, ran.out) == (1, "")
        assert told in ran.err


def test_commands_are_for_officers(officer: Officer, applied: str) -> None:
    ran = officer("housing", "grant", "list", role="clerk")
    assert ran.code == 1
    assert "ROLE_REQUIRED" in ran.err


def test_a_person_is_disabled_and_enabled(officer: Officer, run: Run, server: Server) -> None:
    disabled = officer("housing", "disable", "clerk-99", "--reason", "离岗")
    assert "clerk-99" in disabled.out
    assert "离岗" in officer("housing", "disable").out
    assert "clerk-99" not in officer("education", "disable").out
    assert "已启用" in officer("housing", "enable", "clerk-99").out
    assert "未被停用" in officer("housing", "enable", "clerk-99").out


def test_without_a_valid_token_it_exits_with_3(run: Run, server: Server) -> None:
    for arguments in (("grant", "list"), ("suspend", "--list"), ("notices",), ("disable",), ("enable", "x")):
        assert run(*arguments, "--token", "x", "--settings", server.file).code == 3
