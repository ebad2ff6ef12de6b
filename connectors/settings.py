"""The settings of a connection, by its kind: what its section of `onesource.toml` may say, and what its connector is made with.

Passwords, keys and client secrets are no part of them: they come from a file or from the environment.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

import sqlalchemy as sa
from pydantic import AfterValidator, BaseModel, ConfigDict, Discriminator, Field, Tag, model_validator

from connectors.client import ClientCredentials, HeaderKey, Tls

DEFAULT_KIND = "sql"


def _database_url(url: str) -> str:
    """ValueError for what is no database URL, and for one with a password: files of settings are read by many."""
    try:
        parsed = sa.make_url(url)
    except (sa.exc.ArgumentError, ValueError):
        raise ValueError("not a database URL such as sqlite:///file.db") from None
    if parsed.password is not None or any("password" in name.lower() for name in parsed.query):
        raise ValueError("a password belongs into password_file or ONESOURCE_PASSWORD_<CONNECTION>, not into the URL")
    return url


def _service_url(url: str) -> str:
    """ValueError for what is no address of a service: https, or http on this machine alone, without anything secret."""
    parts = urlsplit(url)
    if parts.username is not None or parts.password is not None or parts.query or parts.fragment:
        raise ValueError("an address has neither user, query nor fragment; a key belongs into password_file")
    if not parts.hostname or parts.scheme not in ("http", "https") or parts.port == 0:
        raise ValueError("not an address such as https://service.example/v1")
    if parts.scheme == "http" and not _is_this_machine(parts.hostname):
        raise ValueError("http sends people's data in clear text: use https")
    return url


def _is_this_machine(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def rooted_url(url: str, root: Path) -> str:
    """A database URL with the path of a SQLite file seen from `root`."""
    parsed = sa.make_url(url)
    if parsed.get_backend_name() != "sqlite" or parsed.database in (None, "", ":memory:"):
        return url
    return parsed.set(database=str(root / str(parsed.database))).render_as_string(hide_password=False)


DatabaseUrl = Annotated[str, Field(min_length=1), AfterValidator(_database_url)]
ServiceUrl = Annotated[str, Field(min_length=1), AfterValidator(_service_url)]


class Connection(BaseModel, ABC):
    """A department's source. `timeout` in seconds; `calls` at once, `queue` that wait, `batch` keys a statement, as agreed with the department."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: str
    password_file: Path | None = None
    timeout: float = Field(default=2.0, gt=0, le=60)
    calls: int = Field(default=8, ge=1, le=1_000)
    queue: int = Field(default=64, ge=0, le=10_000)
    batch: int = Field(default=1_000, ge=1, le=1_000)

    @abstractmethod
    def arguments(self, secret: str | None) -> dict[str, Any]:
        """What the connector of this kind is made with; ValueError where a secret is missing, or there is one too many."""

    def rooted(self, root: Path) -> Self:
        """The same with every relative path seen from `root`."""
        paths = {name: root / value for name, value in self if isinstance(value, Path)}
        return self.model_copy(update=paths)


class SqlConnection(Connection):
    """A relational database, by SQLAlchemy's URL; `pool` is how many connections at most."""

    kind: Literal["sql"] = "sql"
    url: DatabaseUrl
    pool: int = Field(default=4, ge=1, le=100)

    def arguments(self, secret: str | None) -> dict[str, Any]:
        url = sa.make_url(self.url)
        return {"url": url.set(password=secret) if secret else url, "pool": self.pool}

    def rooted(self, root: Path) -> Self:
        return super().rooted(root).model_copy(update={"url": rooted_url(self.url, root)})


class FileConnection(Connection):
    """Deliveries in a folder. `encoding` of CSV; `marked`: each has an `.ok` beside it; `memory` in megabytes, `pool` of questions at once."""

    kind: Literal["file"]
    folder: Path
    encoding: Literal["utf-8", "gbk", "gb18030"] = "utf-8"
    marked: bool = False
    memory: int = Field(default=256, ge=64, le=65_536)
    pool: int = Field(default=2, ge=1, le=32)

    def arguments(self, secret: str | None) -> dict[str, Any]:
        if secret is not None:
            raise ValueError("a folder takes no password")
        encoding = "utf-8" if self.encoding == "utf-8" else "gb18030"  # of which GBK is a part
        return {
            "folder": self.folder,
            "encoding": encoding,
            "marked": self.marked,
            "memory": self.memory,
            "pool": self.pool,
        }


class RestConnection(Connection):
    """A service that answers JSON. `max_bytes` of the answers to one request; `concurrency` of requests at once.

    It is told a key in `header`, or a token that `token_url` gives for `client_id`: the key or client secret comes from password_file.
    """

    kind: Literal["rest"]
    url: ServiceUrl
    concurrency: int = Field(default=4, ge=1, le=64)
    max_bytes: int = Field(default=8_000_000, ge=1_000, le=100_000_000)
    header: str | None = Field(default=None, pattern=r"^[A-Za-z0-9-]{1,100}$")
    token_url: ServiceUrl | None = None
    client_id: str | None = Field(default=None, min_length=1)
    scope: str = ""
    authority_file: Path | None = None
    certificate_file: Path | None = None
    certificate_key_file: Path | None = None

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.header and self.token_url:
            raise ValueError("header beside token_url: it is told one of them")
        if (self.token_url is None) is not (self.client_id is None):
            raise ValueError("token_url and client_id belong together")
        if (self.certificate_file is None) is not (self.certificate_key_file is None):
            raise ValueError("certificate_file and certificate_key_file belong together")
        return self

    def arguments(self, secret: str | None) -> dict[str, Any]:
        if (secret is None) is not (self.header is None and self.token_url is None):
            raise ValueError("a password belongs to header or token_url, and to both of them")
        auth: HeaderKey | ClientCredentials | None = None
        if self.header and secret:
            auth = HeaderKey(self.header, secret)
        elif self.token_url and self.client_id and secret:
            auth = ClientCredentials(self.token_url, self.client_id, self.scope, secret)
        return {
            "url": self.url,
            "concurrency": self.concurrency,
            "max_bytes": self.max_bytes,
            "auth": auth,
            "tls": Tls(self.authority_file, self.certificate_file, self.certificate_key_file),
        }


def kind_of(section: Any) -> str:
    """The kind that a section names."""
    return str(section.get("kind", DEFAULT_KIND) if isinstance(section, dict) else getattr(section, "kind", ""))


AnyConnection = Annotated[
    Annotated[SqlConnection, Tag("sql")]
    | Annotated[FileConnection, Tag("file")]
    | Annotated[RestConnection, Tag("rest")],
    Discriminator(kind_of),
]
"""The settings of a connection of any kind."""
