"""Whatever fails, wherever: neither the answer nor the log tells SQL, paths or values; the log tells where, the answer a code and a hint."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from policies.cases import CaseStoreUnavailable
from policies.control import ControlUnavailable
from policies.live import PolicyUnavailable
from schema.errors import wordless
from terminal.serving import _JsonLines
from tests.service import Service, codes, running, use

SQL, PATH, VALUE = "SELECT hidden_column FROM hidden_table", "/srv/hidden/store.db", "421202199001011234"
WORDS = f"{SQL} at {PATH} with {VALUE}"
DOCUMENT = "query($id: CitizenIdNumber!, $use: UseInput!) { person(idNumber: $id, use: $use) { householdRegistration { name } } cases { number } }"


def of_the_database() -> Exception:
    return sa.exc.OperationalError(SQL, {"id": VALUE}, Exception(WORDS))


def of_the_driver() -> Exception:
    return sa.exc.DBAPIError(SQL, (VALUE,), OSError(2, WORDS, PATH))


def of_nobody() -> Exception:
    return RuntimeError(WORDS)


class Chained:
    """Raises an error whose cause has words too."""

    def __init__(self, outer: type[Exception]) -> None:
        self.__name__ = outer.__name__
        self._outer = outer

    def __call__(self) -> Exception:
        error = self._outer(WORDS)
        error.__cause__ = of_the_database()
        return error


# what fails, with what, and the code that tells of it
FAILURES: dict[str, tuple[str, Callable[[], Exception], str]] = {
    "identify": ("verifier.identify", of_nobody, "INTERNAL"),
    "identify, database": ("verifier.identify", of_the_database, "INTERNAL"),
    "find the document": ("control.operation", Chained(ControlUnavailable), "CONTROL_UNAVAILABLE"),
    "find the document, unforeseen": ("control.operation", of_the_driver, "INTERNAL"),
    "policy": ("policy.snapshot", Chained(PolicyUnavailable), "POLICY_UNAVAILABLE"),
    "policy, unforeseen": ("policy.snapshot", of_nobody, "INTERNAL"),
    "parse": ("line._documents.operation", of_nobody, "INTERNAL"),
    "variables": ("line._documents.variables", of_nobody, "INTERNAL"),
    "authorise": ("cases.find", Chained(CaseStoreUnavailable), "STORE_UNAVAILABLE"),
    "authorise, unforeseen": ("cases.find", of_the_database, "INTERNAL"),
    "fetch": ("sources.public-security.connector.fetch", of_the_database, ""),
    "fetch, unforeseen": ("sources.public-security.connector.fetch", of_nobody, ""),
    "shape": ("line._shaper.shape", of_nobody, "INTERNAL"),
    "disclose": ("line.recorder.record", of_nobody, "INTERNAL"),
    "disclose, database": ("line.recorder.record", of_the_database, "INTERNAL"),
    "ungoverned field": ("cases.of_department", of_the_database, "INTERNAL"),
}


@pytest.fixture(scope="module")
def own(city: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with running(tmp_path_factory.mktemp("masked"), city) as started:
        yield started


def place(service: Service, path: str) -> tuple[Any, str]:
    """The object and the name of its attribute to which the dotted path leads from the rooms."""
    *way, last = path.split(".")
    found: Any = service.rooms
    for name in way:
        found = found[name] if isinstance(found, dict) else getattr(found, name)
    assert hasattr(found, last), path
    return found, last


def told_nothing(text: str) -> bool:
    return not any(word in text for word in (SQL, "SELECT", "hidden", PATH, VALUE, VALUE[:14], "site-packages", "/"))


@pytest.mark.parametrize("name", FAILURES)
def test_failure_is_told_by_its_code_alone(
    own: Service, name: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    path, error, code = FAILURES[name]
    applicant = own.examples.applicant.identifier
    case = own.accept(f"MASKED-{list(FAILURES).index(name)}", ("APPLICANT", applicant))
    failed: list[bool] = []

    def fail(*_: Any, **__: Any) -> Any:
        failed.append(True)
        raise error()

    owner, attribute = place(own, path)
    monkeypatch.setattr(type(owner), attribute, fail)  # some are frozen
    caplog.clear()
    content: dict[str, Any] = {"query": DOCUMENT, "variables": {"id": applicant, "use": use(case)}}
    if "document" in name:
        content = {"documentId": "3" * 64}
    answer = own.post(content, subject=f"clerk-{name}")
    assert failed
    assert answer.headers["content-type"].startswith("application/graphql-response+json")
    found = codes(answer.json())
    assert found
    assert code in found or (not code and found[0].startswith(("SOURCE_", "INTERNAL")))
    assert told_nothing(answer.text.replace("application/", ""))
    for record in caplog.records:
        entry = json.loads(_JsonLines().format(record))
        assert told_nothing(json.dumps(entry)), entry
    assert told_nothing(caplog.text)
    if "INTERNAL" in found:
        logged = [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR]
        assert logged
        assert all(f"fail > {type(error()).__name__}" in message for message in logged)
    monkeypatch.undo()
    assert own.ask("{ __typename }")["data"] == {"__typename": "Query"}


def test_error_for_the_log_has_places_and_no_words() -> None:
    try:
        try:
            raise of_the_database()
        except sa.exc.SQLAlchemyError as error:
            raise ValueError(WORDS) from error
    except ValueError as error:
        told = wordless(error)
    assert told.startswith("test_masked_errors.py:")
    assert told.endswith("test_error_for_the_log_has_places_and_no_words > ValueError")
    assert told_nothing(told)


def test_deep_recursion_is_told_in_few_words() -> None:
    def down() -> None:
        down()

    with pytest.raises(RecursionError) as raised:
        down()
    assert len(wordless(raised.value)) < 1_000


def test_log_line_of_a_library_s_error_has_no_words() -> None:
    logger = logging.getLogger("library")
    try:
        raise of_the_database()
    except sa.exc.SQLAlchemyError as error:
        record = logger.makeRecord(
            "library", logging.ERROR, "x", 1, "it failed", (), (type(error), error, error.__traceback__)
        )
    line = _JsonLines().format(record)
    assert told_nothing(line)
    assert json.loads(line)["error"].endswith("> OperationalError")
