"""Joining a department: `onesource connect` drafts its catalogue file from a live source, `onesource check --live` tells what changed since."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import sqlalchemy as sa
import typer
from rich.markup import escape
from rich.progress import Progress

import connectors.kinds
from app import rights_of
from connectors.contract import Connector, SourceError
from connectors.file import FileConnector
from connectors.settings import SqlConnection
from connectors.survey import survey
from schema.catalogue import Catalogue, Department, Resource
from schema.draft import Header, Table, draft
from schema.errors import CODES
from schema.identifiers import IdentifierError, to_credit_code
from schema.names import is_slug
from schema.reality import Difference, differences, lost
from settings import FILE, Settings, WrongSettings, password_of
from terminal.client import REFUSED, err
from terminal.options import SettingsFile, catalogue_in, settings_of, wrong

_SLUG = "lower-case words joined by hyphens, as in `public-security`"


def connect(
    url: Annotated[
        str, typer.Argument(help="Where the source is: postgresql://reader@host/db, mysql://..., sqlite:///file.db")
    ] = "",
    department: Annotated[
        str, typer.Option(help="The department's slug: its file will be catalogue/<slug>.yaml.")
    ] = "",
    name: Annotated[str, typer.Option(help="Its English name.")] = "",
    title: Annotated[str, typer.Option(help="Its Chinese name.")] = "",
    code: Annotated[str, typer.Option(help="Its unified social credit code.")] = "",
    region: Annotated[str, typer.Option(help="Its division, six digits (GB/T 2260).")] = "",
    contact: Annotated[str, typer.Option(help="An office, never a person's number.")] = "",
    schema: Annotated[str, typer.Option(help="The database's schema; default: the account's own.")] = "",
    table: Annotated[list[str] | None, typer.Option(help="Only this table or view; repeatable.")] = None,
    out: Annotated[Path | None, typer.Option(help="Write the draft to this file; default: standard output.")] = None,
    grant: Annotated[
        str,
        typer.Option(
            help="Instead, print the least rights of this connection's account, as SQL for its administrator."
        ),
    ] = "",
    settings: SettingsFile = Path(FILE),
) -> None:
    """Draft a department's catalogue file from a live source: tables, columns, titles from comments, types, keys, code tables.

    It reads at most 1,000 records of a table; identifiers are recognised by their check digits, and no sampled value is shown. Every
    item is CONDITIONAL until somebody decides. The password comes from the URL, or from ONESOURCE_PASSWORD_<DEPARTMENT>.

    With --grant NAME no source is asked: it prints SELECT on the columns that the catalogue names, and nothing else.
    """
    loaded = settings_of(settings)
    catalogue = catalogue_in(loaded)
    if grant:
        _print_rights(loaded, catalogue, grant)
        return
    if not url or not department:
        raise wrong(["needed: the source's URL and --department, or --grant with a connection's name"])
    header = _header(catalogue, department, name, title, code, region, contact)
    place = _with_password(url, department)
    try:
        with Progress(console=err, transient=True) as progress:
            progress.add_task("读取数据源 reading the source", total=None)
            tables = asyncio.run(survey(place, schema, table or ()))
    except SourceError as error:
        raise wrong([_told(error.code)]) from None
    text = draft(header, tables, catalogue)
    if out is None:
        typer.echo(text, nl=False)
    elif out.exists():
        raise wrong([f"{out} is there already: a draft overwrites nothing"])
    else:
        out.write_text(text, "utf8")
    made = text.count("\n    entity: ")
    err.print(f"[green]{len(tables)} 张表 tables, {made} 个资源 resources drafted[/]")
    if department not in loaded.connections:
        shown = sa.make_url(place).render_as_string(hide_password=True).replace(":***@", "@")
        err.print(
            f'然后写入 then add to {escape(str(settings))}:\n\n\\[connections.{department}]\nurl = "{escape(shown)}"',
            highlight=False,
        )


def _print_rights(settings: Settings, catalogue: Catalogue, name: str) -> None:
    try:
        typer.echo(rights_of(settings, catalogue, name), nl=False)
    except WrongSettings as error:
        raise wrong(error.lines) from None


def _header(catalogue: Catalogue, slug: str, *given: str) -> Header:
    """What stands at the head of the file: of a known department as it is there, else as given; exits with all that is missing."""
    known: Department | None = catalogue.departments.get(slug)
    if known:
        return Header(slug, known.name, known.title, known.code, known.region, known.contact)
    problems = [] if is_slug(slug) else [f"--department: {_SLUG}"]
    options = ("--name", "--title", "--code", "--region", "--contact")
    problems += [
        f"{option}: needed for a new department"
        for option, value in zip(options, given, strict=True)
        if not value.strip()
    ]
    header = Header(slug, *given)
    if header.code:
        try:
            to_credit_code(header.code)
        except IdentifierError as error:
            problems.append(f"--code: {error.reason_en} {error.reason_zh}")
    if header.region and not (len(header.region) == 6 and header.region.isascii() and header.region.isdigit()):
        problems.append("--region: six digits (GB/T 2260)")
    if problems:
        raise wrong(problems)
    return header


def _with_password(url: str, name: str) -> str:
    try:
        parsed = sa.make_url(url)
    except sa.exc.ArgumentError:
        raise wrong(["the URL is none: write it like postgresql://reader@host:5432/database"]) from None
    password = os.environ.get(f"ONESOURCE_PASSWORD_{name}".replace("-", "_").upper())
    return (parsed.set(password=password) if password else parsed).render_as_string(hide_password=False)


def _told(code: str) -> str:
    return f"{code} {CODES[code].message.zh} {CODES[code].message.en} {CODES[code].hint.en}"


def check_live(settings: Settings, catalogue: Catalogue) -> None:
    """Print what differs between the catalogue and its sources; exits 1 if it promises what a source does not hold."""
    found: list[Difference] = []
    asked = [one for one in catalogue.departments.values() if one.connection]
    with Progress(console=err, transient=True) as progress:
        task = progress.add_task("比对数据源 comparing the sources", total=len(asked))
        for department in asked:
            found += _of_department(department, settings, catalogue)
            progress.advance(task)
    for difference in found:
        typer.echo(str(difference))
    broken = sum(difference.breaks for difference in found)
    if broken:
        err.print(f"[red]{broken} 处不一致 difference(s)[/]")
        raise typer.Exit(REFUSED)
    err.print(f"[green]{len(asked)} 个数据源与目录一致 sources are as the catalogue says[/]")


def _of_department(department: Department, settings: Settings, catalogue: Catalogue) -> list[Difference]:
    name = department.connection or ""
    connection = settings.connections[name]
    try:
        arguments = connection.arguments(password_of(name, connection))
    except ValueError as error:
        raise wrong([f"connections.{name}: {error}"]) from None
    resources = [one for one in catalogue.resources.values() if one.department == department.slug and one.connected]
    if not isinstance(connection, SqlConnection):
        return asyncio.run(_of_connector(department, connectors.kinds.connect(connection.kind, **arguments), resources))
    place = arguments["url"].render_as_string(hide_password=False)
    tables: dict[str, Table] = {}
    try:
        for schema in {_parted(one)[0] for one in resources}:
            wanted = [_parted(one)[1] for one in resources if _parted(one)[0] == schema]
            tables |= {table.name: table for table in asyncio.run(survey(place, schema, wanted))}
    except SourceError as error:
        return [Difference("LIV001", department.slug, f"{error.code}: {CODES[error.code].message.en}")]
    return [one for resource in resources for one in differences(resource, tables.get(resource.table or ""), catalogue)]


async def _of_connector(
    department: Department, connector: Connector, resources: Sequence[Resource]
) -> list[Difference]:
    """What a source that is no database can say of itself: columns that are gone, deliveries that were refused."""
    found: list[Difference] = []
    await connector.open()
    try:
        for resource in resources:
            found += lost(resource, await connector.check(resource))
        if isinstance(connector, FileConnector):
            found += [
                Difference("LIV202", department.slug, f"the delivery {name} is refused: {why}")
                for state in connector.deliveries()
                for name, why in state.refused.items()
            ]
    except SourceError as error:
        return [Difference("LIV001", department.slug, f"{error.code}: {CODES[error.code].message.en}")]
    finally:
        await connector.close()
    return found


def _parted(resource: Resource) -> tuple[str, str]:
    schema, _, table = (resource.table or "").rpartition(".")
    return schema, table
