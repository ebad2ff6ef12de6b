"""Conditions on records that a resource cannot meet reach no record at all."""

from __future__ import annotations

from policies.decision import Decision, Rows
from resolvers.restrict import row_limits
from schema.catalogue import RowCondition
from schema.errors import Text
from tests.service import Service


def _decision(condition: RowCondition) -> Decision:
    return Decision(True, "GRANT/G1", Text("granted", "批准"), (Rows(condition),))


def test_adults_among_organisations_are_nobody(service: Service) -> None:
    resource = service.catalogue.resources["EnterpriseRegistration"]
    (nothing,) = row_limits(resource, [_decision(RowCondition.ADULTS)], "421200").where
    assert (nothing.item, nothing.values) == (resource.key, ())


def test_a_resource_without_a_region_has_no_record_in_anybodys(service: Service) -> None:
    resource = service.catalogue.resources["HouseholdRegistration"]
    (nothing,) = row_limits(resource, [_decision(RowCondition.OWN_REGION)], "421200").where
    assert (nothing.item, nothing.values) == (resource.key, ())


def test_a_caller_without_a_region_has_no_region_of_its_own(service: Service) -> None:
    resource = service.catalogue.resources["HousingSecurity"]
    for region in ("", "42", "4212000", "abcdef"):
        (nothing,) = row_limits(resource, [_decision(RowCondition.OWN_REGION)], region).where
        assert nothing.values == ()
