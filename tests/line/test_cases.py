"""Every folder of `cases/`: question in, answer, ledger and restricted plan out.

After a wanted change, write the results anew and read the difference before it is committed:

    ONESOURCE_WRITE_CASES=1 .venv/bin/pytest tests/line/test_cases.py
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.line.case_folder import CASES, RESULTS, read_question, results
from tests.line.decided import CONTROL, decided
from tests.line.desk import Desk

WRITE = "ONESOURCE_WRITE_CASES"


@pytest.mark.parametrize("folder", sorted(CASES.iterdir()), ids=lambda folder: str(folder.name))
def test_answer_ledger_and_plan_are_as_kept(desk: Desk, folder: Path) -> None:
    with decided(desk, folder) as ids:
        found = results(desk, read_question(folder, desk.names), ids)
    if WRITE in os.environ:
        assert "CI" not in os.environ, "the expected results are written by people, never by CI"
        for name in RESULTS:
            (folder / name).write_text(found[name], "utf8")
    for name in RESULTS:
        assert found[name] == (folder / name).read_text("utf8"), f"{folder.name}/{name}; see this module's docstring"


def test_every_kept_folder_is_complete() -> None:
    wanted = {"query.graphql", "variables.json", "identity.json", *RESULTS}
    found = {folder.name: {file.name for file in folder.iterdir()} - {CONTROL} for folder in CASES.iterdir()}
    assert found == dict.fromkeys(found, wanted)
