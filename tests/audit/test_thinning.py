"""Old checkpoints are let go of, and nothing that they proved is lost."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit.checkpoint import Signer, checkpoint_text, cosigned, signed
from audit.integrator import Integrator, tree_of
from audit.store import Lease, LeaseLost, NewFrame, Store
from audit.thinning import Dated, span_of, spare, thin
from audit.verify import Finding, Report, verify
from audit.verify_offline import parse_checkpoint
from tests.audit.frames import HASH, frame, node
from tests.audit.tampering import ORIGIN, SHA, key, opened

HOUR, DAY = 3_600_000_000, 86_400_000_000
NOW = 1_800_000_000_000_000
LEASE = Lease("integrator", "test")

CHECKPOINTS = st.lists(
    st.tuples(st.integers(0, 90 * 24 * 60), st.sets(st.sampled_from([b"one", b"two"]))), min_size=1, max_size=60
)


def dated(made: Sequence[tuple[int, set[bytes]]]) -> list[Dated]:
    """Checkpoints by minutes of age and cosigners, in the order of time."""
    ordered = sorted(made, key=lambda one: -one[0])
    return [
        Dated(number, number, b"", NOW - minutes * 60_000_000, frozenset(cosigners))
        for number, (minutes, cosigners) in enumerate(ordered, 1)
    ]


def left(made: Sequence[Dated], now: int = NOW) -> list[Dated]:
    spans: dict[Any, list[Dated]] = {}
    for one in made:
        spans.setdefault(span_of(one.at, now) or one.number, []).append(one)
    gone = {number for key, span in spans.items() if isinstance(key, tuple) for number in spare(span)}
    return [one for one in made if one.number not in gone]


@given(CHECKPOINTS)
def test_the_last_day_the_last_of_all_and_the_last_cosigned_stay(made: list[tuple[int, set[bytes]]]) -> None:
    before = dated(made)
    after = left(before)
    assert [one for one in before if NOW - one.at < DAY] == [one for one in after if NOW - one.at < DAY]
    assert after[-1] == before[-1]
    for witness in (b"one", b"two"):
        assert [one for one in before if witness in one.cosigners][-1:] == [
            one for one in after if witness in one.cosigners
        ][-1:]


@given(CHECKPOINTS)
def test_each_hour_of_a_month_and_each_day_before_keeps_one_and_those_of_witnesses(
    made: list[tuple[int, set[bytes]]],
) -> None:
    before = dated(made)
    after = left(before)
    for span in {span_of(one.at, NOW) for one in before} - {None}:
        kept = [one for one in after if span_of(one.at, NOW) == span]
        assert 1 <= len(kept) <= 3
        assert kept[-1] == [one for one in before if span_of(one.at, NOW) == span][-1]


@given(CHECKPOINTS, st.integers(0, 40 * 24))
def test_thinning_again_is_thinning_once(made: list[tuple[int, set[bytes]]], hours: int) -> None:
    """Where days are thinned that were thinned by hours before, the same stay as if it had been done at once."""
    before = dated(made)
    later = NOW + hours * HOUR
    assert left(left(before), NOW) == left(before)
    assert left(left(before, NOW), later) == left(before, later)


# -- in a store ----------------------------------------------------------------------------------------------------


def sealed(folder: Path, hours: Sequence[float], cosign: Sequence[int] = ()) -> tuple[Store, Signer, Signer]:
    """A store of as many records, as many hours old, with a checkpoint after each; those of the sizes in `cosign` are cosigned."""
    signer, witness = key(folder, "log.key", ORIGIN), key(folder, "witness.key", "witness.example", witness=True)
    store = opened(folder / "ledger.db")
    items = store.item_numbers(["Register.name", "Register.address", "Tax.payer"])
    integrator = Integrator(store, SHA, ORIGIN, signer, None, 60)
    for number, age in enumerate(hours, 1):
        one = frame(f"o-{number}", node(HASH.of("Person", str(number))), at=NOW - int(age * HOUR))
        store.append([NewFrame(one.at, one.operation, one.encode())])
        integrator.advance(at_once=True)
        if number in cosign:
            note = signed(checkpoint_text(ORIGIN, number, tree_of(store, SHA).root(number), "sha256", {}), signer)
            store.keep_checkpoint(cosigned(note, witness, 1_800_000_000), number)
    assert items
    integrator._end()
    return store, signer, witness


def thinned(store: Store) -> list[int]:
    """The sizes of the checkpoints that are left."""
    assert store.hold(LEASE, 60)
    for _ in thin(store, tree_of(store, SHA), LEASE, ORIGIN, NOW):
        pass
    return [parse_checkpoint(one.text).size for one in store.checkpoints(0, 1_000)]


def told(store: Store, signer: Signer, witness: Signer) -> Report:
    return verify(store, SHA, ORIGIN, [signer.key], [witness.key])


def test_an_audit_says_the_same_after_thinning(tmp_path: Path) -> None:
    store, signer, witness = sealed(tmp_path, [900, 899, 890, 50.6, 50.4, 50.2, 30, 20, 10, 1], cosign=[4])
    before = told(store, signer, witness)
    assert (before.records, before.proven, before.findings) == (10, 4, ())
    assert sorted(thinned(store)) == [2, 3, 4, 6, 7, 8, 9, 10]
    after = told(store, signer, witness)
    assert (after.records, after.proven, after.findings) == (10, 4, ())
    store.close()


def test_a_change_of_old_records_is_still_told(tmp_path: Path) -> None:
    store, signer, witness = sealed(tmp_path, [900, 899, 890, 50.6, 50.4, 50.2, 30], cosign=[4])
    thinned(store)
    connection = sqlite3.connect(tmp_path / "ledger.db")
    connection.execute("UPDATE frames SET at = at + 1 WHERE seq = 5")
    connection.commit()
    connection.close()
    assert Finding("LEDGER_CHANGED", 5, 5) in told(store, signer, witness).findings
    store.close()


def test_a_checkpoint_that_the_records_contradict_stays(tmp_path: Path) -> None:
    store, signer, witness = sealed(tmp_path, [900, 899.9, 899.8, 899.7, 1])
    other = signed(checkpoint_text(ORIGIN, 2, bytes(32), "sha256", {}), signer)
    store.keep_checkpoint(other, 2)
    found = told(store, signer, witness).findings
    assert "LEDGER_REWRITTEN" in {one.code for one in found} | {"LEDGER_FORKED"}
    assert found
    assert sorted(thinned(store)) == [2, 4, 5]
    assert {one.code for one in told(store, signer, witness).findings} == {one.code for one in found}
    store.close()


def test_what_cannot_be_read_stays_and_nobody_else_may_drop(tmp_path: Path) -> None:
    store, *_ = sealed(tmp_path, [900, 899.9, 899.8, 1])
    store.keep_checkpoint("no checkpoint", 3)
    numbers = [one.number for one in store.checkpoints(0, 100)]
    with pytest.raises(LeaseLost):
        store.drop_checkpoints(Lease("integrator", "another"), numbers)
    assert len(store.checkpoints(0, 100)) == 5
    assert store.hold(LEASE, 60)
    for _ in thin(store, tree_of(store, SHA), LEASE, ORIGIN, NOW):
        pass
    assert "no checkpoint" in [one.text for one in store.checkpoints(0, 100)]
    assert len(store.checkpoints(0, 100)) == 3
    store.close()


def test_an_integrator_thins_while_it_seals(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store, signer, _ = sealed(tmp_path, [900, 899.9, 899.8, 1])
    monkeypatch.setattr("audit.integrator._THIN_FIRST", 0.0)
    monkeypatch.setattr("audit.integrator.time.time", lambda: NOW / 1_000_000)
    one = Integrator(store, SHA, ORIGIN, signer, None, 60)
    for _ in range(4):
        one.advance()
    assert [parse_checkpoint(kept.text).size for kept in store.checkpoints(0, 100)] == [3, 4]
    assert one.state.because == ""
    store.close()
