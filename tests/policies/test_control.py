"""The control database keeps what departments decide: grants, suspensions, disablements. The same on SQLite and on PostgreSQL."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from policies.control import Control, ControlConflict, Operation
from policies.grants import (
    DisabledKind,
    Grant,
    GrantState,
    Notice,
    NoticeKind,
)
from policies.rules import Rules
from schema.errors import Text
from tests.policies.control_values import (
    APPLICATION,
    DISABLED,
    NOW,
    ROW,
    SUSPENSION,
    TEXT,
    decided,
    granted,
    run,
    step,
)

# -- grants ------------------------------------------------------------------------------------------------------


def test_an_application_is_kept_as_it_was_and_gets_an_id(control: Control, other: Control) -> None:
    applied = run(control.apply(APPLICATION))
    assert applied == replace(APPLICATION, id="G1")
    assert run(other.grant("G1")) == applied
    assert run(control.apply(APPLICATION)).id == "G2"


def test_a_decision_is_kept_whole(control: Control, other: Control) -> None:
    grant = decided(control)
    assert run(other.grant("G1")) == grant
    assert grant.active
    assert [item.coordinate for item in grant.granted] == ["MinimumLivingAllowance.number"]


@pytest.mark.parametrize("name", ["", "G", "G0", "G2", "g1", "S1", "G01", "G1 ", "G١", "G" + "9" * 30, "G-1"])
def test_another_id_is_no_grant(control: Control, name: str) -> None:
    run(control.apply(APPLICATION))
    assert run(control.grant(name)) is None


def test_of_two_decisions_on_the_same_application_one_wins(control: Control, other: Control) -> None:
    applied = run(control.apply(APPLICATION))
    first, second = granted(applied), granted(applied, state=GrantState.REFUSED)

    async def race() -> list[Grant | BaseException]:
        changes = (control.change(first, applied), other.change(second, applied))
        return list(await asyncio.gather(*changes, return_exceptions=True))

    results = run(race())
    won = [one for one in results if isinstance(one, Grant)]
    assert len(won) == 1
    assert sum(isinstance(one, ControlConflict) for one in results) == 1
    assert run(control.grant("G1")) == won[0]


def test_a_change_never_rewrites_the_steps_so_far(control: Control) -> None:
    applied = run(control.apply(APPLICATION))
    for steps in ((), (step("other"),), (step("other"), step("decide"))):
        with pytest.raises(ControlConflict):
            run(control.change(replace(granted(applied), steps=steps), applied))
    assert run(control.grant("G1")) == applied


def test_a_change_that_conflicts_leaves_no_notice_and_no_number(control: Control) -> None:
    applied = run(control.apply(APPLICATION))
    run(control.change(granted(applied), applied))
    number, notice = run(control.sequence()), Notice(0, NOW, NoticeKind.EXCEPTION, Text("x", "x"), "G1")
    with pytest.raises(ControlConflict):
        run(control.change(granted(applied), applied, (notice,)))
    assert run(control.sequence()) == number
    assert run(control.notices()) == ()


def test_a_department_lists_the_grants_that_it_uses_or_provides_newest_first(control: Control) -> None:
    run(control.apply(APPLICATION))
    run(control.apply(replace(APPLICATION, department="taxation")))
    run(control.apply(replace(APPLICATION, department="taxation", provider="housing")))

    def ids(department: str, limit: int = 100, before: str = "") -> list[str]:
        return [grant.id for grant in run(control.grants(department, None, limit, before))]

    assert ids("housing") == ["G3", "G1"]
    assert ids("civil-affairs") == ["G2", "G1"]
    assert ids("health") == []
    assert ids("") == ["G3", "G2", "G1"]
    assert ids("", limit=2) == ["G3", "G2"]
    assert ids("", before="G2") == ["G1"]
    assert ids("", before="nonsense") == []


def test_grants_are_listed_by_state(control: Control) -> None:
    decided(control)
    run(control.apply(APPLICATION))
    assert [g.id for g in run(control.grants("housing", GrantState.GRANTED))] == ["G1"]
    assert [g.id for g in run(control.grants("housing", GrantState.APPLIED))] == ["G2"]
    assert run(control.grants("housing", GrantState.ENDED)) == ()


# -- the number of the last change -----------------------------------------------------------------------------------


def test_every_change_that_touches_decisions_gets_the_next_number(control: Control, other: Control) -> None:
    numbers = [run(other.sequence())]

    def changed() -> None:
        numbers.append(run(other.sequence()))

    grant = decided(control)
    changed()
    run(control.change(replace(grant, state=GrantState.ENDED, steps=(*grant.steps, step("end"))), grant))
    changed()
    suspended = run(control.suspend(SUSPENSION))
    changed()
    run(control.lift(suspended.id, NOW))
    changed()
    run(control.disable(DISABLED))
    changed()
    run(control.enable(DISABLED.kind, DISABLED.name, DISABLED.department))
    changed()
    run(control.publish("a", Rules((ROW,), (), {TEXT.rid: TEXT})))
    changed()
    assert numbers == list(range(len(numbers)))


def test_what_decides_nothing_gets_no_number(control: Control) -> None:
    run(control.apply(APPLICATION))
    run(control.take("housing", [("h", "R.a")], 1.0, 0.0, 5))
    run(control.register([Operation("d", "n", "{ a }")], "officer-01", NOW))
    assert run(control.sequence()) == 0


def test_changes_tell_only_what_came_after(control: Control) -> None:
    first = decided(control)
    number = run(control.sequence())
    second = decided(control)
    changes = run(control.changes(number))
    assert (changes.sequence, changes.grants) == (number + 1, (second,))
    assert run(control.changes(changes.sequence)).grants == ()
    ended = replace(first, state=GrantState.ENDED, steps=(*first.steps, step("end")))
    run(control.change(ended, first))
    assert run(control.changes(changes.sequence)).grants == (ended,)


def test_a_process_that_starts_gets_every_grant_in_force(control: Control) -> None:
    first, second = decided(control), decided(control)
    run(control.apply(APPLICATION))
    run(control.change(replace(first, state=GrantState.ENDED, steps=(*first.steps, step("end"))), first))
    run(control.suspend(SUSPENSION))
    run(control.disable(DISABLED))
    changes = run(control.changes(0))
    assert changes.grants == (second,)
    assert [one.id for one in changes.suspensions] == ["S1"]
    assert changes.disablements == (DISABLED,)
    assert not changes.rules


def test_changes_are_those_of_their_number_while_others_write(control: Control, other: Control) -> None:
    async def write() -> None:
        for _ in range(15):
            await other.suspend(SUSPENSION)

    async def read(writing: asyncio.Task[None]) -> int:
        reads = 0
        while not writing.done():
            changes = await control.changes(0)
            assert len(changes.suspensions) == changes.sequence
            reads += 1
        return reads

    async def both() -> int:
        return await read(asyncio.create_task(write()))

    assert run(both()) > 1
    assert run(control.changes(0)).sequence == 15


# -- suspensions -----------------------------------------------------------------------------------------------------


def test_a_suspension_is_open_until_it_is_lifted(control: Control, other: Control) -> None:
    suspended = run(control.suspend(SUSPENSION))
    assert suspended == replace(SUSPENSION, id="S1")
    assert run(other.changes(0)).suspensions == (suspended,)
    lifted = run(control.lift("S1", NOW + 5))
    assert lifted == replace(suspended, lifted_at=NOW + 5)
    assert run(other.changes(0)).suspensions == ()
    assert run(other.suspensions("civil-affairs", open_only=False)) == (lifted,)
    assert run(other.suspension("S1")) == lifted


def test_a_lifted_suspension_stays_as_it_was_lifted(control: Control) -> None:
    run(control.suspend(SUSPENSION))
    first = run(control.lift("S1", NOW + 5))
    assert run(control.lift("S1", NOW + 9)) == first
    assert len(run(control.notices())) == 2


@pytest.mark.parametrize("name", ["", "S2", "G1", "S1x"])
def test_another_id_is_no_suspension(control: Control, name: str) -> None:
    run(control.suspend(SUSPENSION))
    assert run(control.lift(name, NOW)) is None
    assert run(control.suspension(name)) is None
    assert len(run(control.suspensions())) == 1


def test_suspensions_are_listed_by_provider(control: Control) -> None:
    run(control.suspend(SUSPENSION))
    run(control.suspend(replace(SUSPENSION, provider="health", object="BirthCertificate")))
    assert [one.id for one in run(control.suspensions("health"))] == ["S2"]
    assert [one.id for one in run(control.suspensions())] == ["S2", "S1"]


@pytest.mark.parametrize(
    ("what", "shown"),
    [
        ({}, "everything for housing"),
        ({"department": "", "grant": "G7"}, "the grant G7"),
        ({"object": "BirthCertificate"}, "BirthCertificate for housing"),
        ({"department": "", "object": "BirthCertificate.name"}, "BirthCertificate.name for everybody"),
    ],
)
def test_the_supervising_authority_is_told_of_each_suspension(
    control: Control, what: dict[str, str], shown: str
) -> None:
    run(control.suspend(replace(SUSPENSION, **what)))  # type: ignore[arg-type]
    (notice,) = run(control.notices())
    assert (notice.number, notice.at, notice.kind, notice.reference) == (1, NOW, NoticeKind.SUSPENDED, "S1")
    assert f"civil-affairs suspended {shown}" in notice.text.en
    assert "超范围使用" in notice.text.zh
    assert run(control.told(["S1", "S2"])) == {"S1": notice}


def test_notices_are_read_on_from_a_number(control: Control) -> None:
    for _ in range(5):
        run(control.suspend(SUSPENSION))
    assert [one.number for one in run(control.notices(2, 2))] == [3, 4]
    assert run(control.notices(5)) == ()


def test_a_change_of_a_grant_may_tell_the_authority(control: Control) -> None:
    applied = run(control.apply(APPLICATION))
    notice = Notice(0, NOW, NoticeKind.EXCEPTION, Text("agreed", "协商"), "")
    run(control.change(granted(applied), applied, (notice,)))
    assert run(control.notices()) == (replace(notice, number=1, reference="G1"),)


# -- disablements ------------------------------------------------------------------------------------------------------


def test_who_is_disabled_stays_so_until_enabled_by_the_same_name(control: Control, other: Control) -> None:
    run(control.disable(DISABLED))
    run(control.disable(replace(DISABLED, reason="停职", at=NOW + 1)))
    assert run(other.disablements()) == (replace(DISABLED, reason="停职", at=NOW + 1),)
    assert not run(other.enable(DISABLED.kind, DISABLED.name, ""))
    assert not run(other.enable(DisabledKind.CLIENT, DISABLED.name, DISABLED.department))
    assert run(other.enable(DISABLED.kind, DISABLED.name, DISABLED.department))
    assert run(control.disablements()) == ()
    assert not run(control.enable(DISABLED.kind, DISABLED.name, DISABLED.department))
