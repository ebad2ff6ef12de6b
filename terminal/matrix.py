"""`onesource policy matrix`: who may see what for which purpose, as one HTML file that needs nothing else."""

from __future__ import annotations

import base64
import hashlib
import time
from pathlib import Path

import orjson

from policies.matrix import matrix
from policies.snapshot import Snapshot
from terminal.client import err, plain
from terminal.options import wrong

_TEMPLATE = Path(__file__).parent / "matrix.html"


def write_matrix(snapshot: Snapshot, file: Path) -> None:
    """Write the table of this policy to a file."""
    content = page(snapshot, time.time())
    try:
        file.write_text(content, "utf8")
    except OSError as error:
        raise wrong([f"{file}: {error.strerror}"]) from None
    err.print(plain(f"{file}: 策略 policy {snapshot.version}, {len(content.encode()) // 1024} KiB"))


def page(snapshot: Snapshot, at: float) -> str:
    """The page: the template with the table in it. Its policy admits no script, style or host but its own."""
    data = orjson.dumps(matrix(snapshot, at)).decode().replace("<", "\\u003c")  # nothing in it can end the element
    template = _TEMPLATE.read_text("utf8")
    for kind in ("script", "style"):
        body = template.partition(f"<{kind}>")[2].partition(f"</{kind}>")[0]
        digest = base64.b64encode(hashlib.sha256(body.encode()).digest()).decode()
        template = template.replace(f"%{kind}-digest%", f"'sha256-{digest}'")
    before, _, after = template.partition("%data%")
    return before + data + after
