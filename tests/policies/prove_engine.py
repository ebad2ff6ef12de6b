"""The long proof of the engine: a million decisions beside the oracle, twenty thousand beside plain Casbin, no difference."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.policies.differential import change_at_random, compare, compare_with_casbin
from tests.policies.worlds import random_questions, random_world

DECISIONS, OF_A_WORLD = 1_000_000, 4_000
CASBIN_DECISIONS, CASBIN_OF_A_WORLD = 20_000, 200


def test_a_million_decisions_are_the_oracles(capsys: pytest.CaptureFixture[str]) -> None:
    counts: Counter[str] = Counter()
    seed = 1_000_000
    while counts.total() < DECISIONS:
        counted, differences = compare(seed, OF_A_WORLD)
        assert differences == []
        counts += counted
        seed += 1
    with capsys.disabled():
        print(
            f"\n{counts.total()} decisions in {seed - 1_000_000} worlds, 0 differences from the oracle: {dict(counts)}"
        )


def test_twenty_thousand_decisions_are_plain_casbins(capsys: pytest.CaptureFixture[str]) -> None:
    allowed = 0
    for seed in range(2_000_000, 2_000_000 + CASBIN_DECISIONS // CASBIN_OF_A_WORLD):
        some, differences = compare_with_casbin(seed, CASBIN_OF_A_WORLD)
        assert differences == []
        allowed += some
    with capsys.disabled():
        print(f"\n{CASBIN_DECISIONS} decisions, {allowed} allowed, 0 differences from plain Casbin")


def test_changes_in_random_order_end_at_the_same_decisions(capsys: pytest.CaptureFixture[str]) -> None:
    for seed in range(3_000_000, 3_000_100):
        world = random_world(seed)
        assert change_at_random(seed, random_questions(seed, world, 500), world) == []
    with capsys.disabled():
        print("\n100 worlds put in force group by group in random order, 0 differences from snapshots built at once")
