"""The command where no server is needed: help, check, token, schema, demo, and what it refuses."""

from __future__ import annotations

import json
import re
import shutil
import socket
import time
from pathlib import Path

import jwt
import pytest

from tests.service import ROOT
from tests.terminal.conftest import Run
from tests.terminal.server import free_port

COMMANDS = ("demo", "serve", "check", "token", "lookup", "schema", "audit")


def test_help_names_every_command_and_the_exit_codes(run: Run) -> None:
    ran = run("--help")
    assert ran.code == 0
    for name in COMMANDS:
        assert name in ran.out
    assert "0 answered" in ran.out
    assert "一数一源" in ran.out


@pytest.mark.parametrize(
    ("arguments", "taught"),
    [
        (("demo",), ("--residents", "--seed")),
        (("serve",), ("--settings", "/graphql")),
        (("check",), ("--overlay", "one line")),
        (("token",), ("--role", "--department", "--hours", "demo")),
        (
            ("lookup",),
            (
                "--item",
                "--id",
                "--case",
                "--purpose",
                "--token",
                "docs/catalogue.md",
                "✗ 未授权",
                "only some items were refused",
            ),
        ),
        (("schema",), ("print", "catalogue")),
        (("schema", "print"), ("SDL",)),
        (("schema", "catalogue"), ("docs/catalogue.md",)),
        (("audit",), ("tail", "auditor")),
        (
            ("audit", "tail"),
            ("--lines", "--follow", "--subject-id", "--person", "--case", "--user", "--json", "--token"),
        ),
    ],
)
def test_help_of_each_command_teaches(run: Run, arguments: tuple[str, ...], taught: tuple[str, ...]) -> None:
    ran = run(*arguments, "--help")
    assert ran.code == 0
    words = " ".join(ran.out.replace("│", " ").split())
    for word in taught:
        assert word in words


@pytest.mark.parametrize("arguments", [(), ("nothing",), ("lookup",), ("token",), ("token", "--role", "root")])
def test_wrong_use_exits_with_2(run: Run, arguments: tuple[str, ...]) -> None:
    assert run(*arguments).code == 2


@pytest.mark.parametrize("name", ["serve", "demo", "check", "schema print", "token --role clerk"])
def test_missing_settings_are_told_not_thrown(run: Run, tmp_path: Path, name: str) -> None:
    ran = run(*name.split(), "--settings", tmp_path / "nowhere.toml")
    assert ran.code == 2
    assert "nowhere.toml: there is no such file" in ran.err
    assert "Traceback" not in ran.err


def test_wrong_setting_is_told_with_its_place(run: Run, settings_file: Path) -> None:
    ran = run("check", "--settings", settings_file, ONESOURCE_SERVER__PORT="0")
    assert ran.code == 2
    assert ran.err.startswith("ONESOURCE_SERVER__PORT server.port: ")


# -- check


def test_check_of_the_shipped_catalogue_finds_nothing(run: Run, settings_file: Path) -> None:
    for arguments in ((), (ROOT / "catalogue",), (ROOT / "catalogue", "--overlay", "careful-officer")):
        ran = run("check", *arguments, "--settings", settings_file)
        assert ran.code == 0
        assert ran.out == ""


def test_check_tells_each_problem_on_one_line(run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "[catalogue]"  # a name that looks like markup
    shutil.copytree(ROOT / "catalogue", folder)
    file = next(path for path in sorted(folder.rglob("*.yaml")) if "UNCONDITIONAL" in path.read_text("utf8"))
    file.write_text(file.read_text("utf8").replace("UNCONDITIONAL", "UNCONDITIONALLY"), "utf8")
    (folder / "broken.yaml").write_text("- a list\n", "utf8")
    ran = run("check", folder)
    assert ran.code == 1
    lines = ran.out.splitlines()
    assert len(lines) >= 2
    for line in lines:
        assert line.startswith("CAT")
        assert ".yaml:" in line
    assert any(file.name in line for line in lines)
    assert f"{len(lines)} 处问题" in ran.err


def test_check_of_no_catalogue_finds_a_problem(run: Run, tmp_path: Path) -> None:
    ran = run("check", tmp_path / "nowhere")
    assert ran.code == 1
    assert len(ran.out.splitlines()) == 1


# -- token


def test_token_is_of_the_demo_issuer_for_this_role(run: Run, settings_file: Path) -> None:
    arguments = ("--role", "auditor", "--department", "data-bureau", "--subject", "li", "--hours", "2")
    ran = run("token", *arguments, "--settings", settings_file)
    assert ran.code == 0
    claims = jwt.decode(ran.out.strip(), options={"verify_signature": False})
    assert (claims["sub"], claims["role"], claims["department"]) == ("li", "auditor", "data-bureau")
    assert 7_100 < claims["exp"] - time.time() <= 7_200
    assert "not for production" in ran.err


def test_token_needs_the_demo(run: Run, settings_file: Path) -> None:
    ran = run("token", "--role", "clerk", "--settings", settings_file, ONESOURCE_DEMO="false")
    assert (ran.code, ran.out) == (2, "")
    assert "127.0.0.1" in ran.err


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "city.example", "127.0.0.1.example"])
def test_token_needs_a_service_of_this_machine(run: Run, settings_file: Path, host: str) -> None:
    ran = run("token", "--role", "clerk", "--settings", settings_file, ONESOURCE_SERVER__HOST=host)
    assert (ran.code, ran.out) == (2, "")


def test_token_for_an_unknown_department_names_the_known(run: Run, settings_file: Path) -> None:
    ran = run("token", "--role", "clerk", "--department", "nowhere", "--settings", settings_file)
    assert (ran.code, ran.out) == (2, "")
    assert "housing" in ran.err


@pytest.mark.parametrize("hours", ["0", "-1", "25"])
def test_token_lives_for_a_day_at_most(run: Run, settings_file: Path, hours: str) -> None:
    assert run("token", "--role", "clerk", "--hours", hours, "--settings", settings_file).code == 2


# -- schema


def test_schema_print_is_the_sdl_with_chinese_titles(run: Run, settings_file: Path) -> None:
    ran = run("schema", "print", "--settings", settings_file)
    assert ran.code == 0
    assert "type Query {" in ran.out
    assert "  person(" in ran.out
    assert "户籍" in ran.out


# -- serve and demo


def test_demo_serves_this_machine_only(run: Run, settings_file: Path) -> None:
    ran = run("serve", "--settings", settings_file, ONESOURCE_SERVER__HOST="0.0.0.0")
    assert ran.code == 2
    assert "0.0.0.0" in ran.err


def test_port_in_use_is_told_with_a_way_out(run: Run, settings_file: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        ran = run("serve", "--settings", settings_file, ONESOURCE_SERVER__PORT=str(port))
    assert ran.code == 2
    assert f"127.0.0.1:{port}" in ran.err
    assert "ONESOURCE_SERVER__PORT" in ran.err


def test_missing_connection_is_told_at_start(run: Run, settings_file: Path, tmp_path: Path) -> None:
    file = tmp_path / "onesource.toml"
    text = settings_file.read_text("utf8").replace("demo = true", "demo = false")
    text = text.replace('"demo/', f'"{settings_file.parent}/demo/').replace(
        "///demo/", f"///{settings_file.parent}/demo/"
    )
    text = re.sub(r"(?m)^port = \d+", f"port = {free_port()}", text)  # that of the file may be served by now
    file.write_text(text.replace("[connections.taxation]", "[connections.other]"), "utf8")
    ran = run("serve", "--settings", file)
    assert ran.code == 2
    assert "connections.taxation: missing" in ran.err


def test_demo_builds_a_city_of_the_size_asked_for(run: Run, settings_file: Path, tmp_path: Path) -> None:
    file = tmp_path / "onesource.toml"
    shutil.copy(settings_file, file)
    ran = run("demo", "--residents", "150", "--seed", "7", "--settings", file)
    assert ran.code == 0
    assert "150 名居民" in ran.out
    report = json.loads((tmp_path / "demo/city.json").read_text("utf8"))
    assert report["residents"] == 150
    assert (tmp_path / "demo/city/public-security.db").is_file()


def test_demo_needs_demo_mode(run: Run, settings_file: Path) -> None:
    ran = run("demo", "--settings", settings_file, ONESOURCE_DEMO="false")
    assert ran.code == 2
    assert "demo = false" in ran.err


def test_demo_needs_a_hundred_residents(run: Run, settings_file: Path) -> None:
    assert run("demo", "--residents", "99", "--settings", settings_file).code == 2


def test_connect_prints_the_rights_of_a_connections_account(run: Run, settings_file: Path) -> None:
    changed = settings_file.with_name("postgres.toml")
    text = settings_file.read_text("utf8")
    start = text.index("[connections.housing]")
    end = text.index("\n\n", start)
    section = '[connections.housing]\nkind = "sql"\nurl = "postgresql://reader@db.example/housing"\npool = 2'
    changed.write_text(text[:start] + section + text[end:], "utf8")
    ran = run("connect", "--grant", "housing", "--settings", changed)
    assert ran.code == 0
    assert 'GRANT CONNECT ON DATABASE "housing" TO "reader";' in ran.out
    assert "GRANT SELECT (" in ran.out
    assert run("connect", "--grant", "nobody", "--settings", changed).code == 2
