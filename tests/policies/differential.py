"""The engine beside the oracle and beside plain Casbin, over random worlds and questions."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import casbin

import policies
from policies.decision import PLAIN_ACTS, Act, Decision
from policies.rules import ROLE_LINKS, Rules, rules_from
from policies.snapshot import Snapshot, utc_text
from tests.policies.oracle import Oracle, Verdict
from tests.policies.worlds import Asked, World, random_questions, random_world

FOLDER = Path(policies.__file__).parent


def agrees(decision: Decision, verdict: Verdict) -> bool:
    """Same answer, same rule (of a denial by default its kind), same obligations."""
    if verdict.rule.startswith("DENY"):
        told = decision.rule_id == verdict.rule or decision.rule_id.startswith(f"{verdict.rule}/")
    else:
        told = decision.rule_id == verdict.rule
    return told and (decision.allow, decision.mask, decision.rows) == (verdict.allow, verdict.mask, verdict.rows)


def family(rule: str) -> str:
    """The kind of a rule, for counting: `SHARE`, `DENY/CLASS` ..."""
    parts = rule.split("/")
    return "/".join(parts[: 2 if parts[0] == "DENY" else 1])


def compare(seed: int, questions: int) -> tuple[Counter[str], list[str]]:
    """One random world: what was decided by kind of rule, and every question that oracle and engine answer differently."""
    world = random_world(seed)
    snapshot = world.snapshot()
    counts: Counter[str] = Counter()
    differences = []
    asked = random_questions(seed, world, questions)
    for question in asked + random.Random(seed).choices(asked, k=questions // 4):  # some of them again: remembered
        decision, verdict = question.of(snapshot), Oracle(world, question).verdict()
        counts[family(decision.rule_id)] += 1
        share_class = world.catalogue.item(question.coordinate).share.share_class
        untrue = decision.rule_id.startswith("DENY/CLASS/") and decision.rule_id != f"DENY/CLASS/{share_class}"
        if untrue or not agrees(decision, verdict):
            differences.append(f"seed {seed}: {question} engine {decision} oracle {verdict}")
    return counts, differences


class PlainCasbin:
    """One ordinary enforcer for each model with every row in it."""

    def __init__(self, snapshot: Snapshot, base: Rules) -> None:
        self._catalogue = snapshot.catalogue
        self._share = casbin.Enforcer(str(FOLDER / "share.conf"))
        self._basis = casbin.Enforcer(str(FOLDER / "basis.conf"))
        groups = list(snapshot.groups().values())
        self._share.add_policies([list(row) for rules in (base, *groups) for row in rules.share])
        self._share.add_grouping_policies([list(link) for link in ROLE_LINKS])
        self._basis.add_policies([list(row) for row in base.basis])

    def allows(self, asked: Asked) -> bool:
        if not asked.department.strip():
            return False
        acts = (asked.act, Act.READ) if asked.act in PLAIN_ACTS else (asked.act,)
        masked = asked.purpose in self._catalogue.item(asked.coordinate).masks
        return not (asked.act in PLAIN_ACTS and masked) and all(self._both(asked, act) for act in acts)

    def _both(self, asked: Asked, act: Act) -> bool:
        resource = self._catalogue.resources[asked.coordinate.partition(".")[0]]
        share_class = self._catalogue.item(asked.coordinate).share.share_class
        about = (resource.name, asked.coordinate, f"class/{share_class}", f"provider/{resource.department}")
        use = (asked.subject.value, act.value, asked.channel, asked.purpose.value, asked.basis, utc_text(asked.at))
        return bool(
            self._share.enforce(asked.department, asked.role, *about, *use)
            and self._basis.enforce(asked.basis, asked.coordinate, use[0], use[1], use[3])
        )


def compare_with_casbin(seed: int, questions: int) -> tuple[int, list[str]]:
    """One random world: how many were allowed, and every question that plain Casbin answers differently."""
    world = random_world(seed)
    snapshot = world.snapshot()
    plain = PlainCasbin(snapshot, rules_from(world.catalogue))
    allowed = 0
    differences = []
    for question in random_questions(seed, world, questions):
        expected = plain.allows(question)
        allowed += expected
        if question.of(snapshot).allow is not expected:
            differences.append(f"seed {seed}: {question} casbin {expected}")
    return allowed, differences


def change_at_random(seed: int, questions: Sequence[Asked], world: World) -> list[str]:
    """Put a world in force group by group, in random order, some of them in and out again: every question that is answered otherwise
    than by a snapshot that had it all at once."""
    chance = random.Random(seed)
    groups = world.groups()
    snapshot = world.base()
    names = chance.sample(list(groups), len(groups)) + chance.choices(list(groups), k=len(groups) // 2)
    inside: dict[str, Rules] = {}
    differences = []
    for number, name in enumerate(names):
        rules = Rules() if name in inside and chance.random() < 0.7 else groups[name]
        inside[name] = rules
        snapshot = snapshot.with_changes({name: rules}, number)
        for question in chance.choices(questions, k=20):
            question.of(snapshot)  # so that there is something to remember wrongly
        fresh = world.base().with_changes(inside, number)
        differences += _unlike(snapshot, fresh, chance.choices(questions, k=40))
    whole = snapshot.with_changes(groups, len(names))
    return differences + _unlike(whole, world.snapshot(), questions)


def _unlike(one: Snapshot, other: Snapshot, questions: Sequence[Asked]) -> list[str]:
    return [f"{question}" for question in questions if question.of(one) != question.of(other)]
