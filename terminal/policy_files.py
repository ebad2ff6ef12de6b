"""`onesource policy check`, `load`, `unload` and `files`: rule files, linted, put in force, taken out, listed.

Offline, in the control database of the settings; the supervising authority is told who did it.
"""

from __future__ import annotations

import asyncio
import getpass
import time
from collections.abc import Coroutine, Mapping
from pathlib import Path
from typing import Any, TypeVar

import typer
from rich.table import Table

from app import control_of
from policies.control import ControlUnavailable
from policies.grants import DisabledKind, Notice, NoticeKind
from policies.lint import RuleError, RuleProblem
from policies.live import Policy, PolicyUnavailable
from policies.rule_file import read_rule_file
from policies.rules import Rules
from policies.snapshot import Snapshot, utc_text
from schema.catalogue import Catalogue
from schema.errors import Text
from settings import Settings, WrongSettings
from terminal.client import REFUSED, UNREACHABLE, err, out, plain
from terminal.offline import base_of
from terminal.options import wrong

_T = TypeVar("_T")


def check(catalogue: Catalogue, file: Path) -> Rules:
    """Lint a rule file and say how many rules it has; exits with every problem if there is one."""
    rules = _read(catalogue, file)
    out.print(plain(f"{file.name}：{len(rules.share)} 条规则，无问题 {len(rules.share)} rules, no problem"))
    return rules


def load(settings: Settings, catalogue: Catalogue, file: Path) -> None:
    """Replace the rule file of that name and say which version is in force; a file with a problem changes nothing."""
    rules = _read(catalogue, file)
    version = _run(_publish(settings, base_of(catalogue), file.stem, rules))
    out.print(
        plain(f"{file.name}：{len(rules.share)} 条规则已生效 rules are in force，策略版本 policy version {version}")
    )


def unload(settings: Settings, catalogue: Catalogue, name: str) -> None:
    """Take a rule file out and say which version is in force; exits with REFUSED if there is none of that name."""
    if name not in _run(_loaded(settings)):
        err.print(plain(f"没有名为 {name} 的规则文件 there is no rule file of that name: onesource policy files"))
        raise typer.Exit(REFUSED)
    version = _run(_publish(settings, base_of(catalogue), name, Rules()))
    out.print(plain(f"{name} 已撤下 is taken out，策略版本 policy version {version}"))


def admit(settings: Settings, kind: DisabledKind, name: str, department: str) -> None:
    """Admit again who was disabled, where nobody can sign in to do it; exits with REFUSED if nobody was disabled by these."""
    if not _run(_enable(settings, kind, name, department)):
        err.print("未被停用 was not disabled by these: onesource disable --help")
        raise typer.Exit(REFUSED)
    out.print("已启用 enabled")


async def _enable(settings: Settings, kind: DisabledKind, name: str, department: str) -> bool:
    control = control_of(settings)
    control.open()
    try:
        return await control.enable(kind, name, department)
    finally:
        control.close()


def show(settings: Settings) -> None:
    """List the rule files in force."""
    table = Table("规则文件 rule file", "规则 rules", "允许 allow", "禁止 deny", title="现行规则文件")
    for name, rules in _run(_loaded(settings)).items():
        denials = sum(row.eft == "deny" for row in rules.share)
        table.add_row(name, str(len(rules.share)), str(len(rules.share) - denials), str(denials))
    out.print(table)


def _run(work: Coroutine[Any, Any, _T]) -> _T:
    """What the work returns; exits with a reason where the control database is wrong or away, or the rules are refused."""
    try:
        return asyncio.run(work)
    except WrongSettings as error:
        raise wrong(error.lines) from None
    except RuleError as error:
        raise _refused(error.problems) from None
    except (ControlUnavailable, PolicyUnavailable):
        err.print("[red]控制库不可用 the control database cannot be reached[/] (control.url)")
        raise typer.Exit(UNREACHABLE) from None


async def _publish(settings: Settings, base: Snapshot, name: str, rules: Rules) -> str:
    """The version in which these rules are in force; RuleError if they do not go with what is in force."""
    control = control_of(settings)
    control.open()
    try:
        policy = Policy(base, control, lease=30)
        await policy.refresh()
        policy.snapshot().with_changes({f"FILE/{name}": rules}, 0)
        await control.publish(name, rules, _notice(name, rules))
        await policy.refresh()
        return policy.version
    finally:
        control.close()


async def _loaded(settings: Settings) -> Mapping[str, Rules]:
    control = control_of(settings)
    control.open()
    try:
        return await control.files()
    finally:
        control.close()


def _notice(name: str, rules: Rules) -> Notice:
    """What the supervising authority is told: which file, how many rules, by which account of the machine."""
    who, count = getpass.getuser(), len(rules.share)
    text = Text(f"{who} put the rule file {name} in force: {count} rules", f"{who} 启用规则文件 {name}：{count} 条规则")
    if not count:
        text = Text(f"{who} took the rule file {name} out", f"{who} 撤下规则文件 {name}")
    return Notice(0, time.time_ns() // 1_000, NoticeKind.RULES, text, name)


def _read(catalogue: Catalogue, file: Path) -> Rules:
    try:
        return read_rule_file(file, catalogue, utc_text(time.time()))
    except RuleError as error:
        raise _refused(error.problems) from None


def _refused(problems: tuple[RuleProblem, ...]) -> typer.Exit:
    for problem in problems:
        err.print(plain(str(problem)), style="red", soft_wrap=True)
    err.print(f"{len(problems)} 处问题 problem(s)；现行策略不变 what is in force stays in force")
    return typer.Exit(REFUSED)
