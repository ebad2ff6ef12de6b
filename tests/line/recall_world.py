"""A small world for corrections: three people, three using departments, three resources, and a naive memory of who was shown what.

HouseholdRegistration and SocialInsurance tell when a record was last changed (to the second, a day only, or not at all, as a row has it),
HousingFund does not. The memory is made from the files as they stand and from the answers' text; nothing of the frames is read.
"""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

from schema.formats import CHINA
from tests.service import ROOT, Service, codes, running, use

USERS = {
    "housing": "421200-ZJ-FW-9101",
    "human-resources": "421200-RS-FW-9101",
    "market-supervision": "421200-SC-FW-9101",
}
NAMES, TOWNS, FIRMS = ("张三", "李四", "王五"), ("甲镇", "乙镇", None, None), ("甲公司", "乙公司", None, None)
PERSONAL = ("P100001", "P100002")
Coordinate = tuple[str, str]

_SERVICE = """service:
  name: recall-{department}
  code: {code}
  title: 试办事项
  department: {department}
  basis: 《试行办法》第一条
  days: 30
  purposes: [ADMINISTRATIVE_BASIS, WORK_REFERENCE, DATA_VERIFICATION]
  subjects: {{APPLICANT: Person, SPOUSE: Person, CHILD: Person}}
materials:
"""
_MATERIAL = """  - title: 试用材料{purpose}
    basis: 《试行办法》第一条
    purpose: {purpose}
    items: [{items}]
"""
_ITEMS = {
    "HouseholdRegistration": ("name", "town"),
    "HousingFund": ("name", "employerName"),
    "SocialInsurance": ("personalNumber", "employerName"),
}
_PERSONS = "persons(idNumbers: $ids, use: $use) { %s }"
COORDINATES = tuple((resource, item) for resource, items in _ITEMS.items() for item in items)
_FURTHER = ("HouseholdRegistration.idNumber", "SocialInsurance.idNumber", "SocialInsurance.insuranceType")
_VERIFIED = (
    "HouseholdRegistration.name",
    "HousingFund.name",
    "HousingFund.employerName",
    "SocialInsurance.employerName",
)


@dataclass(frozen=True)
class Table:
    """Where a resource stands: its department's file, its columns."""

    department: str
    name: str
    key: str
    columns: Mapping[str, str]
    updated: str


TABLES = {
    "HouseholdRegistration": Table("public-security", "T_HJXX", "GMSFHM", {"name": "XM", "town": "HJDZJD"}, "GXSJ"),
    "HousingFund": Table("housing-fund", "DP_GRZH", "GRZJHM", {"name": "GRXM", "employerName": "DWMC"}, ""),
    "SocialInsurance": Table(
        "human-resources", "AC02", "AAC002", {"personalNumber": "AAC001", "employerName": "AAB004"}, "AAE036"
    ),
}
VALUES = {
    ("HouseholdRegistration", "name"): NAMES,
    ("HouseholdRegistration", "town"): TOWNS,
    ("HousingFund", "name"): NAMES,
    ("HousingFund", "employerName"): FIRMS,
    ("SocialInsurance", "personalNumber"): PERSONAL,
    ("SocialInsurance", "employerName"): FIRMS,
}


@dataclass(frozen=True)
class Reading:
    """One value of one row that was told: to whom, in which operation, how; `changed` is the row's last change where the source tells a moment."""

    operation: str
    at: datetime
    subject: str
    department: str
    client: str
    case: str
    purpose: str
    person: str
    coordinate: Coordinate
    outcome: str
    value: str | None
    changed: datetime | None


@dataclass
class World:
    """The running service, its people and cases, the clock of the line, and all readings so far."""

    service: Service
    people: list[str]
    cases: dict[str, str]
    now: datetime
    readings: list[Reading] = field(default_factory=list)
    moments: set[datetime] = field(default_factory=set)

    def rows(self, resource: str, person: str) -> list[sqlite3.Row]:
        """A person's rows as they stand, with `changed`, their last change as the file has it."""
        table = TABLES[resource]
        columns = [f"{column} AS {name}" for name, column in table.columns.items()]
        kind = "AAE140 AS kind" if resource == "SocialInsurance" else "'' AS kind"
        text = f"SELECT {', '.join(columns)}, {table.updated or 'NULL'} AS changed, {kind} FROM {table.name} WHERE {table.key} = ?"
        with self._file(table) as source:
            source.row_factory = sqlite3.Row
            return source.execute(text, (person,)).fetchall()

    @contextmanager
    def _file(self, table: Table) -> Iterator[sqlite3.Connection]:
        with closing(sqlite3.connect(self.service.scene.city / f"{table.department}.db")) as source, source:
            yield source

    def update(self, chance: Random) -> None:
        """Somebody's record changes at its source: to the second, some day, or nobody knows when."""
        resource, item = chance.choice(COORDINATES)
        table, person = TABLES[resource], chance.choice(self.people)
        row = chance.choice(self.rows(resource, person))
        values = {table.columns[item]: chance.choice(VALUES[resource, item])}
        if table.updated:
            at = self.now.astimezone(CHINA).replace(microsecond=0)
            self.moments.add(at)
            day = at.replace(hour=0, minute=0, second=0)
            told = chance.choices((at, day, None), (8, 1, 1))[0]
            values[table.updated] = f"{told:%Y%m%d%H%M%S}" if told else None
        where = f"{table.key} = ?" + (" AND AAE140 = ?" if row["kind"] else "")
        assigned = ", ".join(f"{column} = ?" for column in values)
        with self._file(table) as source:
            source.execute(
                f"UPDATE {table.name} SET {assigned} WHERE {where}",
                (*values.values(), person, *([row["kind"]] if row["kind"] else [])),
            )

    def read(self, chance: Random) -> None:
        """Some clerk asks about one or several people, in one of the ways there are."""
        who = {"department": chance.choice(sorted(USERS)), "subject": chance.choice(("clerk-01", "clerk-02"))}
        ask = chance.choice((self._look_up, self._look_up, self._verify, self._search, self._refused, self._exist))
        ask(chance, who | {"client": chance.choice(("demo", "counter"))})

    def _look_up(self, chance: Random, who: dict[str, str]) -> None:
        purpose = chance.choice(("ADMINISTRATIVE_BASIS", "WORK_REFERENCE"))
        chosen = {
            one: chance.sample(items, chance.randint(1, 2)) for one, items in _ITEMS.items() if chance.random() < 0.6
        }
        people = chance.sample(self.people, chance.randint(1, 2))
        kind = {"SocialInsurance": "insuranceType"}
        fields = [f"{_field(one)} {{ {' '.join(items)} {kind.get(one, '')} }}" for one, items in chosen.items()]
        body = self._ask(_PERSONS % (" ".join(fields) or "idNumber"), purpose, who, ids=people)
        for person, answer in zip(people, body["data"]["persons"], strict=True):
            for resource, items in chosen.items():
                shown = answer[_field(resource)]
                rows = self.rows(resource, person)
                records = self._in_order(rows, shown) if isinstance(shown, list) else [shown]
                for row, record in zip(rows, records, strict=True):
                    for item in items:
                        value = record[item]
                        outcome = "ABSENT" if value is None else "MASKED" if "*" in value else "RETURNED"
                        assert outcome == "MASKED" or value == row[item]
                        self._note(body, purpose, who, person, (resource, item), outcome, row)

    def _in_order(self, rows: list[sqlite3.Row], shown: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """The records of an answer in the order of the rows, by the kind of insurance."""
        names = {one.code: one.name for one in self.service.catalogue.codes["InsuranceType"].values}
        by_kind = {record["insuranceType"]: record for record in shown}
        assert len(by_kind) == len(rows) == len(shown)
        return [by_kind[names[row["kind"]]] for row in rows]

    def _verify(self, chance: Random, who: dict[str, str]) -> None:
        resource, _, item = chance.choice(_VERIFIED).partition(".")
        person = chance.choice(self.people)
        expected = chance.choice([one for one in VALUES[resource, item] if one])
        verified = f"verify{resource}(expect: {{{item}: {json.dumps(expected, ensure_ascii=False)}}}) {{ {item} }}"
        body = self._ask(_PERSONS % verified, "DATA_VERIFICATION", who, ids=[person])
        verdict = body["data"]["persons"][0][f"verify{resource}"][item]
        outcome = {"MATCH": "MATCHED", "MISMATCH": "MISMATCHED", "ABSENT": "ABSENT"}[verdict]
        for row in self.rows(resource, person):
            self._note(body, "DATA_VERIFICATION", who, person, (resource, item), outcome, row)

    def _search(self, chance: Random, who: dict[str, str]) -> None:
        """A search that shows the employer, or is only chosen by it."""
        shows, firm = chance.random() < 0.5, chance.choice((*[one for one in FIRMS if one], ""))
        where = (
            f"where: {{employerName: {{eq: {json.dumps(firm, ensure_ascii=False)}}}}}, " if firm or not shows else ""
        )
        node = "idNumber insuranceType" + (" employerName" if shows else "")
        field = f"socialInsurance({where}first: 50, use: $use) {{ edges {{ node {{ {node} }} }} }}"
        body = self._ask(field, "ADMINISTRATIVE_BASIS", who)
        found = [edge["node"] for edge in body["data"]["socialInsurance"]["edges"]]
        standing = [
            (person, row)
            for person in self.people
            for row in self.rows("SocialInsurance", person)
            if not where or row["employerName"] == firm
        ]
        assert len(found) == len(standing)
        for person, row in standing if shows else ():
            outcome = "ABSENT" if row["employerName"] is None else "RETURNED"
            coordinate = ("SocialInsurance", "employerName")
            self._note(body, "ADMINISTRATIVE_BASIS", who, person, coordinate, outcome, row)

    def _refused(self, chance: Random, who: dict[str, str]) -> None:
        """Another department's case, or an item that the service item does not need."""
        case = next(case for department, case in self.cases.items() if department != who["department"])
        field = "persons(idNumbers: $ids, use: $use) { householdRegistration { name } }"
        body = self._ask(field, "ADMINISTRATIVE_BASIS", who, case=case, ids=[chance.choice(self.people)])
        assert codes(body) == ["USE_DENIED"]
        field = "persons(idNumbers: $ids, use: $use) { householdRegistration { name } }"
        body = self._ask(field, "DATA_VERIFICATION", who, ids=[chance.choice(self.people)])
        assert codes(body) == ["FIELD_DENIED"]

    def _exist(self, chance: Random, who: dict[str, str]) -> None:
        field = "persons(idNumbers: $ids, use: $use) { householdRegistration { __typename } }"
        assert codes(self._ask(field, "ADMINISTRATIVE_BASIS", who, ids=[chance.choice(self.people)])) == []

    def _ask(self, field: str, purpose: str, who: dict[str, str], case: str = "", **variables: Any) -> dict[str, Any]:
        self.now += timedelta(milliseconds=500)
        given = "$ids: [CitizenIdNumber!]!, " if variables else ""
        document = f"query({given}$use: UseInput!) {{ {field} }}"
        return self.service.ask(
            document, variables | {"use": use(case or self.cases[who["department"]], purpose)}, **who
        )

    def _note(
        self, body: Mapping[str, Any], purpose: str, who: dict[str, str], person: str, coordinate: Coordinate,
        outcome: str, row: sqlite3.Row,
    ) -> None:  # fmt: skip
        changed = datetime.strptime(f"{row['changed']}+0800", "%Y%m%d%H%M%S%z") if row["changed"] else None
        if changed and (changed.hour, changed.minute, changed.second) == (0, 0, 0):
            changed = None
        self.readings.append(
            Reading(
                body["extensions"]["operationId"], self.now, who["subject"], who["department"], who["client"],
                self.cases[who["department"]], purpose, person, coordinate, outcome, row[coordinate[1]], changed,
            )
        )  # fmt: skip

    def wrong(
        self, person: str, coordinate: Coordinate, since: datetime, until: datetime, value: str | None
    ) -> list[Reading] | None:
        """The readings of what was wrong, `value` None if it is not told; None if it takes the value to tell."""
        about = [one for one in self.readings if (one.person, one.coordinate) == (person, coordinate)]
        if value is None and any(one.changed is None and since <= one.at < until for one in about):
            return None
        return [
            one
            for one in about
            if (since <= one.changed < until if one.changed else since <= one.at < until and (one.value or "") == value)
        ]


def _field(resource: str) -> str:
    return resource[0].lower() + resource[1:]


def _catalogue(folder: Path) -> Path:
    """The shipped catalogue with three service items that need the world's items; housing fund records tell no last change."""
    catalogue = folder / "catalogue"
    shutil.copytree(ROOT / "catalogue", catalogue)
    for department, code in USERS.items():
        text = _SERVICE.format(department=department, code=code)
        all_items = [f"{resource}.{item}" for resource, item in COORDINATES]
        for purpose in ("ADMINISTRATIVE_BASIS", "WORK_REFERENCE"):
            text += _MATERIAL.format(purpose=purpose, items=", ".join([*all_items, *_FURTHER]))
        text += _MATERIAL.format(purpose="DATA_VERIFICATION", items=", ".join(_VERIFIED))
        (catalogue / "services" / f"recall-{department}.yaml").write_text(text, "utf8")
    fund = catalogue / "housing-fund.yaml"
    before = fund.read_text("utf8")
    after = before.replace("      updated: XGSJ\n      updated_format: iso\n", "")
    assert after != before
    fund.write_text(after, "utf8")
    return catalogue


def _people(service: Service) -> list[str]:
    """Three people with a record in each resource, and two of social insurance at least."""
    found: list[set[str]] = []
    for table in TABLES.values():
        with closing(sqlite3.connect(service.scene.city / f"{table.department}.db")) as source:
            least = 2 if table.name == "AC02" else 1
            text = f"SELECT {table.key} FROM {table.name} GROUP BY {table.key} HAVING count(*) >= {least}"
            found.append({number for (number,) in source.execute(text) if number and len(number) == 18})
    return sorted(set.intersection(*found))[:3]


@contextmanager
def open_world(folder: Path, city: Path) -> Iterator[World]:
    """A world in `folder` over a copy of the city; the line's clock is the world's."""
    changed = {"verify_attempts": "100_000"}
    with running(folder, city, catalogue=_catalogue(folder), overlays=[], changed=changed) as service:
        people = _people(service)
        roles = zip(("APPLICANT", "SPOUSE", "CHILD"), people, strict=True)
        family = tuple(roles)
        cases = {
            department: service.accept(f"更正-{department}", *family, service=code, department=department)
            for department, code in USERS.items()
        }
        world = World(service, people, cases, datetime.now(UTC) + timedelta(hours=1))
        line = service.rooms.line
        line._clock = lambda: world.now
        yield world
