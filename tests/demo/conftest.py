"""One small city, built once, read back through the catalogue."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from demo import CityReport, build_city
from demo.tables import quoted
from schema.catalogue import Catalogue, Resource
from schema.formats import decoder
from schema.load import load_catalogue

Row = dict[str, Any]
CATALOGUE = Path(__file__).parents[2] / "catalogue"


@dataclass(frozen=True)
class BuiltCity:
    """A city of 2,000 and what can be read from it: `raw` as stored, `rows` decoded, by names of items."""

    catalogue: Catalogue
    folder: Path
    report: CityReport
    raw: Callable[[str], list[Row]]
    rows: Callable[[str], list[Row]]

    @property
    def connected(self) -> list[Resource]:
        return [resource for resource in self.catalogue.resources.values() if resource.connected]


def read_table(folder: Path, resource: Resource) -> list[Row]:
    columns = ", ".join(quoted(item.column) for item in resource.items.values())
    with closing(sqlite3.connect(folder / f"{resource.department}.db")) as database:
        found = database.execute(f"SELECT {columns} FROM {quoted(resource.table or '')}").fetchall()
    return [dict(zip(resource.items, row, strict=True)) for row in found]


def decoded(resource: Resource, rows: list[Row]) -> list[Row]:
    read = {item.name: decoder(item.type, item.format, item.values) for item in resource.items.values()}
    return [{name: None if value is None else read[name](value) for name, value in row.items()} for row in rows]


@pytest.fixture(scope="session")
def catalogue() -> Catalogue:
    return load_catalogue(CATALOGUE)


@pytest.fixture(scope="session")
def city(catalogue: Catalogue, tmp_path_factory: pytest.TempPathFactory) -> BuiltCity:
    folder = tmp_path_factory.mktemp("demo") / "city"
    report = build_city(catalogue, folder, residents=2000, seed=1)

    @cache
    def raw(name: str) -> list[Row]:
        return read_table(folder, catalogue.resources[name])

    @cache
    def rows(name: str) -> list[Row]:
        return decoded(catalogue.resources[name], raw(name))

    return BuiltCity(catalogue, folder, report, raw, rows)
