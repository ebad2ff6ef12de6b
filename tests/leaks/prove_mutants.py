"""The long proof of the mutants: every seeded leak is noticed. Prints which test notices which."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from tests.leaks.killing import kill_all
from tests.leaks.mutants import MUTANTS

WORKERS = 2


def test_every_seeded_leak_is_noticed() -> None:
    verdicts = kill_all(MUTANTS, WORKERS, sound=False)
    table = Table("mutant", "lets out", "noticed by", "seconds", title=f"{len(verdicts)} seeded leaks")
    for one in verdicts:
        table.add_row(one.mutant.name, one.mutant.leak, one.killer or "NOTHING", f"{one.seconds:.0f}")
    Console(width=160).print(table)
    survivors = [one.mutant.name for one in verdicts if not one.killer]
    print(f"{len(verdicts) - len(survivors)} of {len(verdicts)} noticed")
    assert not survivors, survivors
