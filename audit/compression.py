"""Keeps frames small: each is compressed by itself (DEFLATE, RFC 1951), with a dictionary of what frames usually say.

A stored frame is two bytes that name its dictionary (0x8000 + its number), then the compressed JSON. What begins with `{` stands as it is.
Dictionaries are kept beside the frames for ever. The first is made of the frame's own words; better ones are learned from frames as they
come, without anything that tells of one operation: no identifiers, no hashes, no cases, no moments, no users. The tree's leaf is the hash of the
plain frame, so nothing is proven or disproven by how it is kept.
"""

from __future__ import annotations

import logging
import zlib
from collections import Counter, deque
from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import orjson

from audit.store import StoreUnavailable

_LOG = logging.getLogger("onesource.ledger")
MOST = 16 * 2**20
"""Bytes of the largest frame: what claims to be longer is not unpacked."""
_LEVEL, _WINDOW, _MEMORY = 3, -14, 6
"""Of zlib, raw DEFLATE. A larger window or memory made frames no smaller, and priming it cost more than compressing."""
_NAMED = 0x8000
_LARGEST = 12_000
"""Bytes of a dictionary; the window is 16 KiB."""
_MOST_DICTIONARIES = 1_000
_FIRST_LOOK, _MOST_BETWEEN = 64, 65_536
"""After how many frames it is seen for the first time whether another dictionary would do better, and how many later at the most."""
_BETTER = 0.85
_SAMPLES = 256
_TYPICAL = frozenset(
    [
        "department",
        "role",
        "region",
        "client",
        "channel",
        "document",
        "name",
        "policy",
        "catalogue",
        "outcome",
        "fields",
        "version",
        "path",
        "resource",
        "subject",
        "purpose",
        "service",
        "items",
        "rules",
        "scenario",
        "acts",
    ]
)
"""The parts of a frame and of its nodes that many frames have in common; a frame's own `subject` is its user, and left out."""
FIRST = (
    b'{"operation":"","at":17,"subject":"","department":"","role":"clerk","region":"","client":"","channel":"query",'
    b'"document":"","name":"","policy":"","catalogue":"","outcome":"answered","fields":[],"nodes":[{"path":"","resource":"",'
    b'"subject":"OTHER","purpose":"DATA_VERIFICATION","case":"","service":"","items":[],"rules":["DENY/"],"groups":{},'
    b'"others":[],"scenario":""},{"path":"","resource":"","subject":"SUBJECT","purpose":"ADMINISTRATIVE_BASIS","case":"",'
    b'"service":"","items":[],"rules":["SHARE/"],"groups":{"RRRR":[""]},"others":[],"scenario":""}],"version":1}'
)


@dataclass(frozen=True, slots=True)
class Dictionary:
    """A dictionary by its number, and the release of zlib that compressed with it: others may choose other bytes for the same frame."""

    number: int
    content: bytes
    zlib: str


class Compression:
    """Packs and unpacks the frames of one store. `fetch` reads its dictionaries, `keep` returns when one more is durable. StoreUnavailable."""

    def __init__(self, fetch: Callable[[], Iterable[Dictionary]], keep: Callable[[bytes, str], Dictionary]) -> None:
        self._fetch, self._keep = fetch, keep
        self._known: dict[int, Dictionary] = {}
        self._newest: Dictionary | None = None
        self._seen, self._look_at = 0, _FIRST_LOOK
        self._samples: deque[bytes] = deque(maxlen=_SAMPLES)

    def pack(self, frames: Sequence[bytes]) -> list[bytes]:
        """The frames as they are stored. ValueError for one that is too large."""
        if any(len(frame) > MOST for frame in frames):
            raise ValueError("a frame is too large")
        newest = self._newest or self._begin()
        self._note(frames)
        return _packed(self._newest or newest, frames)

    def unpack(self, stored: Any) -> bytes:
        """The frame of what is stored; ValueError if it is none."""
        if isinstance(stored, bytes) and stored[:1] == b"{":
            return stored
        return self._unpacked(stored)[0]

    def exact(self, stored: Any) -> Any:
        """The frame of what is stored, if these are the bytes that its dictionary makes of it; else what is stored, as it is."""
        if isinstance(stored, bytes) and stored[:1] == b"{":
            return stored
        try:
            frame, dictionary = self._unpacked(stored)
        except ValueError:
            return stored
        if dictionary.zlib == zlib.ZLIB_RUNTIME_VERSION and _packed(dictionary, [frame]) != [stored]:
            return stored
        return frame

    def _note(self, frames: Sequence[bytes]) -> None:
        """Learn from frames as they come; what fails is tried again later."""
        self._seen += len(frames)
        self._samples.extend(frames[:: max(1, len(frames) // 16)])
        if self._seen < self._look_at:
            return
        self._look_at = self._seen + min(self._seen, _MOST_BETWEEN)
        with suppress(StoreUnavailable):
            self._learn([*self._samples])

    def forget(self) -> None:
        """Ask the store anew which dictionaries it has: it failed, and may be another when it is back."""
        self._known.clear()
        self._newest = None

    def _begin(self) -> Dictionary:
        self._read()
        if self._newest is None:
            self._take(self._keep(FIRST, zlib.ZLIB_RUNTIME_VERSION))
        assert self._newest
        return self._newest

    def _read(self) -> None:
        for one in self._fetch():
            self._take(one)

    def _take(self, one: Dictionary) -> None:
        self._known[one.number] = one
        if one.zlib == zlib.ZLIB_RUNTIME_VERSION and (self._newest is None or one.number > self._newest.number):
            self._newest = one

    def _unpacked(self, stored: Any) -> tuple[bytes, Dictionary]:
        if not isinstance(stored, bytes):
            raise ValueError("no bytes")  # noqa: TRY004 - SQLite's columns hold anything
        number = int.from_bytes(stored[:2]) - _NAMED
        if number not in self._known:
            self._read()
        dictionary = self._known.get(number)
        if dictionary is None:
            raise ValueError("no such dictionary")
        unpacking = zlib.decompressobj(_WINDOW, dictionary.content)
        try:
            frame = unpacking.decompress(stored[2:], MOST)
        except zlib.error as error:
            raise ValueError("not compressed so") from error
        if not unpacking.eof or unpacking.unused_data:
            raise ValueError("cut off, too long, or followed by something else")
        return frame, dictionary

    def _learn(self, samples: list[bytes]) -> None:
        """Go on with a dictionary that does much better on these frames, if there is one or it can be made."""
        before = self._newest
        self._read()
        if before is None or self._newest is None or len(self._known) >= _MOST_DICTIONARIES:
            return
        typical = typical_of(samples)
        room = max(0, _LARGEST - len(typical))
        content = self._newest.content[len(self._newest.content) - room :] * (room > 0) + typical
        learned = Dictionary(0, content, zlib.ZLIB_RUNTIME_VERSION)
        if _size(learned, samples) < _BETTER * _size(self._newest, samples):
            self._take(self._keep(content, zlib.ZLIB_RUNTIME_VERSION))
            _LOG.info("frames are compressed with a new dictionary of %d bytes", len(content))


def typical_of(frames: Collection[bytes]) -> bytes:
    """What these frames have in common, the most frequent last, where it is found at the least distance; nothing of a single operation."""
    heads: Counter[bytes] = Counter()
    nodes: Counter[bytes] = Counter()
    for frame in frames:
        try:
            told = orjson.loads(frame)
            nodes.update(orjson.dumps(_emptied(node)) for node in told["nodes"])
            heads[orjson.dumps(_emptied(told | {"subject": 0, "nodes": []}))] += 1
        except (ValueError, TypeError, KeyError, AttributeError):
            continue
    parts: list[bytes] = []
    room = _LARGEST
    for counted, most in ((heads, 8), (nodes, len(nodes))):
        for part, _ in counted.most_common(most):
            if len(part) + 1 <= room:
                parts.append(part + b",")
                room -= len(part) + 1
    return b"".join(reversed(parts))


def _emptied(told: dict[str, Any]) -> dict[str, Any]:
    """The part of a frame with what is typical, and everything else empty; of groups their letters."""
    emptied: dict[str, Any] = {}
    for name, value in told.items():
        if name == "groups":
            emptied[name] = {letters: [""] for letters in value}
        else:
            emptied[name] = value if name in _TYPICAL and value != 0 else type(value)()
    return emptied


def _packed(dictionary: Dictionary, frames: Iterable[bytes]) -> list[bytes]:
    head = (_NAMED + dictionary.number).to_bytes(2)
    primed = zlib.compressobj(_LEVEL, zlib.DEFLATED, _WINDOW, _MEMORY, zlib.Z_DEFAULT_STRATEGY, dictionary.content)
    packed = []
    for frame in frames:
        packing = primed.copy()
        packed.append(head + packing.compress(frame) + packing.flush())
    return packed


def _size(dictionary: Dictionary, frames: Iterable[bytes]) -> int:
    return sum(map(len, _packed(dictionary, frames)))
