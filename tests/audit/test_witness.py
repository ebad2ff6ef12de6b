"""The witness: cosigns what continues what it has seen, and nothing else, ever."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from audit.checkpoint import Signer, checkpoint_text, signed, signed_by
from audit.merkle import TreeHash
from audit.proof import carried
from audit.verify_offline import parse_checkpoint
from audit.witness import Refused, Request, attest, last_seen, parse_request
from tests.audit.tampering import ORIGIN, SHA, key
from tests.audit.test_merkle import many, tree_over

TREE = tree_over(SHA, many(200))
FORKED = tree_over(SHA, [*many(150), b"another", *many(200)[151:]])
NOW = 1_800_000_000


class Desk:
    """A witness with its state, and a ledger that may ask it."""

    def __init__(self, folder: Path) -> None:
        self.state = folder / "state" / "witness.json"
        self.log, self.witness = (
            key(folder, "log.key", ORIGIN),
            key(folder, "witness.key", "witness.example", witness=True),
        )
        self.stranger = key(folder, "stranger.key", ORIGIN)

    def note(self, size: int, tree: object = TREE, signer: Signer | None = None, hash_name: str = "sha256") -> str:
        assert hasattr(tree, "root")
        return signed(checkpoint_text(ORIGIN, size, tree.root(size), hash_name, {}), signer or self.log)

    def ask(self, older: int, size: int, tree: object = TREE, note: str = "") -> str:
        assert hasattr(tree, "consistency")
        proof = tuple(tree.consistency(older, size)) if 0 < older < size else ()
        request = Request(older, proof, note or self.note(size, tree))
        return attest(request, [self.log.key], self.witness, self.state, NOW)

    def seen(self) -> int:
        return last_seen(self.state, ORIGIN)


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def refusal(ask: Callable[[], object]) -> tuple[str, int]:
    with pytest.raises(Refused) as caught:
        ask()
    return caught.value.code, caught.value.seen


def test_a_cosigned_checkpoint_has_both_signatures(desk: Desk) -> None:
    checkpoint = parse_checkpoint(desk.ask(0, 100))
    assert signed_by(checkpoint, [desk.log.key, desk.witness.key]) == [desk.log.key, desk.witness.key]
    assert desk.seen() == 100


def test_the_ledger_grows_under_its_witness(desk: Desk) -> None:
    for older, size in ((0, 1), (1, 64), (64, 65), (65, 200)):
        desk.ask(older, size)
        assert desk.seen() == size


def test_the_same_checkpoint_again_is_cosigned_again_and_once_only(desk: Desk) -> None:
    note = desk.ask(0, 100)
    again = desk.ask(100, 100, note=note)
    assert len(parse_checkpoint(again).signatures) == 2


def test_a_fork_is_refused_and_forgotten_by_nobody(desk: Desk) -> None:
    desk.ask(0, 160)
    assert refusal(lambda: desk.ask(160, 200, FORKED)) == ("LEDGER_FORKED", 160)
    assert refusal(lambda: desk.ask(160, 160, FORKED)) == ("LEDGER_FORKED", 160)
    assert desk.seen() == 160
    desk.ask(160, 200)


def test_a_smaller_tree_is_refused(desk: Desk) -> None:
    desk.ask(0, 160)
    assert refusal(lambda: desk.ask(0, 100)) == ("CHECKPOINT_STALE", 160)


def test_a_proof_from_elsewhere_names_where_it_must_begin(desk: Desk) -> None:
    desk.ask(0, 100)
    assert refusal(lambda: desk.ask(90, 150)) == ("CHECKPOINT_STALE", 100)
    assert refusal(lambda: desk.ask(0, 150)) == ("CHECKPOINT_STALE", 100)


def test_a_witness_that_has_seen_nothing_takes_no_proof(desk: Desk) -> None:
    assert refusal(lambda: desk.ask(50, 100)) == ("CHECKPOINT_STALE", 0)


def test_an_unknown_signer_is_refused(desk: Desk) -> None:
    note = desk.note(100, signer=desk.stranger)
    assert refusal(lambda: desk.ask(0, 100, note=note)) == ("CHECKPOINT_UNSIGNED", 0)
    assert desk.seen() == 0


def test_a_checkpoint_that_is_none_is_refused(desk: Desk) -> None:
    assert refusal(lambda: desk.ask(0, 100, note="no checkpoint")) == ("CHECKPOINT_INVALID", 0)


def test_another_hash_is_another_tree(desk: Desk) -> None:
    desk.ask(0, 100)
    sm3 = tree_over(TreeHash("sm3"), many(200))
    note = desk.note(200, sm3, hash_name="sm3")
    assert refusal(lambda: desk.ask(100, 200, sm3, note=note)) == ("LEDGER_FORKED", 100)


def test_what_was_seen_is_kept_before_the_cosignature_leaves(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError("full")

    monkeypatch.setattr("audit.witness._write", full)
    with pytest.raises(OSError, match="full"):
        desk.ask(0, 100)
    assert not desk.state.exists()


def test_a_spoilt_state_is_not_taken_for_none(desk: Desk) -> None:
    desk.ask(0, 100)
    for content in ("", "[]", json.dumps({ORIGIN: 5})):
        desk.state.write_text(content, "utf8")
        with pytest.raises(ValueError):  # noqa: PT011 - of whatever reads it
            desk.ask(0, 50)


def test_a_request_is_read_as_it_was_carried(desk: Desk) -> None:
    proof = TREE.consistency(100, 200)
    text = carried(100, [base64.b64encode(one).decode() for one in proof], desk.note(200))
    assert parse_request(text) == Request(100, tuple(proof), desk.note(200))
    assert parse_request(desk.note(5)) == Request(0, (), desk.note(5))


@pytest.mark.parametrize("head", ["old x", "old 01", "old 5\nAA", "old -1", "old 5\n" + "AAAA\n" * 64])
def test_a_spoilt_request_is_refused(desk: Desk, head: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - of whatever reads it
        parse_request(f"{head}\n\n{desk.note(200)}")
