"""The demo city: synthetic residents and organisations, written as the departments' databases would hold them."""

from demo.city import CityReport, Example, Examples, build_city

__all__ = ["CityReport", "Example", "Examples", "build_city"]
