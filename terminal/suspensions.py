"""`onesource suspend`, `lift`, `disable`, `enable`, `notices`: what stops at once, as an officer."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from policies.grants import DisabledKind
from schema.formats import CHINA
from settings import FILE
from terminal.client import out, plain
from terminal.grants import answer
from terminal.options import SettingsFile, Token, Url, settings_of, url_of

FIELDS = " fragment shown on Suspension { id provider department grant object reason by at liftedAt notice toldAt }"
SUSPEND = "mutation Suspend($input: SuspendInput!) { suspension: suspend(input: $input) { ...shown } }" + FIELDS
LIFT = "mutation Lift($id: String!) { suspension: liftSuspension(id: $id) { ...shown } }" + FIELDS
LIST = "query Suspensions($open: Boolean!) { suspensions(open: $open, first: 100) { ...shown } }" + FIELDS
DISABLE = (
    "mutation Disable($input: DisabledInput!, $reason: String!)"
    " { disable(input: $input, reason: $reason) { kind name department reason by at } }"
)
ENABLE = "mutation Enable($input: DisabledInput!) { enable(input: $input) }"
DISABLEMENTS = "query Disablements { disablements { kind name department reason by at } }"
NOTICES = (
    "query Notices($after: Int!, $first: Int!) { notices(after: $after, first: $first)"
    " { number at kind zh en reference uses { operationId case at outcomes } } }"
)
_KINDS = {
    "SUSPENDED": "暂停提供",
    "LIFTED": "恢复提供",
    "ENDED": "终止提供",
    "EXCEPTION": "协商提供备案",
    "RULES": "规则文件变更",
    "CORRECTED": "更正错误信息",
}
_DISABLED = {"PERSON": "人员", "TOKEN": "令牌", "CLIENT": "客户端"}

_Kind = Annotated[DisabledKind, typer.Option(help="停用对象: a person (sub), a token (jti) or a client.")]
_Name = Annotated[str, typer.Argument(help="名称: the claim's value.")]
_Department = Annotated[str, typer.Option(help="部门: a person in this acting department only.")]


def suspend(
    token: Token,
    reason: Annotated[str, typer.Option(help="理由: needed, but for --list.")] = "",
    grant: Annotated[str, typer.Option(help="授权编号: stop this grant.")] = "",
    object: Annotated[str, typer.Option(help="信息资源或信息项: stop this resource or item.")] = "",  # noqa: A002
    department: Annotated[str, typer.Option(help="使用部门: for this department; alone: everything for it.")] = "",
    provider: Annotated[str, typer.Option(help="提供部门: for the supervising department.")] = "",
    listed: Annotated[bool, typer.Option("--list", help="List the suspensions in force instead.")] = False,
    url: Url = "",
    settings: SettingsFile = Path(FILE),
) -> None:
    """暂停提供 Suspend at once what is provided: a grant, an item or resource, or everything for a department."""
    address = url_of(url, settings_of(settings))
    if listed:
        _show(answer(LIST, {"open": True}, address, token))
        return
    named = {"grant": grant, "object": object, "department": department, "provider": provider}
    given = {"reason": reason} | {name: value or None for name, value in named.items()}
    _show([answer(SUSPEND, {"input": given}, address, token)])


def lift(
    id: Annotated[str, typer.Argument(metavar="ID", help="暂停编号: the suspension's id, such as S3.")],  # noqa: A002
    token: Token,
    url: Url = "",
    settings: SettingsFile = Path(FILE),
) -> None:
    """恢复提供 Lift a suspension."""
    _show([answer(LIFT, {"id": id}, url_of(url, settings_of(settings)), token)])


def disable(
    token: Token,
    name: Annotated[str, typer.Argument(help="名称: the claim's value; none to list who is disabled.")] = "",
    reason: Annotated[str, typer.Option(help="理由")] = "",
    kind: _Kind = DisabledKind.PERSON,
    department: _Department = "",
    url: Url = "",
    settings: SettingsFile = Path(FILE),
) -> None:
    """停用 Refuse a person, a token or a client at once; without a name: list who is disabled."""
    address = url_of(url, settings_of(settings))
    if name:
        given = {"kind": kind, "name": name, "department": department or None}
        found = [answer(DISABLE, {"input": given, "reason": reason}, address, token)]
    else:
        found = answer(DISABLEMENTS, {}, address, token)
    table = titled("停用", "对象", "名称", "部门", "理由", "经办人", "时间")
    for one in found:
        cells = (
            _DISABLED[one["kind"]],
            one["name"],
            one["department"] or "全部",
            one["reason"],
            one["by"],
            at_china(one["at"]),
        )
        table.add_row(*map(plain, cells))
    out.print(table)


def enable(
    name: _Name,
    token: Token,
    kind: _Kind = DisabledKind.PERSON,
    department: _Department = "",
    url: Url = "",
    settings: SettingsFile = Path(FILE),
) -> None:
    """启用 Admit again who was disabled by the same kind, name and department."""
    given = {"kind": kind, "name": name, "department": department or None}
    was = answer(ENABLE, {"input": given}, url_of(url, settings_of(settings)), token)
    out.print("已启用 enabled" if was else "未被停用 was not disabled by these")


def notices(
    token: Token,
    after: Annotated[int, typer.Option(min=0, help="Only after this number.")] = 0,
    lines: Annotated[int, typer.Option("-n", "--lines", min=1, max=100, help="How many.")] = 50,
    url: Url = "",
    settings: SettingsFile = Path(FILE),
) -> None:
    """报告、通知 What your department was told: of corrections every one, of suspensions, ends and agreed exceptions the supervising one."""
    table = titled("报告、通知", "编号", "时间", "事项", "内容", "授权、暂停或更正编号")
    for one in answer(NOTICES, {"after": after, "first": lines}, url_of(url, settings_of(settings)), token):
        used = [
            f"\n{at_china(use['at'])} 受理号 {use['case'] or '—'} 操作编号 {use['operationId']}" for use in one["uses"]
        ]
        text = "".join([one["zh"], *used])
        cells = (str(one["number"]), at_china(one["at"]), _KINDS.get(one["kind"], one["kind"]), text, one["reference"])
        table.add_row(*map(plain, cells))
    out.print(table)


def _show(found: list[Mapping[str, Any]]) -> None:
    table = titled("暂停提供", "编号", "提供部门", "对象", "使用部门", "理由", "经办人", "暂停时间", "恢复时间", "报告")
    for one in found:
        told = f"{one['notice']}（{at_china(one['toldAt'])}）" if one["notice"] else "—"
        cells = (
            one["id"], one["provider"], one["grant"] or one["object"] or "全部信息资源", one["department"] or "—",
            one["reason"], one["by"], at_china(one["at"]), at_china(one["liftedAt"]), told,
        )  # fmt: skip
        table.add_row(*map(plain, cells))
    out.print(table)


def titled(title: str, *columns: str) -> Table:
    """An empty table whose cells fold."""
    table = Table(title=title)
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def at_china(written: str | None) -> str:
    """A time of an answer as China's; — for none."""
    return datetime.fromisoformat(written).astimezone(CHINA).strftime("%Y-%m-%d %H:%M:%S") if written else "—"
