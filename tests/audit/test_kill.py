"""Log before disclose, on a real server that is killed at any moment: every field that a client was shown is on record.

A kill alone leaves the page cache, and a missing sync would pass; so each store is also tried under a layer that loses what was not synced,
and the layer itself is tried on stores that do not sync.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.audit.store_places import KINDS
from tests.audit.trials import run_trials

TRIALS = 13
"""Of each kind: 52 in all."""


@pytest.mark.parametrize("synced_only", [False, True], ids=["killed", "unsynced writes lost"])
@pytest.mark.parametrize("kind", KINDS)
def test_every_field_that_was_shown_is_on_record_after_a_kill(
    city: Path, tmp_path: Path, kind: str, synced_only: bool
) -> None:
    tally = run_trials(kind, synced_only, TRIALS, tmp_path, city)
    assert tally.lost == []
    assert tally.trials == TRIALS
    assert tally.fields > 40 * TRIALS
    assert tally.cut_off > TRIALS  # the power went while others were on their way


@pytest.mark.parametrize(
    ("kind", "planted"),
    [("sqlite", "OFF"), ("sqlite", "NORMAL"), ("postgresql", "commits that are not waited for")],
)
def test_a_store_that_does_not_sync_is_found_out(city: Path, tmp_path: Path, kind: str, planted: str) -> None:
    tally = run_trials(kind, True, 10, tmp_path, city, planted)
    assert tally.lost
