"""How often one may ask: refused requests cost no body, no frame and no memory, and others are not held up by them."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.identity import Identity, Role
from resolvers.rates import Buckets, Limiter, Rate, Rates
from schema.errors import RequestError
from tests.service import Service, codes, running

QUESTION = {"query": "{__typename}"}


class Clock:
    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def who(subject: str = "wang", client: str = "desk") -> Identity:
    return Identity(subject, "housing", Role.CLERK, "421200", client, 9e9)


def admitted(limiter: Limiter, identity: Identity, times: int) -> int:
    """How many of so many requests at once were let in."""
    count = 0
    for _ in range(times):
        with suppress(RequestError):
            limiter.admit(identity)
            count += 1
    return count


def test_burst_is_let_in_and_then_the_rate(clock: Clock) -> None:
    limiter = Limiter(Rates(Rate(10, 5), Rate(1_000, 1_000)), clock)
    assert admitted(limiter, who(), 20) == 5
    clock.now += 0.3
    assert admitted(limiter, who(), 20) == 3
    clock.now += 3_600
    assert admitted(limiter, who(), 20) == 5


def test_persons_do_not_hold_each_other_up(clock: Clock) -> None:
    limiter = Limiter(Rates(Rate(1, 3), Rate(1_000, 1_000)), clock)
    assert admitted(limiter, who("wang"), 9) == 3
    assert admitted(limiter, who("li"), 9) == 3


def test_one_client_s_many_persons_are_bounded_together(clock: Clock) -> None:
    limiter = Limiter(Rates(Rate(1_000, 1_000), Rate(1, 5)), clock)
    assert sum(admitted(limiter, who(str(number)), 1) for number in range(20)) == 5
    assert admitted(limiter, who("0", client="window"), 1) == 1


def test_person_refused_takes_nothing_from_the_client(clock: Clock) -> None:
    limiter = Limiter(Rates(Rate(1, 1), Rate(1, 2)), clock)
    assert admitted(limiter, who("wang"), 50) == 1
    assert admitted(limiter, who("li"), 50) == 1


def test_refusal_tells_how_long_to_wait(clock: Clock) -> None:
    limiter = Limiter(Rates(Rate(0.1, 1), Rate(1_000, 1_000)), clock)
    limiter.admit(who())
    with pytest.raises(RequestError) as refused:
        limiter.admit(who())
    assert refused.value.faults[0].extra == {"retryAfter": 10}
    clock.now += 10
    limiter.admit(who())


@given(st.floats(0.1, 1_000), st.integers(1, 100), st.lists(st.floats(0, 10), max_size=200))
def test_never_more_than_burst_and_rate_allow(rate: float, burst: int, pauses: list[float]) -> None:
    buckets, now, taken = Buckets(Rate(rate, burst)), 0.0, 0
    for pause in pauses:
        now += pause
        if not buckets.wait("one", now):
            buckets.take("one", now)
            taken += 1
        assert taken <= burst + rate * now + 0.01


def test_buckets_are_bounded_and_the_busiest_are_kept() -> None:
    buckets = Buckets(Rate(1, 1), most=100)
    for number in range(10_000):
        buckets.take(f"stranger {number}", 0.0)
        buckets.take("busy", 0.0)
    assert len(buckets) == 100
    assert buckets.wait("busy", 0.0) > 0


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("192.0.2.1", "192.0.2.2", False),
        ("2001:db8::1", "2001:db8::2", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("::ffff:192.0.2.1", "192.0.2.1", True),
        ("::ffff:192.0.2.1", "::ffff:192.0.2.2", False),
        ("fe80::1%eth0", "fe80::1", True),
        ("no address", "", True),
    ],
)
def test_address_is_that_of_its_holder(clock: Clock, one: str, other: str, same: bool) -> None:
    limiter = Limiter(Rates(address=Rate(1, 1)), clock)
    limiter.note_stranger(one)
    if same:
        with pytest.raises(RequestError):
            limiter.admit_stranger(other)
    else:
        limiter.admit_stranger(other)


def test_what_needs_no_token_is_counted_by_address_and_apart_from_bad_tokens(clock: Clock) -> None:
    limiter = Limiter(Rates(address=Rate(1, 3)), clock)
    for _ in range(3):
        limiter.admit_visit("192.0.2.1")
    with pytest.raises(RequestError):
        limiter.admit_visit("192.0.2.1")
    limiter.admit_visit("192.0.2.2")
    limiter.admit_stranger("192.0.2.1")
    clock.now += 1
    limiter.admit_visit("192.0.2.1")


def test_refusals_are_logged_as_a_count(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    limiter = Limiter(Rates(Rate(0.001, 1), Rate(1_000, 1_000)), clock)
    admitted(limiter, who(), 501)
    clock.now += 10
    admitted(limiter, who(), 1)
    told = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert told == ["refused by rate: 1 requests", "refused by rate: 500 requests"]


# -- at the endpoint


@pytest.fixture(scope="module")
def slow(city: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service where a person may ask five times, a network address may be wrong three times, and waiting takes for ever."""
    changed = {"subject": "0.01", "subject_burst": "5", "address": "0.01", "address_burst": "3"}
    with running(tmp_path_factory.mktemp("slow"), city, changed=changed) as started:
        yield started


def test_too_many_requests_are_429_with_a_time_to_wait_and_no_frame(slow: Service) -> None:
    answers = [slow.post(QUESTION, subject="eager") for _ in range(5)]
    assert {answer.status_code for answer in answers} == {200}
    before = len(slow.frames())
    refused = slow.post(QUESTION, subject="eager")
    assert refused.status_code == 429
    assert codes(refused.json()) == ["RATE_LIMITED"]
    assert "data" not in refused.json()
    assert 1 <= int(refused.headers["retry-after"]) <= 100
    assert refused.json()["errors"][0]["extensions"]["retryAfter"] == int(refused.headers["retry-after"])
    assert len(slow.frames()) == before
    assert slow.post(QUESTION, subject="patient").status_code == 200


def test_two_tokens_of_one_person_are_one_person(slow: Service) -> None:
    spent = [slow.post(QUESTION, subject="zhao", hours=1 + number / 10).status_code for number in range(5)]
    other_role = slow.post(QUESTION, subject="zhao", role="officer").status_code
    assert [*spent, other_role] == [200] * 5 + [429]


def test_body_of_a_refused_request_is_not_read(slow: Service) -> None:
    for _ in range(6):
        last: Any = slow.post(QUESTION, subject="sender")
    assert last.status_code == 429
    for body in (b"{", b"[]", b"x" * 2_000_000):
        headers = {"Authorization": f"Bearer {slow.token(subject='sender')}", "Content-Type": "application/json"}
        assert slow.client.post("/graphql", content=body, headers=headers).status_code == 429


def test_flood_of_bad_tokens_is_bounded_and_holds_up_nobody_who_is_known(slow: Service) -> None:
    known = slow.token(subject="known")

    def ask(token: str) -> Any:
        return slow.client.post("/graphql", json=QUESTION, headers={"Authorization": f"Bearer {token}"})

    assert ask(known).status_code == 200
    assert [ask(f"x.y.{number}").status_code for number in range(6)] == [401, 401, 401, 429, 429, 429]
    flood = ask("x.y.z")
    assert codes(flood.json()) == ["RATE_LIMITED"]
    assert "retry-after" in flood.headers
    assert ask(known).status_code == 200


def test_checkpoints_are_handed_out_as_often_as_an_address_may_ask(slow: Service) -> None:
    answers = [slow.client.get("/ledger/checkpoint") for _ in range(5)]
    assert [one.status_code for one in answers] == [*[answers[0].status_code] * 3, 429, 429]
    assert answers[0].status_code != 429
    assert answers[3].json()["errors"][0]["extensions"]["retryAfter"] > 1
