"""Moves past months of the ledger into the archive, and removes them when they may go. What is interrupted loses nothing and is gone on with.

Sealing: the frames are written into a file beside the final one, synced, renamed, read back, and compared leaf by leaf with a checkpoint;
then the manifest; then the store is told, in one transaction, and from that moment the archive answers; then the live rows go, in
portions. Removing: what is to be removed stands on record in the ledger, then the tombstone in the store, then the file goes.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any

from audit.archive import ArchivedStore
from audit.frame import Frame, NodeFrame, labelled
from audit.hours import china_day, month_of
from audit.integrator import tree_of
from audit.merkle import TILE_HEIGHT, Frontier, HashesMissing, TreeHash
from audit.proof import cosigned_over
from audit.sealed import Broken, Manifest, Reader, Row, Writer, add_subtrees, digest_of, manifest_of
from audit.store import KeptMonth, NewFrame
from audit.verify_offline import Checkpoint, Key, parse_checkpoint

ACT, RESOURCE = "removeMonth", "LedgerMonth"
"""What a removal's record names: the act and what it is done to."""
REMOVAL = "onesource/removed-month/v1"
_WINDOW = 5_000
_TILE: int = 1 << TILE_HEIGHT
_GRACE = 1
"""Days after a month's end before it is sealed: operations that began in it have ended."""
_EPOCH = date(1970, 1, 1).toordinal()


class Refused(Exception):
    """Neither sealed nor removed, by an error's code of `schema.errors.CODES`."""

    def __init__(self, code: str, more: str = "") -> None:
        super().__init__(code)
        self.code = code
        self.more = more


@dataclass(frozen=True, slots=True)
class Due:
    """A month to be sealed, and the place of its last frame."""

    month: str
    last: int


@dataclass(frozen=True, slots=True)
class Sealing:
    """What months are sealed with: the tree's hash, the ledger's origin, the witnesses of whom one must have cosigned (none: need not)."""

    hashing: TreeHash
    origin: str
    witnesses: Sequence[Key] = ()


@dataclass(frozen=True, slots=True)
class Order:
    """Who removes a month and why, where its copy is, how many months records are kept, and when this is (microseconds since 1970 UTC)."""

    by: str
    department: str
    reason: str
    exported: Path
    retention: int
    at: int
    operation: str


def due(days: Mapping[int, int], sealed: Sequence[KeptMonth], today: int) -> list[Due]:
    """The months to be sealed on this day (counted from 1970), in order, of frames behind the sealed months; `days` has each day's last place.

    A month ends with the last frame of it or of an earlier one; what comes later than its month was sealed lies in the next. One that has
    no places of its own is left out.
    """
    through, least = (sealed[-1].last, _after(int(sealed[-1].month.replace("-", "")), 1)) if sealed else (0, 0)
    months = sorted((max(month_of(max(day, 0)), least), last) for day, last in days.items() if day < today)
    found: dict[int, int] = {}
    for month, last in months:
        if _first_day(_after(month, 1)) + _GRACE > today:
            break
        if last > through:
            through = found[month] = last
    return [Due(f"{month // 100:04}-{month % 100:02}", last) for month, last in found.items()]


def kept_until(latest: int, retention: int) -> date:
    """The day in China from which frames may go whose last is of this moment: so many whole months after the end of its month."""
    return date.fromordinal(_first_day(_after(month_of(china_day(latest)), 1 + retention)) + _EPOCH)


def _after(month: int, months: int) -> int:
    """The month so many months after one such as 202611."""
    number = month // 100 * 12 + month % 100 - 1 + months
    return number // 12 * 100 + number % 12 + 1


def _first_day(month: int) -> int:
    """The first day of a month, counted from 1970."""
    return date(month // 100, month % 100, 1).toordinal() - _EPOCH


# -- sealing -----------------------------------------------------------------------------------------------------------


def seal(store: ArchivedStore, how: Sealing, one: Due, told: Callable[[int], None] = lambda _: None) -> Manifest:
    """Seal the next month; `told` hears through which place it has come. Refused, Broken, StoreUnavailable, OSError, duckdb.Error."""
    folder = _folder(store)
    with alone(folder):
        finish(store)
        months = store.months()
        first = months[-1].last + 1 if months else 1
        if one.last < first:
            raise Refused("MONTH_NOT_DUE")
        note, checkpoint = _checkpoint_over(store, one.last, how)
        file = folder / f"{one.month}.parquet"
        earliest, latest = _write(store, how.hashing, file, first, one.last, told)
        tree = tree_of(store, how.hashing)
        try:
            before, own, after = (
                tree.subtrees(*part)
                for part in ((0, first - 1), (first - 1, one.last), (one.last, checkpoint.size))
            )  # fmt: skip
        except HashesMissing:
            raise Refused("LEDGER_TREE_BROKEN") from None
        items = {number: name for number, name in store.coordinates().items() if number <= checkpoint.items}
        manifest = Manifest(
            how.origin, how.hashing.name, one.month, first, one.last, earliest, latest, tuple(before), tuple(own),
            tuple(after), note, items, file.name, file.stat().st_size, digest_of(file),
        )  # fmt: skip
        if not makes(store.reader(), manifest, checkpoint):
            raise Refused("LEDGER_REWRITTEN")
        _put(folder / f"{one.month}.json", manifest.encode())
        store.keep_month(KeptMonth(one.month, first, one.last, manifest.encode()))
        finish(store)
    return manifest


def finish(store: ArchivedStore) -> None:
    """Delete what sealed months have left in the live store, and files that were not finished."""
    for left in (*_folder(store).glob("*.new"), *_folder(store).glob("*.duckdb*")):
        left.unlink()
    while store.drop_frames(_WINDOW):
        pass
    for month in store.months()[-1:]:
        begin, end = -(-(month.first - 1) // _TILE) * _TILE, (month.last - 1) // _TILE * _TILE
        # leaves beside the month's ends stay: their tiles have leaves of other months, whose proofs need them
        for start in range(begin, end, _WINDOW):
            store.drop_leaves(start, min(start + _WINDOW, end))


def makes(reader: Reader, manifest: Manifest, checkpoint: Checkpoint) -> bool:
    """Whether file and manifest lead to the checkpoint's root: every frame to its leaf, the leaves to the root. Broken."""
    hashing = TreeHash(manifest.hash)
    grown = Frontier(hashing, manifest.first - 1, manifest.before)
    for start in range(manifest.first, manifest.last + 1, _WINDOW):
        end = min(start + _WINDOW - 1, manifest.last)
        rows = reader.between(manifest.month, start, end)
        if [row[0] for row in rows] != list(range(start, end + 1)):
            return False
        for _, _, _, frame, leaf in rows:
            if hashing.leaf(frame) != leaf:
                return False
            grown.append(leaf)
    told = Frontier(hashing, manifest.first - 1, manifest.before)
    add_subtrees(told, manifest.first - 1, manifest.last, manifest.subtrees)
    return grown.root() == told.root() and manifest.root(checkpoint.size) == checkpoint.root


def _write(
    store: ArchivedStore, hashing: TreeHash, file: Path, first: int, last: int, told: Callable[[int], None]
) -> tuple[int, int]:
    """Write the month's file; returns the moments of its earliest and its latest frame."""
    earliest, latest = 2**62, -(2**62)
    new = file.with_name(f"{file.name}.new")
    writer = Writer(new)
    try:
        for start in range(first, last + 1, _WINDOW):
            end = min(start + _WINDOW - 1, last)
            rows = list(_checked(store, hashing, start, end))
            writer.add(rows)
            moments = [moment for _, moment, *_ in rows]
            earliest, latest = min(earliest, *moments), max(latest, *moments)
            told(end)
        writer.finish()
    finally:
        writer.close()
    _sync(new)
    new.replace(file)
    _sync(file.parent)
    return earliest, latest


def _checked(store: ArchivedStore, hashing: TreeHash, first: int, last: int) -> Iterator[Row]:
    """The live rows of these places with their leaves. Refused if one is not what the tree says."""
    leaves = store.leaves(first - 1, last)
    rows = store.rows(first - 1, last - first + 1)
    if len(leaves) != last - first + 1 or len(rows) != len(leaves):
        raise Refused("LEDGER_REMOVED")
    for place, row, leaf in zip(range(first, last + 1), rows, leaves, strict=True):
        seq, at, operation, frame = row
        if not (isinstance(at, int) and isinstance(operation, str) and isinstance(frame, bytes | memoryview)):
            raise Refused("LEDGER_CHANGED", str(place))
        if (seq, leaf.seq, leaf.hash) != (place, place, hashing.leaf(bytes(frame))):
            raise Refused("LEDGER_CHANGED", str(place))
        if not labelled(bytes(frame), operation, at):
            raise Refused("LEDGER_CHANGED", str(place))
        yield place, at, operation, bytes(frame), leaf.hash


def _checkpoint_over(store: ArchivedStore, last: int, how: Sealing) -> tuple[str, Checkpoint]:
    """The newest checkpoint over the place, cosigned where there are witnesses. Refused."""
    kept = cosigned_over(store, last, how.witnesses) if how.witnesses else store.last_checkpoint()
    try:
        checkpoint = parse_checkpoint(kept.text) if kept else None
    except ValueError:
        raise Refused("CHECKPOINT_INVALID") from None
    if kept is None or checkpoint is None or checkpoint.size < last or store.size() < checkpoint.size:
        raise Refused("MONTH_UNPROVEN")
    if (checkpoint.origin, checkpoint.hash) != (how.origin, how.hashing.name):
        raise Refused("LEDGER_FOREIGN")
    return kept.text, checkpoint


# -- removing ----------------------------------------------------------------------------------------------------------


def remove(store: ArchivedStore, month: str, order: Order) -> KeptMonth:
    """Remove a sealed month, or finish what was interrupted; returns it with its tombstone. Refused, Broken, StoreUnavailable, OSError."""
    folder = _folder(store)
    with alone(folder):
        kept = removable(store, month, order)
        if not kept.removal:
            content = _content(kept, order)
            place = _on_record(store, order, kept, content, f"{order.operation}/1", "attempted")
            tombstone = {"format": REMOVAL, "order": content, "operation": f"{order.operation}/1", "place": place}
            store.keep_removal(month, json.dumps(tombstone, ensure_ascii=False, indent=1) + "\n")
            _on_record(store, order, kept, content, order.operation, "answered")
        (folder / f"{month}.parquet").unlink(missing_ok=True)
        _sync(folder)
    return next(one for one in store.months() if one.month == month)


def removable(store: ArchivedStore, month: str, order: Order) -> KeptMonth:
    """The month if it may be removed, or was. Refused."""
    months = store.months()
    kept = next((one for one in months if one.month == month), None)
    if kept is None:
        raise Refused("MONTH_UNSEALED")
    if kept.removal:
        return kept
    older = next(one for one in months if not one.removal)
    if older.month != month:
        raise Refused("MONTH_NOT_OLDEST", older.month)
    manifest = manifest_of(kept)
    until = kept_until(manifest.latest, order.retention)
    if china_day(order.at) + _EPOCH < until.toordinal():
        raise Refused("MONTH_RETAINED", until.isoformat())
    own = _folder(store) / manifest.file
    if not order.exported.is_file() or (own.exists() and own.samefile(order.exported)):
        raise Refused("MONTH_NOT_EXPORTED", str(order.exported))
    if digest_of(order.exported) != manifest.sha256:
        raise Refused("MONTH_NOT_EXPORTED", str(order.exported))
    return kept


def _content(kept: KeptMonth, order: Order) -> str:
    """What is on record of a removal, by its digest."""
    told: dict[str, Any] = {
        "month": kept.month, "first": kept.first, "last": kept.last,
        "manifest": hashlib.sha256(kept.manifest.encode()).hexdigest(), "retention": order.retention,
        "exported": order.exported.name, "by": order.by, "reason": order.reason, "at": order.at,
    }  # fmt: skip
    return json.dumps(told, ensure_ascii=False, indent=1)


def _on_record(
    store: ArchivedStore, order: Order, kept: KeptMonth, content: str, operation: str, outcome: str
) -> int:  # fmt: skip
    """Put the removal on record; returns its place. `document` is the digest of its order."""
    node = NodeFrame(
        path=ACT, resource=RESOURCE, subject="", purpose="", case=kept.month, service="", items=(), rules=(),
        groups={}, others=[],
    )  # fmt: skip
    frame = Frame(
        operation=operation, at=order.at, subject=order.by, department=order.department, role="administrator",
        region="", client="", channel="offline", document=hashlib.sha256(content.encode()).hexdigest(), name="",
        policy="", catalogue="", outcome=outcome, fields=(ACT,), nodes=(node,),
    )  # fmt: skip
    store.append([NewFrame(order.at, operation, frame.encode())])
    found = store.find(operation)
    if found is None:
        raise Broken("the record of the removal is not there")
    return found.seq


# -- files -------------------------------------------------------------------------------------------------------------


def _folder(store: ArchivedStore) -> Path:
    if store.folder is None:
        raise Broken("no folder of sealed months is set")
    return store.folder


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Only one process seals or removes at a time. OSError."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _put(file: Path, text: str) -> None:
    """Write a file so that it is there as a whole, and durable, or not at all."""
    new = file.with_name(f"{file.name}.new")
    with new.open("w", encoding="utf8") as opened:
        opened.write(text)
    _sync(new)
    new.replace(file)
    _sync(file.parent)


def _sync(place: Path) -> None:
    opened = os.open(place, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def today(now: datetime) -> int:
    """The day in China, counted from 1970."""
    return china_day(int(now.timestamp() * 1_000_000))
