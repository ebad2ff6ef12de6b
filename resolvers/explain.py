"""Explain: what a request would do, and why, told from the very values that a real one is answered by. Nothing is fetched.

A dry run goes through parse, plan, authorise, decide and restrict like every request, and ends where it would ask the departments:
what stands here reads the restricted plan, look-ups and searches, and decides nothing itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from connectors.contract import FetchRequest, Request, SourceError
from policies.decision import END, NEXT_TEXTS, Act, Decision, Use
from policies.snapshot import Snapshot
from resolvers.authorise import Claim
from resolvers.disclosures import NodeDisclosure
from resolvers.fetch import Loads
from resolvers.plan import Path, Plan
from resolvers.restrict import (
    AllowedEntity,
    AllowedRelation,
    AllowedResource,
    AllowedRoot,
    AllowedVerification,
    Used,
)
from resolvers.search import AllowedSearch, SearchClaim, request_of
from resolvers.verify import Expected
from schema.catalogue import Item, Resource, SubjectClass
from schema.errors import to_graphql

SEARCH = "search"


@dataclass(frozen=True, slots=True)
class Decided:
    """One use of one item, with what was decided on it."""

    item: Item
    use: Use
    decision: Decision


@dataclass(frozen=True, slots=True)
class ExplainedNode:
    """What is done with one resource at one place, for entities of one subject class: `request` is what its source would be asked, if at all.

    `act` is SEARCH where records are chosen, ordered and counted.
    """

    path: Path
    resource: Resource
    subject: SubjectClass
    act: Act | str
    uses: tuple[Decided, ...]
    request: Request | None


def explained_nodes(root: AllowedRoot, expected: Expected | None = None) -> Iterator[ExplainedNode]:
    """Every node of a restricted root, reached entities for each class that they may have. `expected` narrows verifications to what was given."""
    if root.allowed:
        yield from _entity(root.allowed, expected)


def searched_nodes(search: AllowedSearch, now: datetime) -> Iterator[ExplainedNode]:
    """What a restricted search uses, and each place at which it shows records."""
    claim = search.claim
    resource, subject = claim.node.resource, claim.subject
    uses = [(item, act, subject.then(item.subject), decision) for item, act, decision in search.used]
    if search.total:
        uses.append((resource.items[resource.key or ""], Act.AGGREGATE, subject, search.total))
    decided = tuple(
        Decided(item, Use(f"{resource.name}.{item.name}", act, whose), decision) for item, act, whose, decision in uses
    )
    request = None if search.faults else request_of(search, now, 0)
    yield ExplainedNode((claim.key,), resource, subject, SEARCH, decided, request)
    for shown in search.shown.values():
        yield replace(_record(shown), request=None)  # the page's own statement has told it


def _entity(allowed: AllowedEntity, expected: Expected | None) -> Iterator[ExplainedNode]:
    for cell in allowed.cells:
        if isinstance(cell, AllowedResource):
            yield _record(cell)
        elif isinstance(cell, AllowedVerification):
            yield _verification(cell, expected)
        elif isinstance(cell, AllowedRelation):
            yield _relation(cell)
            for subject in sorted(cell.targets, key=tuple(SubjectClass).index):
                target = cell.targets[subject]
                yield from _identifier(target, cell)
                yield from _entity(target, expected)


def _record(cell: AllowedResource) -> ExplainedNode:
    node = cell.node
    act = Act.READ if node.reads else Act.EXIST
    uses = tuple(
        Decided(item, Use(f"{node.resource.name}.{item.name}", act, cell.subject.then(item.subject)), decision)
        for item, decision in cell.decisions
    )
    request = _request(node.resource, node.resource.key or "", cell.columns, cell) if cell.allowed else None
    return ExplainedNode(node.path, node.resource, cell.subject, act, uses, request)


def _verification(cell: AllowedVerification, expected: Expected | None) -> ExplainedNode:
    node = cell.node
    uses = tuple(
        Decided(item, Use(f"{node.resource.name}.{item.name}", Act.VERIFY, cell.subject.then(item.subject)), decision)
        for item, decision in cell.decisions
    )
    given = expected.get(node, {}) if expected is not None else cell.columns
    columns = tuple(name for name in cell.columns if name in given)
    request = _request(node.resource, node.resource.key or "", columns, cell) if columns else None
    return ExplainedNode(node.path, node.resource, cell.subject, Act.VERIFY, uses, request)


def _relation(cell: AllowedRelation) -> ExplainedNode:
    node = cell.node
    reached = cell.subject.then(node.relation.subject)
    uses = tuple(
        Decided(item, Use(f"{node.resource.name}.{item.name}", Act.JOIN, reached), decision)
        for item, decision in cell.decisions
    )
    request = _request(node.resource, node.near, (node.far,), cell) if cell.allowed else None
    return ExplainedNode(node.path, node.resource, cell.subject, Act.JOIN, uses, request)


def _identifier(target: AllowedEntity, by: AllowedRelation) -> Iterator[ExplainedNode]:
    """Showing the identifier of a reached entity: the relation's own statement has told it."""
    if shown := target.identifier:
        use = Use(f"{shown.resource}.{shown.item.name}", Act.READ, target.subject)
        decided = (Decided(shown.item, use, shown.decision),)
        path = (*target.node.path, target.node.entity.identifier)
        yield ExplainedNode(path, by.node.resource, target.subject, Act.READ, decided, None)


def _request(
    resource: Resource,
    key: str,
    columns: tuple[str, ...],
    cell: AllowedResource | AllowedVerification | AllowedRelation,
) -> FetchRequest:
    return FetchRequest(resource, key, (), columns, 0, cell.limits.where)


def decisions_of(
    roots: Sequence[AllowedRoot], searches: Sequence[AllowedSearch | None], now: datetime
) -> list[tuple[Path, Use, bool, object, object]]:
    """What was decided at every place, without the rules behind it."""
    nodes = [node for root in roots for node in explained_nodes(root)]
    nodes += [node for search in searches if search for node in searched_nodes(search, now)]
    return [
        (node.path, one.use, one.decision.allow, one.decision.mask, one.decision.rows)
        for node in nodes
        for one in node.uses
    ]


def dry_run(
    plan: Plan,
    roots: Sequence[AllowedRoot],
    searches: Sequence[tuple[SearchClaim, AllowedSearch | None]],
    expected: Expected,
    snapshot: Snapshot,
    now: datetime,
    cost: tuple[int, int],
    loads: Loads | None,
) -> dict[str, Any]:
    """The plan and the decisions as JSON. `cost` is the operation's and the limit; statements are told only where `loads` is given.

    Root fields beside the catalogue are named, and not executed.
    """
    nodes = [
        {"root": root.claim.root.key, **_node(node, snapshot, loads)}
        for root in roots
        for node in explained_nodes(root, expected)
    ]
    nodes += [
        {"root": claim.key, **_node(node, snapshot, loads)}
        for claim, search in searches
        if search
        for node in searched_nodes(search, now)
    ]
    return {
        "policyVersion": snapshot.version,
        "cost": {"cost": cost[0], "limit": cost[1]},
        "roots": [
            *(_root(root.claim, snapshot) for root in roots),
            *(_search(claim, search, snapshot) for claim, search in searches),
        ],
        "nodes": nodes,
        "ungoverned": list(plan.rest_fields),
    }


def _root(claim: Claim, snapshot: Snapshot) -> dict[str, Any]:
    """What a root claims, and each of its identifiers, by place from 0, that its basis does not cover."""
    return {
        "root": claim.root.key,
        "field": claim.root.field.name.value,
        "entity": claim.root.entity.name,
        "purpose": claim.purpose.value,
        "basis": claim.proof.basis or None,
        "channel": claim.proof.channel,
        "refusals": [
            {"index": place, **explained(claim.refusals[key], snapshot)}
            for place, key in enumerate(claim.keys)
            if key in claim.refusals
        ],
    }


def _search(claim: SearchClaim, search: AllowedSearch | None, snapshot: Snapshot) -> dict[str, Any]:
    """What a search claims, and what ends it."""
    refusal = claim.proof.refusal
    return {
        "root": claim.key,
        "field": claim.node.field.name.value,
        "entity": claim.node.resource.entity,
        "purpose": claim.purpose.value,
        "basis": claim.proof.basis or None,
        "channel": claim.proof.channel,
        "refusals": [explained(refusal, snapshot)] if refusal else [],
        "faults": [to_graphql(fault) for fault in search.faults] if search else [],
    }


def _node(node: ExplainedNode, snapshot: Snapshot, loads: Loads | None) -> dict[str, Any]:
    told: dict[str, Any] = {
        "path": list(node.path),
        "resource": node.resource.name,
        "provider": node.resource.department,
        "act": str(node.act),
        "subject": node.subject.value,
        "asked": node.request is not None,
        "items": [_decided(one, snapshot) for one in node.uses],
    }
    if loads and node.request:
        told["statement"] = _statement(node.request, loads)
    return told


def _decided(one: Decided, snapshot: Snapshot) -> dict[str, Any]:
    return {
        "coordinate": one.use.coordinate,
        "title": one.item.title,
        "act": one.use.act.value,
        "subject": one.use.subject.value,
        **explained(one.decision, snapshot),
    }


def _statement(request: Request, loads: Loads) -> str | None:
    """What the source would be sent, without values; None where it has no connection or could not answer."""
    try:
        return loads.source(request.resource).connector.explain(request)
    except SourceError:
        return None


def article_of(decision: Decision, snapshot: Snapshot) -> str | None:
    """The article behind a decision's rule; None for a denial by default, whose reason says it where there is one."""
    try:
        return snapshot.text(decision.rule_id).article
    except KeyError:
        return None


def valid_until(decision: Decision) -> datetime | None:
    """When the decision must be made anew; None if only a change of rules changes it."""
    return None if decision.until >= END else datetime.fromtimestamp(decision.until, UTC)


def explained(decision: Decision, snapshot: Snapshot) -> dict[str, Any]:
    """A decision as JSON: rule, article, reason, obligations, what to do next, and until when it holds."""
    step, until = decision.next_step, valid_until(decision)
    return {
        "allowed": decision.allow,
        "ruleId": decision.rule_id,
        "article": article_of(decision, snapshot),
        "reason": decision.reason.as_dict(),
        "mask": decision.mask.value if decision.mask else None,
        "rows": sorted(condition.value for condition in decision.rows),
        "next": {"action": step.value, **NEXT_TEXTS[step].as_dict()} if step else None,
        "validUntil": until.isoformat() if until else None,
    }


def asked_about(claims: Sequence[Claim | SearchClaim]) -> list[list[NodeDisclosure]]:
    """What goes on record of a dry run: whom each root named, and no item."""
    return [[_named(claim)] for claim in claims]


def _named(claim: Claim | SearchClaim) -> NodeDisclosure:
    if isinstance(claim, SearchClaim):
        resource = claim.node.resource
        return NodeDisclosure((claim.key,), resource.name, claim.subject, Used(), {}, resource.entity or "")
    entity = claim.root.entity.name
    others = frozenset((entity, key) for key in claim.keys)
    return NodeDisclosure((claim.root.key,), entity, SubjectClass.SUBJECT, Used(), {}, entity, others)
