"""Which engine a run is on, and what only one of them can show."""

from __future__ import annotations

import os
import signal
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import engines


def pytest_configure(config: pytest.Config) -> None:
    _heed_signals()
    if not engines.on_postgresql():
        return
    os.environ.setdefault(engines.RUN, uuid.uuid4().hex[:8])
    hook = str(Path(__file__).parent / "hook")
    paths = [hook, *filter(None, [os.environ.get("PYTHONPATH")])]
    if hook not in os.environ.get("PYTHONPATH", "").split(os.pathsep):
        os.environ["PYTHONPATH"] = os.pathsep.join(paths)
    engines.install()


def _heed_signals() -> None:
    """What a shell runs in the background ignores Ctrl-C, and under nohup a hang-up, and so would
    every process that a test starts and then interrupts."""
    for number in (signal.SIGINT, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)


_LIMIT = sys.getrecursionlimit()


def pytest_runtest_setup() -> None:
    """Tests run as the service does, which never imports py-evm: that raises the recursion limit,
    under which a deeply nested JSON text overflows the C stack."""
    sys.setrecursionlimit(_LIMIT)


def pytest_report_header(config: pytest.Config) -> str:
    return engines.described()


def pytest_unconfigure(config: pytest.Config) -> None:
    if engines.on_postgresql() and not hasattr(config, "workerinput"):
        engines.forget_all()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if not engines.on_postgresql():
        return
    for item in items:
        mark = item.get_closest_marker("sqlite_only")
        if mark is not None:
            item.add_marker(pytest.mark.skip(reason=f"SQLite only: {mark.args[0]}"))


@pytest.fixture(autouse=True)
def _databases_go_with_their_folder(request: pytest.FixtureRequest) -> Iterator[None]:
    if not engines.on_postgresql() or "tmp_path" not in request.fixturenames:
        yield
        return
    folder: Path = request.getfixturevalue("tmp_path")
    yield
    engines.forget(folder)
