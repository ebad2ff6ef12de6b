"""One immutable policy version: rules sliced by object, department and purpose, decided by pycasbin, remembered.

`enforce` is linear in rules (349 ms at 100,000), so a decision is asked of the few rows that can match it, and asked
once. Enforcers are never reloaded: a change of rules makes a new snapshot, which shares with the old one what did not change. An empty slice
is denied before Casbin, because an enforcer without rows matches blanks; an allow without a rule id is a deny.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import lru_cache
from itertools import count
from typing import Any

import casbin

from policies.decision import BEGINNING, END, PLAIN_ACTS, Act, Decision, Mask, NextStep, Obligation, Rows, Use
from policies.lint import lint_group, lint_ids, lint_rules, lint_whole
from policies.parts import MODELS, NO_GROUPS, Models, base_digest, digest_of, group_part, version_name
from policies.reasons import MASKED, refused_by_basis, refused_by_share
from policies.rules import ANY, BasisRow, Rules, RuleText, ShareRow, text_key
from schema.catalogue import Catalogue, Purpose

_MAX_CALLERS = 4_096
_MAX_REMEMBERED = 50_000
_SERIALS = count()
Index = Mapping[str, Mapping[str, Mapping[str, tuple[ShareRow, ...]]]]
"""Rows by object, then department, then purpose."""
_Waiting = Mapping[tuple[str, str], Mapping[str, Decision]]
"""Why grants allow nothing now: reasons by department and coordinate, then by group."""


def utc_text(at: float) -> str:
    """ISO 8601 in UTC to the second, as rules write times."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@lru_cache(65_536)
def _moment(time: str) -> float:
    """The Unix second of a rule's time."""
    return datetime.fromisoformat(time).timestamp()


class Snapshot:
    """All decisions of one policy version.

    `version` names it in the ledger, and binds all that it decides by (`policies.parts`). `serial` is of this object alone, in this process.
    """

    def __init__(self, catalogue: Catalogue, rules: Rules, models: Models = MODELS) -> None:
        """The catalogue's own rules; RuleError if they are not sound."""
        lint_whole(rules)
        lint_rules(rules, catalogue)
        self.catalogue, self.base_rules, self.models = catalogue, rules, models
        self.digest, self.tree = base_digest(catalogue, rules, models), NO_GROUPS
        self.sequence, self.serial = 0, next(_SERIALS)
        self.version = version_name(self.digest, 0, NO_GROUPS.digest)
        self._base_texts, self._texts = rules.texts, dict[str, RuleText]()
        self._base_index: Index = _indexed({}, rules.share)
        self._index: Index = {}
        self._needs: dict[tuple[str, str], list[BasisRow]] = defaultdict(list)
        for row in rules.basis:
            self._needs[row.basis, row.object].append(row)
        self._groups: dict[str, Rules] = {}
        self._waiting: _Waiting = {}
        self._enforcers = _Enforcers(models)
        self._callers: dict[tuple[str, ...], Caller] = {}

    def with_changes(self, groups: Mapping[str, Rules], sequence: int) -> Snapshot:
        """The snapshot in which these groups (a grant's, a suspension's, a rule file's) are replaced; an empty one is gone.

        RuleError if a group is not sound; then this snapshot stays as it is. What it takes grows with the groups, not with the catalogue's rules:
        those are shared.
        """
        for group in groups.values():
            lint_rules(group, self.catalogue)
            lint_group(group)
        new = object.__new__(Snapshot)
        new.catalogue, new.base_rules, new.models = self.catalogue, self.base_rules, self.models
        new.digest, new.sequence, new.serial = self.digest, sequence, next(_SERIALS)
        new._needs, new._enforcers, new._callers = self._needs, self._enforcers, {}
        new._base_texts, new._base_index = self._base_texts, self._base_index
        new._texts, new._groups = dict(self._texts), dict(self._groups)
        before = {name: old for name in groups if (old := new._groups.pop(name, None))}
        for old in before.values():
            for rid in old.texts:
                new._texts.pop(rid, None)
        digests = dict.fromkeys(groups, "")
        for name, group in groups.items():
            if group.share or group.waiting:
                lint_ids(group, new._base_texts)
                lint_ids(group, new._texts)
                new._groups[name] = group
                new._texts.update(group.texts)
                digests[name] = digest_of(group_part(name, group))
        index = _without(self._index, {row for old in before.values() for row in old.share})
        new._index = _indexed(index, [row for group in groups.values() for row in group.share])
        new._waiting = _awaited(self._waiting, before, groups)
        new.tree = self.tree.grown(digests)
        new.version = version_name(new.digest, sequence, new.tree.digest)
        return new

    def waiting(self, department: str, coordinate: str) -> Decision | None:
        """Why a grant of this department for this item allows nothing now; of several grants that of the first by name."""
        reasons = self._waiting.get((department, coordinate))
        return reasons[min(reasons)] if reasons else None

    def caller(self, department: str, role: str, channel: str, purpose: Purpose, basis: str) -> Caller:
        """Who decides for callers that are alike in all of this."""
        key = (department, role, channel, purpose, basis)
        caller = self._callers.get(key)
        if caller is None:
            if len(self._callers) >= _MAX_CALLERS:
                self._callers.clear()
            caller = self._callers[key] = Caller(self, *key)
        return caller

    def text(self, rid: str) -> RuleText:
        """What a rule says; KeyError if there is none of that id."""
        for name in (rid, text_key(rid)):
            if text := self._texts.get(name) or self._base_texts.get(name):
                return text
        raise KeyError(rid)

    def groups(self) -> Mapping[str, Rules]:
        """The groups beside the catalogue's own rules, by name."""
        return self._groups

    def slice(self, use: Use, department: str, purpose: str) -> list[ShareRow]:
        """The rows about a use for this department and purpose, the least obliging last: of those that match, Casbin names the last."""
        rows: list[ShareRow] = []
        for by_department in self._of_objects(use.coordinate):
            for dept in (ANY, department):
                if by_purpose := by_department.get(dept):
                    rows += by_purpose.get(ANY, ())
                    rows += by_purpose.get(purpose, ())
        return sorted(rows, key=self._order) if len(rows) > 1 else rows

    def _order(self, row: ShareRow) -> tuple[int, str]:
        return -len(self.text(row.rid).obligations), row.rid

    def _of_objects(self, coordinate: str) -> list[Mapping[str, Mapping[str, tuple[ShareRow, ...]]]]:
        names = self.objects(coordinate)
        return [index[name] for index in (self._base_index, self._index) for name in names if name in index]

    def objects(self, coordinate: str) -> tuple[str, str, str, str]:
        """The objects that a rule about this coordinate may name: item, resource, share class, provider."""
        resource = coordinate.partition(".")[0]
        share_class = self.catalogue.item(coordinate).share.share_class
        provider = self.catalogue.resources[resource].department
        return coordinate, resource, f"class/{share_class}", f"provider/{provider}"

    def rows_about(self, coordinate: str, department: str) -> list[ShareRow]:
        """Every row about this coordinate for this department, whatever it allows: what a denial's reason is looked for in."""
        return [
            row
            for by_department in self._of_objects(coordinate)
            for dept in (ANY, department)
            for rows in by_department.get(dept, {}).values()
            for row in rows
        ]

    def anybody_may(self, coordinate: str) -> bool:
        """Whether some department is allowed something about this coordinate."""
        return any(
            row.eft == "allow"
            for by_department in self._of_objects(coordinate)
            for by_purpose in by_department.values()
            for rows in by_purpose.values()
            for row in rows
        )

    def needed(self, basis: str, coordinate: str) -> Sequence[BasisRow]:
        """The rows that say what a basis needs an item for."""
        return self._needs.get((basis, coordinate), ())


class Caller:
    """Decides for callers of one department and role, through one channel, for one purpose, under one basis."""

    def __init__(
        self, snapshot: Snapshot, department: str, role: str, channel: str, purpose: Purpose, basis: str
    ) -> None:
        self.snapshot = snapshot
        self.department, self.role, self.channel, self.purpose, self.basis = department, role, channel, purpose, basis
        self._known: dict[Use, Decision] = {}

    def decide(self, use: Use, at: float) -> Decision:
        """Whether this use is allowed at `at` (Unix seconds)."""
        known = self._known.get(use)
        if known is not None and known.since <= at < known.until:
            return known
        return self._remember(use, self._decide(use, at))

    def _remember(self, use: Use, decision: Decision) -> Decision:
        if len(self._known) >= _MAX_REMEMBERED:
            self._known.clear()
        self._known[use] = decision
        return decision

    def _decide(self, use: Use, at: float) -> Decision:
        decision = self._by_share(use, at)
        if decision.allow:
            needed = self._by_basis(use)
            if not needed.allow:
                return replace(needed, since=decision.since, until=decision.until)
            if use.act in PLAIN_ACTS:
                return self._plain(use, decision, at)
        return decision

    def _plain(self, use: Use, decision: Decision, at: float) -> Decision:
        """What tells of a value without showing it is allowed only to who may read the whole value, of the same records."""
        read = self.decide(Use(use.coordinate, Act.READ, use.subject), at)
        since, until = max(decision.since, read.since), min(decision.until, read.until)
        if not read.allow:
            return replace(read, since=since, until=until)
        if read.mask:
            return replace(MASKED, since=since, until=until)
        obligations = tuple(dict.fromkeys((*decision.obligations, *read.obligations)))
        return replace(decision, obligations=obligations, since=since, until=until)

    def _by_share(self, use: Use, at: float) -> Decision:
        snapshot = self.snapshot
        rows = [row for row in snapshot.slice(use, self.department, self.purpose) if self._concerns(row, use)]
        coordinate, resource, share_class, provider = snapshot.objects(use.coordinate)
        request = (
            self.department, self.role, resource, coordinate, share_class, provider,
            use.subject, use.act, self.channel, self.purpose, self.basis, utc_text(at),
        )  # fmt: skip
        allowed, rid = snapshot._enforcers.share(rows, request)
        since, until = _in_force(rows, at)
        if not rid:
            about = snapshot.rows_about(use.coordinate, self.department)
            turns = _in_force(about, at)
            refused = refused_by_share(self, use, about)
            return replace(refused, since=max(since, turns[0]), until=min(until, turns[1]))
        text = snapshot.text(rid)
        if not allowed:
            return Decision(False, rid, text.reason, next_step=NextStep.NO_WAY, since=since, until=until)
        return Decision(True, rid, text.reason, self._obligations(use, text), since=since, until=until)

    def _concerns(self, row: ShareRow, use: Use) -> bool:
        """False for a row that cannot match, whatever the role and the time: spares Casbin, which takes far longer to say so."""
        return (
            row.act in (ANY, use.act)
            and row.subject in (ANY, use.subject)
            and row.channel in (ANY, self.channel)
            and row.basis in (ANY, self.basis)
        )

    def _obligations(self, use: Use, text: RuleText) -> tuple[Obligation, ...]:
        """The rule's conditions and the resource's own; where a value is shown, its mask for the purpose (by grade, or the item's own)."""
        catalogue = self.snapshot.catalogue
        conditions = catalogue.resources[use.coordinate.partition(".")[0]].rows
        rows = {*text.obligations, *(Rows(condition) for condition in conditions)}
        kind = catalogue.item(use.coordinate).masks.get(self.purpose) if use.act is Act.READ else None
        return (*([Mask(kind)] if kind else ()), *sorted(rows, key=repr))

    def _by_basis(self, use: Use) -> Decision:
        rows = self.snapshot.needed(self.basis, use.coordinate)
        request = (self.basis, use.coordinate, use.subject, use.act, self.purpose)
        allowed, rid = self.snapshot._enforcers.basis(rows, request)
        if rid:
            text = self.snapshot.text(rid)
            step = None if allowed else NextStep.NO_WAY
            return Decision(allowed, rid, text.reason, next_step=step)
        return refused_by_basis(self, use, rows)


class _Enforcer(casbin.Enforcer):  # type: ignore[misc]
    """An enforcer that compiles its matcher once, not for every question. Its role links never change, so neither does what `g` says."""

    _expression: Any = None

    def _get_expression(self, expr: str, functions: Any = None) -> Any:
        if self._expression is None:
            self._expression = super()._get_expression(expr, functions)
        return self._expression


class _Enforcers(threading.local):
    """The two Casbin enforcers, a pair for each thread: rows are put in for one question, and must not be another thread's."""

    def __init__(self, models: Models) -> None:
        self._share = _Enforcer(_model(models.share))
        for role, parent in models.roles:
            self._share.add_grouping_policy(role, parent)
        self._basis = _Enforcer(_model(models.basis))

    def share(self, rows: Sequence[ShareRow], request: tuple[str, ...]) -> tuple[bool, str]:
        return _enforce(self._share, rows, request)

    def basis(self, rows: Sequence[BasisRow], request: tuple[str, ...]) -> tuple[bool, str]:
        return _enforce(self._basis, rows, request)


def _model(text: str) -> casbin.Model:
    model = casbin.Model()
    model.load_model_from_text(text)
    return model


def _enforce(enforcer: casbin.Enforcer, rows: Sequence[Any], request: tuple[str, ...]) -> tuple[bool, str]:
    """Whether `request` is allowed, and the id of the rule that says so; a denial without an id is one by default.

    Blanks and an empty slice are refused before Casbin. An allow without a rule id is a denial.
    """
    if not rows or not all(value.strip() for value in request):
        return False, ""
    enforcer.model["p"]["p"].policy = rows
    allowed, rule = enforcer.enforce_ex(*(str(value) for value in request))
    rid = rule[-1] if rule else ""
    return bool(allowed and rid), rid


def _in_force(rows: Iterable[ShareRow], at: float) -> tuple[float, float]:
    """Since when and until when these rows say what they say at `at`."""
    turns = {_moment(time) for time in {time for row in rows for time in (row.nbf, row.exp)}}
    return max((t for t in turns if t <= at), default=BEGINNING), min((t for t in turns if t > at), default=END)


def _indexed(index: Index, rows: Iterable[ShareRow]) -> Index:
    """The index with these rows added. Only what changes is copied, once; the rest is shared."""
    added: dict[str, dict[str, dict[str, list[ShareRow]]]] = {}
    for row in rows:
        by_department = added.setdefault(row.object, {})
        by_purpose = by_department.setdefault(row.dept, {})
        by_purpose.setdefault(row.purpose, []).append(row)
    if not added:
        return index
    new = dict(index)
    for name, departments in added.items():
        known = dict(new.get(name, {}))
        for dept, purposes in departments.items():
            those = dict(known.get(dept, {}))
            for purpose, more in purposes.items():
                those[purpose] = (*those.get(purpose, ()), *more)
            known[dept] = those
        new[name] = known
    return new


def _without(index: Index, gone: set[ShareRow]) -> Index:
    """The index without these rows."""
    new = dict(index)
    for name, dept, purpose in {(row.object, row.dept, row.purpose) for row in gone}:
        left = tuple(row for row in new[name][dept][purpose] if row not in gone)
        new[name] = {**new[name], dept: {**new[name][dept], purpose: left}}
    return new


def _awaited(waiting: _Waiting, before: Mapping[str, Rules], after: Mapping[str, Rules]) -> _Waiting:
    """The reasons with those of these groups replaced."""
    if not any(one.waiting for groups in (before, after) for one in groups.values()):
        return waiting
    new = {use: dict(reasons) for use, reasons in waiting.items()}
    for name, group in before.items():
        for use in group.waiting:
            del new[use][name]
    for name, group in after.items():
        for use, reason in group.waiting.items():
            new.setdefault(use, {})[name] = reason
    return {use: reasons for use, reasons in new.items() if reasons}
