"""Rules: rows that Casbin reads, and what each of them says to people.

A row is one line of policy; a rule (`RuleText`) may have several rows, one for each purpose, act or channel. The rows come from the
catalogue: an UNCONDITIONAL item gives an allow; CONDITIONAL and NOT_SHARED items give none, so that deny by default holds
until a grant exists (Changsha 28, Hunan ch. 3, Xianning 11 and 15). Service items give the rows of the basis model.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import astuple, dataclass, field

from policies.decision import Mask, Obligation
from schema.catalogue import Catalogue, Item, Purpose, Resource, Service, ShareClass, ShareMode
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
        values = row.values()
        if row.eft not in ("allow", "deny"):
            raise RuleError(f"{row.rid}: effect {row.eft!r} is neither allow nor deny")
        if not all(value and value.strip() == value for value in values):
            raise RuleError(f"{row.rid}: an empty or padded token")
        if row.rid not in rules.texts:
            raise RuleError(f"{row.rid}: a rule without a text")
    for share in rules.share:
        if not (len(share.nbf) == len(share.exp) == 20 and share.nbf.endswith("Z") and share.exp.endswith("Z")):
            raise RuleError(f"{share.rid}: times are ISO 8601 in UTC, to the second")
        if share.eft == "deny" and share.role not in (ANY, *(role for role, _ in ROLE_LINKS)):
            raise RuleError(f"{share.rid}: a deny must not depend on a role link")
