"""The map of data subjects in a store: committed, provable at each moment, resumed where it was cut off, and what contradicts it told."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest
import sqlalchemy as sa

from audit import sparse, subjects
from audit.frame import Frame
from audit.integrator import Integrator
from audit.store import Lease, LeaseLost, MapVersion, NewFrame, Store
from audit.subjects import Subjects, entries_of, prove_lists
from audit.verify_offline import NOTHING, OWN_LIST, Refused, SubjectMap, check_own_list, parse_checkpoint
from tests.audit.frames import HASH, ITEMS, frame, node
from tests.audit.store_places import KINDS, store_url
from tests.audit.test_integrator import SHA, Signing, integrator, opened_store

PEOPLE = [HASH.of("Person", str(number)) for number in range(40)]
STRANGER = HASH.of("Person", "nobody ever asked")


@pytest.fixture(params=KINDS)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    with store_url(request.param, tmp_path) as url:
        one = opened_store(url)
        one.item_numbers(ITEMS)
        yield one
        one.close()


@pytest.fixture
def sqlite(tmp_path: Path) -> Iterator[Store]:
    one = opened_store(sa.make_url(f"sqlite:///{tmp_path / 'ledger.db'}"))
    one.item_numbers(ITEMS)
    yield one
    one.close()


def about(number: int, *people: str, others: tuple[str, ...] = ()) -> Frame:
    return frame(
        f"o-{number}", node(groups={"RA": list(people)}, others=list(others)), at=1_800_000_000_000_000 + number
    )


def put(store: Store, *frames: Frame) -> None:
    store.append([NewFrame(one.at, one.operation, one.encode()) for one in frames])


def some(store: Store, count: int, seed: int = 0) -> None:
    rng, first = Random(seed), store.head() + 1
    put(store, *(about(n, *rng.sample(PEOPLE, rng.randint(1, 3)), others=(rng.choice(PEOPLE),)) for n in range(first, first + count)))  # fmt: skip


def committed(one: Integrator) -> None:
    one.advance(at_once=True)
    one.subjects.advance()
    assert one.subjects.because == ""
    one.advance(at_once=True)


def at_once(store: Store, folder: Path) -> Integrator:
    return integrator(store, folder, every=0.0)


def written(store: Store, *people: str) -> dict[str, Any]:
    """The file of these people's lists, as it is handed out."""
    proof = prove_lists(store, SHA, people)
    assert proof
    entries = [
        {"subject": subject, "place": one.place, "leaf": subjects._base64(one.leaf), "text": one.text}
        for subject, one in entries_of(store, SHA, 0, store.head())
        if subject in people
    ]
    return {"format": OWN_LIST, "entries": entries, "proof": json.loads(proof.proof)}


def is_complete(store: Store, folder: Path, *people: str) -> SubjectMap:
    return check_own_list(written(store, *people), [Signing(folder).key], [])[1]


def test_everybodys_list_is_complete_up_to_the_commitment(store: Store, tmp_path: Path) -> None:
    one = at_once(store, tmp_path)
    for size in (1, 30, 31, 200):
        some(store, size - store.head(), size)
        committed(one)
        for person in [*PEOPLE, STRANGER]:
            assert is_complete(store, tmp_path, person).size == size


def test_the_checkpoint_of_a_quiet_ledger_follows_the_map(store: Store, tmp_path: Path) -> None:
    one = at_once(store, tmp_path)
    some(store, 5)
    one.advance(at_once=True)
    first = store.last_checkpoint()
    committed(one)
    second = store.last_checkpoint()
    assert first
    assert second
    was, now = parse_checkpoint(first.text), parse_checkpoint(second.text)
    assert (was.size, was.root, was.subjects) == (now.size, now.root, None)
    assert now.subjects
    assert now.subjects.size == 5
    assert now.subjects.key_ids == (HASH.key_id,)
    exported = sorted(file.name for file in (tmp_path / "export").rglob("0*.checkpoint"))
    assert exported == ["000000000005-1.checkpoint", "000000000005.checkpoint"]


def test_later_checkpoints_repeat_the_map_until_the_next(sqlite: Store, tmp_path: Path) -> None:
    one = integrator(sqlite, tmp_path, every=60.0)
    some(sqlite, 5)
    committed(one)
    some(sqlite, 5)
    committed(one)
    last = sqlite.last_checkpoint()
    assert last
    checkpoint = parse_checkpoint(last.text)
    assert checkpoint.size == 10
    assert checkpoint.subjects
    assert checkpoint.subjects.size == 5


def test_what_was_committed_stays_provable_while_the_next_is_written(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The writer is cut off behind every portion, and another goes on with the same version."""
    monkeypatch.setattr(subjects, "_ROWS", 3)
    one = at_once(store, tmp_path)
    some(store, 120, 1)
    committed(one)
    some(store, 120, 2)
    one.advance(at_once=True)
    write, portions = store.write_map, 0

    def cut_off(lease: Lease, version: int, rows: Any) -> None:
        nonlocal portions
        write(lease, version, rows)
        portions += 1
        if portions % 3 == 0:
            raise LeaseLost

    monkeypatch.setattr(store, "write_map", cut_off)
    for _ in range(4):
        one.subjects.advance()
        assert not store.map_versions()[0].root
        some(store, 3, 3)  # what comes meanwhile does not join the version that was begun
        one.advance(at_once=True)
        for person in PEOPLE[:7]:
            assert is_complete(store, tmp_path, person).size == 120
    monkeypatch.setattr(store, "write_map", write)
    committed(one)
    for person in PEOPLE:
        assert is_complete(store, tmp_path, person).size == 240
    committed(one)
    assert is_complete(store, tmp_path, PEOPLE[0]).size == 252


def test_a_version_that_no_checkpoint_has_yet_is_not_handed_out(store: Store, tmp_path: Path) -> None:
    one = at_once(store, tmp_path)
    some(store, 10)
    committed(one)
    some(store, 10)
    one.advance(at_once=True)
    one.subjects.advance()
    assert is_complete(store, tmp_path, PEOPLE[1]).size == 10
    one.subjects.advance()  # nor is it followed by another
    assert store.map_versions()[0].version == 2
    another = integrator(store, tmp_path, every=0.0)
    store.release(one._lease)
    another.advance(at_once=True)
    assert is_complete(store, tmp_path, PEOPLE[1]).size == 20


def test_before_the_first_commitment_there_is_no_proof(store: Store) -> None:
    assert prove_lists(store, SHA, [PEOPLE[0]]) is None


def test_a_ledger_of_nobody_proves_that_nobody_is_there(store: Store, tmp_path: Path) -> None:
    put(store, frame("o-1"))
    committed(at_once(store, tmp_path))
    assert is_complete(store, tmp_path, STRANGER) == SubjectMap(1, NOTHING, ())


def test_a_long_queue_is_covered_in_several_versions(
    sqlite: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subjects, "_MOST", 50)
    one = integrator(sqlite, tmp_path, every=3600.0)
    some(sqlite, 120)
    sizes = []
    for _ in range(4):
        committed(one)
        sizes.append(is_complete(sqlite, tmp_path, PEOPLE[3]).size)
    assert sizes == [50, 100, 120, 120]
    some(sqlite, 10)
    committed(one)
    assert is_complete(sqlite, tmp_path, PEOPLE[3]).size == 120  # what comes behind the queue waits for its time


def test_many_entries_are_covered_in_several_versions(
    sqlite: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subjects, "_MOST_ENTRIES", 7)
    one = integrator(sqlite, tmp_path, every=3600.0)
    put(sqlite, *(about(n, *PEOPLE[:5]) for n in range(1, 6)))
    sizes = []
    for _ in range(4):
        committed(one)
        sizes.append(is_complete(sqlite, tmp_path, PEOPLE[3]).size)
    assert sizes == [2, 4, 5, 5]


def test_only_who_holds_the_lease_writes(store: Store, tmp_path: Path) -> None:
    some(store, 5)
    one = at_once(store, tmp_path)
    one.advance(at_once=True)
    other = Subjects(store, SHA, Lease("integrator", "somebody else"), 0.0)
    other.advance()
    assert store.map_versions() == []
    with pytest.raises(LeaseLost):
        store.begin_map(Lease("integrator", "somebody else"), MapVersion(1, 5))


def test_the_map_stands_still_in_sight_and_nothing_else_does(sqlite: Store, tmp_path: Path, caplog: Any) -> None:
    one = at_once(sqlite, tmp_path)
    some(sqlite, 50)
    committed(one)
    with sqlite._changing.begin() as connection:  # type: ignore[attr-defined]
        connection.exec_driver_sql("UPDATE subject_rows SET content = randomblob(600) WHERE place = 1")
    some(sqlite, 50)
    one.advance(at_once=True)
    one.subjects.advance()
    assert one.subjects.because == "tampered"
    assert "stands still: tampered" in caplog.text
    one.advance(at_once=True)
    assert (one.state.sealed, one.state.because) == (100, "")
    with pytest.raises(sparse.Tampered):
        prove_lists(sqlite, SHA, [PEOPLE[0]])


def test_a_map_that_does_not_get_its_turn_is_late(
    sqlite: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subjects, "_PATIENCE", 0.0)
    one = at_once(sqlite, tmp_path)
    some(sqlite, 5)
    one.advance(at_once=True)
    one.subjects.advance()
    some(sqlite, 5)
    one._sequence(one._frontier)  # type: ignore[arg-type]
    one.subjects.advance()  # no checkpoint has the first version
    assert one.subjects.because == "late"


def test_a_proof_by_a_witnessed_checkpoint_is_preferred(sqlite: Store, tmp_path: Path) -> None:
    from audit.checkpoint import cosigned, read_signer

    (tmp_path / "witness.key").write_bytes(b"a witness's key of these tests..")
    witness = read_signer(tmp_path / "witness.key", "witness.example", witness=True)
    one = integrator(sqlite, tmp_path, every=3600.0)
    some(sqlite, 5)
    committed(one)
    first = sqlite.last_checkpoint()
    assert first
    some(sqlite, 5)
    one.advance(at_once=True)
    sqlite.keep_checkpoint(cosigned(first.text, witness, 1_800_000_000), 5)
    some(sqlite, 5)
    one.advance(at_once=True)
    proofs = [prove_lists(sqlite, SHA, [PEOPLE[0]], witnesses) for witnesses in ([witness.key], [])]
    sizes = [parse_checkpoint(json.loads(proof.proof)["checkpoint"]).size for proof in proofs if proof]
    assert sizes == [5, 15]


# -- what the offline verifier says ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("own list")
    store = opened_store(sa.make_url(f"sqlite:///{folder / 'ledger.db'}"))
    store.item_numbers(ITEMS)
    some(store, 100)
    committed(at_once(store, folder))
    some(store, 60, 7)
    content = written(store, PEOPLE[0])
    store.close()
    return folder, content


def refused(folder: Path, content: Any) -> str:
    with pytest.raises((Refused, ValueError, KeyError, TypeError)) as told:
        check_own_list(content, [Signing(folder).key], [])
    return str(told.value)


def test_entries_behind_the_commitment_are_shown_and_not_counted(file: tuple[Path, dict[str, Any]]) -> None:
    entries, covered, *_ = check_own_list(file[1], [Signing(file[0]).key], [])
    assert covered.size == 100
    assert max(one.place for one in entries) > 100
    assert [one.place for one in entries] == sorted((one.place for one in entries), reverse=True)


@pytest.mark.parametrize("number", range(5))
def test_an_entry_left_out_doubled_changed_or_moved_is_no_complete_list(
    file: tuple[Path, dict[str, Any]], number: int
) -> None:
    folder, content = file
    entries = content["entries"]

    def with_(changed: list[Any]) -> str:
        return refused(folder, content | {"entries": changed})

    assert "incomplete" in with_(entries[:number] + entries[number + 1 :])
    assert "incomplete" in with_([*entries, entries[number]])
    other = json.loads(entries[number]["text"]) | {"department": "taxation"}
    assert "not the one" in with_(
        [*entries[:number], entries[number] | {"text": json.dumps(other)}, *entries[number + 1 :]]
    )
    assert "not the one" in with_(
        [*entries[:number], entries[number] | {"leaf": subjects._base64(bytes(32))}, *entries[number + 1 :]]
    )
    moved = json.loads(entries[number]["text"]) | {"place": 10**6}
    hidden = entries[number] | {"place": 10**6, "text": json.dumps(moved)}
    assert "incomplete" in with_([*entries[:number], hidden, *entries[number + 1 :]])
    assert with_([entries[number] | {"place": 1, "text": '{"place":2}'}, *entries])


def test_the_list_of_somebody_else_or_none_is_no_complete_list(file: tuple[Path, dict[str, Any]]) -> None:
    folder, content = file
    (own,) = content["proof"]["lists"]

    def with_(*lists: Any, entries: Any = ()) -> str:
        return refused(
            folder, {**content, "entries": list(entries), "proof": content["proof"] | {"lists": list(lists)}}
        )

    assert "the list under the key" in with_()
    assert "not in the checkpoint" in with_(own | {"subject": PEOPLE[1]})
    assert "not in the checkpoint" in with_({"subject": PEOPLE[0], "count": 0, "path": own["path"]})
    assert "not in the checkpoint" in with_(own | {"count": own["count"] - 1})
    assert with_(own, own)
    assert "belongs to none" in with_({"subject": PEOPLE[1], "count": 0, "path": []}, entries=content["entries"])


def test_a_checkpoint_without_a_map_or_of_another_signer_proves_nothing(file: tuple[Path, dict[str, Any]]) -> None:
    folder, content = file
    note = content["proof"]["checkpoint"]
    line = next(one for one in note.split("\n") if one.startswith("subjects "))
    for changed in (note.replace(line + "\n", ""), note.replace("subjects 100", "subjects 99")):
        assert refused(folder, {**content, "proof": content["proof"] | {"checkpoint": changed}})


def test_any_byte_of_the_file_changed_is_noticed_or_changes_nothing_that_is_said(
    file: tuple[Path, dict[str, Any]],
) -> None:
    folder, content = file
    content = content | {"entries": [one for one in content["entries"] if one["place"] <= 100]}
    whole = json.dumps(content).encode()
    right = check_own_list(content, [Signing(folder).key], [])
    rng = Random(3)
    for _ in range(400):
        bent = bytearray(whole)
        bent[rng.randrange(len(bent))] ^= 1 << rng.randrange(7)
        try:
            told = check_own_list(json.loads(bytes(bent)), [Signing(folder).key], [])
        except (Refused, ValueError, KeyError, TypeError):
            continue
        assert (told[0], told[1]) == (right[0], right[1])


def test_a_proof_at_ten_thousand_people_is_small(sqlite: Store, tmp_path: Path) -> None:
    people = [HASH.of("Person", f"p{number}") for number in range(10_000)]
    put(sqlite, *(about(n, *people[n * 1000 : (n + 1) * 1000]) for n in range(10)))
    committed(at_once(sqlite, tmp_path))
    sizes = []
    for person in [*people[::500], STRANGER]:
        proof = prove_lists(sqlite, SHA, [person])
        assert proof
        sizes.append(len(proof.proof.encode()))
    assert max(sizes) <= 4096, sizes
