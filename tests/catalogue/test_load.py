"""What the loader makes of a valid catalogue, and that no file, however broken, gives more than problems."""

from __future__ import annotations

import os
import shutil
import tempfile
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schema.catalogue import ItemType, MaskKind, Place, Purpose, ShareClass, SubjectClass
from schema.load import CatalogueError, check_catalogue, load_catalogue

SMALL = Path(__file__).parent / "small"
FILES = tuple(sorted(str(path.relative_to(SMALL)) for path in SMALL.rglob("*.yaml")))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the small catalogue."""
    return shutil.copytree(SMALL, tmp_path / "catalogue")


def edit(path: Path, old: str, new: str) -> None:
    """Replace `old`, which must be there."""
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


def codes_of(folder: Path, *overlays: str) -> list[str]:
    """The codes of all problems."""
    return [problem.code for problem in check_catalogue(folder, overlays)]


def outcome(folder: Path) -> str:
    """The version of the catalogue, or its problems in print; whatever else is raised passes."""
    try:
        return load_catalogue(folder, ["careful"]).version
    except CatalogueError as error:
        return str(error)


def test_small_catalogue_has_no_problems() -> None:
    assert check_catalogue(SMALL, ["careful"]) == ()


def test_everything_written_is_in_the_model() -> None:
    catalogue = load_catalogue(SMALL)
    resource = catalogue.resources["HouseholdRegistration"]
    assert list(catalogue.departments) == ["market-supervision", "public-security"]
    assert (resource.department, resource.annex, resource.table) == ("public-security", (1, 1), "hr.T_HJXX")
    assert (resource.updated, resource.updated_format, resource.published) == ("GXSJ", "compact", date(2026, 11, 1))
    assert resource.audience == ("public-security", "market-supervision")
    assert [value.code for value in catalogue.codes["Sex"].values] == ["0", "1", "2"]
    assert catalogue.entities["Organization"].type is ItemType.CREDIT_CODE
    assert catalogue.item("HouseholdRegistration.sex").values == {"M": "1", "F": "2"}
    assert catalogue.item("HouseholdRegistration.name").masks == {Purpose.WORK_REFERENCE: MaskKind.NAME}
    relation = catalogue.resources["EnterpriseRegistration"].relations[0]
    assert (relation.to, relation.many, relation.inverse_many) == ("Person", False, True)
    service = catalogue.services["421200-GS-FW-0001"]
    assert service.subjects == {"APPLICANT": "Organization", "LEGAL_REPRESENTATIVE": "Person"}


def test_absent_keys_take_their_defaults() -> None:
    catalogue = load_catalogue(SMALL)
    household, archive = catalogue.resources["HouseholdRegistration"], catalogue.resources["EnterpriseArchive"]
    name = household.items["name"]
    assert household.field == "householdRegistration"
    assert catalogue.resources["EnterpriseRegistration"].field == "enterprise"
    assert (name.format, name.subject, name.annex, name.description) == ("text", SubjectClass.SUBJECT, True, "")
    assert name.share == household.share
    assert name.purposes == household.purposes
    assert not catalogue.item("EnterpriseRegistration.creditCode").annex
    assert not archive.connected
    assert (archive.entity, archive.items, archive.audience) == (None, {}, ())


def test_use_without_subjects_is_of_the_subject_alone() -> None:
    plain, wide = load_catalogue(SMALL).services["421200-GS-FW-0001"].materials[0].uses
    assert plain.subjects == {SubjectClass.SUBJECT}
    assert wide.subjects == {SubjectClass.SUBJECT, SubjectClass.RELATED}


def test_share_of_an_item_is_merged_key_by_key(folder: Path) -> None:
    edit(folder / "public-security.yaml", "column: 住址, grade: 3", "column: 住址, grade: 3, share: {basis: 他规}")
    share = load_catalogue(folder).item("HouseholdRegistration.address").share
    assert (share.share_class, share.basis) == (ShareClass.UNCONDITIONAL, "他规")


def test_resource_without_class_is_as_strict_as_its_strictest_item(folder: Path) -> None:
    path = folder / "public-security.yaml"
    edit(path, "      class: UNCONDITIONAL\n", "")
    own = "share: {class: UNCONDITIONAL, basis: 实施细则第十二条}"
    for column in ("GMSFHM", "XM", "XB", "住址"):
        edit(path, f"column: {column},", f"column: {column}, {own},")
    assert load_catalogue(folder).resources["HouseholdRegistration"].share.share_class is ShareClass.CONDITIONAL


def test_places_are_the_lines_of_the_files() -> None:
    catalogue = load_catalogue(SMALL)
    assert catalogue.resources["HouseholdRegistration"].place == Place("public-security.yaml", 10)
    assert catalogue.item("HouseholdRegistration.photo").place == Place("public-security.yaml", 41)
    assert catalogue.services["421200-GS-FW-0001"].materials[0].uses[1].place == Place(
        "services/deregistration.yaml", 16
    )


def test_overlay_on_a_resource_narrows_weaker_items_only() -> None:
    household = load_catalogue(SMALL, ["careful"]).resources["HouseholdRegistration"]
    assert household.share.share_class is ShareClass.CONDITIONAL
    assert household.items["name"].share == household.share
    assert (household.share.source, household.share.conflict) == ("careful", "与实施细则第十二条不一致")


def test_overlay_on_an_item_replaces_class_purposes_and_adds_masks() -> None:
    items = load_catalogue(SMALL, ["careful"]).resources["HouseholdRegistration"].items
    assert items["photo"].share.share_class is ShareClass.NOT_SHARED
    assert items["address"].purposes == {Purpose.ADMINISTRATIVE_BASIS}
    assert items["address"].masks == {Purpose.ADMINISTRATIVE_BASIS: MaskKind.ADDRESS}
    assert items["name"].purposes == {Purpose.ADMINISTRATIVE_BASIS, Purpose.WORK_REFERENCE}


def test_overlay_on_a_resource_leaves_stricter_items_alone(folder: Path) -> None:
    text = (folder / "overlays/careful.yaml").read_text(encoding="utf-8")
    photo = text.index("  - object: HouseholdRegistration.photo")
    (folder / "overlays/careful.yaml").write_text(text[:photo], encoding="utf-8")
    share = load_catalogue(folder, ["careful"]).item("HouseholdRegistration.photo").share
    assert (share.source, share.conditions) == ("catalogue", "仅限核验身份")


def test_second_overlay_cannot_undo_the_first(folder: Path) -> None:
    second = (
        "overlay: {name: second, title: 第二}\n"
        "lines:\n"
        "  - object: HouseholdRegistration.photo\n"
        "    share: {class: CONDITIONAL, basis: 他法, rank: LAW, conditions: 其他}\n"
        "    conflict: 无\n"
    )
    (folder / "overlays/second.yaml").write_text(second, encoding="utf-8")
    for order in (["careful", "second"], ["second", "careful"]):
        share = load_catalogue(folder, order).item("HouseholdRegistration.photo").share
        assert share.share_class is ShareClass.NOT_SHARED


def test_two_overlays_that_leave_no_purpose_together_are_a_problem(folder: Path) -> None:
    second = (
        "overlay: {name: second, title: 第二}\n"
        "lines:\n"
        "  - {object: HouseholdRegistration.address, purposes: [WORK_REFERENCE]}\n"
    )
    (folder / "overlays/second.yaml").write_text(second, encoding="utf-8")
    assert codes_of(folder, "second") == []
    assert codes_of(folder, "careful", "second") == ["CAT505"]


def test_overlay_that_nobody_asks_for_is_not_in_force() -> None:
    catalogue = load_catalogue(SMALL)
    assert catalogue.overlays == ()
    assert catalogue.item("HouseholdRegistration.name").share.share_class is ShareClass.UNCONDITIONAL


def test_version_ignores_comments_lines_and_order_of_keys(folder: Path) -> None:
    before = load_catalogue(SMALL).version
    path = folder / "market-supervision.yaml"
    path.write_text("# a comment\n\n" + path.read_text(encoding="utf-8"), encoding="utf-8")
    edit(path, "  contact: 信息科\n  connection: market\n", "  connection: market\n  contact: 信息科\n")
    edit(folder / "public-security.yaml", '{M: "1", F: "2"}', "{F: '2', M: '1'}")
    os.utime(path, (0, 0))
    after = load_catalogue(folder)
    assert after.resources["EnterpriseRegistration"].place.line == 12
    assert after.version == before
    assert len(bytes.fromhex(before)) == 8


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("public-security.yaml", "住址, type", "现住址, type"),
        ("public-security.yaml", "grade: 4", "grade: 3"),
        ("standards/codes.yaml", "未知的性别", "未知"),
        ("services/deregistration.yaml", "days: 20", "days: 21"),
    ],
)
def test_version_changes_with_the_content(folder: Path, file: str, old: str, new: str) -> None:
    edit(folder / file, old, new)
    assert load_catalogue(folder).version != load_catalogue(SMALL).version


def test_version_changes_with_the_overlay_in_force() -> None:
    assert load_catalogue(SMALL, ["careful"]).version != load_catalogue(SMALL).version


def test_one_reading_finds_the_problems_of_every_file_in_order(folder: Path) -> None:
    edit(folder / "services/deregistration.yaml", "days: 20", "days: 0")
    edit(folder / "public-security.yaml", "codes: Sex", "codes: Six")
    edit(folder / "public-security.yaml", "grade: 4", "grade: 9")
    with pytest.raises(CatalogueError) as caught:
        load_catalogue(folder)
    assert [problem.code for problem in caught.value.problems] == ["CAT206", "CAT107", "CAT107"]
    assert [problem.place.file for problem in caught.value.problems] == [
        "public-security.yaml",
        "public-security.yaml",
        "services/deregistration.yaml",
    ]


def test_problem_is_one_line_with_code_place_and_hint(folder: Path) -> None:
    edit(folder / "public-security.yaml", "key: idNumber", 'key: "id\\nNumber"')
    (problem, *_) = check_catalogue(folder)
    assert str(problem).startswith("CAT106 public-security.yaml:31 ")
    assert len(str(problem).splitlines()) == 1


def test_unknown_overlay_asked_for_is_a_problem() -> None:
    (problem,) = check_catalogue(SMALL, ["carefull"])
    assert str(problem) == "CAT502 overlays/carefull.yaml:1 no overlay `carefull` - did you mean `careful`?"


def test_folder_that_is_not_there_is_a_problem(tmp_path: Path) -> None:
    assert codes_of(tmp_path / "nowhere") == ["CAT001"]


def test_catalogue_without_department_is_a_problem(tmp_path: Path) -> None:
    assert codes_of(tmp_path) == ["CAT012"]


def test_dangling_link_and_folder_named_as_file_are_problems(folder: Path) -> None:
    (folder / "lost.yaml").symlink_to(folder / "nowhere.yaml")
    (folder / "services/folder.yaml").mkdir()
    assert codes_of(folder) == ["CAT001", "CAT001"]


def test_link_to_a_file_is_read(folder: Path, tmp_path: Path) -> None:
    target = shutil.move(folder / "public-security.yaml", tmp_path / "elsewhere.yaml")
    (folder / "public-security.yaml").symlink_to(target)
    assert load_catalogue(folder).version == load_catalogue(SMALL).version


def test_file_beyond_the_limit_is_not_parsed(folder: Path) -> None:
    with (folder / "standards/codes.yaml").open("ab") as stream:
        stream.write(b"#" * (4 * 1024 * 1024))
    assert codes_of(folder) == ["CAT002"]


def test_file_that_is_not_utf8_is_a_problem_of_its_line(folder: Path) -> None:
    (folder / "market-supervision.yaml").write_bytes("department:\n  title: 市监局\n".encode("gb18030"))
    (problem,) = check_catalogue(folder)
    assert (problem.code, problem.place) == ("CAT003", Place("market-supervision.yaml", 2))


def test_file_name_of_any_bytes_is_a_problem_that_can_be_printed(folder: Path) -> None:
    name = os.fsdecode(b"\xff\n.yaml")
    (folder / name).write_text("department: {}\n")
    (problem,) = check_catalogue(folder)
    assert problem.code == "CAT011"
    assert str(problem).encode()


def test_byte_order_mark_is_no_problem(folder: Path) -> None:
    path = folder / "public-security.yaml"
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert check_catalogue(folder) == ()


def test_doubling_aliases_are_refused_unexpanded(folder: Path) -> None:
    lines = ["a0: &a0 [x, x]"] + [f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]" for n in range(1, 40)]
    (folder / "standards/codes.yaml").write_text("\n".join(lines))
    assert set(codes_of(folder)) == {"CAT006"}


@settings(max_examples=200, deadline=None)
@given(
    file=st.sampled_from(FILES),
    edits=st.lists(
        st.tuples(st.integers(0, 10_000), st.integers(0, 12), st.binary(max_size=8)), min_size=1, max_size=6
    ),
)
def test_mutated_bytes_give_problems_and_nothing_else(file: str, edits: list[tuple[int, int, bytes]]) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = shutil.copytree(SMALL, Path(name) / "catalogue")
        data = bytearray((folder / file).read_bytes())
        for position, length, new in edits:
            start = position % len(data) if data else 0
            data[start : start + length] = new
        (folder / file).write_bytes(data)
        assert outcome(folder).encode()


_TOKENS = st.sampled_from(
    ["[", "]", "{", "}", ": ", "- ", "\n", "  ", '"', "'", "|", "&a ", "*a", "!!int ", "~", "1", "?"]
)


@settings(max_examples=200, deadline=None)
@given(file=st.sampled_from(FILES), position=st.integers(0, 3_000), tokens=st.lists(_TOKENS, min_size=1, max_size=4))
def test_mutated_structure_gives_problems_and_nothing_else(file: str, position: int, tokens: list[str]) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = shutil.copytree(SMALL, Path(name) / "catalogue")
        text = (folder / file).read_text(encoding="utf-8")
        start = position % len(text)
        (folder / file).write_text(text[:start] + "".join(tokens) + text[start + len(tokens) :], encoding="utf-8")
        assert outcome(folder).encode()
