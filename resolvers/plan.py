"""Plan: which resources, which items, for which entity, in the shape of the answer.

A plan is pure: it comes from the document, the catalogue and the values of `@include`/`@skip` alone, and is kept on its operation.
It holds no identifier, no caller and no decision.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from graphql import DocumentNode, FieldNode, FragmentDefinitionNode, OperationDefinitionNode, SelectionSetNode
from graphql.execution.values import VariableValues

from resolvers.operation import Collected, Operation, collect
from schema.catalogue import Catalogue, Entity, Item, Relation, Resource
from schema.names import connection_type, search_field, verdicts_type, verification_field

Path = tuple[str | int, ...]
_MAX_VARIANTS = 64


@dataclass(frozen=True, slots=True)
class ItemCell:
    """A cell of a record that holds an item's value."""

    key: str
    item: Item


@dataclass(frozen=True, slots=True)
class ProvenanceCell:
    """A cell of a record that holds its provenance; `parts` are (response key, field of `Provenance`)."""

    key: str
    parts: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class ConstantCell:
    """A cell whose value is the same for every object: `__typename`."""

    key: str
    value: str


@dataclass(frozen=True, slots=True)
class IdentifierCell:
    """A cell of an entity that repeats its identifier."""

    key: str


@dataclass(frozen=True, eq=False)
class ResourceNode:
    """The records of one resource, of every entity of the node above: one statement."""

    key: str
    path: Path
    resource: Resource
    cells: tuple[ItemCell | ProvenanceCell | ConstantCell, ...]

    @property
    def reads(self) -> bool:
        """Whether an item is read; asking for a record without any of its items tells that it exists."""
        return any(isinstance(cell, ItemCell) for cell in self.cells)

    @property
    def items(self) -> tuple[Item, ...]:
        """The items used, each once; where none is read, the key, whose existence is asked for."""
        asked = {cell.item.name: cell.item for cell in self.cells if isinstance(cell, ItemCell)}
        return tuple(asked.values()) or (self.resource.items[self.resource.key or ""],)


@dataclass(frozen=True, eq=False)
class VerificationNode:
    """Items of a resource compared with what the caller types; the expected values are coerced per request from `field`."""

    key: str
    path: Path
    resource: Resource
    owner: str
    field: FieldNode
    cells: tuple[ItemCell | ConstantCell, ...]

    @property
    def items(self) -> tuple[Item, ...]:
        """The items asked about, each once."""
        return tuple({c.item.name: c.item for c in self.cells if isinstance(c, ItemCell)}.values())


@dataclass(frozen=True, eq=False)
class RelationNode:
    """The way from entities to others, through the resource that holds both identifiers: one statement."""

    key: str
    path: Path
    resource: Resource
    relation: Relation
    forward: bool
    target: EntityNode

    @property
    def many(self) -> bool:
        return self.relation.many if self.forward else self.relation.inverse_many

    @property
    def near(self) -> str:
        """The item that holds the identifier of this side."""
        return (self.resource.key or "") if self.forward else self.relation.item

    @property
    def far(self) -> str:
        """The item that holds the identifier of the other side."""
        return self.relation.item if self.forward else (self.resource.key or "")


@dataclass(frozen=True, eq=False)
class EntityNode:
    """What is asked of entities of one kind at one place."""

    entity: Entity
    path: Path
    cells: tuple[IdentifierCell | ConstantCell | ResourceNode | VerificationNode | RelationNode, ...]


@dataclass(frozen=True, eq=False)
class RootNode:
    """A governed root field; its arguments are coerced per request from `field`."""

    key: str
    field: FieldNode
    entity: Entity
    plural: bool
    target: EntityNode


@dataclass(frozen=True, slots=True)
class PartsCell:
    """A cell that holds an object of few plain fields: `parts` are (response key, field)."""

    key: str
    parts: tuple[tuple[str, str], ...]


@dataclass(frozen=True, eq=False)
class EdgesCell:
    """The edges of a page: `parts` are (response key, field), where the field `node` is one of `nodes`, by its key."""

    key: str
    parts: tuple[tuple[str, str], ...]
    nodes: Mapping[str, ResourceNode]


@dataclass(frozen=True, slots=True)
class TotalCell:
    """A cell that holds how many records there are."""

    key: str


@dataclass(frozen=True, eq=False)
class SearchNode:
    """A root search: a page of a resource's records; its arguments are coerced per request from `field`."""

    key: str
    field: FieldNode
    resource: Resource
    cells: tuple[EdgesCell | PartsCell | TotalCell | ConstantCell, ...]

    @property
    def nodes(self) -> tuple[ResourceNode, ...]:
        """The places at which records are shown."""
        return tuple(node for cell in self.cells if isinstance(cell, EdgesCell) for node in cell.nodes.values())

    @property
    def totals(self) -> tuple[str, ...]:
        """The keys under which the number of records is asked for."""
        return tuple(cell.key for cell in self.cells if isinstance(cell, TotalCell))


@dataclass(frozen=True, eq=False)
class Plan:
    """Governed roots and searches, and what is left for graphql-core as a document of its own. `keys` is the order of the answer."""

    keys: tuple[str, ...]
    roots: tuple[RootNode, ...]
    searches: tuple[SearchNode, ...]
    rest: DocumentNode | None
    rest_fields: tuple[str, ...]
    acting: int
    """How many root fields it has beside introspection."""
    prepared: dict[Any, Any] = field(default_factory=dict)
    """Decisions for this plan, kept by `resolvers.restrict`."""

    @cached_property
    def verifications(self) -> tuple[VerificationNode, ...]:
        """Every verification, wherever it stands."""
        found: list[VerificationNode] = []
        todo = [root.target for root in self.roots]
        while todo:
            for cell in todo.pop().cells:
                if isinstance(cell, RelationNode):
                    todo.append(cell.target)
                elif isinstance(cell, VerificationNode):
                    found.append(cell)
        return tuple(found)


@dataclass(frozen=True, slots=True)
class Routes:
    """Where the fields of the generated types lead."""

    roots: Mapping[str, tuple[Entity, bool]]
    searches: Mapping[str, Resource]
    edges: Mapping[tuple[str, str], Resource]
    verifications: Mapping[tuple[str, str], Resource]
    relations: Mapping[tuple[str, str], tuple[Resource, Relation, bool]]
    entities: Mapping[str, Entity]


def routes(catalogue: Catalogue) -> Routes:
    """The routes of a catalogue, as `schema.types` generated the fields."""
    roots = {}
    for entity in catalogue.entities.values():
        roots[entity.root] = (entity, False)
        roots[entity.plural] = (entity, True)
    searches = {}
    edges = {}
    verifications = {}
    relations = {}
    for resource in catalogue.resources.values():
        if not resource.connected or not resource.entity:
            continue
        edges[resource.entity, resource.field] = resource
        if resource.search:
            searches[search_field(resource.field, many=resource.many)] = resource
        verifications[resource.entity, verification_field(resource.name)] = resource
        for relation in resource.relations:
            relations[resource.entity, relation.name] = (resource, relation, True)
            if relation.inverse:
                relations[relation.to, relation.inverse] = (resource, relation, False)
    return Routes(roots, searches, edges, verifications, relations, catalogue.entities)


def plan_of(operation: Operation, variables: VariableValues, known: Routes) -> Plan:
    """The plan of this operation under these variables."""
    # a fragment of another operation in the document may name variables that this one lacks
    values = {name: bool(variables.coerced.get(name)) for name in operation.conditions}
    variant = tuple(values.values())
    plan = operation.variants.get(variant)
    if plan is None:
        plan = _Planner(operation, values, known).plan()
        if len(operation.variants) >= _MAX_VARIANTS:
            operation.variants.clear()
        operation.variants[variant] = plan
    assert isinstance(plan, Plan)
    return plan


class _Planner:
    def __init__(self, operation: Operation, conditions: Mapping[str, bool], known: Routes) -> None:
        self._operation = operation
        self._conditions = conditions
        self._known = known

    def plan(self) -> Plan:
        collected = self._collect([self._operation.definition.selection_set])
        governed = self._known.roots if self._operation.is_query else {}
        searched = self._known.searches if self._operation.is_query else {}
        roots: list[RootNode] = []
        searches: list[SearchNode] = []
        rest: list[FieldNode] = []
        for key, nodes in collected.items():
            name = nodes[0].name.value
            if name in governed:
                entity, plural = governed[name]
                target = self._entity(entity, (key,), self._below(nodes))
                roots.append(RootNode(key, nodes[0], entity, plural, target))
            elif name in searched:
                searches.append(self._search(key, nodes, searched[name]))
            else:
                rest += nodes
        fields = tuple(dict.fromkeys(node.name.value for node in rest))
        acting = sum(not nodes[0].name.value.startswith("__") for nodes in collected.values())
        return Plan(tuple(collected), tuple(roots), tuple(searches), self._rest(rest) if rest else None, fields, acting)

    def _rest(self, nodes: list[FieldNode]) -> DocumentNode:
        """A document with only these root fields, for graphql-core."""
        whole = self._operation.definition
        definition = OperationDefinitionNode(
            operation=whole.operation,
            name=whole.name,
            variable_definitions=whole.variable_definitions,
            directives=whole.directives,
            selection_set=SelectionSetNode(selections=tuple(nodes)),
        )
        fragments: tuple[FragmentDefinitionNode, ...] = tuple(self._operation.fragments.values())
        return DocumentNode(definitions=(definition, *fragments))

    def _collect(self, selection_sets: list[SelectionSetNode]) -> Collected:
        return collect(self._operation, selection_sets, self._conditions)

    def _below(self, nodes: list[FieldNode]) -> Collected:
        return self._collect([node.selection_set for node in nodes if node.selection_set])

    def _entity(self, entity: Entity, path: Path, collected: Collected) -> EntityNode:
        return EntityNode(entity, path, tuple(self._entity_cells(entity, path, collected)))

    def _entity_cells(
        self, entity: Entity, path: Path, collected: Collected
    ) -> Iterator[IdentifierCell | ConstantCell | ResourceNode | VerificationNode | RelationNode]:
        for key, nodes in collected.items():
            name = nodes[0].name.value
            place = (*path, key)
            if name == "__typename":
                yield ConstantCell(key, entity.name)
            elif name == entity.identifier:
                yield IdentifierCell(key)
            elif resource := self._known.edges.get((entity.name, name)):
                yield ResourceNode(key, place, resource, tuple(self._record_cells(resource, self._below(nodes))))
            elif resource := self._known.verifications.get((entity.name, name)):
                cells = tuple(self._verdict_cells(resource, self._below(nodes)))
                yield VerificationNode(key, place, resource, entity.name, nodes[0], cells)
            else:
                through, relation, forward = self._known.relations[entity.name, name]
                other = self._known.entities[relation.to if forward else through.entity or ""]
                target = self._entity(other, place, self._below(nodes))
                yield RelationNode(key, place, through, relation, forward, target)

    def _search(self, key: str, nodes: list[FieldNode], resource: Resource) -> SearchNode:
        cells: list[EdgesCell | PartsCell | TotalCell | ConstantCell] = []
        for name, below in self._below(nodes).items():
            field = below[0].name.value
            if field == "__typename":
                cells.append(ConstantCell(name, connection_type(resource.name)))
            elif field == "totalCount":
                cells.append(TotalCell(name))
            elif field == "pageInfo":
                cells.append(PartsCell(name, self._parts(below)))
            else:
                cells.append(self._edges((key, name), name, below, resource))
        return SearchNode(key, nodes[0], resource, tuple(cells))

    def _edges(self, path: Path, key: str, nodes: list[FieldNode], resource: Resource) -> EdgesCell:
        shown = {
            name: ResourceNode(name, (*path, name), resource, tuple(self._record_cells(resource, self._below(below))))
            for name, below in self._below(nodes).items()
            if below[0].name.value == "node"
        }
        return EdgesCell(key, self._parts(nodes), shown)

    def _parts(self, nodes: list[FieldNode]) -> tuple[tuple[str, str], ...]:
        return tuple((key, below[0].name.value) for key, below in self._below(nodes).items())

    def _record_cells(
        self, resource: Resource, collected: Collected
    ) -> Iterator[ItemCell | ProvenanceCell | ConstantCell]:
        for key, nodes in collected.items():
            name = nodes[0].name.value
            if name == "__typename":
                yield ConstantCell(key, resource.name)
            elif name == "provenance":
                yield ProvenanceCell(key, self._parts(nodes))
            else:
                yield ItemCell(key, resource.items[name])

    def _verdict_cells(self, resource: Resource, collected: Collected) -> Iterator[ItemCell | ConstantCell]:
        for key, nodes in collected.items():
            name = nodes[0].name.value
            if name == "__typename":
                yield ConstantCell(key, verdicts_type(resource.name))
            else:
                yield ItemCell(key, resource.items[name])
