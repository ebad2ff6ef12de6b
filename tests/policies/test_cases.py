"""The case store: what it keeps, for whom, for how long, and that nobody else can read it."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from policies.cases import Case, CaseExists, CaseState, CaseStore, CaseStoreUnavailable, CaseSubject
from tests.policies.small import SERVICE

NOW = datetime(2026, 6, 1, 12, 0, 0, 123456, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
KEY = bytes(range(32))
APPLICANT = CaseSubject("Person", "421202199001011234", "APPLICANT", "本人申请")
COMPANY = CaseSubject("Organization", "91421200MA4900001X", "EMPLOYER", "用人单位")
run = asyncio.run


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "cases.db"


def open_store(file: Path, key: bytes = KEY) -> CaseStore:
    store = CaseStore(f"sqlite:///{file}", key)
    store.open()
    return store


@pytest.fixture
def store(file: Path) -> Iterator[CaseStore]:
    opened = open_store(file)
    yield opened
    opened.close()


def accept(store: CaseStore, number: str = "N-1", *subjects: CaseSubject, now: datetime = NOW) -> Case:
    return run(store.accept(SERVICE, number, subjects or (APPLICANT,), "clerk-01", now))


def find(store: CaseStore, number: str = "N-1", department: str = "housing") -> Case | None:
    return run(store.find(department, number))


def change(file: Path, statement: str, *values: object) -> int:
    """Change the store's file behind its back; returns the number of rows changed."""
    connection = sqlite3.connect(file)
    with connection:
        changed = connection.execute(statement, values).rowcount
    connection.close()
    return changed


# -- what it keeps ---------------------------------------------------------------------------------------------


def test_an_accepted_case_is_found_as_it_was(file: Path, store: CaseStore) -> None:
    case = accept(store, "N-1", APPLICANT, COMPANY)
    assert case == Case("N-1", "housing", "S-1", NOW, NOW + timedelta(days=30), None, (APPLICANT, COMPANY))
    assert find(store) == case
    again = open_store(file)
    assert find(again) == case
    again.close()


def test_an_unknown_number_is_no_case(store: CaseStore) -> None:
    assert find(store) is None


def test_another_department_does_not_find_the_number(store: CaseStore) -> None:
    accept(store)
    assert find(store, department="taxation") is None
    assert find(store, department="") is None


def test_a_number_that_was_unknown_is_found_as_soon_as_it_is_accepted(store: CaseStore) -> None:
    assert find(store) is None
    accept(store)
    assert find(store) is not None


def test_the_latest_cases_come_first_and_only_the_departments_own(store: CaseStore) -> None:
    for number in range(5):
        accept(store, f"N-{number}")
    latest = run(store.of_department("housing", 3))
    assert [case.number for case in latest] == ["N-4", "N-3", "N-2"]
    assert latest[0].subjects == (APPLICANT,)
    assert run(store.of_department("taxation", 3)) == ()


# -- duplicates ------------------------------------------------------------------------------------------------


def test_a_number_is_accepted_once(store: CaseStore) -> None:
    first = accept(store)
    with pytest.raises(CaseExists):
        accept(store, "N-1", COMPANY)
    assert find(store) == first


def test_a_closed_number_is_not_accepted_again(store: CaseStore) -> None:
    accept(store)
    run(store.close_case("housing", "N-1", "clerk-01", NOW))
    with pytest.raises(CaseExists):
        accept(store)


def test_of_two_acceptances_at_once_exactly_one_wins(file: Path, store: CaseStore) -> None:
    other = open_store(file)

    async def race() -> list[Case | BaseException]:
        acceptances = [
            one.accept(SERVICE, "N-1", (APPLICANT,), f"clerk-{number}", NOW)
            for number in range(8)
            for one in (store, other)
        ]
        return await asyncio.gather(*acceptances, return_exceptions=True)

    results = run(race())
    other.close()
    assert sum(isinstance(one, Case) for one in results) == 1
    assert all(isinstance(one, Case | CaseExists) for one in results)
    assert change(file, "UPDATE case_subjects SET id = id") == 1


# -- expiry and closing ------------------------------------------------------------------------------------------


def test_a_case_expires_at_its_moment_and_not_before(store: CaseStore) -> None:
    accept(store)
    case = find(store)
    assert case
    assert case.state(NOW) is CaseState.OPEN
    assert case.state(NOW + timedelta(days=30) - MICROSECOND) is CaseState.OPEN
    assert case.state(NOW + timedelta(days=30)) is CaseState.EXPIRED


def test_closing_is_in_force_at_once_where_it_was_closed(store: CaseStore) -> None:
    accept(store)
    assert find(store)
    closed = run(store.close_case("housing", "N-1", "clerk-01", NOW + MICROSECOND))
    assert closed == find(store)
    assert closed
    assert closed.closed_at == NOW + MICROSECOND
    assert closed.state(NOW) is CaseState.CLOSED
    assert closed.state(NOW + timedelta(days=99)) is CaseState.CLOSED


def test_a_closed_case_stays_as_it_was_closed(store: CaseStore) -> None:
    accept(store)
    first = run(store.close_case("housing", "N-1", "clerk-01", NOW))
    assert run(store.close_case("housing", "N-1", "clerk-02", NOW + timedelta(days=1))) == first


def test_another_department_cannot_close_a_case(store: CaseStore) -> None:
    accept(store)
    assert run(store.close_case("taxation", "N-1", "clerk-02", NOW)) is None
    case = find(store)
    assert case
    assert case.closed_at is None


def test_closing_in_another_process_is_in_force_within_half_a_second(file: Path, store: CaseStore) -> None:
    accept(store)
    other = open_store(file)
    assert find(other)
    run(store.close_case("housing", "N-1", "clerk-01", NOW))
    closed = time.monotonic()
    while (case := find(other)) and case.state(NOW) is CaseState.OPEN:
        assert time.monotonic() - closed < 0.5
        time.sleep(0.02)
    other.close()


# -- at rest ---------------------------------------------------------------------------------------------------


def test_no_file_of_the_store_holds_an_identifier(file: Path, store: CaseStore) -> None:
    accept(store, "N-CONTROL", APPLICANT, COMPANY)
    run(store.close_case("housing", "N-CONTROL", "clerk-01", NOW))
    raw = b"".join(one.read_bytes() for one in file.parent.iterdir())
    assert b"N-CONTROL" in raw
    assert "本人申请".encode() in raw
    for subject in (APPLICANT, COMPANY):
        assert subject.identifier.encode() not in raw
        assert subject.identifier.encode("utf-16-le") not in raw


def test_the_same_identifier_is_sealed_differently_each_time(file: Path, store: CaseStore) -> None:
    accept(store, "N-1")
    accept(store, "N-2")
    connection = sqlite3.connect(file)
    sealed = [row[0] for row in connection.execute("SELECT sealed FROM case_subjects")]
    connection.close()
    assert len(set(sealed)) == 2


@pytest.mark.parametrize(
    "tampered",
    ["substr(sealed, 1, length(sealed) - 1) || x'00'", "substr(sealed, 1, 20)", "x''", "substr(sealed, 2) || x'00'"],
    ids=["changed", "cut", "emptied", "shifted"],
)
def test_a_tampered_identifier_is_refused(file: Path, store: CaseStore, tampered: str) -> None:
    accept(store)
    statement = f"UPDATE case_subjects SET sealed = CAST({tampered} AS BLOB)"
    assert change(file, statement) == 1
    with pytest.raises(CaseStoreUnavailable):
        find(store)
    with pytest.raises(CaseStoreUnavailable):
        run(store.of_department("housing", 10))


def test_an_identifier_moved_to_another_case_is_refused(file: Path, store: CaseStore) -> None:
    accept(store, "N-1", APPLICANT)
    accept(store, "N-2", CaseSubject("Person", "421202199202022345", "APPLICANT", "本人申请"))
    moved = "UPDATE case_subjects SET sealed = (SELECT sealed FROM case_subjects WHERE id = 2) WHERE id = 1"
    assert change(file, moved) == 1
    with pytest.raises(CaseStoreUnavailable):
        find(store, "N-1")
    assert find(store, "N-2")


def test_a_subject_moved_to_another_case_is_refused(file: Path, store: CaseStore) -> None:
    accept(store, "N-1", APPLICANT)
    accept(store, "N-2", CaseSubject("Person", "421202199202022345", "APPLICANT", "本人申请"))
    assert change(file, "UPDATE case_subjects SET case_id = 1 WHERE id = 2") == 1
    with pytest.raises(CaseStoreUnavailable):
        find(store, "N-1")


def test_a_case_given_another_number_is_refused(file: Path, store: CaseStore) -> None:
    accept(store)
    assert change(file, "UPDATE cases SET number = 'N-9'") == 1
    with pytest.raises(CaseStoreUnavailable):
        find(store, "N-9")


def test_an_identifier_of_one_entity_does_not_pass_for_another(file: Path, store: CaseStore) -> None:
    accept(store)
    assert change(file, "UPDATE case_subjects SET entity = 'Organization'") == 1
    with pytest.raises(CaseStoreUnavailable):
        find(store)


def test_another_key_opens_nothing(file: Path, store: CaseStore) -> None:
    accept(store)
    stranger = open_store(file, bytes(32))
    with pytest.raises(CaseStoreUnavailable):
        find(stranger)
    stranger.close()


@pytest.mark.parametrize("length", [0, 16, 31, 33])
def test_a_key_of_another_length_is_refused(file: Path, length: int) -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        CaseStore(f"sqlite:///{file}", bytes(length))


# -- trouble ---------------------------------------------------------------------------------------------------


def test_a_file_that_is_no_database_is_told_at_opening(file: Path) -> None:
    file.write_bytes(b"not a database, not at all" * 100)
    with pytest.raises(CaseStoreUnavailable):
        open_store(file)


def test_a_lost_table_makes_the_store_unavailable_and_its_return_heals_it(file: Path, store: CaseStore) -> None:
    accept(store)
    change(file, "ALTER TABLE cases RENAME TO hidden")
    for work in (
        store.find("housing", "N-1"),
        store.of_department("housing", 1),
        store.accept(SERVICE, "N-2", (APPLICANT,), "clerk-01", NOW),
        store.close_case("housing", "N-1", "clerk-01", NOW),
    ):
        with pytest.raises(CaseStoreUnavailable):
            run(work)
    change(file, "ALTER TABLE hidden RENAME TO cases")
    assert find(store)
