"""Versions: which state of a record was shown, so that a correction finds those who were shown the wrong one (Changsha 32).

A row's version is its last change at the source. Where the source tells none, or a day alone, the values that were told stand for it:
the frame keeps a short keyed digest of each.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from audit.frame import TOLD
from connectors.contract import INVALID, Row
from schema.catalogue import Catalogue, Item, ItemType
from schema.formats import CHINA
from schema.identifiers import PARSERS

RowVersion = int | tuple[tuple[str, Any], ...]
"""A row's last change in microseconds since 1970 UTC; or the canonical values that were told of it, by item."""
Version = RowVersion | list[RowVersion] | None
"""Of one record as its node notes it: None where it told of no row, a list where several rows stand behind it."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DAY = 86_400_000_000
_CHINA = 8 * 3_600_000_000
_WORDS = {"true": True, "false": False, "是": True, "否": False}


def micros(moment: datetime) -> int:
    """Microseconds since 1970 UTC; a time without a zone is China's."""
    since = (moment if moment.tzinfo else moment.replace(tzinfo=CHINA)) - _EPOCH
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


def changed_at(row: Row) -> int | None:
    """A row's last change in microseconds; None where the source tells none, or only the day (a midnight in China looks the same)."""
    if row.updated is None:
        return None
    at = micros(row.updated)
    return at if (at + _CHINA) % _DAY else None


def version_of(row: Row, letters: str, items: Sequence[str], columns: Sequence[int | None]) -> RowVersion | None:
    """The version of a row of which these items had these outcomes; `columns` are their places among its values.

    None where nothing was told of it.
    """
    if _SHOWN.isdisjoint(letters):
        return None
    changed = changed_at(row)
    if changed is not None:
        return changed
    told = zip(items, letters, columns, strict=True)
    return tuple((item, row.values[n]) for item, letter, n in told if letter in TOLD and n is not None) or None


def of_rows(versions: Iterable[RowVersion | None]) -> Version:
    """The version of a record behind which several rows may stand."""
    known = [one for one in versions if one is not None]
    return known[0] if len(known) == 1 else known or None


_SHOWN = frozenset("RMYNAJE")


def written(value: Any) -> str:
    """A canonical value as it is digested, equal for equal values; empty for what is absent."""
    if value is None or value is INVALID:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Decimal):
        return format(value.normalize() if value else Decimal(0), "f")
    if isinstance(value, datetime):
        return str(micros(value))
    if isinstance(value, date):
        return value.isoformat()
    return base64.b64encode(value).decode() if isinstance(value, bytes) else str(value)


def read(item: Item, text: str, catalogue: Catalogue) -> Any:
    """The canonical value that a text means for this item, None for an empty one; ValueError where it means none."""
    if not text:
        return None
    if item.type is ItemType.CODE:
        codes = {v.code for v in catalogue.codes[item.codes or ""].values}
        named = {v.name: v.code for v in catalogue.codes[item.codes or ""].values}
        if text not in named and text not in codes:
            raise ValueError("no code of the table")
        return named.get(text, text)
    return _READ.get(item.type, str)(text)


def _decimal(text: str) -> Decimal:
    try:
        number = Decimal(text)
    except InvalidOperation:
        number = Decimal("NaN")
    if not number.is_finite():
        raise ValueError("no number")
    return number


def _boolean(text: str) -> bool:
    if text not in _WORDS:
        raise ValueError("neither true nor false")
    return _WORDS[text]


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=CHINA)


_READ: dict[ItemType, Callable[[str], Any]] = {
    ItemType.INT: int,
    ItemType.DECIMAL: _decimal,
    ItemType.BOOLEAN: _boolean,
    ItemType.DATE: date.fromisoformat,
    ItemType.DATETIME: _moment,
    ItemType.IMAGE: lambda text: base64.b64decode(text, validate=True),
    **PARSERS,
}
