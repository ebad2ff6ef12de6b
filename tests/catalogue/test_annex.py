"""The shipped catalogue keeps to the annex of Xianning: every item, no other, each provided unconditionally."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from schema.catalogue import Catalogue, Item, Library, MaskKind, Purpose, Resource, ShareClass, SubjectClass
from schema.load import load_catalogue
from schema.page import catalogue_page

ROOT = Path(__file__).parents[2]
ARTICLE_OF_THEMES = 17


@dataclass(frozen=True)
class DataSet:
    """One list of the annex as transcribed: titles in order, and remarks by title."""

    number: tuple[int, int]
    titles: tuple[str, ...]
    notes: dict[str, str]


def _transcribed() -> list[DataSet]:
    articles = yaml.safe_load((ROOT / "tests/catalogue/annex.yaml").read_text(encoding="utf-8"))
    found = []
    for article, lists in articles.items():
        for number, entries in enumerate(lists, start=1):
            titles = tuple(entry if isinstance(entry, str) else entry["item"] for entry in entries)
            notes = {entry["item"]: entry["note"] for entry in entries if not isinstance(entry, str)}
            found.append(DataSet((article, number), titles, notes))
    return found


DATA_SETS = _transcribed()


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    return load_catalogue(ROOT / "catalogue")


@pytest.fixture(scope="module")
def careful() -> Catalogue:
    return load_catalogue(ROOT / "catalogue", ["careful-officer"])


def _resource(catalogue: Catalogue, number: tuple[int, int]) -> Resource:
    (resource,) = (resource for resource in catalogue.resources.values() if resource.annex == number)
    return resource


def _listed(resource: Resource) -> list[Item]:
    return [item for item in resource.items.values() if item.annex]


def test_transcription_counts_227_items_in_23_data_sets() -> None:
    assert (sum(len(data_set.titles) for data_set in DATA_SETS), len(DATA_SETS)) == (227, 23)


@pytest.mark.parametrize("data_set", DATA_SETS, ids=lambda data_set: "art{}-{}".format(*data_set.number))
def test_data_set_has_the_annex_items_and_no_other(catalogue: Catalogue, data_set: DataSet) -> None:
    listed = _listed(_resource(catalogue, data_set.number))
    assert Counter(item.title for item in listed) == Counter(data_set.titles)


def test_remarks_of_the_annex_are_kept_as_descriptions(catalogue: Catalogue) -> None:
    remarks = {(d.number, title): note for d in DATA_SETS for title, note in d.notes.items()}
    kept = {
        (number, item.title): item.description
        for number, title in remarks
        for item in _listed(_resource(catalogue, number))
        if item.title == title
    }
    assert len(remarks) == 3
    assert all(note in kept[key] for key, note in remarks.items())


def test_nothing_else_is_marked_as_of_the_annex(catalogue: Catalogue) -> None:
    of_annex = [resource for resource in catalogue.resources.values() if resource.annex]
    connected = {resource.annex for resource in of_annex if resource.connected}
    assert connected == {data_set.number for data_set in DATA_SETS}
    assert sum(len(_listed(resource)) for resource in of_annex) == 227
    assert not [r.name for r in catalogue.resources.values() if r.annex is None and _listed(r)]


def test_themes_of_article_17_are_entries_without_a_connection(catalogue: Catalogue) -> None:
    themes = ["土地", "水", "矿产", "能源", "森林", "草地", "渔业", "野生动物", "气候(气象)", "城乡规划"]
    for number, theme in enumerate(themes, start=1):
        entry = _resource(catalogue, (ARTICLE_OF_THEMES, number))
        assert entry.title.startswith(theme)
        assert not entry.connected
        assert not entry.items


def test_every_annex_item_is_unconditional_by_article_12(catalogue: Catalogue) -> None:
    shares = {
        item.share for resource in catalogue.resources.values() if resource.annex for item in resource.items.values()
    }
    assert {(share.share_class, share.basis) for share in shares} == {
        (ShareClass.UNCONDITIONAL, "咸宁市政务信息资源共享管理实施细则第十二条")
    }


def test_persons_records_carry_name_document_type_and_number_by_article_11(catalogue: Catalogue) -> None:
    for number in (d.number for d in DATA_SETS if 3 <= d.number[0] <= 10):
        resource = _resource(catalogue, number)
        names = {"newbornName"} if resource.name == "BirthRegistration" else {"name"}
        assert names | {"idDocumentType", "idNumber"} <= set(resource.items), resource.name


def test_every_record_is_found_by_the_identifier_of_its_entity(catalogue: Catalogue) -> None:
    for resource in catalogue.resources.values():
        if resource.connected:
            assert resource.entity is not None
            assert resource.key == catalogue.entities[resource.entity].identifier, resource.name


def test_every_entity_and_kind_of_library_has_a_resource(catalogue: Catalogue) -> None:
    connected = [resource for resource in catalogue.resources.values() if resource.connected]
    assert {"Person", "Organization", "RealEstateUnit", "CityComponent"} == set(catalogue.entities)
    assert {resource.entity for resource in connected} == set(catalogue.entities)
    assert {resource.library for resource in connected} == set(Library)
    names = " ".join(resource.library_name for resource in catalogue.resources.values())
    for base in ("人口", "法人", "经济信息", "地理空间", "城市部件", "房产房屋", "电子证照", "社会诚信"):
        assert base in names


def test_all_three_share_classes_are_shipped_and_only_one_resource_is_not_shared(catalogue: Catalogue) -> None:
    classes = {r.name: r.share.share_class for r in catalogue.resources.values()}
    assert set(classes.values()) == set(ShareClass)
    assert [n for n, c in classes.items() if c is ShareClass.NOT_SHARED] == ["SealedJuvenileRecord"]


def test_legacy_identity_numbers_occur_in_one_department(catalogue: Catalogue) -> None:
    legacy = [
        resource.department
        for resource in catalogue.resources.values()
        for item in resource.items.values()
        if item.format == "15or18"
    ]
    assert legacy == ["civil-affairs"]


def test_overlay_narrows_sensitive_items_and_states_law_and_conflict(careful: Catalogue) -> None:
    for coordinate in (
        "HouseholdRegistration.photo",
        "DeathRegistration.deathCause",
        "DeathRegistration.relativeTelephone",
        "HealthExamination.vaccination",
        "DisabilityCertificate.certificateNumber",
        "BirthRegistration.motherIdNumber",
        "BirthRegistration.healthStatusCode",
        "StudentRecord.studentName",
    ):
        share = careful.item(coordinate).share
        assert share.share_class is ShareClass.CONDITIONAL, coordinate
        assert share.source == "careful-officer"
        assert share.conditions
        assert "第十二条" in share.conflict


def test_representatives_are_masked_for_work_reference_but_shared(catalogue: Catalogue) -> None:
    item = catalogue.item("EnterpriseRegistration.legalRepresentativeIdNumber")
    assert item.share.share_class is ShareClass.UNCONDITIONAL
    assert set(item.masks) == {Purpose.WORK_REFERENCE}


def test_overlay_masks_telephones_below_the_grade_of_the_table_but_shares_them(
    catalogue: Catalogue, careful: Catalogue
) -> None:
    item = careful.item("SocialOrganization.telephone")
    assert item.share.share_class is ShareClass.UNCONDITIONAL
    assert item.masks == {Purpose.WORK_REFERENCE: MaskKind.TELEPHONE}
    assert catalogue.item("SocialOrganization.telephone").masks == {}


def test_overlay_masks_nothing_that_the_table_masks_already(catalogue: Catalogue) -> None:
    lines = yaml.safe_load((ROOT / "catalogue/overlays/careful-officer.yaml").read_text(encoding="utf-8"))["lines"]
    masked = [line["object"] for line in lines if "masks" in line]
    assert masked
    assert [name for name in masked if catalogue.item(name).masks] == []


def test_rental_housing_shows_25_unconditional_items_of_5_departments_under_the_overlay(careful: Catalogue) -> None:
    coordinates = {
        use.coordinate
        for material in careful.services["421200-ZJ-FW-0001"].materials
        if material.purpose is Purpose.ADMINISTRATIVE_BASIS
        for use in material.uses
        if use.subjects == {SubjectClass.SUBJECT}
    }
    shown = {c for c in coordinates if careful.item(c).share.share_class is ShareClass.UNCONDITIONAL}
    departments = {careful.resources[c.partition(".")[0]].department for c in shown}
    assert departments == {"public-security", "civil-affairs", "human-resources", "housing-fund", "data-bureau"}
    assert len(shown) >= 25
    assert coordinates - shown == {"HouseholdRegistration.photo"}


def test_page_is_up_to_date(catalogue: Catalogue) -> None:
    assert (ROOT / "docs/catalogue.md").read_text(encoding="utf-8") == catalogue_page(catalogue)
