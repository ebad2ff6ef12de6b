"""Rates: how many requests a person, a client and a network address may make.

Token buckets in this process, kept as one number each: the time at which the bucket will be full again (generic cell rate algorithm).
A request refused here is counted in the log and is no frame of the ledger: it was not read, and a flood must not fill the record.
"""

from __future__ import annotations

import ipaddress
import logging
import math
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from policies.identity import Identity
from schema.errors import Fault, RequestError

_LOG = logging.getLogger("onesource.rates")
_MAX_BUCKETS = 100_000
_TELL_SECONDS = 10.0
_ROUNDING = 1e-6


@dataclass(frozen=True, slots=True)
class Rate:
    """So many requests a second on average, and so many at once."""

    per_second: float
    burst: int


@dataclass(frozen=True, slots=True)
class Rates:
    """The rates of a person, of a client (the application that the token names), and of a network address: its refused tokens, its requests without one."""

    subject: Rate = Rate(20, 60)
    client: Rate = Rate(200, 400)
    address: Rate = Rate(10, 100)


class Buckets:
    """Buckets of one rate by name: full at first, at most 100,000 of them, of which the one touched longest ago goes first."""

    def __init__(self, rate: Rate, most: int = _MAX_BUCKETS) -> None:
        self._interval = 1 / rate.per_second
        self._room = (rate.burst - 1) * self._interval + _ROUNDING
        self._most = most
        self._full_at: OrderedDict[str, float] = OrderedDict()

    def wait(self, name: str, now: float) -> float:
        """Seconds until this bucket has a token; 0 where it has one now."""
        return max(0.0, self._full_at.get(name, now) - now - self._room)

    def take(self, name: str, now: float) -> None:
        """Take a token that is there."""
        self._full_at[name] = max(self._full_at.get(name, now), now) + self._interval
        self._full_at.move_to_end(name)
        if len(self._full_at) > self._most:
            self._full_at.popitem(last=False)

    def __len__(self) -> int:
        return len(self._full_at)


class Limiter:
    """Counts requests; RequestError RATE_LIMITED, with the seconds to wait as `retryAfter`, for each that is too many."""

    def __init__(self, rates: Rates, clock: Callable[[], float] = time.monotonic) -> None:
        self._subjects = Buckets(rates.subject)
        self._clients = Buckets(rates.client)
        self._addresses = Buckets(rates.address)
        self._visits = Buckets(rates.address)
        self._clock = clock
        self._refused = 0
        self._told = -math.inf

    def admit(self, identity: Identity) -> None:
        """Count a request of this person through this client. One that is refused counts for neither."""
        now = self._clock()
        self._refuse(max(self._subjects.wait(identity.subject, now), self._clients.wait(identity.client, now)), now)
        self._subjects.take(identity.subject, now)
        self._clients.take(identity.client, now)

    def admit_stranger(self, address: str) -> None:
        """Refuse a token that must yet be verified where this address sent too many bad ones."""
        now = self._clock()
        self._refuse(self._addresses.wait(_network(address), now), now)

    def note_stranger(self, address: str) -> None:
        """Count a token that identified nobody."""
        self._addresses.take(_network(address), self._clock())

    def admit_visit(self, address: str) -> None:
        """Count a request that needs no token, as many from an address as may be refused tokens."""
        now, network = self._clock(), _network(address)
        self._refuse(self._visits.wait(network, now), now)
        self._visits.take(network, now)

    def _refuse(self, wait: float, now: float) -> None:
        if not wait:
            return
        self._refused += 1
        if now - self._told >= _TELL_SECONDS:
            _LOG.warning("refused by rate: %d requests", self._refused)
            self._refused, self._told = 0, now
        raise RequestError(Fault("RATE_LIMITED", extra={"retryAfter": math.ceil(wait)}))


def _network(address: str) -> str:
    """The address as its holder has it: of IPv6 the first 64 bits, for the rest is anybody's choice."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return ""
    if isinstance(parsed, ipaddress.IPv6Address):
        return str(parsed.ipv4_mapped or parsed.packed[:8].hex())
    return str(parsed)
