"""Ten thousand random edits of a store, each detected and located; a long proof (`make prove`), a few hundred of it are in `make test`."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from random import Random

from tests.audit.tampering import check, sealed_in

EDITS = 10_000


def test_every_random_edit_is_detected_and_located(tmp_path: Path) -> None:
    sealed = sealed_in(tmp_path)
    made = Counter(check(sealed, Random(f"edit {seed}"), tmp_path / "edited.db") for seed in range(EDITS))
    assert sum(made.values()) == EDITS
    assert len(made) == 24
