"""A source's connections: a few, each used by one statement at a time, in one event loop.

A connection that had trouble is never used again: it is closed beside, which ends its statement at the server, while the caller goes on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

_CLOSING_SECONDS = 5.0

C = TypeVar("C")
T = TypeVar("T")


class Pool(Generic[C]):
    """At most `size` connections, opened when first needed.

    `close(connection, busy)` ends a connection, and its statement too where it is `busy`; `keeps(error)` tells whether a connection
    can be used after that error, `lost(error)` whether it had been gone already.
    """

    def __init__(
        self,
        size: int,
        connect: Callable[[], Awaitable[C]],
        close: Callable[[C, bool], Awaitable[None]],
        keeps: Callable[[Exception], bool],
        lost: Callable[[Exception], bool],
    ) -> None:
        self._room = asyncio.Semaphore(size)
        self._connect = connect
        self._close = close
        self._keeps = keeps
        self._lost = lost
        self._idle: list[C] = []
        self._closing: set[asyncio.Task[None]] = set()
        self._closed = False

    async def run(self, work: Callable[[C], Awaitable[T]], deadline: float) -> T:
        """What `work` makes of a connection; TimeoutError where it has not by `deadline`, in the event loop's time."""
        async with asyncio.timeout_at(deadline), self._room:
            while self._idle:
                connection = self._idle.pop()
                try:
                    return await self._use(connection, work)
                except Exception as error:
                    if not self._lost(error):
                        raise
                    # it had stood idle while the server went: nothing was read, and the others are gone too
                    self._drop_idle()
            return await self._use(await self._connect(), work)

    async def _use(self, connection: C, work: Callable[[C], Awaitable[T]]) -> T:
        kept = False
        try:
            found = await work(connection)
            kept = True
            return found
        except Exception as error:
            kept = self._keeps(error)
            raise
        finally:
            if kept and not self._closed:
                self._idle.append(connection)
            else:
                self._drop(connection, busy=not kept)

    def _drop(self, connection: C, busy: bool) -> None:
        task = asyncio.ensure_future(self._end(connection, busy))
        self._closing.add(task)  # the event loop alone would not keep it
        task.add_done_callback(self._closing.discard)

    async def _end(self, connection: C, busy: bool) -> None:
        try:
            async with asyncio.timeout(_CLOSING_SECONDS):
                await self._close(connection, busy)
        except Exception:  # noqa: S110 - the server is gone, and the connection with it
            pass

    def _drop_idle(self) -> None:
        while self._idle:
            self._drop(self._idle.pop(), busy=False)

    async def close(self) -> None:
        """Close every connection; those in use when they come back."""
        self._closed = True
        self._drop_idle()
        await asyncio.gather(*self._closing)
