"""Trusted operations: documents that were registered, validated, and are named by the SHA-256 digest of their text.

In production nothing else runs, so what can be asked at all is known beforehand. What was found is remembered for a second, so that an operation
that is not trusted any more stops within one; what was not found is looked for again.
Source: GraphQL over HTTP, appendix "Persisted Documents"; `extensions.persistedQuery` as widespread clients send it.
"""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Iterable, Mapping
from typing import Any

from policies.control import Control, ControlUnavailable
from schema.errors import Fault, RequestError, Text

_DIGEST = re.compile(r"(?:sha256:)?([0-9a-fA-F]{64})")
_MAX_REMEMBERED = 10_000
_REMEMBERED_SECONDS = 1.0


class TrustedOperations:
    """Finds what a request asks to run; with `only`, refuses every text that is not registered. `shipped` are registered always."""

    def __init__(self, control: Control, only: bool, shipped: Iterable[str] = ()) -> None:
        self._control = control
        self._only = only
        self._shipped = {digest_of(text): text for text in shipped}
        self._found: dict[str, tuple[str, float]] = {}

    async def document(self, text: str, digest: str) -> str:
        """The document to run, named by its text, its digest, or both.

        RequestError OPERATION_NOT_REGISTERED, or CONTROL_UNAVAILABLE where nobody can say whether it is.
        """
        if text and not self._only:
            return text
        digest = digest or digest_of(text)
        if digest in self._shipped:
            return self._shipped[digest]
        found, until = self._found.get(digest, ("", 0.0))
        now = time.monotonic()
        if now >= until:
            found = await self._registered(digest)
            if len(self._found) >= _MAX_REMEMBERED:
                self._found.clear()
            self._found[digest] = found, now + _REMEMBERED_SECONDS
        return found

    async def _registered(self, digest: str) -> str:
        try:
            text = await self._control.operation(digest)
        except ControlUnavailable:
            raise RequestError(Fault("CONTROL_UNAVAILABLE")) from None
        if text is None or digest_of(text) != digest:  # a text changed in the database is not what was registered
            raise RequestError(Fault("OPERATION_NOT_REGISTERED"))
        return text


def digest_of(text: str) -> str:
    """The SHA-256 digest of a document's text in UTF-8, as 64 hexadecimal digits."""
    return hashlib.sha256(text.encode()).hexdigest()


def named_digest(content: Mapping[str, Any]) -> str:
    """The digest that a request's body names; "" if none. RequestError if it is no digest, or not that of the text beside it."""
    extensions = content.get("extensions")
    persisted = extensions.get("persistedQuery") if isinstance(extensions, dict) else None
    hashed = persisted.get("sha256Hash") if isinstance(persisted, dict) else None
    digests = {_digest(name) for name in (content.get("documentId"), hashed) if name is not None}
    if not digests:
        return ""
    text = content.get("query")
    if isinstance(text, str) and text:
        digests.add(digest_of(text))
    if len(digests) > 1:
        raise _malformed("the document and its digests must be one and the same", "文档与其摘要须一致")
    return digests.pop()


def _digest(name: object) -> str:
    match = _DIGEST.fullmatch(name) if isinstance(name, str) else None
    if match is None:
        raise _malformed("a document's name is sha256:<64 hexadecimal digits>", "文档标识须为 sha256:<64 位十六进制数>")
    return match.group(1).lower()


def _malformed(en: str, zh: str) -> RequestError:
    return RequestError(Fault("REQUEST_MALFORMED", reason=Text(en, zh)))
