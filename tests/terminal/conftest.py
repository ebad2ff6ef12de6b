"""The command as a person runs it, and a real server to ask."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from demo.scene import IDENTITIES, Scene
from settings import load_settings
from terminal.command import command
from tests.service import write_settings
from tests.terminal.server import Server, free_port, started

_KEPT = ("ONESOURCE_WRITE_CASES", "ONESOURCE_TEST_")
for _name in [name for name in os.environ if name.upper().startswith("ONESOURCE_") and not name.startswith(_KEPT)]:
    del os.environ[_name]  # the caller's own settings are not the tests'

Run = Callable[..., "Ran"]


class Ran:
    """What a run of the command left: exit code, standard output, standard error."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code = code
        self.out = out
        self.err = err


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run the command with these arguments on a wide terminal, with no settings from the environment but `env`."""
    monkeypatch.setenv("COLUMNS", "250")
    monkeypatch.setattr("terminal.serving._log_as_json", lambda: None)  # it would stay in force for the tests behind
    for console in ("out", "err"):
        monkeypatch.setattr(f"terminal.client.{console}.width", 250)

    def invoke(*arguments: object, **env: str) -> Ran:
        result = CliRunner().invoke(command, [str(argument) for argument in arguments], env=env)
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        return Ran(result.exit_code, result.stdout, result.stderr)

    return invoke


@pytest.fixture(scope="session")
def settings_file(city: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Settings over a copy of the city, on a free port."""
    folder = tmp_path_factory.mktemp("terminal")
    shutil.copytree(city / "demo", folder / "demo")
    file = write_settings(folder)
    file.write_text(file.read_text("utf8").replace("port = 8000", f"port = {free_port()}"), "utf8")
    return file


@pytest.fixture(scope="session")
def server(settings_file: Path) -> Iterator[Server]:
    """A running server, shared by all tests that only ask."""
    with started(settings_file, load_settings(settings_file).server.port) as one:
        yield one


@pytest.fixture(scope="session")
def tokens(settings_file: Path) -> dict[str, str]:
    """A token for each demo identity, by subject."""
    identity = load_settings(settings_file).identity
    scene = Scene(settings_file.parent / "demo")
    return {one.subject: scene.token(one, identity.issuer, identity.audience) for one in IDENTITIES}


@pytest.fixture
def lookup(run: Run, server: Server, tokens: dict[str, str]) -> Any:
    """The clerk's question for these items; every other option has a default."""

    def ask(*items: str, person: str = "", case: str = "", token: str = "", url: str = "", **env: str) -> Ran:
        chosen = [word for item in items for word in ("--item", item)]
        return run(
            "lookup", *chosen,
            "--id", person or server.examples.applicant.identifier,
            "--case", case or server.case,
            "--token", token or tokens["clerk-01"],
            "--url", url,
            "--settings", server.file,
            **env,
        )  # fmt: skip

    return ask
