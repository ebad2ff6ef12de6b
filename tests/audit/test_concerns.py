"""What a record tells each data subject: everybody whom it concerns, the own items alone, and never a word otherwise than it was chained."""

from __future__ import annotations

import json
from random import Random
from typing import Any

import orjson
import pytest

from audit.concerns import concerned
from audit.frame import OUTCOMES, Frame, decode
from audit.records import Reader
from tests.audit.frames import HASH, frame, node

NAMES = {1: "Register.name", 2: "Register.address", 3: "Tax.payer"}
ANNA, BERT, CARL = (HASH.of("Person", name) for name in ("anna", "bert", "carl"))


def told(one: Frame, place: int = 7) -> dict[str, Any]:
    return {who: json.loads(text) for who, text in concerned(place, one.encode(), NAMES).items()}


def test_an_entry_is_what_it_was_when_the_first_was_chained() -> None:
    """To the letter: who changes this breaks every list that was ever committed to."""
    one = frame(
        "o-1",
        node(groups={"RA": [ANNA], "DD": [BERT]}, others=[CARL]),
        node(resource="Case", path="case", subject="", purpose="", items=(), rules=(), groups={}, others=[ANNA]),
    )
    assert concerned(7, one.encode(), NAMES) == {
        BERT: '{"place":7,"at":1780000000000000,"department":"housing","role":"clerk","channel":"query","outcome":"answered",'
        '"acts":[{"resource":"Register","subject":"SUBJECT","purpose":"ADMINISTRATIVE_BASIS","service":"S-1","case":"N-1",'
        '"items":["name","address"],"outcomes":"DD","rules":["SHARE/Register.name","SHARE/Register.address"],"records":1}]}',
        ANNA: '{"place":7,"at":1780000000000000,"department":"housing","role":"clerk","channel":"query","outcome":"answered",'
        '"acts":[{"resource":"Register","subject":"SUBJECT","purpose":"ADMINISTRATIVE_BASIS","service":"S-1","case":"N-1",'
        '"items":["name","address"],"outcomes":"RA","rules":["SHARE/Register.name","SHARE/Register.address"],"records":1},'
        '{"resource":"Case","subject":"","service":"S-1","act":"case","case":"N-1","records":1}]}',
        CARL: '{"place":7,"at":1780000000000000,"department":"housing","role":"clerk","channel":"query","outcome":"answered",'
        '"acts":[{"resource":"Register","subject":"SUBJECT","purpose":"ADMINISTRATIVE_BASIS","service":"S-1","records":1}]}',
    }


def test_nobody_reads_the_clerks_name_or_of_others() -> None:
    text = json.dumps(told(frame("o-1", node(groups={"RA": [ANNA, BERT]}, others=[CARL])))[ANNA])
    assert "clerk-01" not in text
    assert not any(one in text for one in (ANNA, BERT, CARL))


@pytest.mark.parametrize(
    ("changes", "is_told"),
    [
        ({}, True),
        ({"subject": "RELATED"}, False),
        ({"subject": "THIRD_PARTY"}, False),
        ({"rules": ("DENY/CASE/SUBJECT", "DENY/CASE/SUBJECT")}, False),
        ({"rules": ("DENY/CLASS/CONDITIONAL", "SHARE/Register.address")}, True),
    ],
)
def test_the_number_of_a_case_is_told_to_its_subjects_alone(changes: dict[str, Any], is_told: bool) -> None:
    (act,) = told(frame("o-1", node(groups={"RD": [ANNA]}, **changes)))[ANNA]["acts"]
    assert ("case" in act) is is_told


def test_an_auditors_question_tells_no_number_of_a_case() -> None:
    asked = node(resource="AuditLine", path="disclosures", subject="", items=(), rules=(), groups={}, others=[ANNA])
    (act,) = told(frame("o-1", asked))[ANNA]["acts"]
    assert act == {"resource": "AuditLine", "subject": "", "purpose": "ADMINISTRATIVE_BASIS", "service": "S-1", "act": "disclosures", "records": 1}  # fmt: skip


def test_several_records_with_the_same_outcomes_are_counted() -> None:
    (act,) = told(frame("o-1", node(groups={"RA": [ANNA, ANNA, BERT, ANNA]})))[ANNA]["acts"]
    assert act["records"] == 3


@pytest.mark.parametrize("seed", range(60))
def test_whom_the_index_finds_in_a_record_has_an_entry_of_it_with_the_same_items(seed: int) -> None:
    rng = Random(seed)
    people = [HASH.of("Person", str(number)) for number in range(6)]
    nodes = [
        node(
            groups={"".join(rng.choices(list(OUTCOMES), k=2)): rng.choices([*people, ""], k=rng.randint(1, 3)) for _ in range(rng.randint(0, 2))},
            others=rng.sample(people, rng.randint(0, 2)),
            purpose=rng.choice(["ADMINISTRATIVE_BASIS", "WORK_REFERENCE"]),
        )
        for _ in range(rng.randint(0, 3))
    ]  # fmt: skip
    one = frame("o-1", *nodes)
    expected: dict[str, set[tuple[str, str]]] = {}
    for key, parts in Reader(NAMES).records(decode(one.encode())).items():
        lines = [line for part in parts for line in part.lines]
        if key.entity:
            expected.setdefault(key.entity, set()).update((line.item, line.outcome) for line in lines if line.governed)
    found = {
        who: {
            (item, OUTCOMES[letter])
            for act in entry["acts"]
            for item, letter in zip(act.get("items", ()), act.get("outcomes", ""), strict=True)
        }
        for who, entry in told(one).items()
    }
    assert found == expected


@pytest.mark.parametrize(
    "content", [b"", b"frame 7", b"[]", b"{}", b'{"nodes":7}', b'{"nodes":[7]}', b'{"nodes":[{}]}']
)
def test_a_record_that_cannot_be_read_concerns_nobody(content: bytes) -> None:
    assert concerned(1, content, NAMES) == {}


def test_a_name_that_is_no_keyed_hash_concerns_nobody() -> None:
    one = orjson.loads(frame("o-1", node(groups={"RA": ["", "x", ANNA.upper(), ANNA]})).encode())
    assert list(concerned(1, orjson.dumps(one), NAMES)) == [ANNA]
