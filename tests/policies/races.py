"""Several processes decide while grants, suspensions and rules change under them: was anything allowed that had been stopped?"""

from __future__ import annotations

import asyncio
import multiprocessing
import random
import threading
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from queue import Empty
from typing import Any

import sqlalchemy as sa

from policies.control import Control
from policies.grants import AgreementState, Grant
from policies.live import Policy, PolicyUnavailable
from policies.rules import Rules
from tests.policies.city_in_force import (
    APPLICATION,
    LEASE,
    NAME,
    OF_EVERYTHING,
    OF_THE_NAME,
    PHOTO,
    base,
    granted,
    of_grant,
)
from tests.policies.small import Question, group, share_row

QUESTIONS = {"name": NAME, "photo": PHOTO}
SEEN_WITHIN = 1.0
"""Seconds after which a change must be in force everywhere."""
_TASKS = 2
_BATCH = 100
_DENY = group(share_row("RULE/local/1", eft="deny"))


@dataclass(frozen=True)
class Change:
    """One change: when it was begun and done (monotonic seconds), its number, and what is allowed from it on."""

    begun: float
    done: float
    sequence: int
    allowed: frozenset[str]


@dataclass
class Run:
    """Decisions in a row by one thread that were alike: what was asked, under which number, the answer, from when until when."""

    question: str
    sequence: int
    allow: bool
    first: float
    last: float
    count: int = 1


@dataclass
class Report:
    """What one process decided."""

    runs: list[Run] = field(default_factory=list)
    unavailable: int = 0

    def note(self, question: str, sequence: int, allow: bool, at: float, last: dict[str, Run]) -> None:
        run = last.get(question)
        if run and (run.sequence, run.allow) == (sequence, allow):
            run.last, run.count = at, run.count + 1
        else:
            last[question] = run = Run(question, sequence, allow, at, at)
            self.runs.append(run)


def _decide(policy: Policy, report: Report, last: dict[str, Run]) -> None:
    """A batch of decisions, of callers and moments of many kinds; the moment noted is the one before the snapshot is asked for."""
    for number in range(_BATCH):
        name = "name" if number % 2 else "photo"
        question: Question = QUESTIONS[name].but(role=("clerk", "developer")[number % 3 == 0])
        at = time.monotonic()
        try:
            snapshot = policy.snapshot()
        except PolicyUnavailable:
            report.unavailable += 1
            continue
        report.note(name, snapshot.sequence, question.of(snapshot).allow, at, last)


def _in_thread(policy: Policy, report: Report, stop: threading.Event) -> None:
    last: dict[str, Run] = {}
    while not stop.is_set():
        _decide(policy, report, last)
        time.sleep(0.001)


async def _in_task(policy: Policy, report: Report, stop: threading.Event) -> None:
    last: dict[str, Run] = {}
    while not stop.is_set():
        _decide(policy, report, last)
        await asyncio.sleep(0.001)


def decide_in_process(url: str, threads: int, ready: Any, stop: Any, reports: Any) -> None:
    """One process: a policy that follows the database, threads and tasks that decide by it."""

    async def steps() -> Report:
        control = Control(url)
        control.open()
        policy = Policy(base(), control, LEASE)
        await policy.open()
        report, stopped = Report(), threading.Event()
        workers = [threading.Thread(target=_in_thread, args=(policy, report, stopped)) for _ in range(threads)]
        for worker in workers:
            worker.start()
        tasks = [asyncio.create_task(_in_task(policy, report, stopped)) for _ in range(_TASKS)]
        ready.release()
        await asyncio.to_thread(stop.wait)
        stopped.set()
        await asyncio.gather(*tasks)
        for worker in workers:
            worker.join()
        await policy.close()
        control.close()
        return report

    reports.put(asyncio.run(steps()))


class Changing:
    """Makes changes at random, one after another, and keeps what each of them means."""

    def __init__(self, control: Control, seed: int) -> None:
        self._control = control
        self._chance = random.Random(seed)
        self._open: dict[str, str] = {}
        self._grant: Grant | None = None
        self.made: list[Change] = []

    async def make(self) -> None:
        if self._grant is None:
            applied = await self._control.apply(APPLICATION)
            self._grant = replace(applied)
        begun = time.monotonic()
        await self._one(self._chance.choice(["grant", "name", "department", "this grant", "rules"]))
        done = time.monotonic()
        self.made.append(Change(begun, done, await self._control.sequence(), self._allowed()))

    def _allowed(self) -> frozenset[str]:
        assert self._grant
        allowed = set()
        if not self._open.keys() & {"name", "department", "rules"}:
            allowed.add("name")
        if self._grant.active and not self._open.keys() & {"this grant", "department"}:
            allowed.add("photo")
        return frozenset(allowed)

    async def _one(self, kind: str) -> None:
        control, grant = self._control, self._grant
        assert grant
        if kind == "grant":
            agreement = AgreementState.ENDED if grant.active else AgreementState.VALID
            new = replace(granted(grant), id=grant.id, agreement_state=agreement)
            self._grant = await control.change(new, grant)
        elif kind in self._open:
            await (control.publish("local", Rules()) if kind == "rules" else control.lift(self._open[kind], 2))
            del self._open[kind]
        elif kind == "rules":
            await control.publish("local", _DENY)
            self._open[kind] = ""
        else:
            stops = {"name": OF_THE_NAME, "department": OF_EVERYTHING, "this grant": of_grant(grant)}
            self._open[kind] = (await control.suspend(stops[kind])).id


@dataclass(frozen=True)
class Outcome:
    """What a race showed: decisions, allows among them, wrong allows.

    `stale` is for how many seconds after a change some process still decided by an older version, `seen` after how many the slowest
    decided by the new one: between them, it denied everything because its lease had run out.
    """

    decisions: int
    allows: int
    changes: int
    wrong: list[str]
    stale: float
    seen: float
    unavailable: int


def race(url: sa.URL, processes: int, threads: int, seconds: float, seed: int = 1) -> Outcome:
    """Change what is in force for so long while several processes decide."""
    spawn = multiprocessing.get_context("spawn")
    text = url.render_as_string(hide_password=False)
    control = Control(url)
    control.open()
    ready, stop, reports = spawn.Semaphore(0), spawn.Event(), spawn.Queue()
    workers = [
        spawn.Process(target=decide_in_process, args=(text, threads, ready, stop, reports)) for _ in range(processes)
    ]
    for worker in workers:
        worker.start()
    changing = Changing(control, seed)

    async def change() -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            await changing.make()
            await asyncio.sleep(random.Random(len(changing.made)).choice([0.0, 0.05, 0.3, 1.6]))
        await asyncio.sleep(SEEN_WITHIN)

    try:
        for _ in workers:
            assert ready.acquire(timeout=60), "a process did not start"
        asyncio.run(change())
        stop.set()
        told = [reports.get(timeout=60) for _ in workers]
    finally:
        stop.set()
        with suppress(Empty):
            while True:
                reports.get_nowait()
        for worker in workers:
            worker.join(30)
            worker.kill()
        control.close()
    return judge(changing.made, told)


def judge(changes: list[Change], reports: Iterable[Report]) -> Outcome:
    """Compare what was decided with what was in force."""
    reports = list(reports)
    runs = [run for report in reports for run in report.runs]
    allows = [run for run in runs if run.allow]
    wrong = [f"{run}" for run in allows if _is_stopped_under(changes, run) or _is_late(changes, run)]
    each = [(change, report) for change in changes for report in reports]
    return Outcome(
        decisions=sum(run.count for run in runs),
        allows=sum(run.count for run in allows),
        changes=len(changes),
        wrong=wrong,
        stale=max((_stale_after(change, report) for change, report in each), default=0.0),
        seen=max((_seen_after(change, report) for change, report in each), default=0.0),
        unavailable=sum(report.unavailable for report in reports),
    )


def _is_stopped_under(changes: list[Change], run: Run) -> bool:
    """Whether the version that was decided by has this stopped."""
    known = [change for change in changes if change.sequence <= run.sequence]
    return run.question not in (known[-1].allowed if known else {"name"})


def _is_late(changes: list[Change], run: Run) -> bool:
    """Whether it was still allowed more than a second after it had been stopped, and before it was allowed again."""
    for number, change in enumerate(changes):
        if run.question in change.allowed or change.done + SEEN_WITHIN >= run.last:
            continue
        again = next((later.begun for later in changes[number + 1 :] if run.question in later.allowed), float("inf"))
        if run.first < again and max(run.first, change.done + SEEN_WITHIN) < min(run.last, again):
            return True
    return False


def _stale_after(change: Change, report: Report) -> float:
    """Seconds for which this process still decided by an older version than the change's."""
    return max((run.last for run in report.runs if run.sequence < change.sequence), default=change.done) - change.done


def _seen_after(change: Change, report: Report) -> float:
    """Seconds until this process decided by the change or a later one."""
    return (
        min((run.first for run in report.runs if run.sequence >= change.sequence), default=float("inf")) - change.done
    )
