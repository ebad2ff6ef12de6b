"""The line: the whole way of a request, from top to bottom.

    identify -> parse, validate -> plan -> authorise -> decide, restrict -> fetch -> shape -> disclose -> respond

Each stage hands a value to the next. Nothing that a caller may not read is fetched; nothing leaves before it is on record; all decisions of one
operation come from one policy snapshot. Root fields that are not generated from the catalogue (cases, audit, introspection) are
executed by graphql-core in the same operation and join the answer in document order.
"""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import orjson
import strawberry
from graphql import ExecutionResult, GraphQLError, GraphQLSchema, execute
from graphql.pyutils import is_awaitable

from audit.index import Index
from policies.cases import CaseStore, CaseStoreUnavailable
from policies.identity import Identity
from policies.snapshot import Snapshot
from resolvers.authorise import authorise
from resolvers.disclose import Act, Recorder
from resolvers.fetch import Loads, fetch
from resolvers.operation import Documents, Limits, Operation, fault_of
from resolvers.plan import Plan, Routes, plan_of, routes
from resolvers.restrict import AllowedRoot, restrict
from resolvers.shape import Shaped, Shaper
from schema.errors import Fault, FieldFault, RequestError, to_graphql
from schema.types import core_schema

_LOG = logging.getLogger("onesource.line")
CHANNEL = "query"
_MAX_INTROSPECTIONS = 16


@dataclass(frozen=True, slots=True)
class Request:
    """A GraphQL request as it came in: the document's text, variables, the operation's name."""

    document: str
    variables: Mapping[str, Any]
    name: str | None


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
            self.line.snapshot.version,
            "attempted",
            fields=(act.field,),
            acts=(act,),
        )


class Line:
    """Answers requests for one catalogue and one policy snapshot."""

    def __init__(
        self,
        schema: strawberry.Schema,
        snapshot: Snapshot,
        cases: CaseStore,
        loads: Loads,
        recorder: Recorder,
        index: Index,
        limits: Limits,
    ) -> None:
        self.snapshot = snapshot
        self.cases = cases
        self.recorder = recorder
        self.index = index
        self._schema: GraphQLSchema = core_schema(schema)
        self._routes: Routes = routes(snapshot.catalogue)
        self._documents = Documents(self._schema, limits)
        self._loads = loads
        self._shaper = Shaper(snapshot.catalogue)
        self._limits = limits
        self._introspections: dict[Operation, ExecutionResult] = {}

    async def answer(self, request: Request, identity: Identity) -> Answer:
        """The answer to an identified caller's request. Never raises: every failure is an answer without data."""
        operation_id = str(uuid.uuid4())
        now = datetime.now(UTC)
        clock = _Clock()
        document = name = ""
        try:
            operation = self._documents.operation(request.document, request.name)
            variables = self._documents.variables(operation, request.variables)
            document, name = operation.digest, operation.name or ""
            clock.lap("parse")
            plan = plan_of(operation, variables, self._routes)
            if plan.acting > self._limits.roots:
                raise RequestError(Fault("QUERY_TOO_LARGE"))
            clock.lap("plan")
            claims = await authorise(
                plan, variables, self._schema, identity, self.cases, self.snapshot.catalogue.services, self._limits, now
            )
            clock.lap("authorise")
            roots = restrict(plan, claims, identity, CHANNEL, self.snapshot, now)
            clock.lap("decide")
            fetched = await fetch(roots, self._loads, self._limits.records)
            clock.lap("fetch")
            shaped = self._shaper.shape(roots, fetched)
            context = Context(identity, now, self, operation_id)
            rest = await self._rest(plan, operation, request, context)
            body = orjson.dumps(_body(plan, shaped, rest, operation_id))
            clock.lap("shape")
            await self.recorder.record(
                operation_id, identity, now, self.snapshot.version, _outcome(roots, rest),
                document=document, name=name, fields=plan.rest_fields, claims=claims, disclosures=shaped.disclosures, acts=context.acts,
            )  # fmt: skip
            clock.lap("disclose")
            return Answer(200, body, clock.laps)
        except RequestError as error:
            return await self._refused(error, operation_id, identity, now, document, name)
        except CaseStoreUnavailable:
            failure = RequestError(Fault("STORE_UNAVAILABLE"))
            return await self._refused(failure, operation_id, identity, now, document, name)
        except Exception as error:
            _LOG.error("operation %s failed: %s", operation_id, type(error).__name__, exc_info=_safe(error))
            failure = RequestError(Fault("INTERNAL"))
            return await self._refused(failure, operation_id, identity, now, document, name)

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
                    operation_id, identity, now, self.snapshot.version, code.lower(), document=document, name=name
                )
            except RequestError as unavailable:
                error = unavailable
        return refusal(error, {"operationId": operation_id})


def refusal(error: RequestError, extensions: Mapping[str, Any] | None = None) -> Answer:
    """The answer to a request that failed as a whole."""
    body: dict[str, Any] = {"errors": [to_graphql(fault) for fault in error.faults]}
    if extensions:
        body["extensions"] = extensions
    return Answer(error.status, orjson.dumps(body))


def _outcome(roots: tuple[AllowedRoot, ...], rest: ExecutionResult | None) -> str:
    if roots and all(not root.claim.granted for root in roots):
        return "denied"
    return "failed" if rest and rest.data is None else "answered"


def _body(plan: Plan, shaped: Shaped, rest: ExecutionResult | None, operation_id: str) -> dict[str, Any]:
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
    body["extensions"] = {"operationId": operation_id}
    return body


def _fault(error: GraphQLError) -> Fault:
    """What an ungoverned field raised, as a fault; what nobody foresaw is INTERNAL and told to the log only."""
    path = tuple(error.path or ())
    cause = error.original_error
    if isinstance(cause, FieldFault):
        return Fault(cause.code, path, cause.reason, cause.extra)
    if isinstance(cause, RequestError):
        return Fault(cause.faults[0].code, path)
    if isinstance(cause, CaseStoreUnavailable):
        return Fault("STORE_UNAVAILABLE", path)
    if cause is None or isinstance(cause, GraphQLError):
        fault = fault_of(error, "VARIABLES_INVALID")
        return Fault(fault.code, path, fault.reason, locations=fault.locations)
    _LOG.error("field failed: %s", type(cause).__name__, exc_info=_safe(cause))
    return Fault("INTERNAL", path)


def _safe(error: BaseException) -> BaseException:
    """The error for the log: its type and traceback without its words, which may hold personal data."""
    return Exception(type(error).__name__).with_traceback(error.__traceback__)


class _Clock:
    def __init__(self) -> None:
        self.laps: dict[str, float] = {}
        self._last = time.perf_counter()

    def lap(self, stage: str) -> None:
        now = time.perf_counter()
        self.laps[stage] = (now - self._last) * 1000
        self._last = now
