"""Conditions and orders in SQL: written so that every database compares as the contract says, whatever its collations and types.

The text of a clause depends on its `Shape` alone; values travel as parameters. Where an index can serve, a condition is written twice:
once in the column's own terms, which finds at least the right records, and once exactly.
"""

from __future__ import annotations

import operator
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import sqlalchemy as sa

from connectors.contract import Condition, Operator, Order
from schema.catalogue import Item, ItemType
from schema.formats import forms_of, nearest_form

COLLATIONS = {
    "sqlite": "BINARY",
    "postgresql": "C",
    "postgresql-bytes": "",
    "mariadb": "utf8mb4_nopad_bin",
    "duckdb": "C",
}
"""The collation by code point, without padding, of each dialect that conditions and orders can be written for.

A PostgreSQL server that writes EUC_CN has none: there texts compare by the bytes that they have in UTF-8.
"""

_NUMBERS = frozenset({"int", "cents", "01", "epoch"})
_IDENTIFIERS = frozenset({ItemType.ID_NUMBER, ItemType.CREDIT_CODE, ItemType.UNIT_NUMBER, ItemType.COMPONENT_CODE})
_MOST, _LEAST = 2**63 - 1, -(2**63)
_BLANKS = "".join(chr(point) for point in range(0x3001) if chr(point).isspace())
"""What Python takes for a blank, as the decoder of `trim` does; a database's own TRIM knows the space only."""

_BLANKS_OF_EUC = "".join(blank for blank in _BLANKS if blank.isascii() or blank == "\u3000")

_SIZES = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}

Values = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Shape:
    """All that the text of a condition depends on: its comparison, and how many parameters it takes."""

    item: str
    comparison: str
    near: int = 0
    exact: int = 1


def shape_of(item: Item, condition: Condition, name: str, dialect: str) -> tuple[Shape, Values]:
    """The shape of a condition that `require_exact` lets pass, and its parameters, their names beginning with `name`."""
    if condition.operator in (Operator.EQ, Operator.IN):
        return _among(item, condition.values, name, dialect)
    if condition.operator is Operator.STARTS_WITH:
        prefix = condition.values[0]
        return Shape(item.name, "prefix"), {f"{name}_0": _sent(prefix, dialect), f"{name}_length": len(prefix)}
    form, sign = _nearest(item, condition.values[0])
    less = condition.operator is Operator.LTE
    strictly = sign > 0 if less else sign < 0
    return Shape(item.name, ("<" if less else ">") + ("" if strictly else "=")), {f"{name}_0": _sent(form, dialect)}


def _among(item: Item, values: Sequence[Any], name: str, dialect: str) -> tuple[Shape, Values]:
    forms = list(dict.fromkeys(form for value in values for form in forms_of(item, value)))
    if item.format in _NUMBERS:
        forms = [int(form) for form in forms if _LEAST <= form <= _MOST]
    near = forms if _is_indexed(item) else []
    if dialect == "sqlite":  # a column without a type may hold 42 for the text "42"
        near = near + [int(form) for form in near if _is_number(form)]
    exact = [_sent(form, dialect) for form in forms]
    parameters = _padded(f"{name}_", exact) | _padded(f"{name}_near_", near)
    return Shape(item.name, "in", _size(near), _size(forms)), parameters


def _sent(form: Any, dialect: str) -> Any:
    """A form as it is compared exactly: in bytes where the dialect has no order by code point."""
    return form.encode() if dialect == "postgresql-bytes" and isinstance(form, str) else form


def _is_indexed(item: Item) -> bool:
    """Whether the column, compared as it is, finds at least the records with these forms: it is a text and the forms are texts."""
    return item.type in _IDENTIFIERS or (item.type in (ItemType.STRING, ItemType.CODE) and item.format == "text")


def _is_number(text: str) -> bool:
    return len(text) < 20 and text.isascii() and text.removeprefix("-").isdigit() and _LEAST <= int(text) <= _MOST


def _size(forms: Sequence[Any]) -> int:
    """The next power of two, so that few texts serve every number of values; 0 for none."""
    return 1 << (len(forms) - 1).bit_length() if forms else 0


def _padded(name: str, forms: Sequence[Any]) -> Values:
    return {f"{name}{n}": forms[min(n, len(forms) - 1)] for n in range(_size(forms))}


def _nearest(item: Item, value: Any) -> tuple[Any, int]:
    """The form to compare with by size, in the terms of `comparable`, and whether it means less or more than `value`."""
    form, sign = nearest_form(item, value)
    if item.format in _NUMBERS:
        fitting = max(_LEAST, min(_MOST, int(form)))
        return fitting, (fitting > form) - (fitting < form) or sign
    return (value[:17] if item.type is ItemType.ID_NUMBER else form), sign


class Writing(Protocol):
    """How a column that an index can serve is compared, and with parameters of which type (`statements.Writing`)."""

    @property
    def terms(self) -> str: ...
    @property
    def bare(self) -> sa.types.TypeEngine[Any]: ...
    def indexed(self, column: sa.ColumnClause[Any]) -> sa.ColumnElement[Any]: ...


def condition(
    shape: Shape, name: str, item: Item, column: sa.ColumnClause[Any], writing: Writing
) -> sa.ColumnElement[bool]:
    """The condition of this shape as SQL."""
    dialect = writing.terms
    if shape.comparison == "in":
        if not shape.exact:
            return sa.false()
        exact = _stored(item, column, dialect).in_(_parameters(f"{name}_", shape.exact, item, dialect))
        near = [sa.bindparam(f"{name}_near_{n}", type_=writing.bare) for n in range(shape.near)]
        return sa.and_(writing.indexed(column).in_(near), exact) if near else exact
    if shape.comparison == "prefix":
        start = sa.func.substr(
            _text(item, column, dialect), sa.literal_column("1"), sa.bindparam(f"{name}_length", type_=sa.Integer)
        )
        return _by_code_point(start, dialect) == sa.bindparam(f"{name}_0", type_=_type(item, dialect))
    (value,) = _parameters(f"{name}_", 1, item, dialect)
    found: sa.ColumnElement[bool] = _SIZES[shape.comparison](comparable(item, column, dialect), value)
    return found


def _parameters(name: str, count: int, item: Item, dialect: str) -> list[sa.BindParameter[Any]]:
    return [sa.bindparam(f"{name}{n}", type_=_type(item, dialect)) for n in range(count)]


def _type(item: Item, dialect: str) -> sa.types.TypeEngine[Any]:
    """The type of what is compared exactly."""
    if item.format in _NUMBERS:
        return sa.BigInteger()
    return sa.LargeBinary() if dialect == "postgresql-bytes" else sa.String()


def _by_code_point(text: sa.ColumnElement[Any], dialect: str) -> sa.ColumnElement[Any]:
    if dialect == "postgresql-bytes":
        return sa.func.convert_to(text, sa.literal_column("'UTF8'"), type_=sa.LargeBinary)
    return sa.collate(text, COLLATIONS[dialect])


def _text(item: Item, column: sa.ColumnClause[Any], dialect: str) -> sa.ColumnElement[Any]:
    text: sa.ColumnElement[Any] = sa.cast(column, sa.Text)
    if item.format != "trim":
        return text
    if dialect == "mariadb":  # its RTRIM takes no characters
        return sa.func.regexp_replace(
            text, sa.bindparam("blanks", f"[{_BLANKS}]+$", type_=sa.String), sa.literal_column("''")
        )
    blanks = _BLANKS_OF_EUC if dialect == "postgresql-bytes" else _BLANKS
    return sa.func.rtrim(text, sa.bindparam("blanks", blanks, type_=sa.String))


def _stored(item: Item, column: sa.ColumnClause[Any], dialect: str) -> sa.ColumnElement[Any]:
    """The column's value in a form of the item's format: a number, or a text that compares by code point."""
    if item.format in _NUMBERS:
        return sa.cast(column, sa.Integer if item.type is ItemType.BOOLEAN else sa.BigInteger)
    return _by_code_point(_text(item, column, dialect), dialect)


def comparable(item: Item, column: sa.ColumnClause[Any], dialect: str) -> sa.ColumnElement[Any]:
    """An expression with the order of the canonical values; NULL where the column is."""
    if item.type is not ItemType.ID_NUMBER:
        return _stored(item, column, dialect)
    text = sa.func.trim(sa.cast(column, sa.Text))
    legacy = _part(text, "1", "6").concat(sa.literal_column("'19'", sa.Text)).concat(_part(text, "7", "9"))
    first = sa.case((sa.func.length(text) == sa.literal_column("15"), legacy), else_=_part(text, "1", "17"))
    return _by_code_point(first, dialect)


def _part(text: sa.ColumnElement[Any], start: str, length: str) -> sa.ColumnElement[Any]:
    return sa.func.substr(text, sa.literal_column(start), sa.literal_column(length), type_=sa.Text)


def order_by(order: Order, item: Item, column: sa.ColumnClause[Any], dialect: str) -> list[sa.ColumnElement[Any]]:
    """The terms that sort by one item: NULL last, whichever way the others go."""
    term = comparable(item, column, dialect)
    return [column.is_(None), term.desc() if order.descending else term.asc()]


def cursor(items: Sequence[Item], after: Sequence[Any], dialect: str) -> Values:
    """The parameters of `beyond` for the row with these canonical values; a NULL has none."""
    return {
        f"after_{number}": _sent(_nearest(item, value)[0], dialect)
        for number, (item, value) in enumerate(zip(items, after, strict=True))
        if value is not None
    }


def beyond(
    orders: Sequence[Order],
    items: Mapping[str, Item],
    table: sa.TableClause,
    empty: Sequence[bool],
    dialect: str,
) -> sa.ColumnElement[bool]:
    """That a record comes after the cursor's row; `empty` says which of the cursor's values are NULL."""
    found: sa.ColumnElement[bool] = sa.false()
    for number, order in reversed(list(enumerate(orders))):
        item, column = items[order.item], table.c[items[order.item].column]
        if empty[number]:
            found = sa.and_(column.is_(None), found)
            continue
        term = comparable(item, column, dialect)
        value = sa.bindparam(f"after_{number}", type_=_type(item, dialect))
        further = term < value if order.descending else term > value
        found = sa.or_(further, term.is_(None), sa.and_(term == value, found))
    return found
