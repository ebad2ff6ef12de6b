"""Makes the map of data subjects anew from the records, and compares it with what was committed and with what the store keeps of it.

Compared are the newest commitments and every one that a witness or the auditor vouches for: who owns store and key could sign any other
anew. A wrong commitment is a finding with the checkpoint that has it and the records since the last right one; where the store's own rows
of the map are wrong, the data subjects are named, each with the number of entries that are kept and that there are.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass

from audit import sparse
from audit.concerns import concerned
from audit.merkle import TreeHash
from audit.store import Store
from audit.subjects import entries_of
from audit.verify_offline import HASHES, NOTHING, SubjectMap, linked, subject_key

_NEWEST = 200
"""Commitments of the store's own that are compared; those that are vouched for are all."""
_PAGE = 2_000
_MOST_NAMED = 100


@dataclass(frozen=True, slots=True)
class Committed:
    """A map that a checkpoint has, where that was found, and whether somebody vouches for it."""

    subjects: SubjectMap
    where: str
    anchor: bool


@dataclass(frozen=True, slots=True)
class Wrong:
    """A map or a list that is not what the records make: which records, and where."""

    first: int
    last: int
    where: str


class Recounted:
    """The own lists as the records make them, one record after the other; compared whenever a commitment covers just those."""

    def __init__(self, store: Store, hashing: TreeHash, committed: Sequence[Committed]) -> None:
        self._store, self._hashing, self._digest = store, hashing, HASHES[hashing.name]
        self._names = store.coordinates()
        own = sorted({one.subjects.size for one in committed if not one.anchor})[-_NEWEST:]
        self._committed: dict[int, list[Committed]] = {}
        for one in committed:
            if one.anchor or one.subjects.size in own:
                self._committed.setdefault(one.subjects.size, []).append(one)
        self._lists: dict[str, tuple[int, bytes]] = {}
        self._changed: set[str] = set()
        self._key_ids: set[str] = set()
        self._rows: dict[int, bytes] = {}
        self._root = NOTHING
        self._kept_at = self._kept_size()
        self._right = 0
        self._wrong: list[Wrong] = []
        self._suspects: dict[bytes, tuple[int, int]] = {}
        self.compared = 0

    def add(self, place: int, leaf: bytes, frame: bytes) -> None:
        """Go on with the record at this place, whose leaf has this hash. Records come in their order, from the first."""
        for subject, text in concerned(place, frame, self._names).items():
            count, head = self._lists.get(subject, (0, NOTHING))
            self._lists[subject] = count + 1, linked(self._digest, head, leaf, text)
            self._changed.add(subject)
            self._key_ids.add(subject[:6])
        if place in self._committed:
            self._compare(place)
        if place == self._kept_at:
            self._compare_rows(place)

    def wrong(self) -> Iterator[Wrong]:
        """Every map and list that is wrong."""
        yield from self._wrong
        if self._suspects:
            yield from self._named()

    def _compare(self, place: int) -> None:
        self._update()
        told = SubjectMap(place, self._root, tuple(sorted(self._key_ids)))
        right = [one for one in self._committed[place] if one.subjects == told]
        self.compared += 1
        for one in self._committed[place]:
            if one not in right:
                self._wrong.append(Wrong(self._right + 1, place, one.where))
        if len(right) == len(self._committed[place]):
            self._right = place

    def _update(self) -> None:
        """Bring rows and root up to the lists."""
        if not self._changed:
            return
        keys = {subject_key(self._digest, subject): subject for subject in self._changed}
        leaves = [sparse.MapLeaf(key, *self._lists[subject]) for key, subject in keys.items()]
        rows = sparse.walk(lambda places: {one: self._rows[one] for one in places if one in self._rows}, list(keys))
        changed, self._root = sparse.rewritten(self._digest, rows, leaves)
        self._rows |= {place: sparse.encoded(row) for place, row in changed.items()}
        self._changed.clear()

    # -- what the store keeps of it ----------------------------------------------------------------------------

    def _kept_size(self) -> int:
        """Through which record the newest whole version goes, 0 without one."""
        return next((one.size for one in self._store.map_versions() if one.root), 0)

    def _compare_rows(self, place: int) -> None:
        """Compare the store's rows with ours; if it goes on meanwhile, again with its next version."""
        self._update()
        version = next((one for one in self._store.map_versions() if one.root and one.size == place), None)
        suspects: dict[bytes, tuple[int, int]] = {}
        missing, after = set(self._rows), -(2**62)
        while version and (page := self._store.map_page(after, _PAGE, version.version)):
            after = max(page)
            for number, content in page.items():
                missing.discard(number)
                if content != self._rows.get(number, b""):
                    suspects |= _differing(content, self._rows.get(number, b""))
        for number in missing if version else ():
            suspects |= _differing(b"", self._rows[number])
        if version and (version.root, version.key_ids) != (self._root, tuple(sorted(self._key_ids))):
            suspects |= {b"": (0, 0)}
        newest = self._kept_size()
        if version is None or (suspects and newest > place):  # rows of two versions
            self._kept_at = newest
            return
        self._suspects = suspects

    def _named(self) -> Iterator[Wrong]:
        """The data subjects behind the keys, with the records that concern them."""
        subjects = {subject_key(self._digest, subject): subject for subject in self._lists}
        named = {subjects[key]: told for key, told in self._suspects.items() if key in subjects}
        named = dict(list(named.items())[:_MOST_NAMED])
        places: dict[str, tuple[int, int]] = {}
        with suppress(sparse.Tampered):  # a record is missing, which is a finding of its own: the lists end before it
            for subject, entry in entries_of(self._store, self._hashing, 0, self._kept_at):
                if subject in named:
                    places[subject] = places.get(subject, (entry.place, 0))[0], entry.place
        for subject, (kept, right) in named.items():
            yield Wrong(*places.get(subject, (0, 0)), f"{subject} {kept}/{right}")
        if len(named) < len(self._suspects.keys() - {b""}) or not named:
            yield Wrong(0, 0, "subject_rows")


def _differing(kept: bytes, right: bytes) -> dict[bytes, tuple[int, int]]:
    """Keys whose leaves differ in two rows of one place, with their counts; one of nobody where something else does."""
    told: list[sparse.Bucket] = []
    for row in (kept, right):
        try:
            content = sparse.decoded(row) if row else {}
        except sparse.Tampered:
            content = {}
        told.append({} if isinstance(content, tuple) else content)
    mine, theirs = told
    differing = {
        key: (mine[key].count if key in mine else 0, theirs[key].count if key in theirs else 0)
        for key in mine.keys() | theirs.keys()
        if mine.get(key) != theirs.get(key)
    }
    return differing or {b"": (0, 0)}
