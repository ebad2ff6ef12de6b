"""A policy that changes while an answer is made: what was suspended meanwhile does not leave any more."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest

from connectors.contract import Connector, Request, Rows
from policies.archive import keep
from policies.grants import DisabledKind, Disablement, Suspension
from policies.rules import rules_of_suspension
from tests.line.desk import Desk, NotingConnector
from tests.service import Service, codes

SELECTION = "householdRegistration { name } socialInsurance { insuranceType }"


@dataclass(frozen=True, slots=True)
class _Meanwhile(NotingConnector):
    """A source that answers after something has been decided elsewhere."""

    service: Service
    change: Suspension | Disablement

    async def fetch(self, request: Request) -> Rows:
        rows = await self.inner.fetch(request)
        control = self.service.rooms.control
        if isinstance(self.change, Suspension):
            await control.suspend(self.change)
        else:
            await control.disable(self.change)
        await self.service.rooms.policy.refresh()
        return rows


def _suspension(provider: str, department: str = "", what: str = "") -> Suspension:
    return Suspension("", provider, department, "", what, "核查", "officer", 1)


def _ask_while(desk: Desk, change: Suspension | Disablement) -> tuple[list[str], str | None]:
    """The codes of the answer and the name in it, where the change is recorded while the register answers; everything is as before afterwards."""
    service = desk.service
    inner: Connector = service.rooms.line._loads.sources["public-security"].connector
    try:
        with desk.replaced(_Meanwhile("public-security", inner, [], service, change), "public-security"):
            body = service.person(SELECTION, desk.applicant, desk.case)
    finally:
        desk.run(_undo, service)
    data = body.get("data")
    return codes(body), data["person"]["householdRegistration"]["name"] if data else None


async def _undo(service: Service) -> None:
    control = service.rooms.control
    for suspension in await control.suspensions():
        await control.lift(suspension.id, 2)
    for one in await control.disablements():
        await control.enable(one.kind, one.name, one.department)
    await service.rooms.policy.refresh()


@pytest.mark.parametrize(
    "change",
    [
        _suspension("public-security", what="HouseholdRegistration.name"),
        _suspension("public-security", department="housing"),
        _suspension("human-resources", what="SocialInsurance"),
        Disablement(DisabledKind.PERSON, "clerk-01", "", "离岗", "officer", 1),
        Disablement(DisabledKind.CLIENT, "demo", "", "停用", "officer", 1),
    ],
    ids=["item", "department", "resource of another source", "person", "client"],
)
def test_what_is_stopped_while_it_is_fetched_does_not_leave(desk: Desk, change: Suspension | Disablement) -> None:
    assert _ask_while(desk, change) == (["POLICY_CHANGED"], None)
    assert desk.service.frames()[-1]["outcome"] == "policy_changed"


@pytest.mark.parametrize(
    "change",
    [
        _suspension("public-security", department="education"),
        _suspension("health", what="BirthRegistration"),
        Disablement(DisabledKind.PERSON, "clerk-02", "", "离岗", "officer", 1),
    ],
)
def test_a_change_that_does_not_concern_an_answer_does_not_hold_it(
    desk: Desk, change: Suspension | Disablement
) -> None:
    told, name = _ask_while(desk, change)
    assert told == []
    assert name


def test_two_policies_of_one_number_have_two_names_and_do_not_share_what_was_prepared(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy = desk.service.rooms.policy
    stopped = rules_of_suspension(policy.base.catalogue, replace(_suspension("public-security", "housing"), id="S99"))
    closed, opened = (policy.base.with_changes(groups, 99) for groups in ({"SUSPENSION/S99": stopped}, {}))
    assert closed.sequence == opened.sequence
    assert closed.version != opened.version
    for snapshot, told in ((opened, []), (closed, ["FIELD_DENIED"]), (opened, [])):
        keep(desk.service.rooms.ledger.store, snapshot)
        monkeypatch.setattr(policy, "_snapshot", snapshot)
        assert codes(desk.service.person("householdRegistration { name }", desk.applicant, desk.case)) == told
