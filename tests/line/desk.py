"""The desk: a running service whose fetches and statements are noted, and the open cases that the tests of the line need."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import pytest
import sqlalchemy as sa

import connectors.sql
from connectors.contract import Connector, FetchRequest, Rows
from connectors.sql import SqlConnector
from resolvers.fetch import Loads, Source
from schema.catalogue import Resource
from tests.service import HOUSING, ROOT, Service, running

SERVICES = Path(__file__).parent / "services"
DEREGISTRATION = "421200-SC-FW-0001"
FUND_REVIEW, INSPECTION, REPAIR = "421200-ZJ-FW-9001", "421200-ZJ-FW-9002", "421200-ZJ-FW-9003"
STRANGER = "110101199003074514"
"""A valid identity number that nobody in the city has."""

Fetches = list[tuple[str, FetchRequest]]


@dataclass(frozen=True, slots=True)
class NotingConnector:
    """A connector that notes what is asked of it, and passes it on."""

    department: str
    inner: Connector
    fetches: Fetches

    async def open(self) -> None:
        await self.inner.open()

    async def close(self) -> None:
        await self.inner.close()

    async def health(self) -> bool:
        return await self.inner.health()

    def capabilities(self) -> frozenset[str]:
        return self.inner.capabilities()

    async def check(self, resource: Resource) -> tuple[str, ...]:
        return await self.inner.check(resource)

    async def fetch(self, request: FetchRequest) -> Rows:
        self.fetches.append((self.department, request))
        return await self.inner.fetch(request)

    def explain(self, request: FetchRequest) -> str:
        return self.inner.explain(request)


@dataclass(frozen=True)
class Desk:
    """A running service with its open cases. `names` maps placeholders to what they stand for in this city."""

    service: Service
    names: Mapping[str, str]
    fetches: Fetches = field(default_factory=list)

    @property
    def applicant(self) -> str:
        return self.names["applicant"]

    @property
    def case(self) -> str:
        """A case of public rental housing with applicant, spouse and child."""
        return self.names["case"]

    def database(self, department: str) -> Path:
        """The file of a department's database."""
        return self.service.scene.city / f"{department}.db"

    def numbers(self, count: int) -> list[str]:
        """Identity numbers of the city's residents, the first in the population register."""
        with closing(sqlite3.connect(self.database("public-security"))) as register:
            rows = register.execute("SELECT GMSFHM FROM T_HJXX ORDER BY rowid LIMIT ?", (count,)).fetchall()
        return [number for (number,) in rows]

    def selected(self) -> dict[str, set[str]]:
        """The items fetched so far, by resource."""
        found: dict[str, set[str]] = {}
        for _, request in self.fetches:
            found.setdefault(request.resource.name, set()).update(request.columns)
        return found

    @contextmanager
    def replaced(self, connector: Connector, *departments: str, timeout: float = 2.0) -> Iterator[None]:
        """While it lasts, `connector` stands in for these departments' sources."""
        line = self.service.rooms.line
        before = line._loads
        line._loads = Loads({**before._sources, **dict.fromkeys(departments, Source(connector, timeout))})
        try:
            yield
        finally:
            line._loads = before


@contextmanager
def statements() -> Iterator[list[str]]:
    """The SQL statements sent to the departments' databases meanwhile, in order, but for settings of a connection."""
    sent: list[str] = []

    read = connectors.sql.read

    def note(connection: sa.PoolProxiedConnection, text: str, parameters: Any, deadline: float) -> Sequence[Any]:
        sent.append(text)
        return read(connection, text, parameters, deadline)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(connectors.sql, "read", note)
        yield sent


def sqlite_source(file: Path) -> SqlConnector:
    """A connector of a SQLite file."""
    return SqlConnector(f"sqlite:///{file}")


def _expire(service: Service, number: str) -> None:
    store = sa.make_url(service.settings.cases.url).database
    with closing(sqlite3.connect(str(store))) as cases:
        cases.execute("UPDATE cases SET expires_at = opened_at WHERE number = ?", (number,))
        cases.commit()


def _open_cases(service: Service) -> dict[str, str]:
    """The placeholders of this city, with the cases that they name."""
    examples = service.examples
    applicant, spouse, child = (one.identifier for one in (examples.applicant, examples.spouse, examples.child))
    organisation, unit = examples.organisation.identifier, examples.real_estate_unit.identifier
    component, market = examples.city_component.identifier, "market-supervision"
    family = (("APPLICANT", applicant), ("SPOUSE", spouse), ("CHILD", child))
    close = "mutation($number: String!) { closeCase(number: $number) { state } }"
    names = {
        "applicant": applicant,
        "spouse": spouse,
        "child": child,
        "organisation": organisation,
        "unit": unit,
        "component": component,
        "stranger": STRANGER,
        "case": service.accept("GZF-1", *family),
        "case_alone": service.accept("GZF-2", family[0]),
        "case_closed": service.accept("GZF-3", *family),
        "case_expired": service.accept("GZF-4", *family),
        "case_stranger": service.accept("GZF-5", ("APPLICANT", STRANGER)),
        "case_fund": service.accept("FUND-1", family[0], service=FUND_REVIEW),
        "case_fund_stranger": service.accept("FUND-2", ("APPLICANT", STRANGER), service=FUND_REVIEW),
        "case_unit": service.accept("UNIT-1", ("APPLICANT", unit), service=INSPECTION),
        "case_component": service.accept("PART-1", ("APPLICANT", component), service=REPAIR),
        "case_organisation": service.accept(
            "ZX-1", ("APPLICANT", organisation), service=DEREGISTRATION, department=market
        ),
        "case_representative": service.accept(
            "ZX-2",
            ("APPLICANT", organisation),
            ("LEGAL_REPRESENTATIVE", applicant),
            service=DEREGISTRATION,
            department=market,
        ),
    }
    assert service.ask(close, {"number": "GZF-3"})["data"]["closeCase"] == {"state": "CLOSED"}
    _expire(service, "GZF-4")
    return names


@contextmanager
def open_desk(folder: Path, city: Path) -> Iterator[Desk]:
    """A desk in `folder` over a copy of the city; the service items of `services/` are beside the shipped ones."""
    catalogue = folder / "catalogue"
    shutil.copytree(ROOT / "catalogue", catalogue)
    for file in SERVICES.glob("*.yaml"):
        shutil.copy(file, catalogue / "services")
    with running(folder, city, catalogue=catalogue) as service:
        desk = Desk(service, _open_cases(service))
        sources = cast(dict[str, Source], service.rooms.sources)
        for department, source in sources.items():
            sources[department] = Source(NotingConnector(department, source.connector, desk.fetches), source.timeout)
        yield desk


__all__ = ["HOUSING", "Desk", "open_desk", "sqlite_source", "statements"]
