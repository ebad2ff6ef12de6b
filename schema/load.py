"""Loads the catalogue: reads every file, applies the overlays asked for, refuses the whole if one thing is wrong."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

from schema.catalogue import Catalogue, CodeTable, Department, Entity, MaskRule, Place, Resource, Scenario, Service
from schema.entries import read_codes, read_department, read_entities, read_mask_rules
from schema.lint import Draft, lint
from schema.names import RESERVED_SLUGS, is_slug
from schema.overlays import Overlay, narrow, read_overlay
from schema.problems import CatalogueError, Findings, Problem, did_you_mean, shown
from schema.scenarios import read_scenario, shared_uses
from schema.services import read_service
from schema.sharing import with_masks
from schema.yaml_source import Node, printable_name, read_file

__all__ = ["CatalogueError", "Problem", "check_catalogue", "load_catalogue"]

_FOLDERS = ("standards", "overlays", "services", "scenarios")
_STANDARDS = ("entities.yaml", "codes.yaml", "masks.yaml")


def load_catalogue(folder: Path, overlays: Sequence[str] = ()) -> Catalogue:
    """The catalogue under `folder` with `overlays` in force, in their order; CatalogueError with all problems."""
    catalogue, problems = _load(folder, overlays)
    if problems:
        raise CatalogueError(problems)
    return catalogue


def check_catalogue(folder: Path, overlays: Sequence[str] = ()) -> tuple[Problem, ...]:
    """Every problem of the catalogue under `folder`, sorted by place; empty if it would load."""
    return _load(folder, overlays)[1]


def _load(folder: Path, overlays: Sequence[str]) -> tuple[Catalogue, tuple[Problem, ...]]:
    findings = Findings()
    draft = _read(folder, findings)
    lint(draft, findings)
    catalogue = _catalogue(draft, overlays, findings)
    return replace(catalogue, version=_version(catalogue)), findings.problems()


def _catalogue(draft: Draft, names: Sequence[str], findings: Findings) -> Catalogue:
    """The draft as a catalogue under the named overlays; of what is doubled, one is lost, and noted by then."""
    resources: dict[str, Resource] = {resource.name: resource for resource in draft.resources}
    known = {overlay.name: overlay for overlay in draft.overlays}
    for name in names:
        if name in known:
            resources = narrow(resources, known[name], findings)
        else:
            place = Place(f"overlays/{printable_name(name)}.yaml", 1)
            findings.note("CAT502", place, f"no overlay {shown(name)}", did_you_mean(name, known))
    resources = {name: _masked(resource, draft.masks) for name, resource in resources.items()}
    return Catalogue(
        version="",
        departments={department.slug: department for department in draft.departments},
        entities={entity.name: entity for entity in draft.entities},
        codes={table.name: table for table in draft.codes},
        resources=resources,
        services={service.code: service for service in draft.services},
        overlays=tuple(names),
        scenarios={scenario.name: shared_uses(scenario, resources) for scenario in draft.scenarios},
        masks=draft.masks,
    )


def _masked(resource: Resource, rules: Sequence[MaskRule]) -> Resource:
    """The resource with the masks that the grades of its items ask for: after the overlays, whose masks go before them."""
    return replace(resource, items={name: with_masks(item, rules) for name, item in resource.items.items()})


def _read(folder: Path, findings: Findings) -> Draft:
    departments: list[Department] = []
    codes: list[CodeTable] = []
    resources: list[Resource] = []
    for path, file in _files(folder, "", findings):
        node = read_file(path, file, findings) if _is_department_slug(path.stem, file, findings) else None
        read = read_department(node, path.stem, findings) if node else None
        if read:
            departments.append(read.department)
            codes.extend(read.codes)
            resources.extend(read.resources)
    if not departments and not findings.problems():
        findings.note("CAT012", Place(".", 1), "no department")
    entities, standard_codes, masks = _read_standards(folder, findings)
    return Draft(
        tuple(departments),
        entities,
        (*standard_codes, *codes),
        tuple(resources),
        _read_overlays(folder, findings),
        _read_services(folder, findings),
        _read_scenarios(folder, findings),
        masks,
    )


def _read_standards(
    folder: Path, findings: Findings
) -> tuple[tuple[Entity, ...], tuple[CodeTable, ...], tuple[MaskRule, ...]]:
    nodes: dict[str, Node] = {}
    for path, file in _files(folder, "standards", findings):
        if path.name not in _STANDARDS:
            hint = did_you_mean(path.name, _STANDARDS)
            findings.note("CAT010", Place(file, 1), "not a file of standards", hint)
        elif node := read_file(path, file, findings):
            nodes[path.name] = node
    entities = read_entities(nodes["entities.yaml"], findings) if "entities.yaml" in nodes else ()
    codes = read_codes(nodes["codes.yaml"], findings) if "codes.yaml" in nodes else ()
    masks = read_mask_rules(nodes["masks.yaml"], findings) if "masks.yaml" in nodes else ()
    return entities, codes, masks


def _read_overlays(folder: Path, findings: Findings) -> tuple[Overlay, ...]:
    overlays = []
    for path, file in _files(folder, "overlays", findings):
        node = read_file(path, file, findings)
        overlay = read_overlay(node, findings) if node else None
        if overlay:
            _check_name(overlay.name, overlay.place, path, findings)
            overlays.append(overlay)
    return tuple(overlays)


def _read_services(folder: Path, findings: Findings) -> tuple[Service, ...]:
    services = []
    for path, file in _files(folder, "services", findings):
        node = read_file(path, file, findings)
        service = read_service(node, findings) if node else None
        if service:
            _check_name(service.name, service.place, path, findings)
            services.append(service)
    return tuple(services)


def _read_scenarios(folder: Path, findings: Findings) -> tuple[Scenario, ...]:
    scenarios = []
    for path, file in _files(folder, "scenarios", findings):
        node = read_file(path, file, findings)
        scenario = read_scenario(node, findings) if node else None
        if scenario:
            _check_name(scenario.name, scenario.place, path, findings)
            scenarios.append(scenario)
    return tuple(scenarios)


def _check_name(name: str, place: Place, path: Path, findings: Findings) -> None:
    if name and name != path.stem:
        where = findings.where(place, "name")
        findings.note("CAT013", where, f"the name {shown(name)} is not the file's, {shown(path.stem)}")


def _is_department_slug(stem: str, file: str, findings: Findings) -> bool:
    if is_slug(stem) and stem not in RESERVED_SLUGS:
        return True
    findings.unread = True
    hint = "choose another name: rules use this word" if stem in RESERVED_SLUGS else ""
    findings.note("CAT011", Place(file, 1), f"{shown(printable_name(stem))} cannot be a department's slug", hint)
    return False


def _files(folder: Path, room: str, findings: Findings) -> list[tuple[Path, str]]:
    """The `.yaml` files of a room of the catalogue by name; the top room is "" and must exist.

    A YAML file that no room reads would be a rule that silently does not hold: it is noted.
    """
    here = folder / room
    try:
        if room and not here.is_dir():
            return []
        entries = sorted(here.iterdir())
    except OSError as error:
        findings.note("CAT001", Place(room or ".", 1), f"cannot be read: {error.strerror}")
        return []
    prefix = f"{room}/" if room else ""
    for entry in entries:
        label = prefix + printable_name(entry.name)
        if entry.suffix == ".yml":
            findings.note("CAT010", Place(label, 1), "not read", "name the file `.yaml`")
        elif (room or entry.name not in _FOLDERS) and _holds_yaml(entry):
            findings.note("CAT010", Place(label, 1), "a folder that is not read holds YAML files")
    return [(entry, prefix + printable_name(entry.name)) for entry in entries if entry.suffix == ".yaml"]


def _holds_yaml(entry: Path) -> bool:
    try:
        return entry.is_dir() and any(inner.suffix in (".yaml", ".yml") for inner in entry.iterdir())
    except OSError:
        return False


def _version(catalogue: Catalogue) -> str:
    """16 hexadecimal digits of SHA-256 over all content but places and the version itself.

    The order of files, keys and list members that are sets does not count. That of resources, items and codes does: the
    schema shows it, and whoever numbers items by it must not take two orders for one version.
    """
    text = json.dumps(_plain(catalogue), ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _plain(value: Any) -> Any:
    """A value as lists, texts and numbers, with what is no content left out."""
    if value is None or isinstance(value, str | int):
        return value
    if is_dataclass(value):
        return [[f.name, _plain(getattr(value, f.name))] for f in fields(value) if f.name not in ("place", "version")]
    if isinstance(value, Mapping):
        pairs = [[key, _plain(inner)] for key, inner in value.items()]
        return sorted(pairs) if all(isinstance(inner, str) for inner in value.values()) else pairs
    if isinstance(value, frozenset):
        return sorted(value)
    if isinstance(value, tuple | list):
        return [_plain(inner) for inner in value]
    return value.isoformat() if isinstance(value, date) else value
