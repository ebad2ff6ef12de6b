"""Compares the catalogue with a surveyed source: what has changed since it was written. Pure; no value is ever told."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from schema.catalogue import Catalogue, Item, ItemType, Resource
from schema.draft import Column, Table
from schema.formats import Convert, decoder
from schema.problems import did_you_mean

MEANINGS: dict[str, str] = {
    "LIV001": "A source cannot be reached, or refuses.",
    "LIV101": "A table or view is gone.",
    "LIV102": "A column is gone.",
    "LIV103": "Values do not fit the item's format.",
    "LIV104": "Codes are not in the item's code table.",
    "LIV105": "A to-one resource has several records of one key.",
    "LIV201": "A column is not in the catalogue.",
    "LIV202": "A delivery is refused.",
}
"""Code -> meaning. Those from LIV201 on are for information."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One difference: its code, where in the catalogue, what."""

    code: str
    place: str
    message: str

    @property
    def breaks(self) -> bool:
        """Whether the catalogue promises what the source does not hold."""
        return self.code < "LIV200"

    def __str__(self) -> str:
        return f"{self.code} {self.place} {self.message}"


def differences(resource: Resource, table: Table | None, catalogue: Catalogue) -> list[Difference]:
    """What of this resource differs from its table as it was surveyed; None for a table that is not there."""
    if table is None:
        return [Difference("LIV101", resource.name, f"the table {resource.table} is gone")]
    columns = {column.name: column for column in table.columns}
    found = [*_updated(resource, columns)]
    for item in resource.items.values():
        if column := columns.get(item.column):
            found += _values(resource, item, column, catalogue)
        else:
            found.append(_gone(f"{resource.name}.{item.name}", item.column, columns))
    found += _doubled(resource, columns)
    known = {resource.updated, *(item.column for item in resource.items.values())}
    found += [
        Difference("LIV201", resource.name, f"the column {name} is not in the catalogue")
        for name in columns
        if name not in known
    ]
    return found


def lost(resource: Resource, columns: Sequence[str]) -> list[Difference]:
    """What of this resource is gone, where its source tells no more than the columns that it lacks."""
    places = {item.column: f"{resource.name}.{item.name}" for item in resource.items.values()}
    if places.keys() <= set(columns) and resource.table:
        return [Difference("LIV101", resource.name, f"the table {resource.table} is gone")]
    return [_gone(places.get(column, f"{resource.name} (source.updated)"), column, {}) for column in columns]


def _gone(place: str, column: str, columns: dict[str, Column]) -> Difference:
    hint = did_you_mean(column, columns)
    return Difference("LIV102", place, f"the column {column} is gone" + (f" - {hint}" if hint else ""))


def _updated(resource: Resource, columns: dict[str, Column]) -> Iterator[Difference]:
    if not resource.updated:
        return
    place = f"{resource.name} (source.updated)"
    if resource.updated not in columns:
        yield _gone(place, resource.updated, columns)
        return
    decode = decoder(ItemType.DATETIME, resource.updated_format, {})
    yield from _unfit(place, columns[resource.updated], decode, resource.updated_format)


def _values(resource: Resource, item: Item, column: Column, catalogue: Catalogue) -> Iterator[Difference]:
    place = f"{resource.name}.{item.name}"
    decode = decoder(item.type, item.format, item.values)
    yield from _unfit(place, column, decode, f"{item.type}, {item.format}")
    if item.type is ItemType.CODE:
        known = {value.code for value in catalogue.codes[item.codes or ""].values}
        strange = sum(
            code is not None and code not in known for code in (_code(decode, value) for value in column.values)
        )
        if strange:
            yield Difference(
                "LIV104", place, f"{strange} of {len(column.values)} sampled values are no codes of {item.codes}"
            )


def _code(decode: Convert, value: object) -> str | None:
    try:
        return str(decode(value))
    except (ValueError, TypeError):
        return None


def _unfit(place: str, column: Column, decode: Convert, form: str) -> Iterator[Difference]:
    wrong = 0
    for value in column.values:
        try:
            decode(value)
        except (ValueError, TypeError, OverflowError):
            wrong += 1
    if wrong:
        message = f"{wrong} of {len(column.values)} sampled values of {column.name} ({column.kind}) do not fit {form}"
        yield Difference("LIV103", place, message)


def _doubled(resource: Resource, columns: dict[str, Column]) -> Iterator[Difference]:
    key = columns.get(resource.items[resource.key].column) if resource.key else None
    if resource.many or key is None:
        return
    doubled = sum(count > 1 for count in Counter(key.values).values())
    if doubled:
        yield Difference(
            "LIV105", f"{resource.name}.{resource.key}", f"{doubled} keys have several records in the sample"
        )
