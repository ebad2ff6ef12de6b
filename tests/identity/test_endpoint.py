"""At the endpoint: nobody unknown is answered, and nobody learns why."""

from __future__ import annotations

from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from demo.issuer import demo_token
from tests.identity.issuer import claims, unsigned
from tests.service import Service

QUESTION = {"query": "{__typename}"}


def ask(service: Service, *headers: str) -> Any:
    return service.client.post("/graphql", json=QUESTION, headers=[("Authorization", header) for header in headers])


def token_for(service: Service, **changed: Any) -> str:
    """A token signed by the service's own issuer."""
    identity = service.settings.identity
    given = {"issuer": identity.issuer, "audience": identity.audience} | changed
    who: dict[str, Any] = {"subject": "clerk-01", "department": "housing", "role": "clerk"}
    return demo_token(service.scene.issuer, given.pop("issuer"), given.pop("audience"), **(who | given))


def refusals(service: Service) -> dict[str, Any]:
    """The answer to each kind of unknown caller."""
    good = service.token()
    return {
        "none": ask(service),
        "blank": ask(service, ""),
        "nonsense": ask(service, "Bearer x.y.z"),
        "two headers": ask(service, f"Bearer {good}", f"Bearer {good}"),
        "good and bad header": ask(service, f"Bearer {good}", "Bearer x"),
        "expired": ask(service, f"Bearer {token_for(service, hours=-1)}"),
        "other audience": ask(service, f"Bearer {token_for(service, audience='elsewhere')}"),
        "other issuer": ask(service, f"Bearer {token_for(service, issuer='https://elsewhere.example')}"),
        "unknown department": ask(service, f"Bearer {token_for(service, department='nowhere')}"),
        "unknown role": ask(service, f"Bearer {token_for(service, role='root')}"),
        "not signed": ask(service, f"Bearer {unsigned({'alg': 'none', 'kid': 'one'}, claims())}"),
        "other key": ask(service, f"Bearer {jwt.encode(claims(), Ed25519PrivateKey.generate(), algorithm='EdDSA')}"),
    }


def test_every_unknown_caller_gets_the_same_words(service: Service) -> None:
    answers = refusals(service)
    for name, answer in answers.items():
        assert answer.status_code == 401, name
        assert answer.headers["www-authenticate"] == "Bearer"
        assert answer.headers["content-type"] == "application/graphql-response+json; charset=utf-8"
        assert "server-timing" not in answer.headers
    (body,) = {answer.content for answer in answers.values()}
    (error,) = answers["none"].json()["errors"]
    assert answers["none"].json().keys() == {"errors"}
    assert error["extensions"]["code"] == "UNAUTHENTICATED"
    assert set(error) == {"message", "extensions"}
    for told in (b"expired", b"signature", b"audience", b"issuer"):
        assert told not in body


def test_unknown_caller_runs_nothing(service: Service) -> None:
    before = service.rooms.ledger.head()
    refusals(service)
    assert service.rooms.ledger.head() == before


def test_unknown_caller_is_401_in_plain_json_too(service: Service) -> None:
    answer = service.client.post("/graphql", json=QUESTION, headers={"Accept": "application/json"})
    assert answer.status_code == 401
    assert answer.json()["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"


def test_cookie_and_query_carry_no_token(service: Service) -> None:
    token = service.token()
    answer = service.client.post(
        "/graphql",
        json=QUESTION,
        params={"access_token": token},
        headers={"Cookie": f"Authorization=Bearer {token}", "Proxy-Authorization": f"Bearer {token}"},
    )
    assert answer.status_code == 401


def test_reason_is_logged_without_the_token(service: Service, caplog: pytest.LogCaptureFixture) -> None:
    expired = token_for(service, hours=-1)
    ask(service, f"Bearer {expired}")
    assert "ExpiredSignatureError" in caplog.text
    assert expired.rpartition(".")[2] not in caplog.text
    assert "clerk-01" not in caplog.text


def test_same_person_is_two_identities_in_two_roles(service: Service) -> None:
    document = "{ disclosures(first: 1) { indexedThrough } }"
    as_clerk = service.ask(document, role="clerk", subject="wang")
    as_auditor = service.ask(document, role="auditor", department="data-bureau", subject="wang")
    assert as_clerk["errors"][0]["extensions"]["code"] == "ROLE_REQUIRED"
    assert "errors" not in as_auditor
