"""Sealed months: everything is answered and proven as before, from the archive, from either kind of store."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from random import Random
from typing import Any

import duckdb
import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from audit.archive import ArchivedStore
from audit.index import Index
from audit.merkle import HASHES, Frontier, TreeHash, subtree_parts
from audit.proof import consistency, place_of, prove
from audit.questions import Question, RecordsOf, entries_of
from audit.records import Reader
from audit.sealed import digest_of
from audit.sealing import Refused, due, finish, seal
from audit.statistics import patterns_of, uses_of
from audit.store import KeptMonth, NewFrame, StoreUnavailable
from tests.audit.frames import HASH, frame
from tests.audit.months import PEOPLE, City, fill, frames_of
from tests.audit.store_places import KINDS, store_url

ROOT = Path(__file__).parents[2]
MONTHS = (202512, 202601, 202602, 202603, 202604)


@pytest.fixture(params=KINDS)
def city(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[City]:
    with store_url(request.param, tmp_path) as url:
        yield City(url, tmp_path)


@pytest.fixture
def store(city: City) -> Iterator[ArchivedStore]:
    opened = city.store()
    yield opened
    opened.close()


def answers(index: Index, store: ArchivedStore) -> list[Any]:
    """What every kind of question is answered by an index over this store."""
    people = [HASH.of("Person", str(number)) for number in range(PEOPLE)]
    questions = [
        Question(), Question(outside_hours=True), Question(used_only=True), Question(outcome="DENIED"),
        Question(department="health"), Question(client="window"), Question(item="name"), Question(case="N-3"),
        Question(subject="clerk-01", since=1_769_900_000_000_000), *(Question(entity=one) for one in people),
    ]  # fmt: skip
    of, told = RecordsOf(Reader(store.coordinates())), list[Any]()
    with index._engine.connect() as connection:
        for question in questions:
            rows = entries_of(connection, question, 10_000)
            frames = {one.seq: one.frame for one in store.frames({row.seq for row in rows})}
            told.append([of.record(row, frames[row.seq], question) for row in rows])
        for month in MONTHS:
            told += [patterns_of(connection, index._ledger, month, "", 50), uses_of(connection, month)]
    return told


def everything(city: City, store: ArchivedStore, chance: Random) -> dict[str, Any]:
    """What a store answers to all that is asked of it."""
    size, head = store.size(), store.head()
    places = chance.sample(range(1, head + 1), 40)
    after = chance.randrange(head)
    operations = [json.loads(one.frame)["operation"] for one in store.frames(places)]
    return {
        "size and head": (size, head),
        "read": (store.read(0, 10_000), store.read(after, 37), store.read(head, 5)),
        "frames": (store.frames(places), store.frames([0, head, head + 1])),
        "find": [store.find(one) for one in (*operations, "nobody's")],
        "rows": [tuple(row) for row in store.rows(0, 10_000)],
        "leaves": (store.leaves(0, size), store.leaves(after, after + 300), store.leaf(after), store.leaf_of(after + 1)),
        "none": (store.leaf(size), store.leaf_of(0), store.leaf_of(head + 1)),
        "proofs": [prove(store, city.hashing, place_of(store, one), [city.witness.key]) for one in operations[:9]],
        "consistency": [consistency(store, city.hashing, one, size) for one in places[:9] if one <= size],
        "verified": (lambda report: (report.records, report.proven, report.findings))(city.report(store)),
    }  # fmt: skip


# -- the same as before --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", [1, 2])
def test_everything_is_answered_as_before_sealing_and_after_an_index_was_rebuilt(
    city: City, store: ArchivedStore, seed: int
) -> None:
    chance = Random(seed)
    fill(store, frames_of(chance, chance.choice((280, 600, 1_100))))
    city.witnessed(store)
    before, index = everything(city, store, Random(seed)), city.index(store)
    asked = answers(index, store)
    assert city.seal(store, most=1)
    assert store.live.read(0, 1)[0].seq > 1
    assert everything(city, store, Random(seed)) == before
    assert city.seal(store)
    assert not store.live.read(0, 1)
    for reader in (store, city.store()):
        assert everything(city, reader, Random(seed)) == before
        assert answers(index, reader) == asked
        assert answers(city.index(reader, "anew"), reader) == asked


@pytest.mark.parametrize("seed", range(3))
def test_any_history_with_sealing_is_answered_as_one_without(tmp_path: Path, seed: int) -> None:
    """Frames, checkpoints, sealed months and index batches in any order, beside a ledger to which only frames came."""
    chance, cities, stores = Random(seed), [], []
    for name in ("sealing", "plain"):
        (tmp_path / name).mkdir()
        cities.append(City(sa.make_url(f"sqlite:///{tmp_path / name / 'ledger.db'}"), tmp_path / name))
        stores.append(cities[-1].store())
    city, store = cities[0], stores[0]
    frames = frames_of(chance, 500, months=5)
    index, at = city.index(store), 0
    while at < len(frames):
        count = chance.choice((1, 7, 60))
        for one in stores:
            fill(one, frames[at : at + count])
        at += count
        if chance.random() < 0.5:
            city.witnessed(store)
            newest = max(one.at for one in frames[:at])
            on = date.fromordinal(date(1970, 1, 1).toordinal() + newest // 86_400_000_000 - chance.randrange(20))
            for due_now in city.due(store, on)[: chance.randrange(3)]:
                if store.size() >= due_now.last:
                    seal(store, city.how, due_now)
        if chance.random() < 0.4:
            index.advance()
    while index.advance():
        pass
    for one, own in zip(stores, cities, strict=True):
        own.witnessed(one)
        assert own.report(one).findings == ()
    assert len(store.months()) > 1
    head = store.head()
    for ask in (
        lambda s: (s.head(), s.size(), s.read(0, 999), s.leaves(0, head)),
        lambda s: [s.find(one.operation) for one in frames[::29]],
        lambda s: [s.frames([place, head + 1 - place]) for place in range(1, head, 31)],
        lambda s: answers(index, s),
    ):
        assert ask(stores[0]) == ask(stores[1])
    assert answers(city.index(store, "anew"), store) == answers(cities[1].index(stores[1]), stores[1])
    for one in stores:
        one.close()


def test_what_comes_after_sealing_follows_what_was_sealed(city: City, store: ArchivedStore) -> None:
    fill(store, frames_of(Random(1), 256))  # all of it sealed, and the tree's end at a tile's
    city.witnessed(store)
    city.seal(store)
    assert (store.live.read(0, 9), store.head(), store.size(), store.unintegrated(9)) == ([], 256, 256, [])
    store.append([NewFrame(1_790_000_000_000_000, "later", b'{"operation":"later","at":1790000000000000,"x":1}')])
    assert (store.head(), store.read(256, 9)[0].seq, [one.seq for one in store.unintegrated(9)]) == (257, 257, [257])
    city.witnessed(store)
    assert [one.seq for one in store.read(250, 99)] == list(range(251, 258))
    assert city.report(store).proven == 257
    assert not city.report(store).findings


def test_a_process_that_was_open_before_sees_what_another_sealed(city: City, store: ArchivedStore) -> None:
    fill(store, frames_of(Random(2), 300))
    city.witnessed(store)
    asked: list[Callable[[ArchivedStore], Any]] = [
        lambda s: s.read(0, 500), lambda s: s.read(17, 3), lambda s: s.frames([1, 300]), lambda s: s.find("o-7"),
        lambda s: s.leaves(0, 300), lambda s: s.head(), lambda s: s.rows(0, 9), lambda s: s.leaf_of(5),
    ]  # fmt: skip
    before = [ask(store) for ask in asked]
    others = [city.store() for _ in asked]
    city.seal(store)
    assert [ask(other) for ask, other in zip(asked, others, strict=True)] == before
    for other in others:
        other.close()


def test_a_proof_of_a_sealed_record_holds_offline(city: City, store: ArchivedStore) -> None:
    fill(store, frames_of(Random(3), 300))
    city.witnessed(store)
    city.seal(store)
    proof = city.folder / "proof.json"
    proof.write_text(json.dumps(prove(store, city.hashing, place_of(store, "o-11"), [city.witness.key])), "utf8")
    keys = []
    for name, signer in (("--key", city.signer), ("--witness", city.witness)):
        (city.folder / f"{name}.pub").write_text(signer.key.text() + "\n", "utf8")
        keys += [name, str(city.folder / f"{name}.pub")]
    command = [sys.executable, "-I", str(ROOT / "audit" / "verify_offline.py"), str(proof), *keys]
    ran = subprocess.run(command, capture_output=True, check=False)
    assert ran.returncode == 0, ran.stderr


def fetched(statement: str) -> list[tuple[Any, ...]]:
    with duckdb.connect() as connection:
        return connection.execute(statement).fetchall()


@pytest.mark.parametrize("kind", list(HASHES))
def test_the_file_and_its_manifest_are_enough_to_check_a_month(tmp_path: Path, kind: str) -> None:
    with store_url("sqlite", tmp_path) as url:
        city = City(url, tmp_path, TreeHash(kind))
        store = city.store()
        fill(store, frames_of(Random(4), 700))
        city.witnessed(store)
        manifests = city.seal(store)
        frames = {one.seq: one.frame for one in store.read(0, 1_000)}
        store.close()
    assert [one.first for one in manifests] == [1, *(one.last + 1 for one in manifests[:-1])]
    for manifest in manifests:
        file = city.archive / manifest.file
        assert (digest_of(file), file.stat().st_size) == (manifest.sha256, manifest.size)
        rows = fetched(
            "SELECT place, CASE WHEN whole THEN rest ELSE encode('{\"operation\":\"' || operation || '\",\"at\":' || moment || ',') "
            f"|| rest END, leaf FROM read_parquet('{file}')"
        )
        assert [place for place, _, _ in rows] == list(range(manifest.first, manifest.last + 1))
        frontier = Frontier(city.hashing, manifest.first - 1, manifest.before)
        for place, content, leaf in rows:
            assert content == frames[place]
            assert leaf == city.hashing.leaf(content)
            frontier.append(leaf)
        size = int(manifest.checkpoint.split("\n")[1])
        for (begin, end), root in zip(subtree_parts(manifest.last, size), manifest.after, strict=True):
            frontier.add(root, end - begin)
        assert frontier.root() == manifest.root(size)
        assert manifest.items == {1: "Register.name", 2: "Register.address", 3: "Tax.payer"}


def test_bytes_of_any_form_come_back_exactly(tmp_path: Path) -> None:
    forms = [
        b'{"operation":"o-0","at":1,"rest":1}', b'{"at":1,"operation":"o-1"}', b'{"operation":"o-2","at":1}',
        b' {"operation":"o-3","at":1,"x":"\\u0000"}\n', '{"operation":"o-4","at":1,"x":"某人"}'.encode(),
        b'{"operation": "o-5", "at": 1}', b'{"operation":"o-6","at":1,"x":"%s"}' % (b"y" * 90_000),
    ]  # fmt: skip
    with store_url("sqlite", tmp_path) as url:
        city = City(url, tmp_path)
        store = city.store()
        store.append([NewFrame(1, f"o-{number}", form) for number, form in enumerate(forms)])
        store.append([NewFrame(1, '某"\\人', '{"operation":"某\\"\\\\人","at":1}'.encode())])
        city.witnessed(store)
        before = store.rows(0, 99)
        city.seal(store)
        assert [tuple(row) for row in store.rows(0, 99)] == [tuple(row) for row in before]
        store.close()


# -- which frames are a month's ------------------------------------------------------------------------------------


@given(st.lists(st.integers(-40, 20_800), max_size=60), st.integers(0, 20_900), st.integers(0, 70))
def test_months_are_gapless_ranges_that_leave_nothing_of_theirs_behind(
    days: list[int], today: int, through: int
) -> None:
    last: dict[int, int] = {}
    sealed = [KeptMonth("1969-12", 1, through, "")] if through else []
    for place, day in enumerate(days, 1):
        if place > through:
            last[day] = place
    found = due(last, sealed, today)
    assert [one.last for one in found] == sorted({one.last for one in found})
    assert [one.month for one in found] == sorted({one.month for one in found})
    for one in found:
        year, month = int(one.month[:4]), int(one.month[5:])
        ends = date(year + month // 12, month % 12 + 1, 1).toordinal() - date(1970, 1, 1).toordinal()
        assert ends < today
        assert all(day >= ends for day in days[max(one.last, through) :])


def test_a_month_is_sealed_from_the_second_day_after_its_end(city: City, store: ArchivedStore) -> None:
    fill(store, frames_of(Random(5), 100, months=2))
    assert city.due(store, date(2026, 1, 31)) == city.due(store, date(2026, 2, 1))
    assert [one.month for one in city.due(store, date(2026, 2, 2))][-1] == "2026-01"


def test_late_frames_lie_in_the_month_whose_places_they_stand_in(city: City, store: ArchivedStore) -> None:
    january, february = 1_768_000_000_000_000, 1_770_500_000_000_000
    fill(store, [frame("a", at=january), frame("early", at=february), frame("b", at=january), frame("c", at=february)])
    city.witnessed(store)
    assert [(one.month, one.first, one.last) for one in city.seal(store)] == [("2026-01", 1, 3), ("2026-02", 4, 4)]
    fill(store, [frame("late", at=january), frame("d", at=1_773_000_000_000_000)])
    city.witnessed(store)
    assert [(one.month, one.first, one.last) for one in city.seal(store)] == [("2026-03", 5, 6)]
    assert [one.seq for one in store.read(0, 9)] == [1, 2, 3, 4, 5, 6]


# -- what is refused -----------------------------------------------------------------------------------------------


def test_what_no_witness_has_cosigned_is_not_sealed(city: City, store: ArchivedStore) -> None:
    fill(store, frames_of(Random(6), 100))
    one = city.due(store)[0]
    with pytest.raises(Refused, match="MONTH_UNPROVEN"):
        seal(store, city.how, one)
    city.witnessed(store)
    fill(store, frames_of(Random(7), 100, prefix="p"))
    with pytest.raises(Refused, match="MONTH_UNPROVEN"):
        seal(store, city.how, city.due(store)[-1])
    assert store.months() == []


def test_a_record_that_was_changed_is_not_sealed(city: City, store: ArchivedStore) -> None:
    fill(store, frames_of(Random(8), 100))
    city.witnessed(store)
    with sa.create_engine(city.url).begin() as connection:
        connection.execute(sa.text("UPDATE frames SET at = at + 1, operation = 'x' WHERE seq = 1"))
    with pytest.raises(Refused, match="LEDGER_CHANGED"):
        city.seal(store)
    assert (store.months(), len(store.read(0, 999))) == ([], 100)


def test_a_sealed_month_that_cannot_be_read_stops_its_questions_and_nothing_else(
    city: City, store: ArchivedStore
) -> None:
    fill(store, frames_of(Random(9), 300))
    city.witnessed(store)
    manifests = city.seal(store)
    (city.archive / manifests[0].file).unlink()
    other = city.store()
    for ask in (
        lambda: other.read(0, 5),
        lambda: other.frames([1]),
        lambda: other.rows(0, 3),
        lambda: other.find("o-1"),
    ):
        with pytest.raises(StoreUnavailable):
            ask()
    assert other.read(manifests[0].last, 1)[0].seq == manifests[1].first
    other.append([NewFrame(1_790_000_000_000_000, "later", b"{}")])
    assert other.head() == 301
    other.close()


def test_finishing_twice_changes_nothing(city: City, store: ArchivedStore) -> None:
    fill(store, frames_of(Random(10), 300))
    city.witnessed(store)
    city.seal(store)
    before = everything(city, store, Random(1))
    finish(store)
    assert everything(city, store, Random(1)) == before
