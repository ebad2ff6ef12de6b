"""Proofs of single records, as `audit/verify_offline.py` checks them, and what carries a checkpoint to a witness."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any

from audit.checkpoint import CheckpointError, signed_by
from audit.integrator import tree_of
from audit.merkle import HashesMissing, TreeHash, includes
from audit.store import KeptCheckpoint, Store
from audit.verify_offline import FORMAT, Checkpoint, Key, parse_checkpoint

_PAGE = 5_000


class ProofError(Exception):
    """There is no proof, by an error's code: `RECORD_UNKNOWN`, `RECORD_REMOVED`, `RECORD_UNSEALED`, `CHECKPOINT_UNKNOWN` or
    `LEDGER_REWRITTEN`.
    """

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


def place_of(store: Store, record: str) -> int:
    """The place of a record that is named by its place or its operation. ProofError."""
    if record.isascii() and record.isdigit():
        found = store.frames([int(record)]) if len(record) < 18 else []
    else:
        by_operation = store.find(record)
        found = [by_operation] if by_operation else []
    if not found:
        place = int(record) if record.isascii() and record.isdigit() and len(record) < 18 else 0
        removed = any(one.removal and one.first <= place <= one.last for one in store.months())
        raise ProofError("RECORD_REMOVED" if removed else "RECORD_UNKNOWN")
    return found[0].seq


def prove(store: Store, hashing: TreeHash, place: int, witnesses: Sequence[Key] = ()) -> dict[str, Any]:
    """The proof of a record: under the newest checkpoint that one of the witnesses has cosigned, else under the newest of all. ProofError."""
    found = store.frames([place])
    if not found:
        raise ProofError("RECORD_UNKNOWN")
    note, checkpoint = _covering(store, place, witnesses)
    frame, tree = found[0].frame, tree_of(store, hashing)
    try:
        path = tree.inclusion(place - 1, checkpoint.size)
        named = frame.decode("utf-8")
    except (HashesMissing, UnicodeDecodeError):
        raise ProofError("LEDGER_REWRITTEN") from None
    if not includes(hashing, hashing.leaf(frame), place - 1, checkpoint.size, path, checkpoint.root):
        raise ProofError("LEDGER_REWRITTEN")
    items = {str(number): name for number, name in sorted(store.coordinates().items()) if number <= checkpoint.items}
    inclusion = [base64.b64encode(one).decode() for one in path]
    return {
        "format": FORMAT, "seq": place, "frame": named, "inclusion": inclusion, "checkpoint": note, "items": items,
    }  # fmt: skip


def _covering(store: Store, place: int, witnesses: Sequence[Key]) -> tuple[str, Checkpoint]:
    kept = (cosigned_over(store, place, witnesses) if witnesses else None) or store.last_checkpoint()
    try:
        checkpoint = parse_checkpoint(kept.text) if kept else None
    except ValueError:
        raise ProofError("LEDGER_REWRITTEN") from None
    if kept is None or checkpoint is None or checkpoint.size < place:
        raise ProofError("RECORD_UNSEALED")
    return kept.text, checkpoint


def cosigned_over(store: Store, place: int, witnesses: Sequence[Key]) -> KeptCheckpoint | None:
    """The largest checkpoint over the record that one of the witnesses has cosigned."""
    best, largest, after = None, place - 1, 0
    while page := store.checkpoints(after, _PAGE):
        after = page[-1].number
        for one in page:
            try:
                checkpoint = parse_checkpoint(one.text)
                if checkpoint.size > largest and signed_by(checkpoint, witnesses):
                    best, largest = one, checkpoint.size
            except (ValueError, CheckpointError):
                continue
    return best


def consistency(store: Store, hashing: TreeHash, older: int, size: int) -> list[str]:
    """The proof that the tree of that size continues the older one, in base64; nothing for 0 and for equal sizes. ProofError."""
    if not 0 <= older <= size <= store.size():
        raise ProofError("CHECKPOINT_UNKNOWN")
    if older in (0, size):
        return []
    try:
        path = tree_of(store, hashing).consistency(older, size)
    except HashesMissing:
        raise ProofError("LEDGER_REWRITTEN") from None
    return [base64.b64encode(one).decode() for one in path]


def carried(older: int, proof: Sequence[str], note: str) -> str:
    """What goes to a witness: the size that it has seen, the proof from there, the checkpoint (C2SP tlog-witness, add-checkpoint)."""
    return "".join(f"{line}\n" for line in (f"old {older}", *proof, "")) + note
