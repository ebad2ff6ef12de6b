"""Builds the demo city: one database for each department, the same bytes for the same seed and number of residents."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random

from demo.civil import civil_records
from demo.economy import organisation_records
from demo.land import Units, component_records
from demo.names import draw_names
from demo.numbers import CitizenIds
from demo.organisations import Organisation, how_many, some_organisation
from demo.people import Drafts, Family, Person, family_of_applicant, some_family
from demo.schooling import school_records
from demo.tables import Databases, Record
from demo.welfare import welfare_records
from demo.work import work_records
from schema.catalogue import Catalogue

Progress = Callable[[str, int, int], None]
_LEAST = 100
_STEP = 500  # residents between two reports of progress


@dataclass(frozen=True, slots=True)
class Example:
    """Somebody or something of the city to try: its identifier and its name."""

    identifier: str
    name: str


@dataclass(frozen=True, slots=True)
class Examples:
    """Who and what to look at first.

    `applicant`, born in the 1900s, is married to `spouse`, mother of `child`, legal representative of `organisation`
    and owner of `real_estate_unit`; `deceased` is her late father-in-law.
    """

    applicant: Example
    spouse: Example
    child: Example
    organisation: Example
    real_estate_unit: Example
    city_component: Example
    deceased: Example


@dataclass(frozen=True, slots=True)
class CityReport:
    """What was built: rows by resource, and examples."""

    residents: int
    seed: int
    counts: Mapping[str, int]
    examples: Examples


@dataclass(slots=True)
class City:
    """A city while it passes by: what its families have in common, and how far they have come."""

    residents: int
    seed: int
    rng: Random
    drafts: Callable[[], Drafts]
    organisations: list[Organisation]
    units: Units
    born: int = 0
    represented: int = 0

    def families(self) -> Iterator[Family]:
        """All families, the applicant's first; together exactly `residents` people."""
        founded = [organisation.founded for organisation in self.organisations]
        homes = 0
        while self.born < self.residents:
            drafts = self.drafts()
            drafts.homes = homes
            room = self.residents - self.born
            family = some_family(drafts, founded, room) if self.born else family_of_applicant(drafts, founded)
            homes = drafts.homes
            self.born += len(family.people)
            yield family

    def representatives(self, family: Family) -> Iterator[tuple[Organisation, Person]]:
        """The organisations that the first of this family represents: as many as the city's share asks for by now.

        The first ones belong to the applicant; an organisation is represented by a living adult who is in the city.
        """
        representative = family.people[0]
        due = len(self.organisations) * self.born // self.residents
        if (representative.moved or not 24 <= representative.age() <= 75) and self.born < self.residents:
            return
        while self.represented < max(1, due):
            yield self.organisations[self.represented], representative
            self.represented += 1


def found_city(residents: int, seed: int) -> City:
    """An empty city of this size and seed."""
    rng, names, ids = Random(seed), draw_names(seed), CitizenIds(seed)
    organisations = [some_organisation(rng, index, seed, names) for index in range(how_many(residents))]
    return City(residents, seed, rng, lambda: Drafts(rng, names, ids, 0), organisations, Units())


def records_of(city: City, family: Family) -> Iterator[Record]:
    """All that the departments have on record of a family and of what it owns and represents."""
    rng, is_first = city.rng, city.born == len(family.people)
    owns_home = is_first or rng.random() < 0.8
    yield from civil_records(rng, family)
    yield from work_records(rng, family, city.organisations, complete=is_first)
    yield from school_records(rng, family)
    yield from welfare_records(rng, family, owns_home=owns_home, complete=is_first)
    if owns_home:
        yield from city.units.records(rng, family)
    for organisation, representative in city.representatives(family):
        yield from organisation_records(rng, organisation, representative)


def _examples(city: City, family: Family) -> Examples:
    def person(place: int) -> Example:
        return Example(family.people[place].id_number, family.people[place].name)

    marriage, parents = family.couples[:2]
    organisation = city.organisations[0]
    component = next(component_records(Random(0), 1)).values
    return Examples(
        applicant=person(marriage.wife),
        spouse=person(marriage.husband),
        child=person(family.children[0].child),
        organisation=Example(organisation.code, organisation.name),
        real_estate_unit=Example(city.units.first, family.people[0].home.address),
        city_component=Example(component["code"], component["name"]),
        deceased=person(parents.husband),
    )


def _write(catalogue: Catalogue, folder: Path, city: City, progress: Progress) -> CityReport:
    families = city.families()
    first = next(families)
    databases = Databases(catalogue, folder, seed=city.seed, legacy=frozenset({first.people[0].id_number}))
    for record in records_of(city, first):
        databases.add(record)
    examples, told = _examples(city, first), 0
    for family in families:
        for record in records_of(city, family):
            databases.add(record)
        if city.born >= told + _STEP:
            told = city.born
            progress("residents", told, city.residents)
    progress("residents", city.residents, city.residents)
    for record in component_records(city.rng, city.residents // 20 + 1):
        databases.add(record)
    for done, table in enumerate(databases.tables.values(), start=1):
        databases.index(table)
        progress("indexes", done, len(databases.tables))
    databases.close()
    counts = {name: table.count for name, table in databases.tables.items()}
    return CityReport(city.residents, city.seed, counts, examples)


def _is_city(folder: Path) -> bool:
    return all(
        path.suffix == ".db" or path.name.endswith((".db-journal", ".db-wal", ".db-shm")) for path in folder.iterdir()
    )


@contextmanager
def _replacing(folder: Path) -> Iterator[Path]:
    """A new folder that takes the place of `folder` when all went well.

    FileExistsError if `folder` holds something else than databases. A kill leaves the old folder or none, and leftovers
    (`.<name>.building`, `.<name>.old`) that the next build clears.
    """
    if folder.exists() and not (folder.is_dir() and _is_city(folder)):
        raise FileExistsError(f"{folder} holds other files than a demo city; choose another folder")
    building, old = folder.with_name(f".{folder.name}.building"), folder.with_name(f".{folder.name}.old")
    for leftover in (building, old):
        shutil.rmtree(leftover, ignore_errors=True)
    building.mkdir(parents=True)
    try:
        yield building
        if folder.exists():
            os.replace(folder, old)
        os.replace(building, folder)
    finally:
        for leftover in (building, old):
            shutil.rmtree(leftover, ignore_errors=True)


def build_city(
    catalogue: Catalogue, folder: Path, *, residents: int = 10_000, seed: int = 1, progress: Progress | None = None
) -> CityReport:
    """Writes `folder/<department>.db` for every department with a connection, all of them or none.

    `progress` hears (stage, done, total). ValueError for less than 100 residents, FileExistsError where `folder` holds
    other files. One build at a time in one folder.
    """
    if residents < _LEAST:
        raise ValueError(f"a city has at least {_LEAST} residents, not {residents}")
    with _replacing(folder.absolute()) as building:
        return _write(catalogue, building, found_city(residents, seed), progress or (lambda *_: None))
