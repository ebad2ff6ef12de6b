"""The service starts with half of its sources dead, answers with the others, and has the rest as soon as they are there."""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from app import _sources, catalogue_of
from resolvers.breaker import State
from settings import load_settings
from tests.service import ROOT, Service, codes, running, write_settings
from tests.sources.faulty import until
from tests.sources.servers import listener

ASKED = "housingFund { accountStatus } householdRegistration { name } marriageRegistrations { maritalStatus } electronicCertificates { certificateName }"
ABSENT, SILENT = "civil-affairs", "housing-fund"


@pytest.fixture
def halved(city: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Service, float]]:
    """A service of which every other source is not there and one is silent, and how many seconds it took to start after it was composed."""
    with ExitStack() as stack:
        port = stack.enter_context(listener(resets=False))
        silent = f"postgresql+psycopg://nobody@127.0.0.1:{port}/none?connect_timeout=2"
        monkeypatch.setenv(f"ONESOURCE_CONNECTIONS__{SILENT.upper()}__URL", silent)
        began = time.perf_counter()
        service = stack.enter_context(
            running(tmp_path, _without_half(city, tmp_path), changed={"pause": "0.1", "longest": "0.2"})
        )
        yield service, time.perf_counter() - began


def _without_half(city: Path, folder: Path) -> Path:
    """A copy of the city whose first database, and every other one behind it, lies elsewhere."""
    copy = folder / "copy"
    shutil.copytree(city, copy)
    away = folder / "away"
    away.mkdir()
    for file in sorted((copy / "demo" / "city").glob("*.db"))[::2]:
        shutil.move(file, away / file.name)
    return copy


def test_a_service_with_half_of_its_sources_dead_starts_answers_and_picks_them_up(
    halved: tuple[Service, float], tmp_path: Path
) -> None:
    service, seconds = halved
    assert seconds < 6
    away = sorted((tmp_path / "away").glob("*.db"))
    assert len(away) >= 8
    assert away[0].stem == ABSENT
    case = service.accept("始-1", ("APPLICANT", service.examples.applicant.identifier))
    began = time.perf_counter()
    body = service.person(ASKED, service.examples.applicant.identifier, case)
    assert time.perf_counter() - began < 2.5
    dead = {file.stem for file in away} | {SILENT}
    lost = {one["extensions"]["resource"] for one in body["errors"]}
    departments = {service.catalogue.resources[name].department for name in lost}
    asked = {"housing-fund", "public-security", "civil-affairs", "data-bureau"}
    assert departments == dead & asked
    assert departments < asked
    assert set(codes(body)) <= {"SOURCE_UNAVAILABLE", "SOURCE_TIMEOUT"}

    assert service.client.get("/health/ready").status_code == 200, "a dead department does not make it unready"
    for file in away:
        file.rename(service.scene.city / file.name)
    source, portal = service.rooms.sources[ABSENT], service.client.portal
    assert portal
    portal.call(until, lambda: source.breaker.state is not State.OPEN)
    body = service.person("marriageRegistrations { maritalStatus }", service.examples.applicant.identifier, case)
    assert "errors" not in body
    assert body["data"]["person"]["marriageRegistrations"]
    assert source.breaker.state is State.CLOSED


def test_departments_that_share_a_connection_share_its_allowance(tmp_path: Path) -> None:
    catalogue = Path(shutil.copytree(ROOT / "catalogue", tmp_path / "catalogue"))
    file = catalogue / "civil-affairs.yaml"
    shared = re.sub(
        r"^connection: .*$|^  connection: .*$", "  connection: housing", file.read_text("utf8"), flags=re.MULTILINE
    )
    file.write_text(shared, "utf8")
    settings = load_settings(write_settings(tmp_path, catalogue))
    sources = _sources(settings, catalogue_of(settings))
    assert sources["civil-affairs"] is sources["housing"]
    assert len(set(sources.values())) == len(sources) - 1
    provided = {one.department for one in sources["housing"]._resources}
    assert provided == {"civil-affairs", "housing"}
