"""What an operation costs: its fields, fragments expanded, weighted by list sizes; told before a department is asked, in time linear in its text."""

from __future__ import annotations

import time
from typing import Any

import pytest
from graphql import GraphQLArgument, GraphQLInt, GraphQLNonNull, build_schema, parse
from hypothesis import given
from hypothesis import strategies as st

from resolvers.cost import LIST_SIZE, Measure
from resolvers.operation import Documents, Limits, cost_of
from schema.errors import RequestError
from tests.http.documents import bomb, numbered, person
from tests.line.desk import statements
from tests.service import Service, codes, use

SCHEMA = build_schema("""
  type Query { person(id: ID!): Person  persons(ids: [ID!]!): [Person]  search(first: Int!): Page!  log(first: Int): [Line!]! }
  type Person { id: ID  name: String  work: [Work!]  children: [Person!]  friends(kinds: [ID!]): [Person!] }
  type Work { title: String  person: Person }
  type Page { nodes: [Person!]!  total: Int!  more: [Page!]! }
  type Line { at: String }
""")
# as Strawberry gives a default
SCHEMA.get_type("Query").fields["search"].args["first"] = GraphQLArgument(GraphQLNonNull(GraphQLInt), default_value=20)  # type: ignore[union-attr]
GENEROUS = Limits(cost=10**9)


def cost(document: str, variables: dict[str, Any] | None = None) -> int:
    documents = Documents(SCHEMA, GENEROUS)
    operation = documents.operation(document, None)
    return cost_of(operation, documents.variables(operation, variables or {}))


COSTS: dict[str, tuple[str, dict[str, Any], int]] = {
    "one entity": ("{person(id:1){id name}}", {}, 3),
    "to-many": ("{person(id:1){work{title}}}", {}, 1 + LIST_SIZE * 2),
    "to-many of to-many": ("{person(id:1){children{work{title}}}}", {}, 1 + LIST_SIZE * (1 + LIST_SIZE * 2)),
    "list with an optional list argument": ("{person(id:1){friends(kinds:[1]){id}}}", {}, 1 + LIST_SIZE * 2),
    "identifiers in the text": ('{persons(ids:["1","2","3"]){id name}}', {}, 3 * 3),
    "one identifier for a list": ('{persons(ids:"1"){id}}', {}, 2),
    "identifiers by variable": ("query($i:[ID!]!){persons(ids:$i){id name}}", {"i": ["1"] * 7}, 7 * 3),
    "no identifier costs as one": ("query($i:[ID!]!){persons(ids:$i){id}}", {"i": []}, 2),
    "identifiers by default": ('query($i:[ID!]!=["1","2"]){persons(ids:$i){id}}', {}, 4),
    "page in the text": ("{search(first:30){total nodes{id}}}", {}, 30 * 4),
    "page by variable": ("query($n:Int!){search(first:$n){nodes{id}}}", {"n": 7}, 7 * 3),
    "page by default": ("{search{nodes{id}}}", {}, 20 * 3),
    "list below a page's list": ("{search(first:2){nodes{work{title}}}}", {}, 2 * (2 + LIST_SIZE * 2)),
    "list that is itself a page": ("{log(first:9){at}}", {}, 18),
    "list that is itself a page, unbounded": ("{log{at}}", {}, LIST_SIZE * 2),
    "page of nothing": ("{search(first:0){total}}", {}, 2),
    "negative page": ("{search(first:-5){total}}", {}, 2),
    "page below identifiers": ("query($i:[ID!]!){persons(ids:$i){work{title}}}", {"i": ["1"] * 4}, 4 * (1 + LIST_SIZE * 2)),
    "fragment twice": ("{a:person(id:1){...f} b:person(id:2){...f}} fragment f on Person{work{title}}", {}, 2 * (1 + LIST_SIZE * 2)),
    "fragment in a page and out of it": ("{search(first:3){...f more{...f}}} fragment f on Page{more{total}}", {}, 3 * (1 + 2 + 1 + LIST_SIZE * 2)),
    "what is skipped counts": ("{person(id:1){id name @skip(if:true)}}", {}, 3),
    "the chosen operation counts": ("{person(id:1){id}}", {}, 2),
}  # fmt: skip


@pytest.mark.parametrize("name", COSTS)
def test_cost_is_the_number_of_fields_weighted_by_list_sizes(name: str) -> None:
    document, variables, expected = COSTS[name]
    assert cost(document, variables) == expected


@given(st.lists(st.sampled_from(["id", "work{title}", "children{id}"]), min_size=1, max_size=6), st.integers(1, 50))
def test_fragments_cost_what_they_stand_for(parts: list[str], people: int) -> None:
    selection = " ".join(parts)
    plain = "query($i:[ID!]!){persons(ids:$i){" + selection + "}}"
    spread = "query($i:[ID!]!){...q} fragment q on Query{persons(ids:$i){...p}} fragment p on Person{" + selection + "}"
    assert cost(plain, {"i": ["1"] * people}) == cost(spread, {"i": ["1"] * people})


@given(st.integers(1, 200), st.integers(1, 200))
def test_more_identifiers_never_cost_less(few: int, more: int) -> None:
    document = "query($i:[ID!]!){persons(ids:$i){work{title person{id}}}}"
    assert (cost(document, {"i": ["1"] * few}) <= cost(document, {"i": ["1"] * more})) == (few <= more)


def test_costly_document_is_refused_before_validation_with_cost_and_limit() -> None:
    documents = Documents(SCHEMA, Limits(cost=100))
    with pytest.raises(RequestError) as refused:
        documents.operation("{person(id:1){children{children{children{id}}}} nothing}", None)
    (fault,) = refused.value.faults
    assert fault.code == "QUERY_TOO_EXPENSIVE"
    assert fault.extra == {"cost": 2 + LIST_SIZE * (1 + LIST_SIZE * (1 + LIST_SIZE * 2)), "limit": 100}


def test_variables_that_make_it_costly_are_refused() -> None:
    documents = Documents(SCHEMA, Limits(cost=100))
    operation = documents.operation("query($i:[ID!]!){persons(ids:$i){id}}", None)
    assert documents.variables(operation, {"i": ["1"] * 50})
    with pytest.raises(RequestError) as refused:
        documents.variables(operation, {"i": ["1"] * 51})
    assert refused.value.faults[0].extra == {"cost": 102, "limit": 100}


def test_measuring_takes_time_linear_in_the_text() -> None:
    def spent(size: int) -> float:
        fragments = numbered("fragment f{} on Person{{work{{title}}}}", size)
        document = parse("{person(id:1){" + numbered("...f{}", size) + "}} " + fragments)
        begun = time.process_time()
        extent = Measure(document, SCHEMA, 10**6).definition(document.definitions[0])  # type: ignore[arg-type]
        assert extent.fields == 2 * size + 1
        return time.process_time() - begun

    assert min(spent(3_000) for _ in range(3)) < 8 * min(spent(1_000) for _ in range(3))


@pytest.mark.parametrize("digits", ["9" * 9, "9" * 10, "9" * 100_000])
def test_hostile_page_size_is_refused_at_once(digits: str) -> None:
    begun = time.process_time()
    with pytest.raises(RequestError) as refused:
        Documents(SCHEMA, Limits()).operation("{search(first:" + digits + "){nodes{id}}}", None)
    assert refused.value.faults[0].code == "QUERY_TOO_EXPENSIVE"
    assert time.process_time() - begun < 0.5


def test_bomb_of_fragments_is_not_expanded_to_be_measured() -> None:
    begun = time.process_time()
    with pytest.raises(RequestError):
        Documents(SCHEMA, GENEROUS).operation(bomb(400), None)
    assert time.process_time() - begun < 0.5


def test_expensive_question_asks_no_department(service: Service) -> None:
    applicant = service.examples.applicant.identifier
    case = service.accept("COST-1", ("APPLICANT", applicant))
    document = (
        "query($ids:[CitizenIdNumber!]!,$use:UseInput!){persons(idNumbers:$ids,use:$use)"
        "{householdRegistration{name} socialInsurance{%s}}}" % ("__typename " * 20)
    )
    before = len(service.frames())
    variables = {"ids": [applicant] * 1_000, "use": use(case)}
    with statements() as asked:
        answer = service.post({"query": document, "variables": variables})
    assert answer.status_code == 400
    assert codes(answer.json()) == ["QUERY_TOO_EXPENSIVE"]
    extensions = answer.json()["errors"][0]["extensions"]
    assert extensions["cost"] == 1_000 * (3 + LIST_SIZE * 21)
    assert extensions["limit"] == 50_000
    assert not asked
    assert len(service.frames()) == before + 1
    assert codes(service.ask(person("__typename"), {"id": applicant, "use": use(case)})) == []


def test_page_of_a_search_costs_its_records(service: Service) -> None:
    documents = Documents(service.rooms.line._schema, Limits())
    document = "query($first:Int!,$use:UseInput!){creditRecords(first:$first,use:$use){edges{cursor node{__typename}}}}"
    operation = documents.operation(document, None)
    variables = {"first": 30, "use": use("COST-2")}
    assert cost_of(operation, documents.variables(operation, variables)) == 30 * 5
