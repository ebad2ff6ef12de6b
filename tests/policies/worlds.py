"""Random worlds: a catalogue, grants, suspensions and local rules at random, and questions about them."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, TypeVar

from policies.decision import Act, Decision, Use
from policies.grants import AgreementState, Grant, GrantItem, GrantState, Suspension
from policies.rules import (
    ANY,
    FIRST_TIME,
    LAST_TIME,
    Rules,
    RuleText,
    ShareRow,
    rules_from,
    rules_of_grant,
    rules_of_suspension,
)
from policies.snapshot import Snapshot
from schema.catalogue import (
    BasisRank,
    Catalogue,
    CodeTable,
    CodeValue,
    Item,
    ItemType,
    MaskKind,
    Material,
    Purpose,
    Relation,
    Resource,
    RowCondition,
    Scenario,
    Search,
    Service,
    ServiceItemUse,
    Share,
    ShareClass,
    ShareMode,
    SubjectClass,
)
from schema.errors import Text
from tests.connectors.resources import OPEN_SHARE, PLACE, item, resource
from tests.policies.small import department

_T = TypeVar("_T")
DEPARTMENTS = ("civil", "health", "housing", "tax")
MODE_OF = {
    "query": ShareMode.ONLINE_QUERY,
    "system": ShareMode.SYSTEM_INTEGRATION,
    "front-end": ShareMode.FRONT_END_EXCHANGE,
    "batch": ShareMode.BATCH_DOWNLOAD,
}
TIMES = ("2026-03-01T00:00:00Z", "2026-06-01T00:00:00Z", "2026-06-01T00:00:01Z", "2026-09-01T12:30:00Z")
SECONDS = tuple(datetime.fromisoformat(time).timestamp() for time in TIMES)
MOMENTS = tuple(sorted({second + shift for second in SECONDS for shift in (-1.0, -0.001, 0.0, 0.5, 1.0, 86_400.0)}))
"""Moments at, just before and after every time that a rule begins or ends."""


@dataclass(frozen=True)
class LocalRule:
    """A rule of a rule file; None stands for whatever there is."""

    id: str
    allow: bool
    object: str
    department: str | None
    role: str | None
    subject: SubjectClass | None
    act: Act | None
    channel: str | None
    purpose: Purpose | None
    basis: str | None
    begins: str
    ends: str


@dataclass(frozen=True)
class World:
    """What is in force."""

    catalogue: Catalogue
    grants: tuple[Grant, ...] = ()
    suspensions: tuple[Suspension, ...] = ()
    local: tuple[LocalRule, ...] = ()

    def groups(self) -> dict[str, Rules]:
        """The rows that stand for it beside the catalogue's, as the policy in force groups them."""
        stopped = {one.grant for one in self.suspensions if one.grant and one.lifted_at is None}
        groups = {f"GRANT/{g.id}": rules_of_grant(self.catalogue, g) for g in self.grants if g.id not in stopped}
        groups |= {f"SUSPENSION/{s.id}": rules_of_suspension(self.catalogue, s) for s in self.suspensions}
        return groups | {f"FILE/{rule.id}": local_rows(rule) for rule in self.local}

    def base(self) -> Snapshot:
        return Snapshot(self.catalogue, rules_from(self.catalogue))

    def snapshot(self) -> Snapshot:
        return self.base().with_changes(self.groups(), 1)


@dataclass(frozen=True)
class Asked:
    """A question: who asks, how, for what, under which basis, what of whom, and when (Unix seconds)."""

    department: str
    role: str
    channel: str
    purpose: Purpose
    basis: str
    coordinate: str
    act: Act
    subject: SubjectClass
    at: float

    def of(self, snapshot: Snapshot) -> Decision:
        caller = snapshot.caller(self.department, self.role, self.channel, self.purpose, self.basis)
        return caller.decide(Use(self.coordinate, self.act, self.subject), self.at)


def local_rows(rule: LocalRule) -> Rules:
    """The row of a local rule."""
    row = ShareRow(
        rule.department or ANY, rule.role or ANY, rule.object, rule.subject or ANY, rule.act or ANY, rule.channel or ANY,
        rule.purpose or ANY, rule.basis or ANY, rule.begins, rule.ends, "allow" if rule.allow else "deny", rule.id,
    )  # fmt: skip
    return Rules((row,), (), {rule.id: RuleText(rule.id, "第一条", Text("local", "本市规定"))})


def some(chance: random.Random, choices: Sequence[_T], least: int = 1) -> frozenset[_T]:
    """At least `least` of the choices."""
    return frozenset(chance.sample(choices, chance.randint(least, len(choices))))


def random_world(seed: int) -> World:
    chance = random.Random(seed)
    catalogue = random_catalogue(chance)
    grants = tuple(random_grant(chance, catalogue, f"G{number}") for number in range(1, chance.randint(3, 12)))
    suspensions = tuple(
        random_suspension(chance, catalogue, grants, f"S{number}") for number in range(1, chance.choice([1, 2, 3, 4]))
    )
    local = tuple(random_local(chance, catalogue, f"RULE/f/{number}") for number in range(chance.choice([0, 2, 5])))
    return World(catalogue, grants, suspensions, local)


def random_catalogue(chance: random.Random) -> Catalogue:
    resources = [random_resource(chance, f"R{number}") for number in range(1, 6)]
    coordinates = [f"{one.name}.{name}" for one in resources for name in one.items]
    services = [random_service(chance, f"S-{number}", coordinates) for number in range(1, 5)]
    scenarios = [random_scenario(chance, f"scene-{n}", services, coordinates) for n in range(1, chance.choice([2, 4]))]
    codes = {
        name: CodeTable(name, name, name, tuple(CodeValue(str(n), f"V{n}", str(n)) for n in range(size)), PLACE)
        for name, size in (("Few", 49), ("Many", 50))
    }
    return Catalogue(
        version="random",
        departments={slug: department(slug) for slug in DEPARTMENTS},
        entities={},
        codes=codes,
        resources={one.name: one for one in resources},
        services={one.code: one for one in services},
        scenarios={one.name: one for one in scenarios},
    )


def random_item(chance: random.Random, name: str) -> Item:
    kinds = [ItemType.STRING] * 3 + [ItemType.BOOLEAN, ItemType.IMAGE, ItemType.CODE, ItemType.CODE]
    kind = chance.choice(kinds)
    shares = [OPEN_SHARE] * 5 + [
        Share(ShareClass.CONDITIONAL, "第二条", BasisRank.LAW, "仅限核验"),
        Share(ShareClass.NOT_SHARED, "第三条", BasisRank.LAW),
    ]
    return item(
        name,
        kind,
        share=chance.choice(shares),
        codes=chance.choice(["Few", "Many"]) if kind is ItemType.CODE else None,
        purposes=some(chance, tuple(Purpose), 2),
        masks={p: chance.choice(tuple(MaskKind)) for p in Purpose if chance.random() < 0.15},
    )


def random_resource(chance: random.Random, name: str) -> Resource:
    items = [random_item(chance, f"i{number}") for number in range(chance.randint(2, 5))]
    names = [one.name for one in items]
    relation = Relation("to", "关系", names[-1], "Person", False, SubjectClass.RELATED, None, "", False, PLACE)
    search = Search(tuple(some(chance, names)), tuple(some(chance, names, 0)), tuple(some(chance, names)))
    return resource(
        name,
        *items,
        department=chance.choice(DEPARTMENTS),
        audience=tuple(sorted(some(chance, DEPARTMENTS))) if chance.random() < 0.3 else (),
        modes=some(chance, tuple(ShareMode), 2),
        relations=(relation,) if chance.random() < 0.4 else (),
        rows=some(chance, tuple(RowCondition)) if chance.random() < 0.2 else frozenset(),
        search=search if chance.random() < 0.6 else None,
    )


def random_uses(chance: random.Random, coordinates: Sequence[str]) -> tuple[ServiceItemUse, ...]:
    chosen = chance.sample(coordinates, max(1, len(coordinates) * 2 // 3))
    return tuple(ServiceItemUse(one, some(chance, tuple(SubjectClass)), PLACE) for one in chosen)


def random_service(chance: random.Random, code: str, coordinates: Sequence[str]) -> Service:
    purposes = some(chance, tuple(Purpose), 3)
    return Service(
        code=code,
        name=code.lower(),
        title=code,
        department=chance.choice(DEPARTMENTS),
        basis="第七条",
        days=30,
        purposes=purposes,
        subjects={"APPLICANT": "Person"},
        materials=tuple(
            Material(f"材料{purpose}", "第八条", purpose, random_uses(chance, coordinates), PLACE)
            for purpose in sorted(purposes)
            for _ in range(chance.choice([1, 1, 2]))
        ),
        place=PLACE,
    )


def random_scenario(
    chance: random.Random, name: str, services: Sequence[Service], coordinates: Sequence[str]
) -> Scenario:
    return Scenario(
        name=name,
        title=name,
        basis="第二十四条",
        services=tuple(sorted(service.code for service in chance.sample(services, chance.choice([1, 2])))),
        purposes=some(chance, tuple(Purpose)),
        modes=some(chance, tuple(ShareMode)),
        items=random_uses(chance, coordinates),
        rows=some(chance, tuple(RowCondition), 0),
        place=PLACE,
    )


def random_grant(chance: random.Random, catalogue: Catalogue, name: str) -> Grant:
    of = chance.choice(list(catalogue.resources.values()))
    begins, ends = sorted(chance.sample((FIRST_TIME, *TIMES, LAST_TIME), 2))
    # now and then the catalogue has moved on: an item that is gone, or another provider
    coordinates = [f"{of.name}.{one}" for one in of.items] + ["R1.gone", "Gone.i0"] * (chance.random() < 0.2)
    return Grant(
        id=name,
        department=chance.choice(DEPARTMENTS),
        provider=of.department if chance.random() < 0.75 else chance.choice(DEPARTMENTS),
        items=tuple(GrantItem(one, "第九条", chance.choice([True, True, False, None])) for one in coordinates),
        purposes=some(chance, tuple(Purpose)),
        modes=some(chance, tuple(ShareMode)),
        scope="",
        rows=some(chance, tuple(RowCondition), 0),
        not_before=begins,
        expires=ends,
        agreement="协议",
        agreement_state=chance.choice([AgreementState.VALID] * 5 + [AgreementState.MISSING, AgreementState.ENDED]),
        state=chance.choice([GrantState.GRANTED] * 5 + [GrantState.APPLIED, GrantState.REFUSED, GrantState.ENDED]),
        document="函1号",
    )


def random_suspension(chance: random.Random, catalogue: Catalogue, grants: Sequence[Grant], name: str) -> Suspension:
    of = chance.choice(list(catalogue.resources.values()))
    object_ = chance.choice([of.name, f"{of.name}.{chance.choice(list(of.items))}", "R1.gone"])
    lifted = chance.choice([None, None, None, 1])
    suspension = Suspension(name, of.department, chance.choice(DEPARTMENTS), "", "", "超范围", "officer", 0, lifted)
    kind = chance.choice(["grant", "department", "object", "object for all"])
    if kind == "grant":
        return replace(suspension, department="", grant=chance.choice(grants).id)
    if kind == "department":
        return suspension
    return replace(suspension, object=object_, department=suspension.department if kind == "object" else "")


def bases_of(catalogue: Catalogue) -> list[str]:
    return [f"SERVICE/{code}" for code in catalogue.services] + [f"SCENARIO/{name}" for name in catalogue.scenarios]


def random_local(chance: random.Random, catalogue: Catalogue, name: str) -> LocalRule:
    def maybe(choices: Iterable[_T], often: float = 0.6) -> _T | None:
        return None if chance.random() < often else chance.choice(list(choices))

    of = chance.choice(list(catalogue.resources.values()))
    begins, ends = sorted(chance.sample((FIRST_TIME, *TIMES, LAST_TIME), 2))
    allow = chance.random() < 0.5
    about = [of.name, *(f"{of.name}.{one}" for one in of.items), f"provider/{of.department}"]
    roles = ("clerk", "developer", "officer", "auditor")
    return LocalRule(
        id=name,
        allow=allow,
        object=chance.choice([*about, "class/CONDITIONAL", "class/NOT_SHARED", "class/UNCONDITIONAL"]),
        department=maybe(DEPARTMENTS),
        role=maybe((*roles, "reader") if allow else roles),
        subject=maybe(SubjectClass),
        act=maybe(Act),
        channel=maybe(MODE_OF),
        purpose=maybe(Purpose),
        basis=maybe(bases_of(catalogue), 0.8),
        begins=begins,
        ends=ends if begins < ends else LAST_TIME,
    )


def random_questions(seed: int, world: World, count: int) -> list[Asked]:
    """Questions about what is shared somehow, each off the mark in about one dimension: pure chance would ask for denials only."""
    chance = random.Random(seed)
    return [random_question(chance, world) for _ in range(count)]


def random_question(chance: random.Random, world: World) -> Asked:
    asked = pointed_question(chance, world)
    anything = anything_asked(chance, world.catalogue)
    for name in chance.sample(list(anything), chance.choice([0, 0, 1, 1, 2])):
        asked = replace(asked, **{name: anything[name]})
    return asked


def pointed_question(chance: random.Random, world: World) -> Asked:
    """What a scenario or, under a service item, a grant or nothing but the item's share class is there for."""
    catalogue = world.catalogue
    services = [(s, m, use) for s in catalogue.services.values() for m in s.materials for use in m.uses]
    service, material, use = chance.choice(services)
    department_, purpose, basis = service.department, material.purpose, f"SERVICE/{service.code}"
    modes = sorted(catalogue.resources[use.coordinate.partition(".")[0]].modes)
    grants = [(grant, one.coordinate) for grant in world.grants for one in grant.granted]
    way = chance.choice(["scenario", "grant", "class"])
    if way == "scenario":
        scenario = chance.choice(list(catalogue.scenarios.values()))
        use, purpose, modes = (
            chance.choice(scenario.items),
            chance.choice(sorted(scenario.purposes)),
            sorted(scenario.modes),
        )
        service = catalogue.services[chance.choice(scenario.services)]
        department_ = service.department
        basis = chance.choice([f"SCENARIO/{scenario.name}", f"SERVICE/{service.code}"])
    elif way == "grant" and grants:
        grant, coordinate = chance.choice(grants)
        fitting = [(s, m, u) for s, m, u in services if u.coordinate == coordinate and m.purpose in grant.purposes]
        service, material, use = chance.choice(fitting or services)
        department_, purpose, basis = grant.department, material.purpose, f"SERVICE/{service.code}"
        modes = sorted(grant.modes)
    mode = chance.choice(modes)
    return Asked(
        department=department_,
        role=chance.choice(("clerk", "developer")),
        channel=next(channel for channel, of in MODE_OF.items() if of is mode),
        purpose=purpose,
        basis=basis,
        coordinate=use.coordinate,
        act=Act.VERIFY if purpose is Purpose.DATA_VERIFICATION else chance.choice((Act.READ, *Act)),
        subject=chance.choice(sorted(use.subjects)),
        at=chance.choice(MOMENTS),
    )


def anything_asked(chance: random.Random, catalogue: Catalogue) -> dict[str, Any]:
    """Any value in every dimension."""
    coordinates = [f"{one.name}.{name}" for one in catalogue.resources.values() for name in one.items]
    return {
        "department": chance.choice((*DEPARTMENTS, *DEPARTMENTS, "", " ", "nobody")),
        "role": chance.choice(("clerk", "developer", "officer", "auditor")),
        "channel": chance.choice(tuple(MODE_OF)),
        "purpose": chance.choice(tuple(Purpose)),
        "basis": chance.choice(bases_of(catalogue)),
        "coordinate": chance.choice(coordinates),
        "act": chance.choice(tuple(Act)),
        "subject": chance.choice(tuple(SubjectClass)),
        "at": chance.choice(MOMENTS),
    }
