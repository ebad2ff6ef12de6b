"""Root fields for auditors: what was disclosed, what stands out, what was shared. They read the ledger's index, and no department."""

from __future__ import annotations

import re
from dataclasses import fields as fields_of_class
from datetime import UTC, datetime
from typing import Annotated, Any

import strawberry
from strawberry.types import Info

from audit.index import Answer, Progress
from audit.questions import Disclosure, Place, Question
from audit.statistics import Activity, Patterns, Use, is_shown, patterns_of, uses_of
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
    LineView,
    PatternsView,
    RepeatView,
    StatisticsView,
)
from resolvers.disclose import Act
from resolvers.line import Context
from schema.connections import PageInfo
from schema.errors import FieldFault, Text
from schema.formats import CHINA
from schema.identifiers import PARSERS, IdentifierError

_CURSOR = re.compile(r"([0-9]{1,18})\.([0-9]{1,18})")
_MONTH = re.compile(r"([0-9]{4})-(0[1-9]|1[0-2])")
_MOST, _USUAL = 500, 50


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
        question = _question(wanted, context.line.recorder.hashes.of(*asked) if asked else "", after)
        if first is None and (question.since is None or question.until is None):
            raise FieldFault("RANGE_UNBOUNDED")
        if first is not None and not 1 <= first <= _MOST:
            raise FieldFault("PAGE_INVALID", Text("`first` is not from 1 to 500", "first 应在 1 至 500 之间"))
        case = (wanted.case or "")[:MAX_NUMBER]
        context.note(Act("disclosures", "AuditLine", case, subjects=(asked,) if asked else ()))
        return _connection(await context.line.index.ask(question, first or _USUAL), after)

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
        context.note(Act("auditPatterns", "AuditLine"))
        found, progress = await context.line.index.read(
            lambda connection, ledger: patterns_of(connection, ledger, number, department or "", first)
        )
        return _patterns(month, found, progress)

    @strawberry.field(description="共享使用统计: shares, uses and refusals of a month by department. For auditors.")
    async def audit_statistics(
        self, info: Info[Context, None], month: _Month, department: _Department = None
    ) -> StatisticsView | None:
        context, number = _auditors(info), _month(month)
        context.note(Act("auditStatistics", "AuditLine"))
        uses, progress = await context.line.index.read(lambda connection, _: uses_of(connection, number))
        providers = {name: one.department for name, one in context.snapshot.catalogue.resources.items()}
        told = [one for one in _departments(uses, providers) if department in (None, one.department)]
        return StatisticsView(
            month=month, departments=told, indexed_through=progress.indexed, recorded_through=progress.recorded
        )


def _auditors(info: Info[Context, None]) -> Context:
    """The context of an auditor; FieldFault ROLE_REQUIRED for anybody else."""
    if info.context.identity.role is not Role.AUDITOR:
        raise FieldFault("ROLE_REQUIRED", Text("this needs the role auditor", "需要审计岗位"))
    return info.context


def _question(wanted: FilterInput, entity: str, after: str | None) -> Question:
    """The question of a filter. FieldFault RANGE_INVALID, PAGE_INVALID, VARIABLES_INVALID."""
    resource, item = wanted.resource or "", ""
    if wanted.item:
        of_item, _, item = wanted.item.partition(".")
        if not item or (resource and resource != of_item):
            raise FieldFault("VARIABLES_INVALID", Text("`item` is not Resource.item", "信息项应写作 信息资源.信息项"))
        resource = of_item
    since, until = _moment(wanted.since), _moment(wanted.until)
    if since is not None and until is not None and since >= until:
        raise FieldFault("RANGE_INVALID", Text("`since` is not before `until`", "起始时间不早于截止时间"))
    place = _CURSOR.fullmatch(after) if after is not None else None
    if after is not None and place is None:
        raise FieldFault("PAGE_INVALID", Text("`after` is none of our cursors", "游标无效"))
    same = ("subject", "department", "client", "purpose", "case", "scenario", "outcome", "grant")
    return Question(
        entity=entity, since=since, until=until, resource=resource, item=item, rule=wanted.rule_id or "",
        outside_hours=wanted.outside_hours, used_only=wanted.used_only,
        before=Place(int(place[1]), int(place[2])) if place else None,
        **{name: getattr(wanted, name) or "" for name in same},
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


def _time(at: int) -> datetime:
    return datetime.fromtimestamp(at / 1_000_000, CHINA)


def _connection(answer: Answer, after: str | None) -> ConnectionView:
    edges = [EdgeView(cursor=f"{one.place.at}.{one.place.entry}", node=_view(one)) for one in answer.records]
    info = PageInfo(
        has_next_page=answer.end is not None,
        has_previous_page=after is not None,
        start_cursor=edges[0].cursor if edges else None,
        end_cursor=edges[-1].cursor if edges else None,
    )
    return ConnectionView(edges=edges, page_info=info, indexed_through=answer.indexed, recorded_through=answer.recorded)


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
    )


def _departments(uses: list[Use], providers: dict[str, str]) -> list[DepartmentView]:
    """A row for each department that used data or whose data was used; a resource that is gone from the catalogue has no provider."""
    rows: dict[str, dict[str, Any]] = {}

    def row(department: str) -> dict[str, Any]:
        counts = ("records", "users", "used", "refused", "failed", "shared", "withheld")
        return rows.setdefault(department, {"department": department} | dict.fromkeys(counts, 0))

    for use in uses:
        mine = row(use.department)
        mine["records"], mine["users"] = use.records, use.users
        for (resource, outcome), fields in use.fields.items():
            provider = providers.get(resource)
            others = row(provider) if provider and provider != use.department else None
            for name, theirs, counts in (
                ("used", "shared", is_shown(outcome)),
                ("refused", "withheld", outcome == "DENIED"),
                ("failed", "", outcome == "FAILED"),
            ):
                mine[name] += fields * counts
                if others and theirs:
                    others[theirs] += fields * counts
    return [DepartmentView(**rows[name]) for name in sorted(rows)]


def _identified(context: Context, given: DataSubjectInput) -> tuple[str, str]:
    entity = context.snapshot.catalogue.entities.get(given.entity)
    if entity is None:
        raise FieldFault("IDENTIFIER_INVALID", Text("there is no such entity", "没有该实体类型"))
    try:
        return entity.name, PARSERS[entity.type](given.identifier)
    except IdentifierError as error:
        raise FieldFault("IDENTIFIER_INVALID", Text(error.reason_en, error.reason_zh)) from None
