"""The directory of keys against a naive model."""

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

KEY, INSTITUTION = b"\x01" * 32, b"\x02" * 32
REGISTRAR, OUTSIDER = 0, 1


def test_enrolled_key_is_valid_in_its_time_and_role(directory: Any) -> None:
    sent = directory.send(REGISTRAR, "enrol", KEY, INSTITUTION, 2, 100, 200)
    assert sent.events == [
        (
            "KeyEnrolled",
            {
                "thumbprint": KEY,
                "institution": INSTITUTION,
                "role": 2,
                "not_before": 100,
                "not_after": 200,
            },
        )
    ]
    assert directory.view("key", KEY) == (INSTITUTION, 2, 100, 200, 0)
    for when, valid in ((99, False), (100, True), (199, True), (200, False)):
        assert directory.view("valid_at", KEY, 2, when) is valid
    assert directory.view("valid_at", KEY, 3, 150) is False
    assert directory.view("valid_at", b"\x09" * 32, 2, 150) is False
    assert directory.view("valid_at", b"\x09" * 32, 0, 0) is False


def test_revoked_key_is_valid_before_its_revocation_only(directory: Any) -> None:
    directory.send(REGISTRAR, "enrol", KEY, INSTITUTION, 2, 100, 200)
    sent = directory.send(REGISTRAR, "revoke", KEY, 150)
    revoked = {"thumbprint": KEY, "institution": INSTITUTION, "at": 150}
    assert sent.events == [("KeyRevoked", revoked)]
    assert directory.view("valid_at", KEY, 2, 149) is True
    assert directory.view("valid_at", KEY, 2, 150) is False
    again = directory.would(REGISTRAR, "revoke", KEY, 120)
    assert again == "directory: key is already revoked"


def test_outsider_changes_nothing(directory: Any) -> None:
    refused = "ownership: not the owner"
    entry = (KEY, INSTITUTION, 2, 100, 200)
    assert directory.send(OUTSIDER, "enrol", *entry).reason == refused
    assert directory.send(OUTSIDER, "enrol_many", [entry]).reason == refused
    assert directory.send(OUTSIDER, "revoke", KEY, 5).reason == refused
    assert directory.view("key", KEY)[1] == 0


def test_a_batch_is_enrolled_whole_or_not_at_all(directory: Any) -> None:
    good = (KEY, INSTITUTION, 2, 100, 200)
    bad = (b"\x03" * 32, INSTITUTION, 6, 100, 200)
    refused = directory.send(REGISTRAR, "enrol_many", [good, bad])
    assert refused.reason == "directory: unknown role"
    assert directory.view("key", KEY)[1] == 0
    twice = directory.send(REGISTRAR, "enrol_many", [good, good])
    assert twice.reason == "directory: key is already enrolled"
    many = [(bytes([i]) * 32, INSTITUTION, 1 + i % 5, i, i + 1) for i in range(1, 101)]
    assert len(directory.send(REGISTRAR, "enrol_many", many).events) == 100


def test_malformed_entries_are_refused(directory: Any) -> None:
    def would(*entry: Any) -> str | None:
        reason: str | None = directory.would(REGISTRAR, "enrol", *entry)
        return reason

    assert would(bytes(32), INSTITUTION, 2, 1, 2) == "directory: empty thumbprint"
    assert would(KEY, bytes(32), 2, 1, 2) == "directory: empty institution"
    assert would(KEY, INSTITUTION, 0, 1, 2) == "directory: unknown role"
    assert would(KEY, INSTITUTION, 2, 2, 2) == "directory: validity is empty"
    assert directory.would(REGISTRAR, "revoke", KEY, 5) == "directory: key is not enrolled"
    assert directory.would(REGISTRAR, "revoke", KEY, 0) == "directory: revocation needs a time"


def test_directory_behaves_like_its_model(local_chain: Any) -> None:
    keys = st.integers(1, 4).map(lambda n: bytes([n]) * 32)

    class Machine(RuleBasedStateMachine):
        @initialize()
        def start(self) -> None:
            self.chain = local_chain()
            self.contract = self.chain.deploy("directory")
            self.keys: dict[bytes, list[Any]] = {}

        @rule(
            key=keys,
            who=st.sampled_from([0, 0, 0, 1]),
            role=st.integers(0, 6),
            start=st.integers(0, 5),
            length=st.integers(0, 5),
        )
        def enrol(self, key: bytes, who: int, role: int, start: int, length: int) -> None:
            entry = (INSTITUTION, role, start, start + length)
            sent = self.contract.send(who, "enrol", key, *entry)
            allowed = who == 0 and 1 <= role <= 5 and length > 0 and key not in self.keys
            assert (sent.reason is None) == allowed
            if allowed:
                self.keys[key] = [*entry, 0]

        @rule(key=keys, who=st.sampled_from([0, 0, 1]), at=st.integers(0, 8))
        def revoke(self, key: bytes, who: int, at: int) -> None:
            sent = self.contract.send(who, "revoke", key, at)
            allowed = who == 0 and at > 0 and key in self.keys and self.keys[key][4] == 0
            assert (sent.reason is None) == allowed
            if allowed:
                self.keys[key][4] = at

        @rule(key=keys, role=st.integers(0, 6), when=st.integers(0, 12))
        def ask(self, key: bytes, role: int, when: int) -> None:
            known = self.keys.get(key)
            valid = (
                known is not None
                and known[1] == role
                and known[2] <= when < known[3]
                and (known[4] == 0 or when < known[4])
            )
            assert self.contract.view("valid_at", key, role, when) is valid

        @invariant()
        def agrees(self) -> None:
            for key, entry in self.keys.items():
                assert self.contract.view("key", key) == tuple(entry)

    run_state_machine_as_test(
        Machine, settings=settings(deadline=None, max_examples=15, stateful_step_count=15)
    )
