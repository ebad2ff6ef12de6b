"""`GET /metrics`: what the sources' calls came to, in the Prometheus text format 0.0.4. No host, no statement, no person stands in it.

For a collector with the bearer token of `server.metrics_token_file`; a demo, which listens on a loopback address only, tells it without.
Where neither is so the page is not there. A few lines write the format exactly; a library would bring a registry of its own.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable, Iterator, Mapping

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from resolvers.calls import BOUNDS
from resolvers.source_states import SourceState, state_of
from resolvers.sources import Source

MEDIA = "text/plain; version=0.0.4; charset=utf-8"
_HEADERS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
_Sample = tuple[str, Mapping[str, str], float]


def metrics_routes(sources: Mapping[str, Source], token: str, *, open_to_all: bool) -> list[BaseRoute]:
    """The route, if anybody may read it: with this bearer token, or without one where it is open."""
    if not token and not open_to_all:
        return []
    expected = f"Bearer {token}".encode()

    async def metrics(request: Request) -> Response:
        given = request.headers.get("authorization", "").encode("utf8", "replace")
        if token and not hmac.compare_digest(given, expected):
            return Response(status_code=401, headers=_HEADERS | {"WWW-Authenticate": "Bearer"})
        return Response(exposition(sources), headers=_HEADERS, media_type=MEDIA)

    return [Route("/metrics", metrics)]


def exposition(sources: Mapping[str, Source]) -> str:
    """The metrics as text; each source's samples carry its department's slug."""
    named = sorted(sources.items())
    return "".join(_lines(named))


def _lines(named: list[tuple[str, Source]]) -> Iterator[str]:
    yield from _metric(
        "state", "gauge", "1 for the state that the source is in.",
        (("", {"department": slug, "state": state.value.lower()}, float(state_of(source) is state))
         for slug, source in named for state in SourceState),
    )  # fmt: skip
    yield from _metric(
        "calls_total", "counter", "Calls that ended, by code.",
        (("", {"department": slug, "code": code}, count)
         for slug, source in named for code, count in sorted(source.calls.by_code.items())),
    )  # fmt: skip
    for name, help_text in (("retried", "Calls that were made again."), ("refused", "Calls that were not made.")):
        yield from _metric(
            f"{name}_total", "counter", help_text,
            (("", {"department": slug}, getattr(source.calls, name)) for slug, source in named),
        )  # fmt: skip
    for name, help_text in (("under_way", "Calls under way."), ("waiting", "Calls that wait for a place.")):
        yield from _metric(
            f"calls_{name}", "gauge", help_text,
            (("", {"department": slug}, getattr(source, name)) for slug, source in named),
        )  # fmt: skip
    yield from _metric(
        "call_seconds", "histogram", "How long calls took.",
        (sample for slug, source in named for sample in _histogram(slug, source)),
    )  # fmt: skip
    yield from _metric(
        "updated_timestamp_seconds", "gauge", "The last change seen of a resource.",
        (("", {"department": slug, "resource": resource}, seen.timestamp())
         for slug, source in named for resource, seen in sorted(source.calls.updated.items())),
    )  # fmt: skip


def _histogram(slug: str, source: Source) -> Iterator[_Sample]:
    count = 0
    for bound, some in zip([*map(str, BOUNDS), "+Inf"], source.calls.buckets, strict=True):
        count += some
        yield "_bucket", {"department": slug, "le": bound}, count
    yield "_sum", {"department": slug}, source.calls.seconds
    yield "_count", {"department": slug}, count


def _metric(name: str, kind: str, help_text: str, samples: Iterable[_Sample]) -> Iterator[str]:
    """A family of samples as the format has it: help, type, a line each."""
    family = f"onesource_source_{name}"
    yield f"# HELP {family} {help_text}\n# TYPE {family} {kind}\n"
    for suffix, labels, value in samples:
        told = ",".join(f'{label}="{_escaped(text)}"' for label, text in labels.items())
        yield f"{family}{suffix}{{{told}}} {value!r}\n"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
