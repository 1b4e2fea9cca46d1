"""The status registry against a naive model."""

from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

CERTIFICATE, DIGEST = b"\x01" * 32, b"\x02" * 32
WRITER, OUTSIDER = 0, 1
ACTIVE, SUSPENDED, REVOKED, SUPERSEDED = range(4)
# The design's one table: what may follow what.
FOLLOWS = {
    ACTIVE: {SUSPENDED, REVOKED, SUPERSEDED},
    SUSPENDED: {ACTIVE, REVOKED},
    REVOKED: set(),
    SUPERSEDED: set(),
}


def test_a_change_is_kept_with_its_digest(status_registry: Any) -> None:
    sent = status_registry.send(WRITER, "set_many", [(CERTIFICATE, REVOKED, DIGEST)])
    changed = {"commitment": CERTIFICATE, "state": REVOKED, "digest": DIGEST}
    assert sent.events == [("StatusChanged", changed)]
    assert status_registry.view("status", CERTIFICATE) == (REVOKED, DIGEST)
    assert status_registry.view("status", b"\x09" * 32) == (ACTIVE, bytes(32))


def test_revoked_is_final(status_registry: Any) -> None:
    status_registry.send(WRITER, "set_many", [(CERTIFICATE, REVOKED, DIGEST)])
    for state in range(4):
        would = status_registry.would(WRITER, "set_many", [(CERTIFICATE, state, DIGEST)])
        assert would == "status_registry: state is final"


def test_outsider_changes_nothing(status_registry: Any, chain: Any) -> None:
    sent = status_registry.send(OUTSIDER, "set_many", [(CERTIFICATE, REVOKED, DIGEST)])
    assert sent.reason == "status_registry: not the writer"
    writer = chain.address(OUTSIDER)
    would = status_registry.would(OUTSIDER, "appoint_writer", writer)
    assert would == "ownership: not the owner"
    assert status_registry.send(0, "appoint_writer", writer).reason is None
    changes = [(CERTIFICATE, REVOKED, DIGEST)]
    assert status_registry.would(0, "set_many", changes) == "status_registry: not the writer"
    assert status_registry.would(OUTSIDER, "set_many", changes) is None


def test_a_batch_is_set_whole_or_not_at_all(status_registry: Any) -> None:
    many = [(bytes([i]) * 32, SUSPENDED, DIGEST) for i in range(1, 201)]
    refused = status_registry.send(WRITER, "set_many", [*many[:199], (bytes(32), 1, DIGEST)])
    assert refused.reason == "status_registry: empty commitment"
    assert status_registry.view("status", many[0][0]) == (ACTIVE, bytes(32))
    assert len(status_registry.send(WRITER, "set_many", many).events) == 200


def test_malformed_changes_are_refused(status_registry: Any) -> None:
    def would(*change: Any) -> str | None:
        reason: str | None = status_registry.would(WRITER, "set_many", [change])
        return reason

    assert would(CERTIFICATE, 4, DIGEST) == "status_registry: unknown state"
    assert would(CERTIFICATE, 1, bytes(32)) == "status_registry: empty digest"
    assert would(CERTIFICATE, 0, DIGEST) == "status_registry: state does not change"


def test_status_registry_behaves_like_its_model(local_chain: Any) -> None:
    certificates = st.integers(1, 3).map(lambda n: bytes([n]) * 32)
    change = st.tuples(
        certificates, st.integers(0, 4), st.integers(1, 3).map(lambda n: bytes([n]) * 32)
    )

    class Machine(RuleBasedStateMachine):
        @initialize()
        def start(self) -> None:
            self.contract = local_chain().deploy("status_registry")
            self.statuses: dict[bytes, tuple[int, bytes]] = {}

        @rule(who=st.sampled_from([0, 0, 0, 1]), changes=st.lists(change, max_size=3))
        def set_many(self, who: int, changes: list[tuple[bytes, int, bytes]]) -> None:
            wanted, allowed = dict(self.statuses), who == 0
            for commitment, state, digest in changes:
                before = wanted.get(commitment, (ACTIVE, b""))[0]
                allowed = allowed and state in FOLLOWS[before]
                wanted[commitment] = (state, digest)
            sent = self.contract.send(who, "set_many", changes)
            assert (sent.reason is None) == allowed
            if allowed:
                self.statuses = wanted

        @invariant()
        def agrees(self) -> None:
            for commitment, status in self.statuses.items():
                assert self.contract.view("status", commitment) == status

    run_state_machine_as_test(
        Machine, settings=settings(deadline=None, max_examples=20, stateful_step_count=12)
    )
