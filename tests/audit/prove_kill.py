"""A thousand kill trials: both stores, killed alone and with the loss of what was not synced."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.audit.store_places import KINDS
from tests.audit.trials import run_trials

TRIALS = 250


@pytest.mark.parametrize("synced_only", [False, True], ids=["killed", "unsynced writes lost"])
@pytest.mark.parametrize("kind", KINDS)
def test_every_field_that_was_shown_is_on_record_after_each_of_many_kills(
    city: Path, tmp_path: Path, kind: str, synced_only: bool
) -> None:
    tally = run_trials(kind, synced_only, TRIALS, tmp_path, city, seed=2)
    assert tally.lost == []
    assert tally.trials == TRIALS
    assert tally.cut_off > TRIALS
