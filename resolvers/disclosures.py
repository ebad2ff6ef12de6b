"""Disclosures: what each node of an answer discloses, which is what the ledger keeps.

For every record the outcome of each item is noted as a letter; records with equal outcomes stand together.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from policies.decision import Act, Decision
from resolvers.plan import ConstantCell, EntityNode, IdentifierCell, Path, RelationNode, RootNode, VerificationNode
from resolvers.restrict import AllowedEntity, AllowedRelation, AllowedResource, Used
from resolvers.versions import Version
from schema.catalogue import SubjectClass

RETURNED, ABSENT, MASKED, DENIED, FAILED, JOINED, EXISTS = "R", "A", "M", "D", "F", "J", "E"
"""Outcomes of an item: its value was returned, there was none, it was masked, denied, could not be had; it was used to follow a
relation; it was told that the record exists."""


@dataclass(frozen=True, slots=True)
class Outcomes:
    """The records of one node by their items' outcomes (a letter each): whose each is, and beside it which state of it was shown."""

    groups: dict[str, list[str]] = field(default_factory=dict)
    versions: dict[str, list[Version]] = field(default_factory=dict)

    def note(self, letters: str, key: str, version: Version = None) -> None:
        """Note one record."""
        if letters not in self.groups:
            self.groups[letters], self.versions[letters] = [], []
        self.groups[letters].append(key)
        self.versions[letters].append(version)


@dataclass(frozen=True, slots=True)
class NodeDisclosure:
    """What one node disclosed: `groups` maps the items' outcomes (a letter each) to the entities whose records had them.

    `others` are identifiers of further data subjects that the returned values named, as (entity, identifier). `versions` say which
    state of each record in `groups` was shown; outcomes that told of no row may be left out.
    """

    path: Path
    resource: str
    subject: SubjectClass
    used: Used
    groups: dict[str, list[str]]
    entity: str
    others: frozenset[tuple[str, str]] = frozenset()
    versions: Mapping[str, Sequence[Version]] = field(default_factory=dict)


def of_records(
    allowed: AllowedResource | AllowedRelation, noted: Outcomes, others: frozenset[tuple[str, str]] = frozenset()
) -> NodeDisclosure:
    """What records, or links to others, have disclosed."""
    node = allowed.node
    if isinstance(node, RelationNode):
        entity = (node.resource.entity or "") if node.forward else node.relation.to
    else:
        entity = node.resource.entity or ""
    return NodeDisclosure(
        path=node.path,
        resource=node.resource.name,
        subject=allowed.subject,
        used=allowed.used,
        groups=noted.groups,
        entity=entity,
        others=others,
        versions=noted.versions,
    )


def of_followed(allowed: AllowedRelation, subject: SubjectClass, noted: Outcomes) -> NodeDisclosure:
    """What was told of the records by which a relation was followed backwards: they are of those whom it led to."""
    node, entity = allowed.node, allowed.node.resource.entity or ""
    used = allowed.used.first()
    return NodeDisclosure(node.path, node.resource.name, subject, used, noted.groups, entity, versions=noted.versions)


def of_identifiers(allowed: AllowedEntity, noted: Outcomes) -> NodeDisclosure:
    """What was told by repeating the identifiers of reached entities; their records are noted where the relation is."""
    reached = allowed.identifier
    assert reached
    return NodeDisclosure(
        path=allowed.node.path,
        resource=reached.resource,
        subject=allowed.subject,
        used=Used.of([(reached.item, Act.READ, allowed.subject, reached.decision)]),
        groups=noted.groups,
        entity=allowed.node.entity.name,
    )


def of_root(root: RootNode, keys: Sequence[str]) -> NodeDisclosure:
    """What was told by answering a root of which nothing was asked but the identifiers that were sent."""
    entity = root.entity.name
    others = frozenset((entity, key) for key in keys)
    return NodeDisclosure((root.key,), entity, SubjectClass.SUBJECT, Used(), {}, entity, others)


def of_refused(node: EntityNode, keys: Sequence[str], refusals: Mapping[str, Decision]) -> list[NodeDisclosure]:
    """What a refused root asked for: every item of it, denied under the basis's rule."""
    by_rule: dict[str, tuple[Decision, list[str]]] = {}
    for key in keys:
        by_rule.setdefault(refusals[key].rule_id, (refusals[key], []))[1].append(key)
    entity = node.entity.name
    asked: list[NodeDisclosure] = []
    todo: list[tuple[EntityNode, SubjectClass]] = [(node, SubjectClass.SUBJECT)]
    while todo:
        place, subject = todo.pop()
        for cell in place.cells:
            if isinstance(cell, IdentifierCell | ConstantCell):
                continue
            if isinstance(cell, RelationNode):
                reached = subject.then(cell.relation.subject)
                todo.append((cell.target, reached))
                uses = [(cell.resource.items[cell.relation.item], Act.JOIN, reached)]
            else:
                act = Act.VERIFY if isinstance(cell, VerificationNode) else Act.READ if cell.reads else Act.EXIST
                uses = [(item, act, subject.then(item.subject)) for item in cell.items]
            for refusal, refused in by_rule.values():
                used = Used.of((*use, refusal) for use in uses)
                groups = {DENIED * len(uses): list(refused)}
                asked.append(NodeDisclosure(cell.path, cell.resource.name, subject, used, groups, entity))
    if not asked:  # the root alone: that somebody was asked for is on record all the same
        for rule, (_, refused) in by_rule.items():
            groups = {DENIED: list(refused)}
            asked.append(NodeDisclosure(node.path, entity, SubjectClass.SUBJECT, Used(rules=(rule,)), groups, entity))
    return asked
