"""`onesource audit replay`: recorded operations decided again, from the ledger's store and without a running service."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table

from audit.store import Store, StoredFrame
from policies.archive import Archive
from resolvers.recorded import Difference, Replay, Replayed
from schema.formats import CHINA
from settings import FILE
from terminal.client import REFUSED, err, out, plain
from terminal.offline import policy_of
from terminal.options import SettingsFile, catalogue_in, settings_of, wrong
from terminal.proofs import opened_store

_WINDOW = 1_000
_MOST_SHOWN = 200
_LABEL = re.compile(rb'\{"operation":"[^"]{0,64}","at":(\d{1,18}),')
_REASONS = {
    "FORMAT": "记录为旧格式，缺少决定请求 an older frame, without the whole request",
    "UNREADABLE": "记录无法读取 the record cannot be read",
    "POLICY_MISSING": "策略存档缺失 its policy version is not kept",
    "POLICY_CHANGED": "策略存档已被改动 its policy version in the archive was changed",
}


@dataclass(slots=True)
class _Told:
    """What was found; of each kind at most so many are held to be shown."""

    operations: int = 0
    uses: int = 0
    different: int = 0
    today: int = 0
    undecided: dict[str, list[int]] = field(default_factory=dict)
    shown: list[tuple[Replayed, str, Difference]] = field(default_factory=list)

    def add(self, one: Replayed, as_json: bool) -> None:
        self.operations += 1
        self.uses += one.uses
        self.different += len(one.differences)
        self.today += len(one.refused_today)
        if one.undecided:
            self.undecided.setdefault(one.undecided.value, []).append(one.place)
        for kind, found in (("DIFFERENT", one.differences), ("REFUSED_TODAY", one.refused_today)):
            for difference in found:
                if as_json:
                    typer.echo(orjson.dumps(_json(one, kind, difference)).decode())
                elif len(self.shown) < _MOST_SHOWN:
                    self.shown.append((one, kind, difference))
        if one.undecided and as_json:
            said = {"kind": "UNDECIDED", "place": one.place, "operation": one.operation, "because": one.undecided}
            typer.echo(orjson.dumps(said | {"policy": one.policy}).decode())


def replay(
    operation: Annotated[str, typer.Option(help="This operation only.")] = "",
    since: Annotated[
        str, typer.Option("--from", help="From this time on: 2026-11-22 or 2026-11-22T09:00, China's time.")
    ] = "",
    until: Annotated[str, typer.Option(help="Before this time.")] = "",
    case: Annotated[str, typer.Option(help="Only under this acceptance number.")] = "",
    today: Annotated[
        bool, typer.Option("--today", help="Also what the policy in force now would refuse, and why.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line, for pipes.")] = False,
    settings: SettingsFile = Path(FILE),
) -> None:
    """Decide recorded operations again, each under the policy version that was in force, and report what comes out otherwise.

    With --today the policy of the settings' control database decides beside it, as of now, under the cases as they were then.

    Exit code 1 if anything comes out otherwise or cannot be decided again; what would be refused today is listed only.
    """
    loaded = settings_of(settings)
    begin, end = _micros(since, "--from", 0), _micros(until, "--until", 1 << 62)
    now = policy_of(loaded, catalogue_in(loaded)) if today else None
    told = _Told()
    with opened_store(loaded) as store, _progress(as_json) as progress:
        again = Replay(Archive(store), store.coordinates(), now, time.time())
        wanted = _operation(store, operation) if operation else _between(store, begin, end, progress)
        for stored in wanted:
            if not case or _names(stored, case):
                told.add(again.operation(stored), as_json)
    if as_json:
        typer.echo(orjson.dumps({"kind": "END", **_totals(told, today)}).decode())
    else:
        _show(told, today)
    if told.different or told.undecided:
        raise typer.Exit(REFUSED)


def _operation(store: Store, operation: str) -> Iterator[StoredFrame]:
    found = store.find(operation)
    if found is None:
        raise wrong([f"没有此操作 there is no such operation: {operation!r}"])
    yield found


def _between(store: Store, begin: int, end: int, progress: Progress) -> Iterator[StoredFrame]:
    """Every frame of that time, in the order of the ledger; one whose time cannot be read is not passed over."""
    head, after = store.head(), 0
    task = progress.add_task("重演 replay", total=head)
    while after < head and (page := store.read(after, _WINDOW)):
        for stored in page:
            label = _LABEL.match(stored.frame)
            if stored.seq <= head and (label is None or begin <= int(label[1]) < end):
                yield stored
        after = page[-1].seq
        progress.update(task, completed=min(after, head))


def _names(stored: StoredFrame, case: str) -> bool:
    """Whether a node of the frame stands under this case; a frame that cannot be read might."""
    if case.encode() not in stored.frame and orjson.dumps(case)[1:-1] not in stored.frame:
        return False
    try:
        return any(node["case"] == case for node in orjson.loads(stored.frame)["nodes"])
    except (ValueError, TypeError, KeyError):
        return True


def _micros(given: str, option: str, default: int) -> int:
    """A date or time of China as microseconds since 1970; exits with a sentence for what is none."""
    if not given:
        return default
    try:
        moment = datetime.fromisoformat(given)
    except ValueError:
        raise wrong([f"{option}: 写作 write it like 2026-11-22 或 or 2026-11-22T09:00"]) from None
    return int((moment if moment.tzinfo else moment.replace(tzinfo=CHINA)).timestamp() * 1_000_000)


def _progress(hidden: bool) -> Progress:
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn()
    return Progress(*columns, console=err, transient=True, disable=hidden or not err.is_terminal)


def _totals(told: _Told, today: bool) -> dict[str, Any]:
    undecided = {reason: len(places) for reason, places in told.undecided.items()}
    totals = {"operations": told.operations, "uses": told.uses, "different": told.different, "undecided": undecided}
    return totals | ({"refusedToday": told.today} if today else {})


def _json(one: Replayed, kind: str, found: Difference) -> Mapping[str, Any]:
    return {
        "kind": kind,
        "place": one.place,
        "operation": one.operation,
        "at": datetime.fromtimestamp(one.at / 1_000_000, UTC).isoformat(),
        "policy": one.policy,
        "path": found.path,
        "item": found.coordinate,
        "act": found.act,
        "subject": found.subject,
        "recorded": {"effect": found.recorded.effect, "rule": found.recorded.rule},
        "replayed": {"effect": found.replayed.effect, "rule": found.replayed.rule},
        "reason": found.reason.as_dict() if found.reason else None,
    }


def _show(told: _Told, today: bool) -> None:
    for kind, title in (("DIFFERENT", "决定不一致 decided otherwise"), ("REFUSED_TODAY", "今日将拒绝 refused today")):
        shown = [(one, found) for one, of_kind, found in told.shown if of_kind == kind]
        if shown:
            out.print(_table(title, shown))
    hidden = told.different + told.today - len(told.shown)
    if hidden:
        out.print(f"… {hidden} (--json)", highlight=False)
    for reason, places in told.undecided.items():
        some = ", ".join(map(str, places[:10])) + (" …" if len(places) > 10 else "")
        out.print(plain(f"✗ {len(places)} 条无法重演 not decided again: {_REASONS[reason]}: {some}"), style="red")
    numbers = f"{told.operations} 次操作 operations, {told.uses} 项决定 decisions"
    out.print(f"{numbers}, {told.different} 项不一致 different", highlight=False)
    if today:
        out.print(f"{told.today} 项今日将拒绝 would be refused today", highlight=False)


def _table(title: str, shown: list[tuple[Replayed, Difference]]) -> Table:
    table = Table(title=title)
    for column in (
        "记录",
        "操作 operation",
        "位置 path",
        "信息项 item",
        "记录的决定 recorded",
        "重演 replayed",
        "理由 reason",
    ):
        table.add_column(column, overflow="fold")
    for one, found in shown:
        item = f"{found.coordinate} {found.act} {found.subject}".strip()
        decided = (f"{both.effect} {both.rule}" for both in (found.recorded, found.replayed))
        reason = f"{found.reason.zh} {found.reason.en}" if found.reason else ""
        table.add_row(*map(plain, (str(one.place), one.operation, found.path, item, *decided, reason)))
    return table
