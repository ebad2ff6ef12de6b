"""`onesource audit tail`: the ledger's lines in a terminal, one for each resolved field."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import typer
from rich.table import Table

from terminal.client import REFUSED, ask, out, plain, say_errors

_DOCUMENT = """\
query Tail($first: Int!, $dataSubject: DataSubjectInput, $case: String, $subject: String) {
  auditLines(first: $first, dataSubject: $dataSubject, case: $case, subject: $subject) {
    lines { id at operationId subject department purpose case dataSubject resource item outcome ruleId policyVersion }
    indexedThrough
    recordedThrough
  }
}
"""
_STYLES = {"RETURNED": "green", "MASKED": "cyan", "DENIED": "red", "FAILED": "magenta", "ABSENT": "dim"}


def tail(url: str, token: str, variables: Mapping[str, Any], lines: int, follow: bool) -> None:
    """Print the newest `lines` in the order in which they happened; with `follow`, what comes after them too."""
    seen: set[str] = set()
    while True:
        body = ask(url, token, _DOCUMENT, {**variables, "first": 500 if follow else min(500, lines)})
        page = (body.get("data") or {}).get("auditLines")
        if page is None:
            say_errors(body)
            raise typer.Exit(REFUSED)
        fresh = [line for line in page["lines"] if line["id"] not in seen]
        shown = _oldest_first(fresh)
        if not seen:
            shown = shown[-lines:]
        if shown:
            out.print(_table(shown))
        seen.update(line["id"] for line in fresh)
        if not follow:
            recorded, indexed = page["recordedThrough"], page["indexedThrough"]
            out.print(f"台账 recorded {recorded} · 索引 indexed {indexed}", style="dim", highlight=False)
            return
        time.sleep(1)


def _oldest_first(lines: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    def place(line: dict[str, Any]) -> tuple[int, int]:
        entry, _, item = line["id"].partition(".")
        return int(entry), int(item or 0)

    return sorted(lines, key=place)


def _table(lines: Sequence[Mapping[str, Any]]) -> Table:
    table = Table(title="数据使用留痕", show_lines=False)
    for title in ("时间", "使用人@部门", "用途", "受理号", "数据主体", "信息项", "结果", "规则", "策略"):
        table.add_column(title, overflow="fold")
    for line in lines:
        at = datetime.fromisoformat(line["at"]).astimezone().strftime("%m-%d %H:%M:%S.%f")[:-3]
        item = f"{line['resource']}.{line['item']}" if line["item"] else line["resource"]
        cells = (
            at,
            f"{line['subject']}@{line['department']}",
            line["purpose"] or "",
            line["case"] or "",
            (line["dataSubject"] or "")[:15],
            item,
            line["outcome"],
            line["ruleId"] or "",
            line["policyVersion"][:8],
        )
        table.add_row(*map(plain, cells), style=_STYLES.get(line["outcome"]))
    return table
