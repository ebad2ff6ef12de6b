"""Services over HTTP: how they are asked, what is believed of their answers, and what a hostile one can do."""

from __future__ import annotations

import asyncio
import base64
import json
import socketserver
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qs, parse_qsl, unquote, urlsplit

import pytest

from connectors.client import ClientCredentials, HeaderKey
from connectors.contract import INVALID, CountRequest, SearchRequest, SourceError
from connectors.rest import RestConnector
from schema.catalogue import ItemType, Resource, Search
from schema.http import HttpLookUp, HttpSource, JsonPath, KeyList, Paging, PagingKind
from schema.identifiers import to_citizen_id
from tests.connectors.conftest import request_for
from tests.connectors.resources import item, resource

ONE = HttpLookUp("/people/{key}", {}, None, absent=404)
SEVERAL = HttpLookUp("/people", {"ids": "{keys}"}, None, batch=100)
EVERY = JsonPath.parse("people[*]")


def people(look_up: HttpLookUp = ONE, records: str = "", **changes: Any) -> Resource:
    """A resource of people with the items id, name and fee, asked by id in this way."""
    http = HttpSource(JsonPath.parse(records), {"id": look_up}, **changes)
    made = resource(
        "People", item("id", column="id"), item("name", column="name"), item("fee", ItemType.DECIMAL, column="fee")
    )
    return replace(made, table=None, http=http, updated=None)


@dataclass(frozen=True)
class Asked:
    """A request as a service saw it."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def path(self) -> str:
        return urlsplit(self.target).path

    @property
    def query(self) -> dict[str, list[str]]:
        return parse_qs(urlsplit(self.target).query, keep_blank_values=True)


Answer = bytes | Callable[[Callable[[bytes], Any]], None]
"""A whole answer, or what sends one."""


@dataclass
class Service:
    """A server that answers as `answer` says, byte by byte if it must."""

    answer: Callable[[Asked], Answer] = lambda _: reply([])
    asked: list[Asked] = field(default_factory=list)
    url: str = ""
    most: int = 0
    _now: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def handle(self, handler: socketserver.StreamRequestHandler) -> None:
        line = handler.rfile.readline().decode("latin-1").split()
        headers = {}
        while header := handler.rfile.readline().strip().decode("latin-1"):
            name, _, value = header.partition(":")
            headers[name.lower()] = value.strip()
        asked = Asked(line[0], line[1], headers, handler.rfile.read(int(headers.get("content-length", 0))))
        with self._lock:
            self.asked.append(asked)
            self._now += 1
            self.most = max(self.most, self._now)
        answer = self.answer(asked)
        with self._lock:
            self._now -= 1
        try:
            if isinstance(answer, bytes):
                handler.wfile.write(answer)
            else:
                answer(handler.wfile.write)
        except OSError:
            return


def reply(content: Any, status: str = "200 OK", kind: str = "application/json", **headers: str) -> bytes:
    body = content if isinstance(content, bytes) else json.dumps(content, default=str).encode()
    lines = [f"HTTP/1.1 {status}", f"Content-Type: {kind}", f"Content-Length: {len(body)}", "Connection: close"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + body


@pytest.fixture
def service() -> Iterator[Service]:
    made = Service()

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            made.handle(self)

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True
        allow_reuse_address = True
        request_queue_size = 64

    with Server(("127.0.0.1", 0), Handler) as server:
        made.url = f"http://127.0.0.1:{server.server_address[1]}"
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield made
        server.shutdown()


def ask(
    service: Service, *keys: str, of: Resource | None = None, timeout: float = 5, path: str = "/v1", **settings: Any
) -> Any:
    """The values by key that a connector finds, or the code of its error."""

    async def asking() -> Any:
        connector = RestConnector(service.url + path, **settings)
        try:
            rows = await connector.fetch(request_for(of or people(), keys, "name", timeout=timeout))
            return {row.key: row.values[0] for row in rows.rows}
        except SourceError as error:
            return error.code
        finally:
            await connector.close()

    return asyncio.run(asking())


def record(key: str) -> dict[str, Any]:
    return {"id": key, "name": f"n-{key}"}


# -- how a service is asked ------------------------------------------------------------------------------------------


def single(asked: Asked) -> bytes:
    return reply(record(unquote(asked.path.rsplit("/", 1)[1])))


def test_without_batches_each_key_has_its_own_request_and_few_run_at_once(service: Service) -> None:
    def slowly(asked: Asked) -> bytes:
        time.sleep(0.02)
        return single(asked)

    service.answer = slowly
    keys = [f"k{number}" for number in range(40)]
    assert ask(service, *keys, concurrency=3) == {key: f"n-{key}" for key in keys}
    assert sorted(one.target for one in service.asked) == sorted(f"/v1/people/{key}" for key in keys)
    assert service.most <= 3


WAYS = {
    "commas": (SEVERAL, lambda asked: asked.query["ids"][0].split(",")),
    "repeated": (replace(SEVERAL, keys=KeyList.REPEAT), lambda asked: asked.query["ids"]),
    "body": (replace(SEVERAL, query={}, body={"ids": "{keys}", "kind": "person"}), lambda a: json.loads(a.body)["ids"]),
}


@pytest.mark.parametrize(("look_up", "keys_of"), WAYS.values(), ids=WAYS)
def test_keys_are_asked_in_batches_of_the_declared_size(
    service: Service, look_up: HttpLookUp, keys_of: Callable[[Asked], list[str]]
) -> None:
    service.answer = lambda asked: reply({"people": [record(key) for key in keys_of(asked)]})
    keys = [f"k{number}" for number in range(250)]
    assert ask(service, *keys, of=people(look_up, "people[*]")) == {key: f"n-{key}" for key in keys}
    assert sorted(len(keys_of(one)) for one in service.asked) == [50, 100, 100]
    assert {one.method for one in service.asked} == {"POST" if look_up.body else "GET"}


NASTY = [
    "a b",
    "a&ids=b",
    "a#b",
    "a=b",
    "张三",
    "a?b",
    "a+b",
    "a\nb",
    "a\r\nX: y",
    '"',
    "<script>",
    "{keys}",
    "a'b",
    "@",
    "∞",
]


def test_a_key_in_a_query_is_a_value_whatever_it_holds(service: Service) -> None:
    service.answer = lambda asked: reply({"people": [record(key) for key in asked.query["ids"]]})
    of = people(replace(SEVERAL, keys=KeyList.REPEAT), "people[*]")
    assert ask(service, *NASTY, of=of) == {key: f"n-{key}" for key in NASTY}
    assert {one.path for one in service.asked} == {"/v1/people"}
    assert {name for one in service.asked for name, _ in parse_qsl(urlsplit(one.target).query)} == {"ids"}


def test_a_key_in_a_path_is_one_segment(service: Service) -> None:
    service.answer = single
    keys = [key for key in NASTY if key.isprintable()]
    assert ask(service, *keys) == {key: f"n-{key}" for key in keys}
    assert all(one.target.count("/") == 3 and "?" not in one.target for one in service.asked)


@pytest.mark.parametrize("key", ["", ".", "..", "../admin", "a/b", "a\\b", "%2e%2e", "a;b", "a\nb", "\u202e"])
def test_a_key_that_could_change_a_path_is_not_sent(service: Service, key: str) -> None:
    assert ask(service, key) == "SOURCE_UNSUPPORTED"
    assert service.asked == []


def test_a_key_with_a_comma_is_not_sent_in_a_list_of_commas(service: Service) -> None:
    assert ask(service, "a,b", of=people(SEVERAL, "people[*]")) == "SOURCE_UNSUPPORTED"
    assert service.asked == []


def test_a_service_that_can_choose_columns_is_asked_for_those_needed_alone(service: Service) -> None:
    service.answer = lambda _: reply({"people": [record("a")]})
    ask(service, "a", of=people(replace(SEVERAL, query={"ids": "{keys}", "fields": "{columns}"}), "people[*]"))
    assert service.asked[0].query["fields"] == ["id,name"]


def test_a_legacy_number_is_asked_for_in_every_form_that_the_service_may_know(service: Service) -> None:
    of = people(SEVERAL, "people[*]")
    of = replace(of, items={**of.items, "id": item("id", ItemType.ID_NUMBER, "15or18", column="id")})
    known = "421202680229999"
    number = to_citizen_id(known)
    service.answer = lambda asked: reply(
        {"people": [record(k) for k in asked.query["ids"][0].split(",") if k == known]}
    )
    assert ask(service, number, of=of) == {number: f"n-{known}"}


def test_records_that_nobody_asked_for_are_dropped(service: Service) -> None:
    service.answer = lambda _: reply({"people": [record("b"), record("a"), {"id": None, "name": "x"}]})
    assert ask(service, "a", of=people(SEVERAL, "people[*]")) == {"a": "n-a"}


def test_an_answer_about_others_alone_is_no_answer(service: Service) -> None:
    service.answer = lambda _: reply({"people": [record("b")]})
    assert ask(service, "a", of=people(SEVERAL, "people[*]")) == "SOURCE_CHANGED"


def test_a_key_that_the_answer_does_not_repeat_is_the_one_asked_for(service: Service) -> None:
    service.answer = lambda _: reply([{"name": "award"}])
    of = people(HttpLookUp("/people/{key}/awards", {}, None), "[*]")
    of = replace(of, items={**of.items, "id": item("id", column="{key}")})
    assert ask(service, "a", "b", of=of) == {"a": "award", "b": "award"}


@pytest.mark.parametrize(
    "request_",
    [
        replace(request_for(people(), ["a"], "name"), key="name"),
        CountRequest(people(), 5),
        SearchRequest(replace(people(), search=Search((), (), ("id",))), ("name",), (), 1, 5),
        request_for(replace(people(), http=None, table="T_PEOPLE"), ["a"], "name"),
    ],
    ids=["by another item", "count", "search", "a table"],
)
def test_what_a_service_cannot_be_asked_is_refused(service: Service, request_: Any) -> None:
    async def asking() -> None:
        connector = RestConnector(service.url)
        try:
            with pytest.raises(SourceError, match="SOURCE_UNSUPPORTED"):
                await connector.fetch(request_)
        finally:
            await connector.close()

    asyncio.run(asking())
    assert service.asked == []


# -- pages -----------------------------------------------------------------------------------------------------------

FOUND = [record("a") | {"name": str(number)} for number in range(25)]
MANY = replace(people(SEVERAL, "people[*]"), many=True)


def paged(paging: Paging) -> Resource:
    assert paging.problem() == ""
    assert MANY.http
    return replace(MANY, http=replace(MANY.http, paging=paging))


def names(service: Service, of: Resource, **settings: Any) -> Any:
    async def asking() -> Any:
        connector = RestConnector(service.url, **settings)
        try:
            rows = await connector.fetch(request_for(of, ["a"], "name"))
            return sorted(int(row.values[0]) for row in rows.rows)
        except SourceError as error:
            return error.code
        finally:
            await connector.close()

    return asyncio.run(asking())


def by_page(asked: Asked) -> bytes:
    page = int(asked.query["page"][0])
    return reply({"people": FOUND[(page - 1) * 10 : page * 10], "total": 25})


def by_offset(asked: Asked) -> bytes:
    start = int(asked.query["offset"][0])
    return reply({"people": FOUND[start : start + min(7, int(asked.query["limit"][0]))]})


def by_cursor(asked: Asked) -> bytes:
    start = int(base64.b64decode(asked.query["after"][0])) if "after" in asked.query else 0
    following = base64.b64encode(str(start + 9).encode()).decode() if start + 9 < 25 else None
    return reply({"people": FOUND[start : start + 9], "page": {"end": following}})


def by_link(asked: Asked) -> bytes:
    start = int(asked.query.get("from", ["0"])[0])
    return reply({"people": FOUND[start : start + 9], "next": f"/people?from={start + 9}" if start < 18 else None})


PAGED = {
    "page, with a total": (Paging(PagingKind.PAGE, "page", total=JsonPath.parse("total")), by_page, 3),
    "page, to the empty one": (Paging(PagingKind.PAGE, "page"), by_page, 4),
    "offset, of a service that gives less than asked": (
        Paging(PagingKind.OFFSET, "offset", size_parameter="limit", size=100),
        by_offset,
        5,
    ),
    "cursor": (Paging(PagingKind.CURSOR, "after", at=JsonPath.parse("page.end")), by_cursor, 3),
    "link": (Paging(PagingKind.NEXT, at=JsonPath.parse("next")), by_link, 3),
}


@pytest.mark.parametrize(("paging", "answer", "requests"), PAGED.values(), ids=PAGED)
def test_every_page_is_read(service: Service, paging: Paging, answer: Callable[[Asked], bytes], requests: int) -> None:
    service.answer = answer
    assert names(service, paged(paging)) == list(range(25))
    assert len(service.asked) == requests


ENDLESS = {
    "the same cursor": (Paging(PagingKind.CURSOR, "c", at=JsonPath.parse("c")), {"people": FOUND, "c": "x"}),
    "a link to itself": (Paging(PagingKind.NEXT, at=JsonPath.parse("n")), {"people": FOUND, "n": "?ids=a"}),
    "a cursor that is an object": (Paging(PagingKind.CURSOR, "c", at=JsonPath.parse("c")), {"people": [], "c": {}}),
    "no cursor at all": (Paging(PagingKind.CURSOR, "c", at=JsonPath.parse("c")), {"people": []}),
    "fewer than its total": (Paging(PagingKind.PAGE, "p", total=JsonPath.parse("t")), {"people": [], "t": 3}),
    "more than its total": (Paging(PagingKind.PAGE, "p", total=JsonPath.parse("t")), {"people": FOUND, "t": 3}),
    "a total that is a text": (Paging(PagingKind.PAGE, "p", total=JsonPath.parse("t")), {"people": FOUND, "t": "25"}),
    "another host": (Paging(PagingKind.NEXT, at=JsonPath.parse("n")), {"people": [], "n": "http://localhost:1/x"}),
    "another scheme": (Paging(PagingKind.NEXT, at=JsonPath.parse("n")), {"people": [], "n": "file:///etc/passwd"}),
    "another user": (Paging(PagingKind.NEXT, at=JsonPath.parse("n")), {"people": [], "n": "//u:p@127.0.0.1/x"}),
    "no address": (Paging(PagingKind.NEXT, at=JsonPath.parse("n")), {"people": [], "n": "http://[x"}),
}


@pytest.mark.parametrize(("paging", "answer"), ENDLESS.values(), ids=ENDLESS)
def test_pages_that_do_not_come_to_an_end_or_lead_elsewhere_are_no_answer(
    service: Service, paging: Paging, answer: Any
) -> None:
    service.answer = lambda _: reply(answer)
    assert names(service, paged(paging)) == "SOURCE_CHANGED"
    assert len(service.asked) <= 2


def test_all_pages_together_have_the_size_of_one_answer(service: Service) -> None:
    service.answer = lambda a: reply(
        {"people": [record("a") | {"name": "1" * 400}], "c": a.query.get("c", ["0"])[0] + "1"}
    )
    of = paged(Paging(PagingKind.CURSOR, "c", at=JsonPath.parse("c")))
    assert names(service, of, max_bytes=2_000) == "SOURCE_CHANGED"
    assert len(service.asked) < 8


# -- what an answer is -----------------------------------------------------------------------------------------------


def test_numbers_come_without_loss_and_null_is_none(service: Service) -> None:
    fee = '{"id": "a", "name": null, "fee": 99999999999999999999.10}'

    async def asking() -> Any:
        connector = RestConnector(service.url)
        rows = await connector.fetch(request_for(people(), ["a"], "name", "fee"))
        await connector.close()
        return rows.rows[0].values

    service.answer = lambda _: reply(fee.encode())
    assert asyncio.run(asking()) == (None, Decimal("99999999999999999999.10"))


@pytest.mark.parametrize("name", [True, 1.5, "\ud800", "a\0"])
def test_a_value_that_is_none_of_its_type_is_invalid(service: Service, name: Any) -> None:
    service.answer = lambda _: reply({"id": "a", "name": name})
    assert ask(service, "a") == {"a": INVALID}


def test_columns_stand_where_their_paths_lead(service: Service) -> None:
    of = people()
    of = replace(of, items={**of.items, "name": item("name", column="names[0].full.text")})
    service.answer = lambda _: reply({"id": "a", "names": [{"full": {"text": "张三"}}]})
    assert ask(service, "a", of=of) == {"a": "张三"}
    service.answer = lambda _: reply({"id": "a", "names": [{"full": None}]})
    assert ask(service, "a", of=of) == {"a": None}
    service.answer = lambda _: reply({"id": "a", "names": []})
    assert ask(service, "a", of=of) == "SOURCE_CHANGED"
    assert of.http
    assert ask(service, "a", of=replace(of, http=replace(of.http, omits_null=True))) == {"a": None}


def test_gbk_that_says_so_is_read(service: Service) -> None:
    body = json.dumps({"id": "a", "name": "张三"}, ensure_ascii=False).encode("gbk")
    service.answer = lambda _: reply(body, kind="application/json; charset=GBK")
    assert ask(service, "a") == {"a": "张三"}


GOOD = json.dumps(record("a")).encode()
CHANGED = {
    "HTML": reply(b"<html>login</html>", kind="text/html"),
    "JSON that says HTML": reply(GOOD, kind="text/html"),
    "no type": reply(GOOD, kind=""),
    "broken JSON": reply(GOOD[:-1]),
    "two values": reply(GOOD + GOOD),
    "nothing": reply(b""),
    "NaN": reply(b'{"id": "a", "name": NaN}'),
    "not UTF-8": reply(b'{"id": "a", "name": "\xd5\xc5"}'),
    "unknown charset": reply(GOOD, kind="application/json; charset=utf-7"),
    "compressed": reply(GOOD, Content_Encoding="gzip"),
    "nested without end": reply(b"[" * 100_000),
    "a number of a million digits": reply(b'{"id": "a", "name": ' + b"9" * 1_000_000 + b"}"),
    "a list for an object": reply([]),
    "a record that is a text": reply("a"),
    "no such column": reply({"id": "a"}),
    "an object for a value": reply({"id": "a", "name": {}}),
    "a list for a value": reply({"id": "a", "name": ["x"]}),
    "a redirect": reply(b"", "302 Found", Location="http://127.0.0.1:1/"),
    "a redirect for good": reply(b"", "308 Permanent Redirect", Location="/v1/people/b"),
    "not found, of several": reply(b"", "410 Gone"),
    "a bad request": reply(b"", "400 Bad Request"),
    "no content": reply(b"", "204 No Content"),
}


@pytest.mark.parametrize("answer", CHANGED.values(), ids=CHANGED)
def test_what_is_not_the_declared_answer_is_a_change_of_the_source(service: Service, answer: bytes) -> None:
    service.answer = lambda _: answer
    assert ask(service, "a") == "SOURCE_CHANGED"
    assert len(service.asked) == 1


STATUS = {
    "401 Unauthorized": "SOURCE_REFUSED",
    "403 Forbidden": "SOURCE_REFUSED",
    "429 Too Many Requests": "SOURCE_UNAVAILABLE",
    "500 Internal Server Error": "SOURCE_UNAVAILABLE",
    "503 Service Unavailable": "SOURCE_UNAVAILABLE",
}


@pytest.mark.parametrize(("status", "code"), STATUS.items())
def test_a_status_has_its_code(service: Service, status: str, code: str) -> None:
    service.answer = lambda _: reply(b"secret words", status, "text/html")
    assert ask(service, "a") == code


def test_absent_says_that_nobody_has_the_key_where_it_is_declared(service: Service) -> None:
    service.answer = lambda asked: reply(b"", "404 Not Found") if asked.path.endswith("b") else single(asked)
    assert ask(service, "a", "b") == {"a": "n-a"}
    assert ask(service, "b", of=people(replace(ONE, absent=None))) == "SOURCE_CHANGED"


def test_a_service_that_asks_to_be_left_alone_is_left_alone_as_long(service: Service) -> None:
    async def asking() -> list[str]:
        connector = RestConnector(service.url)
        codes = []
        for pause in (0, 0, 1.1):
            await asyncio.sleep(pause)
            try:
                await connector.fetch(request_for(people(), ["a"], "name"))
                codes.append("")
            except SourceError as error:
                codes.append(error.code)
        await connector.close()
        return codes

    service.answer = lambda a: reply(b"", "429 Slow", Retry_After="1") if len(service.asked) == 1 else single(a)
    assert asyncio.run(asking()) == ["SOURCE_UNAVAILABLE", "SOURCE_UNAVAILABLE", ""]
    assert len(service.asked) == 2


# -- a hostile one ---------------------------------------------------------------------------------------------------

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"


def test_two_gigabytes_are_refused_by_their_announcement_or_by_count_and_never_read(service: Service) -> None:
    sent = [0]

    def flood(send: Callable[[bytes], Any]) -> None:
        send(HEAD + b"Connection: close\r\n\r\n[")
        for _ in range(2_000):
            send(b" " * 1_000_000)
            sent[0] += 1

    service.answer = lambda _: flood
    assert ask(service, "a", max_bytes=1_000_000) == "SOURCE_CHANGED"
    assert sent[0] < 50
    service.answer = lambda _: HEAD + b"Content-Length: 2147483648\r\n\r\n"
    begun = time.monotonic()
    assert ask(service, "a") == "SOURCE_CHANGED"
    assert time.monotonic() - begun < 2


def dripping(send: Callable[[bytes], Any]) -> None:
    send(HEAD + b"Content-Length: 1000\r\n\r\n")
    for _ in range(100):
        send(b" ")
        time.sleep(0.1)


def silent(_: Callable[[bytes], Any]) -> None:
    time.sleep(10)


@pytest.mark.parametrize("answer", [dripping, silent])
def test_a_slow_service_is_waited_for_no_longer_than_the_timeout(service: Service, answer: Answer) -> None:
    service.answer = lambda _: answer
    begun = time.monotonic()
    assert ask(service, "a", timeout=0.3) == "SOURCE_TIMEOUT"
    assert time.monotonic() - begun < 2


@pytest.mark.parametrize(
    "answer",
    [b"", b"SSH-2.0-OpenSSH\r\n", HEAD + b"Content-Length: 100\r\n\r\n{", HEAD + b"X: " + b"y" * 2_000_000],
    ids=["nothing", "no HTTP", "cut short", "endless headers"],
)
def test_what_is_no_whole_answer_is_no_answer(service: Service, answer: bytes) -> None:
    service.answer = lambda _: answer
    assert ask(service, "a") == "SOURCE_UNAVAILABLE"


def test_a_service_that_is_not_there_is_unavailable() -> None:
    assert ask(Service(url="http://127.0.0.1:1"), "a") == "SOURCE_UNAVAILABLE"


def test_the_first_failure_ends_the_other_requests(service: Service) -> None:
    service.answer = lambda asked: reply(b"", "500 No") if asked.path.endswith("k0") else silent
    begun = time.monotonic()
    assert ask(service, *(f"k{number}" for number in range(30))) == "SOURCE_UNAVAILABLE"
    assert time.monotonic() - begun < 3


def test_no_proxy_and_no_cookie(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")
    service.answer = lambda asked: reply(record(asked.path[-1]), Set_Cookie="session=1; Path=/")
    assert ask(service, "a", "b", concurrency=1) == {"a": "n-a", "b": "n-b"}
    assert not any("cookie" in one.headers for one in service.asked)


# -- who asks --------------------------------------------------------------------------------------------------------


def test_a_key_is_told_in_its_header(service: Service) -> None:
    service.answer = single
    assert ask(service, "a", auth=HeaderKey("X-API-Key", "s3cret")) == {"a": "n-a"}
    assert service.asked[0].headers["x-api-key"] == "s3cret"
    assert "s3cret" not in repr(HeaderKey("X-API-Key", "s3cret"))


def with_tokens(lasts: Any = 3600, **token: Any) -> Callable[[Asked], bytes]:
    tokens: list[str] = []

    def answer(asked: Asked) -> bytes:
        if asked.path == "/token":
            tokens.append(f"t{len(tokens)}")
            return reply({"access_token": tokens[-1], "token_type": "Bearer", "expires_in": lasts} | token)
        return single(asked) if asked.headers.get("authorization") == f"Bearer {tokens[-1]}" else reply(b"", "401 No")

    return answer


def credentials(service: Service) -> ClientCredentials:
    return ClientCredentials(f"{service.url}/token", "one:source", "people", "s3 cret")


def test_a_token_is_got_once_for_many_requests(service: Service) -> None:
    service.answer = with_tokens()
    keys = [f"k{number}" for number in range(20)]
    assert ask(service, *keys, auth=credentials(service)) == {key: f"n-{key}" for key in keys}
    (told,) = [one for one in service.asked if one.path == "/token"]
    assert parse_qs(told.body.decode()) == {"grant_type": ["client_credentials"], "scope": ["people"]}
    assert base64.b64decode(told.headers["authorization"].removeprefix("Basic ")) == b"one%3Asource:s3+cret"


def test_a_token_that_is_about_to_expire_is_got_anew(service: Service) -> None:
    service.answer = with_tokens(lasts=1)
    assert ask(service, "a", "b", auth=credentials(service), concurrency=1) == {"a": "n-a", "b": "n-b"}
    assert len([one for one in service.asked if one.path == "/token"]) == 2


def test_a_token_that_was_withdrawn_is_got_anew_once(service: Service) -> None:
    answer, refused = with_tokens(), [False]

    def withdrawn(asked: Asked) -> bytes:
        if asked.path != "/token" and not refused[0]:
            refused[0] = True
            return reply(b"", "401 Unauthorized")
        return answer(asked)

    service.answer = withdrawn
    assert ask(service, "a", auth=credentials(service)) == {"a": "n-a"}
    service.asked.clear()
    service.answer = lambda a: answer(a) if a.path == "/token" else reply(b"", "401 No")
    assert ask(service, "a", auth=credentials(service)) == "SOURCE_REFUSED"
    assert len(service.asked) == 4


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (reply({"error": "invalid_client"}, "400 Bad Request"), "SOURCE_REFUSED"),
        (reply(b"", "401 Unauthorized"), "SOURCE_REFUSED"),
        (reply(b"", "500 No"), "SOURCE_UNAVAILABLE"),
        (reply(b"", "302 Found", Location="http://127.0.0.1:1/"), "SOURCE_CHANGED"),
        (reply({"token_type": "Bearer"}), "SOURCE_CHANGED"),
        (reply({"access_token": "a\r\nX: y", "token_type": "Bearer"}), "SOURCE_CHANGED"),
        (reply({"access_token": "x", "token_type": "mac"}), "SOURCE_CHANGED"),
        (reply(b'"' + b"x" * 100_000 + b'"'), "SOURCE_CHANGED"),
    ],
)
def test_no_token_no_request(service: Service, answer: bytes, code: str) -> None:
    service.answer = lambda _: answer
    assert ask(service, "a", auth=credentials(service)) == code
    assert {one.path for one in service.asked} == {"/token"}
