"""Production: only registered operations run, the schema is not told, to nobody; and nothing of this holds in development."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from graphql import get_introspection_query

from policies.control import ControlUnavailable, Operation
from policies.identity import Role
from resolvers.trusted import digest_of
from tests.http.served import own_settings, post, served, token
from tests.service import ROOT, Service, codes, running, use
from tests.terminal.server import Server, environment

NAMED = "query Name($id: CitizenIdNumber!, $use: UseInput!) { person(idNumber: $id, use: $use) { householdRegistration { name } } }"
TYPENAME = "query Typename { __typename }"
INTROSPECTIONS = {
    "schema": "{ __schema { types { name } } }",
    "type": '{ __type(name: "Person") { name } }',
    "alias": "{ a: __schema { queryType { name } } }",
    "fragment": "{ ...f } fragment f on Query { __schema { queryType { name } } }",
    "inline fragment": "{ ... on Query { ... { __type(name: \"Person\") { name } } } }",
    "skipped": "{ __typename __schema @skip(if: true) { queryType { name } } }",
    "beside": "{ cases { number } __schema { queryType { name } } }",
    "mutation": "mutation { __typename __schema { queryType { name } } }",
    "whole": get_introspection_query(),
}  # fmt: skip


def keep(service: Service, *documents: str) -> None:
    operations = [Operation(digest_of(text), "test", text) for text in documents]
    asyncio.run(service.rooms.control.register(operations, "tests", 0))


@pytest.fixture(scope="module")
def production(city: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service in production, with every document of this module registered that introspects."""
    folder = tmp_path_factory.mktemp("production")
    with running(folder, city, changed={"mode": '"production"'}) as started:
        keep(started, NAMED, TYPENAME, "{ cases { nubmer } }", *INTROSPECTIONS.values())
        yield started


def by(text: str) -> dict[str, dict[str, Any]]:
    """The ways to name a document without its text."""
    digest = digest_of(text)
    return {
        "document id": {"documentId": f"sha256:{digest}"},
        "bare": {"documentId": digest},
        "capital letters": {"documentId": f"sha256:{digest.upper()}"},
        "persisted query": {"extensions": {"persistedQuery": {"version": 1, "sha256Hash": digest}}},
        "both": {"documentId": digest, "extensions": {"persistedQuery": {"sha256Hash": digest}}},
    }


@pytest.mark.parametrize("way", by(TYPENAME))
@pytest.mark.parametrize("mode", ["production", "service"])
def test_registered_operation_runs_by_its_digest(request: pytest.FixtureRequest, mode: str, way: str) -> None:
    running_service: Service = request.getfixturevalue(mode)
    keep(running_service, TYPENAME)
    answer = running_service.post(by(TYPENAME)[way])
    assert answer.status_code == 200
    assert answer.json()["data"] == {"__typename": "Query"}


def test_registered_text_runs_as_a_text_too(production: Service) -> None:
    assert production.ask(TYPENAME)["data"] == {"__typename": "Query"}
    assert production.post({"query": TYPENAME} | by(TYPENAME)["both"]).status_code == 200


def test_registered_look_up_is_answered(production: Service) -> None:
    keep(production, "mutation($input: AcceptCaseInput!) { acceptCase(input: $input) { number state } }")
    applicant = production.examples.applicant
    case = production.accept("PROD-1", ("APPLICANT", applicant.identifier))
    variables = {"id": applicant.identifier, "use": use(case)}
    answer = production.post({"documentId": digest_of(NAMED), "variables": variables}).json()
    assert answer["data"]["person"]["householdRegistration"]["name"] == applicant.name


@pytest.mark.parametrize("role", Role)
def test_other_text_is_refused_to_everybody_and_on_record(production: Service, role: Role) -> None:
    for text in (f"{TYPENAME} ", "{ __typename }", "{"):
        answer = production.post({"query": text}, role=role)
        assert answer.status_code == 400
        assert codes(answer.json()) == ["OPERATION_NOT_REGISTERED"]
        assert "data" not in answer.json()
        frame = production.frames()[-1]
        assert frame["outcome"] == "operation_not_registered"
        assert frame["document"] == digest_of(text)[:32]


@pytest.mark.parametrize("mode", ["production", "service"])
def test_unknown_digest_is_refused(request: pytest.FixtureRequest, mode: str) -> None:
    answer = request.getfixturevalue(mode).post({"documentId": "0" * 64})
    assert answer.status_code == 400
    assert codes(answer.json()) == ["OPERATION_NOT_REGISTERED"]


def test_operation_registered_later_runs_without_a_restart(production: Service) -> None:
    later = "query Later { __typename }"
    assert codes(production.ask(later)) == ["OPERATION_NOT_REGISTERED"]
    keep(production, later)
    assert production.ask(later)["data"] == {"__typename": "Query"}


def test_operation_that_is_trusted_no_more_stops_within_a_second(production: Service) -> None:
    gone = "query Gone { __typename }"
    keep(production, gone)
    assert production.ask(gone)["data"] == {"__typename": "Query"}
    assert asyncio.run(production.rooms.control.unregister([digest_of(gone)])) == 1
    time.sleep(1)
    assert codes(production.ask(gone)) == ["OPERATION_NOT_REGISTERED"]


@pytest.mark.parametrize(
    "content",
    [
        {"documentId": ""},
        {"documentId": 1},
        {"documentId": {}},
        {"documentId": "md5:" + "0" * 32},
        {"documentId": "0" * 63},
        {"documentId": "0" * 64 + "\n"},
        {"extensions": {"persistedQuery": {"sha256Hash": []}}},
        {"query": "{__typename}", "documentId": "0" * 64},
        {"query": "{__typename}", "extensions": {"persistedQuery": {"sha256Hash": digest_of("{ __typename }")}}},
        {"documentId": "0" * 64, "extensions": {"persistedQuery": {"sha256Hash": "1" * 64}}},
        {"extensions": {"persistedQuery": {}}},
    ],
)
def test_name_that_is_no_digest_or_of_another_text_is_malformed(service: Service, content: dict[str, Any]) -> None:
    answer = service.post(content)
    assert answer.status_code == 400
    assert codes(answer.json()) == ["REQUEST_MALFORMED"]


@pytest.mark.parametrize("name", INTROSPECTIONS)
@pytest.mark.parametrize("role", Role)
def test_schema_is_not_told_in_production_even_by_registered_operations(
    production: Service, name: str, role: Role
) -> None:
    answer = production.post({"query": INTROSPECTIONS[name]}, role=role)
    assert answer.status_code == 400
    assert codes(answer.json()) == ["INTROSPECTION_OFF"]
    assert b"CitizenIdNumber" not in answer.content


def test_names_are_not_suggested(production: Service, service: Service) -> None:
    for one in (production, service):
        (error,) = one.ask("{ cases { nubmer } }")["errors"]
        assert error["extensions"]["code"] == "GRAPHQL_VALIDATION_FAILED"
        assert "nubmer" in error["message"]
        assert "number" not in json.dumps(error)
        assert "Did you mean" not in json.dumps(error)


def test_text_changed_in_the_database_does_not_run(production: Service) -> None:
    text = "query Kept { __typename }"
    keep(production, text)
    with sqlite3.connect(production.settings.control.url.removeprefix("sqlite:///")) as database:
        changed = database.execute(
            "UPDATE operations SET document = '{ cases { number } }' WHERE digest = ?", [digest_of(text)]
        )
        assert changed.rowcount == 1
    assert codes(production.post({"documentId": digest_of(text)}).json()) == ["OPERATION_NOT_REGISTERED"]


def test_nothing_new_runs_while_the_control_database_is_away(
    production: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    production.ask(TYPENAME)

    async def away(_: str) -> None:
        raise ControlUnavailable

    monkeypatch.setattr(production.rooms.control, "operation", away)
    answer = production.post({"documentId": "2" * 64})
    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "1"
    assert codes(answer.json()) == ["CONTROL_UNAVAILABLE"]
    assert production.ask(TYPENAME)["data"] == {"__typename": "Query"}  # for a second


# -- a real server, and the command that registers


@pytest.fixture(scope="module")
def server(city: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """`onesource serve` with the mode that is the default."""
    file = own_settings(tmp_path_factory.mktemp("served"), city, mode='"production"')
    text = file.read_text("utf8")
    file.write_text("".join(line for line in text.splitlines(True) if not line.startswith("mode = ")), "utf8")
    with served(file) as started:
        yield started


def command(server: Server, *arguments: str) -> subprocess.CompletedProcess[str]:
    """`onesource operations ...` as a process of its own, beside the server."""
    return subprocess.run(
        [
            sys.executable,
            "-c",
            "from app import main; main()",
            "operations",
            *arguments,
            "--settings",
            str(server.file),
        ],
        env=environment(COLUMNS="120"),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_production_is_the_default_and_runs_what_the_command_registered(server: Server, tmp_path: Path) -> None:
    clerk = token(server)
    (tmp_path / "desk").mkdir()
    (tmp_path / "desk/name.graphql").write_text(NAMED, "utf8")
    (tmp_path / "typename.graphql").write_text(TYPENAME, "utf8")
    assert codes(post(server, {"query": NAMED}, clerk).json()) == ["OPERATION_NOT_REGISTERED"]
    tried = command(server, "register", str(tmp_path), "--dry-run")
    assert (tried.returncode, digest_of(NAMED) in tried.stdout) == (0, True)
    assert codes(post(server, {"query": NAMED}, clerk).json()) == ["OPERATION_NOT_REGISTERED"]
    registered = command(server, "register", str(tmp_path))
    assert registered.returncode == 0
    listed = command(server, "list")
    for shown in (registered.stdout, listed.stdout):
        assert all(one in shown for one in ("Name", "Typename", digest_of(NAMED), digest_of(TYPENAME)))
    applicant = server.examples.applicant
    variables = {"id": applicant.identifier, "use": use(server.case)}
    answer = post(server, {"documentId": f"sha256:{digest_of(NAMED)}", "variables": variables}, clerk)
    assert answer.status_code == 200
    assert answer.json()["data"]["person"]["householdRegistration"]["name"] == applicant.name
    assert codes(post(server, {"query": "{ cases { number } }"}, clerk).json()) == ["OPERATION_NOT_REGISTERED"]
    assert command(server, "unregister", "Name", "Nobody").returncode == 1
    assert command(server, "unregister", "Name", digest_of(TYPENAME)).returncode == 0
    assert digest_of(NAMED) not in command(server, "list").stdout
    time.sleep(1)
    assert codes(post(server, {"query": NAMED}, clerk).json()) == ["OPERATION_NOT_REGISTERED"]


FAULTY = {
    "unknown": (b"query A {\n  nothing\n}", "2:3 GRAPHQL_VALIDATION_FAILED"),
    "unfinished": (b"query A {\n  cases(", "2:9 GRAPHQL_PARSE_FAILED"),
    "introspection": (b"{ __schema { queryType { name } } }", "1:1 INTROSPECTION_OFF"),
    "fragment": (b"\nfragment f on Person { idNumber }", "2:1 GRAPHQL_VALIDATION_FAILED"),
    "binary": (b"\xff\xfe", "1:1 REQUEST_MALFORMED"),
}
"""Documents that may not be registered, and what is told of each."""


def test_command_registers_all_or_none_and_tells_each_place(server: Server, tmp_path: Path) -> None:
    (tmp_path / "good.graphql").write_text("query Good { __typename }", "utf8")
    for name, (content, _) in FAULTY.items():
        (tmp_path / f"{name}.graphql").write_bytes(content)
    ran = command(server, "register", str(tmp_path))
    assert ran.returncode == 1
    for name, (_, told) in FAULTY.items():
        assert f"{tmp_path / name}.graphql:{told} " in ran.stderr
    answer = post(server, {"query": "query Good { __typename }"}, token(server))
    assert codes(answer.json()) == ["OPERATION_NOT_REGISTERED"]
