"""The policy in force: one snapshot, kept up with the control database, or none at all.

Every process asks for the number of the last change four times a second. Changes replace groups of rows (`Snapshot.with_changes`), so that a
suspension is in force at once whatever the number of rules. A process that cannot confirm its version within its lease denies everything.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from contextlib import suppress

from policies.control import Changes, Control, ControlUnavailable
from policies.grants import DisabledKind, Grant, GrantState
from policies.identity import Identity
from policies.lint import RuleError
from policies.reasons import while_suspended, without_agreement
from policies.rules import Rules, rules_of_grant, rules_of_suspension
from policies.snapshot import Snapshot
from schema.catalogue import Catalogue

_LOG = logging.getLogger("onesource.policy")
POLL_SECONDS = 0.25


class PolicyUnavailable(Exception):
    """This process cannot say which policy is in force: nothing may be decided."""


class Policy:
    """Holds the snapshot in force. `lease` is how long, in seconds, a version counts as confirmed.

    `keep` returns when a version is durable where it can be decided by again; none is in force before.
    """

    def __init__(
        self, base: Snapshot, control: Control, lease: float, keep: Callable[[Snapshot], None] = lambda _: None
    ) -> None:
        self._base = base
        self._control = control
        self._lease = lease
        self._keep = keep
        self._snapshot = base
        self._sequence = -1
        self._confirmed = float("-inf")
        self._disabled: frozenset[tuple[DisabledKind, str, str]] = frozenset()
        self._suspended: frozenset[str] = frozenset()
        self._grants: dict[str, Grant] = {}
        self._refreshing = asyncio.Lock()
        self._polling: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Read the policy in force, then keep up with it. A control database that cannot be read now may come later: until then all is denied."""
        with suppress(PolicyUnavailable):
            await self.refresh()
        self._polling = asyncio.create_task(self._poll())

    async def close(self) -> None:
        if self._polling:
            self._polling.cancel()
            with suppress(asyncio.CancelledError):
                await self._polling

    @property
    def base(self) -> Snapshot:
        """The catalogue's own rules, whatever else is in force: for what decides nothing."""
        return self._base

    @property
    def version(self) -> str:
        """The policy version last known, in force or not."""
        return self._snapshot.version

    def snapshot(self) -> Snapshot:
        """The snapshot in force; PolicyUnavailable if its version was not confirmed within the lease."""
        if time.monotonic() - self._confirmed > self._lease:
            raise PolicyUnavailable
        return self._snapshot

    def admits(self, identity: Identity) -> bool:
        """False for a person, a token or a client that is disabled; PolicyUnavailable if that cannot be said."""
        self.snapshot()
        disabled = self._disabled
        return not disabled or not any(
            one in disabled
            for one in (
                (DisabledKind.PERSON, identity.subject, ""),
                (DisabledKind.PERSON, identity.subject, identity.department),
                (DisabledKind.TOKEN, identity.token, ""),
                (DisabledKind.CLIENT, identity.client, ""),
            )
        )

    async def refresh(self) -> None:
        """Return when everything that is recorded now is in force here; PolicyUnavailable if that cannot be reached."""
        async with self._refreshing:
            asked = time.monotonic()
            try:
                number = await self._control.sequence()
                if number != self._sequence:
                    # a number that went back is another history, of a database that was restored: all of it is read anew
                    after = self._sequence if 0 < self._sequence < number else 0
                    await self._apply(await self._control.changes(after), whole=after == 0)
            except ControlUnavailable:
                raise PolicyUnavailable("the control database cannot be read") from None
            self._confirmed = asked

    async def _poll(self) -> None:
        failing = False
        while True:
            try:
                await self.refresh()
                failing = False
            except PolicyUnavailable as error:
                if not failing:
                    _LOG.error("%s: everything is denied until it can", error)
                failing = True
            except Exception as error:  # whatever it is, the lease runs out, and this goes on trying
                _LOG.error("the policy cannot be brought up to date: %s", type(error).__name__)
            await asyncio.sleep(POLL_SECONDS)

    async def _apply(self, changes: Changes, whole: bool) -> None:
        """Put changes in force; a grant that is not sound is left out, which denies. What `whole` changes do not name is gone."""
        catalogue = self._base.catalogue
        suspended = frozenset(one.grant for one in changes.suspensions if one.grant and one.lifted_at is None)
        known = self._snapshot.groups()
        groups = {name: Rules() for name in known if whole and name.startswith("GRANT/")}
        if whole:
            self._grants = {}
        self._grants |= {grant.id: grant for grant in changes.grants}
        turned = {grant.id for grant in changes.grants} | (suspended ^ self._suspended)
        for grant in (self._grants[name] for name in turned if name in self._grants):
            groups[f"GRANT/{grant.id}"] = _of_grant(catalogue, grant, grant.id in suspended)
        open_ones = {f"SUSPENSION/{one.id}": rules_of_suspension(catalogue, one) for one in changes.suspensions}
        groups |= {name: Rules() for name in known if name.startswith("SUSPENSION/") and name not in open_ones}
        groups |= {name: rules for name, rules in open_ones.items() if whole or name not in known}
        if changes.rules or whole:
            groups |= await self._files()
        snapshot = await asyncio.to_thread(_changed, self._snapshot, groups, changes.sequence)
        await self._kept(snapshot)
        self._disabled = frozenset((one.kind, one.name, one.department) for one in changes.disablements)
        self._snapshot, self._suspended, self._sequence = snapshot, suspended, changes.sequence
        _LOG.info("policy %s is in force", snapshot.version)

    async def _kept(self, snapshot: Snapshot) -> None:
        """Return when the version is kept for those who will ask what it said; PolicyUnavailable, now and not at the end of the lease, if it cannot be."""
        try:
            await asyncio.to_thread(self._keep, snapshot)
        except Exception as error:  # whatever the archive stands on: what nobody could decide again must not decide
            self._confirmed = float("-inf")
            raise PolicyUnavailable(f"policy {snapshot.version} cannot be kept: {type(error).__name__}") from None

    async def _files(self) -> Mapping[str, Rules]:
        """The groups of the rule files, with those that are gone as empty ones."""
        files = {f"FILE/{name}": rules for name, rules in (await self._control.files()).items()}
        gone = [name for name in self._snapshot.groups() if name.startswith("FILE/") and name not in files]
        return {**files, **{name: Rules() for name in gone}}


def _of_grant(catalogue: Catalogue, grant: Grant, suspended: bool) -> Rules:
    """The rows of a grant, or why it allows nothing now, for each of its items; neither of one that has ended."""
    if grant.active and not suspended:
        return rules_of_grant(catalogue, grant)
    if grant.state is not GrantState.GRANTED:
        return Rules()
    reason = while_suspended(grant.id) if suspended else without_agreement(grant.id)
    return Rules(waiting={(grant.department, item.coordinate): reason for item in grant.granted})


def _changed(snapshot: Snapshot, groups: Mapping[str, Rules], sequence: int) -> Snapshot:
    """The snapshot with these groups; one that is not sound is left out if it only allows."""
    try:
        return snapshot.with_changes(groups, sequence)
    except RuleError:
        sound = {name: _sound(snapshot, name, rules) for name, rules in groups.items()}
        return snapshot.with_changes(sound, sequence)


def _sound(snapshot: Snapshot, name: str, rules: Rules) -> Rules:
    """The group if it is sound, none of it if it allows; RuleError for a denial: leaving that out would allow."""
    try:
        snapshot.with_changes({name: rules}, snapshot.sequence)
    except RuleError as error:
        if {row.eft for row in rules.share} | {row.eft for row in rules.basis} != {"allow"}:
            raise
        _LOG.error("%s is left out: %s", name, error.problems[0])
        return Rules()
    return rules
