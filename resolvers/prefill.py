"""Prefill: which materials of a case a department already holds (Changsha 31, Hunan ch. 3, Shuangliao 30).

Pure: from a service item comes one GraphQL document for all subjects of a case, and from its answer the state of each material. The document runs
through the line like every other, so that the same decisions, masks and records apply.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from policies.cases import CaseSubject
from schema.catalogue import Catalogue, Material, Purpose, Resource, Service, SubjectClass

_PROVENANCE = "provenance { provider updatedAt fetchedAt }"
_DENIALS = frozenset({"FIELD_DENIED", "USE_DENIED"})


class MaterialStatus(StrEnum):
    """How a material of a case stands; what comes first here outweighs what comes later where its parts differ.

    OBTAINED may lack an item that is denied: that is told as an obstacle.
    """

    OBTAINED = "OBTAINED"
    SOURCE_UNAVAILABLE = "SOURCE_UNAVAILABLE"
    NOT_AUTHORISED = "NOT_AUTHORISED"
    NOT_FOUND = "NOT_FOUND"
    TO_VERIFY = "TO_VERIFY"
    MUST_SUBMIT = "MUST_SUBMIT"


@dataclass(frozen=True, slots=True)
class Part:
    """The items of one resource that a material needs; `relation` is the field to the resource's entity, empty for the subject's own."""

    material: int
    entity: str
    relation: str
    resource: Resource
    items: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Obtained:
    """A record as it was answered: its values by item, and where it is from."""

    resource: Resource
    values: Mapping[str, Any]
    provenance: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Found:
    """What an answer holds of a part."""

    status: MaterialStatus
    records: tuple[Obtained, ...]
    errors: tuple[Mapping[str, Any], ...]


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a material stands for one subject of the case (None: for the case); `errors` are the answer's that concern it."""

    material: Material
    subject: CaseSubject | None
    status: MaterialStatus
    records: tuple[Obtained, ...] = ()
    errors: tuple[Mapping[str, Any], ...] = ()


def parts_of(service: Service, catalogue: Catalogue) -> tuple[Part, ...]:
    """What each material needs, from the subjects' own records and from those that one relation leads to."""
    return tuple(
        part
        for number, material in enumerate(service.materials)
        for part in _of_material(number, material, service, catalogue)
    )


def _of_material(number: int, material: Material, service: Service, catalogue: Catalogue) -> Iterator[Part]:
    if material.purpose is Purpose.DATA_VERIFICATION:
        return
    entities = dict.fromkeys(service.subjects.values())
    by_resource: dict[str, list[tuple[str, frozenset[SubjectClass]]]] = {}
    for use in material.uses:
        name, _, item = use.coordinate.partition(".")
        by_resource.setdefault(name, []).append((item, use.subjects))
    for name, uses in by_resource.items():
        resource = catalogue.resources[name]
        own = tuple(item for item, subjects in uses if SubjectClass.SUBJECT in subjects)
        if resource.entity and resource.entity in entities and own:
            yield Part(number, resource.entity, "", resource, own)
        beyond = tuple(item for item, subjects in uses if SubjectClass.RELATED in subjects)
        for entity, relation in _ways(entities, resource, service, catalogue) if beyond else ():
            yield Part(number, entity, relation, resource, beyond)


def _ways(
    entities: Collection[str], resource: Resource, service: Service, catalogue: Catalogue
) -> Iterator[tuple[str, str]]:
    """The relations that lead from subjects to the resource's entity and that the service item lets one follow."""
    related = {
        use.coordinate
        for material in service.materials
        for use in material.uses
        if SubjectClass.RELATED in use.subjects
    }
    for through in catalogue.resources.values():
        for relation in through.relations:
            if not {f"{through.name}.{through.key}", f"{through.name}.{relation.item}"} <= related:
                continue
            if through.entity and through.entity in entities and relation.to == resource.entity:
                yield through.entity, relation.name
            if relation.inverse and relation.to in entities and through.entity == resource.entity:
                yield relation.to, relation.inverse


def document_of(parts: Sequence[Part], catalogue: Catalogue, present: Iterable[str]) -> str:
    """The document that asks these parts under one `$use`, of all subjects of the entities that are `present`: a root for each entity."""
    roots, variables = [], ["$use: UseInput!"]
    for name in dict.fromkeys(present):
        entity = catalogue.entities[name]
        selection = _selection([part for part in parts if part.entity == name])
        if selection:
            variables.append(f"${name}: [{entity.type}!]!")
            roots.append(f"{name}: {entity.plural}({entity.identifiers}: ${name}, use: $use) {{ {selection} }}")
    return f"query Prefill({', '.join(variables)}) {{ {' '.join(roots)} }}" if roots else ""


def _selection(parts: Sequence[Part]) -> str:
    """What is asked of one entity: each resource once, with all items that any material needs, and each relation once."""
    fields = [_record(parts, resource) for resource in _resources(parts, "")]
    for relation in dict.fromkeys(part.relation for part in parts if part.relation):
        beyond = " ".join(
            _record([p for p in parts if p.relation == relation], one) for one in _resources(parts, relation)
        )
        fields.append(f"{relation} {{ {beyond} }}")
    return " ".join(fields)


def _resources(parts: Sequence[Part], relation: str) -> list[Resource]:
    return list({part.resource.name: part.resource for part in parts if part.relation == relation}.values())


def _record(parts: Sequence[Part], resource: Resource) -> str:
    wanted = dict.fromkeys(item for part in parts if part.resource is resource for item in part.items)
    return f"{resource.field} {{ {' '.join(wanted)} {_PROVENANCE} }}"


def outcomes_of(
    service: Service,
    parts: Sequence[Part],
    subjects: Sequence[CaseSubject],
    answers: Mapping[Purpose, Mapping[str, Any]],
) -> tuple[Outcome, ...]:
    """How each material stands, for each subject whose records can replace it; `answers` are the bodies by purpose."""
    found = []
    for number, material in enumerate(service.materials):
        if not material.uses:
            found.append(Outcome(material, None, MaterialStatus.MUST_SUBMIT))
        elif material.purpose is Purpose.DATA_VERIFICATION:
            found.append(Outcome(material, None, MaterialStatus.TO_VERIFY))
        else:
            own = [part for part in parts if part.material == number]
            for subject in subjects:
                if asked := [part for part in own if part.entity == subject.entity]:
                    found.append(_outcome(material, subject, asked, subjects, answers.get(material.purpose, {})))
    return tuple(found)


def _outcome(
    material: Material,
    subject: CaseSubject,
    parts: Sequence[Part],
    subjects: Sequence[CaseSubject],
    answer: Mapping[str, Any],
) -> Outcome:
    place = [one.identifier for one in subjects if one.entity == subject.entity].index(subject.identifier)
    found = [found_of(part, answer, place) for part in parts]
    return Outcome(
        material,
        subject,
        min((one.status for one in found), key=list(MaterialStatus).index),
        tuple(record for one in found for record in one.records),
        tuple(error for one in found for error in one.errors),
    )


def found_of(part: Part, answer: Mapping[str, Any], place: int) -> Found:
    """What an answer holds of a part, for the subject at this place of its root's identifiers."""
    roots = (answer.get("data") or {}).get(part.entity)
    errors = tuple(_errors(answer, part, place))
    records = tuple(
        record
        for record in _records(roots[place] if roots else None, part)
        if any(record.values[name] is not None for name in part.items)
    )
    return Found(MaterialStatus.OBTAINED if records else _missing(part, errors), records, errors)


def _missing(part: Part, errors: Sequence[Mapping[str, Any]]) -> MaterialStatus:
    """Why there is no record: all of it is denied, the source (or the request as a whole) failed, or there is none."""
    refused = [error for error in errors if error["extensions"]["code"] in _DENIALS]
    way = 3 if part.relation else 2
    of_items = {error["path"][-1] for error in refused if len(_names(error)) > way}
    if len(of_items) == len(part.items) or any(len(_names(error)) <= way for error in refused):
        return MaterialStatus.NOT_AUTHORISED
    if {error["extensions"]["code"] for error in errors} - _DENIALS - {"ENTITY_UNKNOWN"}:
        return MaterialStatus.SOURCE_UNAVAILABLE
    return MaterialStatus.NOT_FOUND


def _names(error: Mapping[str, Any]) -> list[str]:
    return [step for step in error.get("path", ()) if isinstance(step, str)]


def _records(entity: Mapping[str, Any] | None, part: Part) -> Iterator[Obtained]:
    holders = _listed(entity.get(part.relation)) if entity and part.relation else _listed(entity)
    for holder in holders:
        for record in _listed(holder.get(part.resource.field)):
            yield Obtained(part.resource, {name: record[name] for name in part.items}, record["provenance"])


def _listed(value: Any) -> list[Any]:
    if value is None:
        return []
    return [one for one in value if one is not None] if isinstance(value, list) else [value]


def _errors(answer: Mapping[str, Any], part: Part, place: int) -> Iterator[Mapping[str, Any]]:
    """The errors that concern this part: of the request, of the subject, of a field on the way, of one of its items."""
    way = [part.entity, *([part.relation] if part.relation else []), part.resource.field]
    for error in answer.get("errors", ()):
        names, path = _names(error), error.get("path", ())
        if len(path) > 1 and isinstance(path[1], int) and path[1] != place:
            continue  # another subject's
        if names[: len(way)] == way[: len(names)] and (len(names) <= len(way) or names[len(way)] in part.items):
            yield error
