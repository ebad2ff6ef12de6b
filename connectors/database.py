"""What the kind `sql` needs of a database: to be sent one SELECT at a time, and what its words mean."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Any, Protocol

import sqlalchemy as sa

from connectors.statements import Select


class Database(Protocol):
    """A database of one dialect, through one driver. Its methods raise SourceError where it does not answer."""

    @property
    def dialect(self) -> sa.Dialect:
        """In which statements are written."""

    @property
    def terms(self) -> str:
        """The name under which `clauses` knows how its server compares; a guess until `meet` returned."""

    @property
    def batch(self) -> int:
        """Keys of one statement at most."""

    async def meet(self, deadline: float) -> None:
        """Make sure of `terms`, which may need a connection."""

    async def select(self, select: Select, parameters: Any, deadline: float) -> Sequence[Any]:
        """The rows of a statement, which ends at the server by `deadline` (of `time.monotonic`) or when the caller is cancelled."""

    async def close(self) -> None:
        """Give back every connection and thread."""


def loop_time(deadline: float) -> float:
    """A deadline of `time.monotonic` in the event loop's time."""
    return asyncio.get_running_loop().time() + deadline - time.monotonic()
