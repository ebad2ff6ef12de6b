"""A sealed month: the frames of a range of places in a Parquet file, and a manifest that ties the file to the ledger's tree.

A month's range ends with the last frame of that month or of an earlier one, so frames that came late, and the next month's that came
between, lie with the places around them. The file has one row a frame in the tree's order: `place`, `moment` (microseconds since 1970
UTC), `operation`, `rest`, `whole`, `leaf` (the frame's hash in the tree). A frame is `{"operation":"<operation>","at":<moment>,` and `rest`;
one that does not begin so (`whole`) is `rest` alone. Any tool that reads Parquet reads it.

The manifest is JSON. `before`, `subtrees` and `after` are the roots (base64) of the complete subtrees that the leaves before the month, of
the month, and behind it up to the checkpoint fall into (`audit.merkle.subtree_parts`): together they make the checkpoint's root.
"""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from audit.merkle import Frontier, TreeHash, subtree_parts
from audit.store import KeptMonth

if TYPE_CHECKING:
    import duckdb

FORMAT = "onesource/sealed-month/v1"
_GROUP = 8_192
"""Rows that are compressed together: more make the file smaller, and reading one frame slower."""
_LEVEL = 9
_ROWS = "place BIGINT, moment BIGINT, operation VARCHAR, rest BLOB, whole BOOLEAN, leaf BLOB"
_COLUMNS = [tuple(column.split()) for column in _ROWS.split(", ")]
_SUMMARY = """
SELECT min(place), max(place), count(*), min(moment), max(moment), count(DISTINCT place),
  bool_and(coalesce(moment IS NOT NULL AND whole IS NOT NULL AND length(operation) + octet_length(rest) + octet_length(leaf) >= 0, false))
FROM read_parquet(?)
"""
_INSERT = """INSERT INTO rows SELECT unnest(?::BIGINT[]), unnest(?::BIGINT[]), unnest(?::VARCHAR[]), unnest(?::BLOB[]), unnest(?::BOOLEAN[]),
 unnest(?::BLOB[])"""
_FORM = f"(FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL {_LEVEL}, ROW_GROUP_SIZE {_GROUP}, PARQUET_VERSION v2)"
_READ = """
SELECT place, moment, operation,
  CASE WHEN whole THEN rest ELSE encode('{"operation":"' || operation || '","at":' || moment || ',') || rest END, leaf
FROM read_parquet(?) WHERE """
_TYPES = (int, int, str, bytes, bytes)


class Broken(Exception):
    """A sealed month's file or manifest cannot be read, or is not what it should be."""


Row = tuple[int, int, str, bytes, bytes]
"""A sealed frame: its place, moment (microseconds since 1970 UTC) and operation, its bytes, and its hash in the tree."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """What is said of a sealed month; `earliest` and `latest` are moments of its frames, `checkpoint` the signed note it was sealed under."""

    origin: str
    hash: str
    month: str
    first: int
    last: int
    earliest: int
    latest: int
    before: tuple[bytes, ...]
    subtrees: tuple[bytes, ...]
    after: tuple[bytes, ...]
    checkpoint: str
    items: dict[int, str]
    file: str
    size: int
    sha256: str

    def encode(self) -> str:
        """The manifest as JSON."""
        told: dict[str, Any] = {"format": FORMAT}
        for name in self.__slots__:
            value = getattr(self, name)
            told[name] = [base64.b64encode(one).decode() for one in value] if isinstance(value, tuple) else value
        return json.dumps(told, ensure_ascii=False, indent=1) + "\n"

    def root(self, size: int) -> bytes:
        """The root of the tree of that size, the checkpoint's, as the manifest makes it. Broken."""
        frontier = Frontier(TreeHash(self.hash))
        ranges = ((0, self.first - 1), (self.first - 1, self.last), (self.last, size))
        for (start, end), roots in zip(ranges, (self.before, self.subtrees, self.after), strict=True):
            add_subtrees(frontier, start, end, roots)
        return frontier.root()


def add_subtrees(frontier: Frontier, start: int, end: int, roots: Sequence[bytes]) -> None:
    """Let the frontier grow from `start` to `end` by the roots of complete subtrees. Broken if they are not as many as there are."""
    parts = subtree_parts(start, end)
    if len(parts) != len(roots) or frontier.size != start:
        raise Broken("the subtrees are not those of the range")
    for (begin, until), root in zip(parts, roots, strict=True):
        frontier.add(root, until - begin)


def manifest_of(kept: KeptMonth) -> Manifest:
    """The manifest of a month as the store keeps it. Broken."""
    try:
        told = json.loads(kept.manifest)
        for name in ("before", "subtrees", "after"):
            told[name] = tuple(base64.b64decode(one, validate=True) for one in told[name])
        told["items"] = {int(number): str(name) for number, name in told["items"].items()}
        if told.pop("format") != FORMAT:
            raise Broken("another format")
        manifest = Manifest(**told)
        TreeHash(manifest.hash)
        right = (manifest.month, manifest.first, manifest.last) == (kept.month, kept.first, kept.last)
    except (ValueError, TypeError, KeyError, AttributeError):
        raise Broken("not a manifest") from None
    if not right or not isinstance(manifest.sha256, str) or manifest.file != f"{manifest.month}.parquet":
        raise Broken("not the manifest of this month")
    return manifest


def digest_of(file: Path) -> str:
    """The SHA-256 of a file, in hexadecimal. OSError."""
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def head_of(operation: str, moment: int) -> bytes:
    """How a frame of this operation and moment begins."""
    return b'{"operation":"%s","at":%d,' % (operation.encode(), moment)


# -- the file ----------------------------------------------------------------------------------------------------------


class Writer:
    """Writes rows into a Parquet file by way of a database beside it, so that a month need not fit into memory."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._beside = file.with_name(f"{file.name}.duckdb")
        self._connection = _connected(self._beside)
        self._connection.execute(f"CREATE TABLE rows ({_ROWS})")

    def add(self, rows: Iterable[Row]) -> None:
        """Add rows, which come in order of place."""
        columns: tuple[list[Any], ...] = ([], [], [], [], [], [])
        for place, moment, operation, frame, leaf in rows:
            head = head_of(operation, moment)
            whole = not frame.startswith(head)
            rest = frame if whole else frame[len(head) :]
            for column, value in zip(columns, (place, moment, operation, rest, whole, leaf), strict=True):
                column.append(value)
        self._connection.execute(_INSERT, columns)

    def finish(self) -> None:
        """Write the file. duckdb.Error."""
        place = str(self._file).replace("'", "''")  # a file's name is no parameter there
        self._connection.execute(f"COPY (SELECT * FROM rows) TO '{place}' {_FORM}")  # noqa: S608 - as said
        self.close()

    def close(self) -> None:
        """Let go of the database beside the file, and of what it left."""
        self._connection.close()
        for left in self._file.parent.glob(f"{self._beside.name}*"):
            left.unlink(missing_ok=True)


class Reader:
    """Reads sealed months of a folder; usable from several threads. Every method raises Broken for what cannot be read."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._connection: duckdb.DuckDBPyConnection | None = None

    def close(self) -> None:
        if self._connection:
            self._connection.close()

    def between(self, month: str, first: int, last: int) -> list[Row]:
        """The rows of these places, in order."""
        return self._rows(month, "place BETWEEN ? AND ? ORDER BY place", first, last)

    def at(self, month: str, places: Collection[int]) -> list[Row]:
        """The rows at these places, in order."""
        wanted = ",".join(map(str, sorted({int(place) for place in places})))
        return self._rows(month, f"place IN ({wanted}) ORDER BY place")

    def of(self, month: str, operation: str) -> list[Row]:
        """The rows of this operation."""
        return self._rows(month, "operation = ? ORDER BY place", operation)

    def summary(self, month: str) -> tuple[Any, ...]:
        """The first and the last place, how many rows there are, the earliest and the latest moment; all of the file has been read then."""
        columns = [tuple(row[:2]) for row in self._fetched("DESCRIBE SELECT * FROM read_parquet(?)", month)]
        *told, counted, sound = self._fetched(_SUMMARY, month)[0] if columns == _COLUMNS else [0, 0]
        if not sound or counted != told[2]:
            raise Broken("the columns are not those of a sealed month")
        return tuple(told)

    def leaves(self, month: str, first: int, last: int) -> list[tuple[int, bytes]]:
        """Place and leaf hash of these places, in order."""
        statement = "SELECT place, leaf FROM read_parquet(?) WHERE place BETWEEN ? AND ? ORDER BY place"
        return [(place, leaf) for place, leaf in self._fetched(statement, month, first, last)]

    def _rows(self, month: str, condition: str, *values: Any) -> list[Row]:
        found = self._fetched(_READ + condition, month, *values)
        if any(type(one) is not kind for row in found[:1] for one, kind in zip(row, _TYPES, strict=True)):
            raise Broken("a column is not of its type")
        return cast(list[Row], found)

    def _fetched(self, statement: str, month: str, *values: Any) -> list[tuple[Any, ...]]:
        import duckdb

        try:
            with self._lock:
                if self._connection is None:
                    self._connection = _connected()
                cursor = self._connection.cursor()
            with cursor:
                return cursor.execute(statement, [str(self._folder / f"{month}.parquet"), *values]).fetchall()
        except (duckdb.Error, OSError, UnicodeDecodeError) as error:
            raise Broken(type(error).__name__) from error


def _connected(file: Path | None = None) -> duckdb.DuckDBPyConnection:
    import duckdb  # takes a while, and most commands read no sealed month

    quiet: dict[str, str | bool | int | float | list[str]] = {
        "autoinstall_known_extensions": False, "autoload_known_extensions": False, "threads": 2,
    }  # fmt: skip
    return duckdb.connect(str(file) if file else ":memory:", config=quiet)
