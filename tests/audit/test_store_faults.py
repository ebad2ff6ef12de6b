"""A store that is down, full, locked, read-only or not to be trusted: no record, no data, and no restart when it is back."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa

from audit.ledger import Ledger, LedgerUnavailable
from audit.store import NewFrame, StoreUnavailable
from audit.store_postgres import PostgresStore
from audit.stores import store_at
from schema.formats import CHINA
from tests.audit.store_places import KINDS, store_url
from tests.servers import Cluster, cluster

ROOT = Path(__file__).parents[2]
AT = 1_780_000_000_000_000


@pytest.fixture(scope="module")
def server() -> Iterator[Cluster]:
    with cluster() as one:
        yield one


@pytest.fixture
def database(server: Cluster, request: pytest.FixtureRequest) -> sa.URL:
    """A database of the test's own on the server."""
    name = f"t{abs(hash(request.node.name))}"
    with connected(server.url) as connection:
        connection.execute(f"CREATE DATABASE {name}".encode())
    return server.url.set(database=name)


def connected(url: sa.URL) -> psycopg.Connection[Any]:
    return psycopg.connect(host=url.host, port=url.port, user=url.username, dbname=url.database, autocommit=True)


def opened(url: sa.URL | str, timeout: float = 5) -> Ledger:
    ledger = Ledger(store_at(url, timeout), timeout)
    ledger.open()
    return ledger


async def append(ledger: Ledger, operation: str) -> None:
    await ledger.append(AT, operation, operation.encode())


async def refused(ledger: Ledger, operation: str) -> float:
    """How many seconds it took to be refused."""
    begun = time.monotonic()
    with pytest.raises(LedgerUnavailable):
        await append(ledger, operation)
    return time.monotonic() - begun


async def until_kept(ledger: Ledger, operation: str) -> int:
    """How many attempts were refused before one was on record."""
    for attempt in range(100):
        try:
            await append(ledger, f"{operation}-{attempt}")
        except LedgerUnavailable:
            await asyncio.sleep(0.05)
        else:
            return attempt
    raise AssertionError("the ledger did not come back")


def operations(ledger: Ledger) -> list[str]:
    return [one.frame.decode() for one in ledger.read(0, 1_000)]


# -- PostgreSQL stopped, killed, hanging ---------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["stopped", "killed"])
def test_a_server_that_is_gone_refuses_at_once_and_heals_when_it_is_back(
    server: Cluster, database: sa.URL, how: str
) -> None:
    async def work() -> None:
        ledger = opened(database)
        await append(ledger, "before")
        if how == "stopped":
            server.stop()
        else:
            server.kill()
        assert await refused(ledger, "during-1") < 2
        assert await refused(ledger, "during-2") < 2
        with pytest.raises(StoreUnavailable):
            ledger.head()
        server.start()
        assert await until_kept(ledger, "after") <= 1
        found = operations(ledger)
        assert (found[0], found[-1].partition("-")[0], len(found)) == ("before", "after", 2)
        await ledger.close()

    asyncio.run(work())


def test_a_server_that_hangs_refuses_in_time_and_heals_when_it_goes_on(server: Cluster, database: sa.URL) -> None:
    async def work() -> None:
        ledger = opened(database, timeout=0.4)
        await append(ledger, "before")
        server.signal(signal.SIGSTOP)
        try:
            took = await asyncio.gather(*(refused(ledger, f"during-{number}") for number in range(5)))
        finally:
            server.signal(signal.SIGCONT)
        assert all(0.3 < one < 1.5 for one in took)
        await until_kept(ledger, "after")
        found = operations(ledger)
        # what was on its way when the server hung may be on record: more than was answered, never less
        assert found[0] == "before"
        assert found[-1].startswith("after")
        await ledger.close()

    asyncio.run(work())


def test_a_server_that_is_slow_makes_operations_wait_and_refuses_none_of_them(
    server: Cluster, database: sa.URL
) -> None:
    async def work() -> None:
        ledger = opened(database)
        with connected(database) as other:
            other.execute(
                "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(0.2); RETURN NULL; END'"
            )
            other.execute("CREATE TRIGGER slow AFTER UPDATE ON head FOR EACH STATEMENT EXECUTE FUNCTION slow()")
        begun = time.monotonic()
        await asyncio.gather(*(append(ledger, f"o-{number}") for number in range(200)))
        assert 0.2 < time.monotonic() - begun < 2
        assert len(operations(ledger)) == 200
        await ledger.close()

    asyncio.run(work())


@pytest.mark.parametrize("kind", KINDS)
def test_a_locked_table_refuses_in_time_and_heals_when_it_is_free(tmp_path: Path, kind: str) -> None:
    async def work(url: sa.URL) -> None:
        ledger = opened(url, timeout=0.5)
        await append(ledger, "before")
        lock = sa.create_engine(url, isolation_level="AUTOCOMMIT").connect()
        if kind == "sqlite":
            lock.exec_driver_sql("BEGIN EXCLUSIVE")
        else:
            lock.exec_driver_sql("BEGIN")
            lock.exec_driver_sql("LOCK TABLE frames IN ACCESS EXCLUSIVE MODE")
        assert 0.2 < await refused(ledger, "during") < 1.5
        lock.exec_driver_sql("ROLLBACK")
        lock.close()
        lock.engine.dispose()
        await until_kept(ledger, "after")
        found = [one.partition("-")[0] for one in operations(ledger)]
        # a write may get through the moment after its caller was refused: more than was answered, never less
        assert (found[0], found[-1]) == ("before", "after")
        assert found[1:-1] in ([], ["during"])
        await ledger.close()

    with store_url(kind, tmp_path) as url:
        asyncio.run(work(url))


# -- PostgreSQL that does not sync ---------------------------------------------------------------------------------


def test_a_server_without_fsync_is_refused_even_if_it_changes_while_it_runs(server: Cluster, database: sa.URL) -> None:
    async def work() -> None:
        ledger = opened(database)
        await append(ledger, "before")
        server.set(fsync="off")
        try:
            await refused(ledger, "during")
            with pytest.raises(StoreUnavailable, match="fsync is off"):
                opened(database)
        finally:
            server.set(fsync="on")
        await until_kept(ledger, "after")
        assert [one.partition("-")[0] for one in operations(ledger)] == ["before", "after"]
        await ledger.close()

    asyncio.run(work())


@pytest.mark.parametrize("place", ["server", "role", "database"])
def test_a_server_without_synchronous_commit_is_refused(server: Cluster, database: sa.URL, place: str) -> None:
    whose = {"server": "SYSTEM", "role": "ROLE postgres", "database": f"DATABASE {database.database}"}[place]
    with connected(database) as connection:
        connection.execute(f"ALTER {whose} SET synchronous_commit = off".encode())
        connection.execute("SELECT pg_reload_conf()")
        try:
            time.sleep(0.2)  # the server reads its settings anew on its own time
            with pytest.raises(StoreUnavailable, match="synchronous_commit is off"):
                opened(database)
        finally:
            connection.execute(f"ALTER {whose} RESET synchronous_commit".encode())
            connection.execute("SELECT pg_reload_conf()")
    time.sleep(0.2)
    asyncio.run(opened(database).close())


def test_a_session_commits_synchronously_whatever_the_server_says_later(server: Cluster, database: sa.URL) -> None:
    """`local` would not wait for a standby; the server's word may change while connections stay."""

    async def work() -> None:
        ledger = opened(database)
        with connected(database) as other:
            other.execute("CREATE TABLE seen (setting text)")
            other.execute(
                "CREATE FUNCTION see() RETURNS trigger LANGUAGE plpgsql AS "
                "'BEGIN INSERT INTO seen VALUES (current_setting(''synchronous_commit'')); RETURN NULL; END'"
            )
            other.execute("CREATE TRIGGER see AFTER UPDATE ON head FOR EACH STATEMENT EXECUTE FUNCTION see()")
            server.set(synchronous_commit="local")
            try:
                await append(ledger, "one")
                await ledger.close()
                again = opened(database)
                await append(again, "two")
                await again.close()
            finally:
                server.set(synchronous_commit="on")
            assert other.execute("SELECT setting FROM seen").fetchall() == [("on",), ("on",)]

    asyncio.run(work())


# -- partitions ----------------------------------------------------------------------------------------------------


def partitions(database: sa.URL) -> dict[str, int]:
    """How many frames each partition has."""
    with connected(database) as connection:
        rows = connection.execute("SELECT inhrelid::regclass::text FROM pg_inherits ORDER BY 1").fetchall()
        return {
            name: connection.execute(f"SELECT count(*) FROM {name}".encode()).fetchone()[0]  # type: ignore[index]
            for (name,) in rows
        }


def at(year: int, month: int, day: int, hour: int) -> int:
    """That hour in China, in microseconds."""
    return int(datetime(year, month, day, hour, tzinfo=CHINA).timestamp() * 1_000_000)


def test_frames_lie_in_the_months_of_china_and_the_next_month_is_made_ahead(database: sa.URL) -> None:
    store = store_at(database, 5)
    store.open()
    moments = [at(2027, 1, 31, 23), at(2027, 2, 1, 0), at(2027, 2, 28, 12), at(2025, 12, 31, 23)]
    store.append([NewFrame(moment, f"o-{number}", b"x") for number, moment in enumerate(moments)])
    months = partitions(database)
    filled = {name: count for name, count in months.items() if count}
    assert filled == {"frames_2025_12": 1, "frames_2027_01": 1, "frames_2027_02": 2}
    assert months["frames_2027_03"] == 0
    store.close()


def test_a_month_that_cannot_be_made_ahead_stops_nobody(database: sa.URL, monkeypatch: pytest.MonkeyPatch) -> None:
    store = store_at(database, 1)
    assert isinstance(store, PostgresStore)
    store.open()
    store.append([NewFrame(at(2027, 1, 31, 23), "o-0", b"x")])
    with connected(database) as other:
        other.execute("CREATE TABLE frames_2027_03 (taken int)")  # something else has its name
        store.append([NewFrame(at(2027, 2, 1, 0), "o-1", b"x")])
        with pytest.raises(StoreUnavailable):
            store.append([NewFrame(at(2027, 3, 1, 0), "o-2", b"x")])
        other.execute("DROP TABLE frames_2027_03")
    store.append([NewFrame(at(2027, 3, 1, 0), "o-3", b"x")])
    assert [one.seq for one in store.read(0, 9)] == [1, 2, 3]
    store.close()


# -- SQLite full, read-only, moved away ----------------------------------------------------------------------------

FULL = """
import asyncio, os, resource, signal, sys
from audit.ledger import Ledger, LedgerUnavailable
from audit.stores import store_at

async def work(file):
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    ledger = Ledger(store_at(f"sqlite:///{file}", 5), 5)
    ledger.open()
    await ledger.append(1, "before", b"x")
    resource.setrlimit(resource.RLIMIT_FSIZE, (os.path.getsize(file + "-wal") + 20_000, resource.RLIM_INFINITY))
    for number in range(3):
        try:
            await ledger.append(1, f"during-{number}", os.urandom(1_000_000))
        except LedgerUnavailable:
            print("refused")
    await ledger.append(1, "small", b"x")
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    await ledger.append(1, "after", os.urandom(1_000_000))
    print([one.seq for one in ledger.read(0, 9)])
    await ledger.close()

asyncio.run(work(sys.argv[1]))
"""


def test_a_file_that_may_not_grow_refuses_and_heals_when_it_may(tmp_path: Path) -> None:
    """A limit on file sizes fails a write half-way, as a full disk does; what fits is still kept."""
    done = subprocess.run(
        [sys.executable, "-c", FULL, str(tmp_path / "ledger.db")], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.stdout.splitlines() == ["refused"] * 3 + ["[1, 2, 3]"], done.stderr
    connection = sqlite3.connect(tmp_path / "ledger.db")
    assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    connection.close()


def fill(ballast: Path) -> None:
    """Write until the disk is full."""
    with suppress(OSError), ballast.open("wb", buffering=0) as file:
        while True:
            file.write(b"x" * 4096)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of two megabytes."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(place)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("a file system cannot be mounted here: " + mounted.stderr.decode("utf8", "replace").strip())
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_a_full_disk_refuses_and_heals_when_there_is_room(small_disk: Path) -> None:
    async def work() -> None:
        ledger = opened(f"sqlite:///{small_disk / 'ledger.db'}")
        await append(ledger, "before")
        ballast = small_disk / "ballast"
        fill(ballast)
        for number in range(3):
            with pytest.raises(LedgerUnavailable):
                await ledger.append(AT, f"during-{number}", os.urandom(1_000_000))
        ballast.unlink()
        await append(ledger, "after")
        assert operations(ledger) == ["before", "after"]
        await ledger.close()

    asyncio.run(work())


READ_ONLY = """
import asyncio, os, sys
from audit.ledger import Ledger, LedgerUnavailable
from audit.stores import store_at

async def work(file):
    if os.getuid() == 0:
        os.setuid(65534)
    ledger = Ledger(store_at(f"sqlite:///{file}", 1), 1)
    ledger.open()
    for expected in (True, False):
        print("ready", flush=True)
        sys.stdin.readline()
        try:
            await ledger.append(1, f"o-{expected}", b"x")
            print("kept", flush=True)
        except LedgerUnavailable:
            print("refused", flush=True)

asyncio.run(work(sys.argv[1]))
"""


def test_a_read_only_file_refuses_and_heals_when_it_may_be_written(tmp_path: Path) -> None:
    folder = tmp_path
    for one in (folder, *folder.parents):  # the writer is not root
        if one.owner() == "root" and one not in (Path("/"), Path("/tmp")):
            one.chmod(0o755)
    folder.chmod(0o777)
    file = folder / "ledger.db"
    asyncio.run(opened(f"sqlite:///{file}").close())

    def permit(mode: int) -> None:
        for one in folder.glob("ledger.db*"):
            one.chmod(mode)

    permit(0o444)
    with subprocess.Popen(
        [sys.executable, "-c", READ_ONLY, str(file)], cwd=ROOT, env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as writer:  # fmt: skip
        told = []
        for mode in (0o444, 0o666):
            assert writer.stdout
            assert writer.stdin
            assert writer.stdout.readline() == "ready\n"
            permit(mode)
            writer.stdin.write("go\n")
            writer.stdin.flush()
            told.append(writer.stdout.readline())
    assert told == ["refused\n", "kept\n"]


@pytest.mark.parametrize("how", ["moved", "replaced"])
def test_a_file_that_was_moved_away_refuses_and_heals_when_it_is_back(tmp_path: Path, how: str) -> None:
    async def work() -> None:
        file = tmp_path / "ledger.db"
        ledger = opened(f"sqlite:///{file}")
        await append(ledger, "before")
        file.rename(tmp_path / "away")
        if how == "replaced":
            sqlite3.connect(file).close()
            file.write_bytes(b"")
        await refused(ledger, "during")
        (tmp_path / "away").rename(file)
        await append(ledger, "after")
        assert operations(ledger) == ["before", "after"]
        await ledger.close()

    asyncio.run(work())
