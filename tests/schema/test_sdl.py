"""The printed schema: kept in the repository, and telling in Chinese what each of its parts is."""

from __future__ import annotations

import re
from collections.abc import Iterator

from graphql import GraphQLSchema
from graphql import print_schema as print_core_schema
from strawberry.printer import print_schema

from app import graphql_schema
from schema.catalogue import Catalogue
from tests.service import ROOT

KEPT = ROOT / "schema" / "schema.graphql"
_CHINESE = re.compile(r"[\u4e00-\u9fff]")
STANDARD = {"String", "Int", "Boolean", "Float", "ID", "Date", "DateTime", "Decimal", "Base64"}
"""Scalars that hold any text, number, moment or bytes: their titles stand on the fields."""


def test_kept_sdl_is_what_the_catalogue_generates(shipped: Catalogue) -> None:
    printed = print_schema(graphql_schema(shipped))
    assert printed.rstrip() == KEPT.read_text("utf8").rstrip(), (
        "the schema has changed; if it should: onesource schema print > schema/schema.graphql, and read the difference"
    )


def _untitled(core: GraphQLSchema) -> Iterator[str]:
    for name, kind in core.type_map.items():
        if name.startswith("__") or name in STANDARD:
            continue
        if not _CHINESE.search(kind.description or ""):
            yield name
        for parts in (getattr(kind, "fields", {}), getattr(kind, "values", {})):
            for part, known in parts.items():
                if not _CHINESE.search(known.description or ""):
                    yield f"{name}.{part}"
                for argument, input_value in getattr(known, "args", {}).items():
                    if not _CHINESE.search(input_value.description or ""):
                        yield f"{name}.{part}.{argument}"


def test_every_type_field_value_and_argument_has_a_chinese_title(core: GraphQLSchema) -> None:
    assert set(_untitled(core)) == set()


def test_titles_are_those_of_the_catalogue(shipped: Catalogue, core: GraphQLSchema) -> None:
    for resource in shipped.resources.values():
        if not resource.connected:
            continue
        kind = core.type_map[resource.name]
        provider = shipped.departments[resource.department].title
        assert (kind.description or "").startswith(f"{resource.title} · {provider} · {resource.code}")
        for item in resource.items.values():
            described = core.type_map[resource.name].fields[item.name].description  # type: ignore[attr-defined]
            assert described.startswith(item.title)


def test_every_governed_field_is_nullable_and_every_root_demands_its_use(
    shipped: Catalogue, core: GraphQLSchema
) -> None:
    sdl = print_core_schema(core)
    for entity in shipped.entities.values():
        for root, argument in (
            (entity.root, f"{entity.identifier}: {entity.type}!"),
            (entity.plural, entity.identifiers),
        ):
            field = core.query_type.fields[root]  # type: ignore[union-attr]
            assert str(field.args["use"].type) == "UseInput!"
            assert not str(field.type).endswith("!")
            assert argument in sdl
    for resource in shipped.resources.values():
        for item in resource.items.values() if resource.connected else ():
            assert not str(core.type_map[resource.name].fields[item.name].type).endswith("!")  # type: ignore[attr-defined]


def test_entries_without_a_connection_are_not_in_the_schema(shipped: Catalogue, core: GraphQLSchema) -> None:
    absent = [resource.name for resource in shipped.resources.values() if not resource.connected]
    assert absent
    assert not set(absent) & set(core.type_map)
