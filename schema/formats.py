"""How sources write values: the formats of the catalogue, each with a decoder and an encoder.

A decoder turns what a driver returns into the canonical value of the item's type; an encoder is its inverse (used for
keys and for the demo city). Canonical: str, int, bool, `datetime.date`, `datetime.datetime` (with zone),
`decimal.Decimal`, bytes for images, the standard's code (str) for codes. NULL never reaches either of them.
A value that does not fit raises ValueError (or TypeError), never passes.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal, InvalidOperation
from typing import Any

from schema.catalogue import Item, ItemType
from schema.identifiers import PARSERS, to_citizen_id, to_component_code, to_credit_code, to_unit_number

type_error = "not a value of this format"
CHINA = timezone(timedelta(hours=8))
Convert = Callable[[Any], Any]
_ISO_MOMENT = re.compile(r"\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}:\d{2}", re.ASCII)


def _date_of(text: str) -> date:
    if len(text) != 8 or not text.isascii() or not text.isdigit():
        raise ValueError(type_error)
    return date.fromisoformat(text)


def _slash_date(text: str) -> date:
    if len(text) != 10 or text[4] != "/" or text[7] != "/":
        raise ValueError(type_error)
    return _date_of(text.replace("/", ""))


def _compact_moment(text: str) -> datetime:
    if len(text) != 14 or not text.isascii() or not text.isdigit():
        raise ValueError(type_error)
    return datetime.fromisoformat(f"{text[:8]}T{text[8:]}+08:00")


def _iso_date(value: Any) -> date:
    """1990-01-31: Python also reads 19900131 and 1990-W05-3, which other databases would not order alike."""
    if type(value) is date:
        return value
    if len(value) != 10 or value[4] != "-" or value[7] != "-":
        raise ValueError(type_error)
    return date.fromisoformat(value)


def _iso_moment(value: Any) -> datetime:
    """2026-01-31 09:30:00, with T for the blank, with fraction and zone where the source has them."""
    if isinstance(value, datetime):
        return value if value.tzinfo else value.replace(tzinfo=CHINA)
    if not _ISO_MOMENT.match(value):
        raise ValueError(type_error)
    return _moment(datetime.fromisoformat(value))


def _moment(value: datetime) -> datetime:
    return value if value.tzinfo else value.replace(tzinfo=CHINA)


def _decimal(value: Any) -> Decimal:
    try:
        number = Decimal(_digits(value))
    except InvalidOperation as error:
        raise ValueError(type_error) from error
    if not number.is_finite():
        raise ValueError(type_error)
    return number


def _digits(value: Any) -> str:
    text = str(value)
    if "_" in text:  # Python reads 1_000, no source writes it
        raise ValueError(type_error)
    return text


def str_of(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    raise ValueError(type_error)


def _integer(value: Any) -> int:
    return int(_digits(value))


def _choice(true: Any, false: Any) -> tuple[Convert, Convert]:
    table = {true: True, false: False}

    def decode(value: Any) -> bool:
        if value not in table:
            raise ValueError(type_error)
        return table[value]

    return decode, lambda value: true if value else false


def _zero_or_one(value: Any) -> bool:
    """0 or 1, also as a text: a file has nothing else."""
    if value not in (0, 1, "0", "1"):
        raise ValueError(type_error)
    return value in (1, "1")


def _same(value: Any) -> Any:
    return value


def _bytes(value: Any) -> bytes:
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value)
    raise ValueError(type_error)


def _citizen_id(value: Any) -> str:
    """18 digits as they are; a 15-digit legacy number of the 1900s as its 18-digit form."""
    return to_citizen_id(str_of(value).strip())


def legacy_id(number: str) -> str:
    """The 15-digit form of an 18-digit number of somebody born in the 1900s; others stay as they are."""
    return number[:6] + number[8:17] if number[6:8] == "19" else number


FORMATS: dict[ItemType, dict[str, tuple[Convert, Convert]]] = {
    ItemType.STRING: {"text": (str_of, _same), "trim": (lambda v: str_of(v).rstrip(), _same)},
    ItemType.INT: {"int": (_integer, _same), "text": (_integer, str)},
    ItemType.DECIMAL: {
        "decimal": (_decimal, str),
        "cents": (lambda v: Decimal(_integer(v)) / 100, lambda v: int(v * 100)),
    },
    ItemType.BOOLEAN: {
        "01": (_zero_or_one, lambda value: 1 if value else 0),
        "YN": _choice("Y", "N"),
        "是否": _choice("是", "否"),
    },
    ItemType.DATE: {
        "iso": (_iso_date, date.isoformat),
        "compact": (_date_of, lambda v: v.strftime("%Y%m%d")),
        "int": (lambda v: _date_of(str(v)), lambda v: int(v.strftime("%Y%m%d"))),
        "slash": (
            _slash_date,
            lambda v: v.strftime("%Y/%m/%d"),
        ),
    },
    ItemType.DATETIME: {
        "iso": (
            _iso_moment,
            lambda v: v.astimezone(CHINA).strftime("%Y-%m-%d %H:%M:%S"),
        ),
        "compact": (
            _compact_moment,
            lambda v: v.astimezone(CHINA).strftime("%Y%m%d%H%M%S"),
        ),
        "epoch": (
            lambda v: datetime.fromtimestamp(_integer(v), CHINA),
            lambda v: int(v.timestamp()),
        ),
    },
    ItemType.ID_NUMBER: {"18": (_citizen_id, _same), "15or18": (_citizen_id, legacy_id)},
    ItemType.CREDIT_CODE: {"text": (lambda v: to_credit_code(str_of(v)), _same)},
    ItemType.UNIT_NUMBER: {"text": (lambda v: to_unit_number(str_of(v)), _same)},
    ItemType.COMPONENT_CODE: {"text": (lambda v: to_component_code(str_of(v)), _same)},
    ItemType.CODE: {"text": (str_of, _same), "int": (lambda v: str(_integer(v)), int)},
    ItemType.IMAGE: {
        "bytes": (_bytes, _same),
        "base64": (lambda v: base64.b64decode(v, validate=True), lambda v: base64.b64encode(v).decode()),
    },
}
"""Formats by type; the first of each is its default."""

ORDERED: dict[ItemType, frozenset[str]] = {
    ItemType.STRING: frozenset({"text", "trim"}),
    ItemType.INT: frozenset({"int"}),
    ItemType.DECIMAL: frozenset({"cents"}),
    ItemType.BOOLEAN: frozenset({"01"}),
    ItemType.DATE: frozenset({"iso", "compact", "int", "slash"}),
    ItemType.DATETIME: frozenset({"compact", "epoch"}),
    ItemType.ID_NUMBER: frozenset({"18", "15or18"}),
    ItemType.CREDIT_CODE: frozenset({"text"}),
    ItemType.UNIT_NUMBER: frozenset({"text"}),
    ItemType.COMPONENT_CODE: frozenset({"text"}),
    ItemType.CODE: frozenset({"text"}),
    ItemType.IMAGE: frozenset(),
}
"""Formats whose stored order is the order of the canonical values, where no `values` map comes between (`is_ordered`).

`trim` without its blanks, citizen numbers by their first 17 digits: these decide the last one.
"""

SEARCHABLE: dict[ItemType, frozenset[str]] = {
    **ORDERED,
    ItemType.BOOLEAN: frozenset({"01", "YN", "是否"}),
    ItemType.CODE: frozenset({"text", "int"}),
}
"""Formats that write a canonical value in forms that are known, so that equality can be asked: `key_forms` has both of `15or18`."""

PREFIXED: dict[ItemType, frozenset[str]] = {
    ItemType.STRING: frozenset({"text", "trim"}),
    ItemType.CREDIT_CODE: frozenset({"text"}),
    ItemType.UNIT_NUMBER: frozenset({"text"}),
    ItemType.COMPONENT_CODE: frozenset({"text"}),
    ItemType.CODE: frozenset({"text"}),
}
"""Formats whose stored values begin as the canonical ones do, where no `values` map comes between (`is_prefixed`)."""


def forms_of(item: Item, value: Any) -> tuple[Any, ...]:
    """Every way in which the item's source may write the canonical `value`; none if it writes no such value."""
    if item.values:
        encode = FORMATS[item.type][item.format][1]
        return tuple(encode(local) for local, standard in item.values.items() if standard == value)
    decode, encode = FORMATS[item.type][item.format]
    try:
        form = encode(value)
        if decode(form) != value:
            return ()
    except (ValueError, TypeError, ArithmeticError, AttributeError, OSError):
        return ()
    return key_forms(item.type, item.format, value) if item.type in PARSERS else (form,)


def nearest_form(item: Item, value: Any) -> tuple[Any, int]:
    """The form nearest to `value` in the order of a format of `ORDERED`, and -1, 0, 1 as it means less, the same, more.

    A moment of half a second lies between two that a source can write. ValueError or TypeError for what is no value of the type.
    """
    decode, encode = FORMATS[item.type][item.format]
    form = encode(value)
    meant = decode(form)
    return form, (meant > value) - (meant < value)


def key_forms(item_type: ItemType, name: str, value: str) -> tuple[Any, ...]:
    """Every way in which a source of this format may write the canonical identifier `value`."""
    return tuple(forms_of_keys(item_type, name, (value,)))


def forms_of_keys(item_type: ItemType, name: str, values: Sequence[str]) -> dict[Any, str]:
    """Every way in which a source of this format may write these canonical identifiers, with the one that each stands for."""
    encode = FORMATS[item_type][name][1]
    forms: dict[Any, str] = {} if encode is _same else {encode(value): value for value in values}
    forms.update(zip(values, values, strict=True))
    if item_type is ItemType.ID_NUMBER:
        forms.update([(form.lower(), value) for form, value in forms.items() if form[-1:] == "X"])
    return forms


def is_ordered(item: Item) -> bool:
    """Whether the source can order and compare by this item: the order of what it stores is that of the values."""
    return item.format in ORDERED[item.type] and not item.values


def is_searchable(item: Item) -> bool:
    """Whether the source can be asked for the records with a given value of this item."""
    return item.format in SEARCHABLE[item.type]


def is_prefixed(item: Item) -> bool:
    """Whether the source can be asked for what values of this item begin with."""
    return item.format in PREFIXED.get(item.type, ()) and not item.values


def default_format(item_type: ItemType) -> str:
    """The format of an item that names none."""
    return next(iter(FORMATS[item_type]))


def formats_of(item_type: ItemType) -> str:
    """The formats of a type, as a hint lists them."""
    return f"formats of {item_type}: " + ", ".join(FORMATS[item_type])


def decoder(item_type: ItemType, name: str, values: Mapping[str, str]) -> Convert:
    """The decoder of a format; `values` maps the source's own codes to the standard's."""
    decode = FORMATS[item_type][name][0]
    if not values:
        return decode

    def decode_local(value: Any) -> Any:
        local = str_of(value)
        if local not in values:
            raise ValueError(type_error)
        return values[local]

    return decode_local


def encoder(item_type: ItemType, name: str, values: Mapping[str, str]) -> Convert:
    """The inverse of `decoder` (for `15or18`: the legacy form where one exists)."""
    encode = FORMATS[item_type][name][1]
    if not values:
        return encode
    inverse = {standard: local for local, standard in values.items()}
    return lambda value: encode(inverse[value])
