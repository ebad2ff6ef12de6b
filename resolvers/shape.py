"""Shape: fetched rows in the form of the answer, and what each of them discloses.

One step a record: its cells are laid out once per restricted node, values are converted and masked as they are read. For every record
the outcome of each item is noted as a letter, which is what the ledger keeps.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any
from weakref import WeakKeyDictionary

from connectors.contract import INVALID, Row
from policies.masks import mask
from resolvers.disclosures import (
    ABSENT,
    DENIED,
    EXISTS,
    FAILED,
    JOINED,
    MASKED,
    RETURNED,
    NodeDisclosure,
    Outcomes,
    of_followed,
    of_identifiers,
    of_records,
    of_refused,
    of_root,
)
from resolvers.fetch import Bounds, Failure, Fetched
from resolvers.plan import (
    ConstantCell,
    IdentifierCell,
    ItemCell,
    Path,
    ProvenanceCell,
    RelationNode,
    ResourceNode,
    VerificationNode,
)
from resolvers.restrict import (
    AllowedEntity,
    AllowedRelation,
    AllowedResource,
    AllowedRoot,
    AllowedVerification,
    denied,
)
from resolvers.verdicts import Verdicts
from resolvers.versions import of_rows, version_of
from schema.catalogue import Catalogue, Item, ItemType, MaskKind, Purpose, Resource, SubjectClass
from schema.errors import Fault, Text
from schema.formats import CHINA

_MAX_INT = 2**31
_Sourced = ResourceNode | RelationNode | VerificationNode


@dataclass(slots=True)
class Shaped:
    """The answer of all governed roots, its faults, and its disclosures for each root."""

    data: dict[str, Any] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    disclosures: list[list[NodeDisclosure]] = field(default_factory=list)


REFERENCE_ONLY = Text(
    "work reference: not to be used as a basis for a decision",
    "仅供工作参考，不得作为行政行为依据",
)
"""What marks every record that is shown as a work reference (Changsha 31, Xianning 15)."""


class _Names(dict[str, Any]):
    """The GraphQL names of a code table's codes; a code that the table lacks is INVALID."""

    def __missing__(self, code: str) -> Any:
        return INVALID


class Shaper:
    """Shapes answers for one catalogue; keeps the layout of each restricted node as long as the node lives."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        self._names = {t.name: _Names({v.code: v.name for v in t.values}) for t in catalogue.codes.values()}
        self._layouts: WeakKeyDictionary[AllowedResource, _Layout] = WeakKeyDictionary()
        self._entity_of = {entity.type: entity.name for entity in catalogue.entities.values()}

    def shape(self, roots: Sequence[AllowedRoot], fetched: Fetched, bounds: Bounds) -> Shaped:
        """The answer to these roots from what was fetched for them."""
        shaped = Shaped()
        for root in roots:
            node, claim = root.claim.root, root.claim
            work = _Shaping(self, fetched, shaped.faults, claim.purpose, bounds)
            values: list[dict[str, Any] | None] = []
            for number, key in enumerate(claim.keys):
                path: Path = (node.key, number) if node.plural else (node.key,)
                if key in claim.refusals or root.allowed is None:
                    shaped.faults.append(denied(claim.refusals[key], path))
                    values.append(None)
                else:
                    values.append(work.entity(root.allowed, key, path))
            shaped.data[node.key] = values if node.plural else values[0]
            refused = [key for key in dict.fromkeys(claim.keys) if key in claim.refusals]
            if refused:
                work.disclosures += of_refused(node.target, refused, claim.refusals)
            disclosed = [*work.disclosures, *work.finished()]
            if claim.granted and len(disclosed) == len(work.disclosures):  # that they are subjects of the case is told
                disclosed.append(of_root(node, claim.granted))
            shaped.disclosures.append(disclosed)
        shaped.faults = _once(shaped.faults)
        return shaped

    def records(
        self,
        allowed: AllowedResource,
        rows: Sequence[Row],
        fetched_at: datetime,
        purpose: Purpose,
        faults: list[Fault],
        bounds: Bounds,
    ) -> tuple[list[dict[str, Any] | None], list[NodeDisclosure]]:
        """The records of one place of a search, and what they disclose."""
        work = _Shaping(self, Fetched(), faults, purpose, bounds)
        noted = work.note_node(allowed)
        shown = [work.record(noted, row, row.key, fetched_at) for row in rows]
        return list(shown), work.finished()

    def failed(self, failure: Failure, path: Path, resource: Resource) -> Fault:
        """The fault of a resource whose source could not answer, with whom to turn to."""
        department = self._catalogue.departments[resource.department]
        extra = {"resource": resource.name, "provider": department.title, "contact": department.contact}
        return Fault(failure.code, path, failure.reason, extra)

    def entity_of(self, kind: ItemType) -> str:
        """The entity that identifiers of this type denote; empty for what is no identifier."""
        return self._entity_of.get(kind, "")

    def layout(self, allowed: AllowedResource) -> _Layout:
        """The layout of a restricted node, kept as long as the node lives."""
        layout = self._layouts.get(allowed)
        if layout is None:
            layout = self._layouts[allowed] = self._lay_out(allowed)
        return layout

    def _lay_out(self, allowed: AllowedResource) -> _Layout:
        resource = allowed.node.resource
        positions = {name: index for index, name in enumerate(allowed.columns)}
        items = [item for item, _ in allowed.decisions]
        converters = [
            (index, self._converter(resource.items[name], kind))
            for index, (name, kind) in enumerate(zip(allowed.columns, allowed.masks, strict=True))
        ]
        cells = [(c.key, positions.get(c.item.name)) for c in allowed.node.cells if isinstance(c, ItemCell)]
        named = [(positions[i.name], self._entity_of.get(i.type)) for i in items if i.name in positions]
        shown = RETURNED if allowed.node.reads else EXISTS
        return _Layout(
            converters=[(index, convert) for index, convert in converters if convert],
            cells=cells,
            aligned=[key for key, _ in cells] if [n for _, n in cells] == list(range(len(positions))) else [],
            special=[c for c in allowed.node.cells if not isinstance(c, ItemCell)],
            letters=[positions.get(item.name) for item in items],
            whole="".join(
                DENIED if n is None else MASKED if allowed.masks[n] else shown
                for n in (positions.get(item.name) for item in items)
            ),
            shown=shown,
            others_at=[
                (index, entity)
                for index, entity in named
                if entity and allowed.columns[index] != resource.key and allowed.masks[index] is None
            ],
        )

    def _converter(self, item: Item, kind: MaskKind | None) -> Callable[[Any], Any] | None:
        if kind:
            return lambda value: mask(kind, value)
        if item.type is ItemType.CODE:
            return self._names[item.codes or ""].__getitem__
        if item.type is ItemType.INT:
            return lambda number: number if -_MAX_INT <= number < _MAX_INT else INVALID
        return _CONVERTERS.get(item.type)


_CONVERTERS: dict[ItemType, Callable[[Any], Any]] = {
    ItemType.DECIMAL: str,
    ItemType.IMAGE: lambda value: base64.b64encode(value).decode(),
    ItemType.DATE: date.isoformat,
    ItemType.DATETIME: datetime.isoformat,
}


@dataclass(frozen=True, eq=False, slots=True)
class _Layout:
    """How the records of one restricted node are laid out; made once for the node.

    `cells` are (response key, column or None where denied), `aligned` their keys where each stands in its column's place, `special` the cells that hold no item, `letters` the column of each item
    used, `whole` the outcomes of a record that lacks nothing, `shown` that of a value that is there, `others_at` the columns that name further data subjects.
    """

    converters: list[tuple[int, Callable[[Any], Any]]]
    cells: list[tuple[str, int | None]]
    aligned: list[str]
    special: list[ProvenanceCell | ConstantCell]
    letters: list[int | None]
    whole: str
    shown: str
    others_at: list[tuple[int, str]]


@dataclass(slots=True)
class _Noted:
    """What the records of one restricted node have disclosed so far in this operation."""

    allowed: AllowedResource
    layout: _Layout
    outcomes: Outcomes = field(default_factory=Outcomes)
    others: set[tuple[str, str]] = field(default_factory=set)
    invalid: set[int] = field(default_factory=set)


class _Shaping:
    """The shaping of one root: remembers which nodes were met, so that each reports its faults once."""

    def __init__(self, shaper: Shaper, fetched: Fetched, faults: list[Fault], purpose: Purpose, bounds: Bounds) -> None:
        self._shaper = shaper
        self._fetched = fetched
        self._faults = faults
        self._usable = purpose is not Purpose.WORK_REFERENCE
        self._verdicts = Verdicts(fetched, faults, bounds)
        self._noted: dict[AllowedResource, _Noted] = {}
        self._relations: dict[AllowedRelation, tuple[Outcomes, dict[SubjectClass, Outcomes]]] = {}
        self._identifiers: dict[AllowedEntity, Outcomes] = {}
        self.disclosures: list[NodeDisclosure] = []

    def entity(self, allowed: AllowedEntity, key: str, path: Path) -> dict[str, Any]:
        answer: dict[str, Any] = {}
        shown = self._identifier(allowed, key) if allowed.identifier else key
        for cell in allowed.cells:
            if isinstance(cell, AllowedResource):
                answer[cell.node.key] = self._resource(cell, key, path)
            elif isinstance(cell, AllowedVerification):
                failure = self._fetched.failures.get(cell)
                failed = self._shaper.failed(failure, cell.node.path, cell.node.resource) if failure else None
                answer[cell.node.key] = self._verdicts.answer(cell, key, failed)
            elif isinstance(cell, AllowedRelation):
                answer[cell.node.key] = self._relation(cell, key, path)
            elif isinstance(cell, IdentifierCell):
                answer[cell.key] = shown
            else:
                answer[cell.key] = cell.value
        return answer

    def note_node(self, allowed: AllowedResource) -> _Noted:
        """Begin to note what a node discloses; it reports its faults once."""
        noted = self._noted[allowed] = _Noted(allowed, self._shaper.layout(allowed))
        self._faults += allowed.faults
        if allowed in self._fetched.failures:
            self._faults.append(self._failed(self._fetched.failures[allowed], allowed.node))
        return noted

    def _identifier(self, allowed: AllowedEntity, key: str) -> str | None:
        """The identifier of a reached entity, as far as the item that told it may be read."""
        reached = allowed.identifier
        assert reached
        if allowed not in self._identifiers:
            self._identifiers[allowed] = Outcomes()
            self._faults += reached.faults
        kind = reached.decision.mask
        letter = DENIED if not reached.decision.allow else MASKED if kind else RETURNED
        self._identifiers[allowed].note(letter, key)
        if not reached.decision.allow:
            return None
        return mask(kind, key) if kind else key

    def _resource(self, allowed: AllowedResource, key: str, path: Path) -> Any:
        noted = self._noted.get(allowed) or self.note_node(allowed)
        if not allowed.allowed or allowed in self._fetched.failures:
            self._note(noted, None, key, FAILED)
            return None
        rows, fetched_at = self._fetched.records[allowed][key]
        resource = allowed.node.resource
        if resource.many:
            if not rows:
                self._note(noted, None, key, ABSENT)
            if any(allowed.masks):  # the source has ordered them by what the masks hide
                rows = sorted(rows, key=lambda row: _visible(row, allowed.masks))
            return [self.record(noted, row, key, fetched_at) for row in rows]
        if not rows:
            self._note(noted, None, key, ABSENT)
            if allowed.node.resource.name == self._shaper._catalogue.entities[resource.entity or ""].register:
                self._faults.append(Fault("ENTITY_UNKNOWN", (*path, allowed.node.key)))
            return None
        if len(rows) > 1:
            self._note(noted, None, key, FAILED)
            self._faults.append(Fault("SOURCE_AMBIGUOUS", (*path, allowed.node.key), extra=self._source(allowed.node)))
            return None
        return self.record(noted, rows[0], key, fetched_at)

    def record(self, noted: _Noted, row: Row, key: str, fetched_at: datetime) -> dict[str, Any]:
        layout = noted.layout
        values = list(row.values)
        for index, convert in layout.converters:
            if values[index] is not None and values[index] is not INVALID:
                values[index] = convert(values[index])
        self._note(noted, values, key, ABSENT, row)
        if INVALID in values:
            for index in [index for index, value in enumerate(values) if value is INVALID]:
                self._invalid(noted, index)
                values[index] = None
        for index, entity in layout.others_at:
            if isinstance(values[index], str):
                noted.others.add((entity, values[index]))
        if layout.aligned:
            answer = dict(zip(layout.aligned, values, strict=True))
        else:
            answer = {name: None if column is None else values[column] for name, column in layout.cells}
        for cell in layout.special:
            answer[cell.key] = (
                cell.value if isinstance(cell, ConstantCell) else self._provenance(cell, noted.allowed, row, fetched_at)
            )
        if layout.special:  # cells are in document order, whatever their kind
            answer = {cell.key: answer[cell.key] for cell in noted.allowed.node.cells}
        return answer

    def _provenance(
        self, cell: ProvenanceCell, allowed: AllowedResource, row: Row, fetched_at: datetime
    ) -> dict[str, Any]:
        resource = allowed.node.resource
        provider = self._shaper._catalogue.departments[resource.department]
        known = {
            "provider": provider.title,
            "providerCode": provider.code,
            "resourceCode": resource.code,
            "updatedAt": row.updated.isoformat() if row.updated else None,
            "fetchedAt": fetched_at.astimezone(CHINA).isoformat(),
            "usableAsBasis": self._usable,
            "notice": None if self._usable else REFERENCE_ONLY.zh,
            "__typename": "Provenance",
        }
        return {name: known[part] for name, part in cell.parts}

    def _relation(self, allowed: AllowedRelation, key: str, path: Path) -> Any:
        node = allowed.node
        if allowed not in self._relations:
            self._relations[allowed] = Outcomes(), {}
            self._faults += allowed.faults
            if allowed in self._fetched.failures:
                self._faults.append(self._failed(self._fetched.failures[allowed], node))
        count = len(allowed.decisions)
        if not allowed.allowed or allowed in self._fetched.failures:
            self._relations[allowed][0].note((DENIED if not allowed.allowed else FAILED) * count, key)
            return None
        links = self._fetched.links[allowed][key]
        self._note_link(allowed, key, {other: subject for subject, other in links})
        place = (*path, node.key)
        if node.many:
            return [
                self.entity(allowed.targets[subject], other, (*place, number))
                for number, (subject, other) in enumerate(links)
            ]
        if len(links) > 1:
            self._faults.append(Fault("SOURCE_AMBIGUOUS", place, extra=self._source(node)))
            return None
        return self.entity(allowed.targets[links[0][0]], links[0][1], place) if links else None

    # -- notes -----------------------------------------------------------------------------------------------

    def _note(self, noted: _Noted, values: Sequence[Any] | None, key: str, empty: str, row: Row | None = None) -> None:
        """Note the outcome of each item of one record (`values` None: there was no record, allowed items are `empty`)."""
        letters = noted.layout.whole
        if values is None or None in values or INVALID in values:
            letters = self._letters(noted, values, empty)
        version = version_of(row, letters, noted.allowed.used.items, noted.layout.letters) if row else None
        noted.outcomes.note(letters, key, version)

    def _letters(self, noted: _Noted, values: Sequence[Any] | None, empty: str) -> str:
        letters = []
        masks = noted.allowed.masks
        for column in noted.layout.letters:
            if column is None:
                letters.append(DENIED)
            elif values is None:
                letters.append(empty)
            elif values[column] is None:
                letters.append(ABSENT)
            elif values[column] is INVALID:
                letters.append(FAILED)
            else:
                letters.append(MASKED if masks[column] else noted.layout.shown)
        return "".join(letters)

    def _note_link(self, allowed: AllowedRelation, key: str, reached: Mapping[Any, SubjectClass]) -> None:
        """Note that a relation was followed from `key`, and which rows led to whom: they are records of one of the two sides."""
        node, here, there = allowed.node, *self._relations[allowed]
        items, letters = allowed.used.items, (JOINED if reached else ABSENT) * len(allowed.decisions)
        led = reached or (None, INVALID)
        # the values of the near item and of the far one, in this order
        rows = [
            Row(r.key, r.updated, (r.key, *r.values))
            for r in self._fetched.followed[allowed][key]
            if r.values[0] in led
        ]
        versions = [version_of(row, letters, items, range(len(items))) for row in rows]
        here.note(letters, key, of_rows(versions) if node.forward else None)
        for row in rows if reached and not node.forward else ():
            other = row.values[1]
            noted = there.setdefault(reached[other], Outcomes())
            noted.note(JOINED, other, version_of(row, JOINED, items[:1], (0,)))

    def _invalid(self, noted: _Noted, index: int) -> None:
        if index in noted.invalid:
            return
        noted.invalid.add(index)
        node = noted.allowed.node
        name = noted.allowed.columns[index]
        keys = [c.key for c in node.cells if isinstance(c, ItemCell) and c.item.name == name]
        extra = {"coordinate": f"{node.resource.name}.{name}", **self._source(node)}
        self._faults += [Fault("SOURCE_VALUE_INVALID", (*node.path, key), extra=extra) for key in keys]

    def _failed(self, failure: Failure, node: _Sourced) -> Fault:
        return self._shaper.failed(failure, node.path, node.resource)

    def _source(self, node: _Sourced) -> dict[str, Any]:
        return self._failed(Failure("SOURCE_UNAVAILABLE"), node).extra

    def finished(self) -> list[NodeDisclosure]:
        """What every node that was met has disclosed."""
        records = [of_records(a, noted.outcomes, frozenset(noted.others)) for a, noted in self._noted.items()]
        relations = [of_records(a, here) for a, (here, _) in self._relations.items()]
        followed = [of_followed(a, *one) for a, (_, there) in self._relations.items() for one in there.items()]
        identifiers = [of_identifiers(a, noted) for a, noted in self._identifiers.items()]
        return [*records, *relations, *followed, *self._verdicts.finished(), *identifiers]


def _visible(row: Row, masks: Sequence[MaskKind | None]) -> tuple[Any, ...]:
    """The place of a record by its last change and what is shown of it; what is absent stands first."""
    shown = (mask(kind, value) if kind else value for value, kind in zip(row.values, masks, strict=True))
    texts = ((value is not None, str(value)) for value in shown)
    return row.updated is not None, row.updated.isoformat() if row.updated else "", *texts


def _once(faults: list[Fault]) -> list[Fault]:
    """One place denied to several subject classes under one rule is one error."""
    return list({(fault.path, fault.code, fault.extra.get("ruleId")): fault for fault in reversed(faults)}.values())[
        ::-1
    ]
