"""The Merkle tree against RFC 6962's own definition, written down naively, and against the published roots of its test data."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audit.merkle import Frontier, HashesMissing, Tile, Tree, TreeHash, continues, includes

SHA, SM3 = TreeHash(), TreeHash("sm3")
PUBLISHED = [bytes.fromhex(text) for text in (
    "", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f",
)]  # fmt: skip
ROOTS = (
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
)
"""The roots over the first 0, 1 ... 8 of `PUBLISHED`, as Certificate Transparency's reference tests have them."""


def naive_root(hashing: TreeHash, frames: Sequence[bytes]) -> bytes:
    """MTH of RFC 6962, 2.1."""
    new = hashlib.sha256 if hashing.name == "sha256" else lambda data: hashlib.new("sm3", data)
    if not frames:
        return new(b"").digest()
    if len(frames) == 1:
        return new(b"\0" + frames[0]).digest()
    k = split(len(frames))
    return new(b"\1" + naive_root(hashing, frames[:k]) + naive_root(hashing, frames[k:])).digest()


def split(n: int) -> int:
    k = 1
    while k * 2 < n:
        k *= 2
    return k


def naive_path(m: int, frames: Sequence[bytes]) -> list[bytes]:
    """PATH of RFC 6962, 2.1.1."""
    if len(frames) == 1:
        return []
    k = split(len(frames))
    if m < k:
        return [*naive_path(m, frames[:k]), naive_root(SHA, frames[k:])]
    return [*naive_path(m - k, frames[k:]), naive_root(SHA, frames[:k])]


def naive_proof(m: int, frames: Sequence[bytes], whole: bool = True) -> list[bytes]:
    """SUBPROOF of RFC 6962, 2.1.2."""
    if m == len(frames):
        return [] if whole else [naive_root(SHA, frames)]
    k = split(len(frames))
    if m <= k:
        return [*naive_proof(m, frames[:k], whole), naive_root(SHA, frames[k:])]
    return [*naive_proof(m - k, frames[k:], False), naive_root(SHA, frames[:k])]


def tree_over(hashing: TreeHash, frames: Sequence[bytes]) -> Tree:
    """A tree over lists of leaves and tiles, as a store would keep them."""
    frontier = Frontier(hashing)
    levels: dict[int, list[bytes]] = {0: [hashing.leaf(frame) for frame in frames]}
    for leaf in levels[0]:
        frontier.append(leaf)
    for tile in frontier.tiles:
        assert tile.place == len(levels.setdefault(tile.level, []))
        levels[tile.level].append(tile.hash)
    return Tree(hashing, lambda level, start, end: levels.get(level, [])[start:end])


def many(count: int) -> list[bytes]:
    return [b"frame %d" % number for number in range(count)]


def test_roots_are_the_published_ones() -> None:
    frontier = Frontier(SHA)
    assert frontier.root().hex() == ROOTS[0]
    for frame, root in zip(PUBLISHED, ROOTS[1:], strict=True):
        frontier.append(SHA.leaf(frame))
        assert frontier.root().hex() == root
        assert tree_over(SHA, PUBLISHED).root(frontier.size).hex() == root


@pytest.mark.parametrize("hashing", [SHA, SM3], ids=["sha256", "sm3"])
def test_root_of_every_size_is_that_of_the_definition(hashing: TreeHash) -> None:
    frames = many(300)
    tree = tree_over(hashing, frames)
    for size in (*range(40), 127, 128, 129, 255, 256, 257, 299, 300):
        assert tree.root(size) == naive_root(hashing, frames[:size])


LARGE = many(70_000)
LARGE_TREE = tree_over(SHA, LARGE)


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 70_000), st.data())
def test_proofs_over_two_levels_of_tiles_hold(size: int, data: st.DataObject) -> None:
    place = data.draw(st.integers(0, size - 1))
    older = data.draw(st.integers(1, size))
    root = LARGE_TREE.root(size)
    assert includes(SHA, SHA.leaf(LARGE[place]), place, size, LARGE_TREE.inclusion(place, size), root)
    assert continues(SHA, older, LARGE_TREE.root(older), size, root, LARGE_TREE.consistency(older, size))


def test_proofs_are_those_of_the_definition() -> None:
    frames = many(40)
    tree = tree_over(SHA, frames)
    for size in range(1, 41):
        for place in range(size):
            assert tree.inclusion(place, size) == naive_path(place, frames[:size])
            assert tree.consistency(place + 1, size) == naive_proof(place + 1, frames[:size])


def test_inclusion_holds_for_its_own_leaf_place_size_and_root_only() -> None:
    frames = many(23)
    tree = tree_over(SHA, frames)
    roots = [tree.root(size) for size in range(24)]
    for size in range(1, 24):
        for place in range(size):
            proof = tree.inclusion(place, size)
            leaf = SHA.leaf(frames[place])
            assert includes(SHA, leaf, place, size, proof, roots[size])
            assert not includes(SHA, SHA.leaf(b"another"), place, size, proof, roots[size])
            assert not includes(SHA, leaf, place, size, [*proof, leaf], roots[size])
            assert not includes(SHA, leaf, place, size, proof, roots[size - 1])
            assert not any(
                includes(SHA, leaf, other, size, proof, roots[size]) for other in range(-1, 25) if other != place
            )


def test_consistency_holds_for_its_own_sizes_and_roots_only() -> None:
    tree = tree_over(SHA, many(23))
    roots = [tree.root(size) for size in range(24)]
    for size in range(1, 24):
        for older in range(1, size):
            proof = tree.consistency(older, size)
            assert continues(SHA, older, roots[older], size, roots[size], proof)
            assert not continues(SHA, older, roots[older - 1], size, roots[size], proof)
            assert not continues(SHA, older, roots[older], size, roots[size - 1], proof)
            assert not continues(SHA, older, roots[older], size, roots[size], [*proof, roots[1]])
            assert not continues(SHA, older, roots[older], size, roots[size], proof[:-1])


def test_every_tree_continues_the_empty_one_and_itself_without_a_proof() -> None:
    tree = tree_over(SHA, many(5))
    assert continues(SHA, 0, SHA.empty(), 5, tree.root(5), [])
    assert continues(SHA, 5, tree.root(5), 5, tree.root(5), [])
    assert not continues(SHA, 0, tree.root(1), 5, tree.root(5), [])
    assert not continues(SHA, 5, tree.root(4), 5, tree.root(5), [])
    assert not continues(SHA, 6, tree.root(5), 5, tree.root(5), [])
    assert not continues(SHA, -1, tree.root(5), 5, tree.root(5), [])


@given(st.lists(st.binary(max_size=40), max_size=60), st.lists(st.integers(1, 20), max_size=10))
def test_a_tree_grows_to_the_same_in_batches_of_any_size(frames: list[bytes], batches: list[int]) -> None:
    leaves = [SHA.leaf(frame) for frame in frames]
    tree, size = tree_over(SHA, frames), 0
    for batch in batches:
        frontier = tree.frontier(size)
        for leaf in leaves[size : size + batch]:
            frontier.append(leaf)
        size = frontier.size
        assert frontier.root() == naive_root(SHA, frames[:size])


@given(st.integers(0, 30), st.integers(0, 30), st.lists(st.binary(min_size=32, max_size=32), max_size=8))
def test_an_invented_proof_holds_for_nothing(place: int, size: int, proof: list[bytes]) -> None:
    root = TREE_30.root(min(size, 30))
    assert not includes(SHA, SHA.leaf(b"forged"), place, size, proof, root)
    assert not continues(SHA, place, SHA.leaf(b"forged"), size, root, proof)


TREE_30 = tree_over(SHA, many(30))


def test_a_leaf_never_passes_for_a_node() -> None:
    left, right = SHA.leaf(b"a"), SHA.leaf(b"b")
    assert SHA.leaf(left + right) != SHA.node(left, right)


def test_tiles_are_completed_once_each() -> None:
    frontier = Frontier(SHA)
    for frame in many(600):
        frontier.append(SHA.leaf(frame))
    assert frontier.tiles == [Tile(1, n, naive_root(SHA, many(600)[n * 256 : n * 256 + 256])) for n in range(2)]


def test_lost_hashes_are_told_with_their_place() -> None:
    leaves = [SHA.leaf(frame) for frame in many(10)]
    short = Tree(SHA, lambda level, start, end: leaves[:7][start:end] if level == 0 else [])
    assert short.root(7)
    with pytest.raises(HashesMissing) as caught:
        short.root(8)
    assert (caught.value.level, caught.value.start) == (0, 7)


def test_a_tree_is_not_hashed_with_anything_else() -> None:
    with pytest.raises(ValueError, match="sha256, sm3"):
        TreeHash("md5")
