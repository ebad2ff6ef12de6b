"""Media types, methods and status codes of GraphQL over HTTP (working draft, sections 4 and 6)."""

from __future__ import annotations

import pytest

from tests.http.conftest import Send
from tests.service import Service, codes

GRAPHQL = "application/graphql-response+json"
JSON = "application/json"
GOOD = b'{"query":"{__typename}"}'
FAILING = {
    "GRAPHQL_PARSE_FAILED": b'{"query":"{"}',
    "GRAPHQL_VALIDATION_FAILED": b'{"query":"{nothing}"}',
    "OPERATION_UNKNOWN": b'{"query":"{__typename}","operationName":"Other"}',
    "VARIABLES_INVALID": b'{"query":"query($yes:Boolean!){__typename @skip(if:$yes)}","variables":{"yes":"x"}}',
}
MALFORMED = {"not JSON": b"{", "no query": b"{}", "variables": b'{"query":"{__typename}","variables":[7]}'}


def test_answer_is_of_the_graphql_media_type_in_utf_8(send: Send) -> None:
    answer = send(GOOD, Accept=f"{GRAPHQL}, {JSON}")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == f"{GRAPHQL}; charset=utf-8"
    assert answer.json()["data"] == {"__typename": "Query"}


@pytest.mark.parametrize("code", FAILING)
def test_request_error_is_400_as_graphql_and_200_as_plain_json(send: Send, code: str) -> None:
    for accept, status in ((GRAPHQL, 400), (JSON, 200)):
        answer = send(FAILING[code], Accept=accept)
        assert answer.status_code == status
        assert answer.headers["content-type"].startswith(accept)
        assert codes(answer.json()) == [code]
        assert "data" not in answer.json()
        assert answer.json()["errors"][0]["extensions"]["hint"]


@pytest.mark.parametrize("body", MALFORMED.values(), ids=MALFORMED)
@pytest.mark.parametrize("accept", [GRAPHQL, JSON])
def test_what_is_no_graphql_request_is_400_in_any_media_type(send: Send, body: bytes, accept: str) -> None:
    answer = send(body, Accept=accept)
    assert answer.status_code == 400
    assert codes(answer.json()) == ["REQUEST_MALFORMED"]


@pytest.mark.parametrize(
    ("accept", "answered"),
    [
        (None, GRAPHQL),  # after the draft's watershed of 2025; before it, application/json
        ("*/*", GRAPHQL),
        ("application/*", GRAPHQL),
        (JSON, JSON),
        (f"{JSON}; charset=utf-8", JSON),
        (f"{GRAPHQL};q=0.1, {JSON};q=0.9", JSON),
        (f"{GRAPHQL};q=0, {JSON}", JSON),
        (f"{JSON}, */*;q=0.1", JSON),
        (f"{JSON}, {GRAPHQL}", GRAPHQL),
        (f"text/html, {JSON};q=0.5", JSON),
        (f"{JSON};q=nonsense, {GRAPHQL};q=0.1", GRAPHQL),
    ],
)
def test_callers_preference_is_respected(send: Send, accept: str | None, answered: str) -> None:
    # the test client adds Accept: */* where there is none, so "none" is sent blank
    answer = send(GOOD, Accept=accept or "")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith(answered)


@pytest.mark.parametrize("accept", ["text/html", f"{JSON};q=0", "*/*;q=0", "multipart/mixed", ",,,", "x" * 5000])
def test_unacceptable_answer_is_406(send: Send, accept: str) -> None:
    answer = send(GOOD, Accept=accept)
    assert answer.status_code == 406
    assert codes(answer.json()) == ["NOT_ACCEPTABLE"]


@pytest.mark.parametrize(
    "content_type", [JSON, JSON.upper(), f"{JSON}; charset=utf-8", f'{JSON};charset="UTF-8"; version=1']
)
def test_json_in_utf_8_is_accepted(send: Send, content_type: str) -> None:
    assert send(GOOD, Content_Type=content_type).status_code == 200


@pytest.mark.parametrize(
    "content_type",
    [
        None,
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/graphql",
        f"{JSON}; charset=utf-16",
        f"{JSON}, text/plain",
    ],
)
def test_every_other_body_is_415(send: Send, content_type: str | None) -> None:
    answer = send(GOOD, Content_Type=content_type)
    assert answer.status_code == 415
    assert codes(answer.json()) == ["MEDIA_TYPE_UNSUPPORTED"]


def test_compressed_body_is_415(send: Send) -> None:
    assert send(GOOD, Content_Encoding="gzip").status_code == 415


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_other_methods_are_405_and_run_nothing(service: Service, method: str) -> None:
    before = len(service.frames())
    headers = {"Authorization": f"Bearer {service.token()}", "Accept": GRAPHQL}
    answer = service.client.request(method, "/graphql", params={"query": "{__typename}"}, headers=headers)
    assert answer.status_code == 405
    assert answer.headers["allow"] == "POST"
    assert b"__typename" not in answer.content
    assert len(service.frames()) == before


def test_no_other_origin_is_allowed(service: Service, send: Send) -> None:
    asked = {"Origin": "https://elsewhere.example", "Access-Control-Request-Method": "POST"}
    answers = [service.client.options("/graphql", headers=asked), send(GOOD, Origin="https://elsewhere.example")]
    for answer in answers:
        assert not [name for name in answer.headers if name.startswith("access-control-")]


def test_answers_are_neither_cached_nor_sniffed(send: Send) -> None:
    for body in (GOOD, b"{"):
        headers = send(body).headers
        assert headers["cache-control"] == "no-store"
        assert headers["x-content-type-options"] == "nosniff"


def test_stage_times_are_for_the_developer_only(service: Service) -> None:
    for role in ("clerk", "officer", "auditor"):
        assert "server-timing" not in service.post({"query": "{__typename}"}, role=role).headers
    shown = service.post({"query": "{__typename}"}, role="developer").headers["server-timing"]
    stages = [part.partition(";dur=") for part in shown.split(", ")]
    assert stages[0][0] == "parse"
    assert stages[-1][0] == "disclose"
    assert all(float(spent) >= 0 for _, _, spent in stages)
    assert service.post({"query": "{nothing}"}, role="developer").headers.get("server-timing") != ""
