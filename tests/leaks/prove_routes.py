"""The long proof of the routes: all of them."""

from __future__ import annotations

from tests.leaks.test_routes import House, closed_doors, house, one_door

__all__ = ["house"]


def test_all_routes_lead_to_one_decision(house: House) -> None:
    print(one_door(house, 1))


def test_suspension_closes_all_routes(house: House) -> None:
    print(closed_doors(house, 7))
