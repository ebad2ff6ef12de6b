"""Services over TLS: an authority of their own is believed, no other is, and the client shows its certificate."""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from connectors.client import Tls
from connectors.contract import SourceError
from connectors.rest import RestConnector
from schema.http import HttpLookUp, HttpSource, JsonPath
from tests.connectors.conftest import request_for
from tests.connectors.resources import item, resource
from tests.connectors.services import serve

HTTP = HttpSource(JsonPath(()), {"id": HttpLookUp("/{key}", {}, None)})
PEOPLE = replace(
    resource("People", item("id", column="id"), item("name", column="name")), table=None, http=HTTP, updated=None
)


@dataclass(frozen=True)
class Authority:
    """A certificate authority in a folder, and certificates by it."""

    folder: Path
    name: str

    def __post_init__(self) -> None:
        self.sign(self.name, issuer=None)

    @property
    def file(self) -> Path:
        return self.folder / f"{self.name}.pem"

    def sign(self, name: str, issuer: str | None) -> tuple[Path, Path]:
        """The certificate and key of this name, signed by the key of `issuer`, else by its own."""
        key = ec.generate_private_key(ec.SECP256R1())
        certificate, private = self.folder / f"{name}.pem", self.folder / f"{name}.key"
        private.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        signer: Any = key
        if issuer:
            signer = serialization.load_pem_private_key((self.folder / f"{issuer}.key").read_bytes(), None)
        now = datetime.now(UTC)
        built = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
            .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer or name)]))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(hours=1))
            .not_valid_after(now + timedelta(hours=1))
            .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
            .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
            .sign(signer, hashes.SHA256())
        )
        certificate.write_bytes(built.public_bytes(serialization.Encoding.PEM))
        return certificate, private


async def _person(request: Request) -> Response:
    return JSONResponse({"id": request.path_params["key"], "name": "over TLS"})


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("tls"), "authority")


@cache
def department(authority: Authority) -> str:
    """A service that asks everybody for a certificate of the authority."""
    certificate, key = authority.sign("service", "authority")
    return serve(
        Starlette(routes=[Route("/{key}", _person)]),
        ssl_certfile=certificate,
        ssl_keyfile=key,
        ssl_ca_certs=authority.file,
        ssl_cert_reqs=ssl.CERT_REQUIRED,
    )


def ask(url: str, tls: Tls) -> Any:
    async def asking() -> Any:
        connector = RestConnector(url, tls=tls)
        try:
            return (await connector.fetch(request_for(PEOPLE, ["a"], "name"))).rows[0].values
        except SourceError as error:
            return error.code
        finally:
            await connector.close()

    return asyncio.run(asking())


def test_a_service_with_an_authority_of_its_own_is_asked_with_a_certificate(authority: Authority) -> None:
    own = authority.sign("client", "authority")
    assert ask(department(authority), Tls(authority.file, *own)) == ("over TLS",)


def test_a_service_of_another_authority_is_not_believed(authority: Authority, tmp_path: Path) -> None:
    own = authority.sign("client", "authority")
    assert ask(department(authority), Tls(None, *own)) == "SOURCE_UNAVAILABLE"
    assert ask(department(authority), Tls(Authority(tmp_path, "other").file, *own)) == "SOURCE_UNAVAILABLE"


def test_without_a_certificate_a_service_that_asks_for_one_tells_nothing(authority: Authority, tmp_path: Path) -> None:
    assert ask(department(authority), Tls(authority.file)) == "SOURCE_UNAVAILABLE"
    stranger = Authority(tmp_path, "stranger").sign("client", "stranger")
    assert ask(department(authority), Tls(authority.file, *stranger)) == "SOURCE_UNAVAILABLE"


def test_a_certificate_of_another_host_is_not_believed(authority: Authority) -> None:
    own = authority.sign("client", "authority")
    url = department(authority).replace("127.0.0.1", "localhost")
    assert ask(url, Tls(authority.file, *own)) == "SOURCE_UNAVAILABLE"
