"""Records of JSON as rows of canonical values: where each column stands in a record, and what becomes of what stands there."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from connectors.contract import INVALID, FetchRequest, Row, SourceError, is_text
from schema.catalogue import Item, ItemType
from schema.formats import decoder
from schema.http import KEY, JsonPath

Read = Callable[[Any], Any]


class Records:
    """Makes rows of the records that were asked for by `forms`: the keys by the ways in which the service may write them."""

    def __init__(self, request: FetchRequest, forms: Mapping[Any, str], omits_null: bool) -> None:
        resource = request.resource
        self._omits_null = omits_null
        self._forms = forms
        self._key = self._reader(resource.items[request.key], forms)
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

    def _reader(self, item: Item, known: Mapping[Any, str] = MappingProxyType({})) -> Read:
        return self._read(item.column, decoder(item.type, item.format, item.values), known)

    def _read(self, column: str, decode: Read, known: Mapping[Any, str] = MappingProxyType({})) -> Read:
        """How a column is read from a record; texts that are `known` need no decoding."""
        steps = JsonPath.parse(column).steps if column != KEY else ()
        name = steps[0] if len(steps) == 1 else None

        def read(record: Any) -> Any:
            value = record[name] if name in record else self._find(record, steps) if steps else self._asked_key()
            if value is None:
                return None
            return known[value] if type(value) is str and value in known else _canonical(value, decode)

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
        if len(self._forms) != 1:
            raise SourceError("SOURCE_CHANGED")
        return next(iter(self._forms))


def _canonical(value: Any, decode: Read) -> Any:
    if isinstance(value, str):
        if not is_text(value):
            return INVALID
    elif isinstance(value, dict | list):
        raise SourceError("SOURCE_CHANGED")
    try:
        return decode(value)
    except (ValueError, TypeError, ArithmeticError, OSError):
        return INVALID


def names_of(columns: Sequence[str]) -> list[str]:
    """The names of a record's members that hold these columns, each once."""
    return list(dict.fromkeys(str(JsonPath.parse(column).steps[0]) for column in columns if column != KEY))
