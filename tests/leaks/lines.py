"""Lines over cities: the whole endpoint, with real stores in a folder and the sources given; only tokens and the time are not real."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, cast

import orjson
import pytest
import sqlalchemy as sa
import strawberry
from starlette.requests import Request as HttpRequest

from app import graphql_schema
from audit.frame import SubjectHash
from audit.index import Index
from audit.ledger import Ledger
from audit.store import StoredFrame
from audit.stores import store_at
from audit.subjects import ListProofs
from connectors import clock
from connectors.contract import INVALID, Connector
from connectors.kinds import connect
from policies.archive import Archive, keep
from policies.cases import CaseStore, CaseSubject
from policies.control import Control
from policies.identity import Identity, Verifier
from policies.live import Policy
from policies.rules import rules_from
from policies.snapshot import Snapshot
from resolvers.cursors import Cursors
from resolvers.disclose import Recorder
from resolvers.fetch import Loads
from resolvers.http import Endpoint
from resolvers.identities import Identities
from resolvers.line import Line, Terms
from resolvers.operation import Limits
from resolvers.rates import Limiter, Rate, Rates
from resolvers.recorded import Replay
from resolvers.sources import Source
from resolvers.trusted import TrustedOperations
from schema.catalogue import Catalogue, ItemType
from tests.connectors.kinds import Raw, write_table
from tests.leaks.city import Records
from tests.policies.kept import Kept
from tests.policies.worlds import World, local_rows

SECRET = bytes(range(32))
_VOLATILE = (b"date", b"server-timing")
_FAST = Rate(1e9, 10**9)


class TwinHash(SubjectHash):
    """The keyed hash of a twin: who has another number there has the same hash. A hash under a secret key tells nobody which it is."""

    def __init__(self) -> None:
        super().__init__(SECRET)
        self.numbers: dict[str, str] = {}

    def of(self, entity: str, identifier: str) -> str:
        return super().of(entity, self.numbers.get(identifier, identifier))


class KeptLedger(Ledger):
    """A ledger that keeps the frames of the latest operations in memory: nothing here is about durability."""

    def __init__(self) -> None:
        super().__init__(store_at("sqlite://", 5), 5)
        self.kept: list[bytes] = []

    async def append(self, at: int, operation: str, frame: bytes, identities: object = None) -> None:
        self.kept.append(frame)


@dataclass
class Badges:
    """Stands for the verifier: whoever says who they are is believed."""

    wearer: Identity

    def remembered(self, authorization: str | None) -> Identity:
        assert authorization
        return self.wearer


@dataclass(frozen=True)
class Reply:
    """An HTTP answer, but for `Date` and `Server-Timing`."""

    status: int
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes


@dataclass
class Town:
    """One line over one city's sources."""

    line: Line
    policy: Policy
    control: Control
    ledger: KeptLedger
    endpoint: Endpoint
    badges: Badges
    hashes: TwinHash
    numbers: dict[int, str]
    again: Replay

    async def ask(self, document: str, variables: dict[str, Any], who: Identity) -> Reply:
        self.badges.wearer = who
        content = orjson.dumps({"query": document, "variables": variables})

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": content, "more_body": False}

        headers = [(b"content-type", b"application/json"), (b"authorization", b"Bearer x")]
        scope = {
            "type": "http",
            "method": "POST",
            "path": "/graphql",
            "headers": headers,
            "query_string": b"",
            "client": ("127.0.0.1", 1),
        }
        response = await self.endpoint.answer(HttpRequest(scope, receive))
        kept = tuple(one for one in response.raw_headers if one[0] not in _VOLATILE)
        return Reply(response.status_code, kept, bytes(response.body))

    def lives_in(self, catalogue: Catalogue, records: Records, folder: Path | None = None) -> None:
        """From now on the sources hold these records: in memory, or as SQLite files in `folder`."""
        departments = {one.department for one in catalogue.resources.values()}
        sources = {slug: Source(_connector(catalogue, records, slug, folder), 5.0) for slug in departments}
        self.line._loads = Loads(sources)

    def frames(self) -> list[dict[str, Any]]:
        """The frames since the last time, decoded; each is decided again as it was."""
        kept, self.ledger.kept = self.ledger.kept, []
        for one in kept:
            replayed = self.again.operation(StoredFrame(1, one))
            assert not replayed.differences, replayed
            assert not replayed.undecided, replayed
        return [frame for one in kept if (frame := orjson.loads(one))["outcome"] != "signed-in"]


def _connector(catalogue: Catalogue, records: Records, slug: str, folder: Path | None) -> Connector:
    resources = [one for one in catalogue.resources.values() if one.department == slug]
    if folder is None:
        return connect("memory", records={one.name: records[one.name] for one in resources})
    for one in resources:
        pictures = {name for name, item in one.items.items() if item.type is ItemType.IMAGE}
        rows = [
            {
                name: Raw(None if name in pictures else b"\xff", INVALID) if value is INVALID else value
                for name, value in row.items()
            }
            for row in records[one.name]
        ]
        write_table(sa.make_url(f"sqlite:///{folder / slug}.db"), one, rows)
    return connect("sql", url=f"sqlite:///{folder / slug}.db")


@dataclass
class Towns:
    """Two lines alike over two cities, under one policy; each counts attempts of its own. `now` is the time in both."""

    catalogue: Catalogue
    folder: Path
    attempts: int = 1000
    limits: Limits = field(default_factory=Limits)
    schema: strawberry.Schema | None = None
    sides: int = 2
    now: datetime = datetime(2026, 6, 1, tzinfo=UTC)
    pair: list[Town] = field(default_factory=list)
    numbers: Iterator[int] = field(default_factory=itertools.count)
    archived: Kept = field(default_factory=Kept)

    def open(self) -> None:
        """Make the lines and their stores."""
        self.cases = CaseStore(f"sqlite:///{self.folder / 'cases.db'}", SECRET)
        self.cases.open()
        self.schema = self.schema or graphql_schema(self.catalogue)
        controls = [Control(f"sqlite:///{self.folder / name}.db") for name in ("left", "right")[: self.sides]]
        for control in controls:
            # attempts of one operation are counted in the order in which they are asked for, not as threads come
            control._database._workers = ThreadPoolExecutor(1)
            control.open()
        base = Snapshot(self.catalogue, rules_from(self.catalogue))
        policy = Policy(base, controls[0], 1e9, partial(keep, self.archived))
        self.pair = [self._town(policy, control) for control in controls]

    def close(self) -> None:
        for town in self.pair:
            town.control.close()
        self.cases.close()

    def _town(self, policy: Policy, control: Control) -> Town:
        catalogue, ledger, hashes = self.catalogue, KeptLedger(), TwinHash()
        coordinates = [f"{one.name}.{item}" for one in catalogue.resources.values() for item in one.items]
        numbered = {coordinate: number for number, coordinate in enumerate(coordinates)}
        recorder = Recorder(ledger, hashes, numbered, catalogue.version, "query", Identities(bytes(range(32, 64))))
        ids = itertools.count()
        assert self.schema
        line = Line(
            self.schema, policy, control, self.cases, Loads({}), recorder, Index("sqlite://", ledger), self.limits,
            Terms("civil", self.attempts, 30), Cursors(SECRET), cast(ListProofs, None), clock=lambda: self.now, new_id=lambda: f"op-{next(ids)}",
        )  # fmt: skip
        badges = Badges(cast(Identity, None))
        limiter = Limiter(Rates(_FAST, _FAST, _FAST))
        endpoint = Endpoint(line, cast(Verifier, badges), limiter, TrustedOperations(control, False), 1_000_000)
        names = {n: c for c, n in numbered.items()}
        again = Replay(Archive(self.archived), names)
        return Town(line, policy, control, ledger, endpoint, badges, hashes, names, again)

    async def enact(self, world: World) -> None:
        """Put the world's grants, suspensions and local rules in force, by the control database."""
        town = self.pair[0]
        for grant in world.grants:
            assert (await town.control.apply(grant)).id == grant.id
        for suspension in world.suspensions:
            assert (await town.control.suspend(suspension)).id == suspension.id
        for number, rule in enumerate(world.local):
            await town.control.publish(f"f{number}", local_rows(rule))
        await town.policy.refresh()

    async def accept(self, service: str, subjects: list[tuple[str, str]]) -> str:
        """The number of a new case of these (entity, identifier) subjects, open since yesterday."""
        number = f"C-{next(self.numbers)}"
        people = [CaseSubject(entity, identifier, entity[0], "本人申请") for entity, identifier in subjects]
        opened = self.now - timedelta(days=1)
        await self.cases.accept(self.catalogue.services[service], number, people, "clerk-1", opened)
        return number


@contextmanager
def towns(
    catalogue: Catalogue,
    folder: Path,
    attempts: int = 1000,
    limits: Limits | None = None,
    schema: strawberry.Schema | None = None,
    sides: int = 2,
) -> Iterator[Towns]:
    """Two lines of a catalogue with their stores below `folder`; connectors take the time from them. A `schema` that fits spares making it; one of the `sides` is
    enough where nothing is compared.
    """
    made = Towns(catalogue, folder, attempts, limits or Limits(), schema, sides)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(clock, "now", lambda: made.now)
        made.open()
        try:
            yield made
        finally:
            made.close()
