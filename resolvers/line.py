"""The line: the whole way of a request, from top to bottom.

    identify -> parse, validate -> plan -> authorise -> decide, restrict -> fetch -> shape -> disclose -> respond

Each stage hands a value to the next. Nothing that a caller may not read is fetched; nothing leaves before it is on record; all decisions of one
operation come from one policy snapshot. Root fields that are not generated from the catalogue (cases, audit, introspection) are
executed by graphql-core in the same operation and join the answer in document order.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import orjson
import strawberry
from graphql import ExecutionResult, GraphQLError, GraphQLSchema, execute
from graphql.pyutils import is_awaitable

from audit.frame import new_operation_id
from audit.index import Index, IndexIncomplete
from audit.subjects import ListProofs
from policies.cases import CaseStore, CaseStoreUnavailable
from policies.control import Control, ControlUnavailable
from policies.identity import Identity, Role
from policies.live import Policy, PolicyUnavailable
from policies.snapshot import Snapshot
from resolvers.authorise import Claim, authorise
from resolvers.cursors import Cursors
from resolvers.disclose import Act, Recorder
from resolvers.explain import asked_about, decisions_of, dry_run
from resolvers.fetch import Bounds, Loads
from resolvers.operation import Documents, Limits, Operation, cost_of, fault_of
from resolvers.plan import Plan, Routes, plan_of, routes
from resolvers.presence import ClientGone, Gone, while_here
from resolvers.restrict import AllowedRoot, restrict
from resolvers.search import AllowedSearch, SearchClaim, claim_searches, fetch_all, restrict_searches, shape_searches
from resolvers.shape import REFERENCE_ONLY, Shaped, Shaper
from resolvers.sources import Source
from resolvers.verify import Attempts, expectations
from schema.catalogue import Purpose
from schema.errors import Fault, FieldFault, RequestError, to_graphql, wordless
from schema.types import core_schema

_LOG = logging.getLogger("onesource.line")
_MAX_INTROSPECTIONS = 16
_MAX_SIGNED_IN = 100_000


@dataclass(frozen=True, slots=True)
class Request:
    """A GraphQL request as it came in: the document's text, variables, the operation's name; a `dry_run` is explained instead of answered.

    `gone` tells when whoever asked has gone away.
    """

    document: str
    variables: Mapping[str, Any]
    name: str | None
    dry_run: bool = False
    gone: Gone | None = None


@dataclass(slots=True)
class Answer:
    """A response with its HTTP status, `body` as JSON; `timings` are milliseconds by stage."""

    status: int
    body: bytes
    timings: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Context:
    """What resolvers of ungoverned fields get: who asks, when, and the rooms they work in.

    A resolver notes each `Act`, which then stands in the operation's frame; before an act takes effect it is put on record (`intend`).
    """

    identity: Identity
    now: datetime
    line: Line
    snapshot: Snapshot
    operation_id: str
    acts: list[Act] = field(default_factory=list)

    def note(self, act: Act) -> None:
        self.acts.append(act)

    async def intend(self, act: Act) -> None:
        """Return when it is durable that this act is attempted; RequestError LEDGER_UNAVAILABLE if it cannot be: then it must not be."""
        self.note(act)
        await self.line.recorder.record(
            f"{self.operation_id}/{len(self.acts)}",
            self.identity,
            self.now,
            self.snapshot.version,
            "attempted",
            fields=(act.field,),
            acts=(act,),
        )


@dataclass(frozen=True, slots=True)
class Terms:
    """On which terms data is shared: who supervises it (a department's slug), and how often one may try to verify."""

    supervisor: str
    verify_attempts: int
    verify_days: int


class Line:
    """Answers requests for one catalogue under the policy in force."""

    def __init__(
        self,
        schema: strawberry.Schema,
        policy: Policy,
        control: Control,
        cases: CaseStore,
        loads: Loads,
        recorder: Recorder,
        index: Index,
        limits: Limits,
        terms: Terms,
        cursors: Cursors,
        lists: ListProofs,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        new_id: Callable[[], str] = new_operation_id,
    ) -> None:
        """`clock` tells the time of an operation, `new_id` its id."""
        self.policy = policy
        self.control = control
        self.cases = cases
        self.recorder = recorder
        self.index = index
        self.terms = terms
        self.lists = lists
        self._catalogue = policy.base.catalogue
        self._schema: GraphQLSchema = core_schema(schema)
        self._routes: Routes = routes(self._catalogue)
        self._documents = Documents(self._schema, limits)
        self.cursors = cursors
        self._clock = clock
        self._new_id = new_id
        self._loads = loads
        self._shaper = Shaper(self._catalogue)
        self._limits = limits
        self._introspections: dict[Operation, ExecutionResult] = {}
        self._signed_in: set[Identity] = set()

    @property
    def supervisor(self) -> str:
        """The slug of the department that supervises sharing."""
        return self.terms.supervisor

    @property
    def sources(self) -> Mapping[str, Source]:
        """The departments' sources, by slug."""
        return self._loads.sources

    async def answer(self, request: Request, identity: Identity) -> Answer:
        """The answer to an identified caller's request. Never raises: every failure is an answer without data."""
        operation_id = self._new_id()
        now = self._clock()
        clock = _Clock()
        until = time.monotonic() + self._limits.seconds
        document = name = ""
        recording = False
        try:
            if not self.policy.admits(identity):
                raise RequestError(Fault("IDENTITY_DISABLED"))
            snapshot = self.policy.snapshot()
            operation = self._documents.operation(request.document, request.name)
            variables = self._documents.variables(operation, request.variables)
            document, name = operation.digest, operation.name or ""
            clock.lap("parse")
            plan = plan_of(operation, variables, self._routes)
            if plan.acting > self._limits.roots:
                raise RequestError(Fault("QUERY_TOO_LARGE"))
            if identity.role is Role.CITIZEN and not _asks_for_own(plan):
                raise RequestError(Fault("OWN_DISCLOSURES_ONLY"))
            expected = expectations(plan, variables, self._schema, self._catalogue)
            clock.lap("plan")
            claims = await authorise(
                plan, variables, self._schema, identity, self.cases, self._catalogue, self._limits, now
            )
            asked = await claim_searches(
                plan, variables, self._schema, identity, self.cases, self._catalogue, self._limits, now
            )
            claimed: tuple[Claim | SearchClaim, ...] = (*claims, *asked)
            clock.lap("authorise")
            roots = restrict(plan, claims, identity, snapshot, now)
            searches = restrict_searches(asked, identity, snapshot, self.cursors, now)
            clock.lap("decide")
            if request.dry_run:
                cost = cost_of(operation, variables), self._limits.cost
                loads = self._loads if identity.role is Role.DEVELOPER else None
                found = tuple(zip(asked, searches, strict=True))
                told = dry_run(plan, roots, found, expected, snapshot, now, cost, loads)
                return await self._explained(operation_id, identity, now, snapshot, operation, plan, claimed, told)
            bounds = Bounds(self._limits.records, expected, self._attempts(identity, now), now, until)
            fetched, pages = await while_here(fetch_all(roots, searches, self._loads, bounds), request.gone)
            clock.lap("fetch")
            shaped = self._shaper.shape(roots, fetched, bounds)
            shape_searches(asked, searches, pages, self._shaper, self.cursors, shaped, bounds)
            context = Context(identity, now, self, snapshot, operation_id)
            rest = await self._rest(plan, operation, request, context)
            body = orjson.dumps(_body(plan, shaped, rest, claimed, operation_id))
            clock.lap("shape")
            # what was suspended meanwhile does not leave any more
            if claimed and self.policy.snapshot() is not snapshot:
                self._confirm(plan, claims, asked, identity, now, (roots, searches))
            recording = True
            await self.recorder.record(
                operation_id, identity, now, snapshot.version, _outcome(claimed, rest),
                document=document, name=name, fields=plan.rest_fields, claims=claimed, disclosures=shaped.disclosures, acts=context.acts,
            )  # fmt: skip
            clock.lap("disclose")
            return Answer(200, body, clock.laps)
        except asyncio.CancelledError:
            if not recording:  # else the frame is on its way already
                await self._refused(RequestError(Fault("CANCELLED")), operation_id, identity, now, document, name)
            raise
        except Exception as error:
            failure = _failure(error, operation_id)
            return await self._refused(failure, operation_id, identity, now, document, name)

    def _confirm(
        self, plan: Plan, claims: tuple[Claim, ...], asked: tuple[SearchClaim, ...], identity: Identity, now: datetime,
        decided: tuple[Sequence[AllowedRoot], Sequence[AllowedSearch | None]],
    ) -> None:  # fmt: skip
        """RequestError unless the policy in force now decides this operation as it was decided when it began."""
        snapshot = self.policy.snapshot()
        roots = restrict(plan, claims, identity, snapshot, now)
        searches = restrict_searches(asked, identity, snapshot, self.cursors, now)
        if not self.policy.admits(identity) or decisions_of(roots, searches, now) != decisions_of(*decided, now):
            raise RequestError(Fault("POLICY_CHANGED"))

    async def _explained(
        self, operation_id: str, identity: Identity, now: datetime, snapshot: Snapshot, operation: Operation, plan: Plan,
        claims: tuple[Claim | SearchClaim, ...], told: Mapping[str, Any],
    ) -> Answer:  # fmt: skip
        """What the operation would do, and why, once it is on record; no department is asked. RequestError for what is no query."""
        if not operation.is_query:
            raise RequestError(Fault("DRY_RUN_QUERY_ONLY"))
        body = orjson.dumps({"data": {}, "extensions": {"operationId": operation_id, "dryRun": told}})
        await self.recorder.record(
            operation_id, identity, now, snapshot.version, "dry-run", document=operation.digest,
            name=operation.name or "", fields=plan.rest_fields, claims=claims, disclosures=asked_about(claims),
        )  # fmt: skip
        return Answer(200, body)

    async def sign_in(self, identity: Identity) -> None:
        """Return when it is on record that this token was used here for the first time. RequestError LEDGER_UNAVAILABLE if it cannot be."""
        if identity in self._signed_in:
            return
        if len(self._signed_in) >= _MAX_SIGNED_IN:
            self._signed_in.clear()
        self._signed_in.add(identity)
        try:
            await self.recorder.record(self._new_id(), identity, self._clock(), self.policy.version, "signed-in")
        except BaseException:
            self._signed_in.discard(identity)
            raise

    async def refuse(self, error: RequestError, identity: Identity, document: str) -> Answer:
        """The answer to a request that may not run at all; that it was made is on record."""
        with suppress(PolicyUnavailable):
            if not self.policy.admits(identity):
                error = RequestError(Fault("IDENTITY_DISABLED"))
        return await self._refused(error, self._new_id(), identity, self._clock(), document, "")

    def _attempts(self, identity: Identity, now: datetime) -> Attempts:
        terms = self.terms
        return Attempts(
            self.control,
            self.recorder.hashes,
            identity.department,
            now.timestamp(),
            terms.verify_attempts,
            terms.verify_days,
        )

    async def _rest(
        self, plan: Plan, operation: Operation, request: Request, context: Context
    ) -> ExecutionResult | None:
        """The ungoverned root fields, executed by graphql-core. What only introspects is the same for everybody, and kept."""
        if plan.rest is None:
            return None
        introspects = not operation.definition.variable_definitions and all(
            f.startswith("__") for f in plan.rest_fields
        )
        if introspects and operation in self._introspections:
            return self._introspections[operation]
        result = execute(
            self._schema,
            plan.rest,
            context_value=context,
            variable_values=dict(request.variables),
            operation_name=operation.name,
            hide_suggestions=True,
        )
        if is_awaitable(result):
            result = await result
        assert isinstance(result, ExecutionResult)
        if introspects:
            if len(self._introspections) >= _MAX_INTROSPECTIONS:
                self._introspections.clear()
            self._introspections[operation] = result
        return result

    async def _refused(
        self, error: RequestError, operation_id: str, identity: Identity, now: datetime, document: str, name: str
    ) -> Answer:
        """The answer to a request that failed as a whole; that it was made is on record where the ledger can be written."""
        code = error.faults[0].code
        if code != "LEDGER_UNAVAILABLE":
            try:
                await self.recorder.record(
                    operation_id, identity, now, self.policy.version, code.lower(), document=document, name=name
                )
            except RequestError as unavailable:
                error = unavailable
        return refusal(error, {"operationId": operation_id})


def _failure(error: Exception, operation_id: str) -> RequestError:
    """What ends a request, as the error to answer with; what nobody foresaw is INTERNAL and told to the log only."""
    if isinstance(error, RequestError):
        return error
    for kind, code in _CODES.items():
        if isinstance(error, kind):
            return RequestError(Fault(code))
    _LOG.error("operation %s failed: %s", operation_id, wordless(error))
    return RequestError(Fault("INTERNAL"))


_CODES: dict[type[Exception], str] = {
    CaseStoreUnavailable: "STORE_UNAVAILABLE",
    ControlUnavailable: "CONTROL_UNAVAILABLE",
    PolicyUnavailable: "POLICY_UNAVAILABLE",
    ClientGone: "CANCELLED",
    IndexIncomplete: "LEDGER_INDEX_INCOMPLETE",
}


def refusal(error: RequestError, extensions: Mapping[str, Any] | None = None) -> Answer:
    """The answer to a request that failed as a whole."""
    body: dict[str, Any] = {"errors": [to_graphql(fault) for fault in error.faults]}
    if extensions:
        body["extensions"] = extensions
    return Answer(error.status, orjson.dumps(body))


def _asks_for_own(plan: Plan) -> bool:
    """Whether nothing is asked but what a data subject may ask: what was disclosed of the own person, and the schema."""
    governed = plan.roots or plan.searches
    return not governed and all(name == "myDisclosures" or name.startswith("__") for name in plan.rest_fields)


def _outcome(claims: tuple[Claim | SearchClaim, ...], rest: ExecutionResult | None) -> str:
    if claims and all(not claim.granted for claim in claims):
        return "denied"
    return "failed" if rest and rest.data is None else "answered"


def _body(
    plan: Plan, shaped: Shaped, rest: ExecutionResult | None, claims: tuple[Claim | SearchClaim, ...], operation_id: str
) -> dict[str, Any]:
    """The response in document order: governed roots beside those of graphql-core."""
    errors = [to_graphql(fault) for fault in shaped.faults]
    data: dict[str, Any] | None = {}
    beside = rest.data if rest else {}
    if rest:
        errors += [to_graphql(_fault(error)) for error in rest.errors or ()]
    if beside is None:  # a non-null root failed: by GraphQL's rules the whole answer is null
        data = None
    else:
        data = {key: shaped.data[key] if key in shaped.data else beside[key] for key in plan.keys}
    body: dict[str, Any] = {"data": data}
    if errors:
        body["errors"] = errors
    extensions: dict[str, Any] = {"operationId": operation_id}
    body["extensions"] = extensions
    if notices := [_notice(claim) for claim in claims if claim.purpose is Purpose.WORK_REFERENCE]:
        extensions["notices"] = notices
    return body


def _notice(claim: Claim | SearchClaim) -> dict[str, Any]:
    """What marks every record below a root as no basis for a decision (Changsha 31)."""
    return {"path": [claim.key], "usableAsBasis": False, "notice": REFERENCE_ONLY.as_dict()}


def _fault(error: GraphQLError) -> Fault:
    """What an ungoverned field raised, as a fault; what nobody foresaw is INTERNAL and told to the log only."""
    path = tuple(error.path or ())
    cause = error.original_error
    if isinstance(cause, FieldFault):
        return Fault(cause.code, path, cause.reason, cause.extra)
    if isinstance(cause, RequestError):
        return Fault(cause.faults[0].code, path)
    if isinstance(cause, Exception) and (code := _CODES.get(type(cause))):
        return Fault(code, path)
    if cause is None or isinstance(cause, GraphQLError):
        fault = fault_of(error, "VARIABLES_INVALID")
        return Fault(fault.code, path, fault.reason, locations=fault.locations)
    _LOG.error("field failed: %s", wordless(cause))
    return Fault("INTERNAL", path)


class _Clock:
    def __init__(self) -> None:
        self.laps: dict[str, float] = {}
        self._last = time.perf_counter()

    def lap(self, stage: str) -> None:
        now = time.perf_counter()
        self.laps[stage] = (now - self._last) * 1000
        self._last = now
