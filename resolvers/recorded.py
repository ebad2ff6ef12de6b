"""Recorded operations decided again: from the request that their frame holds, under the policy version that it names, at its own moment.

What the policy decided is decided by the same code: the case as it was then proves what it proved, each use comes to the same rule, mask and conditions.
What no policy decides is taken as recorded: which records there were, which source failed, and that attempts to verify were used up.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

from audit.frame import ACTS, CLASSES, decode
from audit.store import StoredFrame
from policies.archive import Archive, ArchiveChanged, VersionNotKept
from policies.cases import Case, CaseSubject
from policies.decision import BEGINNING, END, Act, Decision, Use
from policies.identity import Identity, Role
from policies.snapshot import Caller, Snapshot
from resolvers.authorise import NOT_A_SUBJECT, Proof, by_case, by_scenario
from resolvers.search import ADULTS_REFUSED
from resolvers.verdicts import USED_UP
from schema.catalogue import Purpose, RowCondition, SubjectClass
from schema.errors import Text

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_ACTS = {letter: Act(word) for letter, word in ACTS.items()}
_CLASSES = {letter: SubjectClass(word) for letter, word in CLASSES.items()}
_MOST_RIGHT = 50_000
_GONE = Text("not in the catalogue any more", "已不在目录中")


class Effect(StrEnum):
    """What was decided on a use; CONDITIONS are those on the records of a whole node, PROVEN what the case or scenario proves."""

    ALLOWED = "ALLOWED"
    MASKED = "MASKED"
    DENIED = "DENIED"
    CONDITIONS = "CONDITIONS"
    PROVEN = "PROVEN"


class Undecided(StrEnum):
    """Why an operation cannot be decided again."""

    FORMAT = "FORMAT"
    """Its frame is of version 1, which lacks a part of the request."""
    UNREADABLE = "UNREADABLE"
    """Its frame is none, or names what is nowhere."""
    POLICY_MISSING = "POLICY_MISSING"
    """Its policy version is not in the archive."""
    POLICY_CHANGED = "POLICY_CHANGED"
    """Its policy version in the archive is not what the name says."""


@dataclass(frozen=True, slots=True)
class Decided:
    """An effect with the rule behind it; for CONDITIONS the conditions, for PROVEN the service item or scenario."""

    effect: Effect
    rule: str


@dataclass(frozen=True, slots=True)
class Difference:
    """A use that is decided otherwise: at which path of the answer, which item (or resource), for which act, of whom."""

    path: str
    coordinate: str
    act: str
    subject: str
    recorded: Decided
    replayed: Decided
    reason: Text | None = None


@dataclass(frozen=True, slots=True)
class Replayed:
    """One operation: how many uses were decided again, which came out otherwise, which of them would be refused today."""

    place: int
    operation: str
    at: int
    policy: str
    uses: int = 0
    differences: tuple[Difference, ...] = ()
    refused_today: tuple[Difference, ...] = ()
    undecided: Undecided | None = None


@dataclass(frozen=True, slots=True)
class _Request:
    """Who asked, when, and with which cases."""

    identity: Identity
    at: datetime
    cases: Mapping[str, Sequence[Case]]

    @property
    def moment(self) -> float:
        """When, in Unix seconds."""
        return self.at.timestamp()

    def proofs(self, node: Mapping[str, Any], snapshot: Snapshot) -> list[Proof]:
        """What the node's basis proves under this policy; several where the case was changed while the operation began."""
        number, scenario = node["case"], node["scenario"]
        if scenario:
            return [by_scenario(scenario, self.identity, snapshot.catalogue)]
        known: Sequence[Case | None] = self.cases.get(number, (None,))
        proofs = [by_case(number, case, self.identity, snapshot.catalogue, self.at) for case in known]
        # a basis without any name was a case or a scenario: either proves nothing
        return proofs if number else [*proofs, by_scenario("", self.identity, snapshot.catalogue)]


@dataclass(frozen=True, slots=True)
class _Use:
    """One use of a node with what was recorded of it; `shown` is whether its values were seen unmasked, None where none was."""

    coordinate: str
    use: Use
    rule: str
    denied: bool | None
    shown: bool | None

    def difference(self, path: str, replayed: Decided, reason: Text) -> Difference:
        effect = Effect.DENIED if self.denied else Effect.MASKED if self.shown is False else Effect.ALLOWED
        if self.denied is None:
            effect = replayed.effect
        use = self.use
        return Difference(
            path, self.coordinate, use.act.value, use.subject.value, Decided(effect, self.rule), replayed, reason
        )

    def is_as(self, decision: Decision, rule: str) -> bool:
        """Whether this is what was recorded. What was met nowhere has no effect on record, only its rule."""
        if rule != self.rule:
            return False
        if self.denied is None:
            return True
        return self.denied is not decision.allow and (self.shown is None or self.shown is not bool(decision.mask))


class Replay:
    """Decides operations again, by the archive of policies and the ledger's dictionary of items; with `today` under that policy too, as of `now`."""

    def __init__(
        self, archive: Archive, coordinates: Mapping[int, str], today: Snapshot | None = None, now: float = 0
    ) -> None:
        """`now` in Unix seconds."""
        self._archive, self._coordinates = archive, coordinates
        self._today, self._now = today, now
        self._right: dict[tuple[object, ...], tuple[float, float]] = {}

    def operation(self, stored: StoredFrame) -> Replayed:
        """A recorded operation decided again. One that decided nothing about data has no uses."""
        try:
            frame = decode(stored.frame)
            place = (stored.seq, str(frame["operation"]), int(frame["at"]), str(frame["policy"]))
            nodes = [node for node in frame["nodes"] if node["purpose"]]
            if not nodes or frame["outcome"] == "dry-run":  # what is explained only is not decided
                return Replayed(*place)
            if frame["version"] < 2:
                return Replayed(*place, undecided=Undecided.FORMAT)
        except (ValueError, TypeError, KeyError, AttributeError):
            return Replayed(stored.seq, "", 0, "", undecided=Undecided.UNREADABLE)
        try:
            return self._replayed(place, frame, nodes, self._archive.snapshot(place[3]))
        except VersionNotKept:
            return Replayed(*place, undecided=Undecided.POLICY_MISSING)
        except ArchiveChanged:
            return Replayed(*place, undecided=Undecided.POLICY_CHANGED)
        except (ValueError, TypeError, KeyError, AttributeError, IndexError, OverflowError):
            return Replayed(*place, undecided=Undecided.UNREADABLE)

    def _replayed(
        self,
        place: tuple[int, str, int, str],
        frame: Mapping[str, Any],
        nodes: Sequence[Mapping[str, Any]],
        snapshot: Snapshot,
    ) -> Replayed:
        request = _request(frame)
        joined = {node["path"]: node["acts"] for node in sorted(nodes, key=_acts_of) if "j" in node["acts"]}
        proofs: dict[tuple[str, str], list[Proof]] = {}
        uses = 0
        differences: list[Difference] = []
        refused: list[Difference] = []
        for node in nodes:
            basis = node["case"], node["scenario"]
            if basis not in proofs:
                proofs[basis] = request.proofs(node, snapshot)
            uses += len(node["items"])
            covers = _is_of_root(node, joined)
            found = [self._node(node, one, request, snapshot, covers) for one in proofs[basis]]
            closest: list[Difference] = min(found, key=len)
            differences += closest
            if self._today:
                proof = request.proofs(node, self._today)[-1]
                refused += _refused(node, self._uses(node), proof, request, self._today, self._now)
        return Replayed(*place, uses, tuple(differences), tuple(refused))

    def _node(
        self, node: Mapping[str, Any], proof: Proof, request: _Request, snapshot: Snapshot, covers: bool
    ) -> list[Difference]:
        """What comes out otherwise at a node under what its basis proves; `covers` if it is about those whom its root asked for."""
        refusal = _refusal(node, proof, covers)
        if refusal:
            return list(_refused_otherwise(node, self._uses(node), refusal))
        # most nodes are like one before: what was found right once is, as long as its decisions hold
        alike = (
            *(snapshot.serial, request.identity.department, request.identity.role, proof.basis, proof.service),
            *(node["purpose"], node["service"], node["acts"], node["classes"]),
            *map(tuple, (node["items"], node["rules"], node["rows"], node["groups"])),
        )
        since, until = self._right.get(alike, (END, BEGINNING))
        if since <= request.moment < until:
            return []
        uses, caller = self._uses(node), _caller(snapshot, request.identity, proof, node)
        decisions = [caller.decide(one.use, request.moment) for one in uses]
        found = list(_decided_otherwise(node, uses, decisions, proof))
        if not found:
            if len(self._right) >= _MOST_RIGHT:
                self._right.clear()
            since = max((one.since for one in decisions), default=BEGINNING)
            self._right[alike] = since, min((one.until for one in decisions), default=END)
        return found

    def _uses(self, node: Mapping[str, Any]) -> list[_Use]:
        items, rules, acts, classes = node["items"], node["rules"], node["acts"], node["classes"]
        if not items:
            return []
        columns: Sequence[Sequence[str]] = [*zip(*node["groups"], strict=True)] or [()] * len(items)
        known = self._coordinates
        return [
            _Use(coordinate, Use(coordinate, _ACTS[act], _CLASSES[subject]), rule, *_effect(letters))
            for number, rule, act, subject, letters in zip(items, rules, acts, classes, columns, strict=True)
            for coordinate in (known[number],)
        ]


def _effect(letters: Sequence[str]) -> tuple[bool | None, bool | None]:
    """Whether an item was denied, and whether its values were seen unmasked, by its outcomes; ValueError where these contradict each other."""
    if not letters:
        return None, None
    seen = set(letters)
    if ("D" in seen and len(seen) > 1) or {"M", "R"} <= seen:
        raise ValueError("one use, several decisions")
    return "D" in seen, False if "M" in seen else True if "R" in seen else None


def _request(frame: Mapping[str, Any]) -> _Request:
    department = frame["department"]
    identity = Identity(frame["subject"], department, Role(frame["role"]), frame["region"], frame["client"], 0)
    cases: dict[str, list[Case]] = {}
    for one in frame["cases"]:
        # a subject is known by its keyed hash, which has its entity in it
        subjects = tuple(CaseSubject("", hashed, "", "") for hashed in one["subjects"])
        closed = _moment(one["closed"]) if one["closed"] is not None else None
        times = _moment(one["opened"]), _moment(one["expires"]), closed
        cases.setdefault(one["number"], []).append(Case(one["number"], department, one["service"], *times, subjects))
    return _Request(identity, _moment(frame["at"]), cases)


def _moment(micros: int) -> datetime:
    return _EPOCH + timedelta(microseconds=micros)


def _acts_of(node: Mapping[str, Any]) -> str:
    return str(node["acts"])


def _is_of_root(node: Mapping[str, Any], joined: Mapping[str, str]) -> bool:
    """Whether a node is about those whom its root asked for.

    Where a relation's node stands (the one with most acts), a reached entity's identifier and the records of those reached stand too.
    """
    return bool(node["path"].count(".") < 2 and joined.get(node["path"], node["acts"]) == node["acts"])


def _refused_otherwise(node: Mapping[str, Any], uses: Sequence[_Use], refusal: Decision) -> Iterator[Difference]:
    """What differs at a node that its basis does not cover."""
    if not uses and list(node["rules"]) != [refusal.rule_id]:
        yield _of_node(node, Effect.PROVEN, " ".join(node["rules"]), refusal.rule_id)
    for one in uses:
        if not one.is_as(refusal, refusal.rule_id):
            yield one.difference(node["path"], Decided(Effect.DENIED, refusal.rule_id), refusal.reason)


def _decided_otherwise(
    node: Mapping[str, Any], uses: Sequence[_Use], decisions: Sequence[Decision], proof: Proof
) -> Iterator[Difference]:
    """What differs at a node that its basis covers, from what is decided now."""
    if proof.service != node["service"]:
        yield _of_node(node, Effect.PROVEN, node["service"], proof.service)
    if not uses and node["rules"]:
        yield _of_node(node, Effect.PROVEN, " ".join(node["rules"]), "")
    conditions = {row.value for decision in decisions if decision.allow for row in decision.rows}
    for one, decision in zip(uses, decisions, strict=True):
        followed = one.use.act is not Act.JOIN or all(other.allow for other in decisions)
        if not one.is_as(decision, decision.rule_id) and not _beside(one, decision, proof, conditions, followed):
            yield one.difference(node["path"], _decided(decision), decision.reason)
    if sorted(conditions) != list(node["rows"]):
        yield _of_node(node, Effect.CONDITIONS, " ".join(node["rows"]), " ".join(sorted(conditions)))


def _of_node(node: Mapping[str, Any], effect: Effect, recorded: str, replayed: str) -> Difference:
    """A difference of a whole node."""
    told = Decided(effect, recorded), Decided(effect, replayed)
    return Difference(node["path"], node["resource"], "", node["subject"], *told)


def _refusal(node: Mapping[str, Any], proof: Proof, covers: bool) -> Decision | None:
    """Why the basis does not cover this node, None if it does."""
    if proof.refusal or proof.scenario:
        return proof.refusal
    entities = [one for those in node["groups"].values() for one in those if one]
    if not node["items"] and not node["rules"]:
        entities = node["others"]
    strangers = [one for one in entities if ("", one) not in proof.subjects]
    if NOT_A_SUBJECT.rule_id in node["rules"]:
        return NOT_A_SUBJECT if len(strangers) == len(entities) else None
    return NOT_A_SUBJECT if covers and strangers else None


def _caller(snapshot: Snapshot, identity: Identity, proof: Proof, node: Mapping[str, Any]) -> Caller:
    purpose = Purpose(node["purpose"])
    return snapshot.caller(identity.department, identity.role, proof.channel, purpose, proof.basis)


def _beside(use: _Use, decision: Decision, proof: Proof, conditions: set[str], followed: bool) -> bool:
    """Whether it was refused after its own rule had allowed it: a relation by its other item, a page that would count minors, attempts used up."""
    if not use.denied or not decision.allow:
        return False
    if use.rule == ADULTS_REFUSED.rule_id:
        return bool(proof.scenario) and RowCondition.ADULTS.value in conditions
    if use.rule == USED_UP.rule_id:
        return use.use.act is Act.VERIFY
    return use.rule == decision.rule_id and not followed


def _decided(decision: Decision) -> Decided:
    effect = Effect.DENIED if not decision.allow else Effect.MASKED if decision.mask else Effect.ALLOWED
    return Decided(effect, decision.rule_id)


def _refused(
    node: Mapping[str, Any], uses: Sequence[_Use], proof: Proof, request: _Request, today: Snapshot, now: float
) -> Iterator[Difference]:
    """What was allowed then and would be refused by today's policy, under the case as it was then."""
    caller = _caller(today, request.identity, proof, node) if proof.basis else None
    for one in uses:
        if one.denied or (one.denied is None and one.rule.startswith("DENY/")):
            continue
        try:
            decision = proof.refusal or (caller.decide(one.use, now) if caller else None)
        except KeyError:
            yield one.difference(node["path"], Decided(Effect.DENIED, ""), _GONE)
            continue
        if decision and not decision.allow:
            yield one.difference(node["path"], _decided(decision), decision.reason)
