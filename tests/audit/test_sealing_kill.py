"""Sealing and removing may be cut off at any moment: nothing is lost, and the next run goes on."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from random import Random
from typing import Any

import pytest
import sqlalchemy as sa

import audit.sealing as sealing
from audit.archive import ArchivedStore
from audit.sealed import Writer
from tests.audit.month_trials import run_trials
from tests.audit.months import City, fill, frames_of
from tests.servers import MEMORY


@pytest.fixture
def memory(tmp_path: Path) -> Iterator[Path]:
    """A folder in memory: what is tried here waits for no disk."""
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else tmp_path) as folder:
        yield Path(folder)


@pytest.mark.parametrize(("kind", "count"), [("sqlite", 6), ("postgresql", 2)])
def test_a_killed_process_loses_nothing(kind: str, count: int, memory: Path) -> None:
    tally = run_trials(kind, count, memory)
    assert tally.wrong == []
    assert tally.killed >= count // 2


class CutOff(Exception):
    """The process ended here."""


STEPS = [
    (sealing, "_sync"), (Path, "replace"), (Path, "unlink"), (Writer, "add"), (Writer, "finish"), (sealing, "makes"),
    (ArchivedStore, "keep_month"), (ArchivedStore, "keep_removal"), (ArchivedStore, "drop_frames"),
    (ArchivedStore, "drop_leaves"), (ArchivedStore, "append"), (os, "fsync"),
]  # fmt: skip


def test_whatever_step_it_is_cut_off_at_nothing_is_lost_and_it_goes_on(
    memory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sealing two months and removing one is cut off before each of its steps in turn, and then done."""
    original = memory / "original"
    original.mkdir()
    with closing(_city(original).store()) as store:
        fill(store, [one for one in frames_of(Random(1), 90) if one.at > 1_767_225_600_000_000])
        _city(original).witnessed(store)
        frames = {one.seq: one.frame for one in store.read(0, 999)}
    cut = 0
    while True:
        folder = memory / str(cut)
        shutil.copytree(original, folder)
        steps = _Steps(cut)
        with monkeypatch.context() as patching:
            for owner, name in STEPS:
                patching.setattr(owner, name, steps.counted(getattr(owner, name)))
            with suppress(CutOff):
                _run(_city(folder))
        _check(_city(folder), frames)
        if steps.left >= 0:  # it was done before the step came
            break
        _run(_city(folder))
        _check(_city(folder), frames, done=True)
        cut += 1
    assert cut > 20


def _city(folder: Path) -> City:
    return City(sa.make_url(f"sqlite:///{folder / 'ledger.db'}"), folder)


class _Steps:
    """Counts steps, and ends the process before the one that is wanted."""

    def __init__(self, left: int) -> None:
        self.left = left

    def counted(self, step: Any) -> Any:
        def counted(*arguments: Any, **named: Any) -> Any:
            self.left -= 1
            if self.left == -1:
                raise CutOff
            return step(*arguments, **named)

        return counted


def _run(city: City) -> None:
    with closing(city.store()) as store:
        city.seal(store, most=2)
        city.remove(store, store.months()[0].month)


def _check(city: City, frames: dict[int, bytes], done: bool = False) -> None:
    with closing(city.store()) as store:
        removed = [one.last for one in store.months() if one.removal]
        there = {one.seq: one.frame for one in store.read(0, 999)}
        kept = {place: frame for place, frame in frames.items() if place > max(removed, default=0)}
        assert {place: there.get(place) for place in kept} == kept
        if done:
            assert city.report(store).findings == ()
            assert len(removed) == 1
            assert not [*city.archive.glob("*.new"), *city.archive.glob("*.duckdb*")]
            assert len(list(city.archive.glob("*.parquet"))) == len(store.months()) - 1
