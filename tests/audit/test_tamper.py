"""Tampering with a store, its tree and its checkpoints: detected and located up to the last witnessed checkpoint, unproven behind it."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest

from audit.checkpoint import checkpoint_text, cosigned, signed
from audit.merkle import Frontier
from audit.verify import Finding, Report, Source, verify
from tests.audit.tampering import (
    ORIGIN,
    RECORDS,
    SHA,
    SIZES,
    WITNESSED,
    Edit,
    Sealed,
    check,
    key,
    made,
    opened,
    record,
    sealed_in,
)


@pytest.fixture(scope="module")
def sealed(tmp_path_factory: pytest.TempPathFactory) -> Sealed:
    return sealed_in(tmp_path_factory.mktemp("sealed"))


def after(sealed: Sealed, folder: Path, tree: str, make: Callable[[sqlite3.Connection], None]) -> Report:
    made(sealed, Edit("", 0, make), folder / "edited.db", tree)
    return sealed.report(folder / "edited.db")


def run(statement: str) -> Callable[[sqlite3.Connection], None]:
    def make(connection: sqlite3.Connection) -> None:
        for one in statement.split(";"):
            connection.execute(one)

    return make


def test_an_untouched_store_has_no_findings_and_is_proven_to_its_witness(sealed: Sealed) -> None:
    assert sealed.report(sealed.file) == Report(RECORDS, WITNESSED, len(SIZES) + 2, ())


def test_without_a_witness_everything_is_unproven(sealed: Sealed) -> None:
    store = opened(sealed.file)
    report = verify(store, SHA, ORIGIN, [sealed.signer.key], [])
    store.close()
    assert (report.proven, report.findings) == (0, ())


def test_a_checkpoint_that_the_auditor_vouches_for_proves_too(sealed: Sealed) -> None:
    store = opened(sealed.file)
    last = store.last_checkpoint()
    assert last
    vouched = Source(last.text, "mine", vouched=True)
    report = verify(store, SHA, ORIGIN, [sealed.signer.key], [], [vouched])
    store.close()
    assert report.proven == SIZES[-1]


@pytest.mark.parametrize("seed", range(200))
def test_a_random_edit_is_detected_and_located(sealed: Sealed, tmp_path: Path, seed: int) -> None:
    check(sealed, Random(seed), tmp_path / "edited.db")


# -- one by one ----------------------------------------------------------------------------------------------------


def test_a_changed_record_is_named(sealed: Sealed, tmp_path: Path) -> None:
    report = after(sealed, tmp_path, "kept", run("UPDATE frames SET frame = frame || ' ' WHERE seq = 77"))
    assert report.findings == (Finding("LEDGER_CHANGED", 77, 77),)


@pytest.mark.parametrize("column", ["frame", "operation"])
def test_what_is_no_text_is_named_like_any_other_change(sealed: Sealed, tmp_path: Path, column: str) -> None:
    report = after(sealed, tmp_path, "kept", run(f"UPDATE frames SET {column} = CAST(x'80ff' AS TEXT) WHERE seq = 77"))
    assert report.findings == (Finding("LEDGER_CHANGED", 77, 77),)


def test_a_removed_record_is_named(sealed: Sealed, tmp_path: Path) -> None:
    report = after(sealed, tmp_path, "kept", run("DELETE FROM frames WHERE seq BETWEEN 77 AND 79"))
    assert report.findings == (Finding("LEDGER_REMOVED", 77, 79),)


def test_a_changed_record_whose_tree_was_made_to_fit_lies_between_two_checkpoints(
    sealed: Sealed, tmp_path: Path
) -> None:
    edit = run("UPDATE frames SET frame = CAST(replace(plain(frame), 'clerk-01', 'clerk-02') AS BLOB) WHERE seq = 77")
    for tree in ("leaves", "all"):
        report = after(sealed, tmp_path, tree, edit)
        assert ("LEDGER_REWRITTEN", "anchor") in {(one.code, one.where) for one in report.findings}
        assert report.proven == 0
        assert report.findings[0].first <= 77 <= report.findings[0].last


def test_a_cut_tail_is_a_range_to_the_witnessed_size(sealed: Sealed, tmp_path: Path) -> None:
    report = after(sealed, tmp_path, "all", run("DELETE FROM frames WHERE seq > 400"))
    assert Finding("LEDGER_TRUNCATED", 401, WITNESSED, "anchor") in report.findings


def test_a_ledger_emptied_altogether_is_truncated(sealed: Sealed, tmp_path: Path) -> None:
    report = after(sealed, tmp_path, "kept", run("DELETE FROM frames; DELETE FROM leaves; DELETE FROM checkpoints"))
    assert report.findings == (Finding("LEDGER_TRUNCATED", 1, WITNESSED, "anchor"),)


def test_a_cut_tail_behind_the_witness_is_unproven(sealed: Sealed, tmp_path: Path) -> None:
    report = after(sealed, tmp_path, "all", run("DELETE FROM frames WHERE seq > 450"))
    assert (report.records, report.proven, report.findings) == (450, WITNESSED, ())


def test_a_record_hidden_before_the_first_place_is_found(sealed: Sealed, tmp_path: Path) -> None:
    statement = "INSERT INTO frames SELECT -5, at, 'hidden', frame FROM frames WHERE seq = 1"
    assert after(sealed, tmp_path, "kept", run(statement)).findings == (Finding("LEDGER_INSERTED", -5, -5),)


def test_a_record_far_behind_the_last_does_not_keep_the_auditor_busy(sealed: Sealed, tmp_path: Path) -> None:
    statement = "INSERT INTO frames SELECT 4611686018427387904, at, 'far', frame FROM frames WHERE seq = 1"
    report = after(sealed, tmp_path, "kept", run(statement))
    assert report.findings[0].code == "LEDGER_REMOVED"
    assert report.findings[0].first == RECORDS + 1


def test_a_fork_between_two_exported_checkpoints_is_told(sealed: Sealed) -> None:
    """The ledger told somebody of other records 258 to 300, and went on without them."""
    frontier = Frontier(SHA)
    for number in range(1, 301):
        frontier.append(SHA.leaf(record(number if number < 290 else 10_000 + number).frame))
    items = {1: "Register.name", 2: "Register.address", 3: "Tax.payer"}
    forked = signed(checkpoint_text(ORIGIN, 300, frontier.root(), "sha256", items), sealed.signer)
    store = opened(sealed.file)
    first = store.checkpoint_of(257)
    assert first
    more = [Source(first.text, "first", vouched=True), Source(forked, "other", vouched=True)]
    report = verify(store, SHA, ORIGIN, [sealed.signer.key], [sealed.witness.key], more)
    store.close()
    assert report.findings == (Finding("LEDGER_FORKED", 258, 300, "other"),)
    assert report.proven == WITNESSED


@pytest.mark.parametrize(
    ("statement", "numbers"),
    [
        ("UPDATE items SET coordinate = 'X.y' WHERE number = 2", (1, 3)),
        ("DELETE FROM items WHERE number = 3", (1, 3)),
        ("INSERT INTO items VALUES (0, 'X.y')", (1, 3)),
    ],
)
def test_a_changed_dictionary_is_told(sealed: Sealed, tmp_path: Path, statement: str, numbers: tuple[int, int]) -> None:
    report = after(sealed, tmp_path, "all", run(statement))
    assert Finding("LEDGER_ITEMS_CHANGED", *numbers, "anchor") in report.findings


def test_new_items_are_no_change(sealed: Sealed, tmp_path: Path) -> None:
    assert after(sealed, tmp_path, "kept", run("INSERT INTO items VALUES (9, 'New.item')")).findings == ()


# -- bad input -----------------------------------------------------------------------------------------------------


def test_a_store_of_another_installation_is_told(sealed: Sealed) -> None:
    store = opened(sealed.file)
    report = verify(store, SHA, "ledger.example/two", [sealed.signer.key], [])
    store.close()
    assert {one.code for one in report.findings} == {"LEDGER_FOREIGN"}


def test_a_checkpoint_of_an_unknown_signer_is_told_and_counts_for_nothing(sealed: Sealed, tmp_path: Path) -> None:
    stranger = key(tmp_path, "stranger.key", ORIGIN)
    note = signed(sealed.anchor.split("\n\n")[0] + "\n", stranger)
    store = opened(sealed.file)
    report = verify(store, SHA, ORIGIN, [sealed.signer.key], [], [Source(note, "strange", vouched=True)])
    store.close()
    assert (report.proven, report.findings) == (0, (Finding("CHECKPOINT_UNSIGNED", 0, 0, "strange"),))


def test_a_cosignature_by_an_unknown_witness_proves_nothing(sealed: Sealed, tmp_path: Path) -> None:
    stranger = key(tmp_path, "stranger.key", "stranger.example", witness=True)
    store = opened(sealed.file)
    last = store.last_checkpoint()
    assert last
    more = [Source(cosigned(last.text, stranger, 1), "strange")]
    report = verify(store, SHA, ORIGIN, [sealed.signer.key], [sealed.witness.key], more)
    store.close()
    assert report.proven == WITNESSED


def test_verifying_writes_nothing(sealed: Sealed, tmp_path: Path) -> None:
    file = tmp_path / "read.db"
    shutil.copy(sealed.file, file)
    file.chmod(0o400)
    before = file.read_bytes()
    sealed.report(file)
    assert file.read_bytes() == before
