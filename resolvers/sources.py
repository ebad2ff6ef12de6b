"""A department's source as the line asks it: within its time, so many calls at once, left alone while it is down.

From the outside in: a place among the calls agreed with the department, the breaker, the call itself, and where it failed for a reason that may pass
another try. Whatever goes wrong is a `SourceError`. A source that is down is looked after in the background, never by those who ask.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from random import uniform
from typing import Any

import stamina
import stamina.instrumentation

from connectors.contract import Connector, Request, Rows, SourceError
from resolvers.breaker import Breaker, State, Thresholds
from resolvers.calls import ANSWERED, CANCELLED, Calls
from schema.catalogue import Resource
from schema.errors import Text

GRACE_SECONDS = 0.1
"""How much longer than its time a source is waited for: it should have given up by itself."""
_REPORT_SECONDS = 30.0
_LONGEST_WAIT = 0.5
_JITTER = (0.8, 1.2)
_OPEN = Text(
    "it has failed repeatedly and is left alone until it answers again",
    "该数据源连续失败，已暂停访问，恢复后自动接通",
)
_BUSY = Text("as many queries as agreed with the department are under way", "已达到与提供部门约定的并发查询上限")
_LOG = logging.getLogger("onesource.sources")
stamina.instrumentation.set_on_retry_hooks([])  # one line a retry would flood the log of a source in trouble


@dataclass(frozen=True, slots=True)
class Allowance:
    """What is agreed with a department: `calls` of its source at once and `queue` more that wait, `batch` keys a statement; `retries` of a failed one."""

    calls: int = 8
    queue: int = 64
    batch: int = 1_000
    retries: int = 2


class Source:
    """A department's connector, how long a fetch may take in seconds, and what keeps its troubles to itself."""

    def __init__(
        self,
        connector: Connector,
        timeout: float = 2.0,
        allowance: Allowance | None = None,
        thresholds: Thresholds | None = None,
        resources: Sequence[Resource] = (),
    ) -> None:
        self.connector = connector
        self.timeout = timeout
        self.allowance = allowance or Allowance()
        self.breaker = Breaker(thresholds or Thresholds())
        self.calls = Calls()
        self.answers: bool | None = None
        """Whether it did when somebody last looked; None as long as nobody has."""
        self.lacks: dict[str, tuple[str, ...]] = {}
        """Columns that the source lacks, by resource, as they were found at the start."""
        self._resources = resources
        self._places = asyncio.Semaphore(self.allowance.calls)
        self.under_way = self.waiting = 0
        self._ready = False
        self._opening: asyncio.Event | None = None
        self._working: dict[str, asyncio.Task[None]] = {}
        self._reported: dict[tuple[str, str], float] = {}

    def begin(self) -> asyncio.Task[None]:
        """Open in the background, and look whether the source is there; whoever asks meanwhile waits until it is open. The task never raises."""
        self._opening = asyncio.Event()
        return self._work("open", self._open)

    async def close(self) -> None:
        """Look after it no longer, and close its connector; one that will not close is left as it is."""
        for task in self._working.values():
            task.cancel()
        with suppress(Exception):
            async with asyncio.timeout(self.timeout + GRACE_SECONDS):
                await self.connector.close()

    async def ask(self, request: Request, until: float) -> Rows:
        """What the source answers within its own timeout and by `until` (`time.monotonic`); SourceError if it cannot, whatever goes wrong there."""
        until = min(until, time.monotonic() + self.timeout)
        try:
            return await self._try(request, until)
        except SourceError as error:
            if not self.allowance.retries or not self._may_pass(error, until):
                raise
            failed: SourceError | None = error
        # only now: what most calls never need would cost each of them
        async for attempt in stamina.retry_context(
            on=lambda error: self._may_pass(error, until),
            attempts=self.allowance.retries + 1,
            wait_initial=0.05,
            wait_jitter=0.05,
            wait_max=_LONGEST_WAIT,
        ):
            with attempt:
                if failed:
                    first, failed = failed, None
                    raise first
                self.calls.retried += 1
                return await self._try(request, until)
        raise AssertionError("the last attempt returns or raises")

    def _may_pass(self, error: Exception, until: float) -> bool:
        """Whether to try again: the connection failed, time is left, and the breaker has not opened on it."""
        return (
            isinstance(error, SourceError)
            and error.code == "SOURCE_UNAVAILABLE"
            and error.reason is None
            and self.breaker.state is State.CLOSED
            and time.monotonic() + _LONGEST_WAIT < until
        )

    async def _try(self, request: Request, until: float) -> Rows:
        self._refuse_if(self.breaker.state is State.OPEN, _OPEN)  # at once, not behind those who wait
        if self._opening and not self._opening.is_set():
            await self._opened(self._opening, until)
        await self._enter(until)
        try:
            turn = self.breaker.admit()
            self._refuse_if(turn is None, _OPEN)
            assert turn is not None
            return await self._call(request, until, turn)
        finally:
            self._places.release()

    def _refuse_if(self, refused: bool, reason: Text) -> None:
        if refused:
            self.calls.refused += 1
            raise SourceError("SOURCE_UNAVAILABLE", reason)

    async def _opened(self, opening: asyncio.Event, until: float) -> None:
        """Wait until it is open, or was found down."""
        try:
            async with asyncio.timeout(until - time.monotonic()):
                await opening.wait()
        except TimeoutError:
            raise SourceError("SOURCE_TIMEOUT") from None

    async def _enter(self, until: float) -> None:
        """Take a place among the calls under way, as soon as there is one."""
        if not self._places.locked():
            await self._places.acquire()  # does not wait
            return
        self._refuse_if(self.waiting >= self.allowance.queue, _BUSY)
        self.waiting += 1
        try:
            async with asyncio.timeout(until - time.monotonic()):
                await self._places.acquire()
        except TimeoutError:
            self._refuse_if(True, _BUSY)
        finally:
            self.waiting -= 1

    async def _call(self, request: Request, until: float, turn: int) -> Rows:
        """One call, counted whatever becomes of it."""
        began, code, given = time.monotonic(), CANCELLED, 0.0
        self.under_way += 1
        try:
            given = until - began
            if given <= 0:
                raise SourceError("SOURCE_TIMEOUT")
            async with asyncio.timeout(given + GRACE_SECONDS):
                rows = await self.connector.fetch(replace(request, timeout=given))
            code = ANSWERED
            self._see(request.resource, rows)
            return rows
        except SourceError as error:
            code = error.code
            self._report(request.resource, code, error.__cause__)
            raise
        except Exception as error:  # one broken connector never takes the others down
            code = "SOURCE_TIMEOUT" if isinstance(error, TimeoutError) else "SOURCE_UNAVAILABLE"
            self._report(request.resource, code, error)
            raise SourceError(code) from error
        finally:
            self.under_way -= 1
            now = time.monotonic()
            self.calls.note(now, now - began, code)
            # who had little time left cannot say that the source is slow
            self.breaker.note(
                turn, now, None if code == "SOURCE_TIMEOUT" and given < self.timeout / 2 else _FAILED.get(code)
            )
            if self.breaker.state is State.OPEN:
                self._work("await", self._await_answer)

    def _see(self, resource: Resource, rows: Rows) -> None:
        """Note the last change that these rows tell of; one that is yet to come tells nothing."""
        changes = [row.updated for row in rows.rows if row.updated and row.updated <= rows.fetched_at]
        if changes:
            seen = self.calls.updated
            seen[resource.name] = max(*changes, seen.get(resource.name, changes[0]))

    def _report(self, resource: Resource, code: str, cause: BaseException | None) -> None:
        """Tell the log that a source fails: once in a while, and never with its words, which may hold data."""
        now = time.monotonic()
        if now - self._reported.get((resource.name, code), -_REPORT_SECONDS) >= _REPORT_SECONDS:
            self._reported[resource.name, code] = now
            kind = type(cause).__name__ if cause else "no cause"
            _LOG.warning("%s of %s: %s (%s)", resource.name, resource.department, code, kind)

    def _work(self, name: str, work: Callable[[], Coroutine[Any, Any, None]]) -> asyncio.Task[None]:
        """The task that does this in the background, begun unless it is under way."""
        task = self._working.get(name)
        if task is None or task.done():
            task = self._working[name] = asyncio.create_task(work())
        return task

    async def _open(self) -> None:
        if await self._look():
            self._work("compare", self._compare)
        else:
            self.breaker.trip()
            self._work("await", self._await_answer)
        if self._opening:
            self._opening.set()

    async def _await_answer(self) -> None:
        """Look until it answers, ever less often."""
        while self.breaker.state is State.OPEN:
            await asyncio.sleep(self.breaker.pause() * uniform(*_JITTER))  # noqa: S311
            if await self._look():
                self.breaker.reached()
                self._work("compare", self._compare)

    async def _look(self) -> bool:
        """Whether the source answers, asked now."""
        try:
            async with asyncio.timeout(self.timeout):
                if self._opening and not self._ready:
                    await self.connector.open()
                    self._ready = True
                    self._opening.set()
                self.answers = await self.connector.health()
        except Exception:
            self.answers = False
        return self.answers

    async def _compare(self) -> None:
        """Find out which columns the source lacks; what cannot be told now shows when it is asked."""
        for resource in self._resources:
            with suppress(Exception):
                async with asyncio.timeout(self.timeout):
                    lost = await self.connector.check(resource)
                self.lacks.pop(resource.name, None)
                if lost:
                    self.lacks[resource.name] = lost
                    self._report(resource, "SOURCE_CHANGED", None)


_FAILED = {ANSWERED: False, "SOURCE_CHANGED": False, "SOURCE_REFUSED": False, "SOURCE_VALUE_INVALID": False} | {
    "SOURCE_TIMEOUT": True, "SOURCE_UNAVAILABLE": True,
}  # fmt: skip
"""Codes by which a source shows that it is there or not; the others tell nothing of it."""
