"""Recorded operations decided again: nothing comes out otherwise, whatever was in force meanwhile; and what was altered since is told.

The fixtures of this folder decide everything again that any test of the line has recorded; here are random changes of what is in force, of the
catalogue, of a frame, and of the archive.
"""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest

from app import catalogue_of, compose
from audit.frame import decode
from audit.store import StoredFrame
from demo.scene import open_case
from policies.archive import Archive
from policies.decision import Act
from policies.grants import Suspension
from policies.identity import Identity, Role
from policies.rules import ANY, FIRST_TIME, LAST_TIME, Rules, RuleText, ShareRow
from resolvers.line import Request
from resolvers.recorded import Effect, Replay, Replayed, Undecided
from schema.catalogue import ShareClass
from schema.errors import Text
from tests.audit.places import place
from tests.line.decided_again import decided_again
from tests.line.desk import Desk
from tests.line.naive import OFTEN
from tests.line.officers import DECIDE, LIFT, PROVIDER, SUSPEND, ask, ruling
from tests.line.questions import Questions, printed
from tests.line.test_differential import VARIABLES, arguments_of, roots_of
from tests.service import Service, use

STEPS = 12


# -- whatever was in force meanwhile -----------------------------------------------------------------------------------


def random_rules(chance: random.Random, desk: Desk) -> Rules:
    """A rule file: some items denied, some that are shared without conditions allowed, some only for a while."""
    resources = [one for one in desk.service.catalogue.resources.values() if one.connected and one.entity == "Person"]
    rows = []
    for number in range(chance.choice([0, 1, 4])):
        resource = chance.choice([one for one in resources if one.name in OFTEN])
        item = chance.choice(list(resource.items.values()))
        deny = chance.random() < 0.7 or item.share.share_class is not ShareClass.UNCONDITIONAL
        times = (FIRST_TIME, "2026-01-01T00:00:00Z") if chance.random() < 0.2 else (FIRST_TIME, LAST_TIME)
        role, act = "any" if deny else "reader", chance.choice([ANY, ANY, Act.READ, Act.EXIST, Act.JOIN])
        rows.append(
            ShareRow(
                chance.choice([ANY, "housing"]), role, resource.name if deny else f"{resource.name}.{item.name}", ANY, act, ANY, ANY, ANY,
                *times, "deny" if deny else "allow", f"RULE/random/{number}",
            )
        )  # fmt: skip
    return Rules(tuple(rows), (), {row.rid: RuleText(row.rid, "试", Text("random", "随机")) for row in rows})


async def change_at_random(service: Service, rules: Rules, stop: Suspension | None) -> None:
    """Replace the rule file; suspend something, or lift all suspensions."""
    control = service.rooms.control
    await control.publish("random", rules)
    if stop:
        await control.suspend(stop)
    else:
        for one in await control.suspensions():
            await control.lift(one.id, 2)
    await service.rooms.policy.refresh()


@pytest.mark.parametrize("seed", range(3))
def test_nothing_comes_out_otherwise_whatever_was_in_force_meanwhile(desk: Desk, seed: int) -> None:
    chance, service = random.Random(seed), desk.service
    questions, asked = Questions(service.catalogue, random.Random(seed), OFTEN), roots_of(desk)
    purposes = ("ADMINISTRATIVE_BASIS", "ADMINISTRATIVE_BASIS", "WORK_REFERENCE", "BUSINESS_COLLABORATION")
    cases = [desk.names[name] for name in ("case", "case", "case", "case_alone", "case_closed", "case_expired")]
    for _ in range(STEPS):
        resource = chance.choice([service.catalogue.resources[name.partition(".")[0]] for name in sorted(OFTEN)])
        stop = Suspension("", resource.department, "", "", resource.name, "核查", "officer", 1)
        desk.run(change_at_random, service, random_rules(chance, desk), stop if chance.random() < 0.4 else None)
        for _ in range(3):
            document = printed(questions.roots("Person", arguments_of(asked)), VARIABLES)
            given = use(chance.choice([*cases, "no such case"]), chance.choice(purposes))
            service.ask(document, {"use": given, "yes": True, "no": False})
    replayed = decided_again(service)
    assert [one for one in replayed if one.differences or one.undecided] == []
    assert len({one.policy for one in replayed if one.uses}) > STEPS // 2
    assert sum(one.uses for one in replayed) > STEPS * 10
    rules = {rule for frame in service.frames() for node in frame["nodes"] for rule in node["rules"]}
    assert {rule.split("/")[0] for rule in rules} >= {"SHARE", "RULE", "SUSPENSION", "DENY"}


def test_operations_of_two_catalogues_are_each_decided_under_their_own(city: Path, tmp_path: Path) -> None:
    """The second process serves the catalogue without its overlays over the same stores: what is on condition here is not there."""
    where = place(tmp_path, city)
    loose = where.settings.model_copy(
        update={"catalogue": where.settings.catalogue.model_copy(update={"overlays": ()})}
    )
    first, second = catalogue_of(where.settings), catalogue_of(loose)
    clerk = Identity("clerk-01", "housing", Role.CLERK, "421200", "demo", 4e9)

    async def work() -> list[Replayed]:
        both = [compose(where.settings, first), compose(loose, second)]
        for rooms in both:
            await rooms.open()
        await open_case(both[0].cases, first, where.examples)
        document = "query($idNumber: CitizenIdNumber!, $use: UseInput!) { person(idNumber: $idNumber, use: $use) { householdRegistration { name photo } } }"
        question = Request(document, where.question["variables"], None)
        answers = [await rooms.line.answer(question, clerk) for rooms in (both[0], both[1], both[0])]
        assert answers[0].body != answers[1].body
        store = both[0].ledger.store
        again = Replay(Archive(store), store.coordinates())
        replayed = [again.operation(stored) for stored in store.read(0, 1_000)]
        for rooms in both:
            await rooms.close()
        return replayed

    replayed = [one for one in asyncio.run(work()) if one.uses]
    assert len({one.policy.partition(".")[0] for one in replayed}) == 2
    assert [one for one in replayed if one.differences or one.undecided] == []


# -- what was altered since --------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def recorded(service: Service) -> StoredFrame:
    """The frame of a look-up with something shown and something denied, under a case."""
    people = service.examples
    number = service.accept("重演-1", ("APPLICANT", people.applicant.identifier), ("SPOUSE", people.spouse.identifier))
    selection = "householdRegistration { name photo } marriageRegistrations { maritalStatus }"
    body = service.person(selection, people.applicant.identifier, number)
    assert body["data"]["person"]["householdRegistration"]["name"]
    return service.rooms.ledger.store.read(service.rooms.ledger.head() - 1, 1)[0]


def _first(frame: dict[str, Any], *letters: str) -> dict[str, Any]:
    """The first node of the frame with an outcome that has all of these letters."""
    return next(node for node in frame["nodes"] if any(set(letters) <= set(group) for group in node["groups"]))


def _regroup(frame: dict[str, Any], old: str, new: str) -> None:
    node = _first(frame, old)
    node["groups"] = {group.replace(old, new): those for group, those in node["groups"].items()}


def _each(frame: dict[str, Any], name: str, value: Any) -> None:
    for node in frame["nodes"]:
        node[name] = value


ALTERATIONS: dict[str, Callable[[dict[str, Any]], Any]] = {
    "the rule": lambda f: _first(f, "R")["rules"].__setitem__(0, "GRANT/G1/HouseholdRegistration.name/ADMINISTRATIVE_BASIS"),
    "what was denied was shown": lambda f: _regroup(f, "D", "R"),
    "what was shown was denied": lambda f: _regroup(f, "R", "D"),
    "what was shown was masked": lambda f: _regroup(f, "R", "M"),
    "the item": lambda f: _first(f, "R")["items"].__setitem__(0, 1),
    "the act": lambda f: _first(f, "R").__setitem__("acts", "v" * len(_first(f, "R")["acts"])),
    "whose it was": lambda f: _first(f, "R").__setitem__("classes", "T" * len(_first(f, "R")["classes"])),
    "the conditions": lambda f: _first(f, "R").__setitem__("rows", ["ADULTS"]),
    "the purpose": lambda f: _each(f, "purpose", "DATA_VERIFICATION"),
    "the case's number": lambda f: _each(f, "case", "another"),
    "the service item": lambda f: _each(f, "service", "another"),
    "the scenario": lambda f: _each(f, "scenario", "newborn-one-stop"),
    "the case was closed": lambda f: f["cases"][0].__setitem__("closed", f["at"] - 1),
    "the case was expired": lambda f: f["cases"][0].__setitem__("expires", f["at"]),
    "there was no case": lambda f: f.__setitem__("cases", []),
    "the case's subjects": lambda f: f["cases"][0].__setitem__("subjects", ["b2be94:" + "0" * 32]),
    "the case's service item": lambda f: f["cases"][0].__setitem__("service", "421200-SC-FW-0001"),
    "the department": lambda f: f.__setitem__("department", "education"),
    "the role": lambda f: f.__setitem__("role", "officer"),
    "the moment": lambda f: f.__setitem__("at", f["cases"][0]["expires"]),
}  # fmt: skip


@pytest.mark.parametrize("what", ALTERATIONS)
def test_a_frame_of_which_one_thing_was_altered_comes_out_otherwise(
    service: Service, recorded: StoredFrame, what: str
) -> None:
    frame = decode(recorded.frame)
    ALTERATIONS[what](frame)
    replayed = _replay(service).operation(StoredFrame(recorded.seq, orjson.dumps(frame)))
    assert replayed.differences, replayed
    assert not _replay(service).operation(recorded).differences


UNREADABLE: dict[str, Callable[[dict[str, Any]], Any]] = {
    "an unknown item": lambda f: _first(f, "R")["items"].__setitem__(0, 9_999_999),
    "an unknown act": lambda f: _first(f, "R").__setitem__("acts", "q"),
    "acts are missing": lambda f: _first(f, "R").__setitem__("acts", ""),
    "one use with several decisions": lambda f: _first(f, "R")["groups"].update({"D" * len(_first(f, "R")["items"]): ["x"]}),
    "an unknown role": lambda f: f.__setitem__("role", "mayor"),
    "no groups": lambda f: _first(f, "R").__setitem__("groups", None),
    "a moment beyond all": lambda f: f.__setitem__("at", 1 << 70),
}  # fmt: skip


@pytest.mark.parametrize("what", UNREADABLE)
def test_a_frame_that_makes_no_sense_is_told_and_never_passed_over(
    service: Service, recorded: StoredFrame, what: str
) -> None:
    frame = decode(recorded.frame)
    UNREADABLE[what](frame)
    stored = StoredFrame(1, json.dumps(frame).encode())
    assert _replay(service).operation(stored).undecided is Undecided.UNREADABLE


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b'{"nodes": 1}', b"\xff"])
def test_what_is_no_frame_is_told(service: Service, content: bytes) -> None:
    assert _replay(service).operation(StoredFrame(1, content)).undecided is Undecided.UNREADABLE


def test_a_frame_of_the_older_form_says_that_it_lacks_the_request(service: Service, recorded: StoredFrame) -> None:
    frame = decode(recorded.frame) | {"version": 1}
    del frame["cases"]
    for node in frame["nodes"]:
        del node["acts"], node["classes"], node["rows"]
    replayed = _replay(service).operation(StoredFrame(1, orjson.dumps(frame)))
    assert (replayed.undecided, replayed.differences) == (Undecided.FORMAT, ())


def test_an_operation_whose_policy_is_gone_or_changed_is_told(service: Service, recorded: StoredFrame) -> None:
    store = service.rooms.ledger.store
    digest = decode(recorded.frame)["policy"].rpartition(".")[2]
    (part,) = store.parts([digest]).values()
    for harm, because in ((None, Undecided.POLICY_MISSING), (part + b"x", None), (part[:-9], Undecided.POLICY_CHANGED)):
        replayed = _replay(service, {digest: harm}).operation(recorded)
        assert replayed.undecided is because


class _Harmed:
    """The store's archive with some parts replaced, or gone where there is nothing in their place."""

    def __init__(self, service: Service, harm: dict[str, bytes | None]) -> None:
        self._store, self._harm = service.rooms.ledger.store, harm

    def parts(self, digests: Any) -> dict[str, bytes]:
        found = dict(self._store.parts(digests)) | {one: harm for one, harm in self._harm.items() if one in digests}
        return {one: part for one, part in found.items() if part is not None}

    def kept_parts(self, digests: Any) -> set[str]:
        return set(self.parts(digests))

    def keep_parts(self, parts: Any) -> None:
        raise AssertionError("a replay writes nothing")


def _replay(service: Service, harm: dict[str, bytes | None] | None = None) -> Replay:
    return Replay(Archive(_Harmed(service, harm or {})), service.rooms.ledger.coordinates())


# -- today -------------------------------------------------------------------------------------------------------------


def test_what_todays_policy_refuses_is_listed_for_today_only(service: Service, applied: Any, case: str) -> None:
    ask(service, DECIDE, PROVIDER, input=ruling(applied))
    body = service.person("householdRegistration { photo }", service.examples.applicant.identifier, case)
    assert "errors" not in body
    operation = body["extensions"]["operationId"]
    suspended = ask(service, SUSPEND, PROVIDER, input={"object": "HouseholdRegistration.photo", "reason": "核查"})
    today = service.rooms.policy.snapshot()
    ask(service, LIFT, PROVIDER, id=suspended["id"])

    def found(**given: Any) -> Replayed:
        return next(one for one in decided_again(service, **given) if one.operation == operation)

    assert (found().differences, found().refused_today) == ((), ())
    told = found(today=today, now=time.time())
    assert told.differences == ()
    (refused,) = told.refused_today
    assert (refused.coordinate, refused.recorded.effect) == ("HouseholdRegistration.photo", Effect.ALLOWED)
    assert refused.replayed.rule == f"SUSPENSION/{suspended['id']}"
    assert refused.reason
    assert found(today=service.rooms.policy.snapshot(), now=time.time()).refused_today == ()
    late = found(today=service.rooms.policy.snapshot(), now=4_102_444_800)  # the grant has ended by then
    assert [one.replayed.rule for one in late.refused_today] == ["DENY/TIME"]


def test_what_was_refused_is_not_refused_today(service: Service, case: str) -> None:
    service.person("householdRegistration { photo }", service.examples.applicant.identifier, case)
    (last,) = decided_again(service, service.rooms.policy.snapshot(), time.time())[-1:]
    assert (last.uses, last.differences, last.refused_today) == (1, (), ())
