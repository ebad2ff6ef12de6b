"""Identifiers of the demo city: each valid, each given once.

Citizen identity number: GB 11643. Unified social credit code: GB 32100, with the organisation code of GB 11714.
Real estate unit number: GB/T 37346. City component code: GB/T 30428.2.
"""

from __future__ import annotations

from array import array
from datetime import date

from stdnum.cn import uscc

from demo.places import COUNTIES, ELSEWHERE

_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
_CHECK = "10X98765432"
_ORGANISATION_WEIGHTS = (3, 7, 9, 10, 5, 8, 4, 2)
_FIRST_DAY = date(1915, 1, 1).toordinal()
_DAYS = 115 * 366
_REGIONS = {county.code: place for place, county in enumerate((*COUNTIES, *ELSEWHERE))}
_SEQUENCE = 500  # three digits, of which the last one's parity is the sex


def citizen_id(region: str, born: date, sequence: int) -> str:
    """The citizen identity number of the parts; an odd `sequence` (0 to 999) is a man's."""
    body = f"{region}{born:%Y%m%d}{sequence:03d}"
    return body + _CHECK[sum(int(digit) * weight for digit, weight in zip(body, _WEIGHTS, strict=True)) % 11]


class CitizenIds:
    """Gives citizen identity numbers, none twice, in a few megabytes whatever the city's size."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._given = array("H", bytes(2 * 2 * _DAYS * len(_REGIONS)))

    def give(self, region: str, born: date, sex: str) -> str:
        """A new number; OverflowError if the region, day and sex have no number left."""
        place = (_REGIONS[region] * _DAYS + born.toordinal() - _FIRST_DAY) * 2 + (sex == "1")
        given = self._given[place]
        if given == _SEQUENCE:
            raise OverflowError("no identity number is left for this region, day of birth and sex")
        self._given[place] = given + 1
        scattered = (given * 37 + place * 13 + self._seed * 101) % _SEQUENCE
        return citizen_id(region, born, scattered * 2 + (sex == "1"))


def organisation_code(serial: int) -> str:
    """The nine characters of GB 11714: eight digits of `serial` and the check character."""
    body = f"{serial:08d}"
    rest = 11 - sum(int(digit) * weight for digit, weight in zip(body, _ORGANISATION_WEIGHTS, strict=True)) % 11
    return body + {10: "X", 11: "0"}.get(rest, str(rest))


def credit_code(kind: str, region: str, index: int, seed: int) -> str:
    """The code of organisation `index`; `kind` is registration authority and category (GB 32100), two characters."""
    serial = (index * 99_991 + seed * 7_654_321 + 10_000_019) % 10**8
    body = kind + region + organisation_code(serial)
    return body + str(uscc.calc_check_digit(body))


def unit_number(region: str, index: int) -> str:
    """The real estate unit number of the county's `index`-th unit (from 0): a flat of a building on a parcel."""
    rest, flat = divmod(index, 36)
    rest, building = divmod(rest, 20)
    block, parcel = divmod(rest, 400)
    return f"{region}{block // 999 + 1:03d}{block % 999 + 1:03d}GB{parcel + 1:05d}F{building + 1:04d}{flat + 1:04d}"


def component_code(region: str, category: str, index: int) -> str:
    """The city component code: county, category and kind (two digits each), serial."""
    return f"{region}{category}{index + 1:06d}"
