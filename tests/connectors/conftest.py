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
    """Makes sources and asks them, all in one event loop, as a service does."""

    def __init__(self, kind: Kind, folder: Path, runner: asyncio.Runner) -> None:
        self._kind = kind
        self._folder = folder
        self._made: list[Connector] = []
        self.run = runner.run

    def source(self, resource: Resource, records: Sequence[Record] | None) -> Connector:
        """A connector to a source whose table has these records; None: it has no such table."""
        self._kind.write(resource, records, self._folder)
        connector = self._kind.connector(self._folder)
        self._made.append(connector)
        self.run(connector.open())
        return connector

    def fetch(
        self, resource: Resource, records: Sequence[Record] | None, keys: Sequence[str], *columns: str, key: str = ""
    ) -> Rows:
        """What a source with these records answers for these keys."""
        return self.run(self.source(resource, records).fetch(request_for(resource, keys, *columns, key=key)))

    def close(self) -> None:
        for connector in self._made:
            self.run(connector.close())


def request_for(
    resource: Resource, keys: Sequence[str], *columns: str, key: str = "", timeout: float = 5
) -> FetchRequest:
    return FetchRequest(resource, key or resource.key or "", tuple(keys), columns, timeout)


@pytest.fixture
def sources(kind: Kind, tmp_path: Path) -> Iterator[Sources]:
    with asyncio.Runner() as runner:
        made = Sources(kind, tmp_path, runner)
        yield made
        made.close()
