"""How a resource is asked over HTTP: which requests look records up, and where in the JSON of an answer they stand.

Values of the catalogue; `schema.http_sources` reads and checks them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

KEY, KEYS, COLUMNS = "{key}", "{keys}", "{columns}"
MAX_BATCH = 1000
MAX_PAGE = 10_000
_MAX_STEPS = 16
_STEP = re.compile(
    r"(?:^|\.)(?P<name>[^.\[\]{}\s\x00-\x1f\"'`$*?@#]+)|\[(?P<index>\d{1,4}|\*)\]|(?P<wrong>.)", re.DOTALL
)
_SEGMENT = re.compile(r"[A-Za-z0-9_~-][A-Za-z0-9._~-]*|\{key\}", re.ASCII)


@dataclass(frozen=True, slots=True)
class JsonPath:
    """A place in a JSON value: names and indexes, `None` for every element of a list. Written `data.items[*]`, `names[0].text`."""

    steps: tuple[str | int | None, ...]

    @classmethod
    def parse(cls, text: str) -> JsonPath:
        """The path of a text; ValueError for what is none. The empty text is the value itself."""
        steps: list[str | int | None] = []
        for found in _STEP.finditer(text):
            if found["wrong"] or len(steps) == _MAX_STEPS:
                raise ValueError("not a path such as data.items[*]")
            index = found["index"]
            steps.append(found["name"] if index is None else None if index == "*" else int(index))
        return cls(tuple(steps))

    @property
    def single(self) -> bool:
        """Whether it leads to one value."""
        return None not in self.steps

    def all(self, value: Any) -> list[Any]:
        """Every value that it leads to; LookupError where something on the way is not there, or is no list or object."""
        found = [value]
        for step in self.steps:
            found = [inner for one in found for inner in _step(one, step)]
        return found

    def one(self, value: Any) -> Any:
        """The value that a single path leads to; LookupError where it leads nowhere."""
        (found,) = self.all(value)
        return found


def _step(value: Any, step: str | int | None) -> Iterator[Any]:
    if step is None and isinstance(value, list):
        yield from value
        return
    holder: Any = value if isinstance(value, dict if isinstance(step, str) else list) else None
    if holder is None or step is None:
        raise LookupError("no such place in the answer")
    yield holder[step]


class KeyList(StrEnum):
    """How several keys stand in a query: one parameter with commas between, or the parameter once for each."""

    COMMA = "COMMA"
    REPEAT = "REPEAT"


@dataclass(frozen=True, slots=True)
class HttpLookUp:
    """A request that finds records by one item: GET, or POST where there is a `body`.

    `path` has plain segments, one of which may be `{key}`. Values of `query` and `body` are `{key}`, `{keys}`, `{columns}` or plain texts.
    `batch` is how many keys one request takes. A status in `absent` says that nobody has the key.
    """

    path: str
    query: Mapping[str, str]
    body: Mapping[str, str] | None
    keys: KeyList = KeyList.COMMA
    batch: int = 1
    absent: int | None = None

    @property
    def several(self) -> bool:
        """Whether one request takes several keys."""
        return KEYS in (*self.query.values(), *(self.body or {}).values())

    def problem(self) -> str:
        """What is wrong with it, in a sentence; empty if nothing is."""
        segments = self.path.split("/")
        if segments[0] or not all(_SEGMENT.fullmatch(segment) for segment in segments[1:]):
            return "`path` is no path of plain segments such as /people/{key}"
        values = [*self.query.values(), *(self.body or {}).values()]
        if any("{" in one and one not in (KEY, KEYS, COLUMNS) for one in values):
            return "a value is neither {key}, {keys} or {columns} alone, nor a plain text"
        count = segments.count(KEY) + values.count(KEY) + values.count(KEYS)
        if count != 1:
            return f"{{key}} or {{keys}} stands {count} times in it, not once"
        if not self.several and self.batch != 1:
            return "`batch` without {keys}"
        if self.several and self.absent is not None:
            return "`absent` beside {keys}: no status can speak of several"
        if self.keys is KeyList.REPEAT and KEYS not in self.query.values():
            return "`keys` without {keys} in the query"
        return ""


class PagingKind(StrEnum):
    """How the next page of an answer is asked for: by its number, by records passed, by a cursor, or by the link that the answer has."""

    PAGE = "PAGE"
    OFFSET = "OFFSET"
    CURSOR = "CURSOR"
    NEXT = "NEXT"


@dataclass(frozen=True, slots=True)
class Paging:
    """How answers are paged. `at` is where a cursor or link stands, `total` where the number of all records does.

    Without a cursor or link the last page is the one that completes `total`, or else the one without records.
    """

    kind: PagingKind
    parameter: str = ""
    first: int = 1
    size_parameter: str = ""
    size: int = 0
    at: JsonPath | None = None
    total: JsonPath | None = None

    def problem(self) -> str:
        """What is wrong with it, in a sentence; empty if nothing is."""
        if (self.kind is PagingKind.NEXT) is bool(self.parameter):
            return "`parameter` belongs to PAGE, OFFSET and CURSOR, and to each of them"
        if (self.kind in (PagingKind.CURSOR, PagingKind.NEXT)) is (self.at is None):
            return "`at` belongs to CURSOR and NEXT, and to both of them"
        if bool(self.size_parameter) is not bool(self.size):
            return "`size_parameter` and `size` belong together"
        if (self.at and not self.at.single) or (self.total and not self.total.single):
            return "`at` and `total` lead to one value each"
        return ""


@dataclass(frozen=True, slots=True)
class HttpSource:
    """How a resource is asked over HTTP: by which items, and where its records stand in an answer.

    `omits_null`: the service leaves out what is null, so that a name that is absent says nothing. `columns` is where it lists the names
    of a record's columns, if anywhere: a path, and the place in its answer.
    """

    records: JsonPath
    look_ups: Mapping[str, HttpLookUp]
    paging: Paging | None = None
    omits_null: bool = False
    columns: tuple[str, JsonPath] | None = None


def is_plain_path(path: str) -> bool:
    """Whether a path has plain segments alone, and no key."""
    segments = path.split("/")
    return not segments[0] and KEY not in segments and all(_SEGMENT.fullmatch(segment) for segment in segments[1:])
