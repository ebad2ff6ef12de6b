"""Identifiers that the city gives out."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from demo.names import trade_name
from demo.numbers import CitizenIds, component_code, credit_code, organisation_code, unit_number
from schema.identifiers import to_citizen_id, to_component_code, to_credit_code, to_unit_number


def test_citizen_ids_of_a_day_are_valid_and_different_until_none_is_left() -> None:
    ids = CitizenIds(seed=5)
    given_ids = [ids.give("421202", date(1950, 2, 28), sex) for sex in ("1", "2") for _ in range(500)]
    assert len(set(given_ids)) == 1000
    assert all(to_citizen_id(number) == number for number in given_ids)
    assert [int(number[16]) % 2 for number in given_ids] == [1] * 500 + [0] * 500
    with pytest.raises(OverflowError):
        ids.give("421202", date(1950, 2, 28), "1")


@given(st.integers(0, 2**63), st.integers(0, 10**6))
def test_credit_codes_are_valid(seed: int, index: int) -> None:
    code = credit_code("91", "421281", index, seed)
    assert to_credit_code(code) == code


def test_organisation_codes_have_the_check_character_of_gb_11714() -> None:
    # worked by hand: 3*0+7*0+9*0+10*0+5*0+8*0+4*0+2*1 = 2, 11-2 = 9; 2*2 = 4 -> 7; 2*5 = 10 -> 1; sum 0 -> 11 -> 0
    assert [organisation_code(serial) for serial in (1, 2, 5, 0)] == [
        "000000019",
        "000000027",
        "000000051",
        "000000000",
    ]


@given(st.lists(st.integers(0, 10**7), unique=True, max_size=50))
def test_unit_numbers_are_valid_and_different(places: list[int]) -> None:
    numbers = [unit_number("421202", place) for place in places]
    assert all(to_unit_number(number) == number for number in numbers)
    assert len(set(numbers)) == len(numbers)


@given(st.integers(0, 999_998))
def test_component_codes_are_valid(index: int) -> None:
    code = component_code("421221", "0103", index)
    assert to_component_code(code) == code


def test_trading_names_are_different() -> None:
    assert len({trade_name(index, seed=11) for index in range(60_000)}) == 60_000
