"""The rules that need more than one object: names that clash, references that lead nowhere, types that do not meet.

Each rule is a function of the draft that notes what it finds; a key that reading already faulted is left alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from schema.catalogue import (
    CodeTable,
    Department,
    Entity,
    Item,
    ItemType,
    MaskRule,
    Place,
    Relation,
    Resource,
    Scenario,
    Service,
)
from schema.names import (
    RESERVED_ROOTS,
    RESERVED_TYPES,
    condition_types,
    expectation_type,
    search_field,
    search_types,
    verdicts_type,
    verification_field,
)
from schema.overlays import Overlay, check_overlay, narrow
from schema.problems import Findings, did_you_mean, shown
from schema.same import check_same
from schema.scenarios import check_scenario
from schema.searches import check_reach, check_search
from schema.services import check_service
from schema.sharing import check_mask_rules, check_share
from schema.sources import check_http


@dataclass(frozen=True, slots=True)
class Draft:
    """All that was read, doubles included."""

    departments: tuple[Department, ...]
    entities: tuple[Entity, ...]
    codes: tuple[CodeTable, ...]
    resources: tuple[Resource, ...]
    overlays: tuple[Overlay, ...]
    services: tuple[Service, ...]
    scenarios: tuple[Scenario, ...]
    masks: tuple[MaskRule, ...]


@dataclass(frozen=True, slots=True)
class _Index:
    """The draft by name; of doubles the last."""

    departments: Mapping[str, Department]
    entities: Mapping[str, Entity]
    codes: Mapping[str, CodeTable]
    resources: Mapping[str, Resource]
    resource_codes: frozenset[str]
    findings: Findings


def lint(draft: Draft, findings: Findings) -> None:
    """Apply every rule."""
    index = _Index(
        {department.slug: department for department in draft.departments},
        {entity.name: entity for entity in draft.entities},
        {table.name: table for table in draft.codes},
        {resource.name: resource for resource in draft.resources},
        frozenset(resource.code for resource in draft.resources),
        findings,
    )
    _check_type_names(draft, findings)
    _check_codes(draft, findings)
    _check_root_fields(draft, findings)
    _check_entity_fields(draft, findings)
    for entity in draft.entities:
        _check_register(entity, index)
    for resource in draft.resources:
        _check_resource(resource, index)
        check_same(resource, index.resources, findings)
    for overlay in draft.overlays:
        check_overlay(overlay, index.resources, findings)
        narrow(index.resources, overlay, findings)
    for service in draft.services:
        check_service(service, index.departments, index.entities, index.resources, findings)
    services = {service.code: service for service in draft.services}
    for scenario in draft.scenarios:
        check_scenario(scenario, services, index.entities, index.resources, findings)
    check_mask_rules(draft.masks, findings)


def _note_doubles(code: str, what: str, words: Iterable[tuple[str, Place]], findings: Findings) -> None:
    first: dict[str, Place] = {}
    for word, place in words:
        if word in first:
            findings.note(code, place, f"{what} {shown(word)} is taken by {first[word]}")
        elif word:
            first[word] = place


def _check_type_names(draft: Draft, findings: Findings) -> None:
    owners: list[Entity | CodeTable | Resource] = [*draft.entities, *draft.codes, *draft.resources]
    names = [(owner.name, findings.where(owner.place, "name")) for owner in owners]
    _note_doubles("CAT210", "type name", names, findings)
    known = {name for name, _ in names} | RESERVED_TYPES
    for owner in {owner.name: owner for owner in owners}.values():
        if not isinstance(owner, Entity):
            where = findings.where(owner.place, "name")
            for name in _generated(owner):
                if name in known:
                    findings.note(
                        "CAT210", where, f"{shown(owner.name)} also gives the type {shown(name)}, which is taken"
                    )
                known.add(name)


def _generated(owner: CodeTable | Resource) -> tuple[str, ...]:
    """The types that are generated beside the one that has the owner's name."""
    if isinstance(owner, CodeTable):
        return tuple(condition_types(owner.name))
    return (
        expectation_type(owner.name),
        verdicts_type(owner.name),
        *(search_types(owner.name) if owner.search else ()),
    )


def _check_codes(draft: Draft, findings: Findings) -> None:
    kinds: dict[str, Iterable[Department | Resource | Service]] = {
        "department code": draft.departments,
        "resource code": draft.resources,
        "service code": draft.services,
    }
    for what, owners in kinds.items():
        codes = ((owner.code, findings.where(owner.place, "code")) for owner in owners)
        _note_doubles("CAT211", what, codes, findings)


def _check_root_fields(draft: Draft, findings: Findings) -> None:
    seen: dict[str, str] = {}
    for entity in draft.entities:
        for key, name in (("root", entity.root), ("plural", entity.plural)):
            if name and name in seen:
                where = findings.where(entity.place, key)
                findings.note("CAT214", where, f"root field {shown(name)} is taken by {seen[name]}")
            seen.setdefault(name, f"`{key}` of {shown(entity.name)}")
    for resource in draft.resources:
        name = search_field(resource.field, many=resource.many)
        if resource.search and (name in seen or name in RESERVED_ROOTS):
            where = findings.where(resource.place, "field")
            taken = seen.get(name, "the schema's own")
            findings.note("CAT214", where, f"root field {shown(name)} of the search is taken by {taken}")
        if resource.search:
            seen.setdefault(name, f"the search of {shown(resource.name)}")
    for entity in draft.entities:
        if entity.identifier and entity.identifier == entity.identifiers:
            where = findings.where(entity.place, "identifiers")
            findings.note("CAT213", where, f"`identifier` and `identifiers` of {shown(entity.name)} are one name")


def _fields_of_entities(draft: Draft) -> Iterable[tuple[str, str, Place, str]]:
    """Every field of every entity: entity, field, place and key that give it.

    Of resources that share a name the last counts: their fields clash because their names do, which is told already.
    """
    for entity in draft.entities:
        yield entity.name, entity.identifier, entity.place, "identifier"
    for resource in {resource.name: resource for resource in draft.resources}.values():
        if resource.entity is None:
            continue
        yield resource.entity, resource.field, resource.place, "field"
        yield resource.entity, verification_field(resource.name), resource.place, "name"
        for relation in resource.relations:
            yield resource.entity, relation.name, relation.place, "name"
            if relation.inverse is not None:
                yield relation.to, relation.inverse, relation.place, "inverse"


def _check_entity_fields(draft: Draft, findings: Findings) -> None:
    seen: dict[tuple[str, str], Place] = {}
    for entity, name, place, key in _fields_of_entities(draft):
        where = findings.where(place, key)
        if (entity, name) in seen:
            first = seen[entity, name]
            findings.note("CAT213", where, f"field {shown(name)} of {shown(entity)} is taken by {first}")
        elif name and findings.sound(place, key):
            seen[entity, name] = where


def _check_register(entity: Entity, index: _Index) -> None:
    where = index.findings.where(entity.place, "register")
    resource = index.resources.get(entity.register)
    if resource is None:
        if entity.register:
            hint = did_you_mean(entity.register, index.resources)
            index.findings.note("CAT204", where, f"unknown resource {shown(entity.register)}", hint)
    elif resource.entity != entity.name and (resource.entity is None or resource.entity in index.entities):
        message = f"register {shown(entity.register)} is a resource of {shown(resource.entity or 'no entity')}"
        index.findings.note("CAT216", where, f"{message}, not of {shown(entity.name)}")


def _check_resource(resource: Resource, index: _Index) -> None:
    findings = index.findings
    label = f"resource {shown(resource.name)}"
    if findings.written(findings.where(resource.place, "share"), "class"):
        check_share(resource.place, label, resource.share, findings)
    for item in resource.items.values():
        if findings.written(item.place, "share"):
            check_share(item.place, f"item {shown(item.name)} of {label}", item.share, findings)
        _check_code_table(item, index)
    _check_slugs(resource, index)
    for code in resource.related:
        if code and code not in index.resource_codes:
            where = findings.where(resource.place, "related")
            hint = did_you_mean(code, index.resource_codes)
            findings.note("CAT209", where, f"unknown code {shown(code)} in `related` of {label}", hint)
    _check_source(resource, label, index)
    _check_key(resource, index)
    check_reach(resource, index.entities, findings)
    check_search(resource, findings)
    check_http(resource, findings)
    for relation in resource.relations:
        _check_relation(relation, resource, index)


def _check_slugs(resource: Resource, index: _Index) -> None:
    for key, slugs in (("also", resource.also), ("audience", resource.audience)):
        for slug in slugs:
            if slug and slug not in index.departments:
                where = index.findings.where(resource.place, key)
                hint = did_you_mean(slug, index.departments)
                index.findings.note("CAT207", where, f"unknown department {shown(slug)} in `{key}`", hint)


def _check_code_table(item: Item, index: _Index) -> None:
    if item.codes is None or item.type is not ItemType.CODE or not index.findings.sound(item.place, "type", "codes"):
        return
    table = index.codes.get(item.codes)
    if table is None:
        where = index.findings.where(item.place, "codes")
        index.findings.note(
            "CAT206", where, f"unknown code table {shown(item.codes)}", did_you_mean(item.codes, index.codes)
        )
        return
    if not index.findings.sound(table.place, "values"):
        return
    codes = {value.code for value in table.values}
    for local, code in item.values.items():
        if code and code not in codes:
            where = index.findings.where(item.place, "values")
            message = f"{shown(local)} maps to {shown(code)}, which is not in {shown(table.name)}"
            index.findings.note("CAT208", where, message, did_you_mean(code, codes))


def _check_source(resource: Resource, label: str, index: _Index) -> None:
    """Entity, key, source and items stand together or not at all; sources need a connection."""
    findings = index.findings
    parts = {
        "entity": resource.entity is not None,
        "key": resource.key is not None,
        "source": findings.written(resource.place, "source"),
        "items": bool(resource.items) or not findings.sound(resource.place, "items"),
    }
    missing = [part for part, given in parts.items() if not given]
    given = [part for part in parts if part not in missing]
    if missing and given:
        message = f"{label} has {', '.join(given)}, but not {', '.join(missing)}"
        findings.note("CAT403", findings.where(resource.place, given[0]), message)
    if resource.relations and not given:
        where = findings.where(resource.place, "relations")
        findings.note("CAT403", where, f"{label} has relations, but no source")
    if resource.updated is None and findings.written(findings.where(resource.place, "source"), "updated_format"):
        where = findings.where(findings.where(resource.place, "source"), "updated_format")
        findings.note(
            "CAT403", where, f"{label} has `updated_format`, but no `updated`", "name the column, or drop the format"
        )
    department = index.departments.get(resource.department)
    if resource.connected and department and department.connection is None:
        where = findings.where(resource.place, "source")
        findings.note("CAT404", where, f"{label} has a source, {shown(department.slug)} has no connection")


def _check_key(resource: Resource, index: _Index) -> None:
    findings = index.findings
    entity = index.entities.get(resource.entity or "")
    if resource.entity and entity is None:
        where = findings.where(resource.place, "entity")
        hint = did_you_mean(resource.entity, index.entities)
        findings.note("CAT205", where, f"unknown entity {shown(resource.entity)}", hint)
    if resource.key and resource.items:
        _check_identifying(resource.key, (resource.place, "key"), entity, resource, findings)


def _check_relation(relation: Relation, resource: Resource, index: _Index) -> None:
    findings = index.findings
    entity = index.entities.get(relation.to)
    if relation.to and entity is None:
        where = findings.where(relation.place, "to")
        findings.note(
            "CAT205", where, f"unknown entity {shown(relation.to)}", did_you_mean(relation.to, index.entities)
        )
    if relation.item:
        _check_identifying(relation.item, (relation.place, "item"), entity, resource, findings)


def _check_identifying(
    name: str, written: tuple[Place, str], entity: Entity | None, resource: Resource, findings: Findings
) -> None:
    """The item `name`, as `written` under a key, exists and has the type of the entity's identifier."""
    where = findings.where(*written)
    item = resource.items.get(name)
    if item is None:
        hint = did_you_mean(name, resource.items)
        findings.note("CAT203", where, f"unknown item {shown(name)} in {shown(resource.name)}", hint)
        return
    sound = entity and findings.sound(item.place, "type") and findings.sound(entity.place, "type")
    if entity and sound and item.type is not entity.type:
        message = f"{shown(name)} is a {item.type}, {shown(entity.name)} is identified by a {entity.type}"
        findings.note("CAT215", where, message)
