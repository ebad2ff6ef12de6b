"""Traps that layers like this one were seen in: a Host that lies, forged requests of other sites, lines forged in the log."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from terminal.serving import _JsonLines
from tests.http.served import own_settings, served, token
from tests.service import Service
from tests.terminal.server import Server
from tests.terminal.test_server import exchange

BODY = b'{"query":"{__typename}"}'
HOSTS = [
    "elsewhere.example",
    "localhost/health/live?x=",
    "localhost/graphql#",
    "user@localhost",
    "localhost:8000@elsewhere.example",
    "127.0.0.1.elsewhere.example",
    "",
]


@pytest.fixture(scope="module")
def server(city: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with served(own_settings(tmp_path_factory.mktemp("traps"), city)) as started:
        yield started


def sent(server: Server, method: str, path: str, *headers: str, body: bytes = b"") -> bytes:
    """The whole answer to a request of these header lines."""
    lines = (f"{method} {path} HTTP/1.1", *headers, f"Content-Length: {len(body)}", "Connection: close", "", "")
    return exchange(server, "\r\n".join(lines).encode() + body)


@pytest.mark.parametrize("host", HOSTS)
def test_page_with_the_demo_s_tokens_opens_under_no_other_name(server: Server, host: str) -> None:
    assert sent(server, "GET", "/graphiql", f"Host: localhost:{server.port}").startswith(b"HTTP/1.1 200 ")
    answer = sent(server, "GET", "/graphiql", f"Host: {host}")
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"Bearer" not in answer


@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize("path", ["/", "/graphql", "/graphql/", "/health/live", "/nothing"])
def test_host_is_neither_repeated_nor_obeyed(service: Service, host: str, path: str) -> None:
    usual = service.client.get(path, follow_redirects=False)
    lied = service.client.get(
        path, headers={"Host": host, "X-Forwarded-Host": host, "Forwarded": f"host={host}"}, follow_redirects=False
    )
    assert (lied.status_code, lied.content) == (usual.status_code, usual.content)
    assert lied.headers.get("location") in (None, "/graphiql")


def test_path_in_the_host_does_not_choose_the_endpoint(service: Service) -> None:
    headers = {"Host": "localhost/graphql?x=", "Authorization": f"Bearer {service.token()}"}
    assert service.client.post("/health/live", content=BODY, headers=headers).status_code == 405
    assert service.client.post("/nothing", content=BODY, headers=headers).status_code == 404


FORGED = {
    "form": ("application/x-www-form-urlencoded", b"query=%7B__typename%7D"),
    "text that is JSON": ("text/plain", BODY),
    "text in disguise": ("text/plain; application/json", BODY),
    "multipart": (
        "multipart/form-data; boundary=x",
        b'--x\r\nContent-Disposition: form-data; name="operations"\r\n\r\n' + BODY + b"\r\n--x--\r\n",
    ),
    "no type": ("", BODY),
}
"""What another site's page can make a browser send without asking first."""


@pytest.mark.parametrize("name", FORGED)
def test_what_another_site_can_send_runs_nothing(service: Service, name: str) -> None:
    media, body = FORGED[name]
    before = len(service.frames())
    headers = {
        "Authorization": f"Bearer {service.token()}",
        "Content-Type": media,
        "Origin": "https://elsewhere.example",
    }
    answer = service.client.post("/graphql", content=body, headers=headers)
    assert answer.status_code == 415
    assert "access-control-allow-origin" not in answer.headers
    assert len(service.frames()) == before


@pytest.mark.parametrize("text", ["a\r\nb", "a\nERROR forged", "a\x1b[2Jb", "a\u2028b", '"}\n{"level": "ERROR"'])
def test_log_entry_is_one_line_whatever_it_says(text: str) -> None:
    record = logging.LogRecord("onesource", logging.WARNING, "x", 1, "said: %s", (text,), None)
    line = _JsonLines().format(record)
    assert not [sign for sign in line if not sign.isprintable()]
    assert json.loads(line)["message"] == f"said: {text}"


def test_line_breaks_of_a_caller_reach_no_log_line(server: Server) -> None:
    bearer = token(server)
    hostile = json.dumps(
        {"query": "query A{__typename}\r\n#\nERROR forged", "operationName": "A\r\nERROR forged"}
    ).encode()
    for head in (f"Authorization: Bearer {bearer}", "Authorization: Bearer x.y\tERROR forged"):
        sent(server, "POST", "/graphql", "Host: localhost", "Content-Type: application/json", head, body=hostile)
    entries = [json.loads(line) for line in server.log.splitlines()]
    assert entries
    assert "forged" not in server.log
