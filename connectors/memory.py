"""Kind `memory`: the naive reference connector. Tests use it as a double, the contract suite as the model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from connectors.contract import FetchRequest, Row, Rows
from schema.catalogue import Resource


class MemoryConnector:
    """Holds canonical records by resource name: each a mapping from item name to value, `updated` beside them."""

    def __init__(self, records: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
        self._records = records
        self.requests: list[FetchRequest] = []

    async def open(self) -> None:
        """Nothing to open."""

    async def close(self) -> None:
        """Nothing to close."""

    async def health(self) -> bool:
        return True

    def capabilities(self) -> frozenset[str]:
        return frozenset()

    async def check(self, resource: Resource) -> tuple[str, ...]:
        return () if resource.name in self._records else tuple(i.column for i in resource.items.values())

    async def fetch(self, request: FetchRequest) -> Rows:
        self.requests.append(request)
        found = [
            Row(record[request.key], record.get("updated"), tuple(record.get(name) for name in request.columns))
            for record in self._records.get(request.resource.name, ())
            if record.get(request.key) in request.keys
        ]
        return Rows(found, datetime.now(UTC))

    def explain(self, request: FetchRequest) -> str:
        return f"{request.resource.name}[{request.key} in keys] -> {', '.join(request.columns)}"
