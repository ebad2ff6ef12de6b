"""`onesource audit find`, `patterns` and `monthly`: the auditors' questions in a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from settings import FILE
from terminal.audit import answered, data_subject, json_text, say_progress
from terminal.audit import find as find_disclosures
from terminal.client import err, out, plain
from terminal.options import SettingsFile, Token, Url, catalogue_in, settings_of, url_of

_ACTIVITY = "subject department role records outsideHours applicants others cases refused"
PATTERNS = f"""\
query AuditPatterns($month: String!, $department: String, $first: Int!) {{
  auditPatterns(month: $month, department: $department, first: $first) {{
    month
    outsideHours {{ {_ACTIVITY} }}
    moreApplicantsThanCases {{ {_ACTIVITY} }}
    lookedUpAgain {{ subject department role dataSubject case days firstAt }}
    lookedUpAgainComplete
    topUsers {{ activity {{ {_ACTIVITY} }} peers median ratio }}
    indexedThrough
    recordedThrough
    removedThrough
  }}
}}
"""
STATISTICS = """\
query AuditStatistics($month: String!, $department: String) {
  auditStatistics(month: $month, department: $department) {
    month
    departments { department records users used refused failed shared withheld freshness { title updateCycle records averageDays } }
    indexedThrough
    recordedThrough
    removedThrough
  }
}
"""

_Json = Annotated[bool, typer.Option("--json", help="JSON, for pipes.")]
_Month = Annotated[str, typer.Option(help="A month such as 2026-11.")]
_OfDepartment = Annotated[str, typer.Option(help="Of this department only.")]


def find(
    token: Token,
    lines: Annotated[
        int, typer.Option("-n", "--first", min=1, max=500, help="How many records of data subjects.")
    ] = 50,
    after: Annotated[str, typer.Option(help="Only older ones than this cursor.")] = "",
    subject_id: Annotated[
        str, typer.Option("--subject-id", help="Whose data: an identity number, credit code ...")
    ] = "",
    user: Annotated[str, typer.Option(help="By this user.")] = "",
    department: Annotated[str, typer.Option(help="By users of this department.")] = "",
    client: Annotated[str, typer.Option(help="Through this client.")] = "",
    purpose: Annotated[str, typer.Option(help="For this purpose.")] = "",
    case: Annotated[str, typer.Option(help="Under this acceptance number.")] = "",
    scenario: Annotated[str, typer.Option(help="Under this scenario.")] = "",
    resource: Annotated[str, typer.Option(help="Of this resource.")] = "",
    item: Annotated[str, typer.Option(help="This item: Resource.item.")] = "",
    outcome: Annotated[str, typer.Option(help="With this outcome: RETURNED, MASKED, DENIED ...")] = "",
    rule: Annotated[str, typer.Option(help="Under this rule.")] = "",
    grant: Annotated[str, typer.Option(help="Allowed by this grant.")] = "",
    since: Annotated[str, typer.Option(help="From this time on: 2026-11-22 or 2026-11-22T09:00, China's time.")] = "",
    until: Annotated[str, typer.Option(help="Before this time.")] = "",
    used_only: Annotated[bool, typer.Option("--used-only", help="Used to choose or order only, not told.")] = False,
    outside_hours: Annotated[bool, typer.Option("--outside-hours", help="Outside Monday to Friday, 8 to 18.")] = False,
    json: _Json = False,
    url: Url = "",
    settings: SettingsFile = Path(FILE),
) -> None:
    """Find disclosures: who was shown what, of whom, when, under what. All conditions hold together; newest page first.

    The times are China's where they name no zone; a day alone is its beginning.
    """
    loaded = settings_of(settings)
    texts = {
        "subject": user, "department": department, "client": client, "purpose": purpose, "case": case,
        "scenario": scenario, "resource": resource, "item": item, "outcome": outcome, "ruleId": rule, "grant": grant,
        "since": _time(since), "until": _time(until),
    }  # fmt: skip
    wanted: dict[str, Any] = {name: text for name, text in texts.items() if text}
    if subject_id:
        wanted["dataSubject"] = data_subject(catalogue_in(loaded), subject_id)
    wanted |= {"usedOnly": used_only, "outsideHours": outside_hours}
    find_disclosures(url_of(url, loaded), token, {"first": lines, "after": after or None, "filter": wanted}, json)


def patterns(
    token: Token,
    month: _Month,
    department: _OfDepartment = "",
    lines: Annotated[int, typer.Option("-n", "--first", min=1, max=500, help="How many of each kind.")] = 20,
    json: _Json = False,
    url: Url = "",
    settings: SettingsFile = Path(FILE),
) -> None:
    """Show who stands out in a month: reasons to ask, no findings."""
    variables = {"month": month, "department": department or None, "first": lines}
    page = answered(url_of(url, settings_of(settings)), token, PATTERNS, variables, "auditPatterns")
    if json:
        typer.echo(json_text(page))
    else:
        for table in _pattern_tables(page):
            out.print(table)
        if not page["lookedUpAgainComplete"]:
            err.print(
                "反复查询过多，仅核对了最频繁的部分 too many looked up again: only the most frequent were checked",
                style="yellow",
            )
    say_progress(page, json)


def monthly(
    token: Token,
    month: _Month,
    department: _OfDepartment = "",
    json: _Json = False,
    url: Url = "",
    settings: SettingsFile = Path(FILE),
) -> None:
    """Show a month by department: what it used, what of its data was used by others, what was refused."""
    loaded = settings_of(settings)
    variables = {"month": month, "department": department or None}
    page = answered(url_of(url, loaded), token, STATISTICS, variables, "auditStatistics")
    if json:
        typer.echo(json_text(page))
    else:
        titles = (
            "部门",
            "使用人次 records",
            "使用人数 users",
            "使用项次 used",
            "被拒 refused",
            "失败 failed",
            "共享项次 shared",
            "拒供 withheld",
        )
        names = ("records", "users", "used", "refused", "failed", "shared", "withheld")
        known = catalogue_in(loaded).departments
        rows = [
            (_title(known, one["department"]), *(f"{one[name]:,}" for name in names)) for one in page["departments"]
        ]
        out.print(_table(f"共享使用统计 {page['month']}", titles, rows))
        ages = [
            (
                _title(known, one["department"]),
                age["title"],
                age["updateCycle"],
                f"{age['records']:,}",
                f"{age['averageDays']:,.1f}",
            )
            for one in page["departments"]
            for age in one["freshness"]
        ]
        heads = ("部门", "信息资源 resource", "更新周期 cycle", "记录次 records", "平均天数 days since change")
        out.print(_table(f"数据新鲜度 freshness {page['month']}", heads, ages))
    say_progress(page, json)


def _title(known: Mapping[str, Any], slug: str) -> str:
    return f"{known[slug].title} {slug}" if slug in known else slug


def _time(given: str) -> str:
    """A date or time as GraphQL's DateTime; what is none is left for the service to refuse."""
    try:
        return datetime.fromisoformat(given).isoformat() if given else ""
    except ValueError:
        return given


def _user(one: Mapping[str, Any]) -> str:
    return f"{one['subject']}@{one['department']} {one['role']}"


def _pattern_tables(page: Mapping[str, Any]) -> Iterable[Table]:
    yield _table(
        f"非工作时间查询 outside working hours {page['month']}",
        ("使用人@部门", "人次 records", "非工作时间 outside"),
        [(_user(one), one["records"], one["outsideHours"]) for one in page["outsideHours"]],
    )
    yield _table(
        "申请人多于办件 more applicants than cases",
        ("使用人@部门", "申请人 applicants", "办件 cases"),
        [(_user(one), one["applicants"], one["cases"]) for one in page["moreApplicantsThanCases"]],
    )
    yield _table(
        "反复查询而无后续 looked up again without a follow-up",
        ("使用人@部门", "数据主体", "受理号", "天数 days", "首次 first"),
        [
            (_user(one), one["dataSubject"][:15], one["case"] or "", one["days"], one["firstAt"][:16])
            for one in page["lookedUpAgain"]
        ],
    )
    yield _table(
        "同岗比较 users against their peers",
        ("使用人@部门", "人数 subjects", "同岗 peers", "中位数 median", "倍数 ratio"),
        [
            (
                _user(one["activity"]),
                one["activity"]["applicants"] + one["activity"]["others"],
                one["peers"],
                f"{one['median']:g}",
                "—" if one["ratio"] is None else f"{one['ratio']:.1f}",
            )
            for one in page["topUsers"]
        ],
    )


def _table(title: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> Table:
    table = Table(title=title)
    for number, column in enumerate(columns):
        numeric = number and any(sign.isascii() and sign.isalpha() for sign in column)
        table.add_column(column, justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        table.add_row(*(plain(str(cell)) for cell in row))
    return table
