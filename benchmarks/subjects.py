"""The map of data subjects: how long a commitment takes, how large map and proofs are. `python -m benchmarks.subjects [PEOPLE ...]`.

Each size is built in a SQLite store of its own, by records of fifty people; then 3,000 records of one person each, as a minute of fifty
operations a second has, are committed to, while another thread appends.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from statistics import median
from tempfile import TemporaryDirectory

import orjson
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from audit.checkpoint import Ed25519Signer, Signer
from audit.frame import Frame, NodeFrame, SubjectHash
from audit.integrator import Integrator
from audit.merkle import TreeHash
from audit.store import NewFrame, Store
from audit.stores import store_at
from audit.subjects import prove_lists
from audit.verify_offline import LOG_TYPES

HASHES = SubjectHash(bytes(range(32)))
SHA = TreeHash()
_MINUTE, _TOGETHER = 3_000, 50


def frame(number: int, people: list[str]) -> NewFrame:
    """A record of five items of each of these people."""
    rules = tuple(f"SHARE/Register.item{item}/ADMINISTRATIVE_BASIS" for item in range(5))
    node = NodeFrame("person.register", "Register", "SUBJECT", "ADMINISTRATIVE_BASIS", "N-1", "S-1", (1, 2, 3, 4, 5), rules, {"RRRRA": people}, [])  # fmt: skip
    at = 1_800_000_000_000_000 + number
    one = Frame(f"o-{number}", at, "clerk-01", "housing", "clerk", "421200", "demo", "query", "d" * 32, "", "p", "c", "answered", (), (node,))  # fmt: skip
    return NewFrame(at, one.operation, one.encode())


def people_of(count: int) -> list[str]:
    return [HASHES.of("Person", str(number)) for number in range(count)]


def built(store: Store, signer: Signer, people: list[str]) -> Integrator:
    """The integrator of a store in which each of these people has one record, all committed to."""
    for first in range(0, len(people), 1_000 * _TOGETHER):
        groups = range(first, min(len(people), first + 1_000 * _TOGETHER), _TOGETHER)
        store.append([frame(at, people[at : at + _TOGETHER]) for at in groups])
    one = Integrator(store, SHA, "benchmark.invalid/ledger", signer, None, 1e9, 0.0)
    while (covered := one.subjects.latest()) is None or covered.size < store.head():
        committed(one)
    return one


def committed(one: Integrator) -> float:
    """Seconds that the next commitment took, without the checkpoints."""
    one.advance(at_once=True)
    begun = time.perf_counter()
    one.subjects.advance()
    spent = time.perf_counter() - begun
    assert one.subjects.because in ("", "late"), one.subjects.because  # a thousand minutes at once are late
    one.advance(at_once=True)
    return spent


@contextmanager
def appending(store: Store, first: int) -> Iterator[list[float]]:
    """Seconds that each append took meanwhile."""
    took, over = list[float](), threading.Event()

    def run() -> None:
        number = first
        while not over.is_set():
            begun = time.perf_counter()
            store.append([frame(number, [HASHES.of("Person", str(number))])])
            took.append(time.perf_counter() - begun)
            number += 1
            time.sleep(0.005)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield took
    finally:
        over.set()
        thread.join()


def measure(count: int) -> str:
    """A row of the table for so many people."""
    people, rng = people_of(count), Random(1)  # noqa: S311 - no secret
    with TemporaryDirectory() as folder:
        file = Path(folder) / "ledger.db"
        store = store_at(f"sqlite:///{file}", 5)
        store.open()
        store.item_numbers(f"Register.item{item}" for item in range(5))
        begun = time.perf_counter()
        one = built(store, Ed25519Signer(Ed25519PrivateKey.generate(), "benchmark.invalid/ledger", LOG_TYPES), people)
        build = time.perf_counter() - begun
        rows = store.map_page(0, 10**9, 10**6)
        size = sum(map(len, rows.values()))
        store.append([frame(10**9 + number, [rng.choice(people)]) for number in range(_MINUTE)])
        with appending(store, 2 * 10**9) as alone:
            time.sleep(2)
        with appending(store, 3 * 10**9) as beside:
            spent = committed(one)
        proofs, times = [], []
        for person in rng.sample(people, 100):
            begun = time.perf_counter()
            proof = prove_lists(store, SHA, [person])
            times.append(time.perf_counter() - begun)
            assert proof
            proofs.append(len(proof.proof.encode()))
            orjson.loads(proof.proof)
        store.close()
    quick, slow = (f"{median(one) * 1e3:.1f} / {max(one) * 1e3:.0f}" for one in (alone, beside))
    return (
        f"| {count:,} | {build:.0f} | {size / count:.0f} | {spent:.2f} | {quick} | {slow} "
        f"| {median(proofs):.0f} / {max(proofs)} | {median(times) * 1e3:.1f} |"
    )


def main(sizes: list[int]) -> None:
    print("| people | built, s | bytes each | a minute's commitment, s | append alone, ms (median / max) | append beside it, ms | proof, bytes (median / max) | proof, ms |")  # fmt: skip
    print("|---:|---:|---:|---:|---:|---:|---:|---:|")
    for size in sizes:
        print(measure(size), flush=True)


if __name__ == "__main__":
    main([int(one.replace("_", "")) for one in sys.argv[1:]] or [10_000, 100_000])
