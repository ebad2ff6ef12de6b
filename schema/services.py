"""Reads and checks service items (政务服务事项): what a case of one may use, of whom, and by which law."""

from __future__ import annotations

from collections.abc import Mapping

from schema.catalogue import Entity, Item, Material, Place, Purpose, Resource, Service, ServiceItemUse, SubjectClass
from schema.fields import Fields
from schema.names import ENUM_NAME, SLUG
from schema.problems import Findings, did_you_mean, shown
from schema.yaml_source import Node

APPLICANT = "APPLICANT"
MAX_DAYS = 3650


def read_service(node: Node, findings: Findings) -> Service | None:
    """The service item of a file; None where the file has no `service`."""
    top = Fields(node, "the file", findings)
    fields = top.fields("service", "service")
    if fields is None:
        top.has("materials")
        top.done()
        return None
    purposes = fields.choices("purposes", Purpose)
    service = Service(
        code=fields.text("code"),
        name=fields.matching("name", SLUG, "a name as in `public-rental-housing`"),
        title=fields.text("title"),
        department=fields.text("department"),
        basis=fields.text("basis"),
        days=fields.number("days", 1, MAX_DAYS),
        purposes=purposes,
        subjects=_subjects(fields),
        materials=tuple(_material(material, fields, purposes) for material in top.each("materials", "material")),
        place=fields.place,
    )
    if not service.materials and findings.sound(top.place, "materials"):
        top.fault("materials", "CAT105", "no materials")
    fields.done()
    top.done()
    return service


def _subjects(service: Fields) -> Mapping[str, str]:
    """Role -> entity; APPLICANT is always among them."""
    fields = service.fields("subjects")
    if fields is None:
        return {}
    for role in fields.own_keys():
        if not ENUM_NAME.fullmatch(role):
            fields.fault(role, "CAT107", f"role {shown(role)} is malformed", "write roles in UPPER_CASE")
    if APPLICANT not in fields.own_keys():
        service.fault("subjects", "CAT601", "no APPLICANT")
    return {role: fields.text(role) for role in fields.own_keys()}


def _material(fields: Fields, service: Fields, purposes: frozenset[Purpose]) -> Material:
    """A material with the items that replace it; one without items (and purpose) nobody holds, so that it has to be handed in."""
    title, basis = fields.text("title"), fields.text("basis")
    if not fields.has("items") and not fields.has("purpose"):
        fields.done()
        return Material(title, basis, Purpose.ADMINISTRATIVE_BASIS, (), fields.place)
    material = Material(
        title=title,
        basis=basis,
        purpose=fields.choice("purpose", Purpose, Purpose.ADMINISTRATIVE_BASIS),
        uses=tuple(read_use(node, fields) for node in fields.nodes("items")),
        place=fields.place,
    )
    if not material.uses and fields.findings.sound(fields.place, "items"):
        fields.fault("items", "CAT105", "no items")
    sound = fields.findings.sound(fields.place, "purpose") and fields.findings.sound(service.place, "purposes")
    if sound and material.purpose not in purposes:
        message = f"{material.purpose} of {fields.label} is no purpose of {service.label}"
        fields.findings.note("CAT602", fields.where("purpose"), message)
    fields.done()
    return material


def read_use(node: Node, holder: Fields) -> ServiceItemUse:
    """`Resource.item`, or the same with the subject classes it may be read of."""
    if not isinstance(node.value, dict):
        coordinate = holder.check_text("items", node.value)
        return ServiceItemUse(coordinate, frozenset({SubjectClass.SUBJECT}), node.place)
    fields = Fields(node, "use", holder.findings)
    own = frozenset({SubjectClass.SUBJECT})
    subjects = fields.choices("subjects", SubjectClass) if fields.has("subjects") else own
    use = ServiceItemUse(fields.text("item"), subjects, fields.place)
    fields.done()
    return use


def check_service(
    service: Service,
    departments: Mapping[str, object],
    entities: Mapping[str, Entity],
    resources: Mapping[str, Resource],
    findings: Findings,
) -> None:
    """Department, entities and items of a service item exist."""
    if service.department and service.department not in departments:
        where = findings.where(service.place, "department")
        hint = did_you_mean(service.department, departments)
        findings.note("CAT207", where, f"unknown department {shown(service.department)}", hint)
    for role, entity in service.subjects.items():
        if entity and entity not in entities:
            where = findings.where(service.place, "subjects")
            findings.note("CAT205", where, f"unknown entity {shown(entity)} of {role}", did_you_mean(entity, entities))
    titles: set[str] = set()
    for material in service.materials:
        if material.title in titles:
            where = findings.where(material.place, "title")
            findings.note("CAT212", where, f"material {shown(material.title)} stands twice in {shown(service.name)}")
        titles.update({material.title} - {""})
        _check_material(material, service.purposes, resources, findings)


def _check_material(
    material: Material, purposes: frozenset[Purpose], resources: Mapping[str, Resource], findings: Findings
) -> None:
    """Items exist, each once, and may be used for what the material is needed for."""
    seen: set[str] = set()
    checked = material.purpose in purposes and findings.sound(material.place, "purpose")  # else it is told already
    for use in material.uses:
        if use.coordinate in seen:
            message = f"{shown(use.coordinate)} stands twice in material {shown(material.title)}"
            findings.note("CAT212", use.place, message)
            continue
        seen.update({use.coordinate} - {""})
        check_use(use.coordinate, use.place, resources, findings)
        item = item_of(use, resources)
        if checked and item and material.purpose not in item.purposes and findings.sound(item.place, "purposes"):
            message = f"{material.purpose} of material {shown(material.title)} is no purpose of {shown(use.coordinate)}"
            findings.note("CAT607", use.place, message)


def item_of(use: ServiceItemUse, resources: Mapping[str, Resource]) -> Item | None:
    """The item at a use's coordinate; None if there is none."""
    name, _, item = use.coordinate.partition(".")
    resource = resources.get(name)
    return resource.items.get(item) if resource else None


def check_use(coordinate: str, place: Place, resources: Mapping[str, Resource], findings: Findings) -> None:
    """The item at a coordinate exists."""
    name, _, item = coordinate.partition(".")
    if not coordinate:
        return
    if name not in resources:
        findings.note("CAT204", place, f"unknown resource {shown(name)}", did_you_mean(name, resources))
    elif item not in resources[name].items:
        hint = did_you_mean(item, resources[name].items)
        findings.note("CAT203", place, f"unknown item {shown(item)} in {shown(name)}", hint)
