"""The demo's issuer of tokens: a key made on this machine, for this machine. Never for production."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import secrets
import time
from pathlib import Path

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

KEY_FILE = "issuer.key"
JWKS_FILE = "jwks.json"
REGION = "421200"
CLIENT = "demo"


def write_private(file: Path, content: bytes) -> None:
    """Write a file that only its owner may read, whole or not at all."""
    file.parent.mkdir(parents=True, exist_ok=True)
    temporary = file.with_name(f".{file.name}.{os.getpid()}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as target:
        target.write(content)
    temporary.replace(file)


def ensure_issuer(folder: Path) -> None:
    """Make the issuer's Ed25519 key and its JWKS under `folder` if they are not there yet."""
    if (folder / KEY_FILE).is_file() and (folder / JWKS_FILE).is_file():
        return
    key = Ed25519PrivateKey.generate()
    public = key.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    jwk = {
        "kty": "OKP",
        "crv": "Ed25519",
        "alg": "EdDSA",
        "use": "sig",
        "kid": hashlib.sha256(public).hexdigest()[:16],
        "x": base64.urlsafe_b64encode(public).rstrip(b"=").decode(),
    }
    write_private(folder / KEY_FILE, _pem(key))
    write_private(folder / JWKS_FILE, json.dumps({"keys": [jwk]}, indent=1).encode())


def ensure_secret(file: Path) -> None:
    """Make a secret of 32 bytes in hexadecimal if the file is not there yet."""
    if not file.is_file():
        write_private(file, secrets.token_hex(32).encode())


def ensure_signing_key(file: Path) -> None:
    """Make an Ed25519 key to sign the ledger's checkpoints with, as PEM, if the file is not there yet."""
    if not file.is_file():
        write_private(file, _pem(Ed25519PrivateKey.generate()))


def _pem(key: Ed25519PrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def demo_token(
    folder: Path, issuer: str, audience: str, *, subject: str, department: str, role: str, hours: float = 12,
    region: str = REGION, client: str = CLIENT, token: str = "", entity: str = "", identifier: str = "",
) -> str:  # fmt: skip
    """A token of the demo issuer under `folder`, by a name of its own unless it is given one; FileNotFoundError if the demo was never set up.

    With `identifier` it is that of a data subject, who acts for no department.
    """
    key = serialization.load_pem_private_key((folder / KEY_FILE).read_bytes(), None)
    kid = json.loads((folder / JWKS_FILE).read_text("utf8"))["keys"][0]["kid"]
    now = int(time.time())
    whose = {"entity": entity, "identifier": identifier} if identifier else {"department": department, "region": region}
    claims = {
        "iss": issuer,
        "aud": audience,
        "sub": subject,
        "role": role,
        **whose,
        "client": client,
        "iat": now,
        "exp": now + int(hours * 3600),
        "jti": token or secrets.token_hex(8),
    }
    assert isinstance(key, Ed25519PrivateKey)
    return jwt.encode(claims, key, algorithm="EdDSA", headers={"kid": kid})
