"""What a caller may see of the city's records, read by hand: by the oracle of the policies and by walking the records, not by the line.

Sight is generous where it would be intricate: what may be seen under any question of a viewpoint counts as seen. What is
left is what no question may tell anything about.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache

from policies.decision import Act
from schema.catalogue import MaskKind, Purpose, Relation, Resource, RowCondition, SubjectClass
from tests.leaks.city import Record, Records
from tests.policies.oracle import Oracle, Verdict
from tests.policies.worlds import Asked, World

WHOLE = "whole"
LINK = "link"
VERDICT = "verdict"
Lens = MaskKind | str
"""How a value is seen: WHOLE, through a mask, as a LINK to an entity whose identifier may stay unknown, or by a VERDICT on a guess."""
Place = tuple[str, str]
"""An entity: kind and identifier."""


@dataclass(frozen=True)
class View:
    """Who asks, for what, on which basis. `subjects` are the case's; under a scenario `asked` are all who are ever asked for."""

    department: str
    role: str
    region: str
    purpose: Purpose
    basis: str
    channel: str
    at: float
    subjects: frozenset[Place] = frozenset()
    asked: frozenset[Place] = frozenset()

    @property
    def is_scenario(self) -> bool:
        return self.basis.startswith("SCENARIO/")


@dataclass
class Sight:
    """What of each record is seen: its items by lens, whether it is known to exist, and its last change."""

    items: dict[str, set[Lens]] = field(default_factory=lambda: defaultdict(set))
    exists: bool = False
    updated: bool = False

    @property
    def nothing(self) -> bool:
        return not self.items and not self.exists


@dataclass
class Seen:
    """What a view sees: by resource and place in its list; `names` are the lenses on identifiers themselves."""

    records: dict[str, list[Sight]]
    names: dict[Place, set[Lens]]


class Eyes:
    """Looks at records for one view in one world."""

    def __init__(self, world: World, view: View, records: Records) -> None:
        self._world = world
        self._view = view
        self._records = records
        self._resources = world.catalogue.resources
        self._reached: dict[Place, set[SubjectClass]] = defaultdict(set)
        self.may = cache(self._may)
        seen = {name: [Sight() for _ in rows] for name, rows in records.items()}
        self.seen = Seen(seen, defaultdict(set))

    def look(self) -> Seen:
        if self._view.basis:
            self._walk()
            for place, classes in list(self._reached.items()):
                for subject in classes:
                    self._look_up(place, subject)
            if self._view.is_scenario:
                for resource in self._resources.values():
                    self._search(resource)
        return self.seen

    def _may(self, coordinate: str, act: Act, subject: SubjectClass) -> Verdict:
        v = self._view
        asked = Asked(v.department, v.role, v.channel, v.purpose, v.basis, coordinate, act, subject, v.at)
        return Oracle(self._world, asked).verdict()

    def _within(self, resource: Resource, record: Record, rows: frozenset[RowCondition]) -> bool:
        """Whether a record is one that these conditions leave."""
        if RowCondition.OWN_REGION in rows and not is_within(record.get(resource.region or ""), self._view.region):
            return False
        return RowCondition.ADULTS not in rows or is_grown_up(record[resource.key or ""], self._view.at)

    def _walk(self) -> None:
        """Everybody who is reached by relations, with every class that they are reached in."""
        view = self._view
        todo = [(place, SubjectClass.SUBJECT) for place in (view.asked if view.is_scenario else view.subjects)]
        while todo:
            place, subject = todo.pop()
            if subject in self._reached[place]:
                continue
            self._reached[place].add(subject)
            for other, reached, lens in self._steps(place, subject):
                if lens:
                    self.seen.names[other].add(lens)
                if other in view.subjects or (view.is_scenario and other in view.asked):
                    todo.append((other, SubjectClass.SUBJECT))
                if other not in view.subjects:
                    todo.append((other, reached))

    def _steps(self, place: Place, subject: SubjectClass) -> Iterator[tuple[Place, SubjectClass, Lens | None]]:
        for resource in self._resources.values():
            for relation in resource.relations:
                if resource.entity == place[0]:
                    yield from self._step(resource, relation, place, subject, resource.key or "", relation.item)
                if relation.to == place[0] and relation.inverse:
                    yield from self._step(resource, relation, place, subject, relation.item, resource.key or "")

    def _step(
        self, resource: Resource, relation: Relation, place: Place, subject: SubjectClass, near: str, far: str
    ) -> Iterator[tuple[Place, SubjectClass, Lens | None]]:
        reached = farther(subject, relation.subject)
        joins = [self.may(f"{resource.name}.{name}", Act.JOIN, reached) for name in (near, far)]
        if not all(one.allow for one in joins):
            return
        rows = joins[0].rows | joins[1].rows
        entity = relation.to if far == relation.item else resource.entity or ""
        for sight, record in zip(self.seen.records[resource.name], self._records[resource.name], strict=True):
            if record[near] != place[1] or not self._within(resource, record, rows):
                continue
            sight.exists = sight.updated = True
            sight.items[near].add(LINK)
            sight.items[far].add(LINK)
            other = record[far]
            if isinstance(other, str):
                for kind in {reached, SubjectClass.SUBJECT}:
                    told = self.may(f"{resource.name}.{far}", Act.READ, kind)
                    yield (entity, other), reached, (told.mask or WHOLE) if told.allow else None

    def _look_up(self, place: Place, subject: SubjectClass) -> None:
        for resource in self._resources.values():
            if resource.entity == place[0]:
                for sight, record in zip(self.seen.records[resource.name], self._records[resource.name], strict=True):
                    if record[resource.key or ""] == place[1]:
                        self._record(resource, record, sight, subject, frozenset())

    def _record(
        self, resource: Resource, record: Record, sight: Sight, subject: SubjectClass, limits: frozenset[RowCondition]
    ) -> None:
        for item in resource.items.values():
            whose = farther(subject, item.subject)
            coordinate = f"{resource.name}.{item.name}"
            for act in (Act.READ, Act.VERIFY, Act.EXIST):
                told = self.may(coordinate, act, whose)
                if not told.allow or not self._within(resource, record, told.rows | limits):
                    continue
                if act is not Act.VERIFY:
                    sight.exists = sight.updated = True
                if act is not Act.EXIST:
                    sight.items[item.name].add(VERDICT if act is Act.VERIFY else told.mask or WHOLE)

    def _search(self, resource: Resource) -> None:
        """Under a scenario everybody's records are found, as those of third parties, where those that identify them may be ordered by."""
        assert resource.search
        farthest = SubjectClass.THIRD_PARTY
        key = resource.key or ""
        used = [self.may(f"{resource.name}.{key}", Act.EXIST, farthest)]
        used += [self.may(f"{resource.name}.{name}", Act.SORT, farthest) for name in resource.search.identity]
        limits = frozenset[RowCondition]().union(*(one.rows for one in used))
        if not all(one.allow for one in used) or RowCondition.ADULTS in limits:
            return
        for sight, record in zip(self.seen.records[resource.name], self._records[resource.name], strict=True):
            if record[key] is not None and self._within(resource, record, limits):
                sight.exists = sight.updated = True
                self._record(resource, record, sight, farthest, limits)


def farther(subject: SubjectClass, further: SubjectClass) -> SubjectClass:
    """A relative's relative is a third party."""
    if SubjectClass.SUBJECT in (subject, further):
        return further if subject is SubjectClass.SUBJECT else subject
    return SubjectClass.THIRD_PARTY


def is_within(code: object, region: str) -> bool:
    """Whether a division code lies in a region: a province ends in four zeros, a city in two (GB/T 2260)."""
    if not isinstance(code, str) or len(region) != 6 or not region.isdigit():
        return False
    digits = 2 if region.endswith("0000") else 4 if region.endswith("00") else 6
    return code[:digits] == region[:digits]


def is_grown_up(number: str, at: float) -> bool:
    """Whether who has this number has had the eighteenth birthday by the calendar of China."""
    today = (datetime.fromtimestamp(at, UTC) + timedelta(hours=8)).strftime("%Y%m%d")
    return len(number) == 18 and int(today) - int(number[6:14]) >= 180_000
