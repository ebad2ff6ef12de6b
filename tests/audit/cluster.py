"""A PostgreSQL server of a test's own, to be stopped, killed and started again."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa

BINARIES = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
MEMORY = Path("/dev/shm")
"""Where it is, data lie there: recovery syncs every file, which a disk takes seconds for, and kills spare the page cache anyway."""


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
        command = [str(BINARIES[-1] / program), *arguments]
        if os.getuid() == 0:
            command = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups", *command]
        with (self.folder / "log").open("ab") as log:
            return subprocess.Popen(
                command, env={"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", **environment},
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.folder,
            )  # fmt: skip

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
        return (self.folder / "log").read_text("utf8", "replace")[-2_000:]

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
    """A running server, gone at the end; the test is skipped where PostgreSQL is not installed."""
    if not BINARIES:
        pytest.skip("PostgreSQL's own programs are not installed here")
    # sockets have short paths, and the server's user must reach the folder: so not below the tests' own
    folder = Path(tempfile.mkdtemp(prefix="ledger-", dir=MEMORY if MEMORY.is_dir() else None))
    if os.getuid() == 0:
        shutil.chown(folder, "postgres", "postgres")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    made = Cluster(folder, port, environment)
    try:
        made.make()
        made.start()
        yield made
    finally:
        made.kill()
        shutil.rmtree(folder)


def _lives(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text("utf8").rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
