"""Which kept checkpoints may go: each proves what the next one proves too, so that of the old ones few are enough.

All of the last day stay, then one an hour for thirty days, then one a day. In each of these spans the last stays, and the last that each
witness has cosigned; so the last of all stays, and the last that anybody has cosigned, which proves everything before it. A checkpoint that was
exported stays where it was exported to. One that the records contradict stays too: it is evidence.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from audit.frame import decode
from audit.merkle import HashesMissing, Tree
from audit.store import KeptCheckpoint, Lease, Store
from audit.verify_offline import parse_checkpoint

_HOUR, _DAY = 3_600_000_000, 86_400_000_000
_HOURLY_UNTIL = 30 * _DAY
_PAGE = 200


@dataclass(frozen=True, slots=True)
class Dated:
    """A checkpoint by its number: size, root, when its last record was made (microseconds), and the ids of the keys beside the log's own."""

    number: int
    size: int
    root: bytes
    at: int
    cosigners: frozenset[bytes]


def span_of(at: int, now: int) -> tuple[int, int] | None:
    """The span of which a checkpoint of that moment is one; None for the last day, of which all stay."""
    if now - at < _DAY:
        return None
    length = _HOUR if now - at < _HOURLY_UNTIL else _DAY
    return length, at // length


def spare(span: Sequence[Dated]) -> list[int]:
    """The numbers of those that may go, of checkpoints of one span."""
    kept: set[int] = set()
    seen: set[bytes] = set()
    for place, one in enumerate(sorted(span, key=lambda one: (one.size, one.number), reverse=True)):
        if place == 0 or one.cosigners - seen:
            kept.add(one.number)
        seen |= one.cosigners
    return [one.number for one in span if one.number not in kept]


def thin(store: Store, tree: Tree, lease: Lease, origin: str, now: int) -> Iterator[None]:
    """Let go of what may go, a page at each step. What cannot be read or dated stays. StoreUnavailable, LeaseLost."""
    after = 0
    span: tuple[int, int] | None = None
    members: list[Dated] = []
    while page := store.checkpoints(after, _PAGE):
        after = page[-1].number
        for one in _dated(store, page, origin):
            its = span_of(one.at, now)
            if its != span:
                _drop(store, tree, lease, members)
                span, members = its, []
            if its is not None:
                members.append(one)
        yield
    _drop(store, tree, lease, members)


def _drop(store: Store, tree: Tree, lease: Lease, members: Sequence[Dated]) -> None:
    may = spare(members)
    if numbers := [one.number for one in members if one.number in may and _holds(tree, one)]:
        store.drop_checkpoints(lease, numbers)


def _holds(tree: Tree, one: Dated) -> bool:
    try:
        return tree.root(one.size) == one.root
    except HashesMissing:
        return False


def _dated(store: Store, page: Sequence[KeptCheckpoint], origin: str) -> list[Dated]:
    found = []
    for kept in page:
        try:
            checkpoint = parse_checkpoint(kept.text)
        except (ValueError, TypeError):
            continue
        if checkpoint.origin == origin:
            ids = frozenset(one.key_id for one in checkpoint.signatures if one.name != origin)
            found.append((kept.number, checkpoint, ids))
    times: dict[int, int] = {}
    for stored in store.frames({checkpoint.size for _, checkpoint, _ in found}):
        try:
            times[stored.seq] = int(decode(stored.frame)["at"])
        except (ValueError, TypeError, KeyError):
            continue
    return [
        Dated(number, checkpoint.size, checkpoint.root, times[checkpoint.size], ids)
        for number, checkpoint, ids in found
        if checkpoint.size in times
    ]
