"""Kills mutants: each in a copy of the tree in a temporary folder, by the tests that are likely to notice, then by all of them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue

from tests.leaks.mutants import SUITE, Mutant

ROOT = Path(__file__).parents[2]
_LEFT_OUT = (".git", ".venv", "var", "*_cache", "__pycache__", "node_modules", "*.egg-info")
_SECONDS = 600
_FAILED = 1
"""pytest's exit code where tests failed; any other one but 0 says that they did not run."""


@dataclass(frozen=True)
class Verdict:
    """What became of a mutant: the module that noticed it, empty where none did, and after how many seconds."""

    mutant: Mutant
    killer: str
    seconds: float


class Broken(Exception):
    """The tests did not run, or fail without any mutant: nothing is proved."""


def applied(mutant: Mutant, source: str) -> str:
    """The source with the mutant in it; ValueError unless it has the text exactly once."""
    count = source.count(mutant.old)
    if count != 1:
        raise ValueError(
            f"mutant {mutant.name!r}: {mutant.file} has its text {count} times instead of once. The source has changed: "
            f"write the mutant anew in tests/leaks/mutants.py, so that it still lets out {mutant.leak}"
        )
    return source.replace(mutant.old, mutant.new)


@contextmanager
def copied_tree() -> Iterator[Path]:
    """A copy of the tree, in memory where there is room."""
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(dir=memory) as folder:
        tree = Path(folder) / "tree"
        shutil.copytree(ROOT, tree, ignore=shutil.ignore_patterns(*_LEFT_OUT))
        yield tree


def fails(tree: Path, module: str) -> bool:
    """Whether a test of the module fails in that tree. Broken if they could not run, or not in time."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "PYTHONPATH"))}
    environment["PYTHONDONTWRITEBYTECODE"] = "1"
    temporary = tree.parent / "tests"
    run = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", f"--basetemp={temporary}", module]
    try:
        done = subprocess.run(run, cwd=tree, env=environment, capture_output=True, text=True, timeout=_SECONDS)
    except subprocess.TimeoutExpired:
        raise Broken(f"{module}: not done after {_SECONDS} seconds") from None
    if done.returncode not in (0, _FAILED):
        raise Broken(f"{module}: {done.stdout[-2000:]}{done.stderr[-2000:]}")
    return done.returncode == _FAILED


def kill(mutant: Mutant, tree: Path) -> Verdict:
    """Put the mutant into the tree, ask the tests, and take it out again."""
    file = tree / mutant.file
    source = file.read_text("utf8")
    began = time.monotonic()
    file.write_text(applied(mutant, source), "utf8")
    try:
        killer = next((module for module in _asked(mutant) if fails(tree, module)), "")
    finally:
        file.write_text(source, "utf8")
    return Verdict(mutant, killer, time.monotonic() - began)


def _asked(mutant: Mutant) -> Sequence[str]:
    return tuple(dict.fromkeys((*mutant.tests, *SUITE)))


def kill_all(mutants: Sequence[Mutant], workers: int, *, sound: bool) -> list[Verdict]:
    """What became of each mutant. Broken if a module fails without any; where they are known to be `sound`, that is not asked."""
    with ThreadPoolExecutor(workers) as pool:
        trees: SimpleQueue[Path] = SimpleQueue()

        def in_a_tree(work: Mutant | str) -> Verdict | bool:
            tree = trees.get()
            try:
                return kill(work, tree) if isinstance(work, Mutant) else fails(tree, work)
            finally:
                trees.put(tree)

        with _trees(workers, trees):
            modules = [] if sound else sorted({module for mutant in mutants for module in mutant.tests})
            failing = [module for module, failed in zip(modules, pool.map(in_a_tree, modules), strict=True) if failed]
            if failing:
                raise Broken(f"fail without any mutant: {', '.join(failing)}")
            return [one for one in pool.map(in_a_tree, mutants) if isinstance(one, Verdict)]


@contextmanager
def _trees(count: int, trees: SimpleQueue[Path]) -> Iterator[None]:
    if not count:
        yield
        return
    with copied_tree() as tree:
        trees.put(tree)
        with _trees(count - 1, trees):
            yield
