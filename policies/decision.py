"""What a decision is: an effect, the rule behind it, a reason, obligations, what to do next, and until when it holds."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from schema.catalogue import MaskKind, SubjectClass
from schema.errors import Text


class Act(StrEnum):
    """What is done with a field. Only `read` and `join` have rules so far; every other act is denied."""

    READ = "read"
    FILTER = "filter"
    SORT = "sort"
    GROUP = "group"
    AGGREGATE = "aggregate"
    JOIN = "join"
    VERIFY = "verify"
    EXPORT = "export"


@dataclass(frozen=True, slots=True)
class Mask:
    """Show the value masked."""

    kind: MaskKind


@dataclass(frozen=True, slots=True)
class RowPredicate:
    """Only rows whose item has one of these values."""

    item: str
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Mark:
    """Mark every record with this sentence."""

    text: Text


@dataclass(frozen=True, slots=True)
class Limit:
    """At most so many records."""

    records: int


Obligation = Mask | RowPredicate | Mark | Limit


class NextStep(StrEnum):
    """What a caller can do about a denial."""

    APPLY = "APPLY"
    OTHER_PURPOSE = "OTHER_PURPOSE"
    OPEN_CASE = "OPEN_CASE"
    CHECK_CASE = "CHECK_CASE"
    OTHER_ROLE = "OTHER_ROLE"
    NO_WAY = "NO_WAY"


NEXT_TEXTS: dict[NextStep, Text] = {
    NextStep.APPLY: Text("Apply to the provider for this item.", "请向提供部门提出共享申请。"),
    NextStep.OTHER_PURPOSE: Text("State another purpose, if it is the true one.", "如实际用途不同，请声明相应用途。"),
    NextStep.OPEN_CASE: Text(
        "Open a case of a service item that needs this.", "请在需要此信息项的事项下受理办件后查询。"
    ),
    NextStep.CHECK_CASE: Text(
        "Check the acceptance number, or open a case that has this person as a subject.",
        "请核对受理号，或受理以其为当事人的办件。",
    ),
    NextStep.OTHER_ROLE: Text("Act in a role that may read data.", "请以有查询权限的岗位登录。"),
    NextStep.NO_WAY: Text("There is no way to this by query.", "此信息项不提供查询。"),
}


@dataclass(frozen=True, slots=True)
class Decision:
    """One decision about one use of one field.

    `valid_until` is ISO 8601 UTC to the second, exclusive: at that moment the decision must be made anew.
    """

    allow: bool
    rule_id: str
    reason: Text
    obligations: tuple[Obligation, ...] = ()
    next_step: NextStep | None = None
    valid_until: str = "9999-12-31T23:59:59Z"

    @property
    def mask(self) -> MaskKind | None:
        """The kind of mask that this decision obliges to, if any."""
        return next((o.kind for o in self.obligations if isinstance(o, Mask)), None)


@dataclass(frozen=True, slots=True)
class Use:
    """A use of a field: schema coordinate `Resource.item`, act, and whose data it is there."""

    coordinate: str
    act: Act
    subject: SubjectClass
