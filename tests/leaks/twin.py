"""The twin of a city: the same to one view, different in everything that the view may not see.

Hidden values become others, absent or invalid ones; hidden records go, come twice, or become somebody else's; what is seen through a mask keeps no more than the
mask shows; who is met without being named gets another number; and all records stand in another order.
"""

from __future__ import annotations

import random
from datetime import date
from typing import Any

from connectors.contract import INVALID
from schema.catalogue import Catalogue, Item, ItemType, MaskKind, Resource
from tests.leaks.city import REGIONS, UNIQUE, Record, Records, citizen, credit_code, random_value
from tests.leaks.sight import LINK, VERDICT, WHOLE, Lens, Place, Seen, Sight, View, is_within

_SHOWN = {MaskKind.ID_NUMBER: (3, 4), MaskKind.NAME: (1, 0), MaskKind.TELEPHONE: (3, 2), MaskKind.ADDRESS: (6, 0)}
"""Characters that a mask shows, at the beginning and at the end."""


def twin_of(
    chance: random.Random, catalogue: Catalogue, view: View, records: Records, seen: Seen
) -> tuple[Records, dict[str, str]]:
    """Records in which everything is different that `seen` does not have; and the other numbers that persons have there."""
    work = _Twin(chance, catalogue, view, records)
    made: Records = {}
    for name, rows in records.items():
        resource = catalogue.resources[name]
        made[name] = [
            one
            for row, sight in zip(rows, seen.records[name], strict=True)
            for one in work.record(resource, row, sight)
        ]
        chance.shuffle(made[name])
    names = _names(work, _nameless(catalogue, view, records, seen))
    return _renamed(catalogue, made, names), names


class _Twin:
    def __init__(self, chance: random.Random, catalogue: Catalogue, view: View, records: Records) -> None:
        self.chance = chance
        self._view = view
        self._people = {"Person": [citizen(chance) for _ in range(3)], "Organisation": [credit_code(chance)]}
        """Strangers, whom nobody asks for and no relation leads to."""

    def record(self, resource: Resource, record: Record, sight: Sight) -> list[Record]:
        """What becomes of a record: none, one or two."""
        if not sight.nothing:
            return [self._changed(resource, record, sight)]
        copies = self.chance.choice((0, 0, 1, 1, 2))
        return [self._changed(resource, record, sight) for _ in range(copies)]

    def _changed(self, resource: Resource, record: Record, sight: Sight) -> Record:
        key = resource.key or ""
        made = {
            name: self._value(resource, item, record[name], sight.items.get(name, set()))
            for name, item in resource.items.items()
            if name != key
        }
        made[key] = record[key]
        if sight.nothing and self.chance.random() < 0.3 and resource.entity == "Organisation":
            made[key] = self._people["Organisation"][0]
        made["updated"] = record["updated"] if sight.updated else self.chance.choice([record["updated"], None])
        return made

    def _value(self, resource: Resource, item: Item, value: Any, lenses: set[Lens]) -> Any:
        if lenses & {WHOLE, LINK, VERDICT}:
            return value
        masks = [lens for lens in lenses if isinstance(lens, MaskKind)]
        if masks:
            return value if item.name == resource.region else self._behind(item, value, masks)
        if item.name == resource.region:  # a hidden region still says which records there are
            own = is_within(value, self._view.region)
            return self.chance.choice([one for one in (*REGIONS, None) if is_within(one, self._view.region) is own])
        if item.name in UNIQUE:
            return f"{item.name}-{self.chance.randrange(10**9):09d}"
        if self.chance.random() < 0.15:
            return self.chance.choice([None, INVALID])
        return random_value(self.chance, resource, item, self._people)

    def _behind(self, item: Item, value: Any, masks: list[MaskKind]) -> Any:
        """Another value that every mask shows in the same way."""
        if not isinstance(value, str):
            return value
        head, tail = (max(_SHOWN[kind][side] for kind in masks) for side in (0, 1))
        if item.type is ItemType.ID_NUMBER:
            return self.like(value)
        if any(len(value) <= sum(_SHOWN[kind]) for kind in masks):
            whole = all(len(value) <= sum(_SHOWN[kind]) for kind in masks)
            least = min(sum(_SHOWN[kind]) for kind in masks)
            return "藏" * self.chance.randint(1, least) if whole else value
        hidden = "".join(self.chance.choice("甲乙丙0123") for _ in range(self.chance.randint(1, 12)))
        made = value[:head] + hidden + (value[-tail:] if tail else "")
        return made if all(len(made) > sum(_SHOWN[kind]) for kind in masks) else value

    def like(self, number: str) -> str:
        """Another valid number with the same three digits in front and four behind."""
        for _ in range(300):
            born = date(self.chance.randint(1950, 1999), self.chance.randint(1, 12), self.chance.randint(1, 28))
            made = number[:3] + f"{self.chance.randrange(1000):03d}" + born.strftime("%Y%m%d") + number[-4:]
            if _is_valid(made):
                return made
        return number


_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)


def _is_valid(number: str) -> bool:
    """GB 11643: ISO 7064 MOD 11-2."""
    return (
        "10X98765432"[sum(int(digit) * weight for digit, weight in zip(number, _WEIGHTS, strict=False)) % 11]
        == number[-1]
    )


def _nameless(catalogue: Catalogue, view: View, records: Records, seen: Seen) -> dict[str, bool]:
    """Persons who are met without being named, for nobody gave their numbers; and whether a mask shows a part of them."""
    lenses: dict[Place, set[Lens]] = {place: set(found) for place, found in seen.names.items()}
    for name, rows in records.items():
        for item in catalogue.resources[name].items.values():
            if item.type is ItemType.ID_NUMBER:
                for row, sight in zip(rows, seen.records[name], strict=True):
                    lenses.setdefault(("Person", row[item.name]), set()).update(sight.items.get(item.name, set()))
    given = view.subjects | view.asked
    return {
        name: found != {LINK}
        for (entity, name), found in lenses.items()
        if entity == "Person" and name and found <= {LINK, MaskKind.ID_NUMBER} and (entity, name) not in given
    }


def _names(work: _Twin, numbers: dict[str, bool]) -> dict[str, str]:
    """Other numbers for these persons: as grown up as before, and behind a mask the same."""
    names: dict[str, str] = {}
    for number, masked in numbers.items():
        born = date(int(number[6:10]), int(number[10:12]), int(number[12:14]))
        if not masked:
            names[number] = citizen(work.chance, born, number[:6])
        elif born.year < 2000:
            names[number] = work.like(number)
    return names


def _renamed(catalogue: Catalogue, records: Records, names: dict[str, str]) -> Records:
    at = {
        name: [i.name for i in one.items.values() if i.type is ItemType.ID_NUMBER]
        for name, one in catalogue.resources.items()
    }
    for name, rows in records.items():
        for row in rows:
            row.update({one: names.get(row[one], row[one]) for one in at[name] if isinstance(row[one], str)})
    return records
