"""What most commands take: the file of settings, a token, the service's address."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from app import catalogue_of
from schema.catalogue import Catalogue
from schema.load import CatalogueError
from settings import Settings, WrongSettings, load_settings
from terminal import serving
from terminal.client import WRONG_USE, address

SettingsFile = Annotated[Path, typer.Option("--settings", envvar="ONESOURCE_FILE", help="The file of settings.")]
Token = Annotated[str, typer.Option(envvar="ONESOURCE_TOKEN", help="A bearer token. Demo: `onesource token`.")]
Url = Annotated[
    str, typer.Option(envvar="ONESOURCE_URL", help="The service's GraphQL address; default: from the settings.")
]


def settings_of(file: Path) -> Settings:
    """The settings of this file; exits with every problem if they are wrong."""
    try:
        return load_settings(file)
    except WrongSettings as error:
        raise wrong(error.lines) from None


def catalogue_in(settings: Settings) -> Catalogue:
    """The catalogue that the settings name; exits with every problem if it is wrong."""
    try:
        return catalogue_of(settings)
    except CatalogueError as error:
        raise wrong([str(problem) for problem in error.problems]) from None


def url_of(url: str, settings: Settings) -> str:
    """The address that was given, else that of the settings."""
    return address(url) if url else f"{serving.address(settings)}/graphql"


def wrong(lines: list[str]) -> typer.Exit:
    """What to raise after wrong use: says each line."""
    for line in lines:
        typer.echo(line, err=True)
    return typer.Exit(WRONG_USE)
