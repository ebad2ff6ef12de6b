"""Nothing that was stopped is allowed, whoever decides, whatever changes meanwhile."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.policies.control_places import KINDS, place
from tests.policies.races import Change, Report, Run, judge, race

STOPPED = Change(10.0, 10.1, 2, frozenset())
CHANGES = [Change(1.0, 1.1, 1, frozenset({"name"})), STOPPED, Change(20.0, 20.1, 3, frozenset({"name"}))]


@pytest.mark.parametrize("kind", KINDS)
def test_no_process_allows_what_was_stopped_and_each_sees_it_within_a_second(kind: str, tmp_path: Path) -> None:
    with place(kind, tmp_path) as url:
        outcome = race(url, processes=2, threads=2, seconds=4.0)
    assert outcome.wrong == []
    assert outcome.stale < 1.0
    assert outcome.seen < 10.0, "a process has not seen the last change"
    assert outcome.decisions > 5_000
    assert outcome.allows > 500
    assert outcome.changes > 5


@pytest.mark.parametrize(
    ("run", "is_wrong"),
    [
        (Run("name", 1, True, 5.0, 10.9), False),
        (Run("name", 1, True, 5.0, 11.2), True),
        (Run("name", 1, True, 11.2, 11.3), True),
        (Run("name", 2, True, 10.2, 10.3), True),
        (Run("name", 2, False, 10.2, 19.0), False),
        (Run("name", 3, True, 20.2, 30.0), False),
        (Run("photo", 1, True, 2.0, 2.1), True),
    ],
)
def test_a_wrong_allow_would_be_seen(run: Run, is_wrong: bool) -> None:
    """Guards the guard: the judge of the races knows a wrong allow by its version, and by its lateness."""
    assert bool(judge(CHANGES, [Report([run])]).wrong) is is_wrong
