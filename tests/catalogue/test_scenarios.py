"""Application scenarios: what the loader makes of them, and what the shipped ones claim."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from schema.catalogue import Catalogue, Place, Purpose, ShareClass, ShareMode, SubjectClass
from schema.load import load_catalogue

HERE = Path(__file__).parent
SMALL = HERE / "small"
FILE = "scenarios/deregistration-check.yaml"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the small catalogue."""
    return shutil.copytree(SMALL, tmp_path / "catalogue")


@pytest.fixture(scope="module")
def shipped() -> Catalogue:
    return load_catalogue(HERE.parents[1] / "catalogue")


@pytest.fixture(scope="module")
def careful() -> Catalogue:
    return load_catalogue(HERE.parents[1] / "catalogue", ["careful-officer"])


def edit(path: Path, old: str, new: str) -> None:
    """Replace `old`, which must be there."""
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


def test_scenario_is_in_the_model() -> None:
    scenario = load_catalogue(SMALL).scenarios["deregistration-check"]
    assert (scenario.title, scenario.services) == ("企业注销核查", ("421200-GS-FW-0001",))
    assert scenario.purposes == {Purpose.ADMINISTRATIVE_BASIS}
    assert scenario.modes == {ShareMode.ONLINE_QUERY}
    assert (scenario.rows, scenario.place) == (frozenset(), Place(FILE, 1))
    assert {use.coordinate: use.subjects for use in scenario.items} == {
        "EnterpriseRegistration.creditCode": {SubjectClass.SUBJECT},
        "EnterpriseRegistration.holderId": {SubjectClass.RELATED, SubjectClass.THIRD_PARTY},
    }


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("title: 企业注销核查", "title: 注销核查"),
        ("第三十三条", "第三十四条"),
        ("[RELATED, THIRD_PARTY]", "[RELATED]"),
        ("  - EnterpriseRegistration.creditCode\n", ""),
    ],
)
def test_version_changes_with_a_scenario(folder: Path, old: str, new: str) -> None:
    edit(folder / FILE, old, new)
    assert load_catalogue(folder).version != load_catalogue(SMALL).version


def test_item_that_an_overlay_makes_not_shared_leaves_the_scenario(folder: Path) -> None:
    (folder / "overlays/closed.yaml").write_text(
        "overlay: {name: closed, title: 不予共享}\n"
        "lines:\n"
        "  - object: EnterpriseRegistration.holderId\n"
        "    share: {class: NOT_SHARED, basis: 个人信息保护法, rank: LAW}\n"
        "    conflict: 与实施细则第十二条不一致\n",
        encoding="utf-8",
    )
    scenario = load_catalogue(folder, ["closed"]).scenarios["deregistration-check"]
    assert [use.coordinate for use in scenario.items] == ["EnterpriseRegistration.creditCode"]
    assert len(load_catalogue(folder).scenarios["deregistration-check"].items) == 2


def test_item_that_an_overlay_makes_conditional_stays_in_the_scenario(careful: Catalogue) -> None:
    coordinates = {use.coordinate for use in careful.scenarios["newborn-one-stop"].items}
    assert careful.item("BirthRegistration.motherIdNumber").share.share_class is ShareClass.CONDITIONAL
    assert "BirthRegistration.motherIdNumber" in coordinates


def test_four_scenarios_of_four_departments_are_shipped(shipped: Catalogue) -> None:
    departments = {
        name: {shipped.services[code].department for code in scenario.services}
        for name, scenario in shipped.scenarios.items()
    }
    assert departments == {
        "enterprise-deregistration-checks": {"market-supervision"},
        "flexible-employment-subsidy": {"human-resources"},
        "newborn-one-stop": {"public-security"},
        "public-rental-housing-review": {"housing"},
    }


def test_shipped_scenarios_authorise_items_shared_on_condition(shipped: Catalogue) -> None:
    review = shipped.scenarios["public-rental-housing-review"]
    classes = {shipped.item(use.coordinate).share.share_class for use in review.items}
    assert classes == {ShareClass.UNCONDITIONAL, ShareClass.CONDITIONAL}


def test_one_shipped_scenario_verifies_and_one_is_for_systems_alone(shipped: Catalogue) -> None:
    verifying = [n for n, scenario in shipped.scenarios.items() if Purpose.DATA_VERIFICATION in scenario.purposes]
    of_systems = [n for n, s in shipped.scenarios.items() if s.modes == {ShareMode.SYSTEM_INTEGRATION}]
    assert (verifying, of_systems) == (["newborn-one-stop"], ["flexible-employment-subsidy"])
    verified = shipped.scenarios["newborn-one-stop"].items
    assert any(shipped.verifiable(shipped.item(use.coordinate)) for use in verified)


def test_items_of_third_parties_belong_to_resources_that_can_be_searched(shipped: Catalogue) -> None:
    found = {
        use.coordinate.partition(".")[0]
        for scenario in shipped.scenarios.values()
        for use in scenario.items
        if SubjectClass.THIRD_PARTY in use.subjects
    }
    assert found == {"CreditRecord", "EnterpriseRegistration", "HousingSecurity"}
    assert all(shipped.resources[name].search for name in found)


def test_every_shipped_scenario_names_an_article(shipped: Catalogue) -> None:
    for scenario in shipped.scenarios.values():
        assert "《" in scenario.basis, scenario.name
