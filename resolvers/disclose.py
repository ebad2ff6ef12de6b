"""Disclose: put the operation on record before a byte of its answer leaves."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from audit.frame import AuditFrame, CaseFrame, Frame, NodeFrame, SubjectHash
from audit.ledger import Ledger, LedgerUnavailable
from policies.cases import Case
from policies.identity import Identity
from resolvers.disclosures import NodeDisclosure
from resolvers.identities import Identities
from resolvers.restrict import Claimed
from resolvers.versions import Version, written
from schema.errors import Fault, RequestError

_LOG = logging.getLogger("onesource.ledger")
_MAX_KEPT = 10_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Act:
    """What an ungoverned field did: with which case, of whom (entity, identifier), or about which `hashes`. `resource` is `Case` or `AuditLine`.

    `asked` is what the frame keeps of a question to the ledger (`AuditFrame`).
    """

    field: str
    resource: str
    case: str = ""
    service: str = ""
    subjects: tuple[tuple[str, str], ...] = ()
    hashes: tuple[str, ...] = ()
    asked: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Recorder:
    """Writes frames for one catalogue: `numbers` are the permanent numbers of its items, `former` what people were hashed with before."""

    ledger: Ledger
    hashes: SubjectHash
    numbers: Mapping[str, int]
    catalogue_version: str
    channel: str
    identities: Identities
    former: tuple[SubjectHash, ...] = ()
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
        ) + tuple(self._act(act, hashed) for act in acts)
        at = _micros(now)
        asked = tuple(act.asked for act in acts if act.asked)
        frame = (partial(AuditFrame, asked=asked) if asked else Frame)(
            operation=operation_id,
            at=at,
            subject=self._user(identity),
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
            cases=tuple(
                self._case(case, hashed) for case in dict.fromkeys(claim.proof.found for claim in claims) if case
            ),
        )
        identities = self.identities.sealed(hashed)
        try:
            await self.ledger.append(at, operation_id, frame.encode(), identities)
        except LedgerUnavailable:
            _LOG.error("operation %s withheld: the ledger is unavailable", operation_id)
            raise RequestError(Fault("LEDGER_UNAVAILABLE")) from None
        self.identities.kept(identities)

    def _user(self, identity: Identity) -> str:
        """Who asked: an account's name; of a data subject, whose account may be named after the person, the keyed hash."""
        return self.hashes.of(*identity.data_subject) if identity.data_subject else identity.subject

    def hashes_of(self, entity: str, identifier: str) -> list[str]:
        """Every keyed hash under which the records may name this data subject, the one of today first."""
        return [one.of(entity, identifier) for one in (self.hashes, *self.former)]

    def _numbered(self, resource: str, items: tuple[str, ...]) -> tuple[int, ...]:
        known = self._kept.get((resource, items))
        if known is None:
            known = tuple(self.numbers[f"{resource}.{item}"] for item in items)
            if len(self._kept) >= _MAX_KEPT:
                self._kept.clear()
            self._kept[resource, items] = known
        return known

    def _act(self, act: Act, hashed: dict[tuple[str, str], str]) -> NodeFrame:
        hashed.update({whose: self.hashes.of(*whose) for whose in act.subjects})
        others = [*(hashed[whose] for whose in act.subjects), *act.hashes]
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
            items=self._numbered(node.resource, node.used.items),
            rules=node.used.rules,
            groups={
                outcomes: [hashed.get((kind, entity)) or of(kind, entity) for entity in entities]
                for outcomes, entities in node.groups.items()
            },
            others=[hashed.get(other) or of(*other) for other in sorted(node.others)],
            versions={
                outcomes: [self._version(node, *one) for one in zip(node.groups[outcomes], versions, strict=True)]
                for outcomes, versions in node.versions.items()
                if any(one is not None for one in versions)
            },
            acts=node.used.acts,
            classes=node.used.classes,
            rows=node.used.rows,
        )

    def _version(self, node: NodeDisclosure, entity: str, version: Version) -> Any:
        """A record's version as frames have it: last changes as they are, values digested."""
        if version is None or isinstance(version, int):
            return version
        if isinstance(version, list):
            return [self._version(node, entity, one) for one in version]
        return "".join(
            self.hashes.value(node.entity, entity, f"{node.resource}.{item}", written(value)) for item, value in version
        )

    def _case(self, case: Case, hashed: dict[tuple[str, str], str]) -> CaseFrame:
        subjects = [(one.entity, one.identifier) for one in case.subjects]
        hashed |= {subject: self.hashes.of(*subject) for subject in subjects if subject not in hashed}
        return CaseFrame(
            number=case.number,
            service=case.service,
            opened=_micros(case.opened_at),
            expires=_micros(case.expires_at),
            closed=_micros(case.closed_at) if case.closed_at else None,
            subjects=[hashed[subject] for subject in subjects],
        )


def _micros(moment: datetime) -> int:
    """Microseconds since 1970, without a float between."""
    return (moment - _EPOCH) // timedelta(microseconds=1)
