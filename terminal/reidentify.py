"""`onesource reidentify`: by two auditors together, whose a hash of the ledger is."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from settings import FILE
from terminal.client import out, plain
from terminal.grants import answer
from terminal.options import SettingsFile, Token, Url, settings_of, url_of
from terminal.suspensions import at_china, titled

_FIELDS = " fragment shown on Reidentification { id hash reason requestedBy at state approvedBy approvedAt expiresAt }"
_TOLD = "{ entity identifier request { ...shown } } }" + _FIELDS
REQUEST = (
    "mutation RequestReidentification($hash: String!, $reason: String!)"
    " { requestReidentification(hash: $hash, reason: $reason) { ...shown } }" + _FIELDS
)
APPROVE = "mutation ApproveReidentification($id: String!) { approveReidentification(id: $id) " + _TOLD
REVEAL = "mutation RevealReidentification($id: String!) { revealReidentification(id: $id) " + _TOLD
LIST = "query Reidentifications($first: Int!) { reidentifications(first: $first) { ...shown } }" + _FIELDS
_STATES = {"REQUESTED": "待批准", "APPROVED": "已批准", "REVEALED": "已告知", "EXPIRED": "已过期"}

reidentify_command = typer.Typer(
    no_args_is_help=True,
    help="还原 re-identify: two auditors together are told whose a hash of the ledger is, once each.",
)
_Id = Annotated[str, typer.Argument(metavar="ID", help="还原申请编号: the request's id, such as R1.")]


@reidentify_command.command()
def request(
    hashed: Annotated[
        str, typer.Argument(metavar="HASH", help="数据主体（密钥散列）: whole, as `audit tail --json` prints it.")
    ],
    token: Token,
    reason: Annotated[str, typer.Option(help="理由")],
    url: Url = "",
    settings: SettingsFile = Path(FILE),
) -> None:
    """申请还原 Ask to be told; an auditor of the supervising department, another person, has a day to approve."""
    _show([answer(REQUEST, {"hash": hashed, "reason": reason}, url_of(url, settings_of(settings)), token)])


@reidentify_command.command()
def approve(id: _Id, token: Token, url: Url = "", settings: SettingsFile = Path(FILE)) -> None:  # noqa: A002
    """批准还原 Approve another person's request, and be told once."""
    _tell(answer(APPROVE, {"id": id}, url_of(url, settings_of(settings)), token))


@reidentify_command.command()
def reveal(id: _Id, token: Token, url: Url = "", settings: SettingsFile = Path(FILE)) -> None:  # noqa: A002
    """查看还原结果 Be told once, within a quarter of an hour from the approval of your own request."""
    _tell(answer(REVEAL, {"id": id}, url_of(url, settings_of(settings)), token))


@reidentify_command.command("list")
def listed(
    token: Token,
    lines: Annotated[int, typer.Option("-n", "--lines", min=1, max=100, help="How many.")] = 50,
    url: Url = "",
    settings: SettingsFile = Path(FILE),
) -> None:
    """还原申请列表 The requests, newest first; your own, or all of them in the supervising department."""
    _show(answer(LIST, {"first": lines}, url_of(url, settings_of(settings)), token))


def _tell(found: Mapping[str, Any]) -> None:
    _show([found["request"]])
    out.print(plain(f"{found['entity']} {found['identifier']}"))


def _show(found: list[Mapping[str, Any]]) -> None:
    table = titled(
        "还原申请", "编号", "数据主体（密钥散列）", "理由", "申请人", "申请时间", "状态", "批准人", "截止时间"
    )
    for one in found:
        cells = (
            one["id"], one["hash"], one["reason"], one["requestedBy"], at_china(one["at"]), _STATES[one["state"]],
            one["approvedBy"] or "—", at_china(one["expiresAt"]),
        )  # fmt: skip
        table.add_row(*map(plain, cells))
    out.print(table)
