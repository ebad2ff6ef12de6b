"""Reads and checks where the records of a resource are: in a table, or behind an HTTP service."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from schema.catalogue import ItemType, Resource
from schema.fields import Fields
from schema.formats import FORMATS, default_format, formats_of
from schema.http import (
    MAX_BATCH,
    MAX_PAGE,
    HttpLookUp,
    HttpSource,
    JsonPath,
    KeyList,
    Paging,
    PagingKind,
    is_plain_path,
)
from schema.problems import Findings, did_you_mean, shown

KEY_COLUMN = "{key}"
"""The column of a key that the answer does not repeat: it is the key that was asked for."""


@dataclass(frozen=True, slots=True)
class Source:
    """Where the records are: a table or a service; the column of the last change, and its format."""

    table: str | None = None
    http: HttpSource | None = None
    updated: str | None = None
    updated_format: str = default_format(ItemType.DATETIME)


def read_source(fields: Fields) -> Source:
    """What stands under `source`; nothing where a resource has none."""
    written = fields.fields("source", required=False)
    if written is None:
        return Source()
    http = _http(written)
    if written.has("http") and written.has("table"):
        written.fault("table", "CAT421", "`table` beside `http`")
    table = None if written.has("http") else written.sql_name("table", qualified=True)
    updated = read_column(written, "updated", over_http=http is not None) if written.has("updated") else None
    default = default_format(ItemType.DATETIME)
    updated_format = written.text_or("updated_format", default)
    if updated_format not in FORMATS[ItemType.DATETIME] and written.findings.sound(written.place, "updated_format"):
        hint = did_you_mean(updated_format, FORMATS[ItemType.DATETIME]) or formats_of(ItemType.DATETIME)
        written.fault("updated_format", "CAT401", f"unknown format {shown(updated_format)} of DateTime", hint)
    written.done()
    return Source(table, http, updated, updated_format)


def read_column(fields: Fields, key: str, *, over_http: bool) -> str:
    """A required column: a plain SQL identifier, or over HTTP a place in a record, `{key}` for the key that was asked for."""
    if not over_http:
        return fields.sql_name(key)
    text = fields.text(key)
    if text and text != KEY_COLUMN:
        _json_path(fields, key, single=True)
    return text


def _http(source: Fields) -> HttpSource | None:
    """What stands under `http`; None where the source has none."""
    fields = source.fields("http", "`http`", required=False)
    if fields is None:
        return None
    found = HttpSource(
        records=_json_path(fields, "records") if fields.has("records") else JsonPath(()),
        look_ups=_look_ups(fields),
        paging=_paging(fields),
        omits_null=fields.flag("omits_null", False),
        columns=_columns(fields),
    )
    fields.done()
    return found


def _json_path(fields: Fields, key: str, *, single: bool = False) -> JsonPath:
    """A required place in a JSON value; `single`: of one value."""
    text = fields.text(key)
    try:
        path = JsonPath.parse(text)
    except ValueError:
        fields.fault(key, "CAT422", f"`{key}` {shown(text)} is no place in an answer")
        return JsonPath(())
    if single and not path.single:
        fields.fault(key, "CAT422", f"`{key}` {shown(text)} leads to several values", "leave out `[*]`")
    return path


def _look_ups(fields: Fields) -> Mapping[str, HttpLookUp]:
    by = fields.fields("by", "`by` of `http`")
    if by is None:
        return {}
    look_ups = {}
    for name in by.own_keys():
        one = by.fields(name, f"the look-up by {shown(name)}")
        if one is not None:
            look_ups[name] = _look_up(one)
    if not look_ups and fields.findings.sound(fields.place, "by"):
        fields.fault("by", "CAT105", "no look-up")
    return look_ups


def _look_up(fields: Fields) -> HttpLookUp:
    look_up = HttpLookUp(
        path=fields.text("path"),
        query=_texts(fields, "query") or {},
        body=_texts(fields, "body"),
        keys=fields.choice_or("keys", KeyList, KeyList.COMMA),
        batch=fields.number("batch", 1, MAX_BATCH) if fields.has("batch") else 1,
        absent=fields.number("absent", 204, 499) if fields.has("absent") else None,
    )
    if fields.findings.sound(fields.place, "path", "query", "body", "keys", "batch", "absent") and look_up.problem():
        fields.fault("path", "CAT423", look_up.problem())
    fields.done()
    return look_up


def _texts(fields: Fields, key: str) -> Mapping[str, str] | None:
    written = fields.fields(key, required=False)
    if written is None:
        return None
    for name in written.own_keys():
        written.check_text(name, name)
    return {name: written.text(name) for name in written.own_keys()}


def _paging(fields: Fields) -> Paging | None:
    written = fields.fields("paging", "`paging`", required=False)
    if written is None:
        return None
    paging = Paging(
        kind=written.choice("kind", PagingKind, PagingKind.PAGE),
        parameter=written.text_or("parameter", ""),
        first=written.number("first", 0, 1) if written.has("first") else 1,
        size_parameter=written.text_or("size_parameter", ""),
        size=written.number("size", 1, MAX_PAGE) if written.has("size") else 0,
        at=_json_path(written, "at") if written.has("at") else None,
        total=_json_path(written, "total") if written.has("total") else None,
    )
    keys = ("kind", "parameter", "first", "size_parameter", "size", "at", "total")
    if written.findings.sound(written.place, *keys) and paging.problem():
        written.fault("kind", "CAT424", paging.problem())
    written.done()
    return paging


def _columns(fields: Fields) -> tuple[str, JsonPath] | None:
    written = fields.fields("columns", "`columns`", required=False)
    if written is None:
        return None
    path, at = written.text("path"), _json_path(written, "at")
    if path and not is_plain_path(path):
        written.fault("path", "CAT423", f"`path` {shown(path)} is no path of plain segments")
    written.done()
    return path, at


def check_http(resource: Resource, findings: Findings) -> None:
    """Every item that the line looks up by has its request, and nothing is asked of a service that it cannot answer."""
    http, label = resource.http, f"resource {shown(resource.name)}"
    if http is None:
        return
    source = findings.where(resource.place, "source")
    where = findings.where(source, "http")
    by = findings.where(where, "by")
    if resource.items:
        for name in http.look_ups:
            if name not in resource.items:
                hint = did_you_mean(name, resource.items)
                findings.note("CAT203", findings.where(by, name), f"unknown item {shown(name)} in {label}", hint)
        needed = dict.fromkeys([resource.key or "", *(one.item for one in resource.relations if one.inverse)])
        for item_name in needed:
            if item_name in resource.items and item_name not in http.look_ups and findings.sound(where, "by"):
                findings.note("CAT425", by, f"{label} has no look-up by {shown(item_name)}")
        for item in resource.items.values():
            look_up = http.look_ups.get(item.name)
            if item.column == KEY_COLUMN and (look_up is None or look_up.several):
                message = f"{shown(item.name)} of {label} is no key that is asked for by itself"
                findings.note("CAT425", findings.where(item.place, "column"), message, "name its column in the answer")
    if resource.search:
        findings.note(
            "CAT426", findings.where(resource.place, "search"), f"{label} is asked over HTTP and has `search`"
        )
