"""The desk, for tests of sources that ask the whole line."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.line.desk import Desk, open_desk


@pytest.fixture(scope="module")
def desk(city: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """A running service with noted fetches and open cases, shared by the tests of a module."""
    with open_desk(tmp_path_factory.mktemp("desk"), city) as opened:
        yield opened
