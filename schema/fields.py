"""One mapping of a catalogue file, read key by key with its type.

A fault is noted and a stand-in returned, so that one reading finds every problem. Whoever reads a mapping ends with
`done()`: what was not asked for is unknown.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Iterable, Sequence
from datetime import date
from enum import StrEnum
from typing import TypeVar

from schema.catalogue import Place
from schema.names import ENUM_NAME, FIELD_NAME, MAX_NAME, RESERVED_FIELDS, RESERVED_TYPES, TYPE_NAME, is_sql_name
from schema.problems import Findings, did_you_mean, shown
from schema.yaml_source import Node, Number

Choice = TypeVar("Choice", bound=StrEnum)
_INVISIBLE = frozenset({"Cc", "Cf", "Cs", "Co", "Zl", "Zp"})
_ISO_DAY = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
LOST_DAY = date(1, 1, 1)


class Fields:
    """A mapping named `kind`; `inside` is the mapping and the key that hold it, which share its faults."""

    def __init__(self, node: Node, kind: str, findings: Findings, inside: tuple[Fields, str] | None = None) -> None:
        self._entries = node.value if isinstance(node.value, dict) else {}
        self._asked: set[str] = set()
        self._inside = inside
        self.place = node.place
        self.findings = findings
        name = next((self._entries[key] for key in ("name", "title", "object") if key in self._entries), None)
        self.label = f"{kind} {shown(name.value)}" if name and isinstance(name.value, str) else kind
        for key, value in self._entries.items():
            findings.write(self.place, key, value.place)

    def fault(self, key: str, code: str, message: str, hint: str = "") -> None:
        """Note a problem of `key` and mark its value as a stand-in, here and in what holds this mapping."""
        self.findings.note(code, self.findings.where(self.place, key), f"{message} in {self.label}", hint)
        self._mark(key)

    def _mark(self, key: str) -> None:
        self.findings.mark(self.place, key)
        if self._inside:
            holder, held = self._inside
            holder._mark(held)

    def has(self, key: str) -> bool:
        """True if the key is written, whatever its value."""
        self._asked.add(key)
        return key in self._entries

    def own_keys(self) -> tuple[str, ...]:
        """All keys: for mappings whose keys are data."""
        self._asked.update(self._entries)
        return tuple(self._entries)

    def done(self) -> None:
        """Note every key that nobody asked for."""
        for key, node in self._entries.items():
            if key not in self._asked:
                hint = did_you_mean(key, self._asked - self._entries.keys())
                self.findings.note("CAT101", node.place, f"unknown key {shown(key)} in {self.label}", hint)

    def _node(self, key: str, *, required: bool) -> Node | None:
        self._asked.add(key)
        node = self._entries.get(key)
        if node is None and required:
            self.fault(key, "CAT102", f"missing key `{key}`")
        return node

    def _wrong_type(self, key: str, value: object, expected: str) -> None:
        if value is None:
            self.fault(
                key, "CAT105", f"`{key}` is empty", f"give {expected}, or leave the key out where it is optional"
            )
        elif expected == "a text" and isinstance(value, int | Number):
            self.fault(key, "CAT103", f"`{key}` is not a text", "put it in quotes")
        else:
            self.fault(key, "CAT103", f"`{key}` is not {expected}", f"give {expected}")

    def check_text(self, key: str, value: object, *, prose: bool = False) -> str:
        """`value` stripped, if it is a text that may stand at `key`; else a fault and what there is."""
        if not isinstance(value, str):
            self._wrong_type(key, value, "a text")
            return ""
        text = value.strip()
        if not text:
            self.fault(key, "CAT105", f"`{key}` is empty")
        elif any(c != "\n" or not prose for c in text if unicodedata.category(c) in _INVISIBLE):
            self.fault(key, "CAT106", f"control or invisible characters in `{key}`")
        return text

    def text(self, key: str, *, prose: bool = False) -> str:
        """A required text without control characters; `prose` may have several lines."""
        node = self._node(key, required=True)
        return self.check_text(key, node.value, prose=prose) if node else ""

    def text_or(self, key: str, absent: str, *, prose: bool = False) -> str:
        """A text that may be absent; an empty text in quotes counts as absent."""
        node = self._node(key, required=False)
        return self.check_text(key, node.value, prose=prose) if node and node.value != "" else absent

    def optional(self, key: str) -> str | None:
        """A text, None where the key is absent."""
        return self.text(key) if self.has(key) else None

    def matching(self, key: str, pattern: re.Pattern[str], expected: str) -> str:
        """A required text of one form."""
        text = self.text(key)
        if text and not pattern.fullmatch(text):
            self.fault(key, "CAT107", f"`{key}` {shown(text)} is malformed", f"give {expected}")
        return text

    def texts(self, key: str) -> tuple[str, ...]:
        """A list of texts; absent is empty."""
        return tuple(self.check_text(key, node.value) for node in self.nodes(key))

    def flag(self, key: str, absent: bool) -> bool:
        """`true` or `false`."""
        node = self._node(key, required=False)
        if node and not isinstance(node.value, bool):
            self._wrong_type(key, node.value, "true or false")
        return node.value if node and isinstance(node.value, bool) else absent

    def number(self, key: str, low: int, high: int) -> int:
        """A required integer from `low` to `high`."""
        node = self._node(key, required=True)
        if node is None:
            return low
        if not isinstance(node.value, int) or isinstance(node.value, bool):
            self._wrong_type(key, node.value, "an integer")
            return low
        if not low <= node.value <= high:
            self.fault(key, "CAT107", f"`{key}` is {node.value}", f"give a number from {low} to {high}")
        return node.value

    def day(self, key: str) -> date:
        """A required date, written 2026-01-31."""
        text = self.text(key)
        if text:
            try:
                if _ISO_DAY.fullmatch(text):
                    return date.fromisoformat(text)
                self.fault(key, "CAT107", f"`{key}` {shown(text)} is no date", "write it as 2026-01-31")
            except ValueError:
                self.fault(key, "CAT107", f"`{key}` {shown(text)} is no date of the calendar")
        return LOST_DAY

    def one_of(self, key: str, word: str, admissible: Collection[str]) -> bool:
        """True if `word` is admissible; else the fault is noted."""
        if word in admissible:
            return True
        if word:
            hint = did_you_mean(word, admissible) or "use one of " + ", ".join(admissible)
            self.fault(key, "CAT104", f"unknown value {shown(word)} of `{key}`", hint)
        return False

    def choice(self, key: str, kind: type[Choice], stand_in: Choice, *, among: Iterable[Choice] = ()) -> Choice:
        """A required member of `kind` (or of `among`)."""
        word = self.text(key)
        return kind(word) if self.one_of(key, word, [member.value for member in among or kind]) else stand_in

    def choice_or(self, key: str, kind: type[Choice], absent: Choice) -> Choice:
        """A member of `kind`, `absent` where the key is."""
        return self.choice(key, kind, absent) if self.has(key) else absent

    def choices(self, key: str, kind: type[Choice]) -> frozenset[Choice]:
        """A required, not empty list of members of `kind`."""
        node = self._node(key, required=True)
        words = self.texts(key) if node else ()
        if node and node.value == []:
            self.fault(key, "CAT105", f"`{key}` is empty")
        admissible = [member.value for member in kind]
        return frozenset(kind(word) for word in words if self.one_of(key, word, admissible))

    def nodes(self, key: str) -> Sequence[Node]:
        """The elements of a list; absent is empty."""
        node = self._node(key, required=False)
        if node is None:
            return ()
        if not isinstance(node.value, list):
            self._wrong_type(key, node.value, "a list")
            return ()
        return node.value

    def fields(self, key: str, kind: str = "", *, required: bool = True) -> Fields | None:
        """The mapping under a key; messages call it `kind`, else by its key and holder."""
        node = self._node(key, required=required)
        if node is None:
            return None
        if not isinstance(node.value, dict):
            self._wrong_type(key, node.value, "a mapping")
            return None
        return Fields(node, kind or f"`{key}` of {self.label}", self.findings, (self, key))

    def each(self, key: str, kind: str) -> list[Fields]:
        """The mappings of a list; absent is empty."""
        found = []
        for node in self.nodes(key):
            if isinstance(node.value, dict):
                found.append(Fields(node, kind, self.findings))
            else:
                self.findings.note("CAT103", node.place, f"an element of `{key}` is not a mapping in {self.label}")
                self._mark(key)
        return found

    def type_name(self, key: str) -> str:
        """A name for a GraphQL type."""
        return self._name(key, self.text(key), TYPE_NAME, RESERVED_TYPES, "PascalCase")

    def field_name(self, key: str, absent: str | None = None) -> str:
        """A name for a GraphQL field or argument; `absent` stands where the key is absent."""
        text = self.text(key) if absent is None or self.has(key) else absent
        return self._name(key, text, FIELD_NAME, RESERVED_FIELDS, "camelCase")

    def enum_name(self, key: str) -> str:
        """A name for a GraphQL enum value."""
        return self._name(key, self.text(key), ENUM_NAME, frozenset(), "UPPER_CASE")

    def _name(self, key: str, text: str, pattern: re.Pattern[str], reserved: frozenset[str], style: str) -> str:
        if text and (len(text) > MAX_NAME or not pattern.fullmatch(text)):
            hint = f"use {style} of ASCII letters and digits, at most {MAX_NAME}"
            self.fault(key, "CAT201", f"`{key}` {shown(text)} is not a valid GraphQL name", hint)
        elif text in reserved:
            self.fault(key, "CAT202", f"`{key}` {shown(text)} is reserved")
        return text

    def sql_name(self, key: str, *, qualified: bool = False) -> str:
        """A required plain SQL identifier."""
        text = self.text(key)
        if text and not is_sql_name(text, qualified=qualified):
            self.fault(key, "CAT405", f"`{key}` {shown(text)} is no plain SQL identifier")
        return text

    def where(self, key: str) -> Place:
        """The line of a key, else the mapping's."""
        return self.findings.where(self.place, key)
