"""The demo's scene: a city, an issuer, secrets, an open case, and whom to be."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from demo.city import CityReport, Example, Examples, Progress, build_city
from demo.issuer import demo_token, ensure_issuer, ensure_secret, ensure_signing_key
from policies.cases import CaseState, CaseStore, CaseSubject
from schema.catalogue import Catalogue, Resource

REPORT_FILE = "city.json"
CASE_NUMBER = "GZF-DEMO-{:04d}"
SERVICE = "public-rental-housing"

QUERY = """\
query Applicant($idNumber: CitizenIdNumber!, $use: UseInput!) {
  person(idNumber: $idNumber, use: $use) {
    householdRegistration {
      name idNumber sex ethnicGroup
      town policeStation status
    }
    marriageRegistrations {
      marriedOn divorcedOn maritalStatus
    }
    socialInsurance {
      employmentStatus insuranceStatus
      insuranceType enrolledOn
      employerName authority
    }
    housingFund {
      accountStatus employerName registeredOn
      provenance { provider updatedAt }
    }
    electronicCertificates {
      certificateName certificateNumber
      issuedBy issuedOn validUntil status
    }
  }
}
"""
"""The first query that anybody pastes: 25 items of five departments about one applicant."""

LOOKUP = "--item HouseholdRegistration.name --item HousingFund.accountStatus"
"""What the demo's example of `onesource lookup` asks for."""


@dataclass(frozen=True, slots=True)
class DemoIdentity:
    """Somebody to be in the demo."""

    title: str
    subject: str
    department: str
    role: str


IDENTITIES = (
    DemoIdentity("窗口人员 · 住房保障  clerk, housing", "clerk-01", "housing", "clerk"),
    DemoIdentity("应用开发者 · 住房保障  developer, housing", "developer-01", "housing", "developer"),
    DemoIdentity("窗口人员 · 市场监管  clerk, market supervision", "clerk-02", "market-supervision", "clerk"),
    DemoIdentity("审计人员 · 大数据中心  auditor", "auditor-01", "data-bureau", "auditor"),
    DemoIdentity("数据共享专员 · 住房保障  officer, housing", "officer-01", "housing", "officer"),
    DemoIdentity("数据共享专员 · 公安  officer, public security", "officer-02", "public-security", "officer"),
    DemoIdentity("数据共享专员 · 大数据中心  officer, supervising", "officer-03", "data-bureau", "officer"),
)


@dataclass(frozen=True, slots=True)
class Scene:
    """Where the demo keeps its things, below one folder."""

    folder: Path

    @property
    def city(self) -> Path:
        return self.folder / "city"

    @property
    def issuer(self) -> Path:
        return self.folder / "issuer"

    def prepare(self) -> None:
        """Make the issuer and the secrets, each if it is not there yet."""
        ensure_issuer(self.issuer)
        ensure_secret(self.folder / "secrets" / "cases.key")
        ensure_secret(self.folder / "secrets" / "ledger.key")
        ensure_secret(self.folder / "secrets" / "identities.key")
        ensure_signing_key(self.folder / "secrets" / "ledger-signing.key")

    def build(self, catalogue: Catalogue, residents: int, seed: int, progress: Progress) -> CityReport:
        """Build the city anew and keep its report. A department's database that the demo did not make stays as it is."""
        self.folder.mkdir(parents=True, exist_ok=True)
        report_file = self.folder / REPORT_FILE
        with TemporaryDirectory(dir=self.folder) as aside:
            for file in self._foreign(catalogue):
                shutil.copy2(file, aside)
            report_file.unlink(missing_ok=True)  # a killed build must not leave a report of another city
            report = build_city(catalogue, self.city, residents=residents, seed=seed, progress=progress)
            foreign = {file.name for file in Path(aside).iterdir()}
            for name in foreign:
                shutil.copy2(Path(aside) / name, self.city)
        made = [r for r in catalogue.resources.values() if r.connected and f"{r.department}.db" not in foreign]
        kept = asdict(report) | {"layouts": {resource.name: _layout(resource) for resource in made}}
        report_file.write_text(json.dumps(kept, ensure_ascii=False, indent=1), "utf8")
        return report

    def report(self, catalogue: Catalogue) -> CityReport | None:
        """The report of the city that stands; None if there is none or the catalogue now describes its tables otherwise."""
        try:
            kept = self._kept()
            now = {resource.name: _layout(resource) for resource in catalogue.resources.values()}
            if any(now.get(name, layout) != layout for name, layout in kept.pop("layouts").items()):
                return None
            examples = Examples(**{name: Example(**one) for name, one in kept.pop("examples").items()})
            return CityReport(**kept, examples=examples)
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def size(self) -> tuple[int, int] | None:
        """Residents and seed of the city that was built last; None if nothing tells."""
        try:
            kept = self._kept()
            return int(kept["residents"]), int(kept["seed"])
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def _kept(self) -> dict[str, Any]:
        return dict(json.loads((self.folder / REPORT_FILE).read_text("utf8")))

    def _foreign(self, catalogue: Catalogue) -> list[Path]:
        """Databases in the city's folder of departments for which the demo has made nothing."""
        try:
            made = self._kept()["layouts"]
        except (OSError, ValueError, KeyError):
            return []
        ours = {resource.department for resource in catalogue.resources.values() if resource.name in made}
        return [file for file in self.city.glob("*.db") if file.stem not in ours]

    def token(self, one: DemoIdentity, issuer: str, audience: str) -> str:
        return demo_token(self.issuer, issuer, audience, subject=one.subject, department=one.department, role=one.role)


def _layout(resource: Resource) -> str:
    """A digest of how the source of a resource writes it."""
    items = [(i.name, i.type, i.column, i.format, i.codes, sorted(i.values.items())) for i in resource.items.values()]
    about = (resource.table, resource.key, resource.many, resource.updated, resource.updated_format, items)
    return hashlib.sha256(repr(about).encode()).hexdigest()[:16]


async def open_case(cases: CaseStore, catalogue: Catalogue, examples: Examples) -> str | None:
    """The number of an open case of the demo's applicant, opened if there is none; None without its service item."""
    service = next((s for s in catalogue.services.values() if s.name == SERVICE), None)
    if service is None:
        return None
    subjects = (
        CaseSubject("Person", examples.applicant.identifier, "APPLICANT", "本人申请"),
        CaseSubject("Person", examples.spouse.identifier, "SPOUSE", "共同申请人"),
        CaseSubject("Person", examples.child.identifier, "CHILD", "共同申请人"),
    )
    now = datetime.now(UTC)
    number = 0
    while True:
        number += 1
        name = CASE_NUMBER.format(number)
        case = await cases.find(service.department, name)
        if case is None:
            await cases.accept(service, name, subjects, "demo", now)
            return name
        if case.state(now) is CaseState.OPEN and case.subjects == subjects:
            return name


def variables(examples: Examples, case_number: str) -> Mapping[str, object]:
    """The variables of `QUERY` for the demo's applicant."""
    use = {"purpose": "ADMINISTRATIVE_BASIS", "basis": {"case": case_number}}
    return {"idNumber": examples.applicant.identifier, "use": use}
