"""Identifiers of entities: checked, normalised, and each fault named.

Citizen identity number: GB 11643 (check digit ISO 7064 MOD 11-2). Unified social credit code: GB 32100 (MOD 31-3).
Real estate unit number: GB/T 37346, 28 characters. City component code: GB/T 30428.2, 16 digits.
`stdnum` computes the check digits. It refuses real numbers whose county it does not know and accepts births in the future,
so only its check digits are asked; the date is read here.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date, datetime, timedelta, timezone

from stdnum.cn import ric, uscc

from schema.catalogue import ItemType

_FULL_WIDTH = str.maketrans(
    "０１２３４５６７８９ＸｘＡＢＣＤＥＦＧＨＪＫＬＭＮＰＱＲＴＵＷＹ", "0123456789XxABCDEFGHJKLMNPQRTUWY"
)
_CITIZEN = re.compile(r"\d{17}[\dX]", re.ASCII)
_IN_TEXT = re.compile(r"(?<![0-9A-Za-z])\d{17}[\dXx](?![0-9A-Za-z])", re.ASCII)
_UNIT = re.compile(r"\d{12}[A-Z]{2}\d{5}[A-Z]\d{8}", re.ASCII)
_COMPONENT = re.compile(r"\d{16}", re.ASCII)


class IdentifierError(ValueError):
    """An identifier that is none; `reason` says which part is wrong, and never repeats the value."""

    def __init__(self, reason_en: str, reason_zh: str) -> None:
        super().__init__(reason_en)
        self.reason_en = reason_en
        self.reason_zh = reason_zh


def _clean(value: str) -> str:
    if value.isascii() and value.isalnum():
        return value.upper()
    return re.sub(r"\s", "", value).translate(_FULL_WIDTH).upper()


def to_citizen_id(value: str) -> str:
    """The 18-character citizen identity number that `value` writes, also in its 15-digit form; else IdentifierError."""
    number = _clean(value)
    if len(number) == 15 and number.isascii() and number.isdigit():
        number = number[:6] + "19" + number[6:]
        number += str(ric.calc_check_digit(number + "0"))
    if not _CITIZEN.fullmatch(number):
        raise IdentifierError(
            "18 characters are expected: 17 digits, then a digit or X", "应为18位：前17位数字，末位数字或X"
        )
    try:
        born = date(int(number[6:10]), int(number[10:12]), int(number[12:14]))
    except ValueError:
        raise IdentifierError("digits 7 to 14 are not a date of birth", "第7至14位不是有效的出生日期") from None
    if born > date.today():
        raise IdentifierError("the date of birth (digits 7 to 14) is in the future", "第7至14位的出生日期晚于今天")
    if str(ric.calc_check_digit(number)) != number[-1]:
        raise IdentifierError("the check digit (18th) does not match", "第18位校验码不符，请核对号码")
    return number


def to_credit_code(value: str) -> str:
    """The 18-character unified social credit code that `value` writes; else IdentifierError."""
    code = _clean(value)
    if not re.fullmatch(r"[0-9A-HJ-NPQRTUWXY]{2}\d{6}[0-9A-HJ-NPQRTUWXY]{10}", code, re.ASCII):
        raise IdentifierError(
            "18 characters of digits and capitals without I, O, S, V, Z are expected",
            "应为18位数字或大写字母（不含I、O、S、V、Z）",
        )
    if uscc.calc_check_digit(code[:-1]) != code[-1]:
        raise IdentifierError("the check character (18th) does not match", "第18位校验码不符，请核对代码")
    return code


def to_unit_number(value: str) -> str:
    """The 28-character real estate unit number that `value` writes; else IdentifierError."""
    number = _clean(value)
    if not _UNIT.fullmatch(number):
        raise IdentifierError("28 characters of a real estate unit number are expected", "应为28位不动产单元号")
    return number


def to_component_code(value: str) -> str:
    """The 16-digit city component code that `value` writes; else IdentifierError."""
    code = _clean(value)
    if not _COMPONENT.fullmatch(code):
        raise IdentifierError("16 digits are expected", "应为16位数字的城市部件代码")
    return code


PARSERS: dict[ItemType, Callable[[str], str]] = {
    ItemType.ID_NUMBER: to_citizen_id,
    ItemType.CREDIT_CODE: to_credit_code,
    ItemType.UNIT_NUMBER: to_unit_number,
    ItemType.COMPONENT_CODE: to_component_code,
}
"""The parser of each type of identifier: text in, normalised identifier out, IdentifierError otherwise."""


def names_person(text: str) -> bool:
    """Whether a free text holds a citizen identity number with a valid check digit: it must not travel where nobody looks for one."""
    for found in _IN_TEXT.finditer(text.translate(_FULL_WIDTH)):
        try:
            to_citizen_id(found.group())
        except IdentifierError:
            continue
        return True
    return False


_CHINA = timezone(timedelta(hours=8))
_OF_AGE = 18


def is_adult(number: str, now: datetime) -> bool:
    """Whether the holder of this normalised citizen identity number is eighteen or older at `now` in China (Civil Code, article 17)."""
    today = now.astimezone(_CHINA).date()
    born = (int(number[6:10]) + _OF_AGE, int(number[10:12]), int(number[12:14]))
    return born <= (today.year, today.month, today.day)
