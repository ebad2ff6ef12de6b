"""Root fields for corrections (疑义、错误信息校核, Changsha 32): who was shown a wrong value, and telling their departments.

For officers of the provider and of the supervising department; auditors read. Identifier and value are hashed on the way in and kept nowhere.
"""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime
from typing import Annotated

import strawberry
from strawberry.types import Info

from audit.index import Progress
from audit.readers import Reader, Readers, Wrong, readers_of
from policies.cases import MAX_NUMBER
from policies.corrections import Correction, ReferenceTaken
from policies.grants import Notice, NoticeKind, NoticeUse
from policies.identity import Role
from resolvers.correction_types import (
    AffectedReaderConnection,
    AffectedReaderEdge,
    BetweenInput,
    CorrectionView,
    RecordCorrectionInput,
    correction_view,
    reader_view,
)
from resolvers.disclose import Act
from resolvers.grant_types import local
from resolvers.grants import MAX_NAME, MAX_TEXT, in_role, micros, required, supervises, written
from resolvers.line import Context
from resolvers.versions import micros as exact_micros
from resolvers.versions import read
from resolvers.versions import written as digested
from schema.catalogue import Department, Resource
from schema.connections import PageInfo
from schema.errors import FieldFault, Text
from schema.identifiers import PARSERS, IdentifierError

_CORRECTION = "Correction"
_MOST, _USUAL = 500, 50


@strawberry.type
class CorrectionQueries:
    @strawberry.field(
        description="受影响的使用者: exactly who was shown the value of an item that stood at the source between two moments. "
        "For officers of the provider and of the supervising department, and for auditors."
    )
    async def affected_readers(
        self,
        info: Info[Context, None],
        resource: Annotated[str, strawberry.argument(description="信息资源")],
        item: Annotated[str, strawberry.argument(description="信息项: its name in the resource.")],
        entity: Annotated[str, strawberry.argument(description="标识号码: whose record; hashed on the way in.")],
        between: Annotated[BetweenInput, strawberry.argument(description="错误内容存在的时间: at the source.")],
        value: Annotated[
            str | None,
            strawberry.argument(
                description="错误内容: needed where the source tells no moment of a record's last change."
            ),
        ] = None,
        first: Annotated[int, strawberry.argument(description="条数: 500 at the most.")] = _USUAL,
        after: Annotated[str | None, strawberry.argument(description="游标: what is older than this one.")] = None,
    ) -> AffectedReaderConnection | None:
        context = in_role(info, Role.OFFICER, Role.AUDITOR)
        about = _provided(context, resource)
        identifier = _identifier(context, about, entity)
        wrong = _wrong(context, about, item, identifier, between, value)
        if not 1 <= first <= _MOST:
            raise FieldFault("PAGE_INVALID", Text("`first` is not from 1 to 500", "first 应在 1 至 500 之间"))
        context.note(Act("affectedReaders", "AuditLine", subjects=((about.entity or "", identifier),)))
        found, progress = await _readers(context, wrong)
        return _connection(found, progress, first, after)

    @strawberry.field(
        description="更正列表: those of the acting department's data, newest first; all of them for the supervising department."
    )
    async def corrections(
        self,
        info: Info[Context, None],
        first: Annotated[int, strawberry.argument(description="条数: 100 at the most.")] = 50,
    ) -> list[CorrectionView] | None:
        context = in_role(info, Role.OFFICER, Role.AUDITOR)
        context.note(Act("corrections", _CORRECTION))
        provider = "" if supervises(context) else context.identity.department
        found = await context.line.control.corrections.latest(provider, max(0, min(first, 100)))
        return [correction_view(one) for one in found]


@strawberry.type
class CorrectionMutations:
    @strawberry.mutation(
        description="更正登记: record that a value was wrong and has been put right, and tell each department that was shown it. "
        "For officers of the provider and of the supervising department."
    )
    async def record_correction(
        self,
        info: Info[Context, None],
        input: Annotated[RecordCorrectionInput, strawberry.argument(description="更正登记")],  # noqa: A002
    ) -> CorrectionView | None:
        context = in_role(info, Role.OFFICER)
        about = _provided(context, input.resource)
        identifier = _identifier(context, about, input.entity)
        wrong = _wrong(context, about, input.item, identifier, input.between, input.value)
        reason = written("reason", input.reason, MAX_TEXT, code="CORRECTION_INVALID")
        reference = written("reference", input.reference, MAX_NAME, code="CORRECTION_INVALID")
        parts = (wrong.entity, wrong.item, wrong.since, wrong.until, wrong.digest, reason, reference)
        request = context.line.recorder.hashes.of(about.name, "\x1f".join(map(str, parts)))
        subjects = ((about.entity or "", identifier),)
        corrections = context.line.control.corrections
        known = await corrections.find(about.department, reference)
        if known is None:
            await context.intend(Act("recordCorrection", _CORRECTION, reference[:MAX_NUMBER], subjects=subjects))
            found, progress = await _readers(context, wrong)
            if progress.indexed < progress.recorded:
                raise FieldFault("INDEX_BEHIND")
            correction = Correction(
                "", about.department, about.name, wrong.item, wrong.entity, wrong.since, wrong.until, reference, reason,
                f"{context.identity.subject}@{context.identity.department}", micros(context.now), found.undetermined, request,
            )  # fmt: skip
            try:
                known = await corrections.record(correction, _notices(context, about, correction, found.readers))
            except ReferenceTaken:
                raise FieldFault("CORRECTION_EXISTS") from None
        elif known.request != request:
            raise FieldFault("CORRECTION_EXISTS")
        context.note(Act("recordCorrection", _CORRECTION, known.id, subjects=subjects))
        return correction_view(known)


def _provided(context: Context, name: str) -> Resource:
    """The resource, if the caller may ask about its readers. FieldFault RESOURCE_UNKNOWN, ROLE_REQUIRED."""
    resource = context.snapshot.catalogue.resources.get(name)
    if resource is None or not resource.connected or resource.entity is None:
        raise FieldFault("RESOURCE_UNKNOWN")
    own = context.identity.department == resource.department
    if context.identity.role is Role.OFFICER and not own and not supervises(context):
        raise required(resource.department, f"提供部门 {resource.department} ")
    return resource


def _identifier(context: Context, resource: Resource, given: str) -> str:
    """The canonical identifier. FieldFault IDENTIFIER_INVALID."""
    entity = context.snapshot.catalogue.entities[resource.entity or ""]
    try:
        return PARSERS[entity.type](given)
    except IdentifierError as error:
        raise FieldFault("IDENTIFIER_INVALID", Text(error.reason_en, error.reason_zh)) from None


def _wrong(
    context: Context, resource: Resource, name: str, identifier: str, between: BetweenInput, value: str | None
) -> Wrong:
    """The wrong value, hashed. FieldFault ITEM_UNKNOWN, RANGE_INVALID, VALUE_INVALID."""
    item, hashes, entity = resource.items.get(name), context.line.recorder.hashes, resource.entity or ""
    if item is None:
        raise FieldFault("ITEM_UNKNOWN")
    since, until = _moment(between.since), None if between.until is None else _moment(between.until)
    if since > exact_micros(context.now):
        raise FieldFault("RANGE_INVALID", Text("`since` is in the future", "起始时间晚于现在"))
    if until is not None and since >= until:
        raise FieldFault("RANGE_INVALID", Text("`since` is not before `until`", "起始时间不早于截止时间"))
    digest = ""
    if value is not None:
        try:
            canonical = read(item, value, context.snapshot.catalogue)
        except ValueError:
            raise FieldFault("VALUE_INVALID") from None
        digest = hashes.value(entity, identifier, f"{resource.name}.{name}", digested(canonical))
    return Wrong(hashes.of(entity, identifier), resource.name, name, since, until, digest)


def _moment(given: datetime) -> int:
    """Microseconds since 1970 UTC. FieldFault RANGE_INVALID for what no database could keep."""
    if not 1900 <= given.year < 9999:
        raise FieldFault("RANGE_INVALID", Text("the time is out of range", "时间超出范围"))
    return exact_micros(given)


async def _readers(context: Context, wrong: Wrong) -> tuple[Readers, Progress]:
    """Who was shown the value. FieldFault VALUE_REQUIRED where only the value could tell."""
    found, progress = await context.line.index.read(lambda connection, ledger: readers_of(connection, ledger, wrong))
    if found.needs_value:
        raise FieldFault("VALUE_REQUIRED")
    return found, progress


def _connection(found: Readers, progress: Progress, first: int, after: str | None) -> AffectedReaderConnection:
    """A page of the readers. FieldFault PAGE_INVALID for a cursor that is none of theirs."""
    cursors = [f"{one.seq}.{one.number}" for one in found.readers]
    if after is not None and after not in cursors:
        raise FieldFault("PAGE_INVALID", Text("`after` is none of our cursors", "游标无效"))
    begin = cursors.index(after) + 1 if after is not None else 0
    page = slice(begin, begin + first)
    edges = [
        AffectedReaderEdge(cursor=cursor, node=reader_view(one))
        for cursor, one in zip(cursors[page], found.readers[page], strict=True)
    ]
    info = PageInfo(
        has_next_page=begin + first < len(cursors),
        has_previous_page=begin > 0,
        start_cursor=edges[0].cursor if edges else None,
        end_cursor=edges[-1].cursor if edges else None,
    )
    return AffectedReaderConnection(
        edges=edges,
        page_info=info,
        total_count=len(cursors),
        undetermined=found.undetermined,
        indexed_through=progress.indexed,
        recorded_through=progress.recorded,
    )


def _notices(context: Context, resource: Resource, one: Correction, readers: tuple[Reader, ...]) -> list[Notice]:
    """One notice to each department that was shown the wrong value: no value, no name."""
    uses: dict[str, list[NoticeUse]] = defaultdict(list)
    for reader in readers:
        uses[reader.department].append(NoticeUse(reader.operation, reader.case, reader.at, reader.outcomes))
    text = _told(context.snapshot.catalogue.departments[resource.department], resource, one)
    return [Notice(0, one.at, NoticeKind.CORRECTED, text, "", name, tuple(uses[name])) for name in sorted(uses)]


def _told(provider: Department, resource: Resource, one: Correction) -> Text:
    item = resource.items[one.item]
    since, until = (moment and f"{local(moment):%Y-%m-%d %H:%M:%S}" for moment in (one.since, one.until))
    return Text(
        f"{provider.slug} has corrected {resource.name}.{item.name}, wrong from {since} to {until or 'this day'} in a record"
        f" shown to your department. Reason: {one.reason}. Reference: {one.reference}. Contact: {provider.contact}",
        f"{provider.title}已更正“{resource.title}”的“{item.title}”：贵部门使用过的一条记录在{since}至{until or '登记时'}期间有误。"
        f"理由：{one.reason}。文号：{one.reference}。联系方式：{provider.contact}",
    )
