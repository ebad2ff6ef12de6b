"""The engine decides as the regulations mean, and as plain Casbin with every row in one enforcer does, in random worlds."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from policies.decision import Act
from schema.catalogue import ShareClass
from tests.policies.differential import change_at_random, compare, compare_with_casbin
from tests.policies.oracle import Oracle
from tests.policies.worlds import random_questions, random_world

FAMILIES = {"SHARE", "GRANT", "SCENARIO", "RULE", "SUSPENSION"}
FAMILIES |= {f"DENY/{kind}" for kind in ("ROLE", "CLASS", "PURPOSE", "ACT", "CHANNEL", "SUBJECT", "TIME", "AUDIENCE")}
FAMILIES |= {f"DENY/{kind}" for kind in ("SERVICE", "SCENARIO", "MASKED")}


def test_engine_and_oracle_agree_on_every_kind_of_answer() -> None:
    counts: Counter[str] = Counter()
    for seed in range(20):
        counted, differences = compare(seed, 200)
        assert differences == []
        counts += counted
    assert counts.total() == 5_000
    assert {kind for kind in FAMILIES if counts[kind] >= 5} == FAMILIES, counts


def test_engine_and_plain_casbin_agree() -> None:
    allowed = 0
    for seed in range(100, 104):
        some, differences = compare_with_casbin(seed, 40)
        assert differences == []
        allowed += some
    assert allowed > 15


@pytest.mark.parametrize("seed", range(200, 205))
def test_changes_in_any_order_leave_what_a_snapshot_built_at_once_decides(seed: int) -> None:
    world = random_world(seed)
    questions = random_questions(seed, world, 200)
    assert change_at_random(seed, questions, world) == []
    snapshot = world.snapshot()
    assert any(question.of(snapshot).allow for question in questions)


def test_the_oracle_denies_what_must_never_be_allowed_whatever_the_engine_says() -> None:
    """Guards the guard: claims about the oracle that need neither rows nor engine."""
    allowed = 0
    for seed in range(20):
        world = random_world(seed)
        plain = replace(world, grants=(), local=(), catalogue=replace(world.catalogue, scenarios={}))
        for asked in random_questions(seed, world, 100):
            if asked.basis.startswith("SCENARIO"):
                continue
            verdict = Oracle(plain, asked).verdict()
            allowed += verdict.allow
            share_class = world.catalogue.item(asked.coordinate).share.share_class
            assert not (verdict.allow and share_class is not ShareClass.UNCONDITIONAL)
            assert not (verdict.allow and asked.act in (Act.GROUP, Act.EXPORT))
            assert not (verdict.allow and asked.role in ("officer", "auditor"))
    assert allowed > 50


def test_answers_do_not_depend_on_what_was_asked_before_or_when() -> None:
    world = random_world(7)
    asked = random_questions(7, world, 300)
    once, again = world.snapshot(), world.snapshot()
    first = [question.of(once) for question in asked]
    assert [question.of(again) for question in reversed(asked)][::-1] == first
    assert [question.of(once) for question in asked] == first
    assert first[:40] == [question.of(world.snapshot()) for question in asked[:40]]
