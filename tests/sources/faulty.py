"""Sources that fail in every way, and how to ask them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, TypeVar

import uvloop

from connectors.contract import FetchRequest, Request, Row, Rows, SourceError
from connectors.memory import MemoryConnector
from resolvers.sources import Source
from schema.catalogue import Resource
from tests.connectors.resources import item, resource

T = TypeVar("T")
PEOPLE = resource("People", item("id"), item("name"))
NOW = datetime(2026, 11, 1, tzinfo=UTC)


class Faulty(MemoryConnector):
    """A source that does at each call what `behaviour` says, and counts calls and looks."""

    def __init__(self, behaviour: Callable[[], Awaitable[None]] | None = None) -> None:
        super().__init__({})
        self.behaviour = behaviour
        self.fetches = self.looks = self.under_way = self.most = 0
        self.answers = True

    async def health(self) -> bool:
        self.looks += 1
        return self.answers

    async def fetch(self, request: Request) -> Rows:
        self.fetches += 1
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        try:
            if self.behaviour:
                await self.behaviour()
        finally:
            self.under_way -= 1
        keys = request.keys if isinstance(request, FetchRequest) else ()
        return Rows([Row(key, NOW, ("甲",)) for key in keys], NOW)


def failing(code: str = "SOURCE_UNAVAILABLE", times: int = 10**9) -> Callable[[], Awaitable[None]]:
    """Fails so many times, and answers from then on."""
    left = times

    async def behave() -> None:
        nonlocal left
        left -= 1
        if left >= 0:
            raise SourceError(code)

    return behave


def taking(seconds: float) -> Callable[[], Awaitable[None]]:
    """Answers after so many seconds."""

    async def behave() -> None:
        await asyncio.sleep(seconds)

    return behave


async def ask(source: Source, seconds: float = 60.0, of: Resource = PEOPLE, *keys: str) -> str:
    """The code that a call ends with, ANSWERED if it brings rows; with `seconds` left for it."""
    request = FetchRequest(of, "id", keys or ("1",), ("name",), 0)
    try:
        await source.ask(request, time.monotonic() + seconds)
    except SourceError as error:
        return error.code
    return "ANSWERED"


def run(work: Coroutine[Any, Any, T]) -> T:
    """What a coroutine returns, on the event loop that serves."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(work)


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """What happens here takes no longer."""
    began = time.perf_counter()
    yield
    assert time.perf_counter() - began < seconds


async def until(said: Callable[[], bool], seconds: float = 5.0) -> None:
    """Return when it is so; AssertionError if it is not by then."""
    async with asyncio.timeout(seconds):
        while not said():  # noqa: ASYNC110 - what is waited for tells nobody
            await asyncio.sleep(0.005)
