"""The case store's tables come from migrations, there and back again."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

import policies
from policies.cases import CaseStore, CaseStoreUnavailable, CaseSubject, metadata, migrate
from tests.policies.small import SERVICE

TABLES = {"cases", "case_subjects", "alembic_version"}


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[sa.Engine]:
    made = sa.create_engine(f"sqlite:///{tmp_path / 'cases.db'}")
    yield made
    made.dispose()


def tables(engine: sa.Engine) -> set[str]:
    return set(sa.inspect(engine).get_table_names())


def schema(engine: sa.Engine) -> list[str]:
    with engine.connect() as connection:
        return sorted(map(str, connection.execute(sa.text("SELECT sql FROM sqlite_schema")).scalars()))


def schema_changes(engine: sa.Engine) -> int:
    """How often the file's schema was changed so far."""
    with engine.connect() as connection:
        return int(connection.execute(sa.text("PRAGMA schema_version")).scalar_one())


def test_an_empty_store_gets_its_tables(engine: sa.Engine) -> None:
    assert tables(engine) == set()
    migrate(engine)
    assert tables(engine) == TABLES


def test_the_migrated_tables_are_those_of_the_program(engine: sa.Engine) -> None:
    migrate(engine)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        assert compare_metadata(context, metadata) == []


def test_a_store_can_be_taken_down_and_built_anew(engine: sa.Engine) -> None:
    migrate(engine)
    first = schema(engine)
    migrate(engine, "base")
    assert tables(engine) == {"alembic_version"}
    migrate(engine)
    assert schema(engine) == first


def test_every_migration_can_be_taken_back_one_by_one(engine: sa.Engine) -> None:
    history = ScriptDirectory(str(Path(policies.__file__).parent / "migrations"))
    revisions = [revision.revision for revision in history.walk_revisions()]
    assert revisions
    migrate(engine)
    for _ in revisions:
        migrate(engine, "-1")
    assert tables(engine) == {"alembic_version"}
    for revision in reversed(revisions):
        migrate(engine, revision)
    assert tables(engine) == TABLES


def test_migrating_a_current_store_changes_nothing(engine: sa.Engine) -> None:
    migrate(engine)
    before = schema_changes(engine)
    migrate(engine)
    assert schema_changes(engine) == before


def test_opening_a_current_store_keeps_its_cases(engine: sa.Engine) -> None:
    now = datetime(2026, 6, 1, tzinfo=UTC)
    subject = CaseSubject("Person", "421202199001011234", "APPLICANT", "本人申请")
    for number in ("N-1", "N-2"):
        store = CaseStore(str(engine.url), bytes(32))
        store.open()
        asyncio.run(store.accept(SERVICE, number, (subject,), "clerk-01", now))
        assert len(asyncio.run(store.of_department("housing", 10))) == int(number[-1])
        store.close()


def test_a_store_of_a_newer_program_is_refused_untouched(engine: sa.Engine) -> None:
    migrate(engine)
    with engine.begin() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    before = schema_changes(engine)
    store = CaseStore(str(engine.url), bytes(32))
    with pytest.raises(CaseStoreUnavailable):
        store.open()
    store.close()
    assert schema_changes(engine) == before
