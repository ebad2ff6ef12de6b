"""`onesource serve` over a copy of the city, as a process of its own with settings of its own."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from demo.scene import IDENTITIES, Scene
from settings import load_settings
from tests.service import write_settings
from tests.terminal.server import Server, free_port, started


def own_settings(folder: Path, city: Path, **changed: str) -> Path:
    """A settings file in `folder` over a copy of the city, with these names set to other values."""
    shutil.copytree(city / "demo", folder / "demo")
    return write_settings(folder, changed={"port": str(free_port())} | changed)


@contextmanager
def served(file: Path) -> Iterator[Server]:
    """A server of these settings that answers."""
    with started(file, load_settings(file).server.port) as server:
        yield server


def token(server: Server, subject: str = "clerk-01") -> str:
    """A token of the demo's issuer for the demo identity of this name."""
    identity = load_settings(server.file).identity
    (who,) = (one for one in IDENTITIES if one.subject == subject)
    return Scene(server.file.parent / "demo").token(who, identity.issuer, identity.audience)


def post(server: Server, content: Any, bearer: str, **headers: str) -> httpx.Response:
    """The answer to a JSON body."""
    sent = {"Authorization": f"Bearer {bearer}"} | headers
    return httpx.post(f"{server.address}/graphql", json=content, headers=sent, trust_env=False, timeout=30)
