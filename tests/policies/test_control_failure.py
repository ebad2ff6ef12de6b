"""A control database that is lost, damaged or busy: it is told, and nothing is made up."""

from __future__ import annotations

import asyncio
import sqlite3
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from policies.control import Control, ControlUnavailable, Operation
from policies.grants import (
    Suspension,
)
from policies.rules import Rules
from tests.policies.control_places import place
from tests.policies.control_values import (
    APPLICATION,
    DISABLED,
    NOW,
    ROW,
    SUSPENSION,
    TEXT,
    A,
    decided,
    open_control,
    run,
)

# -- trouble ------------------------------------------------------------------------------------------------------------------


def everything(control: Control) -> list[Any]:
    """Each method that asks the database, once."""
    rules = Rules((ROW,), (), {TEXT.rid: TEXT})
    return [
        control.sequence(), control.changes(0), control.apply(APPLICATION), control.grant("G1"), control.grants(),
        control.change(replace(APPLICATION, id="G1"), replace(APPLICATION, id="G1")), control.suspend(SUSPENSION),
        control.lift("S1", NOW), control.suspensions(), control.disable(DISABLED), control.disablements(),
        control.enable(DISABLED.kind, "x", ""), control.notices(), control.told(["S1"]), control.publish("a", rules),
        control.files(), control.take("housing", [A], 1.0, 0.0, 1), control.give_back("housing", [A], 1.0),
        control.register([Operation("d", "n", "{ a }")], "x", NOW), control.operation("d"), control.operations(),
    ]  # fmt: skip


def test_a_database_without_its_tables_is_unavailable_to_every_question(control: Control, url: sa.URL) -> None:
    engine = sa.create_engine(url)
    found = sa.MetaData()
    found.reflect(engine)
    found.drop_all(engine)
    engine.dispose()
    for asked in everything(control):
        with pytest.raises(ControlUnavailable):
            run(asked)


def test_a_value_that_never_was_written_is_not_read(control: Control, url: sa.URL) -> None:
    decided(control)
    run(control.publish("a", Rules((ROW,), (), {TEXT.rid: TEXT})))
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        connection.execute(sa.text("UPDATE grants SET agreement_state = 'PERHAPS'"))
        connection.execute(sa.text('UPDATE rule_files SET texts = \'[{"rid": "FILE/1"}]\''))
    engine.dispose()
    for asked in (control.grant("G1"), control.changes(0), control.files()):
        with pytest.raises(ControlUnavailable):
            run(asked)


def test_a_file_that_was_replaced_is_not_read_on(tmp_path: Path) -> None:
    file = tmp_path / "deeper" / "control.db"
    control = open_control(sa.make_url(f"sqlite:///{file}"))
    run(control.sequence())
    file.rename(file.with_name("gone.db"))
    for asked in everything(control):
        with pytest.raises(ControlUnavailable):
            run(asked)
    control.close()


def test_a_file_that_is_no_database_is_told_at_opening(tmp_path: Path) -> None:
    (tmp_path / "control.db").write_bytes(b"not a database, not at all" * 100)
    with pytest.raises(ControlUnavailable):
        Control(f"sqlite:///{tmp_path / 'control.db'}").open()


def test_a_server_that_is_not_there_is_told_at_opening() -> None:
    with pytest.raises(ControlUnavailable):
        Control("postgresql+psycopg://nobody@127.0.0.1:1/nothing").open()


def test_lost_connections_are_told_and_made_anew(tmp_path: Path) -> None:
    with place("postgresql", tmp_path) as url:
        name = f"control-{tmp_path.name}"[:60]
        control = open_control(url.update_query_dict({"application_name": name}))
        run(control.suspend(SUSPENSION))
        ending = sa.text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = :name")
        engine = sa.create_engine(url)
        with engine.connect() as connection:
            assert connection.execute(ending, {"name": name}).scalars().all()
        engine.dispose()
        with pytest.raises(ControlUnavailable):
            run(control.sequence())
        assert run(control.sequence()) == 1
        assert len(run(control.suspensions())) == 1
        control.close()


def test_a_writer_in_another_process_is_waited_for(tmp_path: Path) -> None:
    file = tmp_path / "control.db"
    control = open_control(sa.make_url(f"sqlite:///{file}"))
    with sqlite3.connect(file, isolation_level=None, check_same_thread=False) as busy:
        busy.execute("BEGIN IMMEDIATE")

        async def both() -> Suspension:
            waiting = asyncio.create_task(control.suspend(SUSPENSION))
            await asyncio.sleep(0.2)
            assert not waiting.done()
            assert await control.sequence() == 0  # readers are not held up
            busy.execute("COMMIT")
            return await waiting

        assert run(both()).id == "S1"
    busy.close()
    control.close()
