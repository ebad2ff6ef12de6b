"""`onesource serve` and `onesource demo`: starting the service, and the city to try it on."""

from __future__ import annotations

import asyncio
import ipaddress
import json
import logging
import socket
import sys
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

import typer
import uvicorn
from rich.panel import Panel
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.types import ASGIApp

from app import Rooms, application, compose
from demo.city import CityReport
from demo.scene import IDENTITIES, LOOKUP, QUERY, Scene, open_case, variables
from schema.catalogue import Catalogue
from schema.errors import wordless
from settings import Settings
from terminal.client import WRONG_USE, err, out
from web.graphiql import GraphiQLPrefill

_SHUTDOWN_SECONDS = 5
"""How long a request under way may take once the service is told to stop."""
_STAGES = {"residents": "居民 residents", "indexes": "索引 indexes"}


def scene_of(settings: Settings) -> Scene:
    """Where the demo of these settings keeps its things: beside its issuer's keys."""
    return Scene(Path(settings.identity.jwks).parent.parent)


def is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def address(settings: Settings) -> str:
    """The address that the service listens on, for a client on this machine."""
    host = settings.server.host
    return f"http://{f'[{host}]' if ':' in host else host}:{settings.server.port}"


def build_demo(settings: Settings, catalogue: Catalogue, residents: int, seed: int) -> CityReport:
    """Build the demo city with a progress bar, and what else the demo needs."""
    scene = scene_of(settings)
    scene.prepare()
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=err) as progress:
        tasks = {name: progress.add_task(title, total=None) for name, title in _STAGES.items()}

        def heard(stage: str, done: int, total: int) -> None:
            if stage in tasks:
                progress.update(tasks[stage], completed=done, total=total)

        return scene.build(catalogue, residents, seed, heard)


def serve(settings: Settings, catalogue: Catalogue, shipped: Iterable[str]) -> None:
    """Serve until interrupted. In demo mode on a loopback address only, with everything that it needs made first."""
    host, port = settings.server.host, settings.server.port
    if settings.demo and not is_loopback(host):
        err.print(f"[red]演示模式只能监听本机 the demo serves on a loopback address only, not on {host}.[/]")
        raise typer.Exit(WRONG_USE)
    if not _free(host, port):
        err.print(f"[red]{host}:{port} 已被占用 is in use.[/] 换一个 choose another: ONESOURCE_SERVER__PORT=9000")
        raise typer.Exit(WRONG_USE)
    if settings.demo:
        scene_of(settings).prepare()
    rooms = compose(settings, catalogue)
    report = _city(settings, catalogue) if settings.demo else None
    _log_as_json()
    prefill = None
    if report:
        case = asyncio.run(_demo_case(rooms, report))
        prefill = _prefill(settings, report, case)
        _show_demo(settings, report, case)
    asgi: ASGIApp = application(rooms, settings, (lambda: prefill), shipped)
    if settings.demo:  # the demo's page holds tokens: no other site's name may lead to it
        asgi = TrustedHostMiddleware(asgi, allowed_hosts=[host, "localhost", "127.0.0.1"])
    uvicorn.run(
        asgi,
        host=host,
        port=port,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=_SHUTDOWN_SECONDS,
    )


def _city(settings: Settings, catalogue: Catalogue) -> CityReport:
    """The city that stands, or one built now: of the same size and seed if the catalogue describes its tables otherwise than it did."""
    scene = scene_of(settings)
    report = scene.report(catalogue)
    if report is None:
        size = scene.size()
        if size:
            err.print(
                "目录中演示数据的表结构已变更，重建演示城市 the demo's tables have changed: building the city anew"
            )
        report = build_demo(settings, catalogue, *(size or (10_000, 1)))
    return report


async def _demo_case(rooms: Rooms, report: CityReport) -> str:
    rooms.cases.open()
    return await open_case(rooms.cases, rooms.catalogue, report.examples) or ""


def _free(host: str, port: int) -> bool:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def _headers(settings: Settings) -> list[tuple[str, str]]:
    scene, identity = scene_of(settings), settings.identity
    tokens = [(one.title, scene.token(one, identity.issuer, identity.audience)) for one in IDENTITIES]
    return [(title, json.dumps({"Authorization": f"Bearer {token}"})) for title, token in tokens]


def _prefill(settings: Settings, report: CityReport, case: str) -> GraphiQLPrefill:
    identities = _headers(settings)
    return GraphiQLPrefill(
        title="一数一源 onesource · 演示 demo",
        query=QUERY,
        variables=json.dumps(variables(report.examples, case), ensure_ascii=False, indent=2),
        headers=identities[0][1],
        banner=None,
        identities=tuple(identities),
    )


def _show_demo(settings: Settings, report: CityReport, case: str) -> None:
    """Print address, identities with tokens, and a query to paste."""
    scene, identity = scene_of(settings), settings.identity
    out.print(
        Panel(
            "演示模式：令牌由本机自建的签发者签发，数据全为虚构，不得用于生产。\n"
            "DEMO MODE: tokens come from an issuer made on this machine, all people are invented. Not for production.",
            style="bold yellow",
        )
    )
    here = address(settings)
    out.print(f"GraphQL   {here}/graphql", highlight=False)
    out.print(f"GraphiQL  {here}/graphiql", highlight=False)
    out.print(f"数据源状态 {here}/sources", highlight=False)
    table = Table("身份 identity", "角色 role", "部门 department", title="演示身份 demo identities (12 h)")
    for one in IDENTITIES:
        table.add_row(one.title, one.role, one.department)
    out.print(table)
    for one in IDENTITIES:
        token = scene.token(one, identity.issuer, identity.audience)
        out.print(f"# {one.title}", style="dim", highlight=False)
        typer.echo(f"export TOKEN_{one.subject.replace('-', '_').upper()}={token}")
    out.print("\n申请人的五个部门 the applicant in five departments — 粘贴 paste:", style="bold")
    body = json.dumps({"query": " ".join(QUERY.split()), "variables": variables(report.examples, case)})
    typer.echo(
        f"curl -s {here}/graphql -H 'Content-Type: application/json' "
        f"-H \"Authorization: Bearer $TOKEN_CLERK_01\" -d '{body}'"
    )
    program = sys.argv[0]
    typer.echo(
        f"{program} lookup {LOOKUP} --id {report.examples.applicant.identifier} --case {case} --token $TOKEN_CLERK_01"
    )
    typer.echo(f"{program} audit tail --token $TOKEN_AUDITOR_01")
    sys.stdout.flush()


class _JsonLines(logging.Formatter):
    """One JSON object a line: time, level, logger, message, and where an error came through, without its words."""

    def format(self, record: logging.LogRecord) -> str:
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        entry = {"at": at, "level": record.levelname, "logger": record.name, "message": record.getMessage()}
        if record.exc_info and record.exc_info[1]:
            entry["error"] = wordless(record.exc_info[1])
        line = json.dumps(entry, ensure_ascii=False)
        return "".join(sign if sign.isprintable() else json.dumps(sign)[1:-1] for sign in line)


def _log_as_json() -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_JsonLines())
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    for name in ("onesource", "uvicorn.error"):
        logging.getLogger(name).setLevel(logging.INFO)
    logging.getLogger("casbin").setLevel(logging.ERROR)  # casbin logs each request, with its subject
