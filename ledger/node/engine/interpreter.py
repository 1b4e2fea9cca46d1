"""A faster loop around py-evm's opcodes: the same results, several times less interpreter time.

py-evm runs each opcode as a chain of Python calls, which makes a checkpoint with its consistency
proof cost over 10 ms. This loop executes the opcodes that make up almost all of such a call in
place, and *only* when nothing can go wrong (enough gas, stack and memory in bounds, jump valid, no
memory growth); everything else, every error included, goes to py-evm's own opcode with the machine
state put back first. So no rule about failing, and no gas schedule beyond the constants below, is
written twice. Tests run random programs on this loop and on py-evm's and compare everything.

Only `ledger.node.engine.evm` imports this module; the two are all that knows py-evm.
"""

from collections import OrderedDict
from collections.abc import Callable
from hashlib import sha256
from operator import and_, or_, xor
from time import monotonic
from typing import Any

from eth.exceptions import Halt
from eth.vm.forks.cancun.computation import CancunComputation
from eth.vm.logic.invalid import InvalidOpcode

WORD = (1 << 256) - 1
STACK_LIMIT = 1024
CALL_DEPTH_LIMIT = 1024
# EIP-2929: a precompile is always warm.
WARM_ACCOUNT_GAS = 100
SHA256_GAS, SHA256_WORD_GAS = 60, 12
COPY_WORD_GAS = 3
PROGRAMS_KEPT = 64


# What a step is, by frequency in compiled contracts. The PUSH_… kinds are two opcodes in one step.
PUSH, PUSH_MLOAD, PUSH_MSTORE, PUSH_JUMPI, PUSH_JUMP, PUSH_ADD, DUP, SWAP, JUMPDEST, POP = range(10)
MLOAD, MSTORE, BINARY, ISZERO, NOT, JUMPI, JUMP, MCOPY, CALLDATALOAD = range(10, 19)
STATICCALL, PUSH0, GAS, OTHER = range(19, 23)

_KINDS = {
    0x15: ISZERO,
    0x19: NOT,
    0x35: CALLDATALOAD,
    0x50: POP,
    0x51: MLOAD,
    0x52: MSTORE,
    0x56: JUMP,
    0x57: JUMPI,
    0x5A: GAS,
    0x5B: JUMPDEST,
    0x5E: MCOPY,
    0x5F: PUSH0,
    0xFA: STATICCALL,
}
_BINARY: dict[int, tuple[int, Callable[[int, int], int]]] = {
    0x01: (3, lambda a, b: (a + b) & WORD),
    0x02: (5, lambda a, b: (a * b) & WORD),
    0x03: (3, lambda a, b: (a - b) & WORD),
    0x04: (5, lambda a, b: a // b if b else 0),
    0x06: (5, lambda a, b: a % b if b else 0),
    0x10: (3, lambda a, b: 1 if a < b else 0),
    0x11: (3, lambda a, b: 1 if a > b else 0),
    0x14: (3, lambda a, b: 1 if a == b else 0),
    0x16: (3, and_),
    0x17: (3, or_),
    0x18: (3, xor),
    0x1B: (3, lambda a, b: (b << a) & WORD if a < 256 else 0),
    0x1C: (3, lambda a, b: b >> a if a < 256 else 0),
}

# Kind, argument (what it is depends on the kind), where the next opcode is.
Step = tuple[int, Any, int]


class Program:
    """Contract code with what can be known before running it, a step for each position."""

    __slots__ = ("jump_targets", "opcodes", "steps")

    def __init__(self, code: bytes) -> None:
        # Running off the end is STOP; a PUSH32 as the last byte leads 33 past it.
        self.opcodes = code + bytes(34)
        self.jump_targets = _jump_targets(code)
        self.steps = [self._step(position) for position in range(len(self.opcodes))]

    def _step(self, position: int) -> Step:
        # Positions inside pushed data get a step as well; no jump leads there.
        opcode = self.opcodes[position]
        if 0x60 <= opcode <= 0x7F:
            following = position + opcode - 0x5E
            value = int.from_bytes(self.opcodes[position + 1 : following], "big")
            after = self.opcodes[following] if following < len(self.opcodes) else 0
            if after == 0x51:
                return PUSH_MLOAD, value, following
            if after == 0x52:
                return PUSH_MSTORE, value, following
            if after == 0x01:
                return PUSH_ADD, value, following
            if after == 0x57 and value in self.jump_targets:
                return PUSH_JUMPI, value, following
            if after == 0x56 and value in self.jump_targets:
                return PUSH_JUMP, value, following
            return PUSH, value, following
        if 0x80 <= opcode <= 0x8F:
            return DUP, opcode - 0x7F, position + 1
        if 0x90 <= opcode <= 0x9F:
            return SWAP, opcode - 0x8F, position + 1
        if opcode in _BINARY:
            return BINARY, _BINARY[opcode], position + 1
        return _KINDS.get(opcode, OTHER), opcode, position + 1


def _jump_targets(code: bytes) -> frozenset[int]:
    targets = set()
    position = 0
    while position < len(code):
        opcode = code[position]
        if opcode == 0x5B:
            targets.add(position)
        position += opcode - 0x5E if 0x60 <= opcode <= 0x7F else 1
    return frozenset(targets)


_programs: OrderedDict[bytes, Program] = OrderedDict()


def program_of(code: bytes) -> Program:
    found = _programs.get(code)
    if found is None:
        found = _programs[code] = Program(code)
        if len(_programs) > PROGRAMS_KEPT:
            _programs.popitem(last=False)
    return found


class Exceeded(Exception):
    """A call that would take longer than its caller may have."""


# Curves and rounds in Python: seconds for gas that buys milliseconds elsewhere.
SLOW_PRECOMPILES = frozenset(number.to_bytes(20, "big") for number in (6, 7, 8, 9, 10))


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


class FastComputation(CancunComputation):
    """py-evm's Cancun computation with the loop below in place of its own."""

    @classmethod
    def apply_computation(
        cls,
        state: Any,
        message: Any,
        transaction_context: Any,
        parent_computation: Any = None,
    ) -> Any:
        # What surrounds the loop is py-evm's BaseComputation.apply_computation, step by step.
        with cls(state, message, transaction_context) as computation:
            if computation.is_origin_computation:
                computation.contracts_created = []
                if message.is_create:
                    cls.consume_initcode_gas_cost(computation)
            if parent_computation is not None:
                computation.contracts_created = parent_computation.contracts_created
            if message.is_create:
                computation.contracts_created.append(message.storage_address)
            limits = getattr(state, "limits", None)
            if limits is not None:
                limits.check(message.code_address)
            precompile = cls._precompiles.get(message.code_address)
            if precompile is not None:
                if not message.is_delegation:
                    precompile(computation)
                return computation
            if limits is None:
                _run(computation)
            else:
                _run_within(computation, limits)
        return computation


def _run_within(computation: Any, limits: "Limits") -> None:
    """py-evm's own loop, with a look at the clock now and then."""
    opcodes = computation.opcodes
    for number, opcode in enumerate(computation.code):
        if number & 255 == 0:
            limits.check()
        try:
            opcodes.get(opcode, InvalidOpcode(opcode))(computation=computation)
        except Halt:
            break


def _run(computation: Any) -> None:
    program = program_of(computation.msg.code)
    steps, targets = program.steps, program.jump_targets
    opcodes = computation.opcodes
    stream = computation.code
    meter = computation._gas_meter
    stack = computation._stack.values
    push, pop = stack.append, stack.pop
    memory = computation._memory._bytes
    data = bytes(computation.msg.data)
    to_int = int.from_bytes
    gas = meter.gas_remaining
    pc = 0

    # A step that cannot be taken here falls out of the chain below and is left to py-evm. Stack
    # items are ints or (from py-evm's opcodes) bytes.
    while True:
        kind, argument, following = steps[pc]

        if kind <= PUSH_ADD:
            if gas >= 13 and len(stack) < STACK_LIMIT:
                if kind == PUSH_MLOAD:
                    if argument + 32 <= len(memory):
                        gas -= 6
                        push(to_int(memory[argument : argument + 32], "big"))
                        pc = following + 1
                        continue
                elif kind == PUSH_MSTORE:
                    if stack and argument + 32 <= len(memory):
                        gas -= 6
                        a = pop()
                        memory[argument : argument + 32] = (
                            a.to_bytes(32, "big") if a.__class__ is int else a.rjust(32, b"\0")
                        )
                        pc = following + 1
                        continue
                elif kind == PUSH_JUMPI:
                    if stack:
                        gas -= 13
                        a = pop()
                        if a.__class__ is not int:
                            a = to_int(a, "big")
                        pc = argument if a else following + 1
                        continue
                elif kind == PUSH_ADD:
                    if stack:
                        gas -= 6
                        a = stack[-1]
                        if a.__class__ is not int:
                            a = to_int(a, "big")
                        stack[-1] = (a + argument) & WORD
                        pc = following + 1
                        continue
                elif kind == PUSH_JUMP:
                    gas -= 11
                    pc = argument
                    continue
                gas -= 3
                push(argument)
                pc = following
                continue
        elif kind == DUP:
            if gas >= 3 and argument <= len(stack) < STACK_LIMIT:
                gas -= 3
                push(stack[-argument])
                pc = following
                continue
        elif kind == SWAP:
            if gas >= 3 and len(stack) > argument:
                gas -= 3
                n = -1 - argument
                stack[-1], stack[n] = stack[n], stack[-1]
                pc = following
                continue
        elif kind == JUMPDEST:
            if gas >= 1:
                gas -= 1
                pc = following
                continue
        elif kind == POP:
            if gas >= 2 and stack:
                gas -= 2
                pop()
                pc = following
                continue
        elif kind == BINARY:
            fee, function = argument
            if gas >= fee and len(stack) >= 2:
                gas -= fee
                a = pop()
                if a.__class__ is not int:
                    a = to_int(a, "big")
                b = stack[-1]
                if b.__class__ is not int:
                    b = to_int(b, "big")
                stack[-1] = function(a, b)
                pc = following
                continue
        elif kind == PUSH0:
            if gas >= 2 and len(stack) < STACK_LIMIT:
                gas -= 2
                push(0)
                pc = following
                continue
        elif kind == OTHER:
            pass
        elif kind in (ISZERO, NOT):
            if gas >= 3 and stack:
                gas -= 3
                a = stack[-1]
                if a.__class__ is not int:
                    a = to_int(a, "big")
                stack[-1] = WORD - a if kind == NOT else 0 if a else 1
                pc = following
                continue
        elif kind == MLOAD:
            if gas >= 3 and stack:
                a = stack[-1]
                if a.__class__ is not int:
                    a = to_int(a, "big")
                if a + 32 <= len(memory):
                    gas -= 3
                    stack[-1] = to_int(memory[a : a + 32], "big")
                    pc = following
                    continue
        elif kind == MSTORE:
            if gas >= 3 and len(stack) >= 2:
                a = stack[-1]
                if a.__class__ is not int:
                    a = to_int(a, "big")
                if a + 32 <= len(memory):
                    gas -= 3
                    b = stack[-2]
                    memory[a : a + 32] = (
                        b.to_bytes(32, "big") if b.__class__ is int else b.rjust(32, b"\0")
                    )
                    del stack[-2:]
                    pc = following
                    continue
        elif kind == STATICCALL:
            # Of the SHA-256 precompile only, which is what a proof spends its time on.
            if len(stack) >= 6 and (stack[-2] == 2 or stack[-2] == b"\x02"):
                wanted, _, start, size, out, out_size = (
                    item if item.__class__ is int else to_int(item, "big") for item in stack[:-7:-1]
                )
                left = gas - WARM_ACCOUNT_GAS
                fee = SHA256_GAS + SHA256_WORD_GAS * ((size + 31) // 32)
                if (
                    left >= 0
                    and min(wanted, left - left // 64) >= fee
                    and computation.msg.depth < CALL_DEPTH_LIMIT
                    and (size == 0 or start + size <= len(memory))
                    and (out_size == 0 or out + out_size <= len(memory))
                ):
                    digest = sha256(memory[start : start + size]).digest()
                    gas = left - fee
                    del stack[-6:]
                    taken = min(out_size, 32)
                    memory[out : out + taken] = digest[:taken]
                    computation.return_data = digest
                    push(1)
                    pc = following
                    continue
        elif kind == GAS:
            if gas >= 2 and len(stack) < STACK_LIMIT:
                gas -= 2
                push(gas)
                pc = following
                continue
        elif kind == JUMPI:
            if gas >= 10 and len(stack) >= 2:
                a, b = stack[-1], stack[-2]
                if b.__class__ is not int:
                    b = to_int(b, "big")
                if not b or a in targets:
                    gas -= 10
                    del stack[-2:]
                    pc = a if b else following
                    continue
        elif kind == JUMP:
            if gas >= 8 and stack and stack[-1] in targets:
                gas -= 8
                pc = pop()
                continue
        elif kind == MCOPY:
            if len(stack) >= 3:
                to, start, size = (
                    item if item.__class__ is int else to_int(item, "big") for item in stack[:-4:-1]
                )
                fee = 3 + COPY_WORD_GAS * ((size + 31) // 32)
                if size and gas >= fee and max(to, start) + size <= len(memory):
                    gas -= fee
                    memory[to : to + size] = memory[start : start + size]
                    del stack[-3:]
                    pc = following
                    continue
        elif kind == CALLDATALOAD and gas >= 3 and stack:
            gas -= 3
            a = stack[-1]
            if a.__class__ is not int:
                a = to_int(a, "big")
            stack[-1] = to_int(data[a : a + 32].ljust(32, b"\0"), "big")
            pc = following
            continue

        opcode = program.opcodes[pc]
        stream.program_counter = pc + 1
        meter.gas_remaining = gas
        function = opcodes.get(opcode)
        try:
            (function if function is not None else InvalidOpcode(opcode))(computation=computation)
        except Halt:
            return
        pc = stream.program_counter
        gas = meter.gas_remaining
        # py-evm may have put a longer buffer in place of this one.
        memory = computation._memory._bytes
