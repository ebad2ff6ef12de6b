"""Resources of a few items, made in a line each."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Any

from schema.catalogue import (
    Item,
    ItemType,
    Library,
    OpenClass,
    Place,
    Purpose,
    Resource,
    Secrecy,
    Share,
    ShareClass,
    ShareMode,
    SubjectClass,
)
from schema.formats import default_format

PLACE = Place("test.yaml", 1)
OPEN_SHARE = Share(ShareClass.UNCONDITIONAL, basis="实施细则第十二条")


def item(name: str, kind: ItemType = ItemType.STRING, written: str = "", **changes: Any) -> Item:
    """An item of that type, written in the format `written` (default: the type's first) in the column NAME."""
    made = Item(
        name=name,
        title=name,
        type=kind,
        codes=None,
        grade=1,
        subject=SubjectClass.SUBJECT,
        share=OPEN_SHARE,
        purposes=frozenset(Purpose),
        column=name.upper(),
        format=written or default_format(kind),
        values={},
        masks={},
        holds=None,
        annex=False,
        description="",
        same_as="",
        place=PLACE,
    )
    return replace(made, **changes)


def resource(name: str, *items: Item, **changes: Any) -> Resource:
    """A resource of the department `housing` with these items; the first is its key, its table is T_NAME, its last change in GXSJ."""
    made = Resource(
        name=name,
        field=name[:1].lower() + name[1:],
        title=name,
        code=f"421200-{name}",
        department="housing",
        also=(),
        library=Library.DEPARTMENT,
        library_name="",
        abstract="",
        data_format="",
        share=OPEN_SHARE,
        purposes=frozenset(Purpose),
        modes=frozenset({ShareMode.ONLINE_QUERY}),
        audience=(),
        scope="",
        open_class=OpenClass.NOT_OPEN,
        open_conditions="",
        secrecy=Secrecy.NONE,
        update_cycle="DAILY",
        published=date(2026, 11, 1),
        related=(),
        annex=None,
        entity="Person",
        key=items[0].name,
        many=False,
        table=f"T_{name.upper()}",
        http=None,
        updated="GXSJ",
        updated_format="iso",
        items={one.name: one for one in items},
        relations=(),
        rows=frozenset(),
        region=None,
        search=None,
        place=PLACE,
    )
    return replace(made, **changes)
