"""The contract of a connector: seven methods, and the values that go in and out.

A connector reads one department's source. It knows the catalogue's columns and formats, and nothing of callers, purposes or
rules. What it returns is canonical (`schema.formats`), whatever the source's habits. It never writes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from schema.catalogue import Resource


@dataclass(frozen=True, slots=True)
class FetchRequest:
    """Records of `resource` whose item `key` is one of `keys` (canonical), with the items `columns`.

    `timeout` is in seconds; a connector gives up by itself when it has passed.
    """

    resource: Resource
    key: str
    keys: tuple[str, ...]
    columns: tuple[str, ...]
    timeout: float


@dataclass(frozen=True, slots=True)
class Row:
    """One record: its canonical key, its last change at the source, the values of the requested columns in their order.

    NULL is None. A value that does not fit its format is `INVALID`.
    """

    key: str
    updated: datetime | None
    values: tuple[Any, ...]


class _Invalid:
    """The type of `INVALID`."""

    def __repr__(self) -> str:
        return "INVALID"


INVALID = _Invalid()
"""Stands for a stored value that is not of its item's type."""


@dataclass(frozen=True, slots=True)
class Rows:
    """What a fetch found. Rows of one key are in a fixed order: by last change, then by the requested values."""

    rows: Sequence[Row]
    fetched_at: datetime


class SourceError(Exception):
    """A source could not answer. `code` is SOURCE_UNAVAILABLE, SOURCE_TIMEOUT or SOURCE_CHANGED; the cause is for our log only."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class Connector(Protocol):
    """One department's source."""

    async def open(self) -> None:
        """Make ready. A source that cannot be reached now is no error here: it may come later."""

    async def close(self) -> None:
        """Give back every connection and thread."""

    async def health(self) -> bool:
        """Whether the source answers at all, asked anew."""

    def capabilities(self) -> frozenset[str]:
        """What this source can do beyond look-ups by keys; empty so far for every kind."""

    async def check(self, resource: Resource) -> tuple[str, ...]:
        """Names of the resource's columns that the source lacks; all of them if the table is gone."""

    async def fetch(self, request: FetchRequest) -> Rows:
        """The records asked for, in one statement. SourceError if the source cannot answer."""

    def explain(self, request: FetchRequest) -> str:
        """The statement that `fetch` would send, without values."""
