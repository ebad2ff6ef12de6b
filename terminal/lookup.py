"""`onesource lookup`: the clerk's question from a terminal, answered as a table with Chinese titles."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from difflib import get_close_matches
from typing import Any

import typer
from rich.markup import escape
from rich.table import Table

from schema.catalogue import Catalogue, Entity, Purpose, Resource
from terminal.client import REFUSED, WRONG_USE, ask, err, out, plain, say_errors


def lookup(
    catalogue: Catalogue, items: Sequence[str], identifier: str, purpose: Purpose, case: str, url: str, token: str
) -> None:
    """Ask for these items of one entity and print what came; exits with REFUSED if nothing could be shown."""
    entity, wanted = _wanted(catalogue, items)
    variables = {"id": identifier, "use": {"purpose": purpose.value, "basis": {"case": case}}}
    body = ask(url, token, _document(entity, wanted), variables)
    answer = (body.get("data") or {}).get(entity.root)
    if answer:
        out.print(_table(catalogue, wanted, answer))
    say_errors(body)
    operation = body.get("extensions", {}).get("operationId", "")
    out.print(f"操作编号 operation {operation}", style="dim", highlight=False)
    if not answer or not any(answer[resource.field] for resource in wanted.values()):
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


def _table(catalogue: Catalogue, wanted: Mapping[str, Resource], answer: Mapping[str, Any]) -> Table:
    table = Table(title="查询结果", show_lines=False, expand=False)
    for title in ("信息资源", "信息项", "内容", "提供部门", "更新时间"):
        table.add_column(title, overflow="fold")
    for resource in wanted.values():
        found = answer[resource.field]
        records = found if isinstance(found, list) else [found] if found else []
        for number, record in enumerate(records, 1):
            title = f"{resource.title} {number}/{len(records)}" if len(records) > 1 else resource.title
            provenance = record["provenance"]
            for item in resource.items.values():
                shown = _shown(catalogue, item.codes, record[item.name])
                cells = (title, item.title, shown, provenance["provider"], (provenance["updatedAt"] or "")[:10])
                table.add_row(*map(plain, cells))
                title = ""
            table.add_section()
        if not records:
            table.add_row(resource.title, "", "—", "", "", style="dim")
            table.add_section()
    return table


def _shown(catalogue: Catalogue, codes: str | None, value: Any) -> str:
    if value is None:
        return "—"
    if codes:
        titles = {code.name: code.title for code in catalogue.codes[codes].values}
        return titles.get(value, str(value))
    text = str(value)
    return text if len(text) <= 80 else f"{text[:40]}…（{len(text)} 字符）"
