"""Organisations of the demo city, as the registers of market, tax, civil affairs, statistics and others know them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, timedelta
from random import Random
from typing import Any

from demo.organisations import Kind, Organisation
from demo.people import TODAY, Person, day_between
from demo.registers import at_work, serial
from demo.tables import Record

_INDUSTRIES = {  # GB/T 4754 by trade
    "建材": "C", "机电": "C", "茶业": "A", "竹业": "A", "食品": "C", "纺织": "C", "物流": "G", "商贸": "F",
    "环保": "N", "生物": "M", "农业": "A", "旅游": "L", "信息技术": "I", "汽车服务": "O", "医药": "Q", "装饰": "E",
}  # fmt: skip
_ENTERPRISE_TYPES = ("1130", "1130", "1151", "1100", "1200", "4540", "9100")  # GS 15
_CODE_TYPES = {Kind.ENTERPRISE: "1", Kind.PUBLIC: "5", Kind.SOCIAL: "7"}  # GB/T 20091
_CREDIT = (
    ("1", "纳税信用A级纳税人", "税务局", "税"),
    ("2", "未按规定期限公示年度报告，罚款五千元", "市场监督管理局", "市监"),
    ("3", "拒不履行生效法律文书确定的义务", "人民法院", "执"),
)
_SCALES = ("1", "2", "3", "3", "4", "4", "4")


_UNIFIED = date(2015, 10, 1)  # since then registers carry the unified social credit code (国发〔2015〕33号)


def _updated(rng: Random, since: date) -> datetime:
    """A moment after `since`, in the time of the unified code."""
    return at_work(rng, day_between(rng, max(since, _UNIFIED), TODAY))


def _market(rng: Random, organisation: Organisation, head: Person) -> Record:
    """The registration of an enterprise, or of an individual business with its operator."""
    county = organisation.home.county
    values: dict[str, Any] = {
        "unifiedSocialCreditCode": organisation.code,
        "registrationNumber": organisation.register_number,
        "regionCode": county.code,
        "regionName": county.title,
        "industry": _INDUSTRIES[organisation.trade],
        "establishedOn": organisation.founded,
        "authority": county.office("市场监督管理局"),
    }
    if organisation.kind is Kind.ENTERPRISE:
        values |= {
            "enterpriseName": organisation.name,
            "legalRepresentativeName": head.name,
            "legalRepresentativeIdNumber": head.id_number,
            "registeredAddress": organisation.home.address,
            "enterpriseType": rng.choice(_ENTERPRISE_TYPES),
        }
        return Record("EnterpriseRegistration", _updated(rng, organisation.founded), values)
    values |= {
        "businessName": organisation.name,
        "operatorName": head.name,
        "operatorIdNumber": head.id_number,
        "premises": organisation.home.address,
        "businessScope": f"{organisation.trade}产品零售、批发",
    }
    return Record("IndividualBusinessRegistration", _updated(rng, organisation.founded), values)


def _non_profit(rng: Random, organisation: Organisation, head: Person) -> Record:
    """The registration of a non-profit organisation of one of the three kinds (annex art. 15)."""
    county, day = organisation.home.county, organisation.founded
    values: dict[str, Any] = {
        "unifiedSocialCreditCode": organisation.code,
        "unitName": organisation.name,
        "address": organisation.home.address,
        "telephone": organisation.telephone,
        "regionName": county.title,
        "legalRepresentativeName": head.name,
        "legalRepresentativeDocumentNumber": head.id_number,
        "registeredOn": day,
        "authority": county.office("民政局"),
    }
    number = f"咸{county.code}字第{serial(rng, 6)}号"
    if organisation.kind is Kind.PRIVATE:
        resource = "PrivateNonEnterpriseUnit"
        values["unitType"] = rng.choice("1123")
        values["supervisor"] = county.office("人力资源和社会保障局")
        values["businessScope"] = f"{organisation.trade}职业技能培训"
    elif organisation.kind is Kind.SOCIAL:
        resource = "SocialOrganization"
        values["certificateNumber"] = f"社证{number}"
        values["supervisor"] = county.office("工商业联合会") if rng.random() < 0.8 else None
        values["organizationType"] = rng.choice("1234")
    else:
        resource = "SocialWelfareInstitution"
        values["certificateNumber"] = f"社福{number}"
        values["regionCode"] = county.code
        values["institutionType"] = rng.choice("11129")
    return Record(resource, _updated(rng, organisation.founded), values)


def _public_institution(rng: Random, organisation: Organisation, head: Person) -> Record:
    values = {
        "unifiedSocialCreditCode": organisation.code,
        "certificateNumber": f"142{serial(rng, 9)}",
        "unitName": organisation.name,
        "address": organisation.home.address,
        "telephone": organisation.telephone,
        "legalRepresentativeName": head.name,
        "registeredOn": organisation.founded,
    }
    return Record("PublicInstitution", _updated(rng, organisation.founded), values)


def _organisation_code(rng: Random, organisation: Organisation) -> Record:
    """The entry in the register of organisation codes, checked within the last years."""
    certified = min(TODAY, organisation.founded + timedelta(days=rng.randrange(20)))
    verified = day_between(rng, max(certified, date(2020, 1, 1)), TODAY) if rng.random() < 0.8 else None
    values: dict[str, Any] = {
        "unifiedSocialCreditCode": organisation.code,
        "approvalNumber": f"咸编办发〔{organisation.founded.year}〕{1 + rng.randrange(90)}号"
        if organisation.kind is Kind.PUBLIC
        else None,
        "organizationType": _CODE_TYPES.get(organisation.kind, "9"),
        "registeredAddress": organisation.home.address,
        "verifiedOn": verified,
        "verificationResult": ("一致" if rng.random() < 0.95 else "地址不一致") if verified else None,
        "establishedOn": organisation.founded,
        "certifiedOn": certified,
    }
    return Record("OrganizationRegistration", _updated(rng, verified or certified), values)


def _tax(rng: Random, organisation: Organisation) -> Record:
    registered = min(TODAY, organisation.founded + timedelta(days=rng.randrange(30)))
    values = {
        "unifiedSocialCreditCode": organisation.code,
        "taxpayerNumber": organisation.code,
        "registeredAddress": organisation.home.address,
        "registeredOn": registered,
        "authority": f"国家税务总局{organisation.home.county.office('税务局')}",
    }
    return Record("TaxRegistration", _updated(rng, registered), values)


def _credit(rng: Random, organisation: Organisation) -> Record:
    kind, content, office, sign = rng.choice(_CREDIT)
    county, decided = organisation.home.county, day_between(rng, max(organisation.founded, date(2021, 1, 1)), TODAY)
    values = {
        "unifiedSocialCreditCode": organisation.code,
        "organizationName": organisation.name,
        "recordType": kind,
        "documentNumber": f"{county.name[:1]}{sign}〔{decided.year}〕{1 + rng.randrange(900)}号",
        "content": content,
        "decidedBy": county.office(office),
        "decidedOn": decided,
        "publishedUntil": decided + timedelta(days=365 * 3),
        "repaired": None if kind == "1" else rng.random() < 0.3,
    }
    return Record("CreditRecord", at_work(rng, decided), values)


def _statistics(rng: Random, organisation: Organisation) -> Iterator[Record]:
    """The unit in the statistical directory, year by year."""
    scale, large = rng.choice(_SCALES), organisation.capital >= 2_000_000
    for year in range(max(2024, organisation.founded.year), TODAY.year):
        submitted = day_between(rng, date(year + 1, 1, 10), date(year + 1, 4, 30)) if rng.random() < 0.9 else None
        values = {
            "unifiedSocialCreditCode": organisation.code,
            "year": year,
            "reportSystem": "企业一套表统计调查制度" if large else "规模以下抽样调查制度",
            "industry": _INDUSTRIES[organisation.trade],
            "scale": scale,
            "aboveDesignatedSize": large,
            "submitted": submitted is not None,
            "submittedOn": submitted,
        }
        yield Record("EconomicStatistics", at_work(rng, submitted or date(year + 1, 5, 6)), values)


def organisation_records(rng: Random, organisation: Organisation, head: Person) -> Iterator[Record]:
    """All records of an organisation headed by `head`."""
    if organisation.kind in (Kind.ENTERPRISE, Kind.INDIVIDUAL):
        yield _market(rng, organisation, head)
        yield _tax(rng, organisation)
    elif organisation.kind is Kind.PUBLIC:
        yield _public_institution(rng, organisation, head)
    else:
        yield _non_profit(rng, organisation, head)
    yield _organisation_code(rng, organisation)
    if rng.random() < 0.2:
        yield _credit(rng, organisation)
    if organisation.kind is Kind.ENTERPRISE:
        yield from _statistics(rng, organisation)
