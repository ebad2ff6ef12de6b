"""The index follows every kind of store, in every kind of database of its own."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from audit.index import Answer, Index
from audit.ledger import Ledger
from audit.questions import Question
from audit.stores import store_at
from tests.audit.frames import HASH, ITEMS, append, frame, lines_of, node
from tests.audit.store_places import KINDS, store_url

ANNA = HASH.of("Person", "421202199001011234")


@pytest.fixture(params=KINDS)
def ledger_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[sa.URL]:
    with store_url(request.param, tmp_path) as url:
        yield url


@pytest.fixture(params=KINDS)
def index_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[sa.URL]:
    (tmp_path / "index").mkdir()
    with store_url(request.param, tmp_path / "index") as url:
        yield url


def opened(url: sa.URL) -> Ledger:
    ledger = Ledger(store_at(url, 5), 5)
    ledger.open()
    ledger.item_numbers(ITEMS)
    return ledger


async def asked(ledger: Ledger, index: Index, question: Question) -> tuple[Answer, float]:
    """The answer once the index has all that the ledger has, and how many seconds that took."""
    begun = time.monotonic()
    answer = await index.ask(question, 500)
    while answer.indexed < answer.recorded:
        answer = await index.ask(question, 500)
    return answer, time.monotonic() - begun


def test_the_index_follows_within_five_seconds_and_finds_everything(ledger_url: sa.URL, index_url: sa.URL) -> None:
    async def work() -> None:
        ledger = opened(ledger_url)
        index = Index(index_url, ledger)
        index.open()
        frames = [frame(f"o-{number}", node(ANNA, case=f"N-{number % 7}")) for number in range(1_200)]
        await asyncio.gather(*(append(ledger, one) for one in frames))
        answer, took = await asked(ledger, index, Question(entity=ANNA, case="N-3"))
        assert took < 5
        assert answer.indexed == answer.recorded == 1_200
        assert len({line.operation for line in lines_of(answer)}) == len([n for n in range(1_200) if n % 7 == 3])
        await index.close()
        await ledger.close()

    asyncio.run(work())


def test_a_text_that_postgresql_cannot_hold_stops_no_index(ledger_url: sa.URL, index_url: sa.URL) -> None:
    """A case number comes from outside; in PostgreSQL no text has a NUL."""

    async def work() -> None:
        ledger = opened(ledger_url)
        index = Index(index_url, ledger)
        index.open()
        await append(ledger, frame("o-1", node(ANNA, case="N\x001")), frame("o-2", node(ANNA)))
        answer, _ = await asked(ledger, index, Question(entity=ANNA))
        assert [line.operation for line in lines_of(answer)] == ["o-2", "o-2", "o-1", "o-1"]
        answer, _ = await asked(ledger, index, Question(case="N\x001"))
        assert [line.operation for line in lines_of(answer)] == ["o-1", "o-1"]
        await index.close()
        await ledger.close()

    asyncio.run(work())


def test_indexers_of_several_processes_double_nothing(ledger_url: sa.URL, index_url: sa.URL) -> None:
    ledger = opened(ledger_url)

    async def fill() -> None:
        await asyncio.gather(*(append(ledger, frame(f"o-{number}", node(ANNA))) for number in range(1_300)))

    asyncio.run(fill())
    indexes = [Index(index_url, ledger) for _ in range(3)]
    indexes[0].prepare()
    together = threading.Barrier(3)

    def follow(index: Index) -> None:
        together.wait()
        while index.advance():
            pass

    threads = [threading.Thread(target=follow, args=(one,)) for one in indexes]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    engine = sa.create_engine(index_url)
    with engine.connect() as connection:
        assert connection.exec_driver_sql("SELECT count(*), count(DISTINCT seq) FROM entries").one() == (1_300, 1_300)
        assert connection.exec_driver_sql("SELECT count(*), max(seq) FROM position").one() == (1, 1_300)
    engine.dispose()
    ledger.store.close()
