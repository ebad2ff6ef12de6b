"""Frames are kept small, come back as they were, and nothing else stands for them."""

from __future__ import annotations

import asyncio
import sqlite3
import zlib
from pathlib import Path

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit.compression import MOST, Compression, Dictionary, typical_of
from audit.ledger import LedgerUnavailable
from audit.store import NewFrame, Store
from tests.audit.frames import HASH, frame, node, open_ledger
from tests.audit.tampering import opened


class Shelf:
    """Dictionaries as a store keeps them."""

    def __init__(self) -> None:
        self.kept: list[Dictionary] = []

    def fetch(self) -> list[Dictionary]:
        return [*self.kept]

    def keep(self, content: bytes, version: str) -> Dictionary:
        self.kept.append(Dictionary(len(self.kept) + 1, content, version))
        return self.kept[-1]

    def compression(self) -> Compression:
        return Compression(self.fetch, self.keep)


def frames(count: int, document: str = "d" * 32, begin: int = 0) -> list[bytes]:
    """Frames of one document about a person each."""
    rules = tuple(f"SHARE/Register.item{number}/ADMINISTRATIVE_BASIS" for number in range(8))
    return [
        frame(
            f"o-{number}",
            node(HASH.of("Person", str(number)), "R" * 8, items=tuple(range(8)), rules=rules, case=f"N-{number}"),
            subject=f"clerk-{number}",
            document=document,
        ).encode()
        for number in range(begin, begin + count)
    ]


@given(st.lists(st.binary(max_size=3_000), max_size=20))
def test_any_bytes_come_back_as_they_were(content: list[bytes]) -> None:
    compression = Shelf().compression()
    packed = compression.pack(content)
    assert [compression.unpack(one) for one in packed] == content
    assert [compression.exact(one) for one in packed] == content


@given(st.integers(0, 10**9), st.integers(0, 7), st.sampled_from(["flip", "cut", "append", "head"]))
def test_no_other_bytes_stand_for_a_record(place: int, bit: int, how: str) -> None:
    compression = Shelf().compression()
    (original,) = frames(1)
    (stored,) = compression.pack([original])
    place %= len(stored)
    changed = {
        "flip": stored[:place] + bytes([stored[place] ^ 1 << bit]) + stored[place + 1 :],
        "cut": stored[:place],
        "append": stored + stored[:place] + b"\x00",
        "head": stored[place:],
    }[how]
    assert changed == stored or compression.exact(changed) != original


def test_the_same_record_compressed_otherwise_is_no_record() -> None:
    shelf = Shelf()
    compression = shelf.compression()
    (original,) = frames(1)
    (stored,) = compression.pack([original])
    other = zlib.compressobj(9, zlib.DEFLATED, -15, 9, zlib.Z_DEFAULT_STRATEGY, shelf.kept[0].content)
    forged = stored[:2] + other.compress(original) + other.flush()
    assert compression.unpack(forged) == original
    assert compression.exact(forged) == forged != stored


def test_another_release_of_zlib_may_have_chosen_other_bytes() -> None:
    shelf = Shelf()
    (original,) = frames(1)
    (stored,) = shelf.compression().pack([original])
    older = Dictionary(1, shelf.kept[0].content, "0.9")
    shelf.kept[0] = older
    compression = shelf.compression()
    assert compression.exact(stored) == original
    (again,) = compression.pack([original])
    assert again[:2] != stored[:2]  # what is packed now names a dictionary of the release that packs
    assert compression.exact(stored + b"\x00") == stored + b"\x00"


@pytest.mark.parametrize("stored", [None, 7, "text", b"", b"\x80", b"\xff\xff\x00", b"\x80\x01", b"\x80\x01\xff\xff"])
def test_what_is_no_frame_is_refused_and_stands_as_it_is(stored: object) -> None:
    compression = Shelf().compression()
    compression.pack([b"x"])
    assert compression.exact(stored) == stored
    with pytest.raises(ValueError, match=r"."):
        compression.unpack(stored)


def test_a_frame_that_would_fill_the_memory_is_not_unpacked() -> None:
    compression = Shelf().compression()
    head = compression.pack([b""])[0][:2]
    bomb = zlib.compressobj(9, zlib.DEFLATED, -15)
    stored = head + bomb.compress(bytes(MOST + 1)) + bomb.flush()
    assert len(stored) < 20_000
    assert compression.exact(stored) == stored
    with pytest.raises(ValueError, match="too long"):
        compression.unpack(stored)


def test_a_frame_that_could_not_be_read_again_is_refused_alone(tmp_path: Path) -> None:
    async def work() -> None:
        ledger = open_ledger(tmp_path)
        large, small = await asyncio.gather(
            ledger.append(1, "large", bytes(MOST + 1)), ledger.append(1, "small", b"{}"), return_exceptions=True
        )
        assert (type(large), small) == (LedgerUnavailable, None)
        assert ledger.head() == 1
        await ledger.close()

    asyncio.run(work())


# -- dictionaries --------------------------------------------------------------------------------------------------


def test_a_ledger_learns_to_say_what_is_common_in_few_bytes() -> None:
    shelf = Shelf()
    compression = shelf.compression()
    before = sum(map(len, compression.pack(frames(50))))
    compression.pack(frames(50))
    packed = compression.pack(frames(100))
    assert sum(map(len, packed)) < before
    assert [compression.unpack(one) for one in packed] == frames(100)


def test_what_was_packed_before_another_dictionary_is_still_read_by_others() -> None:
    shelf = Shelf()
    compression = shelf.compression()
    first = compression.pack(frames(3))
    compression.pack(frames(100))
    second = compression.pack(frames(3))
    assert first[0][:2] != second[0][:2]
    assert [shelf.compression().exact(one) for one in first + second] == frames(3) * 2


def test_a_dictionary_is_made_only_where_it_does_much_better() -> None:
    shelf = Shelf()
    compression = shelf.compression()
    for begin in range(0, 5_000, 100):
        compression.pack(frames(100, begin=begin))
    assert len(shelf.kept) == 2
    other = shelf.compression()
    other.pack(frames(1_000))
    assert len(shelf.kept) == 2


def test_a_dictionary_tells_of_no_operation() -> None:
    made = frames(64)
    typical = typical_of(made)
    assert b"SHARE/Register.item3" in typical
    for one in made:
        told = orjson.loads(one)
        for word in (
            told["operation"],
            told["subject"],
            told["nodes"][0]["case"],
            *told["nodes"][0]["groups"]["R" * 8],
        ):
            assert f'"{word}"'.encode() not in typical
    assert b"1780000000" not in typical


def test_frames_that_are_no_json_teach_nothing() -> None:
    assert typical_of([b"x", b"[]", b"{}", b'{"nodes": 7}', b'{"nodes": [7]}', b"null"]) == b""


# -- in a store ----------------------------------------------------------------------------------------------------


def filled(folder: Path) -> Store:
    store = opened(folder / "ledger.db")
    for number, one in enumerate(frames(64) * 4):  # one by one, so that some come before the ledger has learned
        store.append([NewFrame(1, str(number), one)])
    return store


def test_a_row_names_its_dictionary_and_the_store_keeps_it(tmp_path: Path) -> None:
    store = filled(tmp_path)
    assert [one.frame for one in store.read(0, 1_000)] == frames(64) * 4
    assert [row[3] for row in store.rows(0, 1_000)] == frames(64) * 4
    store.close()
    again = opened(tmp_path / "ledger.db")
    assert [one.frame for one in again.read(0, 1_000)] == frames(64) * 4
    again.close()
    connection = sqlite3.connect(tmp_path / "ledger.db")
    named = {row[0] for row in connection.execute("SELECT DISTINCT hex(substr(frame, 1, 2)) FROM frames")}
    assert named == {f"80{number:02X}" for (number,) in connection.execute("SELECT number FROM dictionaries")}
    connection.close()


@pytest.mark.parametrize("statement", ["DELETE FROM dictionaries", "UPDATE dictionaries SET content = zeroblob(100)"])
def test_a_changed_dictionary_is_a_finding_at_each_of_its_records(tmp_path: Path, statement: str) -> None:
    filled(tmp_path).close()
    connection = sqlite3.connect(tmp_path / "ledger.db")
    connection.execute(statement)
    connection.commit()
    connection.close()
    store = opened(tmp_path / "ledger.db")
    for row, original in zip(store.rows(0, 1_000), frames(64) * 4, strict=True):
        assert row[3] != original
    store.read(0, 1_000)
    store.close()


def test_a_plain_record_of_an_older_ledger_is_read(tmp_path: Path) -> None:
    store = filled(tmp_path)
    connection = sqlite3.connect(tmp_path / "ledger.db")
    connection.execute("UPDATE frames SET frame = ? WHERE seq = 2", (frames(64)[1],))
    connection.commit()
    connection.close()
    assert store.frames([2])[0].frame == store.rows(1, 1)[0][3] == frames(64)[1]
    store.close()
