"""`onesource lookup` and `onesource audit tail` against a running service."""

from __future__ import annotations

import http.server
import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from rich.cells import cell_len

from app import catalogue_of
from settings import load_settings
from terminal.audit import data_subject
from terminal.client import plain
from tests.terminal.conftest import Ran, Run
from tests.terminal.server import Server, free_port


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
        ({"url": "no address"}, 2, "is not an address"),
        ({"url": "nonsense"}, 2, "http:// …, https:// …"),
        ({"url": "ftp://127.0.0.1/graphql"}, 2, "is not an address"),
        ({"url": "http://"}, 2, "is not an address"),
        ({"url": "http://[::1/graphql"}, 2, "is not an address"),
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


def test_denied_item_does_not_look_like_an_absent_one(lookup: Any) -> None:
    ran = lookup("HouseholdRegistration.name", "HouseholdRegistration.photo", "HouseholdRegistration.cancelledOn")
    assert ran.code == 0  # refused in part only
    assert "✗ 未授权" in _row(ran, "相片")
    assert "—" in _row(ran, "注销日期")
    assert "FIELD_DENIED" in ran.err
    assert "FIELD_DENIED" not in ran.out


def test_resource_of_denied_items_only_shows_each_of_them_and_exits_with_1(lookup: Any) -> None:
    ran = lookup("DisabilityCertificate.name", "DisabilityCertificate.authority")
    assert ran.code == 1
    assert ran.out.count("✗ 未授权") == 2


def test_resource_without_a_record_is_absent(lookup: Any) -> None:
    ran = lookup("MinimumLivingAllowance.authority")
    assert ran.code == 0
    assert "—" in _row(ran, "最低生活保障信息")
    assert "✗" not in ran.out


def _row(ran: Ran, title: str) -> str:
    (row,) = (line for line in ran.out.splitlines() if title in line)
    return row


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
    one = run("audit", "tail", *options, "--subject-id", server.examples.applicant.identifier, "--case", server.case)
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


Narrow = Callable[[int], None]


@pytest.fixture
def narrow(run: Run, monkeypatch: pytest.MonkeyPatch) -> Narrow:
    """Make the terminal so many columns wide."""

    def make(columns: int) -> None:
        monkeypatch.setenv("COLUMNS", str(columns))
        for console in ("out", "err"):
            monkeypatch.setattr(f"terminal.client.{console}.width", columns)

    return make


def test_audit_on_80_columns_is_grouped_and_folds_nothing(
    run: Run, narrow: Narrow, lookup: Any, server: Server, tokens: dict[str, str]
) -> None:
    lookup("HouseholdRegistration.name", "HouseholdRegistration.photo", "SocialInsurance.insuranceType")
    narrow(80)
    ran = run(
        "audit", "tail", "--settings", server.file, "--token", tokens["auditor-01"], "--case", server.case, "-n", 7
    )
    lines = ran.out.splitlines()
    heads = [line for line in lines if "clerk-01@housing  ADMINISTRATIVE_BASIS" in line and server.case in line]
    assert heads
    at = lines.index(heads[-1])
    denied = next(line for line in lines[at:] if "HouseholdRegistration.photo" in line)
    returned = next(line for line in lines[at:] if "HouseholdRegistration.name" in line)
    assert denied.split() == ["DENIED", "HouseholdRegistration.photo", "DENY/CLASS/CONDITIONAL"]
    assert returned.split() == ["RETURNED", "HouseholdRegistration.name", "SHARE/…"]
    assert all(len(line) <= 80 for line in lines)
    assert "┃" not in ran.out


def test_audit_into_a_pipe_of_unknown_width_is_grouped(
    run: Run, monkeypatch: pytest.MonkeyPatch, lookup: Any, server: Server, tokens: dict[str, str]
) -> None:
    lookup("HouseholdRegistration.name")
    monkeypatch.delenv("COLUMNS")
    ran = run("audit", "tail", "--settings", server.file, "--token", tokens["auditor-01"], "-n", 3)
    assert ran.code == 0
    assert "RETURNED" in ran.out
    assert "┃" not in ran.out


def test_audit_as_json_has_a_complete_line_an_object(
    run: Run, lookup: Any, server: Server, tokens: dict[str, str]
) -> None:
    lookup("HouseholdRegistration.name")
    options = ("--settings", server.file, "--token", tokens["auditor-01"], "--case", server.case)
    ran = run("audit", "tail", *options, "-n", 1, "--json")
    (line,) = map(json.loads, ran.out.splitlines())
    assert (line["resource"], line["item"], line["outcome"]) == ("HouseholdRegistration", "name", "RETURNED")
    assert line["ruleId"] == "SHARE/HouseholdRegistration.name/ADMINISTRATIVE_BASIS"
    assert line["role"] == "clerk"
    assert len(line["dataSubject"]) == 6 + 1 + 32
    assert re.fullmatch(r"[0-9a-f]{16}\.\d+\.[0-9a-f]{32}", line["policyVersion"])
    assert "indexed" in ran.err


def test_audit_of_a_data_subject_takes_the_identifier_of_any_entity(
    run: Run, lookup: Any, server: Server, tokens: dict[str, str]
) -> None:
    lookup("HouseholdRegistration.name")
    options = ("--settings", server.file, "--token", tokens["auditor-01"], "--json")
    applicant, organisation = server.examples.applicant.identifier, server.examples.organisation.identifier
    for option in ("--subject-id", "--person"):
        mine = [json.loads(line) for line in run("audit", "tail", *options, option, applicant).out.splitlines()]
        assert "RETURNED" in {line["outcome"] for line in mine}
    assert data_subject(catalogue_of(load_settings(server.file)), organisation)["entity"] == "Organization"
    other = run("audit", "tail", *options, "--subject-id", organisation)
    assert other.code == 0
    assert "HouseholdRegistration" not in other.out


def test_data_subject_that_is_none_is_told_with_the_reason(run: Run, server: Server, tokens: dict[str, str]) -> None:
    wrong = server.examples.applicant.identifier[:-1] + "A"
    ran = run("audit", "tail", "--settings", server.file, "--token", tokens["auditor-01"], "--subject-id", wrong)
    assert (ran.code, ran.out) == (2, "")
    assert "Person: 应为18位" in ran.err
    assert wrong not in ran.err


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


@pytest.mark.parametrize(
    ("error", "shown"),
    [
        ({"path": ["person", "householdRegistration"], "code": "SOURCE_TIMEOUT"}, "✗ 暂不可用"),
        ({"path": ["person", "householdRegistration", "idNumber"], "code": "SOURCE_VALUE_INVALID"}, "✗ 数据有误"),
        ({"path": ["person", "householdRegistration"], "code": "ENTITY_UNKNOWN"}, "—"),
    ],
)
def test_failed_source_does_not_look_like_an_absent_record(lookup: Any, error: dict[str, Any], shown: str) -> None:
    told = {"message": "x", "path": error["path"], "extensions": {"code": error["code"]}}
    body = {"data": {"person": {"householdRegistration": None}}, "errors": [told]}
    with answering(json.dumps(body).encode()) as url:
        ran = lookup("HouseholdRegistration.idNumber", url=url)
    assert ran.code == 1
    assert shown in _row(ran, "户籍登记信息")


def test_identifier_stays_on_one_line_of_80_columns_beside_a_long_address(lookup: Any, narrow: Narrow) -> None:
    narrow(80)
    number, address = "421202198803282021", "湖北省咸宁市咸安区浮山街道合肥路2号8栋2单元904室"
    provenance = {"provider": "咸宁市政务服务和大数据管理局", "updatedAt": "2026-01-31T00:00:00+08:00"}
    record = {"idNumber": number, "town": address, "provenance": provenance}
    body = {"data": {"person": {"householdRegistration": record}}}
    with answering(json.dumps(body).encode()) as url:
        ran = lookup("HouseholdRegistration.idNumber", "HouseholdRegistration.town", url=url)
    assert number in ran.out
    assert "2026-01-31" in ran.out
    assert all(cell_len(line) <= 80 for line in ran.out.splitlines())


def test_json_of_the_audit_keeps_every_value_and_steers_no_terminal(run: Run, server: Server, tokens: Any) -> None:
    user = "张[bold]\x1b[2J\x7f\u202e\U000e0001"
    node = {"id": "1", "subject": user, "lines": [{"outcome": "RETURNED"}]}
    page = {"edges": [{"node": node}], "indexedThrough": 1, "recordedThrough": 1}
    with answering(json.dumps({"data": {"disclosures": page}}).encode()) as url:
        ran = run("audit", "tail", "--settings", server.file, "--token", "x", "--url", url, "--json")
    assert json.loads(ran.out) == {"id": "1.0", "subject": user, "outcome": "RETURNED"}
    assert "张[bold]" in ran.out
    for sign in ("\x1b", "\x7f", "\u202e", "\U000e0001"):
        assert sign not in ran.out


def test_ordinary_text_is_shown_as_it_is() -> None:
    for text in ("张三", "咸安区\u3000温泉街道", "Zoë O'Neil", "[x]", ""):
        assert plain(text).plain == text
