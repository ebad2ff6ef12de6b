"""The matrix of departments, items and purposes: each cell says what the rules of sharing say, and no more."""

from __future__ import annotations

from typing import Any

import pytest

from policies.decision import Act, Use
from policies.grants import Suspension
from policies.matrix import Effect, matrix
from policies.rules import rules_of_suspension
from policies.snapshot import Snapshot
from schema.catalogue import Catalogue, Purpose, SubjectClass
from tests.policies.worlds import random_world

AT = 1_780_000_000.0
SHOWN = {Effect.ALLOWED, Effect.MASKED, Effect.VERIFY, Effect.GRANT, Effect.SCENARIO}


def cells(table: dict[str, Any]) -> dict[tuple[str, str, str], dict[str, Any]]:
    """Each cell by department, coordinate and purpose."""
    purposes, found = len(table["purposes"]), {}
    for number, (coordinate, *_) in enumerate(table["items"]):
        for place, cell in enumerate(table["cells"][number]):
            department, purpose = table["departments"][place // purposes][0], table["purposes"][place % purposes][0]
            found[department, coordinate, purpose] = dict(zip(table["fields"], table["pool"][cell], strict=True))
    return found


def some_way_is_allowed(snapshot: Snapshot, department: str, coordinate: str, purpose: str, at: float) -> set[str]:
    """The rules by which a clerk is allowed in whatever way the share model knows, all ways tried."""
    act = Act.VERIFY if purpose == Purpose.DATA_VERIFICATION else Act.READ
    catalogue: Catalogue = snapshot.catalogue
    bases = [
        "any",
        *(f"SERVICE/{code}" for code in catalogue.services),
        *(f"SCENARIO/{s}" for s in catalogue.scenarios),
    ]
    found = set()
    for channel in ("query", "system", "front-end", "batch"):
        for basis in bases:
            for subject in SubjectClass:
                caller = snapshot.caller(department, "clerk", channel, Purpose(purpose), basis)
                decision = caller._by_share(Use(coordinate, act, subject), at)
                if decision.allow:
                    found.add(decision.rule_id)
    return found


@pytest.mark.parametrize("seed", range(5))
def test_a_cell_shows_sharing_where_and_only_where_some_way_is_allowed(seed: int) -> None:
    world = random_world(seed)
    snapshot = world.snapshot()
    found = cells(matrix(snapshot, AT))
    told = set()
    for number, ((department, coordinate, purpose), cell) in enumerate(sorted(found.items())):
        if number % 5:
            continue
        rules = some_way_is_allowed(snapshot, department, coordinate, purpose, AT)
        assert (cell["effect"] in SHOWN) is bool(rules), (department, coordinate, purpose, cell)
        if rules:
            assert cell["rule"] in rules
        told.add(bool(rules))
    assert told == {True, False}


@pytest.mark.parametrize("seed", range(5))
def test_the_matrix_has_every_department_item_and_purpose(seed: int) -> None:
    world = random_world(seed)
    catalogue = world.catalogue
    items = sum(len(resource.items) for resource in catalogue.resources.values())
    assert len(cells(matrix(world.snapshot(), AT))) == len(catalogue.departments) * items * len(Purpose)


def test_a_suspension_of_a_provider_reaches_its_cells_for_that_department_only() -> None:
    world = random_world(3)
    catalogue = world.catalogue
    provider = next(r.department for r in catalogue.resources.values())
    department = next(slug for slug in catalogue.departments if slug != provider)
    stop = Suspension("S9", provider, department, "", "", "超范围使用", "officer-01", 1)
    before, after = world.base(), world.base().with_changes({"SUSPENSION/S9": rules_of_suspension(catalogue, stop)}, 1)
    was, will = cells(matrix(before, AT)), cells(matrix(after, AT))
    changed = {key for key in was if was[key]["effect"] != will[key]["effect"]}
    assert changed
    assert {key[0] for key in changed} == {department}
    for key in changed:
        assert catalogue.resources[key[1].partition(".")[0]].department == provider
        assert will[key]["effect"] == Effect.SUSPENDED
