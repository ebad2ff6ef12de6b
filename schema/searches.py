"""Reads and checks which records of a resource rules reach at all, and what it may be searched by."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from schema.catalogue import Entity, Item, ItemType, Place, Resource, RowCondition, Search
from schema.fields import Fields
from schema.formats import is_ordered, is_searchable
from schema.problems import Findings, did_you_mean, shown


def read_rows(holder: Fields) -> frozenset[RowCondition]:
    """The conditions under `rows`; absent is none."""
    return holder.choices("rows", RowCondition) if holder.has("rows") else frozenset()


def read_search(resource: Fields) -> Search | None:
    """The search under `search`; None where the resource has none."""
    fields = resource.fields("search", required=False)
    if fields is None:
        return None
    search = Search(_names(fields, "where"), _names(fields, "order_by"), _names(fields, "identity"))
    if not search.identity and fields.findings.sound(fields.place, "identity"):
        fields.fault("identity", "CAT105", "no items that identify a record")
    fields.done()
    return search


def _names(fields: Fields, key: str) -> tuple[str, ...]:
    names: list[str] = []
    for node in fields.nodes(key):
        name = fields.check_text(key, node.value)
        if name in names:
            fields.findings.note("CAT212", node.place, f"item {shown(name)} stands twice in `{key}` of {fields.label}")
        elif name:
            names.append(name)
    return tuple(names)


def check_reach(resource: Resource, entities: Mapping[str, Entity], findings: Findings) -> None:
    """The region is an item that holds a division code, and the records have what the conditions ask for."""
    label = f"resource {shown(resource.name)}"
    if resource.region is not None:
        _check_region(resource, resource.region, label, findings)
    if findings.sound(resource.place, "rows", "region", "entity"):
        check_rows(resource.rows, (resource.place, "rows"), resource, entities, findings)


def check_rows(
    rows: frozenset[RowCondition],
    written: tuple[Place, str],
    resource: Resource,
    entities: Mapping[str, Entity],
    findings: Findings,
) -> None:
    """The records of `resource` have what each condition, `written` under a key, asks for."""
    where = findings.where(*written)
    if RowCondition.OWN_REGION in rows and resource.region is None:
        findings.note("CAT408", where, f"OWN_REGION, but resource {shown(resource.name)} has no `region`")
    if RowCondition.OWN_REGION in rows and resource.http:
        findings.note("CAT426", where, f"OWN_REGION, but resource {shown(resource.name)} is asked over HTTP")
    if RowCondition.ADULTS in rows and not _of_persons(resource, entities, findings):
        findings.note("CAT408", where, f"ADULTS, but the records of {shown(resource.name)} are not of persons")


def _of_persons(resource: Resource, entities: Mapping[str, Entity], findings: Findings) -> bool:
    """Whether the records are of persons; a faulty entity is told of elsewhere."""
    if resource.entity is None:
        return False
    entity = entities.get(resource.entity)
    return entity is None or entity.type is ItemType.ID_NUMBER or not findings.sound(entity.place, "type")


def _check_region(resource: Resource, name: str, label: str, findings: Findings) -> None:
    where = findings.where(resource.place, "region")
    if not resource.items:
        findings.note("CAT410", where, f"{label} has a region, but no source")
        return
    item = _item(resource, name, where, findings)
    if item is None or not findings.sound(item.place, "type", "format", "values"):
        return
    if item.type is not ItemType.STRING or item.format != "text":
        findings.note("CAT409", where, f"{shown(name)} of {label} is a {item.type} of the format {shown(item.format)}")


def _item(resource: Resource, name: str, where: Place, findings: Findings) -> Item | None:
    item = resource.items.get(name)
    if item is None and name:
        hint = did_you_mean(name, resource.items)
        findings.note("CAT203", where, f"unknown item {shown(name)} in {shown(resource.name)}", hint)
    return item


def check_search(resource: Resource, findings: Findings) -> None:
    """What a search names exists, can be asked of the source exactly, and identifies one record."""
    search, place = resource.search, findings.where(resource.place, "search")
    if search is None:
        return
    if not resource.connected and not resource.items:
        findings.note("CAT410", place, f"resource {shown(resource.name)} has a search, but no source")
        return
    _check_items(resource, "where", search.where, is_searchable, findings)
    _check_items(resource, "order_by", search.order_by, is_ordered, findings)
    # The pages of a search end with its identity: it must be ordered by, too.
    _check_items(resource, "identity", search.identity, is_ordered, findings)
    if resource.key and search.identity and findings.sound(resource.place, "search", "key", "many"):
        _check_identity(resource, search, place, findings)


def _check_items(
    resource: Resource, key: str, names: Sequence[str], admits: Callable[[Item], bool], findings: Findings
) -> None:
    where = findings.where(findings.where(resource.place, "search"), key)
    for name in names:
        item = _item(resource, name, where, findings)
        if item and findings.sound(item.place, "type", "format", "values") and not admits(item):
            kind = f"a {item.type} of the format {shown(item.format)}" + (" with `values`" if item.values else "")
            findings.note("CAT411", where, f"{shown(name)} in `{key}` of {shown(resource.name)} is {kind}")


def _check_identity(resource: Resource, search: Search, place: Place, findings: Findings) -> None:
    key_alone = search.identity == (resource.key,)
    if key_alone is resource.many:
        kind = "to-many, its key alone tells no records apart" if resource.many else "to-one, its key is the identity"
        findings.note("CAT412", findings.where(place, "identity"), f"resource {shown(resource.name)} is {kind}")
