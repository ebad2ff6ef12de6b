"""What every kind of store keeps to: whole batches, no gaps, no place that a reader passes over, one holder of a lease."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa

from audit.store import (
    KeptCheckpoint,
    KeptMonth,
    Leaf,
    Lease,
    LeaseLost,
    NewFrame,
    Node,
    Store,
    StoredFrame,
    StoreUnavailable,
)
from audit.stores import store_at
from tests.audit.store_places import KINDS, store_url, text_of

ROOT = Path(__file__).parents[2]
AT = 1_780_000_000_000_000
MINE, THEIRS = Lease("integrator", "mine"), Lease("integrator", "theirs")


@pytest.fixture(params=KINDS)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[sa.URL]:
    with store_url(request.param, tmp_path) as place:
        yield place


@pytest.fixture
def store(url: sa.URL) -> Iterator[Store]:
    opened = opened_at(url)
    yield opened
    opened.close()


def opened_at(url: sa.URL) -> Store:
    store = store_at(url, 10)
    store.open()
    return store


def new(*operations: str) -> list[NewFrame]:
    return [NewFrame(AT, operation, operation.encode()) for operation in operations]


def leaf(position: int, seq: int = 0) -> Leaf:
    return Leaf(position, seq or position + 1, position.to_bytes(32, "big"))


def kept(store: Store) -> list[tuple[int, str]]:
    return [(one.seq, one.frame.decode()) for one in store.read(0, 1_000_000)]


# -- frames ------------------------------------------------------------------------------------------------------


def test_an_empty_store_has_nothing(store: Store) -> None:
    assert (store.head(), store.size(), store.coordinates()) == (0, 0, {})
    assert (store.read(0, 10), store.frames([1]), store.find("o-1"), store.unintegrated(10)) == ([], [], None, [])
    assert (store.leaf(0), store.leaf_of(1), store.leaves(0, 9), store.nodes([(1, 0)])) == (None, None, [], {})
    assert (store.checkpoints(0, 9), store.last_checkpoint()) == ([], None)


def test_frames_have_places_from_one_in_the_order_in_which_they_came(store: Store) -> None:
    store.append(new("a", "b", "c"))
    store.append(new("d"))
    assert kept(store) == [(1, "a"), (2, "b"), (3, "c"), (4, "d")]
    assert store.head() == 4


def test_what_is_appended_is_there_for_others_at_once(url: sa.URL, store: Store) -> None:
    other = opened_at(url)
    for number in range(20):
        store.append(new(f"o-{number}"))
        assert other.find(f"o-{number}") == StoredFrame(number + 1, f"o-{number}".encode())
    other.close()


def test_frames_are_read_from_any_place_and_by_place(store: Store) -> None:
    store.append(new(*"abcdefg"))
    frames = store.read(0, 100)
    assert store.read(3, 2) == frames[3:5]
    assert store.frames({7, 2, 99}) == [frames[1], frames[6]]
    assert store.find("e") == frames[4]
    assert store.find("nobody") is None


def test_any_bytes_come_back_as_they_were(store: Store) -> None:
    content = [bytes(range(256)), b"", b"\x00" * 9_000, random.Random(3).randbytes(100_000)]
    store.append([NewFrame(AT, f"o-{number}", one) for number, one in enumerate(content)])
    assert [one.frame for one in store.read(0, 10)] == content


def test_a_batch_is_kept_as_a_whole_or_not_at_all_and_gives_its_places_back(store: Store) -> None:
    store.append(new("a"))
    with pytest.raises(StoreUnavailable):
        store.append(new("b", "c", "a", "d"))
    store.append(new("e"))
    assert kept(store) == [(1, "a"), (2, "e")]


def test_frames_of_any_time_are_kept_in_the_order_in_which_they_came(store: Store) -> None:
    """Clocks are set back, and forward; places do not follow them."""
    times = [AT, AT - 9 * 365 * 86_400_000_000, AT + 400 * 86_400_000_000, 0, AT, AT + 1]
    store.append([NewFrame(at, f"o-{number}", b"x") for number, at in enumerate(times[:4])])
    store.append([NewFrame(at, f"o-{number}", b"x") for number, at in enumerate(times[4:], 4)])
    assert [one.seq for one in store.read(0, 10)] == [1, 2, 3, 4, 5, 6]
    assert [found.seq for number in range(6) if (found := store.find(f"o-{number}"))] == [1, 2, 3, 4, 5, 6]


def test_a_store_that_can_be_written_says_so_and_one_that_is_locked_does_not(url: sa.URL, store: Store) -> None:
    store.append(new("a"))
    store.check()
    other = sa.create_engine(url)
    impatient = store_at(url, 0.3)
    impatient.open()
    with other.connect() as connection:
        sqlite = connection.dialect.name == "sqlite"
        connection.exec_driver_sql("BEGIN IMMEDIATE" if sqlite else "SELECT seq FROM head FOR UPDATE")
        with pytest.raises(StoreUnavailable):
            impatient.check()
        connection.rollback()
    impatient.check()
    assert kept(store) == [(1, "a")]
    impatient.close()
    other.dispose()


def test_opening_again_changes_nothing(url: sa.URL, store: Store) -> None:
    store.append(new("a"))
    store.item_numbers(["A.x"])
    again = opened_at(url)
    again.append(new("b"))
    assert kept(store) == [(1, "a"), (2, "b")]
    assert again.coordinates() == {1: "A.x"}
    again.close()


def test_item_numbers_are_permanent_and_shared(url: sa.URL, store: Store) -> None:
    other = opened_at(url)
    first = store.item_numbers(["A.x", "A.y", "A.x"])
    second = other.item_numbers(["A.y", "B.z"])
    assert second["A.y"] == first["A.y"]
    assert len({*first.values(), *second.values()}) == 3
    assert store.item_numbers(["B.z", "A.x"]) == {"B.z": second["B.z"], "A.x": first["A.x"]}
    assert set(other.coordinates().values()) == {"A.x", "A.y", "B.z"}
    other.close()


# -- several processes -------------------------------------------------------------------------------------------

WRITER = """
import random, sys
from audit.store import NewFrame
from audit.stores import store_at

url, name, batches = sys.argv[1], sys.argv[2], int(sys.argv[3])
store, chance = store_at(url, 30), random.Random(name)
store.open()
print("ready", flush=True)
sys.stdin.readline()
for batch in range(batches):
    size = chance.randint(1, 40)
    frame = f"{name} {batch} {size}".encode() + b" " * chance.choice((0, 10, 5_000))
    store.append([NewFrame(1_780_000_000_000_000, f"{name}-{batch}-{n}", frame) for n in range(size)])
"""


def writers(url: sa.URL, count: int, batches: int) -> list[subprocess.Popen[str]]:
    """Processes that each write so many batches, all begun at the same moment."""
    command = [sys.executable, "-c", WRITER, text_of(url)]
    started = [
        subprocess.Popen(
            [*command, f"w{number}", str(batches)], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for number in range(count)
    ]
    for one in started:
        assert one.stdout
        assert one.stdout.readline() == "ready\n"
    for one in started:
        assert one.stdin
        one.stdin.write("go\n")
        one.stdin.flush()
    return started


def test_a_reader_passes_over_no_frame_while_several_processes_write(url: sa.URL, store: Store) -> None:
    started = writers(url, 4, 40)
    seen: list[StoredFrame] = []
    running = True
    while running:
        running = any(one.poll() is None for one in started)  # asked before the last look
        while found := store.read(seen[-1].seq if seen else 0, 50):
            seen += found
    assert [one.communicate()[0] for one in started] == [""] * 4
    assert [one.returncode for one in started] == [0] * 4
    assert [one.seq for one in seen] == list(range(1, len(seen) + 1))
    assert seen == store.read(0, 1_000_000)
    assert store.head() == len(seen)
    batches = {tuple(frame.frame.split()): 0 for frame in seen}
    assert len(batches) == 160
    for frame in seen:
        batches[tuple(frame.frame.split())] += 1
    assert all(count == int(batch[2]) for batch, count in batches.items())


def test_killed_writers_leave_whole_batches_and_hold_up_nobody(url: sa.URL, store: Store) -> None:
    chance = random.Random(11)
    started = writers(url, 3, 100_000)
    while store.head() < 200:
        time.sleep(0.01)
    for one in started:
        time.sleep(chance.uniform(0, 0.1))
        one.send_signal(signal.SIGKILL)
        one.communicate()
    store.append(new("after"))
    seen = store.read(0, 1_000_000)
    assert [one.seq for one in seen] == list(range(1, len(seen) + 1))
    assert seen[-1].frame == b"after"
    counts: dict[tuple[bytes, ...], int] = {}
    for frame in seen[:-1]:
        batch = tuple(frame.frame.split())
        counts[batch] = counts.get(batch, 0) + 1
    assert all(count == int(batch[2]) for batch, count in counts.items())


NUMBERS = """
import json, sys
from audit.stores import store_at

store = store_at(sys.argv[1], 30)
store.open()
print(json.dumps(dict(store.item_numbers([f"Shared.i{n}" for n in range(200)] + [f"{sys.argv[2]}.own"]))))
"""


def test_processes_that_begin_together_agree_on_numbers(url: sa.URL) -> None:
    """Each of them makes the tables and the numbers, in a store where there are none."""
    started = [
        subprocess.Popen(
            [sys.executable, "-c", NUMBERS, text_of(url), f"P{number}"], cwd=ROOT, stdout=subprocess.PIPE, text=True
        )
        for number in range(4)
    ]
    told = [json.loads(one.communicate(timeout=60)[0]) for one in started]
    shared = [{name: number for name, number in one.items() if name.startswith("Shared.")} for one in told]
    assert shared == shared[:1] * 4
    assert len({number for one in told for number in one.values()}) == 204


# -- the tree ----------------------------------------------------------------------------------------------------


def test_leaves_follow_the_frames(store: Store) -> None:
    store.append(new(*"abcde"))
    assert store.hold(MINE, 60)
    store.integrate(MINE, [leaf(0), leaf(1), leaf(2)], [Node(1, 0, b"n" * 32)])
    assert (store.size(), [one.seq for one in store.unintegrated(10)]) == (3, [4, 5])
    store.integrate(MINE, [leaf(3)], [Node(1, 1, b"m" * 32), Node(2, 0, b"t" * 32)])
    assert (store.size(), [one.seq for one in store.unintegrated(1)]) == (4, [5])
    assert store.leaves(1, 3) == [leaf(1), leaf(2)]
    assert (store.leaf(3), store.leaf(4), store.leaf_of(2), store.leaf_of(5)) == (leaf(3), None, leaf(1), None)
    assert store.nodes([(1, 0), (2, 0), (3, 0)]) == {(1, 0): b"n" * 32, (2, 0): b"t" * 32}


def test_a_leaf_is_found_though_frames_before_it_are_gone(store: Store) -> None:
    store.hold(MINE, 60)
    store.integrate(MINE, [leaf(0, 1), leaf(1, 5), leaf(2, 9)])
    assert [store.leaf_of(seq) for seq in (1, 2, 5, 8, 9, 10)] == [leaf(0, 1), None, leaf(1, 5), None, leaf(2, 9), None]


@pytest.mark.parametrize(
    "leaves", [[leaf(0)], [leaf(3)], [leaf(2, 2)], [leaf(2), leaf(4)], [leaf(2, 4), leaf(3, 4)], [leaf(3), leaf(2)]]
)
def test_leaves_that_do_not_continue_the_tree_are_refused(store: Store, leaves: list[Leaf]) -> None:
    store.hold(MINE, 60)
    store.integrate(MINE, [leaf(0), leaf(1)])
    with pytest.raises(ValueError, match="continue"):
        store.integrate(MINE, leaves)
    assert store.size() == 2


def test_leaves_and_nodes_are_kept_together_or_not_at_all(store: Store) -> None:
    store.hold(MINE, 60)
    store.integrate(MINE, [leaf(0), leaf(1)], [Node(1, 0, b"n" * 32)])
    with pytest.raises(StoreUnavailable):
        store.integrate(MINE, [leaf(2)], [Node(1, 0, b"other" * 6)])
    assert (store.size(), store.nodes([(1, 0)])) == (2, {(1, 0): b"n" * 32})


def test_nobody_integrates_without_the_lease(store: Store) -> None:
    with pytest.raises(LeaseLost):
        store.integrate(MINE, [leaf(0)])
    store.hold(THEIRS, 60)
    with pytest.raises(LeaseLost):
        store.integrate(MINE, [leaf(0)])
    store.release(THEIRS)
    store.hold(MINE, 0.05)
    time.sleep(0.1)
    with pytest.raises(LeaseLost):
        store.integrate(MINE, [leaf(0)])
    assert store.size() == 0


def test_a_lease_has_one_holder_until_it_runs_out_or_is_given_up(store: Store) -> None:
    assert store.hold(MINE, 60)
    assert not store.hold(THEIRS, 60)
    assert store.hold(MINE, 60)
    store.release(THEIRS)
    assert not store.hold(THEIRS, 60)
    store.release(MINE)
    assert store.hold(THEIRS, 0.05)
    assert store.hold(Lease("other", "mine"), 60)
    time.sleep(0.1)
    assert store.hold(MINE, 60)


def test_a_lease_from_before_the_clock_was_set_back_counts_as_run_out(store: Store) -> None:
    assert store.hold(THEIRS, 3_600)
    assert store.hold(MINE, 10)
    with pytest.raises(LeaseLost):
        store.integrate(THEIRS, [leaf(0)])


def test_of_many_who_want_a_lease_at_once_one_gets_it(url: sa.URL) -> None:
    stores = [opened_at(url) for _ in range(6)]
    together, got = threading.Barrier(6), []

    def want(number: int) -> None:
        together.wait()
        got.append(stores[number].hold(Lease("integrator", f"holder-{number}"), 60))

    threads = [threading.Thread(target=want, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(got) == [False] * 5 + [True]
    for one in stores:
        one.close()


def test_parts_of_policies_are_kept_once_and_never_replaced(url: sa.URL, store: Store) -> None:
    one, two = "a" * 32, "b" * 32
    assert store.kept_parts([]) == set()
    store.keep_parts({one: b"first", two: bytes(range(256))})
    other = opened_at(url)
    other.keep_parts({one: b"another", "c" * 32: b""})
    assert other.parts([one, two, "d" * 32]) == {one: b"first", two: bytes(range(256))}
    other.close()
    assert store.kept_parts([one, two, "c" * 32, "d" * 32]) == {one, two, "c" * 32}
    many = {f"{number:032x}": b"x" for number in range(1_234)}
    store.keep_parts(many)
    assert store.parts(many) == many


def test_checkpoints_are_kept_in_order(store: Store) -> None:
    numbers = [store.keep_checkpoint(text) for text in ("one\n", "two\n数据\n", "three\n")]
    assert numbers == [1, 2, 3]
    assert store.checkpoints(1, 5) == [KeptCheckpoint(2, "two\n数据\n"), KeptCheckpoint(3, "three\n")]
    assert store.checkpoints(0, 1) == [KeptCheckpoint(1, "one\n")]
    assert store.last_checkpoint() == KeptCheckpoint(3, "three\n")


# -- sealed months -------------------------------------------------------------------------------------------------


def month(name: str, first: int, last: int) -> KeptMonth:
    return KeptMonth(name, first, last, "{}")


def test_days_have_the_last_place_of_each(store: Store) -> None:
    day = 86_400_000_000
    moments = [20 * day, 20 * day - 8 * day // 24 - 1, 20 * day - 8 * day // 24, 22 * day]
    store.append([NewFrame(at, f"o-{number}", b"{}") for number, at in enumerate(moments)])
    assert store.days(0) == {20: 3, 19: 2, 22: 4}
    assert store.days(3) == {22: 4}
    assert store.days(4) == {}


def test_months_follow_each_other_and_are_removed_once(store: Store) -> None:
    for wrong in (month("2026-01", 2, 3), month("2026-01", 1, 0)):
        with pytest.raises(ValueError, match="follow"):
            store.keep_month(wrong)
    months = [month("2026-01", 1, 2), month("2026-02", 3, 3)]
    for one in months:
        store.keep_month(one)
    with pytest.raises((ValueError, StoreUnavailable)):
        store.keep_month(month("2026-02", 4, 9))
    assert store.months() == months
    store.keep_removal("2026-01", "gone")
    for name in ("2026-01", "2026-03"):
        with pytest.raises(ValueError, match="no such month"):
            store.keep_removal(name, "again")
    assert store.months() == [replace(months[0], removal="gone"), months[1]]


def test_only_what_was_moved_out_is_dropped_and_places_go_on(store: Store) -> None:
    store.append(new(*"abcdefg"))
    assert store.drop_frames(10) == 0
    store.keep_month(month("2026-01", 1, 5))
    assert [store.drop_frames(2) for _ in range(4)] == [2, 2, 1, 0]
    assert kept(store) == [(6, "f"), (7, "g")]
    store.keep_month(month("2026-02", 6, 7))
    while store.drop_frames(1):
        pass
    store.append(new("h"))
    assert kept(store) == [(8, "h")]


def test_a_frame_whose_month_was_moved_out_meanwhile_is_kept_all_the_same(url: sa.URL, store: Store) -> None:
    other = opened_at(url)
    other.append(new("a"))
    store.append(new("b"))
    store.keep_month(month("2026-05", 1, 2))
    while store.drop_frames(10):
        pass
    other.append(new("late"))  # its partition, on PostgreSQL, is gone
    assert kept(store) == [(3, "late")]
    other.close()


def test_leaves_of_a_range_are_dropped(store: Store) -> None:
    assert store.hold(MINE, 60)
    store.integrate(MINE, [leaf(position) for position in range(6)])
    store.drop_leaves(1, 4)
    assert store.leaves(0, 9) == [leaf(0), leaf(4), leaf(5)]
    assert store.size() == 6
