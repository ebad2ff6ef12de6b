"""What both kinds of store share: the tables beside the frames, and every question that SQL answers alike."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import pairwise
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from audit.compression import Compression, Dictionary
from audit.store import KeptCheckpoint, Leaf, Lease, LeaseLost, Node, StoredFrame, StoreUnavailable

_Number = sa.BigInteger().with_variant(sa.Integer, "sqlite")  # SQLite counts up INTEGER only

metadata = sa.MetaData()
items = sa.Table(
    "items",
    metadata,
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("coordinate", sa.String(255), nullable=False, unique=True),
    sqlite_autoincrement=True,
)
leaves_table = sa.Table(
    "leaves",
    metadata,
    sa.Column("position", _Number, primary_key=True, autoincrement=False),
    sa.Column("seq", sa.BigInteger, nullable=False),
    sa.Column("hash", sa.LargeBinary, nullable=False),
)
nodes_table = sa.Table(
    "nodes",
    metadata,
    sa.Column("level", sa.Integer, primary_key=True),
    sa.Column("index", sa.BigInteger, primary_key=True),
    sa.Column("hash", sa.LargeBinary, nullable=False),
    sqlite_with_rowid=False,
)
checkpoints_table = sa.Table(
    "checkpoints",
    metadata,
    sa.Column("number", _Number, primary_key=True),
    sa.Column("size", sa.BigInteger, nullable=False, index=True),
    sa.Column("text", sa.Text, nullable=False),
    sqlite_autoincrement=True,
)
dictionaries_table = sa.Table(
    "dictionaries",
    metadata,
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("content", sa.LargeBinary, nullable=False),
    sa.Column("zlib", sa.String(40), nullable=False),
    sqlite_autoincrement=True,
)
leases = sa.Table(
    "leases",
    metadata,
    sa.Column("name", sa.String(100), primary_key=True),
    sa.Column("holder", sa.String(200), nullable=False),
    sa.Column("until", sa.Double, nullable=False),
)
identities_table = sa.Table(
    "identities",
    metadata,
    sa.Column("hash", sa.String(50), primary_key=True),
    sa.Column("sealed", sa.LargeBinary, nullable=False),
)
parts_table = sa.Table(
    "policy_parts",
    metadata,
    sa.Column("digest", sa.String(32), primary_key=True),
    sa.Column("part", sa.LargeBinary, nullable=False),
)
frames_table = sa.table("frames", sa.column("seq"), sa.column("at"), sa.column("operation"), sa.column("frame"))
"""Each kind of store makes it in its own way."""
_FRAME = sa.select(frames_table.c.seq, frames_table.c.frame)
_LEAF = sa.select(leaves_table)
_CHUNK = 500
"""Values in one IN: far from the limits of both databases."""


class SqlStore:
    """The questions over `reading`; changes in one transaction each over `changing`."""

    def __init__(self, reading: sa.Engine, changing: sa.Engine) -> None:
        self._reading = reading
        self._changing = changing
        self._insert = postgresql.insert if changing.dialect.name == "postgresql" else sqlite.insert
        self._compression = Compression(self._dictionaries, self._keep_dictionary)

    def close(self) -> None:
        self._reading.dispose()
        self._changing.dispose()

    def _now(self) -> sa.ColumnElement[float]:
        """The time of the store's own clock, in seconds."""
        raise NotImplementedError

    def _ready(self) -> None:
        """StoreUnavailable if what is open is not the ledger any more."""

    @contextmanager
    def _read(self) -> Iterator[sa.Connection]:
        with unavailable(), self._reading.connect() as connection:
            yield connection

    @contextmanager
    def _change(self) -> Iterator[sa.Connection]:
        self._ready()
        with unavailable(), self._changing.begin() as connection:
            yield connection

    @contextmanager
    def _under(self, lease: Lease) -> Iterator[sa.Connection]:
        """A change that is made only if the lease is held. LeaseLost."""
        with self._change() as connection:
            held = sa.and_(leases.c.name == lease.name, leases.c.holder == lease.holder, leases.c.until > self._now())
            # writing first takes the lock, so that the lease cannot be lost before this is done
            if connection.execute(sa.update(leases).where(held).values(holder=lease.holder)).rowcount != 1:
                raise LeaseLost
            yield connection

    # -- frames ------------------------------------------------------------------------------------------------

    def read(self, after: int, limit: int) -> list[StoredFrame]:
        """Frames in order, from the one behind `after`."""
        return self._frames(_FRAME.where(frames_table.c.seq > after).order_by(frames_table.c.seq).limit(limit))

    def frames(self, places: Collection[int]) -> list[StoredFrame]:
        """The frames at these places, in order; a place without one is left out."""
        return self._frames(_FRAME.where(frames_table.c.seq.in_(places)).order_by(frames_table.c.seq))

    def find(self, operation: str) -> StoredFrame | None:
        """The frame of this operation."""
        return next(iter(self._frames(_FRAME.where(frames_table.c.operation == operation))), None)

    def _frames(self, wanted: sa.Select[Any]) -> list[StoredFrame]:
        with self._read() as connection:
            found = connection.execute(wanted).all()
        return [StoredFrame(seq, self._plain(stored)) for seq, stored in found]

    def _plain(self, stored: Any) -> bytes:
        """The frame of what is stored; where it is none, what stands there, so that every reader fails on it as an audit does."""
        try:
            return self._compression.unpack(stored)
        except ValueError:
            return bytes(stored) if isinstance(stored, bytes) else b""

    def rows(self, after: int, limit: int) -> list[tuple[Any, ...]]:
        """Place, moment, operation and frame as they stand in the store, in the order of places, whatever they are: what an audit compares.

        A frame that is not stored as it should be stands here as it is stored: it fits no leaf.
        """
        f = frames_table.c
        wanted = sa.select(f.seq, f.at, f.operation, f.frame).where(f.seq > after).order_by(f.seq).limit(limit)
        with self._read() as connection:
            found = connection.execute(wanted).all()
        return [(seq, at, operation, self._compression.exact(stored)) for seq, at, operation, stored in found]

    def _dictionaries(self) -> list[Dictionary]:
        with self._read() as connection:
            return [
                Dictionary(number, bytes(content), version)
                for number, content, version in connection.execute(sa.select(dictionaries_table))
            ]

    def _keep_dictionary(self, content: bytes, version: str) -> Dictionary:
        d = dictionaries_table.c
        with self._change() as connection:
            there = sa.select(d.number).where(d.content == content, d.zlib == version)
            if (number := connection.execute(there).scalar()) is None:
                kept = sa.insert(dictionaries_table).values(content=content, zlib=version).returning(d.number)
                number = int(connection.execute(kept).scalar_one())
        return Dictionary(number, content, version)

    def item_numbers(self, coordinates: Iterable[str]) -> Mapping[str, int]:
        """The permanent number of each coordinate; new ones get the next numbers, none is ever used again."""
        wanted = list(dict.fromkeys(coordinates))
        known = {coordinate: number for number, coordinate in self.coordinates().items()}
        if new := [{"coordinate": one} for one in wanted if one not in known]:
            with self._change() as connection:
                if connection.dialect.name == "postgresql":  # numbers become visible in their order, as checkpoints say
                    connection.exec_driver_sql("LOCK TABLE items IN SHARE ROW EXCLUSIVE MODE")
                connection.execute(self._insert(items).on_conflict_do_nothing(), new)
            known = {coordinate: number for number, coordinate in self.coordinates().items()}
        return {coordinate: known[coordinate] for coordinate in wanted}

    def coordinates(self) -> dict[int, str]:
        """The dictionary of items: permanent number to coordinate, of every catalogue version there ever was."""
        with self._read() as connection:
            return {row.number: row.coordinate for row in connection.execute(sa.select(items))}

    # -- whose hash it is --------------------------------------------------------------------------------------

    def keep_identities(self, sealed: Mapping[str, bytes]) -> None:
        """Return when what is sealed under each hash is durable; what is kept already stays as it is."""
        rows = [{"hash": one, "sealed": content} for one, content in sorted(sealed.items())]
        with self._change() as connection:
            connection.execute(self._insert(identities_table).on_conflict_do_nothing(), rows)

    def identity(self, hashed: str) -> bytes | None:
        """What is sealed under this hash; None if there is nothing."""
        i = identities_table.c
        with self._read() as connection:
            return connection.execute(sa.select(i.sealed).where(i.hash == hashed)).scalar_one_or_none()

    # -- the tree ----------------------------------------------------------------------------------------------

    def unintegrated(self, limit: int) -> list[StoredFrame]:
        """Frames without a leaf yet, in order of place."""
        with self._read() as connection:
            last = _last_leaf(connection)
        return self.read(last.seq if last else 0, limit)

    def integrate(self, lease: Lease, leaves: Sequence[Leaf], nodes: Sequence[Node] = ()) -> None:
        """Keep the next leaves and the nodes that they complete, all or none. LeaseLost, ValueError."""
        with self._under(lease) as connection:
            last = _last_leaf(connection) or Leaf(-1, 0, b"")
            for before, leaf in pairwise((last, *leaves)):
                if leaf.position != before.position + 1 or leaf.seq <= before.seq:
                    raise ValueError("the leaves do not continue the tree")
            if leaves:
                rows = [{"position": leaf.position, "seq": leaf.seq, "hash": leaf.hash} for leaf in leaves]
                connection.execute(sa.insert(leaves_table), rows)
            if nodes:
                rows = [{"level": node.level, "index": node.index, "hash": node.hash} for node in nodes]
                connection.execute(sa.insert(nodes_table), rows)

    def _check_lease(self, connection: sa.Connection, lease: Lease) -> None:
        """LeaseLost unless the lease is held; it cannot be lost any more before this transaction is done, for writing takes the lock."""
        held = sa.and_(leases.c.name == lease.name, leases.c.holder == lease.holder, leases.c.until > self._now())
        if connection.execute(sa.update(leases).where(held).values(holder=lease.holder)).rowcount != 1:
            raise LeaseLost

    def size(self) -> int:
        """How many leaves the tree has."""
        with self._read() as connection:
            last = _last_leaf(connection)
        return last.position + 1 if last else 0

    def leaf(self, position: int) -> Leaf | None:
        """The leaf at this position."""
        return next(iter(self._leaves(_LEAF.where(leaves_table.c.position == position))), None)

    def leaf_of(self, seq: int) -> Leaf | None:
        """The leaf of the frame at this place."""
        # places grow with positions and begin at 1, so the leaf stands at seq - 1, or before it where places are missing
        near = _LEAF.where(leaves_table.c.position < seq, leaves_table.c.seq <= seq)
        found = self._leaves(near.order_by(leaves_table.c.position.desc()).limit(1))
        return found[0] if found and found[0].seq == seq else None

    def leaves(self, begin: int, end: int) -> list[Leaf]:
        """The leaves from `begin` up to, not with, `end`, in order."""
        between = sa.and_(leaves_table.c.position >= begin, leaves_table.c.position < end)
        return self._leaves(_LEAF.where(between).order_by(leaves_table.c.position))

    def _leaves(self, wanted: sa.Select[Any]) -> list[Leaf]:
        with self._read() as connection:
            return [_leaf(*row) for row in connection.execute(wanted).all()]

    def nodes(self, wanted: Collection[tuple[int, int]]) -> dict[tuple[int, int], bytes]:
        """The hashes of these nodes by (level, index); one that is not kept is left out."""
        n = nodes_table.c
        by_level: dict[int, list[int]] = {}
        for level, index in wanted:
            by_level.setdefault(level, []).append(index)
        with self._read() as connection:
            return {
                (level, index): bytes(digest)
                for level, indexes in by_level.items()
                for index, digest in connection.execute(
                    sa.select(n.index, n.hash).where(n.level == level, n.index.in_(indexes))
                )
            }

    def keep_checkpoint(self, text: str, size: int = 0) -> int:
        """Return when the checkpoint of a tree of that size is durable: its number."""
        with self._change() as connection:
            kept = sa.insert(checkpoints_table).values(text=text, size=size).returning(checkpoints_table.c.number)
            return int(connection.execute(kept).scalar_one())

    def checkpoint_of(self, size: int) -> KeptCheckpoint | None:
        """The checkpoint of a size; of several (cosigned since), the one kept last."""
        c = checkpoints_table.c
        of_size = sa.select(c.number, c.text).where(c.size == size).order_by(c.number.desc()).limit(1)
        return next(iter(self._checkpoints(of_size)), None)

    def checkpoints(self, after: int, limit: int) -> list[KeptCheckpoint]:
        """Checkpoints in order, from the one behind the number `after`."""
        c = checkpoints_table.c
        return self._checkpoints(sa.select(c.number, c.text).where(c.number > after).order_by(c.number).limit(limit))

    def drop_checkpoints(self, lease: Lease, numbers: Collection[int]) -> None:
        """Let go of these checkpoints. LeaseLost if the lease is not held: then of none."""
        with self._change() as connection:
            self._check_lease(connection, lease)
            connection.execute(sa.delete(checkpoints_table).where(checkpoints_table.c.number.in_(numbers)))

    def last_checkpoint(self) -> KeptCheckpoint | None:
        """The checkpoint of the largest size; of several (cosigned since), the one kept last."""
        c = checkpoints_table.c
        newest = sa.select(c.number, c.text).order_by(c.size.desc(), c.number.desc()).limit(1)
        return next(iter(self._checkpoints(newest)), None)

    def _checkpoints(self, wanted: sa.Select[Any]) -> list[KeptCheckpoint]:
        with self._read() as connection:
            return [KeptCheckpoint(row.number, row.text) for row in connection.execute(wanted)]

    # -- policy versions ---------------------------------------------------------------------------------------

    def kept_parts(self, digests: Collection[str]) -> set[str]:
        """Those of these parts of policy versions that are kept."""
        return {digest for (digest,) in self._parts(digests, parts_table.c.digest)}

    def parts(self, digests: Collection[str]) -> Mapping[str, bytes]:
        """These parts as they were kept; one that is not is left out."""
        found = self._parts(digests, parts_table.c.digest, parts_table.c.part)
        return {digest: part if isinstance(part, bytes) else b"" for digest, part in found}

    def _parts(self, digests: Collection[str], *columns: sa.ColumnElement[Any]) -> Iterator[Any]:
        wanted = list(digests)
        with self._read() as connection:
            for start in range(0, len(wanted), _CHUNK):
                among = parts_table.c.digest.in_(wanted[start : start + _CHUNK])
                yield from connection.execute(sa.select(*columns).where(among)).all()

    def keep_parts(self, parts: Mapping[str, bytes]) -> None:
        """Return when all of these are durable, or none; one that is there already stays as it is."""
        rows = [{"digest": digest, "part": part} for digest, part in sorted(parts.items())]
        with self._change() as connection:
            connection.execute(self._insert(parts_table).on_conflict_do_nothing(), rows)

    # -- one at a time -----------------------------------------------------------------------------------------

    def hold(self, lease: Lease, seconds: float) -> bool:
        """Take or prolong the lease for so many seconds by the store's own clock; False while another holds it."""
        now = self._now()
        # a lease that ends later than any could was given before the clock was set back: it counts as run out
        # (twice as late, for one who asked at the same time may have got it while this one waited)
        free = sa.or_(leases.c.holder == lease.holder, leases.c.until <= now, leases.c.until > now + 2 * seconds)
        taken = sa.update(leases).where(leases.c.name == lease.name, free)
        first = self._insert(leases).on_conflict_do_nothing()
        with self._change() as connection:
            if connection.execute(taken.values(holder=lease.holder, until=now + seconds)).rowcount:
                return True
            row = {"name": lease.name, "holder": lease.holder, "until": now + seconds}
            return connection.execute(first.values(row).returning(leases.c.name)).first() is not None

    def release(self, lease: Lease) -> None:
        """Give the lease up, so that another need not wait for it to run out."""
        mine = sa.delete(leases).where(leases.c.name == lease.name, leases.c.holder == lease.holder)
        with self._change() as connection:
            connection.execute(mine)


@contextmanager
def unavailable() -> Iterator[None]:
    """Whatever a database may cause, as StoreUnavailable."""
    try:
        yield
    except (sa.exc.SQLAlchemyError, OSError, OverflowError) as error:
        raise StoreUnavailable from error


def _last_leaf(connection: sa.Connection) -> Leaf | None:
    row = connection.execute(_LEAF.order_by(leaves_table.c.position.desc()).limit(1)).first()
    return _leaf(*row) if row else None


def _leaf(position: int, seq: int, digest: Any) -> Leaf:
    return Leaf(position, seq, digest if isinstance(digest, bytes) else b"")  # SQLite's columns hold anything
