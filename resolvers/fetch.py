"""Fetch: the rows of a restricted plan, from every department at once.

Each node of the plan becomes one fetch with the keys of all its entities; nodes beside each other run in parallel, a relation's other side
runs when its identifiers are known. A source that fails costs its own node only. Loads of concurrent operations that read
the same columns of the same resource share a statement (`Loads`); nothing is kept between two loads.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from aiodataloader import DataLoader

from connectors.contract import INVALID, Connector, FetchRequest, Row, SourceError
from resolvers.restrict import AllowedEntity, AllowedRelation, AllowedResource, AllowedRoot
from schema.catalogue import ItemType, Resource, SubjectClass
from schema.identifiers import PARSERS

_MAX_LOADERS = 2_000
Found = tuple[list[Row], datetime]


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
    failures: dict[AllowedResource | AllowedRelation, str] = field(default_factory=dict)


class Loads:
    """Coalesces loads across concurrent operations: one loader for each (resource, key item, columns)."""

    def __init__(self, sources: Mapping[str, Source]) -> None:
        self._sources = sources
        self._loaders: dict[tuple[str, str, tuple[str, ...]], DataLoader[str, Found]] = {}

    async def load(
        self, resource: Resource, key: str, columns: tuple[str, ...], keys: Iterable[str]
    ) -> dict[str, Found]:
        """The rows of each key; SourceError if the source cannot answer in its time."""
        source = self._sources.get(resource.department)
        if source is None:
            raise SourceError("SOURCE_UNAVAILABLE")
        loader = self._loader(resource, key, columns, source)
        wanted = list(keys)
        loads = [loader.load(one) for one in wanted]
        try:
            async with asyncio.timeout(source.timeout + 0.1):
                found = [await load for load in loads]
        except TimeoutError:
            raise SourceError("SOURCE_TIMEOUT") from None
        finally:
            for load in loads:
                if not load.cancel() and not load.cancelled():
                    load.exception()  # every load of a failed batch carries the error; one report is enough
        return dict(zip(wanted, found, strict=True))

    def _loader(self, resource: Resource, key: str, columns: tuple[str, ...], source: Source) -> DataLoader[str, Found]:
        name = (resource.name, key, columns)
        if name not in self._loaders:
            if len(self._loaders) >= _MAX_LOADERS:
                self._loaders.clear()

            async def batch(keys: list[str]) -> list[Found]:
                distinct = tuple(dict.fromkeys(keys))
                request = FetchRequest(resource, key, distinct, columns, source.timeout)
                rows = await source.connector.fetch(request)
                by_key: dict[str, list[Row]] = defaultdict(list)
                for row in rows.rows:
                    by_key[row.key].append(row)
                return [(by_key.get(one, []), rows.fetched_at) for one in keys]

            self._loaders[name] = DataLoader(batch, cache=False)
        return self._loaders[name]


class _Fetch:
    """The fetch of one root: what it may reach, and what was found so far."""

    def __init__(self, loads: Loads, subjects: frozenset[tuple[str, str]], limit: int, fetched: Fetched) -> None:
        self._loads = loads
        self._subjects = subjects
        self._limit = limit
        self.fetched = fetched

    async def entity(self, allowed: AllowedEntity, keys: Sequence[str]) -> None:
        if not keys:
            return
        work = []
        for cell in allowed.cells:
            if isinstance(cell, AllowedResource) and cell.allowed:
                work.append(self._resource(cell, keys))
            elif isinstance(cell, AllowedRelation) and cell.allowed:
                work.append(self._relation(cell, keys))
        if len(work) == 1:
            await work[0]
        elif work:
            await asyncio.gather(*work)

    async def _resource(self, allowed: AllowedResource, keys: Sequence[str]) -> None:
        resource = allowed.node.resource
        try:
            records = await self._loads.load(resource, resource.key or "", allowed.columns, keys)
        except SourceError as error:
            self.fetched.failures[allowed] = error.code
            return
        known = self.fetched.records.setdefault(allowed, {})
        known.update(records)

    async def _relation(self, allowed: AllowedRelation, keys: Sequence[str]) -> None:
        node = allowed.node
        try:
            found = await self._loads.load(node.resource, node.near, (node.far,), keys)
        except SourceError as error:
            self.fetched.failures[allowed] = error.code
            return
        links = {key: self._links(allowed, rows) for key, (rows, _) in found.items()}
        reached = {target for targets in links.values() for target in targets}
        if len(reached) > self._limit:
            self.fetched.failures[allowed] = "RESULT_TOO_LARGE"
            return
        self.fetched.links.setdefault(allowed, {}).update(links)
        by_class: dict[SubjectClass, list[str]] = defaultdict(list)
        for subject, identifier in sorted(reached):
            by_class[subject].append(identifier)
        for subject, identifiers in by_class.items():
            await self.entity(allowed.targets[subject], identifiers)

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
            subject = SubjectClass.SUBJECT if (entity.name, identifier) in self._subjects else reached
            links[subject, identifier] = None
        return list(links)


def _is_identifier(kind: ItemType, value: str) -> bool:
    try:
        return PARSERS[kind](value) == value
    except ValueError:
        return False


async def fetch(roots: Sequence[AllowedRoot], loads: Loads, limit: int) -> Fetched:
    """Everything that the restricted roots ask for about their entities; at most `limit` entities across one relation."""
    fetched = Fetched()
    work = [
        _Fetch(loads, root.claim.subjects, limit, fetched).entity(root.allowed, root.claim.granted)
        for root in roots
        if root.allowed
    ]
    if len(work) == 1:
        await work[0]
    else:
        await asyncio.gather(*work)
    return fetched
