"""A circuit breaker: whether a source is asked at all, told from what became of its last calls.

Closed it lets every call through, open none, half-open one at a time until one succeeds. It opens after so many failures in a row, or when too large a share
of the last calls failed. Pure but for its own state: it is told the time, and does nothing by itself.

Of our own, because no library has both thresholds: purgatory, aiobreaker and pybreaker count failures in a row only, interlock-cb a rate only;
and all of them become half-open by the clock, so that a caller pays for each probe. Here somebody looks first (`reached`).
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from enum import StrEnum


class State(StrEnum):
    """Whether calls are let through: all of them, none, one at a time."""

    CLOSED = "CLOSED"
    OPEN = "OPEN"
    HALF_OPEN = "HALF_OPEN"


@dataclass(frozen=True, slots=True)
class Thresholds:
    """When a breaker opens: after `failures` in a row, or when of the last `calls`, all within `window` seconds, more than `percent` failed.

    An open one is looked after in `pause` seconds, then in twice as many each time, `longest` at the most.
    """

    failures: int = 5
    calls: int = 20
    percent: int = 50
    window: float = 60.0
    pause: float = 1.0
    longest: float = 60.0


class Breaker:
    """The breaker of one source, closed at first. Times are seconds of one clock that never goes back."""

    def __init__(self, thresholds: Thresholds) -> None:
        self._thresholds = thresholds
        self._calls: deque[tuple[float, bool]] = deque(maxlen=thresholds.calls)
        self._in_row = 0
        self._turn = 0
        self._trying = False
        self._looked = 0
        self.state = State.CLOSED

    def admit(self) -> int | None:
        """Let a call through: the number to tell its end with, or None where it must not be made."""
        if self.state is State.OPEN or self._trying:
            return None
        self._trying = self.state is State.HALF_OPEN
        return self._turn

    def note(self, turn: int, now: float, failed: bool | None) -> None:
        """What became of an admitted call; None where it tells nothing of the source. One that began before the last change counts for nothing."""
        if turn != self._turn:
            return
        if self.state is State.HALF_OPEN:
            self._trying = False
            if failed is not None:
                self._become(State.OPEN if failed else State.CLOSED)
        elif failed is not None:
            self._calls.append((now, failed))
            self._in_row = self._in_row + 1 if failed else 0
            if failed and (self._in_row >= self._thresholds.failures or self._too_many(now)):
                self._become(State.OPEN)

    def trip(self) -> None:
        """Open: somebody looked, and the source does not answer."""
        if self.state is not State.OPEN:
            self._become(State.OPEN)

    def pause(self) -> float:
        """Seconds until somebody should look whether the source is there again; more each time."""
        seconds = self._thresholds.pause * 2.0 ** min(self._looked, 30)
        self._looked += 1
        return min(seconds, self._thresholds.longest)

    def reached(self) -> None:
        """Somebody looked, and the source is there: an open breaker lets one call try it."""
        if self.state is State.OPEN:
            self._become(State.HALF_OPEN)

    def _too_many(self, now: float) -> bool:
        """Whether too large a share of the last calls failed; never told from fewer calls than there must be."""
        since = now - self._thresholds.window
        if len(self._calls) < self._thresholds.calls or self._calls[0][0] <= since:
            return False
        failures = sum(failed for _, failed in self._calls)
        return failures * 100 > self._thresholds.percent * len(self._calls)

    def _become(self, state: State) -> None:
        self.state = state
        self._turn += 1
        self._trying = False
        self._in_row = 0
        self._calls.clear()
        if state is State.CLOSED:
            self._looked = 0
