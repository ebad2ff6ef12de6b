"""The ledger: frames, durable before any answer leaves.

Group commit: operations that finish while a write is under way share the next one; nobody lingers, since waiting for more made neither more
appends a second nor fewer commits at 1, 8 or 32 clients (they come together by themselves). What cannot be written in time raises
`LedgerUnavailable`, and the next append tries anew: no restart is needed when the store is back.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from types import MappingProxyType

from audit.compression import MOST
from audit.store import KeptMonth, NewFrame, Store, StoredFrame

_LOG = logging.getLogger("onesource.ledger")

_MAX_WAITING = 10_000
"""How many operations may wait for a slow store before the next is refused at once."""
_MAX_BATCH = 1_000
"""How many of them share a write: the first of a long queue need not wait for the last."""
_NONE: Mapping[str, bytes] = MappingProxyType({})


class LedgerUnavailable(Exception):
    """A frame could not be made durable in time. No data may leave."""


@dataclass(slots=True)
class _Waiting:
    new: NewFrame
    identities: Mapping[str, bytes]
    durable: asyncio.Future[None]
    late: bool = False


class Ledger:
    """The frames of one store, which several processes may share. `timeout` in seconds is how long an operation waits for its frame."""

    def __init__(self, store: Store, timeout: float) -> None:
        self.store = store
        self._timeout = timeout
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="ledger")
        self._waiting: list[_Waiting] = []
        self._writing: asyncio.Task[None] | None = None
        self.overdue: Callable[[], bool] = lambda: False
        """Whether records have been unsealed for too long; then nothing is taken (set by whoever composes ledger and integrator)."""

    def open(self) -> None:
        """Create what is missing in the store. StoreUnavailable."""
        self.store.open()

    async def close(self) -> None:
        """Wait for the write under way, then let go of the store."""
        if self._writing:
            await asyncio.wait({self._writing})
        self._writer.shutdown(wait=True)
        self.store.close()

    async def append(self, at: int, operation: str, frame: bytes, identities: Mapping[str, bytes] = _NONE) -> None:
        """Return when the frame is durable, and before it the sealed `identities` by their hashes; LedgerUnavailable if not within the timeout.

        A caller who is cancelled leaves the frame behind, to be written all the same.
        """
        if len(self._waiting) >= _MAX_WAITING or len(frame) > MOST or self.overdue():
            raise LedgerUnavailable
        loop = asyncio.get_running_loop()
        waiting = _Waiting(NewFrame(at, operation, frame), identities, loop.create_future())
        self._waiting.append(waiting)
        if self._writing is None:
            self._writing = loop.create_task(self._drain())
        try:
            async with asyncio.timeout(self._timeout):
                await waiting.durable
        except TimeoutError:
            waiting.late = True
            raise LedgerUnavailable from None

    async def _drain(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            while self._waiting:
                taken, self._waiting = self._waiting[:_MAX_BATCH], self._waiting[_MAX_BATCH:]
                batch = [one for one in taken if not one.late]  # what was refused need not be written any more
                if not batch:
                    continue
                try:
                    await loop.run_in_executor(self._writer, self._write, batch)
                except Exception as error:
                    _LOG.error("ledger write failed: %s", type(error.__cause__ or error).__name__)
                    _settle(batch, LedgerUnavailable())
                else:
                    _settle(batch, None)
        finally:
            self._writing = None

    def _write(self, batch: list[_Waiting]) -> None:
        identities = {hashed: sealed for one in batch for hashed, sealed in one.identities.items()}
        if identities:
            self.store.keep_identities(identities)
        self.store.append([one.new for one in batch])

    def read(self, after: int, limit: int) -> list[StoredFrame]:
        """Frames in order, from the one behind `after`. StoreUnavailable."""
        return self.store.read(after, limit)

    def frames(self, places: Collection[int]) -> list[StoredFrame]:
        """The frames at these places, in order. StoreUnavailable."""
        return self.store.frames(places)

    def check(self) -> None:
        """Return if a frame could be written now; nothing is. StoreUnavailable."""
        self.store.check()

    def head(self) -> int:
        """The place of the last frame, 0 for an empty ledger. StoreUnavailable."""
        return self.store.head()

    def removed(self) -> KeptMonth | None:
        """The last month that was removed by rule; all before it are gone too. StoreUnavailable."""
        return next((one for one in reversed(self.store.months()) if one.removal), None)

    def item_numbers(self, coordinates: Iterable[str]) -> Mapping[str, int]:
        """The permanent number of each coordinate; new ones get the next numbers, none is ever used again. StoreUnavailable."""
        return self.store.item_numbers(coordinates)

    def coordinates(self) -> dict[int, str]:
        """The dictionary of items: permanent number to coordinate, of every catalogue version there ever was. StoreUnavailable."""
        return self.store.coordinates()


def _settle(batch: list[_Waiting], error: LedgerUnavailable | None) -> None:
    for waiting in batch:
        if waiting.durable.done():
            continue
        if error:
            waiting.durable.set_exception(error)
        else:
            waiting.durable.set_result(None)
