"""The Merkle tree of the ledger, in the shape of RFC 6962 section 2.1: a leaf is a frame, in the order in which frames were sequenced.

A store keeps the leaves' hashes and the root of every complete subtree of 256, 256 x 256 ... leaves (*tiles*). From these the root of
any size the tree ever had, and every proof, is made by reading some hundred hashes. Proofs are checked as RFC 9162 says (2.1.3.2, 2.1.4.2).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

TILE_HEIGHT = 8
"""Levels of the tree between two levels of tiles: a tile's root stands for 256 hashes of the level below."""
HASHES: dict[str, Callable[..., Any]] = {"sha256": hashlib.sha256, "sm3": partial(hashlib.new, "sm3")}
"""What the tree may be hashed with; SM3 (GB/T 32905) is OpenSSL's own."""

Read = Callable[[int, int, int], Sequence[bytes]]
"""Hashes of a level of tiles from a place until before another; level 0 are the leaves. May be fewer where the store lacks some."""


class HashesMissing(Exception):
    """The store lacks hashes that the tree must have: of leaves or tiles at this level, from this place."""

    def __init__(self, level: int, start: int) -> None:
        super().__init__(f"hashes of level {level} are missing from {start}")
        self.level = level
        self.start = start


@dataclass(frozen=True, slots=True)
class TreeHash:
    """How the tree is hashed, by name; ValueError for a name that is not in `HASHES` or that this OpenSSL lacks."""

    name: str = "sha256"
    _new: Callable[..., Any] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.name not in HASHES:
            raise ValueError(f"a tree is hashed with one of: {', '.join(HASHES)}")
        HASHES[self.name](b"")  # ValueError where OpenSSL has it not
        object.__setattr__(self, "_new", HASHES[self.name])

    def _digest(self, content: bytes) -> bytes:
        digest: bytes = self._new(content).digest()
        return digest

    def empty(self) -> bytes:
        """The root of a tree without leaves."""
        return self._digest(b"")

    def leaf(self, frame: bytes) -> bytes:
        return self._digest(b"\x00" + frame)

    def node(self, left: bytes, right: bytes) -> bytes:
        return self._digest(b"\x01" + left + right)


@dataclass(frozen=True, slots=True)
class Tile:
    """The root of a complete subtree of 256**level leaves: the `place`-th of its level, from 0."""

    level: int
    place: int
    hash: bytes


class Frontier:
    """A growing tree that remembers the roots of its complete subtrees only: as many as its size has bits."""

    def __init__(self, hashing: TreeHash, size: int = 0, roots: Sequence[bytes] = ()) -> None:
        """`roots` are those of the complete subtrees that `size` leaves fall into, the largest first."""
        if len(roots) != size.bit_count():
            raise ValueError(f"{size} leaves fall into {size.bit_count()} complete subtrees, not {len(roots)}")
        self._hashing = hashing
        self._roots = list(roots)
        self.size = size
        self.tiles: list[Tile] = []
        """Tiles that were completed, in order; whoever keeps them clears the list."""

    def append(self, leaf: bytes) -> None:
        """Add a leaf by its hash."""
        self.add(leaf, 1)

    def add(self, root: bytes, width: int) -> None:
        """Add a complete subtree of so many leaves by its root; ValueError where no subtree of that width begins."""
        if self.size % width:
            raise ValueError(f"no subtree of {width} leaves begins at {self.size}")
        height = width.bit_length() - 1
        node, place = root, self.size >> height
        while place & 1:
            node = self._hashing.node(self._roots.pop(), node)
            place >>= 1
            height += 1
            if height % TILE_HEIGHT == 0:
                self.tiles.append(Tile(height // TILE_HEIGHT, place, node))
        self._roots.append(node)
        self.size += width

    def root(self) -> bytes:
        """The tree's root as it is now."""
        if not self._roots:
            return self._hashing.empty()
        *others, root = self._roots
        for left in reversed(others):
            root = self._hashing.node(left, root)
        return root


class Tree:
    """The tree as a store keeps it. HashesMissing from every method where the store has lost what it needs."""

    def __init__(self, hashing: TreeHash, read: Read) -> None:
        self._hashing = hashing
        self._read = read

    def root(self, size: int) -> bytes:
        """The root that the tree had when it had so many leaves."""
        return self._subtree(0, size) if size else self._hashing.empty()

    def frontier(self, size: int) -> Frontier:
        """Where to go on from that size."""
        return Frontier(self._hashing, size, self.subtrees(0, size))

    def subtrees(self, start: int, end: int) -> list[bytes]:
        """The roots of the complete subtrees that leaves `start` until before `end` fall into (`subtree_parts`)."""
        return [self._subtree(*part) for part in subtree_parts(start, end)]

    def inclusion(self, place: int, size: int) -> list[bytes]:
        """The proof that a leaf is at `place` (from 0) of the tree of that size; ValueError if the tree has no such leaf."""
        return [self._subtree(*part) for part in inclusion_parts(place, size)]

    def consistency(self, older: int, size: int) -> list[bytes]:
        """The proof that the tree of that size continues the one of the older size; ValueError unless 0 < older <= size."""
        return [self._subtree(*part) for part in consistency_parts(older, size)]

    def _subtree(self, start: int, end: int) -> bytes:
        """The root over leaves `start` until before `end`, which begin where a subtree of their number may begin."""
        width = end - start
        if width & (width - 1):
            middle = start + _largest_power_below(width)
            return self._hashing.node(self._subtree(start, middle), self._subtree(middle, end))
        level = (width.bit_length() - 1) // TILE_HEIGHT
        span: int = 1 << level * TILE_HEIGHT
        hashes = list(self._read(level, start // span, end // span))
        if len(hashes) != width // span:
            raise HashesMissing(level, start // span + len(hashes))
        while len(hashes) > 1:
            hashes = [self._hashing.node(*hashes[place : place + 2]) for place in range(0, len(hashes), 2)]
        return hashes[0]


def subtree_parts(start: int, end: int) -> list[tuple[int, int]]:
    """The fewest complete subtrees that leaves `start` until before `end` fall into, from left to right."""
    parts = []
    while start < end:
        width = 1 << (end - start).bit_length() - 1
        if start:
            width = min(width, start & -start)
        parts.append((start, start + width))
        start += width
    return parts


def inclusion_parts(place: int, size: int) -> list[tuple[int, int]]:
    """Over which leaves (from, until before) each hash of an inclusion proof goes, the lowest first (RFC 6962, 2.1.1)."""
    if not 0 <= place < size:
        raise ValueError(f"a tree of {size} leaves has none at {place}")
    parts, start, end = [], 0, size
    while end - start > 1:
        middle = start + _largest_power_below(end - start)
        if place < middle:
            parts.append((middle, end))
            end = middle
        else:
            parts.append((start, middle))
            start = middle
    return parts[::-1]


def consistency_parts(older: int, size: int) -> list[tuple[int, int]]:
    """Over which leaves each hash of a consistency proof goes, in its order (RFC 6962, 2.1.2)."""
    if not 0 < older <= size:
        raise ValueError(f"a tree of {size} leaves continues none of {older}")
    parts, start, end, whole = [], 0, size, True
    while older != end:
        middle = start + _largest_power_below(end - start)
        if older <= middle:
            parts.append((middle, end))
            end = middle
        else:
            parts.append((start, middle))
            start, whole = middle, False
    if not whole:
        parts.append((start, end))
    return parts[::-1]


def includes(hashing: TreeHash, leaf: bytes, place: int, size: int, proof: Sequence[bytes], root: bytes) -> bool:
    """Whether the proof shows that the tree of that size and root has this leaf (its hash) at `place` (RFC 9162, 2.1.3.2)."""
    if not 0 <= place < size:
        return False
    node, last = leaf, size - 1
    for sibling in proof:
        if last == 0:
            return False
        if place & 1 or place == last:
            node = hashing.node(sibling, node)
            while place and not place & 1:
                place, last = place >> 1, last >> 1
        else:
            node = hashing.node(node, sibling)
        place, last = place >> 1, last >> 1
    return last == 0 and node == root


def continues(hashing: TreeHash, older: int, older_root: bytes, size: int, root: bytes, proof: Sequence[bytes]) -> bool:
    """Whether the proof shows that the tree of that size and root continues the older one (RFC 9162, 2.1.4.2).

    Every tree continues the empty one, and itself, without a proof.
    """
    if older == size:
        return not proof and older_root == root
    if older == 0:
        return not proof and older_root == hashing.empty()
    if not 0 < older < size:
        return False
    path = list(proof)
    if older & (older - 1) == 0:
        path.insert(0, older_root)
    if not path:
        return False
    place, last = older - 1, size - 1
    while place & 1:
        place, last = place >> 1, last >> 1
    first = second = path[0]
    for sibling in path[1:]:
        if last == 0:
            return False
        if place & 1 or place == last:
            first, second = hashing.node(sibling, first), hashing.node(sibling, second)
            while place and not place & 1:
                place, last = place >> 1, last >> 1
        else:
            second = hashing.node(second, sibling)
        place, last = place >> 1, last >> 1
    return last == 0 and first == older_root and second == root


def _largest_power_below(width: int) -> int:
    """The largest power of two below `width`, which is at least 2."""
    return 1 << (width - 1).bit_length() - 1
