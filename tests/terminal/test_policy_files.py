"""`onesource policy check` and `load`, as an officer of the data bureau uses them."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import pytest

from app import control_of
from policies.grants import DisabledKind, Disablement, Notice, NoticeKind
from policies.rule_file import COLUMNS
from policies.rules import FIRST_TIME, LAST_TIME, Rules
from settings import load_settings
from terminal import suspensions
from tests.terminal.conftest import Run

DENY = (
    "housing", "any", "HouseholdRegistration.name", "any", "any", "any", "any", "any", FIRST_TIME, LAST_TIME, "deny",
    "RULE/local/name", "会议纪要〔2026〕1号", "stopped for now", "暂停提供",
)  # fmt: skip


def write(file: Path, *rows: tuple[str, ...]) -> Path:
    lines = [COLUMNS, *rows, ("end", str(len(rows)))]
    file.write_text("\n".join(map(",".join, lines)) + "\n", "utf8")
    return file


@pytest.fixture
def own_settings(settings_file: Path, tmp_path: Path) -> Path:
    """The settings with a control database of their own."""
    (tmp_path / "demo").mkdir()
    return Path(shutil.copy(settings_file, tmp_path / "onesource.toml"))


def files_in_force(settings: Path) -> dict[str, Rules]:
    control = control_of(load_settings(settings))
    control.open()
    try:
        return dict(asyncio.run(control.files()))
    finally:
        control.close()


def test_a_sound_file_is_checked_and_changes_nothing(run: Run, own_settings: Path, tmp_path: Path) -> None:
    ran = run("policy", "check", write(tmp_path / "local.csv", DENY), "--settings", own_settings)
    assert ran.code == 0, ran.err
    assert "1 rules, no problem" in ran.out
    assert files_in_force(own_settings) == {}


def test_a_loaded_file_is_in_force_under_the_version_that_is_told(run: Run, own_settings: Path, tmp_path: Path) -> None:
    ran = run("policy", "load", write(tmp_path / "local.csv", DENY), "--settings", own_settings)
    assert ran.code == 0, ran.err
    assert ran.out.strip().rpartition(".")[0].endswith(".1"), "the number of the first change"
    (row,) = files_in_force(own_settings)["local"].share
    assert tuple(row) == DENY[:12]
    again = run("policy", "load", write(tmp_path / "local.csv", DENY, (*DENY[:1], "clerk", *DENY[2:])), "--settings", own_settings)  # fmt: skip
    assert again.out.strip().rpartition(".")[0].endswith(".2")
    assert len(files_in_force(own_settings)["local"].share) == 2


@pytest.mark.parametrize("subcommand", ["check", "load"])
def test_a_faulty_file_is_refused_with_code_hint_and_line_and_the_last_good_one_stays(
    run: Run, own_settings: Path, tmp_path: Path, subcommand: str
) -> None:
    run("policy", "load", write(tmp_path / "local.csv", DENY), "--settings", own_settings)
    before = files_in_force(own_settings)
    typo = (*DENY[:10], "Deny", *DENY[11:])
    ran = run("policy", subcommand, write(tmp_path / "local.csv", DENY, typo), "--settings", own_settings)
    assert ran.code == 1
    assert "POL101" in ran.err
    assert "allow or deny" in ran.err
    assert "(local.csv:3)" in ran.err
    assert str(tmp_path) not in ran.err
    assert files_in_force(own_settings) == before


def test_a_file_is_listed_until_it_is_taken_out_and_the_authority_is_told_of_both(
    run: Run, own_settings: Path, tmp_path: Path
) -> None:
    run("policy", "load", write(tmp_path / "local.csv", DENY), "--settings", own_settings)
    assert "local" in run("policy", "files", "--settings", own_settings).out
    ran = run("policy", "unload", "local", "--settings", own_settings)
    assert ran.code == 0, ran.err
    assert ran.out.strip().rpartition(".")[0].endswith(".2"), "the number of the second change"
    assert files_in_force(own_settings) == {}
    assert "local" not in run("policy", "files", "--settings", own_settings).out
    assert [(one.kind, one.reference) for one in notices(own_settings)] == [(NoticeKind.RULES, "local")] * 2


def test_a_file_that_is_not_there_cannot_be_taken_out(run: Run, own_settings: Path) -> None:
    ran = run("policy", "unload", "nothing", "--settings", own_settings)
    assert ran.code == 1
    assert "policy files" in ran.err


def notices(settings: Path) -> tuple[Notice, ...]:
    control = control_of(load_settings(settings))
    control.open()
    try:
        return asyncio.run(control.notices())
    finally:
        control.close()


def test_every_kind_of_notice_has_a_title_in_the_terminal() -> None:
    assert set(suspensions._KINDS) == {kind.value for kind in NoticeKind}


def test_who_was_disabled_is_admitted_again_offline(run: Run, own_settings: Path) -> None:
    control = control_of(load_settings(own_settings))
    control.open()
    try:
        asyncio.run(control.disable(Disablement(DisabledKind.CLIENT, "demo", "", "误停", "officer", 1)))
    finally:
        control.close()
    assert run("policy", "enable", "demo", "--kind", "CLIENT", "--settings", own_settings).code == 0
    assert run("policy", "enable", "demo", "--kind", "CLIENT", "--settings", own_settings).code == 1
