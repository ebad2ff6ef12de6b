"""A resource with an item of every way of writing, records of it, and random questions about them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

from hypothesis import strategies as st

from connectors.contract import (
    Condition,
    Operator,
    Order,
)
from schema.catalogue import ItemType, Search
from schema.formats import CHINA, is_ordered, is_prefixed, is_searchable
from schema.identifiers import to_citizen_id
from tests.connectors.kinds import (
    Raw,
)
from tests.connectors.resources import item, resource

OLD, OLDER, YOUNG = (to_citizen_id(number) for number in ("421202900131123", "421202680229999", "421202200501011234"))
ENDS_WITH_X = "11010519491231002X"
THINGS = resource(
    "Things",
    item("person", ItemType.ID_NUMBER, "15or18"),
    item("title"),
    item("region", written="trim"),
    item("year", ItemType.INT),
    item("fee", ItemType.DECIMAL, "cents"),
    item("compact", ItemType.DATE, "compact"),
    item("number", ItemType.DATE, "int"),
    item("slash", ItemType.DATE, "slash"),
    item("iso", ItemType.DATE, "iso"),
    item("at", ItemType.DATETIME, "epoch"),
    item("stamp", ItemType.DATETIME, "compact"),
    item("sex", ItemType.CODE, values={"M": "1", "F": "2", "W": "2"}),
    item("nation", ItemType.CODE, "int"),
    item("state", ItemType.CODE),
    item("valid", ItemType.BOOLEAN, "01"),
    item("closed", ItemType.BOOLEAN, "是否"),
    item("serial"),
    many=True,
    search=Search(where=(), order_by=(), identity=("serial",)),
)

DAYS = [date(1990, 1, 31), date(1949, 10, 1), date(2024, 2, 29)]
MOMENTS = [datetime(1990, 1, 31, 23, 59, 58, tzinfo=CHINA), datetime(2026, 6, 1, tzinfo=CHINA)]
TEXTS = ["", "a", "A", "ab", "Ab", "a ", "a%", "a_", "a_b", "axb", "张三", "张", "李四", "𠮷", "～", "\\", "42", "042"]
INJECTIONS = ["' OR '1'='1", '" --', "a'; DROP TABLE T_THINGS; --", "%s", ":w0_0", "?"]
STORED: Mapping[str, list[Any]] = {
    "person": [
        OLD,
        Raw(OLD, OLD),
        OLDER,
        YOUNG,
        ENDS_WITH_X,
        Raw(ENDS_WITH_X, ENDS_WITH_X),
        Raw(ENDS_WITH_X.lower(), ENDS_WITH_X),
    ],
    "title": TEXTS + INJECTIONS,
    "region": [Raw("421202  ", "421202"), Raw("421202\u3000\t", "421202"), "421202", "4212", "421281", " 4212", ""],
    "year": [0, -1, 9, 10, 2**40],
    "fee": [Decimal("0"), Decimal("-0.01"), Decimal("9.99"), Decimal("10.00"), Decimal("99999999999.99")],
    **{name: list(DAYS) for name in ("compact", "number", "slash", "iso")},
    "at": list(MOMENTS),
    "stamp": list(MOMENTS),
    "sex": ["1", "2", Raw("F", "2")],
    "nation": ["1", "2", "10"],
    "state": ["1", "2", "10", "97"],
    "valid": [True, False],
    "closed": [True, False],
}
BETWEEN: Mapping[str, list[Any]] = {
    "person": [to_citizen_id("421202000101112"), "421202"],
    "title": ["b", "a\u3000", "％"],
    "region": ["421202 ", "42"],
    "year": [5, 2**70, -(2**70)],
    "fee": [Decimal("9.985"), Decimal("-0.005"), Decimal(2**70)],
    "at": [MOMENTS[0] + timedelta(milliseconds=500), MOMENTS[0] - timedelta(milliseconds=500)],
    "stamp": [MOMENTS[0] + timedelta(milliseconds=500)],
    "sex": ["M", "9"],
    "nation": ["01", "3"],
    "state": ["", "3"],
}
"""Values that no record has, and some that no source could write."""


def meant(value: Any) -> Any:
    return value.means if isinstance(value, Raw) else value


def values_of(name: str) -> st.SearchStrategy[Any]:
    return st.sampled_from([meant(value) for value in STORED[name]] + BETWEEN.get(name, []))


@st.composite
def conditions(draw: st.DrawFn) -> Condition:
    name = draw(st.sampled_from(sorted(STORED)))
    one = THINGS.items[name]
    allowed = [Operator.EQ, Operator.IN] * is_searchable(one) + [Operator.GTE, Operator.LTE] * is_ordered(one)
    operator = draw(st.sampled_from(allowed + [Operator.STARTS_WITH] * is_prefixed(one)))
    if operator is Operator.IN:
        return Condition(name, operator, tuple(draw(st.lists(values_of(name), max_size=4))))
    values = values_of(name)
    if name == "person" and operator in (Operator.GTE, Operator.LTE):
        values = st.sampled_from([OLD, OLDER, YOUNG, ENDS_WITH_X])
    if operator is Operator.STARTS_WITH:
        values = values.map(lambda text: text[:2])
    return Condition(name, operator, (draw(values),))


WHERE = st.lists(conditions(), max_size=3).map(tuple)
SORTABLE = sorted(name for name in STORED if is_ordered(THINGS.items[name]))
ORDER = st.lists(
    st.builds(Order, st.sampled_from(SORTABLE), st.booleans()), max_size=3, unique_by=lambda order: order.item
).flatmap(lambda orders: st.booleans().map(lambda descending: (*orders, Order("serial", descending))))
RECORDS = st.lists(
    st.fixed_dictionaries({name: st.one_of(st.none(), st.sampled_from(values)) for name, values in STORED.items()}),
    max_size=10,
).map(lambda records: [{**record, "serial": f"s{n}", "updated": None} for n, record in enumerate(records)])
