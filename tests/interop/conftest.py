"""The running city of `tests/api/conftest.py`, for checks by implementations not ours."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

_spec = importlib.util.spec_from_file_location(
    "certledger_running_city", Path(__file__).parents[1] / "api" / "conftest.py"
)
assert _spec is not None
assert _spec.loader is not None
_city = importlib.util.module_from_spec(_spec)
sys.modules[_spec.name] = _city
_spec.loader.exec_module(_city)

city, found_town, holders, start_service = (
    _city.city,
    _city.found_town,
    _city.holders,
    _city.start_service,
)
