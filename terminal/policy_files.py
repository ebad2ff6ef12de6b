"""`onesource policy check` and `load`: rule files, linted and put in force. Offline, in the control database of the settings."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import typer

from app import control_of
from policies.control import ControlUnavailable
from policies.lint import RuleError, RuleProblem
from policies.live import Policy, PolicyUnavailable
from policies.rule_file import read_rule_file
from policies.rules import Rules
from policies.snapshot import Snapshot, utc_text
from schema.catalogue import Catalogue
from settings import Settings, WrongSettings
from terminal.client import REFUSED, UNREACHABLE, err, out, plain
from terminal.offline import base_of
from terminal.options import wrong


def check(catalogue: Catalogue, file: Path) -> Rules:
    """Lint a rule file and say how many rules it has; exits with every problem if there is one."""
    rules = _read(catalogue, file)
    out.print(plain(f"{file.name}：{len(rules.share)} 条规则，无问题 {len(rules.share)} rules, no problem"))
    return rules


def load(settings: Settings, catalogue: Catalogue, file: Path) -> None:
    """Replace the rule file of that name and say which version is in force; a file with a problem changes nothing."""
    rules = _read(catalogue, file)
    try:
        version = asyncio.run(_publish(settings, base_of(catalogue), file.stem, rules))
    except WrongSettings as error:
        raise wrong(error.lines) from None
    except RuleError as error:
        raise _refused(error.problems) from None
    except (ControlUnavailable, PolicyUnavailable):
        err.print("[red]控制库不可用 the control database cannot be reached[/] (control.url)")
        raise typer.Exit(UNREACHABLE) from None
    out.print(
        plain(f"{file.name}：{len(rules.share)} 条规则已生效 rules are in force，策略版本 policy version {version}")
    )


async def _publish(settings: Settings, base: Snapshot, name: str, rules: Rules) -> str:
    """The version in which these rules are in force; RuleError if they do not go with what is in force."""
    control = control_of(settings)
    control.open()
    try:
        policy = Policy(base, control, lease=30)
        await policy.refresh()
        policy.snapshot().with_changes({f"FILE/{name}": rules}, 0)
        await control.publish(name, rules)
        await policy.refresh()
        return policy.version
    finally:
        control.close()


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
