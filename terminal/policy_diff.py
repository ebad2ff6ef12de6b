"""`onesource policy export` and `policy diff`: the policy in force as a file, and what a change of policy would disclose."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import typer
from rich.markup import escape
from rich.table import Table

from app import graphql_schema
from policies.policy_file import PolicyFileError, read_policy, write_policy
from policies.snapshot import Snapshot
from resolvers.replay import DISCLOSING, Change, ChangeKind, Side, TooManyConditions, compare
from schema.errors import CODES, RequestError
from schema.formats import CHINA
from schema.load import CatalogueError, load_catalogue
from schema.types import core_schema
from settings import Settings
from terminal.client import REFUSED, WRONG_USE, err, out, plain
from terminal.offline import base_of
from terminal.options import wrong

_TITLES = {
    ChangeKind.DISCLOSED: "新披露 newly disclosed",
    ChangeKind.UNMASKED: "脱敏取消或变更 unmasked",
    ChangeKind.WIDENED: "记录范围扩大 widened",
    ChangeKind.REFUSED: "新拒绝 newly refused",
    ChangeKind.MASKED: "新脱敏 newly masked",
    ChangeKind.NARROWED: "记录范围缩小 narrowed",
}


def export(snapshot: Snapshot, file: Path) -> None:
    """Write the policy in force to a file."""
    try:
        rows = write_policy(file, snapshot)
    except OSError as error:
        raise wrong([f"{file}: {error.strerror}"]) from None
    err.print(plain(f"{file}: 策略 policy {snapshot.version}, {rows} 行 rows"))


def diff(settings: Settings, old: Path, new: Path, folder: Path, as_json: bool) -> None:
    """Replay the operations of a folder under both policies and print what differs; exits with REFUSED if anything is newly disclosed."""
    operations = _operations(folder)
    before, after = _policy(settings, old), _policy(settings, new)
    schemas = {one.catalogue.version: core_schema(graphql_schema(one.catalogue)) for one in (before, after)}
    sides = [Side(one, schemas[one.catalogue.version]) for one in (before, after)]
    try:
        changes, misfits = compare(sides[0], sides[1], operations, time.time())
    except TooManyConditions:
        raise wrong(
            ["an operation has too many @include and @skip variables to be replayed in all combinations"]
        ) from None
    if misfits:
        raise wrong([_misfit(name, error) for name, error in misfits.items()])
    if as_json:
        told = {"old": before.version, "new": after.version, "changes": [_json(one) for one in changes]}
        typer.echo(json.dumps(told, ensure_ascii=False, indent=2))
    else:
        out.print(plain(f"{before.version} → {after.version}"), style="dim")
        _print(changes)
    if any(one.kind in DISCLOSING for one in changes):
        raise typer.Exit(REFUSED)


def _operations(folder: Path) -> Mapping[str, str]:
    """The documents below a folder, by path; exits if there are none or one cannot be read: nothing replayed is nothing proved."""
    try:
        found = {str(file.relative_to(folder)): file.read_text("utf8") for file in sorted(folder.rglob("*.graphql"))}
    except (OSError, UnicodeDecodeError) as error:
        raise wrong([f"{folder}: {type(error).__name__}: an operation cannot be read as UTF-8"]) from None
    if not found:
        err.print(f"[red]{escape(str(folder))} 中没有 *.graphql 文件 has no *.graphql file[/]")
        raise typer.Exit(WRONG_USE)
    return found


def _policy(settings: Settings, path: Path) -> Snapshot:
    """The policy in an exported file, or that of a catalogue's folder under the overlays of the settings."""
    try:
        if path.is_dir():
            return base_of(load_catalogue(path, settings.catalogue.overlays))
        read = read_policy(path)
    except CatalogueError as error:
        raise wrong([str(problem) for problem in error.problems]) from None
    except PolicyFileError as error:
        raise wrong([str(error)]) from None
    except OSError as error:
        raise wrong([f"{path}: {error.strerror}"]) from None
    if read.version != read.snapshot.version:
        err.print(
            plain(
                f"{path}: 由其他版本的程序导出，按本版本的模型重放 written by another release, replayed by this one's models"
            ),
            style="yellow",
        )
    return read.snapshot


def _misfit(name: str, error: RequestError) -> str:
    fault = error.faults[0]
    words = fault.reason or CODES[fault.code].message
    return f"{name}: {fault.code} {words.zh} {words.en}"


def _json(change: Change) -> dict[str, Any]:
    return {
        "kind": change.kind.value,
        "disclosing": change.kind in DISCLOSING,
        **{name: str(value) for name, value in change.use._asdict().items() if name != "role"},
        "roles": [role.value for role in change.roles],
        "oldRule": change.old_rule or None,
        "newRule": change.new_rule or None,
        "since": change.since.isoformat() if change.since else None,
    }


def _print(changes: list[Change]) -> None:
    if not changes:
        out.print("[green]没有变化 nothing changes[/]")
    for kind, title in _TITLES.items():
        those = [one for one in changes if one.kind is kind]
        if those:
            out.print(_table(f"{title}: {len(those)}", those, "bold red" if kind in DISCLOSING else "yellow"))


def _table(title: str, changes: list[Change], style: str) -> Table:
    table = Table(title=title, title_justify="left", title_style=style)
    for name in (
        "操作 operation",
        "部门与岗位 who",
        "依据 basis",
        "用途 purpose",
        "信息项 item",
        "动作 act",
        "规则 rule",
        "自 since",
    ):
        table.add_column(name, overflow="fold")
    for one in changes:
        use = one.use
        who = f"{use.department} ({', '.join(one.roles)})"
        since = f"{one.since.astimezone(CHINA):%Y-%m-%d %H:%M}" if one.since else "即时 now"
        rules = f"{one.old_rule or '-'} → {one.new_rule or '-'}"
        cells = (
            use.operation,
            who,
            use.basis,
            use.purpose.value,
            use.coordinate,
            f"{use.act} {use.subject}",
            rules,
            since,
        )
        table.add_row(*map(plain, cells))
    return table
