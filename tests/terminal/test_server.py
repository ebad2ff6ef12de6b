"""A real server process: what it prints, logs and answers, and how it ends."""

from __future__ import annotations

import json
import socket
import subprocess
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from demo.scene import QUERY
from tests.service import use
from tests.terminal.server import Server, free_port, started

STOP_SECONDS = 8.0
GOOD = b'{"query":"{__typename}"}'


def ask(server: Server, token: str, document: str, variables: dict[str, Any] | None = None) -> httpx.Response:
    return httpx.post(
        f"{server.address}/graphql",
        json={"query": document, "variables": variables or {}},
        headers={"Authorization": f"Bearer {token}"},
        trust_env=False,
    )


def exchange(server: Server, raw: bytes, wait: float = 5.0) -> bytes:
    """What the server answers to these bytes, until it closes the connection or says no more."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=wait) as connection:
        connection.sendall(raw)
        received = b""
        try:
            while chunk := connection.recv(65536):
                received += chunk
                if b"\r\n0\r\n" in received or _whole(received):
                    break
        except TimeoutError:
            pass
    return received


def _whole(received: bytes) -> bool:
    head, end, body = received.partition(b"\r\n\r\n")
    lengths = [int(line.split(b":")[1]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    return bool(end) and bool(lengths) and len(body) >= lengths[0]


def request(token: str, *headers: str, body: bytes = GOOD, length: int | None = None) -> bytes:
    lines = (
        "POST /graphql HTTP/1.1", "Host: localhost", "Content-Type: application/json", f"Authorization: Bearer {token}",
        *([] if length is None else [f"Content-Length: {length}"]), *headers, "", "",
    )  # fmt: skip
    return "\r\n".join(lines).encode("latin-1") + body


def test_demo_prints_address_identities_and_a_query_that_works(server: Server, tokens: dict[str, str]) -> None:
    for shown in (f"{server.address}/graphql", f"{server.address}/graphiql", "DEMO MODE", "TOKEN_CLERK_01=", "curl -s"):
        assert shown in server.shown
    applicant = server.examples.applicant.identifier
    body = ask(server, tokens["clerk-01"], QUERY, {"idNumber": applicant, "use": use(server.case)}).json()
    assert "errors" not in body
    assert len(body["data"]["person"]) == 5


def test_health_is_open_to_all(server: Server) -> None:
    answer = httpx.get(f"{server.address}/health/live", trust_env=False)
    assert (answer.status_code, answer.json()) == (200, {"status": "live"})


def test_server_does_not_name_its_software(server: Server, tokens: dict[str, str]) -> None:
    assert "server" not in ask(server, tokens["clerk-01"], "{__typename}").headers


# -- HTTP that lies


def test_streamed_body_without_a_length_is_bounded(server: Server, tokens: dict[str, str]) -> None:
    chunk = b"5000\r\n" + b" " * 0x5000 + b"\r\n"
    answer = exchange(server, request(tokens["clerk-01"], "Transfer-Encoding: chunked", body=chunk * 60))
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"REQUEST_TOO_LARGE" in answer


def test_body_shorter_than_its_length_is_not_answered(server: Server, tokens: dict[str, str]) -> None:
    assert exchange(server, request(tokens["clerk-01"], length=len(GOOD) + 10), wait=0.5) == b""
    assert ask(server, tokens["clerk-01"], "{__typename}").status_code == 200


def test_body_longer_than_its_length_is_no_second_request(server: Server, tokens: dict[str, str]) -> None:
    answer = exchange(server, request(tokens["clerk-01"], length=5))
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b'"data"' not in answer


@pytest.mark.parametrize(
    "headers",
    [
        ("Content-Length: 5", "Transfer-Encoding: chunked"),
        ("Content-Length: 24", "Content-Length: 5"),
        ("Content-Length: -1",),
        ("Content-Length: x",),
        ("Transfer-Encoding: identity, chunked, x", "Content-Length: 24"),
    ],
)
def test_contradicting_lengths_are_refused(server: Server, tokens: dict[str, str], headers: tuple[str, ...]) -> None:
    answer = exchange(server, request(tokens["clerk-01"], *headers), wait=1.0)
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b'"data"' not in answer


@pytest.mark.parametrize("value", ["a\x00b", "a\rSet-Cookie: a=b"])
def test_control_signs_in_headers_are_refused(server: Server, tokens: dict[str, str], value: str) -> None:
    answer = exchange(server, request(tokens["clerk-01"], f"X-Client: {value}", length=len(GOOD)))
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"set-cookie" not in answer.lower()


def test_token_of_a_hundred_kilobytes_is_refused(server: Server) -> None:
    answer = exchange(server, request("x" * 100_000, length=len(GOOD)))
    assert answer.startswith((b"HTTP/1.1 401 ", b"HTTP/1.1 400 ", b"HTTP/1.1 431 "))


# -- the log


def test_log_is_json_lines_without_personal_data(server: Server, tokens: dict[str, str]) -> None:
    person, clerk = server.examples.applicant, tokens["clerk-01"]
    stranger = server.examples.deceased
    document = "query($id: CitizenIdNumber!, $use: UseInput!) { person(idNumber: $id, use: $use) { %s } }"
    names = document % "householdRegistration { name }"
    asked = [
        ask(server, clerk, names, {"id": person.identifier, "use": use(server.case)}),
        ask(server, clerk, names, {"id": stranger.identifier, "use": use(server.case)}),
        ask(server, clerk, names, {"id": person.identifier, "use": use(f"X-{person.identifier}")}),
        ask(server, clerk, names, {"id": person.identifier[:-1] + "?", "use": use(server.case)}),
        ask(server, clerk, document % person.name, {"id": person.identifier, "use": use(server.case)}),
        ask(server, clerk, f'{{ person(idNumber: "{person.identifier}") {{ x }} }}'),
        ask(server, f"{person.identifier}.{person.identifier}.x", names),
        httpx.get(f"{server.address}/graphql", params={"query": person.identifier}, trust_env=False),
        httpx.get(f"{server.address}/{person.identifier}", trust_env=False),
    ]
    assert [answer.status_code for answer in asked] == [200, 200, 200, 400, 400, 400, 401, 405, 404]
    entries = [json.loads(line) for line in server.log.splitlines()]
    assert entries
    for entry in entries:
        assert {"at", "level", "logger", "message"} <= set(entry)
    assert "unauthenticated" in {entry["message"].partition(":")[0] for entry in entries}
    assert not [entry for entry in entries if entry["logger"].startswith("casbin")]
    for secret in (person.identifier, person.name, stranger.identifier, stranger.name, person.identifier[:14], clerk):
        assert secret not in server.log


# -- the end


def test_sigterm_ends_it_at_once(settings_file: Path, tokens: dict[str, str]) -> None:
    with started(settings_file, free_port()) as server:
        assert ask(server, tokens["clerk-01"], "{__typename}").status_code == 200
        before = time.monotonic()
        code = server.stop(STOP_SECONDS)
        assert time.monotonic() - before < STOP_SECONDS
        assert code in (0, -15)
        assert "Traceback" not in server.log
        assert '"level": "ERROR"' not in server.log


def test_unfinished_request_does_not_hold_the_end_up(settings_file: Path, tokens: dict[str, str]) -> None:
    with (
        started(settings_file, free_port()) as server,
        socket.create_connection(("127.0.0.1", server.port)) as connection,
    ):
        connection.sendall(request(tokens["clerk-01"], length=1_000))
        time.sleep(0.2)
        try:
            server.stop(2 * STOP_SECONDS)
        except subprocess.TimeoutExpired:
            pytest.fail(f"it waits for ever\n{server.log}")
