"""The pages beside the README: links resolve, every code and rule is told, nothing of a machine is in them."""

from __future__ import annotations

import ast
import json
import re
from dataclasses import fields
from pathlib import Path

import pytest

from audit.frame import OUTCOMES, Frame, NodeFrame
from policies.decision import Act, NextStep
from policies.identity import Role
from schema.errors import CODES
from schema.errors_page import errors_page
from schema.identifiers import to_credit_code
from tests.docs.pages import PAGES, ROOT, fenced, without_code

ARCHITECTURE = (ROOT / "docs/architecture.md").read_text("utf8")
RULES = (ROOT / "docs/rules.md").read_text("utf8")
ROOMS = ("schema", "connectors", "policies", "audit", "resolvers", "settings", "demo", "web", "app", "terminal")
EACH_PAGE = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))

_LINK = re.compile(r"\[[^]]*\]\(([^)\s]+)\)")
_MACHINE = re.compile(r"(?<![\w.~/-])/(?:home|root|work|tmp|usr|opt|var|mnt|srv|Users)/|\b[A-Z]:\\|file://")
_REGISTRY = re.compile(
    r"pyp[i]\.|pythonhoste[d]|npm[j]s|registr[y]\.|mirror[s]?\.|artifactor[y]|unpk[g]|jsdelive[r]", re.IGNORECASE
)


def _anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as they are made for readers: lower case, words joined by hyphens."""
    headings = re.findall(r"^#+ (.+)$", without_code(page.read_text("utf8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


@EACH_PAGE
def test_every_relative_link_resolves(page: Path) -> None:
    for link in _LINK.findall(without_code(page.read_text("utf8"))):
        if link.startswith("https://"):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{page.name}: {link}"
        assert target.is_relative_to(ROOT), f"{page.name}: {link} leads out of the project"
        assert not anchor or anchor in _anchors(target), f"{page.name}: {link} has no such heading"


@EACH_PAGE
def test_no_page_names_a_machine_s_path_or_a_registry(page: Path) -> None:
    text = page.read_text("utf8")
    assert _MACHINE.findall(text) == []
    assert _REGISTRY.findall(text) == []


def test_department_of_the_catalogue_s_format_has_a_valid_code() -> None:
    (code,) = re.findall(r'code: "(\w{18})"', (ROOT / "docs/catalogue-format.md").read_text("utf8"))
    assert to_credit_code(code) == code


def test_page_of_errors_is_up_to_date() -> None:
    kept = (ROOT / "docs/errors.md").read_text("utf8")
    assert kept == errors_page(), "refresh it: .venv/bin/python -m schema.errors_page > docs/errors.md"


def test_page_of_errors_has_a_row_for_every_code() -> None:
    assert [code for code in CODES if f"\n| `{code}` | {CODES[code].status} |" not in errors_page()] == []


def _denials() -> set[str]:
    sources = [path.read_text("utf8") for room in ("policies", "resolvers") for path in (ROOT / room).glob("*.py")]
    written = {rule for source in sources for rule in re.findall(r'"(DENY/[A-Z_/{}a-z]+)"', source)}
    return {rule.replace("{kind}", kind) for rule in written for kind in ("SERVICE", "SCENARIO")}


def test_every_rule_that_denies_is_on_the_page_of_rules_and_no_other() -> None:
    told = re.findall(r"^\| `(DENY/[A-Z_/]+)` \|", RULES, re.MULTILINE)
    assert "DENY/SCENARIO/ITEM" in told
    assert sorted(told) == sorted(_denials())


def test_every_next_step_of_the_page_of_rules_exists_and_no_other() -> None:
    told = set(re.findall(r"^\| `DENY/.*\| `([A-Z_]+)` \|$", RULES, re.MULTILINE))
    assert told == set(NextStep)


def test_every_act_and_role_is_in_the_architecture() -> None:
    assert [act.value for act in Act if f"`{act.value}`" not in ARCHITECTURE] == []
    assert [role.value for role in Role if f"`{role.value}`" not in ARCHITECTURE] == []


def test_example_frame_has_the_fields_of_a_frame() -> None:
    (example,) = (json.loads(content) for language, content in fenced(ARCHITECTURE) if language == "json")
    assert set(example) == {field.name for field in fields(Frame)}
    assert re.fullmatch(r"[0-9a-f]{16}\.\d+\.[0-9a-f]{32}", example["policy"])
    for node in example["nodes"]:
        assert set(node) == {field.name for field in fields(NodeFrame)}
        assert all(len(letters) == len(node["items"]) == len(node["rules"]) for letters in node["groups"])


def test_every_letter_of_an_outcome_is_in_the_architecture() -> None:
    assert set(re.findall(r"^\| `([A-Z])` \|", ARCHITECTURE, re.MULTILINE)) == set(OUTCOMES)


def test_every_test_that_the_architecture_names_exists() -> None:
    named = re.findall(r"\[(test_\w+)\]\(\.\./(tests/[\w/]+\.py)\)", ARCHITECTURE)
    assert len(named) >= 5
    assert [name for name, path in named if f"def {name}(" not in (ROOT / path).read_text("utf8")] == []


def _may_import() -> dict[str, set[str]]:
    """The rooms that each room may import, as the table of the house says."""
    rows = re.findall(r"^\| \[(\w+)(?:/|\.py)\]\([^)]*\) \|.*\| ([^|]+) \|$", ARCHITECTURE, re.MULTILINE)
    return {room: set(re.findall(r"[a-z]+", allowed)) & set(ROOMS) for room, allowed in rows if room in ROOMS}


def _imported(source: str) -> set[str]:
    names: list[str] = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names.append(node.module or "")
    return {name.partition(".")[0] for name in names} & set(ROOMS)


@pytest.mark.parametrize("room", ROOMS)
def test_room_imports_only_what_the_house_allows(room: str) -> None:
    files = list((ROOT / room).rglob("*.py")) if (ROOT / room).is_dir() else [ROOT / f"{room}.py"]
    imported = set().union(*(_imported(file.read_text("utf8")) for file in files))
    assert imported - {room} <= _may_import()[room]
