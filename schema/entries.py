"""Reads a department's file, the entities and the code tables into the catalogue's values.

What can be judged by an object alone is judged here; what needs another object is left to `schema.lint`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

from schema.catalogue import (
    CodeTable,
    CodeValue,
    Department,
    Entity,
    Item,
    ItemType,
    Library,
    MaskKind,
    MaskRule,
    OpenClass,
    Purpose,
    Relation,
    Resource,
    Secrecy,
    ShareMode,
    SubjectClass,
)
from schema.fields import Fields
from schema.formats import FORMATS, default_format, formats_of
from schema.identifiers import IdentifierError, to_credit_code
from schema.names import RESERVED_ARGUMENTS, RESERVED_ROOTS, SLUG
from schema.problems import Findings, did_you_mean, shown
from schema.searches import read_rows, read_search
from schema.sharing import MASKABLE, WrittenShare, read_mask_rule, read_masks, read_share, strictest
from schema.sources import read_column, read_source
from schema.yaml_source import Node

UPDATE_CYCLES = ("REALTIME", "DAILY", "WEEKLY", "MONTHLY", "QUARTERLY", "YEARLY", "IRREGULAR")
IDENTIFIER_TYPES = (ItemType.ID_NUMBER, ItemType.CREDIT_CODE, ItemType.UNIT_NUMBER, ItemType.COMPONENT_CODE)
CLASSIFIED = frozenset({Secrecy.SECRET, Secrecy.CONFIDENTIAL, Secrecy.TOP_SECRET})
_REGION = re.compile(r"[1-9]\d{5}", re.ASCII)
# A mobile number or a citizen identity number within a text.
_PERSONAL = re.compile(r"(?<!\d)1[3-9]\d(?:[ -]?\d{4}){2}(?!\d)|(?<!\d)\d{17}[\dXx]", re.ASCII)


@dataclass(frozen=True, slots=True)
class DepartmentFile:
    """What one department's file says."""

    department: Department
    codes: tuple[CodeTable, ...]
    resources: tuple[Resource, ...]


@dataclass(frozen=True, slots=True)
class _Inherited:
    """What an item takes from its resource where it says nothing."""

    share: WrittenShare
    purposes: frozenset[Purpose]
    annex: bool
    over_http: bool


def read_department(node: Node, slug: str, findings: Findings) -> DepartmentFile | None:
    """One department with its resources; None where the file has no `department`."""
    top = Fields(node, "the file", findings)
    codes = tuple(_code_table(fields) for fields in top.each("codes", "code table"))
    resources = tuple(_resource(fields, slug) for fields in top.each("resources", "resource"))
    fields = top.fields("department", "department")
    top.done()
    findings.unread = findings.unread or fields is None
    return DepartmentFile(_department(fields, slug), codes, resources) if fields else None


def read_entities(node: Node, findings: Findings) -> tuple[Entity, ...]:
    """The entities of `standards/entities.yaml`."""
    top = Fields(node, "the file", findings)
    entities = tuple(_entity(fields) for fields in top.each("entities", "entity"))
    top.done()
    return entities


def read_codes(node: Node, findings: Findings) -> tuple[CodeTable, ...]:
    """The code tables of `standards/codes.yaml`."""
    top = Fields(node, "the file", findings)
    tables = tuple(_code_table(fields) for fields in top.each("codes", "code table"))
    top.done()
    return tables


def read_mask_rules(node: Node, findings: Findings) -> tuple[MaskRule, ...]:
    """The masks by grade and purpose of `standards/masks.yaml`."""
    top = Fields(node, "the file", findings)
    rules = tuple(read_mask_rule(fields) for fields in top.each("masks", "mask"))
    top.done()
    return rules


def _department(fields: Fields, slug: str) -> Department:
    department = Department(
        slug=slug,
        title=fields.text("title"),
        name=fields.text("name"),
        code=fields.text("code"),
        region=fields.matching("region", _REGION, "six digits of GB/T 2260"),
        contact=fields.text("contact"),
        connection=fields.matching("connection", SLUG, "a name as in `public-security`")
        if fields.has("connection")
        else None,
        place=fields.place,
    )
    if department.code:
        _check_credit_code(fields, department.code)
    if _PERSONAL.search(department.contact):
        fields.fault("contact", "CAT309", "a person's number in `contact`")
    fields.done()
    return department


def _check_credit_code(fields: Fields, code: str) -> None:
    try:
        normal = to_credit_code(code)
    except IdentifierError as error:
        fields.fault("code", "CAT308", f"no unified social credit code: {error.reason_en}")
        return
    if normal != code:
        fields.fault("code", "CAT308", f"{shown(code)} is not in normal form", f"write it as `{normal}`")


def _entity(fields: Fields) -> Entity:
    entity = Entity(
        name=fields.type_name("name"),
        title=fields.text("title"),
        root=fields.field_name("root"),
        plural=fields.field_name("plural"),
        identifier=fields.field_name("identifier"),
        identifiers=fields.field_name("identifiers"),
        type=fields.choice("type", ItemType, ItemType.ID_NUMBER, among=IDENTIFIER_TYPES),
        register=fields.text("register"),
        place=fields.place,
    )
    for key in ("root", "plural"):
        if getattr(entity, key) in RESERVED_ROOTS:
            fields.fault(key, "CAT214", f"`{key}` {shown(getattr(entity, key))} is reserved")
    for key in ("identifier", "identifiers"):
        if getattr(entity, key) in RESERVED_ARGUMENTS:
            fields.fault(key, "CAT202", f"`{key}` {shown(getattr(entity, key))} is reserved")
    fields.done()
    return entity


def _code_table(fields: Fields) -> CodeTable:
    table = CodeTable(
        name=fields.type_name("name"),
        title=fields.text("title"),
        standard=fields.text("standard"),
        values=tuple(_code_values(fields)),
        place=fields.place,
    )
    fields.done()
    return table


def _code_values(table: Fields) -> list[CodeValue]:
    values: list[CodeValue] = []
    codes: set[str] = set()
    names: set[str] = set()
    for fields in table.each("values", "code"):
        value = CodeValue(fields.text("code"), fields.enum_name("name"), fields.text("title"))
        for key, word, seen in (("code", value.code, codes), ("name", value.name, names)):
            if word and word in seen:
                message = f"`{key}` {shown(word)} stands twice in {table.label}"
                fields.findings.note("CAT212", fields.where(key), message)
            seen.add(word)
        fields.done()
        values.append(value)
    if not values and table.findings.sound(table.place, "values"):
        table.fault("values", "CAT105", "no values")
    return values


def _annex(fields: Fields) -> tuple[int, int] | None:
    numbers = [node.value for node in fields.nodes("annex")]
    if not fields.has("annex"):
        return None
    if len(numbers) == 2 and all(type(number) is int and number > 0 for number in numbers):
        return int(str(numbers[0])), int(str(numbers[1]))
    if fields.findings.sound(fields.place, "annex"):
        fields.fault("annex", "CAT107", "`annex` is malformed", "give [article, number of the data set]")
    return None


def _open(fields: Fields) -> tuple[OpenClass, str]:
    written = fields.fields("open")
    if written is None:
        return OpenClass.NOT_OPEN, ""
    result = written.choice("class", OpenClass, OpenClass.NOT_OPEN), written.text_or("conditions", "", prose=True)
    written.done()
    return result


def _secrecy(fields: Fields) -> Secrecy:
    secrecy = fields.choice("secrecy", Secrecy, Secrecy.NONE)
    if secrecy in CLASSIFIED:
        fields.fault("secrecy", "CAT307", f"data classified as {secrecy}")
    return secrecy


def _edge(fields: Fields, name: str) -> str:
    """The edge's name; a faulty type name gives no second problem here."""
    default = name[:1].lower() + name[1:]
    if not fields.has("field") and not fields.findings.sound(fields.place, "name"):
        fields.findings.mark(fields.place, "field")
        return default
    return fields.field_name("field", default)


def _resource(fields: Fields, slug: str) -> Resource:
    name, share, annex = fields.type_name("name"), read_share(fields), _annex(fields)
    purposes = fields.choices("purposes", Purpose)
    source = read_source(fields)
    items = _items(fields, _Inherited(share, purposes, annex is not None, source.http is not None))
    open_class, open_conditions = _open(fields)
    if share.share_class is None and not items and fields.findings.sound(fields.place, "share", "items"):
        fields.fault("share", "CAT301", "no share class")
    resource = Resource(
        name=name,
        field=_edge(fields, name),
        title=fields.text("title"),
        code=fields.text("code"),
        department=slug,
        also=fields.texts("also"),
        library=fields.choice("library", Library, Library.DEPARTMENT),
        library_name=fields.text_or("library_name", ""),
        abstract=fields.text("abstract", prose=True),
        data_format=fields.text("format"),
        share=share.effective(strictest(item.share for item in items.values())),
        purposes=purposes,
        modes=fields.choices("modes", ShareMode),
        audience=fields.texts("audience"),
        scope=fields.text("scope", prose=True),
        open_class=open_class,
        open_conditions=open_conditions,
        secrecy=_secrecy(fields),
        update_cycle=fields.text("update_cycle"),
        published=fields.day("published"),
        related=fields.texts("related"),
        annex=annex,
        entity=fields.optional("entity"),
        key=fields.optional("key"),
        many=fields.flag("many", False),
        table=source.table,
        http=source.http,
        updated=source.updated,
        updated_format=source.updated_format,
        items=items,
        relations=tuple(_relation(relation) for relation in fields.each("relations", "relation")),
        rows=read_rows(fields),
        region=fields.optional("region"),
        search=read_search(fields),
        place=fields.place,
    )
    fields.one_of("update_cycle", resource.update_cycle, UPDATE_CYCLES)
    fields.done()
    return resource


def _items(resource: Fields, inherited: _Inherited) -> Mapping[str, Item]:
    items: dict[str, Item] = {}
    for fields in resource.each("items", "item"):
        item = _item(fields, inherited)
        if item.name in items and item.name:
            first = items[item.name].place.line
            message = f"item {shown(item.name)} stands twice in {resource.label}, first on line {first}"
            fields.findings.note("CAT212", fields.where("name"), message)
        else:
            items[item.name] = item
    return items


def _item_share(fields: Fields, inherited: WrittenShare) -> WrittenShare:
    own = read_share(fields)
    share = own.over(inherited)
    if share.share_class is None and fields.findings.sound(fields.place, "share"):
        fields.fault("share", "CAT301", "no share class")
    borrowed = own.share_class and inherited.share_class and own.basis is None
    if borrowed and fields.findings.sound(fields.place, "share"):
        fields.fault("share", "CAT302", "a share class of its own without a basis of its own")
    return share


def _item(fields: Fields, inherited: _Inherited) -> Item:
    share = _item_share(fields, inherited.share)
    item = Item(
        name=fields.field_name("name"),
        title=fields.text("title"),
        type=fields.choice("type", ItemType, ItemType.STRING),
        codes=fields.optional("codes"),
        grade=fields.number("grade", 1, 4),
        subject=fields.choice_or("subject", SubjectClass, SubjectClass.SUBJECT),
        share=share.effective(),
        purposes=fields.choices("purposes", Purpose) if fields.has("purposes") else inherited.purposes,
        column=read_column(fields, "column", over_http=inherited.over_http),
        format="",
        values=_values(fields),
        masks=read_masks(fields),
        holds=fields.choice("holds", MaskKind, MaskKind.NAME) if fields.has("holds") else None,
        annex=fields.flag("annex", inherited.annex),
        description=fields.text_or("description", "", prose=True),
        same_as=fields.text_or("same_as", ""),
        place=fields.place,
    )
    item = replace(item, format=fields.text_or("format", default_format(item.type)))
    if item.type is ItemType.ID_NUMBER:
        item = replace(item, holds=MaskKind.ID_NUMBER)
    if fields.findings.sound(item.place, "type"):
        _check_type(fields, item)
    fields.done()
    return item


def _values(fields: Fields) -> Mapping[str, str]:
    written = fields.fields("values", required=False)
    if written is None:
        return {}
    for key in written.own_keys():
        written.check_text(key, key)
    return {key: written.text(key) for key in written.own_keys()}


def _check_type(fields: Fields, item: Item) -> None:
    """Format, codes, values, masks and `holds` as the type admits them."""
    if item.format not in FORMATS[item.type] and fields.findings.sound(item.place, "format"):
        hint = did_you_mean(item.format, FORMATS[item.type]) or formats_of(item.type)
        fields.fault("format", "CAT401", f"unknown format {shown(item.format)} of {item.type}", hint)
    if item.type is ItemType.CODE and not fields.has("codes"):
        fields.fault("codes", "CAT402", "a Code without `codes`", "name its code table under `codes`")
    for key in ("codes", "values"):
        if item.type is not ItemType.CODE and fields.has(key):
            fields.fault(key, "CAT402", f"`{key}` on a {item.type}", "make the type Code, or drop it")
    if item.masks and item.type not in MASKABLE:
        fields.fault("masks", "CAT406", f"a mask on a {item.type}")
    if item.type is not ItemType.STRING and fields.has("holds"):
        fields.fault("holds", "CAT407", f"`holds` on a {item.type}")


def _relation(fields: Fields) -> Relation:
    inverse = fields.field_name("inverse") if fields.has("inverse") else None
    relation = Relation(
        name=fields.field_name("name"),
        title=fields.text("title"),
        item=fields.text("item"),
        to=fields.text("to"),
        many=fields.flag("many", False),
        subject=fields.choice("subject", SubjectClass, SubjectClass.THIRD_PARTY),
        inverse=inverse,
        inverse_title=fields.text("inverse_title") if inverse is not None else fields.text_or("inverse_title", ""),
        inverse_many=fields.flag("inverse_many", False),
        place=fields.place,
    )
    fields.done()
    return relation
