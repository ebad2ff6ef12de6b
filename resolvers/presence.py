"""Whoever asked may go away while departments are still being asked: then nobody waits for them any longer."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

_T = TypeVar("_T")
_PATIENCE = 0.1
"""Seconds before anybody looks: most operations are over by then, and looking has its price."""

Gone = Callable[[], Awaitable[bool]]
"""Waits until whoever asked has gone away, then says True; False if that will not be known."""


class ClientGone(Exception):
    """Whoever asked has gone away."""


async def while_here(work: Awaitable[_T], gone: Gone | None) -> _T:
    """What the work gives; ClientGone, and the work is cancelled, if whoever asked goes away before."""
    here = asyncio.current_task()
    if gone is None or here is None:
        return await work
    loop = asyncio.get_running_loop()
    watching: list[asyncio.Task[None]] = []
    left = False

    async def watch() -> None:
        nonlocal left
        if await gone():
            left = True
            here.cancel()

    timer = loop.call_later(_PATIENCE, lambda: watching.append(loop.create_task(watch())))
    try:
        return await work
    except asyncio.CancelledError:
        if left and here.uncancel() == 0:
            raise ClientGone from None
        raise
    finally:
        timer.cancel()
        for one in watching:
            one.cancel()
