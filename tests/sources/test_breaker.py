"""The circuit breaker against a naive model that keeps every call it ever heard of, and each of its rules by itself."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resolvers.breaker import Breaker, State, Thresholds

THRESHOLDS = Thresholds(failures=3, calls=6, percent=50, window=10.0, pause=1.0, longest=8.0)


@dataclass
class Model:
    """What a breaker must say, told from the calls since the last change of state."""

    thresholds: Thresholds
    state: State = State.CLOSED
    calls: list[tuple[float, bool]] = field(default_factory=list)
    admitted: list[int] = field(default_factory=list)
    """For each call under way, the change of state after which it began."""
    changes: int = 0

    def admit(self) -> bool:
        if self.state is State.OPEN:
            return False
        if self.state is State.HALF_OPEN and self.changes in self.admitted:
            return False
        self.admitted.append(self.changes)
        return True

    def note(self, place: int, now: float, failed: bool | None) -> None:
        if self.admitted.pop(place) != self.changes or failed is None:
            return
        if self.state is State.HALF_OPEN:
            self.become(State.OPEN if failed else State.CLOSED)
            return
        self.calls.append((now, failed))
        if self.state is State.CLOSED and failed and (self.in_row() or self.too_many(now)):
            self.become(State.OPEN)

    def in_row(self) -> bool:
        last = [failed for _, failed in self.calls[-self.thresholds.failures :]]
        return len(last) == self.thresholds.failures and all(last)

    def too_many(self, now: float) -> bool:
        last = self.calls[-self.thresholds.calls :]
        young = [failed for at, failed in last if now - at < self.thresholds.window]
        return len(young) == self.thresholds.calls and sum(young) / len(young) > self.thresholds.percent / 100

    def become(self, state: State) -> None:
        self.state, self.calls, self.changes = state, [], self.changes + 1


STEPS = st.lists(
    st.one_of(
        st.just(("admit",)),
        st.tuples(st.just("end"), st.integers(0, 5), st.sampled_from([True, True, False, None])),
        st.tuples(st.just("wait"), st.floats(0, 6)),
        st.just(("trip",)),
        st.just(("reached",)),
    ),
    max_size=80,
)
SOME = st.builds(
    Thresholds,
    failures=st.integers(1, 8),
    calls=st.integers(2, 8),
    percent=st.sampled_from([1, 33, 50, 99, 100]),
    window=st.sampled_from([1.0, 5.0, 100.0]),
)


@given(SOME, STEPS)
def test_breaker_lets_through_what_the_model_lets_through(
    thresholds: Thresholds, steps: list[tuple[object, ...]]
) -> None:
    breaker, model, turns, now = Breaker(thresholds), Model(thresholds), [], 0.0
    for step in steps:
        if step[0] == "admit":
            turn = breaker.admit()
            assert (turn is not None) == model.admit()
            if turn is not None:
                turns.append(turn)
        elif step[0] == "end" and turns:
            place = int(str(step[1])) % len(turns)
            failed = step[2] if isinstance(step[2], bool) else None
            breaker.note(turns.pop(place), now, failed)
            model.note(place, now, failed)
        elif step[0] == "wait":
            now += float(str(step[1]))
        elif step[0] == "trip":
            breaker.trip()
            if model.state is not State.OPEN:
                model.become(State.OPEN)
        elif step[0] == "reached":
            breaker.reached()
            if model.state is State.OPEN:
                model.become(State.HALF_OPEN)
        assert breaker.state is model.state


def _call(breaker: Breaker, failed: bool | None, now: float = 0.0) -> bool:
    turn = breaker.admit()
    if turn is not None:
        breaker.note(turn, now, failed)
    return turn is not None


def _state(breaker: Breaker) -> State:
    return breaker.state


def _opened() -> Breaker:
    breaker = Breaker(THRESHOLDS)
    assert [_call(breaker, True) for _ in range(4)] == [True, True, True, False]
    return breaker


def test_it_opens_after_so_many_failures_in_a_row() -> None:
    breaker = Breaker(THRESHOLDS)
    for failed in (True, True, False, True, True):
        _call(breaker, failed)
    assert _state(breaker) is State.CLOSED
    _call(breaker, True)
    assert _state(breaker) is State.OPEN


def test_it_opens_when_more_than_the_share_of_the_last_calls_failed() -> None:
    breaker = Breaker(THRESHOLDS)
    for failed in (True, True, False, True, False, True):  # four of six
        assert _state(breaker) is State.CLOSED
        _call(breaker, failed)
    assert _state(breaker) is State.OPEN


def test_just_the_share_is_not_more_than_it() -> None:
    breaker = Breaker(THRESHOLDS)
    for failed in (True, False) * 20:
        _call(breaker, failed)
    assert _state(breaker) is State.CLOSED


def test_failures_of_long_ago_do_not_open_it() -> None:
    breaker = Breaker(THRESHOLDS)
    for number, failed in enumerate((True, True, False, True, False, True)):
        _call(breaker, failed, number * 3.0)
    assert _state(breaker) is State.CLOSED


def test_half_open_lets_one_call_through_and_its_success_closes() -> None:
    breaker = _opened()
    breaker.reached()
    turn = breaker.admit()
    assert turn is not None
    assert breaker.admit() is None
    breaker.note(turn, 0.0, False)
    assert _state(breaker) is State.CLOSED
    assert _call(breaker, False)


def test_half_open_opens_again_when_the_one_call_fails() -> None:
    breaker = _opened()
    breaker.reached()
    assert _call(breaker, True)
    assert _state(breaker) is State.OPEN


def test_a_call_that_tells_nothing_leaves_the_place_to_the_next() -> None:
    breaker = _opened()
    breaker.reached()
    assert _call(breaker, None)
    assert _state(breaker) is State.HALF_OPEN
    assert _call(breaker, False)
    assert _state(breaker) is State.CLOSED


@pytest.mark.parametrize("failed", [True, False])
def test_a_call_from_before_it_opened_changes_nothing(failed: bool) -> None:
    breaker = Breaker(THRESHOLDS)
    late = breaker.admit()
    assert late is not None
    for _ in range(3):
        _call(breaker, True)
    breaker.reached()
    breaker.note(late, 0.0, failed)
    assert _state(breaker) is State.HALF_OPEN


def test_it_is_looked_after_ever_less_often_until_it_closes() -> None:
    breaker = _opened()
    assert [breaker.pause() for _ in range(5)] == [1.0, 2.0, 4.0, 8.0, 8.0]
    breaker.reached()
    _call(breaker, True)
    assert breaker.pause() == 8.0, "a try that failed does not begin anew"
    breaker.reached()
    _call(breaker, False)
    for _ in range(3):
        _call(breaker, True)
    assert breaker.pause() == 1.0
