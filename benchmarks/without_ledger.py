"""The service without a ledger, for the benchmark alone: what an operation disclosed is neither written nor encoded."""

from __future__ import annotations

from typing import Any

import app
from resolvers.disclose import Recorder


async def _record(*_: Any, **__: Any) -> None:
    """Nothing is on record."""


def main() -> None:
    Recorder.record = _record  # type: ignore[method-assign]
    app.main()


if __name__ == "__main__":
    main()
