"""Sealing and removing, killed at many random moments (`make prove`)."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.audit.month_trials import run_trials


@pytest.mark.parametrize(("kind", "count"), [("sqlite", 150), ("postgresql", 50)])
def test_no_kill_loses_anything(kind: str, count: int, tmp_path: Path) -> None:
    tally = run_trials(kind, count, tmp_path, seed=7)
    assert tally.wrong == []
    assert tally.killed >= count // 2
