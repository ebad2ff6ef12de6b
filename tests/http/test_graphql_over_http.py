"""The public audits of GraphQL over HTTP (npm `graphql-http`) against a real server: every one of them passes, or is named here with its reason."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.http.served import own_settings, served, token

AUDIT = Path(__file__).parent / "audit"
NODE = shutil.which("node")
AT_LEAST = 61
"""Audits that the pinned version has: fewer would mean that it was not the suite that ran."""

OTHERWISE = {
    "47DE": "*/* gets application/graphql-response+json: since its watershed, the first day of 2025, the draft asks for that; the audit is older",
    "80D8": "a missing Accept gets the same, for the same reason",
    "5A70": "GET is not accepted: it opens the way to forged requests and leaves documents in logs of addresses",
    "D6D5": "GET is not accepted",
    "6A70": "GET is not accepted",
}
"""Optional audits (SHOULD, MAY) that do not pass, by id, with the reason."""


@pytest.fixture(scope="module")
def results(city: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, str]]:
    """What each audit found, by its id: name, status, reason."""
    if NODE is None or not (AUDIT / "node_modules/graphql-http").is_dir():
        told = "THE AUDITS OF GRAPHQL OVER HTTP DID NOT RUN: they need node, and `npm ci` in tests/http/audit"
        assert "ONESOURCE_TEST_AUDIT" not in os.environ, told
        pytest.skip(told)
    with served(own_settings(tmp_path_factory.mktemp("audit"), city)) as server:
        ran = subprocess.run(
            [NODE, "run.js"],
            cwd=AUDIT,
            env={"PATH": os.environ["PATH"], "AUDIT_URL": f"{server.address}/graphql", "AUDIT_TOKEN": token(server)},
            capture_output=True,
            text=True,
            timeout=120,
        )
    print(ran.stderr)
    assert ran.returncode == 0
    return {one["id"]: one for one in map(json.loads, ran.stdout.splitlines())}


def test_every_required_audit_passes(results: dict[str, dict[str, str]]) -> None:
    required = [one for one in results.values() if one["name"].startswith("MUST")]
    assert len(required) >= 12
    assert [one for one in required if one["status"] != "ok"] == []


def test_every_other_audit_passes_or_has_its_reason_here(results: dict[str, dict[str, str]]) -> None:
    assert len(results) >= AT_LEAST
    assert {one["id"] for one in results.values() if one["status"] != "ok"} == set(OTHERWISE)
    assert all(not results[name]["name"].startswith("MUST") for name in OTHERWISE)


def test_lock_of_the_audits_names_no_registry() -> None:
    lock = json.loads((AUDIT / "package-lock.json").read_text("utf8"))
    kept = [package for name, package in lock["packages"].items() if name]
    assert {name.removeprefix("node_modules/") for name in lock["packages"] if name} == {"graphql", "graphql-http"}
    assert all(package["integrity"].startswith("sha512-") and "resolved" not in package for package in kept)
