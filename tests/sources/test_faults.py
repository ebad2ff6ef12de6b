"""Sources on real servers that are silent, reset, refuse, are killed and come back; budgets over relations; faults at random."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from random import Random
from typing import Any

import pytest

from connectors.contract import Capability, Connector, Request, Rows, SourceError
from connectors.sql import SqlConnector
from resolvers.breaker import State, Thresholds
from resolvers.fetch import Loads
from resolvers.operation import Limits
from resolvers.sources import Allowance, Source
from schema.catalogue import Resource
from tests.connectors.kinds import write_table
from tests.line.desk import Desk
from tests.line.naive import OFTEN
from tests.line.questions import Questions, printed
from tests.servers import cluster
from tests.service import codes, paths, use
from tests.sources.faulty import until
from tests.sources.servers import free_port, listener

QUICK = Thresholds(failures=3, pause=0.05, longest=0.2)
ASKED = (
    "housingFund { accountStatus } householdRegistration { name } representedOrganizations { unifiedSocialCreditCode }"
)


@contextmanager
def instead(desk: Desk, sources: dict[str, Source]) -> Iterator[None]:
    """While it lasts, these sources stand for their departments."""
    line = desk.service.rooms.line
    before = line._loads
    line._loads = Loads({**before.sources, **sources})
    try:
        yield
    finally:
        line._loads = before
        for source in sources.values():
            for task in source._working.values():
                desk.service.client.portal.call(task.cancel)  # type: ignore[union-attr]


def ask(desk: Desk, selection: str = ASKED) -> tuple[dict[str, Any], float]:
    began = time.perf_counter()
    body = desk.service.person(selection, desk.applicant, desk.case)
    return body, time.perf_counter() - began


def postgres(port: int) -> SqlConnector:
    return SqlConnector(f"postgresql+psycopg://nobody@127.0.0.1:{port}/none?connect_timeout=2")


def only_the_fund_is_lost(body: dict[str, Any], *expected: str) -> None:
    person = body["data"]["person"]
    assert person["housingFund"] is None
    assert person["householdRegistration"]["name"]
    assert person["representedOrganizations"]
    assert paths(body) == ["person.housingFund"]
    assert codes(body)[0] in expected
    told = json.dumps(body)
    assert "127.0.0.1" not in told
    assert "SELECT" not in told


def test_a_server_that_never_answers_costs_its_own_fields_and_its_timeout(desk: Desk) -> None:
    with listener(resets=False) as port, instead(desk, {"housing-fund": Source(postgres(port), 0.3, thresholds=QUICK)}):
        body, seconds = ask(desk)
        only_the_fund_is_lost(body, "SOURCE_TIMEOUT")
        assert seconds < 1.2


def test_once_left_alone_a_silent_server_costs_no_time(desk: Desk) -> None:
    source = Source(postgres(0), 0.1, Allowance(retries=0), Thresholds(failures=3))
    with listener(resets=False) as port, instead(desk, {"housing-fund": source}):
        source.connector = postgres(port)
        for _ in range(3):
            only_the_fund_is_lost(ask(desk)[0], "SOURCE_TIMEOUT")
        assert source.breaker.state is State.OPEN
        for _ in range(5):
            body, seconds = ask(desk)
            only_the_fund_is_lost(body, "SOURCE_UNAVAILABLE")
            assert seconds < 0.09, "it does not wait for the source"


@pytest.mark.parametrize("resets", [True, None], ids=["resets", "refuses"])
def test_a_server_that_lets_nobody_in_costs_its_own_fields(desk: Desk, resets: bool | None) -> None:
    @contextmanager
    def served() -> Iterator[int]:
        if resets:
            with listener(resets=True) as port:
                yield port
        else:
            yield free_port()

    with served() as port, instead(desk, {"housing-fund": Source(postgres(port), thresholds=QUICK)}):
        body, seconds = ask(desk)
        only_the_fund_is_lost(body, "SOURCE_UNAVAILABLE")
        assert seconds < 1.5


def test_a_killed_server_is_left_alone_and_found_again_when_it_is_back(desk: Desk) -> None:
    with cluster() as server:
        write_table(server.url, desk.service.catalogue.resources["HousingFund"], [])
        source = Source(SqlConnector(server.url), 1.0, Allowance(retries=1), QUICK)
        with instead(desk, {"housing-fund": source}):
            body, _ = ask(desk)
            assert "errors" not in body
            with server.connect() as connection:
                connection.execute("CHECKPOINT")  # the table was written without waiting for the disk
            server.kill()
            for _ in range(3):
                body, _ = ask(desk)
                only_the_fund_is_lost(body, "SOURCE_UNAVAILABLE", "SOURCE_TIMEOUT")
            desk.run(until, lambda: source.answers is False)
            body, seconds = ask(desk)
            only_the_fund_is_lost(body, "SOURCE_UNAVAILABLE")
            assert seconds < 0.5
            server.start()
            desk.run(until, lambda: source.breaker.state is State.HALF_OPEN)
            body, _ = ask(desk)
            assert "errors" not in body
            assert source.breaker.state is State.CLOSED


@dataclass
class Passing:
    """A connector that passes on what another answers."""

    inner: Connector

    async def open(self) -> None:
        await self.inner.open()

    async def close(self) -> None:
        await self.inner.close()

    async def health(self) -> bool:
        return await self.inner.health()

    def capabilities(self) -> frozenset[Capability]:
        return self.inner.capabilities()

    async def check(self, resource: Resource) -> tuple[str, ...]:
        return await self.inner.check(resource)

    async def fetch(self, request: Request) -> Rows:
        return await self.inner.fetch(request)

    def explain(self, request: Request) -> str:
        return self.inner.explain(request)


@dataclass
class Slow(Passing):
    """One that takes its time, and notes how much it was given."""

    seconds: float
    given: list[float]

    async def fetch(self, request: Request) -> Rows:
        self.given.append(request.timeout)
        await asyncio.sleep(self.seconds)
        return await self.inner.fetch(request)


@contextmanager
def budget(desk: Desk, seconds: float) -> Iterator[None]:
    """While it lasts, departments are waited for so long, all steps together."""
    line = desk.service.rooms.line
    before = line._limits
    line._limits = Limits(seconds=seconds)
    try:
        yield
    finally:
        line._limits = before


CHAINED = "representedOrganizations { enterpriseRegistration { enterpriseName } } householdRegistration { name }"


def slow(desk: Desk, department: str, seconds: float, timeout: float) -> tuple[dict[str, Source], list[float]]:
    given: list[float] = []
    inner = desk.service.rooms.line.sources[department].connector
    return {department: Source(Slow(inner, seconds, given), timeout, Allowance(retries=0))}, given


def test_the_other_side_of_a_relation_gets_what_is_left(desk: Desk) -> None:
    sources, given = slow(desk, "market-supervision", 0.15, 2.0)
    with instead(desk, sources), budget(desk, 1.0):
        body, _ = ask(desk, CHAINED)
    assert "errors" not in body
    first, second = given
    assert 0.7 < first <= 1.0
    assert second <= first - 0.15


def test_a_source_never_gets_more_than_its_own_timeout(desk: Desk) -> None:
    sources, given = slow(desk, "market-supervision", 0.02, 0.4)
    with instead(desk, sources), budget(desk, 10.0):
        ask(desk, CHAINED)
    assert len(given) == 2
    assert all(0.3 < one <= 0.4 for one in given)


def test_when_nothing_is_left_the_node_times_out_and_the_rest_answers(desk: Desk) -> None:
    sources, given = slow(desk, "market-supervision", 0.3, 2.0)
    with instead(desk, sources), budget(desk, 0.5):
        body, seconds = ask(desk, CHAINED)
    assert body["data"]["person"]["householdRegistration"]["name"]
    assert body["data"]["person"]["representedOrganizations"] == [{"enterpriseRegistration": None}]
    assert (codes(body), paths(body)) == (
        ["SOURCE_TIMEOUT"],
        ["person.representedOrganizations.enterpriseRegistration"],
    )
    assert seconds < 0.9
    assert len(given) == 2


def test_sources_that_do_not_let_themselves_be_cancelled_are_waited_for_side_by_side(desk: Desk) -> None:
    class Deaf(Passing):
        async def fetch(self, request: Request) -> Rows:
            end = time.monotonic() + 1.2
            while (left := end - time.monotonic()) > 0:
                try:
                    await asyncio.sleep(left)
                except asyncio.CancelledError:
                    continue
            return await self.inner.fetch(request)

    before = desk.service.rooms.line.sources
    deaf = ("housing-fund", "public-security", "market-supervision", "civil-affairs")
    with instead(desk, {name: Source(Deaf(before[name].connector), 0.2) for name in deaf}):
        body, seconds = ask(
            desk, f"{ASKED} marriageRegistrations {{ maritalStatus }} electronicCertificates {{ status }}"
        )
    assert codes(body) == ["SOURCE_TIMEOUT"] * 4
    assert body["data"]["person"]["electronicCertificates"]
    assert seconds < 0.8, "not four times 0.3 seconds"


def test_a_slow_source_s_queue_does_not_slow_the_others(desk: Desk) -> None:
    sources, _ = slow(desk, "housing-fund", 0.2, 0.3)
    sources["housing-fund"].allowance = Allowance(calls=1, queue=2, retries=0)
    sources["housing-fund"]._places = asyncio.Semaphore(1)

    async def crowd() -> list[float]:
        took = []

        async def one() -> None:
            loads, began = desk.service.rooms.line._loads, time.perf_counter()
            resource = desk.service.catalogue.resources["HouseholdRegistration"]
            load = loads.begin(resource, "idNumber", ("name",), (), [desk.applicant], time.monotonic() + 5)
            await asyncio.gather(*load)
            took.append(time.perf_counter() - began)

        resource = desk.service.catalogue.resources["HousingFund"]
        blocked = [
            desk.service.rooms.line._loads.begin(
                resource, "idNumber", columns, (), [desk.applicant], time.monotonic() + 5
            )
            for columns in (
                ("name",),
                ("accountStatus",),
                ("employerName",),
                ("registeredOn",),
                ("name", "employerName"),
            )
        ]
        await asyncio.gather(*(one() for _ in range(20)))
        ends = await asyncio.gather(*(load[0] for load in blocked), return_exceptions=True)
        refused = [one for one in ends if isinstance(one, SourceError)]
        assert len(refused) >= 2
        return took

    with instead(desk, sources):
        assert max(desk.run(crowd)) < 0.15


class Chaos(Passing):
    """A source with one fault: for good, for the first calls only, or none."""

    def __init__(self, inner: Connector, fault: str) -> None:
        super().__init__(inner)
        self.fault = fault
        self.calls = self.brought = 0

    async def fetch(self, request: Request) -> Rows:
        self.calls += 1
        if self.fault == "once" and self.calls == 1:
            raise SourceError("SOURCE_UNAVAILABLE")
        if self.fault == "slow":
            await asyncio.sleep(0.01)
        if self.fault == "hangs":
            await asyncio.sleep(60)
        if self.fault == "broken":
            raise RuntimeError("张三 SELECT 127.0.0.1")
        if self.fault.startswith("SOURCE_"):
            raise SourceError(self.fault)
        self.brought += 1
        return await self.inner.fetch(request)


HARMLESS = ("once", "slow")
FAULTS = (*HARMLESS, "hangs", "broken", "SOURCE_UNAVAILABLE", "SOURCE_CHANGED", "SOURCE_REFUSED")


def differences(sound: Any, harmed: Any, lost: set[str], path: str = "") -> Iterator[str]:
    """Where a harmed answer is not the sound one with null at the lost places."""
    if path in lost:
        if harmed is not None:
            yield path
    elif isinstance(sound, dict) and isinstance(harmed, dict) and list(sound) == list(harmed):
        for key, value in sound.items():
            yield from differences(value, harmed[key], lost, f"{path}.{key}" if path else key)
    elif isinstance(sound, list) and isinstance(harmed, list) and len(sound) == len(harmed):
        for one, other in zip(sound, harmed, strict=True):
            yield from differences(one, other, lost, path)
    elif sound != harmed:
        yield path


def failures(body: dict[str, Any]) -> list[dict[str, Any]]:
    return [one for one in body.get("errors", ()) if one["extensions"]["code"].startswith("SOURCE_")]


def harmed(desk: Desk, rng: Random) -> tuple[dict[str, Source], set[str]]:
    """Sources with faults at random, and the departments whose faults show."""
    sources, before = {}, desk.service.rooms.line.sources
    for name in rng.sample(sorted(before), k=rng.randint(1, 4)):
        fault = rng.choice(FAULTS)
        # retries leave half a second in reserve; a source that hangs is given less, for the test's own sake
        timeout = 0.05 if fault == "hangs" else 2.0
        sources[name] = Source(Chaos(before[name].connector, fault), timeout, Allowance(retries=1))
    return sources, {
        n for n, s in sources.items() if isinstance(s.connector, Chaos) and s.connector.fault not in HARMLESS
    }


@pytest.mark.parametrize("seed", range(40))
def test_an_answer_under_faults_is_the_sound_one_but_for_the_faulty_sources(desk: Desk, seed: int) -> None:
    rng = Random(seed)
    ids = json.dumps([desk.applicant, desk.names["spouse"], desk.names["child"]])
    roots = Questions(desk.service.catalogue, rng, OFTEN).roots("Person", {"many": f"(idNumbers: {ids}, use: $use)"})
    document, variables = printed(roots, "$use: UseInput!"), {"use": use(desk.case), "yes": True, "no": False}
    sound = desk.service.ask(document, variables)
    sources, down = harmed(desk, rng)
    with instead(desk, sources):
        body = desk.service.ask(document, variables)
    departments = {name: one.department for name, one in desk.service.catalogue.resources.items()}
    assert failures(sound) == []
    assert {departments[one["extensions"]["resource"]] for one in failures(body)} <= down, document
    lost = {".".join(map(str, one["path"])) for one in failures(body)}
    assert list(differences(sound["data"], body["data"], lost)) == [], document
    brought = {name for name, one in sources.items() if isinstance(one.connector, Chaos) and one.connector.brought}
    assert not brought & down, "who is down brings nothing"
    assert [
        one for one in body.get("errors", ()) if one not in failures(body) and one not in sound.get("errors", ())
    ] == []
    called = {n for n, s in sources.items() if n in down and isinstance(s.connector, Chaos) and s.connector.calls}
    assert called <= {departments[one["extensions"]["resource"]] for one in failures(body)}, "no fault is passed over"
    assert "张三" not in json.dumps(failures(body), ensure_ascii=False)


def test_the_faults_at_random_do_harm(desk: Desk) -> None:
    seen: Sequence[str] = [fault for seed in range(40) for fault in _faults(desk, seed)]
    assert set(seen) == set(FAULTS)


def _faults(desk: Desk, seed: int) -> list[str]:
    sources, _ = harmed(desk, Random(seed + 1000))
    return [one.connector.fault for one in sources.values() if isinstance(one.connector, Chaos)]
