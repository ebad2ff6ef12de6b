"""Bearer tokens: who is identified, and who is not."""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from collections.abc import Callable
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from policies.identity import Role, Unauthenticated
from tests.identity.conftest import Identify
from tests.identity.issuer import AUDIENCE, TestIssuer, claims, encoded, public, unsigned

NOW = int(time.time())
Forge = Callable[[TestIssuer], str]


def test_right_token_identifies_its_bearer(issuer: TestIssuer, identify: Identify) -> None:
    known = identify(f"Bearer {issuer.token()}")
    assert (known.subject, known.department, known.role) == ("clerk-01", "housing", Role.CLERK)
    assert (known.region, known.client) == ("421200", "window")


@pytest.mark.parametrize(("kid", "alg"), [("one", "EdDSA"), ("rsa", "RS256"), ("ec", "ES256")])
def test_each_kind_of_key_verifies_its_own_algorithm(
    issuer: TestIssuer, identify: Identify, kid: str, alg: str
) -> None:
    assert identify(f"Bearer {issuer.token(kid, alg)}").subject == "clerk-01"


@pytest.mark.parametrize("scheme", ["bearer", "BEARER", "Bearer"])
def test_scheme_is_of_any_case(issuer: TestIssuer, identify: Identify, scheme: str) -> None:
    assert identify(f"{scheme} {issuer.token()}").subject == "clerk-01"


def test_audience_may_be_one_of_several(issuer: TestIssuer, identify: Identify) -> None:
    assert identify(f"Bearer {issuer.token(aud=['other', AUDIENCE])}").subject == "clerk-01"


def _hs256_with_the_public_key(issuer: TestIssuer) -> str:
    # by hand: the library refuses to sign with a key that looks like a public one
    head, payload, _ = unsigned({"alg": "HS256", "typ": "JWT", "kid": "rsa"}, claims()).split(".")
    mac = hmac.new(public(issuer.keys["rsa"]), f"{head}.{payload}".encode(), hashlib.sha256).digest()
    return f"{head}.{payload}.{encoded(mac)}"


def _tampered(issuer: TestIssuer, part: int) -> str:
    parts = issuer.token().split(".")
    parts[part] = parts[part][:-6] + ("A" if parts[part][-6] != "A" else "B") + parts[part][-5:]
    return ".".join(parts)


def _other_payload(issuer: TestIssuer) -> str:
    head, _, signature = issuer.token().split(".")
    return f"{head}.{encoded(json.dumps(claims(role='auditor')).encode())}.{signature}"


FORGED: dict[str, Forge] = {
    "alg none": lambda _: unsigned({"alg": "none", "kid": "one"}, claims()),
    "alg None": lambda _: unsigned({"alg": "None", "kid": "one"}, claims()),
    "alg none, signed": lambda _: unsigned({"alg": "none", "kid": "one"}, claims(), b"x" * 64),
    "no alg": lambda _: unsigned({"kid": "one"}, claims(), b"x" * 64),
    "alg is a list": lambda _: unsigned({"alg": ["EdDSA"], "kid": "one"}, claims(), b"x" * 64),
    "HS256 with the public key": _hs256_with_the_public_key,
    "HS256 with a secret": lambda _: jwt.encode(claims(), "s" * 32, algorithm="HS256", headers={"kid": "one"}),
    "unknown key": lambda i: i.token(header={"kid": "two"}),
    "key of another type": lambda i: i.token(header={"kid": "rsa"}),
    "another algorithm of the same key": lambda i: i.token("rsa", "PS256"),
    "weaker algorithm of the same key": lambda i: i.token("rsa", "RS512"),
    "no kid": lambda i: jwt.encode(claims(), i.keys["one"], algorithm="EdDSA"),
    "kid is a number": lambda _: unsigned({"alg": "EdDSA", "kid": 1}, claims(), b"x" * 64),
    "kid is a path": lambda i: i.token(header={"kid": "../../etc/passwd"}),
    "key in the header": lambda i: jwt.encode(
        claims(), Ed25519PrivateKey.generate(), algorithm="EdDSA", headers={"kid": "one", "jwk": {"kty": "OKP"}}
    ),
    "key address in the header": lambda i: i.token(header={"kid": "two", "jku": "https://elsewhere.example/jwks"}),
    "critical header": lambda i: i.token(header={"crit": ["exp"], "exp": 1}),
    "critical header, empty": lambda i: i.token(header={"crit": []}),
    "another issuer's key": lambda i: jwt.encode(
        claims(), Ed25519PrivateKey.generate(), algorithm="EdDSA", headers={"kid": "one"}
    ),
    "tampered header": lambda i: _tampered(i, 0),
    "tampered payload": lambda i: _tampered(i, 1),
    "tampered signature": lambda i: _tampered(i, 2),
    "payload of another": _other_payload,
    "signature cut off": lambda i: i.token().rpartition(".")[0] + ".",
    "two parts": lambda i: i.token().rpartition(".")[0],
    "four parts": lambda i: i.token() + ".x",
    "header is a list": lambda _: unsigned([], claims(), b"x" * 64),
    "header is deep": lambda _: unsigned(b"[" * 5_500, {}, b"x"),
    "header has a huge number": lambda _: unsigned(b'{"alg":' + b"9" * 5_000 + b"}", {}, b"x"),
    "header is no UTF-8": lambda _: unsigned(b'{"alg":"\xff"}', claims(), b"x"),
    "100 kB": lambda i: i.token(padding="x" * 100_000),
}


@pytest.mark.parametrize("name", FORGED)
def test_forged_token_identifies_nobody(issuer: TestIssuer, identify: Identify, name: str) -> None:
    with pytest.raises(Unauthenticated):
        identify(f"Bearer {FORGED[name](issuer)}")


WRONG_CLAIMS: dict[str, dict[str, Any]] = {
    **{f"no {name}": {name: None} for name in claims()},
    **{f"{name} blank": {name: ""} for name in ("sub", "department", "role", "region", "client")},
    **{f"{name} of spaces": {name: "  "} for name in ("sub", "region", "client")},
    **{f"{name} a number": {name: 7} for name in ("sub", "department", "role", "region", "client", "iss", "aud")},
    **{f"{name} a list": {name: ["clerk"]} for name in ("sub", "department", "role", "region", "client", "iss")},
    "subject with a new line": {"sub": "clerk-01\nrole=auditor"},
    "subject with NUL": {"sub": "clerk\0"},
    "subject with an escape": {"sub": "\x1b[2Jclerk"},
    "subject written backwards": {"sub": "clerk\u202e"},
    "subject with an invisible sign": {"sub": "cler\u200bk"},
    "subject with a space around": {"sub": " clerk-01"},
    "subject too long": {"sub": "x" * 201},
    "unknown department": {"department": "nowhere"},
    "department of another case": {"department": "Housing"},
    "department with a space": {"department": "housing "},
    "unknown role": {"role": "root"},
    "role of another case": {"role": "CLERK"},
    "two roles": {"role": "clerk,auditor"},
    "another audience": {"aud": "elsewhere"},
    "other audiences": {"aud": ["elsewhere", "onesource2"]},
    "no audience in the list": {"aud": []},
    "another issuer": {"iss": "https://elsewhere.example"},
    "issuer with a slash": {"iss": "https://issuer.example/"},
    "expired": {"exp": NOW - 1},
    "expires as text": {"exp": str(NOW + 600)},
    "expires as word": {"exp": "never"},
    "expires as truth": {"exp": True},
    "expires as list": {"exp": [NOW + 600]},
    "expires never": {"exp": float("inf")},
    "expires at no number": {"exp": float("nan")},
    "expires in aeons": {"exp": 10**30},
    "expires below zero": {"exp": -1},
    "not before tomorrow": {"nbf": NOW + 86_400},
    "not before as word": {"nbf": "now"},
    "issued tomorrow": {"iat": NOW + 86_400},
    "issued as word": {"iat": "now"},
}


@pytest.mark.parametrize("name", WRONG_CLAIMS)
def test_wrong_claim_identifies_nobody(issuer: TestIssuer, identify: Identify, name: str) -> None:
    token = issuer.token(**WRONG_CLAIMS[name])
    with pytest.raises(Unauthenticated):
        identify(f"Bearer {token}")


WRONG_HEADERS: dict[str, Callable[[str], str | None]] = {
    "none": lambda _: None,
    "blank": lambda _: "",
    "scheme alone": lambda _: "Bearer",
    "scheme and a space": lambda _: "Bearer ",
    "token alone": lambda token: token,
    "two spaces": lambda token: f"Bearer  {token}",
    "tab": lambda token: f"Bearer\t{token}",
    "another scheme": lambda token: f"Basic {token}",
    "scheme in front": lambda token: f"Bearer Bearer {token}",
    "quoted": lambda token: f'Bearer "{token}"',
    "two tokens": lambda token: f"Bearer {token}, Bearer {token}",
    "space behind": lambda token: f"Bearer {token} ",
    "new line behind": lambda token: f"Bearer {token}\n",
}


@pytest.mark.parametrize("name", WRONG_HEADERS)
def test_wrong_header_identifies_nobody(issuer: TestIssuer, identify: Identify, name: str) -> None:
    token = issuer.token()
    identify(f"Bearer {token}")  # it is known and good: only the header is wrong
    with pytest.raises(Unauthenticated):
        identify(WRONG_HEADERS[name](token))


def test_remembered_token_ends_when_it_expires(issuer: TestIssuer, identify: Identify) -> None:
    token = issuer.token(exp=int(time.time()) + 1)
    identify(f"Bearer {token}")
    time.sleep(1.05)
    with pytest.raises(Unauthenticated):
        identify(f"Bearer {token}")


_ANY_HEADER = st.one_of(
    st.binary(max_size=300).map(lambda raw: raw.decode("latin-1")),
    st.binary(max_size=300).map(lambda raw: "Bearer " + raw.decode("latin-1")),
    st.lists(st.binary(max_size=60).map(encoded), min_size=1, max_size=4).map(
        lambda parts: "Bearer " + ".".join(parts)
    ),
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["alg", "kid", "crit"]), inner),
        max_leaves=6,
    ).map(lambda header: "Bearer " + unsigned(header, claims(), b"x")),
)


@given(header=_ANY_HEADER)
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_header_raises_anything_else(identify: Identify, header: str) -> None:
    with pytest.raises(Unauthenticated):
        identify(header)


# -- data subjects -----------------------------------------------------------------------------------------------------

CITIZEN: dict[str, Any] = {
    "role": "citizen",
    "department": None,
    "region": None,
    "entity": "Person",
    "identifier": "11010519491231002X",
}


@pytest.mark.parametrize(
    "written", ["11010519491231002X", "11010519491231002x", "１１０１０５１９４９１２３１００２Ｘ"]
)
def test_a_citizen_is_somebody_and_acts_for_no_department(issuer: TestIssuer, identify: Identify, written: str) -> None:
    known = identify(f"Bearer {issuer.token(**CITIZEN | {'identifier': written})}")
    assert (known.role, known.department, known.region) == (Role.CITIZEN, "", "")
    assert known.data_subject == ("Person", "11010519491231002X")


@pytest.mark.parametrize(
    "changed",
    [
        {"identifier": "110105194912310021"},
        {"identifier": "11010519491231002X "},
        {"identifier": None},
        {"identifier": ""},
        {"identifier": ["11010519491231002X"]},
        {"entity": None},
        {"entity": "Nobody"},
        {"entity": "Organization"},
        {"department": "housing"},
        {"department": ""},
        {"sub": None},
        {"client": None},
    ],
)
def test_a_citizen_who_is_nobody_or_acts_for_a_department_is_refused(
    issuer: TestIssuer, identify: Identify, changed: dict[str, Any]
) -> None:
    with pytest.raises(Unauthenticated):
        identify(f"Bearer {issuer.token(**CITIZEN | changed)}")


def test_whoever_acts_for_a_department_is_no_data_subject(issuer: TestIssuer, identify: Identify) -> None:
    assert identify(f"Bearer {issuer.token(entity='Person', identifier='11010519491231002X')}").data_subject is None
