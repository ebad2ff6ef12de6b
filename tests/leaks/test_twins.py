"""Nothing that a caller may not see changes a byte of an answer: two cities that differ only in that answer alike."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.leaks import proof, twin
from tests.leaks.sight import LINK, Seen, View

OPERATIONS = 2_000
SEED = 700


def test_two_cities_that_differ_in_what_is_hidden_answer_alike(tmp_path: Path) -> None:
    tally = proof.prove(SEED, OPERATIONS, tmp_path)
    print(tally)
    assert not tally.differences, tally.differences[0]
    assert tally.operations >= OPERATIONS
    assert tally.told >= 0.4 * tally.operations, "too few operations return data"
    assert min(tally.kinds[kind] for kind in ("look-ups", "searches", "verifications", "sqlite")) > 50, tally


def test_a_visible_value_that_differs_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The proof can fail: where values that may be seen count as hidden, answers differ."""
    twin_of = twin.twin_of

    def blind(chance: object, catalogue: object, view: View, records: object, seen: Seen) -> object:
        for sights in seen.records.values():
            for sight in sights:
                sight.items = {name: lenses for name, lenses in sight.items.items() if LINK in lenses}
        return twin_of(chance, catalogue, view, records, seen)  # type: ignore[arg-type]

    monkeypatch.setattr(proof, "twin_of", blind)
    assert proof.prove(SEED, 300, tmp_path).differences
