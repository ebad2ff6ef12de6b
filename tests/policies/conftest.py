"""A control database on each kind of server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from policies.control import Control
from tests.policies.control_places import KINDS, place
from tests.policies.control_values import open_control


@pytest.fixture(params=KINDS)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[sa.URL]:
    with place(request.param, tmp_path) as made:
        yield made


@pytest.fixture
def control(url: sa.URL) -> Iterator[Control]:
    opened = open_control(url)
    yield opened
    opened.close()


@pytest.fixture
def other(url: sa.URL, control: Control) -> Iterator[Control]:
    """Another process's view of the same database."""
    opened = open_control(url)
    yield opened
    opened.close()
