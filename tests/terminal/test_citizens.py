"""`onesource my-disclosures`: from a clerk's look-up to a list that its subject checks offline, with nothing but Python."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from audit.verify_offline import parse_checkpoint
from tests.service import ROOT
from tests.terminal.conftest import Ran, Run
from tests.terminal.server import Server, free_port, started

OFFLINE = ROOT / "audit" / "verify_offline.py"


@pytest.fixture(scope="module")
def hall(settings_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server of its own that commits every half second."""
    import shutil

    folder = tmp_path_factory.mktemp("hall")
    shutil.copytree(
        settings_file.parent / "demo", folder / "demo", ignore=shutil.ignore_patterns("ledger*", "checkpoints")
    )
    port = free_port()
    text = settings_file.read_text("utf8").replace("subjects = 60.0", "subjects = 0.5")
    file = folder / "onesource.toml"
    file.write_text(text, "utf8")
    with started(file, port) as server:
        yield server


def as_citizen(run: Run, server: Server, identifier: str, *more: object) -> Ran:
    token = run("token", "--role", "citizen", "--identifier", identifier, "--settings", server.file)
    assert token.code == 0, token.err
    url = ("--url", f"{server.address}/graphql")
    return run("my-disclosures", "--token", token.out.strip(), *more, *url, "--settings", server.file)


def offline(server: Server, file: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-I", str(OFFLINE), str(file), "--key", str(server.file.parent / "log.pub")]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def asked(hall: Server) -> str:
    """A clerk has looked the applicant up."""
    from typer.testing import CliRunner

    from terminal.command import command

    settings = ("--settings", str(hall.file))
    token = (
        CliRunner().invoke(command, ["token", "--role", "clerk", "--department", "housing", *settings]).stdout.strip()
    )
    who = hall.examples.applicant.identifier
    items = ("--item", "HouseholdRegistration.name", "--item", "HousingFund.accountStatus")
    where = ("--case", hall.case, "--id", who, "--token", token, "--url", f"{hall.address}/graphql")
    looked = CliRunner().invoke(command, ["lookup", *items, *where, *settings])
    assert looked.exit_code == 0, looked.output
    key = CliRunner().invoke(command, ["audit", "checkpoint", "--public-key", *settings]).stdout
    (hall.file.parent / "log.pub").write_text(key, "utf8")
    return who


def saved(run: Run, hall: Server, who: str, file: Path) -> dict[str, Any]:
    """The list on file, once everything that happened before is covered."""
    until = time.monotonic() + 20
    while time.monotonic() < until:
        answer = httpx.get(f"{hall.address}/ledger/checkpoint", trust_env=False)
        checkpoint = parse_checkpoint(answer.text) if answer.status_code == 200 else None
        if checkpoint and checkpoint.subjects and checkpoint.subjects.size == checkpoint.size:
            break
        time.sleep(0.2)
    ran = as_citizen(run, hall, who, "--out", file)
    assert ran.code == 0, ran.err
    content: dict[str, Any] = json.loads(file.read_text("utf8"))
    return content


def test_from_a_look_up_to_a_list_that_is_complete_offline(run: Run, hall: Server, asked: str, tmp_path: Path) -> None:
    shown = as_citizen(run, hall, asked)
    assert shown.code == 0, shown.err
    assert "公共租赁住房保障资格确认" in shown.out
    assert "姓名" in shown.out
    assert "clerk-01" not in shown.out
    file = tmp_path / "mine.json"
    content = saved(run, hall, asked, file)
    checked = offline(hall, file)
    assert (checked.returncode, checked.stderr) == (0, "")
    assert "完整 complete" in checked.stdout
    assert "SHARE/HousingFund.accountStatus" in checked.stdout
    assert asked not in file.read_text("utf8")
    assert len(json.dumps(content["proof"]).encode()) <= 4096
    fewer = content | {"entries": [entry for entry in content["entries"] if "HousingFund" not in entry["text"]]}
    assert len(fewer["entries"]) == len(content["entries"]) - 1
    file.write_text(json.dumps(fewer), "utf8")
    missing = offline(hall, file)
    assert missing.returncode == 1
    assert "不完整" in missing.stderr


def test_another_ledgers_key_proves_nothing(run: Run, hall: Server, asked: str, tmp_path: Path) -> None:
    file = tmp_path / "mine.json"
    saved(run, hall, asked, file)
    other = tmp_path / "other.pub"
    other.write_bytes(bytes(32))
    command = [sys.executable, "-I", str(OFFLINE), str(file), "--key", str(other)]
    assert subprocess.run(command, capture_output=True, check=False).returncode == 4


def test_a_token_for_a_citizen_names_somebody_and_no_other_does(run: Run, hall: Server) -> None:
    settings = ("--settings", hall.file)
    assert run("token", "--role", "citizen", *settings).code == 2
    assert run("token", "--role", "clerk", "--identifier", hall.examples.applicant.identifier, *settings).code == 2
    assert run("token", "--role", "citizen", "--identifier", "1", *settings).code == 2


def test_somebody_who_is_no_citizen_is_refused_with_words(run: Run, hall: Server, tokens: dict[str, str]) -> None:
    token = run("token", "--role", "auditor", "--settings", hall.file).out.strip()
    ran = run("my-disclosures", "--token", token, "--url", f"{hall.address}/graphql", "--settings", hall.file)
    assert ran.code == 1
    assert "ROLE_REQUIRED" in ran.err
