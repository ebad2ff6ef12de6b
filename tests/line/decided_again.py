"""What a service has recorded, decided again from its ledger alone."""

from __future__ import annotations

from policies.archive import Archive
from policies.snapshot import Snapshot
from resolvers.recorded import Replay, Replayed
from tests.service import Service


def decided_again(service: Service, today: Snapshot | None = None, now: float = 0) -> list[Replayed]:
    """Every operation of the ledger, decided again."""
    store = service.rooms.ledger.store
    again = Replay(Archive(store), store.coordinates(), today, now)
    return [again.operation(stored) for stored in store.read(0, 1_000_000)]


def decided_otherwise(service: Service) -> list[Replayed]:
    """The operations that come out otherwise, or cannot be decided again."""
    return [one for one in decided_again(service) if one.differences or one.undecided]
