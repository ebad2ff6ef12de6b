"""What departments have decided before a case folder's question is asked: `control.json`, put into the real control database.

grants        by name: department, provider, items (coordinate: granted or not), and what is not as in `_GRANT`
suspensions   by name: provider, and department, grant (a name of this file) or object; `lifted` if it is over
disablements  kind, name, department
rules         rows of a rule file; what a row does not name is any
used_up       [entity, identifier, coordinate]: who may not be verified any more
down          departments whose source does not answer
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from connectors.contract import Rows, SourceError
from connectors.memory import MemoryConnector
from policies.grants import (
    AgreementState,
    Decider,
    DisabledKind,
    Disablement,
    Grant,
    GrantItem,
    GrantState,
    Suspension,
)
from policies.rules import ANY, FIRST_TIME, LAST_TIME, Rules, RuleText, ShareRow
from schema.catalogue import Purpose, RowCondition, ShareMode
from schema.errors import Text
from tests.line.desk import Desk

CONTROL = "control.json"
_GRANT = {
    "purposes": ["ADMINISTRATIVE_BASIS"],
    "modes": ["ONLINE_QUERY"],
    "rows": [],
    "not_before": FIRST_TIME,
    "expires": LAST_TIME,
    "agreement": "VALID",
    "state": "GRANTED",
}
_RULE = dict.fromkeys(("dept", "role", "subject", "act", "channel", "purpose", "basis"), ANY) | {
    "nbf": FIRST_TIME,
    "exp": LAST_TIME,
    "rid": "RULE/local/1",
}
_PARTS = frozenset({"grants", "suspensions", "disablements", "rules", "used_up", "down"})


class Down(MemoryConnector):
    """A source that does not answer."""

    async def fetch(self, request: Any) -> Rows:
        raise SourceError("SOURCE_UNAVAILABLE")


@contextmanager
def decided(desk: Desk, folder: Path) -> Iterator[Mapping[str, str]]:
    """While it lasts, what `folder`'s control.json says is in force; yields the names of the ids that came of it."""
    file = folder / CONTROL
    said: dict[str, Any] = json.loads(file.read_text("utf8")) if file.exists() else {}
    assert set(said) <= _PARTS, said
    with ExitStack() as over:
        ids: dict[str, str] = {}
        for name, given in said.get("grants", {}).items():
            grant = _put_grant(desk, {**_GRANT, **given})
            ids[grant.id] = name
            over.callback(_end, desk, grant)
        for name, given in said.get("suspensions", {}).items():
            ids[_put_suspension(desk, given, {value: key for key, value in ids.items()}, over)] = name
        for one in said.get("disablements", ()):
            _disable(desk, one, over)
        if rows := said.get("rules"):
            _publish(desk, rows, over)
        for entity, who, coordinate in said.get("used_up", ()):
            _use_up(desk, entity, desk.names[who], coordinate)
        if down := said.get("down"):
            over.enter_context(desk.replaced(Down({}), *down))
        desk.run(desk.service.rooms.line.policy.refresh)
        yield ids
    forget_attempts(desk)
    desk.run(desk.service.rooms.line.policy.refresh)


def forget_attempts(desk: Desk) -> None:
    """Forget every attempt at verification."""
    with closing(sqlite3.connect(str(sa.make_url(desk.service.settings.control.url).database))) as control, control:
        control.execute("DELETE FROM attempts")


def _put_grant(desk: Desk, given: Mapping[str, Any]) -> Grant:
    applied = Grant(
        id="",
        department=given["department"],
        provider=given["provider"],
        items=tuple(GrantItem(one, "法定职权", granted) for one, granted in given["items"].items()),
        purposes=frozenset(map(Purpose, given["purposes"])),
        modes=frozenset(map(ShareMode, given["modes"])),
        scope="试",
        rows=frozenset(map(RowCondition, given["rows"])),
        not_before=given["not_before"],
        expires=given["expires"],
        agreement="试1号",
        agreement_state=AgreementState(given["agreement"]),
        state=GrantState.APPLIED,
        decided_by=Decider.PROVIDER,
        document="试函1号",
    )
    control = desk.service.rooms.line.control
    applied = desk.run(control.apply, applied)
    return desk.run(control.change, replace(applied, state=GrantState(given["state"])), applied)


def _end(desk: Desk, grant: Grant) -> None:
    if grant.state is not GrantState.ENDED:
        desk.run(desk.service.rooms.line.control.change, replace(grant, state=GrantState.ENDED), grant)


def _put_suspension(desk: Desk, given: Mapping[str, Any], grants: Mapping[str, str], over: ExitStack) -> str:
    control = desk.service.rooms.line.control
    suspension = desk.run(
        control.suspend,
        Suspension(
            id="",
            provider=given["provider"],
            department=given.get("department", ""),
            grant=grants.get(given.get("grant", ""), ""),
            object=given.get("object", ""),
            reason="试停",
            by="officer-01",
            at=time.time_ns() // 1000,
        ),
    )
    if given.get("lifted"):
        desk.run(control.lift, suspension.id, time.time_ns() // 1000)
    over.callback(desk.run, control.lift, suspension.id, time.time_ns() // 1000)
    return suspension.id


def _disable(desk: Desk, given: Mapping[str, str], over: ExitStack) -> None:
    control = desk.service.rooms.line.control
    kind, name, department = DisabledKind(given["kind"]), given["name"], given.get("department", "")
    desk.run(control.disable, Disablement(kind, name, department, "试停", "officer-01", time.time_ns() // 1000))
    over.callback(desk.run, control.enable, kind, name, department)


def _publish(desk: Desk, rows: Sequence[Mapping[str, str]], over: ExitStack) -> None:
    control = desk.service.rooms.line.control
    text = RuleText("RULE/local/1", "试行办法第一条", Text("by a local rule", "依地方规定"))
    desk.run(control.publish, "local", Rules(tuple(ShareRow(**{**_RULE, **row}) for row in rows), (), {text.rid: text}))
    over.callback(desk.run, control.publish, "local", Rules())


def _use_up(desk: Desk, entity: str, identifier: str, coordinate: str) -> None:
    line, now = desk.service.rooms.line, time.time()
    pair = (line.recorder.hashes.of(entity, identifier), coordinate)
    for _ in range(line.terms.verify_attempts):
        assert desk.run(line.control.take, "housing", [pair], now, now - 1, line.terms.verify_attempts)
