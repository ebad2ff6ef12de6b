"""A small city for the leak proofs: three kinds of entity, seven resources with every type of item, relations in every direction.

Which item is shared how, masked, limited to a region or to adults, and searched by what, is drawn at random; people are invented.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

from stdnum.cn import ric, uscc

from schema.catalogue import (
    BasisRank,
    Catalogue,
    CodeTable,
    CodeValue,
    Entity,
    Item,
    ItemType,
    MaskKind,
    Material,
    Purpose,
    Relation,
    Resource,
    RowCondition,
    Search,
    ServiceItemUse,
    Share,
    ShareClass,
    ShareMode,
    SubjectClass,
)
from schema.formats import is_ordered, is_searchable
from tests.connectors.resources import OPEN_SHARE, PLACE, item, resource
from tests.policies.small import department
from tests.policies.worlds import DEPARTMENTS, random_scenario, random_service, some

Record = dict[str, Any]
Records = dict[str, list[Record]]
"""Canonical records by resource; `updated` beside the items."""

READING = (Purpose.ADMINISTRATIVE_BASIS, Purpose.WORK_REFERENCE, Purpose.BUSINESS_COLLABORATION)
REGIONS = ("421202", "421221", "421200", "420102", "420000", "430102")
_RELATED = SubjectClass.RELATED
_ID, _TEXT = ItemType.ID_NUMBER, ItemType.STRING


def _entity(name: str, plural: str, identifier: str, kind: ItemType, register: str) -> Entity:
    root = name[:1].lower() + name[1:]
    return Entity(name, name, root, plural, identifier, f"{identifier}s", kind, register, PLACE)


ENTITIES = {
    "Person": _entity("Person", "persons", "idNumber", _ID, "Register"),
    "Organisation": _entity("Organisation", "organisations", "creditCode", ItemType.CREDIT_CODE, "Enterprise"),
}


def _relation(name: str, by: str, to: str, inverse: str | None, **many: bool) -> Relation:
    return Relation(name, name, by, to, many.get("many", False), _RELATED, inverse, "", many.get("back", True), PLACE)


def _resources() -> list[Resource]:
    """The resources, before chance shares, masks and limits them. The first item is the key."""
    code = {"codes": "Many"}
    return [
        resource(
            "Register",
            *(item("idNumber", _ID, "15or18"), item("name"), item("region"), item("motherIdNumber", _ID, subject=_RELATED)),
            *(item("bornOn", ItemType.DATE, "compact"), item("sex", ItemType.CODE, codes="Few"), item("photo", ItemType.IMAGE)),
            field="register", region="region", department="civil",
            relations=(_relation("mother", "motherIdNumber", "Person", "children"),),
            search=Search((), (), ("idNumber",)),
        ),
        resource(
            "Marriage",
            *(item("idNumber", _ID), item("certificate"), item("spouseIdNumber", _ID, subject=_RELATED)),
            *(item("spouseName", subject=_RELATED), item("marriedOn", ItemType.DATE), item("state", ItemType.CODE, **code)),
            field="marriages", many=True, department="civil",
            relations=(_relation("spouse", "spouseIdNumber", "Person", None),),
            search=Search((), (), ("certificate",)),
        ),
        resource(
            "Tenancy",
            *(item("idNumber", _ID), item("contract"), item("region"), item("address", _TEXT, "trim")),
            *(item("rent", ItemType.DECIMAL, "cents"), item("endsOn", ItemType.DATETIME, "epoch")),
            *(item("active", ItemType.BOOLEAN), item("landlordCode", ItemType.CREDIT_CODE, subject=_RELATED)),
            field="tenancies", many=True, region="region", department="housing",
            relations=(_relation("landlords", "landlordCode", "Organisation", "tenants", many=True),),
            search=Search((), (), ("contract",)),
        ),
        resource(
            "Health",
            *(item("idNumber", _ID), item("blood", ItemType.CODE, **code), item("disabled", ItemType.BOOLEAN)),
            *(item("note"), item("doctorIdNumber", _ID, subject=_RELATED), item("visits", ItemType.INT)),
            field="health", department="health",
            relations=(_relation("doctor", "doctorIdNumber", "Person", "patients"),),
            search=Search((), (), ("idNumber",)),
        ),
        resource(
            "Enterprise",
            *(item("creditCode", ItemType.CREDIT_CODE), item("name"), item("region"), item("telephone")),
            *(item("chiefIdNumber", _ID, subject=_RELATED), item("capital", ItemType.INT)),
            field="enterprise", entity="Organisation", region="region", department="tax",
            relations=(_relation("chief", "chiefIdNumber", "Person", "enterprises"),),
            search=Search((), (), ("creditCode",)),
        ),
        resource(
            "Penalty",
            *(item("creditCode", ItemType.CREDIT_CODE), item("number"), item("reason"), item("amount", ItemType.INT)),
            *(item("decidedAt", ItemType.DATETIME), item("kind", ItemType.CODE, **code)),
            field="penalties", entity="Organisation", many=True, department="tax",
            search=Search((), (), ("number",)),
        ),
    ]  # fmt: skip


UNIQUE = frozenset({"certificate", "contract", "number"})
"""Items that identify a record among all."""
_CLOSED = (
    Share(ShareClass.CONDITIONAL, "第二条", BasisRank.LAW, "仅限核验"),
    Share(ShareClass.NOT_SHARED, "第三条", BasisRank.LAW),
)


def random_catalogue(chance: random.Random) -> Catalogue:
    """The city's catalogue, shared at random; services need most of it, so that much may be seen and much may not."""
    made = [_drawn(chance, one) for one in _resources()]
    coordinates = [f"{one.name}.{name}" for one in made for name in one.items]
    services = [
        replace(
            random_service(chance, f"S-{n}", coordinates),
            subjects={"P": "Person", "O": "Organisation"},
            purposes=frozenset(Purpose),
            materials=tuple(Material(p, "第八条", p, _uses(chance, coordinates), PLACE) for p in Purpose),
        )
        for n in range(1, 7)
    ]
    scenarios = [
        replace(random_scenario(chance, f"scene-{n}", services, coordinates), items=_uses(chance, coordinates))
        for n in range(1, 5)
    ]
    codes = {
        name: CodeTable(name, name, name, tuple(CodeValue(str(n), f"V{n}", str(n)) for n in range(size)), PLACE)
        for name, size in (("Few", 10), ("Many", 50))
    }
    return Catalogue(
        version=f"leaks-{chance.random()}",
        departments={slug: department(slug) for slug in DEPARTMENTS},
        entities=ENTITIES,
        codes=codes,
        resources={one.name: one for one in made},
        services={one.code: one for one in services},
        scenarios={one.name: one for one in scenarios},
    )


def _uses(chance: random.Random, coordinates: list[str]) -> tuple[ServiceItemUse, ...]:
    """Most items, of the subject more often than of others."""
    wanted = [one for one in coordinates if chance.random() < (0.97 if _names_a_record(one) else 0.88)]
    classes = [
        frozenset(kind for kind in SubjectClass if chance.random() < _OFTEN[kind] + 0.2 * _names_a_record(one))
        for one in wanted
    ]
    return tuple(ServiceItemUse(one, of, PLACE) for one, of in zip(wanted, classes, strict=True) if of)


_OFTEN = {SubjectClass.SUBJECT: 0.95, SubjectClass.RELATED: 0.7, SubjectClass.THIRD_PARTY: 0.7}


def _names_a_record(coordinate: str) -> bool:
    return coordinate.partition(".")[2] in {"idNumber", "creditCode", *UNIQUE}


def open_catalogue() -> Catalogue:
    """The city's catalogue with everything shared, searched and needed by everybody for everything."""
    chance = random.Random(1)
    drawn = random_catalogue(chance)
    resources = {one.name: _searched(one, list(one.items.values())) for one in _resources()}
    uses = [
        replace(use, coordinate=f"{one.name}.{name}", subjects=frozenset(SubjectClass))
        for one in resources.values()
        for name in one.items
        for use in next(iter(drawn.services.values())).materials[0].uses[:1]
    ]
    services = {}
    for code, service in list(drawn.services.items())[:2]:
        material = service.materials[0]
        materials = tuple(replace(material, purpose=purpose, uses=tuple(uses)) for purpose in Purpose)
        services[code] = replace(service, purposes=frozenset(Purpose), materials=materials)
    scenario = replace(
        drawn.scenarios["scene-1"],
        services=("S-1",),
        purposes=frozenset(Purpose),
        modes=frozenset({ShareMode.SYSTEM_INTEGRATION}),
        items=tuple(uses),
        rows=frozenset(),
    )
    scenarios = {scenario.name: scenario}
    return replace(drawn, version="open", resources=resources, services=services, scenarios=scenarios)


def _drawn(chance: random.Random, one: Resource) -> Resource:
    items = {name: _drawn_item(chance, given, name == one.key) for name, given in one.items.items()}
    rows = set()
    if one.region and chance.random() < 0.25:
        rows.add(RowCondition.OWN_REGION)
    if one.entity == "Person" and chance.random() < 0.2:
        rows.add(RowCondition.ADULTS)
    drawn = replace(
        one,
        items=items,
        rows=frozenset(rows),
        audience=tuple(sorted(some(chance, DEPARTMENTS, 2))) if chance.random() < 0.2 else (),
        modes=frozenset({ShareMode.ONLINE_QUERY, ShareMode.SYSTEM_INTEGRATION}) if chance.random() < 0.8 else some(chance, tuple(ShareMode), 2),
    )  # fmt: skip
    return _searched(drawn, [given for given in items.values() if chance.random() < 0.85])


def _searched(one: Resource, items: list[Item]) -> Resource:
    assert one.search
    where = tuple(given.name for given in items if is_searchable(given))
    order = tuple(given.name for given in items if is_ordered(given))
    return replace(one, search=Search(where, order, one.search.identity))


def _drawn_item(chance: random.Random, one: Item, is_key: bool) -> Item:
    share = OPEN_SHARE if chance.random() < (0.95 if is_key else 0.8) else chance.choice(_CLOSED)
    masks = {}
    if one.type in (_TEXT, _ID) and chance.random() < 0.3:
        kind = MaskKind.ID_NUMBER if one.type is _ID else chance.choice(tuple(MaskKind))
        masks = {purpose: kind for purpose in READING if chance.random() < 0.4}
    purposes = frozenset(Purpose) if is_key or chance.random() < 0.75 else some(chance, tuple(Purpose), 1)
    return replace(one, share=share, masks=masks, purposes=purposes)


# -- people and records ---------------------------------------------------------------------------------------


def citizen(chance: random.Random, born: date | None = None, place: str = "421202") -> str:
    """An invented identity number with a valid check digit."""
    born = born or date(1950, 1, 1) + timedelta(days=chance.randrange(27_000))
    first = f"{place}{born:%Y%m%d}{chance.randrange(1000):03d}"
    return first + str(ric.calc_check_digit(first + "0"))


def credit_code(chance: random.Random) -> str:
    """An invented unified social credit code with a valid check character."""
    first = "91421200MA" + "".join(chance.choice("0123456789ABCDEFGHJKLMNPQRTUWXY") for _ in range(7))
    return first + str(uscc.calc_check_digit(first))


def random_people(chance: random.Random) -> dict[str, list[str]]:
    """Twelve persons, two of them minors and two at the edge of age in 2026, and five organisations."""
    births = [None] * 8 + [date(2015, 3, 1), date(2019, 7, 9), date(2008, 6, 1), date(2008, 9, 1)]
    persons = list(dict.fromkeys(citizen(chance, born) for born in births))
    return {"Person": persons, "Organisation": [credit_code(chance) for _ in range(5)]}


def random_records(chance: random.Random, catalogue: Catalogue, people: Mapping[str, list[str]]) -> Records:
    """Records of most of the people."""
    records: Records = {}
    for one in catalogue.resources.values():
        rows = records[one.name] = []
        for key in people[one.entity or ""]:
            for _ in range(chance.choice((0, 1, 2, 3)) if one.many else int(chance.random() < 0.85)):
                rows.append(random_record(chance, one, key, people))
        chance.shuffle(rows)
    return records


_UPDATED = [datetime(2026, 1, day, 8, tzinfo=UTC) for day in (1, 2, 3)]


def random_record(chance: random.Random, one: Resource, key: str, people: Mapping[str, list[str]]) -> Record:
    record: Record = {name: random_value(chance, one, given, people) for name, given in one.items.items()}
    record[one.key or ""] = key
    record["updated"] = chance.choice([*_UPDATED, None])
    return record


def random_value(chance: random.Random, one: Resource, given: Item, people: Mapping[str, list[str]]) -> Any:
    """A value of the item's type, of few, so that some are equal; now and then none."""
    if given.name in UNIQUE:
        return f"{given.name}-{chance.randrange(10**9):09d}"
    if chance.random() < 0.08:
        return None
    if given.name == one.region:
        return chance.choice(REGIONS)
    if given.type is _ID:
        return chance.choice(people["Person"])
    if given.type is ItemType.CREDIT_CODE:
        return chance.choice(people["Organisation"])
    return _DRAWS[given.type](chance)


_DRAWS: dict[ItemType, Callable[[random.Random], Any]] = {
    ItemType.CODE: lambda chance: str(chance.randrange(10)),
    ItemType.BOOLEAN: lambda chance: chance.random() < 0.5,
    ItemType.INT: lambda chance: chance.choice((0, 1, 2, 50, 2_000_000)),
    ItemType.DECIMAL: lambda chance: Decimal(chance.choice((0, 99_900, 100_000, 123_456))) / 100,
    ItemType.DATE: lambda chance: date(2020, 1, 1) + timedelta(days=chance.randrange(5) * 100),
    ItemType.DATETIME: lambda chance: datetime(2020, 1, 1, tzinfo=UTC) + timedelta(hours=chance.randrange(5) * 100),
    ItemType.IMAGE: lambda chance: bytes([chance.randrange(4)]),
    ItemType.STRING: lambda chance: chance.choice(_TEXTS),
}
_TEXTS: tuple[str, ...] = (
    "陈",
    "陈新",
    "陈志",
    "李四",
    "李四光",
    "13800138000",
    "13900139000",
    "湖北咸宁温泉路一号",
    "湖北咸宁温泉路二号",
)
