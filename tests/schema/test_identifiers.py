"""Identifiers: what is valid is accepted in each of its ways to be written, one wrong character is always noticed."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stdnum.cn import uscc

from schema.identifiers import IdentifierError, to_citizen_id, to_component_code, to_credit_code, to_unit_number

_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
_ALPHABET = "0123456789ABCDEFGHJKLMNPQRTUWXY"
FULL_WIDTH = {ord(c): chr(ord(c) + 0xFEE0) for c in "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"}


def checked(body: str) -> str:
    """The 17 digits with their check character (ISO 7064 MOD 11-2), computed as GB 11643 says."""
    return body + "10X98765432"[sum(int(d) * w for d, w in zip(body, _WEIGHTS, strict=True)) % 11]


regions = st.integers(110000, 659999).map(str)
births = st.dates(date(1900, 1, 1), date.today())
sequences = st.integers(0, 999).map("{:03d}".format)
numbers = st.builds(
    lambda region, born, sequence: checked(f"{region}{born:%Y%m%d}{sequence}"), regions, births, sequences
)
codes = st.builds(
    lambda head, region, rest: head + region + rest + str(uscc.calc_check_digit(head + region + rest)),
    st.text("159ANY", min_size=2, max_size=2),
    regions,
    st.text(_ALPHABET, min_size=9, max_size=9),
)
blanks = st.text(" \t\u3000\u00a0", max_size=3)


@given(numbers)
def test_every_valid_number_is_accepted_as_it_is(number: str) -> None:
    assert to_citizen_id(number) == number


@given(numbers, st.integers(0, 17), st.sampled_from("0123456789X"))
def test_any_changed_character_is_refused(number: str, place: int, wrong: str) -> None:
    changed = number[:place] + wrong + number[place + 1 :]
    if changed != number:
        with pytest.raises(IdentifierError):
            to_citizen_id(changed)


@given(numbers, st.integers(0, 16))
def test_swapped_neighbours_are_refused(number: str, place: int) -> None:
    swapped = number[:place] + number[place + 1] + number[place] + number[place + 2 :]
    if swapped != number:
        with pytest.raises(IdentifierError):
            to_citizen_id(swapped)


@given(numbers, blanks, blanks, st.integers(0, 18))
def test_blanks_full_width_and_lower_case_are_the_same_number(number: str, before: str, inside: str, cut: int) -> None:
    spaced = before + number[:cut] + inside + number[cut:]
    assert to_citizen_id(spaced) == to_citizen_id(spaced.lower()) == number
    assert to_citizen_id(spaced.translate(FULL_WIDTH)) == to_citizen_id(spaced.lower().translate(FULL_WIDTH)) == number


@given(regions, st.dates(date(1900, 1, 1), date(1999, 12, 31)), sequences)
def test_15_digit_number_is_the_18_digit_one_of_the_1900s(region: str, born: date, sequence: str) -> None:
    assert to_citizen_id(f"{region}{born:%y%m%d}{sequence}") == checked(f"{region}{born:%Y%m%d}{sequence}")


@given(regions, st.integers(1, 20_000), sequences)
def test_birth_in_the_future_is_refused(region: str, days: int, sequence: str) -> None:
    born = date.today() + timedelta(days=days)
    with pytest.raises(IdentifierError, match="future"):
        to_citizen_id(checked(f"{region}{born:%Y%m%d}{sequence}"))


def test_birth_today_is_accepted() -> None:
    number = checked(f"421200{date.today():%Y%m%d}001")
    assert to_citizen_id(number) == number


@pytest.mark.parametrize("region", ["421281", "421200", "710000", "999999"])
def test_county_that_is_on_no_list_is_accepted(region: str) -> None:
    number = checked(f"{region}19900307451")
    assert to_citizen_id(number) == number


@pytest.mark.parametrize("born", ["19900230", "19901301", "00000101", "19900100"])
def test_birth_on_no_day_is_refused(born: str) -> None:
    with pytest.raises(IdentifierError, match="date of birth"):
        to_citizen_id(checked(f"421200{born}451"))


def _refusal(parse: Callable[[str], str], text: str) -> IdentifierError | None:
    try:
        parse(text)
    except IdentifierError as error:
        return error
    return None


@given(st.text(max_size=40))
def test_any_other_text_is_an_identifier_error_that_does_not_repeat_it(text: str) -> None:
    for parse in (to_citizen_id, to_credit_code, to_unit_number, to_component_code):
        told = _refusal(parse, text)
        if told is not None:
            assert told.reason_en
            assert re.search(r"[\u4e00-\u9fff]", told.reason_zh)
            assert len(text) < 15 or text not in told.reason_en + told.reason_zh
            assert not re.search(r"\d{4}", told.reason_en + told.reason_zh)


@given(codes)
def test_every_valid_credit_code_is_accepted_in_each_of_its_ways(code: str) -> None:
    assert to_credit_code(code) == code
    assert to_credit_code(f" {code.lower()[:9]} {code[9:]}\u3000") == code
    assert to_credit_code(code.translate(FULL_WIDTH)) == code


@given(codes, st.integers(0, 17), st.sampled_from(_ALPHABET))
def test_any_changed_character_of_a_credit_code_is_refused(code: str, place: int, wrong: str) -> None:
    changed = code[:place] + wrong + code[place + 1 :]
    if changed != code:
        with pytest.raises(IdentifierError):
            to_credit_code(changed)


@pytest.mark.parametrize("letter", "IOSVZ")
def test_letters_that_look_like_digits_are_no_part_of_a_credit_code(letter: str) -> None:
    with pytest.raises(IdentifierError):
        to_credit_code(f"9142120217654340{letter}X")


@pytest.mark.parametrize(
    ("parse", "valid"),
    [(to_unit_number, "421202001001GB00001F00010001"), (to_component_code, "4212020103000001")],
)
def test_unit_numbers_and_component_codes_have_one_form(parse: Callable[[str], str], valid: str) -> None:
    assert parse(f" {valid.lower()} ") == parse(valid.translate(FULL_WIDTH)) == valid
    for wrong in (valid[:-1], valid + "1", valid[:-1] + "-", "", "٤" + valid[1:]):
        with pytest.raises(IdentifierError):
            parse(wrong)
