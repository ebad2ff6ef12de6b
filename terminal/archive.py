"""`onesource audit seal | remove | months`: past months of the ledger, moved into the archive and in the end removed. Offline, from the settings."""

from __future__ import annotations

import getpass
import re
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Annotated

import sqlalchemy as sa
import typer
from rich.table import Table

from app import ledger_urls
from audit.archive import ArchivedStore
from audit.checkpoint import read_witness_key
from audit.index import Index
from audit.ledger import Ledger
from audit.merkle import TreeHash
from audit.sealed import Broken, manifest_of
from audit.sealing import Due, Order, Refused, Sealing, due, finish, kept_until, removable, seal, today
from audit.sealing import alone as alone_in
from audit.sealing import remove as remove_month
from schema.formats import CHINA
from settings import FILE, Settings
from terminal.client import UNREACHABLE, err, out, plain
from terminal.options import SettingsFile, settings_of, wrong
from terminal.proofs import fault, keys_of, opened_store

_Month = Annotated[str, typer.Argument(help="A month such as 2026-11.")]


def seal_months(
    month: Annotated[str, typer.Argument(help="Up to this month, such as 2026-11.")] = "",
    all_due: Annotated[bool, typer.Option("--due", help="Every month that is over.")] = False,
    settings: SettingsFile = Path(FILE),
) -> None:
    """Move past months into the archive: Parquet with a manifest, read back and proven before the live rows go.

    For a timer: `onesource audit seal --due`, once a day. What was interrupted is gone on with.
    """
    if bool(month) == all_due:
        raise wrong(["请给出月份或 --due: give a month or --due"])
    loaded = settings_of(settings)
    how = Sealing(
        TreeHash(loaded.ledger.hash), loaded.ledger.origin, keys_of(loaded.ledger.witnesses, read_witness_key)
    )
    with _archive(loaded) as store:
        with alone_in(_folder(loaded)):
            finish(store)
        for one in _due(store, month):
            manifest = seal(store, how, one)
            records = manifest.last - manifest.first + 1
            told = f"{one.month}: {manifest.first}–{manifest.last}, {records} 条记录 records, {manifest.size:,} bytes"
            out.print(f"[green]已封存 sealed[/] {told}", highlight=False)


def remove(
    month: _Month,
    exported_to: Annotated[Path, typer.Option(help="A copy of the month's file, elsewhere: it is compared.")],
    reason: Annotated[str, typer.Option(help="Why, for the record.")],
    by: Annotated[str, typer.Option(help="Who, for the record; default: the user of this terminal.")] = "",
    settings: SettingsFile = Path(FILE),
) -> None:
    """Remove the oldest sealed month once its time is over and a copy lies elsewhere. It is on record before it takes effect.

    A tombstone stays: with it every other record can be proven as before.
    """
    loaded = settings_of(settings)
    order = Order(
        by or getpass.getuser(), loaded.policy.supervisor, reason, exported_to, loaded.ledger.retention,
        time.time_ns() // 1_000, str(uuid.uuid4()),
    )  # fmt: skip
    with _archive(loaded) as store:
        removable(store, month, order)
        kept = remove_month(store, month, order)
        _forget(loaded, store, month)
    out.print(f"[green]已删除 removed[/] {month}: {kept.first}–{kept.last}", highlight=False)


def months(settings: SettingsFile = Path(FILE)) -> None:
    """Show the months of the archive: their records, their size, from when they may be removed, and which were."""
    loaded = settings_of(settings)
    table = Table(title="封存月份")
    for title in ("月份", "记录 records", "字节 bytes", "可删除 may go", "SHA-256"):
        table.add_column(title, overflow="fold")
    with _archive(loaded) as store:
        for kept in store.months():
            manifest = manifest_of(kept)
            until = kept_until(manifest.latest, loaded.ledger.retention).isoformat()
            cells = (f"{kept.first}–{kept.last}", f"{manifest.size:,}", "已删除 removed" if kept.removal else until)
            table.add_row(kept.month, *cells, manifest.sha256)
    out.print(table)


@contextmanager
def _archive(settings: Settings) -> Iterator[ArchivedStore]:
    """The store with its archive; exits with a sentence for what stands in the way."""
    import duckdb

    _folder(settings)
    with opened_store(settings) as store:
        try:
            yield store
        except Refused as refused:
            raise fault(refused.code, refused.more) from None
        except Broken:
            raise fault("ARCHIVE_MISSING") from None
        except (OSError, duckdb.Error) as error:
            raise wrong([f"ledger.archive: {type(error).__name__}"]) from None


def _folder(settings: Settings) -> Path:
    if settings.ledger.archive is None:
        raise wrong(["ledger.archive: 未设置 missing; name the folder for sealed months"])
    return settings.ledger.archive


def _due(store: ArchivedStore, month: str) -> list[Due]:
    """What is to be sealed, in order; through this month, or (empty) all that is over. Refused if the month is not among them."""
    if month and not re.fullmatch(r"[0-9]{4}-(0[1-9]|1[0-2])", month):
        raise wrong([f"{month}: 月份格式应如 2026-11, not a month such as 2026-11"])
    sealed = store.months()
    found = due(store.days(sealed[-1].last if sealed else 0), sealed, today(datetime.now(CHINA)))
    if not month:
        return found
    if month not in [one.month for one in found]:
        raise Refused("MONTH_NOT_DUE")
    return [one for one in found if one.month <= month]


def _forget(settings: Settings, store: ArchivedStore, month: str) -> None:
    """Let the index forget what it keeps of a removed month; without one there is nothing to forget."""
    url = ledger_urls(settings)[1]
    if url.get_backend_name() == "sqlite" and not Path(str(url.database)).is_file():
        return
    index = Index(url, Ledger(store, settings.ledger.timeout))
    try:
        index.prepare()
        index.forget(next(one for one in store.months() if one.month == month))
    except sa.exc.SQLAlchemyError:
        told = "索引暂不可用，请重新执行此命令 the index cannot be reached: run this again"
        err.print(plain(told), style="red")
        raise typer.Exit(UNREACHABLE) from None
