"""A map of data subjects that does not say what the records say: detected, and who is concerned is named."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from random import Random

import pytest

from audit import subjects
from audit.checkpoint import Signer, checkpoint_text, cosigned, signed
from audit.integrator import Integrator
from audit.merkle import TreeHash
from audit.store import Store
from audit.subjects import Entry
from audit.verify import Finding, Report, Source, verify
from audit.verify_offline import SubjectMap, parse_checkpoint
from tests.audit.tampering import ORIGIN, SHA, key, opened
from tests.audit.test_subjects import PEOPLE, some

SIZES = (40, 90, 140)
VICTIM = PEOPLE[5]
Entries = Callable[[Store, TreeHash, int, int], Iterator[tuple[str, Entry]]]


@dataclass
class Kept:
    """A store whose map was committed to at `SIZES`, and the checkpoint of the last, which a witness has cosigned."""

    file: Path
    signer: Signer
    witness: Signer
    anchor: str

    def report(self, file: Path, *more: Source) -> Report:
        store = opened(file)
        try:
            return verify(store, SHA, ORIGIN, [self.signer.key], [self.witness.key], more)
        finally:
            store.close()


def kept_in(folder: Path) -> Kept:
    signer, witness = key(folder, "log.key", ORIGIN), key(folder, "witness.key", "witness.example", witness=True)
    store = opened(folder / "ledger.db")
    store.item_numbers(["Register.name", "Register.address", "Tax.payer"])
    for size in SIZES:
        some(store, size - store.head(), size)
        one = Integrator(store, SHA, ORIGIN, signer, None, 60, 0.0)
        one.advance(at_once=True)
        one.subjects.advance()
        one.advance(at_once=True)
        one._end()
    last = store.last_checkpoint()
    assert last
    store.close()
    return Kept(folder / "ledger.db", signer, witness, cosigned(last.text, witness, 1_800_000_000))


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Kept:
    return kept_in(tmp_path_factory.mktemp("kept"))


def test_an_untouched_map_is_right(kept: Kept) -> None:
    report = kept.report(kept.file, Source(kept.anchor, "anchor"))
    assert (report.findings, report.proven, report.maps) == ((), SIZES[-1], len(SIZES))


@pytest.mark.parametrize("place", [1, 57, SIZES[-1]])
def test_a_record_that_is_missing_is_named_and_no_crash(kept: Kept, tmp_path: Path, place: int) -> None:
    file = Path(shutil.copy(kept.file, tmp_path / "ledger.db"))
    with closing(sqlite3.connect(file)) as ledger, ledger:
        assert ledger.execute("DELETE FROM frames WHERE seq = ?", (place,)).rowcount == 1
    found = kept.report(file, Source(kept.anchor, "anchor")).findings
    assert any(one.first <= place <= one.last for one in found if one.code != "LEDGER_SUBJECTS_CHANGED")


def test_records_can_be_checked_without_the_lists(kept: Kept, tmp_path: Path) -> None:
    store = opened(kept.file)
    keys, witnesses = [kept.signer.key], [kept.witness.key]
    report = verify(store, SHA, ORIGIN, keys, witnesses, [Source(kept.anchor, "anchor")], lists=False)
    store.close()
    assert (report.findings, report.proven, report.maps) == ((), SIZES[-1], 0)


# -- the operator commits to other lists than the records make -----------------------------------------------------------


def left_out(entries: list[tuple[str, Entry]]) -> list[tuple[str, Entry]]:
    gone = next(one for one in entries if one[0] == VICTIM)
    return [one for one in entries if one is not gone]


def doubled(entries: list[tuple[str, Entry]]) -> list[tuple[str, Entry]]:
    return [*entries, next(one for one in entries if one[0] == VICTIM)]


def reordered(entries: list[tuple[str, Entry]]) -> list[tuple[str, Entry]]:
    own = [one for one in entries if one[0] == VICTIM]
    return [one for one in entries if one[0] != VICTIM] + own[::-1]


def changed(entries: list[tuple[str, Entry]]) -> list[tuple[str, Entry]]:
    return [
        (who, Entry(e.place, e.leaf, e.text.replace("housing", "taxation")) if who == VICTIM else e)
        for who, e in entries
    ]


def forgotten(entries: list[tuple[str, Entry]]) -> list[tuple[str, Entry]]:
    return [one for one in entries if one[0] != VICTIM]


LIES = (left_out, doubled, reordered, changed, forgotten)
MORE = {"left_out": -1, "doubled": 1, "reordered": 0, "changed": 0}


@pytest.mark.parametrize("lie", LIES)
@pytest.mark.parametrize("begin", [0, 1, 2])
def test_a_map_with_a_list_that_is_wrong_is_detected_and_named(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    lie: Callable[[list[tuple[str, Entry]]], list[tuple[str, Entry]]],
    begin: int,
) -> None:
    """The operator lies from one commitment on, and a witness has cosigned all the same: it does not know the records."""
    honest = subjects.entries_of

    def lying(store: Store, hashing: TreeHash, after: int, through: int) -> Iterator[tuple[str, Entry]]:
        entries = list(honest(store, hashing, after, through))
        yield from lie(entries) if through == SIZES[begin] else entries

    monkeypatch.setattr(subjects, "entries_of", lying)
    kept = kept_in(tmp_path)
    report = kept.report(kept.file, Source(kept.anchor, "anchor"))
    found = [one for one in report.findings if one.code == "LEDGER_SUBJECTS_CHANGED"]
    assert found == list(report.findings)
    wrong = [one for one in found if one.where == "anchor"]
    assert wrong == [Finding("LEDGER_SUBJECTS_CHANGED", (0, *SIZES)[begin] + 1, SIZES[-1], "anchor")]
    named = [one for one in found if one.where.startswith(VICTIM)]
    assert len(named) == 1
    assert len([one for one in found if ":" in one.where]) == 1
    kept_count, right = map(int, named[0].where.split(" ")[1].split("/"))
    assert kept_count - right == MORE.get(lie.__name__, kept_count - right)
    assert 1 <= named[0].first <= named[0].last <= SIZES[-1]


def test_a_lie_that_was_taken_back_is_found_in_its_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody was shown a list without an entry, and has kept the checkpoint of that proof."""
    kept = kept_in(tmp_path)
    store = opened(kept.file)
    true = store.last_checkpoint()
    assert true
    told = parse_checkpoint(true.text)
    lie = SubjectMap(told.size, bytes(range(32)), told.subjects.key_ids if told.subjects else ())
    note = signed(checkpoint_text(ORIGIN, told.size, told.root, "sha256", store.coordinates(), lie), kept.signer)
    store.close()
    report = kept.report(kept.file, Source(note, "shown to me", vouched=True))
    assert report.findings == (Finding("LEDGER_SUBJECTS_CHANGED", SIZES[1] + 1, SIZES[2], "shown to me"),)


# -- somebody changes the store's tables -----------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(40))
def test_a_row_of_the_map_that_was_changed_is_found(kept: Kept, tmp_path: Path, seed: int) -> None:
    file, rng = tmp_path / "edited.db", Random(seed)
    shutil.copy(kept.file, file)
    connection = sqlite3.connect(file)
    place, content = rng.choice(connection.execute("SELECT place, content FROM subject_rows").fetchall())
    bent = bytearray(content)
    bent[rng.randrange(len(bent))] ^= 1 << rng.randrange(8)
    edits: list[tuple[str, tuple[object, ...]]] = [
        ("UPDATE subject_rows SET content = ? WHERE place = ?", (bytes(bent), place)),
        ("UPDATE subject_rows SET content = 'text' WHERE place = ?", (place,)),
        ("DELETE FROM subject_rows WHERE place = ?", (place,)),
        ("INSERT INTO subject_rows VALUES (?, 1, ?, NULL)", (16**9 + place, content)),
        ("UPDATE subject_maps SET root = randomblob(32) WHERE version = 3", ()),
    ]
    statement, values = rng.choice(edits)
    connection.execute(statement, values)
    connection.commit()
    connection.close()
    report = kept.report(file, Source(kept.anchor, "anchor"))
    assert {one.code for one in report.findings} == {"LEDGER_SUBJECTS_CHANGED"}
    assert report.proven == SIZES[-1]


def test_a_map_that_was_thrown_away_is_made_anew_and_right(kept: Kept, tmp_path: Path) -> None:
    file = tmp_path / "edited.db"
    shutil.copy(kept.file, file)
    connection = sqlite3.connect(file)
    connection.executescript("DELETE FROM subject_rows; DELETE FROM subject_maps")
    connection.close()
    store = opened(file)
    one = Integrator(store, SHA, ORIGIN, kept.signer, None, 60, 0.0)
    one.advance(at_once=True)
    one.subjects.advance()
    one.advance(at_once=True)
    last = store.last_checkpoint()
    assert last
    assert parse_checkpoint(last.text).subjects == parse_checkpoint(kept.anchor).subjects
    store.close()
    assert kept.report(file, Source(kept.anchor, "anchor")).findings == ()
