"""Where the demo city lies: the counties of Xianning with some of their towns, and places its migrants come from.

Codes: GB/T 2260.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random


@dataclass(frozen=True, slots=True)
class County:
    """A county-level division: its GB/T 2260 code, its names from the province down, some of its towns."""

    code: str
    province: str
    city: str
    name: str
    towns: tuple[str, ...]

    @property
    def title(self) -> str:
        """The full name, from the province down."""
        return self.province + self.city + self.name

    def office(self, title: str) -> str:
        """The name of this county's office `title`."""
        return self.name + title


@dataclass(frozen=True, slots=True)
class Home:
    """A dwelling: `number` is unique in the city, `address` is complete from the province down."""

    number: int
    county: County
    town: str
    village: str
    street: str

    @property
    def address(self) -> str:
        """The whole address in one text."""
        return f"{self.county.title}{self.town}{self.street}"

    @property
    def station(self) -> str:
        """The police station that keeps the household register here."""
        return f"{self.county.office('公安局')}{self.town.removesuffix('街道').removesuffix('镇')}派出所"


def _xianning(code: str, name: str, towns: str) -> County:
    return County(code, "湖北省", "咸宁市", name, tuple(towns.split()))


COUNTIES = (
    _xianning("421202", "咸安区", "温泉街道 浮山街道 永安街道 汀泗桥镇 贺胜桥镇 双溪桥镇"),
    _xianning("421221", "嘉鱼县", "鱼岳镇 潘家湾镇 官桥镇 新街镇"),
    _xianning("421222", "通城县", "隽水镇 麦市镇 塘湖镇 关刀镇"),
    _xianning("421223", "崇阳县", "天城镇 白霓镇 石城镇 沙坪镇"),
    _xianning("421224", "通山县", "通羊镇 大畈镇 九宫山镇 厦铺镇"),
    _xianning("421281", "赤壁市", "蒲圻街道 赤马港街道 车埠镇 官塘驿镇 赵李桥镇"),
)

ELSEWHERE = (
    County("420106", "湖北省", "武汉市", "武昌区", ("中南路街道", "徐家棚街道")),
    County("420111", "湖北省", "武汉市", "洪山区", ("珞南街道", "关山街道")),
    County("420281", "湖北省", "黄石市", "大冶市", ("东岳路街道", "陈贵镇")),
    County("421182", "湖北省", "黄冈市", "武穴市", ("梅川镇", "花桥镇")),
    County("430602", "湖南省", "岳阳市", "岳阳楼区", ("站前路街道", "三眼桥街道")),
    County("430682", "湖南省", "岳阳市", "临湘市", ("羊楼司镇", "桃林镇")),
    County("360424", "江西省", "九江市", "修水县", ("义宁镇", "渣津镇")),
    County("340803", "安徽省", "安庆市", "大观区", ("德宽路街道", "海口镇")),
    County("410105", "河南省", "郑州市", "金水区", ("花园路街道", "文化路街道")),
    County("440106", "广东省", "广州市", "天河区", ("石牌街道", "棠下街道")),
    County("510107", "四川省", "成都市", "武侯区", ("浆洗街街道", "玉林街道")),
)


def some_home(rng: Random, number: int, counties: tuple[County, ...], streets: tuple[str, ...]) -> Home:
    """A dwelling in one of `counties`; the first of them is as likely as all others together."""
    county = counties[0] if rng.random() < 0.5 else rng.choice(counties)
    town = rng.choice(county.towns)
    street = rng.choice(streets)
    village = street[:-1] + ("社区" if town.endswith("街道") else "村")
    number_on_street, building, floor = 1 + number % 380, 1 + rng.randrange(12), 1 + rng.randrange(18)
    door = f"{street}{number_on_street}号{building}栋{1 + rng.randrange(2)}单元{floor}0{1 + rng.randrange(4)}室"
    return Home(number, county, town, village, door)
