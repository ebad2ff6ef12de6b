"""Lints rows on the way in: what Casbin would ignore or misread is refused, with code, place and hint.

A misspelt effect allows, a deny for an unknown department denies nobody, an empty token matches blanks, a role deeper than ten loses its
denials: none of them is an error to Casbin.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from policies.decision import Act
from policies.identity import STAFF
from policies.rules import (
    ANY,
    CHANNELS,
    ROLE_LINKS,
    Rules,
    RuleText,
    ShareRow,
    text_key,
)
from schema.catalogue import Catalogue, Purpose, ShareClass, SubjectClass

_MAX_ROLE_DEPTH = 8
"""Casbin unlinks roles deeper than 10 without a word."""
_MAX_PROBLEMS = 100
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", re.ASCII)
Place = Callable[[int], str]


@dataclass(frozen=True, slots=True)
class RuleProblem:
    """One problem of one row: a stable code, where, what, and a hint."""

    code: str
    place: str
    message: str
    hint: str

    def __str__(self) -> str:
        return f"{self.code} {self.message} - {self.hint} ({self.place})"


class RuleError(ValueError):
    """Rows that must not enter a snapshot; the last good version stays in force."""

    def __init__(self, problems: Sequence[RuleProblem]) -> None:
        super().__init__("\n".join(map(str, problems)))
        self.problems = tuple(problems)


def lint_rules(rules: Rules, catalogue: Catalogue, place: Place | None = None) -> None:
    """Refuse rows with RuleError. `place` says where a share row stands, by its number; without it a rule is named by its id."""
    problems = [*_lint_share(rules.share, rules.texts, catalogue, place), *_lint_basis(rules, catalogue)]
    if problems:
        raise RuleError(problems[:_MAX_PROBLEMS])


def lint_group(group: Rules) -> None:
    """Refuse basis rows in a group beside the catalogue's: nothing would read them, so that a denial among them denied nothing."""
    if group.basis:
        hint = "state needs in the catalogue's service items and scenarios"
        raise RuleError([RuleProblem("POL114", group.basis[0].rid, "a basis row beside the catalogue's", hint)])


def lint_ids(group: Rules, taken: Collection[str]) -> None:
    """Refuse rule ids that are in force elsewhere: who replaced one group would take the other's rows and reasons along."""
    if twice := sorted(rid for rid in group.texts if rid in taken):
        raise RuleError([RuleProblem("POL115", twice[0], "the rule id is in force elsewhere", "give it another id")])


def lint_whole(rules: Rules) -> None:
    """Refuse a policy without rows: an enforcer without rules would allow."""
    if not rules.share or not rules.basis:
        raise RuleError([RuleProblem("POL108", "policy", "there are no rules", "load a catalogue with service items")])


def _lint_share(
    rows: Sequence[ShareRow], texts: Mapping[str, RuleText], catalogue: Catalogue, place: Place | None
) -> list[RuleProblem]:
    """Column by column, each value once: a hundred thousand rows have few distinct words."""
    if not rows:
        return []
    problems: list[RuleProblem] = []

    def note(code: str, number: int, message: str, hint: str) -> None:
        problems.append(RuleProblem(code, place(number) if place else rows[number].rid, message, hint))

    for name, is_known, code, hint in _columns(catalogue):
        column = ShareRow._fields.index(name)
        for value in {row[column] for row in rows}:
            if not is_known(value):
                number = next(n for n, row in enumerate(rows) if row[column] == value)
                note(code, number, f"unknown {name} {_shown(value)}", hint)
    for number, message in _wrong_times(rows):
        note("POL105", number, message, "write 2026-01-31T00:00:00Z, and an end after the beginning")
    for rid in {row.rid for row in rows}:
        if not rid or rid.strip() != rid:
            number = next(n for n, row in enumerate(rows) if row.rid == rid)
            note("POL102", number, "an empty or padded rule id", "remove the blanks")
        if rid not in texts and text_key(rid) not in texts:
            number = next(n for n, row in enumerate(rows) if row.rid == rid)
            note("POL103", number, f"the rule {_shown(rid)} has no reason", "say article and reason of each rule")
    by_link = {parent for _, parent in ROLE_LINKS}
    for number, row in enumerate(rows):
        if row.eft == "deny" and row.role in by_link:
            note("POL107", number, "a denial that depends on a role link", "use the role any, or one that people hold")
    return problems


def _columns(catalogue: Catalogue) -> Iterable[tuple[str, Callable[[str], bool], str, str]]:
    """Each column of a share row with what its words must be, the code for another word, and a hint."""
    roles = {
        *(role.value for role in STAFF),
        *(name for link in ROLE_LINKS for name in link),
    }
    names = "see docs/catalogue.md for the names"
    yield "eft", {"allow", "deny"}.__contains__, "POL101", "allow or deny"
    yield "dept", lambda word: word == ANY or word in catalogue.departments, "POL109", names
    yield "object", lambda word: _is_object(catalogue, word), "POL110", names
    yield "basis", lambda word: word == ANY or _is_basis(catalogue, word), "POL111", names
    for name, words in (
        ("role", roles),
        ("subject", {subject.value for subject in SubjectClass}),
        ("act", {act.value for act in Act}),
        ("channel", set(CHANNELS.values())),
        ("purpose", {purpose.value for purpose in Purpose}),
    ):
        yield name, {ANY, *words}.__contains__, "POL104", "one of " + ", ".join(sorted({ANY, *words}))


def _is_object(catalogue: Catalogue, word: str) -> bool:
    kind, _, name = word.partition("/")
    if name:
        return (kind == "class" and name in set(ShareClass)) or (kind == "provider" and name in catalogue.departments)
    return word in catalogue.resources or _is_item(catalogue, word)


def _is_item(catalogue: Catalogue, word: str) -> bool:
    resource, dot, item = word.partition(".")
    return bool(dot) and resource in catalogue.resources and item in catalogue.resources[resource].items


def _is_basis(catalogue: Catalogue, word: str) -> bool:
    kind, _, name = word.partition("/")
    return (kind == "SERVICE" and name in catalogue.services) or (kind == "SCENARIO" and name in catalogue.scenarios)


def _wrong_times(rows: Sequence[ShareRow]) -> Iterable[tuple[int, str]]:
    right = {time for time in {t for row in rows for t in (row.nbf, row.exp)} if _is_time(time)}
    for number, row in enumerate(rows):
        for time in (row.nbf, row.exp):
            if time not in right:
                yield number, f"{_shown(time)} is no time in UTC to the second"
        if row.nbf in right and row.exp in right and row.nbf >= row.exp:
            yield number, "it ends before it begins"


def _is_time(time: str) -> bool:
    try:
        datetime.strptime(time, "%Y-%m-%dT%H:%M:%SZ")
    except ValueError:
        return False
    return _TIME.fullmatch(time) is not None


def _lint_basis(rules: Rules, catalogue: Catalogue) -> Iterable[RuleProblem]:
    subjects, purposes, acts = set(SubjectClass), set(Purpose), set(Act)
    for row in rules.basis:
        if row.eft not in ("allow", "deny") or not _is_item(catalogue, row.object) or row.act not in acts:
            yield RuleProblem(
                "POL101", row.rid, "a basis row with an unknown word", "see the catalogue's service items"
            )
        elif row.rid not in rules.texts and text_key(row.rid) not in rules.texts:
            yield RuleProblem("POL103", row.rid, "a rule without a reason", "say article and reason of each rule")
        elif row.subject not in subjects or row.purpose not in purposes:
            yield RuleProblem("POL104", row.rid, "an unknown subject or purpose", "see the catalogue's service items")
        elif not _is_basis(catalogue, row.basis):
            yield RuleProblem("POL111", row.rid, "an unknown basis", "see the catalogue's service items and scenarios")


def lint_roles(links: Collection[tuple[str, str]]) -> None:
    """Refuse role links that are too deep or run in a circle."""
    level = {child for child, _ in links}
    for _ in range(_MAX_ROLE_DEPTH + 1):
        level = {parent for child, parent in links if child in level}
    if level:
        names = ", ".join(sorted(level))
        message = f"roles are linked deeper than {_MAX_ROLE_DEPTH}, or in a circle: {names}"
        raise RuleError([RuleProblem("POL113", "roles", message, "link roles in one direction, and not so deep")])


def contradictions(rows: Sequence[ShareRow], place: Place) -> Iterable[RuleProblem]:
    """An allow and a deny about the very same use at the same time: one of them is a mistake."""
    seen: dict[tuple[str, ...], list[tuple[int, ShareRow]]] = {}
    for number, row in enumerate(rows):
        for other_number, other in seen.setdefault(row[:8], []):
            if other.eft != row.eft and row.nbf < other.exp and other.nbf < row.exp:
                yield RuleProblem(
                    "POL112", place(number), f"it contradicts {place(other_number)}: allowed and denied at the same time",
                    "keep one of them, or part their times",
                )  # fmt: skip
        seen[row[:8]].append((number, row))


def _shown(value: str) -> str:
    return repr(value if len(value) <= 60 else value[:60] + "…")
