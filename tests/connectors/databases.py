"""Databases as departments have them: what a test does at the server itself, in each dialect."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from connectors.contract import Connector, SourceError
from schema.catalogue import Resource
from tests import servers
from tests.connectors.conftest import request_for
from tests.connectors.kinds import SqlKind
from tests.connectors.resources import item, resource

REGISTER = resource("Register", item("id"), item("name"), item("note"))


class Place:
    """A database that the connectors of one kind read, seen by its department."""

    def __init__(self, kind: SqlKind, folder: Path, run: Callable[[Coroutine[Any, Any, Any]], Any]) -> None:
        self.kind = kind
        self.url = kind.place(folder)
        self.run = run
        self.is_postgres = self.url.get_backend_name() == "postgresql"
        self._made: list[Connector] = []

    def connector(self, pool: int = 4, **url: Any) -> Connector:
        """A connector to this place, or to another as `url` says."""
        made = self.kind.connect(self.url.set(**url), pool)
        self._made.append(made)
        return made

    def close(self) -> None:
        for connector in self._made:
            self.run(connector.close())
        self.drop("T_REGISTER")

    def execute(self, *statements: str) -> list[Any]:
        """What the department does; `"` quotes names in every dialect."""
        return servers.execute(self.url, *[one if self.is_postgres else one.replace('"', "`") for one in statements])

    def table(self, columns: str, *rows: str, name: str = "T_REGISTER") -> None:
        """Make the table anew."""
        self.drop(name)
        inserts = [f'INSERT INTO "{name}" VALUES {", ".join(rows)}'] if rows else []
        self.execute(f'CREATE TABLE "{name}" ({columns})', *inserts)

    def view(self, text: str, name: str = "T_REGISTER") -> None:
        self.drop(name)
        self.execute(f'CREATE VIEW "{name}" AS {text}')

    def drop(self, name: str) -> None:
        schema = "table_schema = 'public'" if self.is_postgres else "table_schema = DATABASE()"
        what = f"SELECT table_type FROM information_schema.tables WHERE table_name = '{name}' AND {schema}"
        for (kind,) in self.execute(what):
            self.execute(f'DROP {"VIEW" if kind == "VIEW" else "TABLE"} "{name}"')

    def slow(self, seconds: float = 30) -> None:
        """Make the table one that is read for so long."""
        sleep = f"CAST(pg_sleep({seconds}) AS TEXT)" if self.is_postgres else f"CAST(SLEEP({seconds}) AS CHAR)"
        self.view(f"""SELECT 'a' AS "ID", {sleep} AS "NAME", '' AS "NOTE", NULL AS "GXSJ" """)

    def running(self) -> int:
        """Statements that the server runs for our connectors now."""
        if self.is_postgres:
            text = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state = 'active' AND query LIKE '%%T_REGISTER%%'"
        else:
            text = (
                "SELECT count(*) FROM information_schema.processlist WHERE db = DATABASE() AND info LIKE '%T_REGISTER%'"
            )
        return int(self.execute(f"{text} AND {self._others}")[0][0])

    def sessions(self) -> list[int]:
        """Sessions of our connectors at the server."""
        if self.is_postgres:
            text = f"SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND application_name <> 'tests' AND {self._others}"
        else:
            text = f"SELECT id FROM information_schema.processlist WHERE db = DATABASE() AND {self._others}"
        return [number for (number,) in self.execute(text)]

    def end_sessions(self) -> None:
        """Throw every session of our connectors out."""
        for number in self.sessions():
            self.execute(f"SELECT pg_terminate_backend({number})" if self.is_postgres else f"KILL {number}")

    def host(self) -> str:
        """How MariaDB sees where we are: by name or by number, as it is set up."""
        return str(self.execute("SELECT SUBSTRING_INDEX(USER(), '@', -1)")[0][0])

    def within(self, seconds: float, holds: Callable[[], bool]) -> bool:
        """Whether it holds before long, while the event loop goes on."""

        async def wait() -> bool:
            end = time.monotonic() + seconds
            while not (held := await asyncio.to_thread(holds)) and time.monotonic() < end:  # noqa: ASYNC110
                await asyncio.sleep(0.02)
            return held

        return bool(self.run(wait()))

    @property
    def _others(self) -> str:
        return "pid <> pg_backend_pid()" if self.is_postgres else "id <> CONNECTION_ID()"

    def ask(self, connector: Connector, of: Resource = REGISTER, key: str = "a", timeout: float = 5) -> Any:
        """The values of a key, or the code of the error."""
        return self.run(asked(connector, of, key, timeout))


async def asked(connector: Connector, of: Resource = REGISTER, key: str = "a", timeout: float = 5) -> Any:  # noqa: ASYNC109 - the connector gives up by itself
    try:
        found = await connector.fetch(request_for(of, [key], *list(of.items)[1:], timeout=timeout))
    except SourceError as error:
        return error.code
    return [row.values for row in found.rows]


async def took(work: Coroutine[Any, Any, Any]) -> tuple[Any, float]:
    """What it returns, and how many seconds it took."""
    begun = asyncio.get_running_loop().time()
    return await work, asyncio.get_running_loop().time() - begun
