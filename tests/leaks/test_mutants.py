"""The tests notice leaks: a few seeded ones are tried here, another few each day, all of them by `prove_mutants.py`."""

from __future__ import annotations

import random
from datetime import UTC, datetime

import pytest

from tests.leaks.killing import ROOT, applied, kill_all
from tests.leaks.mutants import MUTANTS, SUITE, Mutant

SAMPLE = 6


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_every_mutant_still_applies(mutant: Mutant) -> None:
    changed = applied(mutant, (ROOT / mutant.file).read_text("utf8"))
    if mutant.file.endswith(".py"):
        compile(changed, mutant.file, "exec")


def test_there_are_a_hundred_mutants_of_their_own() -> None:
    assert len(MUTANTS) >= 100
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS)
    assert len({(mutant.file, mutant.old, mutant.new) for mutant in MUTANTS}) == len(MUTANTS)
    assert all((ROOT / module).is_file() for module in {*SUITE, *(one for mutant in MUTANTS for one in mutant.tests)})


def test_a_mutant_whose_text_is_gone_says_so() -> None:
    with pytest.raises(ValueError, match="write the mutant anew"):
        applied(MUTANTS[0], "another source")


def test_a_few_mutants_are_noticed() -> None:
    day = datetime.now(UTC).date()
    sample = random.Random(day.toordinal()).sample(MUTANTS, SAMPLE)
    for verdict in kill_all(sample, workers=2, sound=True):  # the modules are part of this run
        assert verdict.killer, f"{day}: nothing notices {verdict.mutant.name}: {verdict.mutant.leak}"
