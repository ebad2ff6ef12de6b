"""`onesource lookup`: the clerk's question from a terminal, answered as a table with Chinese titles."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from difflib import get_close_matches
from typing import Any

import typer
from rich.cells import cell_len
from rich.markup import escape
from rich.table import Table

from schema.catalogue import Catalogue, Entity, Purpose, Resource
from terminal.client import REFUSED, WRONG_USE, ask, err, out, plain, say_errors

_ABSENT, _DENIED, _UNAVAILABLE, _FAULTY = "—", "✗ 未授权", "✗ 暂不可用", "✗ 数据有误"
_MARKS = {
    "FIELD_DENIED": _DENIED,
    "ENTITY_UNKNOWN": _ABSENT,
    "SOURCE_VALUE_INVALID": _FAULTY,
    "SOURCE_AMBIGUOUS": _FAULTY,
}
"""What stands in the place of a value, by the error's code; for any other code the source failed."""

_UNBROKEN = 28
"""Numbers of up to so many characters stay on one line: the longest identifier is a real estate unit number."""


def lookup(
    catalogue: Catalogue, items: Sequence[str], identifier: str, purpose: Purpose, case: str, url: str, token: str
) -> None:
    """Ask for these items of one entity and print what came; exits with REFUSED if nothing could be shown."""
    entity, wanted = _wanted(catalogue, items)
    variables = {"id": identifier, "use": {"purpose": purpose.value, "basis": {"case": case}}}
    body = ask(url, token, _document(entity, wanted), variables)
    answer = (body.get("data") or {}).get(entity.root)
    if answer:
        out.print(_table(catalogue, wanted, answer, _marks(body, entity.root)))
    say_errors(body)
    operation = body.get("extensions", {}).get("operationId", "")
    out.print(f"操作编号 operation {operation}", style="dim", highlight=False)
    if not answer or not _has_value(wanted, answer):
        raise typer.Exit(REFUSED if body.get("errors") else 0)


def _wanted(catalogue: Catalogue, items: Sequence[str]) -> tuple[Entity, dict[str, Resource]]:
    """The entity and the resources (by name, with only the wanted items) that the coordinates name."""
    wanted: dict[str, dict[str, Any]] = {}
    entities = set()
    for coordinate in items:
        name, _, item = coordinate.partition(".")
        resource = catalogue.resources.get(name)
        if resource is None or not resource.connected or (item and item not in resource.items):
            err.print(f"[red]目录中没有 there is no[/] {escape(coordinate)}")
            _suggest(catalogue, name, item)
            raise typer.Exit(WRONG_USE)
        entities.add(resource.entity)
        chosen = wanted.setdefault(name, {})
        chosen.update({item: resource.items[item]} if item else resource.items)
    if len(entities) != 1:
        err.print(
            f"[red]信息项须属于同一类实体 the items belong to several entities[/]: {', '.join(map(str, entities))}"
        )
        raise typer.Exit(WRONG_USE)
    resources = {name: replace(catalogue.resources[name], items=chosen) for name, chosen in wanted.items()}
    return catalogue.entities[str(entities.pop())], resources


def _suggest(catalogue: Catalogue, name: str, item: str) -> None:
    if name in catalogue.resources:
        near: Iterable[str] = get_close_matches(item, list(catalogue.resources[name].items)) or list(
            catalogue.resources[name].items
        )
        err.print(f"  {name}: {', '.join(near)}", style="dim")
    else:
        near = get_close_matches(name, list(catalogue.resources))
        err.print(f"  {', '.join(near) or 'onesource schema catalogue'}", style="dim")


def _document(entity: Entity, wanted: Mapping[str, Resource]) -> str:
    parts = [
        f"{resource.field} {{ {' '.join(resource.items)} provenance {{ provider updatedAt }} }}"
        for resource in wanted.values()
    ]
    return (
        f"query Lookup($id: {entity.type.value}!, $use: UseInput!) "
        f"{{ {entity.root}({entity.identifier}: $id, use: $use) {{ {' '.join(parts)} }} }}"
    )


def _marks(body: Mapping[str, Any], root: str) -> dict[tuple[str, ...], str]:
    """What to show at each place below the root, by (resource's field,) or (resource's field, item); first error first."""
    marks: dict[tuple[str, ...], str] = {}
    for error in body.get("errors", ()):
        path = tuple(part for part in error.get("path") or () if isinstance(part, str))
        if path[:1] == (root,):
            marks.setdefault(path[1:], _MARKS.get(error.get("extensions", {}).get("code", ""), _UNAVAILABLE))
    return marks


def _records(resource: Resource, answer: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    found = answer[resource.field]
    return found if isinstance(found, list) else [found] if found else []


def _has_value(wanted: Mapping[str, Resource], answer: Mapping[str, Any]) -> bool:
    return any(
        record[name] is not None
        for resource in wanted.values()
        for record in _records(resource, answer)
        for name in resource.items
    )


_Row = tuple[str, str, str, str, str]


def _table(
    catalogue: Catalogue,
    wanted: Mapping[str, Resource],
    answer: Mapping[str, Any],
    marks: Mapping[tuple[str, ...], str],
) -> Table:
    sections = [_rows(catalogue, resource, _records(resource, answer), marks) for resource in wanted.values()]
    table = Table(title="查询结果", show_lines=False, expand=False)
    for title in ("信息资源", "信息项"):
        table.add_column(title, overflow="fold")
    table.add_column("内容", overflow="fold", width=_value_width([row[2] for section in sections for row in section]))
    table.add_column("提供部门", overflow="fold")
    table.add_column("更新时间", no_wrap=True)
    for section in sections:
        for row in section:
            table.add_row(*map(plain, row), style="dim" if row[2] == _ABSENT and not row[1] else None)
        table.add_section()
    return table


def _value_width(values: Sequence[str]) -> int:
    """The columns that the values get: a quarter of the terminal, or what the longest number needs in one piece."""
    unbroken = max((len(value) for value in values if value.isascii() and len(value) <= _UNBROKEN), default=0)
    longest = max(cell_len(value) for value in ("内容", *values))
    return min(longest, max(unbroken, out.width // 4))


def _rows(
    catalogue: Catalogue,
    resource: Resource,
    records: Sequence[Mapping[str, Any]],
    marks: Mapping[tuple[str, ...], str],
) -> list[_Row]:
    """The resource's rows: a row for each item of each record; without records, a row for each item if one has a mark."""
    at_resource = marks.get((resource.field,), _ABSENT)
    at_items = {name: marks.get((resource.field, name), at_resource) for name in resource.items}
    if not records:
        if set(at_items.values()) == {_ABSENT}:
            return [(resource.title, "", _ABSENT, "", "")]
        titles = [resource.title, *[""] * (len(at_items) - 1)]
        return [
            (title, item.title, at_items[item.name], "", "")
            for title, item in zip(titles, resource.items.values(), strict=True)
        ]
    rows: list[_Row] = []
    for number, record in enumerate(records, 1):
        title = f"{resource.title} {number}/{len(records)}" if len(records) > 1 else resource.title
        provenance = record["provenance"]
        for item in resource.items.values():
            value = record[item.name]
            shown = at_items[item.name] if value is None else _shown(catalogue, item.codes, value)
            rows.append((title, item.title, shown, provenance["provider"], (provenance["updatedAt"] or "")[:10]))
            title = ""
    return rows


def _shown(catalogue: Catalogue, codes: str | None, value: Any) -> str:
    if codes:
        titles = {code.name: code.title for code in catalogue.codes[codes].values}
        return titles.get(value, str(value))
    text = str(value)
    return text if len(text) <= 80 else f"{text[:40]}…（{len(text)} 字符）"
