"""The kind of source that a test of the contract runs against."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from connectors.contract import Connector, FetchRequest, Rows
from schema.catalogue import Resource
from tests.connectors.kinds import KINDS, Kind, Record

Fetch = Callable[..., Rows]


@pytest.fixture(params=KINDS, ids=lambda kind: kind.name)
def kind(request: pytest.FixtureRequest) -> Kind:
    found: Kind = request.param
    return found


class Sources:
    """Makes sources and asks them, each question in an event loop of its own."""

    def __init__(self, kind: Kind, folder: Path) -> None:
        self._kind = kind
        self._folder = folder
        self._made: list[Connector] = []

    def source(self, resource: Resource, records: Sequence[Record] | None) -> Connector:
        connector = self._kind.source(resource, records, self._folder)
        self._made.append(connector)
        asyncio.run(connector.open())
        return connector

    def fetch(
        self, resource: Resource, records: Sequence[Record] | None, keys: Sequence[str], *columns: str, key: str = ""
    ) -> Rows:
        """What a source with these records answers for these keys."""
        return asyncio.run(self.source(resource, records).fetch(request_for(resource, keys, *columns, key=key)))

    def close(self) -> None:
        for connector in self._made:
            asyncio.run(connector.close())


def request_for(
    resource: Resource, keys: Sequence[str], *columns: str, key: str = "", timeout: float = 5
) -> FetchRequest:
    return FetchRequest(resource, key or resource.key or "", tuple(keys), columns, timeout)


@pytest.fixture
def sources(kind: Kind, tmp_path: Path) -> Iterator[Sources]:
    made = Sources(kind, tmp_path)
    yield made
    made.close()
