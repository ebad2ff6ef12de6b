"""The index: behind the ledger, rebuilt from it, never twice, and honest about how far it is."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st

from audit.entries import ENTRY_INDEXES, Entries, metadata
from audit.index import Answer, Index, IndexIncomplete
from audit.index_rows import Writer
from audit.ledger import Ledger
from audit.questions import Place, Question
from audit.records import Reader
from audit.statistics import uses_of
from audit.store import StoredFrame
from tests.audit.frames import HASH, ITEMS, SeenLine, append, frame, index_of, lines_of, node, open_ledger

ANNA, BEI = HASH.of("Person", "421202199001011234"), HASH.of("Person", "421202199202022345")
EVERYTHING = Question()


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("audit.index._PAUSE", 0.02)


def working(folder: Path, work: Callable[[Ledger, Index], Awaitable[Any]]) -> Any:
    """What `work` gives with an open ledger and an open index in this folder."""

    async def run() -> Any:
        ledger = open_ledger(folder)
        index = index_of(folder, ledger)
        index.open()
        try:
            return await work(ledger, index)
        finally:
            await index.close()
            await ledger.close()

    return asyncio.run(run())


def ask(folder: Path, question: Question = EVERYTHING, limit: int = 100) -> Answer:
    answer = working(folder, lambda _, index: index.ask(question, limit))
    assert isinstance(answer, Answer)
    return answer


def keep(folder: Path, *frames: Any) -> None:
    working(folder, lambda ledger, _: append(ledger, *frames))


def operations(lines: Sequence[SeenLine]) -> list[str]:
    return list(dict.fromkeys(line.operation for line in lines))


def rows(folder: Path) -> int:
    connection = sqlite3.connect(folder / "index.db")
    (count,) = connection.execute("SELECT count(*) FROM entries").fetchone()
    connection.close()
    return int(count)


def test_every_field_of_a_frame_is_a_line(tmp_path: Path) -> None:
    keep(tmp_path, frame("o-1", node(ANNA, "RD", rules=("SHARE/1", "DENY/CLASS/CONDITIONAL"))))
    lines = lines_of(ask(tmp_path))
    assert [(line.resource, line.item, line.outcome, line.rule) for line in lines] == [
        ("Register", "name", "RETURNED", "SHARE/1"),
        ("Register", "address", "DENIED", "DENY/CLASS/CONDITIONAL"),
    ]
    line = lines[0]
    assert (line.at, line.operation, line.subject) == (1_780_000_000_000_000, "o-1", "clerk-01")
    assert (line.department, line.role, line.purpose, line.case) == ("housing", "clerk", "ADMINISTRATIVE_BASIS", "N-1")
    assert (line.entity, line.subject_class, line.policy) == (ANNA, "SUBJECT", "p1")
    assert len({one.id for one in lines}) == 2


@pytest.mark.parametrize(
    ("letter", "outcome"),
    [("R", "RETURNED"), ("A", "ABSENT"), ("M", "MASKED"), ("D", "DENIED"), ("F", "FAILED"), ("J", "JOINED")],
)
def test_each_letter_has_its_outcome(tmp_path: Path, letter: str, outcome: str) -> None:
    keep(tmp_path, frame("o-1", node(ANNA, letter * 2)))
    assert [line.outcome for line in lines_of(ask(tmp_path))] == [outcome] * 2


def test_an_operation_without_data_subjects_is_a_line_too(tmp_path: Path) -> None:
    keep(tmp_path, frame("o-1", fields=("cases", "auditLog"), outcome="answered"), frame("o-2", outcome="use_required"))
    lines = lines_of(ask(tmp_path))
    assert [(line.operation, line.resource, line.outcome) for line in lines] == [
        ("o-2", "", "USE_REQUIRED"),
        ("o-1", "cases,auditLog", "ANSWERED"),
    ]


def test_whoever_was_named_in_a_value_is_found(tmp_path: Path) -> None:
    keep(tmp_path, frame("o-1", node(ANNA, others=[BEI])))
    (line,) = lines_of(ask(tmp_path, Question(entity=BEI)))
    assert (line.operation, line.outcome, line.item) == ("o-1", "NAMED", "")


# -- questions -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("question", "found"),
    [
        (Question(entity=ANNA), ["o-4", "o-1"]),
        (Question(entity=BEI), ["o-3", "o-2"]),
        (Question(case="N-2"), ["o-2"]),
        (Question(subject="clerk-02"), ["o-3"]),
        (Question(department="taxation"), ["o-3"]),
        (Question(resource="Tax"), ["o-4"]),
        (Question(entity=ANNA, resource="Register"), ["o-1"]),
        (Question(entity=ANNA, department="taxation"), []),
        (Question(case="N'; DROP TABLE entries; --"), []),
        (EVERYTHING, ["o-4", "o-3", "o-2", "o-1"]),
    ],
)
def test_each_question_finds_its_operations_newest_first(tmp_path: Path, question: Question, found: list[str]) -> None:
    keep(
        tmp_path,
        frame("o-1", node(ANNA)),
        frame("o-2", node(BEI, case="N-2")),
        frame("o-3", node(BEI), subject="clerk-02", department="taxation"),
        frame("o-4", node(ANNA, "R", resource="Tax", items=(3,), rules=("SHARE/3",))),
    )
    assert operations(lines_of(ask(tmp_path, question))) == found


@pytest.mark.parametrize("limit", [1, 7, 10, 30, 31])
def test_paging_sees_every_entry_once_even_while_new_ones_come(tmp_path: Path, limit: int) -> None:
    async def work(ledger: Ledger, index: Index) -> list[SeenLine]:
        await append(ledger, *(frame(f"o-{number:02}", node(ANNA, "RA")) for number in range(30)))
        seen: list[SeenLine] = []
        before: Place | None = None
        page = 0
        while True:
            answer = await index.ask(Question(entity=ANNA, before=before), limit)
            seen += lines_of(answer)
            before, page = answer.end, page + 1
            if before is None:
                return seen
            if page < 4:
                await append(ledger, frame(f"new-{page}", node(ANNA)))

    lines = working(tmp_path, work)
    assert operations(lines) == [f"o-{number:02}" for number in reversed(range(30))]
    assert len(lines) == len({line.id for line in lines}) == 60


def test_the_last_page_says_that_it_is_the_last(tmp_path: Path) -> None:
    keep(tmp_path, *(frame(f"o-{number}", node(ANNA)) for number in range(3)))
    assert ask(tmp_path, limit=3).end is None
    assert ask(tmp_path, limit=2).end is not None
    assert ask(tmp_path, Question(entity="nobody")).end is None


# -- following -------------------------------------------------------------------------------------------------


def test_an_answer_is_as_new_as_the_ledger_was_when_it_was_asked(tmp_path: Path) -> None:
    async def work(ledger: Ledger, index: Index) -> None:
        for number in range(3):
            await append(ledger, frame(f"o-{number}", node(ANNA)))
            answer = await index.ask(EVERYTHING, 1)
            assert lines_of(answer)[0].operation == f"o-{number}"
            assert answer.indexed >= answer.recorded == ledger.head()

    working(tmp_path, work)


def test_an_index_that_cannot_follow_says_how_far_it_is(tmp_path: Path) -> None:
    keep(tmp_path, frame("o-1", node(ANNA)))
    assert ask(tmp_path).indexed == 1

    async def work(ledger: Ledger, index: Index) -> Answer:
        lock = sqlite3.connect(tmp_path / "index.db", isolation_level=None)
        lock.execute("BEGIN IMMEDIATE")
        await append(ledger, frame("o-2", node(ANNA)))
        answer = await index.ask(EVERYTHING, 10)
        lock.execute("ROLLBACK")
        lock.close()
        return answer

    answer = working(tmp_path, work)
    assert (answer.indexed, answer.recorded) == (1, 2)
    assert operations(lines_of(answer)) == ["o-1"]
    assert operations(lines_of(ask(tmp_path))) == ["o-2", "o-1"]


def test_a_deleted_index_is_rebuilt_from_the_frames(tmp_path: Path) -> None:
    keep(tmp_path, *(frame(f"o-{number}", node(ANNA, "RM"), node(BEI, "DD")) for number in range(40)))
    before = ask(tmp_path, limit=500)
    assert len(lines_of(before)) == 160
    for file in tmp_path.glob("index.db*"):
        file.unlink()
    after = ask(tmp_path, limit=500)
    assert after == before
    assert rows(tmp_path) == 80


def test_more_frames_than_one_batch_are_all_indexed(tmp_path: Path) -> None:
    async def work(ledger: Ledger, index: Index) -> int:
        await asyncio.gather(*(append(ledger, frame(f"o-{number}", node(ANNA))) for number in range(1100)))
        return (await index.ask(EVERYTHING, 1)).indexed

    assert working(tmp_path, work) == 1100
    assert rows(tmp_path) == 1100


def test_two_indexers_at_once_do_not_double_an_entry(tmp_path: Path) -> None:
    async def fill() -> None:
        ledger = open_ledger(tmp_path)
        await asyncio.gather(*(append(ledger, frame(f"o-{number}", node(ANNA))) for number in range(1700)))
        await ledger.close()

    asyncio.run(fill())
    index_of(tmp_path, open_ledger(tmp_path)).prepare()
    together = threading.Barrier(3)
    errors: list[BaseException] = []

    def advance() -> None:
        index = index_of(tmp_path, open_ledger(tmp_path))
        together.wait()
        try:
            while index.advance():
                pass
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=advance) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert rows(tmp_path) == 1700
    assert ask(tmp_path, limit=1).indexed == 1700


# -- built anew ------------------------------------------------------------------------------------------------


def test_a_long_ledger_is_indexed_first_and_asked_when_that_is_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep(tmp_path, *(frame(f"o-{number}", node(ANNA)) for number in range(30)))
    before = ask(tmp_path)
    for file in tmp_path.glob("index.db*"):
        file.unlink()
    monkeypatch.setattr("audit.index._LONG", 20)
    monkeypatch.setattr("audit.index._BATCH", 10)
    ledger = open_ledger(tmp_path)
    index = index_of(tmp_path, ledger)
    index.prepare()

    async def work() -> None:
        for _ in range(3):
            with pytest.raises(IndexIncomplete):
                await index.ask(EVERYTHING, 5)
            with pytest.raises(IndexIncomplete):
                await index.read(lambda connection, _: uses_of(connection, 202605))
            index.advance()
        index.advance()
        assert await index.ask(EVERYTHING, 100) == before
        await index.close()
        await ledger.close()

    asyncio.run(work())
    connection = sqlite3.connect(tmp_path / "index.db")
    made = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'index'")}
    connection.close()
    assert made >= set(ENTRY_INDEXES)


def test_an_index_marked_by_another_calendar_is_built_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second of October 2026 is a Friday: it becomes a holiday with the release that knows of it."""
    friday = 1_790_906_400_000_000
    with monkeypatch.context() as unknown:
        unknown.setattr("audit.index.calendar", lambda: "older")
        unknown.setattr("audit.entries.is_outside_hours", lambda _: False)
        unknown.setattr("audit.questions.is_outside_hours", lambda _: False)
        keep(tmp_path, frame("o-1", node(ANNA), at=friday))
        assert operations(lines_of(ask(tmp_path, Question(outside_hours=True)))) == []
    assert operations(lines_of(ask(tmp_path, Question(outside_hours=True)))) == ["o-1"]


@given(
    st.lists(
        st.tuples(st.sampled_from([ANNA, BEI]), st.sampled_from(["RA", "RD", "FM", "DD"]), st.sampled_from("12"),
                  st.integers(0, 70), st.sampled_from(["SUBJECT", "OTHER"]), st.sampled_from(["a", "b"])),
        max_size=25,
    ),
    st.integers(1, 7),
)  # fmt: skip
@settings(max_examples=25, deadline=None)
def test_the_counts_do_not_depend_on_how_frames_come_in_batches(asked: list[tuple[Any, ...]], size: int) -> None:
    frames = [
        StoredFrame(number, frame(
            f"o-{number}", node(entity, letters, case=f"N-{case}", subject=kind), subject=user,
            at=1_780_000_000_000_000 + day * 86_400_000_000,
        ).encode())
        for number, (entity, letters, case, day, kind, user) in enumerate(sorted(asked, key=lambda one: one[3]), 1)
    ]  # fmt: skip

    def counted(size: int) -> list[list[Any]]:
        engine = sa.create_engine("sqlite://")
        metadata.create_all(engine)
        writer, entries = Writer(), Entries(Reader(dict(enumerate(ITEMS, 1))))
        with engine.begin() as connection:
            for begin in range(0, len(frames), size):
                writer.write(connection, entries.batch(frames[begin : begin + size]))
            return [sorted(map(tuple, connection.execute(sa.select(table)))) for table in metadata.sorted_tables]

    assert counted(size) == counted(100)
