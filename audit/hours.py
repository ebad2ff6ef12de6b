"""Working hours: 8 to 18 o'clock on the working days of China, with the State Council's holidays and shifted working days.

They are announced a year at a time, and the package `chinesecalendar` has a release for each. Of a year that it does not know Monday to Friday
count as working days; `known_through` says so, and an index that was marked by another calendar is built anew (`calendar`).
"""

from __future__ import annotations

import hashlib
from datetime import date, datetime
from functools import cache, lru_cache

import chinese_calendar
from chinese_calendar import constants

HOURS = range(8, 18)
_CHINA_HOURS = 8
_EPOCH = date(1970, 1, 1).toordinal()


def china_day(at: int) -> int:
    """The day in China, counted from 1970, of a moment in microseconds."""
    return (at // 1_000_000 + _CHINA_HOURS * 3600) // 86_400


@lru_cache(4096)
def month_of(day: int) -> int:
    """202611 for a day in November 2026."""
    then = date.fromordinal(_EPOCH + day)
    return then.year * 100 + then.month


def is_outside_hours(at: int) -> bool:
    """Whether a moment (microseconds since 1970 UTC) is outside working hours in China."""
    return (at // 3_600_000_000 + _CHINA_HOURS) % 24 not in HOURS or not is_working_day(china_day(at))


@lru_cache(4096)
def is_working_day(day: int) -> bool:
    """Whether this day, counted from 1970, is a working day; of a year whose holidays are not known, whether it is Monday to Friday."""
    then = date.fromordinal(_EPOCH + day)
    try:
        return bool(chinese_calendar.is_workday(then))
    except NotImplementedError:
        return then.weekday() < 5


@cache
def known_through() -> int:
    """The last year whose holidays are known."""
    return int(max(constants.holidays).year)


def unknown_holidays(now: datetime) -> str:
    """What to tell where the holidays of the present year are not known; empty where they are."""
    year = month_of(china_day(int(now.timestamp() * 1_000_000))) // 100
    if year <= known_through():
        return ""
    return f"the holidays of {year} are not known, Monday to Friday count as working days: update chinesecalendar"


@cache
def calendar() -> str:
    """A digest of all holidays and shifted working days that are known."""
    days = [sorted(map(str, known)) for known in (constants.holidays, constants.workdays)]
    return hashlib.sha256(repr(days).encode()).hexdigest()[:16]
