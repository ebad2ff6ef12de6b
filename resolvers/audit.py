"""Root fields for auditors: what was disclosed, what stands out, what was shared. They read the ledger's index, and no department."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from dataclasses import fields as fields_of_class
from datetime import UTC, datetime
from typing import Annotated, Any

import orjson
import strawberry
from strawberry.types import Info

from audit.index import Answer, Progress
from audit.questions import Disclosure, Place, Question
from audit.statistics import Activity, Age, Patterns, Use, ages_of, is_shown, patterns_of, uses_of
from policies.cases import MAX_NUMBER
from policies.identity import Role
from resolvers.audit_types import (
    ActivityView,
    ComparisonView,
    ConnectionView,
    DataSubjectInput,
    DepartmentView,
    DisclosureView,
    EdgeView,
    FilterInput,
    FreshnessView,
    LineView,
    PatternsView,
    RepeatView,
    StatisticsView,
)
from resolvers.cursors import CursorInvalid, Cursors
from resolvers.disclose import Act
from resolvers.line import Context
from schema.catalogue import Resource
from schema.connections import PageInfo
from schema.errors import FieldFault, Text
from schema.formats import CHINA
from schema.identifiers import PARSERS, IdentifierError

_MONTH = re.compile(r"([0-9]{4})-(0[1-9]|1[0-2])")
_MOST, _USUAL = 500, 50
_LONGEST = 200
"""Characters that a frame keeps of what a question names."""


_Month = Annotated[str, strawberry.argument(description="月份, such as 2026-11, in China's time.")]
_Department = Annotated[str | None, strawberry.argument(description="部门: of this one only.")]


@strawberry.type
class AuditQueries:
    @strawberry.field(
        description="披露记录: who was shown what, of whom, for which purpose, under which rule. For auditors. "
        "Without `first` both `since` and `until` are needed."
    )
    async def disclosures(
        self,
        info: Info[Context, None],
        filter: Annotated[FilterInput | None, strawberry.argument(description="查询条件")] = None,  # noqa: A002
        first: Annotated[int | None, strawberry.argument(description="条数: 500 at the most.")] = None,
        after: Annotated[str | None, strawberry.argument(description="游标: what is older than this one.")] = None,
    ) -> ConnectionView | None:
        context, wanted = _auditors(info), filter or FilterInput()
        asked = _identified(context, wanted.data_subject) if wanted.data_subject else None
        question = _question(wanted, context.line.recorder.hashes.of(*asked) if asked else "")
        if first is None and (question.since is None or question.until is None):
            raise FieldFault("RANGE_UNBOUNDED")
        if first is not None and not 1 <= first <= _MOST:
            raise FieldFault("PAGE_INVALID", Text("`first` is not from 1 to 500", "first 应在 1 至 500 之间"))
        told = _asked(
            "disclosures", asdict(question), subject=question.subject, department=question.department,
            case=question.case, dataSubject=question.entity,
        )  # fmt: skip
        bound_to = (context.identity.subject, context.identity.department, told["field"], told["digest"])
        before = _place(context.line.cursors, after, bound_to) if after is not None else None
        case = question.case[:MAX_NUMBER]
        context.note(Act("disclosures", "AuditLine", case, subjects=(asked,) if asked else (), asked=told))
        answer = await context.line.index.ask(replace(question, before=before), first or _USUAL)
        return _connection(answer, after, lambda place: context.line.cursors.seal((place.at, place.entry), bound_to))

    @strawberry.field(description="异常线索: users of a month that stand out, and how. For auditors.")
    async def audit_patterns(
        self,
        info: Info[Context, None],
        month: _Month,
        department: _Department = None,
        first: Annotated[int, strawberry.argument(description="条数: of each kind, 500 at the most.")] = 20,
    ) -> PatternsView | None:
        context, number = _auditors(info), _month(month)
        if not 1 <= first <= _MOST:
            raise FieldFault("PAGE_INVALID", Text("`first` is not from 1 to 500", "first 应在 1 至 500 之间"))
        named = {"month": month, "department": department or ""}
        context.note(Act("auditPatterns", "AuditLine", asked=_asked("auditPatterns", named, **named)))
        found, progress = await context.line.index.read(
            lambda connection, ledger: patterns_of(connection, ledger, number, department or "", first)
        )
        _not_removed(month, progress)
        return _patterns(month, found, progress)

    @strawberry.field(description="共享使用统计: shares, uses and refusals of a month by department. For auditors.")
    async def audit_statistics(
        self, info: Info[Context, None], month: _Month, department: _Department = None
    ) -> StatisticsView | None:
        context, number = _auditors(info), _month(month)
        named = {"month": month, "department": department or ""}
        context.note(Act("auditStatistics", "AuditLine", asked=_asked("auditStatistics", named, **named)))
        (uses, ages), progress = await context.line.index.read(
            lambda connection, _: (uses_of(connection, number), ages_of(connection, number))
        )
        resources = context.snapshot.catalogue.resources
        _not_removed(month, progress)
        told = [one for one in _departments(uses, ages, resources) if department in (None, one.department)]
        return StatisticsView(
            month=month,
            departments=told,
            indexed_through=progress.indexed,
            recorded_through=progress.recorded,
            removed_through=progress.removed or None,
        )


def _auditors(info: Info[Context, None]) -> Context:
    """The context of an auditor; FieldFault ROLE_REQUIRED for anybody else."""
    if info.context.identity.role is not Role.AUDITOR:
        raise FieldFault("ROLE_REQUIRED", Text("this needs the role auditor", "需要审计岗位"))
    return info.context


def _asked(field: str, question: Mapping[str, Any], **named: str) -> dict[str, str]:
    """What a frame keeps of a question: a digest of all that it asks for, and what it names."""
    given = {name: value for name, value in question.items() if value not in ("", None, False)}
    digest = hashlib.sha256(orjson.dumps(given, option=orjson.OPT_SORT_KEYS)).hexdigest()[:32]
    return {"field": field, "digest": digest} | {name: value[:_LONGEST] for name, value in named.items() if value}


def _place(cursors: Cursors, after: str, bound_to: Sequence[str]) -> Place:
    """Where the page before ended. FieldFault PAGE_INVALID."""
    try:
        at, entry = cursors.place(after, bound_to)
    except (CursorInvalid, ValueError):
        raise FieldFault("PAGE_INVALID", Text("`after` is no cursor of this question", "游标与本次查询不符")) from None
    return Place(at, entry)


def _question(wanted: FilterInput, entity: str) -> Question:
    """The question of a filter. FieldFault RANGE_INVALID, VARIABLES_INVALID."""
    resource, item = wanted.resource or "", ""
    if wanted.item:
        of_item, _, item = wanted.item.partition(".")
        if not item or (resource and resource != of_item):
            raise FieldFault("VARIABLES_INVALID", Text("`item` is not Resource.item", "信息项应写作 信息资源.信息项"))
        resource = of_item
    since, until = _moment(wanted.since), _moment(wanted.until)
    if since is not None and until is not None and since >= until:
        raise FieldFault("RANGE_INVALID", Text("`since` is not before `until`", "起始时间不早于截止时间"))
    same = ("subject", "department", "client", "purpose", "case", "scenario", "outcome", "grant")
    texts: dict[str, Any] = {name: getattr(wanted, name) or "" for name in same}
    return Question(
        entity=entity, since=since, until=until, resource=resource, item=item, rule=wanted.rule_id or "",
        outside_hours=wanted.outside_hours, used_only=wanted.used_only,
        **texts,
    )  # fmt: skip


def _moment(given: datetime | None) -> int | None:
    """Microseconds since 1970 UTC; a time without a zone is China's."""
    if given is None:
        return None
    since = (given if given.tzinfo else given.replace(tzinfo=CHINA)) - datetime(1970, 1, 1, tzinfo=UTC)
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


def _month(given: str) -> int:
    found = _MONTH.fullmatch(given)
    if not found:
        raise FieldFault("RANGE_INVALID", Text("`month` is not a month such as 2026-11", "月份格式应如 2026-11"))
    return int(found[1]) * 100 + int(found[2])


def _not_removed(month: str, progress: Progress) -> None:
    """FieldFault MONTH_REMOVED for a month whose records are gone: that it counts nothing would be no answer."""
    if month <= progress.removed:
        raise FieldFault("MONTH_REMOVED")


def _time(at: int) -> datetime:
    return datetime.fromtimestamp(at / 1_000_000, CHINA)


def _connection(answer: Answer, after: str | None, cursor: Callable[[Place], str]) -> ConnectionView:
    edges = [EdgeView(cursor=cursor(one.place), node=_view(one)) for one in answer.records]
    info = PageInfo(
        has_next_page=answer.end is not None,
        has_previous_page=after is not None,
        start_cursor=edges[0].cursor if edges else None,
        end_cursor=edges[-1].cursor if edges else None,
    )
    return ConnectionView(
        edges=edges,
        page_info=info,
        indexed_through=answer.indexed,
        recorded_through=answer.recorded,
        removed_through=answer.removed or None,
    )


def _view(one: Disclosure) -> DisclosureView:
    return DisclosureView(
        id=str(one.place.entry),
        at=_time(one.place.at),
        operation_id=one.operation,
        place=str(one.seq),
        subject=one.subject,
        department=one.department,
        role=one.role,
        client=one.client,
        purpose=one.purpose or None,
        case=one.case or None,
        scenario=one.scenario or None,
        data_subject=one.entity or None,
        policy_version=one.policy,
        lines=[
            LineView(
                resource=line.resource,
                item=line.item or None,
                outcome=line.outcome,
                rule_id=line.rule or None,
                subject_class=line.subject_class or None,
            )
            for line in one.lines
        ],
    )


def _activity(one: Activity) -> ActivityView:
    return ActivityView(**{field.name: getattr(one, field.name) for field in fields_of_class(one)})


def _patterns(month: str, found: Patterns, progress: Progress) -> PatternsView:
    return PatternsView(
        month=month,
        outside_hours=[_activity(one) for one in found.outside_hours],
        more_applicants_than_cases=[_activity(one) for one in found.more_applicants],
        looked_up_again=[
            RepeatView(
                subject=one.subject,
                department=one.department,
                role=one.role,
                data_subject=one.entity,
                case=one.case or None,
                days=one.days,
                first_at=_time(one.first_at),
            )
            for one in found.looked_up_again
        ],
        looked_up_again_complete=not found.unread,
        top_users=[
            ComparisonView(activity=_activity(one.activity), peers=one.peers, median=one.median, ratio=one.ratio)
            for one in found.top_users
        ],
        indexed_through=progress.indexed,
        recorded_through=progress.recorded,
        removed_through=progress.removed or None,
    )


def _departments(uses: list[Use], ages: Mapping[str, Age], resources: Mapping[str, Resource]) -> list[DepartmentView]:
    """A row for each department that used data or whose data was used; a resource that is gone from the catalogue has no provider."""
    rows: dict[str, dict[str, Any]] = {}

    def row(department: str) -> dict[str, Any]:
        counts = ("records", "users", "used", "refused", "failed", "shared", "withheld")
        return rows.setdefault(department, {"department": department, "freshness": []} | dict.fromkeys(counts, 0))

    for use in uses:
        mine = row(use.department)
        mine["records"], mine["users"] = use.records, use.users
        for (resource, outcome), fields in use.fields.items():
            provider = resources[resource].department if resource in resources else ""
            others = row(provider) if provider and provider != use.department else None
            for name, theirs, counts in (
                ("used", "shared", is_shown(outcome)),
                ("refused", "withheld", outcome == "DENIED"),
                ("failed", "", outcome == "FAILED"),
            ):
                mine[name] += fields * counts
                if others and theirs:
                    others[theirs] += fields * counts
    for name, age in sorted(ages.items()):
        if name in resources:
            row(resources[name].department)["freshness"].append(_freshness(resources[name], age))
    return [DepartmentView(**rows[name]) for name in sorted(rows)]


def _freshness(resource: Resource, age: Age) -> FreshnessView:
    days = round(age.seconds / 86_400, 2)
    return FreshnessView(
        resource=resource.name,
        title=resource.title,
        update_cycle=resource.update_cycle,
        records=age.records,
        average_days=days,
    )


def _identified(context: Context, given: DataSubjectInput) -> tuple[str, str]:
    entity = context.snapshot.catalogue.entities.get(given.entity)
    if entity is None:
        raise FieldFault("IDENTIFIER_INVALID", Text("there is no such entity", "没有该实体类型"))
    try:
        return entity.name, PARSERS[entity.type](given.identifier)
    except IdentifierError as error:
        raise FieldFault("IDENTIFIER_INVALID", Text(error.reason_en, error.reason_zh)) from None
