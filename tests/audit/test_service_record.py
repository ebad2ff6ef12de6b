"""What a running service puts on record: no value, no identifier; and nothing leaves that is not on record."""

from __future__ import annotations

import asyncio
import random
import sqlite3
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from app import Rooms, catalogue_of, compose
from audit.frame import decode
from demo.scene import QUERY, open_case
from policies.identity import Identity, Role
from resolvers.line import Answer, Request
from tests.audit.places import Place, place
from tests.service import Service, use

CLERK = Identity("clerk-01", "housing", Role.CLERK, "421200", "demo", 4e9)


def texts(value: Any) -> Iterator[str]:
    """Every text in an answer."""
    if isinstance(value, dict):
        for inner in value.values():
            yield from texts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from texts(inner)
    elif isinstance(value, str):
        yield value


def raw(service: Service, name: str) -> bytes:
    """A database as it stands on the disk, with what is not in its main file yet; and the ledger's frames as they are, for there they are compressed."""
    files = [file.read_bytes() for file in sorted(service.scene.folder.glob(f"{name}*"))]
    frames = [] if "index" in name else [stored.frame for stored in service.rooms.ledger.read(0, 1_000_000)]
    return b"".join(files + frames)


@pytest.mark.parametrize("store", ["ledger.db", "ledger-index.db"])
def test_no_value_and_no_identifier_enters_the_ledger_or_its_index(service: Service, store: str) -> None:
    applicant, spouse = service.examples.applicant, service.examples.spouse
    case = service.accept(f"RECORD-{store}", ("APPLICANT", applicant.identifier), ("SPOUSE", spouse.identifier))
    body = service.ask(QUERY, {"idNumber": applicant.identifier, "use": use(case)})
    assert "errors" not in body
    lines = service.ask(
        "{ disclosures(first: 50) { edges { node { operationId } } } }", role="auditor", department="data-bureau"
    )
    assert body["extensions"]["operationId"] in list(texts(lines["data"]))
    on_disk = raw(service, store)
    assert (b"clerk-01" if "index" in store else case.encode()) in on_disk  # it is there, and found
    shown = {text for text in texts(body["data"]) if len(text) > 3}
    assert applicant.identifier in shown
    assert len(shown) > 15
    leaked = [text for text in (*shown, applicant.name, spouse.name, spouse.identifier) if text.encode() in on_disk]
    assert leaked == []


def test_a_refused_question_leaves_no_identifier_either(service: Service) -> None:
    stranger = service.examples.spouse.identifier
    case = service.accept("RECORD-OTHER", ("APPLICANT", service.examples.applicant.identifier))
    body = service.ask(QUERY, {"idNumber": stranger, "use": use(case)})
    assert body["data"] == {"person": None}
    frame = next(one for one in service.frames() if one["operation"] == body["extensions"]["operationId"])
    assert frame["outcome"] == "denied"
    assert frame["nodes"]
    assert stranger.encode() not in raw(service, "ledger")


# -- callers who go away -----------------------------------------------------------------------------------------


async def with_rooms(where: Place, work: Callable[[Rooms, Request], Awaitable[Any]]) -> Any:
    """What `work` gives with open rooms, the demo's case and its question."""
    rooms = compose(where.settings, catalogue_of(where.settings))
    await rooms.open()
    try:
        question = where.question
        case = await open_case(rooms.cases, rooms.catalogue, where.examples)
        assert case == question["variables"]["use"]["basis"]["case"]
        return await work(rooms, Request(question["query"], question["variables"], None))
    finally:
        await rooms.close()


def operations(rooms: Rooms) -> set[str]:
    return {str(decode(one.frame)["operation"]) for one in rooms.ledger.read(0, 100_000)}


def test_whoever_got_an_answer_is_on_record_though_others_went_away(city: Path, tmp_path: Path) -> None:
    chance = random.Random(7)

    async def ask(rooms: Rooms, request: Request, patience: float) -> Answer | None:
        try:
            async with asyncio.timeout(patience):
                return await rooms.line.answer(request, CLERK)
        except TimeoutError:
            return None

    async def work(rooms: Rooms, request: Request) -> tuple[list[Answer], int]:
        await rooms.line.answer(request, CLERK)
        begun = asyncio.get_running_loop().time()
        await rooms.line.answer(request, CLERK)
        usual = asyncio.get_running_loop().time() - begun
        asked = [ask(rooms, request, chance.uniform(0, 40 * usual)) for _ in range(80)]
        answers = await asyncio.gather(*asked)
        answered = [one for one in answers if one]
        recorded = operations(rooms)
        assert {orjson.loads(one.body)["extensions"]["operationId"] for one in answered} <= recorded
        after = await rooms.line.answer(request, CLERK)
        assert "errors" not in orjson.loads(after.body)
        return answered, len(answers) - len(answered)

    answered, gone = asyncio.run(with_rooms(place(tmp_path, city), work))
    assert answered
    assert gone
    assert all(one.status == 200 and "errors" not in orjson.loads(one.body) for one in answered)


def test_nothing_leaves_while_the_ledger_cannot_be_written(city: Path, tmp_path: Path) -> None:
    where = place(tmp_path, city)

    async def work(rooms: Rooms, request: Request) -> None:
        connection = sqlite3.connect(where.ledger, isolation_level=None)
        connection.execute("ALTER TABLE frames RENAME TO away")
        refused = await asyncio.gather(*(rooms.line.answer(request, CLERK) for _ in range(5)))
        connection.execute("ALTER TABLE away RENAME TO frames")
        connection.close()
        for answer in refused:
            assert answer.status == 503
            assert "data" not in orjson.loads(answer.body)
            assert [error["extensions"]["code"] for error in orjson.loads(answer.body)["errors"]] == [
                "LEDGER_UNAVAILABLE"
            ]
        healed = await rooms.line.answer(request, CLERK)
        assert "errors" not in orjson.loads(healed.body)
        assert orjson.loads(healed.body)["extensions"]["operationId"] in operations(rooms)

    asyncio.run(with_rooms(where, work))
