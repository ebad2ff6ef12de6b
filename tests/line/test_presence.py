"""Who signs in, and who goes away before the answer, is on record."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import orjson
import pytest

from audit.ledger import Ledger
from connectors.contract import Request, Rows
from connectors.memory import MemoryConnector
from policies.identity import Identity, Role
from resolvers.line import Request as LineRequest
from tests.line.desk import Desk, sqlite_source
from tests.service import Service, codes, use

ASKED = "query($id: CitizenIdNumber!, $use: UseInput!) { person(idNumber: $id, use: $use) { housingFund { accountStatus } } }"
CLERK = Identity("clerk-01", "housing", Role.CLERK, "421200", "demo", 4e9)


class Slow(MemoryConnector):
    """The housing fund's own source, but it takes its time; `ended` says how each question to it ended."""

    def __init__(self, desk: Desk, seconds: float) -> None:
        super().__init__({})
        self.seconds = seconds
        self.ended: list[str] = []
        self.begun = 0
        self.inner = sqlite_source(desk.database("housing-fund"))

    async def fetch(self, request: Request) -> Rows:
        self.begun += 1
        try:
            await asyncio.sleep(self.seconds)
        except asyncio.CancelledError:
            self.ended.append("cancelled")
            raise
        self.ended.append("answered")
        return await self.inner.fetch(request)


@pytest.fixture
def slow(desk: Desk) -> Iterator[Slow]:
    connector = Slow(desk, 0.6)
    with desk.replaced(connector, "housing-fund"):
        yield connector


async def _post(desk: Desk, stays: float) -> dict[str, Any] | None:
    """The answer's body to a client who goes away after so many seconds; None if there was nobody to answer."""
    content = orjson.dumps({"query": ASKED, "variables": {"id": desk.applicant, "use": use(desk.case)}})
    sent: list[Any] = []
    given = [{"type": "http.request", "body": content, "more_body": False}]

    async def receive() -> Any:
        if given:
            return given.pop()
        await asyncio.sleep(stays)
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)

    headers = [
        (b"content-type", b"application/json"),
        (b"host", b"testserver"),
        (b"authorization", f"Bearer {desk.service.token()}".encode()),
    ]
    scope = {"type": "http", "method": "POST", "path": "/graphql", "headers": headers, "query_string": b"",
             "client": ("127.0.0.1", 1), "http_version": "1.1", "scheme": "http", "server": ("testserver", 80)}  # fmt: skip
    await desk.service.client.app(scope, receive, send)
    return dict(orjson.loads(sent[1]["body"]))


def outcomes(desk: Desk, after: int) -> list[str]:
    return [frame["outcome"] for frame in desk.service.frames()[after:]]


# -- going away ----------------------------------------------------------------------------------------------------


def test_a_client_who_goes_away_ends_the_operation_and_that_is_on_record(desk: Desk, slow: Slow) -> None:
    before = len(desk.service.frames())
    begun = time.monotonic()
    body = desk.run(_post, desk, 0.2)
    assert time.monotonic() - begun < 0.5
    assert body
    assert codes(body) == ["CANCELLED"]
    assert "data" not in body
    (frame,) = desk.service.frames()[before:]
    assert frame["outcome"] == "cancelled"
    assert frame["document"]
    assert frame["operation"] == body["extensions"]["operationId"]


def test_a_client_who_stays_has_an_answer_however_long_it_takes(desk: Desk, slow: Slow) -> None:
    before = len(desk.service.frames())
    body = desk.run(_post, desk, 5)
    assert body
    assert body["data"]["person"]["housingFund"]["accountStatus"]
    assert outcomes(desk, before) == ["answered"]


def test_one_who_goes_away_takes_the_answer_from_nobody_else(desk: Desk, slow: Slow) -> None:
    before = len(desk.service.frames())

    async def together() -> list[Any]:
        return list(await asyncio.gather(*(_post(desk, stays) for stays in (5, 0.2, 5, 0.3, 5))))

    bodies = desk.run(together)
    answered = [bool(body.get("data")) for body in bodies]
    assert answered == [True, False, True, False, True]
    assert Counter(outcomes(desk, before)) == {"answered": 3, "cancelled": 2}
    assert slow.begun == 1


def test_an_operation_that_is_cut_off_by_the_service_is_on_record(desk: Desk, slow: Slow) -> None:
    before = len(desk.service.frames())
    request = LineRequest(ASKED, {"id": desk.applicant, "use": use(desk.case)}, None)

    async def cut_off() -> None:
        async with asyncio.timeout(0.2):
            await desk.service.rooms.line.answer(request, CLERK)

    with pytest.raises(TimeoutError):
        desk.run(cut_off)
    assert outcomes(desk, before) == ["cancelled"]


def test_an_operation_is_on_record_once_whenever_it_is_cut_off(desk: Desk) -> None:
    """At every moment, also while its frame is being written."""
    before = len(desk.service.frames())
    request = LineRequest(ASKED, {"id": desk.applicant, "use": use(desk.case)}, None)

    async def cut_off() -> int:
        done = 0
        for number in range(150):
            try:
                async with asyncio.timeout(number * 0.000_1):
                    await desk.service.rooms.line.answer(request, CLERK)
                    done += 1
            except TimeoutError:
                pass
        await asyncio.sleep(0.2)
        return done

    done = desk.run(cut_off)
    frames = desk.service.frames()[before:]
    ids = Counter(frame["operation"] for frame in frames)
    assert max(ids.values()) == 1
    found = Counter(frame["outcome"] for frame in frames)
    assert found["answered"] >= done
    assert found["cancelled"] > 0
    assert found.keys() == {"answered", "cancelled"}


# -- signing in ----------------------------------------------------------------------------------------------------


def sign_ins(service: Service) -> list[tuple[str, str]]:
    return [(one["subject"], one["role"]) for one in service.all_frames() if one["outcome"] == "signed-in"]


def test_the_first_use_of_a_token_is_on_record_before_anything_is_answered(desk: Desk) -> None:
    service = desk.service
    before = len(sign_ins(service))
    headers = {"Authorization": f"Bearer {service.token('auditor', 'data-bureau', 'auditor-77')}"}
    for _ in range(3):
        assert service.client.post("/graphql", json={"query": "{ __typename }"}, headers=headers).status_code == 200
    assert sign_ins(service)[before:] == [("auditor-77", "auditor")]
    other = {"Authorization": f"Bearer {service.token('clerk', subject='clerk-78')}"}
    service.client.post("/graphql", content=b"no GraphQL at all", headers=other)
    assert sign_ins(service)[before:] == [("auditor-77", "auditor"), ("clerk-78", "clerk")]


def test_who_has_no_valid_token_has_not_signed_in(desk: Desk) -> None:
    before = len(desk.service.all_frames())
    refused = desk.service.client.post(
        "/graphql", json={"query": "{ __typename }"}, headers={"Authorization": "Bearer x"}
    )
    assert refused.status_code == 401
    assert len(desk.service.all_frames()) == before


def test_nobody_signs_in_while_the_ledger_cannot_be_written(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    service = desk.service
    headers = {"Authorization": f"Bearer {service.token(subject='clerk-79')}"}

    def broken(*_: object) -> None:
        raise OSError

    with monkeypatch.context() as patch:
        patch.setattr(Ledger, "_write", broken)
        for _ in range(2):
            answer = service.client.post("/graphql", json={"query": "{ __typename }"}, headers=headers)
            assert (answer.status_code, codes(answer.json())) == (503, ["LEDGER_UNAVAILABLE"])
    assert service.client.post("/graphql", json={"query": "{ __typename }"}, headers=headers).status_code == 200
    assert sign_ins(service)[-1] == ("clerk-79", "clerk")
