"""One datum, one source (一数一源): which item is authoritative where several departments hold the same one."""

from __future__ import annotations

from collections.abc import Mapping

from schema.catalogue import Catalogue, Item, Resource
from schema.problems import Findings, shown
from schema.services import check_use


def check_same(resource: Resource, resources: Mapping[str, Resource], findings: Findings) -> None:
    """The item that `same_as` names exists, is of the same entity and type, and is authoritative itself."""
    for item in resource.items.values():
        if not item.same_as or not findings.sound(item.place, "same_as"):
            continue
        name, _, other = item.same_as.partition(".")
        if name not in resources or other not in resources[name].items:
            check_use(item.same_as, findings.where(item.place, "same_as"), resources, findings)
            continue
        held = resources[name].items[other]
        fits = (resources[name].entity, held.type, held.subject) == (resource.entity, item.type, item.subject)
        if not fits or held.same_as or held is item:
            message = f"{shown(item.same_as)} cannot be authoritative for {shown(f'{resource.name}.{item.name}')}"
            findings.note("CAT413", findings.where(item.place, "same_as"), message)


def same_items(catalogue: Catalogue, coordinate: str) -> list[tuple[Resource, Item]]:
    """Every item that holds the datum of this one, the authoritative first; KeyError for an unknown coordinate."""
    item = catalogue.item(coordinate)
    authority = item.same_as or coordinate
    others = [
        (resource, one)
        for resource in catalogue.resources.values()
        for one in resource.items.values()
        if one.same_as == authority
    ]
    name, _, held = authority.partition(".")
    return [(catalogue.resources[name], catalogue.resources[name].items[held]), *others]
