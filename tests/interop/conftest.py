"""The running city of `tests/api/conftest.py`, for checks by implementations not ours."""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
from pathlib import Path

import pytest

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


@pytest.fixture(scope="session")
def go() -> str:
    """The Go compiler. In CI its absence is a failure, not a skip: `.ci/run` installs it."""
    program = shutil.which("go")
    if program is None:
        if os.environ.get("CI"):
            pytest.fail("CI has no Go: install it, so that log and witnesses are verified outside")
        pytest.skip("no Go on this machine")
    return program
