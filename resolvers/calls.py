"""What became of a source's calls: how many, how long they took, which codes they ended with; in this process, and no word of what they asked."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter, deque
from dataclasses import dataclass
from datetime import datetime

RECENT_SECONDS = 300.0
"""How far back latencies are told."""
BOUNDS = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Upper bounds of the latency histogram in seconds; one more bucket holds what took longer."""
ANSWERED, CANCELLED = "ANSWERED", "CANCELLED"
_MAX_RECENT = 5_000


@dataclass(frozen=True, slots=True)
class Latency:
    """How long recent calls took, in milliseconds: the times that 50, 95 and 99 of a hundred did not exceed."""

    p50: float
    p95: float
    p99: float


class Calls:
    """The calls of one source. `by_code` counts since the start of the process, codes of errors beside ANSWERED and CANCELLED.

    `refused` counts those that were not made: the breaker was open, or too many waited. `updated` is the last change seen of each resource.
    """

    def __init__(self) -> None:
        self.by_code: Counter[str] = Counter()
        self.refused = 0
        self.retried = 0
        self.buckets = [0] * (len(BOUNDS) + 1)
        self.seconds = 0.0
        self.updated: dict[str, datetime] = {}
        self._recent: deque[tuple[float, float]] = deque(maxlen=_MAX_RECENT)

    @property
    def errors(self) -> dict[str, int]:
        """How many calls failed, by code."""
        return {code: count for code, count in self.by_code.items() if code not in (ANSWERED, CANCELLED)}

    def note(self, now: float, seconds: float, code: str) -> None:
        """Count a call that ended now with this code."""
        self.by_code[code] += 1
        self.seconds += seconds
        self.buckets[bisect_left(BOUNDS, seconds)] += 1
        self._recent.append((now, seconds))

    def latency(self, now: float) -> Latency | None:
        """Of the last five minutes' calls, of the last 5,000 at the most; None if there was none."""
        took = sorted(seconds for at, seconds in self._recent if now - at <= RECENT_SECONDS)
        if not took:
            return None
        p50, p95, p99 = (took[min(len(took) - 1, len(took) * share // 100)] * 1000 for share in (50, 95, 99))
        return Latency(p50, p95, p99)
