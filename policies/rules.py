"""Rules: rows that Casbin reads, and what each of them says to people.

A row is one line of policy; a rule (`RuleText`) may have several rows, one for each purpose, act or channel. The rows come from the
catalogue: an UNCONDITIONAL item gives an allow; CONDITIONAL and NOT_SHARED items give none, so that deny by default holds
until a grant exists (Changsha 28, Hunan ch. 3, Xianning 11 and 15). Service items give the rows of the basis model.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import astuple, dataclass, field
from datetime import datetime

from policies.decision import Act, Mask, Obligation
from policies.identity import Role
from schema.catalogue import Catalogue, Item, Purpose, Resource, Service, ShareClass, ShareMode, SubjectClass
from schema.errors import Text

ANY = "any"
BEGINNING = "0001-01-01T00:00:00Z"
END = "9999-12-31T23:59:59Z"
READING = (Purpose.ADMINISTRATIVE_BASIS, Purpose.WORK_REFERENCE, Purpose.BUSINESS_COLLABORATION)
"""Purposes under which values are shown. DATA_VERIFICATION never shows one."""

CHANNELS = {
    ShareMode.ONLINE_QUERY: "query",
    ShareMode.SYSTEM_INTEGRATION: "system",
    ShareMode.FRONT_END_EXCHANGE: "front-end",
    ShareMode.BATCH_DOWNLOAD: "batch",
}
ROLE_LINKS = (("clerk", "reader"), ("developer", "reader"))
_MAX_ROLE_DEPTH = 8
"""Casbin unlinks roles deeper than 10 without a word."""
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", re.ASCII)
_WORDS: Mapping[str, frozenset[str]] = {
    "role": frozenset({*Role, *(name for link in ROLE_LINKS for name in link)}),
    "subject": frozenset(SubjectClass),
    "act": frozenset(Act),
    "channel": frozenset(CHANNELS.values()),
    "purpose": frozenset(Purpose),
}


@dataclass(frozen=True, slots=True)
class ShareRow:
    """A row of `share.conf`: may this kind of caller use this object so?"""

    dept: str
    role: str
    object: str
    subject: str
    act: str
    channel: str
    purpose: str
    nbf: str
    exp: str
    eft: str
    rid: str

    def values(self) -> list[str]:
        return list(astuple(self))


@dataclass(frozen=True, slots=True)
class BasisRow:
    """A row of `basis.conf`: does this service item need this object for this purpose?"""

    service: str
    object: str
    subject: str
    act: str
    purpose: str
    eft: str
    rid: str

    def values(self) -> list[str]:
        return list(astuple(self))


@dataclass(frozen=True, slots=True)
class RuleText:
    """What a rule id stands for: its article and what it obliges to."""

    rid: str
    article: str
    reason: Text
    obligations: tuple[Obligation, ...] = ()


@dataclass(frozen=True, slots=True)
class Rules:
    """All rows with their texts; the content of one policy version."""

    share: tuple[ShareRow, ...]
    basis: tuple[BasisRow, ...]
    texts: dict[str, RuleText] = field(default_factory=dict)


class RuleError(ValueError):
    """A row that must not enter a snapshot."""


def rules_from(catalogue: Catalogue) -> Rules:
    """The rules that the catalogue and its service items state, linted."""
    share: list[ShareRow] = []
    basis: list[BasisRow] = []
    texts: dict[str, RuleText] = {}
    if ANY in catalogue.departments:
        raise RuleError(f"a department named {ANY!r} would stand for every department")
    for resource in catalogue.resources.values():
        for item in resource.items.values():
            if item.share.share_class is ShareClass.UNCONDITIONAL:
                for purpose in READING:
                    if purpose in item.purposes:
                        text = _share_text(resource, item, purpose)
                        texts[text.rid] = text
                        share.extend(_share_rows(resource, item, purpose, text.rid))
    for service in catalogue.services.values():
        for row, text in _basis_rows(service):
            basis.append(row)
            texts[text.rid] = text
    rules = Rules(tuple(share), tuple(basis), texts)
    lint_rules(rules)
    lint_roles(ROLE_LINKS)
    return rules


def _share_text(resource: Resource, item: Item, purpose: Purpose) -> RuleText:
    mask = item.masks.get(purpose)
    return RuleText(
        rid=f"SHARE/{resource.name}.{item.name}/{purpose}",
        article=item.share.basis,
        reason=Text("shared without conditions", f"无条件共享：{item.share.basis}"),
        obligations=(Mask(mask),) if mask else (),
    )


def _share_rows(resource: Resource, item: Item, purpose: Purpose, rid: str) -> Iterable[ShareRow]:
    for department in resource.audience or (ANY,):
        for mode in sorted(resource.modes):
            for act in ("read", "join"):
                yield ShareRow(
                    department, "reader", f"{resource.name}.{item.name}", ANY, act, CHANNELS[mode], purpose,
                    BEGINNING, END, "allow", rid,
                )  # fmt: skip


def _basis_rows(service: Service) -> Iterable[tuple[BasisRow, RuleText]]:
    for material in service.materials:
        for use in material.uses:
            rid = f"SERVICE/{service.code}/{use.coordinate}/{material.purpose}"
            text = RuleText(
                rid, material.basis, Text("needed by the service item", f"办理{service.title}所需：{material.title}")
            )
            for subject in sorted(use.subjects):
                for act in ("read", "join"):
                    row = BasisRow(service.code, use.coordinate, subject, act, material.purpose, "allow", rid)
                    yield row, text


def lint_rules(rules: Rules) -> None:
    """Refuse rows that Casbin would ignore or misread: RuleError names the first."""
    if not rules.share or not rules.basis:
        raise RuleError("no rules: an enforcer without rules would allow")
    rows: tuple[ShareRow | BasisRow, ...] = (*rules.share, *rules.basis)
    for row in rows:
        _lint_row(row, rules.texts)
    for text in rules.texts.values():
        if not all(isinstance(obligation, Mask) for obligation in text.obligations):
            raise RuleError(f"{text.rid}: an obligation that nothing enforces yet would be an allow without it")
    for share in rules.share:
        if share.nbf >= share.exp:
            raise RuleError(f"{share.rid}: it ends before it begins")
        if share.eft == "deny" and share.role in {parent for _, parent in ROLE_LINKS}:
            raise RuleError(f"{share.rid}: a deny must not depend on a role link")
    for time in {time for share in rules.share for time in (share.nbf, share.exp)}:
        _lint_time(time)


def _lint_row(row: ShareRow | BasisRow, texts: Mapping[str, RuleText]) -> None:
    if row.eft not in ("allow", "deny"):
        raise RuleError(f"{row.rid}: effect {row.eft!r} is neither allow nor deny")
    if not all(value and value.strip() == value for value in row.values()):
        raise RuleError(f"{row.rid}: an empty or padded token")
    if row.rid not in texts:
        raise RuleError(f"{row.rid}: a rule without a text")
    wild = {ANY} if isinstance(row, ShareRow) else set()
    for name, words in _WORDS.items():
        value = getattr(row, name, None)
        if value is not None and value not in words and value not in wild:
            # a deny with a misspelt word would apply to nobody
            raise RuleError(f"{row.rid}: unknown {name} {value!r}")


def _lint_time(time: str) -> None:
    try:
        if not _TIME.fullmatch(time):
            raise ValueError(time)
        datetime.strptime(time, "%Y-%m-%dT%H:%M:%SZ")
    except ValueError:
        raise RuleError(f"times are ISO 8601 in UTC, to the second, not {time!r}") from None


def lint_roles(links: Collection[tuple[str, str]]) -> None:
    """Refuse role links that are too deep or run in a circle."""
    level = {child for child, _ in links}
    for _ in range(_MAX_ROLE_DEPTH + 1):
        level = {parent for child, parent in links if child in level}
    if level:
        raise RuleError(f"roles are linked deeper than {_MAX_ROLE_DEPTH}, or in a circle: {', '.join(sorted(level))}")
