"""One HTTP service, asked for JSON: within a time and a size, at its own address alone, with its own authentication.

No proxy, no redirect, no cookie, no compressed answer. What it answers is believed only where it is JSON of a plausible size.
"""

from __future__ import annotations

import asyncio
import codecs
import json
import re
import ssl
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from email.message import Message
from email.utils import parsedate_to_datetime
from http.cookiejar import CookieJar, DefaultCookiePolicy
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus, urlsplit

import httpx

from connectors import clock
from connectors.contract import SourceError

_MAX_TOKEN_BYTES = 64_000
_TOKEN_MARGIN_SECONDS = 30.0
_TOKEN_SECONDS = 300
_MAX_PAUSE_SECONDS = 300.0
_JSON = re.compile(r"application/([\w.-]+\+)?json", re.ASCII | re.IGNORECASE)
_TOKEN = re.compile(r"[\x21-\x7e]+")
_CHARSETS = ("utf-8", "gbk", "gb2312", "gb18030")


@dataclass(frozen=True, slots=True)
class HeaderKey:
    """A key in a header of every request."""

    header: str
    key: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class ClientCredentials:
    """OAuth2 client credentials (RFC 6749, 4.4), told by HTTP Basic."""

    token_url: str
    client_id: str
    scope: str
    secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Tls:
    """Whom to trust, None for the public authorities; and the client's own certificate with its key, both PEM."""

    authority: Path | None = None
    certificate: Path | None = None
    certificate_key: Path | None = None

    def context(self) -> ssl.SSLContext:
        """The context of every connection; OSError or ssl.SSLError where a file is not as it should be."""
        context = ssl.create_default_context(cafile=self.authority)
        if self.certificate:
            context.load_cert_chain(self.certificate, self.certificate_key)
        return context


@dataclass(slots=True)
class Budget:
    """Bytes that the answers to one question may still have."""

    bytes: int

    def spend(self, count: int) -> None:
        """SourceError where there are not so many left."""
        self.bytes -= count
        if self.bytes < 0:
            raise SourceError("SOURCE_CHANGED")


@dataclass(frozen=True, slots=True)
class Call:
    """One request: a path that is encoded already, the query's names and encoded values, and a JSON body for POST."""

    path: str
    query: Sequence[tuple[str, str]] = ()
    body: Mapping[str, Any] | None = None
    absent: int | None = None

    @property
    def target(self) -> str:
        """Path and query."""
        query = "&".join(f"{quote(name, safe='')}={value}" for name, value in self.query)
        return f"{self.path}?{query}" if query else self.path


class Absent(Exception):
    """The service says that nobody has the key."""


class Client:
    """A service at the address `url`, asked by at most `concurrency` requests at once."""

    def __init__(
        self, url: str, concurrency: int, auth: HeaderKey | ClientCredentials | None = None, tls: Tls | None = None
    ) -> None:
        self._base = url.rstrip("/")
        self._auth = auth
        self._free = asyncio.Semaphore(concurrency)
        self._token: tuple[str, float] | None = None
        self._token_lock = asyncio.Lock()
        self._silent_until = 0.0
        # deadlines are the caller's; a pool as large as the semaphore never makes anybody wait
        limits = httpx.Limits(max_connections=concurrency + 1, max_keepalive_connections=concurrency)
        verify = (tls or Tls()).context()
        no_cookies = CookieJar(DefaultCookiePolicy(allowed_domains=[]))
        self._http = httpx.AsyncClient(
            verify=verify,
            trust_env=False,
            limits=limits,
            timeout=None,  # noqa: S113
            cookies=no_cookies,
        )
        self._http.headers = httpx.Headers({"accept": "application/json", "accept-encoding": "identity"})

    async def close(self) -> None:
        """Close every connection."""
        await self._http.aclose()

    async def alive(self) -> bool:
        """Whether anything that speaks HTTP answers at the address, without an error of its own."""
        try:
            async with self._http.stream("GET", self._base + "/") as response:
                return response.status_code < 500
        except httpx.HTTPError:
            return False

    def address(self, call: Call) -> str:
        """The whole address of a request."""
        return self._base + call.target

    async def ask(self, address: str, call: Call, budget: Budget) -> Any:
        """The JSON that the service answers there, with Decimal for a number that is not whole.

        Absent, or SourceError for everything else, an address that is not the service's own among it.
        """
        if _origin(address) != _origin(self._base):
            raise SourceError("SOURCE_CHANGED")
        async with self._free:
            headers = await self._headers()
            try:
                return await self._send(address, call, headers, budget)
            except SourceError as error:
                if error.code != "SOURCE_REFUSED" or not isinstance(self._auth, ClientCredentials):
                    raise
            self._token = None  # it may have been withdrawn before its time
            return await self._send(address, call, await self._headers(), budget)

    async def _send(self, url: str, call: Call, headers: Mapping[str, str], budget: Budget) -> Any:
        if time.monotonic() < self._silent_until:
            raise SourceError("SOURCE_UNAVAILABLE")  # it asked to be left alone
        content = None if call.body is None else json.dumps(call.body, ensure_ascii=False).encode()
        sent = dict(headers) | ({} if content is None else {"content-type": "application/json"})
        try:
            method = "GET" if content is None else "POST"
            async with self._http.stream(method, url, content=content, headers=sent) as response:
                if response.status_code == call.absent:
                    raise Absent
                self._require_ok(response)
                return await _json_of(response, budget)
        except httpx.HTTPError as error:
            raise SourceError("SOURCE_UNAVAILABLE") from error
        except httpx.InvalidURL as error:
            raise SourceError("SOURCE_CHANGED") from error

    def _require_ok(self, response: httpx.Response) -> None:
        status = response.status_code
        if status == 200:
            return
        if status == 429 or status >= 500:
            pause = _seconds(response.headers.get("retry-after", ""))
            self._silent_until = max(self._silent_until, time.monotonic() + pause)
            raise SourceError("SOURCE_UNAVAILABLE")
        raise SourceError("SOURCE_REFUSED" if status in (401, 403, 407) else "SOURCE_CHANGED")

    async def _headers(self) -> Mapping[str, str]:
        if isinstance(self._auth, HeaderKey):
            return {self._auth.header: self._auth.key}
        if self._auth is None:
            return {}
        async with self._token_lock:
            if self._token is None or time.monotonic() >= self._token[1]:
                self._token = await self._new_token(self._auth)
            return {"authorization": f"Bearer {self._token[0]}"}

    async def _new_token(self, auth: ClientCredentials) -> tuple[str, float]:
        """A token, and until when it is used (monotonic seconds)."""
        form = {"grant_type": "client_credentials"} | ({"scope": auth.scope} if auth.scope else {})
        basic = httpx.BasicAuth(quote_plus(auth.client_id), quote_plus(auth.secret))
        asked = time.monotonic()
        try:
            async with self._http.stream("POST", auth.token_url, data=form, auth=basic) as response:
                if response.status_code == 400:  # RFC 6749, 5.2: invalid_client, invalid_scope
                    raise SourceError("SOURCE_REFUSED")
                self._require_ok(response)
                answer = await _json_of(response, Budget(_MAX_TOKEN_BYTES))
        except httpx.HTTPError as error:
            raise SourceError("SOURCE_UNAVAILABLE") from error
        token, seconds = _member(answer, "access_token"), _member(answer, "expires_in")
        kind = _member(answer, "token_type")
        if not isinstance(token, str) or not _TOKEN.fullmatch(token) or str(kind).lower() != "bearer":
            raise SourceError("SOURCE_CHANGED")
        lasts = seconds if isinstance(seconds, int) else _TOKEN_SECONDS
        return token, asked + max(0.0, lasts - _TOKEN_MARGIN_SECONDS)


def _origin(address: str) -> tuple[str, str] | None:
    """Scheme, and host with port and all that stands before it; None for what is no address."""
    try:
        scheme, place, *_ = urlsplit(address)
    except ValueError:
        return None
    return scheme.lower(), place.lower()


def _member(answer: Any, name: str) -> Any:
    return answer.get(name) if isinstance(answer, dict) else None


async def _json_of(response: httpx.Response, budget: Budget) -> Any:
    """The JSON of an answer; SourceError for another type or encoding, for too much, and for what is no JSON."""
    written = Message()
    written["content-type"] = response.headers.get("content-type", "")
    charset = str(written.get_param("charset", "utf-8")).lower()
    plain = response.headers.get("content-encoding", "identity").lower() == "identity"
    if not _JSON.fullmatch(written.get_content_type()) or charset not in _CHARSETS or not plain:
        raise SourceError("SOURCE_CHANGED")
    length = response.headers.get("content-length", "0")
    if length.isascii() and length.isdigit() and int(length[:20]) > budget.bytes:
        raise SourceError("SOURCE_CHANGED")
    content = bytearray()
    async for chunk in response.aiter_raw():
        budget.spend(len(chunk))
        content += chunk
    try:
        text = codecs.decode(content, charset, "strict").removeprefix("\ufeff")
        return json.loads(text, parse_float=_decimal, parse_constant=_refuse)
    except (ValueError, ArithmeticError, RecursionError) as error:
        raise SourceError("SOURCE_CHANGED") from error


_decimal: Callable[[str], Decimal] = Decimal


def _refuse(word: str) -> Any:
    """NaN and Infinity are no JSON."""
    raise ValueError(word)


def _seconds(text: str) -> float:
    """How long `Retry-After` (RFC 9110, 10.2.3) asks to wait, in seconds, bounded; 0 where it says nothing."""
    if text.isascii() and text.isdigit():
        return min(float(text[:9]), _MAX_PAUSE_SECONDS)
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, TypeError):
        return 0.0
    if moment.tzinfo is None:
        return 0.0
    return min(max(0.0, (moment - clock.now()).total_seconds()), _MAX_PAUSE_SECONDS)
