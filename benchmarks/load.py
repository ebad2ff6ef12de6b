"""A small load generator over raw keep-alive connections: bounded in count and time, 127.0.0.1 only."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Measured:
    """Requests a second, and latencies in milliseconds."""

    rate: float
    p50: float
    p99: float
    bodies: tuple[bytes, ...]


async def measure(port: int, requests: Sequence[bytes], clients: int, seconds: float) -> Measured:
    """Send the requests in turn over `clients` connections for `seconds`; every answer must be a 200."""
    latencies: list[float] = []
    bodies: dict[int, bytes] = {}
    end = time.perf_counter() + seconds
    turn = iter(range(10**9))

    async def client() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        while time.perf_counter() < end:
            number = next(turn) % len(requests)
            begun = time.perf_counter()
            writer.write(requests[number])
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n", 1)[0])
            body = await reader.readexactly(length)
            latencies.append((time.perf_counter() - begun) * 1000)
            if not head.startswith(b"HTTP/1.1 200"):
                raise RuntimeError(f"{head!r} {body!r}")
            bodies[number] = body
        writer.close()

    begun = time.perf_counter()
    await asyncio.gather(*(client() for _ in range(clients)))
    spent = time.perf_counter() - begun
    latencies.sort()
    return Measured(
        rate=len(latencies) / spent,
        p50=latencies[len(latencies) // 2],
        p99=latencies[len(latencies) * 99 // 100],
        bodies=tuple(bodies[number] for number in sorted(bodies)),
    )


def post(port: int, token: str, body: bytes) -> bytes:
    """An HTTP/1.1 POST to /graphql."""
    head = (
        f"POST /graphql HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/json\r\n"
        f"Authorization: Bearer {token}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body
