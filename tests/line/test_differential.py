"""The line against the naive model: 240 random questions, equal data in equal order, equal refusals, no column beside."""

from __future__ import annotations

import json
from collections.abc import Iterator
from random import Random

import pytest

from tests.line.desk import Desk
from tests.line.naive import ALLOWED, OFTEN, Naive
from tests.line.questions import Questions, printed
from tests.service import codes, paths, use

VARIABLES = "$use: UseInput!"
ROUNDS, EACH = 8, 30


@pytest.fixture(scope="module")
def naive(desk: Desk) -> Iterator[Naive]:
    """The naive model of the desk's city for the desk's family case."""
    subjects = frozenset(desk.names[who] for who in ("applicant", "spouse", "child"))
    model = Naive(desk.service.catalogue, desk.service.scene.city, subjects)
    yield model
    model.close()


def roots_of(desk: Desk) -> dict[str, list[str]]:
    """Who is asked for under each response key; the stranger is no subject of the case."""
    applicant, spouse, child, stranger = (desk.names[n] for n in ("applicant", "spouse", "child", "stranger"))
    return {
        "one": [applicant],
        "other": [spouse],
        "refused": [stranger],
        "many": [child, applicant, child],
        "manyRefused": [applicant, stranger, spouse],
    }


def arguments_of(asked: dict[str, list[str]]) -> dict[str, str]:
    """The printed arguments of each root."""
    return {
        key: f"(idNumbers: {json.dumps(ids)}, use: $use)"
        if key.startswith("many")
        else f'(idNumber: "{ids[0]}", use: $use)'
        for key, ids in asked.items()
    }


@pytest.mark.parametrize("seed", range(ROUNDS))
def test_answers_are_those_of_the_naive_model(desk: Desk, naive: Naive, seed: int) -> None:
    questions = Questions(desk.service.catalogue, Random(seed), OFTEN)
    asked = roots_of(desk)
    for _ in range(EACH):
        roots = questions.roots("Person", arguments_of(asked))
        document = printed(roots, VARIABLES)
        desk.fetches.clear()
        body = desk.service.ask(document, {"use": use(desk.case), "yes": True, "no": False})
        wanted = naive.answer(roots, asked)
        assert json.dumps(body.get("data"), ensure_ascii=False) == json.dumps(wanted, ensure_ascii=False), document
        assert set(codes(body)) <= {"FIELD_DENIED", "USE_DENIED"}, document
        assert sorted(paths(body)) == sorted(naive.denied), document
        read = {f"{name}.{item}" for name, items in desk.selected().items() for item in items}
        assert read <= ALLOWED[0] | ALLOWED[1], document


def test_the_random_questions_are_no_empty_ones(desk: Desk, naive: Naive) -> None:
    questions, asked = Questions(desk.service.catalogue, Random(0), OFTEN), roots_of(desk)
    texts, denied, found = [], 0, 0
    for _ in range(EACH):
        roots = questions.roots("Person", arguments_of(asked))
        texts.append(printed(roots, VARIABLES))
        data = naive.answer(roots, asked)
        denied += len(naive.denied)
        found += json.dumps(data, ensure_ascii=False).count(desk.service.examples.applicant.name)
    document = "\n".join(texts)
    assert all(word in document for word in ("fragment ", "... on", "@include", "@skip", "a_", "provenance"))
    assert denied > EACH
    assert found > 0
