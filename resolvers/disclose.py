"""Disclose: put the operation on record before a byte of its answer leaves."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from audit.frame import Frame, NodeFrame, SubjectHash
from audit.ledger import Ledger, LedgerUnavailable
from policies.identity import Identity
from resolvers.disclosures import NodeDisclosure
from resolvers.restrict import Claimed
from schema.errors import Fault, RequestError

_LOG = logging.getLogger("onesource.ledger")
_MAX_KEPT = 10_000


@dataclass(frozen=True, slots=True)
class Act:
    """What an ungoverned field did: with which case, of whom (entity, identifier). `resource` is `Case` or `AuditLine`."""

    field: str
    resource: str
    case: str = ""
    service: str = ""
    subjects: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Recorder:
    """Writes frames for one catalogue: `numbers` are the permanent numbers of its items."""

    ledger: Ledger
    hashes: SubjectHash
    numbers: Mapping[str, int]
    catalogue_version: str
    channel: str
    _kept: dict[tuple[str, tuple[str, ...]], tuple[int, ...]] = field(default_factory=dict)

    async def record(
        self,
        operation_id: str,
        identity: Identity,
        now: datetime,
        policy: str,
        outcome: str,
        *,
        document: str = "",
        name: str = "",
        fields: Sequence[str] = (),
        claims: Sequence[Claimed] = (),
        disclosures: Sequence[Sequence[NodeDisclosure]] = (),
        acts: Sequence[Act] = (),
    ) -> None:
        """Return when the operation's frame is durable. RequestError LEDGER_UNAVAILABLE if it cannot be: then nothing may leave."""
        hashed: dict[tuple[str, str], str] = {}
        nodes = tuple(
            self._node(node, claim, hashed) for claim, noted in zip(claims, disclosures, strict=True) for node in noted
        ) + tuple(map(self._act, acts))
        at = int(now.timestamp() * 1_000_000)
        frame = Frame(
            operation=operation_id,
            at=at,
            subject=identity.subject,
            department=identity.department,
            role=identity.role.value,
            region=identity.region,
            client=identity.client,
            channel=self.channel,
            document=document,
            name=name,
            policy=policy,
            catalogue=self.catalogue_version,
            outcome=outcome,
            fields=tuple(fields),
            nodes=nodes,
        )
        try:
            await self.ledger.append(at, operation_id, frame.encode())
        except LedgerUnavailable:
            _LOG.error("operation %s withheld: the ledger is unavailable", operation_id)
            raise RequestError(Fault("LEDGER_UNAVAILABLE")) from None

    def _numbered(self, resource: str, items: tuple[str, ...]) -> tuple[int, ...]:
        known = self._kept.get((resource, items))
        if known is None:
            known = tuple(self.numbers[f"{resource}.{item}"] for item in items)
            if len(self._kept) >= _MAX_KEPT:
                self._kept.clear()
            self._kept[resource, items] = known
        return known

    def _act(self, act: Act) -> NodeFrame:
        others = [self.hashes.of(entity, identifier) for entity, identifier in act.subjects]
        return NodeFrame(act.field, act.resource, "", "", act.case, act.service, (), (), {}, others)

    def _node(self, node: NodeDisclosure, claim: Claimed, hashed: dict[tuple[str, str], str]) -> NodeFrame:
        def of(entity: str, identifier: str) -> str:
            if not identifier:  # a search that found nobody
                return ""
            hashed[entity, identifier] = known = self.hashes.of(entity, identifier)
            return known

        kind = node.entity
        return NodeFrame(
            path=".".join(str(part) for part in node.path),
            resource=node.resource,
            subject=node.subject.value,
            purpose=claim.purpose.value,
            case=claim.proof.case,
            service=claim.proof.service,
            scenario=claim.proof.scenario,
            items=self._numbered(node.resource, node.items),
            rules=node.rules,
            groups={
                outcomes: [hashed.get((kind, entity)) or of(kind, entity) for entity in entities]
                for outcomes, entities in node.groups.items()
            },
            others=[hashed.get(other) or of(*other) for other in sorted(node.others)],
        )
