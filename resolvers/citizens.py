"""The root field for data subjects: what was disclosed of the own person, newest first, with the proof that nothing was left out.

Hunan, chapter 5, and the Personal Information Protection Law, article 44: everybody may know how the own data is used. Of the clerk
the department is told, not the name; of others who were in the same operation nothing.
"""

from __future__ import annotations

import asyncio
import base64
import re
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Annotated, Any

import orjson
import strawberry
from strawberry.types import Info

from audit.frame import OUTCOMES
from audit.questions import Place, Question
from audit.records import ACTS
from audit.sparse import Tampered
from audit.store import StoredFrame, StoreUnavailable
from audit.subjects import Entry, ListProofs, OwnLists
from policies.identity import Role
from policies.snapshot import Snapshot
from resolvers.disclose import Act
from resolvers.line import Context
from schema.catalogue import Department
from schema.connections import PageInfo
from schema.errors import Fault, FieldFault, RequestError, Text
from schema.formats import CHINA

_CURSOR = re.compile(r"([0-9]{1,18})\.([0-9]{1,18})")
_MOST, _USUAL = 200, 50
_First = Annotated[int, strawberry.argument(description="条数: 200 at the most.")]
_After = Annotated[str | None, strawberry.argument(description="游标: what is older than this one.")]


@strawberry.type(name="MyDisclosureUse", description="使用情况: what was done with one item of the own data.")
class UseView:
    resource: str = strawberry.field(description="信息资源")
    resource_title: str | None = strawberry.field(description="信息资源名称")
    provider: str | None = strawberry.field(description="提供部门")
    item: str | None = strawberry.field(
        description="信息项; null where there is none, or another's record named the person."
    )
    item_title: str | None = strawberry.field(description="信息项名称")
    outcome: str = strawberry.field(
        description="结果: RETURNED, ABSENT, MASKED, DENIED, FAILED, JOINED, USED, MATCHED, MISMATCHED, NAMED ..."
    )
    act: str | None = strawberry.field(description="操作: what was done beside the catalogue, such as acceptCase.")
    records: int = strawberry.field(description="记录数: in how many records of the person.")
    subject_class: str | None = strawberry.field(description="与办件的关系")
    purpose: str | None = strawberry.field(description="用途")
    matter: str | None = strawberry.field(description="办理事项: the service item or scenario, by its title.")
    matter_code: str | None = strawberry.field(description="事项编码或应用场景")
    matter_basis: str | None = strawberry.field(description="事项依据")
    case: str | None = strawberry.field(description="受理号: of a case whose subject the person is.")
    rule_id: str | None = strawberry.field(description="规则")
    article: str | None = strawberry.field(description="依据: the article behind the rule.")


@strawberry.type(name="MyDisclosure", description="本人信息使用记录: one operation that concerned the own person.")
class EntryView:
    place: str = strawberry.field(description="台账位置")
    at: datetime = strawberry.field(description="时间")
    department: str = strawberry.field(description="使用部门")
    role: str = strawberry.field(description="岗位")
    outcome: str = strawberry.field(description="操作结果")
    uses: list[UseView] = strawberry.field(description="使用情况")
    covered: bool = strawberry.field(description="已纳入承诺: whether the proof covers it.")
    data_subject: str = strawberry.field(description="数据主体（密钥散列）: whose list it belongs to.")
    leaf: str = strawberry.field(description="台账叶散列: of its record, for the proof.")
    text: str = strawberry.field(description="条目原文: what the list is chained of, for the proof.")


@strawberry.type(name="MyDisclosureEdge", description="本人信息使用记录及其位置 (Relay).")
class EdgeView:
    cursor: str = strawberry.field(description="游标")
    node: EntryView = strawberry.field(description="本人信息使用记录")


@strawberry.type(name="MyDisclosureConnection", description="本人信息使用记录, newest first (Relay).")
class ConnectionView:
    edges: list[EdgeView] = strawberry.field(description="本人信息使用记录")
    page_info: PageInfo = strawberry.field(description="分页信息")
    indexed_through: int = strawberry.field(description="索引进度: how far the search index has come in the ledger.")
    recorded_through: int = strawberry.field(
        description="台账进度: how far the ledger was when the question was asked."
    )
    covered_through: int = strawberry.field(
        description="承诺进度: up to which place the proof shows that nothing is left out."
    )
    proof: str | None = strawberry.field(
        description="完整性证明 (JSON): checkpoint, path in the map of data subjects, count and head of the list. "
        "Null before the first commitment."
    )


@strawberry.type
class CitizenQueries:
    @strawberry.field(
        description="本人信息使用记录: which department used which of the own data, when, for which matter, on which basis. "
        "For data subjects."
    )
    async def my_disclosures(
        self,
        info: Info[Context, None],
        first: _First = _USUAL,
        after: _After = None,
    ) -> ConnectionView | None:
        context = info.context
        who = context.identity.data_subject
        if context.identity.role is not Role.CITIZEN or who is None:
            raise FieldFault("ROLE_REQUIRED", Text("this needs the role citizen", "仅限数据主体本人"))
        if not 1 <= first <= _MOST:
            raise FieldFault("PAGE_INVALID", Text("`first` is not from 1 to 200", "first 应在 1 至 200 之间"))
        before = _place(after) if after is not None else None
        context.note(Act("myDisclosures", "MyDisclosure", subjects=(who,)))
        subjects = context.line.recorder.hashes_of(*who)
        proof = await asyncio.to_thread(
            _proof, context.line.lists, subjects
        )  # before the page: what it covers is there
        page = await _page(context, subjects, first, before)
        return _connection(page, proof, context.snapshot, before is not None)


@dataclass(frozen=True, slots=True)
class _Found:
    """A record of a list: where it ends in the index, and whose list it is."""

    end: Place
    place: int
    subject: str


@dataclass(frozen=True, slots=True)
class _Page:
    entries: list[tuple[_Found, Entry]]
    more: bool
    indexed: int
    recorded: int


def _place(after: str) -> Place:
    found = _CURSOR.fullmatch(after)
    if found is None:
        raise FieldFault("PAGE_INVALID", Text("`after` is none of our cursors", "游标无效"))
    return Place(int(found[1]), int(found[2]))


def _proof(lists: ListProofs, subjects: list[str]) -> OwnLists | None:
    try:
        return lists.of(subjects)
    except StoreUnavailable:
        raise RequestError(Fault("LEDGER_UNAVAILABLE")) from None
    except Tampered:
        raise FieldFault("LEDGER_SUBJECTS_CHANGED") from None


async def _page(context: Context, subjects: list[str], first: int, before: Place | None) -> _Page:
    """The newest records of these lists behind a place, `first` of them."""
    progress = await context.line.index.progress()
    found = [one for subject in subjects for one in await _records(context, subject, first + 1, before)]
    found.sort(key=lambda one: (one.end.at, one.end.entry), reverse=True)
    entries = await asyncio.to_thread(_entries, context, found[:first])
    return _Page(entries, len(found) > first, progress.indexed, progress.recorded)


async def _records(context: Context, subject: str, most: int, before: Place | None) -> list[_Found]:
    """The newest records of one list: the index has an entry for each case and purpose in a record, one behind the other."""
    found: list[_Found] = []
    question = Question(entity=subject, before=before)
    while True:
        answer = await context.line.index.ask(question, most)
        for one in answer.records:
            if found and found[-1].place == one.seq:
                found[-1] = replace(found[-1], end=one.place)
            elif len(found) == most:
                return found
            else:
                found.append(_Found(one.place, one.seq, subject))
        if answer.end is None:
            return found
        question = replace(question, before=answer.end)


def _entries(context: Context, found: list[_Found]) -> list[tuple[_Found, Entry]]:
    ledger, lists = context.line.recorder.ledger, context.line.lists
    frames: dict[int, StoredFrame] = {one.seq: one for one in ledger.frames({one.place for one in found})}
    names = ledger.coordinates()
    made = ((one, lists.entry(frames[one.place], one.subject, names)) for one in found if one.place in frames)
    return [(one, entry) for one, entry in made if entry]


# -- views -------------------------------------------------------------------------------------------------------------


def _connection(page: _Page, proof: OwnLists | None, snapshot: Snapshot, is_later: bool) -> ConnectionView:
    through = proof.through if proof else 0
    edges = [
        EdgeView(cursor=f"{one.end.at}.{one.end.entry}", node=_view(one.subject, entry, through, snapshot))
        for one, entry in page.entries
    ]
    return ConnectionView(
        edges=edges,
        page_info=PageInfo(
            has_next_page=page.more,
            has_previous_page=is_later,
            start_cursor=edges[0].cursor if edges else None,
            end_cursor=edges[-1].cursor if edges else None,
        ),
        indexed_through=page.indexed,
        recorded_through=page.recorded,
        covered_through=through,
        proof=proof.proof if proof else None,
    )


def _view(subject: str, entry: Entry, through: int, snapshot: Snapshot) -> EntryView:
    told = orjson.loads(entry.text)
    return EntryView(
        place=str(entry.place),
        at=datetime.fromtimestamp(told["at"] / 1_000_000, CHINA),
        department=_title(snapshot.catalogue.departments.get(told["department"]), told["department"]),
        role=told["role"],
        outcome=told["outcome"].upper(),
        uses=[use for act in told["acts"] for use in _uses(act, told["outcome"], snapshot)],
        covered=entry.place <= through,
        data_subject=subject,
        leaf=base64.b64encode(entry.leaf).decode(),
        text=entry.text,
    )


def _title(department: Department | None, slug: str) -> str:
    return department.title if department else slug


def _uses(act: dict[str, Any], outcome: str, snapshot: Snapshot) -> list[UseView]:
    """A line for each item of an act, or one where no item is told."""
    if "outcomes" not in act:
        return [_use(act, None, ACTS.get(outcome, "NAMED"), None, snapshot)]
    items = act["items"] or [None]
    return [
        _use(act, item, OUTCOMES[letter], rule, snapshot)
        for item, letter, rule in zip(items, act["outcomes"], act["rules"], strict=True)
    ]


def _use(act: dict[str, Any], item: str | None, outcome: str, rule: str | None, snapshot: Snapshot) -> UseView:
    catalogue = snapshot.catalogue
    resource = catalogue.resources.get(act["resource"])
    known = resource.items.get(item) if resource and item else None
    service, scenario = catalogue.services.get(act.get("service", "")), catalogue.scenarios.get(act.get("scenario", ""))
    matter = service or scenario
    provider = catalogue.departments[resource.department].title if resource else None
    return UseView(
        resource=act["resource"],
        resource_title=resource.title if resource else None,
        provider=provider,
        item=item,
        item_title=known.title if known else None,
        outcome=outcome,
        act=act.get("act"),
        records=act["records"],
        subject_class=act["subject"] or None,
        purpose=act.get("purpose"),
        matter=matter.title if matter else None,
        matter_code=act.get("service") or act.get("scenario"),
        matter_basis=matter.basis if matter else None,
        case=act.get("case"),
        rule_id=rule,
        article=_article(rule, snapshot) if rule else None,
    )


def _article(rule: str, snapshot: Snapshot) -> str | None:
    try:
        return snapshot.text(rule).article
    except KeyError:
        return None
