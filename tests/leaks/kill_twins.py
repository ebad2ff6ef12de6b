"""The twins in small, for mutants: stops at the first difference. No part of the ordinary run."""

from __future__ import annotations

from pathlib import Path

from tests.leaks.proof import prove


def test_twins_answer_alike(tmp_path: Path) -> None:
    for seed in (700, 5_000, 9_000):
        assert not prove(seed, 700, tmp_path, views=12, most=1).differences
