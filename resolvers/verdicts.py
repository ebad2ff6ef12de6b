"""Verdicts: verifications in the form of the answer, and what they disclose."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from policies.decision import Act, Decision, NextStep
from resolvers import verify
from resolvers.disclosures import ABSENT, DENIED, FAILED, NodeDisclosure, Outcomes
from resolvers.fetch import Bounds, Fetched
from resolvers.plan import ConstantCell, ItemCell, Path, VerificationNode
from resolvers.restrict import AllowedVerification, Used, denied
from resolvers.versions import of_rows, version_of
from schema.catalogue import Item
from schema.errors import Fault, Text

_VERDICTS = {verify.MATCH: "Y", verify.MISMATCH: "N", verify.ABSENT: ABSENT, verify.DENIED: DENIED, None: FAILED}
"""Outcomes of an item that was verified: it matched, it did not, there was none, it might not be verified, it could not be had."""

USED_UP = Decision(
    False,
    "DENY/VERIFICATION/ATTEMPTS",
    Text("the attempts to verify this item are used up", "此信息项的校核次数已用完"),
    next_step=NextStep.NO_WAY,
)
_Told = tuple[tuple[str, str], ...]
"""Items of a verification with the rule that decided on each."""


class Verdicts:
    """The verifications of one root: each tells its faults once, and what it discloses in the end."""

    def __init__(self, fetched: Fetched, faults: list[Fault], bounds: Bounds) -> None:
        self._fetched = fetched
        self._faults = faults
        self._bounds = bounds
        self._noted: dict[AllowedVerification, dict[_Told, Outcomes]] = {}

    def answer(self, allowed: AllowedVerification, key: str, failure: Fault | None) -> dict[str, Any] | None:
        """The verdict on each item of one entity, None where the source failed; what was not asked about is null."""
        node = allowed.node
        if allowed not in self._noted:
            self._noted[allowed] = {}
            self._faults += allowed.faults
            if failure:
                self._faults.append(failure)
        judged = self._judge(allowed, key, failed=failure is not None)
        told = tuple((name, rule) for name, (_, rule) in judged.items())
        letters = "".join(_VERDICTS[verdict] for verdict, _ in judged.values())
        tried, rows = self._fetched.verified.get(allowed, {}).get(key, ((), []))
        places = [tried.index(name) if name in tried else None for name in judged]
        version = of_rows(version_of(row, letters, tuple(judged), places) for row in rows)
        self._noted[allowed].setdefault(told, Outcomes()).note(letters, key, version)
        if failure:
            return None
        return {
            cell.key: cell.value if isinstance(cell, ConstantCell) else judged.get(cell.item.name, (None, ""))[0]
            for cell in node.cells
        }

    def _judge(self, allowed: AllowedVerification, key: str, *, failed: bool) -> dict[str, tuple[str | None, str]]:
        """Verdict and rule of each item that was asked about."""
        given = self._bounds.expected[allowed.node]
        tried, rows = self._fetched.verified.get(allowed, {}).get(key, ((), []))
        judged: dict[str, tuple[str | None, str]] = {}
        for item, decision in allowed.decisions:
            if not decision.allow:
                judged[item.name] = verify.DENIED, decision.rule_id
            elif item.name in given and failed:
                judged[item.name] = None, decision.rule_id
            elif item.name in given and item.name not in tried:
                judged[item.name] = verify.DENIED, USED_UP.rule_id
                coordinate = f"{allowed.node.resource.name}.{item.name}"
                self._faults += [denied(USED_UP, place, coordinate) for place in _places(allowed.node, item)]
            elif item.name in given:
                verdict = verify.verdict(item, tried.index(item.name), rows, given[item.name])
                judged[item.name] = verdict, decision.rule_id
                if verdict is None:
                    extra = {"coordinate": f"{allowed.node.resource.name}.{item.name}"}
                    self._faults += [
                        Fault("SOURCE_VALUE_INVALID", place, extra=extra) for place in _places(allowed.node, item)
                    ]
        return judged

    def finished(self) -> list[NodeDisclosure]:
        """What every verification that was met has disclosed."""
        return [
            NodeDisclosure(
                path=allowed.node.path,
                resource=allowed.node.resource.name,
                subject=allowed.subject,
                used=_used(allowed, told),
                groups=noted.groups,
                entity=allowed.node.owner,
                versions=noted.versions,
            )
            for allowed, by_items in self._noted.items()
            for told, noted in by_items.items()
        ]


def _used(allowed: AllowedVerification, told: _Told) -> Used:
    """The uses of these items; attempts that were used up decided instead of the policy, which had allowed it."""
    decided = {item.name: (item, decision) for item, decision in allowed.decisions}
    uses = [(decided[name][0], Act.VERIFY, allowed.subject, decided[name][1]) for name, _ in told]
    used = Used.of((item, act, subject.then(item.subject), decision) for item, act, subject, decision in uses)
    return replace(used, rules=tuple(rule for _, rule in told))


def _places(node: VerificationNode, item: Item) -> list[Path]:
    """Where the answer has the verdict on an item."""
    return [(*node.path, cell.key) for cell in node.cells if isinstance(cell, ItemCell) and cell.item is item]
