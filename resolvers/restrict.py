"""Decide and restrict: the plan without what is denied.

Every use of a field in the plan is decided once - never per row - and what is denied is gone from the plan before anything is
fetched. The result is kept on the plan for callers who are decided alike, until the first of its decisions runs out.

A subject class belongs to each place: a root is the case's subject; across a relation one comes to a related person, and from there to a third party.
Which class a reached entity has is known only when its identifier is: a subject of the case stays SUBJECT wherever it is met.
So each reached entity is prepared for both classes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property
from typing import Protocol

from audit.frame import ACTS, CLASSES
from connectors.contract import Condition, Operator
from policies.decision import END, NEXT_TEXTS, Act, Decision, Use
from policies.identity import Identity
from policies.snapshot import Caller, Snapshot
from resolvers.authorise import Claim, Proof
from resolvers.plan import (
    ConstantCell,
    EntityNode,
    IdentifierCell,
    ItemCell,
    Path,
    Plan,
    RelationNode,
    ResourceNode,
    VerificationNode,
)
from schema.catalogue import Item, ItemType, MaskKind, Purpose, Resource, RowCondition, SubjectClass
from schema.errors import Fault

_MAX_PREPARED = 64


_ACTS = {Act(word): letter for letter, word in ACTS.items()}
_CLASSES = {SubjectClass(word): letter for letter, word in CLASSES.items()}


@dataclass(frozen=True, slots=True)
class Used:
    """The uses that were decided at one place, as frames have them: items, the rule that decided on each, acts, classes, and row conditions."""

    items: tuple[str, ...] = ()
    rules: tuple[str, ...] = ()
    acts: str = ""
    classes: str = ""
    rows: tuple[str, ...] = ()

    @classmethod
    def of(cls, uses: Iterable[tuple[Item, Act, SubjectClass, Decision]]) -> Used:
        """These uses, each with its decision."""
        decided = tuple(uses)
        return cls(
            tuple(item.name for item, *_ in decided),
            tuple(decision.rule_id for *_, decision in decided),
            "".join(_ACTS[act] for _, act, *_ in decided),
            "".join(_CLASSES[subject] for _, _, subject, _ in decided),
            tuple(sorted({row.value for *_, decision in decided if decision.allow for row in decision.rows})),
        )

    def first(self) -> Used:
        """The first of these uses alone."""
        return replace(self, items=self.items[:1], rules=self.rules[:1], acts=self.acts[:1], classes=self.classes[:1])


@dataclass(frozen=True, slots=True)
class RowLimits:
    """Which records of a node are reached at all: those that meet `where`, of grown-up persons only where `adults`.

    One condition holds for the whole node: a record that one of the requested items may not be read of is not there.
    """

    where: tuple[Condition, ...] = ()
    adults: bool = False


@dataclass(frozen=True, eq=False)
class AllowedResource:
    """A resource at one place for one subject class. `columns` are the items to select, in order; `decisions` one for each item used."""

    node: ResourceNode
    subject: SubjectClass
    columns: tuple[str, ...]
    masks: tuple[MaskKind | None, ...]
    decisions: tuple[tuple[Item, Decision], ...]
    faults: tuple[Fault, ...]
    limits: RowLimits
    act: Act

    @property
    def allowed(self) -> bool:
        """False if no requested item is allowed: then nothing is fetched and the answer is null."""
        return bool(self.columns)

    @cached_property
    def used(self) -> Used:
        """The uses of its items."""
        return Used.of((item, self.act, self.subject.then(item.subject), decided) for item, decided in self.decisions)


@dataclass(frozen=True, eq=False)
class AllowedVerification:
    """A verification at one place for one subject class; `decisions` one for each item asked about."""

    node: VerificationNode
    subject: SubjectClass
    decisions: tuple[tuple[Item, Decision], ...]
    faults: tuple[Fault, ...]
    limits: RowLimits

    @property
    def columns(self) -> tuple[str, ...]:
        """The items that may be verified."""
        return tuple(item.name for item, decision in self.decisions if decision.allow)

    @property
    def allowed(self) -> bool:
        return any(decision.allow for _, decision in self.decisions)


@dataclass(frozen=True, eq=False)
class AllowedRelation:
    """A relation at one place for one subject class; `targets` are what may be seen of each class on the other side.

    `named`: whether the other side's identifiers may be read whole; where not, their order must not tell them either.
    """

    node: RelationNode
    subject: SubjectClass
    decisions: tuple[tuple[Item, Decision], ...]
    faults: tuple[Fault, ...]
    limits: RowLimits
    targets: dict[SubjectClass, AllowedEntity]
    named: bool

    @property
    def allowed(self) -> bool:
        return all(decision.allow for _, decision in self.decisions)

    @cached_property
    def used(self) -> Used:
        """The uses of the items that it is followed by."""
        reached = self.subject.then(self.node.relation.subject)
        return Used.of((item, Act.JOIN, reached, decision) for item, decision in self.decisions)


@dataclass(frozen=True, eq=False)
class AllowedEntity:
    """What may be seen of entities at one place, of one subject class.

    `identifier` is set where the answer repeats the identifier of an entity that was reached by a relation: the item that told it,
    and whether it may be read. A root repeats what the caller has sent.
    """

    node: EntityNode
    subject: SubjectClass
    cells: tuple[AllowedCell, ...]
    identifier: ReachedIdentifier | None = None


AllowedCell = IdentifierCell | ConstantCell | AllowedResource | AllowedVerification | AllowedRelation


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
    until: float


def restrict(
    plan: Plan, claims: tuple[Claim, ...], identity: Identity, snapshot: Snapshot, now: datetime
) -> tuple[AllowedRoot, ...]:
    """Each governed root of the plan, restricted to what this caller may see under its basis."""
    alike = tuple((claim.purpose, claim.proof.basis) for claim in claims)
    key = (snapshot.serial, identity.department, identity.role, identity.region, alike)
    at = now.timestamp()
    prepared = plan.prepared.get(key)
    if prepared is None or prepared.until <= at:
        decided = [Restriction.of(snapshot, identity, claim, now) if claim.proof.basis else None for claim in claims]
        roots = [
            work.entity(claim.root.target, SubjectClass.SUBJECT) if work else None
            for work, claim in zip(decided, claims, strict=True)
        ]
        until = min((work.until for work in decided if work), default=END)
        prepared = _Prepared(tuple(roots), until)
        if len(plan.prepared) >= _MAX_PREPARED:
            plan.prepared.clear()
        plan.prepared[key] = prepared
    return tuple(map(AllowedRoot, claims, prepared.roots))


class Claimed(Protocol):
    """What a claim says of its use, whatever is asked under it."""

    @property
    def purpose(self) -> Purpose: ...

    @property
    def proof(self) -> Proof: ...


def row_limits(resource: Resource, decisions: Iterable[Decision], region: str) -> RowLimits:
    """What the allowed ones of these decisions oblige to, for a caller of that region (GB/T 2260)."""
    conditions = {condition for decision in decisions if decision.allow for condition in decision.rows}
    where: tuple[Condition, ...] = ()
    if RowCondition.OWN_REGION in conditions:
        # a caller or a resource without a region has no region of its own: no record is within it
        own = region_prefix(region)
        item = resource.region or resource.key or ""
        within = Condition(item, Operator.STARTS_WITH, (own,))
        where = (within if resource.region and own else Condition(item, Operator.IN, ()),)
    adults = RowCondition.ADULTS in conditions
    if adults and resource.items[resource.key or ""].type is not ItemType.ID_NUMBER:
        # whose age no number tells is no adult: no record is reached
        return RowLimits((Condition(resource.key or "", Operator.IN, ()),))
    return RowLimits(where, adults)


def region_prefix(region: str) -> str:
    """The part of a region's code that the codes of all regions within it begin with; empty for what is no region."""
    if len(region) != 6 or not region.isascii() or not region.isdigit():
        return ""
    return region.removesuffix("00").removesuffix("00") if region.endswith("00") else region


class Restriction:
    """The restriction of one root; `until` is when the first of its decisions must be made anew."""

    def __init__(self, caller: Caller, region: str, at: float) -> None:
        self._caller = caller
        self._region = region
        self._at = at
        self.until = END

    @classmethod
    def of(cls, snapshot: Snapshot, identity: Identity, claim: Claimed, now: datetime) -> Restriction:
        """What decides for this identity under this claim."""
        proof = claim.proof
        caller = snapshot.caller(identity.department, identity.role, proof.channel, claim.purpose, proof.basis)
        return cls(caller, identity.region, now.timestamp())

    def decide(self, coordinate: str, act: Act, subject: SubjectClass) -> Decision:
        decision = self._caller.decide(Use(coordinate, act, subject), self._at)
        self.until = min(self.until, decision.until)
        return decision

    def entity(self, node: EntityNode, subject: SubjectClass, by: RelationNode | None = None) -> AllowedEntity:
        cells: list[AllowedCell] = []
        for cell in node.cells:
            if isinstance(cell, ResourceNode):
                cells.append(self._resource(cell, subject))
            elif isinstance(cell, VerificationNode):
                cells.append(self._verification(cell, subject))
            elif isinstance(cell, RelationNode):
                cells.append(self._relation(cell, subject))
            else:
                cells.append(cell)
        identifier = self._identifier(node, subject, by) if by else None
        return AllowedEntity(node, subject, tuple(cells), identifier)

    def _identifier(self, node: EntityNode, subject: SubjectClass, by: RelationNode) -> ReachedIdentifier | None:
        shown = [cell for cell in node.cells if isinstance(cell, IdentifierCell)]
        if not shown:
            return None
        coordinate = f"{by.resource.name}.{by.far}"
        decision = self.decide(coordinate, Act.READ, subject)
        faults = () if decision.allow else tuple(denied(decision, (*node.path, cell.key), coordinate) for cell in shown)
        return ReachedIdentifier(by.resource.name, by.resource.items[by.far], decision, faults)

    def _resource(self, node: ResourceNode, subject: SubjectClass) -> AllowedResource:
        act = Act.READ if node.reads else Act.EXIST
        decisions = {
            item.name: (item, self.decide(f"{node.resource.name}.{item.name}", act, subject.then(item.subject)))
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
            limits=row_limits(node.resource, (decision for _, decision in allowed), self._region),
            act=act,
        )

    def records(
        self, nodes: Sequence[ResourceNode], subject: SubjectClass
    ) -> tuple[dict[ResourceNode, AllowedResource], list[Decision]]:
        """Places that show the same records, with columns in common, and the decisions on what they show."""
        items = {item.name: item for node in nodes if node.reads for item in node.items}
        decided = {
            name: (item, self.decide(f"{node.resource.name}.{name}", Act.READ, subject.then(item.subject)))
            for node in nodes[:1]
            for name, item in items.items()
        }
        allowed = [(item, decision) for item, decision in decided.values() if decision.allow]
        shown = {}
        for node in nodes:
            faults = tuple(
                denied(decided[cell.item.name][1], (*node.path, cell.key), f"{node.resource.name}.{cell.item.name}")
                for cell in node.cells
                if isinstance(cell, ItemCell) and not decided[cell.item.name][1].allow
            )
            shown[node] = AllowedResource(
                node=node,
                subject=subject,
                columns=tuple(item.name for item, _ in allowed),
                masks=tuple(decision.mask for _, decision in allowed),
                decisions=tuple(decided.values()),
                faults=faults,
                limits=RowLimits(),
                act=Act.READ,
            )
        return shown, [decision for _, decision in allowed]

    def _verification(self, node: VerificationNode, subject: SubjectClass) -> AllowedVerification:
        decisions = tuple(
            (item, self.decide(f"{node.resource.name}.{item.name}", Act.VERIFY, subject.then(item.subject)))
            for item in node.items
        )
        by_name = {item.name: decision for item, decision in decisions}
        faults = tuple(
            denied(by_name[cell.item.name], (*node.path, cell.key), f"{node.resource.name}.{cell.item.name}")
            for cell in node.cells
            if isinstance(cell, ItemCell) and not by_name[cell.item.name].allow
        )
        limits = row_limits(node.resource, (decision for _, decision in decisions), self._region)
        return AllowedVerification(node, subject, decisions, faults, limits)

    def _relation(self, node: RelationNode, subject: SubjectClass) -> AllowedRelation:
        reached = subject.then(node.relation.subject)
        decisions = [
            (node.resource.items[name], self.decide(f"{node.resource.name}.{name}", Act.JOIN, reached))
            for name in dict.fromkeys((node.near, node.far))
        ]
        refused = [(item, decision) for item, decision in decisions if not decision.allow]
        faults = tuple(
            denied(decision, node.path, f"{node.resource.name}.{item.name}") for item, decision in refused[:1]
        )
        targets = {}
        if not refused:
            targets = {kind: self.entity(node.target, kind, node) for kind in {SubjectClass.SUBJECT, reached}}
        # the other side's identifier may be read of fewer records than it may be followed by
        told = [target.identifier.decision for target in targets.values() if target.identifier]
        limits = row_limits(node.resource, [*(decision for _, decision in decisions), *told], self._region)
        named = [self.decide(f"{node.resource.name}.{node.far}", Act.READ, kind) for kind in targets]
        whole = all(decision.allow and not decision.mask for decision in named)
        return AllowedRelation(node, subject, tuple(decisions), faults, limits, targets, whole)


def denied(decision: Decision, path: Path, coordinate: str | None = None) -> Fault:
    """The fault of a denial: reason, rule, and what to do next, in both languages."""
    extra: dict[str, object] = {"ruleId": decision.rule_id}
    if coordinate:
        extra["coordinate"] = coordinate
    if decision.next_step:
        extra["next"] = {"action": decision.next_step.value, **NEXT_TEXTS[decision.next_step].as_dict()}
    return Fault("FIELD_DENIED" if coordinate else "USE_DENIED", path, decision.reason, extra)
