"""Decisions at a thousand to a million rules: hot and cold, building, changing, memory; plain pycasbin beside it in the same run.

    python -m benchmarks.policy [--large]

Each number is the best of several rounds, so that what else runs on the machine counts little. The table also goes to benchmarks/policy.md.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import logging
import platform
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import casbin
from rich.console import Console
from rich.table import Table

from app import compose
from benchmarks.lookup import applicants, open_cases, prepare
from demo.scene import IDENTITIES, QUERY
from policies.decision import Act, Use
from policies.grants import AgreementState, Decider, Grant, GrantItem, GrantState, Suspension
from policies.identity import Identity, Role
from policies.rules import (
    FIRST_TIME,
    LAST_TIME,
    ROLE_LINKS,
    Rules,
    rules_from,
    rules_of_grant,
    rules_of_suspension,
    service_basis,
)
from policies.snapshot import Snapshot, utc_text
from resolvers.line import Request
from schema.catalogue import (
    Catalogue,
    Item,
    Material,
    Purpose,
    Resource,
    ServiceItemUse,
    Share,
    ShareClass,
    ShareMode,
    SubjectClass,
)
from schema.load import load_catalogue

ROOT = Path(__file__).parent.parent
PAGE = Path(__file__).with_suffix(".md")
SIZES, LARGE = (1_000, 10_000, 100_000), 1_000_000
ITEMS = 20
"""Items of a resource. Each has four rules: two purposes, two modes; the key three times as many."""
RULES_OF_A_RESOURCE = 4 * (ITEMS - 1) + 12
NOW = datetime(2026, 6, 1, tzinfo=UTC).timestamp()
COLD = 4_000
SERVICE = "benchmark"


@dataclass(frozen=True, slots=True)
class Measured:
    """What one size costs: times in microseconds where the name ends so, else in milliseconds; memory in MiB for 100,000 rules."""

    rules: int
    hot_us: float
    cold_p50_us: float
    cold_p99_us: float
    build_ms: float
    suspend_ms: float
    grant_ms: float
    memory: float
    casbin_us: float


def city(rules: int) -> Catalogue:
    """A resource of the shipped catalogue, as many times as give so many rules, with a service item that needs all of it."""
    shipped = load_catalogue(ROOT / "catalogue")
    pattern = next(one for one in shipped.resources.values() if one.connected)
    resources = [_resource(pattern, f"Resource{number}") for number in range(max(1, rules // RULES_OF_A_RESOURCE))]
    coordinates = [f"{one.name}.{item}" for one in resources for item in one.items]
    uses = tuple(ServiceItemUse(one, frozenset({SubjectClass.SUBJECT}), pattern.place) for one in coordinates)
    materials = (Material("材料", "第八条", Purpose.ADMINISTRATIVE_BASIS, uses, pattern.place),)
    service = replace(next(iter(shipped.services.values())), code=SERVICE, materials=materials)
    return replace(
        shipped,
        resources={one.name: one for one in resources},
        services={SERVICE: service},
        scenarios={},
    )


def _resource(pattern: Resource, name: str) -> Resource:
    one: Item = replace(
        next(iter(pattern.items.values())),
        share=Share(ShareClass.UNCONDITIONAL, "第十二条"),
        purposes=frozenset({Purpose.ADMINISTRATIVE_BASIS, Purpose.WORK_REFERENCE}),
        masks={},
    )
    items = {f"item{number}": replace(one, name=f"item{number}") for number in range(ITEMS)}
    modes = frozenset({ShareMode.ONLINE_QUERY, ShareMode.SYSTEM_INTEGRATION})
    return replace(
        pattern, name=name, key="item0", items=items, relations=(), rows=frozenset(), search=None, audience=(), modes=modes
    )  # fmt: skip


def best(work: Callable[[], object], rounds: int) -> float:
    """Milliseconds of the quickest round."""
    spent = []
    for _ in range(rounds):
        gc.collect()
        begun = time.perf_counter()
        work()
        spent.append(time.perf_counter() - begun)
    return min(spent) * 1000


def cold(snapshot: Snapshot, coordinates: list[str]) -> list[float]:
    """Microseconds of decisions that are made for the first time: of three rounds for each the quickest."""
    rounds = []
    for _ in range(3):
        fresh = snapshot.with_changes({}, 0)
        caller = fresh.caller("housing", "clerk", "query", Purpose.ADMINISTRATIVE_BASIS, service_basis(SERVICE))
        spent = []
        for coordinate in coordinates:
            use = Use(coordinate, Act.READ, SubjectClass.SUBJECT)
            begun = time.perf_counter()
            caller.decide(use, NOW)
            spent.append((time.perf_counter() - begun) * 1e6)
        rounds.append(spent)
    return sorted(map(min, zip(*rounds, strict=True)))


def hot(snapshot: Snapshot, coordinate: str) -> float:
    """Microseconds of a decision that was made before."""
    caller = snapshot.caller("housing", "clerk", "query", Purpose.ADMINISTRATIVE_BASIS, service_basis(SERVICE))
    use = Use(coordinate, Act.READ, SubjectClass.SUBJECT)
    decide = caller.decide
    times = range(100_000)

    def many() -> None:
        for _ in times:
            decide(use, NOW)

    many()
    return best(many, 7) * 1000 / len(times)


def plain_casbin(rules: Rules, coordinate: str, catalogue: Catalogue) -> float:
    """Microseconds of one decision by an ordinary enforcer that holds every row."""
    enforcer = casbin.Enforcer(str(ROOT / "policies" / "share.conf"))
    for role, parent in ROLE_LINKS:
        enforcer.add_grouping_policy(role, parent)
    enforcer.model["p"]["p"].policy = list(rules.share)
    resource = catalogue.resources[coordinate.partition(".")[0]]
    about = (resource.name, coordinate, "class/UNCONDITIONAL", f"provider/{resource.department}")
    asked = ("SUBJECT", "read", "query", "ADMINISTRATIVE_BASIS", service_basis(SERVICE), utc_text(NOW))
    return (
        best(lambda: enforcer.enforce("housing", "clerk", *about, *asked), 3 if len(rules.share) < 50_000 else 1) * 1000
    )


def grant_of(catalogue: Catalogue, coordinate: str) -> Grant:
    resource = catalogue.resources[coordinate.partition(".")[0]]
    return Grant(
        id="G1",
        department="housing",
        provider=resource.department,
        items=tuple(GrantItem(f"{resource.name}.{item}", "第九条", True) for item in resource.items),
        purposes=frozenset({Purpose.ADMINISTRATIVE_BASIS}),
        modes=resource.modes,
        scope="",
        rows=frozenset(),
        not_before=FIRST_TIME,
        expires=LAST_TIME,
        agreement="协议",
        agreement_state=AgreementState.VALID,
        state=GrantState.GRANTED,
        decided_by=Decider.PROVIDER,
        document="函1号",
    )


def resident() -> int:
    """Bytes of memory that this process holds."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


def measure(size: int) -> Measured:
    catalogue = city(size)
    gc.collect()
    before = resident()
    rules = rules_from(catalogue)
    snapshot = Snapshot(catalogue, rules)
    gc.collect()
    held = (resident() - before) / 2**20
    coordinates = [f"{one.name}.{item}" for one in catalogue.resources.values() for item in one.items]
    chosen = coordinates[:: max(1, len(coordinates) // COLD)]
    spent = cold(snapshot, chosen)
    middle = coordinates[len(coordinates) // 2]
    suspension = Suspension(
        "S1", catalogue.resources[middle.partition(".")[0]].department, "housing", "", "", "暂停", "", 0
    )
    stop = {"SUSPENSION/S1": rules_of_suspension(catalogue, suspension)}
    grant = {"GRANT/G1": rules_of_grant(catalogue, grant_of(catalogue, middle))}
    rounds = 5 if size <= 100_000 else 2
    return Measured(
        rules=len(rules.share),
        hot_us=hot(snapshot, middle),
        cold_p50_us=statistics.median(spent),
        cold_p99_us=spent[len(spent) * 99 // 100],
        build_ms=best(lambda: Snapshot(catalogue, rules), rounds),
        suspend_ms=best(lambda: snapshot.with_changes(stop, 1), rounds * 2),
        grant_ms=best(lambda: snapshot.with_changes(grant, 1), rounds * 2),
        memory=held / len(rules.share) * 100_000,
        casbin_us=plain_casbin(rules, middle, catalogue),
    )


async def share_of_deciding(folder: Path) -> tuple[float, float]:
    """Percent of an operation's time that deciding takes, for 25 items of five departments: where the same was asked before, and
    right after a change of policy, which forgets all decisions. Of 200 operations each the median."""
    settings, catalogue, scene = prepare(folder, 1_000)
    numbers = applicants(scene)[:100]
    cases = await open_cases(settings, catalogue, numbers)
    rooms = compose(settings, catalogue)
    await rooms.open()
    one = IDENTITIES[0]
    identity = Identity(one.subject, one.department, Role(one.role), "421200", "benchmark", time.time() + 600)
    shares: dict[bool, list[float]] = {False: [], True: []}
    for number in range(400):
        changed = number % 2 == 1
        if changed:
            await rooms.control.lift("S999999", 1)  # a change that changes nothing but the version
            await rooms.policy.refresh()
        which = number % len(numbers)
        use = {"purpose": "ADMINISTRATIVE_BASIS", "basis": {"case": cases[which]}}
        asked = Request(QUERY, {"idNumber": numbers[which], "use": use}, None)
        answer = await rooms.line.answer(asked, identity)
        if answer.status != 200 or b'"householdRegistration":{' not in answer.body:
            raise RuntimeError("the operation was not answered")
        shares[changed].append(100 * answer.timings["decide"] / sum(answer.timings.values()))
    await rooms.close()
    return statistics.median(shares[False][20:]), statistics.median(shares[True][20:])


def rows_of(measured: list[Measured]) -> Iterator[list[str]]:
    for one in measured:
        yield [
            f"{one.rules:,}", f"{one.hot_us:.2f}", f"{one.cold_p50_us:.0f}", f"{one.cold_p99_us:.0f}",
            f"{one.casbin_us:,.0f}", f"{one.build_ms:,.0f}", f"{one.suspend_ms:.2f}", f"{one.grant_ms:.2f}",
            f"{one.memory:.0f}",
        ]  # fmt: skip


COLUMNS = (
    "rules", "hot µs", "cold p50 µs", "cold p99 µs", "plain pycasbin µs", "build ms", "suspension ms", "grant ms",
    "MiB per 100,000",
)  # fmt: skip


def machine() -> str:
    names = ("pycasbin", "simpleeval")
    made_of = ", ".join(f"{name} {version(name)}" for name in names)
    return f"{platform.machine()}, Python {platform.python_version()}, {made_of}, {datetime.now(UTC):%Y-%m-%d}"


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--large", action="store_true", help="a million rules too")
    given = arguments.parse_args()
    logging.getLogger("casbin").setLevel(logging.ERROR)
    measured = [measure(size) for size in (*SIZES, *([LARGE] if given.large else []))]
    table = Table(title=machine())
    for column in COLUMNS:
        table.add_column(column, justify="right")
    for row in rows_of(measured):
        table.add_row(*row)
    with tempfile.TemporaryDirectory() as name:
        again, anew = asyncio.run(share_of_deciding(Path(name)))
    share = (
        f"Deciding in an operation of 25 items: {again:.1f} % of its time, {anew:.1f} % right after a change of policy."
    )
    console = Console(width=140)
    console.print(table)
    console.print(share)
    lines = ["| " + " | ".join(row) + " |" for row in (list(COLUMNS), ["--:"] * len(COLUMNS), *rows_of(measured))]
    PAGE.write_text("\n".join(["# Decisions", "", machine() + ".", "", *lines, "", share]) + "\n", "utf8")


if __name__ == "__main__":
    main()
