"""YAML with lines: a file becomes nodes that know where they stand, and nothing is constructed from tags.

Scalars are read by YAML 1.2's core schema (`no` and `2026-11-01` are texts). Anchors, aliases, tags, doubled keys and
deep nesting are refused: a catalogue needs none of them, and each has been a way to attack a loader.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml

from schema.catalogue import Place
from schema.problems import Findings, shown

MAX_BYTES = 4 * 1024 * 1024
MAX_DEPTH = 16
_INT = re.compile(r"[-+]?[0-9]{1,18}")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_CONSTANTS: dict[str, bool | None] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True, slots=True)
class Number:
    """A number that is no integer of up to 18 digits: the catalogue has no use for it, and no text is made of it."""

    text: str


Value = str | int | bool | Number | None | list["Node"] | dict[str, "Node"]


@dataclass(frozen=True, slots=True)
class Node:
    """A value and the line that introduces it: its key's in a mapping, its own in a list."""

    value: Value
    place: Place


class _TooDeepError(Exception):
    """Nesting beyond MAX_DEPTH, at `line`."""

    def __init__(self, line: int) -> None:
        super().__init__()
        self.line = line


def read_file(path: Path, file: str, findings: Findings) -> Node | None:
    """The mapping in a YAML file, or None with a problem noted; `file` is the name that places carry."""
    node = _read_node(path, file, findings)
    findings.unread = findings.unread or node is None
    return node


def printable_name(name: str) -> str:
    """A file's name as text, whatever bytes the file system holds."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def _read_node(path: Path, file: str, findings: Findings) -> Node | None:
    text = _read_text(path, file, findings)
    if text is None:
        return None
    try:
        return _one_mapping(_Builder(file, text, findings), file, findings)
    except _TooDeepError as error:
        findings.note("CAT009", Place(file, error.line), f"values are nested deeper than {MAX_DEPTH}")
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        what = " ".join(part for part in (error.context, error.problem) if part)
        findings.note("CAT004", Place(file, mark.line + 1 if mark else 1), f"not YAML: {what}")
    except yaml.YAMLError as error:
        position = getattr(error, "position", 0)
        before = text.encode()[:position] if isinstance(position, int) else b""
        findings.note("CAT004", Place(file, before.count(b"\n") + 1), "not YAML: a character that YAML does not allow")
    return None


def _read_text(path: Path, file: str, findings: Findings) -> str | None:
    start = Place(file, 1)
    try:
        if not path.is_file():
            findings.note("CAT001", start, "not a readable file")
            return None
        with path.open("rb") as stream:
            data = stream.read(MAX_BYTES + 1)
    except OSError as error:
        findings.note("CAT001", start, f"cannot be read: {error.strerror}")
        return None
    if len(data) > MAX_BYTES:
        findings.note("CAT002", start, f"larger than {MAX_BYTES} bytes")
        return None
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        findings.note("CAT003", Place(file, line), f"byte {error.start} is not UTF-8")
        return None


def _one_mapping(builder: _Builder, file: str, findings: Findings) -> Node | None:
    node = builder.document()
    if node is None or not isinstance(node.value, dict):
        findings.note("CAT005", Place(file, 1), "not a mapping")
        return None
    if builder.further():
        findings.note("CAT005", Place(file, 1), "more than one YAML document")
        return None
    return None if builder.refused else node


class _Builder:
    """Builds nodes from parser events; an event stream cannot construct an object or expand an alias."""

    def __init__(self, file: str, text: str, findings: Findings) -> None:
        self._file = file
        self._findings = findings
        self.refused = False
        self._events: Iterator[yaml.Event] = yaml.parse(text, Loader=_Loader)
        next(self._events)  # the start of the stream

    def document(self) -> Node | None:
        """The next document's value; None at the end of the stream."""
        if isinstance(next(self._events), yaml.StreamEndEvent):
            return None
        node = self._node(next(self._events), 0, None)
        next(self._events)  # the end of the document
        return node

    def further(self) -> bool:
        """True if another document follows."""
        return not isinstance(next(self._events), yaml.StreamEndEvent)

    def _place(self, event: yaml.Event) -> Place:
        mark = event.start_mark
        return Place(self._file, mark.line + 1 if mark else 1)

    def _node(self, event: yaml.Event, depth: int, place: Place | None) -> Node:
        place = place or self._place(event)
        if depth > MAX_DEPTH:
            raise _TooDeepError(place.line)
        self._refuse_extras(event)
        if isinstance(event, yaml.MappingStartEvent):
            return Node(self._mapping(depth), place)
        if isinstance(event, yaml.SequenceStartEvent):
            return Node(self._sequence(depth), place)
        return Node(_scalar(event) if isinstance(event, yaml.ScalarEvent) else None, place)

    def _refuse_extras(self, event: yaml.Event) -> None:
        for extra, code in (("anchor", "CAT006"), ("tag", "CAT007")):
            name: str | None = getattr(event, extra, None)  # an alias has the anchor that it names
            if name is not None:
                self.refused = True
                self._findings.note(code, self._place(event), f"{extra} {shown(name)}")

    def _sequence(self, depth: int) -> list[Node]:
        nodes: list[Node] = []
        while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
            nodes.append(self._node(event, depth + 1, None))
        return nodes

    def _mapping(self, depth: int) -> dict[str, Node]:
        entries: dict[str, Node] = {}
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            place = self._place(event)
            key = self._node(event, depth + 1, None)
            value = self._node(next(self._events), depth + 1, place)
            # A source's own code may be written as a number (`{1: "1"}`): a key is the text that stands there.
            if not isinstance(event, yaml.ScalarEvent) or key.value is None:
                self._findings.note("CAT103", place, "a key is not a text")
            elif event.value in entries:
                first = entries[event.value].place.line
                self._findings.note("CAT008", place, f"key {shown(event.value)} stands twice, first on line {first}")
            else:
                entries[event.value] = value
        return entries


def _scalar(event: yaml.ScalarEvent) -> str | int | bool | Number | None:
    text: str = event.value
    plain, _ = event.implicit
    if not plain:
        return text
    if text in _CONSTANTS:
        return _CONSTANTS[text]
    if _INT.fullmatch(text):
        return int(text)
    return Number(text) if _FLOAT.fullmatch(text) else text
