"""Masks by grade and purpose: what the table adds, and that it takes nothing away from an item or an overlay."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schema.catalogue import Catalogue, Item, ItemType, MaskKind, MaskRule, Purpose
from schema.load import load_catalogue
from schema.sharing import with_masks
from tests.connectors.resources import PLACE, item

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
SMALL = HERE / "small"

_MASKS = st.dictionaries(st.sampled_from(Purpose), st.sampled_from(MaskKind))
_RULES = st.lists(
    st.builds(
        MaskRule,
        purpose=st.sampled_from(Purpose),
        grade=st.integers(1, 4),
        holds=st.frozensets(st.sampled_from(MaskKind), min_size=1),
        basis=st.just("个人信息保护法第六条"),
        place=st.just(PLACE),
    ),
    max_size=8,
)


def made(masks: Mapping[Purpose, MaskKind], holds: MaskKind | None, grade: int) -> Item:
    return item("name", masks=masks, holds=holds, grade=grade)


@pytest.fixture(scope="module")
def shipped() -> Catalogue:
    return load_catalogue(ROOT / "catalogue")


@pytest.fixture(scope="module")
def careful() -> Catalogue:
    return load_catalogue(ROOT / "catalogue", ["careful-officer"])


@given(masks=_MASKS, holds=st.none() | st.sampled_from(MaskKind), grade=st.integers(1, 4), rules=_RULES)
def test_table_never_unmasks_or_changes_what_an_item_masks(
    masks: dict[Purpose, MaskKind], holds: MaskKind | None, grade: int, rules: list[MaskRule]
) -> None:
    after = with_masks(made(masks, holds, grade), rules).masks
    assert {purpose: after.get(purpose) for purpose in masks} == masks


@given(masks=_MASKS, holds=st.sampled_from(MaskKind), grade=st.integers(1, 4), rules=_RULES)
def test_table_masks_exactly_what_a_line_of_it_names(
    masks: dict[Purpose, MaskKind], holds: MaskKind, grade: int, rules: list[MaskRule]
) -> None:
    added = with_masks(made(masks, holds, grade), rules).masks.keys() - masks.keys()
    named = {rule.purpose for rule in rules if rule.grade <= grade and holds in rule.holds}
    assert added == named - masks.keys()


@given(masks=_MASKS, rules=_RULES)
def test_item_that_holds_nothing_keeps_its_masks_alone(masks: dict[Purpose, MaskKind], rules: list[MaskRule]) -> None:
    assert with_masks(made(masks, None, 4), rules).masks == masks


def test_identity_number_holds_itself_and_is_masked_from_its_grade_on() -> None:
    holder = load_catalogue(SMALL).item("EnterpriseRegistration.holderId")
    assert (holder.holds, holder.masks) == (MaskKind.ID_NUMBER, {Purpose.WORK_REFERENCE: MaskKind.ID_NUMBER})


def test_text_that_holds_nothing_named_is_not_masked_by_the_table() -> None:
    address = load_catalogue(SMALL).item("HouseholdRegistration.address")
    assert (address.holds, address.grade, address.masks) == (None, 3, {})


def test_mask_of_an_overlay_goes_before_the_table(tmp_path: Path) -> None:
    folder = shutil.copytree(SMALL, tmp_path / "catalogue")
    (folder / "overlays/other.yaml").write_text(
        "overlay: {name: other, title: 其他}\n"
        "lines:\n  - {object: EnterpriseRegistration.holderId, masks: {WORK_REFERENCE: ADDRESS}}\n",
        encoding="utf-8",
    )
    masks = load_catalogue(folder, ["other"]).item("EnterpriseRegistration.holderId").masks
    assert masks == {Purpose.WORK_REFERENCE: MaskKind.ADDRESS}


@pytest.mark.parametrize(
    ("old", "new"), [("grade: 4", "grade: 2"), ("[ID_NUMBER, ADDRESS]", "[ADDRESS]"), ("第六条}", "第五条}")]
)
def test_version_changes_with_the_table(tmp_path: Path, old: str, new: str) -> None:
    folder = shutil.copytree(SMALL, tmp_path / "catalogue")
    path = folder / "standards/masks.yaml"
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")
    assert load_catalogue(folder).version != load_catalogue(SMALL).version


def test_every_shipped_identity_number_is_masked_for_work_reference(shipped: Catalogue) -> None:
    numbers = [one for r in shipped.resources.values() for one in r.items.values() if one.type is ItemType.ID_NUMBER]
    assert numbers
    assert {one.masks.get(Purpose.WORK_REFERENCE) for one in numbers} == {MaskKind.ID_NUMBER}
    assert all(Purpose.ADMINISTRATIVE_BASIS not in one.masks for one in numbers)


@pytest.mark.parametrize(
    ("coordinate", "kind"),
    [
        ("BirthRegistration.newbornName", MaskKind.NAME),
        ("DeathRegistration.relativeTelephone", MaskKind.TELEPHONE),
        ("ResidencePermit.residenceAddress", MaskKind.ADDRESS),
        ("SocialInsurance.personalNumber", MaskKind.ID_NUMBER),
    ],
)
def test_shipped_text_of_grade_three_is_masked_by_what_it_holds(
    shipped: Catalogue, coordinate: str, kind: MaskKind
) -> None:
    assert shipped.item(coordinate).masks == {Purpose.WORK_REFERENCE: kind}


def test_name_of_grade_two_is_shown_unless_the_overlay_masks_it(shipped: Catalogue, careful: Catalogue) -> None:
    assert shipped.item("RealEstateRegistration.ownerName").masks == {}
    assert careful.item("RealEstateRegistration.ownerName").masks == {Purpose.WORK_REFERENCE: MaskKind.NAME}


def test_shipped_table_names_its_law(shipped: Catalogue) -> None:
    assert [(rule.purpose, rule.grade) for rule in shipped.masks] == [(Purpose.WORK_REFERENCE, 3)]
    assert all("个人信息保护法" in rule.basis for rule in shipped.masks)


def test_every_text_that_names_a_person_says_so(shipped: Catalogue) -> None:
    words = {
        "姓名": MaskKind.NAME,
        "签名": MaskKind.NAME,
        "电话": MaskKind.TELEPHONE,
        "身份证件号码": MaskKind.ID_NUMBER,
    }
    texts = [
        (f"{r.name}.{one.name}", one.title, one.holds)
        for r in shipped.resources.values()
        for one in r.items.values()
        if one.type is ItemType.STRING
    ]
    wrong = [
        name for name, title, holds in texts for word, kind in words.items() if word in title and holds is not kind
    ]
    assert wrong == []
