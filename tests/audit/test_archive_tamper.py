"""Whoever changes a sealed month's file, its manifest, or what the store says of it, is found, and where he did it is told."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from random import Random
from typing import Any

import duckdb
import pytest
import sqlalchemy as sa

from audit.sealed import digest_of
from audit.verify import Report
from tests.audit.months import City, fill, frames_of
from tests.audit.store_places import store_url

COUNT = 560


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a ledger whose months are sealed under a witnessed checkpoint."""
    folder = tmp_path_factory.mktemp("sealed")
    with store_url("sqlite", folder) as url:
        city = City(url, folder)
        store = city.store()
        fill(store, frames_of(Random(1), COUNT))
        city.witnessed(store)
        city.seal(store)
        store.close()
    return folder


@pytest.fixture
def city(original: Path, tmp_path: Path) -> City:
    folder = tmp_path / "copy"
    shutil.copytree(original, folder)
    return City(sa.make_url(f"sqlite:///{folder / 'ledger.db'}"), folder)


def report(city: City) -> Report:
    with closing(city.store()) as store:
        return city.report(store)


def month_of(city: City, place: int) -> dict[str, Any]:
    """The manifest of the month that has this place."""
    for file in sorted(city.archive.glob("*.json")):
        manifest: dict[str, Any] = json.loads(file.read_text("utf8"))
        if manifest["first"] <= place <= manifest["last"]:
            return manifest
    raise AssertionError(place)


def rewritten(file: Path, *changes: str) -> None:
    """The Parquet file with its rows changed by these statements, in order of place."""
    new = file.with_suffix(".changed")
    with duckdb.connect() as connection:
        connection.execute(f"CREATE TABLE rows AS SELECT * FROM read_parquet('{file}')")
        for change in changes:
            connection.execute(change)
        connection.execute(f"COPY (SELECT * FROM rows ORDER BY place) TO '{new}' (FORMAT parquet)")
    new.replace(file)


def fitted(city: City, manifest: dict[str, Any]) -> None:
    """File, manifest and store made to agree with each other, as their owner can."""
    file = city.archive / manifest["file"]
    changed = manifest | {"sha256": digest_of(file), "size": file.stat().st_size}
    text = json.dumps(changed, ensure_ascii=False, indent=1) + "\n"
    (city.archive / f"{manifest['month']}.json").write_text(text, "utf8")
    with sqlite3.connect(city.folder / "ledger.db") as connection:
        connection.execute("UPDATE months SET manifest = ? WHERE month = ?", (text, manifest["month"]))


EDITS: dict[str, Callable[[int], tuple[str, ...]]] = {
    "a byte of a frame": lambda p: (f"UPDATE rows SET rest = encode(replace(decode(rest), 'clerk', 'thief')) WHERE place = {p}",),
    "a frame and its leaf": lambda p: (
        f"UPDATE rows SET rest = encode(replace(decode(rest), 'clerk', 'thief')) WHERE place = {p}",
        "UPDATE rows SET leaf = unhex(sha256('\\x00'::BLOB || encode('{\"operation\":\"' || operation || '\",\"at\":' || moment || ',') "
        f"|| rest)) WHERE place = {p}",
    ),
    "a leaf": lambda p: (f"UPDATE rows SET leaf = unhex(repeat('00', 32)) WHERE place = {p}",),
    "a leaf emptied": lambda p: (f"UPDATE rows SET leaf = ''::BLOB WHERE place = {p}",),
    "a moment": lambda p: (f"UPDATE rows SET moment = moment + 1 WHERE place = {p}",),
    "an operation": lambda p: (f"UPDATE rows SET operation = 'another' WHERE place = {p}",),
    "nothing where a frame was": lambda p: (f"UPDATE rows SET rest = NULL WHERE place = {p}",),
    "no operation": lambda p: (f"UPDATE rows SET operation = NULL WHERE place = {p}",),
    "a row removed": lambda p: (f"DELETE FROM rows WHERE place = {p}",),
    "a row doubled": lambda p: (f"INSERT INTO rows SELECT * FROM rows WHERE place = {p}",),
    "a column gone": lambda _: ("ALTER TABLE rows DROP leaf",),
    "frames as numbers": lambda _: ("ALTER TABLE rows ALTER rest TYPE INTEGER USING 1",),
    "frames as texts": lambda _: ("ALTER TABLE rows ALTER rest TYPE VARCHAR USING decode(rest)",),
}  # fmt: skip
LOCATED = {"a byte of a frame", "a leaf", "a leaf emptied", "a moment", "an operation"}


def test_what_nobody_changed_is_proven(city: City) -> None:
    found = report(city)
    assert (found.findings, found.records, found.proven) == ((), COUNT, COUNT)
    assert found.sealed >= 3


@pytest.mark.parametrize("agrees", [False, True], ids=["kept", "fitted"])
@pytest.mark.parametrize("name", EDITS)
def test_a_changed_file_is_found_and_located(city: City, name: str, agrees: bool) -> None:
    place = Random(name).randint(30, COUNT)
    manifest = month_of(city, place)
    rewritten(city.archive / manifest["file"], *EDITS[name](place))
    if agrees:
        fitted(city, manifest)
    found = report(city)
    told = f"{name} at {place}: {found}"
    assert any(one.first <= place <= one.last for one in found.findings), told
    assert all(manifest["first"] - 255 <= one.first for one in found.findings if one.code != "LEDGER_REWRITTEN"), told
    if name in LOCATED:
        assert any(one.first == place == one.last for one in found.findings), told
    if not agrees:
        assert {one.code for one in found.findings} & {"ARCHIVE_CHANGED", "ARCHIVE_MISSING"}, told


@pytest.mark.parametrize("seed", range(12))
def test_a_changed_byte_of_a_file_is_found(city: City, seed: int) -> None:
    chance = Random(seed)
    file = chance.choice(sorted(city.archive.glob("2026-0[123].*")))
    content = bytearray(file.read_bytes())
    content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
    file.write_bytes(content)
    found = {one.where for one in report(city).findings if one.code in ("ARCHIVE_CHANGED", "ARCHIVE_MISSING")}
    assert found == {f"{file.stem}.parquet"}


def test_what_is_gone_or_no_file_is_found(city: City) -> None:
    month = month_of(city, 300)
    file, manifest = city.archive / month["file"], city.archive / f"{month['month']}.json"
    for spoil in (file.unlink, lambda: file.write_bytes(b""), lambda: file.write_bytes(b"PAR1" * 9)):
        spoil()
        found = report(city)
        assert {(one.first, one.last) for one in found.findings} == {(month["first"], month["last"])}
        assert {one.code for one in found.findings} <= {"ARCHIVE_CHANGED", "ARCHIVE_MISSING"}
        assert found.proven == COUNT  # the month's subtrees stand for its records, so all the others are proven
    manifest.unlink()
    assert report(city).findings


@pytest.mark.parametrize(
    "change",
    [
        {"first": 2}, {"last": 10**6}, {"earliest": 0}, {"latest": 0}, {"subtrees": []}, {"before": ["AA=="]},
        {"after": []}, {"checkpoint": "x"}, {"file": "../ledger.db"}, {"month": "../x"}, {"hash": "md5"},
        {"format": "another"}, {"items": 1}, {"more": 1}, {"subtrees": "x"},
    ],
    ids=str,
)  # fmt: skip
def test_a_manifest_that_says_something_else_is_found(city: City, change: dict[str, Any]) -> None:
    month = month_of(city, 300)
    fitted(city, month | change | {"month": month["month"]} if "month" not in change else month)
    if "month" in change:
        text = json.dumps(month | change)
        with sqlite3.connect(city.folder / "ledger.db") as connection:
            connection.execute("UPDATE months SET manifest = ? WHERE month = ?", (text, month["month"]))
    assert {one.code for one in report(city).findings} & {"ARCHIVE_CHANGED", "ARCHIVE_MISSING"}, change


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM months WHERE first = (SELECT max(first) FROM months)", "DELETE FROM months WHERE first = 1",
        "DELETE FROM months", "UPDATE months SET last = last + 1 WHERE first = (SELECT max(first) FROM months)",
        "UPDATE months SET month = '../../etc' WHERE first = 1", "UPDATE months SET manifest = x'00' WHERE first = 1",
        "UPDATE months SET removal = 'x' WHERE first = 1", "UPDATE leaves SET hash = zeroblob(32)",
        "DELETE FROM nodes",
    ],
)  # fmt: skip
def test_what_the_store_says_of_months_is_checked(city: City, statement: str) -> None:
    with sqlite3.connect(city.folder / "ledger.db") as connection:
        assert connection.execute(statement).rowcount > 0
    assert report(city).findings
