"""The search index: one entry for each data subject that an operation touched in a case, behind the ledger, rebuilt from it at will.

An entry says which frame to open; the lines are read from the frames themselves. The index is no proof and holds nothing that they do
not hold. Each question says how far the index has come.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

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
    sa.Column("subject", sa.String(200), nullable=False, index=True),
    sa.Column("department", sa.String(100), nullable=False),
    sa.Column("case", sa.String(100), nullable=False, index=True),
    sa.Column("entity", sa.String(60), nullable=False, index=True),
    sa.Column("resources", sa.String, nullable=False),
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
    scenario: str
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
        """Begin to follow the ledger; an index of another make or of another ledger is built anew."""
        if not self._fits():
            metadata.drop_all(self._engine)
        metadata.create_all(self._engine)
        self._following = asyncio.get_running_loop().create_task(self._follow())

    async def close(self) -> None:
        if self._following:
            self._following.cancel()
            await asyncio.wait({self._following})
        self._engine.dispose()

    def _fits(self) -> bool:
        present = sa.inspect(self._engine)
        for table in metadata.sorted_tables:
            if not present.has_table(table.name):
                return False
            if {c["name"] for c in present.get_columns(table.name)} != set(table.columns.keys()):
                return False
        return self._indexed() <= self._ledger.head()

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
        for name in ("entity", "subject", "department", "case"):
            if value := getattr(question, name):
                wanted = wanted.where(columns[name] == value)
        if question.resource:
            wanted = wanted.where(columns.resources.contains(f",{question.resource},", autoescape=True))
        if question.before:
            wanted = wanted.where(columns.id < question.before)
        with self._engine.connect() as connection:
            rows = connection.execute(wanted).all()
        frames = {f.seq: decode(f.frame) for f in self._ledger.frames({row.seq for row in rows[:limit]})}
        names = self._ledger.coordinates()
        lines = tuple(
            line
            for row in rows[:limit]
            for line in _lines(row.id, frames[row.seq], row.case, row.entity, names)
            if question.resource in ("", line.resource)
        )
        return Answer(lines, indexed, recorded, int(rows[limit - 1].id) if len(rows) > limit else 0)


_ACTS = {"attempted": "ATTEMPTED", "dry-run": "DRY_RUN"}
"""What an act without items is read as, by its frame's outcome."""


def _position(connection: sa.Connection) -> int:
    return connection.execute(sa.select(position_table.c.seq)).scalar() or 0


def _entries(stored: StoredFrame) -> Iterator[dict[str, Any]]:
    frame = decode(stored.frame)
    shared = {"seq": stored.seq, "subject": frame["subject"], "department": frame["department"]}
    touched: dict[tuple[str, str], dict[str, None]] = {}
    for node in frame["nodes"]:
        entities = (*(one for group in node["groups"].values() for one in group), *node["others"])
        for entity in entities or ("",):
            touched.setdefault((node["case"], entity), {})[node["resource"]] = None
    if not touched:
        yield shared | {"case": "", "entity": "", "resources": ""}
    for (case, entity), resources in touched.items():
        yield shared | {"case": case, "entity": entity, "resources": f",{','.join(resources)},"}


def _lines(entry: int, frame: Mapping[str, Any], case: str, entity: str, names: Mapping[int, str]) -> Iterator[Line]:
    """The lines of one entry: what its frame says of this data subject in this case."""
    who = {name: frame[name] for name in ("at", "operation", "subject", "department", "role", "policy")}
    nobody = any("" in group for node in frame["nodes"] for group in node["groups"].values())
    told = _told(frame, case, entity, names) if case or entity or nobody else [_whole(frame)]
    for number, one in enumerate(told):
        yield Line(id=f"{entry}.{number}", case=case, entity=entity, **who, **one)


def _whole(frame: Mapping[str, Any]) -> dict[str, Any]:
    """An operation that touched nobody's data."""
    about = {"purpose": "", "scenario": "", "subject_class": "", "item": "", "rule": ""}
    return about | {"resource": ",".join(frame["fields"]), "outcome": str(frame["outcome"]).upper()}


def _told(frame: Mapping[str, Any], case: str, entity: str, names: Mapping[int, str]) -> Iterator[dict[str, Any]]:
    for node in frame["nodes"]:
        if node["case"] != case:
            continue
        about = {"purpose": node["purpose"], "subject_class": node["subject"], "resource": node["resource"]}
        about["scenario"] = node.get("scenario", "")  # frames of the first version have none
        items = [names[number].partition(".")[2] for number in node["items"]] or [""]
        for outcomes, entities in node["groups"].items():
            for _ in range(entities.count(entity)):
                for item, rule, letter in zip(items, node["rules"], outcomes, strict=True):
                    yield about | {"item": item, "outcome": OUTCOMES[letter], "rule": rule}
        if entity in node["others"] or not (entity or node["groups"] or node["others"]):
            act = "" if node["groups"] else node["path"]
            outcome = _ACTS.get(frame["outcome"], "NAMED")
            yield about | {"item": act, "outcome": outcome, "rule": ""}


def _prepare_sqlite(connection: sqlite3.Connection, _: object) -> None:
    connection.executescript("PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA busy_timeout=2000;")
