#!/usr/bin/env python3
"""Checks a proof of the ledger offline: `python3 verify_offline.py proof.json --key log.pub [--witness witness.pub]`.

A single file that needs nothing but Python 3.9 or newer: give it to whoever is to check a record, or what was disclosed of him. It asks no
network and trusts only the keys that it is given. What it checks of a record (`onesource audit prove`): that it is a leaf of the tree of
the checkpoint (RFC 6962), and that the names of the items are those of the checkpoint's dictionary. What it checks of a data subject's own
list (`onesource my-disclosures`): that its entries, chained, are those that the checkpoint's map of data subjects counts and ends with: none
is left out, changed or moved. Of both: that the checkpoint (C2SP tlog-checkpoint, signed-note) is signed by the ledger's key, and, where a
witness's key is given, cosigned by a witness (C2SP tlog-cosignature). Ed25519 (RFC 8032) and SM2 with SM3 (GB/T 32918, 32905).

Exit codes: 0 everything holds and a signature of each kind of key given was checked; 1 the proof does not hold; 2 wrong use; 3 the proof
or a key is not of its form; 4 the checkpoint is signed by none of the ledger's keys given; 5 none of the witnesses given has cosigned it.
"""

from __future__ import annotations

import argparse
import base64
import binascii
import hashlib
import json
import re
import struct
import sys
from dataclasses import dataclass
from typing import Any, Callable, NoReturn, Optional  # noqa: UP035 - aliases of Python 3.9
from unicodedata import category

FORMAT = "onesource-proof/1"
OWN_LIST = "onesource-disclosures/1"
HOLDS, BROKEN, WRONG_USE, MALFORMED, NO_SIGNATURE, NO_WITNESS = range(6)
ED25519, COSIGNATURE = b"\x01", b"\x04"
SM2, SM2_COSIGNATURE = b"\xffSM2-SM3/v1", b"\xffSM2-SM3/cosignature/v1"
"""Signature types (C2SP signed-note); those of SM2 have no number there and so are spelled out behind 0xff."""
LOG_TYPES, WITNESS_TYPES = (ED25519, SM2), (COSIGNATURE, SM2_COSIGNATURE)
_MOST_BYTES, _MOST_SIGNATURES, _MOST_KEYS = 16_000_000, 64, 16
_SPKI = {bytes.fromhex("302a300506032b6570032100"): 0,
         bytes.fromhex("3059301306072a8648ce3d020106082a811ccf5501822d034200"): 1}  # fmt: skip


class Refused(Exception):
    """The proof is not accepted: exit code, and why in Chinese and English."""

    def __init__(self, code: int, zh: str, en: str) -> None:
        super().__init__(en)
        self.code, self.zh, self.en = code, zh, en


# -- hashes and signatures -------------------------------------------------------------------------------------------


def sm3(data: bytes) -> bytes:
    """SM3 (GB/T 32905), by OpenSSL where it has it."""
    try:
        return hashlib.new("sm3", data).digest()
    except ValueError:
        return own_sm3(data)


def own_sm3(data: bytes) -> bytes:
    """SM3 without OpenSSL."""

    def rotated(x: int, by: int) -> int:
        by %= 32
        return (x << by | x >> (32 - by)) & 0xFFFFFFFF

    state = [0x7380166F, 0x4914B2B9, 0x172442D7, 0xDA8A0600, 0xA96F30BC, 0x163138AA, 0xE38DEE4D, 0xB0FB0E4E]
    padded = data + b"\x80" + b"\0" * (-(len(data) + 9) % 64) + struct.pack(">Q", 8 * len(data))
    for at in range(0, len(padded), 64):
        w = list(struct.unpack(">16I", padded[at : at + 64]))
        for j in range(16, 68):
            x = w[j - 16] ^ w[j - 9] ^ rotated(w[j - 3], 15)
            w.append(x ^ rotated(x, 15) ^ rotated(x, 23) ^ rotated(w[j - 13], 7) ^ w[j - 6])
        a, b, c, d, e, f, g, h = state
        for j in range(64):
            constant = rotated(0x79CC4519 if j < 16 else 0x7A879D8A, j)
            ss1 = rotated((rotated(a, 12) + e + constant) & 0xFFFFFFFF, 7)
            ff, gg = (a ^ b ^ c, e ^ f ^ g) if j < 16 else (a & b | a & c | b & c, e & f | ~e & g)
            tt1 = (ff + d + (ss1 ^ rotated(a, 12)) + (w[j] ^ w[j + 4])) & 0xFFFFFFFF
            tt2 = (gg + h + ss1 + w[j]) & 0xFFFFFFFF
            a, b, c, d, e, f, g, h = (
                tt1,
                a,
                rotated(b, 9),
                c,
                tt2 ^ rotated(tt2, 9) ^ rotated(tt2, 17),
                e,
                rotated(f, 19),
                g,
            )
        state = [old ^ new for old, new in zip(state, (a, b, c, d, e, f, g, h))]  # noqa: B905 - Python 3.9
    return struct.pack(">8I", *state)


def _sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


HASHES: dict[str, Callable[[bytes], bytes]] = {"sha256": _sha256, "sm3": sm3}

_P = 2**255 - 19
_L = 2**252 + 27742317777372353535851937790883648493
_D = -121665 * pow(121666, -1, _P) % _P
Point = tuple[int, int, int, int]


def _edwards_point(encoded: bytes) -> Point | None:
    y = int.from_bytes(encoded, "little")
    sign, y = y >> 255, y & (2**255 - 1)
    if y >= _P:
        return None
    squared = (y * y - 1) * pow(_D * y * y + 1, -1, _P) % _P
    x = pow(squared, (_P + 3) // 8, _P)
    if (x * x - squared) % _P:
        x = x * pow(2, (_P - 1) // 4, _P) % _P
    if (x * x - squared) % _P or (x == 0 and sign):
        return None
    x = _P - x if x & 1 != sign else x
    return x, y, 1, x * y % _P


def _edwards_sum(p: Point, q: Point) -> Point:
    a, b = (p[1] - p[0]) * (q[1] - q[0]) % _P, (p[1] + p[0]) * (q[1] + q[0]) % _P
    c, d = 2 * p[3] * q[3] * _D % _P, 2 * p[2] * q[2] % _P
    e, f, g, h = b - a, d - c, d + c, b + a
    return e * f % _P, g * h % _P, f * g % _P, e * h % _P


def _edwards_times(scalar: int, point: Point) -> Point:
    result = (0, 1, 1, 0)
    while scalar:
        if scalar & 1:
            result = _edwards_sum(result, point)
        point, scalar = _edwards_sum(point, point), scalar >> 1
    return result


def ed25519_holds(public: bytes, message: bytes, signature: bytes) -> bool:
    """Whether this is the Ed25519 signature of the message (RFC 8032, 5.1.7, without cofactor)."""
    key, base = _edwards_point(public), _edwards_point(b"\x58" + b"\x66" * 31)
    s = int.from_bytes(signature[32:], "little")
    if len(public) != 32 or len(signature) != 64 or key is None or base is None or s >= _L:
        return False
    h = int.from_bytes(hashlib.sha512(signature[:32] + public + message).digest(), "little") % _L
    negated = (_P - key[0], key[1], 1, _P - key[3])
    x, y, z, _ = _edwards_sum(_edwards_times(s, base), _edwards_times(h, negated))
    inverse = pow(z, -1, _P)
    x, y = x * inverse % _P, y * inverse % _P
    return (y | (x & 1) << 255).to_bytes(32, "little") == signature[:32]


_SM2_P = 0xFFFFFFFEFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF00000000FFFFFFFFFFFFFFFF
_SM2_A = _SM2_P - 3
_SM2_B = 0x28E9FA9E9D9F5E344D5A9E4BCF6509A7F39789F515AB8F92DDBCBD414D940E93
_SM2_N = 0xFFFFFFFEFFFFFFFFFFFFFFFFFFFFFFFF7203DF6B21C6052B53BBF40939D54123
_SM2_G = (0x32C4AE2C1F1981195F9904466A39C9948FE30BBFF2660BE1715A4589334C74C7,
          0xBC3736A2F4F6779C59BDCEE36B692153D0A9877CC62A474002DF32E52139F0A0)  # fmt: skip
_SM2_USER = b"1234567812345678"  # the user's id where nothing else is agreed (GM/T 0009)
Affine = Optional[tuple[int, int]]  # noqa: UP045 - an alias is evaluated, by Python 3.9 too


def _sm2_sum(p: Affine, q: Affine) -> Affine:
    if p is None or q is None:
        return q if p is None else p
    if p[0] == q[0]:
        if (p[1] + q[1]) % _SM2_P == 0:
            return None
        slope = (3 * p[0] * p[0] + _SM2_A) * pow(2 * p[1], -1, _SM2_P)
    else:
        slope = (q[1] - p[1]) * pow(q[0] - p[0], -1, _SM2_P)
    x = (slope * slope - p[0] - q[0]) % _SM2_P
    return x, (slope * (p[0] - x) - p[1]) % _SM2_P


def _sm2_times(scalar: int, point: Affine) -> Affine:
    result: Affine = None
    while scalar:
        if scalar & 1:
            result = _sm2_sum(result, point)
        point, scalar = _sm2_sum(point, point), scalar >> 1
    return result


def sm2_holds(public: bytes, message: bytes, signature: bytes, user: bytes = _SM2_USER) -> bool:
    """Whether this is the SM2 signature (r, s: 64 bytes) of the message by the point 04 x y (GB/T 32918.2, 7.1)."""
    if len(public) != 65 or public[0] != 4 or len(signature) != 64:
        return False
    x, y = int.from_bytes(public[1:33], "big"), int.from_bytes(public[33:], "big")
    r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
    t = (r + s) % _SM2_N
    on_curve = x < _SM2_P and y < _SM2_P and (y * y - x**3 - _SM2_A * x - _SM2_B) % _SM2_P == 0
    if not on_curve or not 0 < r < _SM2_N or not 0 < s < _SM2_N or t == 0:
        return False
    curve = b"".join(number.to_bytes(32, "big") for number in (_SM2_A, _SM2_B, *_SM2_G))
    identity = sm3(struct.pack(">H", 8 * len(user)) + user + curve + public[1:])
    point = _sm2_sum(_sm2_times(s, _SM2_G), _sm2_times(t, (x, y)))
    return point is not None and (int.from_bytes(sm3(identity + message), "big") + point[0]) % _SM2_N == r


# -- keys, notes, checkpoints -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Key:
    """A key to check signatures with. `name` is empty where the key's file tells none: then it goes by any name."""

    type: bytes
    public: bytes
    name: str = ""

    def id(self, name: str) -> bytes:
        """The key's id under a name (C2SP signed-note)."""
        return _sha256(name.encode() + b"\n" + self.type + self.public)[:4]

    def text(self) -> str:
        """The key as a line: name, id, type and key (C2SP signed-note: verifier keys)."""
        return f"{self.name}+{self.id(self.name).hex()}+{base64.b64encode(self.type + self.public).decode()}"


@dataclass(frozen=True)
class Signature:
    """A line of a note: who, which key, and the signature's bytes."""

    name: str
    key_id: bytes
    signature: bytes


@dataclass(frozen=True)
class SubjectMap:
    """What a checkpoint says of the map of data subjects: through which record it goes, its root, the ids of the keys they are hashed with."""

    size: int
    root: bytes
    key_ids: tuple[str, ...] = ()


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint: `text` is what is signed. `hash` names the tree's hash, `items` the dictionary's highest number, -1 without one."""

    origin: str
    size: int
    root: bytes
    hash: str
    items: int
    dictionary: bytes
    text: str
    signatures: tuple[Signature, ...]
    subjects: SubjectMap | None = None


def unbase64(text: str) -> bytes:
    """The bytes of a base64 text in its one right form; ValueError for every other."""
    decoded = base64.b64decode(text.encode("ascii"), validate=True)
    if base64.b64encode(decoded).decode() != text:
        raise ValueError("base64 with stray bits")
    return decoded


def is_key_name(name: str) -> bool:
    return bool(name) and not any(sign.isspace() or sign == "+" or category(sign)[0] == "C" for sign in name)


def read_key(content: bytes, types: tuple[bytes, ...]) -> Key:
    """A public key of one of these types (of Ed25519, of SM2): a verifier-key line, PEM, or raw bytes. ValueError for anything else."""
    if b"-----BEGIN PUBLIC KEY-----" in content:
        der = base64.b64decode("".join(content.decode("ascii").split("-----")[2].split()), validate=True)
        for head, place in _SPKI.items():
            if der.startswith(head):
                return _checked(Key(types[place], der[len(head) :]))
        raise ValueError("neither an Ed25519 nor an SM2 key")
    if len(content) in (32, 65):
        return _checked(Key(types[len(content) == 65], content))
    name, key_id, encoded = content.decode("utf-8").strip().split("+", 2)
    decoded = unbase64(encoded)
    for kind in types:
        if decoded.startswith(kind):
            key = _checked(Key(kind, decoded[len(kind) :], name))
            if not is_key_name(name) or key.id(name).hex() != key_id.lower():
                raise ValueError("the key's name and id do not fit together")
            return key
    raise ValueError("a key of another kind")


def _checked(key: Key) -> Key:
    if len(key.public) != (32 if key.type in (ED25519, COSIGNATURE) else 65):
        raise ValueError("a key of a wrong length")
    return key


def parse_checkpoint(note: str) -> Checkpoint:
    """A signed checkpoint; ValueError unless it is of its form to the letter. Checks no signature."""
    note.encode("utf-8")
    if len(note) > 100_000 or any(sign < " " and sign != "\n" for sign in note):
        raise ValueError("control characters, or too long")
    text, separator, rest = note.rpartition("\n\n")
    lines, signed = text.split("\n"), rest.split("\n")
    if not separator or signed.pop() or not 0 < len(signed) <= _MOST_SIGNATURES or len(lines) < 3 or not all(lines):
        raise ValueError("not a text of three lines or more, an empty line, and signatures")
    size, root = lines[1], unbase64(lines[2])
    if not re.fullmatch(r"0|[1-9][0-9]{0,17}", size) or len(root) != 32:
        raise ValueError("no size, or no root of 32 bytes")
    hash_name, items, dictionary, subjects = _extensions(lines[3:])
    if subjects and subjects.size > int(size):
        raise ValueError("a map of more records than there are")
    signatures = tuple(_signature(line) for line in signed)
    return Checkpoint(lines[0], int(size), root, hash_name, items, dictionary, text + "\n", signatures, subjects)


def _extensions(lines: list[str]) -> tuple[str, int, bytes, SubjectMap | None]:
    """The tree's hash, the dictionary's size and digest, the map of data subjects. Lines that are not ours are passed over."""
    hash_name, items, dictionary, subjects, seen = "sha256", -1, b"", None, set()
    for line in lines:
        word, *values = line.split(" ")
        if word not in ("hash", "items", "subjects"):
            continue
        if word in seen:
            raise ValueError("a line twice")
        seen.add(word)
        if word == "hash":
            (hash_name,) = values
        elif word == "subjects":
            subjects = _subject_map(*values)
        else:
            count, digest = values
            if not re.fullmatch(r"0|[1-9][0-9]{0,8}", count):
                raise ValueError("no count of items")
            items, dictionary = int(count), unbase64(digest)
    if hash_name not in HASHES:
        raise ValueError("an unknown hash")
    return hash_name, items, dictionary, subjects


def _subject_map(size: str, root: str, *ids: str) -> SubjectMap:
    if not re.fullmatch(r"0|[1-9][0-9]{0,17}", size) or len(unbase64(root)) != 32:
        raise ValueError("no size, or no root of 32 bytes")
    if (
        len(ids) > _MOST_KEYS
        or list(ids) != sorted(set(ids))
        or not all(re.fullmatch("[0-9a-f]{6}", one) for one in ids)
    ):
        raise ValueError("no ids of keys")
    return SubjectMap(int(size), unbase64(root), ids)


def _signature(line: str) -> Signature:
    dash, name, encoded = line.split(" ")
    decoded = unbase64(encoded)
    if dash != "\u2014" or not is_key_name(name) or len(decoded) < 5:
        raise ValueError("not a line of a signature")
    return Signature(name, decoded[:4], decoded[4:])


def signed_bytes(key: Key, checkpoint: Checkpoint, signature: bytes) -> tuple[bytes, bytes]:
    """What a key of this type signs in this checkpoint, and the signature itself (C2SP tlog-cosignature for a witness's)."""
    if key.type not in WITNESS_TYPES:
        return checkpoint.text.encode(), signature
    if len(signature) < 8 or signature[0] >= 0x80:
        raise ValueError("no cosignature")
    (when,) = struct.unpack(">Q", signature[:8])
    return f"cosignature/v1\ntime {when}\n{checkpoint.text}".encode(), signature[8:]


Holds = Callable[[bytes, bytes, bytes], bool]


def signers(checkpoint: Checkpoint, keys: list[Key], ed25519: Holds = ed25519_holds) -> list[Key]:
    """Those of the keys that have signed the checkpoint. Refused if a signature of one of them is wrong: then nothing of it counts."""
    found = []
    for key in keys:
        for line in checkpoint.signatures:
            if key.name not in ("", line.name) or key.id(line.name) != line.key_id:
                continue
            holds = ed25519 if key.type in (ED25519, COSIGNATURE) else sm2_holds
            try:
                right = holds(key.public, *signed_bytes(key, checkpoint, line.signature))
            except ValueError:
                right = False
            if not right:
                raise Refused(BROKEN, f"{line.name} 的签名不成立", f"the signature of {line.name} is wrong")
            found.append(key)
    return found


# -- the proof ---------------------------------------------------------------------------------------------------------


def root_over(digest: Callable[[bytes], bytes], frame: bytes, place: int, size: int, path: list[bytes]) -> bytes | None:
    """The root to which an inclusion proof leads (RFC 9162, 2.1.3.2); None if it has not the length that it must have."""
    node, last = digest(b"\x00" + frame), size - 1
    for sibling in path:
        if last == 0:
            return None
        if place & 1 or place == last:
            node = digest(b"\x01" + sibling + node)
            while place and not place & 1:
                place, last = place >> 1, last >> 1
        else:
            node = digest(b"\x01" + node + sibling)
        place, last = place >> 1, last >> 1
    return node if last == 0 else None


def dictionary_digest(digest: Callable[[bytes], bytes], items: dict[int, str]) -> bytes:
    """What a checkpoint says of the dictionary of items: the digest over its entries, a line each, in the order of their numbers."""
    return digest("".join(f"{number} {items[number]}\n" for number in sorted(items)).encode())


def check(
    proof: Any, log_keys: list[Key], witness_keys: list[Key]
) -> tuple[dict[str, Any], Checkpoint, list[str], list[str]]:
    """The record that the proof proves, its checkpoint, and the names of the ledger's and the witnesses' keys. Refused if it does not hold."""
    frame, place, path, checkpoint, items = _parts(proof)
    digest = HASHES[checkpoint.hash]
    if not place < checkpoint.size or root_over(digest, frame, place, checkpoint.size, path) != checkpoint.root:
        raise Refused(BROKEN, "该记录不在检查点的树中", "the record is not in the tree of the checkpoint")
    if checkpoint.items >= 0 and dictionary_digest(digest, items) != checkpoint.dictionary:
        raise Refused(BROKEN, "信息项字典与检查点不符", "the dictionary of items is not that of the checkpoint")
    by, witnesses = _signed(checkpoint, log_keys, witness_keys)
    record = json.loads(frame)
    if not isinstance(record, dict):
        raise ValueError("the record is no object")  # noqa: TRY004 - the file's fault, not a caller's
    return _named(record, items), checkpoint, by, witnesses


# -- what was disclosed of one data subject -----------------------------------------------------------------------------

NOTHING = bytes(32)
"""The hash of a map or a subtree without data subjects, and the head of a list without entries."""


def subject_key(digest: Callable[[bytes], bytes], subject: str) -> bytes:
    """Where a data subject (a keyed hash after the id of its key) stands in the map."""
    return digest(b"\x02" + subject.encode())


def map_leaf(digest: Callable[[bytes], bytes], key: bytes, count: int, head: bytes) -> bytes:
    return digest(b"\x03" + key + struct.pack(">Q", count) + head)


def map_node(digest: Callable[[bytes], bytes], left: bytes, right: bytes) -> bytes:
    return digest(b"\x04" + left + right)


def linked(digest: Callable[[bytes], bytes], head: bytes, leaf: bytes, text: str) -> bytes:
    """The head of an own list with one more entry: the hash of its record as a leaf of the ledger's tree, and what it says."""
    return digest(b"\x05" + head + leaf + text.encode())


def map_root(digest: Callable[[bytes], bytes], key: bytes, path: list[bytes], node: bytes) -> bytes:
    """The root of the map in which `node` stands where `key` belongs; `path` are the siblings, from the root."""
    for depth in range(len(path) - 1, -1, -1):
        right = key[depth // 8] >> (7 - depth % 8) & 1
        node = map_node(digest, path[depth], node) if right else map_node(digest, node, path[depth])
    return node


@dataclass(frozen=True)
class Entry:
    """An entry of an own list: whose, the place of its record, the record's hash as a leaf, and what it says (JSON)."""

    subject: str
    place: int
    leaf: bytes
    text: str


def check_own_list(
    content: Any, log_keys: list[Key], witness_keys: list[Key]
) -> tuple[list[Entry], SubjectMap, Checkpoint, list[str], list[str]]:
    """The entries, newest first, the map that covers them, its checkpoint, the names of keys. Refused unless they are complete up to there."""
    if set(content) != {"format", "entries", "proof"} or set(content["proof"]) != {"checkpoint", "lists"}:
        raise ValueError("other parts than an own list has")
    checkpoint, lists = parse_checkpoint(content["proof"]["checkpoint"]), content["proof"]["lists"]
    covered = checkpoint.subjects
    if covered is None:
        raise Refused(BROKEN, "检查点未包含数据主体映射", "the checkpoint has no map of data subjects")
    entries = [_entry(one) for one in content["entries"]]
    by, witnesses = _signed(checkpoint, log_keys, witness_keys)
    told = [one["subject"] for one in lists]
    if len(told) != len(set(told)) or not {one.subject for one in entries} <= set(told):
        raise Refused(BROKEN, "条目与名单不符", "an entry belongs to none of the lists, or a list is there twice")
    if missing := set(covered.key_ids) - {one[:6] for one in told}:
        names = ", ".join(sorted(missing))
        raise Refused(
            BROKEN, f"不完整：缺少密钥 {names} 下的名单", f"incomplete: the list under the key {names} is missing"
        )
    for one in lists:
        own = [entry for entry in entries if entry.subject == one["subject"] and entry.place <= covered.size]
        _check_list(HASHES[checkpoint.hash], one, sorted(own, key=lambda entry: entry.place), covered)
    return sorted(entries, key=lambda entry: -entry.place), covered, checkpoint, by, witnesses


def _entry(told: Any) -> Entry:
    entry = Entry(told["subject"], told["place"], unbase64(told["leaf"]), told["text"])
    if set(told) != {"subject", "place", "leaf", "text"} or type(entry.place) is not int or len(entry.leaf) != 32:
        raise ValueError("not an entry")
    if not isinstance(entry.subject, str) or json.loads(entry.text)["place"] != entry.place:
        raise ValueError("an entry of another record")
    return entry


def _check_list(digest: Callable[[bytes], bytes], told: Any, entries: list[Entry], covered: SubjectMap) -> None:
    """Refused unless these entries, in the order of their records, are the list that the map has of this data subject."""
    subject, count = told["subject"], told["count"]
    if not isinstance(subject, str) or not re.fullmatch("[0-9a-f]{6}:[0-9a-f]{32}", subject):
        raise ValueError("not a data subject")
    if type(count) is not int or not 0 <= count < 2**63 or len(told["path"]) > 256:
        raise ValueError("not a list")
    key, path = subject_key(digest, subject), [unbase64(one) if one else NOTHING for one in told["path"]]
    if any(len(one) != 32 for one in path):
        raise ValueError("a hash of another length")
    if count:
        if set(told) != {"subject", "count", "head", "path"}:
            raise ValueError("other parts than a list has")
        node = map_leaf(digest, key, count, unbase64(told["head"]))
    else:
        node = _in_its_place(digest, told, key, len(path))
    if map_root(digest, key, path, node) != covered.root:
        raise Refused(
            BROKEN, "名单不在检查点的数据主体映射中", "the list is not in the checkpoint's map of data subjects"
        )
    head = NOTHING
    for entry in entries:
        head = linked(digest, head, entry.leaf, entry.text)
    if len(entries) != count or len({entry.place for entry in entries}) != count:
        raise Refused(
            BROKEN, f"不完整：应有 {count} 条，实有 {len(entries)} 条", f"incomplete: {len(entries)} of {count} entries"
        )
    if count and head != unbase64(told["head"]):
        raise Refused(BROKEN, "条目被改动或调换", "an entry is not the one that was recorded, or stands elsewhere")


def _in_its_place(digest: Callable[[bytes], bytes], told: Any, key: bytes, depth: int) -> bytes:
    """What stands where a data subject without a list would stand: nothing, or the only other one that belongs there."""
    if set(told) == {"subject", "count", "path"}:
        return NOTHING
    other, count, head = told["other"]
    other = unbase64(other)
    if set(told) != {"subject", "count", "path", "other"} or len(other) != 32 or other == key:
        raise ValueError("not the absence of a list")
    if int.from_bytes(other, "big") >> 256 - depth != int.from_bytes(key, "big") >> 256 - depth:
        raise ValueError("a leaf that belongs elsewhere")
    return map_leaf(digest, other, count, unbase64(head))


def _signed(checkpoint: Checkpoint, log_keys: list[Key], witness_keys: list[Key]) -> tuple[list[str], list[str]]:
    """The names of the ledger's and the witnesses' keys that have signed. Refused without one of each kind that was given."""
    own = [key for key in log_keys if key.name in ("", checkpoint.origin)]
    by, witnesses = signers(checkpoint, own), signers(checkpoint, witness_keys)
    if not by:
        raise Refused(
            NO_SIGNATURE, "检查点没有所给台账公钥的签名", "the checkpoint is not signed by a given key of the ledger"
        )
    if witness_keys and not witnesses:
        raise Refused(NO_WITNESS, "检查点没有所给见证方的签名", "the checkpoint is not cosigned by a given witness")
    return _names(by), _names(witnesses)


def _names(keys: list[Key]) -> list[str]:
    return sorted({key.name or key.public[-32:].hex()[:16] for key in keys})


def _parts(proof: Any) -> tuple[bytes, int, list[bytes], Checkpoint, dict[int, str]]:
    if not isinstance(proof, dict) or proof.get("format") != FORMAT:
        raise ValueError("another format")
    if set(proof) != {"format", "seq", "frame", "inclusion", "checkpoint", "items"}:
        raise ValueError("other parts than a proof has")
    seq, frame, inclusion, items = (proof[name] for name in ("seq", "frame", "inclusion", "items"))
    if (
        type(seq) is not int
        or not 0 < seq < 10**18
        or not isinstance(frame, str)
        or not isinstance(proof["checkpoint"], str)
    ):
        raise ValueError("a part of another type")
    if not isinstance(inclusion, list) or len(inclusion) > 64 or not isinstance(items, dict) or len(items) > 1_000_000:
        raise ValueError("a part of another type")
    path = [unbase64(one) for one in inclusion]
    if any(len(one) != 32 for one in path):
        raise ValueError("a hash of another length")
    checkpoint = parse_checkpoint(proof["checkpoint"])
    named = {}
    for number, coordinate in items.items():
        if not re.fullmatch(r"[1-9][0-9]{0,8}", number) or not isinstance(coordinate, str) or "\n" in coordinate:
            raise ValueError("no dictionary")
        named[int(number)] = coordinate
    if max(named, default=0) != max(checkpoint.items, 0):
        raise ValueError("a dictionary of another size than the checkpoint's")
    return frame.encode("utf-8"), seq - 1, path, checkpoint, named


def _named(record: dict[str, Any], items: dict[int, str]) -> dict[str, Any]:
    """The record with the names of items beside their numbers."""
    for node in record.get("nodes") or ():
        if isinstance(node, dict) and isinstance(node.get("items"), list):
            node["items"] = [
                f"{number} {items.get(number, '?')}" if type(number) is int else number for number in node["items"]
            ]
    return record


# -- the command --------------------------------------------------------------------------------------------------------


def _plain(text: str) -> str:
    """The text without what would steer a terminal."""
    return "".join(sign if sign == "\n" or category(sign)[0] != "C" else "\ufffd" for sign in text)


def _content(file: str) -> bytes:
    try:
        with open(file, "rb") as source:
            content = source.read(_MOST_BYTES + 1)
    except (OSError, ValueError):
        raise Refused(WRONG_USE, f"无法读取 {file}", f"{file} cannot be read") from None
    if len(content) > _MOST_BYTES:
        raise Refused(MALFORMED, f"{file} 过大", f"{file} is too large")
    return content


def _keys(files: list[str], types: tuple[bytes, ...]) -> list[Key]:
    keys = []
    for file in files:
        content = _content(file)
        try:
            keys.append(read_key(content, types))
        except (ValueError, IndexError, binascii.Error):
            raise Refused(
                MALFORMED, f"{file} 不是所需的公钥", f"{file} is not a public key of the kind needed"
            ) from None
    return keys


def _shown(entries: list[Entry], covered: SubjectMap) -> str:
    """The entries, and how far they are complete."""
    lines = []
    for one in entries:
        mark = "" if one.place <= covered.size else "尚未纳入承诺 not covered yet: "
        lines.append(f"{mark}{json.dumps(json.loads(one.text), ensure_ascii=False, indent=1)}")
    count = sum(one.place <= covered.size for one in entries)
    lines.append(f"完整 complete: 截至记录 {covered.size} 共 {count} 条 entries through record {covered.size}")
    lines += [f"数据主体 data subject {one}" for one in sorted({one.subject for one in entries})]
    return "\n".join(lines)


def _run(arguments: argparse.Namespace) -> None:
    log_keys, witness_keys = _keys(arguments.key, LOG_TYPES), _keys(arguments.witness, WITNESS_TYPES)
    if {key.public for key in log_keys} & {key.public for key in witness_keys}:
        raise Refused(WRONG_USE, "见证方与台账是同一把公钥", "the witness's key is the ledger's own")
    content = _content(arguments.proof)
    try:
        proof = json.loads(content)
        if isinstance(proof, dict) and proof.get("format") == OWN_LIST:
            entries, covered, checkpoint, by, witnesses = check_own_list(proof, log_keys, witness_keys)
            shown = _shown(entries, covered)
        else:
            record, checkpoint, by, witnesses = check(proof, log_keys, witness_keys)
            shown = json.dumps(record, ensure_ascii=False, indent=1)
    except (ValueError, TypeError, KeyError, RecursionError, OverflowError, MemoryError, struct.error):
        raise Refused(MALFORMED, "不是本格式的证明", "not a proof of this format") from None
    print(_plain(shown))
    print(_plain(f"成立 holds: {checkpoint.origin}, {checkpoint.size} 条记录 records"))
    print(_plain(f"台账签名 signed by: {', '.join(by) or '-'}; 见证 witnessed by: {', '.join(witnesses) or '-'}"))
    sys.stdout.flush()


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise Refused(WRONG_USE, "用法有误", message)


def main(given: list[str] | None = None) -> int:
    """The command; returns the exit code."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    parser = _Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("proof", help="the proof, a JSON file")
    parser.add_argument("--key", action="append", required=True, help="a public key of the ledger; repeatable")
    parser.add_argument("--witness", action="append", default=[], help="a public key of a witness; repeatable")
    try:
        _run(parser.parse_args(given))
    except Refused as refused:
        print(_plain(f"{refused.zh} {refused.en}"), file=sys.stderr)
        return refused.code
    except Exception as error:  # whatever a hostile file brings about: never 0, never a traceback
        print(f"无法核验 could not be checked ({type(error).__name__})", file=sys.stderr)
        return MALFORMED
    return HOLDS


if __name__ == "__main__":
    sys.exit(main())
