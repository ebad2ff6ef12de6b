"""A big city in little memory: too slow for every run, so `make prove` names this file."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.demo.conftest import CATALOGUE

_BUILD = """
import resource, sys
from pathlib import Path
from demo import build_city
from schema.load import load_catalogue

build_city(load_catalogue(Path(sys.argv[1])), Path(sys.argv[2]), residents=50_000)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def test_fifty_thousand_residents_need_less_than_150_megabytes(tmp_path: Path) -> None:
    command = [sys.executable, "-c", _BUILD, str(CATALOGUE), str(tmp_path / "city")]
    done = subprocess.run(command, cwd=CATALOGUE.parent, check=True, capture_output=True, text=True)
    assert int(done.stdout) / 1024 < 150
