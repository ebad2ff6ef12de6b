"""Kind `file`: deliveries in a watched folder (前置机), CSV or Parquet, asked by the statements of the kind `sql` through DuckDB."""

from __future__ import annotations

from pathlib import Path

from connectors.folder import Folder, State
from connectors.sql import DatabaseConnector


class FileConnector(DatabaseConnector):
    """The deliveries in `folder`: `<table>.csv`, `<table>.parquet`, or the last by name in the folder `<table>`.

    `encoding` is of CSV. `marked`: a delivery counts once `<its name>.ok` stands beside it. `memory` in megabytes; `pool` is how many
    questions are answered at once.
    """

    def __init__(
        self, folder: str | Path, encoding: str = "utf-8", marked: bool = False, memory: int = 256, pool: int = 2
    ) -> None:
        self._folder = Folder(Path(folder), encoding, marked, memory, pool)
        super().__init__(self._folder)

    async def open(self) -> None:
        """Begin to look at the folder."""
        self._folder.begin()

    async def health(self) -> bool:
        """Whether the folder can be read; what was in force is answered from even if it cannot."""
        return self._folder.readable and await super().health()

    def deliveries(self) -> tuple[State, ...]:
        """How each table stands: what is in force, what was refused and why."""
        return self._folder.states()
