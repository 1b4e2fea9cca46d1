"""Disputes over HTTP: frozen at once, settled once, and each party reads its own side."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from api.client import new_identifier
from api.sample.city import HALLS
from ledger.statement.statements import Kind

TEXT = "这次查询不是我本人办理"


class Used:
    """A person with one grant, used once; ``line`` is the number of that lookup."""

    def __init__(self, town: Any, **changes: Any) -> None:
        self.town, self.person = town, town.person()
        self.granted = town.grant(self.person, **{"mode": "direct", "max_uses": 9, **changes})
        self.presented = {"grant_id": self.granted["grant_id"]}
        self.line = self.look().receipt["entry"]["seq"]

    def look(self, **asked: Any) -> Any:
        return self.town.look(self.presented, **{"business_number": "B-7", "staff": "S-1", **asked})

    def released(self) -> None:
        self.town.released(self.look(), {"name": self.person.fields["name"]})

    def frozen(self) -> None:
        self.town.refused(self.look(), "grant_frozen")

    def dispute(self, seq: int | None = None, **members: Any) -> str:
        line = self.line if seq is None else seq
        answer = self.person.device.open_dispute(line, **{"cause": "not_me", **members})
        return str(answer["dispute_id"])

    @property
    def grant_state(self) -> str:
        return str(self.person.device.grants()[0]["state"])


@pytest.fixture
def used(city: Any) -> Used:
    return Used(city)


def test_a_dispute_freezes_its_grant_at_once(city: Any, used: Used) -> None:
    used.released()
    answer = used.person.device.open_dispute(used.line, "wrong_purpose", TEXT)
    assert set(answer) == {"dispute_id", "state", "grant_id", "receipt"}
    assert (answer["state"], answer["grant_id"]) == ("open", used.presented["grant_id"])
    used.frozen()
    assert used.grant_state == "frozen"
    entry, _ = city.proven(answer["receipt"])
    assert (entry.kind, entry.subject) == ("dispute", answer["dispute_id"])
    assert (entry.state, entry.reason) == ("open", "wrong_purpose")
    assert (entry.certificate, entry.grant) == (used.person.card, answer["grant_id"])
    assert (entry.terminal, entry.site, entry.department) == ("counter-east-1", "hall-east", HALLS)
    assert (entry.service_item, entry.staff) == ("hotel-check-in", "S-1")
    assert TEXT not in str(answer)


def test_under_load_nothing_is_released_behind_a_dispute(city: Any) -> None:
    used = Used(city, max_uses=500)
    with ThreadPoolExecutor(9) as pool:
        looks = [pool.submit(used.look) for _ in range(60)]
        opened = pool.submit(used.person.device.open_dispute, used.line, "not_me")
        looks += [pool.submit(used.look) for _ in range(60)]
        disputed = opened.result()["receipt"]["entry"]["seq"]
        answers = [look.result() for look in looks]
    behind = [answer for answer in answers if answer.receipt["entry"]["seq"] > disputed]
    assert behind
    assert {answer.code for answer in behind} == {"grant_frozen"}
    assert {answer.code for answer in answers if answer not in behind} <= {None}


def test_other_grants_of_the_holder_go_on(city: Any, used: Used) -> None:
    other = city.grant(used.person, mode="direct")
    used.dispute()
    used.frozen()
    city.released(city.look({"grant_id": other["grant_id"]}), {"name": used.person.fields["name"]})


def test_a_refused_attempt_and_the_grant_itself_can_be_disputed(city: Any) -> None:
    attempt = Used(city)
    refused = attempt.look(service_item="age-check")
    city.refused(refused, "wrong_service_item")
    attempt.dispute(refused.receipt["entry"]["seq"])
    attempt.frozen()
    made = Used(city)
    made.dispute(made.granted["receipt"]["entry"]["seq"], cause="other")
    made.frozen()


def test_an_upheld_dispute_keeps_the_grant_frozen(city: Any, used: Used) -> None:
    id_ = used.dispute()
    answer = city.auditor.resolve_dispute(id_, "upheld", "the counter had no case")
    assert set(answer) == {"dispute_id", "state", "receipt"}
    assert (answer["dispute_id"], answer["state"]) == (id_, "upheld")
    entry, _ = city.proven(answer["receipt"])
    assert (entry.kind, entry.subject, entry.state) == ("resolution", id_, "upheld")
    assert (entry.certificate, entry.grant) == (used.person.card, used.presented["grant_id"])
    assert (entry.terminal, entry.staff) == ("counter-east-1", "S-1")
    used.frozen()


def test_a_rejected_dispute_lets_go_of_the_grant(city: Any, used: Used) -> None:
    id_ = used.dispute()
    used.frozen()
    assert city.auditor.resolve_dispute(id_, "rejected", "he was there")["state"] == "rejected"
    used.released()
    assert used.grant_state == "active"


def test_a_withdrawn_dispute_lets_go_of_the_grant(city: Any, used: Used) -> None:
    id_ = used.dispute()
    # By another device of the same person.
    assert city.device(used.person.number).withdraw_dispute(id_)["state"] == "withdrawn"
    used.released()


@pytest.mark.parametrize("first", ["open", "upheld"])
def test_a_grant_stays_frozen_while_another_dispute_holds_it(
    city: Any, used: Used, first: str
) -> None:
    second_line = used.look().receipt["entry"]["seq"]
    one, two = used.dispute(), used.dispute(second_line)
    if first == "upheld":
        city.auditor.resolve_dispute(one, "upheld", "no case")
    city.auditor.resolve_dispute(two, "rejected", "all in order")
    used.frozen()
    if first == "open":
        used.person.device.withdraw_dispute(one)
        used.released()


def test_a_line_has_one_dispute_that_holds_it(city: Any, used: Used, problem: Any) -> None:
    id_ = used.dispute()
    problem(used.dispute, "dispute.exists", 409)
    used.person.device.withdraw_dispute(id_)
    again = used.dispute()
    used.frozen()
    city.auditor.resolve_dispute(again, "upheld", "no case")
    problem(used.dispute, "dispute.exists", 409)


def test_an_identifier_is_used_once(city: Any, used: Used, problem: Any) -> None:
    id_ = used.dispute()
    used.person.device.withdraw_dispute(id_)
    problem(lambda: used.dispute(dispute_id=id_), "dispute.exists", 409)
    used.released()


def test_nobody_disputes_somebody_elses_line(city: Any, used: Used, problem: Any) -> None:
    stranger, before = city.person(), city.size()
    for seq in (used.line, 0, before + 1000, 2**53 - 1):
        # One answer for all: whose the other lines are is not the asker's business.
        problem(
            lambda seq=seq: stranger.device.open_dispute(seq, "not_me"), "dispute.not_yours", 403
        )
    for other in (city.east, city.police, city.auditor, city.city.operator):
        problem(lambda other=other: other.open_dispute(used.line, "not_me"), "actor.role", 403)
    assert city.size() == before
    used.released()


def test_only_a_lookup_or_a_grant_can_be_disputed(city: Any, used: Used, problem: Any) -> None:
    used.person.device.revoke_grant(used.presented["grant_id"])
    lines = {line["kind"]: line["seq"] for line in used.person.device.history()}
    for kind in ("issue", "enrolment", "revocation"):
        problem(lambda kind=kind: used.dispute(lines[kind]), "dispute.not_disputable", 409)
    # A withdrawn grant's use can be disputed all the same.
    id_ = used.dispute()
    dispute_line = used.person.device.dispute(id_)["seq"]
    problem(lambda: used.dispute(dispute_line), "dispute.not_disputable", 409)
    city.refused(used.look(), "grant_revoked")


def test_a_dispute_is_resolved_once(city: Any, used: Used, problem: Any) -> None:
    id_ = used.dispute()
    city.auditor.resolve_dispute(id_, "upheld", "no case")
    before = city.size()
    for again in (
        lambda: city.auditor.resolve_dispute(id_, "rejected", "or not"),
        lambda: city.auditor.resolve_dispute(id_, "upheld", "no case"),
        lambda: used.person.device.withdraw_dispute(id_),
    ):
        problem(again, "dispute.resolved", 409)
    assert city.size() == before
    used.frozen()


def test_who_may_settle_what(city: Any, used: Used, problem: Any) -> None:
    id_, stranger = used.dispute(), city.person()
    for other in (city.east, city.police, city.city.operator):
        problem(lambda other=other: other.resolve_dispute(id_, "rejected", "x"), "actor.role", 403)
    own = used.person.device
    for outcome in ("upheld", "rejected"):
        problem(lambda outcome=outcome: own.resolve_dispute(id_, outcome, "x"), "actor.role", 403)
    problem(lambda: city.auditor.resolve_dispute(id_, "withdrawn", "x"), "actor.role", 403)
    problem(lambda: stranger.device.withdraw_dispute(id_), "dispute.unknown", 404)
    problem(lambda: city.auditor.resolve_dispute("0" * 26, "upheld", "x"), "dispute.unknown", 404)
    used.frozen()
    city.auditor.resolve_dispute(id_, "rejected", "x")
    used.released()


def test_the_statement_and_the_address_name_one_dispute(
    city: Any, used: Used, problem: Any
) -> None:
    id_ = used.dispute()
    payload = {"dispute_id": id_, "outcome": "rejected", "text": "x"}
    statement = city.auditor.statement(Kind.RESOLUTION, payload)
    path = f"/v1/disputes/{'0' * 26}/resolution"
    problem(lambda: city.auditor.post(path, {"statement": statement}), "statement.member", 400)
    used.frozen()


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"cause": "bored"}, "dispute.malformed"),
        ({"seq": -1}, "dispute.malformed"),
        ({"seq": "1"}, "dispute.malformed"),
        ({"dispute_id": "x"}, "dispute.malformed"),
        ({"text": ""}, "dispute.text"),
        ({"text": "不" * 501}, "dispute.text"),
        ({"text": "a\u202eb"}, "dispute.text"),
        ({"grant_id": "0" * 26}, "dispute.member_unknown"),
        ({"v": 1}, "dispute.version"),
    ],
)
def test_a_broken_dispute_is_no_entry(
    city: Any, used: Used, problem: Any, change: dict[str, Any], code: str
) -> None:
    before = city.size()
    payload = {"dispute_id": new_identifier(), "seq": used.line, "cause": "not_me", **change}
    statement = used.person.device.statement(Kind.DISPUTE, payload)
    call = used.person.device.post
    problem(lambda: call("/v1/disputes", {"statement": statement}), code, 400)
    assert city.size() == before
    used.released()


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"outcome": "maybe"}, "resolution.malformed"),
        ({"text": None}, "resolution.member_missing"),
        ({"text": "a\nb"}, "resolution.text"),
        ({"cause": "other"}, "resolution.member_unknown"),
    ],
)
def test_a_broken_resolution_settles_nothing(
    city: Any, used: Used, problem: Any, change: dict[str, Any], code: str
) -> None:
    id_ = used.dispute()
    payload = {"dispute_id": id_, "outcome": "rejected", "text": "x", **change}
    statement = city.auditor.statement(Kind.RESOLUTION, payload)
    path = f"/v1/disputes/{id_}/resolution"
    problem(lambda: city.auditor.post(path, {"statement": statement}), code, 400)
    used.frozen()


def test_sent_again_it_gets_its_one_answer(city: Any, used: Used, problem: Any) -> None:
    device, jti = used.person.device, uuid.uuid4().hex
    payload = {"dispute_id": new_identifier(), "seq": used.line, "cause": "other", "jti": jti}
    body = {"statement": device.statement(Kind.DISPUTE, payload)}
    first, again = (device.post("/v1/disputes", body).json() for _ in range(2))
    assert first["receipt"]["entry"] == again["receipt"]["entry"]
    id_ = first["dispute_id"]
    settled = {"dispute_id": id_, "outcome": "rejected", "text": "in order"}
    resolution = {"statement": city.auditor.statement(Kind.RESOLUTION, settled)}
    path = f"/v1/disputes/{id_}/resolution"
    done, redone = (city.auditor.post(path, resolution).json() for _ in range(2))
    assert (done["state"], done["receipt"]["entry"]) == ("rejected", redone["receipt"]["entry"])
    size = city.size()
    late = device.post("/v1/disputes", body).json()
    assert {**late, "receipt": None} == {**first, "receipt": None}
    # Neither opens nor freezes anything once more.
    used.released()
    assert city.size() == size + 1
    other = {"statement": device.statement(Kind.DISPUTE, {**payload, "cause": "not_me"})}
    problem(lambda: device.post("/v1/disputes", other), "statement.replayed", 409)


# --- reading ----------------------------------------------------------------------------------

PUBLIC = {
    "dispute_id",
    "seq",
    "disputed_seq",
    "grant_id",
    "certificate",
    "department",
    "terminal",
    "site",
    "service_item",
    "staff",
    "business_number",
    "cause",
    "state",
    "opened_ms",
    "resolved_ms",
    "questions",
}


def test_each_party_reads_its_own_side(city: Any, used: Used, problem: Any) -> None:
    answer = used.person.device.open_dispute(used.line, "not_me", TEXT)
    id_ = answer["dispute_id"]
    own, audited = used.person.device.dispute(id_), city.auditor.dispute(id_)
    assert own == audited
    assert set(own) == PUBLIC | {"text"}
    assert (own["text"], own["cause"], own["state"]) == (TEXT, "not_me", "open")
    assert (own["disputed_seq"], own["seq"]) == (used.line, answer["receipt"]["entry"]["seq"])
    assert (own["certificate"], own["grant_id"]) == (used.person.card, answer["grant_id"])
    assert (own["business_number"], own["staff"]) == ("B-7", "S-1")
    assert (own["opened_ms"], own["resolved_ms"]) == (answer["receipt"]["entry"]["time"], None)
    looked = city.east.dispute(id_)
    assert set(looked) == PUBLIC
    assert looked == {name: value for name, value in own.items() if name in PUBLIC}
    for other in (city.person().device, city.police):
        problem(lambda other=other: other.dispute(id_), "dispute.unknown", 404)
        assert id_ not in {item["dispute_id"] for item in other.disputes()}
    problem(lambda: city.city.operator.dispute(id_), "actor.role", 403)
    resolved = city.auditor.resolve_dispute(id_, "upheld", "there was no case B-7")
    for reader in (used.person.device, city.auditor, city.east):
        shown = reader.dispute(id_)
        assert (shown["state"], shown["resolved_ms"]) == (
            "upheld",
            resolved["receipt"]["entry"]["time"],
        )
        assert shown["resolution"] == {"outcome": "upheld", "text": "there was no case B-7"}


def test_an_institution_reads_no_word_of_the_holder_nor_who_it_is(city: Any, used: Used) -> None:
    device = used.person.device
    withdrawn = device.open_dispute(used.line, "other", TEXT)["dispute_id"]
    device.withdraw_dispute(withdrawn, "已与窗口说明")
    shown = city.east.dispute(withdrawn)
    assert shown["resolution"] == {"outcome": "withdrawn"}
    assert device.dispute(withdrawn)["resolution"]["text"] == "已与窗口说明"
    listed = str(list(city.east.disputes()))
    for secret in (TEXT, "已与窗口说明", device.whoami()["holder"], device.whoami()["kid"]):
        assert secret not in listed
    # Its history stays what it was: its own lookups and requests.
    kinds = {line["kind"] for line in city.east.history(certificate=used.person.card)}
    assert kinds == {"lookup"}


def test_a_disputed_grant_is_no_department_s_business(city: Any, used: Used, problem: Any) -> None:
    id_ = used.dispute(used.granted["receipt"]["entry"]["seq"])
    problem(lambda: city.east.dispute(id_), "dispute.unknown", 404)
    own = used.person.device.dispute(id_)
    assert (own["terminal"], own["business_number"]) == (None, None)


def test_the_list_goes_by_state_and_page(city: Any, used: Used, problem: Any) -> None:
    lines = [used.line, *(used.look().receipt["entry"]["seq"] for _ in range(3))]
    ids = [used.dispute(line) for line in lines]
    city.auditor.resolve_dispute(ids[0], "upheld", "x")
    used.person.device.withdraw_dispute(ids[1])
    device = used.person.device

    def listed(**params: Any) -> list[str]:
        page = device.get("/v1/disputes", **params).json()
        return [item["dispute_id"] for item in page["disputes"]]

    assert [item["dispute_id"] for item in device.disputes()] == ids[::-1]
    assert listed(state="open") == [ids[3], ids[2]]
    assert (listed(state="upheld"), listed(state="withdrawn")) == ([ids[0]], [ids[1]])
    first = device.get("/v1/disputes", limit=2).json()
    assert first["next_before"] == first["disputes"][-1]["seq"]
    assert first["total"] == 4
    assert device.get("/v1/disputes", state="open", limit=1).json()["total"] == 2
    assert listed(limit=2, before=first["next_before"]) == [ids[1], ids[0]]
    assert device.get("/v1/disputes", limit=4).json()["next_before"] is None
    problem(lambda: device.get("/v1/disputes", state="new"), "request.invalid", 422)
    problem(lambda: city.city.operator.get("/v1/disputes"), "actor.role", 403)


def test_an_auditor_asks_both_sides_and_each_answers(city: Any, used: Used, problem: Any) -> None:
    id_ = used.dispute(text=TEXT)
    asked = city.auditor.ask_dispute(id_, "holder", "您当时在哪里？")
    assert set(asked) == {"dispute_id", "seq", "receipt"}
    entry, _ = city.proven(asked["receipt"])
    assert (entry.kind, entry.subject, entry.state, entry.reason) == (
        "question",
        id_,
        "open",
        "holder",
    )
    assert "您当时在哪里" not in str(asked["receipt"])
    other = city.auditor.ask_dispute(id_, "department", "有这笔业务吗？")
    used.frozen()
    answered = used.person.device.answer_dispute(id_, asked["seq"], "在家")
    city.proven(answered["receipt"])
    city.east.answer_dispute(id_, other["seq"], "没有")
    seen = city.auditor.dispute(id_)
    assert used.person.device.dispute(id_) == seen
    first, second = seen["questions"]
    assert (first["to"], first["text"], first["answer"]["text"]) == (
        "holder",
        "您当时在哪里？",
        "在家",
    )
    assert first["asked_ms"] == asked["receipt"]["entry"]["time"] <= first["answer"]["answered_ms"]
    assert (second["to"], second["text"], second["answer"]["text"]) == (
        "department",
        "有这笔业务吗？",
        "没有",
    )
    # The department reads its own question, and of the holder's only that and when.
    own = city.east.dispute(id_)["questions"]
    assert own[1] == second
    assert own[0] == {
        **{name: first[name] for name in ("seq", "to", "asked_ms")},
        "answer": {name: first["answer"][name] for name in ("seq", "answered_ms")},
    }
    city.auditor.resolve_dispute(id_, "rejected", "in order")
    used.released()
    late = (
        lambda: city.auditor.ask_dispute(id_, "holder", "x"),
        lambda: city.east.answer_dispute(id_, other["seq"], "x"),
    )
    for call in late:
        problem(call, "dispute.resolved", 409)
    told = city.auditor.examine_bundle(city.auditor.evidence("dispute", id_)["bundle"])
    assert told["verdict"] == "incomplete"  # the lookup is too young to be shown
    assert [question["to"] for question in told["facts"]["dispute"]["questions"]] == [
        "holder",
        "department",
    ]


def test_who_may_ask_and_who_may_answer(city: Any, used: Used, problem: Any) -> None:
    id_, stranger = used.dispute(), city.person().device
    own, before = used.person.device, city.size()
    for other in (own, city.east, city.police, city.city.operator):
        problem(lambda other=other: other.ask_dispute(id_, "holder", "x"), "actor.role", 403)
    problem(lambda: city.auditor.ask_dispute("0" * 26, "holder", "x"), "dispute.unknown", 404)
    assert city.size() == before
    question = city.auditor.ask_dispute(id_, "department", "x")["seq"]
    for other, code, status in (
        (own, "actor.role", 403),
        (city.auditor, "actor.role", 403),
        (city.city.operator, "actor.role", 403),
        (city.police, "dispute.unknown", 404),
        (stranger, "dispute.unknown", 404),
    ):
        problem(lambda other=other: other.answer_dispute(id_, question, "x"), code, status)
    problem(lambda: city.east.answer_dispute(id_, used.line, "x"), "dispute.question_unknown", 404)
    to_holder = city.auditor.ask_dispute(id_, "holder", "x")["seq"]
    problem(lambda: city.east.answer_dispute(id_, to_holder, "x"), "actor.role", 403)
    # By another device of the same person, and once.
    city.device(used.person.number).answer_dispute(id_, to_holder, "x")
    problem(lambda: own.answer_dispute(id_, to_holder, "y"), "dispute.answered", 409)


def test_a_department_is_not_asked_about_a_grant(city: Any, used: Used, problem: Any) -> None:
    id_ = used.dispute(used.granted["receipt"]["entry"]["seq"])
    ask = city.auditor.ask_dispute
    problem(lambda: ask(id_, "department", "x"), "dispute.no_department", 409)
    ask(id_, "holder", "x")


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"to": "operator"}, "question.malformed"),
        ({"text": ""}, "question.text"),
        ({"text": "a\u202eb"}, "question.text"),
        ({"seq": 1}, "question.member_unknown"),
    ],
)
def test_a_broken_question_is_no_entry(
    city: Any, used: Used, problem: Any, change: dict[str, Any], code: str
) -> None:
    id_ = used.dispute()
    before = city.size()
    payload = {"dispute_id": id_, "to": "holder", "text": "x", **change}
    statement = city.auditor.statement(Kind.QUESTION, payload)
    path = f"/v1/disputes/{id_}/questions"
    problem(lambda: city.auditor.post(path, {"statement": statement}), code, 400)
    elsewhere = f"/v1/disputes/{'0' * 26}/questions"
    problem(lambda: city.auditor.post(elsewhere, {"statement": statement}), "statement.member", 400)
    assert city.size() == before


def test_a_question_sent_again_is_asked_once(city: Any, used: Used) -> None:
    id_ = used.dispute()
    payload = {"dispute_id": id_, "to": "holder", "text": "x"}
    body = {"statement": city.auditor.statement(Kind.QUESTION, payload)}
    path = f"/v1/disputes/{id_}/questions"
    first, again = (city.auditor.post(path, body).json() for _ in range(2))
    reply = {"dispute_id": id_, "seq": first["seq"], "text": "y"}
    answer = {"statement": used.person.device.statement(Kind.ANSWER, reply)}
    path = f"/v1/disputes/{id_}/answers"
    done, redone = (used.person.device.post(path, answer).json() for _ in range(2))
    assert (first["seq"], done["seq"]) == (again["seq"], redone["seq"])
    assert len(city.auditor.dispute(id_)["questions"]) == 1


def test_whoever_is_asked_is_told(city: Any, used: Used) -> None:
    id_ = used.dispute()
    readers = (used.person.device, city.east, city.west, city.police)
    cursors = [reader.notices()["next_after"] for reader in readers]
    city.auditor.ask_dispute(id_, "department", "x")
    city.auditor.ask_dispute(id_, "holder", "y")
    told = [
        [
            line["reason"]
            for line in reader.notices(cursor)["lines"]
            if (line["kind"], line["subject"]) == ("question", id_)
        ]
        for reader, cursor in zip(readers, cursors, strict=True)
    ]
    assert told == [["department", "holder"], ["department"], ["department"], []]


def test_history_shows_dispute_and_resolution_to_holder_and_auditor(city: Any, used: Used) -> None:
    id_ = used.dispute()
    city.auditor.resolve_dispute(id_, "rejected", "in order")
    for reader in (used.person.device, city.auditor):
        for asked in ({"certificate": used.person.card}, {"grant": used.presented["grant_id"]}):
            lines = list(reader.history(**asked))[:2]
            assert [(line["kind"], line["state"]) for line in lines] == [
                ("resolution", "rejected"),
                ("dispute", "open"),
            ]
            assert {line["subject"] for line in lines} == {id_}


def test_reading_needs_a_token(city: Any, problem: Any) -> None:
    for path in ("/v1/disputes", f"/v1/disputes/{'0' * 26}"):
        problem(lambda path=path: city.auditor.get(path, token=False), "token.missing", 401)


def test_what_people_write_is_in_no_log_metric_or_address(
    city: Any, used: Used, problem: Callable[..., Any]
) -> None:
    text = f"秘密的说明{uuid.uuid4().hex}"
    id_ = used.dispute(text=text)
    problem(lambda: used.dispute(text=text), "dispute.exists", 409)
    city.auditor.resolve_dispute(id_, "rejected", text)
    assert city.auditor.dispute(id_)["text"] == text
    data = city.service.data
    logs = [(data / name).read_text("utf-8", "replace") for name in ("serve.log", "node/node.log")]
    metrics = httpx.get(f"{city.url}/metrics", trust_env=False).text
    assert not any(text in where or id_ in where for where in (*logs, metrics))


def test_an_auditors_list_gives_nothing_that_its_reader_is_recorded_for(city: Any) -> None:
    """A list is a reading of the log, which no holder is told of."""
    person = city.person()
    granted = city.grant(person, mode="direct")
    seq = city.look({"grant_id": granted["grant_id"]}).receipt["entry"]["seq"]
    id_ = person.device.open_dispute(seq, "other", "said in private")["dispute_id"]
    city.auditor.ask_dispute(id_, "holder", "asked in private")
    whole = city.auditor.dispute(id_)
    city.auditor.resolve_dispute(id_, "rejected", "settled in private")
    listed = next(each for each in city.auditor.disputes() if each["dispute_id"] == id_)
    assert "in private" not in str(listed)
    assert not {"text", "questions", "business_number"} & set(listed)
    assert whole["business_number"]
    assert {"text", "questions"} <= set(whole)
    own = next(each for each in person.device.disputes() if each["dispute_id"] == id_)
    assert str(own).count("in private") == 3
