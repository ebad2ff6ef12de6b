"""The project's pages as tests read them: where they are, their fenced blocks, their commands with the output shown."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *(ROOT / "web").rglob("*.md")])
READMES = (ROOT / "README.md", ROOT / "README.zh-CN.md")

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_OUTPUTS = ("json", "text")


@dataclass(frozen=True, slots=True)
class Shown:
    """A command as a page shows it, and the output that follows: kind `json` or `text`, both empty where none is shown."""

    command: str
    kind: str = ""
    output: str = ""


def fenced(text: str) -> list[tuple[str, str]]:
    """The fenced blocks of a page as (language, content)."""
    return [(found.group(1), found.group(2)) for found in _FENCE.finditer(text)]


def without_code(text: str) -> str:
    """The page without its fenced blocks."""
    return _FENCE.sub("", text)


def commands(text: str) -> list[Shown]:
    """The `sh` blocks of a page, each with the block of output behind it."""
    shown: list[Shown] = []
    for language, content in fenced(text):
        if language == "sh":
            shown.append(Shown(content.strip()))
        elif language in _OUTPUTS and shown and not shown[-1].kind:
            shown[-1] = Shown(shown[-1].command, language, content)
    return shown


def is_make(shown: Shown) -> bool:
    return shown.command.startswith("make ")
