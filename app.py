"""Composes everything: the rooms, the ASGI application, the `onesource` command."""

from __future__ import annotations

import asyncio
import gc
import logging
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Set
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import orjson
import sqlalchemy as sa
import strawberry
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from audit.archive import ArchivedStore
from audit.checkpoint import read_signer, read_witness_key
from audit.frame import SubjectHash
from audit.hours import unknown_holidays
from audit.index import Index
from audit.integrator import Integrator
from audit.ledger import Ledger
from audit.merkle import TreeHash
from audit.store import Store, StoreUnavailable
from audit.stores import store_at
from audit.subjects import ListProofs
from audit.verify_offline import Key
from connectors.grants import grants
from connectors.kinds import connect
from connectors.settings import Connection, SqlConnection
from policies.archive import keep
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
from resolvers.citizens import CitizenQueries
from resolvers.corrections import CorrectionMutations, CorrectionQueries
from resolvers.cursors import Cursors
from resolvers.disclose import Recorder
from resolvers.divergence import DivergenceQueries
from resolvers.fetch import Loads
from resolvers.grants import GrantMutations, GrantQueries
from resolvers.http import Endpoint
from resolvers.identities import Identities
from resolvers.line import Line, Terms
from resolvers.metrics import metrics_routes
from resolvers.operation import Limits
from resolvers.rates import Limiter
from resolvers.reidentify import ReidentificationMutations, ReidentificationQueries
from resolvers.source_states import SourceQueries
from resolvers.sources import Allowance, Source
from resolvers.suspensions import SuspensionMutations, SuspensionQueries
from resolvers.trusted import TrustedOperations
from schema.catalogue import Catalogue, Department, Resource
from schema.load import load_catalogue
from schema.types import build_schema
from settings import Mode, Settings, WrongSettings, password_of, secret_in
from web.graphiql import GraphiQLPrefill, graphiql_routes
from web.sources import DOCUMENT as SOURCES
from web.sources import sources_routes

_LOG = logging.getLogger("onesource")
_LOOKING_SECONDS = 1.0
_LEAST_TOKEN = 16
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
        # a dead department keeps nobody waiting: what has not answered by then is looked after in the background
        if looking := [source.begin() for source in set(self.sources.values())]:
            await asyncio.wait(looking, timeout=_LOOKING_SECONDS)

    async def close(self) -> None:
        await self.policy.close()
        await asyncio.gather(*(source.close() for source in set(self.sources.values())))
        await self.integrator.close()
        await self.ledger.close()
        await self.index.close()
        self.control.close()
        self.cases.close()


def graphql_schema(catalogue: Catalogue) -> strawberry.Schema:
    """The whole schema: what the catalogue generates, beside cases, grants, suspensions and audit."""
    owners = (
        CaseQueries,
        DivergenceQueries,
        AuditQueries,
        CorrectionQueries,
        ReidentificationQueries,
        GrantQueries,
        SuspensionQueries,
        AccessQueries,
        CitizenQueries,
        SourceQueries,
    )
    queries = [field for owner in owners for field in fields_of(owner)]
    changing = (CaseMutations, GrantMutations, SuspensionMutations, CorrectionMutations, ReidentificationMutations)
    mutations = [field for owner in changing for field in fields_of(owner)]
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


def ledger_store(settings: Settings) -> ArchivedStore:
    """The ledger's store with its sealed months, not yet open. WrongSettings if its password cannot be read."""
    return ArchivedStore(store_at(ledger_urls(settings)[0], settings.ledger.timeout), settings.ledger.archive)


def compose(settings: Settings, catalogue: Catalogue) -> Rooms:
    """The rooms that these settings describe. WrongSettings if something that they name is missing."""
    try:
        hashes = SubjectHash(settings.ledger.secret_bytes())
        former = tuple(map(SubjectHash, settings.ledger.former_secrets()))
        cases = CaseStore(settings.cases.url, settings.cases.secret_bytes())
    except (OSError, ValueError) as error:
        raise WrongSettings([f"secrets of cases and ledger: {error}"]) from None
    sources = _sources(settings, catalogue)
    for url in (settings.cases.url, settings.ledger.url, settings.ledger.index_url):
        _make_folder(url)
    ledger = Ledger(ledger_store(settings), settings.ledger.timeout)
    try:
        ledger.open()
        coordinates = [f"{r.name}.{item}" for r in catalogue.resources.values() for item in r.items]
        numbers = ledger.item_numbers(coordinates)
    except StoreUnavailable as error:
        raise WrongSettings([f"ledger.url: the ledger cannot be opened ({error.__cause__ or error})"]) from None
    integrator = integrator_of(settings, ledger.store)
    ledger.overdue = integrator.overdue
    index = Index(ledger_urls(settings)[1], ledger)
    control = control_of(settings)
    kept = partial(keep, ledger.store)
    policy = Policy(_base(settings, catalogue), control, settings.policy.lease, kept)
    terms = Terms(settings.policy.supervisor, settings.policy.verify_attempts, settings.policy.verify_days)
    cursors = Cursors(settings.cases.secret_bytes())
    limits = Limits(**settings.limits.model_dump(), introspection=settings.server.mode is Mode.DEVELOPMENT)
    recorder = Recorder(ledger, hashes, numbers, catalogue.version, "query", identities_of(settings), former)
    lists = ListProofs(ledger.store, TreeHash(settings.ledger.hash), witnesses_of(settings))
    line = Line(
        graphql_schema(catalogue),
        policy,
        control,
        cases,
        Loads(sources),
        recorder,
        index,
        limits,
        terms,
        cursors,
        lists,
    )
    keys = Keys(settings.identity.jwks)
    entities = {entity.name: entity.type for entity in catalogue.entities.values()}
    verifier = Verifier(settings.identity.issuer, settings.identity.audience, keys, catalogue.departments, entities)
    return Rooms(catalogue, sources, cases, control, policy, ledger, integrator, index, line, verifier)


def identities_of(settings: Settings) -> Identities:
    """What seals whose the ledger's hashes are. WrongSettings if its key is missing, or is the one that they are hashed under."""
    file = settings.ledger.identities_key_file
    if file is None:
        raise WrongSettings(["ledger.identities_key_file: missing; make one: openssl rand -hex 32 > FILE"])
    try:
        secret = secret_in(file)
    except (OSError, ValueError) as error:
        raise WrongSettings([f"ledger.identities_key_file: {error}"]) from None
    if secret in (settings.ledger.secret_bytes(), settings.cases.secret_bytes()):
        raise WrongSettings(["ledger.identities_key_file: the same as another secret; it needs one of its own"])
    return Identities(secret)


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
    return Integrator(store, hashing, ledger.origin, signer, ledger.export, ledger.unsealed, ledger.subjects)


def witnesses_of(settings: Settings) -> list[Key]:
    """The public keys of the ledger's witnesses. WrongSettings."""
    try:
        return [read_witness_key(file) for file in settings.ledger.witnesses]
    except (OSError, ValueError) as error:
        raise WrongSettings([f"ledger.witnesses: {error}"]) from None


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
        if unknown := unknown_holidays(datetime.now(UTC)):
            _LOG.warning("working hours: %s", unknown)
        _LOG.info("serving policy %s, catalogue %s", rooms.policy.version, rooms.catalogue.version)
        yield
        await rooms.close()
        gc.unfreeze()  # a library that is asked at the end whether all is gone finds it so

    async def ready(_: Request) -> Response:
        return await _ready(rooms)

    shipped = (*shipped, SOURCES)
    operations = TrustedOperations(rooms.control, settings.server.mode is Mode.PRODUCTION, shipped)
    limiter = Limiter(settings.rates.rates())
    endpoint = Endpoint(rooms.line, rooms.verifier, limiter, operations, settings.server.max_body)
    develops = settings.server.mode is Mode.DEVELOPMENT
    routes: list[BaseRoute] = [
        Route("/graphql", endpoint),
        Route("/health/live", lambda _: _json({"status": "live"})),
        Route("/health/ready", ready),
        *checkpoint_routes(rooms.ledger.store, settings.ledger.hash, limiter),
        *metrics_routes(rooms.sources, _metrics_token(settings), open_to_all=settings.demo),
        *sources_routes(partial(_asked, endpoint), prefill, secure=not settings.demo),
    ]
    if develops:  # a page that writes operations is of no use where only registered ones run
        routes += [Route("/", lambda _: RedirectResponse("/graphiql")), *graphiql_routes("/graphql", prefill)]
    starlette = Starlette(routes=routes, lifespan=lifespan)
    starlette.router.redirect_slashes = False  # a redirect would repeat the caller's Host
    return starlette


async def _asked(endpoint: Endpoint, token: str, document: str, address: tuple[str, int]) -> Any:
    """What a page of ours is answered: through the endpoint, like every client."""
    transport = httpx.ASGITransport(endpoint, client=address)
    async with httpx.AsyncClient(transport=transport, base_url="http://onesource") as client:
        answer = await client.post("/graphql", json={"query": document}, headers={"Authorization": f"Bearer {token}"})
    return orjson.loads(answer.content)


def _metrics_token(settings: Settings) -> str:
    """The bearer token of a collector, empty where there is none. WrongSettings if its file cannot be read or holds less than 16 characters."""
    file = settings.server.metrics_token_file
    try:
        token = file.read_text("ascii").strip() if file else ""
    except (OSError, ValueError):
        raise WrongSettings([f"server.metrics_token_file: {file} cannot be read"]) from None
    if file and len(token) < _LEAST_TOKEN:
        raise WrongSettings([f"server.metrics_token_file: a token has {_LEAST_TOKEN} characters at the least"])
    return token


def _json(content: Any, status: int = 200) -> Response:
    return Response(orjson.dumps(content), status, media_type="application/json")


async def _ready(rooms: Rooms) -> Response:
    """Ready when an answer could be given: cases can be read, the ledger written. A dead department does not make it unready."""
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
        await asyncio.to_thread(rooms.ledger.check)
    except StoreUnavailable:
        wrong.append("ledger")
    if rooms.integrator.overdue():
        wrong.append("unsealed")
    if wrong:
        return _json({"status": "unready", "because": wrong}, 503)
    unsealed = rooms.integrator.state.because  # told long before it is overdue
    told = {
        "unsealed": unsealed,
        "uncommitted": rooms.integrator.subjects.because,
        "holidays": unknown_holidays(datetime.now(UTC)),
    }
    return _json({"status": "ready"} | {name: word for name, word in told.items() if word})


def _sources(settings: Settings, catalogue: Catalogue) -> dict[str, Source]:
    """A source for each department that has a connection, one for those that share it; WrongSettings names each that is missing."""
    served: dict[str, list[Department]] = {}
    for department in catalogue.departments.values():
        if department.connection is not None:
            served.setdefault(department.connection, []).append(department)
    for name in settings.connections.keys() - served.keys():
        _LOG.warning("connections.%s: no department of the catalogue has this connection", name)
    if missing := [
        f"connections.{name}: missing, {department.place} needs it"
        for name, departments in served.items()
        if name not in settings.connections
        for department in departments
    ]:
        raise WrongSettings(missing)
    sources: dict[str, Source] = {}
    wrong: list[str] = []
    for name, departments in served.items():
        try:
            source = _source(settings, name, {one.slug for one in departments}, catalogue)
        except WrongSettings as error:
            wrong += error.lines
        else:
            sources |= dict.fromkeys((one.slug for one in departments), source)
    if wrong:
        raise WrongSettings(wrong)
    return sources


def _source(settings: Settings, name: str, departments: Set[str], catalogue: Catalogue) -> Source:
    """The source behind this connection, which holds what these departments provide. WrongSettings if it cannot be asked so."""
    connection = settings.connections[name]
    resources = [one for one in catalogue.resources.values() if one.department in departments and one.connected]
    place = f"connections.{name}.url" if isinstance(connection, SqlConnection) else f"connections.{name}"
    try:
        connector = connect(connection.kind, **connection.arguments(password_of(name, connection)))
    except (ValueError, OSError) as error:  # an OSError is of a certificate: its words are the library's
        why = error if isinstance(error, ValueError) else f"its certificates cannot be used ({type(error).__name__})"
        raise WrongSettings([f"{place}: {why}"]) from None
    if wrong := _unasked(resources, name, connection):
        raise WrongSettings(wrong)
    allowance = Allowance(connection.calls, connection.queue, connection.batch, settings.sources.retries)
    return Source(connector, connection.timeout, allowance, settings.sources.thresholds(), resources)


def rights_of(settings: Settings, catalogue: Catalogue, name: str) -> str:
    """The least rights that a connection's account needs, as SQL; WrongSettings if it is none of the settings or of no department."""
    connection = settings.connections.get(name)
    if connection is None:
        raise WrongSettings([f"there is no connection {name!r}; one of: {', '.join(settings.connections)}"])
    slugs = {one.slug for one in catalogue.departments.values() if one.connection == name}
    if not slugs:
        raise WrongSettings([f"no department of the catalogue has the connection {name!r}"])
    if not isinstance(connection, SqlConnection):
        raise WrongSettings([f"connections.{name} is no database: it has no account to grant anything to"])
    return grants(connection.url, [one for one in catalogue.resources.values() if one.department in slugs])


def _unasked(resources: Iterable[Resource], name: str, connection: Connection) -> list[str]:
    """A problem for each resource that its kind of source cannot be asked for."""
    named, needed = ("a table", "`http`") if connection.kind == "rest" else ("`http`", "a table")
    return [
        f"{resource.place} resource {resource.name} names {named}, but connections.{name} "
        f"is of the kind {connection.kind}, which needs {needed}"
        for resource in resources
        if (resource.http is not None) is not (connection.kind == "rest")
    ]


def _make_folder(url: str) -> None:
    parsed = sa.make_url(url)
    if parsed.get_backend_name() == "sqlite" and parsed.database:
        Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)


def main() -> None:
    """The `onesource` command."""
    from terminal.command import command

    command()
