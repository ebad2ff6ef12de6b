"""A ledger with months of frames, sealed under a witnessed checkpoint as they pass, in either kind of store."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from random import Random
from uuid import uuid4

import sqlalchemy as sa

from audit.archive import ArchivedStore
from audit.checkpoint import cosigned
from audit.frame import Frame
from audit.index import Index
from audit.integrator import Integrator
from audit.ledger import Ledger
from audit.merkle import TreeHash
from audit.sealed import Manifest
from audit.sealing import Due, Order, Sealing, due, finish, remove, seal
from audit.store import NewFrame
from audit.stores import store_at
from audit.verify import Report, verify
from audit.verify_offline import parse_checkpoint
from schema.formats import CHINA
from tests.audit.frames import HASH, frame, node
from tests.audit.tampering import ORIGIN, SHA, key

FIRST = date(2026, 1, 1)
PEOPLE, USERS = 12, 5


@dataclass
class City:
    """A ledger at `url`, its archive in `folder`; opened anew by each `store()`."""

    url: sa.URL
    folder: Path
    hashing: TreeHash = SHA

    def __post_init__(self) -> None:
        self.signer = key(self.folder, "log.key", ORIGIN)
        self.witness = key(self.folder, "witness.key", "witness.example", witness=True)
        self.how = Sealing(self.hashing, ORIGIN, [self.witness.key])

    @property
    def archive(self) -> Path:
        return self.folder / "archive"

    def store(self) -> ArchivedStore:
        opened = ArchivedStore(store_at(self.url, 10), self.archive)
        opened.open()
        return opened

    def index(self, store: ArchivedStore, name: str = "index") -> Index:
        """An index of this store, as far as the store is; made anew."""
        for old in self.folder.glob(f"{name}.db*"):
            old.unlink()
        index = Index(f"sqlite:///{self.folder / name}.db", Ledger(store, 10))
        index.prepare()
        while index.advance():
            pass
        return index

    def witnessed(self, store: ArchivedStore) -> str:
        """Seal all that is recorded under a checkpoint, have it cosigned, and keep it."""
        one = Integrator(store, self.hashing, ORIGIN, self.signer, None, 60)
        one.advance(at_once=True)
        one._end()
        kept = store.last_checkpoint()
        assert kept, one.state
        note = cosigned(kept.text, self.witness, 1_800_000_000)
        store.keep_checkpoint(note, parse_checkpoint(note).size)
        return note

    def due(self, store: ArchivedStore, on: date = date(2030, 1, 1)) -> list[Due]:
        sealed = store.months()
        return due(store.days(sealed[-1].last if sealed else 0), sealed, (on - date(1970, 1, 1)).days)

    def seal(self, store: ArchivedStore, most: int = 100) -> list[Manifest]:
        """Seal the months that are over."""
        self.archive.mkdir(exist_ok=True)
        finish(store)
        return [seal(store, self.how, one) for one in self.due(store)[:most]]

    def order(self, month: str, number: int = 1, **changes: object) -> Order:
        """An order to remove a month, long after its time, with a copy of its file."""
        copied = self.folder / f"copy-{month}.parquet"
        with suppress(FileNotFoundError):
            copied.write_bytes((self.archive / f"{month}.parquet").read_bytes())
        at = int(datetime(2031, 1, number, tzinfo=CHINA).timestamp() * 1_000_000)
        made = {
            "by": "archivist", "department": "data-bureau", "reason": "期满", "exported": copied, "retention": 36,
            "at": at, "operation": f"removal-{uuid4().hex}",
        }  # fmt: skip
        return Order(**made | changes)  # type: ignore[arg-type]

    def remove(self, store: ArchivedStore, month: str, number: int = 1) -> None:
        remove(store, month, self.order(month, number))

    def report(self, store: ArchivedStore) -> Report:
        return verify(store, self.hashing, ORIGIN, [self.signer.key], [self.witness.key])


def fill(store: ArchivedStore, frames: Sequence[Frame]) -> None:
    if not store.coordinates():
        store.item_numbers(["Register.name", "Register.address", "Tax.payer"])
    store.append([NewFrame(one.at, one.operation, one.encode()) for one in frames])


def frames_of(chance: Random, count: int, months: int = 3, prefix: str = "o") -> list[Frame]:
    """Frames of some months in about their order; some come late, some early, and one clock may be wrong."""
    made = []
    for number in range(count):
        day = number * months * 30 // count + chance.choice((0, 0, 0, 0, -1, 1))
        then = datetime.combine(FIRST + timedelta(days=day), datetime.min.time(), CHINA)
        seconds = chance.randrange(86_400)
        person = HASH.of("Person", str(chance.randrange(PEOPLE)))
        outcomes = chance.choice(("RA", "RD", "RR", "MU"))
        user = chance.randrange(USERS)
        one = node(person, outcomes, case=chance.choice(("", f"N-{chance.randrange(9)}")))
        made.append(
            frame(
                f"{prefix}-{number}", one, at=int(then.timestamp() + seconds) * 1_000_000 + number,
                subject=f"clerk-{user:02}", department=("housing", "health")[user % 2],
                outcome=chance.choice(("answered", "answered", "denied")), client=chance.choice(("demo", "window")),
            )
        )  # fmt: skip
    return made
