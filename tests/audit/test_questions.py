"""Auditors' questions: each condition finds what it names and nothing else, in every kind of database, page by page."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from audit.entries import FORM, metadata, position_table
from audit.frame import OUTCOMES, Frame
from audit.hours import is_outside_hours, known_through, month_of, unknown_holidays
from audit.index import Answer, Index
from audit.ledger import Ledger
from audit.questions import Place, Question
from audit.statistics import Patterns, Use, patterns_of, uses_of
from schema.formats import CHINA
from tests.audit.frames import HASH, append, frame, index_of, lines_of, node, open_ledger
from tests.audit.store_places import KINDS, store_url

ANNA, BEI, CHEN = (HASH.of("Person", number) for number in ("421202199001011234", "421202199202022345", "x"))


def at(text: str) -> int:
    """Microseconds of a time in China."""
    return int(datetime.fromisoformat(text).replace(tzinfo=CHINA).timestamp() * 1_000_000)


@dataclass
class Archive:
    """A ledger with its index."""

    ledger: Ledger
    index: Index

    def keep(self, *frames: Frame) -> None:
        asyncio.run(append(self.ledger, *frames))
        while self.index.advance():
            pass

    def ask(self, question: Question, limit: int = 100) -> Answer:
        return asyncio.run(self.index.ask(question, limit))

    def found(self, question: Question) -> list[str]:
        return [one.operation for one in self.ask(question).records]

    def patterns(self, month: int = 202611, department: str = "", limit: int = 50) -> Patterns:
        read = self.index.read(lambda connection, ledger: patterns_of(connection, ledger, month, department, limit))
        return asyncio.run(read)[0]

    def uses(self, month: int = 202611) -> list[Use]:
        return asyncio.run(self.index.read(lambda connection, _: uses_of(connection, month)))[0]


@pytest.fixture(params=KINDS)
def archive(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Archive]:
    (tmp_path / "index").mkdir()
    with store_url(request.param, tmp_path / "index") as url:
        ledger = open_ledger(tmp_path)
        index = Index(url, ledger)
        index.prepare()
        yield Archive(ledger, index)
        asyncio.run(index.close())
        asyncio.run(ledger.close())


GRANTED = ("GRANT/G12/Register.name/WORK_REFERENCE", "SHARE/Register.address")


@pytest.mark.parametrize(
    ("question", "found"),
    [
        (Question(purpose="WORK_REFERENCE"), ["o-2"]),
        (Question(scenario="MONTHLY"), ["o-3"]),
        (Question(client="window"), ["o-1"]),
        (Question(rule="SHARE/Register.address"), ["o-4", "o-3", "o-2", "o-1"]),
        (Question(rule=GRANTED[0]), ["o-2"]),
        (Question(grant="G12"), ["o-2"]),
        (Question(grant="G1"), []),
        (Question(resource="Register", item="name"), ["o-4", "o-3", "o-2", "o-1"]),
        (Question(resource="Tax"), []),
        (Question(outcome="MASKED"), ["o-3"]),
        (Question(item="name", outcome="MASKED"), []),
        (Question(item="address", outcome="MASKED"), ["o-3"]),
        (Question(grant="G12", item="address"), []),
        (Question(used_only=True), ["o-4"]),
        (Question(used_only=True, item="address"), []),
        (Question(outside_hours=True), ["o-4"]),
        (Question(since=at("2026-11-18T10:00:00")), ["o-4", "o-3", "o-2"]),
        (Question(until=at("2026-11-18T10:00:00")), ["o-1"]),
        (Question(since=at("2026-11-18T10:00:00"), until=at("2026-11-20T10:00:00")), ["o-2"]),
        (Question(entity=ANNA, outcome="MASKED"), ["o-3"]),
        (Question(subject="clerk-02", client="window"), []),
        (Question(subject="clerk-02", scenario="MONTHLY"), ["o-3"]),
    ],
)
def test_each_condition_finds_its_records_only(archive: Archive, question: Question, found: list[str]) -> None:
    archive.keep(
        frame("o-1", node(ANNA), at=at("2026-11-17T09:00:00"), client="window"),
        frame("o-2", node(BEI, purpose="WORK_REFERENCE", rules=GRANTED), at=at("2026-11-18T10:00:00")),
        frame("o-3", node(ANNA, "RM", case="", scenario="MONTHLY"), at=at("2026-11-20T10:00:00"), subject="clerk-02"),
        frame("o-4", node(BEI, "UR"), at=at("2026-11-20T18:00:00")),
    )
    assert archive.found(question) == found


def test_an_item_that_was_used_and_told_is_not_one_that_was_used_only(archive: Archive) -> None:
    archive.keep(frame("o-1", node(ANNA, "UA"), node(ANNA, "RA", path="p2")), frame("o-2", node(ANNA, "UA")))
    assert archive.found(Question(used_only=True)) == ["o-2"]
    (record,) = archive.ask(Question(used_only=True)).records
    assert [(line.item, line.outcome) for line in record.lines] == [("name", "USED")]


def test_a_record_shows_the_lines_that_were_asked_for(archive: Archive) -> None:
    archive.keep(frame("o-1", node(ANNA, "RD")))
    (record,) = archive.ask(Question(outcome="DENIED")).records
    assert [(line.item, line.outcome) for line in record.lines] == [("address", "DENIED")]


def test_one_person_under_two_purposes_in_one_operation_is_two_records(archive: Archive) -> None:
    archive.keep(frame("o-1", node(ANNA), node(ANNA, "MM", purpose="WORK_REFERENCE")))
    (record,) = archive.ask(Question(purpose="WORK_REFERENCE")).records
    assert [line.outcome for line in record.lines] == ["MASKED", "MASKED"]
    assert len(archive.ask(Question(entity=ANNA)).records) == 2


def _random_frames(chance: random.Random, number: int) -> list[Frame]:
    return [
        frame(
            f"o-{at}",
            node(
                chance.choice((ANNA, BEI, CHEN)),
                "".join(chance.choice("RAMDU") for _ in range(2)),
                purpose=chance.choice(("P1", "P2")),
                case=chance.choice(("N-1", "N-2", "")),
            ),
            at=1_780_000_000_000_000 + chance.randrange(8),  # many at the same moment, and not in order
            subject=chance.choice(("clerk-01", "clerk-02")),
            department=chance.choice(("housing", "taxation")),
        )
        for at in range(number)
    ]


def _fits(one: Frame, question: Question) -> bool:
    """The same question, answered in the plainest way."""
    (part,) = one.nodes
    ((letters, (entity,)),) = part.groups.items()
    pairs = (
        (question.entity, entity), (question.subject, one.subject), (question.department, one.department),
        (question.purpose, part.purpose), (question.case, part.case),
    )  # fmt: skip
    outcomes = [OUTCOMES[letter] for letter in letters]
    times = (question.since or 0) <= one.at < (question.until or 1 << 62)
    return times and all(asked in ("", has) for asked, has in pairs) and question.outcome in ("", *outcomes)


@pytest.mark.parametrize("seed", range(4))
def test_random_questions_page_by_page_agree_with_looking_at_every_frame(archive: Archive, seed: int) -> None:
    chance = random.Random(seed)
    frames = _random_frames(chance, 120)
    archive.keep(*frames)
    order = sorted(range(len(frames)), key=lambda number: (frames[number].at, number), reverse=True)
    for _ in range(25):
        question = Question(
            entity=chance.choice(("", "", ANNA)), subject=chance.choice(("", "", "clerk-02")),
            department=chance.choice(("", "taxation")), purpose=chance.choice(("", "P1")),
            case=chance.choice(("", "", "N-2")), outcome=chance.choice(("", "DENIED", "USED")),
            since=chance.choice((None, 1_780_000_000_000_002)), until=chance.choice((None, 1_780_000_000_000_006)),
        )  # fmt: skip
        expected = [frames[number].operation for number in order if _fits(frames[number], question)]
        limit, seen = chance.choice((1, 3, 7, 200)), []
        before: Place | None = None
        while True:
            answer = archive.ask(replace(question, before=before), limit)
            seen += [one.operation for one in answer.records]
            before = answer.end
            if before is None:
                break
        assert seen == expected, question


def test_an_index_of_another_form_is_built_anew(archive: Archive) -> None:
    archive.keep(frame("o-1", node(ANNA)))
    with archive.index._engine.begin() as connection:
        connection.execute(sa.update(position_table).values(form=FORM - 1))
    archive.index.prepare()
    assert asyncio.run(archive.index.progress()).indexed == 0
    while archive.index.advance():
        pass
    assert archive.found(Question(entity=ANNA)) == ["o-1"]


def test_an_index_of_the_first_form_gives_way(tmp_path: Path) -> None:
    ledger = open_ledger(tmp_path)
    asyncio.run(append(ledger, frame("o-1", node(ANNA))))
    engine = sa.create_engine(f"sqlite:///{tmp_path / 'index.db'}")
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE entries (id INTEGER PRIMARY KEY, seq INTEGER, subject TEXT)")
        connection.exec_driver_sql("CREATE TABLE position (id INTEGER PRIMARY KEY, seq INTEGER)")
    engine.dispose()
    index = index_of(tmp_path, ledger)
    index.prepare()
    index.advance()
    assert [line.operation for line in lines_of(asyncio.run(index.ask(Question(entity=ANNA), 9)))] == ["o-1"] * 2
    asyncio.run(index.close())
    asyncio.run(ledger.close())


def test_the_index_keeps_neither_a_keyed_hash_nor_a_case_number(archive: Archive) -> None:
    """What it keeps of them are digests: whoever has the index alone cannot look for a person's hash in clear."""
    archive.keep(frame("o-1", node(ANNA, case="CASE-1234")))
    with archive.index._engine.connect() as connection:
        kept = str([connection.execute(sa.select(table)).all() for table in metadata.sorted_tables])
    assert "clerk" in kept
    assert ANNA not in kept
    assert "CASE-1234" not in kept


# -- working hours ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("time", "outside"),
    [
        ("2026-11-20T07:59:59", True),
        ("2026-11-20T08:00:00", False),
        ("2026-11-20T17:59:59", False),
        ("2026-11-20T18:00:00", True),
        ("2026-11-21T10:00:00", True),
        ("2026-11-22T10:00:00", True),
        ("2026-11-23T10:00:00", False),
        ("2026-10-01T10:00:00", True),  # a Thursday, the National Day
        ("2026-10-10T10:00:00", False),  # a Saturday that is worked instead
        ("2026-10-10T19:00:00", True),
        ("2003-10-01T10:00:00", False),  # of a year that is not known the weekday counts
        ("2003-10-04T10:00:00", True),
    ],
)
def test_working_hours_are_those_of_china(time: str, outside: bool) -> None:
    assert is_outside_hours(at(time)) is outside


def test_a_year_that_is_not_known_is_told_and_a_known_one_is_not() -> None:
    assert unknown_holidays(datetime(known_through(), 12, 31, 15, tzinfo=UTC)) == ""
    later = unknown_holidays(datetime(known_through(), 12, 31, 17, tzinfo=UTC))  # the year has begun in China
    assert str(known_through() + 1) in later


def test_a_month_begins_at_midnight_in_china() -> None:
    assert [
        month_of((at(time) // 1_000_000 + 8 * 3600) // 86_400) for time in ("2026-10-31T23:59", "2026-11-01T00:00")
    ] == [
        202610,
        202611,
    ]


# -- patterns and statistics -----------------------------------------------------------------------------------


def look(operation: str, entity: str, when: str, outcomes: str = "RA", **changes: Any) -> Frame:
    """A look-up of one person."""
    of_node: dict[str, Any] = {}
    for name in ("case", "subject_class"):
        if name in changes:
            of_node[name] = changes.pop(name)
    if "subject_class" in of_node:
        of_node["subject"] = of_node.pop("subject_class")
    return frame(operation, node(entity, outcomes, **of_node), at=at(f"2026-11-{when}"), **changes)


def act(operation: str, entity: str, when: str, path: str = "closeCase", outcome: str = "answered") -> Frame:
    """A case of this person was opened or closed."""
    of_case: dict[str, Any] = {"path": path, "resource": "Case", "subject": "", "purpose": "", "items": (), "rules": ()}
    return frame(
        operation,
        node(groups={}, others=[entity], **of_case),
        at=at(f"2026-11-{when}"),
        outcome=outcome,
        fields=(path,),
    )


def test_more_applicants_than_cases_counts_distinct_people_under_distinct_cases(archive: Archive) -> None:
    archive.keep(
        look("o-1", ANNA, "17T09:00:00"),
        look("o-2", BEI, "17T10:00:00"),
        look("o-3", BEI, "17T11:00:00"),
        look("o-4", ANNA, "17T09:00:00", subject="clerk-02", case="N-2"),
        look("o-5", BEI, "17T10:00:00", subject="clerk-02", case="N-2", subject_class="RELATED"),
        look("o-6", CHEN, "17T10:00:00", "DD", subject="clerk-02", case="N-2"),
    )
    (one,) = archive.patterns().more_applicants
    assert (one.subject, one.applicants, one.cases, one.records) == ("clerk-01", 2, 1, 3)
    assert archive.patterns(202610).more_applicants == ()


def test_who_was_looked_up_again_without_a_follow_up_is_told(archive: Archive) -> None:
    archive.keep(
        act("c-1", ANNA, "16T08:30:00", "acceptCase"),
        act("c-2", BEI, "16T08:30:00", "acceptCase"),
        *(look(f"a-{day}", ANNA, f"{day}T09:00:00") for day in (16, 17, 18)),
        *(look(f"b-{day}", BEI, f"{day}T09:00:00") for day in (16, 17)),
        *(look(f"c-{hour}", CHEN, f"17T{hour}:00:00") for hour in (10, 11)),
        act("c-3", BEI, "18T10:00:00"),
    )
    (one,) = archive.patterns().looked_up_again
    assert (one.subject, one.entity, one.case, one.days, one.first_at) == (
        "clerk-01", ANNA, "N-1", 3, at("2026-11-16T09:00:00"),
    )  # fmt: skip


def test_days_are_counted_alike_in_one_batch_and_in_many(archive: Archive) -> None:
    for number, day in enumerate((16, 16, 17, 18, 18)):
        archive.keep(look(f"a-{number}", ANNA, f"{day}T09:00:00"), look(f"b-{number}", ANNA, f"{day}T10:00:00"))
    (one,) = archive.patterns().looked_up_again
    assert one.days == 3


def test_a_case_that_was_only_attempted_to_be_closed_is_no_follow_up(archive: Archive) -> None:
    archive.keep(*(look(f"a-{day}", ANNA, f"{day}T09:00:00") for day in (16, 17)))
    archive.keep(act("c-1", ANNA, "18T10:00:00", outcome="attempted"))
    assert len(archive.patterns().looked_up_again) == 1


def test_users_are_compared_with_the_median_of_their_peers(archive: Archive) -> None:
    people = [HASH.of("Person", str(number)) for number in range(9)]
    for user, count in (("clerk-01", 8), ("clerk-02", 2), ("clerk-03", 1), ("clerk-04", 3)):
        archive.keep(*(look(f"{user}-{n}", people[n], "17T09:00:00", subject=user) for n in range(count)))
    archive.keep(look("x", ANNA, "17T09:00:00", subject="alone", department="taxation"))
    first, *_, last = archive.patterns().top_users
    assert (first.activity.subject, first.activity.subjects, first.peers, first.median, first.ratio) == (
        "clerk-01",
        8,
        3,
        2,
        4,
    )
    assert (last.activity.subject, last.peers, last.ratio) == ("alone", 0, None)
    assert [one.activity.subject for one in archive.patterns(department="taxation").top_users] == ["alone"]


def test_who_works_outside_hours_is_counted(archive: Archive) -> None:
    archive.keep(look("o-1", ANNA, "21T10:00:00"), look("o-2", ANNA, "20T10:00:00"))
    (one,) = archive.patterns().outside_hours
    assert (one.records, one.outside_hours) == (2, 1)


def test_the_statistics_of_a_month_add_up_over_batches(archive: Archive) -> None:
    archive.keep(look("o-1", ANNA, "17T09:00:00", "RD"))
    archive.keep(
        look("o-2", BEI, "18T09:00:00", "RM", subject="clerk-02"),
        look("o-3", BEI, "18T09:00:00", "DD", department="taxation"),
    )
    housing, taxation = archive.uses()
    assert (housing.department, housing.records, housing.users) == ("housing", 2, 2)
    assert housing.fields == {("Register", "RETURNED"): 2, ("Register", "DENIED"): 1, ("Register", "MASKED"): 1}
    assert (taxation.records, taxation.fields) == (1, {("Register", "DENIED"): 2})
