"""Bodies that are no GraphQL request, and bodies of hostile JSON: each has a code and a hint, and the next request is answered."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.http.conftest import Send
from tests.service import Service, codes

GOOD = b'{"query":"{__typename}"}'
DEEP = 100_000

MALFORMED = {
    "empty": b"",
    "half": b"{",
    "two values": GOOD + b"x",
    "invalid UTF-8": b'{"query":"\xff"}',
    "UTF-16": '{"query":"{__typename}"}'.encode("utf-16"),
    "byte order mark": b"\xef\xbb\xbf" + GOOD,
    "lone surrogate in the document": b'{"query":"\\ud800"}',
    "lone surrogate in a variable": b'{"query":"{__typename}","variables":{"a":"\\ud800"}}',
    "NUL byte": b'{"query":"{__typename}\x00"}',
    "text": b'"{__typename}"',
    "number": b"1",
    "null": b"null",
    "query missing": b"{}",
    "query under another name": b'{"Query":"{__typename}"}',
    "query number": b'{"query":1}',
    "query null": b'{"query":null}',
    "query blank": b'{"query":""}',
    "query object": b'{"query":{"a":1}}',
    "variables array": b'{"query":"{__typename}","variables":[]}',
    "variables text": b'{"query":"{__typename}","variables":"{}"}',
    "variables false": b'{"query":"{__typename}","variables":false}',
    "operationName number": b'{"query":"{__typename}","operationName":1}',
    "extensions number": b'{"query":"{__typename}","extensions":0}',
    "extensions array": b'{"query":"{__typename}","extensions":[]}',
    "extensions false": b'{"query":"{__typename}","extensions":false}',
    "deep arrays": b'{"query":"{__typename}","variables":{"a":' + b"[" * DEEP + b"]" * DEEP + b"}}",
    "deep objects": b'{"query":"{__typename}","variables":' + b'{"a":' * DEEP + b"1" + b"}" * DEEP + b"}",
    "NaN": b'{"query":"{__typename}","variables":{"a":NaN}}',
    "integer of 400,000 digits": b'{"query":"{__typename}","variables":{"a":' + b"9" * 400_000 + b"}}",
}


@pytest.mark.parametrize("body", MALFORMED.values(), ids=MALFORMED)
def test_malformed_body_has_a_code_and_a_hint(send: Send, body: bytes) -> None:
    answer = send(body)
    assert answer.status_code == 400
    assert codes(answer.json()) == ["REQUEST_MALFORMED"]
    assert set(answer.json()["errors"][0]["extensions"]["hint"]) == {"en", "zh"}
    assert send(GOOD).status_code == 200


@pytest.mark.parametrize("body", [b"[]", b"[" + GOOD + b"]", b"[" + b",".join([GOOD] * 50) + b"]"])
def test_batches_are_refused(send: Send, body: bytes) -> None:
    answer = send(body)
    assert answer.status_code == 400
    assert codes(answer.json()) == ["BATCHING_DISABLED"]


@pytest.mark.parametrize(
    "body",
    [
        b'{"query":"{__typename}","variables":null,"operationName":null,"extensions":null}',
        b'{"query":"{__typename}","operationName":""}',
        b'{"query":"{__typename}","extensions":{"client":{"a":1}}}',
        b'{"query":"query A{__typename} query B{__typename}","operationName":"B"}',
        b'{"query":"{","query":"{__typename}"}',
        b'{"query":"{__typename}","unknown":1}',
        b'{"query":"{__typename}","variables":{"a":' + b"[" * 500 + b"]" * 500 + b"}}",
        b' \n\t{"query":"{__typename}"}\n',
    ],
)
def test_well_formed_request_is_answered(send: Send, body: bytes) -> None:
    answer = send(body)
    assert answer.status_code == 200
    assert answer.json()["data"] == {"__typename": "Query"}


def test_body_over_the_limit_is_413(service: Service, send: Send) -> None:
    limit = service.settings.server.max_body
    at_limit = GOOD + b" " * (limit - len(GOOD))
    assert send(at_limit).status_code == 200
    answer = send(at_limit + b" ")
    assert answer.status_code == 413
    assert codes(answer.json()) == ["REQUEST_TOO_LARGE"]


def test_streamed_body_is_bounded_before_its_end(service: Service) -> None:
    def chunks() -> Iterator[bytes]:
        for _ in range(1_000):
            yield b" " * 20_000

    headers = {"Authorization": f"Bearer {service.token()}", "Content-Type": "application/json"}
    answer = service.client.post("/graphql", content=chunks(), headers=headers)
    assert answer.status_code == 413
    assert codes(answer.json()) == ["REQUEST_TOO_LARGE"]


def test_unknown_caller_learns_nothing_about_the_body(send: Send) -> None:
    bodies = (GOOD, b"{", b"[]", b"x" * 2_000_000)
    assert {send(body, Authorization=None).status_code for body in bodies} == {401}
    assert len({send(body, Authorization=None).content for body in bodies}) == 1


def test_callers_words_never_become_headers(send: Send) -> None:
    answer = send(b'{"query":"{__typename}","operationName":"x\\r\\nSet-Cookie: a=b"}')
    assert codes(answer.json()) == ["OPERATION_UNKNOWN"]
    assert "set-cookie" not in answer.headers
