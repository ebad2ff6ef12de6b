"""One folder a fault: the files that differ from the small catalogue, and the problems expected, word for word."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from schema.load import CatalogueError, check_catalogue, load_catalogue
from schema.names import RESERVED_TYPES
from schema.problems import MEANINGS, problems_page

HERE = Path(__file__).parent
FAULTS = sorted(path for path in (HERE / "faults").iterdir() if path.is_dir())
PAGE = HERE.parents[1] / "docs" / "catalogue-problems.md"
WITHOUT_FOLDER = {"CAT001", "CAT002", "CAT003", "CAT012", "CAT502"}
"""Faults of bytes, folders and arguments: test_load has them."""


def with_fault(fault: Path, folder: Path) -> Path:
    """The small catalogue with the files of a fault laid over it."""
    shutil.copytree(HERE / "small", folder)
    shutil.copytree(fault, folder, dirs_exist_ok=True)
    return folder


@pytest.mark.parametrize("fault", FAULTS, ids=lambda path: path.name)
def test_fault_gives_its_problems_and_no_other(fault: Path, tmp_path: Path) -> None:
    problems = check_catalogue(with_fault(fault, tmp_path / "catalogue"))
    assert [str(problem) for problem in problems] == (fault / "expected.txt").read_text(encoding="utf-8").splitlines()
    assert problems


@pytest.mark.parametrize("fault", FAULTS, ids=lambda path: path.name)
def test_catalogue_with_a_fault_is_not_loaded(fault: Path, tmp_path: Path) -> None:
    with pytest.raises(CatalogueError):
        load_catalogue(with_fault(fault, tmp_path / "catalogue"))


def test_every_code_has_a_case() -> None:
    expected = "\n".join((fault / "expected.txt").read_text(encoding="utf-8") for fault in FAULTS)
    assert set(re.findall(r"^CAT\d{3}", expected, re.MULTILINE)) | WITHOUT_FOLDER == set(MEANINGS)


def test_every_code_in_the_source_has_a_meaning() -> None:
    sources = (path for path in (HERE.parents[1] / "schema").glob("*.py") if path.name != "problems.py")
    used = {code for path in sources for code in re.findall(r'"(CAT\d{3})"', path.read_text(encoding="utf-8"))}
    assert used == set(MEANINGS)


def test_page_of_problems_lists_every_code() -> None:
    assert PAGE.read_text(encoding="utf-8") == problems_page()


@pytest.mark.parametrize("name", sorted(RESERVED_TYPES))
def test_reserved_type_is_refused(name: str, tmp_path: Path) -> None:
    folder = shutil.copytree(HERE / "small", tmp_path / "catalogue")
    path = folder / "market-supervision.yaml"
    text = path.read_text(encoding="utf-8").replace("name: EnterpriseArchive", f"name: {name}")
    path.write_text(text, encoding="utf-8")
    assert [problem.code for problem in check_catalogue(folder)] == ["CAT202"]
