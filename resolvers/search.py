"""Search: pages of a resource's records, through the same stages as a look-up.

Under a case only records of the case's subjects are found; under a scenario everybody's, as those of third parties. What chooses, orders or counts
records is a use of its own: one that is denied costs the whole page, for an answer without it would tell what it may not. Items that are only shown are
denied one by one, as everywhere.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from graphql import GraphQLSchema
from graphql.execution.values import VariableValues

from connectors.contract import MAX_VALUES, Condition, CountRequest, Operator, Order, Rows, SearchRequest, SourceError
from policies.cases import CaseStore
from policies.decision import Act, Decision, NextStep
from policies.identity import Identity
from policies.snapshot import Snapshot
from resolvers.authorise import Proof, arguments, prove
from resolvers.cursors import CursorInvalid, Cursors
from resolvers.disclosures import NodeDisclosure
from resolvers.fetch import Bounds, Failure, Fetched, Loads, fetch
from resolvers.operation import Limits
from resolvers.plan import ConstantCell, EdgesCell, ItemCell, PartsCell, Plan, SearchNode, TotalCell
from resolvers.restrict import AllowedResource, AllowedRoot, Restriction, RowLimits, Used, denied, row_limits
from resolvers.shape import Shaped, Shaper
from resolvers.verify import canonical
from schema.catalogue import Catalogue, Item, Purpose, Resource, SubjectClass
from schema.errors import Fault, RequestError, Text
from schema.identifiers import is_adult
from schema.names import edge_type

USED, DENIED, FAILED = "U", "D", "F"


@dataclass(frozen=True, slots=True)
class SearchClaim:
    """A root search with its arguments and what its basis proves. `order` ends with what identifies a record."""

    node: SearchNode
    where: tuple[Condition, ...]
    order: tuple[Order, ...]
    first: int
    after: str | None
    purpose: Purpose
    proof: Proof

    @property
    def key(self) -> str:
        """Where its answer stands."""
        return self.node.key

    @property
    def granted(self) -> bool:
        """Whether the basis proves anything."""
        return self.proof.refusal is None

    @property
    def subject(self) -> SubjectClass:
        """Whose records are found: the case's subjects', or everybody's."""
        return SubjectClass.THIRD_PARTY if self.proof.scenario else SubjectClass.SUBJECT


@dataclass(frozen=True, slots=True)
class AllowedSearch:
    """A search restricted to what this caller may see. `used` are the decisions on what chooses, orders and counts; `faults` end the search."""

    claim: SearchClaim
    used: tuple[tuple[Item, Act, Decision], ...]
    shown: Mapping[Any, AllowedResource]
    limits: RowLimits
    total: Decision | None
    faults: tuple[Fault, ...]
    bound_to: tuple[str, ...]
    after: tuple[Any, ...] | None

    @property
    def adults_only(self) -> bool:
        """Whether it is refused since minors would have to be left out, by whose number no page is known."""
        return self.limits.adults and bool(self.claim.proof.scenario)

    @property
    def columns(self) -> tuple[str, ...]:
        return next((allowed.columns for allowed in self.shown.values()), ())


@dataclass(slots=True)
class Page:
    """What a search brought: rows, the total where it was asked for, or why there are none."""

    rows: Rows | None = None
    total: int | None = None
    failure: Failure | None = None


async def claim_searches(
    plan: Plan,
    variables: VariableValues,
    schema: GraphQLSchema,
    identity: Identity,
    cases: CaseStore,
    catalogue: Catalogue,
    limits: Limits,
    now: datetime,
) -> tuple[SearchClaim, ...]:
    """The claims of the plan's searches. RequestError for arguments that do not fit or are too many."""
    assert schema.query_type
    claims = []
    for node in plan.searches:
        given = arguments(schema.query_type.fields[node.field.name.value], node.field, variables)
        if not 1 <= given["first"] <= limits.page:
            reason = Text(f"`first` is from 1 to {limits.page}", f"first 应为1至{limits.page}")
            raise RequestError(Fault("REQUEST_TOO_LARGE", reason=reason))
        proof = await prove(given["use"]["basis"], identity, cases, catalogue, now)
        where = _conditions(node.resource, given.get("where") or {}, catalogue)
        order = _order(node.resource, given.get("orderBy") or ())
        purpose = Purpose(given["use"]["purpose"])
        claims.append(SearchClaim(node, where, order, given["first"], given.get("after"), purpose, proof))
    return tuple(claims)


def _conditions(resource: Resource, given: Mapping[str, Any], catalogue: Catalogue) -> tuple[Condition, ...]:
    conditions = []
    for name, asked in given.items():
        item = resource.items[name]
        for operator, value in (asked or {}).items():
            if value is None:  # a null condition is none: it would match what is absent
                continue
            values = value if operator == Operator.IN else [value]
            if len(values) > MAX_VALUES:
                raise RequestError(Fault("REQUEST_TOO_LARGE"))
            conditions.append(
                Condition(name, Operator(operator), tuple(canonical(item, one, catalogue) for one in values))
            )
    return tuple(conditions)


def _order(resource: Resource, given: Sequence[Mapping[str, Any]]) -> tuple[Order, ...]:
    """The order asked for, then that of what identifies a record, so that each has a place of its own."""
    assert resource.search
    wanted: dict[str, Order] = {}
    for one in given:
        by, direction = (getattr(one.get(key), "value", one.get(key)) for key in ("by", "direction"))
        wanted.setdefault(str(by), Order(str(by), direction == "DESC"))
    for name in resource.search.identity:
        wanted.setdefault(name, Order(name))
    return tuple(wanted.values())


def restrict_searches(
    claims: Sequence[SearchClaim], identity: Identity, snapshot: Snapshot, cursors: Cursors, now: datetime
) -> tuple[AllowedSearch | None, ...]:
    """Each search restricted to what this caller may see; None where the basis itself failed."""
    return tuple(_restrict(claim, identity, snapshot, cursors, now) if claim.granted else None for claim in claims)


def _restrict(
    claim: SearchClaim, identity: Identity, snapshot: Snapshot, cursors: Cursors, now: datetime
) -> AllowedSearch:
    node, resource = claim.node, claim.node.resource
    work = Restriction.of(snapshot, identity, claim, now)
    path = (node.key,)
    used = _uses(claim, work)
    refused = [(item, decision) for item, _, decision in used if not decision.allow]
    faults = [denied(decision, path, f"{resource.name}.{item.name}") for item, decision in refused[:1]]
    key = resource.items[resource.key or ""]
    total = work.decide(f"{resource.name}.{key.name}", Act.AGGREGATE, claim.subject) if node.totals else None
    shown, read = work.records(node.nodes, claim.subject)
    limits = row_limits(resource, [*(d for _, _, d in used), *read, *([total] if total else [])], identity.region)
    if limits.adults and claim.proof.scenario:
        faults.append(denied(ADULTS_REFUSED, path, f"{resource.name}.{key.name}"))
    bound_to = _bound(claim, identity, snapshot)
    after = None
    if claim.after is not None and not faults:
        try:
            after = cursors.open(claim.after, [resource.items[o.item] for o in claim.order], bound_to)
        except CursorInvalid:
            faults.append(Fault("CURSOR_INVALID", path))
    return AllowedSearch(claim, used, shown, limits, total, tuple(faults), bound_to, after)


ADULTS_REFUSED = Decision(
    False,
    "DENY/ROWS/ADULTS",
    Text("adults' records only: they can be looked up, not searched", "仅限成年人记录：可按号码查询，不可检索"),
    next_step=NextStep.OPEN_CASE,
)


def _uses(claim: SearchClaim, work: Restriction) -> tuple[tuple[Item, Act, Decision], ...]:
    """What the search uses beside what it shows: that records exist, by what they are chosen and in which order."""
    resource = claim.node.resource
    wanted = [(resource.key or "", Act.EXIST)]
    wanted += [(condition.item, Act.FILTER) for condition in claim.where]
    wanted += [(order.item, Act.SORT) for order in claim.order]
    return tuple(
        (item, act, work.decide(f"{resource.name}.{name}", act, claim.subject.then(item.subject)))
        for name, act in dict.fromkeys(wanted)
        for item in (resource.items[name],)
    )


def _bound(claim: SearchClaim, identity: Identity, snapshot: Snapshot) -> tuple[str, ...]:
    """What a cursor is good for: this caller, use, question and policy version."""
    proof = claim.proof
    return (
        *(identity.subject, identity.department, identity.role, identity.region, identity.client),
        *(claim.purpose, proof.basis, proof.case, snapshot.version, claim.node.resource.name),
        repr(claim.where),
        repr(claim.order),
    )


async def fetch_all(
    roots: Sequence[AllowedRoot], searches: Sequence[AllowedSearch | None], loads: Loads, bounds: Bounds
) -> tuple[Fetched, Sequence[Page]]:
    """What look-ups and searches ask for, at the same time; a source that fails costs its own places only."""
    if not searches:
        return await fetch(roots, loads, bounds), ()
    pages = asyncio.gather(*(_fetch(search, loads, bounds) for search in searches))
    return await asyncio.gather(fetch(roots, loads, bounds), pages)


async def _fetch(search: AllowedSearch | None, loads: Loads, bounds: Bounds) -> Page:
    if search is None or search.faults:
        return Page()
    resource = search.claim.node.resource
    counts = search.total is not None and search.total.allow
    try:
        asked = request_of(search, bounds.now, loads.source(resource).timeout)
        page = loads.ask(resource, asked, bounds.until)
        if not counts:
            return Page(await page)
        count = CountRequest(resource, asked.timeout, asked.where)
        rows, counted = await asyncio.gather(page, loads.ask(resource, count, bounds.until))
        return Page(rows, counted.count)
    except SourceError as error:
        return Page(failure=Failure(error.code, error.reason))


def request_of(search: AllowedSearch, now: datetime, timeout: float) -> SearchRequest:
    """What the source is asked: one record more than the page has, among the case's subjects only where there is a case."""
    claim = search.claim
    resource = claim.node.resource
    where = (*claim.where, *search.limits.where)
    if not claim.proof.scenario:
        keys = sorted(key for entity, key in claim.proof.subjects if entity == resource.entity)
        if search.limits.adults:
            keys = [key for key in keys if is_adult(key, now)]
        where = (Condition(resource.key or "", Operator.IN, tuple(keys)), *where)
    return SearchRequest(resource, search.columns, claim.order, claim.first + 1, timeout, where, search.after)


def shape_searches(
    claims: Sequence[SearchClaim],
    searches: Sequence[AllowedSearch | None],
    pages: Sequence[Page],
    shaper: Shaper,
    cursors: Cursors,
    shaped: Shaped,
    bounds: Bounds,
) -> None:
    """Put each search's page into the answer, with its faults and what it discloses."""
    for claim, search, page in zip(claims, searches, pages, strict=True):
        shaped.disclosures.append(_Shaping(claim, search, page, shaper, cursors, shaped, bounds).shape())


@dataclass(slots=True)
class _Shaping:
    claim: SearchClaim
    search: AllowedSearch | None
    page: Page
    shaper: Shaper
    cursors: Cursors
    shaped: Shaped
    bounds: Bounds
    disclosures: list[NodeDisclosure] = field(default_factory=list)

    def shape(self) -> list[NodeDisclosure]:
        key = self.claim.node.key
        self.shaped.data[key] = None
        if self.search is None:
            assert self.claim.proof.refusal
            self.shaped.faults.append(denied(self.claim.proof.refusal, (key,)))
            self._note_refused(self.claim.proof.refusal)
        elif self.search.faults:
            self.shaped.faults += self.search.faults
            self._note_used(self.search, FAILED, [""])
        elif self.page.rows is None:
            assert self.page.failure
            self.shaped.faults.append(self.shaper.failed(self.page.failure, (key,), self.claim.node.resource))
            self._note_used(self.search, FAILED, [""])
        else:
            self.shaped.data[key] = self._connection(self.search, self.page.rows)
        return self.disclosures

    def _connection(self, search: AllowedSearch, found: Rows) -> dict[str, Any]:
        first = self.claim.first
        rows = found.rows[:first]
        cursors = [self.cursors.seal(place, search.bound_to) for place in found.cursors[:first]]
        self._note_used(search, USED, [row.key for row in rows] or [""])
        answer: dict[str, Any] = {}
        for cell in self.claim.node.cells:
            if isinstance(cell, ConstantCell):
                answer[cell.key] = cell.value
            elif isinstance(cell, TotalCell):
                answer[cell.key] = self._total(search, cell)
            elif isinstance(cell, PartsCell):
                info = {
                    "hasNextPage": len(found.rows) > first,
                    "hasPreviousPage": search.after is not None,
                    "startCursor": cursors[0] if cursors else None,
                    "endCursor": cursors[-1] if cursors else None,
                    "__typename": "PageInfo",
                }
                answer[cell.key] = {key: info[name] for key, name in cell.parts}
            else:
                answer[cell.key] = self._edges(search, cell, found, rows, cursors)
        return answer

    def _edges(
        self, search: AllowedSearch, cell: EdgesCell, found: Rows, rows: Sequence[Any], cursors: list[str]
    ) -> list[dict[str, Any]]:
        records: dict[str, list[dict[str, Any] | None]] = {}
        for key, node in cell.nodes.items():
            allowed = search.shown[node]
            shown, disclosed = self.shaper.records(
                allowed, rows, found.fetched_at, self.claim.purpose, self.shaped.faults, self.bounds
            )
            records[key] = shown
            self.disclosures += disclosed
        plain = {"__typename": edge_type(self.claim.node.resource.name)}
        return [
            {
                key: records[key][number] if name == "node" else cursors[number] if name == "cursor" else plain[name]
                for key, name in cell.parts
            }
            for number in range(len(rows))
        ]

    def _total(self, search: AllowedSearch, cell: TotalCell) -> int | None:
        assert search.total
        resource = self.claim.node.resource
        if not search.total.allow:
            coordinate = f"{resource.name}.{resource.key}"
            self.shaped.faults.append(denied(search.total, (self.claim.node.key, cell.key), coordinate))
        return self.page.total

    def _note_used(self, search: AllowedSearch, letter: str, entities: list[str]) -> None:
        """Note what chose and ordered the records, and whose they are; a search that found nobody stands without one."""
        claim, refused = self.claim, search.adults_only
        uses = [(item, act, claim.subject.then(item.subject), decision) for item, act, decision in search.used]
        if search.total:
            key = claim.node.resource.items[claim.node.resource.key or ""]
            uses.append((key, Act.AGGREGATE, claim.subject, search.total))
        if letter == FAILED and not all(decision.allow for *_, decision in uses):
            uses = [one for one in uses if not one[3].allow]  # what would have been allowed has not failed
        elif refused:
            shown = {item.name: (item, decision) for one in search.shown.values() for item, decision in one.decisions}
            uses += [(item, Act.READ, claim.subject.then(item.subject), one) for item, one in shown.values()]
        used = Used.of(uses)
        if refused:  # not by the policy, which had allowed it: by what a page would tell
            rules = tuple(ADULTS_REFUSED.rule_id if decision.allow else decision.rule_id for *_, decision in uses)
            used = replace(used, rules=rules)
        letters = "".join(DENIED if refused or not decision.allow else letter for *_, decision in uses)
        self._note(used, letters, entities)

    def _note_refused(self, refusal: Decision) -> None:
        """Note what was asked for: what it would have been chosen and ordered by, and what it would have shown."""
        claim, items = self.claim, self.claim.node.resource.items
        asked = [(items[one.item], Act.FILTER) for one in claim.where]
        asked += [(items[one.item], Act.SORT) for one in claim.order]
        asked += [(c.item, Act.READ) for one in claim.node.nodes for c in one.cells if isinstance(c, ItemCell)]
        once = {item.name: (item, act) for item, act in reversed(asked)}
        uses = [(item, act, claim.subject.then(item.subject), refusal) for item, act in reversed(once.values())]
        self._note(Used.of(uses), DENIED * len(uses), [""])

    def _note(self, used: Used, letters: str, entities: list[str]) -> None:
        node, subject = self.claim.node, self.claim.subject
        groups, entity = {letters: entities}, node.resource.entity or ""
        noted = NodeDisclosure((node.key,), node.resource.name, subject, used, groups, entity, self._named())
        self.disclosures.append(noted)

    def _named(self) -> frozenset[tuple[str, str]]:
        """The data subjects that the question itself names, by their identifiers in `where`."""
        items = self.claim.node.resource.items
        return frozenset(
            (entity, str(value))
            for condition in self.claim.where
            if (entity := self.shaper.entity_of(items[condition.item].type))
            for value in condition.values
        )
