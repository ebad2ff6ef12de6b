"""The policy in force as the settings tell it, without a running service."""

from __future__ import annotations

import asyncio
from pathlib import Path

import sqlalchemy as sa
import typer

from app import control_of
from policies.control import ControlUnavailable
from policies.lint import RuleError
from policies.live import Policy, PolicyUnavailable
from policies.rules import rules_from
from policies.snapshot import Snapshot
from schema.catalogue import Catalogue
from settings import Settings, WrongSettings
from terminal.client import UNREACHABLE, err
from terminal.options import wrong


def base_of(catalogue: Catalogue) -> Snapshot:
    """The catalogue's own rules; exits with every problem if they are not sound."""
    try:
        return Snapshot(catalogue, rules_from(catalogue))
    except RuleError as error:
        raise wrong([str(problem) for problem in error.problems]) from None


def policy_of(settings: Settings, catalogue: Catalogue) -> Snapshot:
    """The policy in force: the catalogue's rules with grants, suspensions and rule files. Exits with a sentence if it cannot be read.

    A control database that is a file and not there yet has no changes, and is not made.
    """
    base = base_of(catalogue)
    url = sa.make_url(settings.control.url)
    if url.get_backend_name() == "sqlite" and url.database and not Path(url.database).is_file():
        return base
    try:
        return asyncio.run(_refreshed(settings, base))
    except WrongSettings as error:
        raise wrong(error.lines) from None
    except (ControlUnavailable, PolicyUnavailable):
        err.print("[red]控制库不可用 the control database cannot be reached[/] (control.url)")
        raise typer.Exit(UNREACHABLE) from None


async def _refreshed(settings: Settings, base: Snapshot) -> Snapshot:
    control = control_of(settings)
    control.open()
    try:
        policy = Policy(base, control, lease=30)
        await policy.refresh()
        return policy.snapshot()
    finally:
        control.close()
