"""The archive of policy versions: every version that decided anything, to decide by again, years later.

Parts (`policies.parts`) are kept compressed under the digest of their content, each once, and never changed. A version is read back by its name; every
part is compared with the digest that leads to it, so that a changed archive is told and never decided by.
"""

from __future__ import annotations

import re
import zlib
from collections import OrderedDict
from collections.abc import Collection, Iterator, Mapping
from typing import Any, Protocol, TypeVar

import orjson
from pydantic import ValidationError

from policies.lint import RuleError
from policies.parts import NO_GROUPS, base_part, digest_of, group_part, read_base, read_group, version_part
from policies.rules import Rules
from policies.snapshot import Snapshot

_NAME = re.compile(r"([0-9a-f]{16})\.([0-9]{1,18})\.([0-9a-f]{32})", re.ASCII)
_LARGEST = 1 << 30
"""Bytes of a part, at most: a part that grows without end when it is read is no part."""
_MOST_SNAPSHOTS, _MOST_BASES, _MOST_NODES = 32, 4, 10_000
_T = TypeVar("_T")


class PolicyStore(Protocol):
    """Where parts are kept; every method blocks."""

    def kept_parts(self, digests: Collection[str]) -> set[str]:
        """Those of these parts that are kept."""
        ...

    def parts(self, digests: Collection[str]) -> Mapping[str, bytes]:
        """These parts as they were kept; one that is not is left out."""
        ...

    def keep_parts(self, parts: Mapping[str, bytes]) -> None:
        """Return when all of these are durable; one that is there already stays as it is."""
        ...


class VersionNotKept(Exception):
    """A part of this version is not in the archive, or its name is none that binds its content."""


class ArchiveChanged(Exception):
    """A part of this version is not what its name says."""


def keep(store: PolicyStore, snapshot: Snapshot) -> None:
    """Return when the version is kept whole. What an earlier one has in common with it is there already: parts are kept children and all."""
    version = version_part(snapshot.digest, snapshot.sequence, snapshot.tree.digest)
    if store.kept_parts([digest_of(version)]):
        return
    new = {digest_of(version): version}
    if not store.kept_parts([snapshot.digest]):
        new[snapshot.digest] = base_part(snapshot.catalogue, snapshot.base_rules, snapshot.models)
    groups: dict[str, str] = {}
    todo = [snapshot.tree]
    while todo:
        kept = store.kept_parts([tree.digest for tree in todo])
        missing = [tree for tree in todo if tree.digest not in kept]
        for tree in missing:
            new[tree.digest] = tree.part()
            groups |= {digest: name for name, digest in tree.groups.items()}
        todo = [branch for tree in missing for branch in tree.branches]
    known = store.kept_parts(groups)
    new |= {digest: group_part(name, snapshot.groups()[name]) for digest, name in groups.items() if digest not in known}
    store.keep_parts({digest: zlib.compress(part) for digest, part in new.items()})


class Archive:
    """Reads versions back. Those that follow each other share what they have in common, as when they were in force."""

    def __init__(self, store: PolicyStore) -> None:
        self._store = store
        self._snapshots: OrderedDict[str, tuple[str, Snapshot]] = OrderedDict()
        self._bases: OrderedDict[str, Snapshot] = OrderedDict()
        self._nodes: OrderedDict[str, dict[str, Any]] = OrderedDict()

    def snapshot(self, version: str) -> Snapshot:
        """The version of this name, to decide by. VersionNotKept, ArchiveChanged."""
        if known := self._snapshots.get(version):
            self._snapshots.move_to_end(version)
            return known[1]
        try:
            root, snapshot = self._read(version)
        except (KeyError, TypeError, ValueError, AttributeError, ValidationError, RuleError) as error:
            raise ArchiveChanged(type(error).__name__) from None
        return _remember(self._snapshots, version, (root, snapshot), _MOST_SNAPSHOTS)[1]

    def _read(self, version: str) -> tuple[str, Snapshot]:
        name = _NAME.fullmatch(version)
        if name is None:
            raise VersionNotKept("a name that binds no content")
        (written,) = self._parts([name[3]]).values()
        said = orjson.loads(written)
        if not said["base"].startswith(name[1]) or said["sequence"] != int(name[2]):
            raise ArchiveChanged("another version's part")
        before, snapshot = self._nearest(said["base"])
        changed = dict(self._changed(before, said["groups"]))
        parts = self._parts([digest for digest in changed.values() if digest])
        groups = dict.fromkeys(changed, Rules()) | dict(map(read_group, parts.values()))
        if groups.keys() != changed.keys():
            raise ArchiveChanged("a group of another name")
        return said["groups"], snapshot.with_changes(groups, said["sequence"])

    def _nearest(self, base: str) -> tuple[str, Snapshot]:
        """The version read last on this base, with its tree's root: what comes next differs in little."""
        for root, snapshot in reversed(self._snapshots.values()):
            if snapshot.digest == base:
                return root, snapshot
        if base not in self._bases:
            (part,) = self._parts([base]).values()
            _remember(self._bases, base, Snapshot(*read_base(part)), _MOST_BASES)
        return NO_GROUPS.digest, self._bases[base]

    def _changed(self, old: str, new: str) -> Iterator[tuple[str, str]]:
        """The groups in which two trees differ, with their digests in the new one; empty for those that it lacks."""
        if old == new:
            return
        before, after = self._node(old), self._node(new)
        if "branches" in before and "branches" in after:
            for pair in zip(before["branches"], after["branches"], strict=True):
                yield from self._changed(*pair)
            return
        had, has = dict(self._leaves(old)), dict(self._leaves(new))
        for name in had.keys() | has.keys():
            if had.get(name) != has.get(name):
                yield name, has.get(name, "")

    def _leaves(self, digest: str) -> Iterator[tuple[str, str]]:
        node = self._node(digest)
        yield from node.get("groups", {}).items()
        for branch in node.get("branches", ()):
            yield from self._leaves(branch)

    def _node(self, digest: str) -> dict[str, Any]:
        if digest == NO_GROUPS.digest:
            return {"groups": {}}
        if digest not in self._nodes:
            (part,) = self._parts([digest]).values()
            _remember(self._nodes, digest, orjson.loads(part), _MOST_NODES)
        return self._nodes[digest]

    def _parts(self, digests: Collection[str]) -> dict[str, bytes]:
        """These parts, each of the content that its name says."""
        kept = self._store.parts(digests)
        if missing := set(digests) - kept.keys():
            raise VersionNotKept(min(missing))
        parts = {digest: _inflated(kept[digest]) for digest in digests}
        for digest, part in parts.items():
            if digest_of(part) != digest:
                raise ArchiveChanged(digest)
        return parts


def _inflated(kept: bytes) -> bytes:
    """A part as it was before it was compressed; ArchiveChanged for what was not, or would be too large."""
    inflating = zlib.decompressobj()
    try:
        part = inflating.decompress(kept, _LARGEST)
    except zlib.error:
        raise ArchiveChanged("no compressed part") from None
    if not inflating.eof:
        raise ArchiveChanged("a part without end")
    return part


def _remember(known: OrderedDict[str, _T], name: str, value: _T, most: int) -> _T:
    while len(known) >= most:
        known.popitem(last=False)
    known[name] = value
    return value
