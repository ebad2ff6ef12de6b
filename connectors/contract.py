"""The contract of a connector: seven methods, and the values that go in and out.

A connector reads one department's source. It knows the catalogue's columns and formats, and nothing of callers, purposes or
rules. What it returns is canonical (`schema.formats`), whatever the source's habits. It never writes.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, NamedTuple, Protocol

from schema.catalogue import Item, Resource
from schema.errors import Text
from schema.formats import is_ordered, is_prefixed, is_searchable, nearest_form

MAX_VALUES = 1000
"""Values of one condition at most."""

_LONG_AGO = datetime(1, 1, 1, tzinfo=UTC)
_NO_TEXT = re.compile("[\0\ud800-\udfff]")


class Capability(StrEnum):
    """What a source can do beyond look-ups by keys: conditions on records, pages in an order, counts."""

    CONDITIONS = "conditions"
    SEARCH = "search"
    COUNT = "count"


class Operator(StrEnum):
    """How a condition compares a record's value with its own."""

    EQ = "eq"
    IN = "in"
    GTE = "gte"
    LTE = "lte"
    STARTS_WITH = "startsWith"


@dataclass(frozen=True, slots=True)
class Condition:
    """What the value of `item` must be, by canonical `values`: any number of them for IN, one for the others.

    Texts compare by Unicode code point, case and blanks included. A record whose value is NULL meets no condition. Of a stored
    value that is not of its item's type it is not said which conditions it meets.
    """

    item: str
    operator: Operator
    values: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Order:
    """A place in an order: ascending or descending by canonical values, texts by Unicode code point, NULL last in both."""

    item: str
    descending: bool = False


@dataclass(frozen=True, slots=True)
class FetchRequest:
    """Records of `resource` whose item `key` is one of `keys` (canonical), with the items `columns`, that meet all of `where`.

    `timeout` is in seconds; a connector gives up by itself when it has passed.
    """

    resource: Resource
    key: str
    keys: tuple[str, ...]
    columns: tuple[str, ...]
    timeout: float
    where: tuple[Condition, ...] = ()


@dataclass(frozen=True, slots=True)
class SearchRequest:
    """A page of the records of `resource` that meet all of `where`: the next `first` in `order`, with the items `columns`.

    `order` names all items of the resource's `search.identity`, at its end as a rule, so that no two records share a place. `after` is the cursor of the row
    that the page follows (`Rows.cursors`), None for the first page. Records written meanwhile neither repeat nor hide others.
    A search among certain entities has a condition IN on the resource's key. Records without a key are nobody's, and not found.
    """

    resource: Resource
    columns: tuple[str, ...]
    order: tuple[Order, ...]
    first: int
    timeout: float
    where: tuple[Condition, ...] = ()
    after: tuple[Any, ...] | None = None


@dataclass(frozen=True, slots=True)
class CountRequest:
    """How many records of `resource` a search with these conditions finds in all."""

    resource: Resource
    timeout: float
    where: tuple[Condition, ...] = ()


Request = FetchRequest | SearchRequest | CountRequest


class Row(NamedTuple):
    """One record: its canonical key, its last change at the source, the values of the requested columns in their order.

    NULL is None. A value that does not fit its format is `INVALID`. (A tuple, for batches have tens of thousands of them.)
    """

    key: str
    updated: datetime | None
    values: tuple[Any, ...]


class _Invalid:
    """The type of `INVALID`."""

    def __repr__(self) -> str:
        return "INVALID"


INVALID = _Invalid()
"""Stands for a stored value that is not of its item's type."""


@dataclass(frozen=True, slots=True)
class Rows:
    """What a fetch found.

    Of a look-up, rows of one key are in a fixed order (`in_order`): by last change, then by the requested values. Of a search, rows are in its
    order, and `cursors` has the canonical values of the order's items for each row. Of a count, there is `count` and no row.
    """

    rows: Sequence[Row]
    fetched_at: datetime
    cursors: Sequence[tuple[Any, ...]] = ()
    count: int | None = None


def in_order(rows: Sequence[Row]) -> list[Row]:
    """Rows of a look-up in their order: by last change, then by values; the unknown first, INVALID last."""
    return sorted(rows, key=_place) if len(rows) > 1 else list(rows)


def _place(row: Row) -> tuple[datetime, list[tuple[Any, ...]]]:
    updated = row.updated or _LONG_AGO
    return updated, [(0,) if value is None else (2,) if value is INVALID else (1, value) for value in row.values]


class SourceError(Exception):
    """A source could not answer; the cause is for our log only.

    `code` is SOURCE_UNAVAILABLE, SOURCE_TIMEOUT, SOURCE_CHANGED (a table or column is gone or of another type), SOURCE_REFUSED (it does
    not let us in, or not at this), SOURCE_UNSUPPORTED (it cannot answer this exactly), or SOURCE_VALUE_INVALID (it holds what has no
    place in a search). A `reason` is told to callers;
    SOURCE_UNAVAILABLE without one is a connection that failed, which may be tried again.
    """

    def __init__(self, code: str, reason: Text | None = None) -> None:
        super().__init__(code)
        self.code = code
        self.reason = reason


class Connector(Protocol):
    """One department's source."""

    async def open(self) -> None:
        """Make ready. A source that cannot be reached now is no error here: it may come later."""

    async def close(self) -> None:
        """Give back every connection and thread."""

    async def health(self) -> bool:
        """Whether the source answers at all, asked anew."""

    def capabilities(self) -> frozenset[Capability]:
        """What this source can do beyond look-ups by keys; `fetch` refuses the rest as SOURCE_UNSUPPORTED."""

    async def check(self, resource: Resource) -> tuple[str, ...]:
        """Names of the resource's columns that the source lacks; all of them if the table is gone."""

    async def fetch(self, request: Request) -> Rows:
        """The records asked for, in one statement. SourceError if the source cannot answer, or not exactly."""

    def explain(self, request: Request) -> str:
        """The statement that `fetch` would send, without values; SourceError where it would refuse."""


def require_exact(request: Request, capabilities: frozenset[Capability]) -> None:
    """SourceError SOURCE_UNSUPPORTED unless a source that can do this answers the request exactly. Every connector asks this first."""
    resource = request.resource
    exact = all(_exact(resource, condition) for condition in request.where)
    if request.where:
        exact = exact and Capability.CONDITIONS in capabilities
    if isinstance(request, SearchRequest):
        exact = exact and Capability.SEARCH in capabilities and _is_page(request)
    if isinstance(request, CountRequest):
        exact = exact and Capability.COUNT in capabilities
    if not exact:
        raise SourceError("SOURCE_UNSUPPORTED")


def _exact(resource: Resource, condition: Condition) -> bool:
    """Whether the source's way of writing this item allows the condition."""
    item = resource.items[condition.item]
    if any(isinstance(value, str) and not is_text(value) for value in condition.values):
        return False
    if condition.operator is Operator.STARTS_WITH and not all(isinstance(value, str) for value in condition.values):
        return False
    if condition.operator is Operator.IN:
        return is_searchable(item) and len(condition.values) <= MAX_VALUES
    if len(condition.values) != 1:
        return False
    if condition.operator in (Operator.GTE, Operator.LTE):
        return is_ordered(item) and _distance(item, condition.values[0]) is not None
    return is_searchable(item) if condition.operator is Operator.EQ else is_prefixed(item)


def _distance(item: Item, value: Any) -> int | None:
    """Whether the nearest value that the source can write is less, the same or more; None for what is no value of the type."""
    try:
        return nearest_form(item, value)[1]
    except (ValueError, TypeError, ArithmeticError, AttributeError, OSError):
        return None


def is_text(value: str) -> bool:
    """Whether every source could hold this text: no NUL, no half of a surrogate pair."""
    return _NO_TEXT.search(value) is None


def askable(keys: tuple[str, ...]) -> tuple[str, ...]:
    """Each key once, without those that are no text: they are nobody's."""
    all_of_them = "".join(keys)
    if (all_of_them.isascii() and "\0" not in all_of_them) or is_text(all_of_them):
        return tuple(dict.fromkeys(keys))
    return tuple(key for key in dict.fromkeys(keys) if is_text(key))


def _is_page(request: SearchRequest) -> bool:
    """Whether the order gives each record a place of its own, and the cursor is of this order."""
    search, names = request.resource.search, [order.item for order in request.order]
    if search is None or not names or set(search.identity) - set(names) or len(set(names)) < len(names):
        return False
    items = [request.resource.items[name] for name in names]
    if request.first < 1 or not all(map(is_ordered, items)):
        return False
    after = request.after
    if after is None:
        return True
    return len(after) == len(items) and all(
        value is None or _distance(item, value) == 0 for item, value in zip(items, after, strict=True)
    )
