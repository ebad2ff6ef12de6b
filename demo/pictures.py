"""Pictures of nobody: tiny valid PNG files for the items that hold an image."""

from __future__ import annotations

import struct
import zlib


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(key: str, width: int = 4, height: int = 5) -> bytes:
    """A PNG (RGB, 8 bits) of one colour on a darker frame row; the colour follows from `key`."""
    colour = zlib.crc32(key.encode()).to_bytes(4, "big")[:3]
    dark = bytes(part // 2 for part in colour)
    rows = [b"\0" + (dark if row in (0, height - 1) else colour) * width for row in range(height)]
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    # level 0: the stored form is the same with every version of zlib
    body = _chunk(b"IHDR", header) + _chunk(b"IDAT", zlib.compress(b"".join(rows), 0)) + _chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body
