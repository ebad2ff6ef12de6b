"""Places for a ledger's store: a file, and a schema of its own on a PostgreSQL server."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import sqlalchemy as sa

from tests.policies.control_places import KINDS, place

__all__ = ["KINDS", "store_url", "text_of"]


@contextmanager
def store_url(kind: str, folder: Path) -> Iterator[sa.URL]:
    """The URL of an empty store of this kind; the test is skipped where there is no server."""
    with place(kind, folder) as url:
        yield url.set(database=str(folder / "ledger.db")) if kind == "sqlite" else url


def text_of(url: sa.URL) -> str:
    """The URL as a text that can be handed to another process."""
    return url.render_as_string(hide_password=False)
