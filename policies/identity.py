"""Who asks: a verified bearer token, and nothing else, becomes an `Identity`.

No anonymous user, no default: a token that is missing, malformed, expired, for another audience, of another issuer, by
an unknown key or algorithm, with a critical header or a blank claim is refused without saying why.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import httpx
import jwt

from schema.catalogue import ItemType
from schema.identifiers import PARSERS, IdentifierError

_ALGORITHMS = ("EdDSA", "ES256", "RS256", "PS256")
_MAX_TOKEN = 8192
_MAX_CACHED = 4096
_REFRESH_SECONDS = 30.0  # at least between two questions to the issuer
_FRESH_SECONDS = 300.0  # how long a key or a verified token is trusted without asking again: a withdrawn key ends
_TRUSTED_SECONDS = 3600.0  # how long known keys outlive an issuer that cannot be read
_MAX_EXPIRY = 2.0**40
_LOG = logging.getLogger("onesource.identity")


class Role(StrEnum):
    """The acting roles; a token carries exactly one."""

    CLERK = "clerk"
    DEVELOPER = "developer"
    OFFICER = "officer"
    AUDITOR = "auditor"
    CITIZEN = "citizen"
    """A data subject (数据主体), who reads what was disclosed of the own person and nothing else (Hunan, ch. 5)."""


STAFF = (Role.CLERK, Role.DEVELOPER, Role.OFFICER, Role.AUDITOR)
"""The roles of those who act for a department: no rule names a data subject."""


@dataclass(frozen=True, slots=True)
class Identity:
    """One person acting for one department in one role, through one client, until the token expires (Unix seconds).

    `token` names the token: its `jti`, else a digest of its text. A citizen acts for no department, but is somebody: entity and identifier.
    """

    subject: str
    department: str
    role: Role
    region: str
    client: str
    expires: float
    token: str = ""
    data_subject: tuple[str, str] | None = None


class Unauthenticated(Exception):
    """The token does not identify anybody. The reason is for the log of security events, never for the caller."""


class Keys:
    """The issuer's public keys (JWKS), from a file or an https address.

    Asked at most twice a minute: for a key that is not known, and again once the known ones are five minutes old.
    """

    def __init__(self, location: str) -> None:
        self._location = location
        self._keys: dict[str, jwt.PyJWK] = {}
        self._asked = self._known_since = -_TRUSTED_SECONDS
        self._asking = asyncio.Lock()

    async def key(self, kid: str) -> jwt.PyJWK:
        """The key of that id; `Unauthenticated` if the issuer has none."""
        if kid not in self._keys or self._due(kid):
            async with self._asking:  # those who come meanwhile wait for the one answer
                if self._due(kid):
                    await self._ask()
        try:
            return self._keys[kid]
        except KeyError:
            raise Unauthenticated("unknown key") from None

    def _due(self, kid: str) -> bool:
        age = time.monotonic() - self._asked
        return age >= _REFRESH_SECONDS and (kid not in self._keys or age >= _FRESH_SECONDS)

    async def _ask(self) -> None:
        self._asked = time.monotonic()
        try:
            self._keys = _signing_keys(await self._read())
            self._known_since = self._asked
        except Unauthenticated as error:
            _LOG.warning("%s", error)
            if self._asked - self._known_since >= _TRUSTED_SECONDS:
                self._keys = {}

    async def _read(self) -> dict[str, Any]:
        try:
            if self._location.startswith("https://"):
                async with httpx.AsyncClient(timeout=5, follow_redirects=False) as client:
                    return dict((await client.get(self._location)).raise_for_status().json())
            return dict(json.loads(await asyncio.to_thread(Path(self._location).read_text, "utf8")))
        except (httpx.HTTPError, OSError, ValueError, TypeError, RecursionError) as error:
            raise Unauthenticated("the issuer's keys cannot be read") from error


def _signing_keys(jwks: dict[str, Any]) -> dict[str, jwt.PyJWK]:
    try:
        keys = jwt.PyJWKSet.from_dict(jwks).keys
    except Exception as error:  # the set comes from elsewhere, and the library trips over many shapes
        raise Unauthenticated("the issuer's keys are none") from error
    return {str(key.key_id): key for key in keys if key.public_key_use in (None, "sig")}


class Verifier:
    """Turns an `Authorization` header into an `Identity`.

    Verified tokens are remembered by their whole text for a while, so that a signature is not checked at each request.
    """

    def __init__(
        self, issuer: str, audience: str, keys: Keys, departments: Collection[str], entities: Mapping[str, ItemType]
    ) -> None:
        """`entities` are those whose identifiers a citizen may have, by name."""
        self._issuer = issuer
        self._audience = audience
        self._keys = keys
        self._departments = frozenset(departments)
        self._entities = entities
        self._verified: dict[str, tuple[Identity, float]] = {}

    def remembered(self, authorization: str | None) -> Identity | None:
        """The identity behind a header that was verified a while ago; None where it must be verified."""
        identity, until = self._verified.get(_token(authorization), (None, 0.0))
        return identity if time.time() < until else None

    async def identify(self, authorization: str | None) -> Identity:
        """The identity behind the header; `Unauthenticated` for every other case."""
        if identity := self.remembered(authorization):
            return identity
        token = _token(authorization)
        if not token:
            raise Unauthenticated("no bearer token")
        identity = self._identity(await self._claims(token), token)
        if len(self._verified) >= _MAX_CACHED:
            self._verified.clear()
        self._verified[token] = identity, min(identity.expires, time.time() + _FRESH_SECONDS)
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
        except (jwt.PyJWTError, ValueError, TypeError, OverflowError, RecursionError) as error:
            raise Unauthenticated(type(error).__name__) from error
        return claims

    def _identity(self, claims: Mapping[str, Any], written: str) -> Identity:
        def text(name: str) -> str:
            value = claims.get(name)
            if not isinstance(value, str) or not value or len(value) > 200:
                raise Unauthenticated(f"claim {name}")
            if value != value.strip() or not value.isprintable():
                raise Unauthenticated(f"claim {name}")
            return value

        expires = claims["exp"]
        if type(expires) not in (int, float) or expires > _MAX_EXPIRY:
            raise Unauthenticated("claim exp")
        try:
            role = Role(text("role"))
        except ValueError:
            raise Unauthenticated("unknown role") from None
        token = text("jti") if "jti" in claims else hashlib.sha256(written.encode()).hexdigest()[:32]
        if role is Role.CITIZEN:
            if "department" in claims:
                raise Unauthenticated("a citizen of a department")
            somebody = self._somebody(text("entity"), text("identifier"))
            return Identity(text("sub"), "", role, "", text("client"), float(expires), token, somebody)
        department = text("department")
        if department not in self._departments:
            raise Unauthenticated("unknown department")
        return Identity(text("sub"), department, role, text("region"), text("client"), float(expires), token)

    def _somebody(self, entity: str, identifier: str) -> tuple[str, str]:
        """Entity and normalised identifier of a citizen; `Unauthenticated` unless there are such ones."""
        try:
            return entity, PARSERS[self._entities[entity]](identifier)
        except (KeyError, IdentifierError):
            raise Unauthenticated("claim entity or identifier") from None


def _token(authorization: str | None) -> str:
    """The bearer token of an `Authorization` header; "" if it has none of a sensible length."""
    scheme, _, token = (authorization or "").partition(" ")
    return token if scheme.lower() == "bearer" and len(token) <= _MAX_TOKEN else ""
