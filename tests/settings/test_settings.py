"""The settings: read, overridden, and refused with the place of what is wrong."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from app import catalogue_of, compose, ledger_urls
from connectors.settings import SqlConnection
from settings import Settings, WrongSettings, load_settings, password_of
from tests.service import ROOT, write_settings

SHIPPED = (ROOT / "onesource.toml").read_text("utf8")
CIVIL = "sqlite:///var/demo/city/civil-affairs.db"
Write = Callable[[str], Path]


@pytest.fixture(autouse=True)
def _no_overrides(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in os.environ:
        if variable.upper().startswith("ONESOURCE_"):
            monkeypatch.delenv(variable)


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """A settings file with this text."""

    def written(text: str) -> Path:
        file = tmp_path / "onesource.toml"
        file.write_text(text, "utf8")
        return file

    return written


def refused(file: Path) -> list[str]:
    """The lines with which these settings are refused."""
    with pytest.raises(WrongSettings) as refusal:
        load_settings(file)
    assert all("\n" not in line for line in refusal.value.lines)
    return refusal.value.lines


def url_of(settings: Settings, name: str) -> str:
    connection = settings.connections[name]
    assert isinstance(connection, SqlConnection)
    return connection.url


def changed(before: str, after: str) -> str:
    assert before in SHIPPED
    return SHIPPED.replace(before, after, 1)


def test_shipped_settings_are_right(write: Write, tmp_path: Path) -> None:
    settings = load_settings(write(SHIPPED))
    assert settings.demo
    assert (settings.server.host, settings.server.port) == ("127.0.0.1", 8000)
    assert len(settings.connections) == 17


def test_relative_paths_are_seen_from_the_file(write: Write, tmp_path: Path) -> None:
    settings = load_settings(write(SHIPPED))
    assert settings.catalogue.folder == tmp_path / "catalogue"
    assert settings.identity.jwks == str(tmp_path / "var/demo/issuer/jwks.json")
    assert settings.cases.secret_file == tmp_path / "var/demo/secrets/cases.key"
    assert settings.ledger.url == f"sqlite:///{tmp_path}/var/demo/ledger.db"
    assert settings.ledger.index_url == f"sqlite:///{tmp_path}/var/demo/ledger-index.db"
    assert settings.control.url == f"sqlite:///{tmp_path}/var/demo/control.db"
    assert url_of(settings, "civil-affairs") == f"sqlite:///{tmp_path}/var/demo/city/civil-affairs.db"


def test_absolute_paths_and_addresses_stay(write: Write) -> None:
    text = changed('jwks = "var/demo/issuer/jwks.json"', 'jwks = "https://issuer.example/jwks"')
    text = text.replace(CIVIL, "sqlite:////srv/civil.db").replace(
        "sqlite:///var/demo/city/education.db", "postgresql://reader@db.example/education"
    )
    settings = load_settings(write(text))
    assert settings.identity.jwks == "https://issuer.example/jwks"
    assert url_of(settings, "civil-affairs") == "sqlite:////srv/civil.db"
    assert url_of(settings, "education") == "postgresql://reader@db.example/education"


WRONG = {
    "port 0": ("port = 8000", "port = 0", "server.port"),
    "port too high": ("port = 8000", "port = 65536", "server.port"),
    "port a word": ("port = 8000", 'port = "http"', "server.port"),
    "host blank": ('host = "127.0.0.1"', 'host = ""', "server.host"),
    "body too small": ("max_body = 1_000_000", "max_body = 10", "server.max_body"),
    "unknown key": ("port = 8000", "prot = 8000", "server.prot"),
    "unknown section": ("[server]", "[servers]", "servers"),
    "demo no truth": ("demo = true", 'demo = "perhaps"', "demo"),
    "overlays a text": ('overlays = ["careful-officer"]', 'overlays = "x"', "catalogue.overlays"),
    "overlay a number": ('overlays = ["careful-officer"]', "overlays = [1]", "catalogue.overlays.0"),
    "issuer blank": ('issuer = "https://issuer.demo.invalid"', 'issuer = ""', "identity.issuer"),
    "issuer missing": ('issuer = "https://issuer.demo.invalid"', "", "identity.issuer"),
    "keys over http": ('jwks = "var/demo/issuer/jwks.json"', 'jwks = "http://issuer.example/"', "identity.jwks"),
    "keys by another way": ('jwks = "var/demo/issuer/jwks.json"', 'jwks = "file:///x"', "identity.jwks"),
    "timeout 0": ("timeout = 5.0", "timeout = 0", "ledger.timeout"),
    "timeout infinite": ("timeout = 5.0", "timeout = inf", "ledger.timeout"),
    "timeout no number": ("timeout = 5.0", "timeout = nan", "ledger.timeout"),
    "limit 0": ("fields = 2_000", "fields = 0", "limits.fields"),
    "aliases 0": ("aliases = 200", "aliases = 0", "limits.aliases"),
    "cost 0": ("cost = 50_000", "cost = 0", "limits.cost"),
    "unknown mode": ('mode = "development"', 'mode = "debug"', "server.mode"),
    "rate 0": ("subject = 20.0", "subject = 0", "rates.subject"),
    "rate infinite": ("client = 200.0", "client = inf", "rates.client"),
    "burst 0": ("address_burst = 100", "address_burst = 0", "rates.address_burst"),
    "unknown kind": ('kind = "sql"', 'kind = "oracle"', "connections.civil-affairs.kind"),
    "no URL": (CIVIL, "civil-affairs.db", "connections.civil-affairs.url"),
    "URL blank": (CIVIL, "", "connections.civil-affairs.url"),
    "ledger kept too shortly": ("retention = 36", "retention = 35", "ledger.retention"),
    "ledger kept for no time": ("retention = 36", "retention = 0", "ledger.retention"),
    "ledger in no database that it knows": ("sqlite:///var/demo/ledger.db", "mysql://h/d", "ledger.url"),
    "ledger in memory": ("sqlite:///var/demo/ledger.db", "sqlite://", "ledger.url"),
    "index in no database that it knows": ("sqlite:///var/demo/ledger-index.db", "mysql://h/d", "ledger.index_url"),
    "password in URL": (CIVIL, "postgresql://u:hunter2@h/d", "connections.civil-affairs.url"),
    "password in query": (CIVIL, "postgresql://u@h/d?password=hunter2", "connections.civil-affairs.url"),
    "password of cases": ("sqlite:///var/demo/cases.db", "postgresql://u:hunter2@h/d", "cases.url"),
    "password of ledger": ("sqlite:///var/demo/ledger.db", "postgresql://u:hunter2@h/d", "ledger.url"),
    "password of control": ("sqlite:///var/demo/control.db", "postgresql://u:hunter2@h/d", "control.url"),
    "control in another database": ("sqlite:///var/demo/control.db", "mysql://u@h/d", "control.url"),
    "control in no file": ("sqlite:///var/demo/control.db", "sqlite://", "control.url"),
    "control no URL": ("sqlite:///var/demo/control.db", "control", "control.url"),
    "lease too short": ("lease = 1.0", "lease = 0.2", "policy.lease"),
    "lease too long": ("lease = 1.0", "lease = 31", "policy.lease"),
    "no attempts": ("verify_attempts = 5", "verify_attempts = 0", "policy.verify_attempts"),
    "no days": ("verify_days = 30", "verify_days = 0", "policy.verify_days"),
    "cases no URL": ("sqlite:///var/demo/cases.db", "cases", "cases.url"),
    "secret in file": (
        'secret_file = "var/demo/secrets/cases.key"',
        'secret = "hunter2"',
        "cases.secret",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_setting_is_refused_with_its_line(write: Write, name: str) -> None:
    before, after, setting = WRONG[name]
    text = changed(before, after)
    file = write(text)
    lines = refused(file)
    (told,) = [line for line in lines if f" {setting}: " in line]
    place = told.partition(" ")[0]
    source, _, number = place.rpartition(":")
    assert source == str(file)
    shipped, given = SHIPPED.splitlines(), text.splitlines()
    expected = given.index("[identity]") if name == "issuer missing" else _first_difference(shipped, given)
    assert int(number) == expected + 1
    assert "hunter2" not in "".join(lines)


def _first_difference(one: list[str], other: list[str]) -> int:
    return next(place for place, lines in enumerate(zip(one, other, strict=True)) if lines[0] != lines[1])


def test_every_wrong_setting_is_told_at_once(write: Write) -> None:
    lines = refused(write(changed("port = 8000", "port = 0").replace("depth = 20", "depth = 0")))
    assert ["server.port" in lines[0], "limits.depth" in lines[1]] == [True, True]


def test_broken_file_is_refused_with_its_line(write: Write) -> None:
    (line,) = refused(write(SHIPPED + "\n[server]\nport = 1\n"))
    assert line.startswith(f"{write(SHIPPED)}:{len(SHIPPED.splitlines()) + 2}: ")


@pytest.mark.parametrize("content", [b"\xff\xfe", b"[x", b"port"])
def test_file_that_is_no_toml_is_refused(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "onesource.toml"
    file.write_bytes(content)
    (line,) = refused(file)
    assert line.startswith(str(file))


def test_missing_file_is_refused(tmp_path: Path) -> None:
    (line,) = refused(tmp_path / "nowhere.toml")
    assert "there is no such file" in line
    (line,) = refused(tmp_path)
    assert "there is no such file" in line


def test_environment_overrides_the_file(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "ONESOURCE_SERVER__PORT": "9000",
        "ONESOURCE_DEMO": "false",
        "ONESOURCE_CONNECTIONS__HOUSING__TIMEOUT": "7.5",
        "ONESOURCE_CATALOGUE__OVERLAYS": "[]",
        "onesource_limits__depth": "9",
        "ONESOURCE_CASES__SECRET": "ab" * 32,
    }.items():
        monkeypatch.setenv(name, value)
    settings = load_settings(write(SHIPPED))
    assert settings.server.port == 9000
    assert settings.server.host == "127.0.0.1"
    assert not settings.demo
    assert settings.connections["housing"].timeout == 7.5
    assert settings.catalogue.overlays == ()
    assert settings.limits.depth == 9
    assert settings.cases.secret_bytes() == b"\xab" * 32


@pytest.mark.parametrize(
    ("variable", "value", "setting"),
    [
        ("ONESOURCE_SERVER__PORT", "x", "server.port"),
        ("ONESOURCE_SERVER__PROT", "1", "server.prot"),
        ("ONESOURCE_SERVR__PORT", "1", "servr"),
        ("ONESOURCE_SERVER", "{", "server"),
        ("ONESOURCE_CONNECTIONS__HOUSING__URL", "postgresql://u:hunter2@h/d", "connections.housing.url"),
    ],
)
def test_wrong_override_is_refused_by_its_name(
    write: Write, monkeypatch: pytest.MonkeyPatch, variable: str, value: str, setting: str
) -> None:
    monkeypatch.setenv(variable, value)
    (line,) = refused(write(SHIPPED))
    assert line.startswith((variable, "environment:"))
    assert setting in line
    assert "hunter2" not in line


def test_secrets_do_not_show_themselves(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ONESOURCE_LEDGER__SECRET", "cd" * 32)
    settings = load_settings(write(SHIPPED))
    assert "cdcd" not in repr(settings)
    assert "cdcd" not in settings.model_dump_json()


@pytest.mark.parametrize("content", ["", "abc", "ab" * 31, "zz" * 32, "ab" * 33, "é" * 32])
def test_secret_of_another_form_is_refused_without_telling_it(city: Path, tmp_path: Path, content: str) -> None:
    settings = over_city(city, tmp_path)
    (tmp_path / "demo/secrets/ledger.key").write_text(content, "utf8")
    with pytest.raises(WrongSettings) as refusal:
        compose(settings, catalogue_of(settings))
    assert "ledger.key" in str(refusal.value)
    assert not content or content not in str(refusal.value)


def test_missing_secret_is_refused_by_its_file(city: Path, tmp_path: Path) -> None:
    settings = over_city(city, tmp_path)
    (tmp_path / "demo/secrets/cases.key").unlink()
    with pytest.raises(WrongSettings, match=r"cases\.key"):
        compose(settings, catalogue_of(settings))


def test_missing_connection_is_named(city: Path, tmp_path: Path) -> None:
    settings = over_city(city, tmp_path)
    connections = {name: one for name, one in settings.connections.items() if name not in ("housing", "taxation")}
    settings = settings.model_copy(update={"connections": connections})
    with pytest.raises(WrongSettings) as refusal:
        compose(settings, catalogue_of(settings))
    assert len(refusal.value.lines) == 2
    for name, line in zip(("housing", "taxation"), sorted(refusal.value.lines), strict=True):
        assert line.startswith(f"connections.{name}: missing")
        assert f"{name}.yaml" in line


@pytest.mark.parametrize(
    "url",
    ["teradata://host/x", "mssql+pyodbc://host/x", "postgresql://h/x?sslmode=nonsense"],
)
def test_a_connection_to_what_nothing_here_can_read_is_refused_with_its_place(
    city: Path, tmp_path: Path, url: str
) -> None:
    settings = over_city(city, tmp_path)
    housing = settings.connections["housing"].model_copy(update={"url": url})
    settings = settings.model_copy(update={"connections": settings.connections | {"housing": housing}})
    with pytest.raises(WrongSettings) as refusal:
        compose(settings, catalogue_of(settings))
    (line,) = refusal.value.lines
    assert line.startswith("connections.housing.url: ")


@pytest.mark.parametrize("name", ["", "nobody"])
def test_supervisor_that_is_no_department_is_refused(city: Path, tmp_path: Path, name: str) -> None:
    settings = over_city(city, tmp_path)
    settings = settings.model_copy(update={"policy": settings.policy.model_copy(update={"supervisor": name})})
    with pytest.raises(WrongSettings, match=r"policy\.supervisor"):
        compose(settings, catalogue_of(settings))


def test_password_comes_from_the_environment_or_a_file(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = changed(f'url = "{CIVIL}"', 'url = "postgresql://u@h/d"\npassword_file = "civil.password"')
    connection = load_settings(write(text)).connections["civil-affairs"]
    with pytest.raises(WrongSettings, match=r"connections\.civil-affairs\.password_file"):
        password_of("civil-affairs", connection)
    (tmp_path / "civil.password").write_text("from-file\n", "utf8")
    assert password_of("civil-affairs", connection) == "from-file"
    monkeypatch.setenv("ONESOURCE_PASSWORD_CIVIL_AFFAIRS", "from-environment")
    assert password_of("civil-affairs", connection) == "from-environment"


def test_password_of_the_control_database_comes_from_the_environment_or_a_file(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = "sqlite:///var/demo/control.db"
    text = changed(f'url = "{url}"', 'url = "postgresql://u@h/d"\npassword_file = "control.password"')
    control = load_settings(write(text)).control
    assert password_of("control", load_settings(write(SHIPPED)).control) is None
    with pytest.raises(WrongSettings, match=r"^control\.password_file"):
        password_of("control", control)
    (tmp_path / "control.password").write_text("from-file\n", "utf8")
    assert password_of("control", control) == "from-file"
    monkeypatch.setenv("ONESOURCE_PASSWORD_CONTROL", "from-environment")
    assert password_of("control", control) == "from-environment"


def over_city(city: Path, folder: Path) -> Settings:
    shutil.copytree(city / "demo", folder / "demo")
    return load_settings(write_settings(folder))


def test_password_of_the_ledger_comes_from_the_environment_or_a_file_and_serves_its_index_too(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = changed(
        'url = "sqlite:///var/demo/ledger.db"', 'url = "postgresql://u@h/d"\npassword_file = "ledger.password"'
    )
    text = text.replace("sqlite:///var/demo/ledger-index.db", "postgresql://u@h/index")
    settings = load_settings(write(text))
    with pytest.raises(WrongSettings, match=r"^ledger\.password_file"):
        ledger_urls(settings)
    (tmp_path / "ledger.password").write_text("from-file\n", "utf8")
    assert [url.password for url in ledger_urls(settings)] == ["from-file", "from-file"]
    monkeypatch.setenv("ONESOURCE_PASSWORD_LEDGER", "from-environment")
    assert [url.password for url in ledger_urls(settings)] == ["from-environment", "from-environment"]
    assert [url.password for url in ledger_urls(load_settings(write(SHIPPED)))] == [None, None]
