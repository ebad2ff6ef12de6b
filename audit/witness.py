"""A witness: a second party that has seen every checkpoint it signs continue the last one it signed (C2SP tlog-witness, tlog-cosignature).

It needs nothing of the ledger but its public key, and keeps what it saw in one small file of its own. That file is written before the
cosignature leaves, under a lock, so that no two checkpoints that contradict each other are ever cosigned.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from audit.checkpoint import CheckpointError, Signer, cosigned, opened, signed_by
from audit.merkle import TreeHash, continues
from audit.verify_offline import Checkpoint, Key, parse_checkpoint, unbase64

_MOST_LINES = 63


class Refused(Exception):
    """Not cosigned, by an error's code: `CHECKPOINT_INVALID`, `CHECKPOINT_UNSIGNED`, `CHECKPOINT_STALE` or `LEDGER_FORKED`.

    `seen` is the size that this witness has seen, from which a proof must begin.
    """

    def __init__(self, code: str, seen: int) -> None:
        super().__init__(code)
        self.code = code
        self.seen = seen


@dataclass(frozen=True, slots=True)
class Request:
    """What a witness is given: the size that the proof begins at, the proof, the checkpoint's note."""

    older: int
    proof: tuple[bytes, ...]
    note: str


def parse_request(text: str) -> Request:
    """A request in the form of `audit.proof.carried`, or a bare checkpoint, which is one from nothing. ValueError."""
    if not text.startswith("old "):
        return Request(0, (), text)
    head, _, note = text.partition("\n\n")
    first, *lines = head.split("\n")
    found = re.fullmatch(r"old (0|[1-9][0-9]{0,17})", first)
    if found is None or len(lines) > _MOST_LINES:
        raise ValueError("not a request to a witness")
    return Request(int(found.group(1)), tuple(unbase64(line) for line in lines), note)


def attest(request: Request, keys: Sequence[Key], signer: Signer, state: Path, when: int) -> str:
    """The note with this witness's cosignature at a time (seconds since 1970 UTC), and the state moved on. Refused, SigningFailed, OSError."""
    with _locked(state):
        seen = _seen(state)
        try:
            checkpoint = opened(request.note, keys)
        except CheckpointError as error:
            raise Refused(error.code, 0) from None
        last = seen.get(checkpoint.origin)
        _check(request, checkpoint, parse_checkpoint(last) if last else None)
        note = cosigned(request.note, signer, when)
        if not signed_by(parse_checkpoint(note), [signer.key]):
            raise Refused("CHECKPOINT_INVALID", 0)
        _write(state, seen | {checkpoint.origin: note})
    return note


def last_seen(state: Path, origin: str) -> int:
    """The size of the last checkpoint of this origin, 0 for none. OSError, ValueError."""
    note = _seen(state).get(origin)
    return parse_checkpoint(note).size if note else 0


def _check(request: Request, checkpoint: Checkpoint, last: Checkpoint | None) -> None:
    """Refused unless the checkpoint continues the last."""
    if last is None:
        if request.older or request.proof:
            raise Refused("CHECKPOINT_STALE", 0)
        return
    if checkpoint.size == last.size:  # the same again needs no proof
        if (checkpoint.root, checkpoint.hash) != (last.root, last.hash):
            raise Refused("LEDGER_FORKED", last.size)
        return
    if request.older != last.size or checkpoint.size < last.size:
        raise Refused("CHECKPOINT_STALE", last.size)
    hashing = TreeHash(last.hash)
    right = continues(hashing, last.size, last.root, checkpoint.size, checkpoint.root, request.proof)
    if not right or checkpoint.hash != last.hash:
        raise Refused("LEDGER_FORKED", last.size)


@contextmanager
def _locked(state: Path) -> Iterator[None]:
    state.parent.mkdir(parents=True, exist_ok=True)
    with state.with_name(f".{state.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _seen(state: Path) -> dict[str, str]:
    """The last note by origin; ValueError for a file that is not of its form: what was seen may not be forgotten in silence."""
    if not state.exists():
        return {}
    kept = json.loads(state.read_text("utf8"))
    if not isinstance(kept, dict) or not all(isinstance(one, str) for one in kept.values()):
        raise ValueError("not the state of a witness")
    return kept


def _write(state: Path, seen: dict[str, str]) -> None:
    aside = state.with_name(f".{state.name}.{os.getpid()}")
    with aside.open("w", encoding="utf8") as file:
        json.dump(seen, file, ensure_ascii=False, indent=1)
        file.flush()
        os.fsync(file.fileno())
    aside.replace(state)
