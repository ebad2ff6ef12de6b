"""The deliveries of a folder: which there are, and how one is taken over whole or refused whole.

A delivery is copied, read strictly, and written into a database file of its own in which every value is a text, or bytes. Nothing of the
folder is read after that. Reasons of a refusal name lines and columns, never a value: they go to the log.
"""

from __future__ import annotations

import codecs
import csv
import os
import re
import stat
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import duckdb

ENDINGS = (".csv", ".parquet")
MARKER = ".ok"
_CHUNK = 1 << 20
_MAX_COLUMNS = 2_000
_LINE = re.compile(r"Line: (\d+)")
_NESTED = re.compile(r"\[|^(STRUCT|MAP|UNION|VARIANT)\b")
_BOM = "\ufeff"


class Refused(Exception):
    """A delivery is not taken; the reason is for the log, and holds no value."""


class Unfinished(Exception):
    """A delivery cannot be taken now: it is still written, or this machine lacks room for it."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """A file that somebody delivered, as it stood when it was seen: its inode, size in bytes, and last change in nanoseconds."""

    path: Path
    state: tuple[int, int, int]


def find(folder: Path, table: str, marked: bool) -> list[Delivery]:
    """The complete deliveries of a table, the best first: `<table>.csv`, `<table>.parquet`, or the last by name in the folder `<table>`.

    `marked`: complete is what a file of the same name and `.ok` says, written after it. Unfinished while none is complete; Refused
    where a table is delivered in two of these ways; OSError if the folder cannot be read.
    """
    folder.stat()
    if not table or table.startswith(".") or "/" in table or "\0" in table:
        return []  # no name of a file
    places = [place for ending in ENDINGS if (place := folder / (table + ending)).exists()]
    inner = folder / table
    if inner.is_dir() and not inner.is_symlink():
        places += [inner]
    if len(places) > 1:
        raise Refused(f"it stands at {len(places)} places: keep one of a CSV file, a Parquet file and a folder")
    if places == [inner]:
        names = sorted((name for name in os.listdir(inner) if _is_delivery(name)), reverse=True)
        places = [inner / name for name in names]
    found = [Delivery(place, _state(place.lstat())) for place in places if not marked or _is_marked(place)]
    if places and not found:
        raise Unfinished
    return found


def tables_in(folder: Path) -> list[str]:
    """The names of all tables that are delivered."""
    entries = [entry for entry in os.scandir(folder) if not entry.name.startswith(".")]
    names = {Path(one.name).stem for one in entries if _is_delivery(one.name)}
    return sorted(names | {one.name for one in entries if one.is_dir(follow_symlinks=False)})


def _is_delivery(name: str) -> bool:
    return name.endswith(ENDINGS) and not name.startswith(".")


def _is_marked(place: Path) -> bool:
    with suppress(OSError):
        return place.with_name(place.name + MARKER).lstat().st_mtime_ns >= place.lstat().st_mtime_ns
    return False


def _state(found: os.stat_result) -> tuple[int, int, int]:
    return found.st_ino, found.st_size, found.st_mtime_ns


def opened(private: Path, memory: int) -> duckdb.DuckDBPyConnection:
    """DuckDB on one thread and `memory` megabytes, which reaches nothing beyond the folder `private`."""
    options: dict[str, str | bool | int | float | list[str]] = {
        "threads": 1,
        "memory_limit": f"{memory}MB",
        "temp_directory": str(private / "beyond-memory"),
        "preserve_insertion_order": False,
        "autoload_known_extensions": False,
        "autoinstall_known_extensions": False,
    }
    made = duckdb.connect(":memory:", config=options)
    made.execute("SET GLOBAL TimeZone = 'UTC'")
    made.execute(f"SET allowed_directories = [{_text(str(private))}]")
    made.execute("SET enable_external_access = false")
    made.execute("SET lock_configuration = true")
    return made


def take(delivery: Delivery, encoding: str, database: duckdb.DuckDBPyConnection, file: Path) -> str:
    """Attach a delivery for reading, as the table `delivery` of the name that is returned; Refused or Unfinished if it is not taken.

    `encoding` is of CSV, `file` a new one in the database's private folder. Afterwards nothing of the delivery has a name on the disk:
    what is attached stays readable, and is gone whatever becomes of this process.
    """
    copy, name = file.with_suffix(delivery.path.suffix), f"d{file.stem}"
    try:
        lines = _copy(delivery, copy, encoding)
        source = f"read_parquet({_text(str(copy))}, hive_partitioning=false)" if lines is None else _csv_of(copy)
        database.execute(f"ATTACH {_text(str(file))} AS {name}")
        try:
            _fill(database, f"{name}.delivery", source, lines)
            database.execute(f"CHECKPOINT {name}")
        finally:
            database.execute(f"DETACH {name}")
        database.execute(f"ATTACH {_text(str(file))} AS {name} (READ_ONLY)")
    except (duckdb.IOException, duckdb.OutOfMemoryException, OSError) as error:
        raise Unfinished from error
    except duckdb.Error as error:
        line = _LINE.search(str(error))
        raise Refused(f"line {line[1]} is not as the others are" if line else "it cannot be read") from None
    finally:
        for one in (copy, file, file.with_suffix(".duckdb.wal")):
            one.unlink(missing_ok=True)
    return name


def _fill(database: duckdb.DuckDBPyConnection, table: str, source: str, lines: int | None) -> None:
    """Make a table of all that a source has; Refused where it has not as many rows as there are lines."""
    columns = _as_texts(database, source)
    database.execute(f"CREATE TABLE {table} AS SELECT {columns} FROM {source}")  # noqa: S608 - names are quoted
    (count,) = database.execute(f"SELECT count(*) FROM {table}").fetchone() or (0,)  # noqa: S608
    if lines is not None and count != lines:
        raise Refused(f"of {lines} lines {count} were read: a line is blank")


def _copy(delivery: Delivery, copy: Path, encoding: str) -> int | None:
    """Copy a delivery: CSV as UTF-8 with plain line ends, and then the number of its lines after the first."""
    handle = os.open(delivery.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(handle, "rb") as source:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise Refused("it is no plain file")
        with copy.open("xb") as target:
            if delivery.path.suffix == ".csv":
                lines = _write_csv(_decoded(source, encoding), target)
            else:
                lines = None
                while chunk := source.read(_CHUNK):
                    target.write(chunk)
        if _state(os.fstat(handle)) != delivery.state:
            raise Unfinished
    return lines


def _decoded(source: IO[bytes], encoding: str) -> Iterator[str]:
    """The text of a file, in pieces of which none ends between a carriage return and its line feed."""
    decoder = codecs.getincrementaldecoder(encoding)("strict")
    held, first = "", True
    while True:
        chunk = source.read(_CHUNK)
        if first and encoding != "utf-8" and chunk.startswith(codecs.BOM_UTF8):
            raise Refused(f"it is UTF-8, not {encoding}")
        try:
            text = held + decoder.decode(chunk, final=not chunk)
        except UnicodeDecodeError:
            raise Refused(f"it is not {encoding}") from None
        text, first = text.removeprefix(_BOM) if first else text, False
        held = "\r" if chunk and text.endswith("\r") else ""
        yield text.removesuffix("\r") if held else text
        if not chunk:
            return


def _write_csv(texts: Iterator[str], target: IO[bytes]) -> int:
    """Write a CSV with a line feed at the end of each line, and count its lines after the first.

    RFC 4180 to the letter, for readers differ on what breaks it: a quoted value is quoted as a whole. And the last line ends too.
    """
    quoted, lines, before = False, 0, "\n"
    for text in texts:
        parts = text.split('"')
        for number, part in enumerate(parts):
            if number:
                quoted = not quoted
                before = '"'
            if quoted:
                continue
            parts[number] = plain = part.replace("\r\n", "\n")
            if before == '"' and plain and plain[0] not in ",\n":
                raise Refused("a quote stands within a value")
            before = plain[-1] if plain else before
            if number + 1 < len(parts) and before not in ',\n"':
                raise Refused("a quote stands within a value")
            if "\r" in plain:
                raise Refused("a line ends with a carriage return alone")
            lines += plain.count("\n")
        target.write('"'.join(parts).encode())
    if quoted:
        raise Refused("a quote is not closed")
    if before != "\n" or not lines:
        raise Refused("its last line does not end: it is taken for half-written")
    return lines - 1


def _csv_of(copy: Path) -> str:
    """The table function that reads a CSV strictly, every value as a text: nothing is NULL, `""` the empty text."""
    with copy.open(encoding="utf-8", newline="") as text:
        try:
            names = next(csv.reader(text, strict=True), [])
        except csv.Error:
            raise Refused("its first line cannot be read") from None
    _require_names(names)
    columns = ", ".join(f"{_text(name)}: 'VARCHAR'" for name in names)
    return (
        f"read_csv({_text(str(copy))}, columns={{{columns}}}, auto_detect=false, header=true, delim=',', quote='\"', "
        "escape='\"', new_line='\\n', strict_mode=true, null_padding=false, ignore_errors=false, nullstr='', "
        f"allow_quoted_nulls=false, parallel=false, max_line_size={16 * _CHUNK})"
    )


def _require_names(names: Sequence[str]) -> None:
    if not names or not all(name.strip() and name.isprintable() for name in names):
        raise Refused("its first line does not name every column")
    if len({name.casefold() for name in names}) < len(names):
        raise Refused("two of its columns have one name")
    if len(names) > _MAX_COLUMNS:
        raise Refused(f"it has more than {_MAX_COLUMNS} columns")


def _as_texts(database: duckdb.DuckDBPyConnection, source: str) -> str:
    """The columns of a source, each as a text or as bytes; lists and structures are left out, so that they count as lost."""
    described = database.execute(f"DESCRIBE SELECT * FROM {source}").fetchall()  # noqa: S608 - names are quoted
    _require_names([name for name, *_ in described])
    plain = {name: kind for name, kind, *_ in described if not _NESTED.search(kind)}
    if not plain:
        raise Refused("it has no column of plain values")
    return ", ".join(_as_text(name_of(name), kind) for name, kind in plain.items())


def _as_text(name: str, kind: str) -> str:
    if kind in ("VARCHAR", "BLOB"):
        return name
    return f"CAST({f'CAST({name} AS INTEGER)' if kind == 'BOOLEAN' else name} AS VARCHAR) AS {name}"


def name_of(name: str) -> str:
    """A name as SQL writes it, quoted."""
    return '"' + name.replace('"', '""') + '"'


def _text(text: str) -> str:
    """A text as SQL writes it."""
    return "'" + text.replace("'", "''") + "'"
