"""What the records of all registers have in common: moments, serial numbers, authorities, who a record is about."""

from __future__ import annotations

from datetime import date, datetime
from random import Random
from typing import Any

from demo.people import TODAY, Person, day_between
from demo.places import County
from schema.formats import CHINA

RESIDENT_ID_CARD = "111"  # GA/T 517


def at_work(rng: Random, day: date) -> datetime:
    """A moment of `day` in office hours."""
    minute, second = divmod(rng.randrange(9 * 3600), 60)
    return datetime(day.year, day.month, day.day, 8 + minute // 60, minute % 60, second, tzinfo=CHINA)


def moment_after(rng: Random, day: date) -> datetime:
    """A moment on or after `day`: the last change of a record begun that day."""
    return at_work(rng, day_between(rng, day, TODAY) if rng.random() < 0.3 else day)


def serial(rng: Random, digits: int) -> str:
    """A number of so many digits."""
    return f"{rng.randrange(10**digits):0{digits}d}"


def authority(county: County, office: str) -> dict[str, Any]:
    """The items that name the registering authority and its division."""
    return {"authority": county.office(office), "authorityRegion": county.code}


def about(person: Person) -> dict[str, Any]:
    """The items by which records of a person are matched (annex art. 11)."""
    return {"idNumber": person.id_number, "idDocumentType": RESIDENT_ID_CARD, "name": person.name}
