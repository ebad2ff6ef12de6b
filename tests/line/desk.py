"""The desk: a running service whose fetches and statements are noted, and the open cases that the tests of the line need."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import pytest
import sqlalchemy as sa
from stdnum.cn import ric

import connectors.embedded
from connectors.contract import Capability, Connector, CountRequest, Request, Rows
from connectors.sql import SqlConnector
from resolvers.fetch import Loads
from resolvers.sources import Source
from schema.catalogue import Resource
from schema.formats import CHINA
from tests.service import HOUSING, ROOT, Service, running

SERVICES = Path(__file__).parent / "services"
DEREGISTRATION = "421200-SC-FW-0001"
FUND_REVIEW, INSPECTION, REPAIR = "421200-ZJ-FW-9001", "421200-ZJ-FW-9002", "421200-ZJ-FW-9003"
HARDSHIP, SUPPORT = "421200-ZJ-FW-9004", "421200-SC-FW-9001"
BIRTH, SUBSIDY = "421200-GA-FW-0001", "421200-RS-FW-0001"
STRANGER = "110101199003074514"
"""A valid identity number that nobody in the city has."""

T = TypeVar("T")
Fetches = list[tuple[str, Request]]


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

    def capabilities(self) -> frozenset[Capability]:
        return self.inner.capabilities()

    async def check(self, resource: Resource) -> tuple[str, ...]:
        return await self.inner.check(resource)

    async def fetch(self, request: Request) -> Rows:
        self.fetches.append((self.department, request))
        return await self.inner.fetch(request)

    def explain(self, request: Request) -> str:
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

    def run(self, work: Callable[..., Coroutine[Any, Any, T]], *given: Any) -> T:
        """What a coroutine function returns, run in the service's own event loop."""
        assert self.service.client.portal
        result: T = self.service.client.portal.call(work, *given)
        return result

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
            columns = () if isinstance(request, CountRequest) else request.columns
            found.setdefault(request.resource.name, set()).update(columns)
        return found

    @contextmanager
    def replaced(self, connector: Connector, *departments: str, timeout: float = 2.0) -> Iterator[None]:
        """While it lasts, `connector` stands in for these departments' sources."""
        line = self.service.rooms.line
        before = line._loads
        line._loads = Loads({**before.sources, **dict.fromkeys(departments, Source(connector, timeout))})
        try:
            yield
        finally:
            line._loads = before


@contextmanager
def statements() -> Iterator[list[str]]:
    """The SQL statements sent to the departments' databases meanwhile, in order, but for settings of a connection."""
    sent: list[str] = []

    read = connectors.embedded.read

    def note(connection: sa.PoolProxiedConnection, text: str, parameters: Any, deadline: float) -> Sequence[Any]:
        sent.append(text)
        return read(connection, text, parameters, deadline)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(connectors.embedded, "read", note)
        yield sent


def sqlite_source(file: Path) -> SqlConnector:
    """A connector of a SQLite file."""
    return SqlConnector(f"sqlite:///{file}")


def born(day: date, serial: int = 451) -> str:
    """A valid identity number of somebody born on that day."""
    number = f"421202{day:%Y%m%d}{serial:03}"
    return number + str(ric.calc_check_digit(number + "0"))


def _years_ago(years: int) -> date:
    """Today in China, so many years ago; the 28th of February for the 29th."""
    today = datetime.now(CHINA).date()
    return today.replace(year=today.year - years, day=min(today.day, 28) if today.month == 2 else today.day)


def _write_records(desk: Desk) -> None:
    """Records that the city has by chance only: of each region and of none; sealed ones of the grown-up and of the young."""
    people, now = desk.names, "2026-11-01 08:00:00"
    regions = (("applicant", "421202"), ("spouse", "421221"), ("child", None))
    with closing(sqlite3.connect(desk.database("housing"))) as housing, housing:
        housing.execute("DELETE FROM ZFBZ_DXXX WHERE SFZH IN (?, ?, ?)", [people[name] for name, _ in regions])
        housing.executemany(
            "INSERT INTO ZFBZ_DXXX (SFZH, XM, XZQHDM, BZFS, BZZT, YZJ, KSRQ, JSRQ, GXSJ) VALUES (?, '试', ?, '1', '2', 31550, ?, ?, ?)",
            [(people[name], region, "2024-03-01", "2027-03-01", now) for name, region in regions],
        )
    with closing(sqlite3.connect(desk.database("public-security"))) as police, police:
        police.executemany(
            "INSERT INTO T_WCNFCJL (GMSFHM, AJBH, PJFY, PJRQ, FCRQ, GXSJ) VALUES (?, '试1号', '试法院', '20240105', '20240106', ?)",
            [(people[name], "20240106080000") for name in ("applicant", "eighteen", "minor")],
        )


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
        "eighteen": born(_years_ago(18)),
        "minor": born(_years_ago(18) + timedelta(days=2)),
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
        "case_support": service.accept("ZX-3", family[0], service=SUPPORT, department=market),
        "case_birth": service.accept(
            "HK-1", family[0], ("NEWBORN", child), service=BIRTH, department="public-security"
        ),
        "case_subsidy": service.accept("RS-1", family[0], service=SUBSIDY, department="human-resources"),
    }
    young = (("CHILD", names["eighteen"]), ("CHILD", names["minor"]))
    names["case_hardship"] = service.accept("KN-1", *family, *young, service=HARDSHIP)
    names["case_alone_hardship"] = service.accept("KN-2", family[0], service=HARDSHIP)
    assert service.ask(close, {"number": "GZF-3"})["data"]["closeCase"] == {"state": "CLOSED"}
    _expire(service, "GZF-4")
    return names


_EDITS = (
    ("human-resources.yaml", "  - name: ProfessionalTitle\n", "    modes:", "    audience: [housing]\n    modes:"),
    ("disabled-persons-federation.yaml", "  - name: DisabilityCertificate\n", "    key:", "    region: authorityRegion\n    key:"),
    ("natural-resources.yaml", "  - name: RealEstateRegistration\n", "where: [", "where: [ownerIdNumber, "),
)  # fmt: skip
"""What the tests need and no shipped resource has: an audience, a region without a condition on it, a search by an identifier."""


def _edit(catalogue: Path) -> None:
    for name, resource, old, new in _EDITS:
        file = catalogue / name
        before, found, after = file.read_text("utf8").partition(resource)
        assert found, resource
        assert old in after, old
        file.write_text(before + found + after.replace(old, new, 1), "utf8")


@contextmanager
def open_desk(folder: Path, city: Path) -> Iterator[Desk]:
    """A desk in `folder` over a copy of the city; the service items of `services/` are beside the shipped ones."""
    catalogue = folder / "catalogue"
    shutil.copytree(ROOT / "catalogue", catalogue)
    for file in SERVICES.glob("*.yaml"):
        shutil.copy(file, catalogue / "services")
    _edit(catalogue)
    with running(folder, city, catalogue=catalogue) as service:
        desk = Desk(service, _open_cases(service))
        _write_records(desk)
        for department, source in service.rooms.sources.items():
            source.connector = NotingConnector(department, source.connector, desk.fetches)
        yield desk


__all__ = ["HOUSING", "Desk", "open_desk", "sqlite_source", "statements"]
