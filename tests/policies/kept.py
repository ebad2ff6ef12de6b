"""An archive of policies in memory."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field


@dataclass
class Kept:
    """A store in memory, which counts what is written."""

    held: dict[str, bytes] = field(default_factory=dict)
    written: list[int] = field(default_factory=list)
    broken: bool = False

    def kept_parts(self, digests: Collection[str]) -> set[str]:
        return set(digests) & self.held.keys()

    def parts(self, digests: Collection[str]) -> Mapping[str, bytes]:
        return {digest: self.held[digest] for digest in digests if digest in self.held}

    def keep_parts(self, parts: Mapping[str, bytes]) -> None:
        if self.broken:
            raise OSError
        self.written.append(len(parts))
        self.held = {**parts, **self.held}
