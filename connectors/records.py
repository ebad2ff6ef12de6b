"""Records of JSON as rows of canonical values: where each column stands in a record, and what becomes of what stands there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from connectors.contract import INVALID, FetchRequest, Row, SourceError, is_text
from schema.catalogue import Item, ItemType
from schema.formats import decoder
from schema.http import KEY, JsonPath

Read = Callable[[Any], Any]


class Records:
    """Makes rows of a request's records. `asked`: the only key that was asked for, where there is one."""

    def __init__(self, request: FetchRequest, omits_null: bool, asked: Any = None) -> None:
        resource = request.resource
        self._omits_null = omits_null
        self._asked = asked
        self._key = self._reader(resource.items[request.key])
        self._values = [self._reader(resource.items[name]) for name in request.columns]
        self._updated = (
            self._read(resource.updated, decoder(ItemType.DATETIME, resource.updated_format, {}))
            if resource.updated
            else None
        )

    def row(self, record: Any) -> Row | None:
        """A record's row, None for a record of nobody; SourceError where a column is lost, or holds a list or an object."""
        if not isinstance(record, dict):
            raise SourceError("SOURCE_CHANGED")
        key, updated = self._key(record), self._updated(record) if self._updated else None
        values = tuple(read(record) for read in self._values)
        if key is None or key is INVALID:
            return None
        return Row(key, None if updated is INVALID else updated, values)

    def _reader(self, item: Item) -> Read:
        return self._read(item.column, decoder(item.type, item.format, item.values))

    def _read(self, column: str, decode: Read) -> Read:
        """How a column is read from a record."""
        steps = JsonPath.parse(column).steps if column != KEY else ()

        def read(record: Any) -> Any:
            value = self._find(record, steps) if steps else self._asked_key()
            return None if value is None else _canonical(value, decode)

        return read

    def _find(self, record: Any, steps: Sequence[str | int | None]) -> Any:
        """The value at a place of a record. Null has nothing in it but null."""
        value = record
        for step in steps:
            if value is None:
                return None
            if isinstance(step, str) and isinstance(value, dict):
                there = step in value
            else:
                there = isinstance(step, int) and isinstance(value, list) and step < len(value)
                if not isinstance(value, list) or not isinstance(step, int):
                    raise SourceError("SOURCE_CHANGED")
            if not there:
                if self._omits_null:
                    return None
                raise SourceError("SOURCE_CHANGED")
            value = value[step]
        return value

    def _asked_key(self) -> Any:
        if self._asked is None:
            raise SourceError("SOURCE_CHANGED")
        return self._asked


def _canonical(value: Any, decode: Read) -> Any:
    if isinstance(value, dict | list):
        raise SourceError("SOURCE_CHANGED")
    if isinstance(value, str) and not is_text(value):
        return INVALID
    try:
        return decode(value)
    except (ValueError, TypeError, ArithmeticError, OSError):
        return INVALID


def names_of(columns: Sequence[str]) -> list[str]:
    """The names of a record's members that hold these columns, each once."""
    return list(dict.fromkeys(str(JsonPath.parse(column).steps[0]) for column in columns if column != KEY))
