"""A source's troubles stay its own: budgets, retries, the breaker at work, the bulkhead, and who looks after a source that is down."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

import pytest

from connectors.contract import FetchRequest, Request, Rows, SourceError
from resolvers.breaker import State, Thresholds
from resolvers.sources import Allowance, Source
from tests.sources.faulty import PEOPLE, Faulty, ask, failing, run, taking, until, within

ONCE = Allowance(retries=0)
QUICK = Thresholds(failures=3, pause=0.05, longest=0.2)


def test_a_lost_connection_is_tried_again() -> None:
    connector = Faulty(failing(times=2))
    source = Source(connector)
    assert run(ask(source)) == "ANSWERED"
    assert (connector.fetches, source.calls.retried) == (3, 2)


def test_it_is_tried_so_many_times_and_no_more() -> None:
    connector = Faulty(failing())
    assert run(ask(Source(connector, allowance=Allowance(retries=2)))) == "SOURCE_UNAVAILABLE"
    assert connector.fetches == 3


@pytest.mark.parametrize(
    "code", ["SOURCE_TIMEOUT", "SOURCE_CHANGED", "SOURCE_REFUSED", "SOURCE_UNSUPPORTED", "SOURCE_VALUE_INVALID"]
)
def test_what_would_not_pass_is_not_tried_again(code: str) -> None:
    connector = Faulty(failing(code))
    assert run(ask(Source(connector))) == code
    assert connector.fetches == 1


def test_nothing_is_tried_again_when_little_time_is_left() -> None:
    connector = Faulty(failing())
    assert run(ask(Source(connector), 0.3)) == "SOURCE_UNAVAILABLE"
    assert connector.fetches == 1


def test_nothing_is_tried_again_once_the_breaker_is_open() -> None:
    connector = Faulty(failing())
    assert run(ask(Source(connector, allowance=Allowance(retries=5), thresholds=QUICK))) == "SOURCE_UNAVAILABLE"
    assert connector.fetches == 3


@pytest.mark.parametrize(("timeout", "left"), [(0.1, 60.0), (60.0, 0.1)], ids=["its own", "the operation's"])
def test_a_slow_source_is_waited_for_as_long_as_both_limits_allow(timeout: float, left: float) -> None:
    with within(0.5):
        assert run(ask(Source(Faulty(taking(30)), timeout), left)) == "SOURCE_TIMEOUT"


def test_without_time_left_the_source_is_not_asked() -> None:
    connector = Faulty()
    assert run(ask(Source(connector), 0.0)) == "SOURCE_TIMEOUT"
    assert connector.fetches == 0


def test_an_open_breaker_refuses_at_once_and_asks_nothing() -> None:
    connector = Faulty(failing())

    async def work() -> list[float]:
        source = Source(connector, allowance=ONCE, thresholds=Thresholds(failures=3))
        assert [await ask(source) for _ in range(3)] == ["SOURCE_UNAVAILABLE"] * 3
        took = []
        for _ in range(200):
            began = time.perf_counter()
            assert await ask(source) == "SOURCE_UNAVAILABLE"
            took.append(time.perf_counter() - began)
        assert source.calls.refused == 200
        await source.close()
        return took

    took = run(work())
    assert connector.fetches == 3
    assert sorted(took)[100] < 0.001


def test_why_a_call_was_not_made_is_told() -> None:
    async def work() -> SourceError:
        source = Source(Faulty(failing()), allowance=ONCE, thresholds=QUICK)
        source.breaker.trip()
        with pytest.raises(SourceError) as raised:
            await source.ask(_request(), time.monotonic() + 1)
        return raised.value

    reason = run(work()).reason
    assert reason
    assert "left alone" in reason.en
    assert "暂停访问" in reason.zh


def _request() -> Request:
    return FetchRequest(PEOPLE, "id", ("1",), ("name",), 0)


def test_timeouts_open_the_breaker_but_not_those_of_who_had_no_time() -> None:
    async def work(left: float) -> State:
        source = Source(Faulty(taking(30)), 0.05, ONCE, QUICK)
        for _ in range(3):
            await ask(source, left)
        await source.close()
        return source.breaker.state

    assert run(work(60.0)) is State.OPEN
    assert run(work(0.01)) is State.CLOSED


def test_a_source_that_answers_badly_is_not_down() -> None:
    async def work(code: str) -> State:
        source = Source(Faulty(failing(code)), allowance=ONCE, thresholds=QUICK)
        for _ in range(10):
            assert await ask(source) == code
        return source.breaker.state

    assert {run(work(code)) for code in ("SOURCE_CHANGED", "SOURCE_REFUSED", "SOURCE_UNSUPPORTED")} == {State.CLOSED}


def test_a_source_that_is_down_is_looked_after_in_the_background_and_comes_back() -> None:
    connector = Faulty(failing())
    connector.answers = False

    async def work() -> None:
        source = Source(connector, allowance=ONCE, thresholds=QUICK)
        for _ in range(3):
            await ask(source)
        await until(lambda: connector.looks >= 3)
        assert connector.fetches == 3, "nobody who asks pays for a look"
        assert source.answers is False
        connector.answers, connector.behaviour = True, None
        await until(lambda: source.breaker.state is State.HALF_OPEN)
        assert await ask(source) == "ANSWERED"
        assert source.breaker.state is State.CLOSED
        looks = connector.looks
        await asyncio.sleep(0.3)
        assert connector.looks == looks, "who answers is not looked after"

    run(work())


def test_half_open_lets_one_of_many_through() -> None:
    connector = Faulty(failing())

    async def work() -> list[str]:
        source = Source(connector, allowance=ONCE, thresholds=QUICK)
        for _ in range(3):
            await ask(source)
        connector.behaviour = taking(0.05)
        await until(lambda: source.breaker.state is State.HALF_OPEN)
        return await asyncio.gather(*(ask(source) for _ in range(10)))

    assert sorted(run(work())) == ["ANSWERED", *["SOURCE_UNAVAILABLE"] * 9]
    assert connector.fetches == 4


def test_a_trial_that_is_cancelled_leaves_the_next_one_to_try() -> None:
    connector = Faulty(failing())

    async def work() -> None:
        source = Source(connector, allowance=ONCE, thresholds=QUICK)
        for _ in range(3):
            await ask(source)
        connector.behaviour = taking(30)
        await until(lambda: source.breaker.state is State.HALF_OPEN)
        trial = asyncio.ensure_future(ask(source))
        await until(lambda: connector.fetches == 4)
        trial.cancel()
        await asyncio.wait((trial,))
        connector.behaviour = None
        assert await ask(source) == "ANSWERED"

    run(work())


def test_no_more_calls_are_under_way_than_agreed() -> None:
    connector = Faulty(taking(0.02))

    async def work() -> list[str]:
        source = Source(connector, allowance=Allowance(calls=3, queue=100))
        return await asyncio.gather(*(ask(source) for _ in range(30)))

    assert run(work()) == ["ANSWERED"] * 30
    assert (connector.most, connector.under_way) == (3, 0)


def test_more_than_may_wait_are_refused_at_once() -> None:
    async def work() -> list[str]:
        source = Source(Faulty(taking(0.1)), allowance=Allowance(calls=2, queue=3))
        with within(0.5):
            return await asyncio.gather(*(ask(source) for _ in range(20)))

    assert sorted(run(work())) == ["ANSWERED"] * 5 + ["SOURCE_UNAVAILABLE"] * 15


def test_who_waits_gives_up_in_time_and_gives_its_place_to_nobody_twice() -> None:
    connector = Faulty(taking(0.2))

    async def work() -> None:
        source = Source(connector, allowance=Allowance(calls=1, queue=10))
        slow = asyncio.ensure_future(ask(source))
        await asyncio.sleep(0)
        assert await asyncio.gather(*(ask(source, 0.05) for _ in range(5))) == ["SOURCE_UNAVAILABLE"] * 5
        assert await slow == "ANSWERED"
        connector.behaviour = None
        assert await asyncio.gather(*(ask(source) for _ in range(10))) == ["ANSWERED"] * 10

    run(work())
    assert connector.most == 1


class Broken(Faulty):
    """A source whose own code is at fault."""

    async def fetch(self, request: Request) -> Rows:
        raise ZeroDivisionError


class Deaf(Faulty):
    """A source that does not let itself be cancelled."""

    async def fetch(self, request: Request) -> Rows:
        end = time.monotonic() + 0.6
        while time.monotonic() < end:
            try:
                await asyncio.sleep(0.6)
            except asyncio.CancelledError:
                continue
        return await super().fetch(request)


def test_a_broken_connector_is_an_unavailable_source() -> None:
    assert run(ask(Source(Broken()))) == "SOURCE_UNAVAILABLE"


@pytest.mark.parametrize("behaviour", [failing(), failing("SOURCE_TIMEOUT"), taking(30)])
def test_no_place_is_lost_to_failures(behaviour: Callable[[], Awaitable[None]]) -> None:
    connector = Faulty(behaviour)

    async def work() -> list[str]:
        source = Source(connector, 0.02, Allowance(calls=2, retries=0), Thresholds(failures=1000, calls=1000))
        for _ in range(5):
            await ask(source)
        connector.behaviour = None
        return await asyncio.gather(*(ask(source) for _ in range(10)))

    assert run(work()) == ["ANSWERED"] * 10


def test_begin_never_raises_nor_waits_for_a_source_that_hangs() -> None:
    class Hanging(Faulty):
        async def open(self) -> None:
            await asyncio.sleep(60)

    async def work() -> None:
        source = Source(Hanging(), 0.1, ONCE, QUICK)
        with within(0.05):
            opening = source.begin()
        with within(0.5):
            assert await ask(source) in ("SOURCE_TIMEOUT", "SOURCE_UNAVAILABLE")
            await opening
            assert source.breaker.state is State.OPEN
            assert await ask(source) == "SOURCE_UNAVAILABLE"
        await source.close()

    run(work())


def test_a_source_that_could_not_be_opened_is_opened_when_it_is_there() -> None:
    class Late(Faulty):
        opened = 0

        async def open(self) -> None:
            self.opened += 1
            if self.opened < 3:
                raise OSError

    async def work() -> None:
        connector = Late()
        source = Source(connector, thresholds=QUICK)
        await source.begin()
        assert source.breaker.state is State.OPEN
        await until(lambda: source.breaker.state is State.HALF_OPEN)
        assert await ask(source) == "ANSWERED"
        assert connector.opened == 3

    run(work())


def test_columns_that_the_source_lacks_are_known_once_it_is_there() -> None:
    async def work() -> None:
        connector = Faulty()
        source = Source(connector, thresholds=QUICK, resources=(PEOPLE,))
        connector.answers = False
        await source.begin()
        assert source.lacks == {}
        connector.answers = True
        await until(lambda: source.lacks == {"People": ("ID", "NAME")})

    run(work())


def test_what_became_of_the_calls_is_counted() -> None:
    async def work() -> None:
        connector = Faulty(failing("SOURCE_CHANGED", 2))
        source = Source(connector)
        for _ in range(5):
            await ask(source)
        assert dict(source.calls.by_code) == {"SOURCE_CHANGED": 2, "ANSWERED": 3}
        assert sum(source.calls.buckets) == 5
        latency = source.calls.latency(time.monotonic())
        assert latency
        assert 0 < latency.p50 <= latency.p95 <= latency.p99
        assert source.calls.latency(time.monotonic() + 301) is None
        assert {name: seen.year for name, seen in source.calls.updated.items()} == {"People": 2026}

    run(work())
