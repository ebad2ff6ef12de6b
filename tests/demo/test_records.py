"""The city's records: complete, readable by the catalogue's formats, and about people and organisations that exist."""

from __future__ import annotations

import sqlite3
from collections import Counter
from contextlib import closing
from datetime import date, datetime
from typing import Any

from demo.people import TODAY
from schema.catalogue import ItemType
from schema.formats import decoder
from schema.identifiers import to_citizen_id, to_component_code, to_credit_code, to_unit_number
from tests.demo.conftest import BuiltCity, Row

_CHECKS = {
    ItemType.ID_NUMBER: to_citizen_id,
    ItemType.CREDIT_CODE: to_credit_code,
    ItemType.UNIT_NUMBER: to_unit_number,
    ItemType.COMPONENT_CODE: to_component_code,
}


def born(number: str) -> date:
    return date(int(number[6:10]), int(number[10:12]), int(number[12:14]))


def people(city: BuiltCity) -> dict[str, Row]:
    return {row["idNumber"]: row for row in city.rows("HouseholdRegistration")}


def living(city: BuiltCity) -> set[str]:
    return {number for number, row in people(city).items() if row["status"] == "1"}


def mentioned(city: BuiltCity, *coordinates: str) -> set[Any]:
    found = set()
    for coordinate in coordinates:
        resource, name = coordinate.split(".")
        found |= {row[name] for row in city.rows(resource) if row[name] is not None}
    return found


def organisations(city: BuiltCity) -> set[str]:
    return mentioned(
        city,
        "EnterpriseRegistration.enterpriseName",
        "IndividualBusinessRegistration.businessName",
        "PrivateNonEnterpriseUnit.unitName",
        "SocialOrganization.unitName",
        "SocialWelfareInstitution.unitName",
        "PublicInstitution.unitName",
    )


def test_every_connected_resource_has_rows_and_the_report_counts_them(city: BuiltCity) -> None:
    counts = {resource.name: len(city.raw(resource.name)) for resource in city.connected}
    assert counts == dict(city.report.counts)
    assert [name for name, count in counts.items() if count == 0] == []
    assert counts["HouseholdRegistration"] == 2000


def test_every_annex_data_set_with_a_connection_has_rows(city: BuiltCity) -> None:
    annex = [resource for resource in city.connected if resource.annex]
    assert len(annex) >= 23
    assert all(city.raw(resource.name) for resource in annex)


def test_no_item_is_null_everywhere(city: BuiltCity) -> None:
    forgotten = [
        f"{resource.name}.{item}"
        for resource in city.connected
        for item in resource.items
        if all(row[item] is None for row in city.raw(resource.name))
    ]
    assert forgotten == []


def test_every_code_is_in_its_table(city: BuiltCity) -> None:
    for resource in city.connected:
        for item in resource.items.values():
            if item.codes:
                known = {value.code for value in city.catalogue.codes[item.codes].values}
                assert {row[item.name] for row in city.rows(resource.name)} - {None} <= known, item.place


def test_every_identifier_is_valid(city: BuiltCity) -> None:
    for resource in city.connected:
        for item in resource.items.values():
            for row in city.rows(resource.name) if item.type in _CHECKS else ():
                value = row[item.name]
                assert value is None or _CHECKS[item.type](value) == value


def test_sex_is_the_parity_of_the_identity_number(city: BuiltCity) -> None:
    assert all(int(row["idNumber"][16]) % 2 == int(row["sex"]) % 2 for row in people(city).values())


def test_a_key_of_a_to_one_resource_is_unique(city: BuiltCity) -> None:
    for resource in city.connected:
        if not resource.many:
            keys = Counter(row[resource.key or ""] for row in city.rows(resource.name))
            assert keys.most_common(1)[0][1] == 1, resource.name


def test_every_person_on_record_is_a_resident(city: BuiltCity) -> None:
    numbers = {
        row[item.name]
        for resource in city.connected
        for item in resource.items.values()
        if item.type is ItemType.ID_NUMBER
        for row in city.rows(resource.name)
    }
    assert numbers - {None} == set(people(city))


def test_names_of_a_person_agree_in_all_registers(city: BuiltCity) -> None:
    names = {number: row["name"] for number, row in people(city).items()}
    pairs = (("idNumber", "name"), ("motherIdNumber", "motherName"), ("ownerIdNumber", "ownerName"))
    for resource in city.connected:
        for number, name in pairs:
            if number in resource.items and name in resource.items:
                assert all(names[row[number]] == row[name] for row in city.rows(resource.name)), resource.name


def test_marriages_have_two_living_or_dead_sides_of_age(city: BuiltCity) -> None:
    sides = Counter((row["marriedOn"], row["divorcedOn"]) for row in city.rows("MarriageRegistration"))
    assert all(count % 2 == 0 for count in sides.values())
    for row in city.rows("MarriageRegistration"):
        number = row["idNumber"]
        assert row["marriedOn"].year - born(number).year >= (22 if int(number[16]) % 2 else 20)
        assert (row["divorcedOn"] is not None) == (row["maritalStatus"] == "40")


def test_parents_are_residents_and_older_than_their_children(city: BuiltCity) -> None:
    registered = people(city)
    for row in city.rows("BirthRegistration"):
        for parent, parity in (("motherIdNumber", 0), ("fatherIdNumber", 1)):
            assert row[parent] in registered
            assert int(row[parent][16]) % 2 == parity
            assert row["bornOn"].year - born(row[parent]).year >= 18
        assert born(row["idNumber"]) == row["bornOn"]


def test_the_dead_are_cancelled_in_the_household_register_and_nobody_else_is_cancelled_for_death(
    city: BuiltCity,
) -> None:
    cancelled = {number: row for number, row in people(city).items() if row["cancellationReason"] == "2"}
    deaths = {row["idNumber"]: row for row in city.rows("DeathRegistration")}
    assert cancelled.keys() == deaths.keys()
    assert 10 <= len(deaths) <= 60
    for number, row in deaths.items():
        completed = row["diedOn"].replace(year=row["diedOn"].year - row["age"], day=min(28, row["diedOn"].day))
        assert 0 <= (completed - born(number)).days <= 366
        assert row["diedOn"] <= cancelled[number]["cancelledOn"] <= TODAY


def test_the_widowed_have_a_dead_spouse(city: BuiltCity) -> None:
    widowed = Counter(row["marriedOn"] for row in city.rows("MarriageRegistration") if row["maritalStatus"] == "30")
    dead = people(city).keys() - living(city)
    lost = Counter(row["marriedOn"] for row in city.rows("MarriageRegistration") if row["idNumber"] in dead)
    assert widowed
    assert widowed <= lost


def test_employers_exist_by_name(city: BuiltCity) -> None:
    employers = mentioned(
        city, "SocialInsurance.employerName", "HousingFund.employerName", "ProfessionalTitle.employer"
    )
    assert len(employers) > 20
    assert employers <= organisations(city)


def test_the_housing_fund_knows_the_employer_of_social_insurance(city: BuiltCity) -> None:
    employers = {row["idNumber"]: row["employerName"] for row in city.rows("SocialInsurance")}
    assert all(employers[row["idNumber"]] == row["employerName"] for row in city.rows("HousingFund"))


def test_a_worker_has_several_kinds_of_insurance(city: BuiltCity) -> None:
    kinds = Counter(row["idNumber"] for row in city.rows("SocialInsurance") if row["employerName"])
    assert set(kinds.values()) == {5}


def test_organisations_are_headed_by_living_adults(city: BuiltCity) -> None:
    heads = mentioned(
        city,
        "EnterpriseRegistration.legalRepresentativeIdNumber",
        "IndividualBusinessRegistration.operatorIdNumber",
        "PrivateNonEnterpriseUnit.legalRepresentativeDocumentNumber",
        "SocialOrganization.legalRepresentativeDocumentNumber",
        "SocialWelfareInstitution.legalRepresentativeDocumentNumber",
    )
    assert heads <= living(city)
    assert all(TODAY.year - born(number).year >= 18 for number in heads)


def test_every_organisation_has_an_organisation_registration_and_enterprises_a_tax_registration(
    city: BuiltCity,
) -> None:
    codes = mentioned(
        city, *(f"{resource.name}.{resource.key}" for resource in city.connected if resource.entity == "Organization")
    )
    assert codes == mentioned(city, "OrganizationRegistration.unifiedSocialCreditCode")
    enterprises = mentioned(city, "EnterpriseRegistration.unifiedSocialCreditCode")
    assert enterprises <= mentioned(city, "TaxRegistration.unifiedSocialCreditCode")
    assert len(organisations(city)) == len(codes)


def test_residence_permits_are_held_by_those_registered_elsewhere(city: BuiltCity) -> None:
    permits = city.rows("ResidencePermit")
    assert all(not row["householdAddress"].startswith("湖北省咸宁市") for row in permits)
    assert all(row["residenceAddress"].startswith("湖北省咸宁市") for row in permits)


def test_nothing_is_dated_after_the_city_s_today_but_ends_of_validity(city: BuiltCity) -> None:
    ends = {"validUntil", "endsOn", "publishedUntil"}
    for resource in city.connected:
        for item in resource.items.values():
            if item.type is ItemType.DATE and item.name not in ends:
                days = [row[item.name] for row in city.rows(resource.name) if row[item.name]]
                assert max(days) <= TODAY, f"{resource.name}.{item.name}"


def test_the_last_change_is_written_in_the_source_s_format(city: BuiltCity) -> None:
    for resource in city.connected:
        read = decoder(ItemType.DATETIME, resource.updated_format, {})
        with closing(sqlite3.connect(city.folder / f"{resource.department}.db")) as database:
            found = database.execute(f'SELECT "{resource.updated}" FROM "{resource.table}"').fetchall()
        moments: list[datetime] = [read(value) for (value,) in found]
        assert all(moment.date() <= TODAY for moment in moments), resource.name


def test_identity_of_a_search_identifies_one_record(city: BuiltCity) -> None:
    searched = [(resource, resource.search) for resource in city.connected if resource.search]
    assert len(searched) >= 6
    for resource, search in searched:
        records = Counter(tuple(row[name] for name in search.identity) for row in city.rows(resource.name))
        assert records.most_common(1)[0][1] == 1, resource.name
        assert not any(None in identity for identity in records), resource.name


def test_regions_are_division_codes_of_several_counties(city: BuiltCity) -> None:
    regional = [resource for resource in city.connected if resource.region]
    assert regional
    for resource in regional:
        codes = {row[resource.region or ""] for row in city.rows(resource.name)}
        assert len(codes) > 1
        assert all(len(code) == 6 and code.isdigit() and code.startswith("4212") for code in codes)


def test_sealed_records_are_of_adults_and_of_minors(city: BuiltCity) -> None:
    births = [born(row["idNumber"]) for row in city.rows("SealedJuvenileRecord")]
    of_age = {(TODAY.year - day.year, TODAY.month, TODAY.day) >= (18, day.month, day.day) for day in births}
    assert of_age == {True, False}
