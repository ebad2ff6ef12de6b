"""What officers ask for: grants, suspensions, disablements, and the look-up that shows whether they are in force."""

from __future__ import annotations

from typing import Any

from tests.service import Service, codes

GRANT = " fragment grant on Grant { id department provider state active document decidedBy agreement agreementState expires steps { action department } items { coordinate granted reason } }"
SUSPENSION = (
    " fragment suspension on Suspension { id provider department grant object reason by liftedAt notice toldAt }"
)
ITEM, KEY = "HouseholdRegistration.photo", "HouseholdRegistration.idNumber"
ITEMS = (ITEM, "HouseholdRegistration.name", KEY)
CONDITIONAL = "DENY/CLASS/CONDITIONAL"
SEALED = "SealedJuvenileRecord.sealedOn"
USING, PROVIDER, SUPERVISOR, STRANGER = "housing", "public-security", "data-bureau", "education"


def ask(service: Service, document: str, department: str, role: str = "officer", **variables: Any) -> Any:
    """The value of the one root field of an answer without errors."""
    body = service.ask(document, variables, role=role, department=department)
    assert "errors" not in body, body["errors"]
    (value,) = body["data"].values()
    return value


def refused(service: Service, document: str, department: str, role: str = "officer", **variables: Any) -> str:
    """The code of the one error of an answer whose root field is null."""
    body = service.ask(document, variables, role=role, department=department)
    assert list(body["data"].values()) == [None], body
    (code,) = codes(body)
    return code


APPLY = "mutation($input: ApplyForGrantInput!) { applyForGrant(input: $input) { ...grant } }" + GRANT
DECIDE = "mutation($input: DecideGrantInput!) { decideGrant(input: $input) { ...grant } }" + GRANT
LIMIT = "mutation($input: LimitGrantInput!) { limitGrant(input: $input) { ...grant } }" + GRANT
END = "mutation($id: String!, $reason: String!) { endGrant(id: $id, reason: $reason) { ...grant } }" + GRANT
AGREE = "mutation($id: String!, $number: String!) { recordAgreement(id: $id, number: $number) { ...grant } }" + GRANT
SUSPEND = "mutation($input: SuspendInput!) { suspend(input: $input) { ...suspension } }" + SUSPENSION
LIFT = "mutation($id: String!) { liftSuspension(id: $id) { ...suspension } }" + SUSPENSION
DISABLE = 'mutation($input: DisabledInput!) { disable(input: $input, reason: "离岗") { kind name department by } }'
ENABLE = "mutation($input: DisabledInput!) { enable(input: $input) }"
READ = "query($id: String!) { grant(id: $id) { ...grant } }" + GRANT


def application(*coordinates: str, **more: Any) -> dict[str, Any]:
    items = [{"coordinate": one, "authority": "公共租赁住房管理办法第七条"} for one in coordinates or ITEMS]
    given = {"items": items, "purposes": ["ADMINISTRATIVE_BASIS"], "modes": ["ONLINE_QUERY"], "scope": "公租房审核"}
    return given | more


def ruling(grant: dict[str, Any], *, granted: bool = True, **more: Any) -> dict[str, Any]:
    verdicts = [
        {"coordinate": i["coordinate"], "granted": granted, "reason": "" if granted else "与职权无关"}
        for i in grant["items"]
    ]
    given = {"id": grant["id"], "verdicts": verdicts}
    if granted:
        given |= {"document": "咸公函〔2026〕1号", "expires": "2099-01-01T00:00:00+08:00", "agreement": "保密1号"}
    return given | more


def denied_by(service: Service, case: str) -> str:
    """The rule that denies the item to a clerk of the using department, "" where its value is shown."""
    body = service.person("householdRegistration { photo }", service.examples.applicant.identifier, case)
    if "errors" in body:
        (error,) = body["errors"]
        return str(error["extensions"]["ruleId"])
    assert body["data"]["person"]["householdRegistration"]["photo"]
    return ""
