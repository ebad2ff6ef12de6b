"""Formats: what an encoder writes its decoder reads back, and what is of no format never passes."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schema.catalogue import ItemType
from schema.formats import CHINA, FORMATS, decoder, default_format, encoder, key_forms
from tests.schema.test_identifiers import codes, numbers

texts = st.text(st.characters(exclude_categories=["Cs"]))
moments = st.builds(
    lambda moment, hours: moment.replace(tzinfo=UTC).astimezone(timezone(timedelta(hours=hours))),
    st.datetimes(datetime(1930, 1, 1), datetime(2200, 1, 1)).map(lambda m: m.replace(microsecond=0)),
    st.integers(-11, 11),
)
VALUES: dict[ItemType, st.SearchStrategy[Any]] = {
    ItemType.STRING: texts.map(str.rstrip),
    ItemType.INT: st.integers(-(2**60), 2**60),
    ItemType.DECIMAL: st.decimals(-(10**15), 10**15, places=2),
    ItemType.BOOLEAN: st.booleans(),
    ItemType.DATE: st.dates(date(1000, 1, 1)),
    ItemType.DATETIME: moments,
    ItemType.ID_NUMBER: numbers,
    ItemType.CREDIT_CODE: codes,
    ItemType.UNIT_NUMBER: st.from_regex(r"\A[0-9]{12}[A-Z]{2}[0-9]{5}[A-Z][0-9]{8}\Z"),
    ItemType.COMPONENT_CODE: st.from_regex(r"\A[0-9]{16}\Z"),
    ItemType.CODE: st.integers(0, 99).map(str),
    ItemType.IMAGE: st.binary(),
}
KINDS: dict[ItemType, type] = {
    ItemType.INT: int,
    ItemType.DECIMAL: Decimal,
    ItemType.BOOLEAN: bool,
    ItemType.DATE: date,
    ItemType.DATETIME: datetime,
    ItemType.IMAGE: bytes,
}
ALL = [(item_type, name) for item_type, formats in FORMATS.items() for name in formats]
stored = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    texts,
    st.binary(),
    st.text("0123456789-/.:_ T是YN", max_size=20),
)


def test_every_type_has_formats_and_a_default() -> None:
    assert set(FORMATS) == set(ItemType) == set(VALUES)
    assert all(default_format(item_type) in FORMATS[item_type] for item_type in ItemType)


@pytest.mark.parametrize(("item_type", "name"), ALL)
@settings(max_examples=60)
@given(data=st.data())
def test_decoder_is_the_inverse_of_its_encoder(item_type: ItemType, name: str, data: st.DataObject) -> None:
    value = data.draw(VALUES[item_type])
    decoded = decoder(item_type, name, {})(encoder(item_type, name, {})(value))
    assert decoded == value
    assert type(decoded) is KINDS.get(item_type, str)
    if isinstance(decoded, datetime):
        assert decoded.utcoffset() == CHINA.utcoffset(None)


@pytest.mark.parametrize(("item_type", "name"), ALL)
@settings(max_examples=150)
@given(value=stored)
def test_what_a_source_holds_becomes_a_value_of_the_type_or_an_error(
    item_type: ItemType, name: str, value: Any
) -> None:
    if value is None:  # NULL never reaches a decoder
        return
    try:
        decoded = decoder(item_type, name, {})(value)
    except (ValueError, TypeError, ArithmeticError, OSError):  # what a connector takes for INVALID
        return
    assert type(decoded) is KINDS.get(item_type, str)
    if isinstance(decoded, Decimal):
        assert decoded.is_finite()


WRONG: list[tuple[ItemType, str, Any]] = [
    (ItemType.STRING, "text", b"bytes"),
    (ItemType.STRING, "text", 1.5),
    (ItemType.STRING, "text", True),
    (ItemType.STRING, "trim", b"bytes"),
    (ItemType.INT, "int", "twelve"),
    (ItemType.INT, "int", "1_000"),
    (ItemType.INT, "int", 1.5),
    (ItemType.INT, "text", ""),
    (ItemType.DECIMAL, "decimal", "NaN"),
    (ItemType.DECIMAL, "decimal", "Infinity"),
    (ItemType.DECIMAL, "decimal", "1_000"),
    (ItemType.DECIMAL, "decimal", float("inf")),
    (ItemType.DECIMAL, "cents", "12.5"),
    (ItemType.BOOLEAN, "01", 2),
    (ItemType.BOOLEAN, "01", "yes"),
    (ItemType.BOOLEAN, "YN", "y"),
    (ItemType.BOOLEAN, "是否", "1"),
    (ItemType.BOOLEAN, "YN", []),
    (ItemType.DATE, "iso", "2020-02-30"),
    (ItemType.DATE, "iso", 20200101),
    (ItemType.DATE, "iso", datetime(2020, 1, 1, tzinfo=UTC)),
    (ItemType.DATE, "compact", "20200230"),
    (ItemType.DATE, "compact", "2020011"),
    (ItemType.DATE, "compact", 20200101),
    (ItemType.DATE, "int", 2020011),
    (ItemType.DATE, "int", 20201332),
    (ItemType.DATE, "slash", "2020/02/30"),
    (ItemType.DATE, "slash", "2020-02-03"),
    (ItemType.DATE, "slash", 20200203),
    (ItemType.DATETIME, "iso", "yesterday"),
    (ItemType.DATETIME, "compact", "20200101"),
    (ItemType.DATETIME, "compact", "20200101250000"),
    (ItemType.DATETIME, "epoch", "soon"),
    (ItemType.ID_NUMBER, "18", "421202198509256229"),
    (ItemType.ID_NUMBER, "15or18", "42120285092562"),
    (ItemType.ID_NUMBER, "18", b"421202198509256228"),
    (ItemType.CODE, "text", b"1"),
    (ItemType.CODE, "int", "one"),
    (ItemType.IMAGE, "bytes", 5),
    (ItemType.IMAGE, "bytes", "text"),
    (ItemType.IMAGE, "base64", "no base64!"),
]


@pytest.mark.parametrize(("item_type", "name", "value"), WRONG)
def test_wrong_value_is_refused(item_type: ItemType, name: str, value: Any) -> None:
    with pytest.raises((ValueError, TypeError)):
        decoder(item_type, name, {})(value)


def test_local_codes_are_read_and_written_by_their_table() -> None:
    local = {"M": "1", "F": "2"}
    for code in local:
        assert encoder(ItemType.CODE, "text", local)(decoder(ItemType.CODE, "text", local)(code)) == code
    for wrong in ("1", "m", "", b"M"):
        with pytest.raises(ValueError):  # noqa: PT011 - the contract is the class
            decoder(ItemType.CODE, "text", local)(wrong)


@given(numbers)
def test_key_forms_hold_every_way_to_write_a_number_and_lead_back(number: str) -> None:
    decode = decoder(ItemType.ID_NUMBER, "15or18", {})
    forms = key_forms(ItemType.ID_NUMBER, "15or18", number)
    assert number in forms
    assert {decode(form) for form in forms} == {number}
    assert (len(min(forms, key=len)) == 15) is (number[6:8] == "19")
    assert all(len(form) == 18 for form in key_forms(ItemType.ID_NUMBER, "18", number))
