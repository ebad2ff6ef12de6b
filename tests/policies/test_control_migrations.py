"""The control database's tables come from migrations, there and back again, on both kinds of database."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

import policies
from policies.control import Control, ControlUnavailable
from policies.control_database import metadata, migrate
from policies.rules import Rules

ROOT = Path(policies.__file__).parent.parent
TABLES = {*metadata.tables, "alembic_version"}


@pytest.fixture
def engine(url: sa.URL) -> Iterator[sa.Engine]:
    made = sa.create_engine(url)
    yield made
    made.dispose()


def tables(engine: sa.Engine) -> set[str]:
    return set(sa.inspect(engine).get_table_names())


def test_an_empty_database_gets_its_tables(engine: sa.Engine) -> None:
    assert tables(engine) == set()
    migrate(engine)
    assert tables(engine) == TABLES


def test_the_migrated_tables_are_those_of_the_program(engine: sa.Engine) -> None:
    migrate(engine)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        assert compare_metadata(context, metadata) == []


def test_every_migration_can_be_taken_back_one_by_one(engine: sa.Engine) -> None:
    history = ScriptDirectory(str(Path(policies.__file__).parent / "control_migrations"))
    revisions = [revision.revision for revision in history.walk_revisions()]
    assert revisions
    migrate(engine)
    for _ in revisions:
        migrate(engine, "-1")
    assert tables(engine) == {"alembic_version"}
    for revision in reversed(revisions):
        migrate(engine, revision)
    assert tables(engine) == TABLES


def test_opening_again_keeps_what_is_there(url: sa.URL) -> None:
    for number in range(3):
        control = Control(url)
        control.open()
        assert asyncio.run(control.sequence()) == number
        asyncio.run(control.publish("a", Rules()))
        control.close()


def test_several_processes_may_start_at_once(url: sa.URL) -> None:
    program = "import sys; from policies.control import Control; c = Control(sys.argv[1]); c.open(); c.close()"
    address = url.render_as_string(hide_password=False)
    command = [sys.executable, "-c", program, address]
    started = [subprocess.Popen(command, cwd=ROOT) for _ in range(4)]
    assert [one.wait(60) for one in started] == [0] * 4
    control = Control(url)
    control.open()
    assert asyncio.run(control.sequence()) == 0
    control.close()


def test_a_database_of_a_newer_program_is_refused_untouched(engine: sa.Engine, url: sa.URL) -> None:
    migrate(engine)
    with engine.begin() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    control = Control(url)
    with pytest.raises(ControlUnavailable):
        control.open()
    control.close()
    assert tables(engine) == TABLES
    with engine.connect() as connection:
        assert connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalar_one() == "9999"
