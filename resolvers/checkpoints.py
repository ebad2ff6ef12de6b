"""The ledger's checkpoints over HTTP, for whoever wants to keep one: they tell how many records there are, and nothing of them.

`/ledger/checkpoint` is the latest, `/ledger/checkpoint/<size>` the one of a size; with `?since=<size>` it comes with the proof that it
continues the tree of that size, as a witness takes it (C2SP tlog-witness). No token is needed; an address asks no more often than it may.
"""

from __future__ import annotations

import asyncio

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from audit.merkle import TreeHash
from audit.proof import ProofError, carried, consistency
from audit.store import Store, StoreUnavailable
from audit.verify_offline import parse_checkpoint
from resolvers.line import refusal
from resolvers.rates import Limiter
from schema.errors import Fault, RequestError


def checkpoint_routes(store: Store, hash_name: str, limiter: Limiter) -> list[BaseRoute]:
    """Routes that answer GET from this store, whose tree is hashed so, as often as an address may ask."""

    async def checkpoint(request: Request) -> Response:
        size, since = request.path_params.get("size", ""), request.query_params.get("since", "")
        try:
            limiter.admit_visit(request.client.host if request.client else "")
            text = await asyncio.to_thread(_checkpoint, store, hash_name, size, since)
        except ProofError:
            return _refused(RequestError(Fault("CHECKPOINT_UNKNOWN")))
        except RequestError as error:
            return _refused(error)
        except StoreUnavailable:
            return _refused(RequestError(Fault("LEDGER_UNAVAILABLE")))
        return PlainTextResponse(text, headers={"Cache-Control": "no-store"})

    return [Route("/ledger/checkpoint", checkpoint), Route("/ledger/checkpoint/{size}", checkpoint)]


def _checkpoint(store: Store, hash_name: str, size: str, since: str) -> str:
    """ProofError, StoreUnavailable."""
    kept = store.checkpoint_of(_number(size)) if size else store.last_checkpoint()
    if kept is None:
        raise ProofError("CHECKPOINT_UNKNOWN")
    if not since:
        return kept.text
    older = _number(since)
    return carried(older, consistency(store, TreeHash(hash_name), older, parse_checkpoint(kept.text).size), kept.text)


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 18):
        raise ProofError("CHECKPOINT_UNKNOWN")
    return int(text)


def _refused(error: RequestError) -> Response:
    answer = refusal(error)
    return Response(answer.body, answer.status, media_type="application/json")
