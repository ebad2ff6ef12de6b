"""The issuer's keys: rotated, withdrawn, broken, away."""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from demo.issuer import JWKS_FILE, ensure_issuer
from policies.identity import Keys, Unauthenticated, Verifier
from tests.identity.issuer import AUDIENCE, ENTITIES, ISSUER, TestIssuer, claims, jwk


@dataclass
class Clock:
    """Time that passes when told, for the verifier only."""

    passed: float = 0.0

    def monotonic(self) -> float:
        return 1_000_000 + self.passed

    def time(self) -> float:
        return time.time() + self.passed


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr("policies.identity.time", made)
    return made


class CountedKeys(Keys):
    """Keys that count how often the issuer was asked."""

    asked = 0

    async def _read(self) -> dict[str, Any]:
        self.asked += 1
        return await super()._read()


@pytest.fixture
def keys(issuer: TestIssuer, clock: Clock) -> CountedKeys:
    return CountedKeys(str(issuer.file))


def knows(keys: Keys, kid: str) -> bool:
    try:
        return bool(asyncio.run(keys.key(kid)))
    except Unauthenticated:
        return False


def test_new_key_is_picked_up(issuer: TestIssuer, keys: CountedKeys, clock: Clock) -> None:
    assert knows(keys, "one")
    issuer.keys["two"] = Ed25519PrivateKey.generate()
    issuer.publish()
    clock.passed += 31
    assert knows(keys, "two")
    assert knows(keys, "one")


def test_unknown_keys_ask_the_issuer_at_most_twice_a_minute(keys: CountedKeys, clock: Clock) -> None:
    for number in range(60):
        assert not knows(keys, f"unknown-{number}")
        clock.passed += 1
    assert keys.asked == 2


def test_withdrawn_key_ends_within_minutes(issuer: TestIssuer, keys: CountedKeys, clock: Clock) -> None:
    assert knows(keys, "rsa")
    del issuer.keys["rsa"]
    issuer.publish()
    clock.passed += 301
    assert not knows(keys, "rsa")


def test_tokens_of_a_withdrawn_key_end_though_they_were_verified_before(
    issuer: TestIssuer, keys: CountedKeys, clock: Clock
) -> None:
    verifier = Verifier(ISSUER, AUDIENCE, keys, ("housing",), ENTITIES)
    header = f"Bearer {issuer.token(exp=int(time.time()) + 86_400)}"
    assert asyncio.run(verifier.identify(header)).subject == "clerk-01"
    del issuer.keys["one"]
    issuer.publish()
    clock.passed += 301
    with pytest.raises(Unauthenticated):
        asyncio.run(verifier.identify(header))


def test_known_keys_outlive_an_issuer_that_is_away_for_a_while_only(
    issuer: TestIssuer, keys: CountedKeys, clock: Clock
) -> None:
    assert knows(keys, "one")
    issuer.file.unlink()
    clock.passed += 301
    assert knows(keys, "one")
    clock.passed += 3_600
    assert not knows(keys, "one")


BROKEN = {
    "nothing": b"",
    "no JSON": b"{",
    "no UTF-8": b"\xff\xfe",
    "a list": b"[1, 2]",
    "a number": b"7",
    "no keys": b"{}",
    "keys empty": b'{"keys": []}',
    "keys a number": b'{"keys": 5}',
    "keys of numbers": b'{"keys": [1, null]}',
    "a key without a type": b'{"keys": [{"kid": "one"}]}',
    "a key of an unknown type": b'{"keys": [{"kid": "one", "kty": "XYZ"}]}',
    "a key that is none": b'{"keys": [{"kid": "one", "kty": "OKP", "crv": "Ed25519", "x": "AAAA"}]}',
    "deep": b"[" * 100_000,
}


@pytest.mark.parametrize("content", BROKEN.values(), ids=BROKEN)
def test_broken_keys_identify_nobody_until_they_are_mended(
    issuer: TestIssuer, keys: CountedKeys, clock: Clock, content: bytes
) -> None:
    good = issuer.file.read_bytes()
    issuer.file.write_bytes(content)
    assert not knows(keys, "one")
    issuer.file.write_bytes(good)
    clock.passed += 31
    assert knows(keys, "one")


def test_missing_keys_identify_nobody_until_they_are_there(clock: Clock, issuer: TestIssuer) -> None:
    moved = issuer.file.with_name("later.json")
    keys = Keys(str(moved))
    assert not knows(keys, "one")
    issuer.file.rename(moved)
    clock.passed += 31
    assert knows(keys, "one")


def test_one_bad_key_does_not_spoil_the_others(issuer: TestIssuer, keys: CountedKeys) -> None:
    issuer.publish({"kid": "bad", "kty": "XYZ"})
    assert knows(keys, "one")
    assert not knows(keys, "bad")


def test_key_for_encryption_signs_nothing(issuer: TestIssuer, keys: CountedKeys) -> None:
    issuer.publish(jwk(Ed25519PrivateKey.generate(), "sealing", use="enc"))
    assert not knows(keys, "sealing")


def test_symmetric_key_of_the_set_verifies_nothing(issuer: TestIssuer, keys: CountedKeys) -> None:
    issuer.publish(
        {"kid": "shared", "kty": "oct", "k": "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LXNlY3JldA", "alg": "HS256"}
    )
    secret = b"secret-secret-secret-secret-secret"
    token = jwt.encode(claims(), secret, algorithm="HS256", headers={"kid": "shared"})
    with pytest.raises(Unauthenticated):
        asyncio.run(Verifier(ISSUER, AUDIENCE, keys, ("housing",), ENTITIES).identify(f"Bearer {token}"))


def test_first_callers_who_come_together_are_all_identified(issuer: TestIssuer, keys: CountedKeys) -> None:
    verifier = Verifier(ISSUER, AUDIENCE, keys, ("housing",), ENTITIES)
    headers = [f"Bearer {issuer.token(sub=f'clerk-{n}')}" for n in range(20)]

    async def together() -> list[str]:
        known = await asyncio.gather(*(verifier.identify(header) for header in headers))
        return [one.subject for one in known]

    assert asyncio.run(together()) == [f"clerk-{n}" for n in range(20)]
    assert keys.asked == 1


def test_demo_issuer_publishes_no_private_key(tmp_path: Path) -> None:
    ensure_issuer(tmp_path)
    (published,) = json.loads((tmp_path / JWKS_FILE).read_text("utf8"))["keys"]
    assert "d" not in published
    assert (tmp_path / "issuer.key").stat().st_mode & 0o077 == 0
