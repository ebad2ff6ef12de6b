"""The trace of a decision: a row is shown as matched where Casbin matches it, and the rule that decided is among those shown."""

from __future__ import annotations

from pathlib import Path

import casbin
import pytest

import policies.snapshot
from policies.decision import PLAIN_ACTS, Use
from policies.rules import ROLE_LINKS, BasisRow, ShareRow
from policies.snapshot import utc_text
from policies.trace import traced_basis, traced_share
from tests.policies.worlds import random_questions, random_world

MODELS = Path(policies.snapshot.__file__).parent


def matches(model: str, row: ShareRow | BasisRow, request: tuple[str, ...]) -> bool:
    """Whether Casbin alone matches this row: an allow of it allows."""
    enforcer = casbin.Enforcer(str(MODELS / model))
    for link in ROLE_LINKS if model == "share.conf" else ():
        enforcer.add_grouping_policy(*link)
    enforcer.add_policy(*row._replace(eft="allow"))
    return bool(enforcer.enforce(*request))


@pytest.mark.parametrize("seed", range(6))
def test_a_row_is_shown_as_matched_where_casbin_matches_it(seed: int) -> None:
    world = random_world(seed)
    snapshot = world.snapshot()
    seen = set()
    for asked in random_questions(seed, world, 25):
        caller = snapshot.caller(asked.department, asked.role, asked.channel, asked.purpose, asked.basis)
        use = Use(asked.coordinate, asked.act, asked.subject)
        coordinate, resource, share_class, provider = snapshot.objects(use.coordinate)
        share = (
            asked.department, asked.role, resource, coordinate, share_class, provider, use.subject.value, use.act.value,
            asked.channel, asked.purpose.value, asked.basis, utc_text(asked.at),
        )  # fmt: skip
        for one in traced_share(caller, use, asked.at)[:15]:
            assert one.matched is matches("share.conf", one.row, share), (one, share)
            seen.add(one.matched)
        basis = (asked.basis, coordinate, use.subject.value, use.act.value, asked.purpose.value)
        for one in traced_basis(caller, use):
            assert one.matched is matches("basis.conf", one.row, basis)
    assert seen == {True, False}


@pytest.mark.parametrize("seed", range(20, 40))
def test_the_rule_that_decided_is_the_one_of_a_matched_row(seed: int) -> None:
    world = random_world(seed)
    snapshot = world.snapshot()
    decided = 0
    for asked in random_questions(seed, world, 60):
        decision = asked.of(snapshot)
        if decision.rule_id.startswith("DENY/") or asked.act in PLAIN_ACTS:
            continue
        caller = snapshot.caller(asked.department, asked.role, asked.channel, asked.purpose, asked.basis)
        rows = traced_share(caller, Use(asked.coordinate, asked.act, asked.subject), asked.at)
        assert decision.rule_id in {one.row.rid for one in rows if one.matched}
        decided += 1
    assert decided
