"""Authorise: what each governed root claims about its use, and what proves it.

A case belongs to the caller's acting department, is open now, and has the person asked for among its subjects. A scenario is open to the departments of its
service items. Otherwise the reason is a decision like every other. Another department's case reads as unknown: that it exists is nobody else's business.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from graphql import FieldNode, GraphQLError, GraphQLField, GraphQLSchema
from graphql.execution.values import VariableValues, get_argument_values

from policies.cases import MAX_NUMBER, Case, CaseState, CaseStore
from policies.decision import Decision, NextStep
from policies.identity import Identity, Role
from policies.rules import scenario_basis, service_basis
from resolvers.operation import Limits, fault_of
from resolvers.plan import Plan, RootNode
from schema.catalogue import Catalogue, Purpose
from schema.errors import Fault, RequestError, Text

_MAX_NAME = 64


@dataclass(frozen=True, slots=True)
class Proof:
    """What a use's basis proves: `basis` as rules name it, empty where it proves nothing (then `refusal` says why).

    `case`, `service` and `scenario` are what was named, for the record; `subjects` are the case's, as (entity, identifier). `found` is the case as it
    was, whatever it proves.
    """

    basis: str
    case: str = ""
    service: str = ""
    scenario: str = ""
    subjects: frozenset[tuple[str, str]] = frozenset()
    refusal: Decision | None = None
    found: Case | None = None

    @property
    def channel(self) -> str:
        """The mode of sharing (Changsha 31): a scenario is how systems talk to systems, a case is an online query."""
        return "system" if self.scenario else "query"


@dataclass(frozen=True, slots=True)
class Claim:
    """One governed root with its arguments and what its basis proves.

    `keys` are the identifiers asked for, in order, and `refusals` holds a reason for each that the basis does not cover.
    """

    root: RootNode
    keys: tuple[str, ...]
    purpose: Purpose
    proof: Proof
    refusals: dict[str, Decision] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """Where its answer stands."""
        return self.root.key

    @property
    def granted(self) -> tuple[str, ...]:
        """The keys that the basis covers, each once."""
        return tuple(key for key in dict.fromkeys(self.keys) if key not in self.refusals)

    @property
    def subjects(self) -> frozenset[tuple[str, str]]:
        """Who is SUBJECT wherever met: the case's subjects; under a scenario those who are asked for."""
        if self.proof.scenario:
            return frozenset((self.root.entity.name, key) for key in self.keys)
        return self.proof.subjects


async def authorise(
    plan: Plan,
    variables: VariableValues,
    schema: GraphQLSchema,
    identity: Identity,
    cases: CaseStore,
    catalogue: Catalogue,
    limits: Limits,
    now: datetime,
) -> tuple[Claim, ...]:
    """The claims of the plan's governed roots. RequestError for arguments that do not fit or are too many."""
    assert schema.query_type
    asked = []
    for root in plan.roots:
        values = arguments(schema.query_type.fields[root.field.name.value], root.field, variables)
        keys = tuple(values[root.entity.identifiers]) if root.plural else (values[root.entity.identifier],)
        asked.append((root, keys, values["use"]))
    if sum(len(keys) for _, keys, _ in asked) > limits.identifiers:
        raise RequestError(Fault("REQUEST_TOO_LARGE"))
    claims = []
    for root, keys, use in asked:
        proof = await prove(use["basis"], identity, cases, catalogue, now)
        refusals = {}
        for key in keys:
            if proof.refusal:
                refusals[key] = proof.refusal
            elif not proof.scenario and (root.entity.name, key) not in proof.subjects:
                refusals[key] = NOT_A_SUBJECT
        claims.append(Claim(root, keys, Purpose(use["purpose"]), proof, refusals))
    return tuple(claims)


def arguments(definition: GraphQLField, node: FieldNode, variables: VariableValues) -> dict[str, Any]:
    """A field's arguments, coerced; RequestError for those that do not fit."""
    try:
        return get_argument_values(definition, node, variables, hide_suggestions=True)
    except GraphQLError as error:
        raise RequestError(fault_of(error, "VARIABLES_INVALID")) from None


async def prove(
    basis: Mapping[str, Any], identity: Identity, cases: CaseStore, catalogue: Catalogue, now: datetime
) -> Proof:
    """What a coerced `BasisInput` proves for this caller."""
    if "scenario" in basis:
        return by_scenario(str(basis["scenario"]), identity, catalogue)
    number = str(basis["case"])
    case = await cases.find(identity.department, number) if len(number) <= MAX_NUMBER else None
    return by_case(number[:MAX_NUMBER], case, identity, catalogue, now)


def by_scenario(name: str, identity: Identity, catalogue: Catalogue) -> Proof:
    """What a scenario proves for this caller."""
    if identity.role is Role.CLERK:
        return Proof("", scenario=name[:_MAX_NAME], refusal=_FOR_SYSTEMS)
    scenario = catalogue.scenarios.get(name)
    if scenario is None or all(
        catalogue.services[code].department != identity.department for code in scenario.services
    ):
        return Proof("", scenario=name[:_MAX_NAME], refusal=_NO_SCENARIO)
    return Proof(scenario_basis(name), scenario=name)


def by_case(number: str, case: Case | None, identity: Identity, catalogue: Catalogue, now: datetime) -> Proof:
    """What the case of that number proves for this caller; None where there is no such case."""
    service = catalogue.services.get(case.service) if case else None
    if case is None or service is None or service.department != identity.department:
        return Proof("", number, refusal=_UNKNOWN, found=case)
    state = case.state(now)
    if state is not CaseState.OPEN:
        return Proof("", number, refusal=_CLOSED if state is CaseState.CLOSED else _EXPIRED, found=case)
    subjects = frozenset((subject.entity, subject.identifier) for subject in case.subjects)
    return Proof(service_basis(service.code), number, service.code, subjects=subjects, found=case)


def _refusal(rule: str, en: str, zh: str, step: NextStep = NextStep.CHECK_CASE) -> Decision:
    return Decision(False, rule, Text(en, zh), next_step=step)


_UNKNOWN = _refusal("DENY/CASE/UNKNOWN", "your department has no such case", "本部门没有该受理号的办件")
_CLOSED = _refusal("DENY/CASE/CLOSED", "the case is closed", "该办件已办结")
_EXPIRED = _refusal("DENY/CASE/EXPIRED", "the case has expired", "该办件已过期")
NOT_A_SUBJECT = _refusal("DENY/CASE/SUBJECT", "the case has no such subject", "查询对象不是该办件的当事人")
_NO_SCENARIO = _refusal(
    "DENY/SCENARIO/UNKNOWN", "your department has no such scenario", "本部门没有该应用场景", NextStep.APPLY
)
_FOR_SYSTEMS = _refusal(
    "DENY/SCENARIO/ROLE",
    "a scenario is for systems; at the window, open a case",
    "应用场景供系统对接使用；窗口请受理办件",
    NextStep.OPEN_CASE,
)
