"""The sparse tree: one root for one content whatever its history, paths that prove presence and absence, and nothing else."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audit.sparse import MapLeaf, Rows, Tampered, check, decoded, encoded, found, path_to, rewritten, walk
from audit.verify_offline import NOTHING, map_leaf, map_node, map_root


def sha(content: bytes) -> bytes:
    return hashlib.sha256(content).digest()


class Kept:
    """A tree as a store keeps it: rows by place."""

    def __init__(self) -> None:
        self.rows: dict[int, bytes] = {}
        self.root = NOTHING

    def read(self, places: object) -> Mapping[int, bytes]:
        return {place: self.rows[place] for place in list(places) if place in self.rows}  # type: ignore[call-overload]

    def put(self, leaves: Mapping[bytes, MapLeaf]) -> Rows:
        rows = walk(self.read, list(leaves))
        check(sha, rows, self.root)
        changed, self.root = rewritten(sha, rows, list(leaves.values()))
        self.rows |= {place: encoded(row) for place, row in changed.items()}
        return changed


def naive(leaves: list[tuple[bytes, bytes]], depth: int = 0) -> bytes:
    """The root as the definition says it: nothing is zeros, one leaf is itself, else both halves."""
    if not leaves:
        return NOTHING
    if len(leaves) == 1:
        return leaves[0][1]
    halves: list[list[tuple[bytes, bytes]]] = [[], []]
    for key, hashed in leaves:
        halves[key[depth // 8] >> 7 - depth % 8 & 1].append((key, hashed))
    return map_node(sha, *(naive(half, depth + 1) for half in halves))


def leaf(key: bytes, count: int = 1) -> MapLeaf:
    return MapLeaf(key, count, sha(key + bytes([count])))


keys = st.one_of(
    st.binary(min_size=32, max_size=32),
    st.integers(0, 2**16 - 1).map(lambda n: n.to_bytes(2) + bytes(30)),  # many alike in their first bits
    st.integers(0, 255).map(lambda n: bytes(31) + bytes([n])),  # alike in all but the last
)
batches = st.lists(st.dictionaries(keys, st.integers(1, 9), min_size=1, max_size=40), min_size=1, max_size=5)


@settings(max_examples=150, deadline=None)
@given(batches, st.lists(keys, max_size=10))
def test_any_history_leads_to_the_naive_root_and_every_key_has_its_path(
    batches: list[dict[bytes, int]], strangers: list[bytes]
) -> None:
    kept, model = Kept(), dict[bytes, MapLeaf]()
    for batch in batches:
        leaves = {key: leaf(key, count) for key, count in batch.items()}
        kept.put(leaves)
        model |= leaves
    assert kept.root == naive(sorted((key, one.hash(sha)) for key, one in model.items()))
    at_once = Kept()
    at_once.put(model)
    assert (at_once.root, at_once.rows) == (kept.root, kept.rows)
    assert found(walk(kept.read, [*model, *strangers]), [*model, *strangers]) == model
    for key in [*model, *strangers]:
        siblings, stands = path_to(sha, kept.read, key)
        assert (stands == model.get(key)) if key in model else (stands is None or stands.key != key)
        assert map_root(sha, key, siblings, stands.hash(sha) if stands else NOTHING) == kept.root


def grown(count: int) -> tuple[Kept, list[bytes]]:
    kept, all_keys = Kept(), [sha(b"%d" % n) for n in range(count)]
    kept.put({key: leaf(key) for key in all_keys})
    return kept, all_keys


def test_an_empty_tree_proves_that_nobody_is_there() -> None:
    assert path_to(sha, Kept().read, sha(b"x")) == ([], None)


def test_a_path_with_any_byte_changed_leads_elsewhere() -> None:
    kept, all_keys = grown(300)
    siblings, stands = path_to(sha, kept.read, all_keys[7])
    assert stands
    for place in range(32 * len(siblings)):
        bent = [bytearray(one) for one in siblings]
        bent[place // 32][place % 32] ^= 1
        assert map_root(sha, all_keys[7], [bytes(one) for one in bent], stands.hash(sha)) != kept.root
    for wrong in (map_leaf(sha, all_keys[7], 2, stands.head), map_leaf(sha, all_keys[7], 1, sha(b"")), NOTHING):
        assert map_root(sha, all_keys[7], siblings, wrong) != kept.root


def test_a_row_with_any_byte_changed_is_noticed_on_the_way_to_a_key_below_it() -> None:
    kept, all_keys = grown(60)
    rng = Random(1)
    for place, row in list(kept.rows.items()):
        for _ in range(20):
            bent = bytearray(row)
            bent[rng.randrange(len(bent))] ^= 1 << rng.randrange(8)
            kept.rows[place] = bytes(bent)
            with pytest.raises(Tampered):
                kept.put({key: leaf(key, 2) for key in all_keys})
        del kept.rows[place]
        with pytest.raises(Tampered):
            kept.put({key: leaf(key, 2) for key in all_keys})
        kept.rows[place] = row


def test_a_change_rewrites_only_the_rows_above_it() -> None:
    kept, all_keys = grown(10_000)
    changed = kept.put({all_keys[5]: leaf(all_keys[5], 2)})
    assert len(changed) <= 5
    assert len(kept.rows) < 10_000


@pytest.mark.parametrize(
    "row", [b"", b"L", b"X", b"B" + bytes(16), b"B" + b"\x03" + bytes(16 * 33 - 1), b"L" + bytes(71)]
)
def test_what_is_no_row_is_told(row: bytes) -> None:
    with pytest.raises(Tampered):
        decoded(row)
