"""Masks, and the class of a subject reached over several steps."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.masks import mask
from schema.catalogue import MaskKind, SubjectClass

SHOWN = {MaskKind.ID_NUMBER: (3, 4), MaskKind.NAME: (1, 0), MaskKind.TELEPHONE: (3, 2), MaskKind.ADDRESS: (6, 0)}
KINDS = st.sampled_from(MaskKind)
TEXTS = st.text(st.characters(exclude_characters="*", exclude_categories=["Cs"]), max_size=40)
UNLIKE = st.lists(st.characters(exclude_characters="*", exclude_categories=["Cs"]), unique=True, max_size=40)


@pytest.mark.parametrize(
    ("kind", "value", "masked"),
    [
        (MaskKind.ID_NUMBER, "421202199001011234", "421***********1234"),
        (MaskKind.NAME, "张三", "张**"),
        (MaskKind.NAME, "欧阳震华", "欧**"),
        (MaskKind.TELEPHONE, "13800001234", "138******34"),
        (MaskKind.ADDRESS, "湖北省咸宁市咸安区某路1号", "湖北省咸宁市******"),
    ],
)
def test_a_mask_keeps_what_its_kind_shows(kind: MaskKind, value: str, masked: str) -> None:
    assert mask(kind, value) == masked


@given(KINDS, UNLIKE.map("".join))
def test_nothing_of_the_hidden_part_is_shown(kind: MaskKind, value: str) -> None:
    head, tail = SHOWN[kind]
    hidden = value[head : len(value) - tail] if len(value) > head + tail else value
    assert not set(hidden) & set(mask(kind, value))


@given(KINDS, TEXTS, TEXTS)
def test_a_mask_never_tells_how_long_the_hidden_part_is(kind: MaskKind, one: str, other: str) -> None:
    assert mask(kind, one).count("*") == mask(kind, other).count("*") > 0


@given(KINDS, TEXTS)
def test_two_values_that_differ_in_the_hidden_part_only_look_alike(kind: MaskKind, middle: str) -> None:
    head, tail = SHOWN[kind]
    start, end = "一二三四五六"[:head], "七八九十"[:tail]
    assert mask(kind, f"{start}百{middle}{end}") == mask(kind, f"{start}千{end}")


@pytest.mark.parametrize("kind", MaskKind)
def test_a_value_with_nothing_to_hide_behind_is_hidden_whole(kind: MaskKind) -> None:
    for length in range(sum(SHOWN[kind]) + 1):
        assert set(mask(kind, "张" * length)) == {"*"}


@pytest.mark.parametrize("value", [None, 42, Decimal("1.5"), date(1990, 1, 1), b"13800001234", object()])
@pytest.mark.parametrize("kind", MaskKind)
def test_what_is_no_text_is_hidden_whole(kind: MaskKind, value: object) -> None:
    assert set(mask(kind, value)) == {"*"}


SUBJECT, RELATED, THIRD_PARTY = SubjectClass


@pytest.mark.parametrize(
    ("here", "further", "there"),
    [
        (SUBJECT, SUBJECT, SUBJECT),
        (SUBJECT, RELATED, RELATED),
        (SUBJECT, THIRD_PARTY, THIRD_PARTY),
        (RELATED, SUBJECT, RELATED),
        (RELATED, RELATED, THIRD_PARTY),
        (RELATED, THIRD_PARTY, THIRD_PARTY),
        (THIRD_PARTY, SUBJECT, THIRD_PARTY),
        (THIRD_PARTY, RELATED, THIRD_PARTY),
        (THIRD_PARTY, THIRD_PARTY, THIRD_PARTY),
    ],
)
def test_a_step_never_leads_nearer_to_the_case(here: SubjectClass, further: SubjectClass, there: SubjectClass) -> None:
    assert here.then(further) is there
