"""Fetch: the rows of a restricted plan, from every department at once.

Each node of the plan becomes one fetch with the keys of all its entities; nodes beside each other run in parallel, a relation's other side
runs when its identifiers are known. A source that fails costs its own node only. Loads of concurrent operations that read
the same columns of the same resource share a statement (`Loads`); nothing is kept between two loads.
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from aiodataloader import DataLoader, Loader, dispatch_queue_batch

from connectors.contract import INVALID, Condition, FetchRequest, Request, Row, Rows, SourceError
from resolvers.restrict import (
    AllowedEntity,
    AllowedRelation,
    AllowedResource,
    AllowedRoot,
    AllowedVerification,
    RowLimits,
)
from resolvers.sources import GRACE_SECONDS, Source
from resolvers.verify import Attempts, Expected
from schema.catalogue import ItemType, Resource, SubjectClass
from schema.errors import Text
from schema.identifiers import PARSERS, is_adult

_MAX_LOADERS = 2_000
_WORKING: set[asyncio.Task[None]] = set()
Found = tuple[list[Row], datetime]
_Cell = AllowedResource | AllowedRelation | AllowedVerification
_Name = tuple[str, str, tuple[str, ...], tuple[Condition, ...]]


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a node could not be had: an error code, and the reason where there is more to say."""

    code: str
    reason: Text | None = None


@dataclass(slots=True)
class Fetched:
    """Everything that one operation fetched: records by node and entity, links by relation and entity, and what failed."""

    records: dict[AllowedResource, dict[str, Found]] = field(default_factory=dict)
    links: dict[AllowedRelation, dict[str, list[tuple[SubjectClass, str]]]] = field(default_factory=dict)
    followed: dict[AllowedRelation, dict[str, list[Row]]] = field(default_factory=dict)
    """The rows by which each relation was followed."""
    failures: dict[_Cell, Failure] = field(default_factory=dict)
    verified: dict[AllowedVerification, dict[str, tuple[tuple[str, ...], list[Row]]]] = field(default_factory=dict)
    """The records that each entity's attempts are judged by, with the items that may be: those whose attempts are not used up."""


_Due = tuple[str, float]
"""A key, and until when it is waited for (`time.monotonic`)."""


class _Loader(DataLoader[_Due, Found]):
    """A loader that goes to work at the end of the event loop's turn, by one task instead of the library's two."""

    def do_resolve_reject(self, key: _Due, future: asyncio.Future[Found]) -> None:
        self._queue.append(Loader(key=key, future=future))
        if len(self._queue) == 1:
            self.loop.call_soon(self._go)

    def _go(self) -> None:
        queue, self._queue = self._queue, []
        task = self.loop.create_task(dispatch_queue_batch(self, queue))
        _WORKING.add(task)  # the event loop alone would not keep it
        task.add_done_callback(_WORKING.discard)


class Loads:
    """Coalesces loads across concurrent operations: one loader for each (resource, key item, columns, conditions)."""

    def __init__(self, sources: Mapping[str, Source]) -> None:
        self.sources = sources
        self._loaders: dict[_Name, DataLoader[_Due, Found]] = {}

    def begin(
        self,
        resource: Resource,
        key: str,
        columns: tuple[str, ...],
        where: tuple[Condition, ...],
        keys: Iterable[str],
        until: float,
    ) -> list[asyncio.Future[Found]]:
        """Begin to load the rows of each key; the futures raise SourceError if the source cannot answer by `until`, or in its own time."""
        loader = self._loader(resource, key, columns, where, self.source(resource))
        return [loader.load((one, until)) for one in keys]

    async def ask(self, resource: Resource, request: Request, until: float) -> Rows:
        """What a source answers to one request by `until`, SourceError if it cannot: whatever goes wrong there."""
        return await self.source(resource).ask(request, until)

    def source(self, resource: Resource) -> Source:
        """Where a resource lives; SourceError if there is no connection to it."""
        source = self.sources.get(resource.department)
        if source is None:
            raise SourceError("SOURCE_UNAVAILABLE")
        return source

    def _loader(
        self, resource: Resource, key: str, columns: tuple[str, ...], where: tuple[Condition, ...], source: Source
    ) -> DataLoader[_Due, Found]:
        name = (resource.name, key, columns, where)
        if name not in self._loaders:
            if len(self._loaders) >= _MAX_LOADERS:
                self._loaders.clear()

            async def batch(keys: list[_Due]) -> list[Found]:
                distinct = tuple(dict.fromkeys(one for one, _ in keys))
                # who has least time left gives up waiting; the statement is still somebody else's
                until = min(max(until for _, until in keys), time.monotonic() + source.timeout)
                by_key: dict[str, Found] = {}
                for start in range(0, len(distinct), source.allowance.batch):
                    some = distinct[start : start + source.allowance.batch]
                    rows = await source.ask(FetchRequest(resource, key, some, columns, source.timeout, where), until)
                    by_key |= {one: ([], rows.fetched_at) for one in some}
                    for row in rows.rows:
                        if row.key in by_key:
                            by_key[row.key][0].append(row)
                return [by_key[one] for one, _ in keys]

            self._loaders[name] = _Loader(batch, cache=False)
        return self._loaders[name]


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a fetch holds to: entities across one relation at most, what is expected at verifications and how often it may be tried, when, and
    until when (`time.monotonic`) departments are waited for."""

    records: int
    expected: Expected
    attempts: Attempts
    now: datetime
    until: float


@dataclass(frozen=True, slots=True)
class _Load:
    """A load that was begun: of which keys, and until when it is waited for; it should have given up by itself by then."""

    keys: Sequence[str]
    rows: Sequence[asyncio.Future[Found]]
    until: float
    failed: SourceError | None = None


class _Fetch:
    """The fetch of one root: what it may reach, and what was found so far."""

    def __init__(self, loads: Loads, subjects: frozenset[tuple[str, str]], bounds: Bounds, fetched: Fetched) -> None:
        self._loads = loads
        self._subjects = subjects
        self._bounds = bounds
        self.fetched = fetched

    async def entity(self, allowed: AllowedEntity, keys: Sequence[str]) -> None:
        """Fetch all that is asked of these entities: every load is begun before the first is waited for."""
        if not keys:
            return
        cells = [c for c in allowed.cells if isinstance(c, AllowedResource | AllowedRelation) and c.allowed]
        loads = [(cell, self._begin(cell, keys)) for cell in cells]
        beyond = [self._beyond(cell, load, keys) for cell, load in loads if isinstance(cell, AllowedRelation)]
        beyond += [self._verify(c, keys) for c in allowed.cells if isinstance(c, AllowedVerification) and c.allowed]
        following = asyncio.gather(*beyond) if beyond else None
        for cell, load in loads:
            if isinstance(cell, AllowedResource):
                found = await self._found(cell, load, keys)
                if found is not None:
                    self.fetched.records.setdefault(cell, {}).update(found)
        if following:
            await following

    async def _beyond(self, cell: AllowedRelation, load: _Load, keys: Sequence[str]) -> None:
        """Fetch what is asked of the entities across a relation, as soon as they are known."""
        found = await self._found(cell, load, keys)
        if found is not None:
            followed = self._follow(cell, found)
            await asyncio.gather(*(self.entity(target, identifiers) for target, identifiers in followed))

    async def _verify(self, cell: AllowedVerification, keys: Sequence[str]) -> None:
        """Fetch what the expected values are compared with, of the entities and items whose attempts are not used up."""
        node, attempts = cell.node, self._bounds.attempts
        given = self._bounds.expected[node]
        columns = {f"{node.resource.name}.{name}": name for name in cell.columns if name in given}
        judged: dict[str, tuple[tuple[str, ...], list[Row]]] = dict.fromkeys(keys, ((), []))
        if columns:
            taken = await attempts.take(node.owner, keys, tuple(columns))
            by_items: dict[tuple[str, ...], list[str]] = defaultdict(list)
            for key in keys:
                if items := tuple(name for one, name in columns.items() if (key, one) in taken):
                    by_items[items].append(key)
            for items, those in by_items.items():
                load = self._load(node.resource, node.resource.key or "", items, cell.limits, those)
                found = await self._found(cell, load, those)
                if found is None:
                    await attempts.give_back(node.owner, taken)
                    return
                judged |= {key: (items, rows) for key, (rows, _) in found.items()}
        self.fetched.verified.setdefault(cell, {}).update(judged)

    def _begin(self, cell: AllowedResource | AllowedRelation, keys: Sequence[str]) -> _Load:
        node = cell.node
        if isinstance(cell, AllowedResource):
            return self._load(node.resource, node.resource.key or "", cell.columns, cell.limits, keys)
        return self._load(node.resource, cell.node.near, (cell.node.far,), cell.limits, keys)

    def _load(
        self, resource: Resource, key: str, columns: tuple[str, ...], limits: RowLimits, keys: Sequence[str]
    ) -> _Load:
        """Begin to load: a minor's records are not asked for where only adults' may be read."""
        if limits.adults and key == resource.key:
            keys = [one for one in keys if is_adult(one, self._bounds.now)]
        until = self._bounds.until
        try:
            rows = self._loads.begin(resource, key, columns, limits.where, keys, until)
            patience = self._loads.source(resource).timeout
        except SourceError as error:
            return _Load(keys, (), 0.0, error)
        return _Load(keys, rows, min(until, time.monotonic() + patience) + GRACE_SECONDS)

    async def _found(self, cell: _Cell, load: _Load, keys: Sequence[str]) -> dict[str, Found] | None:
        """The rows of each key, or None with the failure noted: it costs this cell only."""
        try:
            if load.failed:
                raise load.failed
            waiting = [one for one in load.rows if not one.done()]
            if waiting:
                await asyncio.wait(waiting, timeout=load.until - time.monotonic())
            found = {key: _result(one) for key, one in zip(load.keys, load.rows, strict=True)}
            return found if len(found) == len(keys) else {key: found.get(key, ([], self._bounds.now)) for key in keys}
        except SourceError as error:
            self.fetched.failures[cell] = Failure(error.code, error.reason)
            for one in load.rows:
                if not one.cancel() and not one.cancelled():
                    one.exception()  # each load of a failed batch carries the error; one report is enough
            return None

    def _follow(self, allowed: AllowedRelation, found: Mapping[str, Found]) -> list[tuple[AllowedEntity, list[str]]]:
        """The entities on the other side, by subject class, with what may be seen of them."""
        links = {key: self._links(allowed, rows) for key, (rows, _) in found.items()}
        reached = {target for targets in links.values() for target in targets}
        if len(reached) > self._bounds.records:
            self.fetched.failures[allowed] = Failure("RESULT_TOO_LARGE")
            return []
        self.fetched.links.setdefault(allowed, {}).update(links)
        self.fetched.followed.setdefault(allowed, {}).update({key: rows for key, (rows, _) in found.items()})
        by_class: dict[SubjectClass, list[str]] = defaultdict(list)
        for subject, identifier in sorted(reached):
            by_class[subject].append(identifier)
        return [(allowed.targets[subject], identifiers) for subject, identifiers in by_class.items()]

    def _links(self, allowed: AllowedRelation, rows: Sequence[Row]) -> list[tuple[SubjectClass, str]]:
        """The other side's entities, each once; what is no identifier leads nowhere."""
        node = allowed.node
        entity = node.target.entity
        reached = allowed.subject.then(node.relation.subject)
        links: dict[tuple[SubjectClass, str], None] = {}
        for row in rows:
            identifier = row.values[0]
            if identifier is None or identifier is INVALID or not _is_identifier(entity.type, identifier):
                continue
            if allowed.limits.adults and node.far == node.resource.key and not is_adult(identifier, self._bounds.now):
                continue
            subject = SubjectClass.SUBJECT if (entity.name, identifier) in self._subjects else reached
            links[subject, identifier] = None
        if allowed.named:
            return list(links)
        hashes = self._bounds.attempts.hashes  # an order that tells nothing of the identifiers
        return sorted(links, key=lambda link: hashes.of(entity.name, link[1]))


def _result(load: asyncio.Future[Found]) -> Found:
    """What a load brought; SourceError if it failed or is not there yet."""
    if not load.done():
        raise SourceError("SOURCE_TIMEOUT")
    return load.result()


def _is_identifier(kind: ItemType, value: str) -> bool:
    try:
        return PARSERS[kind](value) == value
    except ValueError:
        return False


async def fetch(roots: Sequence[AllowedRoot], loads: Loads, bounds: Bounds) -> Fetched:
    """Everything that the restricted roots ask for about their entities; ControlUnavailable if attempts cannot be counted."""
    fetched = Fetched()
    work = [
        _Fetch(loads, root.claim.subjects, bounds, fetched).entity(root.allowed, root.claim.granted)
        for root in roots
        if root.allowed
    ]
    if len(work) == 1:
        await work[0]
    else:
        await asyncio.gather(*work)
    return fetched
