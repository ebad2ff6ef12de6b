"""Root field `sources`: how each department's source does. It reads what this process has counted, and asks no department.

That a source is down, and how slow it is, whoever develops or administers may know. How much it is asked, which errors it gives, what it lacks and how old its
data are concerns the department itself, the supervising department and auditors. Nobody is told hosts, statements or values.
"""

from __future__ import annotations

import time
from datetime import datetime
from enum import StrEnum

import strawberry
from strawberry.types import Info

from policies.identity import Role
from resolvers.breaker import State
from resolvers.disclose import Act
from resolvers.grants import in_role, supervises
from resolvers.line import Context
from resolvers.sources import Source
from schema.catalogue import Department, Resource
from schema.formats import CHINA
from schema.types import titled_enum

_STATUS = "SourceStatus"
_CYCLE_DAYS = {"REALTIME": 1, "DAILY": 1, "WEEKLY": 7, "MONTHLY": 31, "QUARTERLY": 92, "YEARLY": 366}


class SourceState(StrEnum):
    """What a source's breaker says, and who looked after it."""

    CLOSED = "CLOSED"
    HALF_OPEN = "HALF_OPEN"
    OPEN = "OPEN"
    UNREACHABLE = "UNREACHABLE"


titled_enum(
    SourceState,
    "数据源状态",
    {
        SourceState.CLOSED: "正常: asked like every source.",
        SourceState.HALF_OPEN: "试探: it answers again, and one call is let through to try it.",
        SourceState.OPEN: "熔断: it failed repeatedly and is left alone.",
        SourceState.UNREACHABLE: "不可达: left alone, and did not answer when somebody last looked.",
    },
)


@strawberry.type(name="SourceLatency", description="响应时间 in milliseconds, of the last five minutes.")
class LatencyView:
    p50: float = strawberry.field(description="中位数")
    p95: float = strawberry.field(description="95% 分位")
    p99: float = strawberry.field(description="99% 分位")


@strawberry.type(name="SourceCount", description="次数: calls that ended with this code.")
class CountView:
    code: str = strawberry.field(description="错误代码")
    count: int = strawberry.field(description="次数")


@strawberry.type(name="SourceLack", description="缺失字段: columns that the catalogue names and the source lacks.")
class LackView:
    resource: str = strawberry.field(description="信息资源")
    title: str = strawberry.field(description="信息资源名称")
    columns: list[str] = strawberry.field(description="字段")


@strawberry.type(
    name="SourceFreshness", description="更新情况: the last change that any answer has told since the start."
)
class FreshnessView:
    resource: str = strawberry.field(description="信息资源")
    title: str = strawberry.field(description="信息资源名称")
    updated_at: datetime = strawberry.field(description="最近更新")
    cycle: str = strawberry.field(description="更新周期: DAILY ... as the catalogue has it.")
    days: int = strawberry.field(description="距今天数")
    late: bool | None = strawberry.field(
        description="周期内未见更新: nothing newer was seen within the cycle; null where there is none."
    )


@strawberry.type(
    name="SourceDetails", description="运行详情: for the department itself, the supervising one and auditors."
)
class DetailsView:
    calls: int = strawberry.field(description="调用次数: since the start, answered or not.")
    errors: list[CountView] = strawberry.field(description="失败次数")
    retried: int = strawberry.field(description="重试次数")
    refused: int = strawberry.field(description="未发起次数: left alone, or too many were waiting.")
    under_way: int = strawberry.field(description="进行中")
    waiting: int = strawberry.field(description="排队")
    lacks: list[LackView] = strawberry.field(description="缺失字段")
    freshness: list[FreshnessView] = strawberry.field(description="更新情况")


@strawberry.type(name="SourceStatus", description="数据源: how a department's source does, as this process sees it.")
class StatusView:
    department: str = strawberry.field(description="提供部门")
    title: str = strawberry.field(description="部门名称")
    contact: str = strawberry.field(description="联系方式")
    state: SourceState = strawberry.field(description="数据源状态")
    latency: LatencyView | None = strawberry.field(description="响应时间: null where nothing was asked lately.")
    details: DetailsView | None = strawberry.field(description="运行详情: null for others than those it is for.")


@strawberry.type
class SourceQueries:
    @strawberry.field(
        description="数据源: the state of every department's source. For developers, officers and auditors; details where they concern them."
    )
    async def sources(self, info: Info[Context, None]) -> list[StatusView] | None:
        context = in_role(info, Role.DEVELOPER, Role.OFFICER, Role.AUDITOR)
        context.note(Act("sources", _STATUS))
        catalogue = context.snapshot.catalogue
        now = time.monotonic()
        return [
            _status(catalogue.departments[slug], source, context, now)
            for slug, source in sorted(context.line.sources.items())
        ]


def state_of(source: Source) -> SourceState:
    """The state of a source: that of its breaker, and whether an open one was looked after in vain."""
    if source.breaker.state is State.OPEN and source.answers is False:
        return SourceState.UNREACHABLE
    return SourceState(source.breaker.state.value)


def _status(department: Department, source: Source, context: Context, now: float) -> StatusView:
    latency = source.calls.latency(now)
    return StatusView(
        department=department.slug,
        title=department.title,
        contact=department.contact,
        state=state_of(source),
        latency=LatencyView(p50=latency.p50, p95=latency.p95, p99=latency.p99) if latency else None,
        details=_details(source, context) if _concerns(context, department) else None,
    )


def _concerns(context: Context, department: Department) -> bool:
    role = context.identity.role
    own = department.slug == context.identity.department or supervises(context)
    return role is Role.AUDITOR or (role is Role.OFFICER and own)


def _details(source: Source, context: Context) -> DetailsView:
    resources, calls = context.snapshot.catalogue.resources, source.calls
    return DetailsView(
        calls=sum(calls.by_code.values()),
        errors=[CountView(code=code, count=count) for code, count in sorted(calls.errors.items())],
        retried=calls.retried,
        refused=calls.refused,
        under_way=source.under_way,
        waiting=source.waiting,
        lacks=[
            LackView(resource=name, title=resources[name].title, columns=list(columns))
            for name, columns in sorted(source.lacks.items())
        ],
        freshness=[_freshness(resources[name], seen, context.now) for name, seen in sorted(calls.updated.items())],
    )


def _freshness(resource: Resource, seen: datetime, now: datetime) -> FreshnessView:
    days = max(0, (now - seen).days)
    cycle = _CYCLE_DAYS.get(resource.update_cycle)
    return FreshnessView(
        resource=resource.name,
        title=resource.title,
        updated_at=seen.astimezone(CHINA),
        cycle=resource.update_cycle,
        days=days,
        late=None if cycle is None else days > cycle,
    )
