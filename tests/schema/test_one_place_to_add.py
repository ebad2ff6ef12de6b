"""A department is one YAML file and a connection: nothing else, and nothing in Python."""

from __future__ import annotations

import ast
import re
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from app import catalogue_of
from demo.scene import Scene
from resolvers.breaker import State
from schema.catalogue import Catalogue
from settings import load_settings
from terminal.joining import _of_department
from tests.connectors import services
from tests.connectors.kinds import csv_of
from tests.service import ROOT, Service, running, use, write_settings
from tests.sources.faulty import until

DEPARTMENT = """
department:
  name: Archives
  title: 咸宁市档案馆
  code: "11421200900099001M"
  region: "421200"
  contact: 信息科 数据管理岗
  connection: city-archives
codes:
  - name: FileKind
    title: 档案种类
    standard: 咸宁市档案馆业务代码
    values:
      - {code: "1", name: LAND, title: 土地}
      - {code: "2", name: LABOUR, title: 劳动}
resources:
  - name: ArchivedFile
    field: archivedFiles
    title: 民生档案目录
    code: 421200-DA-001
    library: DEPARTMENT
    library_name: 民生档案库
    abstract: 馆藏民生档案的目录。
    format: 数据库
    share: {class: UNCONDITIONAL, basis: 《中华人民共和国档案法》第二十八条}
    purposes: [ADMINISTRATIVE_BASIS]
    modes: [ONLINE_QUERY]
    scope: 政务部门履行法定职责需要
    open: {class: NOT_OPEN, conditions: ""}
    secrecy: NONE
    update_cycle: MONTHLY
    published: 2026-11-01
    entity: Person
    key: idNumber
    many: true
    source: {table: files, updated: changed, updated_format: epoch}
    items:
      - {name: idNumber, title: 公民身份号码, type: CitizenIdNumber, format: 15or18, column: id, grade: 3}
      - {name: kind, title: 档案种类, type: Code, codes: FileKind, column: kind, values: {T: "1", L: "2"}, grade: 1}
      - {name: filedOn, title: 归档日期, type: Date, format: int, column: filed, grade: 1}
      - {name: secretNote, title: 整理说明, type: String, column: note, grade: 4}
"""
SERVICE = """
service:
  name: file-certificate
  code: 421200-DA-FW-0001
  title: 出具档案证明
  department: archives
  basis: 《中华人民共和国档案法》第二十八条
  days: 10
  purposes: [ADMINISTRATIVE_BASIS]
  subjects: {APPLICANT: Person}
materials:
  - title: 民生档案
    basis: 《中华人民共和国档案法》第二十八条
    purpose: ADMINISTRATIVE_BASIS
    items: [ArchivedFile.kind, ArchivedFile.filedOn, HouseholdRegistration.name]
"""
TABLE = "    source: {table: files, updated: changed, updated_format: epoch}\n"
HTTP = """
    source:
      http:
        records: data.items[*]
        by:
          idNumber: {path: /files, query: {by: id, key: "{keys}"}, keys: REPEAT, batch: 100}
        paging: {kind: PAGE, parameter: page, total: meta.total}
        columns: {path: /files/columns, at: "[*].name"}
      updated: changed
      updated_format: epoch
"""
COLUMNS = ["id", "kind", "filed", "note", "changed"]
Rows = list[tuple[str, str, int, str | None, int]]


def _database(folder: Path, rows: Rows) -> str:
    with closing(sqlite3.connect(folder / "archives.db")) as archives:
        archives.execute("CREATE TABLE files (id TEXT, kind TEXT, filed INTEGER, note TEXT, changed INTEGER)")
        archives.executemany("INSERT INTO files VALUES (?, ?, ?, ?, ?)", rows)
        archives.commit()
    return 'kind = "sql"\nurl = "sqlite:///archives.db"'


def _deliveries(folder: Path, rows: Rows) -> str:
    (folder / "deliveries").mkdir()
    text = csv_of((COLUMNS, [list(row) for row in rows]))
    (folder / "deliveries" / "files.csv").write_text(text, "gbk", newline="")
    return 'kind = "file"\nfolder = "deliveries"\nencoding = "gbk"'


def _service(_: Path, rows: Rows) -> str:
    services.TABLES["archives/files"] = [dict(zip(COLUMNS, row, strict=True)) for row in rows]
    return f'kind = "rest"\nurl = "{services.department()}/archives"'


SOURCES = {"sql": _database, "file": _deliveries, "rest": _service}


@pytest.fixture(scope="module", params=SOURCES)
def grown(city: Path, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Service]:
    """A service whose catalogue has one department more, with a source of its own, of each kind."""
    folder = tmp_path_factory.mktemp("grown")
    catalogue = Path(shutil.copytree(ROOT / "catalogue", folder / "catalogue"))
    report = Scene(city / "demo").report(catalogue_of(load_settings(write_settings(city))))
    assert report
    applicant = report.examples.applicant.identifier
    rows: Rows = [
        (applicant, "T", 20010203, "不给看", 981129600),
        (applicant[:6] + applicant[8:17], "L", 19990131, None, 917712000),
        ("110101199003074514", "L", 20200101, None, 1577836800),
    ]
    source = SOURCES[request.param](folder, rows)
    assert TABLE in DEPARTMENT
    department = DEPARTMENT.replace(TABLE, HTTP.lstrip("\n")) if request.param == "rest" else DEPARTMENT
    (catalogue / "archives.yaml").write_text(department, "utf8")
    (catalogue / "services" / "file-certificate.yaml").write_text(SERVICE, "utf8")
    with running(
        folder, city, catalogue=catalogue, extra=f"\n[connections.city-archives]\n{source}\n", changed={"pause": "0.1"}
    ) as service:
        assert service.client.portal
        service.client.portal.call(until, lambda: service.rooms.sources["archives"].breaker.state is not State.OPEN)
        yield service


def test_added_department_answers(grown: Service) -> None:
    applicant = grown.examples.applicant
    case = grown.accept("DA-1", ("APPLICANT", applicant.identifier), service="421200-DA-FW-0001", department="archives")
    body = grown.ask(
        """query($id: CitizenIdNumber!, $use: UseInput!) { person(idNumber: $id, use: $use) {
          archivedFiles { kind filedOn secretNote provenance { provider resourceCode updatedAt } }
          householdRegistration { name }
        } }""",
        {"id": applicant.identifier, "use": use(case)},
        department="archives",
    )
    source = {"provider": "咸宁市档案馆", "resourceCode": "421200-DA-001"}
    older = source | {"updatedAt": "1999-01-31T00:00:00+08:00"}
    newer = source | {"updatedAt": "2001-02-03T00:00:00+08:00"}
    assert body["data"]["person"] == {
        "archivedFiles": [
            {"kind": "LABOUR", "filedOn": "1999-01-31", "secretNote": None, "provenance": older},
            {"kind": "LAND", "filedOn": "2001-02-03", "secretNote": None, "provenance": newer},
        ],
        "householdRegistration": {"name": applicant.name},
    }
    (error,) = body["errors"]
    assert error["path"] == ["person", "archivedFiles", "secretNote"]
    assert error["extensions"]["ruleId"] == "DENY/SERVICE/ITEM"


def test_added_department_is_in_schema_and_ledger(grown: Service) -> None:
    introspection = grown.ask('{ __type(name: "FileKind") { description enumValues { name description } } }')
    assert introspection["data"]["__type"]["enumValues"][0] == {"name": "LAND", "description": "土地 (1)"}
    assert "ArchivedFile.kind" in grown.rooms.ledger.coordinates().values()


def test_added_department_gives_nobody_else_its_data(grown: Service) -> None:
    applicant = grown.examples.applicant.identifier
    case = grown.accept("GZF-9", ("APPLICANT", applicant))
    body = grown.person("archivedFiles { kind }", applicant, case)
    assert body["data"]["person"] == {"archivedFiles": None}


def test_added_department_is_as_its_source_says(grown: Service) -> None:
    archives = grown.catalogue.departments["archives"]
    assert [one for one in _of_department(archives, grown.settings, grown.catalogue) if one.breaks] == []
    (resource,) = [one for one in grown.catalogue.resources.values() if one.department == "archives"]
    lacking = replace(resource, items={**resource.items, "kind": replace(resource.items["kind"], column="gone")})
    changed = replace(grown.catalogue, resources={**grown.catalogue.resources, resource.name: lacking})
    found = [one for one in _of_department(archives, grown.settings, changed) if one.breaks]
    assert [(one.code, one.place) for one in found] == [("LIV102", "ArchivedFile.kind")]


APART = {".venv", "demo", "tests", "benchmarks"}


def _texts(file: Path) -> Iterator[str]:
    """Every name and text of a Python file, docstrings and quoted examples (`...`) left out."""
    tree = ast.parse(file.read_text("utf8"))
    docstrings = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
            yield re.sub(r"`[^`]*`", "", node.value)
        elif isinstance(node, ast.Name | ast.Attribute):
            yield node.id if isinstance(node, ast.Name) else f".{node.attr}"


def test_nothing_in_python_names_a_department_or_a_resource(shipped: Catalogue) -> None:
    names = {resource.name for resource in shipped.resources.values()}
    for resource in shipped.resources.values():
        names |= {resource.field, resource.code, resource.title, resource.table or resource.name}
    for department in shipped.departments.values():
        names |= {department.slug, department.name, department.title, department.code}
    names |= {service.name for service in shipped.services.values()} | set(shipped.services)
    anywhere = re.compile(rf"(?<![\w/.-])({'|'.join(map(re.escape, sorted(names)))})(?![\w-])")
    found = set()
    for file in sorted(ROOT.rglob("*.py")):
        place = file.relative_to(ROOT)
        if place.parts[0] not in APART:
            found |= {(str(place), hit) for text in _texts(file) for hit in anywhere.findall(text)}
    assert found == set()
