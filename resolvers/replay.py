"""Replay: registered operations under two policies, for everybody who could ask, and what the change would disclose or refuse.

Each operation is parsed, planned, decided and restricted as a request is, for every department, each of its service items and scenarios, every
purpose and each reading role, and for every combination of its `@include` and `@skip`. Nothing is fetched. What begins or ends later by a rule's own
time is compared at each such moment too.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from itertools import product
from typing import NamedTuple

from graphql import GraphQLSchema, ObjectValueNode
from graphql.execution.values import VariableValues

from connectors.contract import Condition, Operator, Order
from policies.decision import Decision
from policies.identity import Identity, Role
from policies.rules import scenario_basis, service_basis
from policies.snapshot import Snapshot
from resolvers.authorise import Claim, Proof
from resolvers.cursors import Cursors
from resolvers.explain import explained_nodes, searched_nodes
from resolvers.operation import Documents, Limits
from resolvers.plan import Plan, SearchNode, plan_of, routes
from resolvers.restrict import restrict
from resolvers.search import SearchClaim, restrict_searches
from schema.catalogue import Catalogue, Purpose
from schema.errors import RequestError

READING_ROLES = (Role.CLERK, Role.DEVELOPER)
_MAX_CONDITIONS = 6
_NO_CURSORS = Cursors(bytes(32))  # no page is ever gone on from
_LIMITS = Limits(tokens=100_000, fields=20_000, depth=50, aliases=10_000, cost=10**9, roots=1_000)


class ReplayedUse(NamedTuple):
    """One use of one item in one operation, by whom and for what."""

    operation: str
    department: str
    role: Role
    basis: str
    purpose: Purpose
    coordinate: str
    act: str
    subject: str


class ChangeKind(StrEnum):
    """What became of a use. The first three disclose more than before."""

    DISCLOSED = "DISCLOSED"
    UNMASKED = "UNMASKED"
    """A mask fell away, or became another one: that may show what the old one hid."""
    WIDENED = "WIDENED"
    """A condition on records fell away."""
    REFUSED = "REFUSED"
    MASKED = "MASKED"
    NARROWED = "NARROWED"


DISCLOSING = frozenset({ChangeKind.DISCLOSED, ChangeKind.UNMASKED, ChangeKind.WIDENED})


@dataclass(frozen=True, slots=True)
class Change:
    """One difference, for all `roles` that it is the same for; `since` is when it begins, None for now. A rule is empty where there was no such use."""

    kind: ChangeKind
    use: ReplayedUse
    roles: tuple[Role, ...]
    old_rule: str
    new_rule: str
    since: datetime | None


class TooManyConditions(Exception):
    """An operation has more Boolean variables than can be replayed in all combinations."""


class Side:
    """One policy with its schema, under which operations are replayed."""

    def __init__(self, snapshot: Snapshot, schema: GraphQLSchema) -> None:
        self.snapshot = snapshot
        self._documents = Documents(schema, _LIMITS)
        self._routes = routes(snapshot.catalogue)
        self._callers = tuple(_callers(snapshot.catalogue))

    def plans(self, text: str) -> Mapping[str, tuple[Plan, ...]]:
        """The plans of each operation of a document, by name, one for each combination of its conditions. RequestError if it does not fit the schema."""
        planned = {}
        for name in self._documents.names(text):
            operation = self._documents.operation(text, name or None)
            if len(operation.conditions) > _MAX_CONDITIONS:
                raise TooManyConditions
            planned[name] = tuple(
                plan_of(
                    operation, VariableValues({}, dict(zip(operation.conditions, values, strict=True))), self._routes
                )
                for values in product((True, False), repeat=len(operation.conditions))
            )
        return planned

    def decisions(self, operation: str, plans: Sequence[Plan], at: float) -> dict[ReplayedUse, Decision]:
        """Every decision of these plans, for everybody who could ask, at a moment (Unix seconds)."""
        now = datetime.fromtimestamp(at, UTC)
        for plan in plans:
            plan.prepared.clear()  # kept for clocks that never go back; two files with one text share their plans
        found = {}
        for identity, proof in self._callers:
            for purpose in Purpose:
                who = (operation, identity.department, identity.role, proof.basis, purpose)
                for plan in plans:
                    claims = tuple(Claim(root, (), purpose, proof) for root in plan.roots)
                    roots = restrict(plan, claims, identity, self.snapshot, now)
                    nodes = [node for root in roots for node in explained_nodes(root)]
                    asked = [_search_claim(node, purpose, proof) for node in plan.searches]
                    searches = restrict_searches(asked, identity, self.snapshot, _NO_CURSORS, now)
                    nodes += [node for search in searches if search for node in searched_nodes(search, now)]
                    for one in (one for node in nodes for one in node.uses):
                        use = ReplayedUse(*who, one.use.coordinate, one.use.act.value, one.use.subject.value)
                        found[use] = one.decision
        return found


def _search_claim(node: SearchNode, purpose: Purpose, proof: Proof) -> SearchClaim:
    """A search that chooses and orders by everything that its arguments may name: what variables hold is not known."""
    search, given = node.resource.search, {one.name.value: one.value for one in node.field.arguments or ()}
    assert search
    where = given.get("where")
    chosen = [one.name.value for one in where.fields] if isinstance(where, ObjectValueNode) else search.where
    conditions = tuple(Condition(name, Operator.EQ, ("",)) for name in (chosen if where else ()))
    order = search.order_by if "orderBy" in given else ()
    orders = tuple(Order(name) for name in dict.fromkeys((*order, *search.identity)))
    return SearchClaim(node, conditions, orders, 1, None, purpose, proof)


def _callers(catalogue: Catalogue) -> Iterator[tuple[Identity, Proof]]:
    """Everybody who could ask under some basis."""
    for department in catalogue.departments.values():
        codes = [service.code for service in catalogue.services.values() if service.department == department.slug]
        proofs = [Proof(service_basis(code), service=code) for code in codes]
        proofs += [
            Proof(scenario_basis(scenario.name), scenario=scenario.name)
            for scenario in catalogue.scenarios.values()
            if set(codes) & set(scenario.services)
        ]
        for role in READING_ROLES:
            for proof in proofs:
                yield Identity("", department.slug, role, department.region, "", 0), proof


def moments(old: Snapshot, new: Snapshot, now: float) -> tuple[float, ...]:
    """Now, and each later moment at which a row of either policy begins or ends."""
    times = {
        time
        for snapshot in (old, new)
        for rules in snapshot.groups().values()
        for row in rules.share
        for time in (row.nbf, row.exp)
    }
    turns = {datetime.fromisoformat(time).timestamp() for time in times if not time.startswith(("0001", "9999"))}
    return (now, *sorted(turn for turn in turns if turn > now))


def compare(
    old: Side, new: Side, operations: Mapping[str, str], now: float
) -> tuple[list[Change], dict[str, RequestError]]:
    """What changes from the old policy to the new one for these documents, by name, and those that fit neither schema.

    A document that fits one side only discloses nothing on the other. TooManyConditions for one that cannot be replayed.
    """
    changes: list[Change] = []
    wrong = {}
    if old.snapshot.version == new.snapshot.version:
        return [], {}
    turns = moments(old.snapshot, new.snapshot, now)
    for file, text in operations.items():
        before, no_before = _plans(old, text)
        after, no_after = _plans(new, text)
        if no_before and no_after:
            wrong[file] = no_after
            continue
        for name in dict.fromkeys((*before, *after)):
            operation = f"{file}:{name}" if name else file
            seen: set[tuple[ChangeKind, ReplayedUse]] = set()
            for at in turns:
                was = old.decisions(operation, before.get(name, ()), at)
                will = new.decisions(operation, after.get(name, ()), at)
                fresh = [one for one in _changes(was, will, at, now) if (one.kind, one.use) not in seen]
                seen |= {(one.kind, one.use) for one in fresh}
                changes += fresh
    return _by_roles(changes), wrong


def _plans(side: Side, text: str) -> tuple[Mapping[str, tuple[Plan, ...]], RequestError | None]:
    try:
        return side.plans(text), None
    except RequestError as error:
        return {}, error


def _changes(
    was: Mapping[ReplayedUse, Decision], will: Mapping[ReplayedUse, Decision], at: float, now: float
) -> Iterator[Change]:
    since = None if at == now else datetime.fromtimestamp(at, UTC)
    for use in dict.fromkeys((*was, *will)):
        before, after = was.get(use), will.get(use)
        rules = (before.rule_id if before else "", after.rule_id if after else "")
        for kind in _kinds(before, after):
            yield Change(kind, use, (use.role,), *rules, since)


def _kinds(before: Decision | None, after: Decision | None) -> Iterator[ChangeKind]:
    had, has = bool(before and before.allow), bool(after and after.allow)
    if had is not has:
        yield ChangeKind.DISCLOSED if has else ChangeKind.REFUSED
    elif before and after and has:
        if before.mask != after.mask:
            yield ChangeKind.UNMASKED if before.mask else ChangeKind.MASKED
        if before.rows - after.rows:
            yield ChangeKind.WIDENED
        if after.rows - before.rows:
            yield ChangeKind.NARROWED


def _by_roles(changes: Iterable[Change]) -> list[Change]:
    """Changes that differ in nothing but the role, as one."""
    roles: dict[tuple[object, ...], list[Change]] = {}
    for one in changes:
        rest = one.use._replace(role=Role.CLERK)
        roles.setdefault((one.kind, rest, one.old_rule, one.new_rule, one.since), []).append(one)
    return [
        Change(first.kind, first.use, tuple(one.use.role for one in same), first.old_rule, first.new_rule, first.since)
        for same in roles.values()
        for first in same[:1]
    ]
