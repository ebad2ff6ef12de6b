"""An issuer of tokens for tests: right ones, and wrong ones of every kind."""

from __future__ import annotations

import base64
import json
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from schema.catalogue import ItemType

ISSUER = "https://issuer.example"
AUDIENCE = "onesource"
ENTITIES = {"Person": ItemType.ID_NUMBER, "Organization": ItemType.CREDIT_CODE}
PrivateKey = Ed25519PrivateKey | ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
_ALGORITHMS: dict[type, Any] = {
    Ed25519PrivateKey: jwt.algorithms.OKPAlgorithm,
    ec.EllipticCurvePrivateKey: jwt.algorithms.ECAlgorithm,
    rsa.RSAPrivateKey: jwt.algorithms.RSAAlgorithm,
}


def claims(**changed: Any) -> dict[str, Any]:
    """Claims that identify somebody; a claim of None is left out."""
    now = int(time.time())
    right = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": "clerk-01",
        "department": "housing",
        "role": "clerk",
        "region": "421200",
        "client": "window",
        "iat": now,
        "exp": now + 600,
    }
    return {name: value for name, value in (right | changed).items() if value is not None}


def public(key: PrivateKey) -> bytes:
    """The public key as PEM."""
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return key.public_key().public_bytes(serialization.Encoding.PEM, form)


def jwk(key: PrivateKey, kid: str, **more: Any) -> dict[str, Any]:
    """The public key as a JSON Web Key."""
    algorithm = next(known for kind, known in _ALGORITHMS.items() if isinstance(key, kind))
    return {**json.loads(algorithm.to_jwk(key.public_key())), "kid": kid, **more}


def encoded(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def unsigned(header: Any, payload: Any, signature: bytes = b"") -> str:
    """A token of these parts, whatever they are."""
    parts = (header if isinstance(header, bytes) else json.dumps(header).encode(), json.dumps(payload).encode())
    return ".".join((*map(encoded, parts), encoded(signature)))


@dataclass
class TestIssuer:
    """An issuer whose keys stand in a file."""

    __test__ = False  # no test, in spite of its name

    file: Path
    keys: dict[str, PrivateKey] = field(default_factory=dict)

    def publish(self, *more: dict[str, Any]) -> None:
        """Write the key set: every key of ours, and these."""
        own = [jwk(key, kid) for kid, key in self.keys.items()]
        self.file.write_text(json.dumps({"keys": [*own, *more]}), "utf8")

    def token(self, kid: str = "one", alg: str = "EdDSA", header: dict[str, Any] | None = None, **changed: Any) -> str:
        payload = json.dumps(
            claims(**changed)
        ).encode()  # by the signature alone: the library would refuse wrong claims
        return jwt.PyJWS().encode(payload, self.keys[kid], algorithm=alg, headers={"kid": kid, **(header or {})})
