"""Sealed content opens under its name and key only; the life cycle's table."""

import hmac

import pytest

from ledger.certificate.lifecycle import FINAL, TRANSITIONS, IllegalTransition, State, after
from ledger.database.sealing import MasterKey, Sealed, SealError
from ledger.statement.kinds import Action

MASTER = MasterKey(bytes(32))


def test_what_is_sealed_opens() -> None:
    sealed = MASTER.seal(b"content", b"name")
    assert MASTER.open(sealed, b"name") == b"content"
    assert b"content" not in sealed.ciphertext


def test_altered_moved_or_swapped_content_does_not_open() -> None:
    sealed, other = MASTER.seal(b"content", b"name"), MASTER.seal(b"content", b"name")
    flipped = bytes([sealed.ciphertext[0] ^ 1]) + sealed.ciphertext[1:]
    for candidate, name in (
        (sealed, b"another"),
        (Sealed(sealed.wrapped_key, flipped), b"name"),
        (Sealed(other.wrapped_key, sealed.ciphertext), b"name"),
        (Sealed(b"", b""), b"name"),
    ):
        with pytest.raises(SealError):
            MASTER.open(candidate, name)
    with pytest.raises(SealError):
        MasterKey(b"\1" * 32).open(sealed, b"name")


def test_derived_secrets_are_separate() -> None:
    assert MASTER.derive(b"a", b"b") != MASTER.derive(b"ab")
    assert MASTER.derive(b"a", b"b") == MasterKey(bytes(32)).derive(b"a", b"b")
    with pytest.raises(ValueError, match="32 bytes"):
        MasterKey(b"short")


def test_secrets_are_derived_by_hmac() -> None:
    key = bytes(range(32))
    expected = hmac.digest(key, b"purpose\0value", "sha256")
    assert MasterKey(key).derive(b"purpose", b"value") == expected


@pytest.mark.parametrize("state", list(State))
@pytest.mark.parametrize("action", list(Action))
def test_the_table_is_the_life_cycle(state: State, action: Action) -> None:
    if action is Action.ERASE:
        assert after(state, action) is state
    elif (state, action) in TRANSITIONS:
        assert after(state, action) is TRANSITIONS[state, action]
        assert state not in FINAL
    else:
        with pytest.raises(IllegalTransition):
            after(state, action)
