"""The running city of the API's tests, for those of what is put around it."""

from tests.api.conftest import city, found_town, start_service, town_type

__all__ = ["city", "found_town", "start_service", "town_type"]
