"""What the departments' sources cost each other: five slow ones together, and a dead one beside four that answer.

    python -m benchmarks.sources

One process, the whole line with its durable ledger, no network between. Each department answers after 20 ms; then one of them fails at every call, and
once its breaker is open the same operation is timed again, in turn with one that does not ask it. Beside the whole, the stage `fetch` is timed by
itself: on a busy machine the ledger's durable writes make most of the whole's slowest hundredth.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import orjson
import uvloop
from rich.console import Console
from rich.table import Table

from app import Rooms, compose
from benchmarks.lookup import PROVENANCE, applicants, open_cases, prepare
from connectors.contract import Capability, Connector, Request, Rows, SourceError
from demo.scene import QUERY
from policies.identity import Identity, Role
from resolvers.breaker import State
from resolvers.line import Request as Asked
from schema.catalogue import Resource

RESIDENTS, ROUNDS, EACH = 1_000, 9, 200
SECONDS = 0.02
DEAD = "housing-fund"
FUND = "housingFund {\n      accountStatus employerName registeredOn\n      \n    }"


class Taken(NamedTuple):
    """Milliseconds of a whole operation, and of its fetch."""

    whole: float
    fetch: float


@dataclass
class Behaving:
    """A connector that takes its time or fails before it passes a request on."""

    inner: Connector
    before: Callable[[], Awaitable[None]]

    async def open(self) -> None:
        await self.inner.open()

    async def close(self) -> None:
        await self.inner.close()

    async def health(self) -> bool:
        try:
            await self.before()
        except SourceError:
            return False
        return await self.inner.health()

    def capabilities(self) -> frozenset[Capability]:
        return self.inner.capabilities()

    async def check(self, resource: Resource) -> tuple[str, ...]:
        return await self.inner.check(resource)

    async def fetch(self, request: Request) -> Rows:
        await self.before()
        return await self.inner.fetch(request)

    def explain(self, request: Request) -> str:
        return self.inner.explain(request)


async def slow() -> None:
    await asyncio.sleep(SECONDS)


async def quick() -> None:
    """Nothing in the way."""


async def dead() -> None:
    raise SourceError("SOURCE_UNAVAILABLE")


def behave(rooms: Rooms, *departments: str, before: Callable[[], Awaitable[None]]) -> None:
    """From now on these departments' sources, all where none is named, behave so."""
    for name in departments or rooms.sources:
        source = rooms.sources[name]
        inner = source.connector.inner if isinstance(source.connector, Behaving) else source.connector
        source.connector = Behaving(inner, before)


async def milliseconds(rooms: Rooms, asked: Asked) -> tuple[Taken, dict[str, Any]]:
    """How long the line takes for this, and its answer."""
    identity = Identity("clerk-01", "housing", Role.CLERK, "421200", "benchmark", 1e12, "")
    began = time.perf_counter()
    answer = await rooms.line.answer(asked, identity)
    return Taken((time.perf_counter() - began) * 1000, answer.timings["fetch"]), orjson.loads(answer.body)


def share(times: Sequence[float], percent: int) -> float:
    return sorted(times)[min(len(times) - 1, len(times) * percent // 100)]


def _told(times: list[Taken]) -> list[str]:
    return [f"{share(some, percent):.2f}" for some in zip(*times, strict=True) for percent in (50, 99)]


def _cost(rounds: list[tuple[list[Taken], list[Taken]]], stage: int, percent: int) -> str:
    """How much longer the operation with the dead source takes: the median of the rounds' differences."""
    differences = [
        share([one[stage] for one in harmed], percent) - share([one[stage] for one in alone], percent)
        for harmed, alone in rounds
    ]
    return f"{median(differences):+.2f} ms at {percent} %"


async def together(rooms: Rooms, five: Asked) -> list[Taken]:
    behave(rooms, before=slow)
    times = []
    for _ in range(EACH):
        took, body = await milliseconds(rooms, five)
        assert "errors" not in body, body
        times.append(took)
    return times


async def beside_a_dead_one(rooms: Rooms, five: Asked, four: Asked) -> list[tuple[list[Taken], list[Taken]]]:
    """Times of five departments with one dead, and of the four others alone; in turn, by rounds."""
    behave(rooms, before=quick)
    behave(rooms, DEAD, before=dead)
    while rooms.sources[DEAD].breaker.state is not State.OPEN:
        await milliseconds(rooms, five)
    rounds = []
    for _ in range(ROUNDS):
        harmed, alone = [], []
        for _ in range(EACH):
            took, body = await milliseconds(rooms, five)
            assert body["data"]["person"]["housingFund"] is None
            assert len(body["errors"]) == 1
            harmed.append(took)
            took, body = await milliseconds(rooms, four)
            assert "errors" not in body
            alone.append(took)
        rounds.append((harmed, alone))
    return rounds


async def run(folder: Path, console: Console) -> None:
    settings, catalogue, scene = prepare(folder, RESIDENTS)
    numbers = applicants(scene)[:1]
    (case,) = await open_cases(settings, catalogue, numbers)
    query = QUERY.replace(PROVENANCE, "")
    assert FUND in query
    use = {"purpose": "ADMINISTRATIVE_BASIS", "basis": {"case": case}}
    variables = {"idNumber": numbers[0], "use": use}
    five, four = Asked(query, variables, None), Asked(query.replace(FUND, ""), variables, None)
    rooms = compose(settings, catalogue)
    await rooms.open()
    try:
        slowly = await together(rooms, five)
        rounds = await beside_a_dead_one(rooms, five, four)
        columns = ("whole 50 %", "99 %", "fetch 50 %", "99 %")
        table = Table("milliseconds", *columns, title="Sources beside each other")
        table.add_row(f"five departments of {SECONDS * 1000:.0f} ms each", *_told(slowly))
        table.add_row("five, one of them dead", *_told([one for harmed, _ in rounds for one in harmed]))
        table.add_row("the other four alone", *_told([one for _, alone in rounds for one in alone]))
        console.print(table)
        ratio = share([one.whole for one in slowly], 50) / (SECONDS * 1000)
        console.print(f"Five together take {ratio:.2f} times one of them.")
        for stage, name in enumerate(("the whole", "the fetch")):
            console.print(f"A dead one costs {name} {_cost(rounds, stage, 50)}, {_cost(rounds, stage, 99)}.")
    finally:
        await rooms.close()


def main() -> None:
    console = Console(width=100)
    with tempfile.TemporaryDirectory() as folder, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run(Path(folder), console))


if __name__ == "__main__":
    main()
