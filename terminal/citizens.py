"""`onesource my-disclosures`: what was disclosed of the own person, with the proof that nothing is left out."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from audit.verify_offline import OWN_LIST
from schema.formats import CHINA
from settings import FILE
from terminal.audit import answered, say_progress
from terminal.client import REFUSED, err, out, plain
from terminal.options import SettingsFile, Token, Url, settings_of, url_of, wrong

MINE = """\
query MyDisclosures($first: Int!, $after: String) {
  myDisclosures(first: $first, after: $after) {
    edges {
      node {
        place at department role outcome covered dataSubject leaf text
        uses { resource resourceTitle provider item itemTitle outcome act purpose matter case ruleId article }
      }
    }
    pageInfo { hasNextPage endCursor }
    indexedThrough
    recordedThrough
    coveredThrough
    proof
  }
}
"""
_PAGE = 200
_SECONDS = 10
"""How long to wait for an index that is behind the proof."""

_Node = Mapping[str, Any]


def my_disclosures(
    token: Token,
    out_file: Annotated[
        Path | None, typer.Option("--out", help="Write the whole list with its proof, for audit/verify_offline.py.")
    ] = None,
    lines: Annotated[int, typer.Option("-n", "--lines", min=1, help="How many records to show, the newest.")] = 20,
    url: Url = "",
    settings: SettingsFile = Path(FILE),
) -> None:
    """Show what was disclosed of you: when, which department, which item, for which matter, on which basis.

    With --out the list can be checked offline: python3 audit/verify_offline.py FILE --key log.pub says that it is complete, or what is
    missing. What came after the last commitment, about a minute, is shown and marked *; the proof does not cover it yet.
    """
    service = url_of(url, settings_of(settings))
    first = _first(service, token, _PAGE if out_file else min(lines, _PAGE))
    nodes = [edge["node"] for edge in first["edges"]]
    page = first
    while (out_file or len(nodes) < lines) and page["pageInfo"]["hasNextPage"]:
        page = _asked(service, token, _PAGE, page["pageInfo"]["endCursor"])
        nodes += [edge["node"] for edge in page["edges"]]
    out.print(_table(nodes[:lines]))
    say_progress(first, as_json=False)
    if first["proof"] is None:
        err.print("尚无承诺，请一分钟后再试 nothing is committed to yet: try again in a minute", style="yellow")
        raise typer.Exit(REFUSED if out_file else 0)
    covered = sum(int(node["place"]) <= first["coveredThrough"] for node in nodes)
    if out_file:
        _write(out_file, nodes, first["proof"])
        told = f"已写入 written: {out_file}; 截至记录 {first['coveredThrough']} 共 {covered} 条 entries through record {first['coveredThrough']}"
        out.print(plain(told))


def _first(service: str, token: str, first: int) -> dict[str, Any]:
    """The first page, once the index is as far as its proof."""
    until = time.monotonic() + _SECONDS
    while True:
        page = _asked(service, token, first, None)
        if page["indexedThrough"] >= page["coveredThrough"] or time.monotonic() > until:
            return page
        time.sleep(0.5)


def _asked(service: str, token: str, first: int, after: str | None) -> dict[str, Any]:
    return answered(service, token, MINE, {"first": first, "after": after}, "myDisclosures")


def _write(file: Path, nodes: list[_Node], proof: str) -> None:
    entries = [
        {"subject": node["dataSubject"], "place": int(node["place"]), "leaf": node["leaf"], "text": node["text"]}
        for node in nodes
    ]
    content = {"format": OWN_LIST, "entries": entries, "proof": json.loads(proof)}
    try:
        file.write_text(json.dumps(content, ensure_ascii=False, indent=1) + "\n", "utf8")
    except OSError as error:
        raise wrong([f"{file}: {type(error).__name__}"]) from None


def _table(nodes: list[_Node]) -> Table:
    table = Table(title="本人信息使用记录")
    for title in ("时间", "使用部门", "事项", "信息项", "结果", "依据"):
        table.add_column(title, overflow="fold")
    for node in nodes:
        when = datetime.fromisoformat(node["at"]).astimezone(CHINA).strftime("%Y-%m-%d %H:%M:%S")
        mark = "" if node["covered"] else " *"
        head = (when + mark, node["department"])
        for use in node["uses"]:
            what = use["itemTitle"] or use["item"] or use["act"] or use["resourceTitle"] or use["resource"]
            basis = use["article"] or use["ruleId"] or ""
            table.add_row(*map(plain, (*head, use["matter"] or "", what, use["outcome"], basis)))
            head = ("", "")
    return table
