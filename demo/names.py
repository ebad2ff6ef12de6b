"""What things are called in the demo city. Faker is asked once for pools; combining them is cheap."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from faker import Faker

_POOL = 2000
_FIRST = "瑞恒嘉泰宏博聚鼎锦润盛安启远诚汇万中华新东南金银玉星云海山川林泉江天"
_SECOND = "源达丰和信通隆昌茂康宁顺益兴成业荣辉景阳光明春华实诺立升航飞腾岳峰"
_THIRD = "楚咸鄂淦隽桂竹茶温浮潜斧赤蒲鱼崇"
_TRADES = (
    *("建材", "机电", "茶业", "竹业", "食品", "纺织", "物流", "商贸"),
    *("环保", "生物", "农业", "旅游", "信息技术", "汽车服务", "医药", "装饰"),
)


@dataclass(frozen=True, slots=True)
class Names:
    """Pools of surnames, given names by sex (GB/T 2261.1) and streets."""

    surnames: tuple[str, ...]
    given: dict[str, tuple[str, ...]]
    streets: tuple[str, ...]

    def person(self, rng: Random, sex: str, surname: str = "") -> str:
        """A full name; `surname` is drawn where none is given."""
        return (surname or rng.choice(self.surnames)) + rng.choice(self.given[sex])


def draw_names(seed: int) -> Names:
    """The pools of this seed."""
    faker, rng = Faker("zh_CN"), Random(seed)
    faker.seed_instance(seed)

    def given(first: str, second: str) -> str:
        return first + second if len(first) == len(second) == 1 and rng.random() < 0.6 else first

    males = tuple(given(faker.first_name_male(), faker.first_name_male()) for _ in range(_POOL))
    females = tuple(given(faker.first_name_female(), faker.first_name_female()) for _ in range(_POOL))
    return Names(
        surnames=tuple(faker.last_name() for _ in range(_POOL)),
        given={"1": males, "2": females},
        streets=tuple(dict.fromkeys(faker.street_name() for _ in range(_POOL))),
    )


def trade_name(index: int, seed: int) -> tuple[str, str]:
    """(a trading name, its trade): different for every index up to 250,000 of one seed."""
    trade = _TRADES[index % len(_TRADES)]
    rest = (index // len(_TRADES) * 4801 + index * 3571 + seed * 7919) % (len(_FIRST) * len(_SECOND) * len(_THIRD))
    rest, first = divmod(rest, len(_FIRST))
    third, second = divmod(rest, len(_SECOND))
    return _FIRST[first] + _SECOND[second] + _THIRD[third], trade
