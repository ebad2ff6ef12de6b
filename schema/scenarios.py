"""Reads and checks application scenarios (应用场景): the minimal items that a use is authorised directly to (Shuangliao 24)."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from itertools import chain

from schema.catalogue import (
    Entity,
    Purpose,
    Resource,
    Scenario,
    Service,
    ServiceItemUse,
    ShareClass,
    ShareMode,
)
from schema.fields import Fields
from schema.names import SLUG
from schema.problems import Findings, did_you_mean, shown
from schema.searches import check_rows, read_rows
from schema.services import check_use, item_of, read_use
from schema.yaml_source import Node


def read_scenario(node: Node, findings: Findings) -> Scenario | None:
    """The scenario of a file; None where the file has no `scenario`."""
    top = Fields(node, "the file", findings)
    fields = top.fields("scenario", "scenario")
    uses = tuple(read_use(one, top) for one in top.nodes("items"))
    top.done()
    if fields is None:
        return None
    if not uses and findings.sound(top.place, "items"):
        top.fault("items", "CAT105", "no items")
    scenario = Scenario(
        name=fields.matching("name", SLUG, "a name as in `newborn-one-stop`"),
        title=fields.text("title"),
        basis=fields.text("basis"),
        services=fields.texts("services"),
        purposes=fields.choices("purposes", Purpose),
        modes=fields.choices("modes", ShareMode),
        items=uses,
        rows=read_rows(fields),
        place=fields.place,
    )
    if not scenario.services and findings.sound(fields.place, "services"):
        fields.fault("services", "CAT105", "no service items")
    fields.done()
    return scenario


def check_scenario(
    scenario: Scenario,
    services: Mapping[str, Service],
    entities: Mapping[str, Entity],
    resources: Mapping[str, Resource],
    findings: Findings,
) -> None:
    """Service items and items exist, each item once; each allows the purposes, modes and conditions, none is NOT_SHARED."""
    _check_services(scenario, services, findings)
    seen: set[str] = set()
    for use in scenario.items:
        if use.coordinate in seen:
            message = f"{shown(use.coordinate)} stands twice in scenario {shown(scenario.name)}"
            findings.note("CAT212", use.place, message)
        elif use.coordinate:
            seen.add(use.coordinate)
            check_use(use.coordinate, use.place, resources, findings)
            _check_item(use, scenario, resources, findings)
    for name in sorted({use.coordinate.partition(".")[0] for use in scenario.items} & resources.keys()):
        _check_resource(scenario, resources[name], entities, findings)


def _check_services(scenario: Scenario, services: Mapping[str, Service], findings: Findings) -> None:
    where = findings.where(scenario.place, "services")
    for code in sorted(set(scenario.services) - services.keys() - {""}):
        findings.note("CAT603", where, f"unknown service item {shown(code)}", did_you_mean(code, services))
    for code in sorted({code for code in scenario.services if scenario.services.count(code) > 1} - {""}):
        findings.note("CAT212", where, f"service item {shown(code)} stands twice in scenario {shown(scenario.name)}")
    known = [services[code] for code in scenario.services if code in services]
    if known and len(known) == len(scenario.services) and all(findings.sound(one.place, "purposes") for one in known):
        of_services = frozenset(chain.from_iterable(one.purposes for one in known))
        _check_purposes(scenario, of_services, "its service items", findings)


def _check_purposes(scenario: Scenario, admitted: frozenset[Purpose], whose: str, findings: Findings) -> None:
    missing = _missing(scenario.purposes, admitted)
    if missing and findings.sound(scenario.place, "purposes"):
        message = f"{missing} of scenario {shown(scenario.name)} is no purpose of {whose}"
        findings.note("CAT604", findings.where(scenario.place, "purposes"), message)


def _missing(asked: Collection[str], admitted: Collection[str]) -> str:
    return ", ".join(sorted(set(asked) - set(admitted)))


def _check_item(use: ServiceItemUse, scenario: Scenario, resources: Mapping[str, Resource], findings: Findings) -> None:
    item = item_of(use, resources)
    if item is None:
        return
    if item.share.share_class is ShareClass.NOT_SHARED and findings.sound(item.place, "share"):
        findings.note("CAT606", use.place, f"{shown(use.coordinate)} is NOT_SHARED: {item.share.basis}")
    if findings.sound(item.place, "purposes"):
        _check_purposes(scenario, item.purposes, shown(use.coordinate), findings)


def _check_resource(scenario: Scenario, resource: Resource, entities: Mapping[str, Entity], findings: Findings) -> None:
    missing = _missing(scenario.modes, resource.modes)
    if missing and findings.sound(scenario.place, "modes") and findings.sound(resource.place, "modes"):
        message = f"{missing} of scenario {shown(scenario.name)} is no mode of {shown(resource.name)}"
        findings.note("CAT605", findings.where(scenario.place, "modes"), message)
    if findings.sound(scenario.place, "rows") and findings.sound(resource.place, "region", "entity"):
        check_rows(scenario.rows, (scenario.place, "rows"), resource, entities, findings)


def shared_uses(scenario: Scenario, resources: Mapping[str, Resource]) -> Scenario:
    """The scenario without items that an overlay made NOT_SHARED: an exception for these is made by a grant alone."""
    return replace(scenario, items=tuple(_still_shared(scenario.items, resources)))


def _still_shared(uses: Iterable[ServiceItemUse], resources: Mapping[str, Resource]) -> Iterable[ServiceItemUse]:
    for use in uses:
        item = item_of(use, resources)
        if item is not None and item.share.share_class is not ShareClass.NOT_SHARED:
            yield use
