"""Corrections and requests to re-identify, in the control database: once each, however often and by however many processes."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from policies.control import Control
from policies.corrections import Correction, ReferenceTaken
from policies.grants import Notice, NoticeKind, NoticeUse
from policies.reidentifications import OPEN, PENDING, Reidentification, ReidentificationState
from schema.errors import Text

NOW = 1_800_000_000_000_000
WRONG = Correction(
    "",
    "public-security",
    "Register",
    "town",
    "ab:12",
    NOW - 10,
    NOW,
    "更正1号",
    "登记错误",
    "o@public-security",
    NOW,
    0,
    "d1",
)
USES = (NoticeUse("o-1", "N-1", NOW - 5, ("RETURNED",)), NoticeUse("o-2", "", NOW - 4, ("MASKED", "MATCHED")))
ASKED = Reidentification("", "ab:12", "核查", "auditor-01", "housing", NOW)


def told(*departments: str) -> list[Notice]:
    return [Notice(0, NOW, NoticeKind.CORRECTED, Text("wrong", "有误"), "", one, USES) for one in departments]


def test_a_correction_and_its_notices_read_as_they_were_kept(control: Control) -> None:
    kept = asyncio.run(control.corrections.record(WRONG, told("housing", "education")))
    assert replace(kept, id="", notices=()) == WRONG
    assert [(one.department, one.uses, one.reference) for one in kept.notices] == [
        ("housing", USES, kept.id),
        ("education", USES, kept.id),
    ]
    assert asyncio.run(control.corrections.find("public-security", "更正1号")) == kept
    assert asyncio.run(control.corrections.find("education", "更正1号")) is None
    assert asyncio.run(control.corrections.latest("", 9)) == (kept,)
    assert asyncio.run(control.corrections.latest("housing", 9)) == ()
    assert asyncio.run(control.notices(to=("housing",))) == kept.notices[:1]
    assert asyncio.run(control.notices()) == ()


def test_the_same_correction_sent_many_times_at_once_is_kept_once(control: Control) -> None:
    async def send() -> list[Correction]:
        return list(await asyncio.gather(*(control.corrections.record(WRONG, told("housing")) for _ in range(8))))

    assert len({one.id for one in asyncio.run(send())}) == 1
    assert len(asyncio.run(control.notices(to=("housing",)))) == 1


def test_a_reference_stands_for_one_correction_of_a_provider(control: Control) -> None:
    first = asyncio.run(control.corrections.record(WRONG, told("housing")))
    with pytest.raises(ReferenceTaken):
        asyncio.run(control.corrections.record(replace(WRONG, request="d2"), told("housing")))
    other = asyncio.run(control.corrections.record(replace(WRONG, provider="education"), told("housing")))
    assert other.id != first.id
    assert len(asyncio.run(control.notices(to=("housing",)))) == 2


def test_one_of_many_requests_for_a_hash_at_once_is_kept(control: Control) -> None:
    async def ask() -> list[Reidentification | None]:
        return list(await asyncio.gather(*(control.reidentifications.request(ASKED) for _ in range(8))))

    assert len([one for one in asyncio.run(ask()) if one]) == 1
    assert asyncio.run(control.reidentifications.request(replace(ASKED, hash="ab:13")))
    assert asyncio.run(control.reidentifications.request(replace(ASKED, at=NOW + PENDING)))


def test_one_of_many_approvals_at_once_holds_and_none_of_whoever_asked(control: Control) -> None:
    requests = control.reidentifications
    kept = asyncio.run(requests.request(ASKED))
    assert kept

    async def approve() -> list[bool]:
        return list(await asyncio.gather(*(requests.approve(kept.id, f"auditor-{n:02}", NOW + 1) for n in range(1, 9))))

    assert sorted(asyncio.run(approve())) == [False] * 7 + [True]
    found = asyncio.run(requests.find(kept.id))
    assert found
    assert found.approved_by != "auditor-01"


def test_approval_and_revelation_end_with_their_time(control: Control) -> None:
    requests = control.reidentifications
    kept = asyncio.run(requests.request(ASKED))
    assert kept
    assert not asyncio.run(requests.reveal(kept.id, "auditor-01", NOW + 1))
    assert not asyncio.run(requests.approve(kept.id, "auditor-02", NOW + PENDING))
    assert asyncio.run(requests.approve(kept.id, "auditor-02", NOW + 1))
    assert not asyncio.run(requests.reveal(kept.id, "auditor-02", NOW + 2))
    assert not asyncio.run(requests.reveal(kept.id, "auditor-01", NOW + 1 + OPEN))
    assert asyncio.run(requests.reveal(kept.id, "auditor-01", NOW + 2))
    assert not asyncio.run(requests.reveal(kept.id, "auditor-01", NOW + 3))
    found = asyncio.run(requests.find(kept.id))
    assert found
    assert found.state(NOW + 3) is ReidentificationState.REVEALED
    assert replace(found, revealed_at=None).state(NOW + 1 + OPEN) is ReidentificationState.EXPIRED
    assert kept.state(NOW + PENDING) is ReidentificationState.EXPIRED
