"""Decide and restrict: the plan without what is denied.

Every use of a field in the plan is decided once - never per row - and what is denied is gone from the plan before anything is
fetched. The result is kept on the plan for callers who are decided alike, until the first of its decisions runs out.

A subject class belongs to each place: a root is the case's subject; across a relation one comes to a related person, and from there to a third party.
Which class a reached entity has is known only when its identifier is: a subject of the case stays SUBJECT wherever it is met.
So each reached entity is prepared for both classes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

from policies.decision import NEXT_TEXTS, Act, Decision, Use
from policies.identity import Identity
from policies.rules import END
from policies.snapshot import Snapshot
from resolvers.authorise import Claim
from resolvers.plan import (
    ConstantCell,
    EntityNode,
    IdentifierCell,
    ItemCell,
    Path,
    Plan,
    RelationNode,
    ResourceNode,
)
from schema.catalogue import Item, MaskKind, Purpose, Service, SubjectClass
from schema.errors import Fault

_MAX_PREPARED = 64
_Decide = Callable[[Use], Decision]


def _used(decisions: tuple[tuple[Item, Decision], ...]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    return tuple(item.name for item, _ in decisions), tuple(decision.rule_id for _, decision in decisions)


@dataclass(frozen=True, eq=False)
class AllowedResource:
    """A resource at one place for one subject class. `columns` are the items to select, in order; `decisions` one for each item used."""

    node: ResourceNode
    subject: SubjectClass
    columns: tuple[str, ...]
    masks: tuple[MaskKind | None, ...]
    decisions: tuple[tuple[Item, Decision], ...]
    faults: tuple[Fault, ...]

    @property
    def allowed(self) -> bool:
        """False if no requested item is allowed: then nothing is fetched and the answer is null."""
        return bool(self.columns)

    @cached_property
    def used(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """The names of the items used, and the rule that decided on each."""
        return _used(self.decisions)


@dataclass(frozen=True, eq=False)
class AllowedRelation:
    """A relation at one place for one subject class; `targets` are what may be seen of each class on the other side."""

    node: RelationNode
    subject: SubjectClass
    decisions: tuple[tuple[Item, Decision], ...]
    faults: tuple[Fault, ...]
    targets: dict[SubjectClass, AllowedEntity]

    @property
    def allowed(self) -> bool:
        return all(decision.allow for _, decision in self.decisions)

    @cached_property
    def used(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """The names of the items used, and the rule that decided on each."""
        return _used(self.decisions)


@dataclass(frozen=True, eq=False)
class AllowedEntity:
    """What may be seen of entities at one place, of one subject class.

    `identifier` is set where the answer repeats the identifier of an entity that was reached by a relation: the item that told it,
    and whether it may be read. A root repeats what the caller has sent.
    """

    node: EntityNode
    subject: SubjectClass
    cells: tuple[IdentifierCell | ConstantCell | AllowedResource | AllowedRelation, ...]
    identifier: ReachedIdentifier | None = None


@dataclass(frozen=True, slots=True)
class ReachedIdentifier:
    """The item that told the identifier of a reached entity, and the decision on reading it."""

    resource: str
    item: Item
    decision: Decision
    faults: tuple[Fault, ...]


@dataclass(frozen=True, slots=True)
class AllowedRoot:
    """A claim with what may be seen under it; `allowed` is None where the basis itself failed."""

    claim: Claim
    allowed: AllowedEntity | None


@dataclass(frozen=True, slots=True)
class _Prepared:
    roots: tuple[AllowedEntity | None, ...]
    valid_until: datetime


def restrict(
    plan: Plan, claims: tuple[Claim, ...], identity: Identity, channel: str, snapshot: Snapshot, now: datetime
) -> tuple[AllowedRoot, ...]:
    """Each governed root of the plan, restricted to what this caller may see under its basis."""
    alike = tuple((claim.purpose, claim.service.code if claim.service else None) for claim in claims)
    key = (snapshot.version, identity.department, identity.role, channel, alike)
    prepared = plan.prepared.get(key)
    if prepared is None or prepared.valid_until <= now:
        until: list[str] = []

        def decide_for(purpose: Purpose, service: Service) -> _Decide:
            def decide(use: Use) -> Decision:
                decision = snapshot.decide(use, identity, channel, purpose, service, now)
                until.append(decision.valid_until)
                return decision

            return decide

        roots = [
            _entity(claim.root.target, SubjectClass.SUBJECT, decide_for(claim.purpose, claim.service))
            if claim.service
            else None
            for claim in claims
        ]
        prepared = _Prepared(tuple(roots), datetime.fromisoformat(min(until, default=END)))
        if len(plan.prepared) >= _MAX_PREPARED:
            plan.prepared.clear()
        plan.prepared[key] = prepared
    return tuple(map(AllowedRoot, claims, prepared.roots))


def _entity(node: EntityNode, subject: SubjectClass, decide: _Decide, by: RelationNode | None = None) -> AllowedEntity:
    cells: list[IdentifierCell | ConstantCell | AllowedResource | AllowedRelation] = []
    for cell in node.cells:
        if isinstance(cell, ResourceNode):
            cells.append(_resource(cell, subject, decide))
        elif isinstance(cell, RelationNode):
            cells.append(_relation(cell, subject, decide))
        else:
            cells.append(cell)
    identifier = _identifier(node, subject, by, decide) if by else None
    return AllowedEntity(node, subject, tuple(cells), identifier)


def _identifier(node: EntityNode, subject: SubjectClass, by: RelationNode, decide: _Decide) -> ReachedIdentifier | None:
    shown = [cell for cell in node.cells if isinstance(cell, IdentifierCell)]
    if not shown:
        return None
    coordinate = f"{by.resource.name}.{by.far}"
    decision = decide(Use(coordinate, Act.READ, subject))
    faults = () if decision.allow else tuple(denied(decision, (*node.path, cell.key), coordinate) for cell in shown)
    return ReachedIdentifier(by.resource.name, by.resource.items[by.far], decision, faults)


def _resource(node: ResourceNode, subject: SubjectClass, decide: _Decide) -> AllowedResource:
    decisions = {
        item.name: (item, decide(Use(f"{node.resource.name}.{item.name}", Act.READ, subject.then(item.subject))))
        for item in node.items
    }
    allowed = [(item, decision) for item, decision in decisions.values() if decision.allow]
    faults = [
        denied(decisions[cell.item.name][1], (*node.path, cell.key), f"{node.resource.name}.{cell.item.name}")
        for cell in node.cells
        if isinstance(cell, ItemCell) and not decisions[cell.item.name][1].allow
    ]
    if not allowed and not faults:  # nothing but provenance or __typename was asked
        ((item, decision),) = decisions.values()
        faults.append(denied(decision, node.path, f"{node.resource.name}.{item.name}"))
    return AllowedResource(
        node=node,
        subject=subject,
        columns=tuple(item.name for item, _ in allowed),
        masks=tuple(decision.mask for _, decision in allowed),
        decisions=tuple(decisions.values()),
        faults=tuple(faults),
    )


def _relation(node: RelationNode, subject: SubjectClass, decide: _Decide) -> AllowedRelation:
    reached = subject.then(node.relation.subject)
    decisions = []
    for name in dict.fromkeys((node.near, node.far)):
        item = node.resource.items[name]
        decisions.append((item, decide(Use(f"{node.resource.name}.{name}", Act.JOIN, reached))))
    refused = [(item, decision) for item, decision in decisions if not decision.allow]
    faults = tuple(denied(decision, node.path, f"{node.resource.name}.{item.name}") for item, decision in refused[:1])
    targets = {}
    if not refused:
        targets = {kind: _entity(node.target, kind, decide, node) for kind in {SubjectClass.SUBJECT, reached}}
    return AllowedRelation(node, subject, tuple(decisions), faults, targets)


def denied(decision: Decision, path: Path, coordinate: str | None = None) -> Fault:
    """The fault of a denial: reason, rule, and what to do next, in both languages."""
    extra: dict[str, object] = {"ruleId": decision.rule_id}
    if coordinate:
        extra["coordinate"] = coordinate
    if decision.next_step:
        extra["next"] = {"action": decision.next_step.value, **NEXT_TEXTS[decision.next_step].as_dict()}
    return Fault("FIELD_DENIED" if coordinate else "USE_DENIED", path, decision.reason, extra)
