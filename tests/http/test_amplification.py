"""Small requests that would cost or carry much: bounded in time, in the answer's size, and in what is kept."""

from __future__ import annotations

from typing import Any

import pytest

from resolvers.operation import Documents, Limits
from schema.errors import RequestError
from tests.http.documents import HEAD, bomb, chain, nested, numbered, person
from tests.http.test_hostile_documents import ask
from tests.service import Service, codes

MOST_SECONDS = 1.0

COSTLY = {
    "the same field 1990 times": (person("householdRegistration{" + "name " * 1_990 + "}"), "QUERY_TOO_LARGE"),
    "the same record 990 times": (person("householdRegistration{name} " * 990), "QUERY_TOO_LARGE"),
    "the same record in 950 inline fragments": (person("...{householdRegistration{name}} " * 950), "QUERY_TOO_LARGE"),
    "the whole schema 490 times": (
        "{" + numbered("a{}:__schema{{types{{fields{{name}}}}}}", 490) + "}",
        "QUERY_TOO_LARGE",
    ),
    "every type 490 times": (
        "{__schema{" + numbered("a{}:types{{fields{{name}}}}", 490) + "}}",
        "QUERY_TOO_LARGE",
    ),
    "every field's name 1900 times": (
        "{__schema{types{fields{" + numbered("a{}:name", 1_900) + "}}}}",
        "QUERY_TOO_LARGE",
    ),
    "every field's name 1900 times, by a fragment": (
        "{__schema{types{fields{...f}}}} fragment f on __Field{" + numbered("a{}:name", 1_900) + "}",
        "QUERY_TOO_LARGE",
    ),
    "too many tokens": ("{" + "a " * 11_000 + "}", "QUERY_TOO_LARGE"),
    "chain of 300 fragments": (chain(300), "QUERY_TOO_LARGE"),
    "fragment bomb": (bomb(30), "QUERY_TOO_LARGE"),
    "too many braces": (nested("{a", "}", 4_900), "QUERY_TOO_DEEP"),
    "deep list type": ("query($a:" + nested("[", "]", 4_000, "Int") + "){__typename}", "QUERY_TOO_DEEP"),
    "deep introspection": ("{__schema{types{" + nested("fields{type{", "}}", 4, "name") + "}}}", "QUERY_TOO_DEEP"),
    "operation's name of 200 signs": ("query " + "q" * 200 + "{__typename}", "QUERY_TOO_LARGE"),
}


@pytest.mark.parametrize("name", COSTLY)
def test_costly_document_is_refused_quickly_by_its_code(service: Service, name: str) -> None:
    document, code = COSTLY[name]
    answer, spent = ask(service, document, {})
    assert answer.status_code == 400
    assert codes(answer.json()) == [code]
    assert spent < MOST_SECONDS


ECHOED: dict[str, tuple[str, dict[str, Any]]] = {
    "name": ("{" + "x" * 900_000 + "}", {}),
    "integer": ("{__typename @skip(if:" + "9" * 900_000 + ")}", {}),
    "object": (HEAD + "{person(idNumber:$id,use:{" + "a:1 " * 3_000 + "}){__typename}}", {}),
    "variable": (person("__typename"), {"use": {"purpose": "x" * 900_000, "basis": {"case": "1"}}}),
}


@pytest.mark.parametrize("name", ECHOED)
def test_what_came_in_is_not_sent_back_whole(service: Service, name: str) -> None:
    document, variables = ECHOED[name]
    answer, _ = ask(service, document, {"id": service.examples.applicant.identifier} | variables)
    assert answer.status_code == 400
    assert len(answer.content) < 20_000


def test_few_aliases_of_introspection_are_allowed(service: Service) -> None:
    answer, _ = ask(service, '{a:__type(name:"Person"){n:name} b:__type(name:"Query"){n:name}}', {})
    assert answer.json()["data"] == {"a": {"n": "Person"}, "b": {"n": "Query"}}


def test_aliases_are_counted_with_fragments_expanded(service: Service) -> None:
    ten = " fragment f on Person{" + numbered("a{}:idNumber", 10) + "}"
    twenty_times = person(numbered("...{{...f}}", 20)) + ten
    assert [fault.code for fault in _faults(service, person(numbered("a{}:idNumber", 200)))] == []
    assert [fault.code for fault in _faults(service, twenty_times)] == []
    for document in (
        person(numbered("a{}:idNumber", 201)),
        twenty_times.replace("{...f}", "{x:idNumber ...f}", 1),
    ):
        (fault,) = _faults(service, document)
        assert fault.code == "QUERY_TOO_LARGE"
        assert fault.reason
        assert "200 aliases" in fault.reason.en


def _faults(service: Service, document: str) -> tuple[Any, ...]:
    try:
        Documents(service.rooms.line._schema, Limits()).operation(document, None)
    except RequestError as error:
        return error.faults
    return ()


def test_kept_documents_are_bounded_together(service: Service) -> None:
    documents = Documents(service.rooms.line._schema, Limits())
    for number in range(30):
        documents.operation("{__typename}" + "," * 900_000 + " " * number, None)
    assert sum(len(text) for text, _ in documents._kept) < 10_000_000
