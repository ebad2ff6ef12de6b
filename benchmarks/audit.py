"""Auditors' questions over many records: how long each takes, how fast the index follows, how large it is.

    python -m benchmarks.audit [--records 1000000 | --large] [--postgres URL]

A generator writes the records (a data subject with about ten fields each) into a ledger in SQLite; the index is in SQLite, or in a database
of its own on the server of `--postgres`, which is dropped afterwards. Each question is asked with several values, and the slowest counts.
The table also goes to benchmarks/audit.md.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import platform
import random
import sqlite3
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import sqlalchemy as sa
from rich.console import Console
from rich.table import Table

from audit.entries import entries_table, profiles_table
from audit.frame import Frame, NodeFrame, SubjectHash
from audit.index import Index
from audit.ledger import Ledger
from audit.questions import Question
from audit.statistics import patterns_of, uses_of
from audit.store import NewFrame
from audit.stores import store_at

RECORDS, LARGE = 1_000_000, 10_000_000
USERS, DEPARTMENTS, DOCUMENTS, MONTHS = 2_000, 40, 24, 24
BEGIN = int(datetime(2024, 11, 1, tzinfo=UTC).timestamp())
DAYS = 730
PURPOSES = ("ADMINISTRATIVE_BASIS", "WORK_REFERENCE", "DATA_VERIFICATION", "BUSINESS_COOPERATION")
ITEMS = [f"Resource{resource:02}.item{item}" for resource in range(60) for item in range(10)]
PAGE = Path(__file__).parent / "audit.md"
_BATCH = 2_000


class City:
    """Users, documents and people of a made-up city, the same for the same seed."""

    def __init__(self, people: int) -> None:
        self.random = random.Random(1)  # noqa: S311
        hashes = SubjectHash(bytes(32))
        self.person = [hashes.of("Person", str(number)) for number in range(people)]
        self.weights = [1 / (1 + user % 50) for user in range(USERS)]
        self.documents = [self.random.sample(range(60), 2) for _ in range(DOCUMENTS)]

    def department(self, user: int) -> str:
        return f"department-{user % DEPARTMENTS:02}"

    def frame(self, number: int, user: int, at: int) -> Frame:
        chance = self.random
        person, purpose = self.person[chance.randrange(len(self.person))], PURPOSES[user % len(PURPOSES)]
        document = self.documents[(user * 3 + chance.randrange(3)) % DOCUMENTS]
        by_scenario = user % 10 == 0
        nodes = tuple(
            NodeFrame(
                path="person", resource=f"Resource{resource:02}", subject="SUBJECT", purpose=purpose,
                case="" if by_scenario else f"N-{number // 2}", service="S-1",
                scenario=f"SCENARIO-{user % 30}" if by_scenario else "",
                items=tuple(range(resource * 10 + 1, resource * 10 + 6)),
                rules=tuple(self._rule(resource, item, user, purpose) for item in range(5)),
                groups={self._outcomes(): [person]}, others=[],
            )
            for resource in document
        )  # fmt: skip
        return Frame(
            operation=f"{number:032x}", at=at, subject=f"user-{user:04}", department=self.department(user),
            role="clerk", region="421200", client=f"client-{user % 20}", channel="query", document="d" * 32,
            name="Applicant", policy="2a22f4e5c0c59808.4", catalogue="e4b0a0de0ba3b6dc", outcome="answered", fields=(),
            nodes=nodes,
        )  # fmt: skip

    def _rule(self, resource: int, item: int, user: int, purpose: str) -> str:
        coordinate = f"Resource{resource:02}.item{item}"
        if item == 4 and user % 5 == 0:
            return f"GRANT/G{user % 200}/{coordinate}/{purpose}"
        return f"SHARE/{coordinate}/{purpose}"

    def _outcomes(self) -> str:
        return self.random.choices(("RRRRR", "RRARR", "RRRMD", "RRAAR", "RRRRU", "DDDDD"), (70, 10, 8, 6, 3, 3))[0]

    def moment(self, number: int, records: int) -> int:
        """Microseconds; nine in ten within working hours in China."""
        day = number * DAYS // records
        hour = self.random.randrange(24) if self.random.random() < 0.05 else self.random.randrange(8, 18)
        seconds = BEGIN + day * 86_400 + (hour - 8) * 3600 + self.random.randrange(3600)
        return seconds * 1_000_000 + number % 1_000_000


def fill(ledger: Ledger, records: int) -> City:
    """Write so many records into the ledger."""
    numbers = ledger.item_numbers(ITEMS)
    if list(numbers.values()) != list(range(1, len(ITEMS) + 1)):
        raise RuntimeError("the ledger is not empty")
    city = City(max(1_000, records // 8))
    for begin in range(0, records, _BATCH):
        users = city.random.choices(range(USERS), city.weights, k=min(_BATCH, records - begin))
        batch = []
        for offset, user in enumerate(users):
            frame = city.frame(begin + offset, user, city.moment(begin + offset, records))
            batch.append(NewFrame(frame.at, frame.operation, frame.encode()))
        ledger.store.append(batch)
    return city


def questions(city: City, records: int) -> Iterator[tuple[str, list[Question]]]:
    """Every kind of question with several values each."""
    middle = (BEGIN + DAYS * 43_200) * 1_000_000
    month = 30 * 86_400_000_000
    yield "everything", [Question(), Question(until=middle)]
    yield "who saw this person's data", [Question(entity=city.person[n]) for n in range(5)]
    yield "whose data did this user see", [Question(subject=f"user-{n:04}") for n in (0, 49, 1_999)]
    yield "department", [Question(department=f"department-{n:02}") for n in (0, 39)]
    yield (
        "item",
        [Question(resource=f"Resource{n:02}", item="item3") for n in (city.documents[0][0], city.documents[5][1])],
    )
    yield "case", [Question(case=f"N-{n}") for n in (1, records // 4)]
    yield "purpose", [Question(purpose=one) for one in PURPOSES]
    yield "scenario", [Question(scenario=f"SCENARIO-{n}") for n in (0, 10, 20)]
    yield "grant", [Question(grant=f"G{n}") for n in (5, 195)]
    rule = f"SHARE/Resource{city.documents[3][0]:02}.item2/{PURPOSES[1]}"
    yield "rule", [Question(rule=rule), Question(rule="SHARE/None.none/NONE")]
    yield "client", [Question(client=f"client-{n}") for n in (0, 19)]
    yield "outcome", [Question(outcome=one) for one in ("RETURNED", "DENIED", "MASKED", "FAILED")]
    yield "used in filters only", [Question(used_only=True), Question(used_only=True, department="department-07")]
    yield "outside working hours", [Question(outside_hours=True), Question(outside_hours=True, subject="user-0049")]
    yield "month", [Question(since=middle, until=middle + month)]
    yield (
        "department, month, denied",
        [Question(department="department-03", since=middle, until=middle + month, outcome="DENIED")],
    )
    yield "nothing fits", [Question(department="department-01", subject="user-0000", since=middle)]


async def ask_all(index: Index, city: City, records: int) -> list[tuple[str, float]]:
    """The slowest answer to each kind of question in milliseconds: the first page of 50, and the one after it."""
    measured = []
    for name, kinds in questions(city, records):
        slowest = 0.0
        for question in kinds:
            begun = time.perf_counter()
            answer = await index.ask(question, 50)
            slowest = max(slowest, time.perf_counter() - begun)
            if answer.end:
                begun = time.perf_counter()
                await index.ask(replace(question, before=answer.end), 50)
                slowest = max(slowest, time.perf_counter() - begun)
        measured.append((name, slowest * 1000))
    for month in (202511, 202604):
        begun = time.perf_counter()
        await index.read(lambda connection, ledger, month=month: patterns_of(connection, ledger, month, "", 50))  # type: ignore[misc]
        measured.append((f"patterns of {month}", (time.perf_counter() - begun) * 1000))
    begun = time.perf_counter()
    await index.read(lambda connection, _: uses_of(connection, 202511))
    measured.append(("statistics of a month", (time.perf_counter() - begun) * 1000))
    return measured


@contextmanager
def index_url(folder: Path, server: str) -> Iterator[sa.URL]:
    """Where the index is: a file, or a database of its own on a server."""
    if not server:
        yield sa.make_url(f"sqlite:///{folder / 'index.db'}")
        return
    engine = sa.create_engine(server, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.exec_driver_sql("DROP DATABASE IF EXISTS onesource_benchmark")
        connection.exec_driver_sql("CREATE DATABASE onesource_benchmark")
        try:
            yield sa.make_url(server).set(database="onesource_benchmark")
        finally:
            connection.exec_driver_sql("DROP DATABASE onesource_benchmark WITH (FORCE)")
    engine.dispose()


def size_of(url: sa.URL) -> int:
    """Bytes of the index on the disk."""
    if url.get_backend_name() == "sqlite":
        with sqlite3.connect(str(url.database)) as file:
            file.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return Path(str(url.database)).stat().st_size
    engine = sa.create_engine(url)
    with engine.connect() as connection:
        return int(connection.exec_driver_sql("SELECT pg_database_size(current_database())").scalar_one())


def measure(folder: Path, records: int, server: str) -> tuple[str, list[tuple[str, float]]]:
    """A sentence about the index, and milliseconds of each question."""
    ledger = Ledger(store_at(f"sqlite:///{folder / 'ledger.db'}", 60), 60)
    ledger.open()
    begun = time.perf_counter()
    city = fill(ledger, records)
    filled = time.perf_counter() - begun
    with index_url(folder, server) as url:
        index = Index(url, ledger)
        index.prepare()
        begun, worked = time.perf_counter(), time.process_time()
        while index.advance():
            pass
        took, worked = time.perf_counter() - begun, time.process_time() - worked
        measured = asyncio.run(ask_all(index, city, records))
        engine = sa.create_engine(url)
        with engine.connect() as connection:
            entries = connection.execute(sa.select(sa.func.count()).select_from(entries_table)).scalar_one()
            profiles = connection.execute(sa.select(sa.func.count()).select_from(profiles_table)).scalar_one()
        engine.dispose()
        size = size_of(url)
        asyncio.run(index.close())
    ledger.store.close()
    told = (
        f"{records:,} records ({records * 10:,} fields), written in {filled:,.0f} s; index in {url.get_backend_name()}: "
        f"{entries:,} entries, {profiles:,} profiles, {records / took:,.0f} records/s ({worked / records * 1e6:.0f} µs of processor time each, other programs used the cores too), {size / (records * 10):.1f} bytes a field."
    )
    return told, measured


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--records", type=int, default=RECORDS)
    arguments.add_argument("--large", action="store_true", help="ten million records")
    arguments.add_argument("--postgres", default="", help="a server's SQLAlchemy URL: the index is there")
    arguments.add_argument("--folder", help="where to work; default: a temporary folder")
    arguments.add_argument(
        "--append", action="store_true", help="add to benchmarks/audit.md instead of writing it anew"
    )
    given = arguments.parse_args()
    with tempfile.TemporaryDirectory(dir=given.folder) as name:
        told, measured = measure(Path(name), LARGE if given.large else given.records, given.postgres)
    table = Table(title=told)
    for column in ("question", "slowest ms"):
        table.add_column(column)
    for question, milliseconds in measured:
        table.add_row(question, f"{milliseconds:,.0f}")
    Console(width=140).print(table)
    head = f"{platform.machine()}, Python {platform.python_version()}, {datetime.now(UTC):%Y-%m-%d}; load average at the end {os.getloadavg()[0]:.1f}."
    lines = [head, "", told, "", "| question | slowest ms |", "| :-- | --: |"]
    lines += [f"| {question} | {milliseconds:,.0f} |" for question, milliseconds in measured]
    before = PAGE.read_text("utf8") if given.append and PAGE.exists() else "# Auditors' questions\n"
    PAGE.write_text(before + "\n" + "\n".join(lines) + "\n", "utf8")


if __name__ == "__main__":
    main()
