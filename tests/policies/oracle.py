"""What must be decided, read by hand from what the regulations mean: no rows, no Casbin, nothing of the engine.

Share classes (Changsha 28), grants (Changsha 29, Xianning 15 and 18), exceptions and suspensions (Hunan ch. 3), scenarios (Shuangliao 24).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime

from policies.decision import Act
from policies.grants import AgreementState, Grant, GrantState, Suspension
from schema.catalogue import Item, MaskKind, Purpose, Resource, RowCondition, ServiceItemUse, ShareClass
from tests.policies.worlds import MODE_OF, Asked, LocalRule, World

Conditions = frozenset[RowCondition]
PLAIN = {Act.FILTER, Act.SORT, Act.GROUP, Act.AGGREGATE}
READERS = {"clerk", "developer"}


@dataclass(frozen=True)
class Verdict:
    """Whether it is allowed; the rule, whole where one says so, else as `DENY/...`; the mask and the conditions on records."""

    allow: bool
    rule: str
    mask: MaskKind | None = None
    rows: Conditions = frozenset()


@dataclass(frozen=True)
class Oracle:
    """Answers one question about one world."""

    world: World
    asked: Asked

    @property
    def resource(self) -> Resource:
        return self.world.catalogue.resources[self.asked.coordinate.split(".")[0]]

    @property
    def item(self) -> Item:
        return self.resource.items[self.asked.coordinate.split(".")[1]]

    def verdict(self) -> Verdict:
        if not self.asked.department.strip():
            return Verdict(False, "DENY")
        shared = self.shared()
        if not shared.allow:
            return shared
        if not self.needed():
            return Verdict(False, "DENY/" + self.asked.basis.split("/")[0])
        if self.asked.act in PLAIN:
            return self.plain(shared)
        return shared

    def plain(self, shared: Verdict) -> Verdict:
        """Who may not see a value may not learn it by searching either."""
        read = Oracle(self.world, replace(self.asked, act=Act.READ)).verdict()
        if not read.allow:
            return read
        if read.mask:
            return Verdict(False, "DENY/MASKED")
        return replace(shared, rows=shared.rows | read.rows)

    def shared(self) -> Verdict:
        if stops := sorted(self.stops()):
            return Verdict(False, stops[0])
        if offers := list(self.offers()):
            fewest = min(len(conditions) for _, conditions in offers)
            rule, conditions = max(offer for offer in offers if len(offer[1]) == fewest)
            mask = self.item.masks.get(self.asked.purpose) if self.asked.act is Act.READ else None
            return Verdict(True, rule, mask, conditions | self.resource.rows)
        if self.asked.role not in READERS:
            return Verdict(False, "DENY/ROLE")
        return Verdict(False, "DENY")

    def stops(self) -> Iterator[str]:
        """Who stops this: a suspension, or a local rule that denies."""
        for suspension in self.world.suspensions:
            if self.is_suspended(suspension):
                yield f"SUSPENSION/{suspension.id}"
        for rule in self.world.local:
            if not rule.allow and self.is_meant(rule):
                yield rule.id

    def is_suspended(self, suspension: Suspension) -> bool:
        if suspension.lifted_at is not None or suspension.grant:
            return False
        if suspension.department and suspension.department != self.asked.department:
            return False
        if suspension.object:
            return suspension.object in (self.asked.coordinate, self.resource.name)
        return suspension.provider == self.resource.department

    def is_meant(self, rule: LocalRule) -> bool:
        asked, share = self.asked, self.item.share.share_class
        roles = {asked.role, "reader"} if asked.role in READERS else {asked.role}
        about = {asked.coordinate, self.resource.name, f"class/{share}", f"provider/{self.resource.department}"}
        return (
            rule.object in about
            and (rule.role is None or rule.role in roles)
            and rule.department in (None, asked.department)
            and rule.subject in (None, asked.subject)
            and rule.act in (None, asked.act)
            and rule.channel in (None, asked.channel)
            and rule.purpose in (None, asked.purpose)
            and rule.basis in (None, asked.basis)
            and self.is_time(rule.begins, rule.ends)
        )

    def is_time(self, begins: str, ends: str) -> bool:
        # to the second: what begins at 12:00:00 holds from then on, what ends then does not hold any more
        return datetime.fromisoformat(begins).timestamp() <= self.asked.at < datetime.fromisoformat(ends).timestamp()

    def offers(self) -> Iterator[tuple[str, Conditions]]:
        """Every rule that allows this, with its conditions on records."""
        of = f"{self.asked.coordinate}/{self.asked.purpose}"
        if self.asked.role not in READERS:
            return
        for rule in self.world.local:
            if rule.allow and self.is_meant(rule):
                yield rule.id, frozenset()
        if self.asked.purpose not in self.item.purposes or not self.fits():
            return
        if self.is_open():
            yield f"SHARE/{of}", frozenset()
        for grant in self.world.grants:
            if self.is_granted(grant):
                yield f"GRANT/{grant.id}/{of}", grant.rows
        yield from self.scenario_offers(of)

    def fits(self) -> bool:
        """Whether the item's place in the catalogue has a use for the act; values are never shown for verification."""
        act, name, resource = self.asked.act, self.item.name, self.resource
        if act is Act.JOIN:
            return name == resource.key or name in [relation.item for relation in resource.relations]
        if self.asked.purpose is Purpose.DATA_VERIFICATION:
            few = {"Boolean", "Base64"} | ({"Code"} if self.item.codes == "Few" else set())
            return act is Act.VERIFY and self.item.type not in few
        search = resource.search
        return {
            Act.READ: True,
            Act.EXIST: name == resource.key,
            Act.FILTER: search is not None and name in search.where,
            Act.SORT: search is not None and (name in search.order_by or name in search.identity),
            Act.AGGREGATE: search is not None and name == resource.key,
        }.get(act, False)

    def is_open(self) -> bool:
        return (
            self.item.share.share_class is ShareClass.UNCONDITIONAL
            and (not self.resource.audience or self.asked.department in self.resource.audience)
            and MODE_OF[self.asked.channel] in self.resource.modes
        )

    def is_granted(self, grant: Grant) -> bool:
        stopped = any(one.grant == grant.id and one.lifted_at is None for one in self.world.suspensions)
        return (
            not stopped
            and grant.state is GrantState.GRANTED
            and grant.agreement_state is AgreementState.VALID
            and grant.department == self.asked.department
            and grant.provider == self.resource.department
            and any(one.coordinate == self.asked.coordinate and one.granted is True for one in grant.items)
            and self.asked.purpose in grant.purposes
            and MODE_OF[self.asked.channel] in grant.modes & self.resource.modes
            and self.is_time(grant.not_before, grant.expires)
        )

    def scenario_offers(self, of: str) -> Iterator[tuple[str, Conditions]]:
        """A scenario offers its items to those who state it, and in the cases of its service items."""
        kind, _, name = self.asked.basis.partition("/")
        for scenario in self.world.catalogue.scenarios.values():
            services = [self.world.catalogue.services[code] for code in scenario.services]
            stated = kind == "SCENARIO" and name == scenario.name
            mine = [
                s
                for s in services
                if s.department == self.asked.department and (stated or f"SERVICE/{s.code}" == self.asked.basis)
            ]
            if (
                mine
                and self.asked.purpose in scenario.purposes
                and MODE_OF[self.asked.channel] in scenario.modes
                and self.is_listed(scenario.items)
            ):
                yield f"SCENARIO/{scenario.name}/{of}", scenario.rows

    def is_listed(self, uses: tuple[ServiceItemUse, ...]) -> bool:
        return any(use.coordinate == self.asked.coordinate and self.asked.subject in use.subjects for use in uses)

    def needed(self) -> bool:
        """Whether the service item or the scenario needs this item of this person for this purpose."""
        kind, _, name = self.asked.basis.partition("/")
        if kind == "SCENARIO":
            scenario = self.world.catalogue.scenarios[name]
            return (
                self.asked.purpose in scenario.purposes
                and self.asked.purpose in self.item.purposes
                and self.is_listed(scenario.items)
                and self.fits()
            )
        materials = self.world.catalogue.services[name].materials
        of_purpose = [material for material in materials if material.purpose is self.asked.purpose]
        return any(self.is_listed(material.uses) for material in of_purpose) and self.fits()
