"""A policy as a file: what is read back decides as what was written, and a file that is not whole is refused."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import orjson
import pytest

from app import catalogue_of
from policies.policy_file import PolicyFileError, read_policy, write_policy
from policies.rules import rules_from
from policies.snapshot import Snapshot
from settings import load_settings
from tests.policies.small import CATALOGUE
from tests.policies.worlds import random_questions, random_world
from tests.service import ROOT


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "policy.jsonl"


def test_the_shipped_catalogue_is_read_back_as_it_was(file: Path) -> None:
    catalogue = catalogue_of(load_settings(ROOT / "onesource.toml"))
    snapshot = Snapshot(catalogue, rules_from(catalogue))
    assert write_policy(file, snapshot) > 1_000
    read = read_policy(file)
    assert read.version == read.snapshot.version == snapshot.version
    assert read.snapshot.catalogue == catalogue


@pytest.mark.parametrize("seed", range(10))
def test_what_is_read_back_decides_as_what_was_written(file: Path, seed: int) -> None:
    world = random_world(seed)
    written = world.snapshot()
    write_policy(file, written)
    read = read_policy(file).snapshot
    assert read.version == written.version
    assert {name for name, rules in written.groups().items() if rules.share} == set(read.groups())
    for asked in random_questions(seed, world, 150):
        assert asked.of(read) == asked.of(written)


def test_one_policy_is_written_in_one_way(file: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.jsonl"
    write_policy(file, random_world(1).snapshot())
    write_policy(other, random_world(1).snapshot())
    assert file.read_bytes() == other.read_bytes()


def test_each_line_is_an_object_of_a_kind_and_the_first_names_the_version(file: Path) -> None:
    snapshot = random_world(2).snapshot()
    write_policy(file, snapshot)
    lines = [orjson.loads(line) for line in file.read_bytes().splitlines()]
    assert lines[0] == {"kind": "policy", "format": 1, "version": snapshot.version, "sequence": 1}
    assert {line["kind"] for line in lines} == {"policy", "catalogue", "text", "share", "basis", "end"}


def _without_end(content: bytes) -> bytes:
    return content[: content.rstrip(b"\n").rindex(b"\n") + 1]


def _without_a_line(content: bytes) -> bytes:
    lines = content.splitlines(keepends=True)
    return b"".join(lines[:5] + lines[6:])


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (_without_end, "not whole"),
        (_without_a_line, "was changed"),
        (lambda content: content.replace(b'"allow"', b'"deny"', 1), "was changed"),
        (lambda content: content[: len(content) // 2], "not JSON lines"),
        (lambda content: b"", "not JSON lines"),
        (lambda content: b"no policy\nat all\n", "not JSON lines"),
        (lambda content: b"[1]\n[2]\n", "not whole"),
    ],
)
def test_a_file_that_is_not_whole_is_refused(file: Path, harm: Callable[[bytes], bytes], said: str) -> None:
    write_policy(file, Snapshot(CATALOGUE, rules_from(CATALOGUE)))
    file.write_bytes(harm(file.read_bytes()))
    with pytest.raises(PolicyFileError, match=said):
        read_policy(file)


def test_rows_that_are_not_sound_are_refused_though_the_digest_is_right(file: Path) -> None:
    write_policy(file, Snapshot(CATALOGUE, rules_from(CATALOGUE)))
    lines = file.read_bytes().replace(b'"dept":"any"', b'"dept":"nowhere"').splitlines(keepends=True)[:-1]
    digest = hashlib.sha256(b"".join(lines)).hexdigest()
    file.write_bytes(b"".join(lines) + orjson.dumps({"kind": "end", "lines": len(lines), "sha256": digest}) + b"\n")
    with pytest.raises(PolicyFileError, match="POL109"):
        read_policy(file)
