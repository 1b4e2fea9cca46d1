"""Our loop and py-evm's own give the same result for every program, to the last unit of gas."""

from typing import Any

import pytest
from eth.db.atomic import AtomicDB
from eth.vm.execution_context import ExecutionContext
from eth.vm.forks.cancun.computation import CancunComputation
from eth.vm.forks.cancun.state import CancunState
from eth.vm.forks.spurious_dragon._utils import collect_touched_accounts
from eth.vm.message import Message
from hypothesis import example, given, settings
from hypothesis import strategies as st

from contracts import load
from ledger.node.engine.interpreter import FastComputation, Program, program_of

CONTRACT, SENDER = b"\xcc" * 20, b"\x55" * 20
COMMON = bytes.fromhex("010203040610111415161718191b1c353650515256575b5e5f808182858f90919f")
RARE = bytes.fromhex("00050a20333753545558595aa1f3faf1fdfe0c")


def run(
    kind: type[Any], code: bytes, data: bytes, gas: int, static: bool, create: bool
) -> dict[str, Any]:
    context: Any = ExecutionContext
    state: Any = CancunState(
        AtomicDB(),
        context(SENDER, 1_700_000_000, 5, 0, bytes(32), 60_000_000, [], 440300, 0, 0),
        bytes.fromhex("56e81f171bcc55a6ff8345e692c0f86e5b48e01b996cadc001622fb5e363b421"),  # type: ignore[arg-type]
    )
    state.computation_class = kind
    state.set_balance(SENDER, 10**18)
    message: Any = Message
    request = message(
        gas=gas,
        to=b"" if create else CONTRACT,
        sender=SENDER,
        value=3,
        data=b"" if create else data,
        code=code,
        create_address=CONTRACT if create else None,
        is_static=static,
    )
    origin = state.transaction_context_class(gas_price=0, origin=SENDER)
    apply = kind.apply_create_message if create else kind.apply_message
    done = apply(state, request, origin)
    # EIP-161, which every transaction ends with: an account that was only touched leaves no trace
    # (py-evm touches a precompile that is called, our short cut for SHA-256 does not).
    for account in collect_touched_accounts(done):
        if state.account_exists(account) and state.account_is_empty(account):
            state.delete_account(account)
    memory = bytes(done._memory._bytes)
    return {
        "error": None if done.is_success else (type(done.error).__name__, done.error.args),
        "output": done.output,
        "return_data": done.return_data,
        "gas": done.get_gas_remaining(),
        "refund": done.get_gas_refund(),
        "logs": done.get_log_entries(),
        "memory": memory,
        "stack": [
            item if isinstance(item, int) else int.from_bytes(item, "big")
            for item in done._stack.values
        ],
        "root": state.make_state_root(),
    }


def both(code: bytes, data: bytes = b"", gas: int = 100_000, static: bool = False) -> Any:
    for create in (False, True):
        ours = run(FastComputation, code, data, gas, static, create)
        theirs = run(CancunComputation, code, data, gas, static, create)
        # py-evm's OutOfGas names the opcode by words of its own; ours comes from it as well.
        assert ours == theirs
    return ours


push = st.one_of(
    st.integers(0, 300).map(lambda n: b"\x61" + n.to_bytes(2, "big")),
    st.integers(0, 70).map(lambda n: bytes([0x60, n])),
    st.binary(min_size=32, max_size=32).map(lambda word: b"\x7f" + word),
    st.just(b"\x7f" + b"\xff" * 32),
    st.just(b"\x5f"),
)
# A call of the SHA-256 precompile, and of its neighbours, in and out of bounds.
hashing = st.builds(
    lambda gas, to, start, size, out, out_size: b"".join(
        [
            b"\x61" + out_size.to_bytes(2, "big"),
            b"\x61" + out.to_bytes(2, "big"),
            b"\x61" + size.to_bytes(2, "big"),
            b"\x61" + start.to_bytes(2, "big"),
            bytes([0x60, to]),
            gas,
            b"\xfa",
        ]
    ),
    st.sampled_from([b"\x5a", b"\x60\x00", b"\x60\x53", b"\x60\x54", b"\x61\xff\xff"]),
    st.sampled_from([2, 2, 2, 2, 1, 3, 4, 9]),
    *[st.one_of(st.integers(0, 70), st.integers(0, 2000))] * 4,
)
step = st.one_of(
    push,
    push,
    push,
    st.sampled_from(COMMON).map(lambda op: bytes([op])),
    st.sampled_from(COMMON).map(lambda op: bytes([op])),
    st.sampled_from(RARE).map(lambda op: bytes([op])),
    # Memory to work in: MSTORE at 512.
    st.just(b"\x5f\x61\x02\x00\x52"),
    st.builds(
        lambda value, op: bytes([0x60, value, op]),
        st.integers(0, 255),
        st.sampled_from([0x51, 0x52, 0x57, 0x56, 0x01]),
    ),
    hashing,
)
programs = st.lists(step, max_size=40).map(b"".join)


@settings(deadline=None, max_examples=400)
@given(
    code=programs,
    data=st.binary(max_size=70),
    gas=st.one_of(st.integers(0, 400), st.integers(0, 60_000)),
    static=st.booleans(),
)
@example(code=b"\x7f", data=b"", gas=100, static=False)
@example(code=b"\x60\x01" * 1025, data=b"", gas=60_000, static=False)
@example(code=b"\x5f" * 1025, data=b"", gas=60_000, static=False)
@example(code=b"\x60\x01" * 1024 + b"\x36", data=b"", gas=60_000, static=False)
@example(code=b"\x60\x01" * 1024 + b"\x80", data=b"", gas=60_000, static=False)
@example(code=b"\x5f\x61\x00\x02\x57", data=b"", gas=60_000, static=False)
@example(code=b"\x5b\x5f\x56", data=b"", gas=9_999, static=False)
def test_any_program(code: bytes, data: bytes, gas: int, static: bool) -> None:
    both(code, data, gas, static)


@pytest.mark.filterwarnings("ignore:SELFDESTRUCT:DeprecationWarning")
@settings(deadline=None, max_examples=150)
@given(code=st.binary(max_size=120), gas=st.integers(0, 30_000))
def test_any_bytes(code: bytes, gas: int) -> None:
    both(code, b"\x01" * 40, gas)


@pytest.mark.parametrize(
    "code",
    [
        "60056003015f5260205f20600214601a575b00" + "5b" * 20,
        # A word, a hash of it with all gas left, a copy of two words.
        "5f61020052" + "602060405f602060025afa" + "6040602060205e" + "5a00",
        "5f61020052" + "60205f60206000600261fffffa" + "60406020608060a05e" + "604e57",
    ],
)
def test_running_out_of_gas_at_any_opcode(code: str) -> None:
    for gas in range(420):
        both(bytes.fromhex(code), b"", gas)


@pytest.mark.parametrize("name", ["checkpoint_log", "directory", "status_registry"])
def test_our_contracts_deploy_alike(name: str) -> None:
    both(load(name).bytecode["cancun"], b"", 5_000_000)


def test_jump_targets_lie_outside_pushed_data() -> None:
    program = Program(bytes.fromhex("605b5b62005b005b"))
    assert program.jump_targets == {2, 7}
    assert program.steps[0][1] == 0x5B
    assert program_of(b"\x5b") is program_of(b"\x5b")
