"""Rule files: rules of a city's own beside the catalogue's, as CSV that departments can write and read.

UTF-8, one header, one row a line, and `end,<number of rows>` as the last line, so that a file that is still being written is known. A row has the
columns of `ShareRow`, then article and reason (English, Chinese). Rule ids are `RULE/<file's stem>/...`: no file can take another's along.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from policies.lint import Place, RuleError, RuleProblem, contradictions, lint_rules
from policies.rules import Rules, RuleText, ShareRow
from schema.catalogue import Catalogue, Item, ShareClass
from schema.errors import Text

COLUMNS = (*ShareRow._fields, "article", "reason_en", "reason_zh")
_WIDTH = len(ShareRow._fields)
_MAX_BYTES = 64 * 1024 * 1024
_STEM = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*", re.ASCII)
Line = tuple[int, list[str]]
"""A line's number, from 1, and its cells."""


def read_rule_file(path: Path, catalogue: Catalogue, now: str) -> Rules:
    """The rules of a file; RuleError with every problem and its `file:line` if there is one. `now` is a time as rules write it."""
    lines = _rows(path.name, _lines(path))
    rows = tuple(ShareRow(*cells[:_WIDTH]) for _, cells in lines)

    def place(number: int) -> str:
        return f"{path.name}:{lines[number][0]}"

    problems = [
        *_ids(path, lines),
        *_reasons(path.name, lines),
        *_repeated(path.name, lines),
        *contradictions(rows, place),
    ]
    problems += [
        RuleProblem("POL106", place(number), "the rule has expired", "take it out, or prolong it")
        for number, row in enumerate(rows)
        if row.exp <= now
    ]
    problems += _beyond(rows, catalogue, place)
    rules = Rules(rows, (), {text.rid: text for text in map(_text, lines)})
    try:
        lint_rules(rules, catalogue, place)
    except RuleError as error:
        problems += error.problems
    if problems:
        raise RuleError(sorted(problems, key=lambda problem: (int(problem.place.rpartition(":")[2]), problem.code)))
    return rules


def _beyond(rows: Sequence[ShareRow], catalogue: Catalogue, place: Place) -> Iterator[RuleProblem]:
    """An allow for what is shared on condition or not at all: that takes a grant or a scenario, with agreement and notice (Changsha 29, Hunan ch. 3)."""
    for number, row in enumerate(rows):
        if row.eft == "allow" and not all(
            item.share.share_class is ShareClass.UNCONDITIONAL for item in _items(row, catalogue)
        ):
            hint = "apply for a grant, or state a scenario"
            yield RuleProblem("POL122", place(number), f"it allows what is not UNCONDITIONAL: {row.object}", hint)


def _items(row: ShareRow, catalogue: Catalogue) -> list[Item]:
    """Every item that a row's object reaches; none for an unknown object, which is told elsewhere."""
    kind, slash, name = row.object.partition("/")
    resource, dot, item = row.object.partition(".")
    return [
        one
        for known in catalogue.resources.values()
        for one in known.items.values()
        if (kind == "class" and one.share.share_class == name)
        or (kind == "provider" and known.department == name)
        or (not slash and known.name == resource and (not dot or one.name == item))
    ]


def _refuse(code: str, place: str, message: str, hint: str) -> RuleError:
    return RuleError([RuleProblem(code, place, message, hint)])


def _lines(path: Path) -> list[Line]:
    """Every line that is not empty, from one reading of the file."""
    if not _STEM.fullmatch(path.stem):
        raise _refuse("POL116", f"{path.name}:1", "the file's name is no slug", "name it as in `local-rules.csv`")
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise _refuse("POL116", f"{path.name}:1", "the file is larger than 64 MiB", "split it")
        text = path.read_bytes().decode("utf-8-sig")
    except (OSError, UnicodeDecodeError):
        hint = "give a file in UTF-8 that may be read"
        raise _refuse("POL116", f"{path.name}:1", "the file cannot be read", hint) from None
    lines: list[Line] = []
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    begins = 1
    try:
        for cells in reader:
            if cells:
                lines.append((begins, cells))
            begins = reader.line_num + 1
    except csv.Error:
        raise _refuse("POL117", f"{path.name}:{begins}", "the line is no CSV", "close the quotation mark") from None
    return lines


def _rows(name: str, lines: Sequence[Line]) -> list[Line]:
    """The rows between a right header and a right end."""
    if not lines or tuple(lines[0][1]) != COLUMNS:
        raise _refuse("POL117", f"{name}:1", "the header is not as it must be", "write " + ",".join(COLUMNS))
    *rows, (last, end) = lines[1:] or [(1, [""])]
    if end != ["end", str(len(rows))]:
        message = f"the file does not end with `end,{len(rows)}`: it is still being written, or lines are lost"
        raise _refuse("POL118", f"{name}:{last}", message, "write the whole file, its last line the number of rows")
    if not rows:
        raise _refuse("POL118", f"{name}:{last}", "the file has no rows", "write a row")
    problems = [
        RuleProblem("POL117", f"{name}:{number}", f"{len(cells)} cells instead of {len(COLUMNS)}", "see the header")
        for number, cells in rows
        if len(cells) != len(COLUMNS)
    ]
    if problems:
        raise RuleError(problems[:100])
    return rows


def _text(line: Line) -> RuleText:
    article, en, zh = line[1][_WIDTH:]
    return RuleText(line[1][_WIDTH - 1], article, Text(en, zh))


def _ids(path: Path, lines: Sequence[Line]) -> Iterator[RuleProblem]:
    begins = f"RULE/{path.stem}/"
    for number, cells in lines:
        rid = cells[_WIDTH - 1]
        if not rid.startswith(begins) or rid == begins:
            yield RuleProblem(
                "POL119", f"{path.name}:{number}", "the rule id is not of this file", f"begin it with {begins}"
            )


def _reasons(name: str, lines: Sequence[Line]) -> Iterator[RuleProblem]:
    """Each rule says article and reason, and the same in all of its rows."""
    said: dict[str, RuleText] = {}
    for line in lines:
        text = _text(line)
        if not all(part.strip() for part in (text.article, text.reason.en, text.reason.zh)):
            hint = "say article, reason_en and reason_zh of each rule"
            yield RuleProblem("POL103", f"{name}:{line[0]}", "article or reason is missing", hint)
        if said.setdefault(text.rid, text) != text:
            hint = "say it alike in each row of the rule"
            yield RuleProblem("POL120", f"{name}:{line[0]}", "the rule says something else in another row", hint)


def _repeated(name: str, lines: Sequence[Line]) -> Iterator[RuleProblem]:
    seen: dict[tuple[str, ...], int] = {}
    for number, cells in lines:
        first = seen.setdefault(tuple(cells[: _WIDTH - 1]), number)
        if first != number:
            yield RuleProblem("POL121", f"{name}:{number}", f"it repeats line {first}", "keep one of them")
