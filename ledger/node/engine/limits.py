"""What a call that anybody asks for may take of the machine's time.

With `evm`, all that knows py-evm.
"""

from collections.abc import Callable, Iterator
from time import monotonic
from typing import Any

from eth.vm.code_stream import CodeStream
from eth.vm.forks.cancun.computation import CancunComputation

# Curves and rounds in Python: seconds for gas that buys milliseconds elsewhere.
SLOW_PRECOMPILES = frozenset(number.to_bytes(20, "big") for number in (6, 7, 8, 9, 10))
#: Opcodes between two looks at the clock.
STRIDE = 256


class Exceeded(Exception):
    """A call that would take longer than its caller may have."""


class Limits:
    """What a call may take that anybody asks for. `pause` is called again and again on the way,
    for whoever goes first."""

    def __init__(self, until: float, pause: Callable[[], None]) -> None:
        """`until` is by `time.monotonic`."""
        self._until, self._pause = until, pause

    def check(self, address: bytes = b"") -> None:
        if address in SLOW_PRECOMPILES:
            raise Exceeded("this precompile is not for calls of anybody")
        self._pause()
        if monotonic() > self._until:
            raise Exceeded("the calls of one request took too long")


class _Watched(CodeStream):
    """Code whose opcodes are read with a look at the clock now and then."""

    __slots__ = ("_limits",)

    def __init__(self, code: bytes, limits: Limits) -> None:
        super().__init__(code)
        self._limits = limits

    def __iter__(self) -> Iterator[int]:
        for number, opcode in enumerate(super().__iter__()):
            if number % STRIDE == 0:
                self._limits.check()
            yield opcode


class LimitedComputation(CancunComputation):
    """py-evm's, which raises Exceeded where its state has `limits` and it goes beyond them."""

    def __init__(self, state: Any, message: Any, transaction_context: Any) -> None:
        super().__init__(state, message, transaction_context)
        limits: Limits | None = state.limits
        if limits is not None:
            limits.check(message.code_address)
            self.code = _Watched(message.code, limits)
