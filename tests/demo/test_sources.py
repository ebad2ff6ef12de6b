"""How departments write: legacy numbers, tables of resources that the demo does not know, indexes."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from demo import build_city
from demo.pictures import png
from schema.catalogue import Catalogue, ItemType
from tests.demo.conftest import BuiltCity, read_table


def test_a_source_with_legacy_numbers_holds_both_forms_and_none_of_the_21st_century(city: BuiltCity) -> None:
    sources = [
        (resource, item)
        for resource in city.connected
        for item in resource.items.values()
        if item.type is ItemType.ID_NUMBER and item.format == "15or18"
    ]
    assert sources
    for resource, item in sources:
        numbers = [row[item.name] for row in city.raw(resource.name) if row[item.name]]
        assert {len(number) for number in numbers} == {15, 18}
    married = [
        row for row in city.raw("MarriageRegistration") if (row["divorcedOn"] or row["marriedOn"]) < "1999-10-01"
    ]
    assert married
    assert all(len(row["idNumber"]) == 15 for row in married)


def test_the_applicant_is_written_with_a_legacy_number(city: BuiltCity) -> None:
    applicant = city.report.examples.applicant.identifier
    stored = [row["idNumber"] for row in city.raw("MarriageRegistration")]
    assert applicant not in stored
    assert applicant[:6] + applicant[8:17] in stored


def test_keys_and_relations_are_indexed(city: BuiltCity) -> None:
    for resource in city.connected:
        assert resource.key
        wanted = {resource.items[name].column for name in (resource.key, *(r.item for r in resource.relations))}
        with closing(sqlite3.connect(city.folder / f"{resource.department}.db")) as database:
            found = database.execute(
                "SELECT i.name FROM pragma_index_list(?) AS l, pragma_index_info(l.name) AS i", (resource.table,)
            )
            assert wanted <= {name for (name,) in found}


def test_a_resource_that_the_demo_does_not_know_gets_an_empty_table(catalogue: Catalogue, tmp_path: Path) -> None:
    stranger = replace(catalogue.resources["HousingFund"], name="PetRegistration", table="pets")
    extended = replace(catalogue, resources={**catalogue.resources, "PetRegistration": stranger})
    report = build_city(extended, tmp_path / "city", residents=100)
    assert read_table(tmp_path / "city", stranger) == []
    assert report.counts["PetRegistration"] == 0


def test_an_item_that_the_demo_does_not_know_is_null_and_one_left_out_is_left_out(
    catalogue: Catalogue, tmp_path: Path
) -> None:
    known = catalogue.resources["HousingFund"]
    items = dict(known.items)
    items["nickname"] = replace(items.pop("name"), name="nickname", column="NC")
    changed = replace(known, items=items)
    build_city(
        replace(catalogue, resources={**catalogue.resources, "HousingFund": changed}), tmp_path / "city", residents=100
    )
    rows = read_table(tmp_path / "city", changed)
    assert rows
    assert all(row["nickname"] is None and row["idNumber"] for row in rows)


def test_a_department_without_a_connection_gets_no_database(city: BuiltCity) -> None:
    connected = {f"{slug}.db" for slug, department in city.catalogue.departments.items() if department.connection}
    assert {path.name for path in city.folder.iterdir()} == connected


def test_pictures_are_small_png_files(city: BuiltCity) -> None:
    photos = [row["photo"] for row in city.rows("HouseholdRegistration")]
    assert all(photo.startswith(b"\x89PNG\r\n\x1a\n") and photo.endswith(b"IEND\xaeB`\x82") for photo in photos)
    assert max(map(len, photos)) < 300
    assert png("one") != png("two")
