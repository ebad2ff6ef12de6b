"""How fast recorded operations are decided again, beside how long they took when they were answered, in CPU time of one process.

    python -m benchmarks.replay

Look-ups of 25 items of five departments, for 100 applicants; a change of policy between every hundred of them, which forgets all decisions.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from pathlib import Path

from app import compose
from benchmarks.lookup import applicants, open_cases, prepare
from demo.scene import IDENTITIES, QUERY
from policies.archive import Archive
from policies.identity import Identity, Role
from resolvers.line import Request
from resolvers.recorded import Replay


async def measure(folder: Path, operations: int) -> tuple[float, float]:
    """CPU seconds to answer so many operations, and to decide them again."""
    settings, catalogue, scene = prepare(folder, 1_000)
    numbers = applicants(scene)[:100]
    cases = await open_cases(settings, catalogue, numbers)
    rooms = compose(settings, catalogue)
    await rooms.open()
    one = IDENTITIES[0]
    identity = Identity(one.subject, one.department, Role(one.role), "421200", "benchmark", time.time() + 3_600)
    begun = time.process_time()
    for number in range(operations):
        if number % 100 == 0:
            await rooms.control.lift("S999999", 1)  # a change that changes nothing but the version
            await rooms.policy.refresh()
        which = number % len(numbers)
        use = {"purpose": "ADMINISTRATIVE_BASIS", "basis": {"case": cases[which]}}
        await rooms.line.answer(Request(QUERY, {"idNumber": numbers[which], "use": use}, None), identity)
    answered = time.process_time() - begun
    frames = rooms.ledger.store.read(0, operations)
    begun = time.process_time()
    again = Replay(Archive(rooms.ledger.store), rooms.ledger.coordinates())
    replayed = [again.operation(stored) for stored in frames]
    spent = time.process_time() - begun
    await rooms.close()
    if len(replayed) != operations or any(one.differences or one.undecided or one.uses < 25 for one in replayed):
        raise RuntimeError("not every operation was decided again")
    return answered, spent


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--operations", type=int, default=2_000)
    operations: int = arguments.parse_args().operations
    with tempfile.TemporaryDirectory() as folder:
        answered, spent = asyncio.run(measure(Path(folder), operations))
    print(f"answered {operations / answered:,.0f}/s, decided again {operations / spent:,.0f}/s: {answered / spent:.1f}")


if __name__ == "__main__":
    main()
