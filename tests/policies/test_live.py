"""The policy in force: it follows the control database, whatever is changed in it, and is gone when the database is."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa

from policies.control import Control
from policies.grants import Grant, GrantState
from policies.live import Policy, PolicyUnavailable
from policies.rules import Rules
from tests.policies.city_in_force import (
    APPLICATION,
    LEASE,
    NAME,
    OF_EVERYTHING,
    OF_THE_NAME,
    PHOTO,
    allows,
    base,
    granted,
    of_grant,
)
from tests.policies.control_places import KINDS, place
from tests.policies.small import basis_row, group, share_row

run = asyncio.run


@pytest.fixture(params=KINDS)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[sa.URL]:
    with place(request.param, tmp_path) as made:
        yield made


@asynccontextmanager
async def following(url: sa.URL, lease: float = LEASE, polling: bool = False) -> AsyncIterator[tuple[Control, Policy]]:
    """A control database and a policy that follows it: by itself where `polling`, else when it is told to."""
    control = Control(url)
    control.open()
    policy = Policy(base(), control, lease)
    try:
        await (policy.open() if polling else policy.refresh())
        yield control, policy
    finally:
        await policy.close()
        control.close()


async def until(what: Callable[[], bool], seconds: float) -> float:
    """Seconds until `what` holds; fails when it does not within `seconds`."""
    begun = time.monotonic()
    while not what():
        assert time.monotonic() - begun < seconds, "it did not happen in time"
        await asyncio.sleep(0.01)
    return time.monotonic() - begun


def is_gone(policy: Policy) -> bool:
    try:
        policy.snapshot()
    except PolicyUnavailable:
        return True
    return False


async def grant_it(control: Control) -> Grant:
    applied = await control.apply(APPLICATION)
    return await control.change(replace(granted(applied), id=applied.id), applied)


def test_every_change_is_in_force_after_a_refresh(url: sa.URL) -> None:
    async def steps() -> None:
        async with following(url) as (control, policy):

            async def after(change: Awaitable[object]) -> tuple[bool, bool]:
                await change
                await policy.refresh()
                return allows(policy, NAME), allows(policy, PHOTO)

            assert (allows(policy, NAME), allows(policy, PHOTO)) == (True, False)
            grant = await grant_it(control)
            assert await after(asyncio.sleep(0)) == (True, True)
            assert await after(control.suspend(of_grant(grant))) == (True, False)
            assert await after(control.suspend(OF_THE_NAME)) == (False, False)
            assert await after(control.lift("S1", 2)) == (False, True)
            assert await after(control.suspend(OF_EVERYTHING)) == (False, False)
            assert await after(control.lift("S2", 2)) == (False, False)
            assert await after(control.lift("S3", 2)) == (True, True)
            deny = group(share_row("RULE/local/1", eft="deny"))
            assert await after(control.publish("local", deny)) == (False, True)
            assert await after(control.publish("local", Rules())) == (True, True)
            assert await after(control.change(replace(grant, state=GrantState.ENDED), grant)) == (True, False)

    run(steps())


def test_a_policy_opened_later_is_the_same(url: sa.URL) -> None:
    async def steps() -> None:
        async with following(url) as (control, first):
            grant = await grant_it(control)
            await control.suspend(of_grant(grant))
            await control.suspend(OF_THE_NAME)
            await control.publish("local", group(share_row("RULE/local/1", object="Register.address", eft="deny")))
            await first.refresh()
            async with following(url) as (_, second):
                assert second.version == first.version
                assert second.snapshot().groups().keys() == first.snapshot().groups().keys()
                assert not allows(second, NAME)
                assert not allows(second, PHOTO)

    run(steps())


def test_a_grant_that_was_ended_while_suspended_does_not_come_back_when_it_is_lifted(url: sa.URL) -> None:
    async def steps() -> None:
        async with following(url) as (control, policy):
            grant = await grant_it(control)
            await control.suspend(of_grant(grant))
            await policy.refresh()
            await control.change(replace(grant, state=GrantState.ENDED), grant)
            await policy.refresh()
            await control.lift("S1", 2)
            await policy.refresh()
            assert not allows(policy, PHOTO)

    run(steps())


def test_a_database_restored_from_an_earlier_day_is_read_anew(url: sa.URL) -> None:
    """The number of the last change went back: what was granted since is not in force, what was suspended then is."""

    async def steps() -> None:
        async with following(url) as (control, policy):
            await control.suspend(replace(OF_THE_NAME, object="Register.address"))
            grant = await grant_it(control)
            await control.publish("local", group(share_row("RULE/local/1", object="Register.cause")))
            await policy.refresh()
            assert allows(policy, PHOTO)
            engine = sa.create_engine(url)
            with engine.begin() as connection:
                connection.execute(sa.text("DELETE FROM grant_items"))
                connection.execute(sa.text("DELETE FROM grants"))
                connection.execute(sa.text("DELETE FROM rule_files"))
                connection.execute(sa.text("UPDATE suspensions SET object = 'Register.name'"))
                connection.execute(sa.text("UPDATE sequence SET number = 1"))
            engine.dispose()
            await policy.refresh()
            assert grant.id == "G1"
            assert not allows(policy, PHOTO)
            assert not allows(policy, NAME)
            assert policy.snapshot().groups().keys() == {"SUSPENSION/S1"}

    run(steps())


@pytest.mark.parametrize(
    "unsound",
    [
        group(share_row("RULE/local/1", object="Register.gone")),
        group(share_row("RULE/local/1", eft="Deny")),
        group(share_row("SHARE/Register.name/ADMINISTRATIVE_BASIS")),
        Rules((share_row("RULE/local/1"),), (), {}),
    ],
    ids=["unknown item", "typo", "the id of another rule", "no reason"],
)
def test_rules_that_are_not_sound_never_come_into_force(url: sa.URL, unsound: Rules) -> None:
    """What only allows is left out; with anything else the last good version stays until its lease ends, then all is denied."""

    async def steps() -> None:
        async with following(url, lease=30.0) as (control, policy):
            before = policy.snapshot()
            await control.publish("local", unsound)
            if {row.eft for row in unsound.share} == {"allow"}:
                await policy.refresh()
                assert "FILE/local" not in policy.snapshot().groups()
                assert allows(policy, NAME)
            else:
                with pytest.raises(ValueError, match="POL"):
                    await policy.refresh()
                assert policy.snapshot() is before

    run(steps())


def test_a_basis_row_in_a_rule_file_is_not_ignored(url: sa.URL) -> None:
    async def steps() -> None:
        async with following(url) as (control, policy):
            denied = basis_row("RULE/local/2", eft="deny")
            rules = group(share_row("RULE/local/1", object="Register.address"))
            texts = {**rules.texts, "RULE/local/2": replace(rules.texts["RULE/local/1"], rid="RULE/local/2")}
            await control.publish("local", Rules(rules.share, (denied,), texts))
            with pytest.raises(ValueError, match="POL114"):
                await policy.refresh()

    run(steps())


# -- the lease -----------------------------------------------------------------------------------------------------


def test_a_file_that_is_gone_denies_within_the_lease_and_all_is_well_when_it_is_back(tmp_path: Path) -> None:
    file, away = tmp_path / "control.db", tmp_path / "away.db"

    async def steps() -> None:
        async with following(sa.make_url(f"sqlite:///{file}"), polling=True) as (_, policy):
            assert allows(policy, NAME)
            file.rename(away)
            assert await until(lambda: is_gone(policy), LEASE + 0.3) >= LEASE - 0.4
            away.rename(file)
            await until(lambda: not is_gone(policy), 1.0)
            assert allows(policy, NAME)

    run(steps())


def test_another_file_in_its_place_is_not_believed(tmp_path: Path) -> None:
    file = tmp_path / "control.db"

    async def steps() -> None:
        async with following(sa.make_url(f"sqlite:///{file}"), polling=True) as (control, policy):
            await control.suspend(OF_THE_NAME)
            await policy.refresh()
            file.rename(tmp_path / "away.db")
            other = Control(f"sqlite:///{file}")
            other.open()
            other.close()
            await until(lambda: is_gone(policy), LEASE + 0.3)

    run(steps())


def test_a_writer_at_work_keeps_nobody_from_deciding(tmp_path: Path) -> None:
    """SQLite in WAL mode: its one writer does not lock readers out, and nothing else can while the policy is connected."""
    file = tmp_path / "control.db"

    async def steps() -> None:
        async with following(sa.make_url(f"sqlite:///{file}"), polling=True) as (_, policy):
            locking = sqlite3.connect(file, isolation_level=None)
            locking.execute("BEGIN IMMEDIATE")
            await asyncio.sleep(LEASE + 0.3)
            assert allows(policy, NAME)
            locking.execute("ROLLBACK")
            locking.execute("PRAGMA locking_mode=EXCLUSIVE")
            with pytest.raises(sqlite3.OperationalError, match="locked"):
                locking.execute("BEGIN EXCLUSIVE")
            locking.close()

    run(steps())


def test_a_locked_server_denies_within_the_lease_and_all_is_well_when_it_is_free(tmp_path: Path) -> None:
    with place("postgresql", tmp_path) as url:
        engine = sa.create_engine(url)

        async def steps() -> None:
            async with following(url, polling=True) as (_, policy):
                with engine.begin() as connection:
                    connection.execute(sa.text("LOCK TABLE sequence IN ACCESS EXCLUSIVE MODE"))
                    await until(lambda: is_gone(policy), LEASE + 0.5)
                await until(lambda: not is_gone(policy), 2.0)
                assert allows(policy, NAME)

        run(steps())
        engine.dispose()


def test_a_server_that_refuses_connections_denies_within_the_lease_and_all_is_well_when_it_answers(
    tmp_path: Path,
) -> None:
    """A server is there and gone: its role may not log in any more, and its sessions are ended."""
    with place("postgresql", tmp_path) as url:
        engine = sa.create_engine(url, isolation_level="AUTOCOMMIT")
        role = f"control_{url.query['options'][-12:]}"

        def tell(*statements: str) -> None:
            with engine.connect() as connection:
                for statement in statements:
                    connection.execute(sa.text(statement))

        schema = str(url.query["options"]).partition("search_path=")[2]
        tell(f"CREATE ROLE {role} LOGIN", f"GRANT ALL ON SCHEMA {schema} TO {role}")

        async def steps() -> None:
            async with following(url.set(username=role), polling=True) as (_, policy):
                assert allows(policy, NAME)
                tell(f"ALTER ROLE {role} NOLOGIN", f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{role}'")  # fmt: skip
                await until(lambda: is_gone(policy), LEASE + 0.5)
                tell(f"ALTER ROLE {role} LOGIN")
                await until(lambda: not is_gone(policy), 2.0)
                assert allows(policy, NAME)

        try:
            run(steps())
        finally:
            tell(f"DROP OWNED BY {role}", f"DROP ROLE {role}")
            engine.dispose()


def test_a_policy_whose_database_was_never_there_decides_nothing(tmp_path: Path) -> None:
    async def steps() -> None:
        control = Control(f"sqlite:///{tmp_path / 'none' / 'control.db'}")
        policy = Policy(base(), control, LEASE)
        with pytest.raises(PolicyUnavailable):
            await policy.refresh()
        assert is_gone(policy)
        control.close()

    run(steps())
