"""Health: live while the process answers, ready while an answer could be given."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from tests.service import Service, running

QUESTION = {"query": "{__typename}"}


@pytest.fixture
def own(city: Path, tmp_path: Path) -> Iterator[Service]:
    """A service whose files a test may break."""
    with running(tmp_path, city) as started:
        yield started


def file_of(url: str) -> Path:
    return Path(str(sa.make_url(url).database))


def ready(service: Service) -> tuple[int, object]:
    answer = service.client.get("/health/ready")
    return answer.status_code, answer.json()


def test_fresh_service_is_live_and_ready(own: Service) -> None:
    live = own.client.get("/health/live")
    assert (live.status_code, live.json()) == (200, {"status": "live"})
    assert ready(own) == (200, {"status": "ready"})


def test_health_tells_nothing_else_and_takes_nothing(own: Service) -> None:
    for path in ("/health/live", "/health/ready"):
        assert own.client.post(path, json=QUESTION).status_code == 405
        assert set(own.client.get(path).json()) == {"status"}


def test_dead_department_does_not_make_it_unready(own: Service) -> None:
    file_of(own.settings.connections["housing-fund"].url).unlink()
    assert ready(own) == (200, {"status": "ready"})
