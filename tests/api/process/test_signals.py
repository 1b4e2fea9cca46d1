"""A signal that ends a program does not break off what must not be broken off half-way."""

from __future__ import annotations

import signal

import pytest

from api.process.signals import signals_held


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_takes_effect_when_the_work_is_done(number: signal.Signals) -> None:
    before = signal.signal(number, signal.default_int_handler)
    done: list[str] = []

    def work() -> None:
        with signals_held():
            signal.raise_signal(number)
            done.append("all of it")

    try:
        with pytest.raises(KeyboardInterrupt):
            work()
        assert done
        assert signal.getsignal(number) is signal.default_int_handler
    finally:
        signal.signal(number, before)
