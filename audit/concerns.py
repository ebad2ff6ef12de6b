"""What a record tells each data subject about whom it concerns: the entry of the person's own list.

An entry says which department asked, when, for which matter, which of the person's own items, with which outcome under which rule: also
what was denied, used to choose, or not there. It does not say who the clerk was, nor what was told of others in the same operation:
somebody who was merely named there reads in whose kind of record, and no item. An acceptance number is told to the subjects of that case
alone; anybody else would learn of another's case.

Entries are chained and committed (`audit.subjects`), so what this file makes of a record may never change: what a later version of
frames adds belongs behind a new `version`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import orjson

from audit.frame import decode

_SUBJECT = re.compile("[0-9a-f]{6}:[0-9a-f]{32}")
_MATTER = ("purpose", "service", "scenario")


def concerned(place: int, frame: bytes, names: Mapping[int, str]) -> dict[str, str]:
    """The entry (JSON) of everybody whom the record at this place concerns, by keyed hash; a record that cannot be read concerns nobody.

    `names` is the dictionary of items, as new as the record.
    """
    try:
        told = decode(frame)
        acts: dict[str, list[dict[str, Any]]] = {}
        for node in told["nodes"]:
            for subject, act in _acts(node, names):
                mine = acts.setdefault(subject, [])
                same = next((one for one in mine if {**one, "records": 1} == act), None)
                if same:
                    same["records"] += 1
                else:
                    mine.append(act)
        about = {"place": place} | {name: told[name] for name in ("at", "department", "role", "channel", "outcome")}
        return {subject: orjson.dumps(about | {"acts": mine}).decode() for subject, mine in acts.items()}
    except (ValueError, TypeError, KeyError, AttributeError):
        return {}


def _acts(node: Mapping[str, Any], names: Mapping[int, str]) -> list[tuple[str, dict[str, Any]]]:
    """Whom a node concerns, and how, once for each record."""
    about = {"resource": node["resource"], "subject": node["subject"]} | {
        name: value for name in _MATTER if (value := node.get(name, ""))
    }
    items = [names.get(number, str(number)).partition(".")[2] for number in node["items"]]
    found = []
    for outcomes, subjects in node["groups"].items():
        act = about | _case_of(node) | {"items": items, "outcomes": outcomes, "rules": node["rules"], "records": 1}
        found += [(subject, act.copy()) for subject in subjects if _SUBJECT.fullmatch(subject)]
    for subject in dict.fromkeys(node["others"]):
        act = about | ({} if node["groups"] else {"act": node["path"]} | _case_of(node)) | {"records": 1}
        if _SUBJECT.fullmatch(subject):
            found.append((subject, act))
    return found


def _case_of(node: Mapping[str, Any]) -> dict[str, str]:
    """The acceptance number, where whom the node concerns is a subject of that case."""
    own = node["subject"] == "SUBJECT" and not any(rule.startswith("DENY/CASE/") for rule in node["rules"])
    return {"case": node["case"]} if node["case"] and (own or node["resource"] == "Case") else {}
