"""Authorise: what each governed root claims about its use, and whether the case proves it.

The case belongs to the caller's acting department, is open now, and has the person asked for among its subjects; otherwise the reason is a
decision like every other. Another department's case reads as unknown: that it exists is nobody else's business.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from graphql import GraphQLError, GraphQLSchema
from graphql.execution.values import VariableValues, get_argument_values

from policies.cases import MAX_NUMBER, Case, CaseState, CaseStore
from policies.decision import Decision, NextStep
from policies.identity import Identity
from resolvers.operation import Limits, fault_of
from resolvers.plan import Plan, RootNode
from schema.catalogue import Purpose, Service
from schema.errors import Fault, RequestError, Text


@dataclass(frozen=True, slots=True)
class Claim:
    """One governed root with its arguments and what its case proves.

    `keys` are the identifiers asked for, in order, and `refusals` holds a reason for each that the case does not cover. `service` is None
    where the basis itself failed: then every key is refused. `subjects` are the case's, as (entity, identifier).
    """

    root: RootNode
    keys: tuple[str, ...]
    purpose: Purpose
    case_number: str
    service: Service | None
    subjects: frozenset[tuple[str, str]]
    refusals: dict[str, Decision]

    @property
    def granted(self) -> tuple[str, ...]:
        """The keys that the case covers, each once."""
        return tuple(key for key in dict.fromkeys(self.keys) if key not in self.refusals)


async def authorise(
    plan: Plan,
    variables: VariableValues,
    schema: GraphQLSchema,
    identity: Identity,
    cases: CaseStore,
    services: Mapping[str, Service],
    limits: Limits,
    now: datetime,
) -> tuple[Claim, ...]:
    """The claims of the plan's governed roots. RequestError for arguments that do not fit or are too many."""
    asked = [_arguments(root, variables, schema) for root in plan.roots]
    if sum(len(keys) for keys, _, _ in asked) > limits.identifiers:
        raise RequestError(Fault("REQUEST_TOO_LARGE"))
    claims = []
    for root, (keys, purpose, number) in zip(plan.roots, asked, strict=True):
        case = await cases.find(identity.department, number) if len(number) <= MAX_NUMBER else None
        service, refusal = _proved(case, identity, services, now)
        subjects: frozenset[tuple[str, str]] = frozenset()
        if case is not None and refusal is None:
            subjects = frozenset((subject.entity, subject.identifier) for subject in case.subjects)
        refusals = {
            key: refusal or _NOT_A_SUBJECT for key in keys if refusal or (root.entity.name, key) not in subjects
        }
        claims.append(Claim(root, keys, purpose, number[:MAX_NUMBER], service, subjects, refusals))
    return tuple(claims)


def _arguments(
    root: RootNode, variables: VariableValues, schema: GraphQLSchema
) -> tuple[tuple[str, ...], Purpose, str]:
    assert schema.query_type
    definition = schema.query_type.fields[root.field.name.value]
    try:
        values: dict[str, Any] = get_argument_values(definition, root.field, variables, hide_suggestions=True)
    except GraphQLError as error:
        raise RequestError(fault_of(error, "VARIABLES_INVALID")) from None
    keys = tuple(values[root.entity.identifiers]) if root.plural else (values[root.entity.identifier],)
    use = values["use"]
    return keys, Purpose(use["purpose"]), str(use["basis"]["case"])


def _proved(
    case: Case | None, identity: Identity, services: Mapping[str, Service], now: datetime
) -> tuple[Service | None, Decision | None]:
    """The service item that the case proves, or why it proves nothing."""
    service = services.get(case.service) if case else None
    if case is None or service is None or service.department != identity.department:
        return None, _UNKNOWN
    state = case.state(now)
    if state is CaseState.CLOSED:
        return None, _CLOSED
    if state is CaseState.EXPIRED:
        return None, _EXPIRED
    return service, None


def _refusal(rule: str, en: str, zh: str) -> Decision:
    return Decision(False, rule, Text(en, zh), next_step=NextStep.CHECK_CASE)


_UNKNOWN = _refusal("DENY/CASE/UNKNOWN", "your department has no such case", "本部门没有该受理号的办件")
_CLOSED = _refusal("DENY/CASE/CLOSED", "the case is closed", "该办件已办结")
_EXPIRED = _refusal("DENY/CASE/EXPIRED", "the case has expired", "该办件已过期")
_NOT_A_SUBJECT = _refusal("DENY/CASE/SUBJECT", "the case has no such subject", "查询对象不是该办件的当事人")
