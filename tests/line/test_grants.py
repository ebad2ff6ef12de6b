"""Grants through a running service: who may take which step, and that it is in force when it is answered."""

from __future__ import annotations

import sqlite3
from typing import Any

import pytest

from audit.ledger import Ledger
from tests.line.officers import (
    AGREE,
    APPLY,
    CONDITIONAL,
    DECIDE,
    DISABLE,
    ENABLE,
    END,
    ITEM,
    ITEMS,
    KEY,
    LIFT,
    LIMIT,
    PROVIDER,
    READ,
    SEALED,
    STRANGER,
    SUPERVISOR,
    SUSPEND,
    USING,
    application,
    ask,
    denied_by,
    refused,
    ruling,
)
from tests.service import Service, codes

# -- the life of a grant ---------------------------------------------------------------------------------------------


def test_an_application_goes_to_the_provider_and_allows_nothing(service: Service, applied: Any, case: str) -> None:
    assert (applied["department"], applied["provider"], applied["state"]) == (USING, PROVIDER, "APPLIED")
    assert not applied["active"]
    assert applied["steps"] == [{"action": "applyForGrant", "department": USING}]
    assert denied_by(service, case) == CONDITIONAL


def test_a_grant_is_in_force_when_it_is_answered(service: Service, granted: Any, case: str) -> None:
    assert (granted["state"], granted["active"], granted["decidedBy"]) == ("GRANTED", True, "PROVIDER")
    assert denied_by(service, case) == ""


def test_a_grant_without_an_agreement_allows_nothing_until_it_is_recorded(
    service: Service, applied: Any, case: str
) -> None:
    grant = ask(service, DECIDE, PROVIDER, input=ruling(applied, agreement=""))
    assert (grant["state"], grant["active"], grant["agreementState"]) == ("GRANTED", False, "MISSING")
    assert denied_by(service, case) == "DENY/GRANT/AGREEMENT"
    assert refused(service, AGREE, USING, id=grant["id"], number="保密2号") == "ROLE_REQUIRED"
    agreed = ask(service, AGREE, PROVIDER, id=grant["id"], number="保密2号")
    assert (agreed["active"], agreed["agreement"]) == (True, "保密2号")
    assert denied_by(service, case) == ""
    ask(service, END, PROVIDER, id=grant["id"], reason="试毕")
    assert denied_by(service, case) == CONDITIONAL


def test_a_refusal_says_why_item_by_item(service: Service, applied: Any) -> None:
    grant = ask(service, DECIDE, PROVIDER, input=ruling(applied, granted=False))
    assert grant["state"] == "REFUSED"
    assert {item["reason"] for item in grant["items"]} == {"与职权无关"}


def test_a_dispute_goes_to_the_bureau_and_then_to_the_government(service: Service, applied: Any) -> None:
    ask(service, DECIDE, PROVIDER, input=ruling(applied, granted=False))
    by_bureau = ruling(applied, granted=False, decidedBy="BUREAU", document="咸数办〔2026〕1号")
    assert refused(service, DECIDE, PROVIDER, input=by_bureau) == "ROLE_REQUIRED"
    assert ask(service, DECIDE, SUPERVISOR, input=by_bureau)["decidedBy"] == "BUREAU"
    assert refused(service, DECIDE, PROVIDER, input=ruling(applied)) == "GRANT_STATE"
    by_government = ruling(applied, decidedBy="GOVERNMENT", document="咸政函〔2026〕1号")
    grant = ask(service, DECIDE, SUPERVISOR, input=by_government)
    assert (grant["state"], grant["decidedBy"], grant["document"]) == ("GRANTED", "GOVERNMENT", "咸政函〔2026〕1号")
    ask(service, END, SUPERVISOR, id=grant["id"], reason="试毕")


def test_the_bureau_does_not_decide_on_its_own_application(service: Service) -> None:
    own = ask(service, APPLY, SUPERVISOR, input=application())
    given = ruling(own, decidedBy="BUREAU")
    assert refused(service, DECIDE, SUPERVISOR, input=given) == "GRANT_INVALID"
    grant = ask(service, DECIDE, SUPERVISOR, input=given | {"decidedBy": "GOVERNMENT"})
    ask(service, END, SUPERVISOR, id=grant["id"], reason="试毕")


def test_a_limited_grant_is_narrower_at_once(service: Service, granted: Any, case: str) -> None:
    given = {"id": granted["id"], "items": [KEY], "reason": "超范围使用"}
    assert refused(service, LIMIT, USING, input=given) == "ROLE_REQUIRED"
    assert refused(service, LIMIT, SUPERVISOR, input=given) == "ROLE_REQUIRED"
    limited = ask(service, LIMIT, PROVIDER, input=given)
    assert [i["coordinate"] for i in limited["items"] if i["granted"]] == [KEY]
    assert denied_by(service, case) == CONDITIONAL
    wider = {"id": granted["id"], "items": [ITEM], "reason": "x"}
    assert refused(service, LIMIT, PROVIDER, input=wider) == "GRANT_INVALID"


def test_an_agreed_exception_is_filed_with_the_supervising_authority(service: Service) -> None:
    applied = ask(service, APPLY, USING, input=application(SEALED))
    before = ask(service, "{ notices(first: 100) { number kind } }", SUPERVISOR)
    grant = ask(service, DECIDE, PROVIDER, input=ruling(applied))
    after = ask(service, "{ notices(first: 100) { number kind reference zh } }", SUPERVISOR)
    (notice,) = after[len(before) :]
    assert (notice["kind"], notice["reference"]) == ("EXCEPTION", grant["id"])
    assert SEALED in notice["zh"]
    ask(service, END, PROVIDER, id=grant["id"], reason="试毕")


def test_an_end_is_told_to_the_supervising_authority(service: Service, granted: Any) -> None:
    assert refused(service, END, USING, id=granted["id"], reason="x") == "ROLE_REQUIRED"
    assert refused(service, END, PROVIDER, id=granted["id"], reason=" ") == "GRANT_INVALID"
    assert ask(service, END, SUPERVISOR, id=granted["id"], reason="违规使用")["state"] == "ENDED"
    assert refused(service, END, PROVIDER, id=granted["id"], reason="违规使用") == "GRANT_STATE"
    last = ask(service, "{ notices(first: 100) { kind reference zh } }", SUPERVISOR)[-1]
    assert (last["kind"], last["reference"]) == ("ENDED", granted["id"])
    assert "违规使用" in last["zh"]


# -- who may see and do ------------------------------------------------------------------------------------------------


def test_a_grant_is_unknown_to_a_department_that_it_does_not_concern(service: Service, applied: Any) -> None:
    for department in (USING, PROVIDER, SUPERVISOR):
        assert ask(service, READ, department, id=applied["id"])["id"] == applied["id"]
    assert ask(service, READ, STRANGER, id=applied["id"]) is None
    assert ask(service, "{ grants { id } }", STRANGER) == []
    for document, variables in (
        (DECIDE, {"input": ruling(applied)}),
        (LIMIT, {"input": {"id": applied["id"], "reason": "x"}}),
        (END, {"id": applied["id"], "reason": "x"}),
        (AGREE, {"id": applied["id"], "number": "x"}),
        (SUSPEND, {"input": {"grant": applied["id"], "reason": "x"}}),
    ):
        unknown = variables | ({"id": "G999999"} if "id" in variables else {})
        assert refused(service, document, STRANGER, **variables) == "GRANT_UNKNOWN"
        if "id" in variables:
            assert refused(service, document, STRANGER, **unknown) == "GRANT_UNKNOWN"


@pytest.mark.parametrize("role", ["clerk", "developer", "auditor"])
def test_only_officers_take_steps(service: Service, applied: Any, role: str) -> None:
    for document, department, variables in (
        (APPLY, USING, {"input": application()}),
        (DECIDE, PROVIDER, {"input": ruling(applied)}),
        (LIMIT, PROVIDER, {"input": {"id": applied["id"], "reason": "x"}}),
        (END, PROVIDER, {"id": applied["id"], "reason": "x"}),
        (AGREE, PROVIDER, {"id": applied["id"], "number": "x"}),
        (SUSPEND, PROVIDER, {"input": {"department": USING, "reason": "x"}}),
        (LIFT, PROVIDER, {"id": "S1"}),
        (DISABLE, SUPERVISOR, {"input": {"kind": "PERSON", "name": "x"}}),
        (ENABLE, SUPERVISOR, {"input": {"kind": "PERSON", "name": "x"}}),
    ):
        assert refused(service, document, department, role, **variables) == "ROLE_REQUIRED"
    assert ask(service, READ, USING, id=applied["id"])["state"] == "APPLIED"


def test_a_department_lists_its_own_grants_page_by_page(service: Service) -> None:
    ids = [ask(service, APPLY, USING, input=application())["id"] for _ in range(3)]
    first = ask(service, "{ grants(first: 2) { id } }", PROVIDER)
    assert [one["id"] for one in first] == ids[:0:-1]
    rest = ask(service, "query($b: String!) { grants(first: 1, before: $b) { id } }", USING, b=first[-1]["id"])
    assert [one["id"] for one in rest] == ids[:1]
    assert ids[2] in [one["id"] for one in ask(service, "{ grants(state: APPLIED) { id } }", SUPERVISOR, "auditor")]


@pytest.mark.parametrize(
    "given",
    [
        application("NoResource.x"),
        application("HouseholdRegistration.x"),
        application("HouseholdRegistration"),
        application(ITEM, ITEM),
        application(ITEM, "AdoptionRegistration.authority"),
        application("HousingSecurity.name"),
        application(purposes=[]),
        application(purposes=["DATA_VERIFICATION"]),
        application(modes=[]),
        application(modes=["BATCH_DOWNLOAD"]),
        application(scope="  "),
        application(scope="x" * 501),
        application(scope="a\u0000b"),
        application(rows=["OWN_REGION"]),
        application() | {"items": []},
        application() | {"items": [{"coordinate": ITEM, "authority": " "}]},
        application() | {"items": [{"coordinate": f"A.a{n}", "authority": "x"} for n in range(201)]},
    ],
)  # fmt: skip
def test_an_application_that_cannot_be_is_refused(service: Service, given: dict[str, Any]) -> None:
    assert refused(service, APPLY, USING, input=given) == "GRANT_INVALID"


@pytest.mark.parametrize(
    "more",
    [
        {"document": ""},
        {"expires": None},
        {"expires": "2020-01-01T00:00:00Z"},
        {"expires": "9999-12-31T23:59:59Z"},
        {"notBefore": "2099-06-01T00:00:00Z"},
        {"notBefore": "0001-01-01T00:00:00Z"},
        {"verdicts": []},
        {"verdicts": [{"coordinate": ITEM, "granted": True}] * 2},
        {"verdicts": [{"coordinate": one, "granted": False} for one in ITEMS]},
        {"rows": ["OWN_REGION"]},
        {"document": "x" * 201},
    ],
)
def test_a_decision_that_cannot_be_is_refused(service: Service, applied: Any, more: dict[str, Any]) -> None:
    assert refused(service, DECIDE, PROVIDER, input=ruling(applied, **more)) == "GRANT_INVALID"
    assert ask(service, READ, USING, id=applied["id"])["state"] == "APPLIED"


# -- on record ---------------------------------------------------------------------------------------------------------------


def test_each_step_is_on_record_before_it_takes_effect(service: Service, granted: Any) -> None:
    suspended = ask(service, SUSPEND, PROVIDER, input={"grant": granted["id"], "reason": "核查"})
    attempted = [f for f in service.frames() if f["outcome"] == "attempted"][-3:]
    assert [f["fields"] for f in attempted] == [["applyForGrant"], ["decideGrant"], ["suspend"]]
    assert [f["nodes"][0]["case"] for f in attempted] == ["", granted["id"], granted["id"]]
    assert {f["department"] for f in attempted} == {USING, PROVIDER}
    ask(service, LIFT, PROVIDER, id=suspended["id"])


def test_a_step_that_cannot_be_put_on_record_is_not_taken(
    service: Service, granted: Any, case: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as broken:
        broken.setattr(Ledger, "_write", _broken)
        for document, variables in (
            (END, {"id": granted["id"], "reason": "x"}),
            (SUSPEND, {"input": {"object": ITEM, "reason": "x"}}),
            (DISABLE, {"input": {"kind": "PERSON", "name": "clerk-01"}}),
            (APPLY, {"input": application("AdoptionRegistration.authority")}),
        ):
            body = service.ask(document, variables, role="officer", department=PROVIDER)
            assert codes(body) == ["LEDGER_UNAVAILABLE"]
    assert denied_by(service, case) == ""
    assert ask(service, READ, PROVIDER, id=granted["id"]) == granted
    assert ask(service, "{ suspensions { object } }", PROVIDER) == []
    assert ask(service, "{ disablements { name } }", SUPERVISOR) == []


def _broken(*_: Any) -> None:
    raise sqlite3.OperationalError("disk I/O error")
