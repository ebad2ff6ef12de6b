"""The `onesource` command."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from strawberry.printer import print_schema

from app import graphql_schema
from audit.hours import unknown_holidays
from demo.issuer import demo_token
from demo.scene import IDENTITIES
from policies.identity import Role
from schema.catalogue import Purpose
from schema.load import check_catalogue
from schema.page import catalogue_page
from settings import FILE, WrongSettings
from terminal import archive, operations, proofs, serving
from terminal.audit import data_subject, tail
from terminal.audit_questions import find, monthly, patterns
from terminal.citizens import my_disclosures
from terminal.client import REFUSED, err, out
from terminal.corrections import affected, corrections_command
from terminal.grants import grant_command
from terminal.joining import check_live, connect
from terminal.lookup import lookup as ask_lookup
from terminal.options import SettingsFile, Token, Url, catalogue_in, settings_of, url_of, wrong
from terminal.policy import policy_command
from terminal.reidentify import reidentify_command
from terminal.replay import replay
from terminal.shipped import SHIPPED
from terminal.suspensions import disable, enable, lift, notices, suspend

command = typer.Typer(
    name="onesource",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    help="一数一源 · one datum, one source: governed look-ups over a city's departmental databases.\n\n"
    "First steps: `onesource serve` shows the demo; `onesource lookup --help` asks as a clerk; "
    "`onesource audit tail --help` reads the record.\n\n"
    "Exit codes: 0 answered, also where only some items were refused, 1 nothing could be shown or problems found, 2 wrong use or settings, 3 no valid token, 4 no service.",
)
schema_command = typer.Typer(no_args_is_help=True, help="The GraphQL schema and the catalogue's page.")
audit_command = typer.Typer(no_args_is_help=True, help="What was disclosed: for the auditor role.")
command.add_typer(schema_command, name="schema")
operations_command = typer.Typer(
    no_args_is_help=True,
    help="Trusted operations: what runs in production. Offline, in the control database of the settings.",
)
command.add_typer(audit_command, name="audit")
command.add_typer(operations_command, name="operations")
command.add_typer(policy_command, name="policy")
command.add_typer(grant_command, name="grant")
command.add_typer(corrections_command, name="corrections")
command.add_typer(reidentify_command, name="reidentify")
for _proof in (proofs.verify, proofs.prove, proofs.checkpoint, proofs.witness):
    audit_command.command()(_proof)
audit_command.command("seal")(archive.seal_months)
audit_command.command("remove")(archive.remove)
audit_command.command("months")(archive.months)
for _question in (find, patterns, monthly, affected, replay):
    audit_command.command()(_question)
for _other in (connect, suspend, lift, disable, enable, notices, my_disclosures):
    command.command()(_other)


@command.command()
def serve(settings: SettingsFile = Path(FILE)) -> None:
    """Serve the GraphQL endpoint at /graphql and GraphiQL at /graphiql.

    In demo mode it first makes what is missing: an issuer, secrets, a city of 10,000 residents, an open case.
    """
    loaded = settings_of(settings)
    try:
        serving.serve(loaded, catalogue_in(loaded), SHIPPED)
    except WrongSettings as error:
        raise wrong(error.lines) from None


@command.command()
def demo(
    residents: Annotated[int, typer.Option(min=100, help="How many residents.")] = 10_000,
    seed: Annotated[int, typer.Option(help="Same seed, same city, byte for byte.")] = 1,
    settings: SettingsFile = Path(FILE),
) -> None:
    """Build the demo city anew: one database for each department, invented people with valid numbers."""
    loaded = settings_of(settings)
    if not loaded.demo:
        raise wrong([f"{settings}: demo = false; the demo city is built in demo mode only"])
    report = serving.build_demo(loaded, catalogue_in(loaded), residents, seed)
    total = sum(report.counts.values())
    out.print(f"{report.residents} 名居民 residents, {total} 条记录 records, {len(report.counts)} 个资源 resources")


@command.command()
def check(
    folder: Annotated[Path | None, typer.Argument(help="A catalogue's folder; default: from the settings.")] = None,
    overlay: Annotated[list[str] | None, typer.Option(help="An overlay to put in force.")] = None,
    live: Annotated[
        bool, typer.Option("--live", help="Compare the settings' catalogue with its sources as they are now.")
    ] = False,
    settings: SettingsFile = Path(FILE),
) -> None:
    """Lint a catalogue: each problem on one line with code, file, line, what, hint. Exit code 1 if there are any.

    With --live: ask each source what it has, a database for a sample too, and tell what is no longer as the catalogue says.
    """
    if live:
        loaded = settings_of(settings)
        check_live(loaded, catalogue_in(loaded))
        return
    if folder is None:
        loaded = settings_of(settings)
        folder, overlay = loaded.catalogue.folder, overlay or list(loaded.catalogue.overlays)
    problems = check_catalogue(folder, overlay or ())
    for problem in problems:
        typer.echo(str(problem))
    if problems:
        err.print(f"[red]{len(problems)} 处问题 problem(s)[/]")
        raise typer.Exit(REFUSED)
    err.print(f"[green]{escape(str(folder))} 目录无误 no problems[/]")
    if unknown := unknown_holidays(datetime.now(UTC)):
        err.print(f"[yellow]! 尚无本年度节假日安排 {unknown}[/]")


@command.command()
def token(
    role: Annotated[Role, typer.Option(help="The acting role.")],
    department: Annotated[str, typer.Option(help="The acting department's slug.")] = IDENTITIES[0].department,
    subject: Annotated[str, typer.Option(help="Who: an account's name.")] = "demo-01",
    hours: Annotated[float, typer.Option(min=0.01, max=24, help="How long it is valid.")] = 12,
    identifier: Annotated[str, typer.Option(help="Who a citizen is: an identity number, credit code ...")] = "",
    settings: SettingsFile = Path(FILE),
) -> None:
    """Print a token of the demo's issuer. Only in demo mode, for a service on this machine.

    A citizen (`--role citizen --identifier ...`) acts for no department and reads what was disclosed of the own person.
    """
    loaded = settings_of(settings)
    if not loaded.demo or not serving.is_loopback(loaded.server.host):
        raise wrong(["tokens are issued for the demo on 127.0.0.1 only; ask your identity provider"])
    catalogue = catalogue_in(loaded)
    known = catalogue.departments
    if (role is Role.CITIZEN) != bool(identifier):
        raise wrong(["--identifier 与 citizen 角色须同时给出 a citizen, and nobody else, has an --identifier"])
    whose = data_subject(catalogue, identifier) if identifier else {}
    if department not in known:
        raise wrong([f"there is no department {department!r}; one of: {', '.join(known)}"])
    scene = serving.scene_of(loaded)
    scene.prepare()
    issued = demo_token(
        scene.issuer,
        loaded.identity.issuer,
        loaded.identity.audience,
        subject=subject,
        department=department,
        role=role.value,
        hours=hours,
        **whose,
    )
    err.print("演示令牌，不得用于生产 demo token, not for production", style="bold yellow")
    typer.echo(issued)


@command.command()
def lookup(
    item: Annotated[list[str], typer.Option(help="`Resource.item`, or `Resource` for all of its items; repeatable.")],
    id: Annotated[str, typer.Option(help="The identifier: identity number, credit code ...")],  # noqa: A002
    case: Annotated[str, typer.Option(help="受理号: the number of an open case of your department.")],
    token: Token,
    purpose: Annotated[Purpose, typer.Option(help="What the data is used for.")] = Purpose.ADMINISTRATIVE_BASIS,
    url: Url = "",
    settings: SettingsFile = Path(FILE),
) -> None:
    """Ask as a clerk: an applicant's items, as a table with Chinese titles.

    `onesource serve` prints an example in demo mode; the names are in docs/catalogue.md.

    A value is shown as — where the source holds none, ✗ 未授权 where the item is denied, ✗ 暂不可用 where its source failed,
    ✗ 数据有误 where the source holds what it should not; the reasons go to standard error.

    Exit code 0 also where only some items were refused, 1 where nothing could be shown.
    """
    loaded = settings_of(settings)
    ask_lookup(catalogue_in(loaded), item, id, purpose, case, url_of(url, loaded), token)


@schema_command.command("print")
def schema_print(settings: SettingsFile = Path(FILE)) -> None:
    """Print the GraphQL schema (SDL) that the catalogue generates."""
    typer.echo(print_schema(graphql_schema(catalogue_in(settings_of(settings)))))


@schema_command.command("catalogue")
def schema_catalogue(settings: SettingsFile = Path(FILE)) -> None:
    """Print the catalogue's page (docs/catalogue.md): article, resource, item. Without overlays, as the annex has it."""
    loaded = settings_of(settings)
    plain = loaded.model_copy(update={"catalogue": loaded.catalogue.model_copy(update={"overlays": ()})})
    typer.echo(catalogue_page(catalogue_in(plain)), nl=False)


@audit_command.command("tail")
def audit_tail(
    token: Token,
    lines: Annotated[int, typer.Option("-n", "--lines", min=1, max=500, help="How many lines.")] = 30,
    follow: Annotated[bool, typer.Option("-f", "--follow", help="Go on with what comes.")] = False,
    subject_id: Annotated[
        str,
        typer.Option("--subject-id", "--person", help="Only of this data subject: an identity number, credit code ..."),
    ] = "",
    case: Annotated[str, typer.Option(help="Only under this acceptance number.")] = "",
    user: Annotated[str, typer.Option(help="Only by this user.")] = "",
    json: Annotated[bool, typer.Option("--json", help="One JSON object a line, for pipes.")] = False,
    url: Url = "",
    settings: SettingsFile = Path(FILE),
) -> None:
    """Show the ledger's last lines: when, who, purpose, case, whose data (keyed hash), item, outcome, rule, policy.

    Below 150 columns the lines are grouped by operation and data subject; there SHARE/… stands for the rule
    SHARE/<item>/<purpose>, and ×3 for three equal lines.
    """
    loaded = settings_of(settings)
    wanted = {
        "dataSubject": data_subject(catalogue_in(loaded), subject_id) if subject_id else None,
        "case": case or None,
        "subject": user or None,
    }
    tail(url_of(url, loaded), token, wanted, lines, follow, json)


@operations_command.command("register")
def operations_register(
    paths: Annotated[list[Path], typer.Argument(exists=True, help="Files, or folders of *.graphql files.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Validate only.")] = False,
    settings: SettingsFile = Path(FILE),
) -> None:
    """Trust these documents from now on: all of them, or none if one does not fit the schema or the limits.

    A client then names them: `{"documentId": "sha256:<digest>", "variables": {...}}`. The digest is that of the file's bytes.
    """
    loaded = settings_of(settings)
    try:
        operations.register(loaded, catalogue_in(loaded), paths, dry_run)
    except WrongSettings as error:
        raise wrong(error.lines) from None


@operations_command.command("unregister")
def operations_unregister(
    names: Annotated[list[str], typer.Argument(help="Names or digests, as `operations list` shows them.")],
    settings: SettingsFile = Path(FILE),
) -> None:
    """Trust these operations no more: in force within a second, in every process. A name stands for every version of it."""
    try:
        operations.unregister(settings_of(settings), names)
    except WrongSettings as error:
        raise wrong(error.lines) from None


@operations_command.command("list")
def operations_list(settings: SettingsFile = Path(FILE)) -> None:
    """Show the trusted operations: name and digest."""
    try:
        operations.show(settings_of(settings))
    except WrongSettings as error:
        raise wrong(error.lines) from None
