"""Composes everything: the rooms, the ASGI application, the `onesource` command."""

from __future__ import annotations

import gc
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import sqlalchemy as sa
import strawberry
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from audit.frame import SubjectHash
from audit.index import Index
from audit.ledger import Ledger, LedgerUnavailable
from connectors.kinds import connect
from policies.cases import CaseStore, CaseStoreUnavailable
from policies.identity import Keys, Verifier
from policies.rules import rules_from
from policies.snapshot import Snapshot
from resolvers.audit import AuditQueries
from resolvers.cases import CaseMutations, CaseQueries, fields_of
from resolvers.disclose import Recorder
from resolvers.fetch import Loads, Source
from resolvers.http import Endpoint
from resolvers.line import CHANNEL, Line
from resolvers.operation import Limits
from schema.catalogue import Catalogue
from schema.load import load_catalogue
from schema.types import build_schema
from settings import Settings, WrongSettings, password_of
from web.graphiql import GraphiQLPrefill, graphiql_routes

_LOG = logging.getLogger("onesource")
Prefill = Callable[[], GraphiQLPrefill | None]


@dataclass(frozen=True, slots=True)
class Rooms:
    """All rooms of one running service, composed but not yet open."""

    catalogue: Catalogue
    sources: Mapping[str, Source]
    cases: CaseStore
    ledger: Ledger
    index: Index
    line: Line
    verifier: Verifier

    async def open(self) -> None:
        """Open the stores and the sources, in the order in which they need each other."""
        self.cases.open()
        self.index.open()
        for source in self.sources.values():
            await source.connector.open()

    async def close(self) -> None:
        for source in self.sources.values():
            await source.connector.close()
        await self.ledger.close()
        await self.index.close()
        self.cases.close()


def graphql_schema(catalogue: Catalogue) -> strawberry.Schema:
    """The whole schema: what the catalogue generates, beside cases and audit."""
    queries = [*fields_of(CaseQueries), *fields_of(AuditQueries)]
    return build_schema(catalogue, queries, fields_of(CaseMutations))


def catalogue_of(settings: Settings) -> Catalogue:
    """The catalogue that the settings name; CatalogueError with all of its problems."""
    return load_catalogue(settings.catalogue.folder, settings.catalogue.overlays)


def compose(settings: Settings, catalogue: Catalogue) -> Rooms:
    """The rooms that these settings describe. WrongSettings if something that they name is missing."""
    try:
        hashes = SubjectHash(settings.ledger.secret_bytes())
        cases = CaseStore(settings.cases.url, settings.cases.secret_bytes())
    except (OSError, ValueError) as error:
        raise WrongSettings([f"secrets of cases and ledger: {error}"]) from None
    sources = _sources(settings, catalogue)
    for url in (settings.cases.url, settings.ledger.url, settings.ledger.index_url):
        _make_folder(url)
    ledger = Ledger(settings.ledger.url, settings.ledger.timeout)
    try:
        ledger.open()
        coordinates = [f"{r.name}.{item}" for r in catalogue.resources.values() for item in r.items]
        numbers = ledger.item_numbers(coordinates)
    except LedgerUnavailable as error:
        raise WrongSettings([f"ledger.url: the ledger cannot be opened ({error.__cause__})"]) from None
    index = Index(settings.ledger.index_url, ledger)
    snapshot = Snapshot(catalogue, rules_from(catalogue))
    limits = Limits(**settings.limits.model_dump())
    recorder = Recorder(ledger, hashes, numbers, catalogue.version, CHANNEL)
    line = Line(graphql_schema(catalogue), snapshot, cases, Loads(sources), recorder, index, limits)
    keys = Keys(settings.identity.jwks)
    verifier = Verifier(settings.identity.issuer, settings.identity.audience, keys, catalogue.departments)
    return Rooms(catalogue, sources, cases, ledger, index, line, verifier)


def application(rooms: Rooms, settings: Settings, prefill: Prefill = lambda: None) -> Starlette:
    """The ASGI application over composed rooms."""

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        await rooms.open()
        gc.collect()
        gc.freeze()  # the schema and the catalogue stay: no collection need look at their objects again
        gc.set_threshold(20_000, 10, 10)  # a request's objects go by their counts: look for cycles less often
        _LOG.info("serving policy %s, catalogue %s", rooms.line.snapshot.version, rooms.catalogue.version)
        yield
        await rooms.close()

    async def ready(_: Request) -> Response:
        return await _ready(rooms)

    endpoint = Endpoint(rooms.line, rooms.verifier, settings.server.max_body)
    routes = [
        Route("/", lambda _: RedirectResponse("/graphiql")),
        Route("/graphql", endpoint),
        Route("/health/live", lambda _: _json({"status": "live"})),
        Route("/health/ready", ready),
        *graphiql_routes("/graphql", prefill),
    ]
    starlette = Starlette(routes=routes, lifespan=lifespan)
    starlette.router.redirect_slashes = False  # a redirect would repeat the caller's Host
    return starlette


def _json(content: Any, status: int = 200) -> Response:
    return Response(orjson.dumps(content), status, media_type="application/json")


async def _ready(rooms: Rooms) -> Response:
    """Ready when an answer could be given: cases can be read and the ledger too. A dead department does not make it unready."""
    wrong = []
    try:
        await rooms.cases.find("-", "-")
    except CaseStoreUnavailable:
        wrong.append("cases")
    try:
        rooms.ledger.head()
    except (sa.exc.SQLAlchemyError, LedgerUnavailable):
        wrong.append("ledger")
    return _json({"status": "unready", "because": wrong}, 503) if wrong else _json({"status": "ready"})


def _sources(settings: Settings, catalogue: Catalogue) -> dict[str, Source]:
    """A source for each department that has a connection; WrongSettings names each that is missing."""
    sources, missing = {}, []
    for department in catalogue.departments.values():
        if department.connection is None:
            continue
        connection = settings.connections.get(department.connection)
        if connection is None:
            missing.append(f"connections.{department.connection}: missing, {department.place} needs it")
            continue
        url = sa.make_url(connection.url)
        if password := password_of(department.connection, connection):
            url = url.set(password=password)
        connector = connect(connection.kind, url=url)
        sources[department.slug] = Source(connector, connection.timeout)
    named = {department.connection for department in catalogue.departments.values()}
    for name in settings.connections.keys() - named:
        _LOG.warning("connections.%s: no department of the catalogue has this connection", name)
    if missing:
        raise WrongSettings(missing)
    return sources


def _make_folder(url: str) -> None:
    parsed = sa.make_url(url)
    if parsed.get_backend_name() == "sqlite" and parsed.database:
        Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)


def main() -> None:
    """The `onesource` command."""
    from terminal.command import command

    command()
