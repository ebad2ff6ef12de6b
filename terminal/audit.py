"""`onesource audit tail` and `find`: the ledger's lines in a terminal, one for each resolved field."""

from __future__ import annotations

import json
import os
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any
from unicodedata import category

import typer
from rich.table import Table
from rich.text import Text

from schema.catalogue import Catalogue
from schema.formats import CHINA
from schema.identifiers import PARSERS, IdentifierError
from terminal.client import REFUSED, WRONG_USE, ask, err, out, plain, say_errors

FIND = """\
query Disclosures($first: Int, $after: String, $filter: DisclosureFilter) {
  disclosures(first: $first, after: $after, filter: $filter) {
    edges {
      node {
        id at operationId subject department role client purpose case scenario dataSubject policyVersion
        lines { resource item outcome ruleId subjectClass }
      }
    }
    pageInfo { hasNextPage endCursor }
    indexedThrough
    recordedThrough
    removedThrough
  }
}
"""
_STYLES = {
    "RETURNED": "green",
    "MASKED": "cyan",
    "DENIED": "red",
    "FAILED": "magenta",
    "ATTEMPTED": "yellow",
    "ABSENT": "dim",
}
_TABLE_COLUMNS = 150
"""Below so many columns a table of nine folds its cells beyond reading."""

_Line = Mapping[str, Any]


def tail(url: str, token: str, wanted: Mapping[str, Any], lines: int, follow: bool, as_json: bool) -> None:
    """Print the newest `lines` in the order in which they happened; with `follow`, what comes after them too."""
    seen: set[str] = set()
    while True:
        page = answered(
            url, token, FIND, {"filter": wanted, "first": 500 if follow else min(500, lines)}, "disclosures"
        )
        fresh = [line for line in _lines(page) if line["id"] not in seen]
        shown = _oldest_first(fresh)
        if not seen:
            shown = shown[-lines:]
        _show(shown, as_json)
        seen.update(line["id"] for line in fresh)
        if not follow:
            say_progress(page, as_json)
            return
        time.sleep(1)


def find(url: str, token: str, variables: Mapping[str, Any], as_json: bool) -> None:
    """Print one page of the disclosures that fit, in the order in which they happened, and how to see older ones."""
    page = answered(url, token, FIND, variables, "disclosures")
    _show(_oldest_first(_lines(page)), as_json)
    say_progress(page, as_json)
    if page["pageInfo"]["hasNextPage"]:
        console = err if as_json else out
        console.print(plain(f"更早的记录 older ones: --after {page['pageInfo']['endCursor']}"), style="dim")


def answered(url: str, token: str, document: str, variables: Mapping[str, Any], field: str) -> dict[str, Any]:
    """What the service answers in this root field; exits with the errors' words if it refuses."""
    body = ask(url, token, document, variables)
    page = (body.get("data") or {}).get(field)
    if page is None:
        say_errors(body)
        raise typer.Exit(REFUSED)
    return dict(page)


def say_progress(page: Mapping[str, Any], as_json: bool) -> None:
    """Say how far ledger and index are; beside JSON on standard error."""
    console = err if as_json else out
    text = f"台账 recorded {page['recordedThrough']} · 索引 indexed {page['indexedThrough']}"
    console.print(text, style="dim", highlight=False)
    if page.get("removedThrough"):
        gone = f"已期满删除 removed by rule: 至 through {page['removedThrough']}"
        console.print(gone, style="yellow", highlight=False)


def _lines(page: Mapping[str, Any]) -> list[_Line]:
    """The lines of a page, each with what is said of its record."""
    lines: list[_Line] = []
    for edge in page["edges"]:
        about = {name: value for name, value in edge["node"].items() if name != "lines"}
        for number, line in enumerate(edge["node"]["lines"]):
            lines.append({**about, **line, "id": f"{about['id']}.{number}"})
    return lines


def data_subject(catalogue: Catalogue, identifier: str) -> dict[str, str]:
    """A `DataSubjectInput` for the first entity that has such identifiers; exits with each entity's reason if none has."""
    reasons = []
    for entity in catalogue.entities.values():
        try:
            return {"entity": entity.name, "identifier": PARSERS[entity.type](identifier)}
        except IdentifierError as error:
            reasons.append(f"  {entity.title} {entity.name}: {error.reason_zh} {error.reason_en}")
    err.print("不是任何实体的标识号码 no entity has such an identifier:", style="red")
    for reason in reasons:
        err.print(plain(reason))
    raise typer.Exit(WRONG_USE)


def _show(lines: Sequence[_Line], as_json: bool) -> None:
    if as_json:
        for line in lines:
            typer.echo(json_text(line))
    elif _is_wide():
        if lines:
            out.print(_table(lines))
    else:
        for text in _grouped(lines):
            out.print(text, soft_wrap=True)


def _is_wide() -> bool:
    return out.width >= _TABLE_COLUMNS and (out.is_terminal or "COLUMNS" in os.environ)


def _oldest_first(lines: Sequence[_Line]) -> list[_Line]:
    def place(line: _Line) -> tuple[int, int]:
        entry, _, item = line["id"].partition(".")
        return int(entry), int(item or 0)

    return sorted(lines, key=place)


def json_text(line: Mapping[str, Any]) -> str:
    """The line as JSON: readable text as it is, what would steer a terminal escaped, so that no value is lost."""

    def escaped(sign: str) -> str:
        units = sign.encode("utf-16-be", "surrogatepass").hex()
        return "".join(f"\\u{units[at : at + 4]}" for at in range(0, len(units), 4))

    text = json.dumps(line, ensure_ascii=False)
    return "".join(escaped(sign) if category(sign)[0] == "C" else sign for sign in text)


def _time(line: _Line, form: str) -> str:
    return datetime.fromisoformat(line["at"]).astimezone(CHINA).strftime(form)


def _coordinate(line: _Line) -> str:
    return f"{line['resource']}.{line['item']}" if line["item"] else str(line["resource"])


def _grouped(lines: Sequence[_Line]) -> Iterator[Text]:
    """For each operation and data subject a head, then a line for each item, rule and outcome."""
    groups: dict[tuple[str, str], list[_Line]] = {}
    for line in lines:
        groups.setdefault((line["operationId"], line["dataSubject"] or ""), []).append(line)
    for (_, hashed), group in groups.items():
        first = group[0]
        digest = hashed.rpartition(":")[2][:8]
        user = f"{first['subject']}@{first['department']}"
        parts = (_time(first, "%m-%d %H:%M:%S"), user, first["purpose"], first["case"] or first["scenario"], digest)
        head = plain("  ".join(part for part in parts if part))
        head.stylize("bold")
        yield head
        counted = Counter((line["outcome"], _coordinate(line), _short_rule(line)) for line in group)
        width = max(len(coordinate) for _, coordinate, _ in counted)
        for (outcome, coordinate, rule), count in counted.items():
            times = f" ×{count}" if count > 1 else ""
            text = plain(f"  {outcome:9} {coordinate:{width}}  {rule}{times}".rstrip())
            text.stylize(_STYLES.get(outcome, ""), 2, 2 + len(outcome))
            yield text


def _short_rule(line: _Line) -> str:
    """The rule; the item's own rule is SHARE/… only, for item and purpose stand beside it."""
    own = f"SHARE/{_coordinate(line)}/{line['purpose']}"
    return "SHARE/…" if line["ruleId"] == own else line["ruleId"] or ""


def _table(lines: Sequence[_Line]) -> Table:
    table = Table(title="数据使用留痕", show_lines=False)
    for title in ("时间", "使用人@部门", "用途", "受理号", "数据主体", "信息项", "结果", "规则", "策略"):
        table.add_column(title, overflow="fold")
    for line in lines:
        cells = (
            _time(line, "%m-%d %H:%M:%S.%f")[:-3],
            f"{line['subject']}@{line['department']}",
            line["purpose"] or "",
            line["case"] or line["scenario"] or "",
            (line["dataSubject"] or "")[:15],
            _coordinate(line),
            line["outcome"],
            line["ruleId"] or "",
            line["policyVersion"][:8],
        )
        table.add_row(*map(plain, cells), style=_STYLES.get(line["outcome"]))
    return table
