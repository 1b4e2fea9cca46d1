"""A dispute: its form, its states, who may settle it, and which lines can be disputed."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from msgspec import structs

from authz.dispute.model import (
    HOLDING,
    MAY,
    MOVES,
    Case,
    DisputeState,
    Party,
    department_concerned,
    opened_entry,
    require_disputable,
    resolved_entry,
)
from ledger.proof.encoding import canonical_json
from ledger.proof.entries import Decision, Draft, Entry, EventKind
from ledger.statement.kinds import (
    MAX_DISPUTE_TEXT,
    MAX_SEQ,
    Answer,
    Cause,
    Dispute,
    Outcome,
    PayloadError,
    Question,
    Resolution,
)
from ledger.statement.statements import StatementError

LEDGER = "test.example/log"

VECTORS = json.loads((Path(__file__).parents[2] / "vectors" / "disputes.json").read_text("utf-8"))
DISPUTE_ID = "0123456789ABCDEFGHJKMNPQRS"
GRANT_ID = "ZZZZZZZZZZZZZZZZZZZZZZZZZZ"
NOW = 1_800_000_000
HOLDER, OTHER = "H" + "0" * 26, "H" + "1" * 26


def disputed(**changes: Any) -> dict[str, Any]:
    return {
        "v": 2,
        "ledger": LEDGER,
        "dispute_id": DISPUTE_ID,
        "seq": 41,
        "cause": "not_me",
        "iat": NOW,
        "jti": "a-b_c0123456789d",
        **changes,
    }


def resolved(**changes: Any) -> dict[str, Any]:
    return {
        "v": 2,
        "ledger": LEDGER,
        "dispute_id": DISPUTE_ID,
        "outcome": "upheld",
        "text": "该窗口当日没有这笔业务",
        "iat": NOW,
        "jti": "a-b_c0123456789d",
        **changes,
    }


def without(payload: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in payload.items() if key != name}


CASE = Case(dispute_id=DISPUTE_ID, disputed_seq=41, grant_id=GRANT_ID, holder=HOLDER)
LOOKUP = Draft(
    kind=EventKind.LOOKUP,
    certificate="1.2.156.3005.2.X",
    grant=GRANT_ID,
    holder=HOLDER,
    terminal="counter-1",
    site="hall-east",
    department="D1",
    service_item="hotel-check-in",
    staff="员工7",
    decision=Decision.RELEASED,
)


def code_of(call: Callable[[], Any]) -> str:
    with pytest.raises(StatementError) as refused:
        call()
    return refused.value.code


# --- form -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("vector", VECTORS["payloads"], ids=lambda vector: str(vector["name"]))
def test_payloads_are_those_of_the_vectors(vector: dict[str, Any]) -> None:
    kinds = {"dispute": Dispute, "resolution": Resolution, "question": Question, "answer": Answer}
    kind = kinds[vector["kind"]]
    read = kind.parse(vector["payload"])
    assert canonical_json(read.to_payload()).decode() == vector["canonical"]


@pytest.mark.parametrize("vector", VECTORS["entries"], ids=lambda vector: str(vector["name"]))
def test_entries_are_those_of_the_vectors(vector: dict[str, Any]) -> None:
    made = Entry.from_json(vector["entry"])
    assert made.canonical().decode() == vector["canonical"]
    assert made.leaf_hash().hex() == vector["leaf_hash"]


@pytest.mark.parametrize("cause", list(Cause))
@pytest.mark.parametrize("extra", [{}, {"text": "不是我"}, {"text": "x" * 500}, {"seq": 0}])
def test_dispute_round_trips(cause: Cause, extra: dict[str, Any]) -> None:
    signed = disputed(cause=cause.value, **extra)
    dispute = Dispute.parse(signed)
    assert dispute.to_payload() == signed
    assert Dispute.parse(dispute.to_payload()) == dispute


@pytest.mark.parametrize("outcome", list(Outcome))
def test_resolution_round_trips(outcome: Outcome) -> None:
    signed = resolved(outcome=outcome.value)
    assert Resolution.parse(signed).to_payload() == signed


def test_only_a_withdrawal_needs_no_grounds() -> None:
    bare = without(resolved(), "text")
    withdrawal = {**bare, "outcome": "withdrawn"}
    assert Resolution.parse(withdrawal).to_payload() == withdrawal
    for outcome in ("upheld", "rejected"):
        with pytest.raises(PayloadError) as refused:
            Resolution.parse({**bare, "outcome": outcome})
        assert (refused.value.code, refused.value.field) == ("resolution.member_missing", "text")


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"v": 1}, "version"),
        ({"dispute_id": "x"}, "malformed"),
        ({"dispute_id": DISPUTE_ID.replace("A", "I")}, "malformed"),
        ({"seq": -1}, "malformed"),
        ({"seq": MAX_SEQ + 1}, "malformed"),
        ({"seq": "41"}, "malformed"),
        ({"seq": True}, "malformed"),
        ({"cause": "NOT_ME"}, "malformed"),
        ({"cause": None}, "malformed"),
        ({"text": ""}, "text"),
        ({"text": "a\nb"}, "text"),
        ({"text": "a\u202eb"}, "text"),
        ({"text": "不" * (MAX_DISPUTE_TEXT + 1)}, "text"),
        ({"text": None}, "malformed"),
        ({"outcome": "upheld"}, "member_unknown"),
        ({"iat": 0}, "malformed"),
        ({"jti": "short"}, "malformed"),
    ],
)
def test_broken_dispute_is_refused_by_code(change: dict[str, Any], rule: str) -> None:
    with pytest.raises(PayloadError) as refused:
        Dispute.parse(disputed(**change))
    assert refused.value.code == f"dispute.{rule}"


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"v": 1}, "version"),
        ({"dispute_id": ""}, "malformed"),
        ({"outcome": "open"}, "malformed"),
        ({"outcome": 1}, "malformed"),
        ({"text": ""}, "text"),
        ({"text": "a\u200bb"}, "text"),
        ({"text": "x" * (MAX_DISPUTE_TEXT + 1)}, "text"),
        ({"seq": 41}, "member_unknown"),
        ({"iat": "1"}, "malformed"),
        ({"jti": "short"}, "malformed"),
    ],
)
def test_broken_resolution_is_refused_by_code(change: dict[str, Any], rule: str) -> None:
    with pytest.raises(PayloadError) as refused:
        Resolution.parse(resolved(**change))
    assert refused.value.code == f"resolution.{rule}"


@pytest.mark.parametrize("name", sorted(disputed()))
def test_a_missing_member_is_named(name: str) -> None:
    with pytest.raises(PayloadError) as refused:
        Dispute.parse(without(disputed(), name))
    assert (refused.value.code, refused.value.field) == ("dispute.member_missing", name)


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=30),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=6,
)


@given(ANYTHING, st.sampled_from(sorted(disputed(text="x", outcome="upheld"))))
def test_anything_is_read_or_refused_by_its_own_error(value: Any, name: str) -> None:
    for kind, payload in ((Dispute, disputed(text="x")), (Resolution, resolved())):
        for broken in (value, {**payload, name: value}):
            try:
                read = kind.parse(broken)
            except PayloadError:
                continue
            assert read.to_payload() == broken


# --- which line -----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [EventKind.LOOKUP, EventKind.GRANT])
def test_a_lookup_or_a_grant_can_be_disputed(kind: EventKind) -> None:
    assert require_disputable(structs.replace(LOOKUP, kind=kind), HOLDER) == GRANT_ID


@pytest.mark.parametrize("kind", sorted(set(EventKind) - {EventKind.LOOKUP, EventKind.GRANT}))
def test_no_other_line_can_be_disputed(kind: EventKind) -> None:
    line = structs.replace(LOOKUP, kind=kind)
    # Of what may be kept back it is not said that there is such a line.
    kept_back = kind in (EventKind.READING, EventKind.DEFERRAL)
    expected = "dispute.not_yours" if kept_back else "dispute.not_disputable"
    assert code_of(lambda: require_disputable(line, HOLDER)) == expected


def test_a_line_without_a_grant_or_of_somebody_else_cannot_be_disputed() -> None:
    for line in (None, structs.replace(LOOKUP, holder=OTHER), structs.replace(LOOKUP, holder=None)):
        assert code_of(lambda line=line: require_disputable(line, HOLDER)) == "dispute.not_yours"
    bare = structs.replace(LOOKUP, grant=None)
    assert code_of(lambda: require_disputable(bare, HOLDER)) == "dispute.not_disputable"


def test_the_entries_have_what_the_line_has_and_no_word() -> None:
    dispute = Dispute.parse(disputed(text="不是我", cause="wrong_fields"))
    opened = opened_entry(dispute, LOOKUP)
    assert opened == structs.replace(
        LOOKUP,
        kind=EventKind.DISPUTE,
        subject=DISPUTE_ID,
        state="open",
        reason="wrong_fields",
        decision=None,
    )
    done = resolved_entry(Outcome.UPHELD, opened)
    assert done == structs.replace(opened, kind=EventKind.RESOLUTION, state="upheld", reason=None)
    assert "不是我" not in repr((opened, done))


def test_a_disputed_lookup_concerns_its_department_and_a_grant_none() -> None:
    looked = structs.replace(LOOKUP, department="D1")
    assert department_concerned(looked) == "D1"
    assert (
        department_concerned(structs.replace(looked, kind=EventKind.GRANT, decision=None)) is None
    )


# --- states ---------------------------------------------------------------------------------------

ALLOWED = [
    (Outcome.UPHELD, Party.AUDITOR),
    (Outcome.REJECTED, Party.AUDITOR),
    (Outcome.WITHDRAWN, Party.HOLDER),
]


@pytest.mark.parametrize(("outcome", "party"), ALLOWED)
def test_an_open_dispute_is_settled(outcome: Outcome, party: Party) -> None:
    done = CASE.resolve(outcome, party, HOLDER)
    assert done == replace(CASE, state=DisputeState(outcome))
    assert done.holds is (outcome is Outcome.UPHELD)
    assert CASE.holds


@pytest.mark.parametrize("outcome", list(Outcome))
def test_nobody_says_what_is_the_other_s_to_say(outcome: Outcome) -> None:
    (party,) = set(Party) - {MAY[outcome]}
    assert code_of(lambda: CASE.resolve(outcome, party, HOLDER)) == "actor.role"


@pytest.mark.parametrize("outcome", list(Outcome))
def test_another_holder_s_dispute_is_unknown(outcome: Outcome) -> None:
    for holder in (OTHER, None):
        call = lambda holder=holder: CASE.resolve(outcome, Party.HOLDER, holder)  # noqa: E731
        assert code_of(call) == "dispute.unknown"


@pytest.mark.parametrize("state", sorted(set(DisputeState) - {DisputeState.OPEN}))
@pytest.mark.parametrize(("outcome", "party"), ALLOWED)
def test_a_settled_dispute_stays_as_it_is(
    state: DisputeState, outcome: Outcome, party: Party
) -> None:
    settled = replace(CASE, state=state)
    assert code_of(lambda: settled.resolve(outcome, party, HOLDER)) == "dispute.resolved"
    assert settled.state is state


def test_every_outcome_has_one_move_and_one_party() -> None:
    assert {move[1] for move in MOVES} == set(Outcome) == set(MAY)
    assert {move[0] for move in MOVES} == {DisputeState.OPEN}
    assert {state for state in DisputeState if replace(CASE, state=state).holds} == HOLDING
    assert len(HOLDING) == 2


class OneGrant(RuleBasedStateMachine):
    """Disputes about the lines of one grant, against a naive model: what was said of each."""

    def __init__(self) -> None:
        super().__init__()
        self.cases: dict[str, Case] = {}
        self.said: dict[str, list[Outcome]] = {}
        self.lines: dict[str, int] = {}

    @rule(line=st.integers(0, 3))
    def dispute(self, line: int) -> None:
        held = any(case.holds for case in self.cases.values() if case.disputed_seq == line)
        model = any(
            self.lines[id_] == line and self.said[id_] in ([], [Outcome.UPHELD])
            for id_ in self.lines
        )
        assert held == model
        if held:
            return
        id_ = str(len(self.cases))
        self.cases[id_] = replace(CASE, dispute_id=id_, disputed_seq=line)
        self.said[id_], self.lines[id_] = [], line

    @precondition(lambda self: self.cases)
    @rule(
        data=st.data(),
        outcome=st.sampled_from(Outcome),
        party=st.sampled_from(Party),
        holder=st.sampled_from([HOLDER, OTHER]),
    )
    def settle(self, data: Any, outcome: Outcome, party: Party, holder: str) -> None:
        id_ = data.draw(st.sampled_from(sorted(self.cases)))
        may = (outcome, party) in ALLOWED and (party is Party.AUDITOR or holder == HOLDER)
        refusal = None
        try:
            self.cases[id_] = self.cases[id_].resolve(outcome, party, holder)
        except StatementError as error:
            refusal = error.code
        if refusal is None:
            assert may
            self.said[id_].append(outcome)
        elif may:
            assert (refusal, len(self.said[id_])) == ("dispute.resolved", 1)
        else:
            assert refusal in ("actor.role", "dispute.unknown")

    @invariant()
    def what_was_said_first_holds(self) -> None:
        for id_, case in self.cases.items():
            assert len(self.said[id_]) <= 1
            assert case.state == (self.said[id_] or [DisputeState.OPEN])[0]

    @invariant()
    def the_grant_is_free_once_all_let_go(self) -> None:
        frozen = any(case.holds for case in self.cases.values())
        let_go = all(
            said in ([Outcome.REJECTED], [Outcome.WITHDRAWN]) for said in self.said.values()
        )
        assert frozen is not let_go


TestOneGrant = OneGrant.TestCase
