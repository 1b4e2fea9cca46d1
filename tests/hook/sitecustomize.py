"""On the path of every process that a test starts: has its data folders on the tests' engine."""

import importlib.util
import os
import sys
from pathlib import Path

if os.environ.get("CERTLEDGER_TEST_DATABASE"):
    _name = "certledger_tests_engines"
    _spec = importlib.util.spec_from_file_location(_name, Path(__file__).parents[1] / "engines.py")
    assert _spec is not None
    assert _spec.loader is not None
    _engines = sys.modules[_name] = importlib.util.module_from_spec(_spec)
    _spec.loader.exec_module(_engines)
    _engines.install()
