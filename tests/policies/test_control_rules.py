"""The control database keeps rule files, attempts at verification and trusted operations. The same on SQLite and on PostgreSQL."""

from __future__ import annotations

import asyncio

import sqlalchemy as sa

from policies.control import Control, Operation
from policies.rules import Rules
from tests.policies.control_values import (
    NEED,
    NOW,
    ROW,
    TEXT,
    A,
    B,
    run,
)

# -- rule files ----------------------------------------------------------------------------------------------------------


def test_a_rule_file_comes_back_as_it_was_published(control: Control, other: Control) -> None:
    rules = Rules((ROW, ROW._replace(eft="deny")), (NEED,), {TEXT.rid: TEXT})
    run(control.publish("local", rules))
    assert run(other.files()) == {"local": rules}
    assert run(other.changes(0)).rules
    assert not run(other.changes(run(other.sequence()))).rules


def test_publishing_replaces_the_file_of_that_name_whole(control: Control) -> None:
    texts = {TEXT.rid: TEXT}
    run(control.publish("a", Rules((ROW,), (), texts)))
    run(control.publish("b", Rules((ROW,), (), texts)))
    number = run(control.sequence())
    run(control.publish("a", Rules((), (NEED,), texts)))
    assert run(control.files()) == {"a": Rules((), (NEED,), texts), "b": Rules((ROW,), (), texts)}
    run(control.publish("a", Rules()))
    assert run(control.files()) == {"b": Rules((ROW,), (), texts)}
    assert run(control.changes(number)).rules


# -- attempts at verification -----------------------------------------------------------------------------------------------


def test_attempts_run_out_each_by_itself(control: Control) -> None:
    def take(*pairs: tuple[str, str], at: float) -> frozenset[tuple[str, str]]:
        return run(control.take("housing", pairs, at, 0.0, 2))

    assert take(A, at=1.0) == {A}
    assert take(A, B, A, at=2.0) == {A, B}
    assert take(A, B, at=3.0) == {B}
    assert take(A, B, at=4.0) == frozenset()
    assert take(("hash-a", "R.other"), at=4.0) == {("hash-a", "R.other")}
    assert run(control.take("taxation", [A], 4.0, 0.0, 2)) == {A}
    assert take(at=5.0) == frozenset()


def test_attempts_before_the_window_are_forgotten(control: Control, url: sa.URL) -> None:
    for at in (1.0, 2.0):
        run(control.take("housing", [A], at, 0.0, 2))
    assert run(control.take("housing", [A], 3.0, 1.0, 2)) == frozenset()
    assert run(control.take("housing", [A], 3.0, 1.5, 2)) == {A}
    engine = sa.create_engine(url)
    with engine.connect() as connection:
        assert connection.execute(sa.text("SELECT count(*) FROM attempts")).scalar_one() == 2
    engine.dispose()


def test_giving_back_undoes_exactly_the_attempts_of_that_moment(control: Control) -> None:
    run(control.take("housing", [A, B], 1.0, 0.0, 2))
    run(control.take("housing", [A, B], 2.5, 0.0, 2))
    run(control.give_back("housing", [A, A], 2.5))
    run(control.give_back("housing", [B], 7.0))
    run(control.give_back("taxation", [B], 2.5))
    assert run(control.take("housing", [A, B], 3.0, 0.0, 2)) == {A}


def test_giving_back_one_of_two_attempts_of_the_same_moment_leaves_the_other(control: Control) -> None:
    for _ in range(2):
        run(control.take("housing", [A], 1.0, 0.0, 2))
    run(control.give_back("housing", [A], 1.0))
    assert run(control.take("housing", [A], 1.0, 0.0, 2)) == {A}
    assert run(control.take("housing", [A], 1.0, 0.0, 2)) == frozenset()


def test_no_more_than_the_attempts_are_taken_by_several_at_once(control: Control, other: Control) -> None:
    async def race() -> list[frozenset[tuple[str, str]]]:
        takes = [one.take("housing", [A, B], float(n), 0.0, 3) for n in range(8) for one in (control, other)]
        return list(await asyncio.gather(*takes))

    taken = run(race())
    assert sum(A in one for one in taken) == 3
    assert sum(B in one for one in taken) == 3


def test_very_many_attempts_are_taken_in_one_go(control: Control) -> None:
    pairs = [(f"hash-{n}", "R.name") for n in range(1_200)]
    assert len(run(control.take("housing", pairs, 1.0, 0.0, 1))) == 1_200
    assert run(control.take("housing", pairs, 2.0, 0.0, 1)) == frozenset()


# -- trusted operations -----------------------------------------------------------------------------------------------------


def test_a_digest_stands_for_one_text_for_ever(control: Control, other: Control) -> None:
    run(control.register([Operation("d1", "b", "{ b }"), Operation("d2", "a", "{ a }")], "officer-01", NOW))
    run(control.register([Operation("d1", "evil", "{ evil }")], "officer-01", NOW))
    assert run(other.operation("d1")) == "{ b }"
    assert run(other.operation("d3")) is None
    assert [one.digest for one in run(other.operations())] == ["d2", "d1"]
