"""`onesource serve` as a process of its own."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from demo.city import Example, Examples
from demo.scene import CASE_NUMBER
from tests.service import ROOT

START_SECONDS = 30


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def environment(**more: str) -> dict[str, str]:
    """Ours without any override of settings, and these."""
    kept = {name: value for name, value in os.environ.items() if not name.upper().startswith("ONESOURCE_")}
    return kept | {"PYTHONPATH": str(ROOT)} | more


def serve(file: Path) -> list[str]:
    return [sys.executable, "-c", "from app import main; main()", "serve", "--settings", str(file)]


@dataclass
class Server:
    """A running server; `log` is what it wrote to standard error, `shown` what it printed."""

    file: Path
    port: int
    process: subprocess.Popen[bytes]

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def examples(self) -> Examples:
        kept = json.loads((self.file.parent / "demo/city.json").read_text("utf8"))["examples"]
        return Examples(**{name: Example(**one) for name, one in kept.items()})

    @property
    def case(self) -> str:
        """The number of the open case that the demo made."""
        return CASE_NUMBER.format(1)

    @property
    def log(self) -> str:
        return self._written("log")

    @property
    def shown(self) -> str:
        return self._written("shown")

    def _written(self, name: str) -> str:
        return (self.file.parent / f"{name}-{self.port}").read_text("utf8")

    def wait(self) -> None:
        """Return when it answers."""
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            try:
                if httpx.get(f"{self.address}/health/live", timeout=5, trust_env=False).status_code == 200:
                    return
            except httpx.TransportError:
                assert self.process.poll() is None, self.log
                time.sleep(0.05)
        raise TimeoutError(self.log)

    def stop(self, seconds: float) -> int:
        """The exit code after SIGTERM; subprocess.TimeoutExpired if it takes longer."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(seconds)


@contextmanager
def started(file: Path, port: int) -> Iterator[Server]:
    """A server on this port that answers; killed at the end if it still runs."""
    folder = file.parent
    with (folder / f"log-{port}").open("wb") as log, (folder / f"shown-{port}").open("wb") as shown:
        process = subprocess.Popen(
            serve(file), cwd=folder, env=environment(ONESOURCE_SERVER__PORT=str(port)), stdout=shown, stderr=log
        )
        server = Server(file, port, process)
        try:
            server.wait()
            yield server
        finally:
            process.kill()
            process.wait()
