"""Embedded database files, which must stay where they are.

SQLite goes on reading and writing a file that was moved away, deleted or replaced: what is written there is lost with the process. So a
store asks which file stands at its place before it relies on it.
"""

from __future__ import annotations

import os

NO_FILE = (0, 0)


def file_at(place: str | None) -> tuple[int, int] | None:
    """Which file stands at `place` (device, inode), `NO_FILE` if none does; None for a database that is no file."""
    if not place or place == ":memory:":
        return None
    try:
        found = os.stat(place)
    except OSError:
        return NO_FILE
    return found.st_dev, found.st_ino
