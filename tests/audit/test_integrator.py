"""The integrator: frames sequenced and sealed within a second, by one at a time, and never a tree that does not continue the last."""

from __future__ import annotations

import asyncio
import hashlib
import sqlite3
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from audit.checkpoint import SigningFailed, opened, read_signer
from audit.integrator import LATEST, Integrator, State, exported_at
from audit.ledger import Ledger, LedgerUnavailable
from audit.merkle import TreeHash
from audit.store import Lease, NewFrame, Store
from audit.stores import store_at
from audit.verify_offline import Checkpoint, Key, parse_checkpoint
from tests.audit.store_places import KINDS, store_url
from tests.audit.test_merkle import naive_root

ORIGIN = "ledger.example/one"
SHA = TreeHash()
run = asyncio.run


class Signing:
    """A signer that fails, or takes its time, when it is told to."""

    def __init__(self, folder: Path) -> None:
        (folder / "log.key").write_bytes(b"the ledger's key of these tests!")
        self._signer = read_signer(folder / "log.key", ORIGIN)
        self.fails = False
        self.seconds = 0.0

    @property
    def key(self) -> Key:
        return self._signer.key

    def sign(self, message: bytes) -> bytes:
        time.sleep(self.seconds)
        if self.fails:
            raise SigningFailed
        return self._signer.sign(message)


@pytest.fixture(params=KINDS)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[sa.URL]:
    with store_url(request.param, tmp_path) as url:
        yield url


@pytest.fixture
def store(url: sa.URL) -> Iterator[Store]:
    one = opened_store(url)
    yield one
    one.close()


@pytest.fixture
def sqlite(tmp_path: Path) -> Iterator[Store]:
    one = opened_store(sa.make_url(f"sqlite:///{tmp_path / 'ledger.db'}"))
    yield one
    one.close()


def opened_store(url: sa.URL) -> Store:
    one = store_at(url, 5)
    one.open()
    return one


def integrator(store: Store, folder: Path, signing: Signing | None = None, **changed: Any) -> Integrator:
    made: dict[str, Any] = {"hashing": SHA, "origin": ORIGIN, "export": folder / "export", "tolerance": 60.0}
    return Integrator(store, signer=signing or Signing(folder), **made | changed)


def frames(first: int, count: int) -> list[NewFrame]:
    return [NewFrame(1_800_000_000_000_000 + n, f"o-{n}", b"frame %d" % n) for n in range(first, first + count)]


def root(size: int) -> bytes:
    return naive_root(SHA, [one.frame for one in frames(1, size)])


def last(store: Store) -> Checkpoint:
    kept = store.last_checkpoint()
    assert kept
    return parse_checkpoint(kept.text)


# -- sequencing and sealing ----------------------------------------------------------------------------------------


def test_frames_become_leaves_in_their_order_and_a_signed_checkpoint(store: Store, tmp_path: Path) -> None:
    signing = Signing(tmp_path)
    store.append(frames(1, 700))
    one = integrator(store, tmp_path, signing)
    one.advance()
    assert [(leaf.position, leaf.seq) for leaf in store.leaves(0, 1000)] == [(n, n + 1) for n in range(700)]
    kept = store.last_checkpoint()
    assert kept
    checkpoint = opened(kept.text, [signing.key], ORIGIN)
    assert (checkpoint.size, checkpoint.root) == (700, root(700))
    assert one.state == State(700, 700, "")


def test_a_long_queue_is_sequenced_in_one_go_though_the_lease_must_be_renewed(
    sqlite: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("audit.integrator._RENEW_SECONDS", 0.0)
    monkeypatch.setattr("audit.integrator._BATCH", 10)
    sqlite.append(frames(1, 95))
    one = integrator(sqlite, tmp_path)
    one.advance()
    assert (one.state, last(sqlite).root) == (State(95, 95, ""), root(95))


def test_every_checkpoint_is_exported_under_its_size_and_as_the_latest(sqlite: Store, tmp_path: Path) -> None:
    one = integrator(sqlite, tmp_path)
    for size in (3, 5):
        sqlite.append(frames(sqlite.head() + 1, size - sqlite.head()))
        one.advance(at_once=True)
    kept = [checkpoint.text for checkpoint in sqlite.checkpoints(0, 10)]
    assert [parse_checkpoint(text).size for text in kept] == [3, 5]
    assert [(tmp_path / "export" / exported_at(size)).read_text("utf8") for size in (3, 5)] == kept
    assert (tmp_path / "export" / LATEST).read_text("utf8") == kept[1]


def test_the_tree_continues_after_a_restart(store: Store, tmp_path: Path) -> None:
    for size in (1, 255, 256, 257, 520):
        store.append(frames(store.head() + 1, size - store.head()))
        one = integrator(store, tmp_path)
        one.advance(at_once=True)
        run(one.close())
        store.release(one._lease)
        assert (last(store).size, last(store).root) == (size, root(size))


def test_checkpoints_commit_to_the_dictionary_of_items(store: Store, tmp_path: Path) -> None:
    one = integrator(store, tmp_path)
    seen = []
    for size, items in ((1, []), (2, ["A.x", "A.y"]), (3, ["A.z"])):
        store.item_numbers(items)
        store.append(frames(size, 1))
        one.advance(at_once=True)
        seen.append((last(store).items, last(store).dictionary))
    digests = [hashlib.sha256(text).digest() for text in (b"1 A.x\n2 A.y\n", b"1 A.x\n2 A.y\n3 A.z\n")]
    assert seen == [(-1, b""), (2, digests[0]), (3, digests[1])]


def test_nothing_new_signs_nothing(sqlite: Store, tmp_path: Path) -> None:
    one = integrator(sqlite, tmp_path)
    one.advance(at_once=True)
    assert sqlite.last_checkpoint() is None
    sqlite.append(frames(1, 2))
    for _ in range(5):
        one.advance(at_once=True)
    assert len(sqlite.checkpoints(0, 10)) == 1


def test_a_checkpoint_is_signed_about_once_a_second_and_frames_are_sealed_soon(sqlite: Store, tmp_path: Path) -> None:
    async def work() -> tuple[int, float]:
        ledger, one = Ledger(sqlite, 5), integrator(sqlite, tmp_path)
        one.open()
        begun = time.monotonic()
        number = 0
        while time.monotonic() - begun < 2.5:
            number += 1
            await ledger.append(1, f"o-{number}", b"frame")
            await asyncio.sleep(0.01)
        appended = time.monotonic()
        while one.state.sealed < number:  # noqa: ASYNC110 - it is another thread's state
            await asyncio.sleep(0.02)
        took = time.monotonic() - appended
        count = len(sqlite.checkpoints(0, 100))
        await one.close()
        return count, took

    count, took = run(work())
    assert 2 <= count <= 5
    assert took < 2.5


# -- one at a time -------------------------------------------------------------------------------------------------


def test_of_two_integrators_one_works(store: Store, url: sa.URL, tmp_path: Path) -> None:
    other_store = opened_store(url)
    one, other = integrator(store, tmp_path), integrator(other_store, tmp_path)
    store.append(frames(1, 10))
    one.advance()
    other.advance()
    store.append(frames(11, 10))
    other.advance(at_once=True)
    assert other_store.size() == 10
    one.advance(at_once=True)
    assert (other_store.size(), last(store).root) == (20, root(20))
    other_store.close()


def test_another_takes_over_from_one_that_has_gone(store: Store, url: sa.URL, tmp_path: Path) -> None:
    other_store = opened_store(url)
    one, other = integrator(store, tmp_path), integrator(other_store, tmp_path)
    store.append(frames(1, 5))
    one.advance()
    one._end()
    store.append(frames(6, 5))
    other.advance(at_once=True)
    assert (last(store).size, last(store).root) == (10, root(10))
    store.append(frames(11, 5))
    other._end()
    one.advance(at_once=True)  # comes back with what it knew of a smaller tree
    one.advance(at_once=True)
    assert (last(store).size, last(store).root) == (15, root(15))
    other_store.close()


def test_several_integrators_at_once_build_one_tree(store: Store, url: sa.URL, tmp_path: Path) -> None:
    async def work() -> None:
        stores = [opened_store(url) for _ in range(3)]
        some = [integrator(one, tmp_path) for one in stores]
        for one in some:
            one.open()
        for number in range(12):
            await asyncio.to_thread(store.append, frames(1 + 20 * number, 20))
            await asyncio.sleep(0.1)
            if number == 6:
                await some[0].close()
        for one in some[1:]:
            await one.close()
        for each in stores:
            each.close()

    run(work())
    final = integrator(store, tmp_path)
    final.advance(at_once=True)
    assert store.size() == 240
    sealed = [parse_checkpoint(kept.text) for kept in store.checkpoints(0, 1000)]
    assert all(one.root == root(one.size) for one in sealed)


# -- what stands in the way ----------------------------------------------------------------------------------------


def test_a_failing_signer_stops_no_append_is_told_and_heals(
    sqlite: Store, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    signing = Signing(tmp_path)
    one = integrator(sqlite, tmp_path, signing)
    signing.fails = True
    sqlite.append(frames(1, 5))
    one.advance()
    sqlite.append(frames(6, 5))
    one.advance()
    assert (one.state, sqlite.last_checkpoint(), sqlite.size()) == (State(10, 0, "signer"), None, 10)
    assert [record.getMessage() for record in caplog.records].count(
        "records cannot be sealed: signer (sealed through 0)"
    ) == 1
    signing.fails = False
    one.advance()
    assert (one.state, last(sqlite).root) == (State(10, 10, ""), root(10))


def test_a_folder_that_cannot_be_written_stops_no_append_is_told_and_heals(sqlite: Store, tmp_path: Path) -> None:
    (tmp_path / "export").write_text("no folder", "utf8")
    one = integrator(sqlite, tmp_path)
    sqlite.append(frames(1, 5))
    one.advance()
    assert (one.state, sqlite.last_checkpoint()) == (State(5, 0, "export"), None)
    (tmp_path / "export").unlink()
    one.advance()
    assert one.state == State(5, 5, "")
    assert (tmp_path / "export" / LATEST).exists()


def test_what_is_unsealed_for_too_long_is_overdue_until_it_is_sealed(sqlite: Store, tmp_path: Path) -> None:
    signing = Signing(tmp_path)
    one = integrator(sqlite, tmp_path, signing, tolerance=0.3)
    signing.fails = True
    sqlite.append(frames(1, 5))
    one.advance()
    assert not one.overdue()
    time.sleep(0.35)
    one.advance()
    assert one.overdue()
    signing.fails = False
    one.advance()
    assert not one.overdue()


def test_a_contradiction_is_overdue_in_its_time_whether_or_not_there_is_anything_new(
    sqlite: Store, tmp_path: Path
) -> None:
    sealed(sqlite, tmp_path, 3)
    altered(tmp_path, "UPDATE checkpoints SET text = replace(text, 'example/one', 'example/two')")
    one = integrator(sqlite, tmp_path, tolerance=0.3)
    one.advance()
    assert not one.overdue()
    time.sleep(0.35)
    one.advance()
    assert one.overdue()
    altered(tmp_path, "UPDATE checkpoints SET text = replace(text, 'example/two', 'example/one')")
    one.advance()
    assert not one.overdue()


def test_another_process_that_seals_nothing_is_noticed_by_every_process(sqlite: Store, tmp_path: Path) -> None:
    assert sqlite.hold(Lease("integrator", "a process that hangs"), 6)
    one = integrator(sqlite, tmp_path, tolerance=0.3)
    sqlite.append(frames(1, 5))
    one.advance()
    time.sleep(0.35)
    one.advance()
    assert one.overdue()


def test_a_signer_that_hangs_is_overdue_too(sqlite: Store, tmp_path: Path) -> None:
    async def work() -> list[bool]:
        signing = Signing(tmp_path)
        signing.seconds = 0.8
        one = integrator(sqlite, tmp_path, signing, tolerance=0.3)
        sqlite.append(frames(1, 1))
        one.open()
        seen = []
        for _ in range(8):
            await asyncio.sleep(0.1)  # the loop itself goes on
            seen.append(one.overdue())
        await one.close()
        return seen

    seen = run(work())
    assert seen[0] is False
    assert seen[-2] is True


def test_the_ledger_takes_nothing_while_records_are_overdue(sqlite: Store, tmp_path: Path) -> None:
    overdue = True

    async def work() -> None:
        nonlocal overdue
        ledger = Ledger(sqlite, 5)
        ledger.overdue = lambda: overdue
        with pytest.raises(LedgerUnavailable):
            await ledger.append(1, "refused", b"frame")
        overdue = False
        await ledger.append(1, "taken", b"frame")

    run(work())
    assert [one.frame for one in sqlite.read(0, 5)] == [b"frame"]


# -- what may not be signed ----------------------------------------------------------------------------------------


def sealed(store: Store, folder: Path, size: int) -> None:
    store.append(frames(1, size))
    one = integrator(store, folder)
    one.advance(at_once=True)
    one._end()


def altered(folder: Path, *statements: str) -> None:
    connection = sqlite3.connect(folder / "ledger.db", isolation_level=None)
    for statement in statements:
        connection.execute(statement)
    connection.close()


ALTERATIONS: list[tuple[str, str, list[str]]] = [
    ("a leaf changed", "forked", ["UPDATE leaves SET hash = zeroblob(32) WHERE position = 3"]),
    ("a leaf removed", "tree", ["DELETE FROM leaves WHERE position = 3"]),
    ("leaves cut off", "truncated", ["DELETE FROM leaves WHERE position > 5"]),
    ("everything cut off", "truncated", [f"DELETE FROM {name}" for name in ("leaves", "frames", "checkpoints")]),
    ("a foreign checkpoint", "foreign", ["UPDATE checkpoints SET text = replace(text, 'example/one', 'example/two')"]),
    ("a checkpoint that is none", "forked", ["UPDATE checkpoints SET text = 'none'"]),
]


@pytest.mark.parametrize(
    ("because", "statements"), [one[1:] for one in ALTERATIONS], ids=[one[0] for one in ALTERATIONS]
)
def test_a_tree_that_does_not_continue_the_last_is_not_signed(
    sqlite: Store, tmp_path: Path, because: str, statements: list[str]
) -> None:
    sealed(sqlite, tmp_path, 10)
    altered(tmp_path, *statements)
    sqlite.append([NewFrame(1, "after", b"after")])
    before = (tmp_path / "export" / LATEST).read_bytes()
    one = integrator(sqlite, tmp_path)
    one.advance(at_once=True)
    assert one.state.because == because
    assert (tmp_path / "export" / LATEST).read_bytes() == before


def test_a_frame_missing_before_it_was_sequenced_is_a_gap(sqlite: Store, tmp_path: Path) -> None:
    sealed(sqlite, tmp_path, 10)
    sqlite.append(frames(11, 3))
    altered(tmp_path, "DELETE FROM frames WHERE seq = 12")
    one = integrator(sqlite, tmp_path)
    one.advance(at_once=True)
    assert (one.state.because, sqlite.size()) == ("gap", 10)


def test_a_store_that_cannot_be_read_is_told_and_heals(sqlite: Store, tmp_path: Path) -> None:
    one = integrator(sqlite, tmp_path)
    sqlite.append(frames(1, 3))
    altered(tmp_path, "ALTER TABLE leaves RENAME TO away")
    one.advance()
    assert one.state.because == "store"
    altered(tmp_path, "ALTER TABLE away RENAME TO leaves")
    one.advance()
    assert one.state == State(3, 3, "")


def test_signing_holds_no_lock(sqlite: Store, tmp_path: Path) -> None:
    signing = Signing(tmp_path)
    waits: list[float] = []

    def sign(message: bytes, then: Callable[[bytes], bytes] = signing.sign) -> bytes:
        begun = time.monotonic()
        sqlite.append(frames(sqlite.head() + 1, 1))
        waits.append(time.monotonic() - begun)
        return then(message)

    signing.sign = sign  # type: ignore[method-assign]
    sqlite.append(frames(1, 3))
    integrator(sqlite, tmp_path, signing).advance()
    assert len(waits) == 1
    assert waits[0] < 1
    assert last(sqlite).size == 3
