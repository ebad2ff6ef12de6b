"""Suspensions and disablements through a running service: who may stop what, and that it is in force when it is answered."""

from __future__ import annotations

from typing import Any

import pytest

from tests.line.officers import (
    DISABLE,
    ENABLE,
    ITEM,
    LIFT,
    PROVIDER,
    STRANGER,
    SUPERVISOR,
    SUSPEND,
    USING,
    ask,
    denied_by,
    refused,
)
from tests.service import Service, codes

# -- suspensions -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("what", ["grant", "object", "resource", "everything"])
def test_a_suspension_is_in_force_when_it_is_answered_and_gone_when_lifted(
    service: Service, granted: Any, case: str, what: str
) -> None:
    assert denied_by(service, case) == ""
    given = {
        "grant": {"grant": granted["id"]},
        "object": {"object": ITEM, "department": USING},
        "resource": {"object": "HouseholdRegistration"},
        "everything": {"department": USING},
    }[what]
    suspended = ask(service, SUSPEND, PROVIDER, input=given | {"reason": "超范围使用"})
    assert (suspended["provider"], suspended["liftedAt"]) == (PROVIDER, None)
    assert suspended["notice"] > 0
    assert suspended["toldAt"]
    assert denied_by(service, case) == ("DENY/GRANT/SUSPENDED" if what == "grant" else f"SUSPENSION/{suspended['id']}")
    assert ask(service, LIFT, PROVIDER, id=suspended["id"])["liftedAt"]
    assert denied_by(service, case) == ""


def test_a_suspension_is_listed_for_those_whom_it_concerns(service: Service, granted: Any) -> None:
    listed = "{ suspensions { id notice } }"
    ids = {
        key: ask(service, SUSPEND, PROVIDER, input=given | {"reason": "核查"})["id"]
        for key, given in {"grant": {"grant": granted["id"]}, "using": {"department": USING}}.items()
    }
    for department in (USING, PROVIDER, SUPERVISOR):
        assert {one["id"] for one in ask(service, listed, department)} >= set(ids.values())
    assert not {one["id"] for one in ask(service, listed, STRANGER)} & set(ids.values())
    assert refused(service, LIFT, STRANGER, id=ids["using"]) == "SUSPENSION_UNKNOWN"
    assert refused(service, LIFT, USING, id=ids["using"]) == "ROLE_REQUIRED"
    for one in ids.values():
        ask(service, LIFT, PROVIDER, id=one)
    assert not {one["id"] for one in ask(service, listed, SUPERVISOR)} & set(ids.values())
    assert {o["id"] for o in ask(service, "{ suspensions(open: false) { id } }", USING)} >= set(ids.values())


def test_a_provider_does_not_lift_what_the_supervising_authority_suspended(service: Service) -> None:
    given = {"provider": PROVIDER, "department": USING, "reason": "调查"}
    suspended = ask(service, SUSPEND, SUPERVISOR, input=given)
    assert suspended["by"] == f"officer-01@{SUPERVISOR}"
    assert refused(service, LIFT, PROVIDER, id=suspended["id"]) == "ROLE_REQUIRED"
    assert ask(service, LIFT, SUPERVISOR, id=suspended["id"])["liftedAt"]


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({"reason": "x"}, "SUSPENSION_INVALID"),
        ({"department": USING, "reason": " "}, "GRANT_INVALID"),
        ({"department": "nobody", "reason": "x"}, "SUSPENSION_INVALID"),
        ({"object": "Nothing", "reason": "x"}, "SUSPENSION_INVALID"),
        ({"object": "HouseholdRegistration.", "reason": "x"}, "SUSPENSION_INVALID"),
        ({"object": ITEM, "provider": "education", "reason": "x"}, "SUSPENSION_INVALID"),
        ({"grant": "G999999", "reason": "x"}, "GRANT_UNKNOWN"),
        ({"grant": "G1", "object": ITEM, "reason": "x"}, "SUSPENSION_INVALID"),
        ({"object": "HousingSecurity.name", "reason": "x"}, "ROLE_REQUIRED"),
        ({"provider": "education", "department": USING, "reason": "x"}, "ROLE_REQUIRED"),
    ],
)
def test_a_suspension_that_cannot_be_is_refused(service: Service, given: dict[str, str], code: str) -> None:
    assert refused(service, SUSPEND, PROVIDER, input=given) == code


def test_notices_of_suspensions_are_for_the_supervising_authority(service: Service) -> None:
    document = "{ notices { number kind uses { operationId } } }"
    suspended = ask(service, SUSPEND, PROVIDER, input={"object": ITEM, "reason": "试"})
    ask(service, LIFT, PROVIDER, id=suspended["id"])
    for role in ("officer", "auditor"):
        told = ask(service, document, SUPERVISOR, role)
        assert {one["kind"] for one in told} >= {"SUSPENDED"}
        assert not any(one["uses"] for one in told)
        assert ask(service, document, PROVIDER, role) == []
    assert refused(service, document, SUPERVISOR, "clerk") == "ROLE_REQUIRED"


# -- disablements ------------------------------------------------------------------------------------------------------------


def test_a_person_who_is_disabled_is_refused_at_once(service: Service) -> None:
    person = {"kind": "PERSON", "name": "clerk-77"}

    def asked(department: str) -> list[str]:
        return codes(service.ask("{ cases { number } }", role="clerk", department=department, subject="clerk-77"))

    assert asked(USING) == []
    disabled = ask(service, DISABLE, USING, input=person)
    assert disabled["department"] == USING
    assert asked(USING) == ["IDENTITY_DISABLED"]
    assert asked(PROVIDER) == []
    assert [one["name"] for one in ask(service, "{ disablements { name } }", USING)] == ["clerk-77"]
    assert ask(service, "{ disablements { name } }", PROVIDER) == []
    assert ask(service, ENABLE, USING, input=person) is True
    assert ask(service, ENABLE, USING, input=person) is False
    assert asked(USING) == []


def test_the_supervising_authority_disables_anybody(service: Service) -> None:
    person = {"kind": "PERSON", "name": "clerk-78"}
    assert ask(service, DISABLE, SUPERVISOR, input=person)["department"] is None
    for department in (USING, PROVIDER):
        body = service.ask("{ cases { number } }", role="clerk", department=department, subject="clerk-78")
        assert codes(body) == ["IDENTITY_DISABLED"]
    assert ask(service, ENABLE, USING, input=person) is False  # that would be of their own department
    assert ask(service, ENABLE, SUPERVISOR, input=person) is True


@pytest.mark.parametrize(
    ("department", "given", "code"),
    [
        (USING, {"kind": "PERSON", "name": "x", "department": PROVIDER}, "ROLE_REQUIRED"),
        (USING, {"kind": "CLIENT", "name": "x"}, "ROLE_REQUIRED"),
        (USING, {"kind": "TOKEN", "name": "x"}, "ROLE_REQUIRED"),
        (SUPERVISOR, {"kind": "TOKEN", "name": "x", "department": USING}, "SUSPENSION_INVALID"),
        (SUPERVISOR, {"kind": "PERSON", "name": "x", "department": "nobody"}, "SUSPENSION_INVALID"),
        (SUPERVISOR, {"kind": "PERSON", "name": " "}, "GRANT_INVALID"),
    ],
)
def test_officers_disable_only_whom_they_may(
    service: Service, department: str, given: dict[str, str], code: str
) -> None:
    for document in (DISABLE, ENABLE):
        assert refused(service, document, department, input=given) == code
