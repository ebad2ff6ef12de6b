"""A sealed and witnessed store, and an attacker who owns the store and the signing key, but not the last witnessed checkpoint."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

from audit.checkpoint import Signer, checkpoint_text, cosigned, read_signer, signed
from audit.compression import Compression, Dictionary
from audit.integrator import Integrator
from audit.merkle import TILE_HEIGHT, Frontier, TreeHash
from audit.store import NewFrame, Store
from audit.stores import store_at
from audit.verify import Report, Source, verify
from audit.verify_offline import parse_checkpoint
from tests.audit.frames import HASH, frame, node

ORIGIN = "ledger.example/one"
SHA = TreeHash()
SIZES = (40, 130, 257, 300, 420, 560)
WITNESSED, RECORDS = 420, 600
"""Sealed at `SIZES`; the last witnessed is the one of 420, and 40 records came after the last checkpoint."""


@dataclass(frozen=True)
class Sealed:
    """The store at `file`, its signer, its witness, and the witnessed checkpoint, which lies elsewhere."""

    file: Path
    signer: Signer
    witness: Signer
    anchor: str

    def report(self, file: Path) -> Report:
        """What the auditor, who has the witnessed checkpoint, is told of a store."""
        store = opened(file)
        try:
            return verify(store, SHA, ORIGIN, [self.signer.key], [self.witness.key], [Source(self.anchor, "anchor")])
        finally:
            store.close()


def opened(file: Path) -> Store:
    store = store_at(f"sqlite:///{file}", 5)
    store.open()
    return store


def record(number: int) -> NewFrame:
    """The record of a place: an operation of its own about a person of its own."""
    one = frame(f"o-{number}", node(HASH.of("Person", str(number))), at=1_800_000_000_000_000 + number)
    return NewFrame(one.at, one.operation, one.encode())


def key(folder: Path, name: str, called: str, witness: bool = False) -> Signer:
    (folder / name).write_bytes(name.encode().ljust(32, b"."))
    return read_signer(folder / name, called, witness)


def sealed_in(folder: Path) -> Sealed:
    """The store that everybody trusts, as an integrator left it."""
    signer, witness = key(folder, "log.key", ORIGIN), key(folder, "witness.key", "witness.example", witness=True)
    store = opened(folder / "ledger.db")
    store.item_numbers(["Register.name", "Register.address", "Tax.payer"])
    anchor = ""
    for size in SIZES:
        store.append([record(number) for number in range(store.head() + 1, size + 1)])
        one = Integrator(store, SHA, ORIGIN, signer, None, 60)
        one.advance(at_once=True)
        one._end()
        if size == WITNESSED:
            kept = store.last_checkpoint()
            assert kept
            anchor = cosigned(kept.text, witness, 1_800_000_000)
            store.keep_checkpoint(anchor, size)
    store.append([record(number) for number in range(store.head() + 1, RECORDS + 1)])
    store.close()
    return Sealed(folder / "ledger.db", signer, witness, anchor)


# -- the attacker ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Edit:
    """One change of the records: what it is, its first wrong record, and how it is made."""

    name: str
    first: int
    make: Callable[[sqlite3.Connection], None]


def edit_of_records(rng: Random) -> Edit:
    """A random change of what is on record."""
    place = rng.randint(1, RECORDS)
    other = rng.choice([n for n in range(1, RECORDS + 1) if n != place])
    kinds: Sequence[Edit] = (
        Edit("a byte changed", place, lambda c: _change_byte(c, place, rng)),
        Edit("a user changed", place, lambda c: _rewrite(c, place, b"clerk-01", b"clerk-99")),
        Edit("replaced", place, lambda c: _replace(c, place, record(10_000 + place))),
        Edit("removed", place, lambda c: _remove(c, place, close=False)),
        Edit("removed, the gap closed", place, lambda c: _remove(c, place, close=True)),
        Edit("two swapped", min(place, other), lambda c: _swap(c, place, other)),
        Edit("the tail cut off", place, lambda c: _run(c, "DELETE FROM frames WHERE seq >= ?", place)),
        Edit("the tail written anew", place, lambda c: _anew(c, place)),
        Edit("one inserted", place, lambda c: _insert(c, place)),
        Edit("a moment changed", place, lambda c: _run(c, "UPDATE frames SET at = at + 1 WHERE seq = ?", place)),
        Edit("another label", place, lambda c: _run(c, "UPDATE frames SET operation = 'x' WHERE seq = ?", place)),
        Edit("no bytes", place, lambda c: _run(c, "UPDATE frames SET frame = 'text' WHERE seq = ?", place)),
    )
    return rng.choice(kinds)


def edit_of_the_tree(rng: Random) -> Edit:
    """A random change of the tree's own tables; where it concerns no record, `first` is 0."""
    position, tile = rng.randint(0, SIZES[-1] - 1), rng.randint(0, 1)
    kinds: Sequence[Edit] = (
        Edit("leaf", position + 1, lambda c: _run(c, "UPDATE leaves SET hash = randomblob(32) WHERE position = ?", position)),
        Edit("leaf emptied", position + 1, lambda c: _run(c, "UPDATE leaves SET hash = '' WHERE position = ?", position)),
        Edit("leaf's place", position + 1, lambda c: _run(c, "UPDATE leaves SET seq = seq + 7 WHERE position = ?", position)),
        Edit("leaf removed", position + 1, lambda c: _run(c, "DELETE FROM leaves WHERE position = ?", position)),
        Edit("leaves cut off", position + 1, lambda c: _run(c, "DELETE FROM leaves WHERE position >= ?", position)),
        Edit("a leaf before all", 0, lambda c: _run(c, "INSERT INTO leaves VALUES (-1, -1, ?)", bytes(32))),
        Edit("node", tile * 256 + 1, lambda c: _run(c, 'UPDATE nodes SET hash = randomblob(32) WHERE "index" = ?', tile)),
        Edit("node removed", tile * 256 + 1, lambda c: _run(c, 'DELETE FROM nodes WHERE "index" = ?', tile)),
        Edit("an item renamed", 0, lambda c: _run(c, "UPDATE items SET coordinate = 'X.y' WHERE number = ?", 1 + tile)),
        Edit("an item removed", 0, lambda c: _run(c, "DELETE FROM items WHERE number = ?", 1 + tile)),
        Edit("a checkpoint changed", 0, lambda c: _run(c, "UPDATE checkpoints SET text = replace(text, '=', 'A') WHERE number = ?", 1 + tile)),
        Edit("a checkpoint emptied", 0, lambda c: _run(c, "UPDATE checkpoints SET text = x'00' WHERE number = ?", 1 + tile)),
    )  # fmt: skip
    return rng.choice(kinds)


def made(sealed: Sealed, edit: Edit, file: Path, tree: str) -> None:
    """A copy of the store with the edit; then its `tree` is left as it was, its `leaves` are fitted, or `all` is, and signed anew."""
    shutil.copy(sealed.file, file)
    connection = sqlite3.connect(file, isolation_level=None)
    connection.execute("PRAGMA synchronous=OFF")
    connection.create_function("plain", 1, plain(connection))
    connection.execute("BEGIN")
    edit.make(connection)
    if tree != "kept":
        _fit(connection, sealed.signer if tree == "all" else None)
    connection.execute("COMMIT")
    connection.close()


def _fit(connection: sqlite3.Connection, signer: Signer | None) -> None:
    """Leaves and nodes that fit the frames, and, with a signer, checkpoints that fit the leaves."""
    frontier, leaves, frame_of = Frontier(SHA), [], plain(connection)
    frames = connection.execute("SELECT frame FROM frames WHERE seq > 0 ORDER BY seq").fetchall()
    for position, (content,) in enumerate(frames[: SIZES[-1]]):
        digest = SHA.leaf(frame_of(content))
        frontier.append(digest)
        leaves.append((position, position + 1, digest))
        if signer and frontier.size in SIZES:
            _sign(connection, signer, frontier)
    connection.execute("DELETE FROM leaves")
    connection.executemany("INSERT INTO leaves VALUES (?, ?, ?)", leaves)
    connection.execute("DELETE FROM nodes")
    nodes = [(tile.level * TILE_HEIGHT, tile.place, tile.hash) for tile in frontier.tiles]
    connection.executemany("INSERT INTO nodes VALUES (?, ?, ?)", nodes)
    if signer:
        connection.execute("DELETE FROM checkpoints WHERE size > ?", (len(leaves),))


def _sign(connection: sqlite3.Connection, signer: Signer, frontier: Frontier) -> None:
    items = dict(connection.execute("SELECT number, coordinate FROM items").fetchall())
    note = signed(checkpoint_text(ORIGIN, frontier.size, frontier.root(), "sha256", items), signer)
    connection.execute("UPDATE checkpoints SET text = ? WHERE size = ?", (note, frontier.size))
    assert parse_checkpoint(note).size == frontier.size


def _run(connection: sqlite3.Connection, statement: str, *values: object) -> None:
    assert connection.execute(statement, values).rowcount > 0, statement


def _stored(connection: sqlite3.Connection, place: int) -> bytes:
    return bytes(connection.execute("SELECT frame FROM frames WHERE seq = ?", (place,)).fetchone()[0])


def plain(connection: sqlite3.Connection) -> Callable[[object], bytes]:
    """What makes a frame of what is stored; empty for what is none."""
    rows = connection.execute("SELECT number, content, zlib FROM dictionaries").fetchall()

    def keep(content: bytes, version: str) -> Dictionary:
        raise AssertionError("nothing is written")

    compression = Compression(lambda: [Dictionary(*row) for row in rows], keep)

    def unpacked(stored: object) -> bytes:
        try:
            return compression.unpack(stored)
        except ValueError:
            return b""

    return unpacked


def _frame(connection: sqlite3.Connection, place: int) -> bytes:
    return plain(connection)(_stored(connection, place))


def _change_byte(connection: sqlite3.Connection, place: int, rng: Random) -> None:
    """Of the record, or of the bytes that it is compressed to."""
    content = bytearray(rng.choice((_stored, _frame))(connection, place))
    content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
    _run(connection, "UPDATE frames SET frame = ? WHERE seq = ?", bytes(content), place)


def _rewrite(connection: sqlite3.Connection, place: int, old: bytes, new: bytes) -> None:
    content = _frame(connection, place)
    assert old in content
    _run(connection, "UPDATE frames SET frame = ? WHERE seq = ?", content.replace(old, new), place)


def _replace(connection: sqlite3.Connection, place: int, new: NewFrame) -> None:
    values = (new.at, new.operation, new.frame, place)
    _run(connection, "UPDATE frames SET at = ?, operation = ?, frame = ? WHERE seq = ?", *values)


def _remove(connection: sqlite3.Connection, place: int, close: bool) -> None:
    _run(connection, "DELETE FROM frames WHERE seq = ?", place)
    if close:
        connection.execute("UPDATE frames SET seq = -seq WHERE seq > ?", (place,))
        connection.execute("UPDATE frames SET seq = -seq - 1 WHERE seq < 0")


def _swap(connection: sqlite3.Connection, place: int, other: int) -> None:
    for old, new in ((place, -1), (other, place), (-1, other)):
        _run(connection, "UPDATE frames SET seq = ? WHERE seq = ?", new, old)


def _anew(connection: sqlite3.Connection, place: int) -> None:
    for number in range(place, RECORDS + 1):
        _replace(connection, number, record(10_000 + number))


def _insert(connection: sqlite3.Connection, place: int) -> None:
    connection.execute("UPDATE frames SET seq = -seq WHERE seq >= ?", (place,))
    connection.execute("UPDATE frames SET seq = -seq + 1 WHERE seq < 0")
    new = record(10_000)
    _run(connection, "INSERT INTO frames VALUES (?, ?, ?, ?)", place, new.at, new.operation, new.frame)


# -- the claim ---------------------------------------------------------------------------------------------------------


def check(sealed: Sealed, rng: Random, file: Path) -> str:
    """Make one random edit and check what is told of it; returns its name. AssertionError where it is not detected or not located."""
    tree = rng.choice(("kept", "leaves", "all"))
    edit = edit_of_the_tree(rng) if tree == "kept" and rng.random() < 0.4 else edit_of_records(rng)
    made(sealed, edit, file, tree)
    report = sealed.report(file)
    told = f"{edit.name} at {edit.first}, tree {tree}: {report}"
    assert report.proven in (0, WITNESSED), told
    if edit.first > WITNESSED and tree != "kept":
        # nobody can know, and nobody is told otherwise: what came after the last witnessed checkpoint is unproven
        assert report.proven == WITNESSED, told
        return edit.name
    beyond_every_checkpoint = edit.first > SIZES[-1]
    if not report.findings:
        assert beyond_every_checkpoint, told
        return edit.name
    if edit.first and not beyond_every_checkpoint:
        first = report.findings[0]
        assert first.first <= edit.first, told
        assert any(one.first <= edit.first <= one.last for one in report.findings), told
    return edit.name
