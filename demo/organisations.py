"""The organisations of the demo city: known before the residents, so that these can work there."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from enum import Enum
from random import Random

from demo.names import Names, trade_name
from demo.numbers import credit_code
from demo.people import TODAY, day_between
from demo.places import COUNTIES, Home, some_home


class Kind(Enum):
    """Kinds of organisation; the value is registration authority and category of GB 32100."""

    ENTERPRISE = "91"
    INDIVIDUAL = "92"
    SOCIAL = "51"
    PRIVATE = "52"
    WELFARE = "59"
    PUBLIC = "12"


_TITLES = {
    Kind.ENTERPRISE: "咸宁{name}{trade}有限公司",
    Kind.INDIVIDUAL: "{county}{name}{trade}经营部",
    Kind.SOCIAL: "{county}{name}{trade}协会",
    Kind.PRIVATE: "{county}{name}{trade}职业培训学校",
    Kind.WELFARE: "{county}{name}养老院",
    Kind.PUBLIC: "{county}{name}{trade}服务中心",
}
_ROTA = (
    *(Kind.ENTERPRISE,) * 4,
    *(Kind.INDIVIDUAL, Kind.PUBLIC, Kind.SOCIAL, Kind.PRIVATE, Kind.WELFARE),
    *(Kind.ENTERPRISE,) * 7,
    *(Kind.INDIVIDUAL,) * 4,
)


@dataclass(frozen=True, slots=True)
class Organisation:
    """An organisation; `index` counts all of the city from 0, `capital` is in yuan."""

    index: int
    kind: Kind
    name: str
    trade: str
    code: str
    home: Home
    telephone: str
    founded: date
    capital: int

    @property
    def insurance_number(self) -> str:
        """Its number with the social insurance agency."""
        return f"{self.home.county.code}{self.index + 1:08d}"

    @property
    def register_number(self) -> str:
        """The 15-digit registration number of the time before the unified code."""
        return f"{self.home.county.code}{self.index + 1:09d}"


def how_many(residents: int) -> int:
    """How many organisations a city of so many residents has; every kind is among them."""
    return max(len(_ROTA), residents // 20)


def some_organisation(rng: Random, index: int, seed: int, names: Names) -> Organisation:
    """Organisation number `index`. The first one is an enterprise in the city's first county."""
    kind = _ROTA[index % len(_ROTA)]
    home = some_home(rng, index, COUNTIES if index else COUNTIES[:1], names.streets)
    name, trade = trade_name(index, seed)
    return Organisation(
        index=index,
        kind=kind,
        name=_TITLES[kind].format(name=name, trade=trade, county=home.county.name),
        trade=trade,
        code=credit_code(kind.value, home.county.code, index, seed),
        home=home,
        telephone=f"0715-80{rng.randrange(10**5):05d}",
        founded=day_between(rng, date(1996, 1, 1), date(2012, 1, 1) if index < 2 else TODAY.replace(year=2025)),
        capital=rng.choice((100_000, 500_000, 1_000_000, 2_000_000, 5_000_000, 10_000_000)),
    )
