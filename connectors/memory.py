"""Kind `memory`: the naive reference connector. Tests use it as a double, the contract suite as the model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from connectors import clock
from connectors.contract import (
    INVALID,
    Capability,
    Condition,
    CountRequest,
    FetchRequest,
    Operator,
    Request,
    Row,
    Rows,
    SearchRequest,
    SourceError,
    in_order,
    require_exact,
)
from schema.catalogue import Resource


class MemoryConnector:
    """Holds canonical records by resource name: each a mapping from item name to value, `updated` beside them.

    A resource without an entry has lost its table; a record without an item has lost that item's column.
    """

    def __init__(self, records: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
        self._records = records
        self.requests: list[Request] = []

    async def open(self) -> None:
        """Nothing to open."""

    async def close(self) -> None:
        """Nothing to close."""

    async def health(self) -> bool:
        return True

    def capabilities(self) -> frozenset[Capability]:
        return frozenset(Capability)

    async def check(self, resource: Resource) -> tuple[str, ...]:
        lost = self._lost(resource)
        return tuple(item.column for item in resource.items.values() if item.name in lost)

    async def fetch(self, request: Request) -> Rows:
        require_exact(request, self.capabilities())
        self.requests.append(request)
        if self._lost(request.resource) & _items_of(request):
            raise SourceError("SOURCE_CHANGED")
        records = [record for record in self._records[request.resource.name] if _meets_all(record, request)]
        if isinstance(request, FetchRequest):
            found = [
                _row(record, request.key, request.columns) for record in records if record[request.key] in request.keys
            ]
            several = request.resource.many or request.key != request.resource.key
            return Rows(in_order(found) if several else found, clock.now())
        key = request.resource.key or ""
        records = [record for record in records if record[key] is not None]
        if isinstance(request, CountRequest):
            return Rows((), clock.now(), count=len(records))
        return _page(records, request, key)

    def explain(self, request: Request) -> str:
        require_exact(request, self.capabilities())
        if isinstance(request, FetchRequest):
            return (
                f"{request.resource.name}[{request.key} in keys{_conditions(request)}] -> {', '.join(request.columns)}"
            )
        if isinstance(request, CountRequest):
            return f"{request.resource.name}[{request.resource.key} is there{_conditions(request)}] -> count"
        order = ", ".join(f"{one.item} {'desc' if one.descending else 'asc'}" for one in request.order)
        return f"{request.resource.name}[{order}{_conditions(request)}] -> {', '.join(request.columns)}"

    def _lost(self, resource: Resource) -> set[str]:
        """Names of the resource's items that are not there."""
        records = self._records.get(resource.name)
        if records is None:
            return set(resource.items)
        return {name for name in resource.items if any(name not in record for record in records)}


def _row(record: Mapping[str, Any], key: str, columns: Sequence[str]) -> Row:
    return Row(record[key], record.get("updated"), tuple(record[name] for name in columns))


def _items_of(request: Request) -> set[str]:
    """The items that a request reads."""
    where = {condition.item for condition in request.where}
    if isinstance(request, FetchRequest):
        return {request.key, *request.columns} | where
    if isinstance(request, CountRequest):
        return {request.resource.key or ""} | where
    return {request.resource.key or "", *request.columns, *(order.item for order in request.order)} | where


def _conditions(request: Request) -> str:
    return "".join(f", {condition.item} {condition.operator}" for condition in request.where)


def _meets_all(record: Mapping[str, Any], request: Request) -> bool:
    return all(_meets(record[condition.item], condition) for condition in request.where)


def _meets(value: Any, condition: Condition) -> bool:
    if value is None or value is INVALID:
        return False
    if condition.operator in (Operator.EQ, Operator.IN):
        return value in condition.values
    (bound,) = condition.values
    if condition.operator is Operator.STARTS_WITH:
        return bool(value.startswith(bound))
    return bool(value >= bound if condition.operator is Operator.GTE else value <= bound)


def _page(records: Sequence[Mapping[str, Any]], request: SearchRequest, key: str) -> Rows:
    """The page: sorted by each item of the order, the last first, as sorting is stable."""
    names = [order.item for order in request.order]
    if any(record[name] is INVALID for record in records for name in (key, *names)):
        raise SourceError("SOURCE_VALUE_INVALID")
    ordered = list(records)
    for order in reversed(request.order):
        there = [record for record in ordered if record[order.item] is not None]
        there.sort(key=lambda record: record[order.item], reverse=order.descending)
        ordered = there + [record for record in ordered if record[order.item] is None]
    cursors = [tuple(record[name] for name in names) for record in ordered]
    start = (
        0 if request.after is None else next((n for n, one in enumerate(cursors) if _after(one, request)), len(cursors))
    )
    page = slice(start, start + request.first)
    return Rows([_row(one, key, request.columns) for one in ordered[page]], clock.now(), cursors[page])


def _after(cursor: Sequence[Any], request: SearchRequest) -> bool:
    """Whether a row with this cursor comes after the request's."""
    for value, passed, order in zip(cursor, request.after or (), request.order, strict=True):
        if value == passed:
            continue
        if value is None or passed is None:
            return value is None
        return bool(value < passed if order.descending else value > passed)
    return False
