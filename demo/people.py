"""The lives of the demo city: people who do not exist, in families that hold together.

A family is made at once and forgotten once it is written: a city of a million needs hardly more memory than a town.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from random import Random

from demo.names import Names
from demo.numbers import CitizenIds
from demo.places import COUNTIES, ELSEWHERE, Home, some_home

TODAY = date(2026, 11, 1)
MALE, FEMALE = "1", "2"
SINGLE, MARRIED, WIDOWED, DIVORCED = "10", "20", "30", "40"  # GB/T 2261.2
_HAN, _OTHER_NATIONS = "01", ("15", "08", "03", "06", "11")  # GB/T 3304: Tujia, Zhuang, Hui, Miao, Manchu


@dataclass(frozen=True, slots=True)
class Job:
    """Work at organisation number `employer` since `hired`, until `left` if that has come; `salary` in yuan a month."""

    employer: int
    hired: date
    left: date | None
    salary: int


@dataclass(frozen=True, slots=True)
class Person:
    """One resident. `home` is where the person lives, `register` where the household register is kept.

    `marital` is a code of GB/T 2261.2. `died` and `moved` (away, register cancelled) are None for most. `schooling` is
    years of school completed: 9 junior secondary, 12 senior secondary, 15 junior college, 16 bachelor, 19 master.
    """

    id_number: str
    name: str
    sex: str
    nation: str
    home: Home
    register: Home
    telephone: str
    marital: str = SINGLE
    schooling: int = 9
    died: date | None = None
    moved: date | None = None
    job: Job | None = None

    @property
    def born(self) -> date:
        """The date of birth, from the identity number."""
        digits = self.id_number
        return date(int(digits[6:10]), int(digits[10:12]), int(digits[12:14]))

    @property
    def until(self) -> date:
        """The last day of which the city's registers may tell: of death, of moving away, else today."""
        return self.died or self.moved or TODAY

    @property
    def alive(self) -> bool:
        """True unless a death is registered."""
        return self.died is None

    def age(self, on: date = TODAY) -> int:
        """Completed years on a day."""
        born = self.born
        return on.year - born.year - ((on.month, on.day) < (born.month, born.day))


@dataclass(frozen=True, slots=True)
class Couple:
    """A marriage between two residents, given by their places in the family, and its end by divorce."""

    husband: int
    wife: int
    married: date
    divorced: date | None = None


@dataclass(frozen=True, slots=True)
class Child:
    """A child with both parents, given by their places in the family; `adopted` is the day of the adoption."""

    child: int
    mother: int
    father: int
    adopted: date | None = None


@dataclass(frozen=True, slots=True)
class Family:
    """People who belong together; the first one is a living adult."""

    people: tuple[Person, ...]
    couples: tuple[Couple, ...] = ()
    children: tuple[Child, ...] = ()


@dataclass(slots=True)
class Drafts:
    """A family in the making: what it draws from, and who is in it so far."""

    rng: Random
    names: Names
    ids: CitizenIds
    homes: int
    people: list[Person] = field(default_factory=list)
    couples: list[Couple] = field(default_factory=list)
    children: list[Child] = field(default_factory=list)

    def home(self, *, elsewhere: bool = False) -> Home:
        """A dwelling that nobody has yet."""
        self.homes += 1
        return some_home(self.rng, self.homes, ELSEWHERE if elsewhere else COUNTIES, self.names.streets)

    def add(self, sex: str, born: date, home: Home, register: Home, *, surname: str = "", nation: str = "") -> int:
        """Adds somebody; returns the place in the family."""
        rng = self.rng
        person = Person(
            id_number=self.ids.give(register.county.code, born, sex),
            name=self.names.person(rng, sex, surname),
            sex=sex,
            nation=nation or (_HAN if rng.random() < 0.94 else rng.choice(_OTHER_NATIONS)),
            home=home,
            register=register,
            telephone=f"160{rng.randrange(10**8):08d}",  # a segment of no operator, so that it is nobody's
            schooling=_schooling(rng, born),
        )
        self.people.append(person)
        return len(self.people) - 1

    def change(self, place: int, **changes: object) -> None:
        """Replaces fields of somebody in the family."""
        self.people[place] = replace(self.people[place], **changes)  # type: ignore[arg-type]

    def family(self) -> Family:
        """The finished family."""
        return Family(tuple(self.people), tuple(self.couples), tuple(self.children))


def years_after(day: date, years: int) -> date:
    """The same day `years` later, 1 March for 29 February."""
    try:
        return day.replace(year=day.year + years)
    except ValueError:
        return date(day.year + years, 3, 1)


def day_between(rng: Random, first: date, last: date) -> date:
    """Some day from `first` to `last`, both included; ValueError where `last` lies before `first`."""
    return first + timedelta(days=rng.randrange((last - first).days + 1))


def some_birth(rng: Random, youngest: int, eldest: int) -> date:
    """A birthday of somebody `youngest` to `eldest` years old."""
    return TODAY - timedelta(days=int(365.25 * (youngest + rng.random() * (eldest + 1 - youngest))) + 2)


def _schooling(rng: Random, born: date) -> int:
    """Years of school: more for the later born; what a child has not reached yet is not counted."""
    draw = rng.random() + (born.year - 1980) / 100
    aim = next(
        years for limit, years in ((0.2, 6), (0.5, 9), (0.7, 12), (0.85, 15), (1.1, 16), (9, 19)) if draw < limit
    )
    reached = TODAY.year - born.year - 7
    return max(years for years in (0, 6, 9, 12, 15, 16, 19) if years <= min(aim, max(0, reached)))


def _marry(drafts: Drafts, husband: int, wife: int) -> date:
    """Marries two of the family some time after both are of age (22 and 20); returns the day."""
    groom, bride = drafts.people[husband], drafts.people[wife]
    of_age = max(years_after(groom.born, 22), years_after(bride.born, 20))
    married = day_between(drafts.rng, of_age, min(years_after(of_age, 7), TODAY - timedelta(days=20)))
    drafts.couples.append(Couple(husband, wife, married))
    for place in (husband, wife):
        drafts.change(place, marital=MARRIED)
    return married


def _add_children(drafts: Drafts, husband: int, wife: int, married: date, most: int) -> None:
    """Children born after the wedding who still live with their parents; few are adopted instead."""
    rng, father, mother = drafts.rng, drafts.people[husband], drafts.people[wife]
    born = married
    for _ in range(min(most, rng.choice((0, 1, 1, 1, 2, 2, 3)))):
        born = born + timedelta(days=330 + rng.randrange(1500))
        if born >= TODAY - timedelta(days=10) or mother.age(born) > 43:
            return
        if born < years_after(TODAY, -27):
            continue
        sex = MALE if rng.random() < 0.52 else FEMALE
        child = drafts.add(sex, born, mother.home, father.register, surname=father.name[:1], nation=father.nation)
        at_the_earliest = born + timedelta(days=90)
        adopted = day_between(rng, at_the_earliest, TODAY) if at_the_earliest < TODAY and rng.random() < 0.02 else None
        drafts.children.append(Child(child, wife, husband, adopted))


def _add_parents(drafts: Drafts, son: int) -> None:
    """The son's parents, living with him."""
    rng, person = drafts.rng, drafts.people[son]
    born = person.born - timedelta(days=int(365.25 * (26 + rng.random() * 8)))
    father = drafts.add(MALE, born, person.home, person.register, surname=person.name[:1], nation=person.nation)
    mother = drafts.add(FEMALE, born + timedelta(days=rng.randrange(1400)), person.home, person.register)
    first, second = drafts.people[father], drafts.people[mother]
    of_age = max(years_after(first.born, 22), years_after(second.born, 20))
    married = day_between(rng, of_age, person.born - timedelta(days=280))
    drafts.couples.append(Couple(father, mother, married))
    for place in (father, mother):
        drafts.change(place, marital=MARRIED)


def _divorce(drafts: Drafts) -> None:
    """Ends the family's first marriage; he moves to another dwelling."""
    couple = drafts.couples[0]
    youngest = max((drafts.people[child.child].born for child in drafts.children), default=couple.married)
    earliest = max(youngest, couple.married) + timedelta(days=15)
    if earliest >= TODAY:
        return
    drafts.couples[0] = replace(couple, divorced=day_between(drafts.rng, earliest, TODAY))
    home = drafts.home()
    drafts.change(couple.husband, marital=DIVORCED, home=home, register=home)
    drafts.change(couple.wife, marital=DIVORCED)


def _mortality(age: int) -> float:
    """The share of an age group whose death of the last six years is in the registers."""
    return 0.0004 if age < 40 else 0.008 if age < 65 else 0.11


def _bury(drafts: Drafts) -> None:
    """Some die, never before what their records tell of them; the first of the family lives."""
    rng = drafts.rng
    born_last = max((drafts.people[child.child].born for child in drafts.children), default=date(1900, 1, 1))
    turning = max([born_last, *(couple.divorced or couple.married for couple in drafts.couples)], default=born_last)
    for place in range(1, len(drafts.people)):
        person = drafts.people[place]
        earliest = max(years_after(TODAY, -6), person.born, turning) + timedelta(days=40)
        if rng.random() >= _mortality(person.age()) or earliest >= TODAY:
            continue
        drafts.change(place, died=day_between(rng, earliest, TODAY))
    for couple in drafts.couples:
        for gone, left in ((couple.husband, couple.wife), (couple.wife, couple.husband)):
            if drafts.people[gone].died and drafts.people[left].alive and not couple.divorced:
                drafts.change(left, marital=WIDOWED)


def _employ(drafts: Drafts, founded: Sequence[date]) -> None:
    """Most living people of working age get a job at one of the organisations, never before it was founded."""
    rng = drafts.rng
    for place, person in enumerate(drafts.people):
        limit = 60 if person.sex == MALE else 55
        ready = max(18, person.schooling + 8)
        if not person.alive or person.moved or not ready < person.age() < limit or rng.random() > 0.78:
            continue
        employer = rng.randrange(len(founded))
        hired = day_between(rng, max(years_after(person.born, ready), founded[employer]), TODAY - timedelta(days=30))
        gone = day_between(rng, hired + timedelta(days=20), TODAY) if rng.random() < 0.12 else None
        drafts.change(place, job=Job(employer, hired, gone, 2800 + 100 * rng.randrange(20 + 8 * person.schooling)))


def _move_away(drafts: Drafts) -> None:
    """Few alone have left the city; their register is cancelled."""
    person = drafts.people[0]
    if drafts.rng.random() < 0.05:
        drafts.change(0, moved=day_between(drafts.rng, max(years_after(person.born, 19), date(2010, 1, 1)), TODAY))


def some_family(drafts: Drafts, founded: Sequence[date], room: int) -> Family:
    """A family of at most `room` (at least 1) people."""
    rng = drafts.rng
    kind = rng.random()
    home = drafts.home()
    register = drafts.home(elsewhere=True) if rng.random() < 0.08 else home
    if room < 7 or kind < 0.12:
        drafts.add(rng.choice((MALE, FEMALE)), some_birth(rng, 20, 62), home, register)
        if room >= 7:
            _move_away(drafts)
    else:
        eldest, youngest = (93, 68) if kind < 0.2 else (66, 24)
        wife = drafts.add(FEMALE, some_birth(rng, youngest, eldest), home, register)
        near = drafts.people[wife].born - timedelta(days=rng.randrange(2200) - 500)
        husband = drafts.add(MALE, min(near, years_after(TODAY, -23)), home, register)
        married = _marry(drafts, husband, wife)
        _add_children(drafts, husband, wife, married, most=3)
        if rng.random() < 0.08:
            _divorce(drafts)
        elif drafts.people[husband].age() < 58 and rng.random() < 0.2:
            _add_parents(drafts, husband)
    _bury(drafts)
    _employ(drafts, founded)
    return drafts.family()


def family_of_applicant(drafts: Drafts, founded: Sequence[date]) -> Family:
    """The family of the demo's applicant, who comes first: husband, two children, his widowed mother and late father.

    She was born in the 1900s, is married, and works at organisation 0.
    """
    rng, home = drafts.rng, drafts.home()
    wife = drafts.add(FEMALE, day_between(rng, date(1985, 1, 1), date(1988, 12, 31)), home, home, nation=_HAN)
    husband = drafts.add(MALE, day_between(rng, date(1983, 1, 1), date(1987, 12, 31)), home, home, nation=_HAN)
    married = date(2011, 5, 20)
    drafts.couples.append(Couple(husband, wife, married))
    surname = drafts.people[husband].name[:1]
    for sex, first, last in ((FEMALE, date(2012, 6, 1), date(2014, 5, 1)), (MALE, date(2017, 1, 1), date(2019, 5, 1))):
        child = drafts.add(sex, day_between(rng, first, last), home, home, surname=surname, nation=_HAN)
        drafts.children.append(Child(child, wife, husband))
    _add_parents(drafts, husband)
    for place, employer, salary in ((wife, 0, 7600), (husband, 1 % len(founded), 6800)):
        hired = max(date(2013, 3, 1), founded[employer])
        drafts.change(place, marital=MARRIED, schooling=16, job=Job(employer, hired, None, salary))
    father, mother = drafts.couples[1].husband, drafts.couples[1].wife
    drafts.change(father, died=day_between(rng, date(2022, 1, 1), date(2025, 6, 1)))
    drafts.change(mother, marital=WIDOWED)
    return drafts.family()
