"""Trace: which rows were looked at for a decision, and in which dimensions each of them matches. For explaining; it decides nothing.

The dimensions are those of the matchers in `share.conf` and `basis.conf`: a row whose dimensions all match is one that Casbin matches.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from policies.decision import Use
from policies.rules import ANY, ROLE_LINKS, BasisRow, ShareRow
from policies.snapshot import Caller, utc_text

SHARE_DIMENSIONS = ("dept", "role", "object", "subject", "act", "channel", "purpose", "basis", "time")
BASIS_DIMENSIONS = ("object", "subject", "act", "purpose")


@dataclass(frozen=True, slots=True)
class TracedRow:
    """A row and, for each dimension, whether it matches the use."""

    row: ShareRow | BasisRow
    matches: Mapping[str, bool]

    @property
    def matched(self) -> bool:
        return all(self.matches.values())


def traced_share(caller: Caller, use: Use, at: float) -> tuple[TracedRow, ...]:
    """The share rows about the item for the caller's department, the nearest to a match first. A denial's reason is looked for in them all."""
    snapshot, now = caller.snapshot, utc_text(at)
    rows = dict.fromkeys(
        (
            *snapshot.slice(use, caller.department, caller.purpose),
            *snapshot.rows_about(use.coordinate, caller.department),
        )
    )
    objects = snapshot.objects(use.coordinate)
    wanted = {
        "dept": caller.department,
        "subject": use.subject,
        "act": use.act,
        "channel": caller.channel,
        "purpose": caller.purpose,
        "basis": caller.basis,
    }
    found = []
    for row in rows:
        matches = {name: getattr(row, name) in (ANY, value) for name, value in wanted.items()}
        matches["role"] = row.role in (ANY, caller.role) or (caller.role, row.role) in ROLE_LINKS
        matches["object"] = row.object in objects
        matches["time"] = row.nbf <= now < row.exp
        found.append(TracedRow(row, {name: matches[name] for name in SHARE_DIMENSIONS}))
    return _nearest_first(found)


def traced_basis(caller: Caller, use: Use) -> tuple[TracedRow, ...]:
    """The rows that say what the caller's basis needs the item for, the nearest to a match first."""
    wanted = {"object": use.coordinate, "subject": use.subject, "act": use.act, "purpose": caller.purpose}
    rows = caller.snapshot.needed(caller.basis, use.coordinate)
    return _nearest_first(
        [TracedRow(row, {name: getattr(row, name) == wanted[name] for name in BASIS_DIMENSIONS}) for row in rows]
    )


def _nearest_first(found: Sequence[TracedRow]) -> tuple[TracedRow, ...]:
    return tuple(sorted(found, key=lambda one: (list(one.matches.values()).count(False), one.row.eft != "deny")))
