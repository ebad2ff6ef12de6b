"""`onesource audit affected`, `onesource corrections`: who was shown a wrong value, and telling their departments."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from settings import FILE
from terminal.audit import answered, json_text, say_progress
from terminal.client import err, out, plain
from terminal.grants import answer
from terminal.options import SettingsFile, Token, Url, settings_of, url_of, wrong
from terminal.suspensions import at_china, titled

AFFECTED = """\
query AffectedReaders($resource: String!, $item: String!, $entity: String!, $between: BetweenInput!, $value: String, $first: Int!, $after: String) {
  affectedReaders(resource: $resource, item: $item, entity: $entity, between: $between, value: $value, first: $first, after: $after) {
    edges { node { at operationId place subject department role client purpose case scenario outcomes } }
    pageInfo { hasNextPage endCursor }
    totalCount
    undetermined
    indexedThrough
    recordedThrough
  }
}
"""
_FIELDS = (
    " fragment shown on Correction { id provider resource item dataSubject since until reason reference by at undetermined"
    " notices { number department uses } }"
)
RECORD = (
    "mutation RecordCorrection($input: RecordCorrectionInput!) { recordCorrection(input: $input) { ...shown } }"
    + _FIELDS
)
LIST = "query Corrections($first: Int!) { corrections(first: $first) { ...shown } }" + _FIELDS

corrections_command = typer.Typer(
    no_args_is_help=True,
    help="更正 corrections: record that a value was wrong, and tell who was shown it. For officers.",
)
_Item = Annotated[str, typer.Option(metavar="RESOURCE.ITEM", help="信息项: what was wrong.")]
_Id = Annotated[str, typer.Option("--id", help="标识号码: whose record; hashed by the service, kept nowhere.")]
_Since = Annotated[str, typer.Option(help="错误内容存在的时间, from: 2026-11-22 or 2026-11-22T09:00, China's time.")]
_Until = Annotated[str, typer.Option(help="... and until, not included; not given: to this day.")]
_Value = Annotated[
    str | None,
    typer.Option(help="错误内容: needed where the source tells no moment of a record's last change; empty for none."),
]


def affected(
    token: Token,
    item: _Item,
    identifier: _Id,
    since: _Since,
    until: _Until = "",
    value: _Value = None,
    lines: Annotated[int, typer.Option("-n", "--first", min=1, max=500, help="How many readers.")] = 50,
    after: Annotated[str, typer.Option(help="Only older ones than this cursor.")] = "",
    json: Annotated[bool, typer.Option("--json", help="One JSON object a line, for pipes.")] = False,
    url: Url = "",
    settings: SettingsFile = Path(FILE),
) -> None:
    """受影响的使用者 Show exactly who was shown a value that turned out wrong, newest first.

    For officers of the provider and of the supervising department, and for auditors.
    """
    address = url_of(url, settings_of(settings))
    given = _wrong(item, identifier, since, until, value) | {"first": lines, "after": after or None}
    page = answered(address, token, AFFECTED, given, "affectedReaders")
    nodes = [edge["node"] for edge in page["edges"]]
    if json:
        for node in nodes:
            typer.echo(json_text(node))
    else:
        table = titled("受影响的使用者", "时间", "使用人@部门", "客户端", "用途", "受理号", "结果", "操作编号")
        for node in nodes:
            user, about = f"{node['subject']}@{node['department']}", node["case"] or node["scenario"] or "—"
            how = ", ".join(node["outcomes"])
            cells = (
                at_china(node["at"]),
                user,
                node["client"],
                node["purpose"] or "—",
                about,
                how,
                node["operationId"],
            )
            table.add_row(*map(plain, cells))
        out.print(table)
    console = err if json else out
    console.print(f"共 {page['totalCount']} 次 readings in all", style="dim", highlight=False)
    if page["undetermined"]:
        err.print(
            f"另有 {page['undetermined']} 次早于版本留痕，无法确定 recorded before versions were kept: cannot be told",
            style="yellow",
        )
    if page["pageInfo"]["hasNextPage"]:
        console.print(plain(f"更早的记录 older ones: --after {page['pageInfo']['endCursor']}"), style="dim")
    say_progress(page, json)


@corrections_command.command()
def record(
    token: Token,
    item: _Item,
    identifier: _Id,
    since: _Since,
    reason: Annotated[str, typer.Option(help="理由")],
    reference: Annotated[str, typer.Option(help="文号: the same correction sent again under it is recorded once.")],
    until: _Until = "",
    value: _Value = None,
    url: Url = "",
    settings: SettingsFile = Path(FILE),
) -> None:
    """更正登记 Record a correction once the source is right again; each department that was shown the value is told."""
    given = _wrong(item, identifier, since, until, value) | {"reason": reason, "reference": reference}
    _show([answer(RECORD, {"input": given}, url_of(url, settings_of(settings)), token)])


@corrections_command.command("list")
def listed(
    token: Token,
    lines: Annotated[int, typer.Option("-n", "--lines", min=1, max=100, help="How many.")] = 50,
    url: Url = "",
    settings: SettingsFile = Path(FILE),
) -> None:
    """更正列表 The corrections of your department's data, newest first; all of them for the supervising department."""
    _show(answer(LIST, {"first": lines}, url_of(url, settings_of(settings)), token))


def _wrong(item: str, identifier: str, since: str, until: str, value: str | None) -> dict[str, Any]:
    resource, found, name = item.partition(".")
    if not found:
        raise wrong([f"--item {item}: not RESOURCE.ITEM, such as Resource.item"])
    between = {"since": _moment(since), "until": _moment(until) if until else None}
    return {"resource": resource, "item": name, "entity": identifier, "between": between, "value": value}


def _moment(given: str) -> str:
    try:
        return datetime.fromisoformat(given).isoformat()
    except ValueError:
        raise wrong([f"{given}: not a time such as 2026-11-22 or 2026-11-22T09:00"]) from None


def _show(found: list[Mapping[str, Any]]) -> None:
    table = titled("更正", "编号", "提供部门", "信息项", "起止时间", "理由", "文号", "经办人", "登记时间", "已通知")
    for one in found:
        told = "；".join(f"{n['department']}（{n['uses']} 次，报告 {n['number']}）" for n in one["notices"]) or "—"
        cells = (
            one["id"], one["provider"], f"{one['resource']}.{one['item']}", f"{at_china(one['since'])} 至 {at_china(one['until']) if one['until'] else '今'}",
            one["reason"], one["reference"], one["by"], at_china(one["at"]), told,
        )  # fmt: skip
        table.add_row(*map(plain, cells))
    out.print(table)
