"""The catalogue of information resources (政务信息资源目录), as immutable values.

Everything else is derived from these values: the GraphQL types, the rules, the column maps of the
connectors, the dictionary of the ledger. `schema.load` reads them from YAML and refuses what is wrong;
nothing here reads a file.

Sources: 发改高技〔2017〕1272号 (metadata of an entry), Changsha art. 3, 12, 21, 28, 31, Hunan ch. 2 and 3,
Xianning art. 8 to 12, Sanya art. 14 (secrecy, scope).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum

from schema.http import HttpSource


class ShareClass(StrEnum):
    """共享类型 (Changsha 28, Hunan ch. 3, Xianning 11; Sanya 11 and Shuangliao 23 by other names)."""

    UNCONDITIONAL = "UNCONDITIONAL"
    CONDITIONAL = "CONDITIONAL"
    NOT_SHARED = "NOT_SHARED"


class Purpose(StrEnum):
    """使用用途 (Changsha 31, Xianning 15)."""

    ADMINISTRATIVE_BASIS = "ADMINISTRATIVE_BASIS"
    WORK_REFERENCE = "WORK_REFERENCE"
    DATA_VERIFICATION = "DATA_VERIFICATION"
    BUSINESS_COLLABORATION = "BUSINESS_COLLABORATION"


PURPOSE_TITLES = {
    Purpose.ADMINISTRATIVE_BASIS: "行政依据",
    Purpose.WORK_REFERENCE: "工作参考",
    Purpose.DATA_VERIFICATION: "数据校核",
    Purpose.BUSINESS_COLLABORATION: "业务协同",
}


class ShareMode(StrEnum):
    """共享方式 (Changsha 31, Xianning 15)."""

    SYSTEM_INTEGRATION = "SYSTEM_INTEGRATION"
    FRONT_END_EXCHANGE = "FRONT_END_EXCHANGE"
    ONLINE_QUERY = "ONLINE_QUERY"
    BATCH_DOWNLOAD = "BATCH_DOWNLOAD"


class OpenClass(StrEnum):
    """开放类型 (Shuangliao 26)."""

    OPEN = "OPEN"
    CONDITIONALLY_OPEN = "CONDITIONALLY_OPEN"
    NOT_OPEN = "NOT_OPEN"


class Library(StrEnum):
    """Base, theme or department library (Hunan ch. 2, Changsha 3)."""

    BASE = "BASE"
    THEME = "THEME"
    DEPARTMENT = "DEPARTMENT"


class Secrecy(StrEnum):
    """密级 (Sanya 14). Only the first two may enter: classified data never does (Hunan ch. 1)."""

    NONE = "NONE"
    INTERNAL = "INTERNAL"
    SECRET = "SECRET"
    CONFIDENTIAL = "CONFIDENTIAL"
    TOP_SECRET = "TOP_SECRET"


class BasisRank(StrEnum):
    """Rank of a legal basis. NOT_SHARED needs one of the first three (Changsha 28, Xianning 11)."""

    LAW = "LAW"
    ADMINISTRATIVE_REGULATION = "ADMINISTRATIVE_REGULATION"
    CENTRAL_POLICY = "CENTRAL_POLICY"
    DEPARTMENT_RULE = "DEPARTMENT_RULE"
    LOCAL_RULE = "LOCAL_RULE"


class SubjectClass(StrEnum):
    """Whose data: of the case's subject, of one reached from it by a relation, of somebody else."""

    SUBJECT = "SUBJECT"
    RELATED = "RELATED"
    THIRD_PARTY = "THIRD_PARTY"

    __hash__ = str.__hash__  # an Enum's own is written in Python, and a decision is looked up by it

    def then(self, further: SubjectClass) -> SubjectClass:
        """The class of what is `further` away, seen from here: a relative's relative is a third party."""
        order = tuple(SubjectClass)
        return order[min(2, order.index(self) + order.index(further))]


class ItemType(StrEnum):
    """Type of an item; the value is the name of its GraphQL type (`Code` stands for the table's enum)."""

    STRING = "String"
    INT = "Int"
    DECIMAL = "Decimal"
    BOOLEAN = "Boolean"
    DATE = "Date"
    DATETIME = "DateTime"
    ID_NUMBER = "CitizenIdNumber"
    CREDIT_CODE = "UnifiedSocialCreditCode"
    UNIT_NUMBER = "RealEstateUnitNumber"
    COMPONENT_CODE = "CityComponentCode"
    CODE = "Code"
    IMAGE = "Base64"


class RowCondition(StrEnum):
    """Which records a rule reaches at all (Hunan ch. 3: "only in part"); the others are as if they were not there.

    OWN_REGION: the record's region lies within the caller's. ADULTS: the record's person is of age.
    """

    OWN_REGION = "OWN_REGION"
    ADULTS = "ADULTS"


class MaskKind(StrEnum):
    """How a value is masked at read."""

    ID_NUMBER = "ID_NUMBER"
    NAME = "NAME"
    TELEPHONE = "TELEPHONE"
    ADDRESS = "ADDRESS"


@dataclass(frozen=True, slots=True)
class Place:
    """Where something is written: a file, relative to the catalogue's folder, and a line from 1."""

    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


@dataclass(frozen=True, slots=True)
class CodeValue:
    """One value of a code table: the standard's code, its name in GraphQL, its Chinese title."""

    code: str
    name: str
    title: str


@dataclass(frozen=True, slots=True)
class CodeTable:
    """A code table (代码表). `name` is PascalCase and becomes the GraphQL enum."""

    name: str
    title: str
    standard: str
    values: tuple[CodeValue, ...]
    place: Place


@dataclass(frozen=True, slots=True)
class Entity:
    """What an identifier denotes (Changsha 21).

    `name` is the GraphQL type, `root` and `plural` the root fields, `identifier` the argument (and the plural
    argument is `identifiers`), `type` the identifier's scalar. `register` names the resource that says whether
    such an entity exists at all.
    """

    name: str
    title: str
    root: str
    plural: str
    identifier: str
    identifiers: str
    type: ItemType
    register: str
    place: Place


@dataclass(frozen=True, slots=True)
class Share:
    """Share class with what the regulations ask for beside it."""

    share_class: ShareClass
    basis: str = ""
    rank: BasisRank | None = None
    conditions: str = ""
    source: str = "catalogue"
    """Where the class was set: `catalogue`, or the name of the overlay that narrowed it."""
    conflict: str = ""
    """For an overlay's line: the rule that it contradicts, stated."""


@dataclass(frozen=True, slots=True)
class Item:
    """An item (信息项) of a resource.

    `column` and `format` say how the source writes it (`schema.formats`); `values` maps the source's own codes to
    the standard's. `annex` is false for an item that a source needs beyond the official annex. `subject` says whose data it is, seen from
    the record's entity. `share` and `purposes` are effective: the item's own, else the resource's, with overlays.
    """

    name: str
    title: str
    type: ItemType
    codes: str | None
    grade: int
    subject: SubjectClass
    share: Share
    purposes: frozenset[Purpose]
    column: str
    format: str
    values: Mapping[str, str]
    masks: Mapping[Purpose, MaskKind]
    holds: MaskKind | None
    """What the text holds, so that masks by grade and purpose find it; None for neither identifier, name, telephone nor address."""
    annex: bool
    description: str
    same_as: str
    """The coordinate of the item that is authoritative for this datum (一数一源); empty for an item that is so itself."""
    place: Place


@dataclass(frozen=True, slots=True)
class Relation:
    """A way from a resource's entity to another entity, by an item that holds the other's identifier.

    Gives the field `name` on the resource's entity and, if set, `inverse` on the other one. `many` and
    `inverse_many` say which way is to-many. `subject` is the class of the other side, seen from this one.
    """

    name: str
    title: str
    item: str
    to: str
    many: bool
    subject: SubjectClass
    inverse: str | None
    inverse_title: str
    inverse_many: bool
    place: Place


@dataclass(frozen=True, slots=True)
class Search:
    """What a resource may be searched by: items of `where`, of `orderBy`, and those that together identify one record."""

    where: tuple[str, ...]
    order_by: tuple[str, ...]
    identity: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Resource:
    """An information resource (信息资源): one entry of the catalogue and one GraphQL object type.

    `department` is the provider's slug, `also` those of further providers. `entity`, `key` (name of the item that holds the
    entity's identifier), `table` and `items` are empty for an entry without a connection. `annex` is (article,
    number of the data set in the article) of Xianning's annex, None beside it. `updated` is the source's column of its last
    change, with `updated_format`. `field` is the name of the edge on the entity.
    """

    name: str
    field: str
    title: str
    code: str
    department: str
    also: tuple[str, ...]
    library: Library
    library_name: str
    abstract: str
    data_format: str
    share: Share
    purposes: frozenset[Purpose]
    modes: frozenset[ShareMode]
    audience: tuple[str, ...]
    """Slugs of the departments concerned; empty means every department (Changsha 28)."""
    scope: str
    open_class: OpenClass
    open_conditions: str
    secrecy: Secrecy
    update_cycle: str
    published: date
    related: tuple[str, ...]
    annex: tuple[int, int] | None
    entity: str | None
    key: str | None
    many: bool
    table: str | None
    http: HttpSource | None
    """How it is asked where its source is an HTTP service; then there is no table."""
    updated: str | None
    updated_format: str
    items: Mapping[str, Item]
    relations: tuple[Relation, ...]
    rows: frozenset[RowCondition]
    """Conditions on the records of every rule about this resource."""
    region: str | None
    """The item that holds the record's region (GB/T 2260), for OWN_REGION."""
    search: Search | None
    """None where the resource can be looked up by its key only."""
    place: Place

    @property
    def connected(self) -> bool:
        """False for an entry that is in the catalogue only (annex art. 17)."""
        return self.table is not None or self.http is not None


@dataclass(frozen=True, slots=True)
class Department:
    """A department: `slug` is its name in tokens and files, `code` its unified social credit code."""

    slug: str
    title: str
    name: str
    code: str
    region: str
    contact: str
    connection: str | None
    place: Place


@dataclass(frozen=True, slots=True)
class ServiceItemUse:
    """One item that a service item may use: its coordinate `Resource.item` and whose."""

    coordinate: str
    subjects: frozenset[SubjectClass]
    place: Place


@dataclass(frozen=True, slots=True)
class Material:
    """A material (申请材料): the law that permits asking for it and the items that replace it; without them nobody holds it, and it is handed in."""

    title: str
    basis: str
    purpose: Purpose
    uses: tuple[ServiceItemUse, ...]
    place: Place


@dataclass(frozen=True, slots=True)
class Service:
    """A service item (政务服务事项) of one department.

    `subjects` maps each admissible role of a case's subject (APPLICANT, SPOUSE ...) to its entity; `days` is how
    long a case stays open.
    """

    code: str
    name: str
    title: str
    department: str
    basis: str
    days: int
    purposes: frozenset[Purpose]
    subjects: Mapping[str, str]
    materials: tuple[Material, ...]
    place: Place


@dataclass(frozen=True, slots=True)
class Scenario:
    """An application scenario (应用场景) with its minimal set of items (最小够用): Shuangliao 24.

    Departments of the service items named in `services` may use it for `purposes`, through `modes`. A use that fits is authorised directly.
    """

    name: str
    title: str
    basis: str
    services: tuple[str, ...]
    purposes: frozenset[Purpose]
    modes: frozenset[ShareMode]
    items: tuple[ServiceItemUse, ...]
    rows: frozenset[RowCondition]
    place: Place


@dataclass(frozen=True, slots=True)
class MaskRule:
    """A mask by grade and purpose: what an item of this grade or a higher one `holds` is masked for `purpose`, by `basis`."""

    purpose: Purpose
    grade: int
    holds: frozenset[MaskKind]
    basis: str
    place: Place


VERIFIABLE_CODES = 50
"""Codes that a table has at least, if values of it may be verified: who may try few values would learn them by guessing."""
_UNVERIFIABLE = frozenset({ItemType.BOOLEAN, ItemType.IMAGE})


@dataclass(frozen=True, slots=True)
class Catalogue:
    """The whole catalogue. `version` is a digest of its content: same content, same version."""

    version: str
    departments: Mapping[str, Department]
    entities: Mapping[str, Entity]
    codes: Mapping[str, CodeTable]
    resources: Mapping[str, Resource]
    services: Mapping[str, Service] = field(default_factory=dict)
    overlays: tuple[str, ...] = ()
    scenarios: Mapping[str, Scenario] = field(default_factory=dict)
    masks: tuple[MaskRule, ...] = ()
    """What made masks of items that have none of their own; `Item.masks` has them all."""

    def verifiable(self, item: Item) -> bool:
        """Whether a value of this item may be verified at all: its table is large enough, it is no yes or no, and no picture."""
        if item.type is ItemType.CODE:
            return len(self.codes[item.codes or ""].values) >= VERIFIABLE_CODES
        return item.type not in _UNVERIFIABLE

    def item(self, coordinate: str) -> Item:
        """The item at `Resource.item`; KeyError if there is none."""
        resource, _, name = coordinate.partition(".")
        return self.resources[resource].items[name]
