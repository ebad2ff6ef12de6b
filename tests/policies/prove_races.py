"""The long proof of changes under load: a million decisions by several processes while the policy changes, none of them wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.policies.control_places import KINDS, place
from tests.policies.races import race

DECISIONS = 1_000_000


@pytest.mark.parametrize("kind", KINDS)
def test_a_million_decisions_while_the_policy_changes(
    kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    decisions = allows = changes = 0
    stale = seen = 0.0
    seed = 0
    while decisions < DECISIONS:
        seed += 1
        folder = tmp_path / str(seed)
        folder.mkdir()
        with place(kind, folder) as url:
            outcome = race(url, processes=3, threads=2, seconds=20.0, seed=seed)
        assert outcome.wrong == []
        assert outcome.stale < 1.0
        decisions, allows, changes = decisions + outcome.decisions, allows + outcome.allows, changes + outcome.changes
        stale, seen = max(stale, outcome.stale), max(seen, outcome.seen)
    with capsys.disabled():
        print(
            f"\n{kind}: {decisions} decisions by 3 processes during {changes} changes, {allows} allowed, 0 wrong; "
            f"the slowest process saw a change after {seen * 1000:.0f} ms, none decided by an older version after {stale * 1000:.0f} ms"
        )
