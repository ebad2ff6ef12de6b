"""Land and things of the demo city: real estate units with their owners, and city components."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from random import Random

from demo.numbers import component_code, unit_number
from demo.people import TODAY, Family, day_between, years_after
from demo.places import COUNTIES, Home
from demo.registers import at_work, moment_after, serial
from demo.tables import Record

_COMPONENTS = (  # (name, category of GB/T 30428.2 and kind, custodian)
    ("雨水井盖", "0103", "市政工程管理处"),
    ("路灯", "0120", "路灯管理所"),
    ("消火栓", "0112", "消防救援大队"),
    ("公交站亭", "0202", "公共交通集团"),
    ("交通信号灯", "0216", "公安局交通警察大队"),
    ("公共厕所", "0301", "环境卫生管理局"),
    ("垃圾箱", "0306", "环境卫生管理局"),
    ("行道树", "0402", "园林绿化管理处"),
    ("宣传栏", "0501", "城市管理执法局"),
)


@dataclass(slots=True)
class Units:
    """Gives real estate unit numbers, none twice; `first` is the very first one, `given` counts by county."""

    given: Counter[str] = field(default_factory=Counter)
    first: str = ""

    def give(self, home: Home) -> str:
        """A new number in the dwelling's county."""
        region = home.county.code
        number = unit_number(region, self.given[region])
        self.given[region] += 1
        self.first = self.first or number
        return number

    def records(self, rng: Random, family: Family) -> Iterator[Record]:
        """The dwelling, owned by the first of the family; few own a shop as well."""
        owner = family.people[0]
        adult, married = years_after(owner.born, 20), bool(family.couples)
        for usage in ("住宅", "商业服务")[: 2 if rng.random() < 0.05 else 1]:
            registered = day_between(rng, max(adult, date(2003, 1, 1)), TODAY)
            number = self.give(owner.home)
            values = {
                "unitNumber": number,
                "certificateNumber": f"鄂({registered.year})咸宁市不动产权第{serial(rng, 7)}号",
                "ownerName": owner.name,
                "ownerIdNumber": owner.id_number,
                "location": owner.home.address + ("" if usage == "住宅" else "（临街商铺）"),
                "usage": usage,
                "floorArea": Decimal(2400 + rng.randrange(14_000)) / 100 + 20,
                "coOwnership": "共同共有" if married and rng.random() < 0.6 else "单独所有",
                "registeredOn": registered,
                "mortgaged": rng.random() < 0.35,
            }
            yield Record("RealEstateRegistration", moment_after(rng, registered), values)


def component_records(rng: Random, count: int) -> Iterator[Record]:
    """City components; the code and name of each depend on its place only."""
    for index in range(count):
        county = COUNTIES[index % len(COUNTIES)]
        name, kind, custodian = _COMPONENTS[index // len(COUNTIES) % len(_COMPONENTS)]
        installed = day_between(rng, date(2008, 1, 1), TODAY)
        town = rng.choice(county.towns)
        values = {
            "code": component_code(county.code, kind, index),
            "name": name,
            "category": kind[:2],
            "owner": county.office("城市管理执法局"),
            "custodian": county.office(custodian) if rng.random() < 0.9 else None,
            "location": f"{county.title}{town}{1 + rng.randrange(900)}号灯杆旁{1 + rng.randrange(30)}米",
            "gridCode": f"{county.code}{1 + county.towns.index(town):03d}{1 + rng.randrange(30_000):06d}",
            "installedOn": installed,
            "intact": rng.random() < 0.93,
        }
        yield Record("CityComponentRecord", at_work(rng, day_between(rng, installed, TODAY)), values)
