"""The SELECTs of the kind `sql`: each written once by SQLAlchemy Core, by its shape and never by values, with the decoders of its rows."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from functools import partial
from typing import Any

import sqlalchemy as sa

from connectors import clauses
from connectors.clauses import Shape, Values
from connectors.contract import INVALID, Order, Row, SourceError
from schema.catalogue import Item, ItemType, Resource
from schema.formats import Convert, decoder, forms_of_keys


@dataclass(frozen=True, slots=True)
class Select:
    """One SELECT and the names of its parameters in their places, None where the driver takes them by name. ValueError for anything else.

    Sources are sent nothing but these. `brief`: it is a look-up by keys, that reads a few records by an index. `wide` is the same
    without indexes, for parameters that a column's encoding cannot write and that a server would not compare with it.
    """

    text: str
    names: tuple[str, ...] | None
    brief: bool = False
    wide: str = ""

    def __post_init__(self) -> None:
        for text in (self.text, self.wide or self.text):
            rest = _QUOTED.sub("x", text)
            if not rest.startswith("SELECT ") or _NOT_ONE_SELECT.search(rest):
                raise ValueError("a source is asked by one SELECT and nothing else")


_QUOTED = re.compile(r'"(?:[^"]|"")*"|`(?:[^`]|``)*`|\[(?:[^\]]|\]\])*\]|\'(?:[^\']|\'\')*\'')
_NOT_ONE_SELECT = re.compile(
    r"[;\"`']|--|/\*|#|\b(INSERT|UPDATE|DELETE|MERGE|INTO|CALL|EXEC|FOR|LOCK|WITH|UNION)\b", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class Writing:
    """How statements are written: in a dialect, and in the terms by which its server compares (`clauses`)."""

    dialect: sa.Dialect
    terms: str
    wide: bool = False

    @property
    def infers(self) -> bool:
        """Whether the server finds the types of bare parameters by itself, and takes keys as one array."""
        return self.dialect.driver in ("asyncpg", "duckdb")

    @property
    def bare(self) -> sa.types.TypeEngine[Any]:
        """The type of a parameter that is compared with a column as it is."""
        return sa.types.NullType() if self.infers else sa.String()

    def indexed(self, column: sa.ColumnClause[Any]) -> sa.ColumnElement[Any]:
        """A column as it is compared where an index can serve."""
        return sa.cast(column, sa.Text) if self.wide else column


class _Text:
    """A statement's text, and how the driver takes its parameters."""

    def __init__(self, write: Callable[[Writing], sa.Select[Any]], writing: Writing, *, brief: bool = False) -> None:
        written = write(writing).compile(dialect=writing.dialect)
        wide = writing.terms == "mariadb" and str(write(replace(writing, wide=True)).compile(dialect=writing.dialect))
        names = tuple(written.positiontup or ()) if written.positional else None
        self.select = Select(str(written), names, brief, wide or "")
        self._constants = {name: value for name, value in written.params.items() if value is not None}

    def bound(self, values: Values) -> tuple[Select, Any]:
        """The statement and its parameters, from their names and values."""
        given = self._constants | values
        names = self.select.names
        return self.select, given if names is None else [given[name] for name in names]


def _table(resource: Resource, items: Iterable[Item]) -> sa.TableClause:
    """The resource's table with the columns of these items and of the last change.

    Columns are qualified by their table: SQLite reads an unknown quoted name as a text.
    """
    schema, _, name = (resource.table or "").rpartition(".")
    columns = dict.fromkeys([*(item.column for item in items), *filter(None, [resource.updated])])
    return sa.table(name, *(sa.column(column) for column in columns), schema=schema or None)


def _conditions(
    resource: Resource, where: Sequence[Shape], table: sa.TableClause, writing: Writing
) -> list[sa.ColumnElement[bool]]:
    items = [resource.items[shape.item] for shape in where]
    return [
        clauses.condition(shape, f"w{number}", item, table.c[item.column], writing)
        for number, (shape, item) in enumerate(zip(where, items, strict=True))
    ]


class _Selection:
    """The columns that a statement selects - key, last change, items - and the decoders of its rows."""

    def __init__(
        self, resource: Resource, key: str, columns: Sequence[str], further: Iterable[str], writing: Writing
    ) -> None:
        self._writing = writing
        self.resource = resource
        self._key_item = resource.items[key]
        self._items = [resource.items[name] for name in columns]
        self._table = _table(resource, [self._key_item, *self._items, *(resource.items[name] for name in further)])
        selected = [self._key_item.column, *filter(None, [resource.updated]), *(i.column for i in self._items)]
        self._selected = [self._table.c[column].label(f"c{n}") for n, column in enumerate(selected)]
        self._columns = [_Column(item) for item in self._items]
        self._key = _Column(self._key_item)
        self._updated = decoder(ItemType.DATETIME, resource.updated_format, {}) if resource.updated else None

    def decode(self, forms: Mapping[Any, str] | None, raw: Sequence[Any]) -> list[Row]:
        """The driver's rows as `Row`s of canonical values; of a look-up those alone whose key was asked for in one of these `forms`.

        Column by column: what a column's driver returns is of few types, and often canonical already.
        """
        if not raw:
            return []
        keys, *columns = zip(*raw, strict=True)
        found: list[Any] = list(map(forms.get, keys)) if forms else [None] * len(keys)
        asked = None not in found
        if not asked:  # a number for a text, or A for a: databases compare so
            found = [self._key.convert(form) if key is None else key for form, key in zip(keys, found, strict=True)]
        updated = self._moments(self._updated, columns.pop(0)) if self._updated else [None] * len(found)
        values = [
            found if asked and item is self._key_item else column.decode(cells)
            for item, column, cells in zip(self._items, self._columns, columns, strict=True)
        ]
        rows = zip(found, updated, zip(*values, strict=True) if values else [()] * len(found), strict=True)
        if asked or forms is None:
            return list(map(_ROW, rows))
        known = frozenset(forms.values())
        return [row for row in map(_ROW, rows) if row.key in known]

    @staticmethod
    def _moments(convert: Convert, cells: Sequence[Any]) -> list[datetime | None]:
        """When records were changed; the unknown and the unreadable are None."""
        moments = _converted(convert, cells)
        return [None if moment is INVALID else moment for moment in moments] if INVALID in moments else moments


_ROW: Callable[[tuple[str, datetime | None, tuple[Any, ...]]], Row] = partial(tuple.__new__, Row)
"""A `Row` of a tuple, as `Row._make` is, but for the call of a function in Python."""

_CANONICAL: dict[tuple[ItemType, str], type] = {
    (ItemType.STRING, "text"): str,
    (ItemType.CODE, "text"): str,
    (ItemType.INT, "int"): int,
    (ItemType.DATE, "iso"): date,
    (ItemType.IMAGE, "bytes"): bytes,
}
"""Formats that leave a driver's value of this very type as it is."""


class _Column:
    """How the cells of an item's column become canonical values."""

    def __init__(self, item: Item) -> None:
        self._decode = decoder(item.type, item.format, item.values)
        canonical = None if item.values else _CANONICAL.get((item.type, item.format))
        self._as_they_are = {type(None), canonical} if canonical else {type(None)}

    def decode(self, cells: Sequence[Any]) -> Sequence[Any]:
        """The values of a whole column; None for NULL."""
        if set(map(type, cells)) <= self._as_they_are:
            return cells
        return _converted(self._decode, cells)

    def convert(self, cell: Any) -> Any:
        """One value, INVALID where it is none of the item's type."""
        return _convert(self._decode, cell)


class LookUp(_Selection):
    """One SELECT for look-ups by keys, for every number of keys: as one array, or rounded up to a power of two.

    It finds the records of the keys at least: a database may take `A` and `a ` for `a`. Its rows are in no order.
    """

    def __init__(
        self, resource: Resource, key: str, columns: tuple[str, ...], where: tuple[Shape, ...], writing: Writing
    ) -> None:
        super().__init__(resource, key, columns, (shape.item for shape in where), writing)
        self.several = resource.many or key != resource.key
        self._where = where
        self._texts: dict[int, tuple[_Text, list[int] | None]] = {}

    def forms(self, keys: tuple[str, ...]) -> dict[Any, str]:
        """Every form in which the source may write these keys, with the key that it writes."""
        return forms_of_keys(self._key_item.type, self._key_item.format, keys)

    def bound(self, forms: Iterable[Any], values: Values | None = None) -> tuple[Select, Any]:
        """The statement for these forms of keys, and its parameters as the driver takes them, `values` of the conditions among them.

        Where keys are no array the last form fills up to the next power of two, so that few texts serve every number of keys.
        """
        wanted = list(forms)
        size = 0 if self._writing.infers else 1 << max(0, len(wanted) - 1).bit_length()
        if size not in self._texts:
            self._texts[size] = self._write(size)
        text, positions = self._texts[size]
        if not size:
            return text.bound({"keys": wanted} | (values or {}))
        wanted += [wanted[-1]] * (size - len(wanted))
        if positions is not None:
            return text.select, [wanted[position] for position in positions]
        return text.bound({f"k{n}": form for n, form in enumerate(wanted)} | (values or {}))

    def _write(self, size: int) -> tuple[_Text, list[int] | None]:
        """The text, and of which key each parameter is, where there are no others and the driver takes them by place."""
        keys = [sa.bindparam(f"k{n}", type_=sa.String) for n in range(size)]
        array = sa.func.any(sa.bindparam("keys", type_=sa.types.NullType()))

        def written(writing: Writing) -> sa.Select[Any]:
            key = writing.indexed(self._table.c[self._key_item.column])
            return sa.select(*self._selected).where(
                key.in_(keys) if size else key == array,
                *_conditions(self.resource, self._where, self._table, writing),
            )

        text = _Text(written, self._writing, brief=True)
        named = self._where or text.select.names is None or not size
        return text, None if named else [int(name[1:]) for name in text.select.names or ()]


class Page(_Selection):
    """One SELECT for pages of a search: its first page, or those after a cursor with NULL where `empty` says so."""

    def __init__(
        self,
        resource: Resource,
        columns: tuple[str, ...],
        order: tuple[Order, ...],
        where: tuple[Shape, ...],
        empty: tuple[bool, ...] | None,
        writing: Writing,
    ) -> None:
        names = [one.item for one in order]
        fetched = list(dict.fromkeys([*columns, *names]))
        super().__init__(resource, resource.key or "", fetched, (shape.item for shape in where), writing)
        self._places = [fetched.index(name) for name in names]
        self._width = len(columns)
        self._ordered = [resource.items[name] for name in names]
        table = self._table.c
        further = [] if empty is None else [clauses.beyond(order, resource.items, self._table, empty, writing.terms)]
        sorting = [
            term
            for one, item in zip(order, self._ordered, strict=True)
            for term in clauses.order_by(one, item, table[item.column], writing.terms)
        ]
        first = sa.bindparam("first", type_=sa.Integer)

        def written(writing: Writing) -> sa.Select[Any]:
            conditions = _conditions(resource, where, self._table, writing)
            found = sa.select(*self._selected).where(table[self._key_item.column].is_not(None), *conditions, *further)
            return found.order_by(*sorting).limit(first)

        self._text = _Text(written, writing)

    def bound(self, first: int, after: tuple[Any, ...] | None, values: Values) -> tuple[Select, Any]:
        """The statement and its parameters for `first` rows after the cursor `after`."""
        place = clauses.cursor(self._ordered, after, self._writing.terms) if after is not None else {}
        return self._text.bound({"first": first, **place, **values})

    @property
    def text(self) -> str:
        return self._text.select.text

    def decode_page(self, raw: Sequence[Any]) -> tuple[list[Row], list[tuple[Any, ...]]]:
        """The rows and their cursors; SourceError if one is of no key or has no place in the order."""
        found = self.decode(None, raw)
        cursors = [tuple(row.values[place] for place in self._places) for row in found]
        if any(INVALID in (row.key, *cursor) for row, cursor in zip(found, cursors, strict=True)):
            raise SourceError("SOURCE_VALUE_INVALID")
        return [row._replace(values=row.values[: self._width]) for row in found], cursors


class Count:
    """One SELECT that counts the records that meet conditions."""

    def __init__(self, resource: Resource, where: tuple[Shape, ...], writing: Writing) -> None:
        self.resource = resource
        key = resource.items[resource.key or ""]
        table = _table(resource, [key, *(resource.items[shape.item] for shape in where)])

        def written(writing: Writing) -> sa.Select[Any]:
            counted = sa.select(sa.func.count()).select_from(table).where(table.c[key.column].is_not(None))
            return counted.where(*_conditions(resource, where, table, writing))

        self._text = _Text(written, writing)

    def bound(self, values: Values) -> tuple[Select, Any]:
        """The statement and its parameters."""
        return self._text.bound(values)

    @property
    def text(self) -> str:
        return self._text.select.text


def columns_of(resource: Resource, columns: Iterable[str], dialect: sa.Dialect) -> Select:
    """A SELECT of these columns that reads no record: it fails where one of them is not there."""
    schema, _, name = (resource.table or "").rpartition(".")
    table = sa.table(name, *map(sa.column, columns), schema=schema or None)
    selected = sa.select(*(column.label(f"c{n}") for n, column in enumerate(table.c)))
    nothing = sa.literal_column("1") == sa.literal_column("0")
    return Select(str(selected.where(nothing).compile(dialect=dialect)), ())


_NOT_OF_ITS_TYPE = (ValueError, TypeError, ArithmeticError, OSError)


def _converted(convert: Convert, cells: Sequence[Any]) -> list[Any]:
    """The values of a column, None for NULL, INVALID for what is none of its type: as a rule nothing is."""
    try:
        return [None if cell is None else convert(cell) for cell in cells]
    except _NOT_OF_ITS_TYPE:
        return [None if cell is None else _convert(convert, cell) for cell in cells]


def _convert(convert: Convert, value: Any) -> Any:
    try:
        return convert(value)
    except _NOT_OF_ITS_TYPE:
        return INVALID
