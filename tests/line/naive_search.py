"""The naive reference of searches: records of housing security, random questions about them, and what must be found, by the plainest means."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date, timedelta
from typing import Any

from tests.line.desk import born

REGIONS = ("421202", "421221", "421222", "430100", None)
STATUSES = {"1": "WAITING", "2": "ACTIVE", "3": "ENDED"}
SHOWN = ("idNumber", "regionCode", "status", "startedOn", "endsOn")
Record = dict[str, Any]


def records(count: int, seed: int) -> list[Record]:
    """Records of housing security with many equal and absent values."""
    chance = random.Random(seed)

    def day() -> date | None:
        return None if chance.random() < 0.3 else date(2024, 1, 1) + timedelta(days=chance.randrange(4))

    return [
        {
            "idNumber": born(date(1980, 1, 1) + timedelta(days=number), 100 + chance.randrange(800)),
            "name": "试",
            "regionCode": chance.choice(REGIONS),
            "securityType": chance.choice("12"),
            "status": chance.choice("123"),
            "address": None,
            "monthlyRent": None,
            "startedOn": day(),
            "endsOn": day(),
        }
        for number in range(count)
    ]


def expected(held: Sequence[Record], region: str, where: Any, order: Sequence[Mapping[str, str]]) -> list[Record]:
    """What a search must find, in its order, by the plainest means."""
    within = region.removesuffix("00").removesuffix("00")
    found = [r for r in held if r["regionCode"] and r["regionCode"].startswith(within) and meets(r, where or {})]
    found.sort(key=lambda r: str(r["idNumber"]))
    for one in reversed(order):
        name = one["by"]
        there = sorted(
            (r for r in found if r[name] is not None), key=lambda r: r[name], reverse=one.get("direction") == "DESC"
        )
        found = there + [r for r in found if r[name] is None]
    return found


OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    "eq": lambda value, bound: value == bound,
    "in": lambda value, bound: value in bound,
    "gte": lambda value, bound: value >= bound,
    "lte": lambda value, bound: value <= bound,
    "startsWith": lambda value, bound: value.startswith(bound),
}


def meets(record: Record, where: Mapping[str, Any]) -> bool:
    for name, asked in where.items():
        value = STATUSES[record[name]] if name == "status" else record[name]
        value = value.isoformat() if isinstance(value, date) else value
        for operator, bound in (asked or {}).items():
            if bound is None:
                continue
            if value is None:
                return False
            if not OPERATORS[operator](value, bound):
                return False
    return True


def shown(record: Record) -> dict[str, Any]:
    day = {name: record[name] and record[name].isoformat() for name in ("startedOn", "endsOn")}
    return {name: record[name] for name in SHOWN} | day | {"status": STATUSES[record["status"]]}


def questions(seed: int, count: int) -> Iterator[dict[str, Any]]:
    chance = random.Random(seed)
    days = [f"2024-01-0{n}" for n in range(1, 5)]
    for _ in range(count):
        where: dict[str, Any] = {}
        if chance.random() < 0.4:
            where["status"] = chance.choice([{"eq": "ACTIVE"}, {"in": ["ACTIVE", "ENDED"]}, {"in": []}, None, {}])
        if chance.random() < 0.4:
            where["endsOn"] = {"gte": chance.choice(days), "lte": chance.choice([*days, None])}
        if chance.random() < 0.3:
            where["regionCode"] = chance.choice([{"startsWith": "4212"}, {"eq": "421221"}, {"in": ["430100"]}])
        order = [
            {"by": by, "direction": chance.choice(["ASC", "DESC"])}
            for by in chance.sample(["endsOn", "startedOn", "idNumber"], chance.randrange(4))
        ]
        region = chance.choice(["421200", "421202", "420000", "430100"])
        yield {"where": where, "orderBy": order, "region": region}
