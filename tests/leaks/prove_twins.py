"""The long proof of the twins: a hundred thousand operations, in two processes."""

from __future__ import annotations

import os
import tempfile
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from tests.leaks.proof import Tally, prove

OPERATIONS = 100_000
PROCESSES = 2


def _share(number: int) -> Tally:
    memory = Path("/dev/shm")  # where there is one: commits to a disk would be waited for
    with tempfile.TemporaryDirectory(dir=memory if os.access(memory, os.W_OK) else None) as folder:
        return prove(1_000_000 * (number + 1), OPERATIONS // PROCESSES, Path(folder), views=30)


def test_a_hundred_thousand_operations_tell_nothing_hidden() -> None:
    tally = Tally()
    with ProcessPoolExecutor(PROCESSES) as pool:
        for one in pool.map(_share, range(PROCESSES)):
            tally.add(one)
    print(tally)
    assert not tally.differences, tally.differences[0]
    assert tally.operations >= OPERATIONS
    assert tally.told >= 0.4 * tally.operations, "too few operations return data"
