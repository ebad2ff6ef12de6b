"""Checks a whole store: every record against its leaf, the leaves against every checkpoint there is, the dictionary of items too.

Who owns the store and the signing key can make a store that agrees with itself, so only a checkpoint that he does not own proves anything:
one that a witness has cosigned, or that the auditor brings along (*anchors*). Records up to the last anchor that holds are proven,
later ones are unproven, however well they look. A finding names the first wrong record where the store gives it away, else the range
between two checkpoints. Nothing is written.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from audit.archive import ArchivedStore
from audit.checkpoint import CheckpointError, opened, signed_by
from audit.frame import labelled
from audit.merkle import TILE_HEIGHT, Frontier, Tile, TreeHash
from audit.sealed import Broken, add_subtrees
from audit.store import Leaf, Store
from audit.verify_archive import Leap, examined
from audit.verify_map import Committed, Recounted
from audit.verify_offline import HASHES, Checkpoint, Key, dictionary_digest

_WINDOW = 32_768
_MOST_FINDINGS = 1_000
_BEFORE_ALL = -(2**62)


@dataclass(frozen=True, slots=True)
class Finding:
    """What is wrong: a code of `schema.errors.CODES`, the records from `first` to `last`, and the checkpoint that shows it where one does.

    For `LEDGER_ITEMS_CHANGED` the numbers are those of items. For `LEDGER_SUBJECTS_CHANGED` `where` is the checkpoint whose map is wrong, or
    the data subject with how many entries are kept and how many there are.
    """

    code: str
    first: int
    last: int
    where: str = ""


@dataclass(frozen=True, slots=True)
class Report:
    """How many records there are, through which they are proven, against how many checkpoints, and what is wrong, in the order of records.

    `removed` are the months that were removed by rule, `sealed` how many months are in the archive, `maps` how many maps of data subjects
    were made anew and compared: none where a month was removed or cannot be read, for its records are not there.
    """

    records: int
    proven: int
    checkpoints: int
    findings: tuple[Finding, ...]
    removed: tuple[str, ...] = ()
    sealed: int = 0
    maps: int = 0


@dataclass(frozen=True, slots=True)
class Source:
    """A checkpoint's text, where it was found, and whether the auditor vouches that nobody else had it in his hands."""

    text: str
    where: str
    vouched: bool = False


@dataclass(frozen=True, slots=True)
class _Known:
    checkpoint: Checkpoint
    where: str
    anchor: bool


def verify(
    store: Store | ArchivedStore,
    hashing: TreeHash,
    origin: str,
    keys: Sequence[Key],
    witnesses: Sequence[Key],
    more: Iterable[Source] = (),
    *,
    lists: bool = True,
) -> Report:
    """Check the store of this origin, whose checkpoints these keys have signed, against what it keeps and `more`; the lists of data subjects
    too, which takes most of the time, unless `lists` is False. StoreUnavailable."""
    findings = _Findings()
    kept = (Source(one.text if isinstance(one.text, str) else "", f"#{one.number}") for one in _kept(store))
    archive = examined(store)
    sealed = (Source(text, where) for text, where in archive.checkpoints)
    known = [
        one for source in (*more, *kept, *sealed) if (one := _known(source, hashing, origin, keys, witnesses, findings))
    ]
    for fault in archive.faults:
        findings.add(fault.code, fault.first, fault.last, fault.where)
    committed = [Committed(one.checkpoint.subjects, one.where, one.anchor) for one in known if one.checkpoint.subjects]
    maps = Recounted(store, hashing, committed) if lists and not archive.leaps else None
    tree = _Recomputed(store, hashing, {one.checkpoint.size for one in known}, maps, findings, archive.leaps)
    tree.run()
    proven = _compare(known, tree, findings)
    _dictionary(store.coordinates(), hashing, known, findings)
    for wrong in maps.wrong() if maps else ():
        findings.add("LEDGER_SUBJECTS_CHANGED", wrong.first, wrong.last, wrong.where)
    return Report(
        tree.records,
        proven,
        len(known),
        findings.sorted(),
        archive.removed,
        archive.sealed,
        maps.compared if maps else 0,
    )


class _Findings:
    """Findings, neighbours of one code joined to a range."""

    def __init__(self) -> None:
        self._found: list[Finding] = []

    def add(self, code: str, first: int, last: int, where: str = "") -> None:
        before = self._found[-1] if self._found else None
        if before and (before.code, before.where) == (code, where) and before.first <= first <= before.last + 1:
            self._found[-1] = Finding(code, before.first, max(before.last, last), where)
        elif len(self._found) < _MOST_FINDINGS:
            self._found.append(Finding(code, first, last, where))

    def sorted(self) -> tuple[Finding, ...]:
        return tuple(sorted(dict.fromkeys(self._found), key=lambda one: (one.first, one.last - one.first)))


def _kept(store: Store) -> Iterator[Any]:
    after = 0
    while page := store.checkpoints(after, _WINDOW):
        yield from page
        after = page[-1].number


def _known(
    source: Source, hashing: TreeHash, origin: str, keys: Sequence[Key], witnesses: Sequence[Key], findings: _Findings
) -> _Known | None:
    """The checkpoint if it can be compared with; else it is a finding."""
    try:
        checkpoint = opened(source.text, keys, origin)
        if checkpoint.hash != hashing.name:
            raise CheckpointError("LEDGER_FOREIGN")
        anchor = bool(signed_by(checkpoint, witnesses)) or source.vouched
    except CheckpointError as error:
        findings.add(error.code, 0, 0, source.where)
        return None
    return _Known(checkpoint, source.where, anchor)


@dataclass
class _Recomputed:
    """The tree as the store's own records and leaves make it; `roots` at the sizes that were asked for, as far as it can be built."""

    store: Store
    hashing: TreeHash
    sizes: set[int]
    maps: Recounted | None
    findings: _Findings
    leaps: Sequence[Leap] = ()
    records: int = 0
    roots: dict[int, bytes] = field(default_factory=dict)
    _whole: bool = True

    def run(self) -> None:
        self._strays()
        self._frontier = Frontier(self.hashing)
        self._size, self._through = self.store.size(), max(self.sizes, default=0)
        if 0 in self.sizes:
            self.roots[0] = self.hashing.empty()
        start, leaps = 0, [*self.leaps]
        while True:
            if leaps and leaps[0].first == start + 1:
                start = self._leap(leaps.pop(0))
                continue
            width = min(_WINDOW, leaps[0].first - 1 - start) if leaps else _WINDOW
            ahead = self.store.rows(start, width)
            leaves = self.store.leaves(start, start + width)
            rows = [row for row in ahead if row[0] <= start + width]
            if not rows and not leaves:
                if ahead or self._size > start:  # nothing for a whole window, and something behind it
                    self.findings.add("LEDGER_REMOVED", start + 1, ahead[0][0] - 1 if ahead else self._size)
                return
            last = max([row[0] for row in rows[-1:]] + [leaf.position + 1 for leaf in leaves[-1:]])
            more = len(ahead) > len(rows) or len(rows) == width or self._size > start + width
            end = start + width if more else last
            self._window(start, end, rows, leaves)
            start = end

    def _leap(self, leap: Leap) -> int:
        """Let the subtrees of a month stand for its records; returns its last place."""
        try:
            add_subtrees(self._frontier, leap.first - 1, leap.last, leap.subtrees)
        except Broken:
            self._whole = False
        self.records = leap.last
        self._frontier.tiles.clear()
        if self._whole and leap.last in self.sizes:
            self.roots[leap.last] = self._frontier.root()
        return leap.last

    def _strays(self) -> None:
        """What stands before the first place, where no question would ever find it."""
        strays = [row[0] for row in self.store.rows(_BEFORE_ALL, _WINDOW) if row[0] <= 0]
        if strays:
            self.findings.add("LEDGER_INSERTED", min(strays), max(strays))
        if leaves := self.store.leaves(_BEFORE_ALL, 0):
            self.findings.add("LEDGER_TREE_BROKEN", leaves[0].position + 1, leaves[-1].position + 1)

    def _window(self, start: int, end: int, rows: list[tuple[Any, ...]], leaves: list[Leaf]) -> None:
        """Records `start` + 1 through `end`."""
        by_place = {row[0]: row for row in rows}
        by_position = {leaf.position: leaf for leaf in leaves}
        last = max(self._size, self._through)
        for place in range(start + 1, end + 1):
            row, leaf = by_place.get(place), by_position.get(place - 1)
            digest = self._right(row, leaf, place) if row and leaf else None
            if digest is None:
                digest = self._record(row, leaf, place)
                self._whole = self._whole and digest is not None and place <= last
            if row:
                self.records = place
            if digest is None or not self._whole:
                continue
            self._frontier.append(digest)
            if row and self.maps:
                self.maps.add(place, digest, row[3])
            if place in self.sizes:
                self.roots[place] = self._frontier.root()
        self._tiles(self._frontier.tiles)
        self._frontier.tiles.clear()

    def _right(self, row: tuple[Any, ...], leaf: Leaf, place: int) -> bytes | None:
        """The leaf's hash if nothing is wrong with the record at a glance, as it is with nearly all of them."""
        _, at, operation, frame = row
        try:
            digest = self.hashing.leaf(frame)
            begins = frame.startswith(b'{"operation":"%s","at":%d,' % (operation.encode(), at))
        except (TypeError, ValueError, AttributeError):
            return None
        return digest if begins and leaf.hash == digest and leaf.seq == place else None

    def _record(self, row: tuple[Any, ...] | None, leaf: Leaf | None, place: int) -> bytes | None:
        """The hash that stands for a record in the tree, None if there is none; notes what is wrong with it."""
        if row is None:
            self.findings.add("LEDGER_REMOVED", place, place)
            return leaf.hash if leaf else None
        _, at, operation, frame = row
        content = bytes(frame) if isinstance(frame, bytes | memoryview) else None
        digest = None if content is None else self.hashing.leaf(content)
        if content is None or not labelled(content, operation, at) or (leaf and leaf.hash != digest):
            self.findings.add("LEDGER_CHANGED", place, place)
        elif leaf.seq != place if leaf else place <= max(self._size, self._through):
            self.findings.add("LEDGER_TREE_BROKEN", place, place)
        return leaf.hash if leaf and len(leaf.hash) == len(self.hashing.empty()) else digest

    def _tiles(self, tiles: list[Tile]) -> None:
        """What the store keeps of the tree's inside must be what its leaves make."""
        kept = self.store.nodes([(tile.level * TILE_HEIGHT, tile.place) for tile in tiles])
        for tile in tiles:
            if kept.get((tile.level * TILE_HEIGHT, tile.place)) != tile.hash:
                width = 1 << tile.level * TILE_HEIGHT
                self.findings.add("LEDGER_TREE_BROKEN", tile.place * width + 1, (tile.place + 1) * width)


def _compare(known: Sequence[_Known], tree: _Recomputed, findings: _Findings) -> int:
    """Compare the checkpoints with the tree; returns through which record it is proven.

    The store's own checkpoints narrow a range only for each other: who rewrote the records may have signed those anew.
    """
    right = [one for one in known if tree.roots.get(one.checkpoint.size) == one.checkpoint.root]
    sizes = {anchor: {one.checkpoint.size for one in right if one.anchor >= anchor} for anchor in (False, True)}
    for one in known:
        size, root = one.checkpoint.size, tree.roots.get(one.checkpoint.size)
        if (
            root is None
        ):  # where records are missing before the last, that was found, and nothing can be compared behind them
            if size > tree.records:
                findings.add("LEDGER_TRUNCATED", tree.records + 1, size, one.where)
        elif root != one.checkpoint.root:
            before = max((other for other in sizes[one.anchor] if other < size), default=0)
            # an anchor at or behind this size agrees with the records: this checkpoint tells of other ones
            forked = any(other >= size for other in sizes[True])
            findings.add("LEDGER_FORKED" if forked else "LEDGER_REWRITTEN", before + 1, size, one.where)
    return max(sizes[True], default=0)


def _dictionary(items: Mapping[int, str], hashing: TreeHash, known: Sequence[_Known], findings: _Findings) -> None:
    """Compare the dictionary of items with what checkpoints say of it."""
    digests: dict[int, bytes] = {}
    right = {False: 0, True: 0}
    for one in sorted(known, key=lambda one: one.checkpoint.items):
        count = one.checkpoint.items
        if count < 0:
            continue
        if count not in digests:
            part = {number: name for number, name in items.items() if number <= count}
            digests[count] = dictionary_digest(HASHES[hashing.name], part)
        if digests[count] == one.checkpoint.dictionary:
            right[False], right[True] = count, count if one.anchor else right[True]
        else:
            findings.add("LEDGER_ITEMS_CHANGED", min(right[one.anchor] + 1, count), count, one.where)
