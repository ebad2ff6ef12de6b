"""Fixtures for all tests: one small city a session, one service a module over a copy of it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import servers
from tests.service import Service, build_small_city, running

_KEPT = ("ONESOURCE_WRITE_CASES", "ONESOURCE_TEST_")
for _name in [name for name in os.environ if name.startswith("ONESOURCE_") and not name.startswith(_KEPT)]:
    del os.environ[_name]  # the caller's own settings are not the tests'


@pytest.fixture(scope="session", autouse=True)
def _servers() -> Iterator[None]:
    yield
    servers.close()


@pytest.fixture(scope="session")
def city(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a built demo city of 300 residents (never to be changed: `running` copies it)."""
    folder = tmp_path_factory.mktemp("city")
    build_small_city(folder)
    return folder


@pytest.fixture(scope="module")
def service(city: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A running service over a copy of the city, shared by the tests of a module."""
    with running(tmp_path_factory.mktemp("service"), city) as started:
        yield started
