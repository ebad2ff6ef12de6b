"""`onesource grant`: applying for sharing and deciding on it, as an officer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime, time
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from policies.grants import AgreementState, Decider, GrantState
from schema.catalogue import Purpose, RowCondition, ShareMode
from schema.formats import CHINA
from settings import FILE
from terminal.client import REFUSED, WRONG_USE, ask, err, out, plain, say_errors
from terminal.options import SettingsFile, Token, Url, settings_of, url_of

FIELDS = (
    " fragment shown on Grant { id department provider state active scope purposes modes rows notBefore expires agreement agreementState decidedBy"
    " document items { coordinate authority granted reason } steps { action by department at note } }"
)
APPLY = "mutation Apply($input: ApplyForGrantInput!) { grant: applyForGrant(input: $input) { ...shown } }" + FIELDS
DECIDE = "mutation Decide($input: DecideGrantInput!) { grant: decideGrant(input: $input) { ...shown } }" + FIELDS
LIMIT = "mutation Limit($input: LimitGrantInput!) { grant: limitGrant(input: $input) { ...shown } }" + FIELDS
END = "mutation End($id: String!, $reason: String!) { grant: endGrant(id: $id, reason: $reason) { ...shown } }" + FIELDS
AGREEMENT = (
    "mutation Agreement($id: String!, $state: AgreementState!, $number: String!)"
    " { grant: recordAgreement(id: $id, state: $state, number: $number) { ...shown } }" + FIELDS
)
SHOW = "query Show($id: String!) { grant(id: $id) { ...shown } }" + FIELDS
LIST = (
    "query List($first: Int!, $state: GrantState, $before: String!)"
    " { grants(first: $first, state: $state, before: $before) { ...shown } }" + FIELDS
)
_STATES = {"APPLIED": "已申请", "GRANTED": "已授权", "REFUSED": "不予共享", "ENDED": "已终止"}
_AGREEMENTS = {"MISSING": "未签订", "VALID": "生效", "ENDED": "已终止"}
_DECIDERS = {"PROVIDER": "提供部门", "BUREAU": "数据主管部门", "GOVERNMENT": "本级人民政府"}

grant_command = typer.Typer(
    no_args_is_help=True, help="共享授权 grants: apply, decide item by item, limit, end. For officers."
)
_Id = Annotated[str, typer.Argument(metavar="ID", help="授权编号: the grant's id, such as G12.")]
_Rows = Annotated[
    list[RowCondition] | None, typer.Option("--rows", help="记录范围: a condition on records; repeatable.")
]
_Day = Annotated[str, typer.Option(metavar="DATE", help="YYYY-MM-DD, or an ISO time; without an offset it is China's.")]


@grant_command.command()
def apply(
    item: Annotated[
        list[str],
        typer.Option(metavar="ITEM=AUTHORITY", help="信息项=法定职权依据: `Resource.item=article`; repeatable."),
    ],
    purpose: Annotated[list[Purpose], typer.Option(help="使用用途; repeatable.")],
    mode: Annotated[list[ShareMode], typer.Option(help="共享方式; repeatable.")],
    scope: Annotated[str, typer.Option(help="共享范围: who uses it, for what.")],
    token: Token,
    rows: _Rows = None,
    url: Url = "",
    settings: SettingsFile = Path(FILE),
) -> None:
    """申请 Apply to a provider for items, each with the statutory authority to use it."""
    items = [{"coordinate": name, "authority": authority} for name, authority in map(pair, item)]
    given = {"items": items, "purposes": purpose, "modes": mode, "scope": scope, "rows": rows or []}
    _step(APPLY, {"input": given}, url, settings, token)


@grant_command.command()
def decide(
    id: _Id,  # noqa: A002
    token: Token,
    grant: Annotated[
        list[str] | None, typer.Option(metavar="ITEM", help="同意: an item; repeatable. `all` for all.")
    ] = None,
    refuse: Annotated[
        list[str] | None,
        typer.Option(metavar="ITEM=REASON", help="不同意: an item and why; `all=reason` for the rest."),
    ] = None,
    by: Annotated[Decider, typer.Option(help="决定机关")] = Decider.PROVIDER,
    document: Annotated[str, typer.Option(help="决定文书: needed for what is granted.")] = "",
    not_before: Annotated[str, typer.Option("--from", metavar="DATE", help="有效期起; default: now.")] = "",
    until: _Day = "",
    agreement: Annotated[str, typer.Option(help="保密协议编号: of an agreement in force.")] = "",
    rows: _Rows = None,
    note: Annotated[str, typer.Option(help="说明")] = "",
    url: Url = "",
    settings: SettingsFile = Path(FILE),
) -> None:
    """决定 Decide on an application item by item: each item is granted or refused with a reason."""
    address = url_of(url, settings_of(settings))
    known = answer(SHOW, {"id": id}, address, token)
    given = {
        "id": id,
        "decidedBy": by,
        "verdicts": _verdicts([i["coordinate"] for i in known["items"]], grant or [], refuse or []),
        "document": document,
        "notBefore": moment(not_before),
        "expires": moment(until),
        "agreement": agreement,
        "rows": rows or [],
        "note": note,
    }
    _show(answer(DECIDE, {"input": given}, address, token))


@grant_command.command()
def limit(
    id: _Id,  # noqa: A002
    reason: Annotated[str, typer.Option(help="理由")],
    token: Token,
    item: Annotated[list[str] | None, typer.Option(help="保留的信息项: an item that stays; repeatable.")] = None,
    purpose: Annotated[list[Purpose] | None, typer.Option(help="保留的使用用途; repeatable.")] = None,
    mode: Annotated[list[ShareMode] | None, typer.Option(help="保留的共享方式; repeatable.")] = None,
    until: _Day = "",
    rows: _Rows = None,
    url: Url = "",
    settings: SettingsFile = Path(FILE),
) -> None:
    """限制 Leave less of a grant: what is not named stays as it is. It never gets wider."""
    given = {
        "id": id,
        "reason": reason,
        "items": item or None,
        "purposes": purpose or None,
        "modes": mode or None,
        "expires": moment(until),
        "rows": rows or [],
    }
    _step(LIMIT, {"input": given}, url, settings, token)


@grant_command.command()
def end(
    id: _Id,  # noqa: A002
    reason: Annotated[str, typer.Option(help="理由")],
    token: Token,
    url: Url = "",
    settings: SettingsFile = Path(FILE),
) -> None:
    """终止 End a grant for good; the supervising department is told."""
    _step(END, {"id": id, "reason": reason}, url, settings, token)


@grant_command.command()
def agreement(
    id: _Id,  # noqa: A002
    token: Token,
    number: Annotated[str, typer.Option(help="保密协议编号")] = "",
    ended: Annotated[bool, typer.Option("--ended", help="The agreement has ended.")] = False,
    url: Url = "",
    settings: SettingsFile = Path(FILE),
) -> None:
    """登记保密协议 Record the confidentiality agreement: only a valid one makes a grant active."""
    state = AgreementState.ENDED if ended else AgreementState.VALID
    _step(AGREEMENT, {"id": id, "state": state, "number": number}, url, settings, token)


@grant_command.command("list")
def list_grants(
    token: Token,
    state: Annotated[GrantState | None, typer.Option(help="状态")] = None,
    lines: Annotated[int, typer.Option("-n", "--lines", min=1, max=100, help="How many.")] = 20,
    before: Annotated[str, typer.Option(metavar="ID", help="Only older ones than this.")] = "",
    url: Url = "",
    settings: SettingsFile = Path(FILE),
) -> None:
    """List the grants that your department uses or provides, newest first; all of them for the supervising department."""
    address = url_of(url, settings_of(settings))
    found = answer(LIST, {"first": lines, "state": state, "before": before}, address, token)
    table = Table(title="共享授权", show_lines=False)
    for title in ("编号", "使用部门", "提供部门", "状态", "有效期止", "保密协议", "信息项"):
        table.add_column(title, overflow="fold")
    for one in found:
        granted = sum(bool(item["granted"]) for item in one["items"])
        cells = (
            one["id"], one["department"], one["provider"], _STATES[one["state"]], day(one["expires"]),
            _AGREEMENTS[one["agreementState"]], f"{granted}/{len(one['items'])}",
        )  # fmt: skip
        table.add_row(*map(plain, cells), style=None if one["active"] else "dim")
    out.print(table)


@grant_command.command()
def show(id: _Id, token: Token, url: Url = "", settings: SettingsFile = Path(FILE)) -> None:  # noqa: A002
    """Show a grant whole: its items, and each step so far."""
    _step(SHOW, {"id": id}, url, settings, token)


def pair(written: str) -> tuple[str, str]:
    """What stands before and after the first `=`; exits with a sentence if there is none."""
    name, sign, text = written.partition("=")
    if not sign or not name.strip() or not text.strip():
        err.print(plain(f"{written} 应为 信息项=内容 should be ITEM=TEXT"), style="red")
        raise typer.Exit(WRONG_USE)
    return name.strip(), text.strip()


def moment(written: str) -> str | None:
    """An ISO time with its offset, from a day (its beginning) or a time; None for nothing. Exits with a sentence for what is neither."""
    if not written:
        return None
    try:
        whole = len(written) > len("YYYY-MM-DD")
        given = datetime.fromisoformat(written) if whole else datetime.combine(date.fromisoformat(written), time())
    except ValueError:
        err.print(plain(f"{written} 不是日期 is not a date (YYYY-MM-DD)"), style="red")
        raise typer.Exit(WRONG_USE) from None
    return (given if given.tzinfo else given.replace(tzinfo=CHINA)).isoformat()


def day(written: str | None) -> str:
    """A time of an answer as the day in China."""
    return datetime.fromisoformat(written).astimezone(CHINA).strftime("%Y-%m-%d") if written else "—"


def answer(document: str, variables: Mapping[str, Any], url: str, token: str) -> Any:
    """The value of the one root field; exits with its errors, or a sentence, if there is none."""
    body = ask(url, token, document, variables)
    (value,) = (body.get("data") or {"": None}).values()
    say_errors(body)
    if value is None:
        if not body.get("errors"):
            err.print("没有与本部门有关的该授权 there is no such grant that concerns your department", style="yellow")
        raise typer.Exit(REFUSED)
    return value


def _step(document: str, variables: Mapping[str, Any], url: str, settings: Path, token: str) -> None:
    _show(answer(document, variables, url_of(url, settings_of(settings)), token))


def _verdicts(items: Sequence[str], granted: Sequence[str], refused: Sequence[str]) -> list[dict[str, Any]]:
    """A verdict for each item that is named, and for the rest where `all` is; naming one twice, or another, is wrong use."""
    reasons = dict(map(pair, refused))
    verdicts = {name: (True, "") for name in granted if name != "all"}
    named = {name: (False, reason) for name, reason in reasons.items() if name != "all"}
    wrong = sorted((verdicts.keys() & named.keys()) | ((verdicts.keys() | named.keys()) - set(items)))
    if wrong or ("all" in granted and "all" in reasons):
        err.print(
            plain(
                f"同时同意与不同意，或不在申请中 granted and refused, or not applied for: {', '.join(wrong) or 'all'}"
            ),
            style="red",
        )
        raise typer.Exit(WRONG_USE)
    rest = (True, "") if "all" in granted else (False, reasons["all"]) if "all" in reasons else None
    chosen = {name: rest for name in items if rest} | verdicts | named
    return [{"coordinate": name, "granted": yes, "reason": reason} for name, (yes, reason) in chosen.items()]


def _show(grant: Mapping[str, Any]) -> None:
    """Print a grant whole."""
    head = Table(title=f"共享授权 {grant['id']}", show_header=False)
    rows = (
        ("使用部门", grant["department"]),
        ("提供部门", grant["provider"]),
        ("状态", _STATES[grant["state"]] + ("（生效）" if grant["active"] else "")),
        ("共享范围", grant["scope"]),
        ("使用用途", ", ".join(grant["purposes"])),
        ("共享方式", ", ".join(grant["modes"])),
        ("记录范围", ", ".join(grant["rows"]) or "—"),
        ("有效期", f"{day(grant['notBefore'])} 至 {day(grant['expires'])}"),
        ("保密协议", f"{grant['agreement'] or ''} {_AGREEMENTS[grant['agreementState']]}".strip()),
        ("决定", f"{_DECIDERS.get(grant['decidedBy'] or '', '—')} {grant['document'] or ''}".strip()),
    )
    for title, value in rows:
        head.add_row(plain(title), plain(value))
    out.print(head)
    items = Table(title="信息项")
    for title in ("信息项", "法定职权依据", "决定", "理由"):
        items.add_column(title, overflow="fold")
    for one in grant["items"]:
        decided = {True: "同意", False: "不同意", None: "—"}[one["granted"]]
        items.add_row(*map(plain, (one["coordinate"], one["authority"], decided, one["reason"] or "")))
    out.print(items)
    steps = Table(title="办理过程")
    for title in ("时间", "经办人@部门", "动作", "说明"):
        steps.add_column(title, overflow="fold")
    for one in grant["steps"]:
        at = datetime.fromisoformat(one["at"]).astimezone(CHINA).strftime("%Y-%m-%d %H:%M:%S")
        steps.add_row(*map(plain, (at, f"{one['by']}@{one['department']}", one["action"], one["note"] or "")))
    out.print(steps)
