"""Fixtures of the schema's tests: the shipped catalogue under the shipped settings, and the schema that it generates."""

from __future__ import annotations

import pytest
from graphql import GraphQLSchema

from app import graphql_schema
from schema.catalogue import Catalogue
from schema.load import load_catalogue
from schema.types import core_schema
from settings import load_settings
from tests.service import ROOT


@pytest.fixture(scope="session")
def shipped() -> Catalogue:
    """The shipped catalogue with the overlays of onesource.toml in force."""
    settings = load_settings(ROOT / "onesource.toml")
    return load_catalogue(settings.catalogue.folder, settings.catalogue.overlays)


@pytest.fixture(scope="session")
def core(shipped: Catalogue) -> GraphQLSchema:
    """The whole schema as graphql-core has it."""
    return core_schema(graphql_schema(shipped))
