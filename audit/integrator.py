"""Sequences the ledger's frames into its tree and seals it: a signed checkpoint about once a second when there is something new.

Every process has an integrator, one of them at a time works, by a lease of the store. All of it happens on a thread of its own, behind
the appends: nothing is signed while a lock is held, and no answer waits. A checkpoint is signed, then exported, then kept: so what the
store keeps has been exported. An integrator never signs a tree that does not continue what it finds kept or exported.

Beside it, on a thread of its own and under the same lease, the map of data subjects is kept (`audit.subjects`); each checkpoint says
what the last whole version of it is.

What fails is told (`state`) and tried again. If records stay unsealed for longer than `tolerance` seconds, for whatever reason and in
whatever process, `overdue` says so, and the ledger takes no more until they are sealed.
"""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from audit.checkpoint import Signer, SigningFailed, checkpoint_text, signed
from audit.merkle import TILE_HEIGHT, Frontier, HashesMissing, Tree, TreeHash
from audit.store import Leaf, Lease, LeaseLost, Node, Store, StoreUnavailable
from audit.subjects import Subjects, told_of
from audit.thinning import thin
from audit.verify_offline import Checkpoint, parse_checkpoint
from schema.errors import wordless

_LOG = logging.getLogger("onesource.ledger")
_PAUSE = 0.4
"""Seconds between two looks for new frames."""
_SEAL_EVERY = 1.0
_LEASE_SECONDS = 6.0
_RENEW_SECONDS = 2.0
_THIN_FIRST, _THIN_EVERY = 60.0, 3600.0
"""Seconds after which kept checkpoints are thinned for the first time, and between two times."""
_BATCH = 2_000
_SUFFIX = ".checkpoint"
LATEST = "latest" + _SUFFIX


class Contradiction(Exception):
    """The store contradicts itself or what was exported: nothing may be signed. `because` is a word for `State`."""

    def __init__(self, because: str) -> None:
        super().__init__(because)
        self.because = because


@dataclass(frozen=True, slots=True)
class State:
    """How far sealing is. `because` is empty, or what stands in the way: one of

    `store`, `signer`, `export`: it failed, and is tried again;
    `foreign` (a checkpoint of another origin), `forked` (one that these records do not lead to), `truncated` (fewer records than one
    has), `gap` (a record is missing), `tree` (hashes are missing): nothing is signed before somebody has looked into it.
    """

    recorded: int = 0
    sealed: int = 0
    because: str = ""


def tree_of(store: Store, hashing: TreeHash) -> Tree:
    """The tree as this store keeps it."""

    def read(level: int, start: int, end: int) -> list[bytes]:
        if level == 0:
            return [leaf.hash for leaf in store.leaves(start, end)]
        height = level * TILE_HEIGHT
        found = store.nodes([(height, index) for index in range(start, end)])
        return [found[height, index] for index in range(start, end) if (height, index) in found]

    return Tree(hashing, read)


class Integrator:
    """The integrator of one process. `export` is a folder that somebody else guards, or None; `every` is how many seconds lie between
    two commitments to the map of data subjects."""

    def __init__(
        self,
        store: Store,
        hashing: TreeHash,
        origin: str,
        signer: Signer,
        export: Path | None,
        tolerance: float,
        every: float = 60.0,
    ) -> None:
        self._store = store
        self._hashing = hashing
        self._tree = tree_of(store, hashing)
        self._origin = origin
        self._signer = signer
        self._export = export
        self._tolerance = tolerance
        self._lease = Lease("integrator", secrets.token_hex(16))
        self.subjects = Subjects(store, hashing, self._lease, every)
        self._held_until = self._ask_again = self._sealed_at = float("-inf")
        self._frontier: Frontier | None = None
        self._thinning: Iterator[None] | None = None
        self._thin_at = time.monotonic() + _THIN_FIRST
        self._target = 0
        self._since: float | None = None
        self._passed = time.monotonic()
        self._running: list[asyncio.Task[None]] = []
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="integrator")
        self._mapping = ThreadPoolExecutor(1, thread_name_prefix="subjects")
        self.state = State()

    def open(self) -> None:
        """Begin to work."""
        self._passed = time.monotonic()
        work = (self._run(self._thread, self.advance), self._run(self._mapping, self.subjects.advance))
        self._running = [asyncio.get_running_loop().create_task(one) for one in work]

    async def close(self) -> None:
        """Seal what is there, if it can be done, and let another work."""
        self.subjects.stop()
        if self._running:
            for one in self._running:
                one.cancel()
            await asyncio.wait(self._running)
            await asyncio.get_running_loop().run_in_executor(self._mapping, lambda: None)
            await asyncio.get_running_loop().run_in_executor(self._thread, self._end)
        self._mapping.shutdown(wait=True)
        self._thread.shutdown(wait=True)

    def overdue(self) -> bool:
        """Whether records have been unsealed for too long, or nobody has looked for so long."""
        now = time.monotonic()
        waiting = self._since if self._since is not None else now
        return now - min(waiting, self._passed) > self._tolerance

    async def _run(self, thread: ThreadPoolExecutor, advance: Callable[[], None]) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await loop.run_in_executor(thread, advance)
            await asyncio.sleep(_PAUSE)

    def _end(self) -> None:
        self.advance(at_once=True)
        with suppress(StoreUnavailable):  # it runs out by itself
            self._store.release(self._lease)

    def advance(self, at_once: bool = False) -> None:
        """Do what there is to do; `at_once` seals without waiting for the second to pass. Blocks; raises nothing."""
        because = ""
        try:
            self._advance(at_once)
            self._thin()
        except LeaseLost:
            self._forget()
        except Contradiction as contradiction:
            because = contradiction.because
        except HashesMissing:
            because = "tree"
        except SigningFailed:
            because = "signer"
        except OSError:
            because = "export"
        except Exception as error:
            if not isinstance(error, StoreUnavailable):
                _LOG.error("integrator: %s", wordless(error))
            because = "store"
        if because:
            self._forget()
            if self._since is None:
                self._since = time.monotonic()
        self._tell(because)
        self._passed = time.monotonic()

    def _tell(self, because: str) -> None:
        if because != self.state.because:
            if because:
                _LOG.error("records cannot be sealed: %s (sealed through %d)", because, self.state.sealed)
            else:
                _LOG.warning("records are sealed again, through %d", self.state.sealed)
        self.state = State(self.state.recorded, self.state.sealed, because)

    def _forget(self) -> None:
        """Begin from what the store says, next time."""
        self._frontier = self._thinning = None
        self._held_until = float("-inf")

    def _advance(self, at_once: bool) -> None:
        kept = self._kept()
        recorded, sealed = self._store.head(), kept.size if kept else 0
        self.state = State(recorded, sealed, self.state.because)
        self._count(recorded, sealed)
        if recorded == sealed and self._frontier is not None and not self.subjects.waiting:
            return
        if not self._hold():
            return
        if self._frontier is None:
            self._frontier = self._resumed(kept)
        self._sequence(self._frontier)
        new = self._frontier.size > sealed or self.subjects.waiting
        if new and (at_once or time.monotonic() - self._sealed_at >= _SEAL_EVERY):
            self._seal(self._frontier, again=self._frontier.size == sealed)
            self._count(recorded, self._frontier.size)
            self.state = State(recorded, self._frontier.size, self.state.because)

    def _thin(self) -> None:
        """Go on letting go of old checkpoints, a page at a time, so that sealing goes on too."""
        now = time.monotonic()
        if self._thinning is None and now >= self._thin_at:
            self._thin_at = now + _THIN_EVERY
            self._thinning = thin(self._store, self._tree, self._lease, self._origin, int(time.time() * 1_000_000))
        if self._thinning is not None and (not self._hold() or next(self._thinning, self) is self):
            self._thinning = None

    def _count(self, recorded: int, sealed: int) -> None:
        """Since when there are records that are not sealed, or it cannot be known."""
        if self._since is not None and sealed >= self._target:
            self._since = None
        if self._since is None and recorded > sealed:
            self._target, self._since = recorded, time.monotonic()

    def _hold(self) -> bool:
        """Whether this process may work, for `_RENEW_SECONDS` and more."""
        now = time.monotonic()
        if now < self._held_until:
            return True
        if now < self._ask_again:
            return False
        if not self._store.hold(self._lease, _LEASE_SECONDS):
            self._ask_again, self._frontier = now + _SEAL_EVERY, None
            return False
        self._held_until = now + _RENEW_SECONDS
        if self._frontier and self._frontier.size != self._store.size():
            self._frontier = None  # the lease had run out, and another has worked since
        return True

    def _kept(self) -> Checkpoint | None:
        kept = self._store.last_checkpoint()
        return self._own(kept.text) if kept else None

    def _own(self, note: str) -> Checkpoint:
        try:
            checkpoint = parse_checkpoint(note)
        except ValueError:
            raise Contradiction("forked") from None
        if checkpoint.origin != self._origin or checkpoint.hash != self._hashing.name:
            raise Contradiction("foreign")
        return checkpoint

    def _resumed(self, kept: Checkpoint | None) -> Frontier:
        """Where to go on: at the tree's end, which must continue everything that was kept or exported."""
        mapped = self.subjects.latest()
        self.subjects.waiting = mapped is not None and not mapped.checkpoint
        size = self._store.size()
        for checkpoint in (kept, self._exported()):
            if checkpoint is None:
                continue
            if checkpoint.size > size:
                raise Contradiction("truncated")
            if self._tree.root(checkpoint.size) != checkpoint.root:
                raise Contradiction("forked")
        return self._tree.frontier(size)

    def _exported(self) -> Checkpoint | None:
        if self._export is None or not (self._export / LATEST).exists():
            return None
        return self._own((self._export / LATEST).read_bytes().decode("utf-8", "replace"))

    def _sequence(self, frontier: Frontier) -> None:
        """Make a leaf of every frame that has none."""
        while frames := self._store.unintegrated(_BATCH):
            if not self._hold() or self._frontier is not frontier:
                raise LeaseLost
            leaves = []
            for position, stored in enumerate(frames, frontier.size):
                if stored.seq != position + 1:
                    raise Contradiction("gap")
                leaves.append(Leaf(position, stored.seq, self._hashing.leaf(stored.frame)))
            frontier.tiles.clear()
            for leaf in leaves:
                frontier.append(leaf.hash)
            nodes = [Node(tile.level * TILE_HEIGHT, tile.place, tile.hash) for tile in frontier.tiles]
            self._store.integrate(self._lease, leaves, nodes)
            if len(frames) < _BATCH:
                break

    def _seal(self, frontier: Frontier, again: bool) -> None:
        """Sign, export and keep a checkpoint; `again` is a second one of its size, for a new map of data subjects."""
        self.subjects.waiting = False
        items, mapped = self._store.coordinates(), self.subjects.latest()
        told = told_of(mapped) if mapped and mapped.size <= frontier.size else None
        text = checkpoint_text(self._origin, frontier.size, frontier.root(), self._hashing.name, items, told)
        note = signed(text, self._signer)
        if self._export is not None:
            export(self._export, frontier.size, note, version=mapped.version if mapped and again else 0)
        number = self._store.keep_checkpoint(note, frontier.size)
        if mapped and told and not mapped.checkpoint:
            self._store.commit_map(mapped.version, number)
        self._sealed_at = time.monotonic()


def exported_at(size: int, version: int = 0) -> Path:
    """Where in the folder the checkpoint of a size stands, or its second one with a version of the map: at most a thousand in one place."""
    name = f"{size:012d}-{version}" if version else f"{size:012d}"
    return Path(f"{size // 10**6:06d}", f"{size // 10**3 % 10**3:03d}", name + _SUFFIX)


def export(folder: Path, size: int, note: str, latest: bool = True, version: int = 0) -> None:
    """Write a checkpoint under its size, and as the latest. OSError."""
    places = [folder / exported_at(size, version)]
    if latest:
        places.append(folder / LATEST)
    for place in places:
        place.parent.mkdir(parents=True, exist_ok=True)
        aside = place.with_name(f".{place.name}.{os.getpid()}")
        with aside.open("w", encoding="utf8") as file:
            file.write(note)
            file.flush()
            os.fsync(file.fileno())
        aside.replace(place)
