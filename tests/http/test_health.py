"""Health: live while the process answers, ready while an answer could be given, and ready again once the stores are mended."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from connectors.settings import SqlConnection
from tests.service import Service, codes, running

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


def soon(service: Service, status: int) -> object:
    """What readiness says once it is of that status: a case that was read is remembered for a moment."""
    deadline = time.monotonic() + 2
    found, body = ready(service)
    while found != status and time.monotonic() < deadline:
        time.sleep(0.05)
        found, body = ready(service)
    assert found == status
    return body


def test_fresh_service_is_live_and_ready(own: Service) -> None:
    live = own.client.get("/health/live")
    assert (live.status_code, live.json()) == (200, {"status": "live"})
    assert ready(own) == (200, {"status": "ready"})


def test_health_tells_nothing_else_and_takes_nothing(own: Service) -> None:
    for path in ("/health/live", "/health/ready"):
        assert own.client.post(path, json=QUESTION).status_code == 405
        assert set(own.client.get(path).json()) == {"status"}


@pytest.mark.parametrize("broken", ["moved", "folder", "other file"])
@pytest.mark.parametrize("store", ["ledger", "cases"])
def test_broken_store_makes_it_unready_until_it_is_back(own: Service, store: str, broken: str) -> None:
    file = file_of(own.settings.ledger.url if store == "ledger" else own.settings.cases.url)
    away = file.with_name("away.db")
    assert ready(own)[0] == 200
    file.rename(away)
    if broken == "folder":
        file.mkdir()
    elif broken == "other file":
        sqlite3.connect(file).close()
    assert soon(own, 503) == {"status": "unready", "because": [store]}
    assert own.client.get("/health/live").status_code == 200
    if store == "ledger":
        withheld = own.post(QUESTION)
        assert withheld.status_code == 503
        assert withheld.headers["retry-after"] == "1"
        assert codes(withheld.json()) == ["LEDGER_UNAVAILABLE"]
        assert "data" not in withheld.json()
    if broken == "folder":
        file.rmdir()
    away.rename(file)
    assert soon(own, 200) == {"status": "ready"}
    assert own.post(QUESTION).json()["data"] == {"__typename": "Query"}


def test_dead_department_does_not_make_it_unready(own: Service) -> None:
    connection = own.settings.connections["housing-fund"]
    assert isinstance(connection, SqlConnection)
    file_of(connection.url).unlink()
    assert ready(own) == (200, {"status": "ready"})


def test_a_ledger_that_is_locked_for_writing_makes_it_unready(own: Service) -> None:
    lock = sqlite3.connect(file_of(own.settings.ledger.url), isolation_level=None, timeout=10)
    head = own.rooms.ledger.head()
    lock.execute("BEGIN IMMEDIATE")
    assert ready(own) == (503, {"status": "unready", "because": ["ledger"]})
    lock.execute("ROLLBACK")
    lock.close()
    assert ready(own) == (200, {"status": "ready"})
    assert own.rooms.ledger.head() == head  # asking writes nothing


def test_a_year_whose_holidays_are_not_known_is_told(own: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("audit.hours.known_through", lambda: 2025)
    status, body = ready(own)
    assert (status, set(dict(body))) == (200, {"status", "holidays"})  # type: ignore[call-overload]
    assert "chinesecalendar" in str(body)


def test_a_map_of_data_subjects_that_stands_still_is_told_and_stops_nothing(own: Service) -> None:
    mapping = own.rooms.integrator.subjects
    own.post(QUESTION)
    deadline = time.monotonic() + 10
    while mapping.latest() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    with sqlite3.connect(file_of(own.settings.ledger.url)) as connection:
        connection.execute("UPDATE subject_maps SET size = 1000000")
    while ready(own) == (200, {"status": "ready"}) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert ready(own) == (200, {"status": "ready", "uncommitted": "tampered"})
    assert own.post(QUESTION).json()["data"] == {"__typename": "Query"}
