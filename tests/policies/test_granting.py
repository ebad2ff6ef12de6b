"""What may become of a grant, and what may not: no step makes it wider."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies import granting
from policies.granting import GrantFault, Narrowing, Ruling, Verdict
from policies.grants import AgreementState, Decider, Grant, GrantItem, GrantState, GrantStep, NoticeKind
from policies.rules import rules_of_grant
from schema.catalogue import Catalogue, Entity, ItemType, Purpose, RowCondition, Share, ShareMode
from tests.connectors.resources import PLACE, item, resource
from tests.policies.small import CONDITIONAL, NOT_SHARED, department

NOW, END = "2026-06-01T04:00:00Z", "2027-06-01T00:00:00Z"
BASIS, REFERENCE, VERIFYING = Purpose.ADMINISTRATIVE_BASIS, Purpose.WORK_REFERENCE, Purpose.DATA_VERIFICATION
QUERY, BATCH = ShareMode.ONLINE_QUERY, ShareMode.BATCH_DOWNLOAD
REGION, ADULTS = RowCondition.OWN_REGION, RowCondition.ADULTS


def entity(name: str, kind: ItemType) -> Entity:
    return Entity(name, name, name.lower(), f"{name}s", "id", "ids", kind, "", PLACE)


def shared(name: str, share: Share = CONDITIONAL, **changes: Any) -> Any:
    return item(name, share=share, **changes)


PEOPLE = resource(
    "People",
    shared("idNumber"), shared("name"), shared("region"), shared("checked", purposes=frozenset({VERIFYING})),
    shared("cause", NOT_SHARED), modes=frozenset({QUERY, BATCH}), region="region",
)  # fmt: skip
FIRMS = resource("Firms", shared("creditCode"), shared("name"), modes=frozenset({QUERY, BATCH}), entity="Firm")
TAX = resource("Tax", shared("payer"), department="taxation")
CATALOGUE = Catalogue(
    version="v1",
    departments={slug: department(slug) for slug in ("housing", "taxation", "health", "data-bureau")},
    entities={"Person": entity("Person", ItemType.ID_NUMBER), "Firm": entity("Firm", ItemType.CREDIT_CODE)},
    codes={},
    resources={one.name: one for one in (PEOPLE, FIRMS, TAX)},
)
WANTED = ("People.idNumber", "People.name", "People.region")


def step(action: str, note: str = "理由", who: str = "health") -> GrantStep:
    return GrantStep(action, "officer-01", who, 1_780_000_000_000_000, note)


def apply(*coordinates: str, **changes: Any) -> Grant:
    how: dict[str, Any] = {
        "items": [GrantItem(one, "条例第三条") for one in coordinates or WANTED],
        "purposes": frozenset({BASIS, REFERENCE}),
        "modes": frozenset({QUERY, BATCH}),
        "scope": "审核",
        "rows": frozenset(),
        "step": step("apply"),
    }
    return replace(granting.application(CATALOGUE, **(how | changes)), id="G1")


def ruling(grant: Grant, *refused: str, **changes: Any) -> Ruling:
    verdicts = {
        one.coordinate: Verdict(one.coordinate not in refused, "非必要" if one.coordinate in refused else "")
        for one in grant.items
    }
    given = Ruling(verdicts, Decider.PROVIDER, "函〔2026〕1号", "", END, "保密1号")
    return replace(given, **changes)


def decide(grant: Grant, *refused: str, **changes: Any) -> Grant:
    return granting.decide(grant, CATALOGUE, ruling(grant, *refused, **changes), NOW, step("decide"))


def limit(grant: Grant, note: str = "超范围", **left: Any) -> Grant:
    return granting.limit(grant, CATALOGUE, Narrowing(**left), step("limit", note))


def fault(doing: Callable[..., Grant], *args: Any, **kwargs: Any) -> str:
    with pytest.raises(GrantFault) as refused:
        doing(*args, **kwargs)
    assert refused.value.reason.en
    assert refused.value.reason.zh
    return refused.value.code


# -- applying ------------------------------------------------------------------------------------------------------


def test_an_application_names_its_provider_and_allows_nothing() -> None:
    grant = apply()
    assert (grant.department, grant.provider, grant.state) == ("health", "housing", GrantState.APPLIED)
    assert not grant.active
    assert grant.granted == ()
    assert {one.granted for one in grant.items} == {None}
    assert rules_of_grant(CATALOGUE, grant).share == ()


@pytest.mark.parametrize(
    "how",
    [
        {"items": []},
        {"items": [GrantItem("People.name", "x")] * 2},
        {"items": [GrantItem("People.name", "")]},
        {"items": [GrantItem("People.nothing", "x")]},
        {"items": [GrantItem("Nothing.name", "x")]},
        {"items": [GrantItem("People", "x")]},
        {"items": [GrantItem("People.name", "x"), GrantItem("Tax.payer", "x")]},
        {"items": [GrantItem("People.checked", "x")]},
        {"items": [GrantItem("Tax.payer", "x")]},  # not through batches
        {"purposes": frozenset()},
        {"modes": frozenset()},
        {"modes": frozenset({ShareMode.FRONT_END_EXCHANGE})},
        {"scope": ""},
        {"items": [GrantItem("Firms.name", "x")], "rows": frozenset({REGION})},
        {"items": [GrantItem("Firms.name", "x")], "rows": frozenset({ADULTS})},
        {"step": step("apply", who="housing")},
    ],
)  # fmt: skip
def test_an_application_that_the_catalogue_does_not_allow_for_is_refused(how: dict[str, Any]) -> None:
    assert fault(apply, **how) == "GRANT_INVALID"


def test_what_is_not_shared_and_what_is_shared_in_part_may_be_applied_for() -> None:
    assert apply("People.cause", rows=frozenset({REGION, ADULTS})).rows == {REGION, ADULTS}


def test_an_applicant_does_not_decide_on_the_items() -> None:
    items = [GrantItem("People.name", "x", True, "granted by myself")]
    assert apply(items=items).items == (GrantItem("People.name", "x"),)


# -- deciding ------------------------------------------------------------------------------------------------------


def test_items_are_decided_one_by_one() -> None:
    grant = decide(apply(), "People.name")
    assert grant.state is GrantState.GRANTED
    assert grant.active
    assert [one.coordinate for one in grant.granted] == ["People.idNumber", "People.region"]
    assert grant.items[1].reason == "非必要"
    assert (grant.not_before, grant.expires, grant.decided_by) == (NOW, END, Decider.PROVIDER)
    assert [one.action for one in grant.steps] == ["apply", "decide"]


def test_without_a_valid_agreement_a_grant_is_not_active() -> None:
    assert not decide(apply(), agreement="").active


def test_an_application_of_which_nothing_is_granted_is_refused() -> None:
    grant = decide(apply(), *WANTED, document="", expires="")
    assert (grant.state, grant.expires, grant.agreement, grant.active) == (GrantState.REFUSED, "", "", False)


@pytest.mark.parametrize(
    "changes",
    [
        {"document": ""},
        {"expires": ""},
        {"expires": NOW},
        {"expires": "2026-01-01T00:00:00Z"},
        {"not_before": END},
        {"not_before": "2028-01-01T00:00:00Z"},
        {"verdicts": {}},
        {"verdicts": {"People.name": Verdict(True)}},
        {"verdicts": dict.fromkeys((*WANTED, "People.cause"), Verdict(True))},
        {"verdicts": dict.fromkeys(WANTED, Verdict(False))},
    ],
)  # fmt: skip
def test_a_decision_without_what_it_needs_is_refused(changes: dict[str, Any]) -> None:
    assert fault(decide, apply(), **changes) == "GRANT_INVALID"


@pytest.mark.parametrize("by", [Decider.BUREAU, Decider.GOVERNMENT])
def test_bureau_and_government_name_their_document_for_a_refusal_too(by: Decider) -> None:
    assert fault(decide, apply(), *WANTED, decided_by=by, document="") == "GRANT_INVALID"
    assert decide(apply(), *WANTED, decided_by=by).state is GrantState.REFUSED


def test_a_decision_may_add_conditions_and_never_drops_them() -> None:
    grant = decide(apply(rows=frozenset({REGION})), rows=frozenset({ADULTS}))
    assert grant.rows == {REGION, ADULTS}
    assert fault(decide, apply("Firms.name"), rows=frozenset({ADULTS})) == "GRANT_INVALID"


def test_an_item_that_the_catalogue_has_lost_cannot_be_granted_but_refused() -> None:
    grant = apply()
    left = replace(CATALOGUE, resources={"People": replace(PEOPLE, items={"name": PEOPLE.items["name"]})})
    with pytest.raises(GrantFault):
        granting.decide(grant, left, ruling(grant), NOW, step("decide"))
    decided = granting.decide(grant, left, ruling(grant, "People.idNumber", "People.region"), NOW, step("decide"))
    assert [one.coordinate for one in decided.granted] == ["People.name"]


@pytest.mark.parametrize("first", list(Decider))
@pytest.mark.parametrize("second", list(Decider))
def test_a_refusal_is_open_to_the_same_or_a_higher_decider_until_the_government_has_spoken(
    first: Decider, second: Decider
) -> None:
    refused = decide(apply(), *WANTED, decided_by=first)
    ranks = list(Decider)
    if first is not Decider.GOVERNMENT and ranks.index(second) >= ranks.index(first):
        assert decide(refused, decided_by=second).state is GrantState.GRANTED
    else:
        assert fault(decide, refused, decided_by=second) == "GRANT_STATE"


def test_what_is_granted_or_ended_is_not_decided_again() -> None:
    granted = decide(apply())
    for by in Decider:
        assert fault(decide, granted, decided_by=by) == "GRANT_STATE"
        assert fault(decide, granting.end(granted, step("end")), decided_by=by) == "GRANT_STATE"


def test_an_exception_is_told_only_where_something_not_shared_was_granted() -> None:
    assert granting.exception_notice(decide(apply()), CATALOGUE, 7) is None
    both = apply("People.name", "People.cause")
    assert granting.exception_notice(decide(both, "People.cause"), CATALOGUE, 7) is None
    notice = granting.exception_notice(decide(both), CATALOGUE, 7)
    assert notice
    assert (notice.kind, notice.at, notice.reference) == (NoticeKind.EXCEPTION, 7, "G1")
    assert "People.cause" in notice.text.zh
    assert "People.name" not in notice.text.zh


# -- limiting and ending -------------------------------------------------------------------------------------------


def test_a_limit_leaves_less_and_says_why() -> None:
    grant = limit(
        decide(apply()), items=frozenset({"People.name"}), purposes=frozenset({BASIS}), rows=frozenset({ADULTS})
    )
    assert [one.coordinate for one in grant.granted] == ["People.name"]
    assert {one.reason for one in grant.items if not one.granted} == {"超范围"}
    assert grant.purposes == {BASIS}
    assert grant.rows == {ADULTS}
    assert grant.state is GrantState.GRANTED


def test_a_limit_keeps_the_reason_of_what_was_refused_before() -> None:
    grant = limit(decide(apply(), "People.region"), items=frozenset({"People.name"}))
    assert {one.coordinate: one.reason for one in grant.items} == {
        "People.idNumber": "超范围",
        "People.name": "",
        "People.region": "非必要",
    }


@pytest.mark.parametrize(
    "left",
    [
        {},
        {"items": frozenset(WANTED)},
        {"items": frozenset()},
        {"items": frozenset({"People.cause"})},
        {"items": frozenset({*WANTED, "People.cause"})},
        {"purposes": frozenset()},
        {"purposes": frozenset({BASIS, Purpose.BUSINESS_COLLABORATION})},
        {"modes": frozenset()},
        {"modes": frozenset({ShareMode.SYSTEM_INTEGRATION})},
        {"expires": "2027-06-01T00:00:01Z"},
        {"expires": NOW},
        {"expires": ""},
    ],
)  # fmt: skip
def test_a_limit_that_is_none_or_widens_is_refused(left: dict[str, Any]) -> None:
    assert fault(limit, decide(apply()), **left) == "GRANT_INVALID"


def test_a_condition_that_cannot_be_told_is_no_limit() -> None:
    assert fault(limit, decide(apply("Firms.name")), rows=frozenset({REGION})) == "GRANT_INVALID"


def test_limit_and_end_need_a_reason() -> None:
    grant = decide(apply())
    assert fault(limit, grant, "", purposes=frozenset({BASIS})) == "GRANT_INVALID"
    assert fault(granting.end, grant, step("end", "")) == "GRANT_INVALID"


@pytest.mark.parametrize("grant", [apply(), decide(apply(), *WANTED), granting.end(decide(apply()), step("end"))])
def test_only_what_is_granted_is_limited_ended_or_agreed_on(grant: Grant) -> None:
    assert fault(limit, grant, purposes=frozenset({BASIS})) == "GRANT_STATE"
    assert fault(granting.end, grant, step("end")) == "GRANT_STATE"
    assert fault(granting.agreement, grant, "保密2号", AgreementState.VALID, step("agree")) == "GRANT_STATE"


def test_an_ended_grant_allows_nothing() -> None:
    grant = decide(apply())
    assert rules_of_grant(CATALOGUE, grant).share
    ended = granting.end(grant, step("end"))
    assert not ended.active
    assert rules_of_grant(CATALOGUE, ended).share == ()
    assert granting.end_notice(ended, step("end")).kind is NoticeKind.ENDED


# -- agreements ----------------------------------------------------------------------------------------------------


def test_an_agreement_begins_ends_and_is_renewed() -> None:
    def agree(grant: Grant, number: str, state: AgreementState) -> Grant:
        return granting.agreement(grant, number, state, step("agree"))

    grant = decide(apply(), agreement="")
    assert fault(agree, grant, "", AgreementState.VALID) == "GRANT_INVALID"
    assert fault(agree, grant, "", AgreementState.ENDED) == "GRANT_STATE"
    assert fault(agree, grant, "x", AgreementState.MISSING) == "GRANT_STATE"
    valid = agree(grant, "保密2号", AgreementState.VALID)
    assert valid.active
    assert fault(agree, valid, "保密2号", AgreementState.VALID) == "GRANT_STATE"
    ended = agree(valid, "", AgreementState.ENDED)
    assert (ended.active, ended.agreement, ended.state) == (False, "保密2号", GrantState.GRANTED)
    assert agree(ended, "保密3号", AgreementState.VALID).active


# -- nothing ever widens -------------------------------------------------------------------------------------------


def parts(words: Any) -> Any:
    return st.none() | st.frozensets(st.sampled_from(sorted(words)), max_size=4)


NARROWINGS = st.builds(
    Narrowing,
    items=parts([*WANTED, "People.cause", "Tax.payer"]),
    purposes=parts(list(Purpose)),
    modes=parts(list(ShareMode)),
    expires=st.none() | st.sampled_from(["", NOW, "2026-07-01T00:00:00Z", END, "2030-01-01T00:00:00Z"]),
    rows=st.frozensets(st.sampled_from(list(RowCondition))),
)


def use(grant: Grant) -> set[tuple[str, ...]]:
    """Everything that the grant's rows allow, row by row, without their time."""
    return {row[:8] for row in rules_of_grant(CATALOGUE, grant).share}


@given(st.lists(NARROWINGS, max_size=6), st.sets(st.sampled_from(WANTED)))
def test_no_sequence_of_steps_allows_more_than_was_granted(narrowings: list[Narrowing], refused: set[str]) -> None:
    applied = apply()
    grant = decide(applied, *refused)
    assert {one.coordinate for one in grant.granted} == set(WANTED) - refused
    for narrowing in narrowings:
        try:
            limited = granting.limit(grant, CATALOGUE, narrowing, step("limit"))
        except GrantFault:
            continue
        assert use(limited) <= use(grant)
        assert (limited.not_before, limited.expires) <= (grant.not_before, grant.expires)
        assert limited.rows >= grant.rows
        assert (use(limited), limited.expires, limited.rows) != (use(grant), grant.expires, grant.rows)
        assert limited.steps[:-1] == grant.steps
        grant = limited
    assert grant.purposes <= applied.purposes
    assert grant.modes <= applied.modes
