"""What a policy version consists of: parts, each named by the digest of its content, so that a version's name binds all of it.

A version's part names its base (catalogue, models, the catalogue's own rules) and a tree of the groups beside it. What did not change between two
versions is the same part in both: a change costs its own groups and the few tree parts above them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import date
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import orjson
from pydantic import TypeAdapter

from policies.control_values import rules_columns, rules_of
from policies.decision import Decision, NextStep
from policies.rules import ROLE_LINKS, Rules
from schema.catalogue import Catalogue, Place
from schema.errors import Text

FORMAT = 1
_MOST = 16
"""Groups in a leaf of the tree, and branches of a branch: a hexadecimal digit of the group's place."""
_ROWS = 1_000
_HERE = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Models:
    """The two Casbin models as texts, and the links between roles."""

    share: str
    basis: str
    roles: tuple[tuple[str, str], ...] = ROLE_LINKS


MODELS = Models((_HERE / "share.conf").read_text("utf8"), (_HERE / "basis.conf").read_text("utf8"))


def digest_of(part: bytes) -> str:
    """The name of a part: 128 bits of SHA-256, in hexadecimal."""
    return hashlib.sha256(part).hexdigest()[:32]


# -- versions ----------------------------------------------------------------------------------------------------------


def version_part(base: str, sequence: int, groups: str) -> bytes:
    """The part of a version: its base, the number of the last change, the root of its groups' tree."""
    return orjson.dumps({"format": FORMAT, "base": base, "sequence": sequence, "groups": groups})


def version_name(base: str, sequence: int, groups: str) -> str:
    """What frames call a version: 16 digits of its base, the number of the last change, the digest of its part."""
    return f"{base[:16]}.{sequence}.{digest_of(version_part(base, sequence, groups))}"


# -- the base ----------------------------------------------------------------------------------------------------------


def base_part(catalogue: Catalogue, rules: Rules, models: Models) -> bytes:
    """The part of a base: JSON lines."""
    return b"".join(_base_lines(catalogue, rules, models))


def base_digest(catalogue: Catalogue, rules: Rules, models: Models) -> str:
    """The name of a base's part, which is not held in memory whole."""
    digest = hashlib.sha256()
    for line in _base_lines(catalogue, rules, models):
        digest.update(line)
    return digest.hexdigest()[:32]


def _base_lines(catalogue: Catalogue, rules: Rules, models: Models) -> Iterator[bytes]:
    yield orjson.dumps({"format": FORMAT, "models": models}) + b"\n"
    options = orjson.OPT_PASSTHROUGH_DATACLASS | orjson.OPT_NON_STR_KEYS
    yield orjson.dumps(catalogue, _plain, options) + b"\n"
    for n in range(0, len(rules.share), _ROWS):
        yield orjson.dumps(rules_columns(Rules(rules.share[n : n + _ROWS]))) + b"\n"
    yield orjson.dumps(rules_columns(Rules((), rules.basis, rules.texts))) + b"\n"


def _plain(value: Any) -> Any:
    """What orjson does not write itself. Where something is written in which file is no content."""
    if isinstance(value, Place):
        return {"file": "", "line": 0}
    if isinstance(value, frozenset):
        return sorted(value)
    if isinstance(value, date):
        return value.isoformat()
    return {field.name: getattr(value, field.name) for field in fields(value)}


def read_base(part: bytes) -> tuple[Catalogue, Rules, Models]:
    """A base from its part; ValueError, TypeError or KeyError for what is none."""
    head, catalogue, *lines = (orjson.loads(line) for line in part.splitlines())
    if head["format"] != FORMAT:
        raise ValueError("another format")
    models = Models(head["models"]["share"], head["models"]["basis"], tuple(map(tuple, head["models"]["roles"])))
    read = [rules_of(SimpleNamespace(**line)) for line in lines]
    rules = Rules(
        tuple(row for one in read for row in one.share),
        tuple(row for one in read for row in one.basis),
        {rid: text for one in read for rid, text in one.texts.items()},
    )
    return TypeAdapter(Catalogue).validate_python(catalogue), rules, models


# -- groups ------------------------------------------------------------------------------------------------------------


def group_part(name: str, rules: Rules) -> bytes:
    """The part of a group: its name, rows, texts, and why it allows nothing now."""
    return orjson.dumps({"name": name, **rules_columns(rules), "waiting": waiting_columns(rules)})


def read_group(part: bytes) -> tuple[str, Rules]:
    """A group with its name from its part; ValueError, TypeError or KeyError for what is none."""
    read = orjson.loads(part)
    rules = rules_of(SimpleNamespace(rows=read["rows"], texts=read["texts"]))
    return read["name"], Rules(rules.share, rules.basis, rules.texts, waiting_of(read["waiting"]))


def waiting_columns(rules: Rules) -> list[list[str]]:
    """The reasons of a grant that allows nothing now, as JSON has them."""
    return [
        [department, coordinate, reason.rule_id, reason.reason.en, reason.reason.zh, str(reason.next_step)]
        for (department, coordinate), reason in sorted(rules.waiting.items(), key=lambda one: one[0])
    ]


def waiting_of(columns: Iterable[Sequence[str]]) -> dict[tuple[str, str], Decision]:
    """The reasons that `waiting_columns` wrote."""
    return {
        (department, coordinate): Decision(False, rule, Text(en, zh), next_step=NextStep(step))
        for department, coordinate, rule, en, zh, step in columns
    }


# -- the tree of groups ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class Tree:
    """Groups by name and digest: a leaf of few `groups`, or 16 `branches`. One set of groups has one tree, whatever it came from."""

    digest: str
    count: int
    groups: Mapping[str, str]
    branches: tuple[Tree, ...] = ()

    def part(self) -> bytes:
        """Its part: what is below it, by digests."""
        return _leaf_part(self.groups) if not self.branches else _branch_part(self.branches)

    def grown(self, changes: Mapping[str, str], depth: int = 0) -> Tree:
        """The tree with these groups replaced; one with an empty digest is gone."""
        if not changes:
            return self
        if not self.branches:
            return _tree({**self.groups, **changes}, depth)
        parted = _parted(changes, depth)
        branches = tuple(one.grown(parted.get(n, {}), depth + 1) for n, one in enumerate(self.branches))
        if sum(one.count for one in branches) <= _MOST:
            return _tree({name: digest for one in branches for name, digest in one.leaves()}, depth)
        return _branch(branches)

    def leaves(self) -> Iterator[tuple[str, str]]:
        """Every group below."""
        yield from self.groups.items()
        for branch in self.branches:
            yield from branch.leaves()


def _tree(groups: Mapping[str, str], depth: int) -> Tree:
    left = {name: groups[name] for name in sorted(groups) if groups[name]}
    if len(left) <= _MOST:
        return Tree(digest_of(_leaf_part(left)), len(left), left)
    parted = _parted(left, depth)
    return _branch(tuple(_tree(parted.get(n, {}), depth + 1) for n in range(_MOST)))


def _branch(branches: tuple[Tree, ...]) -> Tree:
    return Tree(digest_of(_branch_part(branches)), sum(one.count for one in branches), {}, branches)


def _leaf_part(groups: Mapping[str, str]) -> bytes:
    return orjson.dumps({"groups": groups})


def _branch_part(branches: Iterable[Tree]) -> bytes:
    return orjson.dumps({"branches": [one.digest for one in branches]})


def _parted(groups: Mapping[str, str], depth: int) -> dict[int, dict[str, str]]:
    """Groups by the digit of their places at this depth."""
    parted: dict[int, dict[str, str]] = {}
    for name, digest in groups.items():
        place = hashlib.sha256(name.encode()).hexdigest()[depth]
        parted.setdefault(int(place, 16), {})[name] = digest
    return parted


NO_GROUPS = _tree({}, 0)
