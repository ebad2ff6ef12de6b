"""Which page of an answer comes next."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import quote, urljoin

from connectors.client import Call
from connectors.contract import SourceError
from schema.http import JsonPath, Paging, PagingKind

MAX_PAGES = 1000


@dataclass(frozen=True, slots=True)
class Page:
    """A page that was read: its number from 0, its address, how many records it had, and how many all pages up to it."""

    number: int
    address: str
    records: int
    passed: int


def first(call: Call, paging: Paging | None) -> Call:
    """The request of the first page."""
    if paging is None:
        return call
    start = {PagingKind.PAGE: [(paging.parameter, str(paging.first))], PagingKind.OFFSET: [(paging.parameter, "0")]}
    return _with(call, paging, start.get(paging.kind, []))


def following(call: Call, paging: Paging | None, page: Page, answer: Any, omits_null: bool) -> Call | str | None:
    """The next page: its request, its whole address where the answer has it, None after the last.

    SourceError where the answer says nothing of it, or does not come to the number of records that it tells.
    """
    if paging is None or _complete(paging, page, answer):
        return None
    if paging.at:
        mark = _mark(paging.at, answer, omits_null)
        if mark is None or paging.kind is PagingKind.CURSOR:
            return None if mark is None else _with(call, paging, [(paging.parameter, quote(mark, safe=""))])
        return _linked(page.address, mark)
    if page.records == 0:
        return None
    place = paging.first + page.number + 1 if paging.kind is PagingKind.PAGE else page.passed
    return _with(call, paging, [(paging.parameter, str(place))])


def _linked(address: str, link: str) -> str:
    try:
        return urljoin(address, link)
    except ValueError as error:
        raise SourceError("SOURCE_CHANGED") from error


def _with(call: Call, paging: Paging, further: Sequence[tuple[str, str]]) -> Call:
    size = [(paging.size_parameter, str(paging.size))] if paging.size_parameter else []
    return replace(call, query=[*call.query, *size, *further])


def _complete(paging: Paging, page: Page, answer: Any) -> bool:
    """Whether the answer tells that all records were read; SourceError where there are others than it tells."""
    if paging.total is None:
        return False
    try:
        total = paging.total.one(answer)
    except LookupError as error:
        raise SourceError("SOURCE_CHANGED") from error
    if type(total) is not int or page.passed > total or (page.records == 0 and page.passed < total):
        raise SourceError("SOURCE_CHANGED")
    return page.passed == total


def _mark(at: JsonPath, answer: Any, omits_null: bool) -> str | None:
    try:
        mark = at.one(answer)
    except KeyError as error:
        if omits_null:
            return None
        raise SourceError("SOURCE_CHANGED") from error
    except LookupError as error:
        raise SourceError("SOURCE_CHANGED") from error
    if mark is None or mark == "" or mark is False:
        return None
    if not isinstance(mark, str | int):
        raise SourceError("SOURCE_CHANGED")
    return str(mark)
