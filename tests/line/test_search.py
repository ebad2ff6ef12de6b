"""Search through the whole line: against a naive reference over records in memory, and against people who try to see more."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from connectors.memory import MemoryConnector
from tests.line.case_folder import CASES
from tests.line.decided import decided
from tests.line.desk import Desk
from tests.line.naive_search import Record, expected, questions, records, shown
from tests.service import codes, use

SCENARIO = {"purpose": "ADMINISTRATIVE_BASIS", "basis": {"scenario": "public-rental-housing-review"}}
DOCUMENT = (
    "query($use: UseInput!, $first: Int, $after: String, $where: HousingSecurityFilter, $orderBy: [HousingSecurityOrder!]) {"
    " housingSecurities(use: $use, first: $first, after: $after, where: $where, orderBy: $orderBy)"
    " { totalCount edges { cursor node { idNumber regionCode status startedOn endsOn } }"
    " pageInfo { hasNextPage hasPreviousPage startCursor endCursor } } }"
)
INSURANCE = (
    "query($use: UseInput!, $where: SocialInsuranceFilter, $after: String) {"
    " socialInsurance(use: $use, first: 100, where: $where, after: $after)"
    " { totalCount edges { cursor node { idNumber insuranceType } } } }"
)
ESTATES = (
    "query($use: UseInput!, $where: RealEstateRegistrationFilter) {"
    " realEstateRegistrations(use: $use, where: $where) { totalCount edges { node { unitNumber } } } }"
)


@dataclass
class Page:
    """What one page showed."""

    total: int
    nodes: list[Mapping[str, Any]]
    cursors: list[str]
    more: bool
    earlier: bool = False
    info: Mapping[str, Any] = field(default_factory=dict)


def body_of(desk: Desk, region: str = "421200", **asked: Any) -> dict[str, Any]:
    who = {name: asked.pop(name) for name in ("subject", "client", "role", "department") if name in asked}
    variables = {"use": SCENARIO, "first": 100} | asked
    return desk.service.ask(
        DOCUMENT, variables, **{"role": "developer", "region": region, "subject": "system-01"} | who
    )


def page(desk: Desk, **asked: Any) -> Page:
    body = body_of(desk, **asked)
    assert "errors" not in body, body["errors"]
    found = body["data"]["housingSecurities"]
    info = found["pageInfo"]
    edges = found["edges"]
    return Page(
        found["totalCount"],
        [edge["node"] for edge in edges],
        [edge["cursor"] for edge in edges],
        info["hasNextPage"],
        info["hasPreviousPage"],
        info,
    )


def pages(desk: Desk, size: int, **asked: Any) -> list[Page]:
    """All pages from the first to the last."""
    found = [page(desk, first=size, **asked)]
    while found[-1].more:
        assert len(found) < 1000
        found.append(page(desk, first=size, after=found[-1].info["endCursor"], **asked))
    return found


@contextmanager
def holding(desk: Desk, held: Sequence[Record]) -> Iterator[MemoryConnector]:
    """While it lasts, the housing department has these records."""
    connector = MemoryConnector({"HousingSecurity": held})
    with desk.replaced(connector, "housing"):
        yield connector


# -- against the reference ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("question", questions(7, 40))
def test_pages_of_any_size_together_are_what_the_reference_finds(desk: Desk, question: dict[str, Any]) -> None:
    held = records(40, 11)
    wanted = [shown(r) for r in expected(held, question["region"], question["where"], question["orderBy"])]
    with holding(desk, held):
        for size in (1, 4, 100):
            found = pages(desk, size, **question)
            assert [node for one in found for node in one.nodes] == wanted
            assert {one.total for one in found} == {len(wanted)}
            assert [one.earlier for one in found] == [False] + [True] * (len(found) - 1)
            assert all(len(one.nodes) == size for one in found[:-1])
            for one in found:
                assert one.info["startCursor"] == (one.cursors[0] if one.cursors else None)
                assert one.info["endCursor"] == (one.cursors[-1] if one.cursors else None)


@pytest.mark.parametrize("by", ["endsOn", "startedOn", "idNumber"])
@pytest.mark.parametrize("direction", ["ASC", "DESC", None])
def test_every_order_pages_as_one_big_page(desk: Desk, by: str, direction: str | None) -> None:
    order = [{"by": by} if direction is None else {"by": by, "direction": direction}]
    with holding(desk, records(30, 3)):
        (whole,) = pages(desk, 100, orderBy=order)
        for size in (1, 2, 7, 29, 30):
            parts = pages(desk, size, orderBy=order)
            assert [node for part in parts for node in part.nodes] == whole.nodes
            assert [cursor for part in parts for cursor in part.cursors] == whole.cursors


def test_an_item_named_twice_in_an_order_counts_where_it_stands_first(desk: Desk) -> None:
    twice = [{"by": "endsOn", "direction": "DESC"}, {"by": "idNumber"}, {"by": "endsOn", "direction": "ASC"}]
    with holding(desk, records(20, 5)):
        assert page(desk, orderBy=twice).nodes == page(desk, orderBy=twice[:2]).nodes


# -- what is hidden stays hidden ---------------------------------------------------------------------------------------


def test_records_of_other_regions_are_neither_counted_nor_a_next_page(desk: Desk) -> None:
    held = [r | {"regionCode": "421202" if n < 3 else "421221"} for n, r in enumerate(records(30, 9))]
    with holding(desk, held) as source:
        own = page(desk, region="421202", first=3)
        assert (own.total, len(own.nodes), own.more) == (3, 3, False)
        assert page(desk, region="421202", first=2).more
        assert page(desk, region="421202", where={"regionCode": {"eq": "421221"}}).total == 0
    for request in source.requests:
        assert any(c.item == "regionCode" and c.values == ("421202",) for c in request.where)


@pytest.mark.parametrize("region", ["42120", "4212022", "42", "北京市", "000000", "42%200", "42_200", "４２１２００"])
def test_a_caller_whose_region_is_none_finds_nobody(desk: Desk, region: str) -> None:
    with holding(desk, records(30, 9)):
        found = page(desk, region=region)
    assert (found.total, found.nodes, found.more) == (0, [], False)


def test_a_clerk_finds_only_subjects_of_the_case_whatever_is_asked(desk: Desk) -> None:
    subjects = {desk.names[name] for name in ("applicant", "spouse", "child", "eighteen", "minor")}
    for where in (None, {}, {"insuranceType": None}, {"insuranceType": {"in": ["EMPLOYEE_PENSION", "MATERNITY"]}}):
        for case, allowed in (("case_hardship", subjects), ("case_alone_hardship", {desk.applicant})):
            variables = {"use": use(desk.names[case]), "where": where}
            found = desk.service.ask(INSURANCE, variables)["data"]["socialInsurance"]
            assert {edge["node"]["idNumber"] for edge in found["edges"]} <= allowed
            assert found["totalCount"] == len(found["edges"]) > 0


def test_a_case_without_such_a_subject_finds_nothing(desk: Desk) -> None:
    for where in ({}, {"ownerIdNumber": {"eq": desk.applicant}}):
        variables = {"use": use(desk.names["case_hardship"]), "where": where}
        found = desk.service.ask(ESTATES, variables)["data"]["realEstateRegistrations"]
        assert found == {"totalCount": 0, "edges": []}


def test_a_cursor_of_one_case_opens_nothing_of_another(desk: Desk) -> None:
    variables: dict[str, Any] = {"use": use(desk.names["case_hardship"])}
    cursor = desk.service.ask(INSURANCE, variables)["data"]["socialInsurance"]["edges"][0]["cursor"]
    again = desk.service.ask(INSURANCE, variables | {"after": cursor})
    assert "errors" not in again
    other = desk.service.ask(INSURANCE, {"use": use(desk.names["case_alone_hardship"]), "after": cursor})
    assert codes(other) == ["CURSOR_INVALID"]
    assert other["data"] == {"socialInsurance": None}


# -- cursors -----------------------------------------------------------------------------------------------------------


def test_a_cursor_tells_nothing_of_its_record(desk: Desk) -> None:
    held = records(5, 2)
    with holding(desk, held):
        cursors = page(desk, orderBy=[{"by": "endsOn"}]).cursors
    for cursor in cursors:
        bare = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
        for record in held:
            assert record["idNumber"].encode() not in bare
            assert record["idNumber"][:6].encode() not in bare
    assert len(set(cursors)) == len(cursors)


def _refused(desk: Desk, after: str, **asked: Any) -> None:
    body = body_of(desk, after=after, **asked)
    assert codes(body) == ["CURSOR_INVALID"], (after, body)
    assert body["data"] == {"housingSecurities": None}


def test_a_cursor_that_was_changed_is_refused(desk: Desk) -> None:
    with holding(desk, records(20, 2)) as source:
        cursor = page(desk, first=1).cursors[0]
        asked = len(source.requests)
        for place in range(0, len(cursor) - 1, 3):
            _refused(desk, cursor[:place] + ("A" if cursor[place] != "A" else "B") + cursor[place + 1 :])
        for changed in (cursor[:-2], cursor[2:], cursor[:10], cursor + "AAAA", cursor[::-1], cursor * 2):
            _refused(desk, changed)
        for invented in ("", " ", "=", "A", "游标", "\x00", "x" * 5000, '["421202"]', "AAAA" * 8):
            _refused(desk, invented)
        assert len(source.requests) == asked


@pytest.mark.parametrize(
    "other",
    [
        {"subject": "system-02"},
        {"client": "another"},
        {"region": "421202"},
        {"where": {"status": {"eq": "ACTIVE"}}},
        {"where": {"status": {"in": ["WAITING"]}}},
        {"orderBy": [{"by": "endsOn"}]},
        {"orderBy": [{"by": "idNumber", "direction": "DESC"}]},
    ],
    ids=str,
)
def test_a_cursor_is_good_for_its_caller_and_question_only(desk: Desk, other: dict[str, Any]) -> None:
    with holding(desk, records(20, 2)):
        cursor = page(desk, first=1).cursors[0]
        assert page(desk, first=1, after=cursor).nodes  # of another token of the same caller
        _refused(desk, cursor, **other)


def test_a_cursor_does_not_outlive_its_policy(desk: Desk) -> None:
    with holding(desk, records(20, 2)):
        cursor = page(desk, first=1).cursors[0]
        with decided(desk, CASES / "suspension_of_a_department"):
            _refused(desk, cursor)


def test_a_cursor_of_one_resource_is_none_of_another(desk: Desk) -> None:
    with holding(desk, records(20, 2)):
        cursor = page(desk, first=1).cursors[0]
    body = desk.service.ask(INSURANCE, {"use": use(desk.names["case_hardship"]), "after": cursor})
    assert codes(body) == ["CURSOR_INVALID"]


def test_what_follows_the_last_record_is_an_empty_page(desk: Desk) -> None:
    with holding(desk, records(20, 2)):
        last = page(desk).cursors[-1]
        found = page(desk, after=last)
    assert (found.nodes, found.more, found.earlier) == ([], False, True)


# -- arguments ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("first", [0, -1, 101, 2_147_483_647])
def test_a_page_has_from_one_to_a_hundred_records(desk: Desk, first: int) -> None:
    with holding(desk, records(2, 2)) as source:
        body = body_of(desk, first=first)
    assert "data" not in body
    assert codes(body)[0] in {"REQUEST_TOO_LARGE", "QUERY_TOO_EXPENSIVE"}
    assert source.requests == []


@pytest.mark.parametrize("where", [None, {}, {"status": None}, {"status": {}}, {"status": {"eq": None, "in": None}}])
def test_a_condition_that_is_null_is_none(desk: Desk, where: Any) -> None:
    with holding(desk, records(20, 2)):
        assert page(desk, where=where).nodes == page(desk).nodes


def test_a_value_that_is_one_of_none_finds_nobody(desk: Desk) -> None:
    with holding(desk, records(20, 2)):
        assert page(desk, where={"status": {"in": []}}).total == 0
        assert page(desk, where={"status": {"in": [], "eq": "ACTIVE"}}).total == 0


@pytest.mark.parametrize("where", [{"status": {"in": [None]}}, {"monthlyRent": {"eq": "1"}}, {"status": {"eq": "2"}}])
def test_what_is_no_condition_is_refused_before_anything_is_asked(desk: Desk, where: Any) -> None:
    with holding(desk, records(2, 2)) as source:
        body = body_of(desk, where=where)
    assert "data" not in body
    assert codes(body) == ["VARIABLES_INVALID"]
    assert source.requests == []


@pytest.mark.parametrize(
    "text", ["%", "_", "4212%", "4_1202", "*", "\\", "'", "421202' OR '1'='1", "\0", "４２１２０２"]
)
def test_wildcards_and_quotes_mean_themselves(desk: Desk, text: str) -> None:
    for operator in ("eq", "startsWith"):
        body = body_of(desk, where={"regionCode": {operator: text}})  # of the department's own database
        if "errors" in body:
            assert codes(body) == ["SOURCE_UNSUPPORTED"]
        else:
            assert body["data"]["housingSecurities"]["totalCount"] == 0


# -- on record ---------------------------------------------------------------------------------------------------------


def _nodes(desk: Desk) -> list[dict[str, Any]]:
    return list(desk.service.frames()[-1]["nodes"])


def test_everybody_who_is_found_is_on_record_and_nobody_else(desk: Desk) -> None:
    held = records(20, 2)
    hashes = desk.service.rooms.line.recorder.hashes
    with holding(desk, held):
        found = page(desk, first=4)
    for node in _nodes(desk):
        named = {one for ones in node["groups"].values() for one in ones}
        assert named == {hashes.of("Person", one["idNumber"]) for one in found.nodes}


def test_who_is_counted_only_is_on_record_as_far_as_the_page_goes(desk: Desk) -> None:
    document = "query($use: UseInput!) { housingSecurities(use: $use, first: 2) { totalCount } }"
    with holding(desk, records(20, 2)):
        body = desk.service.ask(document, {"use": SCENARIO}, role="developer")
    assert body["data"]["housingSecurities"]["totalCount"] > 2
    (node,) = _nodes(desk)
    assert all(rule.startswith("SCENARIO/") for rule in node["rules"])


@pytest.mark.parametrize("case", ["case_hardship", "case_closed", "stranger"])
@pytest.mark.parametrize("named", [["applicant"], ["spouse", "applicant"]])
def test_who_is_named_by_a_condition_is_on_record_however_it_ends(desk: Desk, case: str, named: list[str]) -> None:
    people = [desk.names[one] for one in named]
    condition = {"in": people} if len(people) > 1 else {"eq": people[0]}
    desk.service.ask(ESTATES, {"use": use(desk.names[case]), "where": {"ownerIdNumber": condition}})
    hashes = desk.service.rooms.line.recorder.hashes
    others = {one for node in _nodes(desk) for one in node["others"]}
    assert {hashes.of("Person", one) for one in people} <= others


def test_identifiers_are_searched_whole(desk: Desk) -> None:
    types: Any = desk.service.rooms.line._schema.type_map
    offered = types["RealEstateRegistrationFilter"].fields["ownerIdNumber"].type
    assert set(offered.fields) == {"eq", "in"}


def test_the_values_of_conditions_are_not_on_record(desk: Desk) -> None:
    before = len(desk.service.frames())
    variables = {"use": use(desk.names["case_hardship"]), "where": {"location": {"startsWith": "独一无二街"}}}
    desk.service.ask(ESTATES, variables)
    assert "独一无二街" not in str(desk.service.frames()[before:])
    assert desk.applicant not in str(desk.service.frames()[before:])
