"""The SELECTs of the kind `sql`: each written once by SQLAlchemy Core, by its shape and never by values, with the decoders of its rows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from connectors import clauses
from connectors.clauses import Shape, Values
from connectors.contract import INVALID, Order, Row, SourceError
from schema.catalogue import Item, ItemType, Resource
from schema.formats import Convert, decoder, key_forms, str_of


class _Text:
    """A statement's text, and how the driver takes its parameters."""

    def __init__(self, statement: sa.Select[Any], dialect: sa.Dialect) -> None:
        written = statement.compile(dialect=dialect)
        self.text = str(written)
        self.names = written.positiontup if written.positional else None
        self._constants = {name: value for name, value in written.params.items() if value is not None}

    def bound(self, values: Values) -> tuple[str, Any]:
        """The text and its parameters, from their names and values."""
        given = self._constants | values
        return self.text, given if self.names is None else [given[name] for name in self.names]


def _table(resource: Resource, items: Iterable[Item]) -> sa.TableClause:
    """The resource's table with the columns of these items and of the last change.

    Columns are qualified by their table: SQLite reads an unknown quoted name as a text.
    """
    schema, _, name = (resource.table or "").rpartition(".")
    columns = dict.fromkeys([*(item.column for item in items), *filter(None, [resource.updated])])
    return sa.table(name, *(sa.column(column) for column in columns), schema=schema or None)


def _conditions(
    resource: Resource, where: Sequence[Shape], table: sa.TableClause, dialect: sa.Dialect
) -> list[sa.ColumnElement[bool]]:
    items = [resource.items[shape.item] for shape in where]
    return [
        clauses.condition(shape, f"w{number}", item, table.c[item.column], dialect.name)
        for number, (shape, item) in enumerate(zip(where, items, strict=True))
    ]


class _Selection:
    """The columns that a statement selects - key, last change, items - and the decoders of its rows."""

    def __init__(
        self, resource: Resource, key: str, columns: Sequence[str], further: Iterable[str], dialect: sa.Dialect
    ) -> None:
        self._dialect = dialect
        self.resource = resource
        self._key_item = resource.items[key]
        self._items = [resource.items[name] for name in columns]
        self._table = _table(resource, [self._key_item, *self._items, *(resource.items[name] for name in further)])
        selected = [self._key_item.column, *filter(None, [resource.updated]), *(i.column for i in self._items)]
        self._selected = [self._table.c[column].label(f"c{n}") for n, column in enumerate(selected)]
        self._plain = [n for n, item in enumerate(self._items) if _is_plain(item)]
        self._decoders = [(n, _decoder(item)) for n, item in enumerate(self._items) if not _is_plain(item)]
        self._key = _decoder(self._key_item)
        self._updated = decoder(ItemType.DATETIME, resource.updated_format, {}) if resource.updated else None

    def decode(self, forms: Mapping[Any, str], raw: Any) -> Row:
        """A row of the driver as a `Row` of canonical values; `forms` are those asked for."""
        updated, start = None, 1
        if self._updated:
            start = 2
            if raw[1] is not None:
                moment = _convert(self._updated, raw[1])
                updated = None if moment is INVALID else moment
        values = list(raw[start:])
        for index in self._plain:
            if type(values[index]) is not str and values[index] is not None:
                values[index] = _convert(str_of, values[index])
        for index, decode in self._decoders:
            if values[index] is not None:
                values[index] = _convert(decode, values[index])
        key = forms.get(raw[0])
        return Row(_convert(self._key, raw[0]) if key is None else key, updated, tuple(values))


class LookUp(_Selection):
    """One SELECT for look-ups by keys, for every number of keys (rounded up to a power of two)."""

    def __init__(
        self, resource: Resource, key: str, columns: tuple[str, ...], where: tuple[Shape, ...], dialect: sa.Dialect
    ) -> None:
        super().__init__(resource, key, columns, (shape.item for shape in where), dialect)
        self._where = where
        self._order = self._ordering()
        self._texts: dict[int, tuple[_Text, list[int] | None]] = {}

    def _ordering(self) -> list[sa.ColumnElement[Any]]:
        if not self.resource.many and self._key_item.name == self.resource.key:
            return []
        updated = [self.resource.updated] if self.resource.updated else []
        return [
            self._table.c[column]
            for column in dict.fromkeys([*updated, *(i.column for i in self._items if i.type is not ItemType.IMAGE)])
        ]

    def forms(self, keys: tuple[str, ...]) -> dict[Any, str]:
        """Every form in which the source may write these keys, with the key that it writes."""
        item = self._key_item
        return {form: key for key in keys for form in key_forms(item.type, item.format, key)}

    def bound(self, forms: Iterable[Any], values: Values | None = None) -> tuple[str, Any]:
        """The text for these forms of keys, and its parameters as the driver takes them, `values` of the conditions among them.

        The last form fills up to the next power of two, so that few texts serve every number of keys.
        """
        wanted = list(forms)
        size = 1 << max(0, len(wanted) - 1).bit_length()
        if size not in self._texts:
            self._texts[size] = self._write(size)
        text, positions = self._texts[size]
        wanted += [wanted[-1]] * (size - len(wanted))
        if positions is not None:
            return text.text, [wanted[position] for position in positions]
        return text.bound({f"k{n}": form for n, form in enumerate(wanted)} | (values or {}))

    def _write(self, size: int) -> tuple[_Text, list[int] | None]:
        """The text, and of which key each parameter is, where there are no others and the driver takes them by place."""
        keys = [sa.bindparam(f"k{n}", type_=sa.String) for n in range(size)]
        selected = sa.select(*self._selected).where(
            self._table.c[self._key_item.column].in_(keys),
            *_conditions(self.resource, self._where, self._table, self._dialect),
        )
        text = _Text(selected.order_by(*self._order), self._dialect)
        return text, None if self._where or text.names is None else [int(name[1:]) for name in text.names]


class Page(_Selection):
    """One SELECT for pages of a search: its first page, or those after a cursor with NULL where `empty` says so."""

    def __init__(
        self,
        resource: Resource,
        columns: tuple[str, ...],
        order: tuple[Order, ...],
        where: tuple[Shape, ...],
        empty: tuple[bool, ...] | None,
        dialect: sa.Dialect,
    ) -> None:
        names = [one.item for one in order]
        fetched = list(dict.fromkeys([*columns, *names]))
        super().__init__(resource, resource.key or "", fetched, (shape.item for shape in where), dialect)
        self._places = [fetched.index(name) for name in names]
        self._width = len(columns)
        self._ordered = [resource.items[name] for name in names]
        table = self._table.c
        conditions = [table[self._key_item.column].is_not(None), *_conditions(resource, where, self._table, dialect)]
        if empty is not None:
            conditions.append(clauses.beyond(order, resource.items, self._table, empty, dialect.name))
        sorting = [
            term
            for one, item in zip(order, self._ordered, strict=True)
            for term in clauses.order_by(one, item, table[item.column], dialect.name)
        ]
        first = sa.bindparam("first", type_=sa.Integer)
        self._text = _Text(sa.select(*self._selected).where(*conditions).order_by(*sorting).limit(first), dialect)

    def bound(self, first: int, after: tuple[Any, ...] | None, values: Values) -> tuple[str, Any]:
        """The text and its parameters for `first` rows after the cursor `after`."""
        place = clauses.cursor(self._ordered, after) if after is not None else {}
        return self._text.bound({"first": first, **place, **values})

    @property
    def text(self) -> str:
        return self._text.text

    def decode_page(self, raw: Sequence[Any]) -> tuple[list[Row], list[tuple[Any, ...]]]:
        """The rows and their cursors; SourceError if one is of no key or has no place in the order."""
        rows, cursors = [], []
        for one in raw:
            row = self.decode({}, one)
            cursor = tuple(row.values[place] for place in self._places)
            if INVALID in (row.key, *cursor):
                raise SourceError("SOURCE_VALUE_INVALID")
            rows.append(Row(row.key, row.updated, row.values[: self._width]))
            cursors.append(cursor)
        return rows, cursors


class Count:
    """One SELECT that counts the records that meet conditions."""

    def __init__(self, resource: Resource, where: tuple[Shape, ...], dialect: sa.Dialect) -> None:
        self.resource = resource
        key = resource.items[resource.key or ""]
        table = _table(resource, [key, *(resource.items[shape.item] for shape in where)])
        conditions = [table.c[key.column].is_not(None), *_conditions(resource, where, table, dialect)]
        self._text = _Text(sa.select(sa.func.count()).select_from(table).where(*conditions), dialect)

    def bound(self, values: Values) -> tuple[str, Any]:
        """The text and its parameters."""
        return self._text.bound(values)

    @property
    def text(self) -> str:
        return self._text.text


def _is_plain(item: Item) -> bool:
    """Whether a text of the driver is the item's value already."""
    return item.type in (ItemType.STRING, ItemType.CODE) and item.format == "text" and not item.values


def _decoder(item: Item) -> Convert:
    return decoder(item.type, item.format, item.values)


def _convert(convert: Convert, value: Any) -> Any:
    try:
        return convert(value)
    except (ValueError, TypeError, ArithmeticError, OSError):
        return INVALID
