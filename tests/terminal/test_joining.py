"""A department joins from its live source: the draft of its catalogue file, and what changed since."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy as sa

from schema.load import check_catalogue, load_catalogue
from tests.servers import database, execute, mariadb, postgres
from tests.service import ROOT, write_settings
from tests.terminal.conftest import Run

PEOPLE = [f"42120219{80 + n // 28 % 20:02}{n % 12 + 1:02}{n % 28 + 1:02}{n % 1000:03}" for n in range(120)]
HEADER = (
    "--department",
    "veterans",
    "--name",
    "Veterans Bureau",
    "--title",
    "咸宁市退役军人事务局",
    "--region",
    "421200",
)
OFFICE = ("--code", "11421200MB01234561", "--contact", "信息中心")
DDL = {
    "postgresql": (
        "CREATE TABLE veteran_card (card_no varchar(20) PRIMARY KEY, holder_id varchar(18) NOT NULL UNIQUE, full_name text,"
        " service_branch char(1), issued_on date, born varchar(8), allowance numeric(10,2), photo bytea, updated_at timestamp)",
        "COMMENT ON TABLE veteran_card IS '退役军人优待证'",
        "COMMENT ON COLUMN veteran_card.full_name IS '姓名'",
        "COMMENT ON COLUMN veteran_card.service_branch IS '军种'",
        "CREATE TABLE office (id integer PRIMARY KEY, note text)",
        "CREATE VIEW card_view AS SELECT holder_id, card_no FROM veteran_card",
    ),
    "mariadb": (
        "CREATE TABLE veteran_card (card_no varchar(20) PRIMARY KEY, holder_id varchar(18) NOT NULL UNIQUE, full_name text COMMENT '姓名',"
        " service_branch char(1) COMMENT '军种', issued_on date, born varchar(8), allowance decimal(10,2), photo blob, updated_at datetime)"
        " COMMENT '退役军人优待证'",
        "CREATE TABLE office (id integer PRIMARY KEY, note text)",
        "CREATE VIEW card_view AS SELECT holder_id, card_no FROM veteran_card",
    ),
    "sqlite": (
        "CREATE TABLE veteran_card (card_no varchar(20) PRIMARY KEY, holder_id varchar(18) NOT NULL UNIQUE, full_name text,"
        " service_branch char(1), issued_on date, born varchar(8), allowance numeric(10,2), photo blob, updated_at timestamp)",
        "CREATE TABLE office (id integer PRIMARY KEY, note text)",
        "CREATE VIEW card_view AS SELECT holder_id, card_no FROM veteran_card",
    ),
}  # fmt: skip


def _number(first: str) -> str:
    weights = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
    return first + "10X98765432"[sum(int(d) * w for d, w in zip(first, weights, strict=True)) % 11]


def _fill(url: sa.URL) -> sa.URL:
    rows = ", ".join(
        f"('Y{n:06}', '{_number(first)}', '试{n}', '{'LHK'[n % 3]}', '2021-03-0{n % 9 + 1}', '{first[6:14]}', {n}.50, NULL, '2026-01-01 08:00:00')"
        for n, first in enumerate(PEOPLE)
    )
    execute(url, *DDL[url.get_backend_name()], f"INSERT INTO veteran_card VALUES {rows}")
    return url


@pytest.fixture(params=["sqlite", "postgresql", "mariadb"])
def source(request: pytest.FixtureRequest, tmp_path: Path) -> sa.URL:
    """A source that nobody prepared, in each dialect; a database of its own."""
    if request.param == "sqlite":
        return _fill(sa.make_url(f"sqlite:///{tmp_path / 'foreign.db'}"))
    server: Callable[[], sa.URL] = postgres if request.param == "postgresql" else mariadb
    options = "CHARACTER SET utf8mb4" if server is mariadb else ""
    return _fill(database.__wrapped__(server, options))


@pytest.fixture
def settings(tmp_path: Path) -> Path:
    """Settings over a copy of the catalogue."""
    shutil.copytree(ROOT / "catalogue", tmp_path / "catalogue")
    return write_settings(tmp_path, catalogue=tmp_path / "catalogue")


def draft(run: Run, settings: Path, source: sa.URL, *more: str) -> Path:
    file = settings.parent / "catalogue" / "veterans.yaml"
    ran = run(
        "connect",
        source.render_as_string(hide_password=False),
        *HEADER,
        *OFFICE,
        *more,
        "--out",
        file,
        "--settings",
        settings,
    )
    assert ran.code == 0, ran.err
    return file


def test_a_draft_is_a_sound_catalogue_and_knows_keys_formats_titles_and_codes(
    run: Run, settings: Path, source: sa.URL
) -> None:
    draft(run, settings, source)
    folder = settings.parent / "catalogue"
    assert not check_catalogue(folder, ())
    resource = load_catalogue(folder).resources["VeteranCard"]
    assert (resource.entity, resource.key, resource.many, resource.updated) == (
        "Person",
        "holderId",
        False,
        "updated_at",
    )
    kinds = {item.name: (item.type.value, item.format) for item in resource.items.values()}
    assert kinds["holderId"] == ("CitizenIdNumber", "18")
    assert kinds["issuedOn"] == ("Date", "iso")
    assert kinds["born"] == ("Date", "compact")
    assert kinds["serviceBranch"][0] == "Code"
    assert kinds["photo"][0] == "Base64"
    assert {item.share.share_class.value for item in resource.items.values()} == {"CONDITIONAL"}
    if source.get_backend_name() != "sqlite":  # which knows no comments
        assert (resource.title, resource.items["fullName"].title) == ("退役军人优待证", "姓名")


def test_what_has_no_identifier_is_left_out_and_named(run: Run, settings: Path, source: sa.URL) -> None:
    text = draft(run, settings, source).read_text("utf8")
    assert "# office: no column holds identifiers of an entity" in text
    assert 'table: "office"' not in text


def test_no_value_of_a_person_is_written_into_a_draft(run: Run, settings: Path, source: sa.URL) -> None:
    text = draft(run, settings, source).read_text("utf8")
    assert not [first for first in PEOPLE if first in text]
    assert "试1" not in text
    assert "Y000001" not in text


def test_a_name_or_a_diagnosis_that_many_share_is_no_code(run: Run, settings: Path, tmp_path: Path) -> None:
    file = tmp_path / "shared.db"
    rows = ", ".join(
        f"('{_number(first)}', '张三', '{'糖尿病' if n % 2 else '无'}', 'A')" for n, first in enumerate(PEOPLE)
    )
    url = sa.make_url(f"sqlite:///{file}")
    execute(
        url,
        "CREATE TABLE clinic (person varchar(18) PRIMARY KEY, remark text, finding text, ward text)",
        f"INSERT INTO clinic VALUES {rows}",
    )
    text = draft(run, settings, url).read_text("utf8")
    assert 'table: "clinic"' in text
    assert not [shown for shown in ("张三", "糖尿病", '"无"', "codes:") if shown in text]


def test_a_draft_overwrites_nothing(run: Run, settings: Path, source: sa.URL) -> None:
    file = draft(run, settings, source)
    ran = run(
        "connect", source.render_as_string(hide_password=False), *HEADER, *OFFICE, "--out", file, "--settings", settings
    )
    assert ran.code == 2
    assert "overwrites nothing" in ran.err


def test_only_the_tables_asked_for_are_drafted(run: Run, settings: Path, source: sa.URL) -> None:
    text = draft(run, settings, source, "--table", "card_view").read_text("utf8")
    assert 'table: "card_view"' in text
    assert "veteran_card" not in text


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("postgresql://nobody:wrong@127.0.0.1:1/none", "SOURCE_UNAVAILABLE"),
        ("sqlite:///nowhere/at/all.db", "SOURCE_UNAVAILABLE"),
        ("not a url", "the URL is none"),
    ],
)
def test_a_source_that_is_not_there_is_told_without_a_word_of_its_own(
    run: Run, settings: Path, url: str, told: str
) -> None:
    ran = run("connect", url, *HEADER, *OFFICE, "--settings", settings)
    assert (ran.code, ran.out) == (2, "")
    assert told in ran.err
    assert "wrong" not in ran.err
    assert "Traceback" not in ran.err


def test_a_new_department_needs_its_head_and_a_valid_code(run: Run, settings: Path) -> None:
    ran = run(
        "connect", "sqlite:///x.db", "--department", "veterans", "--code", "11421200MB0123456B", "--settings", settings
    )
    assert ran.code == 2
    assert all(option in ran.err for option in ("--name", "--title", "--region", "--contact"))
    assert "check character" in ran.err


def _live(run: Run, settings: Path, source: sa.URL) -> tuple[int, list[str]]:
    text = settings.read_text("utf8")
    if "[connections.veterans]" not in text:
        place = source.render_as_string(hide_password=False)
        settings.write_text(f'{text}\n[connections.veterans]\nurl = "{place}"\n', "utf8")
    ran = run("check", "--live", "--settings", settings)
    lines = [line for line in ran.out.splitlines() if "VeteranCard" in line or "veterans" in line]
    return ran.code, lines


def test_what_changed_at_the_source_is_told_without_a_value(run: Run, settings: Path, source: sa.URL) -> None:
    draft(run, settings, source, "--table", "veteran_card")
    assert _live(run, settings, source)[1] == []
    change = [
        "ALTER TABLE veteran_card ADD COLUMN extra text",
        "UPDATE veteran_card SET born = '1980年' WHERE card_no = 'Y000001'",
        "UPDATE veteran_card SET service_branch = 'Z' WHERE card_no = 'Y000002'",
        "DROP VIEW card_view",
        "ALTER TABLE veteran_card DROP COLUMN allowance",
    ]
    execute(source, *change)
    code, lines = _live(run, settings, source)
    assert code == 1
    assert sorted(line.split()[0] for line in lines) == ["LIV102", "LIV103", "LIV104", "LIV201"]
    assert "1980年" not in str(lines)


def test_a_table_that_is_gone_is_told(run: Run, settings: Path, source: sa.URL) -> None:
    draft(run, settings, source, "--table", "veteran_card")
    execute(source, "DROP VIEW card_view", "DROP TABLE veteran_card")
    code, lines = _live(run, settings, source)
    assert code == 1
    assert [line.split()[0] for line in lines] == ["LIV101"]
