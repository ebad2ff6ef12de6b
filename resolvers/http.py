"""GraphQL over HTTP: the one endpoint, by the book.

POST with `application/json` in UTF-8, answered as `application/graphql-response+json` (or `application/json` for those who accept nothing
newer). No GET, no batches, no multipart: each opens a way around the line. Requests are counted before their body is read, bodies bounded
while they are. The document is given by its text or by its digest.
Source: GraphQL over HTTP, working draft of the GraphQL Foundation.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from functools import partial
from typing import Any

import orjson
from starlette.requests import ClientDisconnect
from starlette.requests import Request as HttpRequest
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from policies.identity import Identity, Role, Unauthenticated, Verifier
from resolvers.line import Answer, Line, Request, refusal
from resolvers.rates import Limiter
from resolvers.trusted import TrustedOperations, digest_of, named_digest
from schema.errors import Fault, RequestError, Text, wordless

_LOG = logging.getLogger("onesource.http")
GRAPHQL = "application/graphql-response+json"
JSON = "application/json"
_BODY_SECONDS = 10
_HEADERS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer"}


class Endpoint:
    """The ASGI endpoint at `/graphql`."""

    def __init__(
        self, line: Line, verifier: Verifier, limiter: Limiter, operations: TrustedOperations, max_body: int
    ) -> None:
        self._line = line
        self._verifier = verifier
        self._limiter = limiter
        self._operations = operations
        self._max_body = max_body

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        response = await self.answer(HttpRequest(scope, receive))
        await response(scope, receive, send)

    async def answer(self, http: HttpRequest) -> Response:
        """The HTTP answer to one HTTP request. Never raises: a failure that nobody foresaw is an answer without data."""
        media = GRAPHQL
        try:
            media = _media(",".join(http.headers.getlist("accept")))
            if http.method != "POST":
                raise RequestError(Fault("METHOD_NOT_ALLOWED"))
            identity = await self._identity(http)
            self._limiter.admit(identity)
            await self._line.sign_in(identity)
            request, digest = await self._request(http)
            request = replace(request, gone=partial(_gone, http))
            return _response(await self._run(request, digest, identity), media, identity)
        except RequestError as error:
            return _response(refusal(error), media, None, int(error.faults[0].extra.get("retryAfter", 1)))
        except Exception as error:
            _LOG.error("request failed: %s", wordless(error))
            return _response(refusal(RequestError(Fault("INTERNAL"))), media, None)

    async def _run(self, request: Request, digest: str, identity: Identity) -> Answer:
        try:
            document = await self._operations.document(request.document, digest)
        except RequestError as error:
            return await self._line.refuse(error, identity, (digest or digest_of(request.document))[:32])
        return await self._line.answer(replace(request, document=document), identity)

    async def _identity(self, http: HttpRequest) -> Identity:
        given = http.headers.getlist("authorization")
        authorization = given[0] if len(given) == 1 else None
        if identity := self._verifier.remembered(authorization):
            return identity
        address = http.client.host if http.client else ""
        self._limiter.admit_stranger(address)
        try:
            return await self._verifier.identify(authorization)
        except Unauthenticated as error:
            self._limiter.note_stranger(address)
            _LOG.warning("unauthenticated: %s", error)
            raise RequestError(Fault("UNAUTHENTICATED")) from None

    async def _request(self, http: HttpRequest) -> tuple[Request, str]:
        """The request as it came, and the digest that names its document, if one does."""
        media, parameters = _media_type(http.headers.get("content-type", ""))
        charset = parameters.get("charset", "utf-8").strip('"').lower()
        if media != JSON or charset not in ("utf-8", "utf8") or "content-encoding" in http.headers:
            raise RequestError(Fault("MEDIA_TYPE_UNSUPPORTED"))
        try:
            content = orjson.loads(await self._body(http))
        except orjson.JSONDecodeError:
            raise RequestError(Fault("REQUEST_MALFORMED")) from None
        return _request(content)

    async def _body(self, http: HttpRequest) -> bytes:
        body = bytearray()
        try:
            async with asyncio.timeout(_BODY_SECONDS):
                async for chunk in http.stream():
                    body += chunk
                    if len(body) > self._max_body:
                        raise RequestError(Fault("REQUEST_TOO_LARGE"))
        except TimeoutError:
            raise RequestError(Fault("REQUEST_TIMEOUT")) from None
        except ClientDisconnect:
            raise RequestError(Fault("REQUEST_MALFORMED")) from None
        return bytes(body)


async def _gone(http: HttpRequest) -> bool:
    """Whether the connection was closed: behind the body, servers have nothing else to say."""
    message = await http.receive()
    return bool(message["type"] == "http.disconnect")


def _media_type(text: str) -> tuple[str, dict[str, str]]:
    """A media type and its parameters, as a header has them."""
    media, *parameters = text.split(";")
    pairs = (parameter.partition("=") for parameter in parameters)
    return media.strip().lower(), {name.strip().lower(): value.strip() for name, _, value in pairs}


def _media(accept: str) -> str:
    """The answer's media type, by quality (RFC 9110, 12.5.1); RequestError if the caller accepts none that we have."""
    if not accept.strip():
        return GRAPHQL
    qualities: dict[str, float] = {}
    for part in accept.split(","):
        media, parameters = _media_type(part)
        try:
            qualities[media] = float(parameters.get("q", "1"))
        except ValueError:
            qualities[media] = 0.0
    rest = qualities.get("application/*", qualities.get("*/*", 0.0))
    graphql, json = qualities.get(GRAPHQL, rest), qualities.get(JSON, rest)
    if graphql > 0 and graphql >= json:
        return GRAPHQL
    if json > 0:
        return JSON
    raise RequestError(Fault("NOT_ACCEPTABLE"))


def _request(content: Any) -> tuple[Request, str]:
    """The request in a JSON body, its document perhaps blank and named by a digest; RequestError for anything that is none."""
    if isinstance(content, list):
        raise RequestError(Fault("BATCHING_DISABLED"))
    if not isinstance(content, dict):
        raise RequestError(Fault("REQUEST_MALFORMED"))
    document, variables, name = content.get("query"), content.get("variables"), content.get("operationName")
    extensions = content.get("extensions")
    for valid, en, zh in (
        (
            document is None or (isinstance(document, str) and bool(document)),
            "`query` must be a text",
            "query 须为文本",
        ),
        (variables is None or isinstance(variables, dict), "`variables` must be an object", "variables 须为对象"),
        (name is None or isinstance(name, str), "`operationName` must be a text", "operationName 须为文本"),
        (extensions is None or isinstance(extensions, dict), "`extensions` must be an object", "extensions 须为对象"),
        (
            _is_ours(extensions),
            "`extensions.onesource` may have `dryRun`, true or false, and nothing else",
            "extensions.onesource 只能含 dryRun（true 或 false）",
        ),
    ):
        if not valid:
            raise RequestError(Fault("REQUEST_MALFORMED", reason=Text(en, zh)))
    digest = named_digest(content)
    if not document and not digest:
        raise RequestError(
            Fault("REQUEST_MALFORMED", reason=Text("`query` or `documentId` is required", "须有 query 或 documentId"))
        )
    dry_run = bool((extensions or {}).get("onesource", {}).get("dryRun"))
    return Request(document or "", variables or {}, name or None, dry_run), digest


def _is_ours(extensions: Any) -> bool:
    """Whether what is said to us in `extensions` is understood: a dry run that is misspelt must not run."""
    ours = extensions.get("onesource", {}) if isinstance(extensions, dict) else {}
    return isinstance(ours, dict) and ours.keys() <= {"dryRun"} and isinstance(ours.get("dryRun", False), bool)


def _response(answer: Answer, media: str, identity: Identity | None, retry: int = 1) -> Response:
    # under application/json a well-formed GraphQL answer is 200 even where the operation failed (GraphQL over HTTP, 6.4.1)
    status = 200 if media == JSON and answer.status == 400 and identity else answer.status
    headers = dict(_HEADERS)
    if status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    if status == 405:
        headers["Allow"] = "POST"
    if status in (429, 503):
        headers["Retry-After"] = str(retry)
    if identity and identity.role is Role.DEVELOPER and answer.timings:
        headers["Server-Timing"] = ", ".join(f"{stage};dur={spent:.3f}" for stage, spent in answer.timings.items())
    return Response(answer.body, status, headers, f"{media}; charset=utf-8")
