"""`onesource operations`: which documents are trusted. Offline: it writes to the control database that the settings name."""

from __future__ import annotations

import asyncio
import getpass
import time
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any, TypeVar

import typer
from rich.table import Table

from app import control_of, graphql_schema
from policies.control import Control, ControlUnavailable, Operation
from resolvers.operation import Documents, Limits
from resolvers.trusted import digest_of
from schema.catalogue import Catalogue
from schema.errors import CODES, Fault, RequestError
from schema.types import core_schema
from settings import Settings
from terminal.client import REFUSED, UNREACHABLE, WRONG_USE, err, out, plain

_T = TypeVar("_T")


def register(settings: Settings, catalogue: Catalogue, paths: Sequence[Path], dry_run: bool) -> None:
    """Register the documents in these files, and in the *.graphql files below these folders; all of them, or none if one is not valid."""
    limits = Limits(**settings.limits.model_dump(), introspection=False)
    documents = Documents(core_schema(graphql_schema(catalogue)), limits)
    found: list[Operation] = []
    problems: list[str] = []
    for file in _files(paths):
        try:
            text = file.read_bytes().decode("utf8")
            found.append(Operation(digest_of(text), ", ".join(documents.names(text)) or file.stem, text))
        except (OSError, UnicodeDecodeError):
            problems.append(f"{file}:1:1 REQUEST_MALFORMED 不是可读的 UTF-8 文件 cannot be read as UTF-8")
        except RequestError as error:
            problems += [_problem(file, fault) for fault in error.faults]
    if problems:
        for problem in problems:
            err.print(plain(problem), style="red", soft_wrap=True)
        err.print(f"{len(problems)} 处问题 problem(s)；未登记 nothing was registered")
        raise typer.Exit(REFUSED)
    if not dry_run:
        _ask(settings, lambda control: control.register(found, getpass.getuser(), time.time_ns() // 1000))
    _show(found, "校验通过，未登记 valid, not registered (--dry-run)" if dry_run else "已登记 registered")


def unregister(settings: Settings, names: Sequence[str]) -> None:
    """Trust the operations of these names or digests no more, in force within a second everywhere; all of them, or none if one is unknown."""
    known = _ask(settings, lambda control: control.operations())
    chosen = [one for one in known if one.name in names or one.digest in names]
    unknown = [name for name in names if not any(name in (one.name, one.digest) for one in chosen)]
    if unknown:
        err.print(f"未登记 not registered: {plain(', '.join(unknown))}", style="red")
        raise typer.Exit(REFUSED)
    _ask(settings, lambda control: control.unregister([one.digest for one in chosen]))
    _show(chosen, "已撤销 trusted no more")


def show(settings: Settings) -> None:
    """Print the registered operations."""
    _show(_ask(settings, lambda control: control.operations()), "已登记的操作 registered operations")


def _files(paths: Sequence[Path]) -> list[Path]:
    """The files named, and those of folders in the order of their names; exits if there are none."""
    files = [file for path in paths for file in (sorted(path.rglob("*.graphql")) if path.is_dir() else [path])]
    if not files:
        err.print("[red]没有 *.graphql 文件 there is no *.graphql file[/]")
        raise typer.Exit(WRONG_USE)
    return files


def _problem(file: Path, fault: Fault) -> str:
    line, column = fault.locations[0] if fault.locations else (1, 1)
    words = fault.reason or CODES[fault.code].message
    return f"{file}:{line}:{column} {fault.code} {words.zh} {words.en}"


def _ask(settings: Settings, question: Callable[[Control], Coroutine[Any, Any, _T]]) -> _T:
    """What the control database answers; exits with a sentence if it does not."""
    control = control_of(settings)

    async def asked() -> _T:
        control.open()
        try:
            return await question(control)
        finally:
            control.close()

    try:
        return asyncio.run(asked())
    except ControlUnavailable:
        err.print("[red]控制库不可用 the control database cannot be reached[/] (control.url)")
        raise typer.Exit(UNREACHABLE) from None


def _show(operations: Sequence[Operation], title: str) -> None:
    table = Table(title=title)
    table.add_column("名称 name", overflow="fold", min_width=9)
    table.add_column("摘要 documentId", no_wrap=True)
    for one in operations:
        table.add_row(plain(one.name), one.digest)
    out.print(table, soft_wrap=True)
