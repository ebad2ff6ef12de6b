"""A whole service for tests: the shipped catalogue, a small demo city, real stores in a temporary folder, real tokens."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from starlette.testclient import TestClient

from app import Rooms, application, catalogue_of, compose
from demo.city import CityReport, Examples
from demo.issuer import demo_token
from demo.scene import Scene
from schema.catalogue import Catalogue
from settings import Settings, load_settings

ROOT = Path(__file__).parent.parent
HOUSING = "421200-ZJ-FW-0001"
"""The service item that most tests open cases for: public rental housing, of the department `housing`."""


def write_settings(
    folder: Path,
    catalogue: Path = ROOT / "catalogue",
    extra: str = "",
    overlays: str = "",
    changed: Mapping[str, str] = MappingProxyType({}),
) -> Path:
    """A settings file in `folder` like the shipped one, over the demo city below `folder`/demo.

    Tests ask faster than people, so rates are out of reach; `changed` then sets names to other values, as they stand in the file.
    """
    shipped = (ROOT / "onesource.toml").read_text("utf8")
    text = shipped.replace("var/demo/", "demo/").replace('folder = "catalogue"', f'folder = "{catalogue}"')
    if overlays:
        text = text.replace('overlays = ["careful-officer"]', f"overlays = {overlays}")
    rates = {f"{name}{burst}": "1_000_000" for name in ("subject", "client", "address") for burst in ("", "_burst")}
    for name, value in (rates | dict(changed)).items():
        text, found = re.subn(rf"^{name} = [^\s#]+", f"{name} = {value}", text, flags=re.MULTILINE)
        assert found == 1, f"onesource.toml has {found} settings {name}"
    file = folder / "onesource.toml"
    file.write_text(text + extra, "utf8")
    return file


@dataclass(frozen=True)
class Service:
    """A running service and its client."""

    rooms: Rooms
    settings: Settings
    client: TestClient
    examples: Examples

    @property
    def catalogue(self) -> Catalogue:
        return self.rooms.catalogue

    @property
    def scene(self) -> Scene:
        return Scene(Path(self.settings.identity.jwks).parent.parent)

    def token(
        self, role: str = "clerk", department: str = "housing", subject: str = "", hours: float = 1, **more: str
    ) -> str:
        """A token; `more` may have region, client and the token's own name. A citizen is the applicant, unless `identifier` names another."""
        identity = self.settings.identity
        if role == "citizen":
            more = {"entity": "Person", "identifier": self.examples.applicant.identifier} | more
        return demo_token(
            self.scene.issuer,
            identity.issuer,
            identity.audience,
            subject=subject or f"{role}-01",
            department=department,
            role=role,
            hours=hours,
            **more,
        )

    def post(self, content: Any, headers: Mapping[str, str] | None = None, **who: Any) -> Any:
        """The HTTP response to a JSON body, as `who` (role, department, subject)."""
        sent = {"Authorization": f"Bearer {self.token(**who)}"} | dict(headers or {})
        return self.client.post("/graphql", json=content, headers=sent)

    def ask(self, document: str, variables: Mapping[str, Any] | None = None, **who: Any) -> dict[str, Any]:
        """The answer's body, as `who`."""
        return dict(self.post({"query": document, "variables": dict(variables or {})}, **who).json())

    def accept(
        self, number: str, *subjects: tuple[str, str], service: str = HOUSING, department: str = "housing"
    ) -> str:
        """Open a case with (role, identifier) subjects; returns its number."""
        body = self.ask(
            "mutation($input: AcceptCaseInput!) { acceptCase(input: $input) { number state } }",
            {
                "input": {
                    "number": number,
                    "service": service,
                    "subjects": [{"role": r, "identifier": i, "basis": "本人申请"} for r, i in subjects],
                }
            },
            department=department,
        )
        assert body["data"]["acceptCase"] == {"number": number, "state": "OPEN"}, body
        return number

    def person(
        self, selection: str, identifier: str, case: str, purpose: str = "ADMINISTRATIVE_BASIS", **who: Any
    ) -> dict[str, Any]:
        """The answer's body to `person { selection }`."""
        document = "query($id: CitizenIdNumber!, $use: UseInput!) { person(idNumber: $id, use: $use) { %s } }"
        return self.ask(document % selection, {"id": identifier, "use": use(case, purpose)}, **who)

    def frames(self) -> list[dict[str, Any]]:
        """Every frame of the ledger, decoded, oldest first; without sign-ins, since every question here has a token of its own."""
        return [one for one in self.all_frames() if one["outcome"] != "signed-in"]

    def all_frames(self) -> list[dict[str, Any]]:
        """Every frame of the ledger, decoded, oldest first."""
        from audit.frame import decode

        return [decode(stored.frame) for stored in self.rooms.ledger.read(0, 1_000_000)]


def use(case: str, purpose: str = "ADMINISTRATIVE_BASIS") -> dict[str, Any]:
    """A `UseInput` value."""
    return {"purpose": purpose, "basis": {"case": case}}


def codes(body: Mapping[str, Any]) -> list[str]:
    """The codes of an answer's errors, in order."""
    return [error["extensions"]["code"] for error in body.get("errors", ())]


def paths(body: Mapping[str, Any]) -> list[str]:
    """The paths of an answer's errors, dotted, in order."""
    return [".".join(map(str, error.get("path", ()))) for error in body.get("errors", ())]


def build_small_city(folder: Path, residents: int = 300) -> CityReport:
    """A demo city below `folder`/demo, with issuer and secrets."""
    settings = load_settings(write_settings(folder))
    scene = Scene(folder / "demo")
    scene.prepare()
    return scene.build(catalogue_of(settings), residents, 1, lambda *_: None)


@contextmanager
def running(
    folder: Path,
    city: Path,
    *,
    catalogue: Path = ROOT / "catalogue",
    extra: str = "",
    overlays: Sequence[str] | None = None,
    changed: Mapping[str, str] = MappingProxyType({}),
) -> Iterator[Service]:
    """A service in `folder` over a copy of the city built at `city` (the folder given to `build_small_city`)."""
    shutil.copytree(city / "demo", folder / "demo")
    named = "" if overlays is None else str(list(overlays)).replace("'", '"') or "[]"
    settings = load_settings(write_settings(folder, catalogue, extra, named, changed))
    loaded = catalogue_of(settings)
    report = Scene(folder / "demo").report(catalogue_of(load_settings(write_settings(city))))
    assert report
    rooms = compose(settings, loaded)
    with TestClient(application(rooms, settings), raise_server_exceptions=True) as client:
        yield Service(rooms, settings, client, report.examples)
