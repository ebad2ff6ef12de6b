"""The arrows of the house: who may import whom, read from the source. An arrow that runs backwards fails here."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
INNER = {"schema", "connectors", "policies", "audit", "resolvers"}
MAY_IMPORT: dict[str, set[str]] = {
    "schema": set(),
    "connectors": {"schema"},
    "policies": {"schema"},
    "audit": {"schema", "policies"},
    "resolvers": INNER,
    "demo": {"schema", "policies"},
    "web": set(),
    "settings": INNER,
    "app": INNER | {"settings", "web", "terminal"},
    "terminal": INNER | {"settings", "web", "demo", "app"},
    "benchmarks": INNER | {"settings", "web", "demo", "app", "terminal"},
}
"""Each room and the rooms that it may import beside itself. A room that is not here may not exist."""

VALUES_OF_POLICIES = {"policies.decision", "policies.rules", "policies.identity"}
"""What `audit` may know of `policies`: values, no store and no engine."""


@dataclass(frozen=True)
class Import:
    """One import of one of our modules; `lazy` if it stands in a function."""

    importer: str
    imported: str
    lazy: bool
    place: str

    @property
    def rooms(self) -> tuple[str, str]:
        return self.importer.partition(".")[0], self.imported.partition(".")[0]


def modules() -> dict[str, Path]:
    """Every module of ours but the tests."""
    files = list(ROOT.glob("*.py"))
    files += [file for room in MAY_IMPORT if (ROOT / room).is_dir() for file in (ROOT / room).rglob("*.py")]
    return {module_of(file): file for file in files}


def module_of(file: Path) -> str:
    parts = file.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = modules()


def imports_of(module: str, source: str) -> Iterator[Import]:
    """Every import of one of our rooms in this source, those in functions too."""
    tree = ast.parse(source)
    in_functions = {
        inner
        for outer in ast.walk(tree)
        if isinstance(outer, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        for inner in ast.walk(outer)
    }
    for node in ast.walk(tree):
        for name in imported_names(node, module):
            if name.partition(".")[0] in MAY_IMPORT:
                yield Import(module, name, node in in_functions, f"{module}:{getattr(node, 'lineno', 0)} {name}")


def imported_names(node: ast.AST, module: str) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        base = node.module or ""
        if node.level:
            package = module if MODULES.get(module, Path("x.py")).name == "__init__.py" else module.rpartition(".")[0]
            for _ in range(node.level - 1):
                package = package.rpartition(".")[0]
            base = ".".join(filter(None, [package, base]))
        submodules = [f"{base}.{alias.name}" for alias in node.names if f"{base}.{alias.name}" in MODULES]
        yield from submodules or [base]
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name | ast.Attribute):
        called = node.func.id if isinstance(node.func, ast.Name) else node.func.attr
        if called in ("import_module", "__import__") and node.args and isinstance(node.args[0], ast.Constant):
            yield str(node.args[0].value)


def backwards(found: Import) -> bool:
    importer, imported = found.rooms
    return importer != imported and imported not in MAY_IMPORT[importer]


IMPORTS = [one for module, file in MODULES.items() for one in imports_of(module, file.read_text("utf8"))]


@pytest.mark.parametrize("room", MAY_IMPORT)
def test_no_arrow_of_a_room_runs_backwards(room: str) -> None:
    assert [one.place for one in IMPORTS if one.rooms[0] == room and backwards(one)] == []


def test_every_room_of_the_package_has_its_arrows() -> None:
    beside = {"tests"}
    rooms = {file.stem for file in ROOT.glob("*.py")}
    rooms |= {folder.name for folder in ROOT.iterdir() if any(folder.glob("*.py"))}
    assert rooms - beside == set(MAY_IMPORT)


def test_app_is_imported_by_what_starts_it_only() -> None:
    assert {one.rooms[0] for one in IMPORTS if one.rooms[1] == "app"} <= {"terminal", "benchmarks"}


def test_app_imports_its_command_only_when_it_is_called() -> None:
    from_app = [one for one in IMPORTS if one.rooms == ("app", "terminal")]
    assert from_app
    assert all(one.lazy for one in from_app)


def test_audit_knows_values_of_policies_only() -> None:
    known = {one.imported for one in IMPORTS if one.rooms == ("audit", "policies")}
    assert known <= VALUES_OF_POLICIES


def test_only_the_top_knows_a_kind_of_source() -> None:
    kinds = {f"connectors.{file.stem}" for file in (ROOT / "connectors").glob("*.py")} - {
        "connectors.contract",
        "connectors.settings",
        "connectors.survey",
    }  # settings are no source, a survey is asked once, by a person
    knowing = {one.rooms[0] for one in IMPORTS if one.imported in kinds}
    assert knowing <= {"connectors", "app", "terminal", "benchmarks"}


def test_no_modules_import_each_other_in_a_circle() -> None:
    graph: dict[str, set[str]] = {module: set() for module in MODULES}
    for one in IMPORTS:
        if not one.lazy and one.imported in MODULES:
            graph[one.importer].add(one.imported)
    try:
        order = list(TopologicalSorter(graph).static_order())
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))
    assert set(order) == set(MODULES)


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("connectors.sql", "from policies.cases import Case"),
        ("schema.load", "import resolvers.line"),
        ("schema.load", "from resolvers import line"),
        ("schema.load", "from resolvers.line import Line as Other"),
        ("audit.index", "def ask():\n    from resolvers.plan import Plan"),
        ("policies.rules", "if TYPE_CHECKING:\n    from audit.ledger import Ledger"),
        ("policies.rules", "import importlib\nimportlib.import_module('app')"),
        ("web.graphiql", "from schema.errors import Text"),
        ("demo.city", "from connectors.sql import SqlConnector"),
        ("resolvers.line", "from settings import Settings"),
        ("resolvers.line", "import app"),
    ],
)
def test_an_arrow_that_runs_backwards_is_seen(module: str, source: str) -> None:
    assert any(backwards(one) for one in imports_of(module, source))


def test_the_imports_that_are_there_are_read() -> None:
    arrows = {one.rooms for one in IMPORTS}
    assert {("app", "resolvers"), ("resolvers", "policies"), ("connectors", "schema"), ("terminal", "app")} <= arrows
    assert len([one for one in IMPORTS if one.rooms == ("schema", "schema")]) > 20
