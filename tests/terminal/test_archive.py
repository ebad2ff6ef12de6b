"""`onesource audit seal | months | remove` beside a running service: what it answers, before and after."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest

from audit.store import NewFrame
from schema.formats import CHINA
from tests.audit.frames import frame, node
from tests.service import codes, running
from tests.terminal.conftest import Run
from tests.terminal.test_proofs import OFFLINE, Office

DISCLOSURES = """{ disclosures(first: 50, filter: {subject: "clerk-of-old"}) {
  edges { node { place operationId at lines { item outcome } } } recordedThrough removedThrough } }"""
STATISTICS = '{ auditStatistics(month: "%s") { removedThrough departments { department records } } }'


@pytest.fixture
def office(city: Path, tmp_path: Path, run: Run) -> Iterator[Office]:
    """A service whose ledger has five records of each of March and April 2022, and some of today."""
    with running(tmp_path, city) as service:
        old = []
        for number in range(10):
            at = int(datetime(2022, 3 + number // 5, 7 + number, 10, tzinfo=CHINA).timestamp() * 1_000_000)
            one = frame(f"old-{number}", node(), at=at, subject="clerk-of-old")
            old.append(NewFrame(one.at, one.operation, one.encode()))
        service.rooms.ledger.store.append(old)
        office = Office(service, tmp_path, run)
        office.asked(2)
        yield office


def test_from_sealing_to_removal(office: Office) -> None:
    told = office.service.ask(DISCLOSURES, role="auditor")["data"]["disclosures"]
    assert len(told["edges"]) == 10
    ran = office.run("audit", "seal", "2022-03", *office.settings)
    assert (ran.code, "2022-03: 1–5" in ran.out) == (0, True), ran.err
    ran = office.run("audit", "seal", "--due", *office.settings)
    assert (ran.code, "2022-04: 6–10" in ran.out) == (0, True), ran.err
    assert office.service.ask(DISCLOSURES, role="auditor")["data"]["disclosures"]["edges"] == told["edges"]

    proof, public = office.folder / "proof.json", office.folder / "log.pub"
    assert office.run("audit", "prove", "old-2", "--out", proof, *office.settings).code == 0
    public.write_text(office.run("audit", "checkpoint", "--public-key", *office.settings).out, "utf8")
    command = [sys.executable, "-I", str(OFFLINE), str(proof), "--key", str(public)]
    assert subprocess.run(command, check=False, capture_output=True).returncode == 0

    archive, copied = office.folder / "demo" / "archive", office.folder / "copy.parquet"
    because = ("--reason", "期满", "--by", "档案员", *office.settings)
    ran = office.run("audit", "remove", "2022-03", "--exported-to", archive / "2022-03.parquet", *because)
    assert (ran.code, "MONTH_NOT_EXPORTED" in ran.err) == (1, True)
    shutil.copy(archive / "2022-03.parquet", copied)
    ran = office.run("audit", "remove", "2022-03", "--exported-to", copied, *because)
    assert (ran.code, "2022-03: 1–5" in ran.out) == (0, True), ran.err
    assert "removed" in office.run("audit", "months", *office.settings, COLUMNS="160").out

    after = office.service.ask(DISCLOSURES, role="auditor")["data"]["disclosures"]
    assert (after["edges"], after["removedThrough"]) == (told["edges"][:5], "2022-03")
    assert codes(office.service.ask(STATISTICS % "2022-03", role="auditor")) == ["MONTH_REMOVED"]
    april = office.service.ask(STATISTICS % "2022-04", role="auditor")["data"]["auditStatistics"]
    assert april == {"removedThrough": "2022-03", "departments": [{"department": "housing", "records": 5}]}
    ran = office.run("audit", "prove", "3", *office.settings)
    assert (ran.code, "RECORD_REMOVED" in ran.err) == (1, True)
    office.asked(1)
    ran = office.run("audit", "verify", *office.settings)
    assert (ran.code, "removed by rule: 2022-03" in ran.out) == (0, True), ran.out
    assert office.service.client.get("/health/ready").json() == {"status": "ready"}


def test_what_cannot_be_sealed_or_removed_is_told(office: Office) -> None:
    for month, code in (("2022-05", "MONTH_NOT_DUE"), ("2099-01", "MONTH_NOT_DUE")):
        ran = office.run("audit", "seal", month, *office.settings)
        assert (ran.code, code in ran.err) == (1, True)
    for wrong in ((), ("2022-03", "--due"), ("March",), ("2022-13",)):
        assert office.run("audit", "seal", *wrong, *office.settings).code == 2
    ran = office.run("audit", "remove", "2022-03", "--exported-to", "x", "--reason", "x", *office.settings)
    assert (ran.code, "MONTH_UNSEALED" in ran.err) == (1, True)
    text = (office.folder / "onesource.toml").read_text("utf8")
    lines = [line for line in text.split("\n") if not line.startswith("archive =")]
    ran = office.run("audit", "seal", "--due", "--settings", office.file("other.toml", "\n".join(lines)))
    assert (ran.code, "ledger.archive" in ran.err) == (2, True)
