"""Named overlays: lines that narrow share classes and purposes, or add masks. An overlay never widens."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from schema.catalogue import Item, MaskKind, Place, Purpose, Resource, Share, ShareClass
from schema.fields import Fields
from schema.problems import Findings, did_you_mean, shown
from schema.sharing import MASKABLE, STRICTNESS, WrittenShare, check_share, read_masks, read_share
from schema.yaml_source import Node


@dataclass(frozen=True, slots=True)
class Line:
    """One line: the object (`Resource` or `Resource.item`) and what narrows it; `purposes` None leaves them alone."""

    object: str
    share: Share | None
    purposes: frozenset[Purpose] | None
    masks: Mapping[Purpose, MaskKind]
    place: Place


@dataclass(frozen=True, slots=True)
class Overlay:
    """A named overlay."""

    name: str
    title: str
    lines: tuple[Line, ...]
    place: Place


def read_overlay(node: Node, findings: Findings) -> Overlay | None:
    """The overlay of a file; None where the file has no `overlay`."""
    top = Fields(node, "the file", findings)
    header = top.fields("overlay", "overlay")
    name = header.text("name") if header else ""
    lines = tuple(_line(fields, name) for fields in top.each("lines", "line"))
    top.done()
    if header is None:
        return None
    overlay = Overlay(name, header.text("title"), lines, header.place)
    header.done()
    return overlay


def _line(fields: Fields, overlay: str) -> Line:
    written = read_share(fields)
    conflict = fields.text("conflict", prose=True) if fields.has("conflict") else ""
    line = Line(
        object=fields.text("object"),
        share=_share(fields, written, overlay, conflict),
        purposes=fields.choices("purposes", Purpose) if fields.has("purposes") else None,
        masks=read_masks(fields),
        place=fields.place,
    )
    if fields.has("share") and not fields.has("conflict"):
        fields.fault("conflict", "CAT504", "a share class without the conflict it makes")
    if not (fields.has("share") or fields.has("purposes") or fields.has("masks")):
        fields.fault("object", "CAT506", "nothing is narrowed")
    fields.done()
    return line


def _share(fields: Fields, written: WrittenShare, overlay: str, conflict: str) -> Share | None:
    if not fields.has("share"):
        return None
    if written.share_class is None and fields.findings.sound(fields.place, "share"):
        fields.fault("share", "CAT301", "no share class")
    share = replace(written.effective(), source=overlay, conflict=conflict)
    check_share(fields.place, fields.label, share, fields.findings)
    return share


def check_overlay(overlay: Overlay, resources: Mapping[str, Resource], findings: Findings) -> None:
    """Every line names an object and does not widen it."""
    seen: set[str] = set()
    for line in overlay.lines:
        name, dot, item_name = line.object.partition(".")
        if line.object in seen:
            findings.note("CAT212", line.place, f"{shown(line.object)} stands twice in the overlay")
        seen.add(line.object)
        resource = resources.get(name)
        if resource is None:
            if name:
                findings.note("CAT204", line.place, f"unknown resource {shown(name)}", did_you_mean(name, resources))
        elif dot and item_name not in resource.items:
            hint = did_you_mean(item_name, resource.items)
            findings.note("CAT203", line.place, f"unknown item {shown(item_name)} in {shown(name)}", hint)
        else:
            _check_narrowing(line, resource, resource.items[item_name] if dot else None, findings)


def _check_narrowing(line: Line, resource: Resource, item: Item | None, findings: Findings) -> None:
    target = item or resource
    sound = findings.sound(line.place, "share") and findings.sound(target.place, "share")
    if line.share and sound and _widens(line.share.share_class, target.share.share_class):
        message = f"{shown(line.object)} is {target.share.share_class}, the line says {line.share.share_class}"
        findings.note("CAT503", findings.where(line.place, "share"), message)
    if item and line.masks and item.type not in MASKABLE and findings.sound(item.place, "type"):
        findings.note("CAT406", findings.where(line.place, "masks"), f"a mask on a {item.type}: {shown(line.object)}")


def _widens(line: ShareClass, target: ShareClass) -> bool:
    return STRICTNESS[line] < STRICTNESS[target]


def narrow(resources: Mapping[str, Resource], overlay: Overlay, findings: Findings) -> dict[str, Resource]:
    """The resources under an overlay. Lines of unknown objects are passed over: `check_overlay` names them."""
    narrowed = dict(resources)
    for line in overlay.lines:
        name, dot, item_name = line.object.partition(".")
        resource = narrowed.get(name)
        if resource is None:
            continue
        if not dot:
            narrowed[name] = _narrow_resource(resource, line, findings)
        elif item_name in resource.items:
            item = _narrow_item(resource.items[item_name], line, findings)
            narrowed[name] = replace(resource, items={**resource.items, item_name: item})
    return narrowed


def _narrow_resource(resource: Resource, line: Line, findings: Findings) -> Resource:
    """A line on a resource narrows the resource and every item of a weaker class, and masks every maskable item."""
    return replace(
        resource,
        share=line.share
        if line.share and _widens(resource.share.share_class, line.share.share_class)
        else resource.share,
        purposes=_remaining(resource.purposes, line, findings),
        items={name: _narrow_item(item, line, findings, whole=True) for name, item in resource.items.items()},
    )


def _narrow_item(item: Item, line: Line, findings: Findings, *, whole: bool = False) -> Item:
    """A line on the item itself also replaces a share of equal class; one on the whole resource does not."""
    share = item.share
    if line.share and not _widens(line.share.share_class, share.share_class):
        weaker = _widens(share.share_class, line.share.share_class)
        share = share if whole and not weaker else line.share
    return replace(
        item,
        share=share,
        purposes=_remaining(item.purposes, line, findings),
        masks=_masks(item, line, findings) if line.masks and item.type in MASKABLE else item.masks,
    )


def _remaining(purposes: frozenset[Purpose], line: Line, findings: Findings) -> frozenset[Purpose]:
    if line.purposes is None:
        return purposes
    remaining = purposes & line.purposes
    if not remaining and purposes and line.purposes:
        where = findings.where(line.place, "purposes")
        findings.note("CAT505", where, f"no purpose is left in {shown(line.object)}")
    return remaining


def _masks(item: Item, line: Line, findings: Findings) -> Mapping[Purpose, MaskKind]:
    for purpose, kind in line.masks.items():
        if item.masks.get(purpose, kind) is not kind:
            where = findings.where(line.place, "masks")
            findings.note(
                "CAT507", where, f"{shown(item.name)} is already masked as {item.masks[purpose]} for {purpose}"
            )
    return {**line.masks, **item.masks}
