"""Masks: what is left of a value that may be seen only in part. A mask never tells how long the hidden part is."""

from __future__ import annotations

from schema.catalogue import MaskKind

_KEPT = {MaskKind.ID_NUMBER: (3, 4), MaskKind.NAME: (1, 0), MaskKind.TELEPHONE: (3, 2), MaskKind.ADDRESS: (6, 0)}
_STARS = {MaskKind.ID_NUMBER: 11, MaskKind.NAME: 2, MaskKind.TELEPHONE: 6, MaskKind.ADDRESS: 6}


def mask(kind: MaskKind, value: object) -> str:
    """The value with its middle or end hidden; a value too short to keep a part of, or no text, is hidden whole."""
    text = value if isinstance(value, str) else ""
    head, tail = _KEPT[kind]
    if len(text) <= head + tail:
        head = tail = 0
    return text[:head] + "*" * _STARS[kind] + (text[-tail:] if tail else "")
