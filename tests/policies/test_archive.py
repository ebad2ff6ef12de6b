"""The archive of policy versions: each is read back as it decided, what is kept is bound to its name, and what was changed is never decided by."""

from __future__ import annotations

import asyncio
import random
import time
import zlib
from dataclasses import replace
from pathlib import Path

import pytest

from policies.archive import Archive, ArchiveChanged, VersionNotKept, keep
from policies.control import Control
from policies.live import Policy, PolicyUnavailable
from policies.parts import NO_GROUPS, Tree
from policies.reasons import while_suspended, without_agreement
from policies.rules import Rules
from policies.snapshot import Snapshot
from schema.catalogue import Place
from tests.policies.city_in_force import NAME, OF_THE_NAME, allows, base
from tests.policies.kept import Kept
from tests.policies.small import CATALOGUE, group, rules, share_row, snapshot
from tests.policies.worlds import World, random_questions, random_world


def history(seed: int, world: World) -> list[Snapshot]:
    """Versions that followed each other: groups in and out at random, now and then several at once; grants that wait, too."""
    chance = random.Random(seed)
    groups = world.groups()
    for grant in world.grants:
        uses = {(grant.department, one.coordinate) for one in grant.items}
        waiting = chance.choice([without_agreement, while_suspended])(grant.id)
        groups[f"GRANT/{grant.id}"] = chance.choice(
            [groups.get(f"GRANT/{grant.id}", Rules()), Rules(waiting=dict.fromkeys(uses, waiting))]
        )
    versions = [world.base()]
    for number in range(1, 15):
        names = chance.sample(list(groups), min(len(groups), chance.choice([1, 1, 2, 5])))
        changed = {name: Rules() if chance.random() < 0.3 else groups[name] for name in names}
        versions.append(versions[-1].with_changes(changed, number))
    return versions


@pytest.mark.parametrize("seed", range(12))
def test_every_version_is_read_back_as_it_decided_in_any_order(seed: int) -> None:
    world, store = random_world(seed), Kept()
    versions = history(seed, world)
    for version in versions:
        keep(store, version)
    archive, chance = Archive(store), random.Random(seed)
    for version in chance.choices(versions, k=20):
        read = archive.snapshot(version.version)
        assert read.groups() == version.groups()
        for asked in random_questions(chance.randrange(1_000), world, 40):
            assert asked.of(read) == asked.of(version)


@pytest.mark.parametrize("seed", range(6))
def test_a_name_stands_for_one_content_whatever_led_to_it(seed: int) -> None:
    world = random_world(seed)
    last = history(seed, world)[-1]
    at_once = world.base().with_changes(last.groups(), last.sequence)
    assert at_once.version == last.version
    assert last.with_changes({}, last.sequence).version == last.version
    assert last.with_changes({}, last.sequence + 1).version != last.version
    for name in last.groups():
        assert last.with_changes({name: Rules()}, last.sequence).version != last.version
    one = last.with_changes({"FILE/more": group(share_row("RULE/more/1", object="R1", eft="deny"))}, last.sequence)
    assert one.version not in {last.version, at_once.version}


def test_two_groups_that_differ_in_a_word_of_a_reason_have_two_names() -> None:
    start = snapshot(share_row("A"))
    told = [
        start.with_changes({"GRANT/G1": Rules(waiting={("housing", "Register.name"): reason("G1")})}, 1)
        for reason in (while_suspended, without_agreement)
    ]
    assert told[0].version != told[1].version


def test_where_a_line_of_the_catalogue_stands_is_no_content() -> None:
    placed = {name: replace(one, place=Place("elsewhere.yaml", 99)) for name, one in CATALOGUE.resources.items()}
    elsewhere = Snapshot(replace(CATALOGUE, resources=placed), rules(share_row("A")))
    assert elsewhere.version == snapshot(share_row("A")).version


def test_of_two_waiting_grants_the_first_by_name_tells_why() -> None:
    waiting = {name: Rules(waiting={("housing", "Register.photo"): without_agreement(name)}) for name in ("G1", "G2")}
    one = base().with_changes(waiting, 1)
    other = base().with_changes({"G2": waiting["G2"]}, 1).with_changes({"G1": waiting["G1"]}, 1)
    for policy in (one, other):
        told = policy.waiting("housing", "Register.photo")
        assert told == without_agreement("G1")
    assert one.with_changes({"G1": Rules()}, 2).waiting("housing", "Register.photo") == without_agreement("G2")


# -- what a change costs -------------------------------------------------------------------------------------------


def test_a_change_keeps_its_own_parts_only_and_a_version_is_kept_once() -> None:
    store = Kept()
    many = {f"FILE/{n}": group(share_row(f"RULE/{n}/1", eft="deny")) for n in range(2_000)}
    version = base().with_changes(many, 1)
    keep(store, version)
    keep(store, version)
    assert len(store.written) == 1
    changed = version.with_changes({"FILE/1234": group(share_row("RULE/1234/2", eft="deny"))}, 2)
    keep(store, changed)
    assert store.written[1] <= 6  # the version, its group, the few parts of the tree above it
    assert Archive(store).snapshot(changed.version).groups() == changed.groups()


@pytest.mark.parametrize("seed", range(5))
def test_the_tree_of_a_set_of_groups_is_one_whatever_was_in_it(seed: int) -> None:
    chance = random.Random(seed)
    groups: dict[str, str] = {}
    tree: Tree = NO_GROUPS
    for _ in range(60):
        names = [f"GRANT/G{chance.randint(1, 400)}" for _ in range(chance.choice([1, 3, 100]))]
        changes = {name: chance.choice(["", "", "a" * 32, "b" * 32]) for name in names}
        tree = tree.grown(changes)
        groups = {name: digest for name, digest in (groups | changes).items() if digest}
        assert dict(tree.leaves()) == groups
        assert tree.count == len(groups)
        assert tree.digest == NO_GROUPS.grown(groups).digest


# -- an archive that was changed -------------------------------------------------------------------------------------


def test_a_part_that_is_gone_or_changed_is_told_and_never_decided_by() -> None:
    store = Kept()
    version = base().with_changes({"FILE/f": group(share_row("RULE/f/1", eft="deny"))}, 1)
    keep(store, version)
    whole = dict(store.held)
    for digest, part in whole.items():
        plain = zlib.decompress(part)
        store.held = {name: one for name, one in whole.items() if name != digest}
        with pytest.raises(VersionNotKept):
            Archive(store).snapshot(version.version)
        other = next(one for name, one in whole.items() if name != digest)
        for harm in (b"", part[:-1], plain, other, zlib.compress(plain.replace(b"deny", b"alow") + b" ")):
            store.held = {**whole, digest: harm}
            with pytest.raises(ArchiveChanged):
                Archive(store).snapshot(version.version)
    store.held = whole
    assert Archive(store).snapshot(version.version).version == version.version


@pytest.mark.parametrize("name", ["", "a561fe48124100d9.4", "p1", "0" * 16 + ".1." + "0" * 32])
def test_a_name_that_binds_no_kept_content_is_no_version(name: str) -> None:
    store = Kept()
    keep(store, base())
    with pytest.raises(VersionNotKept):
        Archive(store).snapshot(name)


def test_the_same_content_under_another_number_or_base_is_another_version() -> None:
    store, version = Kept(), base()
    keep(store, version)
    first, number, digest = version.version.split(".")
    for name in (f"{first}.7.{digest}", f"{first[::-1]}.{number}.{digest}"):
        with pytest.raises(ArchiveChanged):
            Archive(store).snapshot(name)


def test_a_part_without_end_does_not_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    store, version = Kept(), base()
    keep(store, version)
    monkeypatch.setattr("policies.archive._LARGEST", 1_000)
    with pytest.raises(ArchiveChanged):
        Archive(store).snapshot(version.version)


# -- in force only when it is kept -----------------------------------------------------------------------------------


def test_a_version_is_kept_before_it_is_in_force_and_nothing_is_decided_while_it_cannot_be(tmp_path: Path) -> None:
    async def steps() -> None:
        store = Kept()
        control = Control(f"sqlite:///{tmp_path / 'control.db'}")
        control.open()
        policy = Policy(base(), control, 30.0, lambda snapshot: keep(store, snapshot))
        await policy.refresh()
        assert Archive(store).snapshot(policy.version).version == policy.version
        store.broken = True
        await control.suspend(OF_THE_NAME)
        with pytest.raises(PolicyUnavailable):
            await policy.refresh()
        with pytest.raises(PolicyUnavailable):  # at once: the lease is not waited for
            policy.snapshot()
        store.broken = False
        await policy.refresh()
        assert not allows(policy, NAME)
        assert Archive(store).snapshot(policy.version).groups() == policy.snapshot().groups()
        written = len(store.written)
        begun = time.monotonic()
        while time.monotonic() < begun + 0.05:
            await policy.refresh()
        assert len(store.written) == written  # nothing is written while nothing changes
        control.close()

    asyncio.run(steps())
