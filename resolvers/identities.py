"""Identities: whose a keyed hash of the ledger is, sealed (AES-256-GCM) under a key of its own, so that two persons together can tell.

Each is kept beside the frames, before the first frame that names the hash. Nobody reads them but `resolvers.reidentify`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from cryptography.exceptions import InvalidTag

from audit.ledger import Ledger
from policies.cases import Seal

_MAX_KNOWN = 500_000
_BETWEEN = "\x1f"


class Identities:
    """Seals the identities behind hashes under a secret of 32 bytes, each bound to its hash; remembers which are kept."""

    def __init__(self, secret: bytes) -> None:
        self._seal = Seal(secret)
        self._known: set[str] = set()

    def sealed(self, hashes: Mapping[tuple[str, str], str]) -> dict[str, bytes]:
        """What is not known to be kept of these hashes (by entity and identifier), sealed, by hash."""
        return {
            hashed: self._seal.seal(_BETWEEN.join(whose), hashed)
            for whose, hashed in hashes.items()
            if hashed not in self._known
        }

    def kept(self, hashes: Iterable[str]) -> None:
        """Remember that these are durable."""
        if len(self._known) >= _MAX_KNOWN:
            self._known.clear()
        self._known.update(hashes)

    def opened(self, ledger: Ledger, hashed: str) -> tuple[str, str] | None:
        """Entity and identifier behind a hash; None if the ledger keeps none, or one sealed under another key. StoreUnavailable. Blocks."""
        sealed = ledger.store.identity(hashed)
        try:
            entity, _, identifier = self._seal.open(sealed, hashed).partition(_BETWEEN) if sealed else ("", "", "")
        except InvalidTag:
            return None
        return (entity, identifier) if identifier else None
