"""A policy in force as a file: the catalogue that it stands on and all rows with their texts, as JSON lines.

The first line says what it is, the last one how many lines there are and their digest: a file that was cut or changed is refused. Read back, it decides
as the policy did that was written, masks included, whatever the catalogue is by then. It holds no data and no secret, but tells the sources' tables.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from datetime import date
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import orjson
from pydantic import TypeAdapter, ValidationError

from policies.control_values import rules_columns, rules_of
from policies.lint import RuleError
from policies.parts import waiting_columns, waiting_of
from policies.rules import BasisRow, Rules, ShareRow
from policies.snapshot import Snapshot
from schema.catalogue import Catalogue

FORMAT = 1
_COLUMNS: Mapping[str, Sequence[str]] = {"share": ShareRow._fields, "basis": BasisRow._fields}


class PolicyFileError(Exception):
    """The file is no whole exported policy; the message says what is wrong and in which line."""


@dataclass(frozen=True, slots=True)
class PolicyFile:
    """A policy that was read: `version` as it was written, `snapshot` as it decides here.

    They are of one version unless a release between has changed the models.
    """

    version: str
    snapshot: Snapshot


def write_policy(file: Path, snapshot: Snapshot) -> int:
    """Write the policy in force; returns the number of rows."""
    digest, rows, count = hashlib.sha256(), 0, 0
    with file.open("wb") as stream:
        for line in _lines(snapshot):
            encoded = orjson.dumps(line) + b"\n"
            digest.update(encoded)
            stream.write(encoded)
            rows += line["kind"] in _COLUMNS
            count += 1
        stream.write(orjson.dumps({"kind": "end", "lines": count, "sha256": digest.hexdigest()}) + b"\n")
    return rows


def _lines(snapshot: Snapshot) -> Iterator[dict[str, Any]]:
    yield {"kind": "policy", "format": FORMAT, "version": snapshot.version, "sequence": snapshot.sequence}
    yield {"kind": "catalogue", "catalogue": _plain(snapshot.catalogue)}
    for group, rules in {"": snapshot.base_rules, **snapshot.groups()}.items():
        written = rules_columns(rules)
        for text in written["texts"]:
            yield {"kind": "text", "group": group, **text}
        for kind, *values in written["rows"]:
            yield {"kind": kind, "group": group, **dict(zip(_COLUMNS[kind], values, strict=True))}
        for reason in waiting_columns(rules):
            yield {"kind": "waiting", "group": group, "reason": reason}


def _plain(value: Any) -> Any:
    """A value of the catalogue as JSON has it; sets in order, so that one catalogue is written in one way."""
    if is_dataclass(value):
        return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {str(name): _plain(one) for name, one in value.items()}
    if isinstance(value, frozenset):
        return sorted(map(_plain, value))
    if isinstance(value, tuple):
        return [_plain(one) for one in value]
    return value.isoformat() if isinstance(value, date) else value


def read_policy(file: Path) -> PolicyFile:
    """The policy in a file; PolicyFileError if it is not whole, OSError if it cannot be read."""
    lines = _whole(file)
    header = lines[0]
    if header.get("kind") != "policy" or header.get("format") != FORMAT:
        raise PolicyFileError(f"{file}:1 no exported policy of format {FORMAT}")
    groups: dict[str, dict[str, list[Any]]] = defaultdict(lambda: defaultdict(list))
    try:
        catalogue = TypeAdapter(Catalogue).validate_python(lines[1]["catalogue"])
        for line in lines[2:]:
            kind, group = line.pop("kind"), groups[line.pop("group")]
            if kind == "text":
                group["texts"].append(line)
            elif kind == "waiting":
                group["waiting"].append(line["reason"])
            else:
                group["rows"].append([kind, *(line[column] for column in _COLUMNS[kind])])
        rules = {name: _rules(group) for name, group in groups.items()}
        snapshot = Snapshot(catalogue, rules.pop("", Rules()))
        snapshot = snapshot.with_changes(rules, header["sequence"]) if header["sequence"] or rules else snapshot
    except (KeyError, TypeError, ValueError, ValidationError) as error:
        wrong = error.problems[0] if isinstance(error, RuleError) else type(error).__name__
        raise PolicyFileError(f"{file}: not an exported policy ({wrong})") from None
    return PolicyFile(header["version"], snapshot)


def _rules(group: Mapping[str, list[Any]]) -> Rules:
    read = rules_of(SimpleNamespace(rows=group["rows"], texts=group["texts"]))
    return replace(read, waiting=waiting_of(group["waiting"]))


def _whole(file: Path) -> list[dict[str, Any]]:
    """The lines but the last, which has their number and digest."""
    content = file.read_bytes()
    body, _, last = content.rstrip(b"\n").rpartition(b"\n")
    try:
        lines = [orjson.loads(line) for line in body.splitlines()]
        end = orjson.loads(last)
    except orjson.JSONDecodeError:
        raise PolicyFileError(f"{file}: not JSON lines") from None
    if not isinstance(end, dict) or end.get("kind") != "end" or not all(isinstance(line, dict) for line in lines):
        raise PolicyFileError(f"{file}:{len(lines) + 1} the end is missing: the file is not whole")
    if (
        end.get("lines") != len(lines)
        or end.get("sha256") != hashlib.sha256(body + b"\n").hexdigest()
        or len(lines) < 2
    ):
        raise PolicyFileError(f"{file}:{len(lines) + 1} the digest is of other lines: the file was changed")
    return lines
