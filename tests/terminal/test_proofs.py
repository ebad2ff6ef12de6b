"""`onesource audit verify | prove | checkpoint | witness`, and the service's checkpoints over HTTP, from question to offline proof."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from audit.verify_offline import parse_checkpoint
from tests.audit.tampering import plain
from tests.service import ROOT, Service, codes, running
from tests.terminal.conftest import Ran, Run

OFFLINE = ROOT / "audit" / "verify_offline.py"
NAME = "health.example/witness"


@dataclass
class Office:
    """A running service, and beside it a witness with a folder of its own."""

    service: Service
    folder: Path
    run: Run

    @property
    def settings(self) -> tuple[str, Path]:
        return "--settings", self.folder / "onesource.toml"

    @property
    def head(self) -> int:
        return self.service.rooms.ledger.head()

    def asked(self, count: int = 1) -> list[str]:
        """Operation ids of so many questions, all of them sealed."""
        ids = [self.service.ask("{ __typename }")["extensions"]["operationId"] for _ in range(count)]
        self.sealed()
        return ids

    def sealed(self) -> str:
        """The latest checkpoint, once everything is in it."""
        until = time.monotonic() + 10
        while time.monotonic() < until:
            answer = self.service.client.get("/ledger/checkpoint")
            if answer.status_code == 200 and parse_checkpoint(answer.text).size == self.head:
                return str(answer.text)
            time.sleep(0.1)
        raise AssertionError("not sealed")

    def file(self, name: str, text: str) -> Path:
        (self.folder / name).write_text(text, "utf8")
        return self.folder / name

    def witnessed(self, name: str = "cosigned") -> Path:
        """The latest checkpoint, carried to the witness and back."""
        state = self.folder / "seen.json"
        since = 0
        if state.exists():
            (note,) = json.loads(state.read_text("utf8")).values()
            since = parse_checkpoint(note).size
        carried = self.run("audit", "checkpoint", "--since", since, *self.settings)
        assert carried.code == 0, carried.err
        ran = self.cosign(self.file("carried", carried.out), "--out", self.folder / name)
        assert ran.code == 0, ran.err
        self.file("witness.pub", ran.err.split(": ")[-1])
        return self.folder / name

    def cosign(self, source: Path, *more: object) -> Ran:
        public = self.run("audit", "checkpoint", "--public-key", *self.settings).out
        ledger = self.file("log.pub", public)
        key = self.folder / "witness.key"
        if not key.exists():
            key.write_bytes(b"a witness's key of these tests..")
        state = ("--state", self.folder / "seen.json")
        return self.run("audit", "witness", source, "--key", key, "--name", NAME, "--ledger", ledger, *state, *more)

    def altered(self, statement: str) -> None:
        connection = sqlite3.connect(self.folder / "demo" / "ledger.db", timeout=10)
        connection.create_function("plain", 1, plain(connection))
        connection.execute(statement)
        connection.commit()
        connection.close()


@pytest.fixture
def office(city: Path, tmp_path: Path, run: Run) -> Iterator[Office]:
    with running(tmp_path, city) as service:
        yield Office(service, tmp_path, run)


def test_from_a_question_to_a_proof_that_holds_offline(office: Office) -> None:
    operation = office.asked(3)[1]
    office.witnessed()
    witness = ("--witness", office.folder / "witness.pub")
    kept = office.folder / "onesource.toml"
    kept.write_text(kept.read_text("utf8").replace("unsealed =", 'witnesses = ["witness.pub"]\nunsealed ='), "utf8")
    assert office.run("audit", "checkpoint", "--keep", office.folder / "cosigned", *office.settings).code == 0
    office.asked(2)
    proof = office.folder / "proof.json"
    assert office.run("audit", "prove", operation, "--out", proof, *office.settings).code == 0
    command = [sys.executable, OFFLINE, proof, "--key", office.folder / "log.pub", *witness]
    ran = subprocess.run([str(one) for one in command], capture_output=True, check=False)
    assert ran.returncode == 0, ran.stderr
    assert operation.encode() in ran.stdout
    verified = office.run("audit", "verify", *office.settings)
    proven, head = parse_checkpoint((office.folder / "cosigned").read_text("utf8")).size, office.head
    assert (verified.code, verified.out.split("\n")[1:3]) == (0, [
        f"已证明 proven: 1–{proven}",
        f"未证明 unproven: {proven + 1}–{head} (其后尚无见证 not witnessed yet)",
    ])  # fmt: skip


def test_a_changed_record_is_named_and_its_proof_refused(office: Office) -> None:
    office.asked(5)
    cosigned = office.witnessed()
    office.altered("UPDATE frames SET frame = CAST(replace(plain(frame), 'clerk', 'thief') AS BLOB) WHERE seq = 3")
    ran = office.run("audit", "verify", "--checkpoint", cosigned, *office.settings)
    assert ran.code == 1
    assert "✗ LEDGER_CHANGED 3" in ran.out
    refused = office.run("audit", "prove", "3", *office.settings)
    assert (refused.code, refused.out) == (1, "")
    assert "LEDGER_REWRITTEN" in refused.err


def test_a_tail_cut_off_is_told_against_the_auditors_own_checkpoint(office: Office) -> None:
    office.asked(5)
    cosigned = office.witnessed()
    for table in ("frames WHERE seq > 3", "leaves WHERE seq > 3", "checkpoints"):
        office.altered(f"DELETE FROM {table}")
    ran = office.run("audit", "verify", "--checkpoint", cosigned, *office.settings)
    assert ran.code == 1
    assert f"✗ LEDGER_TRUNCATED 4–{parse_checkpoint(cosigned.read_text('utf8')).size}" in ran.out


def test_everything_is_unproven_without_a_witness(office: Office) -> None:
    office.asked(2)
    ran = office.run("audit", "verify", *office.settings)
    assert ran.code == 0
    assert f"未证明 unproven: 1–{office.head}" in ran.out
    assert "已证明" not in ran.out


def test_the_witness_tells_where_a_proof_must_begin(office: Office) -> None:
    office.asked(2)
    seen = parse_checkpoint(office.witnessed().read_text("utf8")).size
    office.asked(2)
    spoilt = office.file("spoilt", office.run("audit", "checkpoint", "--since", "1", *office.settings).out)
    ran = office.cosign(spoilt)
    assert (ran.code, ran.out) == (1, "")
    assert "CHECKPOINT_STALE" in ran.err
    assert f"since={seen}" in ran.err


# -- over HTTP -----------------------------------------------------------------------------------------------------


def test_checkpoints_are_told_to_everybody(office: Office) -> None:
    office.asked(2)
    latest = office.sealed()
    size = parse_checkpoint(latest).size
    get = office.service.client.get
    answer = get(f"/ledger/checkpoint/{size}")
    assert (answer.status_code, answer.text, answer.headers["content-type"]) == (
        200,
        latest,
        "text/plain; charset=utf-8",
    )
    assert get("/ledger/checkpoint", params={"since": "1"}).text.startswith("old 1\n")
    exported = office.folder / "demo" / "checkpoints"
    assert (exported / "latest.checkpoint").read_text("utf8") == latest


@pytest.mark.parametrize(
    "asked", ["/99999", "/x", "/-1", "/1e3", "?since=9999999", "?since=-1", "?since=x", "/" + "9" * 40]
)
def test_a_checkpoint_that_is_not_there_is_an_error_with_a_code(office: Office, asked: str) -> None:
    office.asked(1)
    answer = office.service.client.get(f"/ledger/checkpoint{asked}")
    assert (answer.status_code, codes(answer.json())) == (404, ["CHECKPOINT_UNKNOWN"])


def test_readiness_tells_what_stands_in_the_way_of_sealing(office: Office) -> None:
    office.asked(1)
    office.altered("UPDATE checkpoints SET text = replace(text, 'onesource.demo', 'another.demo')")
    office.service.ask("{ __typename }")
    until = time.monotonic() + 10
    while (body := office.service.client.get("/health/ready").json()) == {
        "status": "ready"
    } and time.monotonic() < until:
        time.sleep(0.1)
    assert body == {"status": "ready", "unsealed": "foreign"}


def test_nothing_is_disclosed_when_records_stay_unsealed_for_too_long(office: Office) -> None:
    office.asked(1)
    office.service.rooms.integrator._tolerance = 0.5
    office.altered("UPDATE checkpoints SET text = replace(text, 'onesource.demo', 'another.demo')")
    office.service.ask("{ __typename }")
    time.sleep(2)
    assert codes(office.service.ask("{ __typename }")) == ["LEDGER_UNAVAILABLE"]
    assert office.service.client.get("/health/ready").json() == {"status": "unready", "because": ["unsealed"]}
    office.altered("UPDATE checkpoints SET text = replace(text, 'another.demo', 'onesource.demo')")
    time.sleep(2)
    assert "errors" not in office.service.ask("{ __typename }")


# -- bad input -----------------------------------------------------------------------------------------------------


def test_a_record_that_is_not_there_is_told(office: Office) -> None:
    office.asked(1)
    for record in ("99", "0", "no-such-operation", "9" * 30, ""):
        ran = office.run("audit", "prove", record, *office.settings)
        assert (ran.code, ran.out) == (1, "")
        assert "RECORD_UNKNOWN" in ran.err


def test_a_checkpoint_of_an_unknown_signer_is_told(office: Office, tmp_path: Path) -> None:
    office.asked(1)
    note = office.sealed().replace("onesource.demo.invalid/ledger", "somebody.example/ledger")
    strange = office.file("strange", note)
    ran = office.run("audit", "verify", "--checkpoint", strange, *office.settings)
    assert (ran.code, "LEDGER_FOREIGN" in ran.err) == (2, True)
    unsigned = office.file(
        "unsigned", office.sealed().replace("\u2014 onesource.demo.invalid", "\u2014 somebody.example")
    )
    ran = office.run("audit", "verify", "--checkpoint", unsigned, *office.settings)
    assert (ran.code, "CHECKPOINT_UNSIGNED" in ran.err) == (2, True)


def test_what_no_witness_has_cosigned_is_not_kept_as_witnessed(office: Office) -> None:
    office.asked(1)
    ran = office.run("audit", "checkpoint", "--keep", office.file("own", office.sealed()), *office.settings)
    assert ran.code == 2
    assert "no witness" in ran.err


def test_a_ledger_that_is_not_there_is_told_and_not_made(office: Office, tmp_path: Path) -> None:
    text = (tmp_path / "onesource.toml").read_text("utf8").replace("demo/ledger.db", "demo/nowhere.db")
    other = office.file("other.toml", text)
    ran = office.run("audit", "verify", "--settings", other)
    assert (ran.code, ran.out) == (2, "")
    assert not (tmp_path / "demo" / "nowhere.db").exists()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("origin", "ledger.origin: missing"),
        ("signing_key_file", "ledger.signing_key_file: missing"),
        ("identities_key_file", "ledger.identities_key_file: missing"),
    ],
)
def test_a_ledger_without_a_name_or_a_key_does_not_start(office: Office, name: str, message: str) -> None:
    text = (office.folder / "onesource.toml").read_text("utf8")
    lines = [line for line in text.split("\n") if not line.startswith(f"{name} =")]
    ran = office.run("serve", "--settings", office.file("other.toml", "\n".join(lines)), ONESOURCE_SERVER__PORT="8977")
    assert ran.code == 2
    assert message in ran.err
