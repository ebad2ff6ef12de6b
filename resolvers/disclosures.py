"""Disclosures: what each node of an answer discloses, which is what the ledger keeps.

For every record the outcome of each item is noted as a letter; records with equal outcomes stand together.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from policies.decision import Decision
from resolvers.plan import EntityNode, Path, RelationNode, ResourceNode, RootNode, VerificationNode
from resolvers.restrict import AllowedEntity, AllowedRelation, AllowedResource
from schema.catalogue import SubjectClass

RETURNED, ABSENT, MASKED, DENIED, FAILED, JOINED, EXISTS = "R", "A", "M", "D", "F", "J", "E"
"""Outcomes of an item: its value was returned, there was none, it was masked, denied, could not be had; it was used to follow a
relation; it was told that the record exists."""


@dataclass(frozen=True, slots=True)
class NodeDisclosure:
    """What one node disclosed: `groups` maps the items' outcomes (a letter each) to the entities whose records had them.

    `others` are identifiers of further data subjects that the returned values named, as (entity, identifier).
    """

    path: Path
    resource: str
    subject: SubjectClass
    items: tuple[str, ...]
    rules: tuple[str, ...]
    groups: dict[str, list[str]]
    entity: str
    others: frozenset[tuple[str, str]] = frozenset()


def of_records(
    allowed: AllowedResource | AllowedRelation, groups: dict[str, list[str]], others: frozenset[tuple[str, str]]
) -> NodeDisclosure:
    """What records, or links to others, have disclosed; `groups` are theirs."""
    node = allowed.node
    if isinstance(node, RelationNode):
        entity = (node.resource.entity or "") if node.forward else node.relation.to
    else:
        entity = node.resource.entity or ""
    return NodeDisclosure(
        path=node.path,
        resource=node.resource.name,
        subject=allowed.subject,
        items=allowed.used[0],
        rules=allowed.used[1],
        groups=dict(groups),
        entity=entity,
        others=others,
    )


def of_identifiers(allowed: AllowedEntity, groups: dict[str, list[str]]) -> NodeDisclosure:
    """What was told by repeating the identifiers of reached entities."""
    reached = allowed.identifier
    assert reached
    return NodeDisclosure(
        path=allowed.node.path,
        resource=reached.resource,
        subject=allowed.subject,
        items=(reached.item.name,),
        rules=(reached.decision.rule_id,),
        groups=dict(groups),
        entity=allowed.node.entity.name,
    )


def of_root(root: RootNode, keys: Sequence[str]) -> NodeDisclosure:
    """What was told by answering a root of which nothing was asked but the identifiers that were sent."""
    entity = root.entity.name
    others = frozenset((entity, key) for key in keys)
    return NodeDisclosure((root.key,), entity, SubjectClass.SUBJECT, (), (), {}, entity, others)


def of_refused(node: EntityNode, keys: Sequence[str], refusals: Mapping[str, Decision]) -> list[NodeDisclosure]:
    """What a refused root asked for: every item of it, denied under the basis's rule."""
    by_rule: dict[str, list[str]] = defaultdict(list)
    for key in keys:
        by_rule[refusals[key].rule_id].append(key)
    asked: list[NodeDisclosure] = []
    todo: list[tuple[EntityNode, SubjectClass]] = [(node, SubjectClass.SUBJECT)]
    while todo:
        place, subject = todo.pop()
        for cell in place.cells:
            if isinstance(cell, RelationNode):
                todo.append((cell.target, subject.then(cell.relation.subject)))
                names: tuple[str, ...] = (cell.relation.item,)
            elif isinstance(cell, ResourceNode | VerificationNode):
                names = tuple(item.name for item in cell.items)
            else:
                continue
            for rule, refused in by_rule.items():
                groups = {DENIED * len(names): list(refused)}
                rules = (rule,) * len(names)
                entity = node.entity.name
                asked.append(NodeDisclosure(cell.path, cell.resource.name, subject, names, rules, groups, entity))
    if not asked:  # the root alone: that somebody was asked for is on record all the same
        entity = node.entity.name
        for rule, refused in by_rule.items():
            groups = {DENIED: list(refused)}
            asked.append(NodeDisclosure(node.path, entity, SubjectClass.SUBJECT, (), (rule,), groups, entity))
    return asked
