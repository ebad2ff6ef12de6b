"""Rule files: what is wrong with one is told with code, file and line, and nothing of it comes into force."""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from policies.control import Control
from policies.grants import GrantItem
from policies.lint import RuleError, lint_roles
from policies.live import Policy
from policies.problems import MEANINGS, problems_page
from policies.rule_file import COLUMNS, read_rule_file
from policies.rules import FIRST_TIME, LAST_TIME, Rules, ShareRow, rules_of_grant
from schema.errors import Text
from tests.policies.city_in_force import APPLICATION, NAME, PHOTO, allows, base, granted
from tests.policies.small import CATALOGUE, NOON
from tests.policies.test_live import following

ROOT = Path(__file__).parents[2]
NOW = "2026-06-01T12:00:00Z"
ALLOW = dict(
    zip(
        COLUMNS,
        (
            "housing", "reader", "Tax.payer", "any", "read", "query", "ADMINISTRATIVE_BASIS", "any", FIRST_TIME,
            LAST_TIME, "allow", "RULE/local/payer", "会议纪要〔2026〕1号", "agreed, in writing", "经协商，书面同意",
        ),
        strict=True,
    )
)  # fmt: skip
PAYER = PHOTO.but(coordinate="Tax.payer")
DENY = ALLOW | {"object": "Register.name", "eft": "deny", "role": "any", "act": "any", "rid": "RULE/local/name"}


def quoted(cell: str) -> str:
    return f'"{cell}"' if "," in cell else cell


def text_of(*rows: Mapping[str, str], end: str = "") -> str:
    lines = [",".join(COLUMNS), *(",".join(map(quoted, row.values())) for row in rows)]
    return "\n".join([*lines, end or f"end,{len(rows)}"]) + "\n"


def file_of(folder: Path, *rows: Mapping[str, str], name: str = "local.csv") -> Path:
    file = folder / name
    file.write_text(text_of(*rows), "utf8")
    return file


def read(file: Path) -> Rules:
    return read_rule_file(file, CATALOGUE, NOW)


def problems_of(file: Path) -> list[tuple[str, str]]:
    with pytest.raises(RuleError) as refused:
        read(file)
    assert all(problem.message and problem.hint for problem in refused.value.problems)
    assert str(file.parent) not in str(refused.value)
    return [(problem.code, problem.place) for problem in refused.value.problems]


def test_a_file_gives_its_rows_with_their_reasons(tmp_path: Path) -> None:
    rules = read(file_of(tmp_path, ALLOW, DENY))
    assert rules.share == tuple(ShareRow(*list(row.values())[:12]) for row in (ALLOW, DENY))
    assert rules.basis == ()
    assert rules.texts["RULE/local/payer"].reason == Text("agreed, in writing", "经协商，书面同意")
    assert rules.texts["RULE/local/payer"].article == "会议纪要〔2026〕1号"


def test_a_file_as_spreadsheets_write_it_is_read(tmp_path: Path) -> None:
    file = tmp_path / "local.csv"
    file.write_bytes("\ufeff".encode() + text_of(ALLOW).replace("\n", "\r\n").encode())
    assert len(read(file).share) == 1


def test_the_rows_of_a_file_allow_and_deny(tmp_path: Path) -> None:
    rules = read(file_of(tmp_path, ALLOW, DENY))
    snapshot = base().with_changes({"FILE/local": rules}, 1)
    assert PAYER.of(base()).rule_id == "DENY/AUDIENCE"
    assert PAYER.of(snapshot).rule_id == "RULE/local/payer"
    assert NAME.of(snapshot).rule_id == "RULE/local/name"


WRONG: list[tuple[str, Mapping[str, str]]] = [
    ("POL101", {"eft": "Deny"}),
    ("POL101", {"eft": "dney"}),
    ("POL103", {"reason_zh": " "}),
    ("POL103", {"article": ""}),
    ("POL104", {"purpose": "ADMINISTRATIVE"}),
    ("POL104", {"role": "reeder"}),
    ("POL104", {"act": ""}),
    ("POL104", {"subject": "subject"}),
    ("POL104", {"channel": "ONLINE_QUERY"}),
    ("POL105", {"exp": "2027-01-01"}),
    ("POL105", {"exp": FIRST_TIME}),
    ("POL106", {"exp": "2026-05-31T00:00:00Z"}),
    ("POL106", {"exp": NOW}),
    ("POL107", {"eft": "deny"}),
    ("POL109", {"dept": "nobody"}),
    ("POL110", {"object": "Register.gone"}),
    ("POL110", {"object": "Gone"}),
    ("POL111", {"basis": "SERVICE/none"}),
    ("POL119", {"rid": "SHARE/Register.photo/ADMINISTRATIVE_BASIS"}),
    ("POL119", {"rid": "RULE/local/"}),
    ("POL119", {"rid": "RULE/other/payer"}),
    ("POL120", {"act": "join", "rid": "RULE/local/name", "article": "另一条"}),
    ("POL121", DENY | {"rid": "RULE/local/again"}),
    ("POL122", {"object": "Register.photo"}),
    ("POL122", {"object": "Register.cause"}),
    ("POL122", {"object": "Register"}),
    ("POL122", {"object": "class/CONDITIONAL"}),
    ("POL122", {"object": "class/NOT_SHARED"}),
    ("POL122", {"object": f"provider/{CATALOGUE.resources['Register'].department}"}),
]


@pytest.mark.parametrize(("code", "changes"), WRONG)
def test_a_wrong_row_is_refused_with_code_file_and_line(tmp_path: Path, code: str, changes: Mapping[str, str]) -> None:
    assert (code, "local.csv:3") in problems_of(file_of(tmp_path, DENY, {**ALLOW, **changes}))


def test_overlapping_rules_that_contradict_each_other_are_refused(tmp_path: Path) -> None:
    deny = ALLOW | {"role": "clerk", "eft": "deny", "rid": "RULE/local/deny"}
    allow = ALLOW | {"role": "clerk", "nbf": "2026-07-01T00:00:00Z"}
    assert problems_of(file_of(tmp_path, allow, deny)) == [("POL112", "local.csv:3")]
    read(file_of(tmp_path, allow, deny | {"exp": "2026-07-01T00:00:00Z"}))  # one after the other is no contradiction


def test_every_problem_of_a_file_is_told_at_once_in_the_order_of_lines(tmp_path: Path) -> None:
    file = file_of(tmp_path, DENY, ALLOW | {"eft": "Allow"}, ALLOW | {"dept": "nobody", "object": "Gone"})
    assert problems_of(file) == [("POL101", "local.csv:3"), ("POL109", "local.csv:4"), ("POL110", "local.csv:4")]


def test_a_cell_over_two_lines_does_not_move_the_places(tmp_path: Path) -> None:
    file = tmp_path / "local.csv"
    text = text_of(ALLOW | {"reason_en": "two, lines"}, DENY | {"eft": "Deny"})
    file.write_text(text.replace("two, lines", "two,\nlines"), "utf8")
    assert problems_of(file) == [("POL101", "local.csv:4")]


def test_a_file_that_was_cut_off_anywhere_is_refused(tmp_path: Path) -> None:
    """However much of it has been written when it is read."""
    whole = text_of(ALLOW, *(DENY | {"act": act, "rid": f"RULE/local/{act}"} for act in ("read", "join"))).encode()
    file = tmp_path / "local.csv"
    for length in range(len(whole) - 1):  # without its last line break it is whole
        file.write_bytes(whole[:length])
        codes = {code for code, _ in problems_of(file)}
        assert codes <= {"POL116", "POL117", "POL118"}, length
    file.write_bytes(whole[:-1])
    assert len(read(file).share) == 3


def test_a_file_half_written_while_it_is_read_is_refused_or_whole(tmp_path: Path) -> None:
    rows = [ALLOW | {"subject": subject} for subject in ("SUBJECT", "RELATED", "THIRD_PARTY")]
    whole = text_of(*rows).encode()
    file = file_of(tmp_path, *rows)
    done = threading.Event()

    def write() -> None:
        for _ in range(60):
            with file.open("wb", buffering=0) as out:
                for start in range(0, len(whole), 40):
                    out.write(whole[start : start + 40])
        done.set()

    writer = threading.Thread(target=write)
    writer.start()
    outcomes: set[int | str] = set()
    while not done.is_set():
        try:
            outcomes.add(len(read(file).share))
        except RuleError as error:
            outcomes.add(error.problems[0].code)
    writer.join()
    assert outcomes <= {3, "POL116", "POL117", "POL118"}
    assert outcomes & {"POL117", "POL118"}
    assert len(read(file).share) == 3


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "POL117"),
        (b"end,0\n", "POL117"),
        (b"\xff\xfe\x00", "POL116"),
        ((",".join(COLUMNS) + "\nend,0\n").encode(), "POL118"),
        ((",".join(COLUMNS[:-1]) + "\nend,0\n").encode(), "POL117"),
        ((",".join(COLUMNS) + "\na,b\nend,1\n").encode(), "POL117"),
        ((",".join(COLUMNS) + '\n"a\nend,1\n').encode(), "POL117"),
        (text_of(ALLOW, end="end,2").encode(), "POL118"),
        (text_of(ALLOW, end="end").encode(), "POL118"),
    ],
)
def test_what_is_no_rule_file_is_refused(tmp_path: Path, content: bytes, code: str) -> None:
    file = tmp_path / "local.csv"
    file.write_bytes(content)
    assert [found for found, _ in problems_of(file)] == [code]


@pytest.mark.parametrize("name", ["Local.csv", "a b.csv", "-.csv", "本地.csv"])
def test_a_file_whose_name_is_no_slug_is_refused(tmp_path: Path, name: str) -> None:
    assert problems_of(file_of(tmp_path, ALLOW, name=name)) == [("POL116", f"{name}:1")]


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    assert problems_of(tmp_path / "local.csv") == [("POL116", "local.csv:1")]
    (tmp_path / "folder.csv").mkdir()
    assert problems_of(tmp_path / "folder.csv") == [("POL116", "folder.csv:1")]


def test_a_role_cycle_is_refused() -> None:
    with pytest.raises(RuleError, match="circle") as refused:
        lint_roles([("clerk", "reader"), ("reader", "officer"), ("officer", "clerk")])
    (problem,) = refused.value.problems
    assert (problem.code, problem.place) == ("POL113", "roles")


# -- the last good version stays in force ----------------------------------------------------------------------------


@pytest.mark.parametrize("changes", [changes for _, changes in WRONG if changes is not WRONG[-1][1]])
def test_a_refused_file_leaves_the_last_good_version_in_force(tmp_path: Path, changes: Mapping[str, str]) -> None:
    async def steps() -> None:
        async with following(sa.make_url(f"sqlite:///{tmp_path / 'control.db'}")) as (control, policy):
            await control.publish("local", read(file_of(tmp_path, DENY)))
            await policy.refresh()
            before = policy.version
            with pytest.raises(RuleError):
                await control.publish("local", read(file_of(tmp_path, DENY, {**ALLOW, **changes})))
            await policy.refresh()
            assert policy.version == before
            assert not allows(policy, NAME)

    asyncio.run(steps())


def test_a_rule_that_expires_while_it_is_in_force_ends_by_itself(tmp_path: Path) -> None:
    rules = read(file_of(tmp_path, ALLOW | {"exp": "2026-06-01T12:00:10Z"}))
    snapshot = base().with_changes({"FILE/local": rules}, 1)
    assert PAYER.of(snapshot).allow
    assert not PAYER.but(now=NOON + timedelta(seconds=10)).of(snapshot).allow


def test_a_grant_for_an_item_that_is_no_longer_there_denies_and_the_rest_goes_on(tmp_path: Path) -> None:
    async def steps(control: Control, policy: Policy) -> None:
        items = (GrantItem("Register.gone", "第七条"), GrantItem("Gone.photo", "第七条"), *APPLICATION.items)
        applied = await control.apply(replace(APPLICATION, items=items))
        await control.change(replace(granted(applied), id=applied.id), applied)
        await policy.refresh()
        assert allows(policy, NAME)
        assert allows(policy, PHOTO)
        assert {row.object for row in policy.snapshot().groups()["GRANT/G1"].share} == {"Register.photo"}

    async def all_steps() -> None:
        async with following(sa.make_url(f"sqlite:///{tmp_path / 'control.db'}")) as both:
            await steps(*both)

    asyncio.run(all_steps())


def test_an_expired_grant_denies_and_says_so() -> None:
    expired = replace(granted(APPLICATION), id="G1", expires="2026-06-01T12:00:00Z")
    snapshot = base().with_changes({"GRANT/G1": rules_of_grant(CATALOGUE, expired)}, 1)
    assert PHOTO.but(now=NOON - timedelta(seconds=1)).of(snapshot).allow
    decision = PHOTO.of(snapshot)
    assert (decision.allow, decision.rule_id) == (False, "DENY/TIME")


# -- the page of problems ----------------------------------------------------------------------------------------------


def test_every_problem_is_on_the_page_and_nothing_else() -> None:
    used: set[str] = set()
    for file in (ROOT / "policies").glob("*.py"):
        if file.name != "problems.py":
            used |= set(re.findall(r'"(POL\d+)"', file.read_text("utf8")))
    assert used == set(MEANINGS)


def test_the_page_of_problems_is_up_to_date() -> None:
    assert (ROOT / "docs/policy-problems.md").read_text("utf8") == problems_page()


def test_every_hint_is_of_use() -> None:
    told: dict[str, Any] = {code: meaning for code, meaning in MEANINGS.items() if not all(meaning)}
    assert told == {}
