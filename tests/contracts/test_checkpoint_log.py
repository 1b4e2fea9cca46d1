"""The checkpoint log against RFC 6962 written out plainly: what grows gets in, nothing else."""

from typing import Any

import pytest
from eth_utils.crypto import keccak
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from ledger.node.engine import evm

LOG = b"\x07" * 32
OTHER_LOG = b"\x08" * 32
SEQUENCER, OUTSIDER = 1, 2
UNPROVEN = "checkpoint_log: proof does not verify"
examples = settings(
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    max_examples=40,
)


def opened(chain: Any, contract: Any, size: int = 0, root: bytes = b"") -> None:
    assert contract.send(0, "open_log", LOG, chain.address(SEQUENCER)).reason is None
    if size:
        assert contract.send(SEQUENCER, "append", LOG, 0, size, root, []).reason is None


def sizes(most: int) -> st.SearchStrategy[tuple[int, int]]:
    """old < new, powers of two and their neighbours more often than chance would."""
    near = st.integers(1, most.bit_length() - 1).flatmap(
        lambda bit: st.sampled_from([max(1, 2**bit - 1), 2**bit, 2**bit + 1])
    )
    size = st.one_of(st.integers(1, most), near)
    return (
        st.tuples(size, size)
        .filter(lambda pair: pair[0] != pair[1])
        .map(lambda pair: (min(pair), max(pair)))
    )


def test_every_small_growth_is_accepted(checkpoint_log: Any, chain: Any, tree: Any) -> None:
    opened(chain, checkpoint_log)
    size = 0
    for old in (1, 2, 3, 4, 6, 7, 8, 11, 16, 17):
        proof = tree.proof(size, old) if size else []
        sent = checkpoint_log.send(SEQUENCER, "append", LOG, size, old, tree.root(0, old), proof)
        assert sent.reason is None
        assert sent.events == [
            (
                "Checkpoint",
                {"log_id": LOG, "size": old, "root": tree.root(0, old), "old_size": size},
            )
        ]
        size = old
        for new in range(old + 1, 19):
            would = checkpoint_log.would(
                SEQUENCER, "append", LOG, old, new, tree.root(0, new), tree.proof(old, new)
            )
            assert would is None, (old, new)


@examples
@given(pair=sizes(2**62))
def test_growth_of_any_size_is_accepted(
    pair: tuple[int, int], checkpoint_log: Any, chain: Any, even_tree: Any
) -> None:
    old, new = pair
    log = keccak(repr(pair).encode())
    if not int(checkpoint_log.view("sequencer_of", log), 16):
        checkpoint_log.send(0, "open_log", log, chain.address(SEQUENCER))
        root = even_tree.root(0, old)
        assert checkpoint_log.send(SEQUENCER, "append", log, 0, old, root, []).reason is None
    root, proof = even_tree.root(0, new), even_tree.proof(old, new)
    assert checkpoint_log.would(SEQUENCER, "append", log, old, new, root, proof) is None
    assert checkpoint_log.would(SEQUENCER, "append", log, old, new, root, proof[:-1]) == UNPROVEN


@examples
@given(pair=sizes(300), data=st.data())
def test_any_changed_byte_is_refused(
    pair: tuple[int, int], data: st.DataObject, local_chain: Any, tree: Any
) -> None:
    old, new = pair
    chain = local_chain()
    contract = chain.deploy("checkpoint_log")
    opened(chain, contract, old, tree.root(0, old))
    root, proof = tree.root(0, new), tree.proof(old, new)
    words = [root, *proof]
    for _ in range(5):
        which = data.draw(st.integers(0, len(words) - 1))
        position = data.draw(st.integers(0, 31))
        change = data.draw(st.integers(1, 255))
        broken = bytearray(words[which])
        broken[position] ^= change
        altered = [*words[:which], bytes(broken), *words[which + 1 :]]
        would = contract.would(SEQUENCER, "append", LOG, old, new, altered[0], altered[1:])
        assert would == UNPROVEN
    for shuffled in (proof[1:], [*proof, proof[-1]], [*proof, bytes(32)], proof[::-1]):
        if shuffled != proof:
            would = contract.would(SEQUENCER, "append", LOG, old, new, root, shuffled)
            assert would == UNPROVEN
    assert contract.would(SEQUENCER, "append", LOG, old, new, root, proof) is None


@examples
@given(pair=sizes(300), data=st.data())
def test_rewritten_history_is_refused(
    pair: tuple[int, int], data: st.DataObject, local_chain: Any, tree: Any, forked_at: Any
) -> None:
    """A tree that differs in an entry already anchored has no proof, its own included."""
    old, new = pair
    fork = forked_at(data.draw(st.integers(0, old - 1)))
    chain = local_chain()
    contract = chain.deploy("checkpoint_log")
    opened(chain, contract, old, tree.root(0, old))
    for proof in (fork.proof(old, new), tree.proof(old, new)):
        would = contract.would(SEQUENCER, "append", LOG, old, new, fork.root(0, new), proof)
        assert would == UNPROVEN


@examples
@given(pair=sizes(300), proof=st.lists(st.binary(min_size=32, max_size=32), max_size=128))
def test_invented_proofs_are_refused(
    pair: tuple[int, int], proof: list[bytes], checkpoint_log: Any, chain: Any, tree: Any
) -> None:
    old, new = pair
    log = old.to_bytes(32, "big")
    if not int(checkpoint_log.view("sequencer_of", log), 16):
        checkpoint_log.send(0, "open_log", log, chain.address(SEQUENCER))
        checkpoint_log.send(SEQUENCER, "append", log, 0, old, tree.root(0, old), [])
    would = checkpoint_log.would(SEQUENCER, "append", log, old, new, tree.root(0, new), proof)
    assert would == UNPROVEN


def test_only_the_sequencer_appends(checkpoint_log: Any, chain: Any, tree: Any) -> None:
    opened(chain, checkpoint_log)
    for who in (0, OUTSIDER):
        sent = checkpoint_log.send(who, "append", LOG, 0, 1, tree.root(0, 1), [])
        assert sent.reason == "checkpoint_log: not the sequencer"
    assert checkpoint_log.view("latest", LOG) == (0, bytes(32), 0)
    assert checkpoint_log.send(SEQUENCER, "append", LOG, 0, 1, tree.root(0, 1), []).reason is None


def test_a_log_that_is_not_open_takes_nothing(checkpoint_log: Any, tree: Any) -> None:
    would = checkpoint_log.would(SEQUENCER, "append", OTHER_LOG, 0, 1, tree.root(0, 1), [])
    assert would == "checkpoint_log: not the sequencer"


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        (5, 5, "checkpoint_log: size does not grow"),
        (5, 4, "checkpoint_log: size does not grow"),
        (5, 0, "checkpoint_log: size does not grow"),
        (4, 6, "checkpoint_log: old size is not the head"),
        (0, 6, "checkpoint_log: old size is not the head"),
        (5, 2**63, "checkpoint_log: size too large"),
        (5, 2**256 - 1, "checkpoint_log: size too large"),
    ],
)
def test_sizes_that_do_not_follow_are_refused(
    old: int, new: int, reason: str, checkpoint_log: Any, chain: Any, tree: Any
) -> None:
    opened(chain, checkpoint_log, 5, tree.root(0, 5))
    assert checkpoint_log.would(SEQUENCER, "append", LOG, old, new, tree.root(0, 6), []) == reason


def test_the_first_checkpoint_needs_no_proof_and_takes_none(
    checkpoint_log: Any, chain: Any, tree: Any
) -> None:
    opened(chain, checkpoint_log)
    would = checkpoint_log.would(SEQUENCER, "append", LOG, 0, 3, tree.root(0, 3), [bytes(32)])
    assert would == "checkpoint_log: proof without a head"
    assert checkpoint_log.would(SEQUENCER, "append", LOG, 0, 3, tree.root(0, 3), []) is None


def test_a_proof_longer_than_the_bound_reverts(checkpoint_log: Any, chain: Any, tree: Any) -> None:
    opened(chain, checkpoint_log, 5, tree.root(0, 5))
    proof = [bytes(32)] * 129
    would = checkpoint_log.would(SEQUENCER, "append", LOG, 5, 6, tree.root(0, 6), proof)
    assert would is not None


def test_only_the_owner_opens_and_appoints(checkpoint_log: Any, chain: Any, tree: Any) -> None:
    sequencer = chain.address(SEQUENCER)
    not_owner = "ownership: not the owner"
    assert checkpoint_log.would(OUTSIDER, "open_log", LOG, sequencer) == not_owner
    assert checkpoint_log.would(0, "appoint", LOG, sequencer) == "checkpoint_log: log is not open"
    opened(chain, checkpoint_log, 5, tree.root(0, 5))
    already = "checkpoint_log: log is already open"
    assert checkpoint_log.would(0, "open_log", LOG, sequencer) == already
    assert checkpoint_log.would(SEQUENCER, "appoint", LOG, sequencer) == not_owner
    sent = checkpoint_log.send(0, "appoint", LOG, chain.address(OUTSIDER))
    assert sent.events[0][0] == "SequencerAppointed"
    step = ("append", LOG, 5, 6, tree.root(0, 6), tree.proof(5, 6))
    assert checkpoint_log.would(SEQUENCER, *step) == "checkpoint_log: not the sequencer"
    assert checkpoint_log.would(OUTSIDER, *step) is None


def test_storage_is_laid_out_as_documented(checkpoint_log: Any, chain: Any, tree: Any) -> None:
    """What an outside verifier computes from the source's comment is what the chain holds."""
    opened(chain, checkpoint_log, 5, tree.root(0, 5))

    def slot(*keys: bytes | int) -> int:
        found = keys[0] if isinstance(keys[0], bytes) else keys[0].to_bytes(32, "big")
        for key in keys[1:]:
            word = key if isinstance(key, bytes) else key.to_bytes(32, "big")
            found = keccak(found + word)
        return int.from_bytes(found, "big")

    def stored(number: int) -> int:
        root = chain.head.header.state_root
        return evm.read_storage(chain.nodes.get, root, checkpoint_log.address, number)

    assert stored(0) == int(chain.address(0), 16)
    assert stored(slot(2, LOG)) == int(chain.address(SEQUENCER), 16)
    assert stored(slot(3, LOG)) == 5 << 64 | chain.head.number
    assert stored(slot(4, LOG, 5)) == int.from_bytes(tree.root(0, 5), "big")


def test_ownership_moves_in_two_steps(checkpoint_log: Any, chain: Any) -> None:
    heir = chain.address(OUTSIDER)
    assert checkpoint_log.would(OUTSIDER, "accept_ownership") == "ownership: not the heir"
    assert checkpoint_log.would(OUTSIDER, "offer_ownership", heir) == "ownership: not the owner"
    assert checkpoint_log.send(0, "offer_ownership", heir).reason is None
    assert checkpoint_log.view("owner").lower() == chain.address(0).lower()
    assert checkpoint_log.would(SEQUENCER, "accept_ownership") == "ownership: not the heir"
    assert checkpoint_log.send(OUTSIDER, "accept_ownership").reason is None
    assert checkpoint_log.view("owner").lower() == heir.lower()
    assert checkpoint_log.would(0, "open_log", LOG, heir) == "ownership: not the owner"
    assert checkpoint_log.would(OUTSIDER, "accept_ownership") == "ownership: not the heir"


def test_checkpoint_log_behaves_like_its_model(local_chain: Any, tree: Any, forked_at: Any) -> None:
    class Machine(RuleBasedStateMachine):
        """The model: per log, who may append, and every (size, root) so far."""

        @initialize()
        def start(self) -> None:
            self.chain = local_chain()
            self.contract = self.chain.deploy("checkpoint_log")
            self.sequencers: dict[bytes, int] = {}
            self.anchored: dict[bytes, dict[int, bytes]] = {LOG: {}, OTHER_LOG: {}}

        @rule(log=st.sampled_from([LOG, OTHER_LOG]), who=st.integers(0, 2), to=st.integers(1, 2))
        def open_log(self, log: bytes, who: int, to: int) -> None:
            sent = self.contract.send(who, "open_log", log, self.chain.address(to))
            allowed = who == 0 and log not in self.sequencers
            assert (sent.reason is None) == allowed
            if allowed:
                self.sequencers[log] = to

        @rule(
            log=st.sampled_from([LOG, OTHER_LOG]),
            who=st.integers(0, 2),
            old=st.one_of(st.none(), st.integers(0, 12)),
            grow=st.integers(-2, 9),
            lie=st.sampled_from(["no", "no", "no", "root", "proof", "fork"]),
        )
        def append(self, log: bytes, who: int, old: int | None, grow: int, lie: str) -> None:
            head = max(self.anchored[log], default=0)
            old = head if old is None else old
            new = max(0, head + grow)
            source = forked_at(0) if lie == "fork" else tree
            root = source.root(0, new) if new else bytes(32)
            proof = source.proof(old, new) if 0 < old < new else []
            if lie == "root":
                root = bytes(32)
            if lie == "proof":
                proof = [*proof, bytes(32)]
            sent = self.contract.send(who, "append", log, old, new, root, proof)
            allowed = self.sequencers.get(log) == who and old == head < new
            # A first checkpoint is believed, whatever it says; a proof with it is not.
            allowed = allowed and (lie in ("no", "root", "fork") if head == 0 else lie == "no")
            anchored = self.anchored[log]
            if allowed and head and anchored[head] != tree.root(0, head):
                allowed = False
            assert (sent.reason is None) == allowed, (sent.reason, old, new, lie)
            if allowed:
                anchored[new] = root
                assert sent.events[0][1]["root"] == root

        @invariant()
        def agrees(self) -> None:
            for log, anchored in self.anchored.items():
                head = max(anchored, default=0)
                size, root, _ = self.contract.view("latest", log)
                assert (size, root) == (head, anchored.get(head, bytes(32)))
                for past in list(anchored)[-3:]:
                    assert self.contract.view("root_at", log, past) == anchored[past]

    from hypothesis.stateful import run_state_machine_as_test

    run_state_machine_as_test(
        Machine, settings=settings(deadline=None, max_examples=25, stateful_step_count=20)
    )
