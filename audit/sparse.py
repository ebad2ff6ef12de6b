"""A sparse Merkle tree over 256-bit keys, path-compressed: an empty subtree is 32 zero bytes, a subtree with one leaf is that leaf.

The tree is kept in rows by place: the root's is 1, those below `place` are `place * 16 + nibble`. A row is a *bucket* of leaves, or, once
more than `LIMIT` leaves stood there, a *branch* with the hashes of its sixteen children: changing or proving a leaf reads and writes one
row for every four levels. Which rows there are follows from the leaves alone. Keys are digests, so nobody can make the tree deep.
"""

from __future__ import annotations

import struct
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass

from audit.verify_offline import NOTHING, map_leaf, map_node

LIMIT = 16
"""Leaves that a bucket holds at the most."""
_DEEPEST = 15
"""Levels of rows: a place has 63 bits. Sixty bits of a key stand above the lowest, which holds what is alike in all of them."""
_LEAF = struct.Struct(">32sQ32s")
_CHILD = 33

Digest = Callable[[bytes], bytes]
Read = Callable[[Collection[int]], Mapping[int, bytes]]
"""The rows at these places; one that is not there is left out."""


@dataclass(frozen=True, slots=True)
class MapLeaf:
    """What the tree says of a key: how many entries its list has, and the list's head."""

    key: bytes
    count: int
    head: bytes

    def hash(self, digest: Digest) -> bytes:
        return map_leaf(digest, self.key, self.count, self.head)


Child = tuple[bytes, bool] | None
"""A subtree: its hash, and whether it is a single leaf; None for an empty one."""
Branch = tuple[Child, ...]
Bucket = dict[bytes, MapLeaf]
Rows = dict[int, Branch | Bucket]


class Tampered(Exception):
    """Rows that are not of their form, or do not lead to the root that they should."""


def walk(read: Read, keys: Collection[bytes]) -> Rows:
    """Every row on the way to these keys. Tampered."""
    rows: Rows = {}
    wanted: dict[int, list[bytes]] = {1: list(keys)} if keys else {}
    level = 0
    while wanted:
        rows |= {place: decoded(row) for place, row in read(list(wanted)).items()}
        level, above, wanted = level + 1, wanted, defaultdict(list)
        for place, under in above.items():
            if isinstance(rows.get(place), tuple):
                for key in under:
                    wanted[_place(key, level)].append(key)
    return rows


def found(rows: Rows, keys: Iterable[bytes]) -> dict[bytes, MapLeaf]:
    """The leaves of these keys in the rows that `walk` has read for them; a key without one is left out."""
    leaves = {}
    for key in keys:
        level = 0
        while isinstance(row := rows.get(_place(key, level)), tuple):
            level += 1
        if row and key in row:
            leaves[key] = row[key]
    return leaves


def check(digest: Digest, rows: Rows, root: bytes) -> None:
    """Tampered unless the rows lead to this root."""
    for place, row in rows.items():
        if place == 1:
            right = _hash(_top(digest, place, row)) == root
        else:
            above = rows.get(place // 16)
            right = isinstance(above, tuple) and above[place % 16] == _top(digest, place, row)
        if not right:
            raise Tampered
    if 1 not in rows and root != NOTHING:
        raise Tampered


def rewritten(digest: Digest, rows: Rows, leaves: Collection[MapLeaf]) -> tuple[Rows, bytes]:
    """The rows that change with these leaves (at least one), given every row on the way to them, and the new root. Tampered."""
    changed: Rows = {}

    def rewrite(place: int, level: int, new: list[MapLeaf]) -> Child:
        row = rows.get(place)
        if not isinstance(row, tuple):
            return settle(place, level, {**(row or {}), **{leaf.key: leaf for leaf in new}})
        children = list(row)
        for nibble, under in _by_nibble(new, level).items():
            if children[nibble] and place * 16 + nibble not in rows:
                raise Tampered
            children[nibble] = rewrite(place * 16 + nibble, level + 1, under)
        changed[place] = tuple(children)
        return _top(digest, place, tuple(children))

    def settle(place: int, level: int, bucket: Bucket) -> Child:
        row: Branch | Bucket = bucket
        if len(bucket) > LIMIT and level < _DEEPEST:
            groups = _by_nibble(bucket.values(), level)
            below = (place * 16 + nibble for nibble in range(16))
            row = tuple(
                settle(child, level + 1, {leaf.key: leaf for leaf in groups[child % 16]}) if child % 16 in groups else None
                for child in below
            )  # fmt: skip
        changed[place] = row
        return _top(digest, place, row)

    return changed, _hash(rewrite(1, 0, list(leaves)))


def path_to(digest: Digest, read: Read, key: bytes) -> tuple[list[bytes], MapLeaf | None]:
    """The siblings on the way from the root to where this key stands, and what stands there: its leaf, another's, or None. Tampered."""
    rows, siblings, level = walk(read, [key]), list[bytes](), 0
    while isinstance(row := rows.get(place := _place(key, level)), tuple):
        layers = _layers(digest, row)
        index = 0
        for depth, layer in enumerate(layers[1:]):
            index = 2 * index + _bit(key, 4 * level + depth)
            siblings.append(_hash(layer[index ^ 1]))
            child = layer[index]
            if child is None:
                return siblings, None
            if child[1]:
                width = 8 >> depth
                only = next(n for n in range(index * width, (index + 1) * width) if row[n])
                return siblings, _single(read, place * 16 + only)
        level += 1
    more, leaf = _path_in(digest, sorted((row or {}).values(), key=lambda one: one.key), key, 4 * level)
    return siblings + more, leaf


# -- rows --------------------------------------------------------------------------------------------------------------


def encoded(row: Branch | Bucket) -> bytes:
    """A row as bytes: `B` and sixteen children (kind and hash), or `L` and its leaves (key, count, head) in order of key."""
    if isinstance(row, tuple):
        return b"B" + b"".join(bytes(_CHILD) if one is None else bytes([1 + (not one[1])]) + one[0] for one in row)
    return b"L" + b"".join(_LEAF.pack(one.key, one.count, one.head) for _, one in sorted(row.items()))


def decoded(row: bytes) -> Branch | Bucket:
    """Tampered unless it is one that `encoded` made."""
    kind, content = row[:1], row[1:]
    if kind == b"B" and len(content) == 16 * _CHILD:
        parts = [content[at : at + _CHILD] for at in range(0, len(content), _CHILD)]
        told = tuple((part[1:], part[0] == 1) if part[0] else None for part in parts)
        if all(part[0] <= 2 for part in parts) and encoded(told) == row:
            return told
    if kind == b"L" and content and len(content) % _LEAF.size == 0:
        bucket = {key: MapLeaf(key, count, head) for key, count, head in _LEAF.iter_unpack(content)}
        if encoded(bucket) == row:
            return bucket
    raise Tampered


def _top(digest: Digest, place: int, row: Branch | Bucket) -> Child:
    """The subtree that a row stands for."""
    if isinstance(row, tuple):
        return _layers(digest, row)[0][0]
    return _subtree(digest, [(key, leaf.hash(digest)) for key, leaf in sorted(row.items())], place.bit_length() - 1)


def _layers(digest: Digest, row: Branch) -> list[Branch]:
    """The five layers of a branch, from its top to its children."""
    layers = [row]
    while len(layers[0]) > 1:
        below = layers[0]
        layers.insert(0, tuple(_joined(digest, *below[at : at + 2]) for at in range(0, len(below), 2)))
    return layers


def _subtree(digest: Digest, leaves: list[tuple[bytes, bytes]], depth: int) -> Child:
    """The subtree of these leaves (key, hash), in order, whose keys are alike in their first `depth` bits."""
    if len(leaves) < 2:
        return (leaves[0][1], True) if leaves else None
    right = next((n for n, (key, _) in enumerate(leaves) if _bit(key, depth)), len(leaves))
    return _joined(
        digest, _subtree(digest, leaves[:right], depth + 1), _subtree(digest, leaves[right:], depth + 1)
    )  # fmt: skip


def _path_in(digest: Digest, leaves: list[MapLeaf], key: bytes, depth: int) -> tuple[list[bytes], MapLeaf | None]:
    siblings = []
    while len(leaves) > 1:
        sides: tuple[list[MapLeaf], list[MapLeaf]] = ([], [])
        for leaf in leaves:
            sides[_bit(leaf.key, depth)].append(leaf)
        other = sides[not _bit(key, depth)]
        siblings.append(_hash(_subtree(digest, [(one.key, one.hash(digest)) for one in other], depth + 1)))
        leaves, depth = sides[_bit(key, depth)], depth + 1
    return siblings, leaves[0] if leaves else None


def _single(read: Read, place: int) -> MapLeaf:
    row = decoded(read([place]).get(place, b""))
    if isinstance(row, tuple) or len(row) != 1:
        raise Tampered
    return next(iter(row.values()))


def _joined(digest: Digest, left: Child, right: Child) -> Child:
    if left is None or right is None:
        one = left or right
        if one is None or one[1]:
            return one
    return map_node(digest, _hash(left), _hash(right)), False


def _hash(child: Child) -> bytes:
    return child[0] if child else NOTHING


def _bit(key: bytes, depth: int) -> int:
    return key[depth >> 3] >> (7 - (depth & 7)) & 1


def _place(key: bytes, level: int) -> int:
    """Where the row stands that is above this key at a level."""
    return 1 << 4 * level | int.from_bytes(key[:8]) >> 64 - 4 * level


def _by_nibble(leaves: Iterable[MapLeaf], level: int) -> dict[int, list[MapLeaf]]:
    groups: dict[int, list[MapLeaf]] = defaultdict(list)
    for leaf in leaves:
        groups[leaf.key[level // 2] >> (0 if level % 2 else 4) & 15].append(leaf)
    return groups
