"""Why a use is denied where no rule says so: the first dimension in which no row is left, with what to do about it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from policies.decision import Act, Decision, NextStep, Use
from policies.rules import ANY, ROLE_LINKS, BasisRow, ShareRow, purpose_title
from schema.catalogue import Catalogue, Purpose, ShareClass
from schema.errors import Text


class _Snapshot(Protocol):
    catalogue: Catalogue

    def waiting(self, department: str, coordinate: str) -> Decision | None: ...

    def anybody_may(self, coordinate: str) -> bool: ...


class Asking(Protocol):
    """Who asks, as far as a reason depends on it (`policies.snapshot.Caller`)."""

    @property
    def snapshot(self) -> _Snapshot: ...

    department: str
    role: str
    channel: str
    purpose: Purpose
    basis: str


def _denial(rule: str, step: NextStep, en: str, zh: str) -> Decision:
    return Decision(False, rule, Text(en, zh), next_step=step)


_ROLE = _denial("DENY/ROLE", NextStep.OTHER_ROLE, "this role reads no data", "该岗位不具有数据查询权限")
_AUDIENCE = _denial(
    "DENY/AUDIENCE", NextStep.APPLY, "your department is not among those concerned", "本部门不在共享范围内"
)
_PURPOSE = _denial(
    "DENY/PURPOSE", NextStep.OTHER_PURPOSE, "no value of this item is shown for this purpose",
    "该用途下不提供此信息项的内容",
)  # fmt: skip
_TIME = _denial("DENY/TIME", NextStep.APPLY, "the authorisation is not in force now", "授权不在有效期内")
_DIMENSIONS = (
    ("subject", _denial("DENY/SUBJECT", NextStep.NO_WAY, "not of a person this far from the case", "不得查询与办件关系如此之远的人的信息")),
    ("act", _denial("DENY/ACT", NextStep.NO_WAY, "this act is not provided for this item", "此信息项不支持该操作")),
    ("channel", _denial("DENY/CHANNEL", NextStep.APPLY, "this item is not shared through this channel", "此信息项不通过该方式共享")),
)  # fmt: skip
MASKED = _denial(
    "DENY/MASKED", NextStep.OTHER_PURPOSE, "masked for this purpose: not to be searched or ordered by",
    "该用途下已脱敏，不得据以筛选或排序",
)  # fmt: skip
_SUBJECT_TITLES = {"SUBJECT": "办件当事人", "RELATED": "关联人", "THIRD_PARTY": "第三人"}


def refused_by_share(asking: Asking, use: Use, rows: Sequence[ShareRow]) -> Decision:
    """The denial by default of the share rows; `rows` are those about the item for the caller's department."""
    if asking.role not in {child for child, _ in ROLE_LINKS}:
        return _ROLE
    left = [row for row in rows if row.eft == "allow"]
    if not left:
        if asking.snapshot.anybody_may(use.coordinate) and _share_class(asking, use) is ShareClass.UNCONDITIONAL:
            return _AUDIENCE
        return _refused_by_class(asking, use)
    of_purpose = [row for row in left if row.purpose in (ANY, asking.purpose)]
    if not of_purpose:
        return _PURPOSE
    left = of_purpose
    wanted = {"subject": use.subject, "act": use.act, "channel": asking.channel}
    for name, denial in _DIMENSIONS:
        left = [row for row in left if getattr(row, name) in (ANY, wanted[name])]
        if not left:
            # a value is read for other purposes than it is verified for
            return _PURPOSE if name == "act" and use.act in (Act.READ, Act.VERIFY) else denial
    if not any(row.basis in (ANY, asking.basis) for row in left):
        return _refused_by_class(asking, use)  # only a scenario shares it: for everybody else it is what its class says
    return _TIME


def without_agreement(grant: str) -> Decision:
    """The denial where a grant allows it, but has no valid confidentiality agreement (Xianning 18)."""
    return _denial(
        "DENY/GRANT/AGREEMENT", NextStep.CHECK_GRANT, f"granted ({grant}), but without a valid confidentiality agreement",
        f"已批准共享（{grant}），但保密协议未生效",
    )  # fmt: skip


def while_suspended(grant: str) -> Decision:
    """The denial where a grant allows it, but is suspended (Hunan ch. 3)."""
    return _denial(
        "DENY/GRANT/SUSPENDED", NextStep.CHECK_GRANT, f"granted ({grant}), but suspended",
        f"已批准共享（{grant}），但已暂停提供",
    )  # fmt: skip


def _share_class(asking: Asking, use: Use) -> ShareClass:
    return asking.snapshot.catalogue.item(use.coordinate).share.share_class


def _refused_by_class(asking: Asking, use: Use) -> Decision:
    if waiting := asking.snapshot.waiting(asking.department, use.coordinate):
        return waiting
    share = asking.snapshot.catalogue.item(use.coordinate).share
    if share.share_class is ShareClass.NOT_SHARED:
        return _denial(
            "DENY/CLASS/NOT_SHARED", NextStep.NO_WAY, f"not shared: {share.basis}", f"不予共享类。依据：{share.basis}"
        )
    if share.share_class is ShareClass.CONDITIONAL:
        return _denial(
            "DENY/CLASS/CONDITIONAL",
            NextStep.APPLY,
            f"shared on condition: {share.conditions} ({share.basis})",
            f"有条件共享类。条件：{share.conditions}；依据：{share.basis}",
        )
    return _PURPOSE


def refused_by_basis(asking: Asking, use: Use, rows: Sequence[BasisRow]) -> Decision:
    """The denial by default of the basis rows: the service item or the scenario does not need this."""
    kind, _, name = asking.basis.partition("/")
    catalogue = asking.snapshot.catalogue
    if kind == "SCENARIO":
        title, en, zh = catalogue.scenarios[name].title, f"the scenario {name}", "应用场景"
        step = NextStep.APPLY
    else:
        title, en, zh = catalogue.services[name].title, f"the service item {name}", "事项"
        step = NextStep.OPEN_CASE
    if not rows:
        return _denial(f"DENY/{kind}/ITEM", step, f"{en} does not need this item", f"{zh}“{title}”不需要此信息项")
    if not any(row.subject == use.subject for row in rows):
        whose = _SUBJECT_TITLES[use.subject]
        return _denial(
            f"DENY/{kind}/SUBJECT", step, f"{en} does not need this item of a {use.subject} person",
            f"{zh}“{title}”不需要{whose}的此信息项",
        )  # fmt: skip
    if not any(row.purpose == asking.purpose for row in rows):
        return _denial(
            f"DENY/{kind}/PURPOSE", NextStep.OTHER_PURPOSE, f"{en} does not need this item for {asking.purpose}",
            f"{zh}“{title}”不以“{purpose_title(asking.purpose)}”用途使用此信息项",
        )  # fmt: skip
    return _denial(
        f"DENY/{kind}/ACT", NextStep.NO_WAY, f"{en} does not need this act on this item",
        f"{zh}“{title}”不需要对此信息项作该操作",
    )  # fmt: skip
