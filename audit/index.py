"""The search index: one row for each data subject that a node of an operation touched, behind the ledger, rebuilt from it at will.

It is no proof and holds nothing that the frames do not hold. Each question says how far the index has come.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import orjson
import sqlalchemy as sa

from audit.frame import OUTCOMES, decode
from audit.ledger import Ledger, StoredFrame

_LOG = logging.getLogger("onesource.ledger")
_BATCH = 500
_PAUSE = 0.5

metadata = sa.MetaData()
entries_table = sa.Table(
    "entries",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("seq", sa.Integer, nullable=False, index=True),
    sa.Column("at", sa.BigInteger, nullable=False),
    sa.Column("operation", sa.String(36), nullable=False),
    sa.Column("subject", sa.String(200), nullable=False, index=True),
    sa.Column("department", sa.String(100), nullable=False),
    sa.Column("role", sa.String(20), nullable=False),
    sa.Column("purpose", sa.String(40), nullable=False),
    sa.Column("case", sa.String(100), nullable=False, index=True),
    sa.Column("entity", sa.String(60), nullable=False, index=True),
    sa.Column("subject_class", sa.String(20), nullable=False),
    sa.Column("resource", sa.String(100), nullable=False),
    sa.Column("outcomes", sa.String, nullable=False),
    sa.Column("items", sa.LargeBinary, nullable=False),
    sa.Column("rules", sa.LargeBinary, nullable=False),
    sa.Column("policy", sa.String(40), nullable=False),
    sqlite_autoincrement=True,
)
position_table = sa.Table(
    "position", metadata, sa.Column("id", sa.Integer, primary_key=True), sa.Column("seq", sa.Integer, nullable=False)
)


@dataclass(frozen=True, slots=True)
class Line:
    """One resolved field, as auditors read it. `at` is in microseconds since 1970 UTC; `entity` a keyed hash, empty where there is none."""

    id: str
    at: int
    operation: str
    subject: str
    department: str
    role: str
    purpose: str
    case: str
    entity: str
    subject_class: str
    resource: str
    item: str
    outcome: str
    rule: str
    policy: str


@dataclass(frozen=True, slots=True)
class Question:
    """What to look for; every part that is not empty must hold. `before` is an entry's id: only older ones."""

    entity: str = ""
    subject: str = ""
    department: str = ""
    case: str = ""
    resource: str = ""
    before: int = 0


@dataclass(frozen=True, slots=True)
class Answer:
    """Entries newest first as lines; `indexed` and `recorded` say how far index and ledger are. `next_before` continues, 0 at the end."""

    lines: tuple[Line, ...]
    indexed: int
    recorded: int
    next_before: int


class Index:
    """The index of one ledger, in a database of its own."""

    def __init__(self, url: str, ledger: Ledger) -> None:
        self._engine = sa.create_engine(url)
        if self._engine.dialect.name == "sqlite":
            sa.event.listen(self._engine, "connect", _prepare_sqlite)
        self._ledger = ledger
        self._following: asyncio.Task[None] | None = None

    def open(self) -> None:
        """Create the tables and begin to follow the ledger."""
        metadata.create_all(self._engine)
        self._following = asyncio.get_running_loop().create_task(self._follow())

    async def close(self) -> None:
        if self._following:
            self._following.cancel()
            await asyncio.wait({self._following})
        self._engine.dispose()

    async def _follow(self) -> None:
        while True:
            try:
                caught_up = await asyncio.to_thread(self.advance) < _BATCH
            except (sa.exc.SQLAlchemyError, ValueError, KeyError) as error:
                _LOG.error("index stands still: %s", type(error).__name__)
                caught_up = True
            await asyncio.sleep(_PAUSE if caught_up else 0)

    def advance(self) -> int:
        """Index the next frames, at most a batch; returns how many there were."""
        with self._engine.begin() as connection:
            # writing the position first takes the lock, so that two processes never index the same frames
            if connection.execute(sa.update(position_table).values(seq=position_table.c.seq)).rowcount == 0:
                connection.execute(sa.insert(position_table).values(id=1, seq=0))
            frames = self._ledger.read(_position(connection), _BATCH)
            entries = [entry for stored in frames for entry in _entries(stored)]
            if entries:
                connection.execute(sa.insert(entries_table), entries)
            if frames:
                connection.execute(sa.update(position_table).values(seq=frames[-1].seq))
        return len(frames)

    async def ask(self, question: Question, limit: int) -> Answer:
        """The newest entries that fit, at most `limit`, indexed as far as the ledger was when asked (waits at most two seconds)."""
        recorded = await asyncio.to_thread(self._ledger.head)
        for _ in range(40):
            indexed = await asyncio.to_thread(self._indexed)
            if indexed >= recorded:
                break
            await asyncio.sleep(0.05)
        return await asyncio.to_thread(self._select, question, limit, indexed, recorded)

    def _indexed(self) -> int:
        with self._engine.connect() as connection:
            return _position(connection)

    def _select(self, question: Question, limit: int, indexed: int, recorded: int) -> Answer:
        columns = entries_table.c
        wanted = sa.select(entries_table).order_by(columns.id.desc()).limit(limit + 1)
        for name in ("entity", "subject", "department", "case", "resource"):
            if value := getattr(question, name):
                wanted = wanted.where(columns[name] == value)
        if question.before:
            wanted = wanted.where(columns.id < question.before)
        names = self._ledger.coordinates()
        with self._engine.connect() as connection:
            rows = connection.execute(wanted).mappings().all()
        lines = tuple(line for row in rows[:limit] for line in _lines(row, names))
        more = int(rows[limit - 1]["id"]) if len(rows) > limit else 0
        return Answer(lines, indexed, recorded, more)


def _position(connection: sa.Connection) -> int:
    return connection.execute(sa.select(position_table.c.seq)).scalar() or 0


def _entries(stored: StoredFrame) -> Iterator[dict[str, Any]]:
    frame = decode(stored.frame)
    shared = {name: frame[name] for name in ("at", "operation", "subject", "department", "role", "policy")}
    shared["seq"] = stored.seq
    if not frame["nodes"]:
        yield shared | {
            "purpose": "",
            "case": "",
            "entity": "",
            "subject_class": "",
            "resource": ",".join(frame["fields"]),
            "outcomes": "",
            "items": b"[]",
            "rules": orjson.dumps([frame["outcome"]]),
        }
    for node in frame["nodes"]:
        about = shared | {
            "purpose": node["purpose"],
            "case": node["case"],
            "subject_class": node["subject"],
            "resource": node["resource"],
            "items": orjson.dumps(node["items"]),
            "rules": orjson.dumps(node["rules"]),
        }
        for outcomes, entities in node["groups"].items():
            for entity in entities:
                yield about | {"entity": entity, "outcomes": outcomes}
        for other in node["others"]:
            yield about | {"entity": other, "outcomes": "", "items": b"[]"}


def _lines(row: Mapping[str, Any] | sa.RowMapping, names: Mapping[int, str]) -> Iterator[Line]:
    items, rules = orjson.loads(row["items"]), orjson.loads(row["rules"])
    shared = {
        name: row[name]
        for name in ("at", "operation", "subject", "department", "role", "purpose", "case", "entity", "subject_class")
    }
    if not items:
        outcome = "NAMED" if row["entity"] else str(rules[0]).upper()
        yield Line(
            id=f"{row['id']}",
            resource=row["resource"],
            item="",
            outcome=outcome,
            rule="",
            policy=row["policy"],
            **shared,
        )
    for number, (item, rule, letter) in enumerate(zip(items, rules, row["outcomes"], strict=False)):
        yield Line(
            id=f"{row['id']}.{number}",
            resource=row["resource"],
            item=names[item].partition(".")[2],
            outcome=OUTCOMES[letter],
            rule=rule,
            policy=row["policy"],
            **shared,
        )


def _prepare_sqlite(connection: sqlite3.Connection, _: object) -> None:
    connection.executescript("PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA busy_timeout=2000;")
