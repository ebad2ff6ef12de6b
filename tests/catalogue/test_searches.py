"""Row conditions, regions and searches: what the loader makes of them, and what is shipped."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from schema.catalogue import Catalogue, CodeTable, CodeValue, ItemType, RowCondition, Search
from schema.formats import is_ordered, is_searchable
from schema.load import check_catalogue, load_catalogue
from tests.connectors.resources import PLACE, item

HERE = Path(__file__).parent
SMALL = HERE / "small"
KEY = "    key: creditCode\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the small catalogue whose enterprises have a region code and several records each."""
    folder = shutil.copytree(SMALL, tmp_path / "catalogue")
    path = folder / "market-supervision.yaml"
    text = path.read_text(encoding="utf-8")
    items = "    items:\n"
    region = "      - {name: region, title: 行政区划代码, type: String, column: XZQH, grade: 1}\n"
    assert text.count(KEY) == text.count(items) == 1
    path.write_text(text.replace(items, items + region).replace(KEY, KEY + "    many: true\n"), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def shipped() -> Catalogue:
    return load_catalogue(HERE.parents[1] / "catalogue")


def write(folder: Path, lines: str) -> None:
    path = folder / "market-supervision.yaml"
    path.write_text(path.read_text(encoding="utf-8").replace(KEY, KEY + lines), encoding="utf-8")


def test_rows_region_and_search_are_in_the_model(folder: Path) -> None:
    write(
        folder,
        "    rows: [OWN_REGION]\n    region: region\n"
        "    search: {where: [region, holderId], order_by: [holderId], identity: [creditCode, region]}\n",
    )
    resource = load_catalogue(folder).resources["EnterpriseRegistration"]
    assert resource.rows == {RowCondition.OWN_REGION}
    assert resource.region == "region"
    assert resource.search == Search(("region", "holderId"), ("holderId",), ("creditCode", "region"))


def test_absent_rows_region_and_search_are_none() -> None:
    resource = load_catalogue(SMALL).resources["EnterpriseRegistration"]
    assert (resource.rows, resource.region, resource.search) == (frozenset(), None, None)


def test_search_may_have_an_identity_alone(folder: Path) -> None:
    write(folder, "    search: {identity: [creditCode, holderId]}\n")
    search = load_catalogue(folder).resources["EnterpriseRegistration"].search
    assert search == Search((), (), ("creditCode", "holderId"))


@pytest.mark.parametrize(
    "lines",
    [
        "    region: region\n",
        "    region: region\n    rows: [OWN_REGION]\n",
        "    search: {where: [region], identity: [creditCode, region]}\n",
        "    search: {order_by: [region], identity: [creditCode, region]}\n",
    ],
)
def test_version_changes_with_rows_region_and_search(folder: Path, lines: str) -> None:
    before = load_catalogue(folder).version
    write(folder, lines)
    assert load_catalogue(folder).version != before


def test_scenario_with_rows_needs_them_of_every_resource(folder: Path) -> None:
    write(folder, "    region: region\n")
    path = folder / "scenarios/deregistration-check.yaml"
    text = path.read_text(encoding="utf-8").replace("  modes:", "  rows: [OWN_REGION]\n  modes:")
    path.write_text(text, encoding="utf-8")
    assert load_catalogue(folder).scenarios["deregistration-check"].rows == {RowCondition.OWN_REGION}
    path.write_text(text + "  - HouseholdRegistration.name\n", encoding="utf-8")
    assert [problem.code for problem in check_catalogue(folder)] == ["CAT408"]


def test_shipped_searches_are_of_persons_organisations_and_things(shipped: Catalogue) -> None:
    searched = {name: resource for name, resource in shipped.resources.items() if resource.search}
    entities = {resource.entity for resource in searched.values()}
    assert entities == {"Person", "Organization", "RealEstateUnit", "CityComponent"}
    to_one = {name for name, resource in searched.items() if resource.entity == "Person" and not resource.many}
    assert to_one == {"MinimumLivingAllowance", "HousingSecurity"}
    assert {name for name, resource in searched.items() if resource.many} == {"SocialInsurance", "CreditRecord"}


def test_shipped_searches_can_be_answered_exactly(shipped: Catalogue) -> None:
    for resource in shipped.resources.values():
        if resource.search:
            assert all(is_searchable(resource.items[name]) for name in resource.search.where)
            assert all(
                is_ordered(resource.items[name]) for name in (*resource.search.order_by, *resource.search.identity)
            )


def test_shipped_rows_are_of_one_region_or_of_adults(shipped: Catalogue) -> None:
    rows = {resource.name: resource.rows for resource in shipped.resources.values() if resource.rows}
    assert rows == {
        "HousingSecurity": {RowCondition.OWN_REGION},
        "SealedJuvenileRecord": {RowCondition.ADULTS},
    }


@pytest.mark.parametrize(
    ("kind", "admitted"),
    [
        (ItemType.STRING, True),
        (ItemType.INT, True),
        (ItemType.DECIMAL, True),
        (ItemType.DATE, True),
        (ItemType.ID_NUMBER, True),
        (ItemType.CREDIT_CODE, True),
        (ItemType.BOOLEAN, False),
        (ItemType.IMAGE, False),
    ],
)
def test_yes_or_no_and_pictures_are_never_verified(shipped: Catalogue, kind: ItemType, admitted: bool) -> None:
    assert shipped.verifiable(item("one", kind)) is admitted


def test_code_is_verified_only_where_its_table_is_long() -> None:
    def table(name: str, count: int) -> CodeTable:
        values = tuple(CodeValue(str(n), f"N{n}", str(n)) for n in range(count))
        return CodeTable(name, name, "测试", values, PLACE)

    tables = {one.name: one for one in (table("Short", 49), table("Long", 50))}
    catalogue = Catalogue("", {}, {}, tables, {})
    assert not catalogue.verifiable(item("one", ItemType.CODE, codes="Short"))
    assert catalogue.verifiable(item("one", ItemType.CODE, codes="Long"))


def test_shipped_sex_cannot_be_verified_but_an_ethnic_group_can(shipped: Catalogue) -> None:
    assert not shipped.verifiable(shipped.item("HouseholdRegistration.sex"))
    assert shipped.verifiable(shipped.item("HouseholdRegistration.ethnicGroup"))
