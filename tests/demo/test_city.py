"""Building a city: reproducible, whole or not at all, in bounded memory, with somebody to show."""

from __future__ import annotations

import gc
import hashlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from demo import build_city
from demo.city import found_city, records_of
from demo.people import TODAY, Person
from schema.catalogue import Catalogue
from tests.demo.conftest import CATALOGUE, BuiltCity, decoded, read_table

_BUILD = """
import os, signal, sys
from pathlib import Path
from demo import build_city
from schema.load import load_catalogue

def progress(stage, done, total):
    if stage == sys.argv[4]:
        os.kill(os.getpid(), signal.SIGKILL)

build_city(load_catalogue(Path(sys.argv[1])), Path(sys.argv[2]), residents=150, seed=int(sys.argv[3]),
           progress=progress)
"""


def digests(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}


def build_elsewhere(folder: Path, seed: int, kill_at: str = "", hash_seed: str = "0") -> int:
    """Builds in a process of its own, which kills itself at a stage; returns its exit status."""
    command = [sys.executable, "-c", _BUILD, str(CATALOGUE), str(folder), str(seed), kill_at]
    environment = os.environ | {"PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(CATALOGUE.parent)}
    return subprocess.run(command, env=environment, check=False).returncode


def test_the_same_seed_gives_the_same_bytes_in_every_process(catalogue: Catalogue, tmp_path: Path) -> None:
    build_city(catalogue, tmp_path / "here", residents=150, seed=7)
    assert build_elsewhere(tmp_path / "there", 7, hash_seed="1234") == 0
    assert digests(tmp_path / "here") == digests(tmp_path / "there")


def test_another_seed_gives_other_bytes_in_every_file(catalogue: Catalogue, tmp_path: Path) -> None:
    build_city(catalogue, tmp_path / "one", residents=150, seed=1)
    build_city(catalogue, tmp_path / "two", residents=150, seed=2)
    one, two = digests(tmp_path / "one"), digests(tmp_path / "two")
    assert one.keys() == two.keys()
    assert [name for name in one if one[name] == two[name]] == []


@pytest.mark.parametrize("stage", ["residents", "indexes"])
def test_a_killed_build_leaves_the_old_city_and_the_next_build_succeeds(
    stage: str, catalogue: Catalogue, tmp_path: Path
) -> None:
    folder = tmp_path / "city"
    build_city(catalogue, folder, residents=100, seed=1)
    before = digests(folder)
    assert build_elsewhere(folder, 2, kill_at=stage) == -signal.SIGKILL
    assert digests(folder) == before
    build_city(catalogue, folder, residents=100, seed=2)
    assert digests(folder) != before
    assert [path.name for path in tmp_path.iterdir()] == ["city"]


def test_a_first_build_that_fails_leaves_nothing(catalogue: Catalogue, tmp_path: Path) -> None:
    def progress(stage: str, done: int, total: int) -> None:
        raise RuntimeError(stage)

    with pytest.raises(RuntimeError, match="residents"):
        build_city(catalogue, tmp_path / "city", residents=100, progress=progress)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_with_other_files_is_refused_untouched(catalogue: Catalogue, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(FileExistsError):
        build_city(catalogue, tmp_path, residents=100)
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_a_city_of_less_than_a_hundred_is_refused(catalogue: Catalogue, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="at least 100"):
        build_city(catalogue, tmp_path / "city", residents=99)


def test_progress_ends_with_all_residents_and_all_indexes(catalogue: Catalogue, tmp_path: Path) -> None:
    told: list[tuple[str, int, int]] = []
    build_city(catalogue, tmp_path / "city", residents=1200, progress=lambda *step: told.append(step))
    residents = [done for stage, done, total in told if stage == "residents" and total == 1200]
    assert len(residents) >= 3
    assert residents == sorted(residents)
    assert residents[-1] == 1200
    assert told[-1][0] == "indexes"
    assert told[-1][1] == told[-1][2]


def test_families_are_forgotten_once_they_are_written() -> None:
    city = found_city(1500, seed=3)
    most = 0
    for number, family in enumerate(city.families()):
        records = sum(1 for _ in records_of(city, family))
        assert records >= len(family.people)
        if number % 100 == 99:
            most = max(most, sum(type(thing) is Person for thing in gc.get_objects()))
    assert city.born == 1500
    assert 0 < most <= 20


def test_no_life_contradicts_itself_for_any_seed() -> None:
    for seed in range(100, 106):
        city = found_city(800, seed)
        days = [record.updated.date() for family in city.families() for record in records_of(city, family)]
        assert max(days) <= TODAY


@pytest.mark.parametrize(("seed", "residents"), [(0, 100), (42, 101), (2**40, 137), (9, 333)])
def test_the_applicant_exists_for_any_seed_and_size(
    seed: int, residents: int, catalogue: Catalogue, tmp_path: Path
) -> None:
    examples = build_city(catalogue, tmp_path / "city", residents=residents, seed=seed).examples
    rows = {
        name: decoded(r, read_table(tmp_path / "city", r)) for name, r in catalogue.resources.items() if r.connected
    }
    number = examples.applicant.identifier
    assert number[6:8] == "19"
    assert len(rows["HouseholdRegistration"]) == residents
    known = [
        *("HouseholdRegistration", "MarriageRegistration", "HousingFund", "DisabilityCertificate", "StudentRecord"),
        *("ProfessionalTitle", "ProfessionalCertificate", "ElectronicCertificate"),
    ]
    assert [name for name in known if number not in {row["idNumber"] for row in rows[name]}] == []
    assert sum(row["idNumber"] == number for row in rows["SocialInsurance"]) == 5
    heads = {
        row["unifiedSocialCreditCode"]: row["legalRepresentativeIdNumber"] for row in rows["EnterpriseRegistration"]
    }
    assert heads[examples.organisation.identifier] == number
    owners = {row["unitNumber"]: row["ownerIdNumber"] for row in rows["RealEstateRegistration"]}
    assert owners[examples.real_estate_unit.identifier] == number


def test_the_examples_belong_together(city: BuiltCity) -> None:
    examples = city.report.examples
    people = {row["idNumber"]: row for row in city.rows("HouseholdRegistration")}
    for example in (examples.applicant, examples.spouse, examples.child, examples.deceased):
        assert people[example.identifier]["name"] == example.name
    birth = {row["idNumber"]: row for row in city.rows("BirthRegistration")}[examples.child.identifier]
    assert birth["motherIdNumber"] == examples.applicant.identifier
    assert birth["fatherIdNumber"] == examples.spouse.identifier
    weddings = {row["idNumber"]: row["marriedOn"] for row in city.rows("MarriageRegistration")}
    assert weddings[examples.applicant.identifier] == weddings[examples.spouse.identifier]
    assert people[examples.applicant.identifier]["status"] == "1"
    assert people[examples.deceased.identifier]["cancellationReason"] == "2"
    components = {row["code"]: row["name"] for row in city.rows("CityComponentRecord")}
    assert components[examples.city_component.identifier] == examples.city_component.name
