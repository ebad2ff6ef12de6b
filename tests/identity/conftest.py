"""A verifier over an issuer with three keys of three kinds."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from policies.identity import Identity, Keys, Verifier
from tests.identity.issuer import AUDIENCE, ENTITIES, ISSUER, PrivateKey, TestIssuer

Identify = Callable[[str | None], Identity]


@pytest.fixture(scope="session")
def three_keys() -> dict[str, PrivateKey]:
    return {
        "one": Ed25519PrivateKey.generate(),
        "rsa": rsa.generate_private_key(public_exponent=65537, key_size=2048),
        "ec": ec.generate_private_key(ec.SECP256R1()),
    }


@pytest.fixture
def issuer(tmp_path: Path, three_keys: dict[str, PrivateKey]) -> TestIssuer:
    made = TestIssuer(tmp_path / "jwks.json", dict(three_keys))
    made.publish()
    return made


@pytest.fixture
def identify(issuer: TestIssuer) -> Identify:
    """The identity behind a whole `Authorization` header."""
    verifier = Verifier(ISSUER, AUDIENCE, Keys(str(issuer.file)), ("housing", "taxation"), ENTITIES)
    return lambda header: asyncio.run(verifier.identify(header))
