"""How many statements an operation takes: one for each node of its plan, times the batches of its keys, and never more for more people or rows."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import closing, contextmanager
from math import ceil
from random import Random

import pytest

from connectors.contract import FetchRequest
from resolvers.fetch import Loads
from resolvers.sources import Allowance, Source
from tests.line.desk import DEREGISTRATION, Desk
from tests.line.naive import OFTEN
from tests.line.questions import Questions, printed
from tests.service import use

PEOPLE = 40


@pytest.fixture(scope="module")
def crowd(desk: Desk) -> tuple[str, list[str]]:
    """A case with forty people, and their numbers."""
    numbers = desk.numbers(PEOPLE)
    case = desk.service.accept("CROWD", *(("CHILD" if n else "APPLICANT", one) for n, one in enumerate(numbers)))
    return case, numbers


@contextmanager
def batched(desk: Desk, batch: int) -> Iterator[None]:
    """While it lasts, every source takes so many keys a statement."""
    line = desk.service.rooms.line
    before = line._loads
    allowance = Allowance(batch=batch)
    line._loads = Loads({name: Source(one.connector, one.timeout, allowance) for name, one in before.sources.items()})
    try:
        yield
    finally:
        line._loads = before


def asked(desk: Desk, document: str, variables: dict[str, object]) -> list[FetchRequest]:
    """What the departments were asked for this."""
    desk.fetches.clear()
    body = desk.service.ask(document, variables)
    assert body.get("data") is not None, body
    found = [request for _, request in desk.fetches]
    assert all(isinstance(request, FetchRequest) for request in found)
    return [request for request in found if isinstance(request, FetchRequest)]


def kind(request: FetchRequest) -> tuple[object, ...]:
    return request.resource.name, request.key, request.columns, request.where


def nodes_of(desk: Desk, document: str, variables: dict[str, object]) -> Counter[str]:
    """How many nodes of the restricted plan ask each resource; entities that a relation reaches have a node for each of their classes."""
    content = {"query": document, "variables": variables, "extensions": {"onesource": {"dryRun": True}}}
    told = desk.service.post(content).json()["extensions"]["dryRun"]["nodes"]
    return Counter(node["resource"] for node in told if node["asked"])


@pytest.mark.parametrize("seed", range(25))
def test_statements_are_the_plan_s_nodes_however_many_people(
    desk: Desk, crowd: tuple[str, list[str]], seed: int
) -> None:
    case, numbers = crowd
    rng = Random(seed)
    roots = Questions(desk.service.catalogue, rng, OFTEN).roots("Person", {"many": "(idNumbers: $ids, use: $use)"})
    document = printed(roots, "$ids: [CitizenIdNumber!]!, $use: UseInput!")
    for size in (1, 7, PEOPLE):
        variables = {"ids": numbers[:size], "use": use(case), "yes": True, "no": False}
        plan = nodes_of(desk, document, variables)
        requests = asked(desk, document, variables)
        assert not Counter(one.resource.name for one in requests) - plan, document
        with batched(desk, 7):
            split = asked(desk, document, variables)
        batches: Counter[tuple[object, ...]] = Counter()
        for one in requests:
            batches[kind(one)] += ceil(len(one.keys) / 7)
        assert Counter(map(kind, split)) == batches, document
        assert all(len(one.keys) <= 7 for one in split)


@pytest.fixture(scope="module")
def chain(desk: Desk) -> tuple[str, list[str], list[str]]:
    """A case of deregistration with ten enterprises and whoever represents them: its number, the people, their enterprises."""
    with closing(sqlite3.connect(desk.database("market-supervision"))) as register:
        item = desk.service.catalogue.item
        code, person = (
            item("EnterpriseRegistration.unifiedSocialCreditCode"),
            item("EnterpriseRegistration.legalRepresentativeIdNumber"),
        )
        table = desk.service.catalogue.resources["EnterpriseRegistration"].table
        rows = register.execute(f'SELECT "{person.column}", "{code.column}" FROM {table}').fetchall()
    owned: dict[str, list[str]] = defaultdict(list)
    for owner, enterprise in rows:
        if len(owner) == 18:
            owned[owner].append(enterprise)
    people = sorted(owned)[:6]
    enterprises = [one for owner in people for one in owned[owner]]
    subjects = [("APPLICANT", one) for one in enterprises] + [("LEGAL_REPRESENTATIVE", one) for one in people]
    case = desk.service.accept("CHAIN", *subjects, service=DEREGISTRATION, department="market-supervision")
    return case, people, enterprises


CHAIN = """query($ids: [CitizenIdNumber!]!, $use: UseInput!) { persons(idNumbers: $ids, use: $use) {
  householdRegistration { name }
  representedOrganizations {
    enterpriseRegistration { enterpriseName }
    taxRegistration { taxpayerNumber }
    legalRepresentative { householdRegistration { status } } } } }"""
BACK = """query($ids: [UnifiedSocialCreditCode!]!, $use: UseInput!) { organizations(unifiedSocialCreditCodes: $ids, use: $use) {
  legalRepresentative { householdRegistration { name } representedOrganizations { taxRegistration { taxpayerNumber } } } } }"""


def test_a_chain_over_three_departments_takes_a_statement_a_node(
    desk: Desk, chain: tuple[str, list[str], list[str]]
) -> None:
    case, people, enterprises = chain
    who = {"role": "clerk", "department": "market-supervision"}
    desk.fetches.clear()
    body = desk.service.ask(CHAIN, {"ids": people, "use": use(case)}, **who)
    assert "errors" not in body, json.dumps(body["errors"], ensure_ascii=False)
    reached = [one for person in body["data"]["persons"] for one in person["representedOrganizations"]]
    assert len(reached) == len(enterprises) >= 6
    assert all(one["taxRegistration"]["taxpayerNumber"] and one["legalRepresentative"] for one in reached)
    departments = [department for department, _ in desk.fetches]
    assert Counter(departments) == {"public-security": 2, "market-supervision": 3, "taxation": 1}


def test_a_chain_takes_no_more_statements_for_more_people(desk: Desk, chain: tuple[str, list[str], list[str]]) -> None:
    case, people, _ = chain
    took = []
    for size in (1, 3, len(people)):
        desk.fetches.clear()
        body = desk.service.ask(CHAIN, {"ids": people[:size], "use": use(case)}, department="market-supervision")
        assert "errors" not in body
        took.append(len(desk.fetches))
    assert took == [6, 6, 6]


def test_a_chain_backwards_is_batched_too(desk: Desk, chain: tuple[str, list[str], list[str]]) -> None:
    case, people, enterprises = chain
    desk.fetches.clear()
    body = desk.service.ask(BACK, {"ids": enterprises, "use": use(case)}, department="market-supervision")
    assert "errors" not in body, json.dumps(body.get("errors"), ensure_ascii=False)
    kinds = Counter((department, request.resource.name) for department, request in desk.fetches)
    assert kinds == {
        ("market-supervision", "EnterpriseRegistration"): 2,
        ("public-security", "HouseholdRegistration"): 1,
        ("taxation", "TaxRegistration"): 1,
    }
    (register,) = (r for _, r in desk.fetches if r.resource.name == "HouseholdRegistration")
    assert isinstance(register, FetchRequest)
    assert sorted(register.keys) == people


def test_siblings_at_one_depth_share_a_statement(desk: Desk, chain: tuple[str, list[str], list[str]]) -> None:
    """Two ways to the same entities, and entities of both subject classes, are one statement where they read the same."""
    case, people, enterprises = chain
    document = """query($a: [CitizenIdNumber!]!, $b: [CitizenIdNumber!]!, $use: UseInput!) {
      a: persons(idNumbers: $a, use: $use) { representedOrganizations { taxRegistration { taxpayerNumber } } }
      b: persons(idNumbers: $b, use: $use) { representedOrganizations { taxRegistration { taxpayerNumber } } } }"""
    desk.fetches.clear()
    variables = {"a": people[:3], "b": people[3:], "use": use(case)}
    assert "errors" not in desk.service.ask(document, variables, department="market-supervision")
    assert Counter(department for department, _ in desk.fetches) == {"market-supervision": 1, "taxation": 1}
    (tax,) = (request for department, request in desk.fetches if department == "taxation")
    assert isinstance(tax, FetchRequest)
    assert sorted(tax.keys) == sorted(enterprises)
