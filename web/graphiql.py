"""The GraphiQL page, served whole from this process: a government network has no public CDN.

The page carries no inline script, so the Content-Security-Policy needs no nonce. What the page must know
(endpoint, query, headers, demo identities) stands in it as JSON that `graphiql.js` reads.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from html import escape
from pathlib import Path
from string import Template

from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, Response
from starlette.routing import Mount, Route

PAGE_TITLE = "一数一源 onesource"
DEMO_BANNER = "演示身份 demo identity — not for production"
EMPTY_BEARER = '{"Authorization": "Bearer "}'

CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        # CodeMirror, the editor inside GraphiQL, positions its lines with style attributes.
        "style-src 'self' 'unsafe-inline'",
        "img-src 'self' data:",
        "font-src 'self' data:",
        "connect-src 'self'",
        "frame-ancestors 'none'",
        "base-uri 'none'",
        "form-action 'none'",
    )
)
SAFETY_HEADERS = {"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer"}
# The page may hold a demo token, so no cache keeps it.
PAGE_HEADERS = {**SAFETY_HEADERS, "Content-Security-Policy": CONTENT_SECURITY_POLICY, "Cache-Control": "no-store"}
# A vendored path names its version: its bytes never change.
VENDOR_HEADERS = {**SAFETY_HEADERS, "Cache-Control": "public, max-age=31536000, immutable"}
OWN_HEADERS = {**SAFETY_HEADERS, "Cache-Control": "no-cache"}

WEB = Path(__file__).resolve().parent
VENDOR_ASSETS = (
    "vendor/graphiql-3.9.0/graphiql.min.css",
    "vendor/graphiql-3.9.0/graphiql.min.js",
    "vendor/react-18.3.1/react.production.min.js",
    "vendor/react-dom-18.3.1/react-dom.production.min.js",
)
OWN_ASSETS = ("graphiql.css", "graphiql.js")
MEDIA_TYPES = {".css": "text/css", ".js": "text/javascript"}


@dataclass(frozen=True)
class GraphiQLPrefill:
    """What a demonstration shows at first; `variables`, `headers` and each identity's headers are JSON texts.

    A prefill always means demo identities: without a `banner` of its own the page shows `DEMO_BANNER`.
    """

    title: str
    query: str
    variables: str
    headers: str
    banner: str | None
    identities: tuple[tuple[str, str], ...]


def graphiql_routes(endpoint: str, prefill: Callable[[], GraphiQLPrefill | None]) -> list[Route | Mount]:
    """Routes of the page and its assets; `prefill` is asked at each page view, None means production.

    Raises ValueError when `endpoint` is not a path of this server.
    """
    if not endpoint.startswith("/") or endpoint.startswith(("//", "/\\")):
        raise ValueError(f"the GraphQL endpoint must be a path of this server, not {endpoint!r}")
    template = Template((WEB / "graphiql.html").read_text(encoding="utf-8"))

    async def page(_: Request) -> HTMLResponse:
        return HTMLResponse(render_page(template, endpoint, prefill()), headers=PAGE_HEADERS)

    return [
        Route("/graphiql", page),
        *(asset_route(path, VENDOR_HEADERS) for path in VENDOR_ASSETS),
        *(asset_route(path, OWN_HEADERS) for path in OWN_ASSETS),
    ]


def asset_route(path: str, headers: dict[str, str]) -> Route:
    """Route of one file below `web/`, at `/static/` and its path."""
    file = WEB / path
    media_type = MEDIA_TYPES[file.suffix]

    async def asset(_: Request) -> Response:
        return FileResponse(file, headers=headers, media_type=media_type)

    return Route(f"/static/{path}", asset)


def render_page(template: Template, endpoint: str, prefill: GraphiQLPrefill | None) -> str:
    """The HTML page; every value is escaped for the place where it stands."""
    return template.substitute(
        title=escape(prefill.title if prefill else PAGE_TITLE),
        banner=escape((prefill.banner or DEMO_BANNER) if prefill else ""),
        config=script_json(page_config(endpoint, prefill)),
    )


def page_config(endpoint: str, prefill: GraphiQLPrefill | None) -> dict[str, object]:
    """What `graphiql.js` reads; without a prefill `query` and `variables` are null and stay as the user left them."""
    return {
        "endpoint": endpoint,
        "query": prefill.query if prefill else None,
        "variables": prefill.variables if prefill else None,
        "headers": prefill.headers if prefill else EMPTY_BEARER,
        "identities": [{"label": label, "headers": headers} for label, headers in prefill.identities]
        if prefill
        else [],
    }


def script_json(value: object) -> str:
    """JSON that cannot end the script element it stands in, nor open a comment there."""
    return json.dumps(value, ensure_ascii=False).replace("<", "\\u003c")
