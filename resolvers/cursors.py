"""Cursors: where a page ends, sealed to the caller, the use, the question and the policy version.

Sealed with AES-SIV (RFC 5297), so a cursor neither tells the values that it stands for nor can be made or moved by anybody else, and the same place has the
same cursor. One of another caller, purpose, basis, question or policy does not open.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import orjson
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV

from schema.catalogue import Item, ItemType

_MAX_CURSOR = 4_096


class CursorInvalid(ValueError):
    """A cursor that was not made for this caller, use, question and policy."""


class Cursors:
    """Seals and opens cursors under a secret of 32 bytes."""

    def __init__(self, secret: bytes) -> None:
        self._aead = AESSIV(hashlib.blake2b(b"cursors", key=secret, digest_size=64).digest())

    def seal(self, place: Sequence[Any], bound_to: Sequence[str]) -> str:
        """The cursor of a record by the canonical values of the order's items."""
        content = orjson.dumps([None if value is None else _written(value) for value in place])
        return base64.urlsafe_b64encode(self._aead.encrypt(content, _bound(bound_to))).decode().rstrip("=")

    def open(self, cursor: str, items: Sequence[Item], bound_to: Sequence[str]) -> tuple[Any, ...]:
        """The canonical values behind a cursor; CursorInvalid if it is not one of this question's."""
        place = self.place(cursor, bound_to)
        if len(place) != len(items):
            raise CursorInvalid
        return tuple(
            None if value is None else _read(item.type, value) for item, value in zip(items, place, strict=True)
        )

    def place(self, cursor: str, bound_to: Sequence[str]) -> list[Any]:
        """What was sealed, dates and decimals as texts; CursorInvalid."""
        if len(cursor) > _MAX_CURSOR or not cursor.isascii():
            raise CursorInvalid
        try:
            sealed = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
            return list(orjson.loads(self._aead.decrypt(sealed, _bound(bound_to))))
        except (InvalidTag, binascii.Error, ValueError):
            raise CursorInvalid from None


def _bound(parts: Sequence[str]) -> list[bytes]:
    return [orjson.dumps(list(parts))]


def _written(value: Any) -> Any:
    return value.isoformat() if isinstance(value, date) else str(value) if isinstance(value, Decimal) else value


def _read(kind: ItemType, written: Any) -> Any:
    if kind is ItemType.DATE:
        return date.fromisoformat(written)
    if kind is ItemType.DATETIME:
        return datetime.fromisoformat(written)
    return Decimal(written) if kind is ItemType.DECIMAL else written
