"""The offline verifier: published vectors, proofs that hold, and everything that must never exit 0."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from audit.checkpoint import Ed25519Signer, Sm2Signer, checkpoint_text, cosigned, read_signer, signed
from audit.merkle import TreeHash
from audit.verify_offline import (
    BROKEN,
    FORMAT,
    HOLDS,
    LOG_TYPES,
    MALFORMED,
    NO_SIGNATURE,
    NO_WITNESS,
    WRONG_USE,
    Key,
    ed25519_holds,
    main,
    own_sm3,
    parse_checkpoint,
    read_key,
    signers,
    sm2_holds,
    sm3,
)
from tests.audit.frames import frame, node
from tests.audit.test_merkle import tree_over

FILE = Path(__file__).parents[2] / "audit" / "verify_offline.py"
ORIGIN = "ledger.example/one"
ITEMS = {1: "Register.name", 2: "Register.address", 3: "Tax.payer"}


@dataclass(frozen=True)
class Files:
    """A proof of the fifth of nine records, and the keys to check it with."""

    folder: Path
    proof: dict[str, Any]

    def run(self, proof: object = None, *more: str, key: str = "log.pub") -> int:
        content = proof if isinstance(proof, bytes) else json.dumps(self.proof if proof is None else proof).encode()
        (self.folder / "proof.json").write_bytes(content)
        return main([str(self.folder / "proof.json"), "--key", str(self.folder / key), *self.places(more)])

    def places(self, more: tuple[str, ...]) -> list[str]:
        return [one if one.startswith("--") else str(self.folder / one) for one in more]


def private_key(folder: Path, name: str, kind: str) -> Path:
    file = folder / name
    if kind == "sm2":
        subprocess.run(["openssl", "genpkey", "-algorithm", "SM2", "-out", file], check=True, capture_output=True)
    else:
        file.write_bytes(name.encode().ljust(32, b"."))
    return file


def made(folder: Path, kind: str = "ed25519", hash_name: str = "sha256") -> Files:
    frames = [frame(f"o-{number}", node()).encode() for number in range(9)]
    tree = tree_over(TreeHash(hash_name), frames)
    log = read_signer(private_key(folder, "log.key", kind), ORIGIN)
    witness = read_signer(private_key(folder, "witness.key", kind), "witness.example", witness=True)
    other = read_signer(private_key(folder, "other.key", "ed25519"), ORIGIN)
    stranger = read_signer(private_key(folder, "stranger.key", "ed25519"), "stranger.example", witness=True)
    for name, signer in (("log", log), ("witness", witness), ("other", other), ("stranger", stranger)):
        (folder / f"{name}.pub").write_text(signer.key.text() + "\n", "utf8")
    note = cosigned(signed(checkpoint_text(ORIGIN, 9, tree.root(9), hash_name, ITEMS), log), witness, 1_800_000_000)
    proof = {
        "format": FORMAT,
        "seq": 5,
        "frame": frames[4].decode(),
        "inclusion": [base64.b64encode(one).decode() for one in tree.inclusion(4, 9)],
        "checkpoint": note,
        "items": {str(number): name for number, name in ITEMS.items()},
    }
    return Files(folder, proof)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    return made(tmp_path_factory.mktemp("proof"))


# -- published vectors ---------------------------------------------------------------------------------------------

RFC_8032 = (
    ("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a", "",
     "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b"),
    ("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c", "72",
     "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"),
    ("fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025", "af82",
     "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a"),
)  # fmt: skip
GB_T_32918_5 = (
    "0409F9DF311E5421A150DD7D161E4BC5C672179FAD1833FC076BB08FF356F35020CCEA490CE26775A52DC6EA718CC1AA600AED05FBF35E084A6632F6072DA9AD13",
    b"message digest",
    "F5A03B0648D2C4630EEAC513E1BB81A15944DA3827D5B74143AC7EACEEE720B3B1B6AA29DF212FD8763182BC0D421CA1BB9038FD1F7F42D4840B69C485BBC1AA",
)
GB_T_32905 = (
    (b"abc", "66c7f0f462eeedd9d1f2d46bdc10e4e24167c4875cf2f7a2297da02b8f4ba8e0"),
    (b"abcd" * 16, "debe9ff92275b8a138604889c18e5a4d6fdb70e5387e5765293dcba39c0c5732"),
)


@pytest.mark.parametrize(("public", "message", "signature"), RFC_8032)
def test_ed25519_is_that_of_rfc_8032(public: str, message: str, signature: str) -> None:
    given_ = bytes.fromhex(public), bytes.fromhex(message), bytes.fromhex(signature)
    assert ed25519_holds(*given_)
    assert not ed25519_holds(given_[0], given_[1] + b"!", given_[2])
    for place in range(64):
        bent = bytearray(given_[2])
        bent[place] ^= 1 << place % 8
        assert not ed25519_holds(given_[0], given_[1], bytes(bent))


def test_sm2_is_that_of_the_standard() -> None:
    public, message, signature = bytes.fromhex(GB_T_32918_5[0]), GB_T_32918_5[1], bytes.fromhex(GB_T_32918_5[2])
    assert sm2_holds(public, message, signature)
    assert not sm2_holds(public, message + b"!", signature)
    assert not sm2_holds(public, message, signature, user=b"ALICE123@YAHOO.COM")
    for place in range(0, 64, 3):
        bent = bytearray(signature)
        bent[place] ^= 1 << place % 8
        assert not sm2_holds(public, message, bytes(bent))


@pytest.mark.parametrize(("message", "digest"), GB_T_32905)
def test_sm3_is_that_of_the_standard(message: bytes, digest: str) -> None:
    assert own_sm3(message).hex() == sm3(message).hex() == digest


@given(st.binary(max_size=300))
def test_own_sm3_is_openssls(message: bytes) -> None:
    assert own_sm3(message) == sm3(message)


def test_a_published_signed_note_holds_under_its_published_key() -> None:
    key = read_key(b"PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW", LOG_TYPES)
    encoded = "x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM="
    text = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
    decoded = base64.b64decode(encoded)
    assert decoded[:4] == key.id("PeterNeumann")
    assert ed25519_holds(key.public, text.encode(), decoded[4:])


@pytest.mark.parametrize("signature", [bytes(64), b"\x01" + bytes(63), b"\xff" * 64, b"", bytes(63), bytes(128)])
def test_empty_and_extreme_signatures_hold_for_nothing(signature: bytes) -> None:
    assert not sm2_holds(bytes.fromhex(GB_T_32918_5[0]), b"x", signature)
    assert not ed25519_holds(bytes.fromhex(RFC_8032[0][0]), b"x", signature)


@pytest.mark.parametrize("public", [b"\x04" + bytes(64), b"\x04" + b"\xff" * 64, bytes(65), b"", b"\x02" + bytes(32)])
def test_a_point_off_the_curve_is_no_key(public: bytes) -> None:
    assert not sm2_holds(public, GB_T_32918_5[1], bytes.fromhex(GB_T_32918_5[2]))


def test_s_of_ed25519_has_one_form_only() -> None:
    public, message, signature = (bytes.fromhex(one) for one in RFC_8032[1])
    order = 2**252 + 27742317777372353535851937790883648493
    s = int.from_bytes(signature[32:], "little") + order
    assert not ed25519_holds(public, message, signature[:32] + s.to_bytes(32, "little"))


# -- proofs that hold ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "hash_name"), [("ed25519", "sha256"), ("ed25519", "sm3"), ("sm2", "sm3")])
def test_a_proof_holds_by_itself_and_with_its_witness(tmp_path: Path, kind: str, hash_name: str) -> None:
    files = made(tmp_path, kind, hash_name)
    assert files.run() == HOLDS
    assert files.run(None, "--witness", "witness.pub") == HOLDS


def test_the_file_runs_alone_under_a_python_without_anything_else(files: Files, tmp_path: Path) -> None:
    (tmp_path / "verify.py").write_bytes(FILE.read_bytes())
    (tmp_path / "proof.json").write_text(json.dumps(files.proof), "utf8")
    command = [sys.executable, "-I", "-S", "verify.py", "proof.json", "--key", str(files.folder / "log.pub")]
    ran = subprocess.run(command, cwd=tmp_path, capture_output=True, env={"LC_ALL": "C"}, check=False)
    assert (ran.returncode, ran.stderr) == (HOLDS, b"")
    assert b"Register.name" in ran.stdout


def test_the_record_is_shown_with_the_names_of_its_items(files: Files, capsys: pytest.CaptureFixture[str]) -> None:
    assert files.run() == HOLDS
    shown = capsys.readouterr().out
    assert '"1 Register.name"' in shown
    assert ORIGIN in shown


@pytest.mark.parametrize("form", ["pem", "raw", "line"])
def test_keys_come_in_three_forms(files: Files, form: str) -> None:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    key = read_key((files.folder / "log.pub").read_bytes(), LOG_TYPES)
    public = Ed25519PublicKey.from_public_bytes(key.public)
    pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    content = {"pem": pem, "raw": key.public, "line": key.text().encode()}[form]
    (files.folder / "form.pub").write_bytes(content)
    assert files.run(key="form.pub") == HOLDS


# -- proofs that do not --------------------------------------------------------------------------------------------


def test_another_key_is_an_unknown_signer(files: Files) -> None:
    assert files.run(key="other.pub") == NO_SIGNATURE


def test_a_witness_who_has_not_cosigned_is_told(files: Files) -> None:
    assert files.run(None, "--witness", "stranger.pub") == NO_WITNESS


def test_one_of_several_keys_is_enough(files: Files) -> None:
    assert files.run(None, "--key", "other.pub", "--witness", "stranger.pub", "--witness", "witness.pub") == HOLDS


def test_the_ledgers_own_key_is_no_witness(files: Files) -> None:
    key = read_key((files.folder / "log.pub").read_bytes(), LOG_TYPES)
    (files.folder / "posing.pub").write_text(Key(b"\x04", key.public, "posing.example").text(), "utf8")
    assert files.run(None, "--witness", "posing.pub") == WRONG_USE


def test_a_ledgers_key_is_not_taken_for_a_witnesss(files: Files) -> None:
    assert files.run(None, "--witness", "log.pub") == MALFORMED


Change = Callable[[dict[str, Any]], object]
CHANGES: list[tuple[str, Change, int]] = [
    ("the record", lambda p: p.update(frame=p["frame"].replace("clerk-01", "clerk-02")), BROKEN),
    ("its place", lambda p: p.update(seq=4), BROKEN),
    ("a place behind the tree", lambda p: p.update(seq=10), BROKEN),
    ("the path", lambda p: p["inclusion"].reverse(), BROKEN),
    ("a shorter path", lambda p: p["inclusion"].pop(), BROKEN),
    ("a longer path", lambda p: p["inclusion"].append(p["inclusion"][0]), BROKEN),
    ("an item's name", lambda p: p["items"].update({"1": "Tax.payer"}), BROKEN),
    ("a missing item", lambda p: p["items"].pop("1"), BROKEN),
    ("a further item", lambda p: p["items"].update({"4": "Tax.more"}), MALFORMED),
    ("no dictionary", lambda p: p["items"].clear(), MALFORMED),
    ("the root", lambda p: p.update(checkpoint=_line(p, 2, base64.b64encode(bytes(32)).decode())), BROKEN),
    ("the size", lambda p: p.update(checkpoint=_line(p, 1, "10")), BROKEN),
    ("the origin", lambda p: p.update(checkpoint=_line(p, 0, "ledger.example/two")), NO_SIGNATURE),
    ("no signatures", lambda p: p.update(checkpoint=p["checkpoint"].split("\n\n")[0] + "\n\n"), MALFORMED),
    ("the witness's alone", lambda p: p.update(checkpoint=_without(p, ORIGIN)), NO_SIGNATURE),
    ("an added line", lambda p: p.update(checkpoint=p["checkpoint"].replace("\n\n", "\nmore\n\n")), BROKEN),
    ("another format", lambda p: p.update(format="onesource-proof/2"), MALFORMED),
    ("a further part", lambda p: p.update(more=1), MALFORMED),
    ("true for a number", lambda p: p.update(seq=True), MALFORMED),
    ("a place before the first", lambda p: p.update(seq=0), MALFORMED),
    ("an endless place", lambda p: p.update(seq=10**30), MALFORMED),
    ("a half character", lambda p: p.update(frame="\ud800"), MALFORMED),
    ("a record that is none", lambda p: p.update(frame=5), MALFORMED),
]


def _line(proof: dict[str, Any], number: int, text: str) -> str:
    lines = proof["checkpoint"].split("\n")
    lines[number] = text
    return "\n".join(lines)


def _without(proof: dict[str, Any], name: str) -> str:
    return "\n".join(line for line in proof["checkpoint"].split("\n") if not line.startswith(f"\u2014 {name} "))


@pytest.mark.parametrize(("change", "code"), [one[1:] for one in CHANGES], ids=[one[0] for one in CHANGES])
def test_what_was_changed_does_not_hold(files: Files, change: Change, code: int) -> None:
    proof = json.loads(json.dumps(files.proof))
    change(proof)
    assert files.run(proof) == code


def test_a_right_signature_does_not_cover_a_wrong_one_of_the_same_key(files: Files) -> None:
    note = files.proof["checkpoint"]
    line = next(one for one in note.split("\n") if one.startswith(f"\u2014 {ORIGIN} "))
    decoded = bytearray(base64.b64decode(line.split(" ")[2]))
    decoded[-1] ^= 1
    wrong = f"\u2014 {ORIGIN} {base64.b64encode(bytes(decoded)).decode()}\n"
    assert files.run({**files.proof, "checkpoint": note + wrong}) == BROKEN


def test_lines_of_strangers_are_passed_over(files: Files) -> None:
    line = f"\u2014 somebody.example {base64.b64encode(b'idid' + bytes(70)).decode()}\n"
    assert files.run({**files.proof, "checkpoint": files.proof["checkpoint"] + line}) == HOLDS


@pytest.mark.parametrize(
    "content",
    [b"", b"null", b"[]", b"{}", b"\xff\xfe", b"[" * 100_000, b"1" * 10_000, b'{"format":' * 2_000, b"NaN", b"\0" * 50],
)
def test_a_hostile_file_is_malformed_and_never_a_traceback(
    files: Files, content: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    assert files.run(content) == MALFORMED
    assert "Traceback" not in capsys.readouterr().err


def test_wrong_use_has_its_own_code(files: Files) -> None:
    assert main([]) == WRONG_USE
    assert main([str(files.folder / "nothing.json"), "--key", str(files.folder / "log.pub")]) == WRONG_USE
    assert main([str(files.folder / "proof.json")]) == WRONG_USE
    assert files.run(None, "--witness", "nothing.pub") == WRONG_USE


@pytest.mark.parametrize("content", [b"", b"x", b"a+b", b"a+00000000+AA==", bytes(33), b"-----BEGIN PUBLIC KEY-----"])
def test_what_is_no_key_is_told(files: Files, content: bytes) -> None:
    (files.folder / "none.pub").write_bytes(content)
    assert files.run(key="none.pub") == MALFORMED


def test_what_would_steer_a_terminal_is_not_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = made(tmp_path)
    hostile = b'{"subject": "\\u001b[2Jgone"}'
    log = read_signer(tmp_path / "log.key", ORIGIN)
    tree = tree_over(TreeHash(), [hostile])
    note = signed(checkpoint_text(ORIGIN, 1, tree.root(1), "sha256", {}), log)
    proof = {**files.proof, "seq": 1, "frame": hostile.decode(), "inclusion": [], "checkpoint": note, "items": {}}
    assert files.run(proof) == HOLDS
    assert "\x1b" not in capsys.readouterr().out


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(["format", "seq", "frame", "inclusion", "checkpoint", "items"]), JSON)
@example("items", {"1": []})
@example("inclusion", [[]])
@example("items", {"١": "x"})
def test_any_other_value_in_a_part_never_holds(files: Files, part: str, value: object) -> None:
    if value != files.proof[part]:
        assert files.run({**files.proof, part: value}) in (BROKEN, MALFORMED, NO_SIGNATURE)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_no_bent_byte_of_a_proof_holds_unless_it_says_the_same(files: Files, data: st.DataObject) -> None:
    content = bytearray(json.dumps(files.proof).encode())
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    code = files.run(bytes(content))
    assert code in (HOLDS, BROKEN, MALFORMED, NO_SIGNATURE)
    if code == HOLDS:  # the text has changed and its meaning has not, or a line is a stranger's now
        bent = json.loads(bytes(content))
        own = [{**one, "checkpoint": parse_checkpoint(one["checkpoint"]).text} for one in (bent, files.proof)]
        assert own[0] == own[1]


# -- signing with SM2 ----------------------------------------------------------------------------------------------


def test_sm2_by_openssl_is_what_the_verifier_checks(tmp_path: Path) -> None:
    signer = read_signer(private_key(tmp_path, "sm2.key", "sm2"), ORIGIN)
    assert isinstance(signer, Sm2Signer)
    for message in (b"", b"one", b"two" * 1000):
        assert sm2_holds(signer.key.public, message, signer.sign(message))
    assert read_key(signer.key.text().encode(), LOG_TYPES) == signer.key


def test_signers_are_found_by_name_and_id_together(tmp_path: Path) -> None:
    made(tmp_path)
    log = read_signer(tmp_path / "log.key", ORIGIN)
    assert isinstance(log, Ed25519Signer)
    checkpoint = parse_checkpoint(signed(checkpoint_text(ORIGIN, 0, TreeHash().empty(), "sha256", {}), log))
    assert signers(checkpoint, [log.key]) == [log.key]
    assert signers(checkpoint, [Key(log.key.type, log.key.public, "another.example")]) == []
