"""`onesource lookup` and `onesource audit tail` against a running service."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from terminal.client import plain
from tests.terminal.conftest import Ran, Run
from tests.terminal.server import Server, free_port


@pytest.fixture
def lookup(run: Run, server: Server, tokens: dict[str, str]) -> Any:
    """The clerk's question for these items; every other option has a default."""

    def ask(*items: str, person: str = "", case: str = "", token: str = "", url: str = "", **env: str) -> Ran:
        chosen = [word for item in items for word in ("--item", item)]
        return run(
            "lookup", *chosen,
            "--id", person or server.examples.applicant.identifier,
            "--case", case or server.case,
            "--token", token or tokens["clerk-01"],
            "--url", url,
            "--settings", server.file,
            **env,
        )  # fmt: skip

    return ask


def test_clerk_sees_a_table_with_chinese_titles(lookup: Any, server: Server) -> None:
    ran = lookup("HouseholdRegistration.name", "HouseholdRegistration.sex", "HousingFund.accountStatus")
    assert ran.code == 0
    assert server.examples.applicant.name in ran.out
    for title in ("信息资源", "信息项", "内容", "提供部门", "更新时间", "姓名", "性别", "咸宁住房公积金中心"):
        assert title in ran.out
    assert "操作编号 operation" in ran.out
    assert ran.err == ""


def test_codes_are_shown_by_their_titles(lookup: Any) -> None:
    ran = lookup("HouseholdRegistration.sex")
    assert "男" in ran.out or "女" in ran.out
    assert "MALE" not in ran.out


def test_token_and_address_may_come_from_the_environment(run: Run, server: Server, tokens: dict[str, str]) -> None:
    applicant = server.examples.applicant
    ran = run(
        "lookup", "--item", "HouseholdRegistration.name", "--id", applicant.identifier, "--case", server.case,
        ONESOURCE_TOKEN=tokens["clerk-01"], ONESOURCE_FILE=str(server.file), ONESOURCE_URL=f"{server.address}/graphql",
    )  # fmt: skip
    assert ran.code == 0
    assert applicant.name in ran.out


@pytest.mark.parametrize(
    ("options", "code", "told"),
    [
        ({"case": "GZF-NONE"}, 1, "USE_DENIED"),
        ({"person": "123"}, 1, "IDENTIFIER_INVALID"),
        ({"token": "x.y.z"}, 3, "onesource token"),
        ({"token": "表"}, 4, "does not answer"),
        ({"url": f"http://127.0.0.1:{free_port()}/graphql"}, 4, "onesource serve"),
        ({"url": "no address"}, 4, "does not answer"),
        ({"url": "http://[::1]:1/graphql"}, 4, "http://[::1]:1/graphql"),
    ],
)
def test_what_cannot_be_shown_has_an_exit_code_and_a_reason(
    lookup: Any, options: dict[str, str], code: int, told: str
) -> None:
    ran = lookup("HouseholdRegistration.name", **options)
    assert ran.code == code
    assert told in ran.err
    assert "Traceback" not in ran.err


def test_other_departments_case_is_denied_with_rule_and_next_step(lookup: Any, tokens: dict[str, str]) -> None:
    ran = lookup("HouseholdRegistration.name", token=tokens["clerk-02"])
    assert ran.code == 1
    assert "DENY/CASE/UNKNOWN" in ran.err
    assert "本部门没有" in ran.err
    assert "→" in ran.err


@pytest.mark.parametrize(
    ("item", "suggested"),
    [
        ("HouseholdRegistration.nane", "name"),
        ("HouseholdRegistration.", "HouseholdRegistration"),
        ("HouseholdRegistraton.name", "HouseholdRegistration"),
        ("Nothing", "onesource schema catalogue"),
        ("[/red]", "[/red]"),
        ("", "there is no"),
    ],
)
def test_unknown_item_is_answered_with_a_suggestion(lookup: Any, item: str, suggested: str) -> None:
    ran = lookup(item)
    if item == "HouseholdRegistration.":
        assert ran.code == 0  # a name without an item asks for all of them
        return
    assert ran.code == 2
    assert suggested in ran.err


def test_items_of_two_kinds_of_entity_are_refused(lookup: Any) -> None:
    ran = lookup("HouseholdRegistration.name", "BusinessRegistration")
    assert ran.code == 2


# -- audit tail


def test_auditor_sees_each_resolved_field(run: Run, lookup: Any, server: Server, tokens: dict[str, str]) -> None:
    lookup("HouseholdRegistration.name")
    lookup("HouseholdRegistration.name", case="GZF-NONE")
    options = ("--settings", server.file, "--token", tokens["auditor-01"])
    ran = run("audit", "tail", *options, "-n", 500)
    assert ran.code == 0
    for shown in ("clerk-01@housing", "HouseholdRegistration.name", "RETURNED", "DENIED", server.case, "数据主体"):
        assert shown in ran.out
    assert server.examples.applicant.identifier not in ran.out
    assert server.examples.applicant.name not in ran.out
    one = run("audit", "tail", *options, "--person", server.examples.applicant.identifier, "--case", server.case)
    assert one.code == 0
    assert "GZF-NONE" not in one.out


@pytest.mark.parametrize("who", ["clerk-01", "developer-01"])
def test_audit_is_for_the_auditor_only(run: Run, server: Server, tokens: dict[str, str], who: str) -> None:
    ran = run("audit", "tail", "--settings", server.file, "--token", tokens[who])
    assert ran.code == 1
    assert "ROLE_REQUIRED" in ran.err
    assert "RETURNED" not in ran.out


def test_audit_without_a_valid_token_exits_with_3(run: Run, server: Server) -> None:
    assert run("audit", "tail", "--settings", server.file, "--token", "x").code == 3


# -- what others wrote


@contextmanager
def answering(body: bytes) -> Iterator[str]:
    """The address of a service that answers everything with this body."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(200)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as served:
        threading.Thread(target=served.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{served.server_port}/graphql"
        served.shutdown()


@pytest.mark.parametrize("body", [b"<html>", b"[]", b"7", b"\xff"])
def test_service_of_another_kind_is_told(lookup: Any, body: bytes) -> None:
    with answering(body) as url:
        ran = lookup("HouseholdRegistration.name", url=url)
    assert ran.code == 4
    assert "does not answer" in ran.err


def test_values_neither_mark_up_nor_steer_the_terminal(run: Run, server: Server, settings_file: Path) -> None:
    name = "[/red][bold]\\u001b[2J\\u202e\\u0007x"
    record = f'{{"name":"{name}","provenance":{{"provider":"[/x]","updatedAt":null}}}}'
    with answering(f'{{"data":{{"person":{{"householdRegistration":{record}}}}}}}'.encode()) as url:
        ran = run(
            "lookup", "--item", "HouseholdRegistration.name", "--id", server.examples.applicant.identifier,
            "--case", "1", "--token", "x", "--url", url, "--settings", settings_file,
        )  # fmt: skip
    assert ran.code == 0
    assert "[/red][bold]\N{REPLACEMENT CHARACTER}[2J" in ran.out
    for sign in ("\x1b", "\x07", "\u202e"):
        assert sign not in ran.out


def test_ordinary_text_is_shown_as_it_is() -> None:
    for text in ("张三", "咸安区\u3000温泉街道", "Zoë O'Neil", "[x]", ""):
        assert plain(text).plain == text
