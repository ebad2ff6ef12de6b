"""Composes everything: the rooms, the ASGI application, the `onesource` command."""

from __future__ import annotations

import asyncio
import gc
import logging
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
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
from starlette.routing import BaseRoute, Route

from audit.checkpoint import read_signer
from audit.frame import SubjectHash
from audit.index import Index
from audit.integrator import Integrator
from audit.ledger import Ledger
from audit.merkle import TreeHash
from audit.store import Store, StoreUnavailable
from audit.stores import store_at
from connectors.kinds import connect
from policies.cases import CaseStore, CaseStoreUnavailable
from policies.control import Control
from policies.identity import Keys, Verifier
from policies.lint import RuleError, lint_roles
from policies.live import Policy, PolicyUnavailable
from policies.rules import ROLE_LINKS, rules_from
from policies.snapshot import Snapshot
from resolvers.access import AccessQueries
from resolvers.audit import AuditQueries
from resolvers.cases import CaseMutations, CaseQueries, fields_of
from resolvers.checkpoints import checkpoint_routes
from resolvers.cursors import Cursors
from resolvers.disclose import Recorder
from resolvers.divergence import DivergenceQueries
from resolvers.fetch import Loads, Source
from resolvers.grants import GrantMutations, GrantQueries
from resolvers.http import Endpoint
from resolvers.line import Line, Terms
from resolvers.operation import Limits
from resolvers.rates import Limiter
from resolvers.suspensions import SuspensionMutations, SuspensionQueries
from resolvers.trusted import TrustedOperations
from schema.catalogue import Catalogue
from schema.load import load_catalogue
from schema.types import build_schema
from settings import Mode, Settings, WrongSettings, password_of
from web.graphiql import GraphiQLPrefill, graphiql_routes

_LOG = logging.getLogger("onesource")
Prefill = Callable[[], GraphiQLPrefill | None]


@dataclass(frozen=True, slots=True)
class Rooms:
    """All rooms of one running service, composed but not yet open."""

    catalogue: Catalogue
    sources: Mapping[str, Source]
    cases: CaseStore
    control: Control
    policy: Policy
    ledger: Ledger
    integrator: Integrator
    index: Index
    line: Line
    verifier: Verifier

    async def open(self) -> None:
        """Open the stores and the sources, in the order in which they need each other."""
        self.cases.open()
        self.control.open()
        self.index.open()
        self.integrator.open()
        await self.policy.open()
        for source in self.sources.values():
            await source.connector.open()

    async def close(self) -> None:
        await self.policy.close()
        for source in self.sources.values():
            await source.connector.close()
        await self.integrator.close()
        await self.ledger.close()
        await self.index.close()
        self.control.close()
        self.cases.close()


def graphql_schema(catalogue: Catalogue) -> strawberry.Schema:
    """The whole schema: what the catalogue generates, beside cases, grants, suspensions and audit."""
    owners = (CaseQueries, DivergenceQueries, AuditQueries, GrantQueries, SuspensionQueries, AccessQueries)
    queries = [field for owner in owners for field in fields_of(owner)]
    mutations = [field for owner in (CaseMutations, GrantMutations, SuspensionMutations) for field in fields_of(owner)]
    return build_schema(catalogue, queries, mutations)


def catalogue_of(settings: Settings) -> Catalogue:
    """The catalogue that the settings name; CatalogueError with all of its problems."""
    return load_catalogue(settings.catalogue.folder, settings.catalogue.overlays)


def control_of(settings: Settings) -> Control:
    """The control database that the settings name, not yet open. WrongSettings if its password cannot be read."""
    url = sa.make_url(settings.control.url)
    if password := password_of("control", settings.control):
        url = url.set(password=password)
    _make_folder(settings.control.url)
    return Control(url)


def ledger_urls(settings: Settings) -> tuple[sa.URL, sa.URL]:
    """Where the ledger stands, and its index. WrongSettings if their password cannot be read."""
    password = password_of("ledger", settings.ledger)
    urls = sa.make_url(settings.ledger.url), sa.make_url(settings.ledger.index_url)
    ledger, index = (url if url.get_backend_name() == "sqlite" else url.set(password=password) for url in urls)
    return ledger, index


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
    ledger_url, index_url = ledger_urls(settings)
    ledger = Ledger(store_at(ledger_url, settings.ledger.timeout), settings.ledger.timeout)
    try:
        ledger.open()
        coordinates = [f"{r.name}.{item}" for r in catalogue.resources.values() for item in r.items]
        numbers = ledger.item_numbers(coordinates)
    except StoreUnavailable as error:
        raise WrongSettings([f"ledger.url: the ledger cannot be opened ({error.__cause__ or error})"]) from None
    integrator = integrator_of(settings, ledger.store)
    ledger.overdue = integrator.overdue
    index = Index(index_url, ledger)
    control = control_of(settings)
    policy = Policy(_base(settings, catalogue), control, settings.policy.lease)
    terms = Terms(settings.policy.supervisor, settings.policy.verify_attempts, settings.policy.verify_days)
    cursors = Cursors(settings.cases.secret_bytes())
    limits = Limits(**settings.limits.model_dump(), introspection=settings.server.mode is Mode.DEVELOPMENT)
    recorder = Recorder(ledger, hashes, numbers, catalogue.version, "query")
    line = Line(
        graphql_schema(catalogue), policy, control, cases, Loads(sources), recorder, index, limits, terms, cursors
    )
    keys = Keys(settings.identity.jwks)
    verifier = Verifier(settings.identity.issuer, settings.identity.audience, keys, catalogue.departments)
    return Rooms(catalogue, sources, cases, control, policy, ledger, integrator, index, line, verifier)


def integrator_of(settings: Settings, store: Store) -> Integrator:
    """What seals this store. WrongSettings if its key or its name is missing, or its tree cannot be hashed so here."""
    ledger = settings.ledger
    if not ledger.origin:
        raise WrongSettings(
            ["ledger.origin: missing; name this ledger like ledger.example.gov.cn/onesource, once and for all"]
        )
    if ledger.signing_key_file is None:
        raise WrongSettings(
            ["ledger.signing_key_file: missing; make one: openssl genpkey -algorithm ed25519 -out FILE"]
        )
    try:
        signer, hashing = read_signer(ledger.signing_key_file, ledger.origin), TreeHash(ledger.hash)
    except (OSError, ValueError) as error:
        raise WrongSettings([f"ledger.signing_key_file: {error}"]) from None
    return Integrator(store, hashing, ledger.origin, signer, ledger.export, ledger.unsealed)


def _base(settings: Settings, catalogue: Catalogue) -> Snapshot:
    """The catalogue's own rules; WrongSettings if they are not sound, or nobody supervises."""
    if settings.policy.supervisor not in catalogue.departments:
        raise WrongSettings([f"policy.supervisor: there is no department {settings.policy.supervisor!r}"])
    try:
        lint_roles(ROLE_LINKS)
        return Snapshot(catalogue, rules_from(catalogue))
    except RuleError as error:
        raise WrongSettings([str(problem) for problem in error.problems]) from None


def application(
    rooms: Rooms, settings: Settings, prefill: Prefill = lambda: None, shipped: Iterable[str] = ()
) -> Starlette:
    """The ASGI application over composed rooms; `shipped` are operations that run in production without being registered."""

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        await rooms.open()
        gc.collect()
        gc.freeze()  # the schema and the catalogue stay: no collection need look at their objects again
        gc.set_threshold(20_000, 10, 10)  # a request's objects go by their counts: look for cycles less often
        _LOG.info("serving policy %s, catalogue %s", rooms.policy.version, rooms.catalogue.version)
        yield
        await rooms.close()

    async def ready(_: Request) -> Response:
        return await _ready(rooms)

    operations = TrustedOperations(rooms.control, settings.server.mode is Mode.PRODUCTION, shipped)
    limiter = Limiter(settings.rates.rates())
    endpoint = Endpoint(rooms.line, rooms.verifier, limiter, operations, settings.server.max_body)
    develops = settings.server.mode is Mode.DEVELOPMENT
    routes: list[BaseRoute] = [
        Route("/graphql", endpoint),
        Route("/health/live", lambda _: _json({"status": "live"})),
        Route("/health/ready", ready),
        *checkpoint_routes(rooms.ledger.store, settings.ledger.hash),
    ]
    if develops:  # a page that writes operations is of no use where only registered ones run
        routes += [Route("/", lambda _: RedirectResponse("/graphiql")), *graphiql_routes("/graphql", prefill)]
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
        rooms.policy.snapshot()
    except PolicyUnavailable:
        wrong.append("policy")
    try:
        await asyncio.to_thread(rooms.ledger.head)
    except StoreUnavailable:
        wrong.append("ledger")
    if rooms.integrator.overdue():
        wrong.append("unsealed")
    if wrong:
        return _json({"status": "unready", "because": wrong}, 503)
    unsealed = rooms.integrator.state.because  # told long before it is overdue
    return _json({"status": "ready"} | ({"unsealed": unsealed} if unsealed else {}))


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
