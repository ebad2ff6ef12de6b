"""Removal of a month: only when it may go, on record before it takes effect, and everything else is proven as before."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from random import Random
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from audit.archive import ArchivedStore
from audit.frame import decode
from audit.hours import china_day
from audit.proof import ProofError, consistency, place_of, prove
from audit.questions import Question, RecordsOf, entries_of
from audit.records import Reader
from audit.sealing import ACT, Refused, kept_until, remove
from audit.statistics import patterns_of, uses_of
from audit.store import KeptMonth
from audit.verify_offline import parse_checkpoint
from schema.formats import CHINA
from tests.audit.months import City, fill, frames_of
from tests.audit.store_places import KINDS, store_url


@pytest.fixture(params=KINDS)
def city(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[City]:
    with store_url(request.param, tmp_path) as url:
        yield City(url, tmp_path)


@pytest.fixture
def store(city: City) -> Iterator[ArchivedStore]:
    opened = city.store()
    yield opened
    opened.close()


def sealed(city: City, store: ArchivedStore, count: int = 600, seed: int = 1) -> list[str]:
    """A ledger with sealed months; their names."""
    fill(store, frames_of(Random(seed), count))
    city.witnessed(store)
    return [one.month for one in city.seal(store)]


def answers(city: City, store: ArchivedStore, index: Any, after: str) -> list[Any]:
    """What an index tells: every disclosure, and the statistics of the months behind this one."""
    of, told = RecordsOf(Reader(store.coordinates())), list[Any]()
    with index._engine.connect() as connection:
        rows = entries_of(connection, Question(), 10_000)
        frames = {one.seq: one.frame for one in store.frames({row.seq for row in rows})}
        records = [of.record(row, frames[row.seq], Question()) for row in rows]
        told.append([(one.seq, one.entity, one.lines) for one in records])
        for month in (202512, 202601, 202602, 202603, 202604):
            months = month // 100 * 12 + month % 100 - int(after[:4]) * 12 - int(after[5:])
            if months > 1:  # the next month has counted some of the removed places
                told += [patterns_of(connection, index._ledger, month, "", 50), uses_of(connection, month)]
    return told


# -- what stays ----------------------------------------------------------------------------------------------------


def test_everything_else_is_proven_as_before(city: City, store: ArchivedStore) -> None:
    months = sealed(city, store)
    kept = store.last_checkpoint()
    assert kept
    older = parse_checkpoint(kept.text)
    gone = store.months()[:2]
    frames = {one.seq: one.frame for one in store.read(0, 9_999)}
    for number, month in enumerate(months[:2], 1):
        city.remove(store, month, number)
    note = city.witnessed(store)
    last, size = gone[-1].last, parse_checkpoint(note).size
    assert store.read(0, 9_999)[0].seq == last + 1
    assert [one.frame for one in store.read(last, 50)] == [frames[place] for place in range(last + 1, last + 51)]
    assert store.frames([1, last, last + 1])[0].seq == last + 1
    for place in (last + 1, last + 2, last + 200, 600, size):
        prove(store, city.hashing, place_of(store, str(place)), [city.witness.key])
    consistency(store, city.hashing, older.size, size)
    report = city.report(store)
    assert (report.findings, report.proven, report.removed, report.sealed) == (
        (),
        size,
        tuple(months[:2]),
        len(months) - 2,
    )
    with pytest.raises(ProofError, match="RECORD_REMOVED"):
        place_of(store, "7")


def test_the_index_forgets_what_a_rebuilt_one_would_not_know(city: City, store: ArchivedStore) -> None:
    months = sealed(city, store, 400, seed=2)
    index = city.index(store)
    for number, month in enumerate(months[:2], 1):
        city.remove(store, month, number)
        while index.advance():
            pass
        assert index._ledger.removed() == store.months()[number - 1]
        index.forget(store.months()[number - 1])
        assert answers(city, store, index, month) == answers(city, store, city.index(store, "anew"), month)


def test_a_removal_is_on_record_before_it_takes_effect(
    city: City, store: ArchivedStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    month = sealed(city, store, 100)[0]
    head = store.head()

    def stop(*_: object) -> None:
        raise InterruptedError

    monkeypatch.setattr(store, "keep_removal", stop)
    with pytest.raises(InterruptedError):
        city.remove(store, month)
    assert store.months()[0].removal == ""
    act = decode(store.read(head, 9)[0].frame)
    assert (act["operation"][-2:], act["outcome"], act["subject"]) == ("/1", "attempted", "archivist")
    assert [(node["path"], node["case"]) for node in act["nodes"]] == [(ACT, month)]


def test_an_interrupted_removal_is_finished(city: City, store: ArchivedStore) -> None:
    month = sealed(city, store, 100)[0]
    file = city.archive / f"{month}.parquet"
    content = file.read_bytes()
    city.remove(store, month)
    file.write_bytes(content)
    head = store.head()
    city.remove(store, month, 2)
    assert (file.exists(), store.head()) == (False, head)


def test_the_last_month_may_go_too(city: City, store: ArchivedStore) -> None:
    for number, month in enumerate(sealed(city, store, 256), 1):
        city.remove(store, month, number)
    city.witnessed(store)
    assert city.report(store).findings == ()
    assert store.head() == city.report(store).proven > 256


# -- what is refused -------------------------------------------------------------------------------------------------


def refused(city: City, store: ArchivedStore, month: str, **changes: Any) -> str:
    head = store.head()
    with pytest.raises(Refused) as told:
        remove(store, month, city.order(month, **changes))
    assert (store.head(), [one.removal for one in store.months() if one.removal]) == (head, [])
    return told.value.code


def test_removal_is_refused_in_every_wrong_state(city: City, store: ArchivedStore) -> None:
    fill(store, frames_of(Random(3), 300))
    city.witnessed(store)
    assert refused(city, store, "2026-01") == "MONTH_UNSEALED"
    first, second = [one.month for one in city.seal(store)][:2]
    assert refused(city, store, second) == "MONTH_NOT_OLDEST"
    assert refused(city, store, first, at=1_780_000_000_000_000) == "MONTH_RETAINED"
    assert refused(city, store, first, retention=1_200) == "MONTH_RETAINED"
    own = city.archive / f"{first}.parquet"
    wrong = city.folder / "wrong.parquet"
    wrong.write_bytes(own.read_bytes()[:-1])
    linked = city.folder / "linked.parquet"
    linked.symlink_to(own)
    for file in (own, linked, wrong, city.folder / "nowhere", city.folder, city.archive / f"{second}.parquet"):
        assert refused(city, store, first, exported=file) == "MONTH_NOT_EXPORTED"
    city.remove(store, first)


@given(st.integers(0, 4_000_000_000), st.integers(36, 1_200))
def test_no_record_goes_before_its_time(seconds: int, retention: int) -> None:
    then = datetime.fromtimestamp(seconds, CHINA)
    until = kept_until(seconds * 1_000_000, retention)
    assert china_day(seconds * 1_000_000) == (then.date() - datetime(1970, 1, 1).date()).days
    months = (until.year - then.year) * 12 + until.month - then.month
    assert (until.day, months) == (1, retention + 1)


# -- false tombstones ------------------------------------------------------------------------------------------------


def altered(city: City, **values: Any) -> None:
    """The oldest month's row as the store's owner would like it."""
    columns = ", ".join(f"{name} = :{name}" for name in values)
    with sa.create_engine(city.url).begin() as connection:
        changed = connection.execute(sa.text(f"UPDATE months SET {columns} WHERE first = 1"), values)
        assert changed.rowcount == 1


def findings(city: City) -> set[str]:
    other = city.store()
    try:
        return {one.code for one in city.report(other).findings}
    finally:
        other.close()


def told(kept: KeptMonth, **changes: Any) -> str:
    """The tombstone with its order's parts, or its own, changed."""
    tombstone = json.loads(kept.removal)
    order = json.loads(tombstone["order"])
    own = {name: value for name, value in changes.items() if name in tombstone}
    order |= {name: value for name, value in changes.items() if name not in tombstone}
    return json.dumps(tombstone | {"order": json.dumps(order, ensure_ascii=False, indent=1)} | own)


FALSE: list[dict[str, Any]] = [
    {"by": "somebody else"}, {"reason": "another"}, {"month": "2026-02"}, {"at": 1_600_000_000_000_000}, {"retention": 1},
    {"retention": 0}, {"at": "never"}, {"manifest": "0" * 64}, {"place": 1}, {"place": 10**9}, {"place": "x"},
    {"operation": "o-1"}, {"order": "{}"}, {"order": "no JSON"}, {"place": 2**70},
]  # fmt: skip


def test_a_tombstone_that_is_not_the_one_on_record_is_found(city: City, store: ArchivedStore) -> None:
    month = sealed(city, store, 120)[1]
    for number, one in enumerate([store.months()[0].month, month], 1):
        city.remove(store, one, number)
    city.witnessed(store)
    assert findings(city) == set()
    kept = store.months()[0]
    # the record of the first removal stands before nothing that was removed since: it is asked for, as the last one's
    for change in FALSE:
        altered(city, removal=told(kept, **change))
        assert findings(city) == {"REMOVAL_UNPROVEN"}, change
    for nonsense in ("{}", "x", "[]", '{"order": 1}'):
        altered(city, removal=nonsense)
        assert findings(city) == {"REMOVAL_UNPROVEN"}, nonsense
    altered(city, removal=kept.removal)
    assert findings(city) == set()


def test_hiding_a_month_behind_a_tombstone_is_found(city: City, store: ArchivedStore) -> None:
    sealed(city, store, 120)
    city.witnessed(store)
    content = json.dumps({"month": store.months()[0].month, "at": 2_000_000_000_000_000, "retention": 36})
    altered(city, removal=json.dumps({"order": content, "operation": "o-119", "place": 120}))
    assert findings(city) == {"REMOVAL_UNPROVEN"}


def test_what_stands_for_a_removed_month_must_lead_to_the_checkpoints(city: City, store: ArchivedStore) -> None:
    city.remove(store, sealed(city, store, 120)[0])
    city.witnessed(store)
    manifest = json.loads(store.months()[0].manifest)
    manifest["subtrees"][0] = "A" * 43 + "="
    altered(city, manifest=json.dumps(manifest))
    assert "LEDGER_REWRITTEN" in findings(city)
    altered(city, manifest="nothing")
    assert "ARCHIVE_CHANGED" in findings(city)
