"""The README's commands, run for real: a service over the demo city that the README describes, on a free port."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.docs.pages import READMES, ROOT, Shown, commands, is_make
from tests.service import write_settings

_KEPT = ("ONESOURCE_WRITE_CASES", "ONESOURCE_TEST_")
for _name in [name for name in os.environ if name.upper().startswith("ONESOURCE_") and not name.startswith(_KEPT)]:
    del os.environ[_name]  # the caller's own settings are not the tests'

ADDRESS = "127.0.0.1:8000"
FILES = re.compile(r"\bvar/(policy|proof|citizen)\b")
BIN = Path(sys.executable).parent
_SECONDS_TO_START = 120.0
_BETWEEN = "\x1e"
_CURL = f"""#!{sys.executable}
# stands in for curl on a machine that has none: -s URL -H header... -d body
import sys, httpx
given = iter(sys.argv[1:])
url, headers, body = "", {{}}, b""
for one in given:
    if one == "-H":
        name, _, value = next(given).partition(":")
        headers[name] = value.strip()
    elif one == "-d":
        body = next(given).encode()
    elif one != "-s":
        url = one
sys.stdout.write(httpx.post(url, headers=headers, content=body, trust_env=False).text)
"""


@pytest.fixture(scope="session")
def answered(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[Shown, str]]:
    """Every command of the README but `make`, in its order and in one shell, with what it printed."""
    folder = tmp_path_factory.mktemp("readme")
    shown = [one for one in commands(READMES[0].read_text("utf8")) if not is_make(one)]
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    environment = _environment(folder, address)
    for _ in _served(folder, address, environment):
        script = f"\nprintf '{_BETWEEN}'\n".join(_here(one.command, address, folder) for one in shown)
        ran = subprocess.run(
            ["bash", "-c", script], env=environment, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            timeout=300, check=False,
        )  # fmt: skip
        printed = ran.stdout.decode().replace(f"{folder}/var/", "var/").split(_BETWEEN)
    return list(zip(shown, printed, strict=True))


def _environment(folder: Path, address: str) -> dict[str, str]:
    """The reader's environment: our settings and port, a wide terminal, and curl."""
    named = {"ONESOURCE_FILE": str(write_settings(folder)), "ONESOURCE_SERVER__PORT": address.rpartition(":")[2]}
    path = os.environ.get("PATH", os.defpath)
    if shutil.which("curl") is None:
        curl = folder / "bin" / "curl"
        curl.parent.mkdir()
        curl.write_text(_CURL, "utf8")
        curl.chmod(0o755)
        path = f"{curl.parent}{os.pathsep}{path}"
    kept = {name: value for name, value in os.environ.items() if not name.upper().startswith("ONESOURCE_")}
    return kept | named | {"PATH": path, "COLUMNS": "230", "PYTHONUTF8": "1", "NO_PROXY": "*", "no_proxy": "*"}


def _here(command: str, address: str, folder: Path) -> str:
    """The command for this service and this environment; the files that it writes go to `folder`."""
    here = command.replace(ADDRESS, address).replace(".venv/bin/", f"{BIN}/")
    return FILES.sub(lambda found: f"{folder}/{found.group()}", here)


def _served(folder: Path, address: str, environment: dict[str, str]) -> Iterator[None]:
    """`onesource serve`, as `make run` starts it, until the caller is done."""
    log = folder / "serve.log"
    with log.open("wb") as out:
        process = subprocess.Popen([BIN / "onesource", "serve"], env=environment, cwd=ROOT, stdout=out, stderr=out)
    try:
        _await_live(process, address, log)
        yield
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(20)


def _await_live(process: subprocess.Popen[bytes], address: str, log: Path) -> None:
    until = time.monotonic() + _SECONDS_TO_START
    while time.monotonic() < until and process.poll() is None:
        try:
            if httpx.get(f"http://{address}/health/live", trust_env=False).status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.2)
    raise RuntimeError(f"the service did not start:\n{log.read_text('utf8', 'replace')[-4000:]}")
