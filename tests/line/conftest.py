"""Fixtures of the line's tests: one desk a module, a grant a test."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.line.decided_again import decided_otherwise
from tests.line.desk import Desk, open_desk
from tests.line.officers import APPLY, DECIDE, END, PROVIDER, USING, application, ask, ruling
from tests.service import Service

_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def desk(city: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """A running service with noted fetches and open cases, shared by the tests of a module. In the end all that it recorded is decided again."""
    with open_desk(tmp_path_factory.mktemp("desk"), city) as opened:
        yield opened
        assert decided_otherwise(opened.service) == []


@pytest.fixture(scope="module")
def service(service: Service) -> Iterator[Service]:
    """A running service, shared by the tests of a module. In the end all that it recorded is decided again."""
    yield service
    assert decided_otherwise(service) == []


@pytest.fixture
def applied(service: Service) -> Any:
    """An application of the using department to the provider."""
    return ask(service, APPLY, USING, input=application())


@pytest.fixture
def granted(service: Service, applied: Any) -> Iterator[Any]:
    """A grant in force, ended behind the test."""
    grant = ask(service, DECIDE, PROVIDER, input=ruling(applied))
    yield grant
    service.ask(END, {"id": grant["id"], "reason": "试毕"}, role="officer", department=PROVIDER)


@pytest.fixture
def case(service: Service) -> str:
    """An open case of the using department with the city's applicant."""
    return service.accept(f"授权-{next(_numbers)}", ("APPLICANT", service.examples.applicant.identifier))
