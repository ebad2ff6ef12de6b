"""Reads and checks service items (政务服务事项): what a case of one may use, of whom, and by which law."""

from __future__ import annotations

from collections.abc import Mapping

from schema.catalogue import Entity, Material, Place, Purpose, Resource, Service, ServiceItemUse, SubjectClass
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
    material = Material(
        title=fields.text("title"),
        basis=fields.text("basis"),
        purpose=fields.choice("purpose", Purpose, Purpose.ADMINISTRATIVE_BASIS),
        uses=tuple(read_use(node, fields) for node in fields.nodes("items")),
    )
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
    for material in service.materials:
        for use in material.uses:
            check_use(use.coordinate, use.place, resources, findings)


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
