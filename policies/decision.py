"""What a decision is: an effect, the rule behind it, a reason, obligations, what to do next, and until when it holds."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from schema.catalogue import MaskKind, RowCondition, SubjectClass
from schema.errors import Text


class Act(StrEnum):
    """What is done with a field. EXIST tells that there is a record at all; an act without a rule is denied.

    GROUP and EXPORT have neither rules nor a way to ask for them so far.
    """

    READ = "read"
    FILTER = "filter"
    SORT = "sort"
    GROUP = "group"
    AGGREGATE = "aggregate"
    JOIN = "join"
    VERIFY = "verify"
    EXPORT = "export"
    EXIST = "exist"

    __hash__ = str.__hash__  # an Enum's own is written in Python, and a decision is looked up by it


PLAIN_ACTS = frozenset({Act.FILTER, Act.SORT, Act.GROUP, Act.AGGREGATE})
"""Acts that tell of a value without showing it: allowed only where the value may be read, and unmasked."""


@dataclass(frozen=True, slots=True)
class Mask:
    """Show the value masked."""

    kind: MaskKind


@dataclass(frozen=True, slots=True)
class Rows:
    """Only records that meet this condition; the others are as if they were not there."""

    condition: RowCondition


Obligation = Mask | Rows


class NextStep(StrEnum):
    """What a caller can do about a denial."""

    APPLY = "APPLY"
    OTHER_PURPOSE = "OTHER_PURPOSE"
    OPEN_CASE = "OPEN_CASE"
    CHECK_CASE = "CHECK_CASE"
    CHECK_GRANT = "CHECK_GRANT"
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
    NextStep.CHECK_GRANT: Text(
        "Ask your department's data officer what the grant is waiting for.", "请联系本部门数据专员核实该授权的状态。"
    ),
    NextStep.OTHER_ROLE: Text("Act in a role that may read data.", "请以有查询权限的岗位登录。"),
    NextStep.NO_WAY: Text("There is no way to this by query.", "此信息项不提供查询。"),
}


BEGINNING = -62_135_596_800.0
END = 253_402_300_799.0
"""The first and the last moment that a rule can name (years 1 and 9999), as Unix seconds."""


@dataclass(frozen=True, slots=True)
class Decision:
    """One decision about one use of one field, in force from `since` until before `until` (Unix seconds): then it must be made anew."""

    allow: bool
    rule_id: str
    reason: Text
    obligations: tuple[Obligation, ...] = ()
    next_step: NextStep | None = None
    since: float = BEGINNING
    until: float = END

    @property
    def mask(self) -> MaskKind | None:
        """The kind of mask that this decision obliges to, if any."""
        return next((o.kind for o in self.obligations if isinstance(o, Mask)), None)

    @property
    def rows(self) -> frozenset[RowCondition]:
        """The conditions on records that this decision obliges to."""
        return frozenset(o.condition for o in self.obligations if isinstance(o, Rows))


class Use(NamedTuple):
    """A use of a field: schema coordinate `Resource.item`, act, and whose data it is there."""

    coordinate: str
    act: Act
    subject: SubjectClass
