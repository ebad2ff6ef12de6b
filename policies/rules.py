"""Rules: rows that Casbin reads, and what each of them says to people.

A row is one line of policy; a rule (`RuleText`) may have several rows, one for each act or channel. Rows come in groups, which are replaced
whole: the catalogue's (an UNCONDITIONAL item gives an allow; CONDITIONAL and NOT_SHARED items give none, so that deny by default holds:
Changsha 28, Hunan ch. 3, Xianning 11 and 15), its scenarios' (Shuangliao 24), each grant's, each suspension's (denials), each rule file's.
Service items and scenarios give the rows of the basis model.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from policies.decision import Act, Decision, Obligation, Rows
from policies.grants import Grant, Suspension
from schema.catalogue import (
    PURPOSE_TITLES,
    Catalogue,
    Item,
    Purpose,
    Resource,
    Scenario,
    Service,
    ShareClass,
    ShareMode,
)
from schema.errors import Text

ANY = "any"
FIRST_TIME = "0001-01-01T00:00:00Z"
LAST_TIME = "9999-12-31T23:59:59Z"
READING = (Purpose.ADMINISTRATIVE_BASIS, Purpose.WORK_REFERENCE, Purpose.BUSINESS_COLLABORATION)
"""Purposes under which values are shown. DATA_VERIFICATION never shows one."""

CHANNELS = {
    ShareMode.ONLINE_QUERY: "query",
    ShareMode.SYSTEM_INTEGRATION: "system",
    ShareMode.FRONT_END_EXCHANGE: "front-end",
    ShareMode.BATCH_DOWNLOAD: "batch",
}
ROLE_LINKS = (("clerk", "reader"), ("developer", "reader"))


class ShareRow(NamedTuple):
    """A row of `share.conf`: may this kind of caller use this object so?

    `object` is a coordinate `Resource.item`, a resource, `class/<share class>` or `provider/<slug>`; `basis` is `any`, `SERVICE/<code>` or `SCENARIO/<name>`.
    """

    dept: str
    role: str
    object: str
    subject: str
    act: str
    channel: str
    purpose: str
    basis: str
    nbf: str
    exp: str
    eft: str
    rid: str


class BasisRow(NamedTuple):
    """A row of `basis.conf`: does this basis need this object?"""

    basis: str
    object: str
    subject: str
    act: str
    purpose: str
    eft: str
    rid: str


@dataclass(frozen=True, slots=True)
class RuleText:
    """What a rule stands for: its article, its reason, and what it obliges to. `rid` is a rule's id or the part of it before its second `/`."""

    rid: str
    article: str
    reason: Text
    obligations: tuple[Obligation, ...] = ()


@dataclass(frozen=True, slots=True)
class Rules:
    """Rows with their texts: the content of one group, or of all of them.

    `waiting` are the reasons of a grant that allows nothing now, by department and coordinate.
    """

    share: tuple[ShareRow, ...] = ()
    basis: tuple[BasisRow, ...] = ()
    texts: Mapping[str, RuleText] = field(default_factory=dict)
    waiting: Mapping[tuple[str, str], Decision] = field(default_factory=dict)


def service_basis(code: str) -> str:
    """The basis of a case of that service item, as rows name it."""
    return f"SERVICE/{code}"


def scenario_basis(name: str) -> str:
    """The basis of a scenario, as rows name it."""
    return f"SCENARIO/{name}"


def text_key(rid: str) -> str:
    """Where the text of a rule stands that has none of its own: `GRANT/G12` for `GRANT/G12/Resource.item/PURPOSE`."""
    return "/".join(rid.split("/", 2)[:2])


def acts_of(catalogue: Catalogue, resource: Resource, item: Item, purpose: Purpose) -> tuple[Act, ...]:
    """The acts that sharing an item for a purpose allows: those that its place in the catalogue has a use for."""
    linked = item.name == resource.key or any(relation.item == item.name for relation in resource.relations)
    acts = [Act.JOIN] if linked else []
    if purpose is Purpose.DATA_VERIFICATION:
        return (*acts, Act.VERIFY) if catalogue.verifiable(item) else tuple(acts)
    acts.append(Act.READ)
    if item.name == resource.key:
        acts.append(Act.EXIST)
    if search := resource.search:
        acts += [Act.FILTER] * (item.name in search.where)
        acts += [Act.SORT] * (item.name in search.order_by or item.name in search.identity)
        acts += [Act.AGGREGATE] * (item.name == resource.key)
    return tuple(acts)


def rules_from(catalogue: Catalogue) -> Rules:
    """The rules that the catalogue, its service items and its scenarios state."""
    share: list[ShareRow] = []
    basis: list[BasisRow] = []
    texts: dict[str, RuleText] = {}
    for resource in catalogue.resources.values():
        for item in resource.items.values():
            if item.share.share_class is ShareClass.UNCONDITIONAL:
                for purpose in sorted(item.purposes):
                    text = _share_text(resource, item, purpose)
                    texts[text.rid] = text
                    share += _share_rows(catalogue, resource, item, purpose, text.rid)
    for service in catalogue.services.values():
        for row, text in _service_rows(catalogue, service):
            basis.append(row)
            texts[text.rid] = text
    for scenario in catalogue.scenarios.values():
        texts[text_key(scenario_basis(scenario.name))] = _scenario_text(scenario)
        share += _scenario_share(catalogue, scenario)
        basis += _scenario_rows(catalogue, scenario)
    return Rules(tuple(share), tuple(basis), texts)


def _share_text(resource: Resource, item: Item, purpose: Purpose) -> RuleText:
    return RuleText(
        rid=f"SHARE/{resource.name}.{item.name}/{purpose}",
        article=item.share.basis,
        reason=Text("shared without conditions", f"无条件共享：{item.share.basis}"),
    )


def _share_rows(catalogue: Catalogue, resource: Resource, item: Item, purpose: Purpose, rid: str) -> Iterator[ShareRow]:
    for department in resource.audience or (ANY,):
        for mode in sorted(resource.modes):
            for act in acts_of(catalogue, resource, item, purpose):
                yield ShareRow(
                    department, "reader", f"{resource.name}.{item.name}", ANY, act.value, CHANNELS[mode], purpose.value,
                    ANY, FIRST_TIME, LAST_TIME, "allow", rid,
                )  # fmt: skip


def _service_rows(catalogue: Catalogue, service: Service) -> Iterator[tuple[BasisRow, RuleText]]:
    for material in service.materials:
        for use in material.uses:
            rid = f"SERVICE/{service.code}/{use.coordinate}/{material.purpose}"
            text = RuleText(
                rid, material.basis, Text("needed by the service item", f"办理{service.title}所需：{material.title}")
            )
            for row in _needed(
                catalogue, service_basis(service.code), use.coordinate, use.subjects, material.purpose, rid
            ):
                yield row, text


def _needed(
    catalogue: Catalogue, basis: str, coordinate: str, subjects: Iterable[str], purpose: Purpose, rid: str
) -> Iterator[BasisRow]:
    """The rows that say: this basis needs this item."""
    resource = catalogue.resources[coordinate.partition(".")[0]]
    for subject in sorted(subjects):
        for act in acts_of(catalogue, resource, catalogue.item(coordinate), purpose):
            yield BasisRow(basis, coordinate, str(subject), act.value, purpose.value, "allow", rid)


def _scenario_text(scenario: Scenario) -> RuleText:
    return RuleText(
        rid=scenario_basis(scenario.name),
        article=scenario.basis,
        reason=Text(f"authorised by the scenario {scenario.name}", f"应用场景“{scenario.title}”直接授权"),
        obligations=tuple(Rows(condition) for condition in sorted(scenario.rows)),
    )


def _scenario_rid(scenario: Scenario, coordinate: str, purpose: Purpose) -> str:
    return f"{scenario_basis(scenario.name)}/{coordinate}/{purpose}"


def _scenario_share(catalogue: Catalogue, scenario: Scenario) -> Iterator[ShareRow]:
    """What fits a scenario is authorised directly, whether asked under the scenario or under a case of its service items."""
    services = [catalogue.services[code] for code in scenario.services]
    bases = [(service.department, service_basis(service.code)) for service in services]
    bases += [(department, scenario_basis(scenario.name)) for department in sorted({s.department for s in services})]
    for use in scenario.items:
        resource, item = catalogue.resources[use.coordinate.partition(".")[0]], catalogue.item(use.coordinate)
        for purpose in sorted(scenario.purposes & item.purposes):
            rid = _scenario_rid(scenario, use.coordinate, purpose)
            for act in acts_of(catalogue, resource, item, purpose):
                for subject in sorted(use.subjects):
                    for mode in sorted(scenario.modes):
                        for department, basis in bases:
                            yield ShareRow(
                                department, "reader", use.coordinate, subject.value, act.value, CHANNELS[mode],
                                purpose.value, basis, FIRST_TIME, LAST_TIME, "allow", rid,
                            )  # fmt: skip


def _scenario_rows(catalogue: Catalogue, scenario: Scenario) -> Iterator[BasisRow]:
    for use in scenario.items:
        for purpose in sorted(scenario.purposes & catalogue.item(use.coordinate).purposes):
            rid = _scenario_rid(scenario, use.coordinate, purpose)
            yield from _needed(catalogue, scenario_basis(scenario.name), use.coordinate, use.subjects, purpose, rid)


def rules_of_grant(catalogue: Catalogue, grant: Grant) -> Rules:
    """The rows of an active grant; none for any other. An item that the catalogue does not have any more gives none.

    Changsha 29, Hunan ch. 3, Xianning 15 and 18; for a NOT_SHARED resource it is the agreed exception (Hunan ch. 3).
    """
    if not grant.active:
        return Rules()
    rows = []
    for granted in grant.granted:
        resource = catalogue.resources.get(granted.coordinate.partition(".")[0])
        item = resource.items.get(granted.coordinate.partition(".")[2]) if resource else None
        if resource is None or item is None or resource.department != grant.provider:
            continue
        for purpose in sorted(grant.purposes & item.purposes):
            rid = f"GRANT/{grant.id}/{granted.coordinate}/{purpose}"
            for mode in sorted(grant.modes & resource.modes):
                for act in acts_of(catalogue, resource, item, purpose):
                    rows.append(
                        ShareRow(
                            grant.department,
                            "reader",
                            granted.coordinate,
                            ANY,
                            act.value,
                            CHANNELS[mode],
                            purpose.value,
                            ANY,
                            grant.not_before,
                            grant.expires,
                            "allow",
                            rid,
                        )
                    )
    text = RuleText(
        rid=f"GRANT/{grant.id}",
        article=grant.document,
        reason=Text(f"granted ({grant.id}, {grant.document})", f"经申请批准共享（{grant.id}，{grant.document}）"),
        obligations=tuple(Rows(condition) for condition in sorted(grant.rows)),
    )
    return Rules(tuple(rows), (), {text.rid: text} if rows else {})


def rules_of_suspension(catalogue: Catalogue, suspension: Suspension) -> Rules:
    """The denial of an open suspension of a department or of an item; a suspended grant has no rows at all (Hunan ch. 3).

    What the catalogue does not have any more needs no denial: nobody can ask for it.
    """
    if suspension.grant or suspension.lifted_at is not None or not _is_known(catalogue, suspension):
        return Rules()
    row = ShareRow(
        suspension.department or ANY, ANY, suspension.object or f"provider/{suspension.provider}", ANY, ANY, ANY, ANY,
        ANY, FIRST_TIME, LAST_TIME, "deny", f"SUSPENSION/{suspension.id}",
    )  # fmt: skip
    text = RuleText(
        rid=row.rid,
        article="湖南省政务信息资源共享管理办法第三章",
        reason=Text(
            f"suspended ({suspension.id}): {suspension.reason}",
            f"已暂停提供（{suspension.id}）：{suspension.reason}",
        ),
    )
    return Rules((row,), (), {row.rid: text})


def _is_known(catalogue: Catalogue, suspension: Suspension) -> bool:
    resource, dot, item = suspension.object.partition(".")
    known = catalogue.resources.get(resource)
    there = not suspension.object or (known is not None and (not dot or item in known.items))
    return (
        there and suspension.department in {"", *catalogue.departments} and suspension.provider in catalogue.departments
    )


def purpose_title(purpose: str) -> str:
    """The Chinese title of a purpose."""
    return PURPOSE_TITLES[Purpose(purpose)]
