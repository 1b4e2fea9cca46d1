"""Who may see what, on the real service: for every role and every kind of entry, of the reader's
own, of their department's and of a stranger's, each way to an entry gives the table's answer.

The answers expected are written out here, and not asked of `audit.history.visibility`.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

from api.client import Client, ServiceError
from api.data.keyfiles import new_signing_key
from api.sample.city import HALLS, MARKET, credit_code
from ledger.proof.entries import EventKind
from tests.api.bulk.test_report import good_rows, start_import

CARD = "resident-identity-card"
ANY, OWN, DEPARTMENT, ASKED, NOT = "any", "own", "department", "asked", "not"
#: kind: holder, terminal, issuer; auditors see any.
EXPECTED = {
    "enrolment": (OWN, NOT, NOT),
    "invitation": (OWN, NOT, NOT),
    "issue": (OWN, NOT, DEPARTMENT),
    "status": (OWN, NOT, DEPARTMENT),
    "import": (OWN, NOT, DEPARTMENT),
    "grant": (OWN, NOT, NOT),
    "revocation": (OWN, NOT, NOT),
    "request": (OWN, DEPARTMENT, DEPARTMENT),
    "refusal": (OWN, NOT, NOT),
    "lookup": (OWN, DEPARTMENT, DEPARTMENT),
    "dispute": (OWN, NOT, NOT),
    "resolution": (OWN, NOT, NOT),
    "question": (OWN, ASKED, ASKED),
    "answer": (OWN, ASKED, ASKED),
    "reading": (OWN, NOT, NOT),
    "release": (NOT, NOT, NOT),
    "deferral": (OWN, NOT, NOT),
}
#: What evidence is asked by, for the kinds that it is about: the subject's kind, its member, and
#: the entry's.
EVIDENCE = {
    "lookup": ("lookup", "seq", "seq"),
    "issue": ("certificate", "certificate_id", "certificate"),
    "grant": ("grant", "grant_id", "grant"),
    "dispute": ("dispute", "dispute_id", "subject"),
}


class Told:
    """What happened, entry by entry, and whose each is."""

    def __init__(self) -> None:
        self.holder: dict[int, Client] = {}
        self.first = 0
        self.entries: list[dict[str, Any]] = []


def lived(city: Any, told: Told, person: Any, counter: Client) -> None:
    """A bit of everything in one person's life, at ``counter``."""
    device, auditor = person.device, city.auditor

    def own(answer: Any) -> dict[str, Any]:
        receipt = answer["receipt"] if isinstance(answer, dict) else answer.receipt
        told.holder[receipt["entry"]["seq"]] = device
        return dict(receipt["entry"])

    own(city.police.invite_holder(person.number))
    own(city.police.enrol_holder(new_signing_key(), person.number))
    own(city.police.change_status(person.card, "suspend", "reported lost"))
    own(city.police.change_status(person.card, "restore", "found again"))
    place = counter.whoami()
    where = {"department": place["institution"], "sites": [place["site"]]}
    granted = city.grant(person, mode="direct", **where)
    own(granted)
    lines = [
        own(city.look({"grant_id": granted["grant_id"]}, by=counter, service_item=item))
        for item in ("hotel-check-in", "notarisation")
    ]
    told.holder[counter.evidence("lookup", lines[0]["seq"])["reading"]] = device
    own(device.revoke_grant(granted["grant_id"]))
    asked = counter.open_request("hotel-check-in", "B-7", {CARD: ["name"]})
    found = device.find_request(asked["code"])
    own(device.refuse_request(found["request_id"]))
    for line in lines:
        opened = device.open_dispute(line["seq"], "other")
        own(opened)
        for to, answering in (("holder", device), ("department", counter)):
            question = auditor.ask_dispute(opened["dispute_id"], to, "why?")
            own(question)
            own(answering.answer_dispute(opened["dispute_id"], question["seq"], "so"))
        own(auditor.resolve_dispute(opened["dispute_id"], "rejected", "in order"))
    reader, _ = city.new_key("auditor", "operator")
    deferred = auditor.begin_deferral(
        person.card, reader.thumbprint(), "示例法院 7 号", int(time.time()) + 3600
    )
    own(deferred)
    own(auditor.end_deferral(deferred["deferral_id"]))


@pytest.fixture(scope="module")
def elsewhere(city: Any) -> dict[str, Client]:
    """A second department with a hall, a counter, and a desk."""
    code = credit_code(77)
    city.city.operator.enrol("institution", code=code, name_zh="另一政务服务局", kinds=["hotel"])
    city.city.operator.enrol("site", site="hall-77", department=code, name_zh="大厅")
    _, counter = city.new_key("terminal", code, terminal="counter-77", site="hall-77")
    _, desk = city.new_key("issuer", code)
    return {"counter": counter, "desk": desk}


@pytest.fixture(scope="module")
def told(city: Any, elsewhere: dict[str, Client]) -> Told:
    made = Told()
    made.first = city.auditor.notices()["next_after"] + 1
    people = [city.person(), city.person()]
    lived(city, made, people[0], city.east)
    lived(city, made, people[1], elsewhere["counter"])
    city.city.operator.record_release("another", {"/assets/seal.svg": "a" * 43})
    import_id = start_import(city, good_rows(city, 2))
    while city.police.get(f"/v1/imports/{import_id}").json()["state"] == "running":
        time.sleep(0.05)
    made.entries = list(lines(city.auditor, made.first))
    within = range(made.first, made.entries[-1]["seq"])
    readings = [each for each in city.auditor.history(kind="reading") if each["seq"] in within]
    made.entries = sorted([*made.entries, *readings], key=lambda entry: entry["seq"])
    for entry in made.entries:
        for person in people:
            if entry["kind"] == "issue" and entry["certificate"] == person.card:
                made.holder[entry["seq"]] = person.device
            if entry["kind"] == "enrolment" and entry["subject"] == person.device._kid:
                made.holder[entry["seq"]] = person.device
    return made


def lines(reader: Client, first: int) -> Iterator[dict[str, Any]]:
    after = first - 1
    while (page := reader.notices(after))["lines"]:
        yield from page["lines"]
        after = page["next_after"]


@pytest.fixture(scope="module")
def readers(city: Any, told: Told, elsewhere: dict[str, Client]) -> dict[str, Client]:
    _, hall = city.new_key("issuer", HALLS)
    devices = list(dict.fromkeys(told.holder.values()))
    return {
        "auditor": city.auditor,
        "operator": city.city.operator,
        "terminal at the place": city.east,
        "terminal of the department": city.west,
        "terminal elsewhere": elsewhere["counter"],
        "desk of the department": hall,
        "desk elsewhere": elsewhere["desk"],
        "issuer": city.police,
        "another issuer": city.city.issuers[MARKET],
        "holder": devices[0],
        "another holder": devices[1],
    }


def expected(told: Told, reader: Client, entry: dict[str, Any]) -> bool:
    who = reader.whoami()
    if who["role"] in ("auditor", "operator"):
        return bool(who["role"] == "auditor")
    role = ("holder", "terminal", "issuer").index(who["role"])
    department = role > 0 and entry.get("department") == who["institution"]
    match EXPECTED[entry["kind"]][role]:
        case "own":
            return told.holder.get(entry["seq"]) is reader
        case "department":
            return department
        case "asked":
            return department and entry["reason"] == "department"
        case _:
            return False


def test_the_story_has_every_kind_of_everybodys(told: Told) -> None:
    assert {entry["kind"] for entry in told.entries} == set(EventKind) == set(EXPECTED)
    assert len(set(told.holder.values())) == 2


READING = (
    "auditor",
    "operator",
    "terminal at the place",
    "terminal of the department",
    "terminal elsewhere",
    "desk of the department",
    "desk elsewhere",
    "issuer",
    "another issuer",
    "holder",
    "another holder",
)


def answered(call: Any, code: str) -> bool:
    """Whether it answers; if not, as what is not there."""
    try:
        call()
    except ServiceError as error:
        refused = error.code, error.status
    else:
        return True
    assert refused in ((code, 404), ("actor.role", 403))
    return False


@pytest.mark.parametrize("name", READING)
def test_each_way_to_an_entry_gives_the_same_answer(
    told: Told, readers: dict[str, Client], name: str
) -> None:
    reader = readers[name]
    wanted = {entry["seq"] for entry in told.entries if expected(told, reader, entry)}
    by_seq = {entry["seq"]: entry for entry in told.entries}
    if name == "operator":
        assert not wanted
        for call in (lambda: reader.notices(0), lambda: list(reader.history())):
            assert not answered(call, "-")
    else:
        in_story = range(told.first, told.first + len(told.entries))
        # Auditors are shown readings where they ask for them by kind.
        asked = {seq for seq in wanted if name == "auditor" and by_seq[seq]["kind"] == "reading"}
        news = {line["seq"] for line in lines(reader, told.first)} & set(in_story)
        assert news == wanted - asked
        for kind in EventKind:
            found = {line["seq"] for line in reader.history(kind=kind, limit=500)}
            assert found & set(in_story) == {
                seq for seq in wanted if by_seq[seq]["kind"] == kind
            }, kind
    for seq, entry in by_seq.items():
        shown = answered(lambda seq=seq: reader.entry(seq), "entry.unknown")  # type: ignore[misc]
        assert shown is (seq in wanted), entry
        if entry["kind"] in EVIDENCE:
            kind, member, named = EVIDENCE[entry["kind"]]
            about = {"kind": kind, member: entry[named]}
            got = answered(lambda about=about: evidence(reader, about), "evidence.unknown")  # type: ignore[misc]
            assert got is (seq in wanted), entry


def evidence(reader: Client, about: dict[str, Any]) -> dict[str, Any]:
    answer: dict[str, Any] = reader.post("/v1/evidence", {"subject": about}, token=True).json()
    return answer


def test_what_is_not_the_readers_and_what_is_not_there_look_the_same(
    told: Told, readers: dict[str, Client]
) -> None:
    """Word for word, but for the request's own path."""
    for name in READING:
        reader = readers[name]
        hidden = [e["seq"] for e in told.entries if not expected(told, reader, e)]
        if not hidden:
            continue
        bodies = set()
        for seq in (hidden[0], hidden[-1], 2**52):
            with pytest.raises(ServiceError) as refused:
                reader.entry(seq)
            bodies.add((refused.value.status, refused.value.code, refused.value.detail))
        assert len(bodies) == 1


def test_a_pseudonym_is_asked_by_nobody_but_holders_and_auditors(
    told: Told, readers: dict[str, Client], problem: Any
) -> None:
    holder = readers["holder"].whoami()["holder"]
    for name in READING:
        reader = readers[name]
        role = reader.whoami()["role"]
        if role in ("auditor", "holder"):
            found = list(reader.history(holder=holder))
            assert bool(found) is (name in ("auditor", "holder"))
        else:
            code = "actor.role" if role == "operator" else "history.holder"
            problem(lambda reader=reader: list(reader.history(holder=holder)), code, 403)
    for name in ("auditor", "issuer", "holder", "terminal at the place"):
        assert holder not in str(list(lines(readers[name], told.first)))


def test_whoever_enrols_or_invites_is_told_no_pseudonym(city: Any) -> None:
    """They know the number: with the pseudonym they could find its lookups among all others."""
    person = city.person()
    pseudonym = person.device.whoami()["holder"]
    device = city.police.enrol_holder(new_signing_key(), person.number)
    answers = {
        city.police: [
            device,
            city.police.invite_holder(person.number),
            *(city.police.entry(seq) for seq in issued_to(city, person)),
        ],
        # Which lets in no holder and lists none, and may end any device.
        city.city.operator: [
            city.city.operator.revoke_key(
                city.police.enrol_holder(new_signing_key(), person.number)["subject"]
            )
        ],
    }
    for by, told in answers.items():
        listed = list(by.enrolled_keys())
        assert (device["subject"] in {each["kid"] for each in listed}) is (by is city.police)
        assert pseudonym not in str([told, by.whoami(), listed])
        assert not any("holder" in each for each in listed)
    assert all(each["holder"] == pseudonym for each in person.device.enrolled_keys())


def issued_to(city: Any, person: Any) -> list[int]:
    return [line["seq"] for line in city.police.history(certificate=person.card, kind="issue")]
