"""The database servers that tests ask: those that the environment names, else started here from installed binaries; and some to be killed.

ONESOURCE_TEST_POSTGRES and ONESOURCE_TEST_MARIADB are SQLAlchemy URLs of accounts that may create databases. Where a server is neither
named nor installed its tests are skipped, and fail where ONESOURCE_TEST_SERVERS is set.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, NoReturn

import asyncmy
import psycopg
import pytest
import sqlalchemy as sa

BINARIES = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
MEMORY = Path("/dev/shm")
"""Where it is, data lie there: recovery syncs every file, which a disk takes seconds for, and kills spare the page cache anyway."""
_STARTED = ExitStack()


# -- servers that many tests share ---------------------------------------------------------------------------------


@cache
def postgres() -> sa.URL:
    """A PostgreSQL server, by an account that may create databases."""
    if "ONESOURCE_TEST_POSTGRES" in os.environ:
        return sa.make_url(os.environ["ONESOURCE_TEST_POSTGRES"])
    return _STARTED.enter_context(cluster()).url


@cache
def mariadb() -> sa.URL:
    """A MariaDB server, by an account that may create databases."""
    if "ONESOURCE_TEST_MARIADB" in os.environ:
        return sa.make_url(os.environ["ONESOURCE_TEST_MARIADB"])
    return _STARTED.enter_context(mariadb_server()).url


@cache
def database(server: Callable[[], sa.URL], options: str = "") -> sa.URL:
    """A database of this process on a server, gone at its end; without a driver, as in the settings of a connection."""
    url = server()
    name = f"onesource_{uuid.uuid4().hex[:12]}"
    execute(url, f"CREATE DATABASE {name} {options}")
    _STARTED.callback(execute, url, f"DROP DATABASE {name}{' WITH (FORCE)' if server is postgres else ''}")
    return url.set(drivername=url.get_backend_name(), database=name)


Statement = str | sa.schema.ExecutableDDLElement | tuple[sa.Insert, Sequence[Mapping[str, Any]]]


def execute(url: sa.URL, *statements: Statement) -> list[Any]:
    """The rows of the last of these statements, each of them for good; an INSERT comes with its rows."""
    if url.get_backend_name() == "mariadb":
        with ThreadPoolExecutor(1) as thread:  # from within an event loop too
            return thread.submit(lambda: asyncio.run(_execute_mariadb(url, statements))).result()
    with _engine(url).begin() as connection:
        for one in statements:
            if isinstance(one, tuple):
                result: sa.CursorResult[Any] = connection.execute(*one)
            else:
                result = connection.exec_driver_sql(one) if isinstance(one, str) else connection.execute(one)
        return list(result.all()) if result.returns_rows else []


@cache
def _engine(url: sa.URL) -> sa.Engine:
    if url.get_backend_name() == "sqlite":
        made = sa.create_engine(url, poolclass=sa.NullPool)
        sa.event.listen(made, "connect", lambda connection, _: connection.execute("PRAGMA synchronous=OFF"))
        return made
    quick = {"options": "-csynchronous_commit=off -capplication_name=tests"}
    made = sa.create_engine(
        url.set(drivername="postgresql+psycopg"),
        pool_size=1,
        pool_pre_ping=True,
        isolation_level="AUTOCOMMIT",
        connect_args=quick,
    )
    _STARTED.callback(made.dispose)
    return made


async def _execute_mariadb(url: sa.URL, statements: Sequence[Statement]) -> list[Any]:
    dialect = url.set(drivername="mariadb+asyncmy").get_dialect()()
    arguments = {"user": url.username or "", "password": url.password or "", "db": url.database or ""}
    connection = await asyncmy.connect(
        host=url.host or "", port=url.port or 3306, charset="utf8mb4", autocommit=True, **arguments
    )
    async with connection, connection.cursor() as cursor:
        for one in statements:
            if isinstance(one, tuple):
                written = one[0].compile(dialect=dialect)
                rows = [[row[name] for name in written.positiontup or ()] for row in one[1]]
                await cursor.executemany(str(written), rows)
            else:
                text = one if isinstance(one, str) else str(one.compile(dialect=dialect)).replace("%%", "%")
                await cursor.execute(text)
        return list(await cursor.fetchall() or ())


def close() -> None:
    """Give back all that tests shared."""
    _STARTED.close()


def without(server: str) -> NoReturn:
    """Skip the test: there is no such server."""
    told = f"{server} is neither named by the environment nor installed here"
    if "ONESOURCE_TEST_SERVERS" in os.environ:
        pytest.fail(told)
    pytest.skip(told)


# -- servers of a test's own ---------------------------------------------------------------------------------------


@dataclass
class Cluster:
    """The server with its data in `folder`; `environment` is what it is started with."""

    folder: Path
    port: int
    environment: Mapping[str, str]
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> sa.URL:
        return sa.make_url(f"postgresql+psycopg://postgres@127.0.0.1:{self.port}/postgres")

    @property
    def data(self) -> Path:
        return self.folder / "data"

    def begin(self, program: str, *arguments: str, **environment: str) -> subprocess.Popen[bytes]:
        """One of PostgreSQL's own programs, which refuse to be run by root."""
        return _begin([str(BINARIES[-1] / program), *arguments], "postgres", self.folder, **environment)

    def make(self) -> None:
        """An empty database."""
        options = ("-A", "trust", "-U", "postgres", "--no-sync", "--no-instructions", "--wal-segsize=1")
        assert self.begin("initdb", "-D", str(self.data), *options).wait() == 0, self.log

    def start(self) -> None:
        """Return when it answers."""
        place = (
            "-p",
            str(self.port),
            "-k",
            str(self.folder),
            "-c",
            "listen_addresses=127.0.0.1",
            "-c",
            "dynamic_shared_memory_type=mmap",
        )
        self.process = self.begin("postgres", "-D", str(self.data), *place, **self.environment)
        end = time.monotonic() + 30
        while time.monotonic() < end:
            with suppress(psycopg.OperationalError):
                self.connect().close()
                return
            assert self.process.poll() is None, self.log
            time.sleep(0.02)
        raise AssertionError(self.log)

    @property
    def log(self) -> str:
        return _log(self.folder)

    def connect(self) -> psycopg.Connection[Any]:
        return psycopg.connect(f"host=127.0.0.1 port={self.port} user=postgres dbname=postgres", autocommit=True)

    def stop(self) -> None:
        """Close every connection and stop."""
        assert self.process
        self.process.send_signal(signal.SIGINT)
        assert self.process.wait(30) == 0, self.log

    def processes(self) -> list[int]:
        """Its processes, the first one of them first; none when it does not run."""
        if self.process is None or self.process.poll() is not None:
            return []
        first = self.process.pid
        return [first, *map(int, Path(f"/proc/{first}/task/{first}/children").read_text("utf8").split())]

    def signal(self, number: int) -> None:
        """Send every process of it this signal."""
        for process in self.processes():
            with suppress(ProcessLookupError):
                os.kill(process, number)

    def kill(self) -> None:
        """Kill every process of it at once, as a power cut would; return when they are gone."""
        processes = self.processes()
        self.signal(signal.SIGKILL)
        if self.process:
            self.process.wait()
        end = time.monotonic() + 10
        while any(_lives(one) for one in processes) and time.monotonic() < end:
            time.sleep(0.005)

    def set(self, **settings: str) -> None:
        """Change settings of the running server, as its administrator can."""
        with self.connect() as c:
            for name, value in settings.items():
                c.execute(f"ALTER SYSTEM SET {name} = {value}".encode())
            c.execute("SELECT pg_reload_conf()")
            end = time.monotonic() + 10
            while time.monotonic() < end:
                if all(c.execute(f"SHOW {name}".encode()).fetchone() == (value,) for name, value in settings.items()):
                    return
                time.sleep(0.02)
        raise AssertionError(f"{settings} did not come into force")


@contextmanager
def cluster(environment: Mapping[str, str] = MappingProxyType({})) -> Iterator[Cluster]:
    """A running PostgreSQL server, gone at the end."""
    if not BINARIES:
        without("PostgreSQL")
    with _folder("postgres") as folder:
        made = Cluster(folder, _free_port(), environment)
        try:
            made.make()
            made.start()
            yield made
        finally:
            made.kill()


@dataclass
class MariadbServer:
    """A MariaDB server with its data in `folder`."""

    folder: Path
    port: int
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> sa.URL:
        return sa.make_url(f"mariadb://root@127.0.0.1:{self.port}/mysql")

    def make(self) -> None:
        """An empty server: root of this machine needs no password."""
        options = ("--no-defaults", "--auth-root-authentication-method=normal", "--skip-test-db")
        command = ["mariadb-install-db", *options, f"--datadir={self.folder / 'data'}"]
        assert _begin(command, "mysql", self.folder).wait() == 0, _log(self.folder)

    def start(self) -> None:
        """Return when it answers."""
        place = ("--bind-address=127.0.0.1", f"--port={self.port}", f"--socket={self.folder / 'socket'}")
        quick = (
            "--innodb-flush-log-at-trx-commit=0",
            "--innodb-buffer-pool-size=32M",
            "--skip-log-bin",
            "--character-set-server=utf8mb4",
        )
        command = ["mariadbd", "--no-defaults", f"--datadir={self.folder / 'data'}", *place, *quick]
        self.process = _begin(command, "mysql", self.folder)
        end = time.monotonic() + 30
        while time.monotonic() < end:
            with suppress(asyncmy.errors.OperationalError):
                execute(self.url, "SELECT 1")
                return
            assert self.process.poll() is None, _log(self.folder)
            time.sleep(0.05)
        raise AssertionError(_log(self.folder))

    def kill(self) -> None:
        """Kill it at once, as a power cut would; return when it is gone."""
        if self.process:
            self.process.kill()
            self.process.wait()


@contextmanager
def mariadb_server() -> Iterator[MariadbServer]:
    """A running MariaDB server, gone at the end."""
    if not shutil.which("mariadbd"):
        without("MariaDB")
    with _folder("mysql") as folder:
        made = MariadbServer(folder, _free_port())
        try:
            made.make()
            made.start()
            yield made
        finally:
            made.kill()


def _begin(command: list[str], user: str, folder: Path, **environment: str) -> subprocess.Popen[bytes]:
    """A program of a server, which refuses to be run by root: so as its user, where that is us."""
    if os.getuid() == 0:
        command = ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups", *command]
    with (folder / "log").open("ab") as log:
        return subprocess.Popen(
            command, env={"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", **environment},
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=folder,
        )  # fmt: skip


@contextmanager
def _folder(user: str) -> Iterator[Path]:
    # sockets have short paths, and the server's user must reach the folder: so not below the tests' own
    folder = Path(tempfile.mkdtemp(prefix="server-", dir=MEMORY if MEMORY.is_dir() else None))
    if os.getuid() == 0:
        shutil.chown(folder, user, user)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _log(folder: Path) -> str:
    return (folder / "log").read_text("utf8", "replace")[-2_000:]


def _lives(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text("utf8").rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
