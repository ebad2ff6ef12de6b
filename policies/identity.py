"""Who asks: a verified bearer token, and nothing else, becomes an `Identity`.

No anonymous user, no default: a token that is missing, malformed, expired, for another audience, of another issuer, by
an unknown key or algorithm, with a critical header or a blank claim is refused without saying why.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import httpx
import jwt

_ALGORITHMS = ("EdDSA", "ES256", "RS256", "PS256")
_MAX_TOKEN = 8192
_MAX_CACHED = 4096
_REFRESH_SECONDS = 30.0


class Role(StrEnum):
    """The acting roles; a token carries exactly one."""

    CLERK = "clerk"
    DEVELOPER = "developer"
    OFFICER = "officer"
    AUDITOR = "auditor"


@dataclass(frozen=True, slots=True)
class Identity:
    """One person acting for one department in one role, through one client, until the token expires (Unix seconds)."""

    subject: str
    department: str
    role: Role
    region: str
    client: str
    expires: float


class Unauthenticated(Exception):
    """The token does not identify anybody. The reason is for the log of security events, never for the caller."""


class Keys:
    """The issuer's public keys (JWKS), from a file or an https address; asked again at most twice a minute."""

    def __init__(self, location: str) -> None:
        self._location = location
        self._keys: dict[str, jwt.PyJWK] = {}
        self._asked = -_REFRESH_SECONDS

    async def key(self, kid: str) -> jwt.PyJWK:
        """The key of that id; `Unauthenticated` if the issuer has none."""
        if kid not in self._keys and time.monotonic() - self._asked >= _REFRESH_SECONDS:
            self._asked = time.monotonic()
            self._keys = {str(k.key_id): k for k in jwt.PyJWKSet.from_dict(await self._read()).keys}
        try:
            return self._keys[kid]
        except KeyError:
            raise Unauthenticated("unknown key") from None

    async def _read(self) -> dict[str, Any]:
        try:
            if self._location.startswith("https://"):
                async with httpx.AsyncClient(timeout=5, follow_redirects=False) as client:
                    return dict((await client.get(self._location)).raise_for_status().json())
            return dict(json.loads(await asyncio.to_thread(Path(self._location).read_text, "utf8")))
        except (httpx.HTTPError, OSError, ValueError) as error:
            raise Unauthenticated("the issuer's keys cannot be read") from error


class Verifier:
    """Turns an `Authorization` header into an `Identity`.

    Verified tokens are remembered by their whole text until they expire, so that a signature is checked once.
    """

    def __init__(self, issuer: str, audience: str, keys: Keys, departments: Collection[str]) -> None:
        self._issuer = issuer
        self._audience = audience
        self._keys = keys
        self._departments = frozenset(departments)
        self._verified: dict[str, Identity] = {}

    async def identify(self, authorization: str | None) -> Identity:
        """The identity behind the header; `Unauthenticated` for every other case."""
        scheme, _, token = (authorization or "").partition(" ")
        known = self._verified.get(token)
        if known and known.expires > time.time() and scheme.lower() == "bearer":
            return known
        if scheme.lower() != "bearer" or not token or len(token) > _MAX_TOKEN:
            raise Unauthenticated("no bearer token")
        identity = self._identity(await self._claims(token))
        if len(self._verified) >= _MAX_CACHED:
            self._verified.clear()
        self._verified[token] = identity
        return identity

    async def _claims(self, token: str) -> Mapping[str, Any]:
        try:
            header = jwt.get_unverified_header(token)
            if header.get("alg") not in _ALGORITHMS or "crit" in header or not isinstance(header.get("kid"), str):
                raise Unauthenticated("header refused")
            key = await self._keys.key(header["kid"])
            if key.algorithm_name != header["alg"]:
                raise Unauthenticated("algorithm of another key")
            claims: Mapping[str, Any] = jwt.decode(
                token,
                key,
                algorithms=[header["alg"]],
                audience=self._audience,
                issuer=self._issuer,
                options={"require": ["exp", "iat", "sub", "aud", "iss"]},
            )
        except jwt.PyJWTError as error:
            raise Unauthenticated(type(error).__name__) from error
        return claims

    def _identity(self, claims: Mapping[str, Any]) -> Identity:
        def text(name: str) -> str:
            value = claims.get(name)
            if not isinstance(value, str) or not value.strip() or len(value) > 200 or not value.isprintable():
                raise Unauthenticated(f"claim {name}")
            return value

        department = text("department")
        if department not in self._departments:
            raise Unauthenticated("unknown department")
        try:
            role = Role(text("role"))
        except ValueError:
            raise Unauthenticated("unknown role") from None
        return Identity(text("sub"), department, role, text("region"), text("client"), float(claims["exp"]))
