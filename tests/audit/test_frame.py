"""Frames: same operation, same bytes; keyed hashes instead of identifiers."""

from __future__ import annotations

import json
from dataclasses import asdict

import pytest

from audit.frame import SubjectHash, decode
from tests.audit.frames import HASH, frame, node

NUMBER = "421202199001011234"


def test_the_same_operation_is_the_same_bytes() -> None:
    one = frame("o-1", node(groups={"RA": ["b", "a"], "DD": ["c"]}))
    same = frame("o-1", node(groups={"DD": ["c"], "RA": ["b", "a"]}))
    assert one.encode() == same.encode()
    assert one.encode() != frame("o-2", node(groups={"RA": ["b", "a"], "DD": ["c"]})).encode()


def test_a_frame_is_json_that_anybody_can_read() -> None:
    made = frame("o-1", node(), region="咸宁")
    raw = made.encode()
    assert json.loads(raw.decode("utf8")) == json.loads(json.dumps(asdict(made)))
    assert json.loads(raw) == decode(raw)
    assert "咸宁".encode() in raw
    assert not [byte for byte in raw if byte in b"\r\n\t"]


def test_a_frame_says_by_which_form_to_read_it() -> None:
    assert decode(frame("o-1").encode())["version"] == 2


def test_a_hash_differs_by_key_entity_and_identifier() -> None:
    other = SubjectHash(bytes(32))
    hashes = {
        HASH.of("Person", NUMBER),
        HASH.of("Organization", NUMBER),
        HASH.of("Person", "421202199001011235"),
        other.of("Person", NUMBER),
    }
    assert len({one.partition(":")[2] for one in hashes}) == 4


def test_entity_and_identifier_do_not_run_into_each_other() -> None:
    assert HASH.of("Person", "1") != HASH.of("Perso", "n1")
    assert HASH.of("Person1", "2") != HASH.of("Person", "12")


def test_a_hash_is_the_same_today_and_tomorrow_and_names_its_key() -> None:
    again = SubjectHash(bytes(range(32)))
    assert again.of("Person", NUMBER) == HASH.of("Person", NUMBER)
    key_id, _, digest = HASH.of("Person", NUMBER).partition(":")
    assert key_id == HASH.key_id
    assert len(digest) == 32
    assert SubjectHash(bytes(32)).key_id != HASH.key_id


def test_a_hash_tells_neither_identifier_nor_key() -> None:
    hashed = HASH.of("Person", NUMBER)
    assert NUMBER not in hashed
    assert NUMBER[6:14] not in hashed
    assert bytes(range(32)).hex()[:6] != HASH.key_id


@pytest.mark.parametrize("length", [0, 16, 31, 33, 64])
def test_a_secret_of_another_length_is_refused(length: int) -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        SubjectHash(bytes(length))
