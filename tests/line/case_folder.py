"""A case folder: what is asked, by whom, and what must come of it.

query.graphql   the document
variables.json  its variables; `{applicant}` and the like stand for the city's examples and the desk's cases (`desk.py`)
identity.json   role, department and subject of the caller; region, client, token where they matter
control.json    what departments have decided before (`decided.py`); absent where it is nothing
response.json   status and body, key order included
ledger.json     what the operation's frame keeps: outcome, fields, nodes; hashes by whose they are
plan.txt        the restricted plan: one line for each fetch
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any

from connectors.contract import CountRequest, FetchRequest, Request
from schema.formats import CHINA
from tests.line.desk import Desk

CASES = Path(__file__).parent / "cases"
RESULTS = ("response.json", "ledger.json", "plan.txt")
_VOLATILE = ("operationId", "fetchedAt", "cursor", "startCursor", "endCursor")
_HASH = re.compile(r"[0-9a-f]{6}:[0-9a-f]{32}")
_PERSON = re.compile(r"\d{17}[\dX]", re.ASCII)
_ID = re.compile(r"\b[GS]\d+\b", re.ASCII)


@dataclass(frozen=True)
class Asked:
    """The question of a case folder, placeholders filled in."""

    document: str
    variables: dict[str, Any]
    identity: dict[str, str]


def read_question(folder: Path, names: Mapping[str, str]) -> Asked:
    """The question in `folder`; KeyError for an unknown placeholder."""
    variables = json.loads((folder / "variables.json").read_text("utf8"))
    identity = json.loads((folder / "identity.json").read_text("utf8"))
    return Asked((folder / "query.graphql").read_text("utf8"), _filled(variables, names), identity)


def _filled(value: Any, names: Mapping[str, str]) -> Any:
    if isinstance(value, dict):
        return {key: _filled(one, names) for key, one in value.items()}
    if isinstance(value, list):
        return [_filled(one, names) for one in value]
    if isinstance(value, str) and value.startswith("{"):
        return names[value.strip("{}")]
    return value


def results(desk: Desk, asked: Asked, ids: Mapping[str, str] = MappingProxyType({})) -> dict[str, str]:
    """What really comes of the question, as the texts of `RESULTS`; `ids` are the names of grants and suspensions by their ids."""
    desk.fetches.clear()
    response = desk.service.post({"query": asked.document, "variables": asked.variables}, None, **asked.identity)
    whose = _Whose(desk, ids)
    frame = desk.service.frames()[-1]
    return {
        "response.json": _json({"status": response.status_code, "body": whose.named(response.json())}),
        "ledger.json": _json(whose.ledger(frame)),
        "plan.txt": "".join(sorted(f"{line}\n" for line in whose.plan())),
    }


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, indent=1) + "\n"


class _Whose:
    """Puts placeholders for identifiers, case numbers and hashes."""

    def __init__(self, desk: Desk, ids: Mapping[str, str]) -> None:
        self._desk = desk
        self._ids = ids
        self._names = {value: f"{{{name}}}" for name, value in desk.names.items()}
        hashes, entities = desk.service.rooms.line.recorder.hashes, desk.service.catalogue.entities
        self._hashes = {
            hashes.of(entity, value): f"{entity} {name}" for entity in entities for value, name in self._names.items()
        }
        self._coordinates = desk.service.rooms.ledger.coordinates()

    def named(self, value: Any, key: str = "") -> Any:
        """The answer with placeholders."""
        if isinstance(value, dict):
            return {name: self.named(one, name) for name, one in value.items()}
        if isinstance(value, list):
            return [self.named(one) for one in value]
        if key in _VOLATILE and isinstance(value, str):
            return f"{{{key}}}"
        return self._text(value) if isinstance(value, str) else value

    def _text(self, text: str) -> str:
        return self._names.get(text) or _ID.sub(lambda found: self._ids.get(found[0], found[0]), text)

    def ledger(self, frame: Mapping[str, Any]) -> dict[str, Any]:
        """What a frame keeps of its operation's questions, hashes replaced by whose they are."""
        return {
            "outcome": frame["outcome"],
            "fields": frame["fields"],
            "nodes": [self._node(node) for node in frame["nodes"]],
            "cases": [self._case(case) for case in frame["cases"]],
        }

    def _case(self, case: Mapping[str, Any]) -> dict[str, Any]:
        """A case as it was; of its times only whether it was closed."""
        return {
            "number": self.named(case["number"]),
            "service": case["service"],
            "closed": case["closed"] is not None,
            "subjects": [self._whose(one) for one in case["subjects"]],
        }

    def _node(self, node: Mapping[str, Any]) -> dict[str, Any]:
        items = [self._coordinates[number].partition(".")[2] for number in node["items"]]
        return {
            "path": node["path"],
            "resource": node["resource"],
            "subject": node["subject"],
            "purpose": node["purpose"],
            "case": self.named(node["case"]),
            "service": node["service"],
            **({"scenario": node["scenario"]} if node.get("scenario") else {}),
            "rules": self._rules(items, node["rules"]),
            "acts": node["acts"],
            "classes": node["classes"],
            **({"rows": node["rows"]} if node["rows"] else {}),
            "groups": {letters: [self._whose(one) for one in ones] for letters, ones in node["groups"].items()},
            **({"versions": _versions(node["versions"])} if node["versions"] else {}),
            "others": sorted(self._whose(one) for one in node["others"]),
        }

    def _rules(self, items: Sequence[str], rules: Sequence[str]) -> dict[str, Any]:
        """The rule of each item; of a search, one for each use of it."""
        found: dict[str, Any] = {}
        for item, rule in zip(items, map(self._text, rules), strict=True):
            found[item] = rule if item not in found else [*_listed(found[item]), rule]
        return found

    def _whose(self, hashed: str) -> str:
        if not hashed:
            return "nobody"
        assert _HASH.fullmatch(hashed)
        return self._hashes.get(hashed, "somebody else")

    def plan(self) -> Iterator[str]:
        """The fetches noted at the desk, one line each."""
        for department, request in self._desk.fetches:
            yield f"{department}: {_fetch_line(request, self._names)}"


def _versions(versions: Mapping[str, Sequence[Any]]) -> dict[str, Any]:
    """The versions of records as times in China; how many digests, where the source tells none."""

    def shown(version: Any) -> Any:
        if isinstance(version, list):
            return [shown(one) for one in version]
        if isinstance(version, int):
            return datetime.fromtimestamp(version / 1_000_000, CHINA).isoformat()
        return version and f"{len(version) / 11:g} digests"

    return {letters: [shown(one) for one in ones] for letters, ones in versions.items()}


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _fetch_line(request: Request, names: Mapping[str, str]) -> str:
    where = [f"{c.item} {c.operator} {_values(c.values, names)}" for c in request.where]
    name = request.resource.name
    if isinstance(request, FetchRequest):
        where.insert(0, f"{request.key} in {_values(request.keys, names)}")
    condition = f" where {' and '.join(where)}" if where else ""
    if isinstance(request, CountRequest):
        return f"{name}{condition} -> count"
    columns = f"{name}{condition} -> {', '.join(request.columns)}"
    if isinstance(request, FetchRequest):
        return columns
    order = ", ".join(f"{one.item} desc" if one.descending else one.item for one in request.order)
    return f"{columns} order {order} first {request.first}{' after' if request.after else ''}"


def _values(values: Sequence[Any], names: Mapping[str, str]) -> str:
    def shown(value: Any) -> str:
        kept = names.get(str(value), str(value))
        return "somebody else" if _PERSON.fullmatch(kept) else kept

    return f"({', '.join(sorted(map(shown, values)))})"
