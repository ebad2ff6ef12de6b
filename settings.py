"""The settings: one `onesource.toml`, each of them overridable by `ONESOURCE_<SECTION>__<NAME>`.

Secrets stand in files or in the environment, never in the file of settings. A wrong setting is refused at start, with its place.
Relative paths are seen from the folder of the file.
"""

from __future__ import annotations

import os
import re
import tomllib
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal

import sqlalchemy as sa
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, ValidationError
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, TomlConfigSettingsSource

from connectors.settings import AnyConnection, Connection, DatabaseUrl, rooted_url
from resolvers.breaker import Thresholds
from resolvers.operation import Limits
from resolvers.rates import Rate, Rates
from resolvers.sources import Allowance

FILE = "onesource.toml"
_LIMITS = Limits()
_RATES = Rates()
_THRESHOLDS = Thresholds()
_ALLOWANCE = Allowance()


def _shared_url(url: str) -> str:
    """ValueError for a database that control database and ledger cannot be: one kind for one machine, one for several."""
    parsed = sa.make_url(url)
    if parsed.get_backend_name() not in ("sqlite", "postgresql") or parsed.database in (None, "", ":memory:"):
        raise ValueError("neither a SQLite file nor a PostgreSQL database")
    return url


def _key_location(location: str) -> str:
    if "://" in location and not location.startswith("https://"):
        raise ValueError("neither a file nor an https address")
    return location


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Mode(StrEnum):
    """In production only registered operations run, and the schema is not told; in development any operation runs."""

    DEVELOPMENT = "development"
    PRODUCTION = "production"


class Server(_Section):
    """Where it listens, and what it runs. `max_body` in bytes; the bearer token of a collector that reads `/metrics` stands in a file."""

    mode: Mode = Mode.PRODUCTION
    host: str = Field(default="127.0.0.1", min_length=1)
    port: int = Field(default=8000, ge=1, le=65535)
    max_body: int = Field(default=1_000_000, ge=1_000)
    metrics_token_file: Path | None = None


class CatalogueSettings(_Section):
    """The catalogue's folder and the overlays in force, in their order."""

    folder: Path = Path("catalogue")
    overlays: tuple[str, ...] = ()


class IdentitySettings(_Section):
    """The issuer of tokens. `jwks` is a file or an https address."""

    issuer: str = Field(min_length=1)
    audience: str = Field(default="onesource", min_length=1)
    jwks: Annotated[str, Field(min_length=1), AfterValidator(_key_location)]


class _Secret(_Section):
    secret: SecretStr | None = None
    """64 hexadecimal digits; from the environment only."""
    secret_file: Path | None = None

    def secret_bytes(self) -> bytes:
        """The secret of 32 bytes; ValueError or OSError, without a word of it, if there is none or it is not of that form."""
        if self.secret is not None:
            return _secret_of("secret", self.secret.get_secret_value())
        if self.secret_file is not None:
            return secret_in(self.secret_file)
        raise ValueError("neither secret nor secret_file is set")


def secret_in(file: Path) -> bytes:
    """The secret of 32 bytes in a file; ValueError or OSError, without a word of it, if there is none or it is not of that form."""
    return _secret_of(str(file), file.read_bytes().decode("ascii", "replace"))


def _secret_of(place: str, text: str) -> bytes:
    if not re.fullmatch(r"[0-9a-fA-F]{64}", text.strip()):
        raise ValueError(f"{place}: the secret must have 64 hexadecimal digits")
    return bytes.fromhex(text.strip())


class CaseSettings(_Secret):
    """The case store: SQLAlchemy URL and secret."""

    url: DatabaseUrl = "sqlite:///var/cases.db"


class LedgerSettings(_Secret):
    """The ledger and its index: SQLAlchemy URLs, whose password comes from a file or ONESOURCE_PASSWORD_LEDGER.

    `timeout` is how many seconds an answer may wait for its frame, `retention` how many months a frame is kept: three years at the least.
    Whose its hashes are is sealed under the key in `identities_key_file` (64 hexadecimal digits), for two auditors together to tell.
    `origin` names this ledger among all in the world, `hash` what its tree is hashed with; neither may change. Checkpoints are signed with
    `signing_key_file` and exported to the folder `export`; `former_keys` and `witnesses` are public keys. Sealed months go to the folder
    `archive`, which every process that reads the ledger must see. Records may stay unsealed for
    `unsealed` seconds; then nothing is disclosed until they are sealed. Every `subjects` seconds it is committed to what was disclosed of each
    data subject; `former_secret_files` are the secrets under which data subjects were hashed before `secret`.
    """

    url: Annotated[DatabaseUrl, AfterValidator(_shared_url)] = "sqlite:///var/ledger.db"
    index_url: Annotated[DatabaseUrl, AfterValidator(_shared_url)] = "sqlite:///var/ledger-index.db"
    password_file: Path | None = None
    timeout: float = Field(default=5.0, gt=0, le=60)
    retention: int = Field(default=36, ge=36, le=1200)
    origin: str = Field(default="", pattern=r"^[^\s+]*$", max_length=200)
    hash: Literal["sha256", "sm3"] = "sha256"
    signing_key_file: Path | None = None
    identities_key_file: Path | None = None
    former_keys: tuple[Path, ...] = ()
    witnesses: tuple[Path, ...] = ()
    export: Path | None = None
    archive: Path | None = None
    unsealed: float = Field(default=300.0, ge=5, le=86_400)
    subjects: float = Field(default=60.0, ge=0.1, le=86_400)
    former_secret_files: tuple[Path, ...] = ()

    def former_secrets(self) -> list[bytes]:
        """The former secrets, of 32 bytes each; ValueError or OSError as `secret_bytes`."""
        return [secret_in(file) for file in self.former_secret_files]


class ControlSettings(_Section):
    """The control database: grants, suspensions, rule files. A SQLAlchemy URL; its password comes from a file or ONESOURCE_PASSWORD_CONTROL."""

    url: Annotated[DatabaseUrl, AfterValidator(_shared_url)] = "sqlite:///var/control.db"
    password_file: Path | None = None


class PolicySettings(_Section):
    """Who supervises sharing, and how policy is kept.

    `supervisor` is a department's slug. `lease` in seconds: decisions end when the control database could not be asked for so long.
    A department may verify one item of one entity `verify_attempts` times in `verify_days` days.
    """

    supervisor: str = ""
    lease: float = Field(default=1.0, ge=0.3, le=30)
    verify_attempts: int = Field(default=5, ge=1)
    verify_days: int = Field(default=30, ge=1)


class LimitSettings(_Section):
    """Bounds of one operation (`resolvers.operation.Limits`)."""

    tokens: int = Field(default=_LIMITS.tokens, ge=10)
    fields: int = Field(default=_LIMITS.fields, ge=1)
    depth: int = Field(default=_LIMITS.depth, ge=3)
    aliases: int = Field(default=_LIMITS.aliases, ge=1)
    cost: int = Field(default=_LIMITS.cost, ge=1)
    roots: int = Field(default=_LIMITS.roots, ge=1)
    identifiers: int = Field(default=_LIMITS.identifiers, ge=1)
    records: int = Field(default=_LIMITS.records, ge=1)
    page: int = Field(default=_LIMITS.page, ge=1, le=10_000)
    seconds: float = Field(default=_LIMITS.seconds, ge=0.1, le=300)


class RateSettings(_Section):
    """Requests a second, and how many at once: of a person, of a client, of a network address's refused tokens and of its requests for checkpoints."""

    subject: float = Field(default=_RATES.subject.per_second, ge=0.01, le=1_000_000)
    subject_burst: int = Field(default=_RATES.subject.burst, ge=1, le=1_000_000)
    client: float = Field(default=_RATES.client.per_second, ge=0.01, le=1_000_000)
    client_burst: int = Field(default=_RATES.client.burst, ge=1, le=1_000_000)
    address: float = Field(default=_RATES.address.per_second, ge=0.01, le=1_000_000)
    address_burst: int = Field(default=_RATES.address.burst, ge=1, le=1_000_000)

    def rates(self) -> Rates:
        return Rates(
            Rate(self.subject, self.subject_burst),
            Rate(self.client, self.client_burst),
            Rate(self.address, self.address_burst),
        )


class SourceSettings(_Section):
    """What all departments' sources have in common: when one is left alone (`resolvers.breaker.Thresholds`), and `retries` of a failed call."""

    failures: int = Field(default=_THRESHOLDS.failures, ge=1)
    calls: int = Field(default=_THRESHOLDS.calls, ge=2, le=10_000)
    percent: int = Field(default=_THRESHOLDS.percent, ge=1, le=100)
    window: float = Field(default=_THRESHOLDS.window, ge=1, le=3_600)
    pause: float = Field(default=_THRESHOLDS.pause, ge=0.1, le=3_600)
    longest: float = Field(default=_THRESHOLDS.longest, ge=0.1, le=3_600)
    retries: int = Field(default=_ALLOWANCE.retries, ge=0, le=5)

    def thresholds(self) -> Thresholds:
        return Thresholds(**self.model_dump(exclude={"retries"}))


class Settings(BaseSettings):
    """All settings."""

    model_config = SettingsConfigDict(env_prefix="ONESOURCE_", env_nested_delimiter="__", extra="forbid", frozen=True)

    demo: bool = False
    server: Server = Server()
    catalogue: CatalogueSettings = CatalogueSettings()
    identity: IdentitySettings
    cases: CaseSettings = CaseSettings()
    ledger: LedgerSettings = LedgerSettings()
    control: ControlSettings = ControlSettings()
    policy: PolicySettings = PolicySettings()
    limits: LimitSettings = LimitSettings()
    rates: RateSettings = RateSettings()
    sources: SourceSettings = SourceSettings()
    connections: dict[str, AnyConnection] = Field(default_factory=dict)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - pydantic-settings passes it by name
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return (init_settings, env_settings, TomlConfigSettingsSource(settings_cls, _reading))


class WrongSettings(Exception):
    """The settings cannot be used; each line says where and what."""

    def __init__(self, lines: list[str]) -> None:
        super().__init__("\n".join(lines))
        self.lines = lines


_reading = Path(FILE)


def load_settings(file: Path) -> Settings:
    """The settings of this file under the environment; WrongSettings with every problem and its place."""
    global _reading
    _reading = file
    if not file.is_file():
        raise WrongSettings([f"{file}: there is no such file (set ONESOURCE_FILE or use --settings)"])
    try:
        text = file.read_text("utf8")
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        line = re.search(r"at line (\d+)", str(error))
        raise WrongSettings([f"{file}{':' + line.group(1) if line else ''}: {error}"]) from None
    except (ValueError, OSError) as error:
        raise WrongSettings([f"{file}: {error}"]) from None
    if problems := [*_secrets_in(file, text, content), *_unknown_variables()]:
        raise WrongSettings(problems)
    try:
        return _rooted(Settings(), file.resolve().parent)  # type: ignore[call-arg]
    except ValidationError as error:
        raise WrongSettings([_problem(file, text, _location(one), _words(one)) for one in error.errors()]) from None
    except ValueError as error:
        raise WrongSettings([f"environment: {error}"]) from None


def _secrets_in(file: Path, text: str, content: dict[str, Any]) -> list[str]:
    """A problem for each secret that stands in the file itself."""
    found = [name for name in ("cases", "ledger") if "secret" in (content.get(name) or ())]
    return [_problem(file, text, (name, "secret"), "a secret belongs into secret_file") for name in found]


def _unknown_variables() -> list[str]:
    """A problem for each override of a section that does not exist: the library would pass over it in silence."""
    found = []
    for variable in os.environ:
        section, nested, _ = variable.upper().removeprefix("ONESOURCE_").partition("__")
        ours = nested and variable.upper().startswith("ONESOURCE_") and not section.startswith("PASSWORD_")
        if ours and section.lower() not in Settings.model_fields:
            found.append(f"{variable}: there is no section {section.lower()}")
    return found


def _location(error: ErrorDetails) -> tuple[Any, ...]:
    """Where a setting stands: without the kind of its connection, which pydantic names between."""
    section, name, *rest = (*error["loc"], "", "")[: max(2, len(error["loc"]))]
    if section != "connections":
        return error["loc"]
    return (section, name, "kind") if error["type"] == "union_tag_invalid" else (section, name, *rest[1:])


def _words(error: ErrorDetails) -> str:
    if error["type"] == "extra_forbidden":
        return "there is no such setting"
    if error["type"] == "union_tag_invalid":
        return f"no kind of source: use one of {error.get('ctx', {}).get('expected_tags', '')}"
    return error["msg"].removeprefix("Value error, ")


def password_of(name: str, connection: Connection | ControlSettings | LedgerSettings) -> str | None:
    """The password of a connection, of `control` or of `ledger`, from its environment variable or file."""
    variable = "ONESOURCE_PASSWORD_" + re.sub(r"\W", "_", name).upper()
    if variable in os.environ:
        return os.environ[variable]
    if connection.password_file is None:
        return None
    try:
        return connection.password_file.read_text("utf8").strip()
    except (OSError, ValueError):
        section = "connections." if isinstance(connection, Connection) else ""
        place = f"{section}{name}.password_file"
        raise WrongSettings([f"{place}: {connection.password_file} cannot be read"]) from None


def _problem(file: Path, text: str, location: tuple[Any, ...], message: str) -> str:
    """One line: the variable or the line of the file that a problem comes from, the setting's name, what is wrong."""
    name = ".".join(str(part) for part in location)
    variables = {variable.upper() for variable in os.environ}
    for length in range(len(location), 0, -1):
        variable = "ONESOURCE_" + "__".join(str(part) for part in location[:length]).upper()
        if variable in variables:
            return f"{variable} {name}: {message}"
    places = _places(text)
    for length in range(len(location), 0, -1):
        if line := places.get(".".join(str(part) for part in location[:length])):
            return f"{file}:{line} {name}: {message}"
    return f"{file} {name}: {message} (in the file, or ONESOURCE_{name.replace('.', '__').upper()})"


def _places(text: str) -> dict[str, int]:
    """The line of each section and key of a TOML text, by dotted name."""
    places: dict[str, int] = {}
    section = ""
    for number, line in enumerate(text.splitlines(), 1):
        if header := re.match(r"\s*\[([^]]+)\]", line):
            section = _dotted(header.group(1))
            places.setdefault(section, number)
        elif key := re.match(r"\s*([\w.\"' -]+?)\s*=", line):
            places.setdefault(f"{section}.{_dotted(key.group(1))}".lstrip("."), number)
    return places


def _dotted(name: str) -> str:
    return ".".join(part.strip().strip("\"'") for part in name.split("."))


def _rooted(settings: Settings, root: Path) -> Settings:
    """The settings with every relative path seen from `root`."""

    def path(value: Path | None) -> Path | None:
        return None if value is None else root / value

    def url(value: str) -> str:
        return rooted_url(value, root)

    jwks = settings.identity.jwks
    return settings.model_copy(
        update={
            "server": settings.server.model_copy(
                update={"metrics_token_file": path(settings.server.metrics_token_file)}
            ),
            "catalogue": settings.catalogue.model_copy(update={"folder": path(settings.catalogue.folder)}),
            "identity": settings.identity.model_copy(
                update={"jwks": jwks if jwks.startswith("https://") else str(root / jwks)}
            ),
            "cases": settings.cases.model_copy(
                update={"url": url(settings.cases.url), "secret_file": path(settings.cases.secret_file)}
            ),
            "ledger": settings.ledger.model_copy(
                update={
                    "url": url(settings.ledger.url),
                    "index_url": url(settings.ledger.index_url),
                    "secret_file": path(settings.ledger.secret_file),
                    "password_file": path(settings.ledger.password_file),
                    "signing_key_file": path(settings.ledger.signing_key_file),
                    "identities_key_file": path(settings.ledger.identities_key_file),
                    "export": path(settings.ledger.export),
                    "archive": path(settings.ledger.archive),
                    "former_keys": tuple(root / file for file in settings.ledger.former_keys),
                    "witnesses": tuple(root / file for file in settings.ledger.witnesses),
                    "former_secret_files": tuple(root / file for file in settings.ledger.former_secret_files),
                }
            ),
            "control": settings.control.model_copy(
                update={"url": url(settings.control.url), "password_file": path(settings.control.password_file)}
            ),
            "connections": {name: one.rooted(root) for name, one in settings.connections.items()},
        }
    )
