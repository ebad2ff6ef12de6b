"""The GraphQL types of what auditors read."""

from __future__ import annotations

from datetime import datetime

import strawberry

from schema.connections import PageInfo


@strawberry.type(name="AuditLine", description="留痕: one resolved field of a disclosure.")
class LineView:
    resource: str = strawberry.field(description="信息资源")
    item: str | None = strawberry.field(description="信息项")
    outcome: str = strawberry.field(
        description="结果: RETURNED, ABSENT, MASKED, DENIED, FAILED, JOINED, USED, MATCHED, MISMATCHED, NAMED ..."
    )
    rule_id: str | None = strawberry.field(description="规则")
    subject_class: str | None = strawberry.field(description="与办件的关系")


@strawberry.type(name="Disclosure", description="披露记录: what one operation told of one data subject.")
class DisclosureView:
    id: str = strawberry.field(description="留痕编号")
    at: datetime = strawberry.field(description="时间")
    operation_id: str = strawberry.field(description="操作编号")
    place: str = strawberry.field(description="台账位置: of its frame in the ledger.")
    subject: str = strawberry.field(description="使用人")
    department: str = strawberry.field(description="使用部门")
    role: str = strawberry.field(description="岗位")
    client: str = strawberry.field(description="客户端")
    purpose: str | None = strawberry.field(description="用途")
    case: str | None = strawberry.field(description="受理号")
    scenario: str | None = strawberry.field(description="应用场景")
    data_subject: str | None = strawberry.field(description="数据主体（密钥散列）: whose data, as a keyed hash.")
    policy_version: str = strawberry.field(description="策略版本")
    lines: list[LineView] = strawberry.field(description="留痕: those that the filter asks for.")


@strawberry.type(name="DisclosureEdge", description="披露记录及其位置 (Relay).")
class EdgeView:
    cursor: str = strawberry.field(description="游标")
    node: DisclosureView = strawberry.field(description="披露记录")


_INDEXED = "索引进度: how far the search index has come in the ledger."
_RECORDED = "台账进度: how far the ledger was when the question was asked."
_REMOVED = "已期满删除至: the last month whose records were removed by rule, with all before it; null for none."


@strawberry.type(name="DisclosureConnection", description="披露记录查询结果, newest first (Relay).")
class ConnectionView:
    edges: list[EdgeView] = strawberry.field(description="披露记录")
    page_info: PageInfo = strawberry.field(description="分页信息")
    indexed_through: int = strawberry.field(description=_INDEXED)
    recorded_through: int = strawberry.field(description=_RECORDED)
    removed_through: str | None = strawberry.field(description=_REMOVED)


@strawberry.input(name="DataSubjectInput", description="数据主体: hashed on the way in, kept nowhere.")
class DataSubjectInput:
    entity: str = strawberry.field(description="实体, such as Person.")
    identifier: str = strawberry.field(description="标识号码")


@strawberry.input(
    name="DisclosureFilter", description="查询条件: all that are given must hold; those of a line by one line."
)
class FilterInput:
    data_subject: DataSubjectInput | None = strawberry.field(default=None, description="数据主体")
    subject: str | None = strawberry.field(default=None, description="使用人")
    department: str | None = strawberry.field(default=None, description="使用部门")
    client: str | None = strawberry.field(default=None, description="客户端")
    purpose: str | None = strawberry.field(default=None, description="用途")
    case: str | None = strawberry.field(default=None, description="受理号")
    scenario: str | None = strawberry.field(default=None, description="应用场景")
    outside_hours: bool = strawberry.field(
        default=False,
        description="非工作时间: not between 8 and 18 o'clock on a working day of China, by the State Council's holidays and shifted days.",
    )
    since: datetime | None = strawberry.field(default=None, description="起始时间, included.")
    until: datetime | None = strawberry.field(default=None, description="截止时间, not included.")
    resource: str | None = strawberry.field(default=None, description="信息资源")
    item: str | None = strawberry.field(default=None, description="信息项, as Resource.item.")
    outcome: str | None = strawberry.field(default=None, description="结果")
    rule_id: str | None = strawberry.field(default=None, description="规则")
    grant: str | None = strawberry.field(default=None, description="授权编号: allowed by this grant.")
    used_only: bool = strawberry.field(
        default=False, description="仅用于检索: used to choose or order records, and told in no other way."
    )


@strawberry.type(name="AuditActivity", description="使用情况: a user's month in one department and role.")
class ActivityView:
    subject: str = strawberry.field(description="使用人")
    department: str = strawberry.field(description="使用部门")
    role: str = strawberry.field(description="岗位")
    records: int = strawberry.field(description="查询人次: records of data subjects that were asked for.")
    outside_hours: int = strawberry.field(description="非工作时间查询人次")
    applicants: int = strawberry.field(description="申请人数: distinct data subjects seen as the subject of a case.")
    others: int = strawberry.field(
        description="其他人数: distinct data subjects seen as relatives or under a scenario."
    )
    cases: int = strawberry.field(description="办件数: distinct cases under which somebody was seen.")
    refused: int = strawberry.field(description="拒绝项次: items that were denied.")


@strawberry.type(name="AuditComparison", description="同岗比较: a user against the others of the department and role.")
class ComparisonView:
    activity: ActivityView = strawberry.field(description="使用情况")
    peers: int = strawberry.field(description="同岗人数: how many others.")
    median: float = strawberry.field(description="同岗中位数: of the others' distinct data subjects.")
    ratio: float | None = strawberry.field(
        description="倍数: the user's distinct data subjects by that; null if it is 0."
    )


@strawberry.type(
    name="AuditRepeat", description="反复查询: an applicant seen on several days, without a follow-up since."
)
class RepeatView:
    subject: str = strawberry.field(description="使用人")
    department: str = strawberry.field(description="使用部门")
    role: str = strawberry.field(description="岗位")
    data_subject: str = strawberry.field(description="数据主体（密钥散列）")
    case: str | None = strawberry.field(description="受理号: of the last look-up on another day.")
    days: int = strawberry.field(description="天数: on how many days of the month.")
    first_at: datetime = strawberry.field(description="首次查询时间")


@strawberry.type(name="AuditPatterns", description="异常线索 of a month: reasons to ask, no findings.")
class PatternsView:
    month: str = strawberry.field(description="月份")
    outside_hours: list[ActivityView] = strawberry.field(description="非工作时间查询")
    more_applicants_than_cases: list[ActivityView] = strawberry.field(description="申请人多于办件")
    looked_up_again: list[RepeatView] = strawberry.field(
        description="反复查询而无后续: the same applicant again on another day; no case of theirs opened or closed since."
    )
    looked_up_again_complete: bool = strawberry.field(
        description="反复查询是否完整: false if there were too many to look at each."
    )
    top_users: list[ComparisonView] = strawberry.field(description="同岗比较, the highest ratio first.")
    indexed_through: int = strawberry.field(description=_INDEXED)
    recorded_through: int = strawberry.field(description=_RECORDED)
    removed_through: str | None = strawberry.field(description=_REMOVED)


@strawberry.type(
    name="ResourceFreshness",
    description="数据新鲜度: how long ago the records of a resource had last changed at their source when they were shown.",
)
class FreshnessView:
    resource: str = strawberry.field(description="信息资源")
    title: str = strawberry.field(description="名称")
    update_cycle: str = strawberry.field(description="更新周期")
    records: int = strawberry.field(description="记录次: records that were shown and whose last change is known.")
    average_days: float = strawberry.field(description="平均天数: since the last change, in days.")


@strawberry.type(
    name="DepartmentStatistics", description="部门统计: what a department used and what of its data was used."
)
class DepartmentView:
    department: str = strawberry.field(description="部门")
    records: int = strawberry.field(description="使用人次: records of data subjects that its users asked for.")
    users: int = strawberry.field(description="使用人数")
    used: int = strawberry.field(description="使用项次: items that were provided to its users.")
    refused: int = strawberry.field(description="被拒项次: items that its users were denied.")
    failed: int = strawberry.field(description="失败项次: items that could not be had.")
    shared: int = strawberry.field(
        description="共享项次: items of its resources that were provided to other departments."
    )
    withheld: int = strawberry.field(description="拒供项次: items of its resources that other departments were denied.")
    freshness: list[FreshnessView] = strawberry.field(
        description="数据新鲜度 (Sanya 28): of each of its resources, how old the records were that were shown."
    )


@strawberry.type(name="AuditStatistics", description="共享使用统计 of a month, by department.")
class StatisticsView:
    month: str = strawberry.field(description="月份")
    departments: list[DepartmentView] = strawberry.field(description="部门统计")
    indexed_through: int = strawberry.field(description=_INDEXED)
    recorded_through: int = strawberry.field(description=_RECORDED)
    removed_through: str | None = strawberry.field(description=_REMOVED)
