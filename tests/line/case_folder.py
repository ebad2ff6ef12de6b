"""A case folder: what is asked, by whom, and what must come of it.

query.graphql   the document
variables.json  its variables; `{applicant}` and the like stand for the city's examples and the desk's cases (`desk.py`)
identity.json   role, department and subject of the caller
response.json   status and body, key order included
ledger.json     what the operation's frame keeps: outcome, fields, nodes; hashes by whose they are
plan.txt        the restricted plan: one line for each fetch
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from connectors.contract import FetchRequest
from tests.line.desk import Desk

CASES = Path(__file__).parent / "cases"
RESULTS = ("response.json", "ledger.json", "plan.txt")
_VOLATILE = ("operationId", "fetchedAt")
_HASH = re.compile(r"[0-9a-f]{6}:[0-9a-f]{32}")


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


def results(desk: Desk, asked: Asked) -> dict[str, str]:
    """What really comes of the question, as the texts of `RESULTS`."""
    desk.fetches.clear()
    response = desk.service.post({"query": asked.document, "variables": asked.variables}, None, **asked.identity)
    whose = _Whose(desk)
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

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
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
        return self._names.get(value, value) if isinstance(value, str) else value

    def ledger(self, frame: Mapping[str, Any]) -> dict[str, Any]:
        """What a frame keeps of its operation's questions, hashes replaced by whose they are."""
        return {
            "outcome": frame["outcome"],
            "fields": frame["fields"],
            "nodes": [self._node(node) for node in frame["nodes"]],
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
            "rules": dict(zip(items, node["rules"], strict=True)),
            "groups": {letters: [self._whose(one) for one in ones] for letters, ones in node["groups"].items()},
            "others": sorted(self._whose(one) for one in node["others"]),
        }

    def _whose(self, hashed: str) -> str:
        assert _HASH.fullmatch(hashed)
        return self._hashes.get(hashed, "somebody else")

    def plan(self) -> Iterator[str]:
        """The fetches noted at the desk, one line each."""
        for department, request in self._desk.fetches:
            yield f"{department}: {_fetch_line(request, self._names)}"


def _fetch_line(request: FetchRequest, names: Mapping[str, str]) -> str:
    keys = ", ".join(sorted(names.get(key, "somebody else") for key in request.keys))
    return f"{request.resource.name} where {request.key} in ({keys}) -> {', '.join(request.columns)}"
