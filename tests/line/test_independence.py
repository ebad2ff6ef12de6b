"""Deny before fetch: an answer depends on no value that its caller may not read.

Two cities that differ in everything denied - values, records, other people - give the same bytes to the same questions, but for
the operation's number and the time of the fetch.
"""

from __future__ import annotations

import json
import re
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from random import Random

import pytest

from schema.catalogue import Resource
from tests.line.desk import Desk, sqlite_source
from tests.line.naive import ALLOWED, OFTEN
from tests.line.questions import Questions, printed
from tests.line.test_differential import VARIABLES, arguments_of, roots_of
from tests.service import use

READABLE = ALLOWED[0] | ALLOWED[1]
QUESTIONS = 60
_VOLATILE = re.compile(r'"(operationId|fetchedAt)":"[^"]*"')


def _numbers(desk: Desk) -> list[str]:
    """The numbers of the case's persons, in every form that a source may have."""
    whole = [desk.names[who] for who in ("applicant", "spouse", "child")]
    return [*whole, *(number[:6] + number[8:17] for number in whole)]


def _scramble(database: sqlite3.Connection, resource: Resource, kept: list[str], rng: Random) -> None:
    """Change all that is denied of a resource: other people's records go, denied columns get other values, and of a resource
    that is denied whole, half of the records go and the others come twice."""
    table, key = resource.table, resource.items[resource.key or ""].column
    readable = {item.column for item in resource.items.values() if f"{resource.name}.{item.name}" in READABLE}
    if resource.entity == "Person":
        marks = ", ".join("?" * len(kept))
        database.execute(f'DELETE FROM "{table}" WHERE "{key}" NOT IN ({marks})', kept)
    if not readable:
        database.execute(f'INSERT INTO "{table}" SELECT * FROM "{table}"')
        database.execute(f'DELETE FROM "{table}" WHERE rowid % 2')
    for item in resource.items.values():
        if item.column not in readable | {key}:
            value = rng.choice([None, "别的值", 7, b"\xff"])
            database.execute(f'UPDATE "{table}" SET "{item.column}" = ?', (value,))


@contextmanager
def _another_city(desk: Desk, folder: Path) -> Iterator[None]:
    """While it lasts, every department's source is a scrambled copy."""
    rng = Random(5)
    with ExitStack() as stack:
        for department in desk.service.rooms.sources:
            file = Path(shutil.copy(desk.database(department), folder / f"{department}.db"))
            with closing(sqlite3.connect(file)) as database:
                for resource in desk.service.catalogue.resources.values():
                    if resource.department == department and resource.connected:
                        _scramble(database, resource, _numbers(desk), rng)
                database.commit()
            stack.enter_context(desk.replaced(sqlite_source(file), department))
        yield


def _answers(desk: Desk) -> list[str]:
    questions, asked = Questions(desk.service.catalogue, Random(11), OFTEN), roots_of(desk)
    answers = []
    for _ in range(QUESTIONS):
        document = printed(questions.roots("Person", arguments_of(asked)), VARIABLES)
        content = {"query": document, "variables": {"use": use(desk.case), "yes": True, "no": False}}
        answers.append(_VOLATILE.sub("", desk.service.post(content).text))
    return answers


def test_answers_do_not_depend_on_what_is_denied(desk: Desk, tmp_path: Path) -> None:
    before = _answers(desk)
    with _another_city(desk, tmp_path):
        after = _answers(desk)
    assert before == after
    denied = sum(answer.count("FIELD_DENIED") for answer in before)
    assert denied > QUESTIONS, "the questions must ask for what is denied"


def test_answers_do_depend_on_what_is_allowed(desk: Desk, tmp_path: Path) -> None:
    before = _answers(desk)
    file = Path(shutil.copy(desk.database("public-security"), tmp_path / "changed.db"))
    with closing(sqlite3.connect(file)) as database:
        database.execute("UPDATE T_HJXX SET XM = '别的名字'")
        database.commit()
    with desk.replaced(sqlite_source(file), "public-security"):
        after = _answers(desk)
    assert before != after


@pytest.mark.parametrize("purpose", ["DATA_VERIFICATION", "BUSINESS_COLLABORATION"])
@pytest.mark.parametrize("who", ["applicant", "stranger"])
def test_refused_question_about_anybody_gives_the_same_answer(desk: Desk, purpose: str, who: str) -> None:
    selection = "householdRegistration { name photo } birthRegistration { motherName } marriageRegistrations { name }"
    case = desk.service.accept(f"SAME-{purpose}-{who}", ("APPLICANT", desk.names[who]))
    body = desk.service.person(selection, desk.names[who], case, purpose)
    body.pop("extensions")
    other = desk.service.person(selection, desk.names["child"], desk.case, purpose)
    other.pop("extensions")
    assert json.dumps(body) == json.dumps(other)
    assert set(body["data"]["person"].values()) == {None}


def test_case_of_another_department_reads_like_none(desk: Desk) -> None:
    answers = []
    for number in (desk.names["case_representative"], "NO-SUCH-CASE"):
        body = desk.service.person("householdRegistration { name }", desk.applicant, number)
        body.pop("extensions")
        answers.append(json.dumps(body))
    assert answers[0] == answers[1]
