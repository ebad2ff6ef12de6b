"""Formats: what a source writes, what it means, and what is refused."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schema.catalogue import ItemType
from schema.formats import (
    CHINA,
    FORMATS,
    decoder,
    default_format,
    encoder,
    forms_of,
    is_ordered,
    is_searchable,
    key_forms,
    legacy_id,
    nearest_form,
)
from schema.identifiers import to_citizen_id
from tests.connectors.resources import item

MOMENTS = st.datetimes(datetime(1970, 1, 2), datetime(2200, 1, 1)).map(lambda m: m.replace(microsecond=0, tzinfo=CHINA))
IDS = st.builds(
    lambda born, tail: to_citizen_id(f"421202{born:%y%m%d}{tail:03}"),
    st.dates(date(1900, 1, 1), date(1999, 12, 31)),
    st.integers(0, 999),
)
VALUES: Mapping[ItemType, st.SearchStrategy[Any]] = {
    ItemType.STRING: st.text(max_size=20).filter(lambda text: text == text.rstrip()),
    ItemType.INT: st.integers(-(10**12), 10**12),
    ItemType.DECIMAL: st.decimals(-(10**9), 10**9, allow_nan=False, allow_infinity=False, places=2),
    ItemType.BOOLEAN: st.booleans(),
    ItemType.DATE: st.dates(date(1000, 1, 1)),
    ItemType.DATETIME: MOMENTS,
    ItemType.ID_NUMBER: IDS,
    ItemType.CODE: st.integers(0, 999).map(str),
    ItemType.IMAGE: st.binary(max_size=50),
}
ROUND_TRIPS = [(kind, name) for kind in VALUES for name in FORMATS[kind]]


@pytest.mark.parametrize(("kind", "written"), ROUND_TRIPS)
@given(data=st.data())
def test_what_an_encoder_writes_its_decoder_reads(kind: ItemType, written: str, data: st.DataObject) -> None:
    value = data.draw(VALUES[kind])
    read = decoder(kind, written, {})(encoder(kind, written, {})(value))
    assert read == value
    assert type(read) is type(value)


@pytest.mark.parametrize("kind", ItemType)
def test_every_type_has_a_default_format(kind: ItemType) -> None:
    assert default_format(kind) in FORMATS[kind]


@pytest.mark.parametrize(
    ("kind", "written", "raw", "value"),
    [
        (ItemType.DATE, "iso", "1990-01-31", date(1990, 1, 31)),
        (ItemType.DATE, "iso", date(1990, 1, 31), date(1990, 1, 31)),
        (ItemType.DATE, "compact", "19900131", date(1990, 1, 31)),
        (ItemType.DATE, "int", 19900131, date(1990, 1, 31)),
        (ItemType.DATE, "slash", "1990/01/31", date(1990, 1, 31)),
        (ItemType.DATETIME, "iso", "2026-01-31 09:30:00", datetime(2026, 1, 31, 9, 30, tzinfo=CHINA)),
        (ItemType.DATETIME, "iso", "2026-01-31T01:30:00+00:00", datetime(2026, 1, 31, 9, 30, tzinfo=CHINA)),
        (ItemType.DATETIME, "iso", datetime(2026, 1, 31, 9, 30), datetime(2026, 1, 31, 9, 30, tzinfo=CHINA)),
        (ItemType.DATETIME, "compact", "20260131093000", datetime(2026, 1, 31, 9, 30, tzinfo=CHINA)),
        (ItemType.DATETIME, "epoch", 1769823000, datetime(2026, 1, 31, 1, 30, tzinfo=UTC)),
        (ItemType.DECIMAL, "decimal", 0.1, Decimal("0.1")),
        (ItemType.DECIMAL, "cents", 1186300, Decimal("11863")),
        (ItemType.BOOLEAN, "01", True, True),
        (ItemType.BOOLEAN, "01", "1", True),
        (ItemType.BOOLEAN, "01", "0", False),
        (ItemType.BOOLEAN, "是否", "否", False),
        (ItemType.STRING, "text", 42, "42"),
        (ItemType.STRING, "trim", "张三  ", "张三"),
        (ItemType.CODE, "int", 1, "1"),
        (ItemType.IMAGE, "bytes", memoryview(b"\x00\x01"), b"\x00\x01"),
        (ItemType.ID_NUMBER, "18", " 11010519491231002x ", "11010519491231002X"),
        (ItemType.ID_NUMBER, "15or18", 110105491231002, "11010519491231002X"),
    ],
)
def test_what_drivers_return_is_read(kind: ItemType, written: str, raw: Any, value: Any) -> None:
    assert decoder(kind, written, {})(raw) == value


@pytest.mark.parametrize(
    ("kind", "written", "raw"),
    [
        (ItemType.STRING, "text", b"\xd5\xc5\xc8\xfd"),
        (ItemType.STRING, "text", 1.5),
        (ItemType.STRING, "text", True),
        (ItemType.INT, "int", 1.0),
        (ItemType.INT, "int", True),
        (ItemType.INT, "text", "1_000"),
        (ItemType.DECIMAL, "decimal", "1_000.00"),
        (ItemType.DECIMAL, "decimal", "NaN"),
        (ItemType.DECIMAL, "decimal", float("inf")),
        (ItemType.DECIMAL, "decimal", True),
        (ItemType.DECIMAL, "cents", "NaN"),
        (ItemType.BOOLEAN, "01", "yes"),
        (ItemType.BOOLEAN, "是否", "Y"),
        (ItemType.DATE, "iso", 19900131),
        (ItemType.DATE, "iso", "19900131"),
        (ItemType.DATE, "iso", "1990-W05-3"),
        (ItemType.DATE, "iso", "1990-1-31"),
        (ItemType.DATE, "iso", datetime(1990, 1, 31)),
        (ItemType.DATETIME, "iso", "20260131T093000"),
        (ItemType.DATETIME, "iso", "2026-01-31"),
        (ItemType.DATETIME, "iso", "2026-01-31 09:30"),
        (ItemType.DATE, "compact", 19900131),
        (ItemType.DATE, "compact", "１９９００２３０"),
        (ItemType.DATE, "slash", "1990/13/01"),
        (ItemType.DATETIME, "iso", "soon"),
        (ItemType.ID_NUMBER, "18", None),
        (ItemType.IMAGE, "bytes", 10**12),
        (ItemType.IMAGE, "bytes", "text"),
        (ItemType.IMAGE, "base64", "not base64!"),
    ],
)
def test_what_is_none_of_the_format_is_refused(kind: ItemType, written: str, raw: Any) -> None:
    with pytest.raises((ValueError, TypeError)):
        decoder(kind, written, {})(raw)


OWN = {"M": "1", "F": "2"}


def test_a_sources_own_codes_are_translated_both_ways() -> None:
    assert [decoder(ItemType.CODE, "text", OWN)(raw) for raw in "MF"] == ["1", "2"]
    assert [encoder(ItemType.CODE, "text", OWN)(code) for code in "12"] == ["M", "F"]
    assert encoder(ItemType.CODE, "int", {"7": "1"})("1") == 7
    assert decoder(ItemType.CODE, "int", {"7": "1"})(7) == "1"


@pytest.mark.parametrize("raw", ["1", "m", "", "X", b"M"])
def test_a_code_that_is_none_of_the_sources_own_is_refused(raw: Any) -> None:
    with pytest.raises(ValueError, match="format"):
        decoder(ItemType.CODE, "text", OWN)(raw)


@given(IDS)
def test_a_number_of_the_last_century_has_a_legacy_form(number: str) -> None:
    assert len(legacy_id(number)) == 15
    assert to_citizen_id(legacy_id(number)) == number
    assert legacy_id(number) in key_forms(ItemType.ID_NUMBER, "15or18", number)


def test_a_number_of_this_century_has_no_legacy_form() -> None:
    young = "421202200501011230"
    assert legacy_id(young) == young
    assert key_forms(ItemType.ID_NUMBER, "15or18", young) == (young,)


def test_every_way_of_writing_a_number_is_asked_once() -> None:
    assert key_forms(ItemType.ID_NUMBER, "18", "11010519491231002X") == ("11010519491231002X", "11010519491231002x")
    assert set(key_forms(ItemType.ID_NUMBER, "15or18", "11010519491231002X")) == {
        "110105491231002",
        "11010519491231002X",
        "11010519491231002x",
    }
    assert key_forms(ItemType.CREDIT_CODE, "text", "91420100052019361M") == ("91420100052019361M",)


# -- what a source can be asked for ------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "written"), [one for one in ROUND_TRIPS if is_searchable(item("value", *one))])
@given(data=st.data())
def test_a_searchable_format_is_asked_in_the_form_that_its_source_writes(
    kind: ItemType, written: str, data: st.DataObject
) -> None:
    value = data.draw(VALUES[kind])
    assert encoder(kind, written, {})(value) in forms_of(item("value", kind, written), value)


@pytest.mark.parametrize(
    ("kind", "written"),
    [one for one in ROUND_TRIPS if is_ordered(item("value", *one)) and one[0] is not ItemType.ID_NUMBER],
)
@given(data=st.data())
def test_an_ordered_format_stores_values_in_their_order(kind: ItemType, written: str, data: st.DataObject) -> None:
    less, more = sorted([data.draw(VALUES[kind]), data.draw(VALUES[kind])])
    forms = [nearest_form(item("value", kind, written), value) for value in (less, more)]
    assert [sign for _, sign in forms] == [0, 0]
    assert (forms[0][0] < forms[1][0]) == (less < more)


def test_a_code_is_asked_in_all_of_the_sources_own_ways() -> None:
    sex = item("sex", ItemType.CODE, values={"M": "1", "F": "2", "W": "2"})
    assert [forms_of(sex, code) for code in "129"] == [("M",), ("F", "W"), ()]


def test_a_value_that_a_source_cannot_write_has_no_form() -> None:
    assert forms_of(item("fee", ItemType.DECIMAL, "cents"), Decimal("0.005")) == ()
    assert forms_of(item("name", written="trim"), "张三 ") == ()
    assert forms_of(item("born", ItemType.DATE), None) == ()


def test_a_value_between_two_that_a_source_can_write_is_compared_with_the_nearest() -> None:
    fee = item("fee", ItemType.DECIMAL, "cents")
    assert nearest_form(fee, Decimal("0.005")) == (0, -1)
    assert nearest_form(fee, Decimal("-0.005")) == (0, 1)
    assert nearest_form(fee, Decimal("0.01")) == (1, 0)
