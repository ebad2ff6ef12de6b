"""Working lives in the demo city: social insurance, housing fund, professional titles and certificates."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date
from random import Random

from demo.organisations import Kind, Organisation
from demo.people import TODAY, Family, Job, Person, day_between, years_after
from demo.registers import about, authority, moment_after, serial
from demo.tables import Record

_EMPLOYEE = ("110", "210", "310", "410", "510")  # pension, unemployment, medical, work injury, maternity
_PUBLIC = ("120", "210", "310", "410", "510")
_RESIDENT_PENSION, _RESIDENT_MEDICAL = "170", "390"
_ENROLLED, _SUSPENDED = "1", "2"
_MANAGER, _STUDENT, _OTHER, _UNEMPLOYED, _RETIRED = "21", "31", "90", "70", "80"  # GB/T 2261.4
_WITHOUT_JOB = ("27", "27", "51", "54", _UNEMPLOYED)
_AT_WORK = {
    Kind.ENTERPRISE: ("17", "24", "24", "13", "21"),
    Kind.INDIVIDUAL: ("24", "17", "54"),
    Kind.PUBLIC: ("13", "13", "17"),
}
_TITLES = (
    ("助理工程师", "技术员"),
    ("工程师", "工程师"),
    ("中级会计师", "会计"),
    ("一级教师", "教师"),
    ("主治医师", "医师"),
)
_CERTIFICATES = (
    ("教师资格证书", "教师资格注册证", "教育局"),
    ("医师资格证书", "医师执业证书", "卫生健康局"),
    ("护士执业资格考试成绩合格证明", "护士执业证书", "卫生健康局"),
    ("二级建造师执业资格证书", "二级建造师注册证书", "住房和城乡建设局"),
    ("社会工作者职业资格证书", "社会工作者登记证书", "人力资源和社会保障局"),
)


def _status(rng: Random, person: Person, employer: Organisation | None) -> str:
    """The person's employment status (GB/T 2261.4)."""
    if employer:
        return rng.choice(_AT_WORK.get(employer.kind, ("17", "13")))
    if person.age() < max(18, person.schooling + 8):
        return _STUDENT if person.age() >= 6 else _OTHER
    return _RETIRED if person.age() >= 60 else rng.choice(_WITHOUT_JOB)


def insurances(rng: Random, person: Person, employer: Organisation | None, status: str) -> Iterator[Record]:
    """One record for each insurance of a person: of an employee with the employer, else of a resident."""
    job, county = person.job, person.home.county
    number = serial(rng, 10)
    if job and employer:
        types: tuple[str, ...] = _PUBLIC if employer.kind is Kind.PUBLIC else _EMPLOYEE
        begun = job.hired
    else:
        types = (_RESIDENT_PENSION, _RESIDENT_MEDICAL) if person.age() >= 16 else (_RESIDENT_MEDICAL,)
        begun = day_between(rng, max(person.born, date(2009, 9, 1)), TODAY)
    left = job.left if job else None
    updated = moment_after(rng, left or begun)
    for kind in types:
        values = about(person) | {
            "employmentStatus": status,
            "insuranceStatus": _SUSPENDED if left else _ENROLLED,
            "personalNumber": number,
            "insuranceType": kind,
            "enrolledOn": begun,
            "suspendedOn": left,
            "employerName": employer.name if employer else None,
            "employerNumber": employer.insurance_number if employer else None,
            "registeredOn": begun,
            **authority(county, "社会保险服务中心"),
        }
        yield Record("SocialInsurance", updated, values)


def housing_fund(rng: Random, person: Person, job: Job, employer: Organisation) -> Record:
    """The person's account with the housing fund: normal while at work, sealed afterwards, few frozen."""
    status = "02" if job.left else "06" if rng.random() < 0.01 else "01"
    values = about(person) | {"accountStatus": status, "employerName": employer.name, "registeredOn": job.hired}
    return Record("HousingFund", moment_after(rng, job.left or job.hired), values)


def title(rng: Random, person: Person, job: Job, employer: Organisation, names: tuple[str, str]) -> Record:
    """A professional title, and the post that goes with it."""
    qualification, position = names
    qualified = day_between(rng, max(years_after(person.born, 23), date(1998, 1, 1)), TODAY)
    values = about(person) | {
        "qualification": qualification,
        "qualifiedOn": qualified,
        "position": position,
        "employer": employer.name,
        "employerRegion": employer.home.county.code,
        "appointedOn": max(qualified, job.hired),
    }
    return Record("ProfessionalTitle", moment_after(rng, max(qualified, job.hired)), values)


def certificate(rng: Random, person: Person, names: tuple[str, str, str]) -> Record:
    """A certificate of qualification with the licence to practise; `names` of both and of the office."""
    qualification, practice, office = names
    issued = day_between(rng, max(years_after(person.born, 18), date(1999, 1, 1)), TODAY)
    cancelled = day_between(rng, issued, TODAY) if rng.random() < 0.08 else None
    values = about(person) | {
        "qualificationName": qualification,
        "qualificationNumber": f"{issued:%Y}42{serial(rng, 9)}",
        "practiceName": practice if rng.random() < 0.8 else None,
        "practiceNumber": None,
        "issuedOn": issued,
        "cancelledOn": cancelled,
        **authority(person.home.county, office),
    }
    if values["practiceName"]:
        values["practiceNumber"] = f"鄂{serial(rng, 10)}"
    return Record("ProfessionalCertificate", moment_after(rng, cancelled or issued), values)


def work_records(
    rng: Random, family: Family, organisations: Sequence[Organisation], *, complete: bool
) -> Iterator[Record]:
    """Working lives of a family; `complete` gives its first all that the demo shows."""
    for person in family.people:
        if not person.alive or person.moved:
            continue
        shown = complete and person is family.people[0]
        employer = organisations[person.job.employer] if person.job else None
        if employer or rng.random() < 0.8:
            yield from insurances(rng, person, employer, _MANAGER if shown else _status(rng, person, employer))
        if not (person.job and employer):
            continue
        if shown or rng.random() < 0.6:
            yield housing_fund(rng, person, person.job, employer)
        if shown or (person.schooling >= 15 and rng.random() < 0.25):
            yield title(rng, person, person.job, employer, _TITLES[1] if shown else rng.choice(_TITLES))
        if shown or (person.schooling >= 12 and rng.random() < 0.2):
            yield certificate(rng, person, _CERTIFICATES[3] if shown else rng.choice(_CERTIFICATES))
