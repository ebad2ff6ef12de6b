"""`onesource policy`: explain, export, diff and matrix, offline from the settings."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from app import catalogue_of, control_of
from policies.grants import AgreementState, Decider, Grant, GrantItem, GrantState, Suspension
from policies.rules import rules_from
from policies.snapshot import Snapshot
from schema.catalogue import Purpose, ShareMode
from settings import load_settings
from tests.service import HOUSING, ROOT, write_settings
from tests.terminal.conftest import Ran, Run
from tests.terminal.server import free_port

AS = ("--as", "clerk@housing")
SERVICE = ("--service", HOUSING)
OPERATION = """query A($id: CitizenIdNumber!, $use: UseInput!, $more: Boolean!) {
  person(idNumber: $id, use: $use) {
    householdRegistration { idNumber name photo @include(if: $more) }
    housingSecurity { address monthlyRent }
    ownedRealEstate { realEstateRegistration { usage } }
  }
}
"""
PHOTO = Grant(
    id="",
    department="housing",
    provider="public-security",
    items=(GrantItem("HouseholdRegistration.photo", "公共租赁住房管理办法第八条", granted=True),),
    purposes=frozenset({Purpose.ADMINISTRATIVE_BASIS}),
    modes=frozenset({ShareMode.ONLINE_QUERY}),
    scope="公共租赁住房资格当面核对",
    rows=frozenset(),
    not_before="2026-01-01T00:00:00Z",
    expires="9998-01-01T00:00:00Z",
    agreement="保密〔2026〕1号",
    agreement_state=AgreementState.VALID,
    state=GrantState.GRANTED,
    decided_by=Decider.PROVIDER,
    document="咸公函〔2026〕1号",
)


@pytest.fixture
def offline(tmp_path: Path) -> Path:
    """Settings with a control database of their own, which is not there yet."""
    folder = tmp_path / "settings"
    folder.mkdir()
    return write_settings(folder, changed={"port": str(free_port())})


@pytest.fixture
def operations(tmp_path: Path) -> Path:
    folder = tmp_path / "operations" / "housing"
    folder.mkdir(parents=True)
    (folder / "a.graphql").write_text(OPERATION, "utf8")
    return tmp_path / "operations"


def record(file: Path, *decided: Grant | Suspension) -> None:
    """Put grants and suspensions in force."""
    control = control_of(load_settings(file))
    control.open()

    async def work() -> None:
        for one in decided:
            if isinstance(one, Suspension):
                await control.suspend(one)
            else:
                applied = await control.apply(replace(one, state=GrantState.APPLIED))
                await control.change(replace(one, id=applied.id), applied)

    asyncio.run(work())
    control.close()


def changed_catalogue(tmp_path: Path, file: str, change: Callable[[str], str]) -> Path:
    """A copy of the shipped catalogue in which one file is changed."""
    folder = tmp_path / "changed"
    shutil.copytree(ROOT / "catalogue", folder)
    before = (folder / file).read_text("utf8")
    assert change(before) != before
    (folder / file).write_text(change(before), "utf8")
    return folder


# -- explain


def explain(run: Run, file: Path, *arguments: str) -> Ran:
    return run("policy", "explain", *arguments, "--settings", file)


def test_explain_tells_effect_rule_reason_article_and_next_step(run: Run, offline: Path) -> None:
    ran = explain(run, offline, *AS, *SERVICE, "--field", "HouseholdRegistration.photo")
    assert ran.code == 0
    for word in (
        "✗ 拒绝 denied",
        "DENY/CLASS/CONDITIONAL",
        "有条件共享类",
        "shared on condition",
        "第二十八条",
        "APPLY",
    ):
        assert word in ran.out
    assert "没有规则 there is none" in ran.out
    assert f"▶ SERVICE/{HOUSING}/HouseholdRegistration.photo/ADMINISTRATIVE_BASIS" in ran.out


def test_explain_shows_the_rows_with_the_dimension_that_does_not_match(run: Run, offline: Path) -> None:
    ran = explain(run, offline, *AS, *SERVICE, "--field", "HouseholdRegistration.name")
    assert "✓ 允许 allowed" in ran.out
    assert "▶ SHARE/HouseholdRegistration.name/ADMINISTRATIVE_BASIS" in ran.out
    assert "✗ WORK_REFERENCE" in ran.out


def test_explain_reads_grants_from_the_control_database_and_makes_none(run: Run, offline: Path) -> None:
    database = Path(str(load_settings(offline).control.url).removeprefix("sqlite:///"))
    question = (*AS, *SERVICE, "--field", "HouseholdRegistration.photo")
    assert "✗ 拒绝" in explain(run, offline, *question).out
    assert not database.exists()
    record(offline, PHOTO)
    ran = explain(run, offline, *question)
    assert "✓ 允许" in ran.out
    assert "GRANT/G1/HouseholdRegistration.photo/ADMINISTRATIVE_BASIS" in ran.out
    assert "咸公函〔2026〕1号" in ran.out
    assert "有效至 valid until" in ran.out
    record(offline, Suspension("", "public-security", "housing", "", "", "超范围使用", "officer-01", 1))
    assert "SUSPENSION/S1" in explain(run, offline, *question).out


def test_a_path_fixes_whose_data_it_is_and_shows_each_class(run: Run, offline: Path) -> None:
    scenario = ("--scenario", "public-rental-housing-review")
    path = ("--field", "Person.ownedRealEstate.realEstateRegistration.usage")
    ran = explain(run, offline, *AS, *scenario, *path)
    assert ran.code == 0
    assert ran.out.index("SUBJECT 办件当事人") < ran.out.index("RELATED 关联人")
    assert "DENY/SCENARIO/SUBJECT" in ran.out
    assert "SHARE/RealEstateRegistration.usage/ADMINISTRATIVE_BASIS" in ran.out
    one = explain(run, offline, *AS, *scenario, *path, "--subject", "RELATED")
    assert "DENY/SCENARIO/SUBJECT" not in one.out
    assert "✓ 允许" in one.out


def test_a_path_through_a_refused_relation_ends_there(run: Run, offline: Path) -> None:
    path = ("--field", "Person.mother.householdRegistration.name")
    ran = explain(run, offline, *AS, *SERVICE, *path)
    assert "BirthRegistration" in ran.out
    assert "join 关联" in ran.out
    assert "HouseholdRegistration.name" not in ran.out


def test_without_a_basis_each_of_the_department_is_explained(run: Run, offline: Path) -> None:
    ran = explain(run, offline, *AS, "--field", "HousingFund.accountStatus")
    assert f"SERVICE/{HOUSING}" in ran.out
    assert "SCENARIO/public-rental-housing-review" in ran.out


def test_a_mask_is_told_as_an_obligation(run: Run, offline: Path) -> None:
    arguments = (*AS, *SERVICE, "--field", "HouseholdRegistration.idNumber", "--purpose", "WORK_REFERENCE")
    assert "脱敏 mask ID_NUMBER" in explain(run, offline, *arguments).out


def test_another_act_is_explained_too(run: Run, offline: Path) -> None:
    ran = explain(run, offline, *AS, *SERVICE, "--field", "Person.householdRegistration.name", "--act", "verify")
    assert "verify 校核" in ran.out
    assert "✗ 拒绝" in ran.out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--as", "clerk", "--field", "HouseholdRegistration.name"), "--as"),
        (("--as", "king@housing", "--field", "HouseholdRegistration.name"), "auditor"),
        (("--as", "clerk@taxation", "--field", "HouseholdRegistration.name"), "taxation"),
        ((*AS, "--service", "nothing", "--field", "HouseholdRegistration.name"), HOUSING),
        ((*AS, "--field", "HouseholdRegistration.nam"), "HouseholdRegistration"),
        ((*AS, "--field", "Person.householdRegistratio.name"), "householdRegistration"),
        ((*AS, "--field", "Person.householdRegistration"), "Person.householdRegistration"),
    ],
)
def test_a_question_that_cannot_be_asked_says_what_can(
    run: Run, offline: Path, arguments: tuple[str, ...], said: str
) -> None:
    ran = explain(run, offline, *arguments)
    assert ran.code == 2
    assert said in ran.err


# -- export and diff


def diff(run: Run, file: Path, old: Path, new: Path, operations: Path) -> tuple[int, list[dict[str, Any]]]:
    """The exit code, and the changes as JSON."""
    ran = run("policy", "diff", old, new, "--operations", operations, "--json", "--settings", file)
    assert ran.out, ran.err
    return ran.code, json.loads(ran.out)["changes"]


def exported(run: Run, file: Path, to: Path) -> Path:
    assert run("policy", "export", to, "--settings", file).code == 0
    return to


def test_a_policy_does_not_differ_from_its_catalogue(run: Run, offline: Path, operations: Path, tmp_path: Path) -> None:
    old = exported(run, offline, tmp_path / "old.jsonl")
    catalogue = load_settings(offline).catalogue.folder
    assert diff(run, offline, old, catalogue, operations) == (0, [])
    ran = run("policy", "diff", old, catalogue, "--operations", operations, "--settings", offline)
    assert (ran.code, "没有变化 nothing changes" in ran.out) == (0, True)


def test_a_grant_discloses_and_its_end_refuses(run: Run, offline: Path, operations: Path, tmp_path: Path) -> None:
    old = exported(run, offline, tmp_path / "old.jsonl")
    record(offline, PHOTO)
    new = exported(run, offline, tmp_path / "new.jsonl")
    code, changes = diff(run, offline, old, new, operations)
    assert code == 1
    now = [one for one in changes if one["since"] is None]
    assert now == [
        {
            "kind": "DISCLOSED",
            "disclosing": True,
            "operation": "housing/a.graphql:A",
            "department": "housing",
            "basis": f"SERVICE/{HOUSING}",
            "purpose": "ADMINISTRATIVE_BASIS",
            "coordinate": "HouseholdRegistration.photo",
            "act": "read",
            "subject": "SUBJECT",
            "roles": ["clerk", "developer"],
            "oldRule": "DENY/CLASS/CONDITIONAL",
            "newRule": "GRANT/G1/HouseholdRegistration.photo/ADMINISTRATIVE_BASIS",
            "since": None,
        }
    ]
    code, changes = diff(run, offline, new, old, operations)
    assert (code, {one["kind"] for one in changes}) == (0, {"REFUSED"})


def test_a_grant_that_begins_later_discloses_from_then_on(
    run: Run, offline: Path, operations: Path, tmp_path: Path
) -> None:
    old = exported(run, offline, tmp_path / "old.jsonl")
    record(offline, replace(PHOTO, not_before="9990-05-01T00:00:00Z"))
    code, changes = diff(run, offline, old, exported(run, offline, tmp_path / "new.jsonl"), operations)
    assert code == 1
    assert [(one["kind"], one["since"]) for one in changes] == [("DISCLOSED", "9990-05-01T00:00:00+00:00")]


def test_a_mask_that_falls_away_is_a_new_disclosure(run: Run, offline: Path, operations: Path, tmp_path: Path) -> None:
    new = changed_catalogue(tmp_path, "standards/masks.yaml", lambda text: text.replace("grade: 3", "grade: 4"))
    code, changes = diff(run, offline, ROOT / "catalogue", new, operations)
    assert code == 1
    assert {(one["kind"], one["coordinate"], one["purpose"]) for one in changes} == {
        ("UNMASKED", "HouseholdRegistration.idNumber", "WORK_REFERENCE")
    }
    code, changes = diff(run, offline, new, ROOT / "catalogue", operations)
    assert (code, {one["kind"] for one in changes}) == (0, {"MASKED"})


def test_a_condition_on_records_that_falls_away_is_a_new_disclosure(
    run: Run, offline: Path, operations: Path, tmp_path: Path
) -> None:
    new = changed_catalogue(tmp_path, "housing.yaml", lambda text: text.replace("    rows: [OWN_REGION]\n", ""))
    scenario = new / "scenarios/public-rental-housing-review.yaml"
    scenario.write_text(scenario.read_text("utf8").replace("rows: [OWN_REGION]", "rows: []"), "utf8")
    code, changes = diff(run, offline, ROOT / "catalogue", new, operations)
    assert code == 1
    assert "WIDENED" in {one["kind"] for one in changes}
    code, changes = diff(run, offline, new, ROOT / "catalogue", operations)
    assert (code, "NARROWED" in {one["kind"] for one in changes}) == (0, True)


def test_what_a_service_item_needs_anew_is_a_new_disclosure(
    run: Run, offline: Path, operations: Path, tmp_path: Path
) -> None:
    def without_name(text: str) -> str:
        return text.replace("      - HouseholdRegistration.name\n", "")

    old = changed_catalogue(tmp_path, "services/public-rental-housing.yaml", without_name)
    code, changes = diff(run, offline, old, ROOT / "catalogue", operations)
    assert code == 1
    assert {(one["kind"], one["coordinate"]) for one in changes} == {("DISCLOSED", "HouseholdRegistration.name")}


def test_the_table_tells_what_is_disclosed(run: Run, offline: Path, operations: Path, tmp_path: Path) -> None:
    old = exported(run, offline, tmp_path / "old.jsonl")
    record(offline, PHOTO)
    new = exported(run, offline, tmp_path / "new.jsonl")
    ran = run("policy", "diff", old, new, "--operations", operations, "--settings", offline)
    assert ran.code == 1
    assert "新披露 newly disclosed" in ran.out
    assert "HouseholdRegistration.photo" in ran.out


def test_an_operation_that_fits_neither_side_proves_nothing(
    run: Run, offline: Path, operations: Path, tmp_path: Path
) -> None:
    (operations / "wrong.graphql").write_text("{ nothing }", "utf8")
    old = exported(run, offline, tmp_path / "old.jsonl")
    record(offline, PHOTO)
    new = exported(run, offline, tmp_path / "new.jsonl")
    ran = run("policy", "diff", old, new, "--operations", operations, "--settings", offline)
    assert (ran.code, ran.out) == (2, "")
    assert "wrong.graphql: GRAPHQL_VALIDATION_FAILED" in ran.err


def test_no_operation_and_no_policy_are_told(run: Run, offline: Path, operations: Path, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    catalogue = ROOT / "catalogue"
    ran = run("policy", "diff", catalogue, catalogue, "--operations", empty, "--settings", offline)
    assert (ran.code, "*.graphql" in ran.err) == (2, True)
    cut = exported(run, offline, tmp_path / "cut.jsonl")
    cut.write_bytes(cut.read_bytes()[:-100])
    ran = run("policy", "diff", cut, catalogue, "--operations", operations, "--settings", offline)
    assert (ran.code, "cut.jsonl" in ran.err) == (2, True)


# -- matrix


def test_the_matrix_is_one_page_that_loads_nothing(run: Run, offline: Path, tmp_path: Path) -> None:
    file = tmp_path / "matrix.html"
    assert run("policy", "matrix", "-o", file, "--settings", offline).code == 0
    page = file.read_text("utf8")
    assert "default-src 'none'" in page
    assert "%data%" not in page
    assert "-digest%" not in page
    for way in ("http://", "https://", "src=", "@import", "url(", "innerHTML", "document.write", "eval("):
        assert way not in page
    catalogue = catalogue_of(load_settings(offline))
    assert Snapshot(catalogue, rules_from(catalogue)).version in page


def test_the_matrix_admits_its_own_script_and_style_only(run: Run, offline: Path, tmp_path: Path) -> None:
    import base64
    import hashlib

    file = tmp_path / "matrix.html"
    run("policy", "matrix", "-o", file, "--settings", offline)
    page = file.read_text("utf8")
    for kind in ("script", "style"):
        body = page.partition(f"<{kind}>")[2].partition(f"</{kind}>")[0]
        digest = base64.b64encode(hashlib.sha256(body.encode()).digest()).decode()
        assert f"{kind}-src 'sha256-{digest}'" in page


def test_no_text_of_the_catalogue_can_end_the_matrix_data(run: Run, offline: Path, tmp_path: Path) -> None:
    hostile = "</script><script>alert(1)</script>"
    folder = changed_catalogue(
        tmp_path, "civil-affairs.yaml", lambda text: text.replace("title: 婚姻登记信息", f'title: "{hostile}"', 1)
    )
    file = tmp_path / "matrix.html"
    ran = run("policy", "matrix", "-o", file, "--settings", offline, ONESOURCE_CATALOGUE__FOLDER=str(folder))
    assert ran.code == 0, ran.err
    page = file.read_text("utf8")
    assert hostile not in page
    data = page.partition('<script type="application/json" id="data">')[2].partition("</script>")[0]
    assert hostile in json.dumps(json.loads(data), ensure_ascii=False)


def test_help_of_each_policy_command_teaches(run: Run) -> None:
    for name, word in {"explain": "--as", "export": "JSON lines", "diff": "--operations", "matrix": "--output"}.items():
        ran = run("policy", name, "--help")
        assert (ran.code, word in ran.out) == (0, True)


def test_searches_are_replayed_too(run: Run, offline: Path, tmp_path: Path) -> None:
    folder = tmp_path / "searches"
    folder.mkdir()
    search = "query S($use: UseInput!, $by: HousingSecurityFilter) { housingSecurities(use: $use, where: $by) { totalCount edges { node { name } } } }"
    (folder / "s.graphql").write_text(search, "utf8")

    def without_status(text: str) -> str:
        return text.replace("  - {item: HousingSecurity.status, subjects: [SUBJECT, THIRD_PARTY]}\n", "")

    old = changed_catalogue(tmp_path, "scenarios/public-rental-housing-review.yaml", without_status)
    code, changes = diff(run, offline, old, ROOT / "catalogue", folder)
    assert code == 1
    assert {(one["kind"], one["coordinate"], one["act"]) for one in changes} == {
        ("DISCLOSED", "HousingSecurity.status", "filter")
    }
