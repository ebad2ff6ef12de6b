"""Documents that try to cost more than they may: each is refused with a code and a hint, in bounded time, and the process stays up."""

from __future__ import annotations

import time
from typing import Any

import pytest
from graphql import get_introspection_query

from schema.errors import CODES
from tests.http.documents import ANSWERED, HEAD, REFUSED, numbered, person
from tests.service import Service, codes, use

MOST_SECONDS = 2.5
"""Of CPU: far over what a refusal takes (0.01 to 0.6 s), far under what one of these documents would take unbounded."""


@pytest.fixture(scope="module")
def variables(service: Service) -> dict[str, Any]:
    applicant = service.examples.applicant.identifier
    return {"id": applicant, "use": use(service.accept("HOSTILE-1", ("APPLICANT", applicant)))}


def ask(service: Service, document: str, variables: dict[str, Any]) -> tuple[Any, float]:
    """The answer and the seconds of CPU that it took."""
    headers = {"Authorization": f"Bearer {service.token()}"}
    started = time.process_time()
    answer = service.client.post("/graphql", json={"query": document, "variables": variables}, headers=headers)
    return answer, time.process_time() - started


@pytest.mark.parametrize("name", REFUSED)
def test_hostile_document_is_refused_with_a_code_and_a_hint(
    service: Service, variables: dict[str, Any], name: str
) -> None:
    document = REFUSED[name]()
    answer, spent = ask(service, document, variables if HEAD in document else {})
    assert answer.status_code == 400
    assert "data" not in answer.json()
    assert codes(answer.json())
    for error in answer.json()["errors"]:
        assert CODES[error["extensions"]["code"]].status == 400
        assert error["extensions"]["hint"]["en"]
        assert error["extensions"]["hint"]["zh"]
    assert spent < MOST_SECONDS
    good, _ = ask(service, person("householdRegistration{name}"), variables)
    assert good.json()["data"]["person"]["householdRegistration"]["name"] == service.examples.applicant.name


@pytest.mark.parametrize("name", ANSWERED)
def test_long_but_harmless_document_is_answered(service: Service, name: str) -> None:
    answer, spent = ask(service, ANSWERED[name](), {})
    assert answer.status_code == 200
    assert answer.json()["data"]
    assert spent < MOST_SECONDS


def test_widest_allowed_question_is_answered(service: Service, variables: dict[str, Any]) -> None:
    document = person(numbered("a{}:householdRegistration{{" + "name " * 8 + "}}", 200))
    answer, spent = ask(service, document, variables)
    assert answer.status_code == 200
    records = answer.json()["data"]["person"].values()
    assert len(records) == 200
    assert {record["name"] for record in records} == {service.examples.applicant.name}
    assert spent < MOST_SECONDS


def test_full_introspection_is_answered(service: Service) -> None:
    answer, spent = ask(service, get_introspection_query(), {})
    assert answer.status_code == 200
    assert spent < MOST_SECONDS


@pytest.mark.parametrize(
    ("identifiers", "code"),
    [
        (["1"] * 100_000, "IDENTIFIER_INVALID"),
        ([[]] * 100_000, "IDENTIFIER_INVALID"),
        (["9" * 900_000], "IDENTIFIER_INVALID"),
        ([None], "IDENTIFIER_INVALID"),
    ],
    ids=["many", "many lists", "long", "null"],
)
def test_hostile_identifiers_are_refused(
    service: Service, variables: dict[str, Any], identifiers: list[Any], code: str
) -> None:
    document = "query($id:[CitizenIdNumber!]!,$use:UseInput!){persons(idNumbers:$id,use:$use){__typename}}"
    answer, spent = ask(service, document, variables | {"id": identifiers})
    assert answer.status_code == 400
    assert set(codes(answer.json())) <= {code, "VARIABLES_INVALID"}
    assert spent < MOST_SECONDS


def test_more_identifiers_than_allowed_are_refused(service: Service, variables: dict[str, Any]) -> None:
    document = "query($id:[CitizenIdNumber!]!,$use:UseInput!){persons(idNumbers:$id,use:$use){__typename}}"
    answer, _ = ask(service, document, variables | {"id": [variables["id"]] * 1_001})
    assert answer.status_code == 413
    assert codes(answer.json()) == ["REQUEST_TOO_LARGE"]


@pytest.mark.parametrize("shape", ["objects", "arrays"])
def test_deep_variables_are_refused(service: Service, variables: dict[str, Any], shape: str) -> None:
    deep: Any = 1
    for _ in range(900):
        deep = {"a": deep} if shape == "objects" else [deep]
    answer, spent = ask(service, person("__typename"), variables | {"use": deep})
    assert answer.status_code == 400
    assert set(codes(answer.json())) == {"USE_REQUIRED"}
    assert spent < MOST_SECONDS
