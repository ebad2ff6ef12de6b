"""Two processes over one control database: what one of them is told is in force in the other within a second."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jwt
import pytest

from demo.issuer import demo_token
from settings import load_settings
from tests.http.served import own_settings, post, served
from tests.line.officers import APPLY, DECIDE, DISABLE, ENABLE, END, LIFT, SUSPEND, application, ruling
from tests.policies.control_places import place
from tests.service import codes, use
from tests.terminal.server import Server

LOOKUP = "query($id: CitizenIdNumber!, $use: UseInput!) { person(idNumber: $id, use: $use) { householdRegistration { photo name } } }"
SECONDS = 1.0


@dataclass(frozen=True)
class Pair:
    """Where changes are made, and another process that must follow."""

    first: Server
    second: Server

    def token(self, department: str = "housing", role: str = "clerk", subject: str = "clerk-01", **more: str) -> str:
        identity = load_settings(self.first.file).identity
        return demo_token(
            self.first.file.parent / "demo/issuer", identity.issuer, identity.audience,
            subject=subject, department=department, role=role, hours=1, **more,
        )  # fmt: skip

    def tell(self, document: str, department: str, **variables: Any) -> Any:
        """The value of the one root field that an officer asked the first process for."""
        bearer = self.token(department, "officer", "officer-01")
        body = post(self.first, {"query": document, "variables": variables}, bearer).json()
        assert "errors" not in body, body["errors"]
        (value,) = body["data"].values()
        return value

    def seen(self, bearer: str, server: Server | None = None) -> str:
        """What a look-up at the second process comes to: "shown", the rule that denies the photo, or the request's code."""
        where = server or self.second
        variables = {"id": where.examples.applicant.identifier, "use": use(where.case)}
        body = post(where, {"query": LOOKUP, "variables": variables}, bearer).json()
        if "data" not in body:
            return codes(body)[0]
        rules = [error["extensions"]["ruleId"] for error in body.get("errors", ())]
        return str(rules[0]) if rules else "shown"


@pytest.fixture(scope="module")
def pair(city: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    """Two services with their own cases and ledgers and one control database."""
    folders = [tmp_path_factory.mktemp(name) for name in ("first", "second")]
    with place("postgresql", folders[0]) as url:
        files = [own_settings(folder, city) for folder in folders]
        for file in files:
            text, shared = file.read_text("utf8"), url.render_as_string(hide_password=False)
            assert "sqlite:///demo/control.db" in text
            file.write_text(text.replace("sqlite:///demo/control.db", shared), "utf8")
        with served(files[0]) as first, served(files[1]) as second:
            yield Pair(first, second)


def in_time(what: Callable[[], bool]) -> None:
    """Fails unless `what` holds within a second of now."""
    begun = time.monotonic()
    while not what():
        assert time.monotonic() - begun < SECONDS, "it is not in force after a second"
        time.sleep(0.02)


@pytest.mark.parametrize("kind", ["PERSON", "TOKEN", "CLIENT"])
def test_who_is_disabled_in_one_process_is_refused_by_the_other_within_a_second(pair: Pair, kind: str) -> None:
    bearer = pair.token(subject="clerk-7", client="window-7")
    claims = jwt.decode(bearer, options={"verify_signature": False})
    given = {"kind": kind, "name": {"PERSON": claims["sub"], "TOKEN": claims["jti"], "CLIENT": claims["client"]}[kind]}
    other = pair.token()
    assert pair.seen(bearer) == pair.seen(other) == "DENY/CLASS/CONDITIONAL"
    pair.tell(DISABLE, "data-bureau", input=given)
    assert pair.seen(bearer, pair.first) == "IDENTITY_DISABLED"
    in_time(lambda: pair.seen(bearer) == "IDENTITY_DISABLED")
    assert pair.seen(other) == "DENY/CLASS/CONDITIONAL"
    assert pair.tell(ENABLE, "data-bureau", input=given) is True
    in_time(lambda: pair.seen(bearer) != "IDENTITY_DISABLED")


def test_a_grant_is_readable_and_its_end_denied_in_the_other_process_within_a_second(pair: Pair) -> None:
    bearer = pair.token()
    applied = pair.tell(APPLY, "housing", input=application())
    assert pair.seen(bearer) == "DENY/CLASS/CONDITIONAL"
    pair.tell(DECIDE, "public-security", input=ruling(applied))
    in_time(lambda: pair.seen(bearer) == "shown")
    suspended = pair.tell(SUSPEND, "public-security", input={"grant": applied["id"], "reason": "调查"})
    in_time(lambda: pair.seen(bearer) == "DENY/GRANT/SUSPENDED")
    pair.tell(LIFT, "public-security", id=suspended["id"])
    in_time(lambda: pair.seen(bearer) == "shown")
    pair.tell(END, "public-security", id=applied["id"], reason="试毕")
    in_time(lambda: pair.seen(bearer) == "DENY/CLASS/CONDITIONAL")


def test_a_suspension_denies_in_the_other_process_within_a_second_and_the_authority_is_told(pair: Pair) -> None:
    bearer = pair.token()
    given = {"object": "HouseholdRegistration", "department": "housing", "reason": "调查"}
    suspended = pair.tell(SUSPEND, "public-security", input=given)
    in_time(lambda: pair.seen(bearer) == f"SUSPENSION/{suspended['id']}")
    listed = "{ notices { kind reference } }"
    assert {"kind": "SUSPENDED", "reference": suspended["id"]} in pair.tell(listed, "data-bureau")
    pair.tell(LIFT, "public-security", id=suspended["id"])
    in_time(lambda: pair.seen(bearer) == "DENY/CLASS/CONDITIONAL")
    assert {"kind": "LIFTED", "reference": suspended["id"]} in pair.tell(listed, "data-bureau")
