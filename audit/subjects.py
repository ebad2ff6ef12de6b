"""The map of data subjects: whose list has how many entries and which head, committed to about once a minute.

Everybody whom a record concerns has an own list: its entries (`audit.concerns`) chained in the order of records. A sparse Merkle tree
(`audit.sparse`) leads from the data subject (a keyed hash) to count and head of that list, and a checkpoint has its root: so whoever is
shown a list can tell that nothing was left out of it, and nobody can be shown another than the auditor finds in the records.

A version is written in portions, beside the one before, which stays provable; it is whole once its root is kept, committed once a
checkpoint has it, and only then followed by the next. All of it happens on a thread of its own, under the integrator's lease. When it
fails or falls behind, that is told (`because`); records are appended and sealed all the same.
"""

from __future__ import annotations

import base64
import json
import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from audit import sparse
from audit.checkpoint import CheckpointError, signed_by
from audit.concerns import concerned
from audit.merkle import TreeHash
from audit.store import Lease, LeaseLost, MapVersion, Store, StoredFrame, StoreUnavailable
from audit.verify_offline import (
    HASHES,
    NOTHING,
    Checkpoint,
    Key,
    SubjectMap,
    linked,
    map_root,
    parse_checkpoint,
    subject_key,
)
from schema.errors import wordless

_LOG = logging.getLogger("onesource.ledger")
_LEASE_SECONDS, _RENEW_SECONDS = 6.0, 2.0
_MOST, _MOST_ENTRIES = 20_000, 50_000
"""Records and entries that one version has more than the last, about: they are kept in memory meanwhile."""
_PORTION = 1_000
_ROWS, _BREATH = 200, 0.01
"""Rows that are written at once, and seconds between two such writes: appends wait for one at the longest."""
_PATIENCE = 300.0
"""Seconds beyond the interval until the map counts as late."""
_MOST_CHECKPOINTS = 1_000


class _Stopped(Exception):
    """The process ends."""


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry of an own list: the place of its record, its leaf's hash in the ledger's tree, and what it says (JSON)."""

    place: int
    leaf: bytes
    text: str


class Subjects:
    """Keeps the map of one store under a lease; `every` is how many seconds lie between two commitments, at the least."""

    def __init__(self, store: Store, hashing: TreeHash, lease: Lease, every: float) -> None:
        self._store = store
        self._hashing = hashing
        self._digest = HASHES[hashing.name]
        self._lease = lease
        self._every = every
        self._begun = self._held_until = self._ask_again = float("-inf")
        self._current = time.monotonic()
        self._behind = self._stopped = False
        self.waiting = False
        """Whether a version is whole, and no checkpoint has it yet."""
        self.because = ""
        """Why the map stands still: `store` (it failed), `tampered` (what is kept contradicts itself), `late`; empty if it does not."""

    def stop(self) -> None:
        """Leave a version unfinished, if one is being written; whoever holds the lease next goes on with it."""
        self._stopped = True

    def latest(self) -> MapVersion | None:
        """The newest whole version. StoreUnavailable."""
        return next((one for one in self._store.map_versions() if one.root), None)

    def advance(self) -> None:
        """Write the next version, if it is time. Blocks; raises nothing."""
        because = ""
        try:
            self._advance()
        except (LeaseLost, _Stopped):
            self._held_until = float("-inf")
        except sparse.Tampered:
            because = "tampered"
        except Exception as error:
            if not isinstance(error, StoreUnavailable):
                _LOG.error("map of data subjects: %s", wordless(error))
            because = "store"
        if not because and time.monotonic() - self._current > self._every + _PATIENCE:
            because = "late"
        if because and because != self.because:
            _LOG.error("the map of data subjects stands still: %s", because)
        self.because = because

    def _advance(self) -> None:
        versions = self._store.map_versions()
        base = next((one for one in versions if one.root), None)
        size, covered = self._store.size(), base.size if base else 0
        begun = versions[0] if versions and not versions[0].root else None
        if covered > size:
            raise sparse.Tampered
        if covered == size:
            self._current = time.monotonic()
            return
        due = begun or self._behind or time.monotonic() - self._begun >= self._every
        started = time.monotonic()
        if not due or (base and not base.checkpoint) or started < self._ask_again:
            return
        if not self._holds():
            self._current, self._ask_again = started, started + _RENEW_SECONDS  # somebody else does it
            return
        through, added = self._gathered(covered, begun.size if begun else min(size, covered + _MOST))
        if begun is None:
            begun = MapVersion(base.version + 1 if base else 1, through)
            self._store.begin_map(self._lease, begun)
        self._write(base, begun, added)
        self.waiting, self._begun = True, started
        self._behind = begun.size < size
        if not self._behind:
            self._current = started

    def _holds(self) -> bool:
        """Whether this process may write, for `_RENEW_SECONDS` and more."""
        now = time.monotonic()
        if now >= self._held_until and self._store.hold(self._lease, _LEASE_SECONDS):
            self._held_until = now + _RENEW_SECONDS
        return now < self._held_until

    def _gathered(self, after: int, through: int) -> tuple[int, dict[str, list[Entry]]]:
        """The entries behind a record up to another, or up to an earlier one where there are too many; by data subject."""
        added: dict[str, list[Entry]] = {}
        count, last = 0, after
        for subject, entry in entries_of(self._store, self._hashing, after, through):
            self._go_on()
            if entry.place != last and count >= _MOST_ENTRIES:
                return entry.place - 1, added
            added.setdefault(subject, []).append(entry)
            count, last = count + 1, entry.place
        return through, added

    def _write(self, base: MapVersion | None, new: MapVersion, added: Mapping[str, list[Entry]]) -> None:
        """Write the rows of a version that has these entries more than `base`, then its root."""
        keys = {subject_key(self._digest, subject): subject for subject in added}
        rows = sparse.walk(lambda places: self._store.map_rows(places, new.version - 1), list(keys))
        root = base.root if base else NOTHING
        if keys:
            sparse.check(self._digest, rows, root)
        before = sparse.found(rows, keys)
        leaves = [grown(self._digest, key, before.get(key), added[subject]) for key, subject in keys.items()]
        changed: sparse.Rows = {}
        if leaves:
            changed, root = sparse.rewritten(self._digest, rows, leaves)
        todo = iter(changed.items())
        while portion := {place: sparse.encoded(row) for place, row in islice(todo, _ROWS)}:
            self._go_on()
            if not self._holds():
                raise LeaseLost
            self._store.write_map(self._lease, new.version, portion)
            time.sleep(_BREATH)
        ids = {subject[:6] for subject in added} | set(base.key_ids if base else ())
        self._store.finish_map(self._lease, MapVersion(new.version, new.size, root, tuple(sorted(ids))))

    def _go_on(self) -> None:
        if self._stopped:
            raise _Stopped


def entries_of(store: Store, hashing: TreeHash, after: int, through: int) -> Iterator[tuple[str, Entry]]:
    """Data subject and entry, of the records behind `after` up to `through`, in their order. Tampered where one is missing."""
    while after < through:
        frames = store.read(after, min(_PORTION, through - after))
        names = store.coordinates()
        for stored in frames:
            if stored.seq != after + 1:
                raise sparse.Tampered
            after = stored.seq
            leaf = hashing.leaf(stored.frame)
            for subject, text in concerned(stored.seq, stored.frame, names).items():
                yield subject, Entry(stored.seq, leaf, text)
        if not frames:
            raise sparse.Tampered


def grown(digest: sparse.Digest, key: bytes, before: sparse.MapLeaf | None, entries: Sequence[Entry]) -> sparse.MapLeaf:
    """What the map says of a data subject once these entries are behind those that were there."""
    count, head = (before.count, before.head) if before else (0, NOTHING)
    for entry in entries:
        head = linked(digest, head, entry.leaf, entry.text)
    return sparse.MapLeaf(key, count + len(entries), head)


# -- proofs ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class OwnLists:
    """What proves the lists of one person complete: through which record, and the proof, as `audit/verify_offline.py` takes it."""

    through: int
    proof: str


@dataclass(frozen=True, slots=True)
class ListProofs:
    """Proves lists from one store, by checkpoints that one of these witnesses has cosigned where there are any."""

    store: Store
    hashing: TreeHash
    witnesses: Sequence[Key] = ()

    def of(self, subjects: Sequence[str]) -> OwnLists | None:
        """The proof for these data subjects; None before the first commitment. Tampered, StoreUnavailable."""
        return prove_lists(self.store, self.hashing, subjects, self.witnesses)

    def entry(self, stored: StoredFrame, subject: str, names: Mapping[int, str]) -> Entry | None:
        """The entry of a record in this data subject's list; None if it does not concern it."""
        text = concerned(stored.seq, stored.frame, names).get(subject)
        return None if text is None else Entry(stored.seq, self.hashing.leaf(stored.frame), text)


def prove_lists(
    store: Store, hashing: TreeHash, subjects: Sequence[str], witnesses: Sequence[Key] = ()
) -> OwnLists | None:
    """The proof for these data subjects under the last map that was committed to, or None without one.

    By a checkpoint that one of the witnesses has cosigned, if there is one. Tampered where what is kept does not lead to that map.
    """
    committed = _committed(store)
    while committed:
        try:
            lists = [_list(store, HASHES[hashing.name], committed, subject) for subject in subjects]
            note = _note(store, committed, witnesses)
            proof = {"checkpoint": note, "lists": lists}
            return OwnLists(committed.size, json.dumps(proof, separators=(",", ":"), ensure_ascii=False))
        except sparse.Tampered:
            newer = _committed(store)
            if newer is None or newer.version == committed.version:
                raise
            committed = newer  # the version went while it was read
    return None


def _committed(store: Store) -> MapVersion | None:
    return next((one for one in store.map_versions() if one.checkpoint), None)


def _list(store: Store, digest: sparse.Digest, committed: MapVersion, subject: str) -> dict[str, Any]:
    key = subject_key(digest, subject)
    path, leaf = sparse.path_to(digest, lambda places: store.map_rows(places, committed.version), key)
    if map_root(digest, key, path, leaf.hash(digest) if leaf else NOTHING) != committed.root:
        raise sparse.Tampered
    told = {"subject": subject, "count": 0, "path": [_base64(one) if one != NOTHING else "" for one in path]}
    if leaf and leaf.key == key:
        return told | {"count": leaf.count, "head": _base64(leaf.head)}
    return told | ({"other": [_base64(leaf.key), leaf.count, _base64(leaf.head)]} if leaf else {})


def _note(store: Store, committed: MapVersion, witnesses: Sequence[Key]) -> str:
    """A checkpoint with this map: cosigned by a witness where there is one, else the newest."""
    last = store.last_checkpoint()
    kept = [*store.checkpoints(committed.checkpoint - 1, _MOST_CHECKPOINTS), *([last] if last else [])]
    found = ""
    for one in kept:
        try:
            checkpoint = parse_checkpoint(one.text)
        except ValueError:
            continue
        if checkpoint.subjects == told_of(committed):
            found = one.text
            if _cosigned(checkpoint, witnesses):
                return found
    if not found:
        raise sparse.Tampered
    return found


def _cosigned(checkpoint: Checkpoint, witnesses: Sequence[Key]) -> bool:
    try:
        return len(checkpoint.signatures) > 1 and bool(signed_by(checkpoint, witnesses))
    except CheckpointError:
        return False


def told_of(version: MapVersion) -> SubjectMap:
    """What a checkpoint says of this version."""
    return SubjectMap(version.size, version.root, version.key_ids)


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode()
