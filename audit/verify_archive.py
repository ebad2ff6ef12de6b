"""Checks the sealed months of a store: files and manifests against what was sealed, tombstones against the ledger's own records.

Frames of a month whose file can be read are checked with all others (`audit/verify.py`). Where there are none to read, the month's
subtrees stand for them, so that everything behind them can be proven all the same.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from audit.archive import ArchivedStore
from audit.frame import decode
from audit.hours import china_day
from audit.integrator import tree_of
from audit.merkle import HashesMissing, TreeHash
from audit.sealed import Broken, Manifest, digest_of, manifest_of
from audit.sealing import ACT, kept_until
from audit.store import KeptMonth, Store, StoreUnavailable
from audit.verify_offline import parse_checkpoint

LEAST_RETENTION = 36
"""Months; no setting is lower."""
_FIRST_DAY = 719_163
"""1970-01-01, as `date.toordinal` counts."""


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with a month: an error's code, its records, the file."""

    code: str
    first: int
    last: int
    where: str


@dataclass(frozen=True, slots=True)
class Leap:
    """A month whose records cannot be read, and the subtrees that stand for them."""

    first: int
    last: int
    subtrees: Sequence[bytes]


@dataclass(frozen=True, slots=True)
class Examined:
    """What is wrong with the archive, which months to leap over, which were removed by rule, how many have their files.

    `checkpoints` are those that months were sealed under, each with the manifest that has it.
    """

    faults: tuple[Fault, ...] = ()
    leaps: tuple[Leap, ...] = ()
    removed: tuple[str, ...] = ()
    sealed: int = 0
    checkpoints: tuple[tuple[str, str], ...] = ()


def examined(store: Store | ArchivedStore) -> Examined:
    """Examine the archive of a store; a store without one has nothing to be examined. StoreUnavailable."""
    if not isinstance(store, ArchivedStore):
        return Examined()
    faults, leaps, removed, checkpoints = [], [], [], []
    months = store.months()
    gone = max((one.last for one in months if one.removal), default=0)
    for kept in months:
        try:
            manifest = manifest_of(kept)
        except Broken:
            faults.append(Fault("ARCHIVE_CHANGED", kept.first, kept.last, f"{kept.month}.json"))
            leaps.append(Leap(kept.first, kept.last, ()))
            continue
        checkpoints.append((manifest.checkpoint, f"{kept.month}.json"))
        if kept.removal:
            fault, readable = _tombstone_fault(store, kept, manifest, gone), False
        else:
            fault, readable = _file_fault(store, kept, manifest)
        if fault:
            faults.append(Fault(fault, kept.first, kept.last, manifest.file))
        elif kept.removal:
            removed.append(kept.month)
        if not readable:
            leaps.append(Leap(kept.first, kept.last, manifest.subtrees))
        if not _live_tree_fits(store, manifest):
            faults.append(Fault("LEDGER_TREE_BROKEN", kept.first, kept.last, ""))
    sealed = sum(not one.removal for one in months)
    return Examined(tuple(faults), tuple(leaps), tuple(removed), sealed, tuple(checkpoints))


def _file_fault(store: ArchivedStore, kept: KeptMonth, manifest: Manifest) -> tuple[str, bool]:
    """The code of what is wrong with a month's files, empty if nothing is, and whether its frames can be read all the same."""
    folder = store.folder or Path()
    try:
        right = digest_of(folder / manifest.file) == manifest.sha256
        right &= (folder / f"{kept.month}.json").read_bytes() == kept.manifest.encode()
        first, last, count, *moments = store.reader().summary(kept.month)
    except (OSError, Broken):
        return "ARCHIVE_MISSING", False
    readable = (first, last, count) == (kept.first, kept.last, kept.last - kept.first + 1)
    right &= readable and moments == [manifest.earliest, manifest.latest] and _leads_to_its_checkpoint(manifest)
    return ("" if right else "ARCHIVE_CHANGED"), readable


def _live_tree_fits(store: ArchivedStore, manifest: Manifest) -> bool:
    """Whether what the live store keeps of the month's part of the tree, which other records' proofs need, is what was sealed."""
    try:
        kept = tree_of(store.live, TreeHash(manifest.hash)).subtrees(manifest.first - 1, manifest.last)
    except HashesMissing:
        return False
    return tuple(kept) == manifest.subtrees


def _leads_to_its_checkpoint(manifest: Manifest) -> bool:
    try:
        checkpoint = parse_checkpoint(manifest.checkpoint)
        return checkpoint.size >= manifest.last and manifest.root(checkpoint.size) == checkpoint.root
    except (Broken, ValueError):
        return False


def _tombstone_fault(store: ArchivedStore, kept: KeptMonth, manifest: Manifest, gone: int) -> str:
    """REMOVAL_UNPROVEN unless a record of the ledger says of this very month that it may go; empty otherwise.

    That record may be gone by rule itself, since; then it stood before a later month's removal, which is on record.
    """
    try:
        told = json.loads(kept.removal)
        content, operation, place = str(told["order"]), str(told["operation"]), int(told["place"])
        order = json.loads(content)
        late = (
            china_day(int(order["at"])) + _FIRST_DAY >= kept_until(manifest.latest, int(order["retention"])).toordinal()
        )
        same = order["manifest"] == hashlib.sha256(kept.manifest.encode()).hexdigest() and order["month"] == kept.month
        if not (late and same and int(order["retention"]) >= LEAST_RETENTION and place > kept.last):
            return "REMOVAL_UNPROVEN"
        if place <= gone:
            return ""
        frame = _frame_at(store, place)
    except (ValueError, TypeError, KeyError, OverflowError):
        return "REMOVAL_UNPROVEN"
    digest = hashlib.sha256(content.encode()).hexdigest()
    acts = [(node.get("path"), node.get("case")) for node in frame.get("nodes", ())]
    right = (
        (frame.get("operation"), frame.get("at")) == (operation, order["at"])
        and frame.get("document") == digest
        and acts == [(ACT, kept.month)]
    )
    return "" if right else "REMOVAL_UNPROVEN"


def _frame_at(store: ArchivedStore, place: int) -> dict[str, Any]:
    try:
        found = store.frames([place])
    except StoreUnavailable:
        return {}
    return decode(found[0].frame) if found else {}
