"""What keeps the ledger: frames, the dictionary of items, the tree's leaves and nodes, checkpoints. One contract for every kind of store.

A store is used from several threads and several processes at once. Places (`seq`) begin at 1, have no gaps, and become visible in their
order: whoever has read up to a place never finds a smaller one later. Every method may raise `StoreUnavailable`; then nothing was kept,
or it is not known whether it was, and the next call tries anew.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol


class StoreUnavailable(Exception):
    """The store cannot be read or written now, or may not be trusted with a record."""


class LeaseLost(Exception):
    """Somebody else holds the lease: what was to be done under it was not done."""


@dataclass(frozen=True, slots=True)
class NewFrame:
    """A frame to be kept. `at` is in microseconds since 1970 UTC, `frame` its encoded bytes."""

    at: int
    operation: str
    frame: bytes


@dataclass(frozen=True, slots=True)
class StoredFrame:
    """A frame as it was read back; `seq` is its place in the ledger."""

    seq: int
    frame: bytes


@dataclass(frozen=True, slots=True)
class Leaf:
    """A leaf of the tree: `position` from 0, the place of its frame, its hash."""

    position: int
    seq: int
    hash: bytes


@dataclass(frozen=True, slots=True)
class Node:
    """An inner node whose subtree is complete: `level` 1 stands above two leaves, `index` counts from the left at its level."""

    level: int
    index: int
    hash: bytes


@dataclass(frozen=True, slots=True)
class KeptCheckpoint:
    """A checkpoint as it was kept; `number` counts them from 1."""

    number: int
    text: str


@dataclass(frozen=True, slots=True)
class KeptMonth:
    """A month that was moved out of the store: its places, what `audit/sealed.py` says of it, and, once removed, why (else empty)."""

    month: str
    first: int
    last: int
    manifest: str
    removal: str = ""


@dataclass(frozen=True, slots=True)
class MapVersion:
    """A version of the map of data subjects, over the records up to `size`. Whole once it has a `root`; `checkpoint` is the number of the
    first one that committed to it, 0 until then. `key_ids` are those under which data subjects are hashed."""

    version: int
    size: int
    root: bytes = b""
    key_ids: tuple[str, ...] = ()
    checkpoint: int = 0


@dataclass(frozen=True, slots=True)
class Lease:
    """Who may do what is done by one process at a time; it runs out by itself."""

    name: str
    holder: str


class Store(Protocol):
    """The contract; all methods block."""

    def open(self) -> None:
        """Create what is missing."""

    def close(self) -> None: ...

    # -- frames ------------------------------------------------------------------------------------------------

    def append(self, batch: Sequence[NewFrame]) -> None:
        """Return when all of the batch is durable, in its order; else none of it is."""

    def read(self, after: int, limit: int) -> list[StoredFrame]:
        """Frames in order, from the one behind `after`."""
        ...

    def frames(self, places: Collection[int]) -> list[StoredFrame]:
        """The frames at these places, in order; a place without one is left out."""
        ...

    def find(self, operation: str) -> StoredFrame | None:
        """The frame of this operation."""
        ...

    def rows(self, after: int, limit: int) -> list[tuple[Any, ...]]:
        """Place, moment, operation and frame as they stand in the store, in the order of places, whatever they are: what an audit compares."""
        ...

    def check(self) -> None:
        """Return if frames could be appended now, as far as it can be known without appending any."""

    def head(self) -> int:
        """The place of the last frame, 0 for an empty ledger."""
        ...

    def item_numbers(self, coordinates: Iterable[str]) -> Mapping[str, int]:
        """The permanent number of each coordinate; new ones get the next numbers, none is ever used again."""
        ...

    def coordinates(self) -> dict[int, str]:
        """The dictionary of items: permanent number to coordinate, of every catalogue version there ever was."""
        ...

    # -- whose hash it is --------------------------------------------------------------------------------------

    def keep_identities(self, sealed: Mapping[str, bytes]) -> None:
        """Return when what is sealed under each hash is durable; what is kept already stays as it is."""

    def identity(self, hashed: str) -> bytes | None:
        """What is sealed under this hash; None if there is nothing."""
        ...

    # -- the tree ----------------------------------------------------------------------------------------------

    def unintegrated(self, limit: int) -> list[StoredFrame]:
        """Frames without a leaf yet, in order of place."""
        ...

    def integrate(self, lease: Lease, leaves: Sequence[Leaf], nodes: Sequence[Node] = ()) -> None:
        """Keep the next leaves and the nodes that they complete, all or none. LeaseLost if the lease is not held; ValueError unless
        the leaves continue the tree."""

    def size(self) -> int:
        """How many leaves the tree has."""
        ...

    def leaf(self, position: int) -> Leaf | None:
        """The leaf at this position."""
        ...

    def leaf_of(self, seq: int) -> Leaf | None:
        """The leaf of the frame at this place."""
        ...

    def leaves(self, begin: int, end: int) -> list[Leaf]:
        """The leaves from `begin` up to, not with, `end`, in order."""
        ...

    def nodes(self, wanted: Collection[tuple[int, int]]) -> dict[tuple[int, int], bytes]:
        """The hashes of these nodes by (level, index); one that is not kept is left out."""
        ...

    def keep_checkpoint(self, text: str, size: int = 0) -> int:
        """Return when the checkpoint of a tree of that size is durable: its number."""
        ...

    def checkpoint_of(self, size: int) -> KeptCheckpoint | None:
        """The checkpoint of a size; of several (cosigned since), the one kept last."""
        ...

    def checkpoints(self, after: int, limit: int) -> list[KeptCheckpoint]:
        """Checkpoints in order, from the one behind the number `after`."""
        ...

    def drop_checkpoints(self, lease: Lease, numbers: Collection[int]) -> None:
        """Let go of these checkpoints. LeaseLost if the lease is not held: then of none."""

    def last_checkpoint(self) -> KeptCheckpoint | None:
        """The checkpoint of the largest size; of several (cosigned since), the one kept last."""
        ...

    # -- policy versions ---------------------------------------------------------------------------------------

    def kept_parts(self, digests: Collection[str]) -> set[str]:
        """Those of these parts of policy versions that are kept."""
        ...

    def parts(self, digests: Collection[str]) -> Mapping[str, bytes]:
        """These parts as they were kept; one that is not is left out."""
        ...

    def keep_parts(self, parts: Mapping[str, bytes]) -> None:
        """Return when all of these are durable, or none; one that is there already stays as it is."""
        ...

    # -- sealed months ---------------------------------------------------------------------------------------------

    def days(self, after: int) -> dict[int, int]:
        """The last place of each day in China (counted from 1970) among the frames behind `after`."""
        ...

    def months(self) -> list[KeptMonth]:
        """The months that were moved out, in order of place."""
        ...

    def keep_month(self, month: KeptMonth) -> None:
        """Return when it is durable that these places were moved out. ValueError unless they follow the last month's."""

    def keep_removal(self, month: str, removal: str) -> None:
        """Return when the month's tombstone is durable. ValueError for a month that is not kept, or was removed before."""

    def drop_frames(self, most: int) -> int:
        """Delete up to `most` frames that were moved out, in one transaction: how many there were, 0 when none is left."""
        ...

    def drop_leaves(self, begin: int, end: int) -> None:
        """Delete the leaves from `begin` up to, not with, `end`."""

    # -- the map of data subjects ------------------------------------------------------------------------------

    def map_versions(self) -> list[MapVersion]:
        """The latest versions, at most three, newest first."""
        ...

    def begin_map(self, lease: Lease, new: MapVersion) -> None:
        """Keep that this version is being written. LeaseLost."""

    def write_map(self, lease: Lease, version: int, rows: Mapping[int, bytes]) -> None:
        """Keep some rows of the version being written, by place; what they were in the one before stays readable. LeaseLost."""

    def finish_map(self, lease: Lease, whole: MapVersion) -> None:
        """Keep that all of its rows are written: root and key ids. LeaseLost."""

    def commit_map(self, version: int, checkpoint: int) -> None:
        """Keep which checkpoint committed to it first; older versions go."""

    def map_rows(self, places: Collection[int], version: int) -> dict[int, bytes]:
        """The rows at these places in this version, which is the last but one at the oldest; one that is not there is left out."""
        ...

    def map_page(self, after: int, limit: int, version: int) -> dict[int, bytes]:
        """The rows in the order of places, from the one behind `after`, as this version has them: empty where it has none yet."""
        ...

    # -- one at a time -----------------------------------------------------------------------------------------

    def hold(self, lease: Lease, seconds: float) -> bool:
        """Take or prolong the lease for so many seconds by the store's own clock; False while another holds it."""
        ...

    def release(self, lease: Lease) -> None:
        """Give the lease up, so that another need not wait for it to run out."""
