"""Grants, suspensions, disablements: what departments decide about sharing, as immutable values.

A grant is what an approved application leaves behind (Changsha 29, Hunan ch. 3, Xianning 15 and 18). A suspension stops what a grant or a share
class allows, at once (Hunan ch. 3). `policies.control` keeps them; `policies.rules` turns them into rows.
Times are ISO 8601 in UTC to the second, as rules write them.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from schema.catalogue import Purpose, RowCondition, ShareMode
from schema.errors import Text


class Decider(StrEnum):
    """Who decided on a grant: the provider (Changsha 29), the bureau or the government in a dispute (Xianning 15, Shuangliao 23)."""

    PROVIDER = "PROVIDER"
    BUREAU = "BUREAU"
    GOVERNMENT = "GOVERNMENT"


class GrantState(StrEnum):
    """申请状态."""

    APPLIED = "APPLIED"
    GRANTED = "GRANTED"
    REFUSED = "REFUSED"
    ENDED = "ENDED"


class AgreementState(StrEnum):
    """State of the confidentiality agreement (信息交换共享保密协议, Xianning 18). Only VALID makes a grant active."""

    MISSING = "MISSING"
    VALID = "VALID"
    ENDED = "ENDED"


@dataclass(frozen=True, slots=True)
class GrantItem:
    """One item of an application: its coordinate, the statutory authority to use it (法定职权依据), and what was decided on it.

    `granted` is None until it is decided; `reason` says why it was refused.
    """

    coordinate: str
    authority: str
    granted: bool | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class GrantStep:
    """One step in the life of a grant: what was done, by whom, when (Unix microseconds), and what was said."""

    action: str
    by: str
    department: str
    at: int
    note: str


@dataclass(frozen=True, slots=True)
class Grant:
    """An application and what became of it. `id` is `G` and a number; `document` is what decided it."""

    id: str
    department: str
    provider: str
    items: tuple[GrantItem, ...]
    purposes: frozenset[Purpose]
    modes: frozenset[ShareMode]
    scope: str
    rows: frozenset[RowCondition]
    not_before: str
    expires: str
    agreement: str
    agreement_state: AgreementState
    state: GrantState
    decided_by: Decider | None = None
    document: str = ""
    steps: tuple[GrantStep, ...] = ()

    @property
    def active(self) -> bool:
        """Whether it allows anything between `not_before` and `expires`."""
        return self.state is GrantState.GRANTED and self.agreement_state is AgreementState.VALID

    @property
    def granted(self) -> tuple[GrantItem, ...]:
        """The items that were granted."""
        return tuple(item for item in self.items if item.granted)


@dataclass(frozen=True, slots=True)
class Suspension:
    """A provider's stop, in force from the moment it is recorded until it is lifted (Hunan ch. 3).

    It stops one of: everything of `provider` for the using department `department`; the grant `grant`; the item or resource `object` for `department`,
    or for everybody where `department` is empty.
    """

    id: str
    provider: str
    department: str
    grant: str
    object: str
    reason: str
    by: str
    at: int
    lifted_at: int | None = None


class DisabledKind(StrEnum):
    """What was disabled."""

    PERSON = "PERSON"
    TOKEN = "TOKEN"  # noqa: S105 - a kind, no secret
    CLIENT = "CLIENT"


@dataclass(frozen=True, slots=True)
class Disablement:
    """A person (claim `sub`), token (claim `jti`) or client (claim `client`) that is refused until it is enabled again.

    `department` narrows a person to one acting department; empty means every one.
    """

    kind: DisabledKind
    name: str
    department: str
    reason: str
    by: str
    at: int


class NoticeKind(StrEnum):
    """What a department was told of: the supervising one of all but CORRECTED."""

    SUSPENDED = "SUSPENDED"
    LIFTED = "LIFTED"
    ENDED = "ENDED"
    EXCEPTION = "EXCEPTION"
    """A NOT_SHARED item was granted by agreement: filed with the authority (备案, Hunan ch. 3)."""
    RULES = "RULES"
    """A rule file was put in force, replaced or taken out."""
    CORRECTED = "CORRECTED"
    """A department was shown a value that its provider has found wrong (Changsha 32)."""


@dataclass(frozen=True, slots=True)
class NoticeUse:
    """Where a wrong value was used: an operation, its case (empty for none), when (Unix microseconds), and how it was shown."""

    operation: str
    case: str
    at: int
    outcomes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Notice:
    """What a department was told, when, about which grant, suspension, rule file or correction (Hunan ch. 3, Changsha 32).

    `number` counts from 1, 0 before it is told. `department` is empty for the supervising one; `uses` are those of a wrong value.
    """

    number: int
    at: int
    kind: NoticeKind
    text: Text
    reference: str
    department: str = ""
    uses: tuple[NoticeUse, ...] = ()
