"""A faster loop around py-evm's opcodes: the same results, several times less interpreter time.

py-evm runs each opcode as a chain of Python calls, which makes a checkpoint with its consistency
proof cost over 10 ms. This loop executes the opcodes that make up almost all of such a call in
place, and *only* when nothing can go wrong (enough gas, stack and memory in bounds, jump valid, no
memory growth); everything else, every error included, goes to py-evm's own opcode with the machine
state put back first. So no rule about failing, and no gas schedule beyond the constants below, is
written twice. Tests run random programs on this loop and on py-evm's and compare everything.

Only `ledger.node.evm` imports this module; the two are all that knows py-evm.
"""

from collections import OrderedDict
from hashlib import sha256
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


class Program:
    """Contract code with what can be known before running it: pushed values and jump targets."""

    __slots__ = ("after", "code", "jump_targets", "pushed")

    def __init__(self, code: bytes) -> None:
        # Running off the end is STOP; PUSH32 as the last byte jumps 33 past it.
        padded = code + bytes(34)
        self.code = padded
        self.pushed: dict[int, int] = {}
        self.after: dict[int, int] = {}
        targets = set()
        position = 0
        while position < len(code):
            opcode = code[position]
            if opcode == 0x5B:
                targets.add(position)
            following = position + 1
            if 0x5F <= opcode <= 0x7F:
                following += opcode - 0x5F
                self.pushed[position] = int.from_bytes(padded[position + 1 : following], "big")
                self.after[position] = following
            position = following
        self.jump_targets = frozenset(targets)


_programs: OrderedDict[bytes, Program] = OrderedDict()


def program_of(code: bytes) -> Program:
    found = _programs.get(code)
    if found is None:
        found = _programs[code] = Program(code)
        if len(_programs) > PROGRAMS_KEPT:
            _programs.popitem(last=False)
    return found


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
            precompile = cls._precompiles.get(message.code_address)
            if precompile is not None:
                if not message.is_delegation:
                    precompile(computation)
                return computation
            _run(computation)
        return computation


def _run(computation: Any) -> None:
    program = program_of(computation.msg.code)
    code, pushed, after, targets = (
        program.code,
        program.pushed,
        program.after,
        program.jump_targets,
    )
    end = len(code)
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

    while True:
        op = code[pc] if pc < end else 0
        depth = len(stack)

        if op >= 0x5F:
            if op <= 0x7F:  # PUSH
                if gas >= 3 and depth < STACK_LIMIT:
                    gas -= 3 if op != 0x5F else 2
                    push(pushed[pc])
                    pc = after[pc]
                    continue
            elif op <= 0x8F:  # DUP
                n = op - 0x7F
                if gas >= 3 and n <= depth < STACK_LIMIT:
                    gas -= 3
                    push(stack[-n])
                    pc += 1
                    continue
            elif op <= 0x9F:  # SWAP
                n = op - 0x8F
                if gas >= 3 and depth > n:
                    gas -= 3
                    n = -1 - n
                    stack[-1], stack[n] = stack[n], stack[-1]
                    pc += 1
                    continue
            elif op == 0xFA and depth >= 6:  # STATICCALL of the SHA-256 precompile
                to = stack[-2]
                if to == 2 or to == b"\x02":
                    wanted, _, start, size, out, out_size = (
                        item if item.__class__ is int else to_int(item, "big")
                        for item in stack[:-7:-1]
                    )
                    left = gas - WARM_ACCOUNT_GAS
                    given = min(wanted, left - left // 64)
                    fee = SHA256_GAS + SHA256_WORD_GAS * ((size + 31) // 32)
                    if (
                        left >= 0
                        and given >= fee
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
                        pc += 1
                        continue
        elif op >= 0x50:
            if op == 0x5B:  # JUMPDEST
                if gas >= 1:
                    gas -= 1
                    pc += 1
                    continue
            elif op == 0x51:  # MLOAD
                if gas >= 3 and depth:
                    a = stack[-1]
                    if a.__class__ is not int:
                        a = to_int(a, "big")
                    if a + 32 <= len(memory):
                        gas -= 3
                        stack[-1] = to_int(memory[a : a + 32], "big")
                        pc += 1
                        continue
            elif op == 0x52:  # MSTORE
                if gas >= 3 and depth >= 2:
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
                        pc += 1
                        continue
            elif op == 0x57:  # JUMPI
                if gas >= 10 and depth >= 2:
                    b = stack[-2]
                    if b.__class__ is not int:
                        b = to_int(b, "big")
                    if not b:
                        gas -= 10
                        del stack[-2:]
                        pc += 1
                        continue
                    a = stack[-1]
                    if a in targets:
                        gas -= 10
                        del stack[-2:]
                        pc = a
                        continue
            elif op == 0x56:  # JUMP
                if gas >= 8 and depth:
                    a = stack[-1]
                    if a in targets:
                        gas -= 8
                        pop()
                        pc = a
                        continue
            elif op == 0x50:  # POP
                if gas >= 2 and depth:
                    gas -= 2
                    pop()
                    pc += 1
                    continue
            elif op == 0x5E and depth >= 3:  # MCOPY
                to, start, size = (
                    item if item.__class__ is int else to_int(item, "big") for item in stack[:-4:-1]
                )
                fee = 3 + COPY_WORD_GAS * ((size + 31) // 32)
                if size and gas >= fee and max(to, start) + size <= len(memory):
                    gas -= fee
                    memory[to : to + size] = memory[start : start + size]
                    del stack[-3:]
                    pc += 1
                    continue
        elif op in _BINARY:
            if depth >= 2:
                fee, function = _BINARY[op]
                if gas >= fee:
                    gas -= fee
                    a = pop()
                    if a.__class__ is not int:
                        a = to_int(a, "big")
                    b = stack[-1]
                    if b.__class__ is not int:
                        b = to_int(b, "big")
                    stack[-1] = function(a, b)
                    pc += 1
                    continue
        elif op == 0x15:  # ISZERO
            if gas >= 3 and depth:
                gas -= 3
                a = stack[-1]
                if a.__class__ is not int:
                    a = to_int(a, "big")
                stack[-1] = 0 if a else 1
                pc += 1
                continue
        elif op == 0x19:  # NOT
            if gas >= 3 and depth:
                gas -= 3
                a = stack[-1]
                if a.__class__ is not int:
                    a = to_int(a, "big")
                stack[-1] = WORD - a
                pc += 1
                continue
        elif op == 0x35:  # CALLDATALOAD
            if gas >= 3 and depth:
                gas -= 3
                a = stack[-1]
                if a.__class__ is not int:
                    a = to_int(a, "big")
                stack[-1] = to_int(data[a : a + 32].ljust(32, b"\0"), "big")
                pc += 1
                continue
        elif op == 0x36 and gas >= 2 and depth < STACK_LIMIT:  # CALLDATASIZE
            gas -= 2
            push(len(data))
            pc += 1
            continue

        stream.program_counter = pc + 1
        meter.gas_remaining = gas
        opcode = opcodes.get(op)
        try:
            (opcode if opcode is not None else InvalidOpcode(op))(computation=computation)
        except Halt:
            return
        pc = stream.program_counter
        gas = meter.gas_remaining
        # py-evm may have put a longer buffer in place of this one.
        memory = computation._memory._bytes


_BINARY: dict[int, tuple[int, Any]] = {
    0x01: (3, lambda a, b: (a + b) & WORD),
    0x02: (5, lambda a, b: (a * b) & WORD),
    0x03: (3, lambda a, b: (a - b) & WORD),
    0x04: (5, lambda a, b: a // b if b else 0),
    0x06: (5, lambda a, b: a % b if b else 0),
    0x10: (3, lambda a, b: 1 if a < b else 0),
    0x11: (3, lambda a, b: 1 if a > b else 0),
    0x14: (3, lambda a, b: 1 if a == b else 0),
    0x16: (3, lambda a, b: a & b),
    0x17: (3, lambda a, b: a | b),
    0x18: (3, lambda a, b: a ^ b),
    0x1B: (3, lambda a, b: (b << a) & WORD if a < 256 else 0),
    0x1C: (3, lambda a, b: b >> a if a < 256 else 0),
}
