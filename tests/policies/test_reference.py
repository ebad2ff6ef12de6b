"""A readable decider beside the engine: over random rules and questions both say the same."""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import UTC, datetime

import pytest

from policies.decision import Act
from policies.identity import STAFF, Role
from policies.lint import lint_rules
from policies.rules import ROLE_LINKS, BasisRow, Rules, ShareRow
from policies.snapshot import Snapshot, utc_text
from schema.catalogue import Purpose, SubjectClass
from tests.policies.small import BASIS, CATALOGUE, Question, basis_row, rules, share_row

TIMES = [f"2026-06-01T00:00:{second:02}Z" for second in (0, 10, 20, 30, 40)]
MOMENTS = [datetime(2026, 6, 1, 0, 0, second, tzinfo=UTC) for second in (0, 9, 10, 11, 19, 20, 29, 30, 39, 40, 50)]
COORDINATES = ["Register.name", "Register.photo", "Register.address", "Tax.payer"]
OBJECTS = [*COORDINATES, "Register", "Tax", "class/UNCONDITIONAL", "class/CONDITIONAL", "provider/housing"]
BASES = [BASIS, "SCENARIO/review"]
CHANNELS = ["query", "batch"]


def random_rules(chance: random.Random) -> Rules:
    """Up to 24 share rows, a quarter of them denials, and basis rows for most of what could be asked."""
    rows: list[ShareRow | BasisRow] = []
    for number in range(chance.randint(1, 24)):
        begin, end = sorted(chance.sample(range(len(TIMES)), 2))
        effect = chance.choice(["allow", "allow", "allow", "deny"])
        rows.append(
            share_row(
                f"{effect}-{number}",
                dept=chance.choice(["any", "any", "housing", "taxation"]),
                role=chance.choice(["any", *STAFF] if effect == "deny" else ["any", "reader", "reader", *STAFF]),
                object=chance.choice(OBJECTS),
                subject=chance.choice(["any", "any", *SubjectClass]),
                act=chance.choice(["any", "any", "read", "join"]),
                channel=chance.choice(["any", "any", *CHANNELS]),
                purpose=chance.choice(["any", "any", "WORK_REFERENCE", "ADMINISTRATIVE_BASIS"]),
                basis=chance.choice(["any", "any", "any", *BASES]),
                nbf=TIMES[begin],
                exp=TIMES[end],
                eft=effect,
            )
        )
    for number in range(300):
        rows.append(
            basis_row(
                f"needed-{number}",
                basis=chance.choice(BASES),
                object=chance.choice(COORDINATES),
                subject=chance.choice(list(SubjectClass)),
                act=chance.choice(["read", "join"]),
                purpose=chance.choice(["WORK_REFERENCE", "ADMINISTRATIVE_BASIS"]),
                eft=chance.choice(["allow"] * 40 + ["deny"]),
            )
        )
    made = rules(*rows)
    lint_rules(made, CATALOGUE)
    return made


def random_question(chance: random.Random) -> Question:
    return Question(
        coordinate=chance.choice(COORDINATES),
        act=chance.choice([Act.READ, Act.READ, Act.JOIN, Act.VERIFY]),
        subject=chance.choice(list(SubjectClass)),
        department=chance.choice(["housing", "taxation"]),
        role=chance.choice(list(Role)),
        channel=chance.choice(CHANNELS),
        purpose=chance.choice([Purpose.WORK_REFERENCE, Purpose.ADMINISTRATIVE_BASIS]),
        basis=chance.choice(BASES),
        now=chance.choice(MOMENTS),
    )


def share_rows_about(asked: Question, rows: Sequence[ShareRow]) -> list[ShareRow]:
    """The rows that match, said once more in plain Python."""
    resource = CATALOGUE.resources[asked.coordinate.partition(".")[0]]
    share_class = CATALOGUE.item(asked.coordinate).share.share_class
    objects = {asked.coordinate, resource.name, f"class/{share_class}", f"provider/{resource.department}"}
    moment = utc_text(asked.now.timestamp())
    roles = {"any", asked.role, *(parent for child, parent in ROLE_LINKS if child == asked.role)}
    return [
        row
        for row in rows
        if row.object in objects
        and row.role in roles
        and (row.eft == "deny" or "reader" in roles)
        and row.dept in ("any", asked.department)
        and row.subject in ("any", asked.subject)
        and row.act in ("any", asked.act)
        and row.channel in ("any", asked.channel)
        and row.purpose in ("any", asked.purpose)
        and row.basis in ("any", asked.basis)
        and row.nbf <= moment < row.exp
    ]


def basis_rows_about(asked: Question, rows: Sequence[BasisRow]) -> list[BasisRow]:
    wanted = (asked.basis, asked.coordinate, asked.subject, asked.act, asked.purpose)
    return [row for row in rows if (row.basis, row.object, row.subject, row.act, row.purpose) == wanted]


def effects(rows: Sequence[ShareRow] | Sequence[BasisRow], effect: str) -> set[str]:
    return {row.rid for row in rows if row.eft == effect}


def expected(asked: Question, made: Rules) -> tuple[bool, set[str]]:
    """Whether it is allowed, and the ids of the rows that could be given for it; none where it is denied by default."""
    share, basis = share_rows_about(asked, made.share), basis_rows_about(asked, made.basis)
    for rows in (share, basis):
        if denied := effects(rows, "deny"):
            return False, denied
        if not effects(rows, "allow"):
            return False, set()
    return True, effects(share, "allow")


@pytest.mark.parametrize("seed", range(50))
def test_engine_and_reference_agree(seed: int) -> None:
    chance = random.Random(seed)
    made = random_rules(chance)
    decided = Snapshot(CATALOGUE, made)
    asked = [random_question(chance) for _ in range(120)]
    asked += chance.choices(asked, k=30)  # some of them again: remembered
    for question in asked:
        allow, rule_ids = expected(question, made)
        decision = question.of(decided)
        assert decision.allow is allow, question
        assert decision.rule_id in rule_ids if rule_ids else decision.rule_id.startswith("DENY/"), question


@pytest.mark.parametrize("seed", range(50, 60))
def test_a_decision_holds_until_the_moment_that_it_names(seed: int) -> None:
    chance = random.Random(seed)
    made = random_rules(chance)
    decided = Snapshot(CATALOGUE, made)
    for question in [random_question(chance) for _ in range(60)]:
        decision = question.of(decided)
        for moment in MOMENTS:
            if decision.since <= moment.timestamp() < decision.until:
                assert expected(question.but(now=moment), made)[0] is decision.allow, (question, moment)
            assert question.but(now=moment).of(decided).allow is expected(question.but(now=moment), made)[0]


def test_the_random_questions_have_every_kind_of_answer() -> None:
    answers = {True: 0, False: 0}
    named = 0
    for seed in range(50):
        chance = random.Random(seed)
        made = random_rules(chance)
        for question in [random_question(chance) for _ in range(120)]:
            allow, rule_ids = expected(question, made)
            answers[allow] += 1
            named += bool(not allow and rule_ids)
    assert min(answers[True], answers[False], named) > 200, (answers, named)
