"""A store with its sealed months: everything above asks it as it asks a store, and need not know where a frame lies.

Places up to the last sealed month's end are read from the archive, later ones from the live store. A removed month has no frames and no
leaves; the subtrees in its tombstone stand for them. What is kept of a month is asked anew wherever an answer has a gap: another process
may have sealed since.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from audit.sealed import Broken, Reader, Row
from audit.store import (
    KeptCheckpoint,
    KeptMonth,
    Leaf,
    Lease,
    MapVersion,
    NewFrame,
    Node,
    Store,
    StoredFrame,
    StoreUnavailable,
)

T = TypeVar("T")
_Months = tuple[KeptMonth, ...]
_TRIES = 3


class ArchivedStore:
    """A live store and the folder of its sealed months, None where there is none."""

    def __init__(self, live: Store, folder: Path | None) -> None:
        self.live = live
        self.folder = folder
        self._reader = Reader(folder) if folder else None
        self._months: _Months = ()

    def open(self) -> None:
        """Create what is missing."""
        self.live.open()
        self._asked()

    def close(self) -> None:
        self.live.close()
        if self._reader:
            self._reader.close()

    def reader(self) -> Reader:
        """What reads the sealed months. Broken where no folder is set."""
        if self._reader is None:
            raise Broken("no folder of sealed months is set")
        return self._reader

    # -- which places lie where ---------------------------------------------------------------------------------

    def _asked(self) -> _Months:
        """Which months there are now."""
        self._months = tuple(self.live.months())
        return self._months

    def _settled(self, read: Callable[[_Months], T], whole: Callable[[T], bool]) -> T:
        """What was read, once it is whole or no month was sealed or removed meanwhile. StoreUnavailable."""
        months = self._months
        for _ in range(_TRIES):
            broken, found = None, None
            try:
                found = read(months)
                if whole(found):
                    return found
            except Broken as error:
                broken = error
            before, months = months, self._asked()
            if months == before:
                if broken:
                    raise StoreUnavailable("a sealed month cannot be read") from broken
                return found  # type: ignore[return-value]
        raise StoreUnavailable("the sealed months change all the time")

    def _sealed(self, months: _Months, after: int, limit: int) -> list[Row]:
        """Up to `limit` rows of sealed months behind `after`. Broken."""
        found: list[Row] = []
        for month, first, last in _parts(months, after + 1, _through(months)):
            if len(found) < limit:
                found += self._between(month, first, min(last, first + limit - len(found) - 1))
        return found

    def _between(self, month: KeptMonth, first: int, last: int) -> list[Row]:
        found = self.reader().between(_name(month), first, last)
        if [row[0] for row in found] != list(range(first, last + 1)):
            raise Broken("places are missing")
        return found

    # -- frames ------------------------------------------------------------------------------------------------

    def append(self, batch: Sequence[NewFrame]) -> None:
        """Return when all of the batch is durable, in its order; else none of it is."""
        self.live.append(batch)

    def read(self, after: int, limit: int) -> list[StoredFrame]:
        """Frames in order, from the one behind `after`; those of removed months are passed over."""

        def read(months: _Months) -> list[StoredFrame]:
            found = [StoredFrame(row[0], row[3]) for row in self._sealed(months, after, limit)]
            if len(found) == limit:
                return found
            return found + self.live.read(max(after, _through(months)), limit - len(found))

        return self._settled(read, lambda found: bool(found) and _is_gapless(after, [one.seq for one in found]))

    def rows(self, after: int, limit: int) -> list[tuple[Any, ...]]:
        """Place, moment, operation and frame as they stand in store or archive, in the order of places: what an audit compares."""
        if after < 0:  # what stands before the first place
            return self.live.rows(after, limit)

        def read(months: _Months) -> list[tuple[Any, ...]]:
            found: list[tuple[Any, ...]] = [row[:4] for row in self._sealed(months, after, limit)]
            if len(found) == limit:
                return found
            return found + self.live.rows(max(after, _through(months)), limit - len(found))

        return self._settled(read, lambda found: bool(found) and _is_gapless(after, [row[0] for row in found]))

    def frames(self, places: Collection[int]) -> list[StoredFrame]:
        """The frames at these places, in order; a place without one is left out."""
        wanted = set(places)

        def read(months: _Months) -> list[StoredFrame]:
            found: list[StoredFrame] = []
            for month in months:
                of_month = {place for place in wanted if month.first <= place <= month.last}
                if of_month and not month.removal:
                    rows = self.reader().at(_name(month), of_month)
                    found += [StoredFrame(row[0], row[3]) for row in rows]
            through = _through(months)
            return found + self.live.frames([place for place in wanted if place > through])

        return self._settled(read, lambda found: len(found) == len(wanted))

    def find(self, operation: str) -> StoredFrame | None:
        """The frame of this operation."""

        def read(months: _Months) -> StoredFrame | None:
            live = self.live.find(operation)
            if live and live.seq > _through(months):
                return live
            for month in reversed(months):
                found = [] if month.removal else self.reader().of(_name(month), operation)
                if found:
                    return StoredFrame(found[0][0], found[0][3])
            return None

        return self._settled(read, lambda found: found is not None)

    def head(self) -> int:
        """The place of the last frame, 0 for an empty ledger."""
        head, months = self.live.head(), self._months
        if head <= _through(months) or head == 0:  # nothing is live, or nothing any more
            months = self._asked()
        return max(head, _through(months))

    def check(self) -> None:
        """Return if frames could be appended now."""
        self.live.check()

    def item_numbers(self, coordinates: Iterable[str]) -> Mapping[str, int]:
        """The permanent number of each coordinate; new ones get the next numbers, none is ever used again."""
        return self.live.item_numbers(coordinates)

    def coordinates(self) -> dict[int, str]:
        """The dictionary of items: permanent number to coordinate, of every catalogue version there ever was."""
        return self.live.coordinates()

    # -- identities and policy versions -------------------------------------------------------------------------

    def keep_identities(self, sealed: Mapping[str, bytes]) -> None:
        """Return when these are durable; one that is there already stays as it is."""
        self.live.keep_identities(sealed)

    def identity(self, hashed: str) -> bytes | None:
        """What was sealed for this hash."""
        return self.live.identity(hashed)

    def kept_parts(self, digests: Collection[str]) -> set[str]:
        """Those of these parts of policy versions that are kept."""
        return self.live.kept_parts(digests)

    def parts(self, digests: Collection[str]) -> Mapping[str, bytes]:
        """These parts as they were kept; one that is not is left out."""
        return self.live.parts(digests)

    def keep_parts(self, parts: Mapping[str, bytes]) -> None:
        """Return when all of these are durable, or none; one that is there already stays as it is."""
        self.live.keep_parts(parts)

    # -- the tree ----------------------------------------------------------------------------------------------

    def unintegrated(self, limit: int) -> list[StoredFrame]:
        """Frames without a leaf yet, in order of place."""
        return self.live.unintegrated(limit)

    def integrate(self, lease: Lease, leaves: Sequence[Leaf], nodes: Sequence[Node] = ()) -> None:
        """Keep the next leaves and the nodes that they complete, all or none. LeaseLost, ValueError."""
        self.live.integrate(lease, leaves, nodes)

    def size(self) -> int:
        """How many leaves the tree has."""
        return self.live.size()

    def leaf(self, position: int) -> Leaf | None:
        """The leaf at this position."""
        return next(iter(self.leaves(position, position + 1)), None)

    def leaf_of(self, seq: int) -> Leaf | None:
        """The leaf of the frame at this place."""
        found = self.live.leaf_of(seq)
        return found or (self.leaf(seq - 1) if 0 < seq <= _through(self._asked()) else None)

    def leaves(self, begin: int, end: int) -> list[Leaf]:
        """The leaves from `begin` up to, not with, `end`, in order; of removed months those that stand beside others' in a tile."""

        def read(months: _Months) -> list[Leaf]:
            found = {one.position: one for one in self.live.leaves(begin, end)}
            for month, first, last in _parts(months, begin + 1, min(end, _through(months))):
                for place, digest in self.reader().leaves(_name(month), first, last):
                    found[place - 1] = Leaf(place - 1, place, digest if isinstance(digest, bytes) else b"")
            return [found[position] for position in sorted(found)]

        return self._settled(read, lambda found: len(found) == end - begin)

    def nodes(self, wanted: Collection[tuple[int, int]]) -> dict[tuple[int, int], bytes]:
        """The hashes of these nodes by (level, index); one that is not kept is left out."""
        return self.live.nodes(wanted)

    def keep_checkpoint(self, text: str, size: int = 0) -> int:
        """Return when the checkpoint of a tree of that size is durable: its number."""
        return self.live.keep_checkpoint(text, size)

    def checkpoint_of(self, size: int) -> KeptCheckpoint | None:
        """The checkpoint of a size; of several (cosigned since), the one kept last."""
        return self.live.checkpoint_of(size)

    def checkpoints(self, after: int, limit: int) -> list[KeptCheckpoint]:
        """Checkpoints in order, from the one behind the number `after`."""
        return self.live.checkpoints(after, limit)

    def drop_checkpoints(self, lease: Lease, numbers: Collection[int]) -> None:
        """Delete checkpoints under the lease. LeaseLost."""
        self.live.drop_checkpoints(lease, numbers)

    def last_checkpoint(self) -> KeptCheckpoint | None:
        """The checkpoint of the largest size; of several (cosigned since), the one kept last."""
        return self.live.last_checkpoint()

    # -- the map of data subjects ------------------------------------------------------------------------------

    def map_versions(self) -> list[MapVersion]:
        """The latest versions, at most three, newest first."""
        return self.live.map_versions()

    def begin_map(self, lease: Lease, new: MapVersion) -> None:
        """Keep that this version is being written. LeaseLost."""
        self.live.begin_map(lease, new)

    def write_map(self, lease: Lease, version: int, rows: Mapping[int, bytes]) -> None:
        """Keep some rows of the version being written, by place. LeaseLost."""
        self.live.write_map(lease, version, rows)

    def finish_map(self, lease: Lease, whole: MapVersion) -> None:
        """Keep that all of its rows are written: root and key ids. LeaseLost."""
        self.live.finish_map(lease, whole)

    def commit_map(self, version: int, checkpoint: int) -> None:
        """Keep which checkpoint committed to it first; older versions go."""
        self.live.commit_map(version, checkpoint)

    def map_rows(self, places: Collection[int], version: int) -> dict[int, bytes]:
        """The rows at these places in this version; one that is not there is left out."""
        return self.live.map_rows(places, version)

    def map_page(self, after: int, limit: int, version: int) -> dict[int, bytes]:
        """The rows in the order of places, from the one behind `after`, as this version has them."""
        return self.live.map_page(after, limit, version)

    # -- sealed months -----------------------------------------------------------------------------------------

    def days(self, after: int) -> dict[int, int]:
        """The last place of each day in China (counted from 1970) among the live frames behind `after`."""
        return self.live.days(after)

    def months(self) -> list[KeptMonth]:
        """The months that were moved out, in order of place."""
        return list(self._asked())

    def keep_month(self, month: KeptMonth) -> None:
        """Return when it is durable that these places were moved out. ValueError unless they follow the last month's."""
        self.live.keep_month(month)
        self._asked()

    def keep_removal(self, month: str, removal: str) -> None:
        """Return when the month's tombstone is durable. ValueError for a month that is not kept, or was removed before."""
        self.live.keep_removal(month, removal)
        self._asked()

    def drop_frames(self, most: int) -> int:
        """Delete up to `most` frames that were moved out, in one transaction: how many there were, 0 when none is left."""
        return self.live.drop_frames(most)

    def drop_leaves(self, begin: int, end: int) -> None:
        """Delete the leaves from `begin` up to, not with, `end`."""
        self.live.drop_leaves(begin, end)

    # -- one at a time -----------------------------------------------------------------------------------------

    def hold(self, lease: Lease, seconds: float) -> bool:
        """Take or prolong the lease for so many seconds by the store's own clock; False while another holds it."""
        return self.live.hold(lease, seconds)

    def release(self, lease: Lease) -> None:
        """Give the lease up, so that another need not wait for it to run out."""
        self.live.release(lease)


def _through(months: _Months) -> int:
    """The last place that was moved out."""
    return months[-1].last if months else 0


def _parts(months: _Months, first: int, last: int) -> list[tuple[KeptMonth, int, int]]:
    """The months with frames between these places, with the places that each has of them."""
    return [
        (month, max(first, month.first), min(last, month.last))
        for month in months
        if not month.removal and month.last >= first and month.first <= last
    ]


def _is_gapless(after: int, places: Sequence[Any]) -> bool:
    return bool(places[0] == after + 1 and places[-1] == after + len(places))


def _name(month: KeptMonth) -> str:
    """The month's name if it is one: files are named after it. Broken."""
    if not re.fullmatch(r"[0-9]{4}-[0-9]{2}", month.month):
        raise Broken("not a month")
    return month.month
