"""A folder with everything that a service needs: a copy of the small city, settings, and who is in it."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app import catalogue_of
from demo.city import Examples
from demo.issuer import demo_token
from demo.scene import CASE_NUMBER, QUERY, Scene, variables
from settings import Settings, load_settings
from tests.service import write_settings


@dataclass(frozen=True)
class Place:
    """A folder with a city and settings; the case GZF-DEMO-0001 is its applicant's as soon as it is opened."""

    folder: Path
    file: Path
    settings: Settings

    @property
    def examples(self) -> Examples:
        report = Scene(self.folder / "demo").report(catalogue_of(self.settings))
        assert report
        return report.examples

    @property
    def question(self) -> dict[str, Any]:
        """The first question of the demo: 25 items of five departments about one applicant."""
        return {"query": QUERY, "variables": dict(variables(self.examples, CASE_NUMBER.format(1)))}

    @property
    def headers(self) -> dict[str, str]:
        identity = self.settings.identity
        issuer = Scene(self.folder / "demo").issuer
        token = demo_token(
            issuer, identity.issuer, identity.audience, subject="clerk-01", department="housing", role="clerk"
        )
        return {"Authorization": f"Bearer {token}"}

    @property
    def ledger(self) -> Path:
        return self.folder / "demo" / "ledger.db"


def place(folder: Path, city: Path) -> Place:
    """A copy of the city in this folder, with settings."""
    shutil.copytree(city / "demo", folder / "demo")
    file = write_settings(folder)
    return Place(folder, file, load_settings(file))
