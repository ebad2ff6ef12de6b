"""The settings of connections: each kind has its own, and nothing else; secrets come from elsewhere."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from app import catalogue_of, compose
from connectors.settings import FileConnection, RestConnection
from settings import Settings, WrongSettings, load_settings
from tests.service import ROOT
from tests.settings.test_settings import over_city

SHIPPED = (ROOT / "onesource.toml").read_text("utf8")
CIVIL = '[connections.civil-affairs]\nkind = "sql"\nurl = "sqlite:///var/demo/city/civil-affairs.db"\ntimeout = 2.0'
REST = '[connections.civil-affairs]\nkind = "rest"\nurl = "https://api.civil.example/v1"'
FILE = '[connections.civil-affairs]\nkind = "file"\nfolder = "deliveries"'


@pytest.fixture(autouse=True)
def _no_overrides(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in os.environ:
        if variable.upper().startswith("ONESOURCE_"):
            monkeypatch.delenv(variable)


def load(folder: Path, section: str) -> Settings:
    assert CIVIL in SHIPPED
    file = folder / "onesource.toml"
    file.write_text(SHIPPED.replace(CIVIL, section), "utf8")
    return load_settings(file)


def test_a_folder_and_certificates_are_seen_from_the_file(tmp_path: Path) -> None:
    folder = load(tmp_path, FILE).connections["civil-affairs"]
    assert isinstance(folder, FileConnection)
    assert (folder.folder, folder.encoding, folder.marked) == (tmp_path / "deliveries", "utf-8", False)
    certificates = '\nauthority_file = "ca.pem"\ncertificate_file = "/srv/own.pem"\ncertificate_key_file = "own.key"'
    service = load(tmp_path, REST + certificates).connections["civil-affairs"]
    assert isinstance(service, RestConnection)
    assert service.authority_file == tmp_path / "ca.pem"
    assert service.certificate_file == Path("/srv/own.pem")


WRONG = {
    "unknown kind": (REST.replace("rest", "soap"), "kind: no kind of source: use one of 'sql', 'file', 'rest'"),
    "setting of another kind": (REST + '\nfolder = "x"', "folder: there is no such setting"),
    "database for a folder": (FILE + '\nurl = "sqlite:///x.db"', "url: there is no such setting"),
    "no folder": (FILE.replace('folder = "deliveries"', ""), "folder: Field required"),
    "unknown encoding": (FILE + '\nencoding = "latin-1"', "encoding: Input should be"),
    "no address": (REST.replace("https://", ""), "url: not an address"),
    "http to elsewhere": (REST.replace("https:", "http:"), "url: http sends people's data in clear text"),
    "password in the address": (REST.replace("https://", "https://u:hunter2@"), "url: an address has neither user"),
    "query in the address": (REST.replace("/v1", "/v1?key=hunter2"), "url: an address has neither user"),
    "line break in a header": (REST + '\nheader = "X\\nY"', "header: String should match"),
    "header beside token": (
        REST + '\nheader = "X-Key"\ntoken_url = "https://a.example"\nclient_id = "c"',
        "header beside token_url",
    ),
    "token without client": (REST + '\ntoken_url = "https://a.example"', "token_url and client_id belong together"),
    "certificate without key": (REST + '\ncertificate_file = "c.pem"', "belong together"),
}


@pytest.mark.parametrize(("section", "problem"), WRONG.values(), ids=WRONG)
def test_wrong_connection_is_refused_with_its_line(tmp_path: Path, section: str, problem: str) -> None:
    with pytest.raises(WrongSettings) as refusal:
        load(tmp_path, section)
    (line,) = refusal.value.lines
    assert problem in line
    assert "connections.civil-affairs" in line
    assert ":" in line.partition(" ")[0]
    assert "hunter2" not in line


@pytest.mark.parametrize(
    ("section", "secret", "problem"),
    [
        (REST + '\nheader = "X-Key"', None, "a password belongs to header or token_url"),
        (REST, "hunter2", "a password belongs to header or token_url"),
        (FILE, "hunter2", "a folder takes no password"),
        (REST + '\nauthority_file = "gone.pem"', None, "its certificates cannot be used (FileNotFoundError)"),
        (REST, None, "names a table, but connections.civil-affairs is of the kind rest, which needs `http`"),
    ],
)
def test_a_connection_that_cannot_be_made_is_told_with_its_name(
    city: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, section: str, secret: str | None, problem: str
) -> None:
    given = load(tmp_path, section).connections["civil-affairs"]
    settings = over_city(city, tmp_path)
    settings = settings.model_copy(update={"connections": {**settings.connections, "civil-affairs": given}})
    if secret:
        monkeypatch.setenv("ONESOURCE_PASSWORD_CIVIL_AFFAIRS", secret)
    with pytest.raises(WrongSettings) as refusal:
        compose(settings, catalogue_of(settings))
    told = "\n".join(refusal.value.lines)
    assert problem in told
    assert "connections.civil-affairs" in told
    assert "hunter2" not in told
