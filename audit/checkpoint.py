"""Checkpoints: what the ledger's tree was at a size, signed (C2SP tlog-checkpoint, signed-note) and cosigned by witnesses (tlog-cosignature).

The format, the keys' ids and SM2's check stand in `audit/verify_offline.py`, which is given to others; here are the keys to sign with. Lines
of extension: `hash sm3` where the tree is not hashed with SHA-256; `items <highest number> <digest>` over the dictionary of items,
so that a record's items can no more be renamed than the record itself; and `subjects <size> <root> <ids of keys>`, the last map of data
subjects, which covers the records up to that size.
"""

from __future__ import annotations

import base64
import shutil
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from audit.verify_offline import (
    HASHES,
    LOG_TYPES,
    WITNESS_TYPES,
    Checkpoint,
    Key,
    Refused,
    SubjectMap,
    dictionary_digest,
    is_key_name,
    parse_checkpoint,
    read_key,
    signers,
)

_SM2_OID = bytes.fromhex("06082a811ccf5501822d")
_OPENSSL_SECONDS = 5


class CheckpointError(Exception):
    """A checkpoint that cannot be relied on, by an error's code: `CHECKPOINT_INVALID`, `CHECKPOINT_UNSIGNED` or `LEDGER_FOREIGN`."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class SigningFailed(Exception):
    """A signature could not be made."""


class Signer(Protocol):
    """A private key; `key` is its public half, by the name under which it signs."""

    @property
    def key(self) -> Key: ...

    def sign(self, message: bytes) -> bytes:
        """The signature, 64 bytes. Blocks; SigningFailed if there is none."""
        ...


class Ed25519Signer:
    """Signs with Ed25519 (RFC 8032)."""

    def __init__(self, private: Ed25519PrivateKey, name: str, types: tuple[bytes, ...]) -> None:
        self._private = private
        self.key = Key(types[0], private.public_key().public_bytes_raw(), name)

    def sign(self, message: bytes) -> bytes:
        return self._private.sign(message)


class Sm2Signer:
    """Signs with SM2 and SM3 (GB/T 32918.2) by the system's OpenSSL, 3.0 or newer: no maintained library of Python's does.

    OSError or ValueError if there is no such program or it does not take the key.
    """

    def __init__(self, file: Path, name: str, types: tuple[bytes, ...]) -> None:
        self._openssl, self._file = shutil.which("openssl"), file
        if self._openssl is None:
            raise FileNotFoundError("openssl")
        try:
            der = self._run(["pkey", "-in", str(file), "-pubout", "-outform", "DER"], b"")
        except SigningFailed:
            raise ValueError("openssl does not take this key") from None
        self.key = Key(types[1], der[-65:], name)

    def sign(self, message: bytes) -> bytes:
        told = ["dgst", "-sm3", "-sign", str(self._file), "-sigopt", "distid:1234567812345678"]
        try:
            r, s = decode_dss_signature(self._run(told, message))
        except ValueError:
            raise SigningFailed from None
        return r.to_bytes(32, "big") + s.to_bytes(32, "big")

    def _run(self, arguments: list[str], given: bytes) -> bytes:
        try:
            ran = subprocess.run(  # noqa: S603 - the administrator's own OpenSSL and key file, no shell
                [str(self._openssl), *arguments], input=given, capture_output=True, timeout=_OPENSSL_SECONDS, check=True
            )
        except (OSError, subprocess.SubprocessError):
            raise SigningFailed from None
        return ran.stdout


def read_signer(file: Path, name: str, witness: bool = False) -> Signer:
    """The private key of a file: PEM (PKCS 8, not encrypted) of Ed25519 or SM2, or 32 raw bytes of Ed25519.

    OSError if it cannot be read, ValueError, without a word of it, for anything else or a name that no key may have.
    """
    if not is_key_name(name):
        raise ValueError("a key's name has no blanks and no plus sign")
    types = WITNESS_TYPES if witness else LOG_TYPES
    content = file.read_bytes()
    if len(content) == 32:
        return Ed25519Signer(Ed25519PrivateKey.from_private_bytes(content), name, types)
    if _SM2_OID in _der(content):
        return Sm2Signer(file, name, types)
    try:
        private = load_pem_private_key(content, None)
    except (ValueError, TypeError):
        private = None
    if not isinstance(private, Ed25519PrivateKey):
        raise ValueError("neither an Ed25519 nor an SM2 private key")  # noqa: TRY004 - the file is at fault
    return Ed25519Signer(private, name, types)


def _der(pem: bytes) -> bytes:
    try:
        return base64.b64decode(b"".join(line for line in pem.splitlines() if not line.startswith(b"-----")))
    except ValueError:
        return b""


def read_log_key(file: Path) -> Key:
    """A public key of a ledger: a verifier-key line, PEM, or raw. OSError or ValueError if it is none."""
    return read_key(file.read_bytes(), LOG_TYPES)


def read_witness_key(file: Path) -> Key:
    """A public key of a witness: a verifier-key line, PEM, or raw. OSError or ValueError if it is none."""
    return read_key(file.read_bytes(), WITNESS_TYPES)


# -- making them -------------------------------------------------------------------------------------------------------


def checkpoint_text(
    origin: str, size: int, root: bytes, hash_name: str, items: Mapping[int, str], subjects: SubjectMap | None = None
) -> str:
    """What is signed of a tree: origin, size, root, and the extension lines of the module's head."""
    lines = [origin, str(size), base64.b64encode(root).decode()]
    if hash_name != "sha256":
        lines.append(f"hash {hash_name}")
    if items:
        digest = base64.b64encode(dictionary_digest(HASHES[hash_name], dict(items))).decode()
        lines.append(f"items {max(items)} {digest}")
    if subjects:
        told = (str(subjects.size), base64.b64encode(subjects.root).decode(), *subjects.key_ids)
        lines.append(f"subjects {' '.join(told)}")
    return "".join(f"{line}\n" for line in lines)


def signed(text: str, signer: Signer) -> str:
    """The signed note of a checkpoint's text. SigningFailed."""
    return f"{text}\n{_line(signer.key, signer.sign(text.encode()))}"


def cosigned(note: str, signer: Signer, when: int) -> str:
    """The note with a witness's cosignature at a time (seconds since 1970 UTC) behind the others, in place of an older one of the same key.

    Whether the checkpoint deserves it is the caller's to have checked. SigningFailed.
    """
    checkpoint = parse_checkpoint(note)
    signature = signer.sign(f"cosignature/v1\ntime {when}\n{checkpoint.text}".encode())
    own = signer.key.id(signer.key.name)
    others = [one for one in checkpoint.signatures if (one.name, one.key_id) != (signer.key.name, own)]
    lines = [f"\u2014 {one.name} {base64.b64encode(one.key_id + one.signature).decode()}\n" for one in others]
    return f"{checkpoint.text}\n{''.join(lines)}{_line(signer.key, when.to_bytes(8, 'big') + signature)}"


def _line(key: Key, signature: bytes) -> str:
    return f"\u2014 {key.name} {base64.b64encode(key.id(key.name) + signature).decode()}\n"


# -- relying on them ----------------------------------------------------------------------------------------------------


def ed25519_holds(public: bytes, message: bytes, signature: bytes) -> bool:
    """Whether this is the Ed25519 signature of the message; fast, where the offline verifier's own is slow."""
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


def opened(note: str, keys: Iterable[Key], origin: str = "") -> Checkpoint:
    """The checkpoint of a note that one of the ledger's keys has signed, and of that origin where one is given.

    CheckpointError with `CHECKPOINT_INVALID` (not of its form, or a wrong signature), `LEDGER_FOREIGN` (another origin) or
    `CHECKPOINT_UNSIGNED` (none of the keys).
    """
    try:
        checkpoint = parse_checkpoint(note)
    except ValueError:
        raise CheckpointError("CHECKPOINT_INVALID") from None
    if origin and checkpoint.origin != origin:
        raise CheckpointError("LEDGER_FOREIGN")
    if not signed_by(checkpoint, [key for key in keys if key.name in ("", checkpoint.origin)]):
        raise CheckpointError("CHECKPOINT_UNSIGNED")
    return checkpoint


def signed_by(checkpoint: Checkpoint, keys: Sequence[Key]) -> list[Key]:
    """Those of the keys that have signed the checkpoint; CheckpointError `CHECKPOINT_INVALID` if a signature of one is wrong."""
    try:
        return signers(checkpoint, list(keys), ed25519_holds)
    except Refused:
        raise CheckpointError("CHECKPOINT_INVALID") from None
