"""Kind `memory`: the naive reference connector. Tests use it as a double, the contract suite as the model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from connectors.contract import FetchRequest, Row, Rows, SourceError
from schema.catalogue import Resource

_LONG_AGO = datetime(1, 1, 1, tzinfo=UTC)


class MemoryConnector:
    """Holds canonical records by resource name: each a mapping from item name to value, `updated` beside them.

    A resource without an entry has lost its table; a record without an item has lost that item's column.
    """

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
        lost = self._lost(resource)
        return tuple(item.column for item in resource.items.values() if item.name in lost)

    async def fetch(self, request: FetchRequest) -> Rows:
        self.requests.append(request)
        if self._lost(request.resource) & {request.key, *request.columns}:
            raise SourceError("SOURCE_CHANGED")
        found = [
            Row(record[request.key], record.get("updated"), tuple(record[name] for name in request.columns))
            for record in self._records[request.resource.name]
            if record[request.key] in request.keys
        ]
        return Rows(sorted(found, key=_order) if request.resource.many else found, datetime.now(UTC))

    def explain(self, request: FetchRequest) -> str:
        return f"{request.resource.name}[{request.key} in keys] -> {', '.join(request.columns)}"

    def _lost(self, resource: Resource) -> set[str]:
        """Names of the resource's items that are not there."""
        records = self._records.get(resource.name)
        if records is None:
            return set(resource.items)
        return {name for name in resource.items if any(name not in record for record in records)}


def _order(row: Row) -> tuple[datetime, list[tuple[bool, str]]]:
    """The place of a row among those of its key: by last change, then by values; NULL first."""
    return row.updated or _LONG_AGO, [(value is not None, str(value)) for value in row.values]
