"""Welfare, health and papers in the demo city: allowances, disability, housing, certificates, sealed records."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from decimal import Decimal
from random import Random

from demo.people import TODAY, Family, Person, day_between, years_after
from demo.registers import about, at_work, authority, moment_after, serial
from demo.tables import Record

_DISABILITIES = tuple(f"{kind}{level}" for kind in range(1, 8) for level in range(1, 5))  # GB/T 26341
_DIED, _RECOVERED, _MOVED, _ON_REQUEST = "1", "2", "3", "4"
_WAITING, _SECURED, _ENDED = "1", "2", "3"
_RENTED, _SUBSIDISED = "1", "2"
_VALID, _EXPIRED = "1", "2"
_VACCINES = ("乙肝疫苗第3剂", "麻腮风疫苗第2剂", "百白破疫苗第4剂", "乙脑减毒活疫苗第2剂", "流感疫苗")
_ESTATES = ("桂园公租房小区", "淦河安居苑", "滨湖保障房小区")
_PAPERS = (  # (title, issuing office, code of its type, years of validity)
    ("中华人民共和国居民身份证", "公安局", "11100000000013338W011", 20),
    ("中华人民共和国社会保障卡", "人力资源和社会保障局", "11100000000013426N001", 10),
    ("中华人民共和国机动车驾驶证", "公安局交通警察大队", "11100000000013338W032", 6),
)


def allowance(rng: Random, person: Person) -> Record:
    """A family's minimum living allowance, in the name of one of them."""
    issued, county = day_between(rng, date(2015, 1, 1), TODAY), person.home.county
    values = about(person) | {
        "certificateNumber": f"{county.code}{issued:%Y}{serial(rng, 6)}",
        **authority(county, "民政局"),
    }
    return Record("MinimumLivingAllowance", moment_after(rng, issued), values)


def disability(rng: Random, person: Person, *, valid: bool) -> Record:
    """A disability certificate: its number is the identity number, the kind and the grade. `valid`: surely so."""
    county = person.register.county
    issued = day_between(rng, max(date(2009, 1, 1), person.born + timedelta(days=200)), person.until)
    values = about(person) | {
        "certificateNumber": person.id_number + rng.choice(_DISABILITIES),
        "issuedOn": issued,
        **authority(county, "残疾人联合会"),
    }
    cancelled = None
    if not valid and (person.until < TODAY or rng.random() < 0.08):
        reason = _DIED if person.died else _MOVED if person.moved else rng.choice((_RECOVERED, _ON_REQUEST))
        cancelled = person.until if person.until < TODAY else day_between(rng, issued, TODAY)
        values |= {
            "cancellationReason": reason,
            "cancellationAuthority": county.office("残疾人联合会"),
            "cancellationAuthorityRegion": county.code,
            "cancelledOn": cancelled,
        }
    return Record("DisabilityCertificate", moment_after(rng, cancelled or issued), values)


def examination(rng: Random, person: Person) -> Record:
    """A health examination, of children with their vaccinations."""
    day = day_between(rng, max(date(2019, 1, 1), person.born + timedelta(days=30)), person.until)
    child = person.age(day) < 15
    grown = 75 + 6 * person.age(day) if child else 150 + rng.randrange(35)
    values = about(person) | {
        "recordedOn": day,
        "examination": f"身高{grown}厘米，心率{62 + rng.randrange(30)}次/分，血压正常"
        if not child or rng.random() < 0.7
        else None,
        "vaccination": f"{rng.choice(_VACCINES)}，{day:%Y-%m-%d}" if child or rng.random() < 0.2 else None,
    }
    return Record("HealthExamination", at_work(rng, day), values)


def housing(rng: Random, person: Person) -> Record:
    """Public rental housing of a household, in the name of one of them."""
    started = day_between(rng, date(2017, 1, 1), TODAY - timedelta(days=60))
    status = rng.choice((_WAITING, _SECURED, _SECURED, _ENDED))
    kind = rng.choice((_RENTED, _RENTED, _SUBSIDISED))
    values: dict[str, object] = {
        "idNumber": person.id_number,
        "name": person.name,
        "regionCode": person.home.county.code,
        "securityType": kind,
        "status": status,
    }
    if status != _WAITING:
        values["startedOn"] = started
        values["endsOn"] = day_between(rng, started, TODAY) if status == _ENDED else years_after(TODAY, 1)
    if status != _WAITING and kind == _RENTED:
        county = person.home.county
        values["address"] = (
            f"{county.title}{county.towns[0]}{rng.choice(_ESTATES)}{1 + rng.randrange(12)}栋{101 + rng.randrange(4)}室"
        )
        values["monthlyRent"] = Decimal(9000 + 50 * rng.randrange(400)) / 100
    return Record("HousingSecurity", moment_after(rng, started), values)


def papers(rng: Random, person: Person) -> Iterator[Record]:
    """Electronic certificates: the identity card, and some of the others."""
    county = person.register.county
    for number, (name, office, kind, years) in enumerate(_PAPERS):
        if number and rng.random() < 0.5:
            continue
        issued = day_between(rng, max(date(2008, 1, 1), years_after(person.born, 18)), TODAY)
        until = years_after(issued, years)
        values = {
            "idNumber": person.id_number,
            "holderName": person.name,
            "certificateName": name,
            "certificateNumber": serial(rng, 9) if number == 1 else person.id_number,
            "certificateIdentifier": f"1.2.156.3005.2.{kind}.{county.code}.{serial(rng, 10)}.001.{rng.randrange(10)}",
            "issuedBy": county.office(office),
            "issuedOn": issued,
            "validUntil": until,
            "status": _VALID if until > TODAY else _EXPIRED,
        }
        yield Record("ElectronicCertificate", moment_after(rng, issued), values)


def sealed_record(rng: Random, person: Person) -> Record:
    """A sealed record of somebody under age."""
    judged = day_between(rng, years_after(person.born, 15), min(years_after(person.born, 18), TODAY))
    court = person.register.county.office("人民法院")
    values = {
        "idNumber": person.id_number,
        "caseNumber": f"({judged.year})鄂{person.register.county.code[2:]}刑初{1 + rng.randrange(400)}号",
        "judgedBy": court,
        "judgedOn": judged,
        "sealedOn": judged,
    }
    return Record("SealedJuvenileRecord", at_work(rng, judged), values)


def welfare_records(rng: Random, family: Family, *, owns_home: bool, complete: bool) -> Iterator[Record]:
    """All of this for a family; `complete` gives its first the certificates that the demo shows."""
    first = family.people[0]
    if not complete and not first.moved and rng.random() < 0.06:
        yield allowance(rng, first)
    if not first.moved and not owns_home and rng.random() < 0.2:
        yield housing(rng, first)
    for person in family.people:
        shown = complete and person is first
        grown = person.age(person.until) >= 1
        if shown or (grown and rng.random() < 0.03):
            yield disability(rng, person, valid=shown)
        if grown and person.until.year >= 2020 and rng.random() < 0.3:
            yield examination(rng, person)
        if person.alive and person.age() >= 18 and (shown or rng.random() < 0.4):
            yield from papers(rng, person)
        share = 0.05 if person.age() < 18 else 0.015  # so that a small city has both, minors and grown
        if 16 <= person.age() < 30 and person.alive and not shown and rng.random() < share:
            yield sealed_record(rng, person)
