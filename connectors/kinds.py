"""The kinds of source: the name in a connection's settings, and what opens it. A new kind is one file and one line here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from connectors.contract import Connector
from connectors.file import FileConnector
from connectors.memory import MemoryConnector
from connectors.rest import RestConnector
from connectors.sql import SqlConnector

KINDS: dict[str, Callable[..., Connector]] = {
    "sql": SqlConnector,
    "file": FileConnector,
    "rest": RestConnector,
    "memory": MemoryConnector,
}


def connect(kind: str, **settings: Any) -> Connector:
    """A connector of that kind; KeyError for an unknown kind, ValueError or TypeError for wrong settings."""
    return KINDS[kind](**settings)
