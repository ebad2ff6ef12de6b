"""The ledger's stores: field disclosures a second, in batches, bytes for each of them, live with the index, and what the ledger costs an answer.

    python -m benchmarks.ledger [--postgres URL] [--answers]

A frame is that of the demo's first question, 25 items of five departments, asked for one person, for ten or for a hundred at once.
`batches` are frames made before, handed to the store 2,500 at a time; `operations` the same through the ledger, so many operations at once that
batches are full; `made` are hashed and encoded too, as an operation does it. Bytes are all of the store's and of the index's tables on the disk,
tree and dictionaries included. `--answers` compares the service with itself without a ledger, in turn a second each. The tables also go to
benchmarks/ledger.md.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import os
import platform
import sqlite3
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

import sqlalchemy as sa
from rich.console import Console
from rich.table import Table

from audit.checkpoint import read_signer
from audit.frame import Frame, NodeFrame, SubjectHash, new_operation_id
from audit.index import Index
from audit.integrator import Integrator
from audit.ledger import Ledger
from audit.merkle import TreeHash
from audit.store import NewFrame
from audit.stores import store_at
from benchmarks import lookup
from benchmarks.load import post
from demo.scene import IDENTITIES
from schema.load import load_catalogue

ROOT = Path(__file__).parent.parent
HASHES = SubjectHash(bytes(range(32)))
RESOURCES = {
    "HouseholdRegistration": ("name", "idNumber", "sex", "ethnicGroup", "town", "policeStation", "status"),
    "MarriageRegistration": ("marriedOn", "divorcedOn", "maritalStatus"),
    "SocialInsurance": (
        "employmentStatus", "insuranceStatus", "insuranceType", "enrolledOn", "employerName", "authority",
    ),
    "HousingFund": ("accountStatus", "employerName", "registeredOn"),
    "ElectronicCertificate": (
        "certificateName", "certificateNumber", "issuedBy", "issuedOn", "validUntil", "status",
    ),
}  # fmt: skip
ITEMS = sum(map(len, RESOURCES.values()))
DISCLOSURES = 400_000
"""How many are written in each measurement; for the bytes, in all."""
AT_ONCE, BATCH = 4_000, 2_500
STORE = ("frames", "leaves", "nodes", "checkpoints", "dictionaries", "items", "head", "leases")
INDEX = ("entries", "profiles", "shapes", "looks", "seen", "activity", "tallies", "position")


@dataclass(frozen=True)
class Numbers:
    """What was measured of one store and one size of operations."""

    store: str
    people: int
    batches: float
    stored: float
    made: float
    together: float
    frame_bytes: float
    store_bytes: float
    index_bytes: float


def frame_of(people: Sequence[str], at: int) -> Frame:
    """The frame of an operation about these people."""
    hashed = [HASHES.of("Person", one) for one in people]
    nodes = []
    number = 0
    for resource, items in RESOURCES.items():
        numbers = tuple(range(number + 1, number + 1 + len(items)))
        number += len(items)
        rules = tuple(f"SHARE/{resource}.{item}/ADMINISTRATIVE_BASIS" for item in items)
        path = f"person.{resource[0].lower()}{resource[1:]}"
        # one in ten has a record that lacks something
        groups = {"R" * len(items): hashed[: -(-9 * len(hashed) // 10)]}
        if lacking := hashed[-(-9 * len(hashed) // 10) :]:
            groups["A" + "R" * (len(items) - 1)] = lacking
        nodes.append(
            NodeFrame(
                path, resource, "SUBJECT", "ADMINISTRATIVE_BASIS", f"GZF-2026-{at % 100_000:05}", "421200-ZJ-FW-0001",
                numbers, rules, groups, [],
            )
        )  # fmt: skip
    return Frame(
        operation=new_operation_id(), at=at, subject=f"clerk-{at % 50:02}", department="housing", role="clerk", region="421200",
        client="window", channel="query", document="05a53e25a0216e943a4657897fe8fa78", name="Applicant",
        policy="dbf4a7996723d712", catalogue="b82b661066b1a752", outcome="answered", fields=(), nodes=tuple(nodes),
    )  # fmt: skip


def new_frames(people: int, disclosures: int) -> list[NewFrame]:
    """Encoded frames of so many disclosures in all."""
    at = int(time.time() * 1_000_000)
    made = []
    for number in range(disclosures // (people * ITEMS)):
        who = [f"4212021990{(number * people + one) % 10_000_000:08}" for one in range(people)]
        frame = frame_of(who, at + number)
        made.append(NewFrame(frame.at, frame.operation, frame.encode()))
    return made


@contextmanager
def places(kind: str, folder: Path, server: str) -> Iterator[sa.URL]:
    """An empty place for a store of this kind."""
    if kind == "SQLite":
        yield sa.make_url(f"sqlite:///{folder / 'ledger.db'}")
        return
    schema = f"bench_{uuid.uuid4().hex}"
    engine = sa.create_engine(server, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(sa.schema.CreateSchema(schema))
        try:
            yield sa.make_url(server).update_query_dict({"options": f"-csearch_path={schema}"})
        finally:
            connection.execute(sa.schema.DropSchema(schema, cascade=True))
    engine.dispose()


def write(url: sa.URL, frames: Sequence[NewFrame]) -> float:
    """Seconds to append the frames, so many operations at once that batches are full."""

    async def work() -> float:
        ledger = Ledger(store_at(url, 60), 60)
        ledger.open()
        begun = time.perf_counter()
        waiting = iter(frames)

        async def client() -> None:
            for one in waiting:
                await ledger.append(one.at, one.operation, one.frame)

        await asyncio.gather(*(client() for _ in range(AT_ONCE)))
        took = time.perf_counter() - begun
        await ledger.close()
        return took

    return asyncio.run(work())


def write_batches(url: sa.URL, frames: Sequence[NewFrame]) -> float:
    """Seconds to hand the frames to the store in batches."""
    store = store_at(url, 60)
    store.open()
    begun = time.perf_counter()
    for start in range(0, len(frames), BATCH):
        store.append(frames[start : start + BATCH])
    took = time.perf_counter() - begun
    store.close()
    return took


def seal(url: sa.URL, folder: Path) -> None:
    """Make the tree and a checkpoint, as the integrator does behind the appends."""
    (folder / "log.key").write_bytes(bytes(32))
    store = store_at(url, 60)
    store.open()
    integrator = Integrator(
        store, TreeHash(), "bench/ledger", read_signer(folder / "log.key", "bench/ledger"), None, 60
    )
    integrator.advance(at_once=True)
    store.close()


def _make_and_write(url: str, people: int, begin: multiprocessing.synchronize.Barrier, took: multiprocessing.Queue[float]) -> None:  # fmt: skip
    store = store_at(url, 60)
    store.open()
    begin.wait()
    started = time.perf_counter()
    for _ in range(4):
        store.append(new_frames(people, DISCLOSURES // 8))
    took.put(time.perf_counter() - started)


def together(url: sa.URL, people: int) -> float:
    """Disclosures a second of two processes that make frames and append them."""
    fork = multiprocessing.get_context("fork")
    begin, took = fork.Barrier(2), fork.Queue()
    text = url.render_as_string(hide_password=False)
    workers = [fork.Process(target=_make_and_write, args=(text, people, begin, took)) for _ in range(2)]
    for one in workers:
        one.start()
    longest = float(max(took.get() for _ in workers))
    for one in workers:
        one.join()
    per_frame = people * ITEMS
    return 2 * 4 * (DISCLOSURES // 8 // per_frame) * per_frame / longest


def size(url: sa.URL, *tables: str) -> int:
    """Bytes on the disk: of a file, or of these tables with their partitions and indexes."""
    if url.get_backend_name() == "sqlite":
        file = sqlite3.connect(str(url.database))
        file.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        file.close()
        return os.path.getsize(str(url.database))
    engine = sa.create_engine(url)
    parts = "SELECT relid FROM pg_partition_tree(:name) UNION SELECT CAST(:name AS regclass)"
    wanted = sa.text(f"SELECT sum(pg_total_relation_size(relid)) FROM ({parts}) AS parts")  # noqa: S608 - no value in it
    with engine.connect() as connection:
        total = sum(int(connection.execute(wanted, {"name": name}).scalar_one()) for name in tables)
    engine.dispose()
    return total


def index_all(url: sa.URL, index_url: sa.URL) -> None:
    """Bring an index up to the end of the ledger."""
    ledger = Ledger(store_at(url, 60), 60)
    ledger.open()
    ledger.item_numbers(f"{resource}.{item}" for resource, items in RESOURCES.items() for item in items)
    index = Index(index_url, ledger)
    index.prepare()
    while index.advance():
        pass
    asyncio.run(index.close())
    asyncio.run(ledger.close())


def measure(kind: str, people: int, server: str) -> Numbers:
    """One row of the table."""
    frames = new_frames(people, DISCLOSURES)
    count = len(frames) * people * ITEMS
    with tempfile.TemporaryDirectory() as folder, places(kind, Path(folder), server) as url:
        third = len(frames) // 3
        batches = count / 3 / min(write_batches(url, frames[:third]), write_batches(url, frames[third : 2 * third]))
        took = write(url, frames[2 * third :]) * 3
        seal(url, Path(folder))
        index_url = sa.make_url(f"sqlite:///{folder}/index.db") if kind == "SQLite" else url
        index_all(url, index_url)
        store_bytes, index_bytes = size(url, *STORE), size(index_url, *INDEX)
    with tempfile.TemporaryDirectory() as folder, places(kind, Path(folder), server) as url:
        begun = time.perf_counter()
        fresh = new_frames(people, DISCLOSURES // 2)
        making = time.perf_counter() - begun
        made = len(fresh) * people * ITEMS / (making + write(url, fresh))
        both = together(url, people)
    frame_bytes = sum(len(one.frame) for one in frames)
    return Numbers(
        kind, people, batches, count / took, made, both, frame_bytes / count, store_bytes / count, index_bytes / count
    )


def table_of(rows: Sequence[Numbers]) -> list[list[str]]:
    head = [
        "store", "people an operation", "batches /s", "operations /s", "made and stored /s", "by two processes /s", "frame B", "store B", "index B", "all B",
    ]  # fmt: skip
    return [
        head,
        *(
            [
                one.store, str(one.people), f"{one.batches:,.0f}", f"{one.stored:,.0f}", f"{one.made:,.0f}", f"{one.together:,.0f}",
                f"{one.frame_bytes:.1f}", f"{one.store_bytes:.1f}", f"{one.index_bytes:.1f}",
                f"{one.store_bytes + one.index_bytes:.1f}",
            ]
            for one in rows
        ),
    ]  # fmt: skip


def answers(rounds_each: int) -> list[list[str]]:
    """How many answers a second the service gives with and without a ledger, at one client and at 32, and their ratio."""
    with tempfile.TemporaryDirectory() as name:
        settings, catalogue, scene = lookup.prepare(Path(name), 2_000)
        numbers = lookup.applicants(scene)
        bodies = lookup.questions(numbers, asyncio.run(lookup.open_cases(settings, catalogue, numbers)))
        token = scene.token(IDENTITIES[0], settings.identity.issuer, settings.identity.audience)
        contenders = [
            lookup.Contender(title, port, [post(port, token, body) for body in bodies])
            for title, port in (("on", lookup.free_port()), ("off", lookup.free_port()))
        ]
        command = [sys.executable, "-m", "benchmarks.without_ledger", "serve"]
        with ExitStack() as running:
            for one, program in zip(
                contenders, ([sys.executable, "-c", "import app; app.main()", "serve"], command), strict=True
            ):
                variables = {"ONESOURCE_FILE": f"{name}/onesource.toml", "ONESOURCE_SERVER__PORT": str(one.port)}
                rates = ("SUBJECT", "SUBJECT_BURST", "CLIENT", "CLIENT_BURST")  # one person asks it all
                variables |= {f"ONESOURCE_RATES__{rate}": "1000000" for rate in rates}
                running.enter_context(lookup.server(program, one.port, variables))
            lookup.rounds(contenders, 8, 2)
            measured = {clients: lookup.rounds(contenders, clients, rounds_each) for clients in (1, 32)}
    rows = [["clients", "with ledger /s", "without /s", "ratio", "from", "to", "p50 with ms", "p50 without ms"]]
    for clients, by_title in measured.items():
        ratios = sorted(a.rate / b.rate for a, b in zip(by_title["on"], by_title["off"], strict=True))
        on, off = by_title["on"], by_title["off"]
        figures = [median(one.rate for one in on), median(one.rate for one in off)]
        shares = [median(ratios), ratios[0], ratios[-1]]
        waits = [median(one.p50 for one in on), median(one.p50 for one in off)]
        rows.append([str(clients), *(f"{one:.0f}" for one in figures), *(f"{one:.2f}" for one in shares + waits)])
    return rows


def show(title: str, rows: Sequence[Sequence[str]]) -> list[str]:
    """Print a table; the same as Markdown."""
    table = Table(*rows[0], title=title)
    for row in rows[1:]:
        table.add_row(*row)
    Console(width=150).print(table)
    return [f"{title}.", "", *(f"| {' | '.join(row)} |" for row in (rows[0], ["--:"] * len(rows[0]), *rows[1:])), ""]


def main() -> None:
    """Measure, print, keep."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--postgres", default=os.environ.get("ONESOURCE_TEST_POSTGRES", ""))
    parser.add_argument("--answers", action="store_true", help="also compare answers with and without a ledger")
    given = parser.parse_args()
    names = {f"{r.name}.{item}" for r in load_catalogue(ROOT / "catalogue", []).resources.values() for item in r.items}
    assert {f"{resource}.{item}" for resource, items in RESOURCES.items() for item in items} <= names
    kinds = ["SQLite", *(["PostgreSQL"] if given.postgres else [])]
    lines = ["# The ledger's stores", "", f"{platform.machine()}, Python {platform.python_version()}, {os.cpu_count()} cores, {datetime.now(UTC):%Y-%m-%d}; load average before {os.getloadavg()[0]:.1f}.", ""]  # fmt: skip
    rows = [measure(kind, people, given.postgres) for kind in kinds for people in (1, 10, 100)]
    lines += show("Field disclosures a second, and bytes of each", table_of(rows))
    if given.answers:
        lines += show(
            "Answers of 25 fields a second with the ledger and without it, each server on one core", answers(5)
        )
    (Path(__file__).parent / "ledger.md").write_text("\n".join(lines), "utf8")


if __name__ == "__main__":
    main()
