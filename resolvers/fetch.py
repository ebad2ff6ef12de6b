"""Fetch: the rows of a restricted plan, from every department at once.

Each node of the plan becomes one fetch with the keys of all its entities; nodes beside each other run in parallel, a relation's other side
runs when its identifiers are known. A source that fails costs its own node only. Loads of concurrent operations that read
the same columns of the same resource share a statement (`Loads`); nothing is kept between two loads.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from aiodataloader import DataLoader, Loader, dispatch_queue_batch

from connectors.contract import INVALID, Condition, Connector, FetchRequest, Request, Row, Rows, SourceError
from resolvers.restrict import (
    AllowedEntity,
    AllowedRelation,
    AllowedResource,
    AllowedRoot,
    AllowedVerification,
    RowLimits,
)
from resolvers.verify import Attempts, Expected
from schema.catalogue import ItemType, Resource, SubjectClass
from schema.identifiers import PARSERS, is_adult

_MAX_LOADERS = 2_000
_GRACE_SECONDS = 0.1
_REPORT_SECONDS = 30.0
_LOG = logging.getLogger("onesource.sources")
_WORKING: set[asyncio.Task[None]] = set()
Found = tuple[list[Row], datetime]
_Cell = AllowedResource | AllowedRelation | AllowedVerification
_Load = list[asyncio.Future[Found]] | SourceError
_Name = tuple[str, str, tuple[str, ...], tuple[Condition, ...]]


@dataclass(frozen=True, slots=True)
class Source:
    """A department's connector and how long it may take, in seconds."""

    connector: Connector
    timeout: float


@dataclass(slots=True)
class Fetched:
    """Everything that one operation fetched: records by node and entity, links by relation and entity, and what failed."""

    records: dict[AllowedResource, dict[str, Found]] = field(default_factory=dict)
    links: dict[AllowedRelation, dict[str, list[tuple[SubjectClass, str]]]] = field(default_factory=dict)
    failures: dict[_Cell, str] = field(default_factory=dict)
    verified: dict[AllowedVerification, dict[str, tuple[tuple[str, ...], list[Row]]]] = field(default_factory=dict)
    """The records that each entity's attempts are judged by, with the items that may be: those whose attempts are not used up."""


class _Loader(DataLoader[str, Found]):
    """A loader that goes to work at the end of the event loop's turn, by one task instead of the library's two."""

    def do_resolve_reject(self, key: str, future: asyncio.Future[Found]) -> None:
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
        self._sources = sources
        self._loaders: dict[_Name, DataLoader[str, Found]] = {}
        self._reported: dict[tuple[str, str], float] = {}

    def begin(
        self, resource: Resource, key: str, columns: tuple[str, ...], where: tuple[Condition, ...], keys: Iterable[str]
    ) -> list[asyncio.Future[Found]]:
        """Begin to load the rows of each key; the futures raise SourceError if the source cannot answer in its time."""
        source = self.source(resource)
        loader = self._loader(resource, key, columns, where, source)
        return [loader.load(one) for one in keys]

    def _report(self, resource: Resource, code: str, cause: BaseException | None) -> None:
        """Tell the log that a source fails: once in a while, and never with its words, which may hold data."""
        now = time.monotonic()
        if now - self._reported.get((resource.name, code), -_REPORT_SECONDS) >= _REPORT_SECONDS:
            self._reported[resource.name, code] = now
            kind = type(cause).__name__ if cause else "no cause"
            _LOG.warning("%s of %s: %s (%s)", resource.name, resource.department, code, kind)

    def patience(self, resource: Resource) -> float:
        """How long to wait for a source that should have given up by itself, in seconds."""
        return self._sources[resource.department].timeout + _GRACE_SECONDS

    async def ask(self, resource: Resource, request: Request) -> Rows:
        """What a source answers to one request, SourceError if it cannot: whatever goes wrong there."""
        source = self.source(resource)
        try:
            async with asyncio.timeout(source.timeout + _GRACE_SECONDS):  # it should have given up by itself
                return await source.connector.fetch(request)
        except SourceError as error:
            self._report(resource, error.code, error.__cause__)
            raise
        except TimeoutError as error:
            self._report(resource, "SOURCE_TIMEOUT", error)
            raise SourceError("SOURCE_TIMEOUT") from error
        except Exception as error:  # one broken connector never takes the others down
            self._report(resource, "SOURCE_UNAVAILABLE", error)
            raise SourceError("SOURCE_UNAVAILABLE") from error

    def source(self, resource: Resource) -> Source:
        """Where a resource lives; SourceError if there is no connection to it."""
        source = self._sources.get(resource.department)
        if source is None:
            raise SourceError("SOURCE_UNAVAILABLE")
        return source

    def _loader(
        self, resource: Resource, key: str, columns: tuple[str, ...], where: tuple[Condition, ...], source: Source
    ) -> DataLoader[str, Found]:
        name = (resource.name, key, columns, where)
        if name not in self._loaders:
            if len(self._loaders) >= _MAX_LOADERS:
                self._loaders.clear()

            async def batch(keys: list[str]) -> list[Found]:
                distinct = tuple(dict.fromkeys(keys))
                rows = await self.ask(resource, FetchRequest(resource, key, distinct, columns, source.timeout, where))
                by_key: dict[str, list[Row]] = defaultdict(list)
                for row in rows.rows:
                    by_key[row.key].append(row)
                return [(by_key.get(one, []), rows.fetched_at) for one in keys]

            self._loaders[name] = _Loader(batch, cache=False)
        return self._loaders[name]


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a fetch holds to: entities across one relation at most, what is expected at verifications and how often it may be tried, and when."""

    records: int
    expected: Expected
    attempts: Attempts
    now: datetime


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
        loads = [(cell, *self._begin(cell, keys)) for cell in cells]
        beyond = [
            self._beyond(cell, load, reached, keys)
            for cell, load, reached in loads
            if isinstance(cell, AllowedRelation)
        ]
        beyond += [self._verify(c, keys) for c in allowed.cells if isinstance(c, AllowedVerification) and c.allowed]
        following = asyncio.gather(*beyond) if beyond else None
        for cell, load, reached in loads:
            if isinstance(cell, AllowedResource):
                found = await self._found(cell, load, reached, keys)
                if found is not None:
                    self.fetched.records.setdefault(cell, {}).update(found)
        if following:
            await following

    async def _beyond(self, cell: AllowedRelation, load: _Load, reached: Sequence[str], keys: Sequence[str]) -> None:
        """Fetch what is asked of the entities across a relation, as soon as they are known."""
        found = await self._found(cell, load, reached, keys)
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
                load, reached = self._load(node.resource, node.resource.key or "", items, cell.limits, those)
                found = await self._found(cell, load, reached, those)
                if found is None:
                    await attempts.give_back(node.owner, taken)
                    return
                judged |= {key: (items, rows) for key, (rows, _) in found.items()}
        self.fetched.verified.setdefault(cell, {}).update(judged)

    def _begin(self, cell: AllowedResource | AllowedRelation, keys: Sequence[str]) -> tuple[_Load, Sequence[str]]:
        node = cell.node
        if isinstance(cell, AllowedResource):
            return self._load(node.resource, node.resource.key or "", cell.columns, cell.limits, keys)
        return self._load(node.resource, cell.node.near, (cell.node.far,), cell.limits, keys)

    def _load(
        self, resource: Resource, key: str, columns: tuple[str, ...], limits: RowLimits, keys: Sequence[str]
    ) -> tuple[_Load, Sequence[str]]:
        """Begin to load; the load comes with the keys that it is of: a minor's records are not asked for where only adults' may be read."""
        if limits.adults and key == resource.key:
            keys = [one for one in keys if is_adult(one, self._bounds.now)]
        try:
            return self._loads.begin(resource, key, columns, limits.where, keys), keys
        except SourceError as error:
            return error, keys

    async def _found(
        self, cell: _Cell, load: _Load, reached: Sequence[str], keys: Sequence[str]
    ) -> dict[str, Found] | None:
        """The rows of each key, or None with the failure noted: it costs this cell only."""
        try:
            if isinstance(load, SourceError):
                raise load
            waiting = [one for one in load if not one.done()]
            if waiting:
                await asyncio.wait(waiting, timeout=self._loads.patience(cell.node.resource))
            found = {key: _result(one) for key, one in zip(reached, load, strict=True)}
            return found if len(found) == len(keys) else {key: found.get(key, ([], self._bounds.now)) for key in keys}
        except SourceError as error:
            self.fetched.failures[cell] = error.code
            for one in load if isinstance(load, list) else ():
                if not one.cancel() and not one.cancelled():
                    one.exception()  # each load of a failed batch carries the error; one report is enough
            return None

    def _follow(self, allowed: AllowedRelation, found: Mapping[str, Found]) -> list[tuple[AllowedEntity, list[str]]]:
        """The entities on the other side, by subject class, with what may be seen of them."""
        links = {key: self._links(allowed, rows) for key, (rows, _) in found.items()}
        reached = {target for targets in links.values() for target in targets}
        if len(reached) > self._bounds.records:
            self.fetched.failures[allowed] = "RESULT_TOO_LARGE"
            return []
        self.fetched.links.setdefault(allowed, {}).update(links)
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
