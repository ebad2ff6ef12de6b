"""The naive model of the line: a question answered straight from the SQLite files, entity by entity, field by field.

It shares the catalogue's columns with the product and nothing else: no plan, no batches, no Casbin, no formats. What may be
seen is written down here by hand, for the shipped service item of public rental housing as an administrative basis.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from schema.catalogue import Catalogue, Entity, Item, ItemType, Relation, Resource
from tests.line.questions import Field, Selection, children, flattened

_WORDS = {
    "HouseholdRegistration": "idNumber name sex ethnicGroup town policeStation status cancelledOn",
    "MarriageRegistration": "idNumber name marriedOn divorcedOn maritalStatus",
    "MinimumLivingAllowance": "certificateNumber authority authorityRegion",
    "SocialInsurance": "employmentStatus insuranceStatus personalNumber insuranceType enrolledOn suspendedOn employerName"
    " employerNumber authority authorityRegion registeredOn",
    "HousingFund": "idNumber name accountStatus employerName registeredOn",
    "ElectronicCertificate": "certificateName certificateNumber certificateIdentifier issuedBy issuedOn validUntil status",
}
_ENTERPRISE = (
    "unifiedSocialCreditCode legalRepresentativeIdNumber enterpriseName enterpriseType industry establishedOn authority"
)
_ESTATE = "unitNumber certificateNumber location usage floorArea coOwnership registeredOn mortgaged ownerIdNumber"


def _coordinates(words: Mapping[str, str]) -> frozenset[str]:
    return frozenset(f"{resource}.{item}" for resource, items in words.items() for item in items.split())


ALLOWED = (
    _coordinates({**_WORDS, "EnterpriseRegistration": _ENTERPRISE, "RealEstateRegistration": "ownerIdNumber"}),
    _coordinates({"EnterpriseRegistration": _ENTERPRISE, "RealEstateRegistration": _ESTATE}),
    frozenset[str](),
)
"""What may be read of a subject of the case, of a related person, of a third party."""
OFTEN = frozenset(_WORDS)
"""Resources worth asking for often: those of which something may be read."""
_FURTHER = {"SUBJECT": 0, "RELATED": 1, "THIRD_PARTY": 2}


class Naive:
    """Answers questions about `subjects`, the case's persons; `denied` collects the paths of fields refused on the way."""

    def __init__(self, catalogue: Catalogue, city: Path, subjects: frozenset[str]) -> None:
        self._catalogue = catalogue
        self._subjects = subjects
        self._resources = [r for r in catalogue.resources.values() if r.connected and r.entity]
        departments = {r.department for r in self._resources}
        self._databases = {name: sqlite3.connect(f"file:{city}/{name}.db?mode=ro", uri=True) for name in departments}
        with_legacy = self._databases["public-security"].execute("SELECT GMSFHM FROM T_HJXX").fetchall()
        self._modern = {number[:6] + number[8:17]: number for (number,) in with_legacy}
        self.denied: set[str] = set()

    def close(self) -> None:
        """Close every database."""
        for database in self._databases.values():
            database.close()

    def answer(self, roots: tuple[Selection, ...], asked: Mapping[str, list[str]]) -> dict[str, Any]:
        """The data of a question; `asked` holds each root's identifiers by response key."""
        self.denied = set()
        data: dict[str, Any] = {}
        for key, fields in flattened(roots).items():
            entity = next(e for e in self._catalogue.entities.values() if fields[0].name in (e.root, e.plural))
            many = fields[0].name == entity.plural
            values: list[dict[str, Any] | None] = []
            for number, identifier in enumerate(asked[key]):
                if identifier in self._subjects:
                    values.append(self._entity(entity, identifier, 0, children(fields), (key,)))
                else:
                    self.denied.add(f"{key}.{number}" if many else key)
                    values.append(None)
            data[key] = values if many else values[0]
        return data

    def _entity(
        self, entity: Entity, identifier: str, far: int, selections: list[Selection], path: tuple[str, ...]
    ) -> dict[str, Any]:
        answer: dict[str, Any] = {}
        edges = {r.field: r for r in self._resources if r.entity == entity.name}
        relations = {name: rest for name, *rest in self._relations(entity)}
        for key, fields in flattened(selections).items():
            name, place = fields[0].name, (*path, key)
            if name == "__typename":
                answer[key] = entity.name
            elif name == entity.identifier:
                answer[key] = identifier
            elif name in edges:
                answer[key] = self._resource(edges[name], identifier, far, fields, place)
            else:
                answer[key] = self._relation(relations[name], identifier, far, fields, place)
        return answer

    def _relations(self, entity: Entity) -> Iterator[tuple[str, Resource, Relation, bool]]:
        for resource in self._resources:
            for relation in resource.relations:
                if resource.entity == entity.name:
                    yield relation.name, resource, relation, True
                if relation.to == entity.name and relation.inverse:
                    yield relation.inverse, resource, relation, False

    def _resource(
        self, resource: Resource, identifier: str, far: int, fields: list[Field], path: tuple[str, ...]
    ) -> Any:
        cells = {key: below[0].name for key, below in flattened(children(fields)).items()}
        asked = list(dict.fromkeys(name for name in cells.values() if name in resource.items))
        allowed = [name for name in asked or [resource.key or ""] if self._may(resource.items[name], resource, far)]
        refused = [".".join((*path, key)) for key, name in cells.items() if name in asked and name not in allowed]
        self.denied.update(refused if asked or allowed else [".".join(path)])
        if not allowed:
            return None
        records = []
        for row in self._rows(resource, resource.key or "", identifier, allowed):
            values = {name: self._value(resource.items[name], raw) for name, raw in zip(allowed, row, strict=True)}
            provider = self._catalogue.departments[resource.department].title
            values["__typename"] = resource.name
            source = {"provider": provider, "resourceCode": resource.code}
            records.append(
                {
                    key: self._provenance(children(below), source)
                    if below[0].name == "provenance"
                    else values.get(below[0].name)
                    for key, below in flattened(children(fields)).items()
                }
            )
        return records if resource.many else next(iter(records), None)

    def _provenance(self, selections: list[Selection], source: Mapping[str, str]) -> dict[str, str]:
        return {key: source[fields[0].name] for key, fields in flattened(selections).items()}

    def _relation(self, way: list[Any], identifier: str, far: int, fields: list[Field], path: tuple[str, ...]) -> Any:
        resource, relation, forward = way
        near, beyond = (resource.key, relation.item) if forward else (relation.item, resource.key)
        reached = min(2, far + _FURTHER[relation.subject])
        if not all(f"{resource.name}.{name}" in ALLOWED[reached] for name in (near, beyond)):
            self.denied.add(".".join(path))
            return None
        target = self._catalogue.entities[relation.to if forward else resource.entity]
        rows = self._rows(resource, near, identifier, [beyond])
        others = dict.fromkeys(self._value(resource.items[beyond], raw) for (raw,) in rows if raw)
        found = [
            self._entity(target, other, 0 if other in self._subjects else reached, children(fields), path)
            for other in others
        ]
        many = relation.many if forward else relation.inverse_many
        return found if many else next(iter(found), None)

    def _may(self, item: Item, resource: Resource, far: int) -> bool:
        return f"{resource.name}.{item.name}" in ALLOWED[min(2, far + _FURTHER[item.subject])]

    def _rows(self, resource: Resource, key: str, identifier: str, names: list[str]) -> list[tuple[Any, ...]]:
        """The raw rows of one key, by last change and then by the columns asked for where there may be several."""
        columns = [f't."{resource.items[name].column}"' for name in names]
        order = [f't."{resource.updated}"'] if resource.updated else []
        ordered = f" ORDER BY {', '.join([*order, *columns])}" if resource.many else ""
        text = f'SELECT {", ".join(columns)} FROM "{resource.table}" t WHERE t."{resource.items[key].column}" IN (?, ?)'
        legacy = identifier[:6] + identifier[8:17] if len(identifier) == 18 else identifier
        return self._databases[resource.department].execute(text + ordered, (identifier, legacy)).fetchall()

    def _value(self, item: Item, raw: Any) -> Any:
        if raw is None:
            return None
        text = str(raw)
        if item.type is ItemType.DATE:
            digits = re.sub(r"\D", "", text)
            return f"{digits[:4]}-{digits[4:6]}-{digits[6:]}"
        if item.type is ItemType.BOOLEAN:
            return text in ("1", "Y", "是")
        if item.type is ItemType.CODE:
            standard = item.values.get(text, text) if item.values else text
            return next(v.name for v in self._catalogue.codes[item.codes or ""].values if v.code == standard)
        if item.type is ItemType.ID_NUMBER:
            return self._modern.get(text, text)
        return text.rstrip() if item.format == "trim" else text
