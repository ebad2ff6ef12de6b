"""The READMEs show commands: they are run for real, and the output that is shown is the output that comes."""

from __future__ import annotations

import json
import re
import subprocess
from typing import Any

import pytest
from typer.main import get_command

from settings import Settings
from terminal.command import command as onesource
from tests.docs.pages import READMES, ROOT, Shown, commands, fenced, is_make

ENGLISH, CHINESE = (readme.read_text("utf8") for readme in READMES)
TEXTS = pytest.mark.parametrize("text", [ENGLISH, CHINESE], ids=["en", "zh"])

_VOLATILE = (
    (r"[0-9a-f]{8}-[0-9a-f]{4}-[47][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", "<operation>"),
    (r"\b\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}\b", "<time>"),
    (r"\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}\+\d\d:\d\d", "<time>"),
    (r"\b[0-9a-f]{6}:[0-9a-f]{8}(?:[0-9a-f]{24})?\b", "<subject>"),
    (r"\b\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\b", "<time>"),
    (r"有效期( +│)? +\d{4}-\d\d-\d\d 至 \d{4}-\d\d-\d\d", "<validity>"),
    (r"\b[0-9a-f]{16}\.\d+\.[0-9a-f]{32}\b", "<policy>"),
    (r'"endCursor": ?"[\w-]+"', '"endCursor": "<cursor>"'),
    (r"│ [0-9a-f]{8} │", "│ <policy> │"),
    (r"\b\d+ 行 rows", "<rows>"),
    (r"recorded \d+ · 索引 indexed \d+", "<progress>"),
    (r"\d+ 次操作 operations, \d+ 项决定 decisions", "<decided>"),
    (r"<time> \*", "<time>"),
    (r"截至记录 \d+ 共 \d+ 条 entries through record \d+", "<covered>"),
    (r"\d+ 条记录 records", "<records>"),
    (r'"(indexed|recorded)Through": ?\d+', r'"\1Through": 0'),
)


def _stable(text: str) -> str:
    for pattern, name in _VOLATILE:
        text = re.sub(pattern, name, text)
    return text


def _words(text: str) -> str:
    """The text without lines and spaces: how wide a terminal is, is the reader's affair."""
    return re.sub(r"[\s\u2500-\u257f]", "", _stable(text))


def _comparable(kind: str, text: str) -> Any:
    return json.loads(_stable(text)) if kind == "json" else _words(text)


def test_every_command_prints_what_the_readme_shows(answered: list[tuple[Shown, str]]) -> None:
    compared = [(shown, printed) for shown, printed in answered if shown.kind]
    assert compared
    others = [
        f"$ {shown.command}\n{printed}"
        for shown, printed in compared
        if _comparable(shown.kind, printed) != _comparable(shown.kind, shown.output)
    ]
    assert not others, "README.md and README.zh-CN.md show another output.\n" + "\n".join(others)


def test_tokens_are_printed_alone_on_standard_output(answered: list[tuple[Shown, str]]) -> None:
    tokens = [printed for shown, printed in answered if "onesource token" in shown.command]
    assert len(tokens) >= 3
    assert all("demo token, not for production" in printed and "eyJ" not in printed for printed in tokens)


def test_both_readmes_show_the_same_commands_and_outputs() -> None:
    assert fenced(ENGLISH) == fenced(CHINESE)


@TEXTS
def test_readme_begins_with_its_purpose_then_two_commands_then_a_query_with_its_answer(text: str) -> None:
    first = commands(text)
    assert text.index("各单位原则上不得要求自然人、法人或其他组织重复提交") < text.index(first[0].command)
    assert [one.command for one in first[:2]] == ["make run", "make test"]
    assert next(one for one in first if "curl" in one.command).kind == "json"


def test_make_targets_of_the_readme_exist() -> None:
    targets = {match for text in (ENGLISH, CHINESE) for match in re.findall(r"`?make ([a-z]+)`?", text)}
    targets |= {one.command.removeprefix("make ") for one in commands(ENGLISH) if is_make(one)}
    assert {"run", "test", "bench"} <= targets
    for target in sorted(targets):
        ran = subprocess.run(["make", "-n", target], cwd=ROOT, capture_output=True, text=True, check=False)
        assert ran.returncode == 0, f"make {target}: {ran.stderr}"


def _subcommands(command: Any, prefix: str = "") -> list[str]:
    if not hasattr(command, "commands"):
        return [prefix.strip()]
    return [name for key, one in command.commands.items() for name in _subcommands(one, f"{prefix} {key}")]


@TEXTS
def test_every_subcommand_is_in_the_readme(text: str) -> None:
    names = _subcommands(get_command(onesource))
    assert "audit tail" in names
    told = re.findall(r"`([^`]+)`", "".join(re.findall(r"^\| `.*?\|", text, re.MULTILINE)))
    assert [name for name in names if not any(one == name or one.startswith(f"{name} ") for one in told)] == []


@TEXTS
def test_every_section_of_the_settings_is_in_the_readme(text: str) -> None:
    assert [name for name in Settings.model_fields if not re.search(rf"`\[?{name}(\.<name>)?\]?`", text)] == []


@TEXTS
def test_every_kind_of_empty_answer_is_in_the_readme(text: str) -> None:
    shaped = "".join((ROOT / "resolvers" / name).read_text("utf8") for name in ("shape.py", "fetch.py", "restrict.py"))
    contract = (ROOT / "connectors" / "contract.py").read_text("utf8")
    codes = set(re.findall(r'"([A-Z]+_[A-Z_]+)"', shaped)) | set(re.findall(r"\b(SOURCE_[A-Z]+)\b", contract))
    codes -= {"REQUEST_TOO_LARGE"}
    assert {"FIELD_DENIED", "USE_DENIED", "ENTITY_UNKNOWN", "SOURCE_TIMEOUT", "SOURCE_VALUE_INVALID"} <= codes
    assert sorted(code for code in codes if f"`{code}`" not in text) == []
