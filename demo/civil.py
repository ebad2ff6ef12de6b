"""Civil status of the demo city: household register, residence, marriage, birth, adoption, death, family planning."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from random import Random
from typing import Any

from demo.people import DIVORCED, FEMALE, MALE, TODAY, Child, Couple, Family, Person, day_between, years_after
from demo.pictures import png
from demo.registers import about, at_work, authority, moment_after, serial
from demo.tables import Record

_NORMAL, _CANCELLED = "1", "2"
_MOVED_OUT, _DEATH = "1", "2"
_SEX_TITLES = {MALE: "男", FEMALE: "女"}
_HEALTH = {"1": "健康或良好", "2": "一般或较弱"}  # GB/T 2261.3
_HOSPITALS = ("人民医院", "妇幼保健院", "中医医院")
_PLACES = ("医疗卫生机构", "家中", "来院途中", "养老服务机构")
_CAUSES = ("冠心病", "脑卒中", "肺部感染", "恶性肿瘤", "慢性阻塞性肺疾病", "交通事故")


def household(rng: Random, person: Person) -> Record:
    """The person's entry in the household register."""
    register, gone = person.register, person.died or person.moved
    values: dict[str, Any] = {
        "idNumber": person.id_number,
        "name": person.name,
        "sex": person.sex,
        "ethnicGroup": person.nation,
        "town": register.town,
        "policeStation": register.station,
        "photo": png(person.id_number),
        "status": _CANCELLED if gone else _NORMAL,
    }
    if gone is None:
        return Record("HouseholdRegistration", moment_after(rng, max(person.born, date(1986, 1, 1))), values)
    cancelled = min(TODAY, gone + timedelta(days=rng.randrange(25)))
    values |= {
        "priorRegion": register.county.code,
        "priorPoliceStation": register.station,
        "cancelledOn": cancelled,
        "cancellationReason": _DEATH if person.died else _MOVED_OUT,
    }
    return Record("HouseholdRegistration", at_work(rng, cancelled), values)


def residence_permit(rng: Random, person: Person) -> Record:
    """The permit of somebody whose household register is kept elsewhere."""
    county, home = person.home.county, person.home
    registered = day_between(rng, max(date(2016, 1, 1), years_after(person.born, 16)), person.until)
    left = day_between(rng, registered, TODAY) if rng.random() < 0.1 else None
    values = about(person) | {
        "sex": person.sex,
        "ethnicGroup": person.nation,
        "bornOn": person.born,
        "householdAddress": person.register.address,
        "permitNumber": f"{county.code}{registered:%Y}{serial(rng, 8)}",
        "residenceAddress": home.address,
        "residenceArea": f"{county.name}{home.town}{home.village}",
        "residentsCommittee": f"{home.village}居民委员会"
        if home.village.endswith("社区")
        else f"{home.village}村民委员会",
        "policeStation": home.station,
        "issuedOn": min(person.until, registered + timedelta(days=15)),
        "registeredOn": registered,
        "cancelledOn": person.died or left,
        **authority(county, "公安局"),
    }
    return Record("ResidencePermit", moment_after(rng, person.died or left or registered), values)


def marriages(rng: Random, family: Family, couple: Couple) -> Iterator[Record]:
    """A marriage as it stands in the register, once for each side."""
    updated = at_work(rng, couple.divorced or couple.married)
    for person in (family.people[couple.husband], family.people[couple.wife]):
        values = about(person) | {
            "marriedOn": couple.married,
            "divorcedOn": couple.divorced,
            "maritalStatus": DIVORCED if couple.divorced else person.marital,
        }
        yield Record("MarriageRegistration", updated, values)


def birth(rng: Random, family: Family, child: Child) -> Record:
    """The medical certificate of a birth."""
    baby, mother, father = (family.people[place] for place in (child.child, child.mother, child.father))
    certified = min(TODAY, baby.born + timedelta(days=2 + rng.randrange(9)))
    health = "1" if rng.random() < 0.97 else "2"
    values = about(baby) | {
        "certificateNumber": f"{chr(ord('A') + baby.born.year % 26)}42{serial(rng, 7)}",
        "newbornName": baby.name,
        "sex": _SEX_TITLES[baby.sex],
        "sexCode": baby.sex,
        "healthStatus": _HEALTH[health],
        "healthStatusCode": health,
        "motherName": mother.name,
        "motherIdNumber": mother.id_number,
        "fatherName": father.name,
        "fatherIdNumber": father.id_number,
        "bornOn": baby.born,
        "certifiedOn": certified,
        "certifiedBy": mother.home.county.office(rng.choice(_HOSPITALS)),
    }
    return Record("BirthRegistration", moment_after(rng, certified), values)


def adoption(rng: Random, family: Family, child: Child) -> Record:
    """The registration of an adoption."""
    county, day = family.people[child.mother].home.county, child.adopted or TODAY
    values = about(family.people[child.child]) | {
        "certificateNumber": f"({day.year})咸{county.code}字第{serial(rng, 5)}号",
        **authority(county, "民政局"),
    }
    return Record("AdoptionRegistration", at_work(rng, day), values)


def death(rng: Random, person: Person, kin: Person) -> Record:
    """The medical certificate of a death, reported by `kin`."""
    day, county = person.died or TODAY, person.home.county
    values = about(person) | {
        "regionCode": county.code,
        "regionName": county.title,
        "certificateNumber": f"{county.code}{day:%Y%m}{serial(rng, 6)}",
        "sex": person.sex,
        "ethnicGroup": person.nation,
        "nationality": "中国",
        "age": person.age(day),
        "usualAddress": person.home.address,
        "householdAddress": person.register.address,
        "bornOn": person.born,
        "diedOn": day,
        "deathPlace": rng.choice(_PLACES),
        "deathCause": rng.choice(_CAUSES),
        "relativeName": kin.name,
        "relativeTelephone": kin.telephone,
        "relativeAddress": kin.home.address,
        "physicianSignature": "医师" + serial(rng, 4),
        "medicalInstitution": county.office("人民医院"),
        "policeOfficerSignature": "民警" + serial(rng, 6),
        "policeStation": person.register.station,
    }
    return Record("DeathRegistration", at_work(rng, min(TODAY, day + timedelta(days=rng.randrange(7)))), values)


def family_planning(rng: Random, mother: Person, married: date) -> Record:
    """The service certificate of a wife; of a migrant also the certificate of marriage and births."""
    issued = day_between(rng, married, min(mother.until, married + timedelta(days=700)))
    county = mother.register.county
    migrant = county is not mother.home.county
    values = about(mother) | {
        "servicePermitNumber": f"{county.code}{issued:%Y}{serial(rng, 6)}",
        "migrantCertificateNumber": f"{county.code}L{issued:%Y}{serial(rng, 6)}" if migrant else None,
        "issuedOn": issued,
        **authority(county, "卫生健康局"),
    }
    return Record("FamilyPlanning", moment_after(rng, issued), values)


def _needs_permit(person: Person) -> bool:
    """True of who came from elsewhere, is of age and was here after the permits were introduced in 2016."""
    away = person.register.county is not person.home.county
    return away and person.age(person.until) >= 16 and person.until.year > 2016


def civil_records(rng: Random, family: Family) -> Iterator[Record]:
    """All civil records of a family."""
    for person in family.people:
        yield household(rng, person)
        if _needs_permit(person):
            yield residence_permit(rng, person)
        if person.died:
            yield death(rng, person, family.people[0])
    for couple in family.couples:
        yield from marriages(rng, family, couple)
        if couple.married.year >= 1990 and rng.random() < 0.7:
            yield family_planning(rng, family.people[couple.wife], couple.married)
    for child in family.children:
        yield adoption(rng, family, child) if child.adopted else birth(rng, family, child)
