"""The command line against a running service: each command once as it should be, and beside it
the mistake that people make, with its exit code. No output ever holds a traceback."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from api.answer.errors import RULES, payload_words
from api.cli import app
from api.cli.failures import explain
from api.data.keyfiles import load_signing_key
from api.sample.city import credit_code
from ledger.catalogue import load_catalogue
from ledger.statement.kinds import (
    MAX_TTL_SECONDS,
    MAX_USES,
    MAX_WINDOW_SECONDS,
    MIN_TTL_SECONDS,
    Enrolment,
    PayloadError,
)

PROJECT = Path(__file__).parents[3]
CARD = "resident-identity-card"
BUREAU, OFFICE = credit_code(910), credit_code(911)
ITEM = "hotel-check-in"
PLACE = ("--department", OFFICE, "--item", ITEM, "--sites", "hall-cli")


@dataclass
class Desk:
    """Runs commands as somebody with these key files, against the session's service."""

    folder: Path
    environment: dict[str, str]

    def key(self, name: str) -> str:
        return str(self.folder / f"{name}.jwk")

    def run(self, *words: str, code: int = 0, read: str = "") -> tuple[str, str]:
        """Standard output and standard error of one command that ends with ``code``."""
        done = CliRunner().invoke(
            app, list(words), env=self.environment, input=read, catch_exceptions=False
        )
        assert done.exit_code == code, (words, done.stdout, done.stderr)
        assert "Traceback" not in done.stdout + done.stderr
        if code != 0 and not done.stdout:
            assert done.stderr.strip(), words
        return done.stdout, done.stderr

    def json(self, *words: str, code: int = 0) -> Any:
        return json.loads(self.run(*words, "--json", code=code)[0])

    def granted(self, card: str, *more: str, fields: str = "name") -> dict[str, Any]:
        words = ("grant", card, "--key", self.key("phone"), "--fields", fields, *PLACE, *more)
        value: dict[str, Any] = self.json(*words)
        return value

    def looked(self, *more: str, code: int = 0, fields: str = "name") -> dict[str, Any]:
        words = ("lookup", "--key", self.key("counter"), "--item", ITEM, "--fields", fields)
        value: dict[str, Any] = self.json(*words, "--business", "B-7", *more, code=code)
        return value


@pytest.fixture(scope="module")
def desk(city: Any, tmp_path_factory: pytest.TempPathFactory) -> Desk:
    """A bureau that issues, an office with a hall and a counter, an auditor, by commands."""
    desk = Desk(
        tmp_path_factory.mktemp("desk"),
        {
            "CERTLEDGER_URL": city.url,
            "CERTLEDGER_DATA": str(city.service.data),
            "COLUMNS": "80",
            "NO_COLOR": "1",
        },
    )
    for name in ("police", "counter", "phone", "stranger", "auditor"):
        made = desk.json("keys", "new", "--out", desk.key(name))
        assert made["kid"] == load_signing_key(Path(desk.key(name))).thumbprint()
    enrol = ("enrol", "institution", "--name", "示例局", "--code")
    assert desk.json(*enrol, BUREAU, "--types", CARD)["subject"] == BUREAU
    assert desk.json(*enrol, OFFICE, "--kinds", "hotel")["subject"] == OFFICE
    site = ("enrol", "site", "--site", "hall-cli", "--department", OFFICE, "--name", "样本大厅")
    assert desk.json(*site)["subject"] == "hall-cli"
    enrol_key = ("enrol", "key", "--role")
    desk.json(*enrol_key, "issuer", "--institution", BUREAU, "--key", desk.key("police"))
    desk.json(*enrol_key, "auditor", "--institution", "operator", "--key", desk.key("auditor"))
    counter = ("--terminal", "counter-cli", "--site", "hall-cli", "--key", desk.key("counter"))
    desk.json(*enrol_key, "terminal", "--institution", OFFICE, *counter)
    return desk


@pytest.fixture(scope="module")
def number(city: Any) -> str:
    return str(city.number())


@pytest.fixture(scope="module")
def given(city: Any, number: str) -> dict[str, Any]:
    """What the bureau types in: the fields of a card without the derived ones."""
    known = {item.name for item in load_catalogue().type(CARD).fields}
    return {name: value for name, value in city.fields(number).items() if name in known}


@pytest.fixture(scope="module")
def card(desk: Desk, number: str, given: dict[str, Any]) -> str:
    """An issued card, whose holder's phone is enrolled."""
    typed = json.dumps(given)
    issued = desk.json("issue", "--type", CARD, "--key", desk.key("police"), "--fields", typed)
    desk.json("enrol", "holder", "--key", desk.key("phone"), "--issuer",
        desk.key("police"), "--identity-number", number)  # fmt: skip
    return str(issued["certificate_id"])


# --- without a service --------------------------------------------------------------------------


def test_both_ways_to_start_it_are_the_same() -> None:
    for command in (["certledger"], [sys.executable, "-m", "api.cli"]):
        if command == ["certledger"]:
            command = [str(Path(sys.executable).with_name("certledger"))]
        done = subprocess.run([*command, "types", "--json"], capture_output=True, check=False)
        assert done.returncode == 0, done.stderr
        assert len(json.loads(done.stdout)["types"]) >= 30


@pytest.mark.parametrize("words", [["--help"], ["keys", "new", "--out", "k.jwk"], ["types"]])
def test_what_needs_no_service_loads_no_heavy_library(words: list[str], tmp_path: Path) -> None:
    code = (
        "import sys; from api.cli import app; app(sys.argv[1:], standalone_mode=False); "
        "print('loaded', *{'web3', 'eth_account', 'sqlalchemy', 'httpx', 'fastapi'}"
        " & set(sys.modules), file=sys.stderr)"
    )
    environment = {**os.environ, "PYTHONPATH": str(PROJECT)}
    command = [sys.executable, "-c", code, *words]
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr.strip() in ("loaded", "")


def test_the_node_says_how_it_is_called(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        app(["node", "--help"])
    assert ended.value.code == 0
    assert capsys.readouterr().out.startswith("usage: certledger node ")


def test_init_names_the_chain_account_and_the_operator_key(tmp_path: Path) -> None:
    desk = Desk(tmp_path, {"CERTLEDGER_DATA": str(tmp_path / "data")})
    made = desk.json("init")
    assert re.fullmatch("0x[0-9a-fA-F]{40}", made["chain_account"])
    assert made == desk.json("init")
    text, _ = desk.run("init")
    assert made["chain_account"] in text
    assert made["operator_kid"] in text
    (tmp_path / "file").write_text("")
    desk.run("init", "--data", str(tmp_path / "file" / "below"), code=2)


def test_keys_are_shown_and_never_overwritten(tmp_path: Path) -> None:
    desk = Desk(tmp_path, {})
    kid = desk.json("keys", "new", "--out", desk.key("one"))["kid"]
    assert desk.json("keys", "show", desk.key("one"))["kid"] == kid
    assert "never overwritten" in desk.run("keys", "new", "--out", desk.key("one"), code=2)[1]
    _, said = desk.run("keys", "show", desk.key("none"), code=2)
    assert said == f"no such file: {desk.key('none')}\n"


def test_lists_cut_nothing_at_eighty_columns(desk: Desk) -> None:
    for command in ("types", "items"):
        text, _ = desk.run(command)
        assert "…" not in text
        value = desk.json(command)
        words = set(re.findall(r"[a-z0-9_-]+", text))
        for each in value.get("types", value.get("service_items")):
            assert each["code"] in words
        assert "identity_number" in words


def test_an_unknown_setting_or_command_is_wrong_usage(tmp_path: Path) -> None:
    desk = Desk(tmp_path, {"CERTLEDGER_PORT": "many", "CERTLEDGER_URL": ""})
    assert "CERTLEDGER_PORT" in desk.run("sites", code=2)[1]
    desk.run("nonsense", code=2)
    desk.run("types", "--nonsense", code=2)


def test_a_service_that_is_not_there_is_said_in_one_line(tmp_path: Path) -> None:
    desk = Desk(tmp_path, {"CERTLEDGER_URL": "http://127.0.0.1:9"})
    _, said = desk.run("sites", code=1)
    assert said.count("\n") == 1
    assert "certledger serve" in said


def test_an_unexpected_error_is_one_line_and_a_traceback_on_demand(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken() -> None:
        raise RuntimeError("a cog is loose\nand more")

    monkeypatch.setattr("ledger.catalogue.load_catalogue", broken)
    _, said = desk.run("types", code=1)
    assert said.startswith("unexpected error, RuntimeError: a cog is loose. ")
    assert said.count("\n") == 1
    shown = CliRunner().invoke(app, ["types"], env={"CERTLEDGER_DEBUG": "1"})
    assert shown.exit_code == 1
    assert "Traceback" in shown.stderr


def test_every_error_has_words() -> None:
    assert explain(FileNotFoundError(2, "No such file", "x.csv")) == (2, "no such file: x.csv")
    for code in RULES:
        error = PayloadError(code if "." in code else f"grant.{code}", "limits.max_uses")
        assert "{" not in payload_words(error)
    assert payload_words(Enrolment.broken("malformed", "role")) == (
        "role must be issuer, terminal, auditor or operator"
    )
    # The sentences name these bounds.
    assert str(MAX_USES) in RULES["uses"]
    assert str(MAX_WINDOW_SECONDS // 86_400) in RULES["too_long"]
    assert f"{MIN_TTL_SECONDS} to {MAX_TTL_SECONDS}" in RULES["ttl"]


# --- enrolment ----------------------------------------------------------------------------------


def test_an_institution_needs_a_code_that_the_country_gave_it_and_a_name(desk: Desk) -> None:
    enrol = ("enrol", "institution", "--name", "示例局", "--code")
    bad = BUREAU[:-1] + ("0" if BUREAU[-1] != "0" else "1")
    for code in (bad, "a-hotel", BUREAU[:-1], "44039", "x", ""):
        for more in ((), ("--types", CARD)):
            _, said = desk.run(*enrol, code, *more, code=2)
            assert said.startswith("enrolment.")
    assert "credit code" in desk.run(*enrol, bad, code=2)[1]
    for name in ("", " ", "两\n行"):
        _, said = desk.run("enrol", "institution", "--code", BUREAU, "--name", name, code=2)
        assert said.startswith("enrolment.text: name_zh ")
    desk.run(*enrol, "440398", "--types", CARD)
    _, said = desk.run(*enrol, BUREAU, "--types", "no-such-type", code=2)
    assert "certledger types" in said


def test_enrolling_says_what_to_mend(desk: Desk, tmp_path: Path) -> None:
    desk.run("keys", "new", "--out", str(tmp_path / "k.jwk"))
    key = ("--key", str(tmp_path / "k.jwk"), "--institution", OFFICE)
    _, said = desk.run("enrol", "key", *key, "--role", "clerk", code=2)
    assert "role must be issuer, terminal, auditor or operator" in said
    _, said = desk.run("enrol", "key", *key, "--role", "terminal", code=2)
    assert "terminal is missing" in said
    site = ("enrol", "site", "--department", OFFICE, "--name", "厅", "--site")
    assert "site must be 1 to 64" in desk.run(*site, "two words", code=2)[1]
    _, said = desk.run(
        "enrol", "site", "--site", "s", "--name", "厅", "--department", "nobody", code=2
    )
    assert said.startswith("no institution 'nobody' is known")
    for wrong in ("110101199003070000", "11010119900307", "abc", BUREAU[:-1] + "Z", ""):
        by = ("--issuer", desk.key("police"), "--identity-number", wrong)
        holder = ("enrol", "holder", "--key", str(tmp_path / "k.jwk"), *by)
        assert desk.run(*holder, code=2)[1].count("\n") == 1
        invited = ("invite", "holder", *by)
        assert desk.run(*invited, code=2)[1].count("\n") == 1
        for days in ("nan", "0", "-1", "1e300"):
            desk.run(*invited, "--days", days, code=2)
    _, said = desk.run(*site, "s", "--operator-key", str(tmp_path / "none"), code=2)
    assert said.startswith("no such file: ")


def test_a_key_is_revoked_once(desk: Desk, tmp_path: Path) -> None:
    kid = desk.json("keys", "new", "--out", str(tmp_path / "k.jwk"))["kid"]
    enrol = ("enrol", "key", "--role", "auditor", "--institution", "operator")
    desk.run(*enrol, "--key", str(tmp_path / "k.jwk"))
    assert desk.json("keys", "revoke", "--kid", kid)["subject"] == kid
    assert desk.run("keys", "revoke", "--kid", kid, code=1)[1].startswith("key.revoked")


def test_a_foreigner_is_one_holder_however_the_number_is_typed(desk: Desk) -> None:
    bureau = ("--code", "440395", "--name", "交通警察局", "--types", "driving-licence")
    desk.run("enrol", "institution", *bureau)
    for name in ("traffic", "visitor"):
        desk.run("keys", "new", "--out", desk.key(name))
    enrol = ("enrol", "key", "--role", "issuer", "--institution", "440395")
    desk.run(*enrol, "--key", desk.key("traffic"))
    licence = {
        "identity_number": "e1234 5678",
        "name": "SMITH JOHN",
        "sex": "男",
        "nationality": "英国",
        "birth_date": "1981-08-03",
        "first_issued_on": "2020-01-02",
        "vehicle_class": "C1",
        "valid_period": "2020-01-02至2026-01-02",
    }
    words = ("issue", "--type", "driving-licence", "--key", desk.key("traffic"))
    issued = desk.json(*words, "--fields", json.dumps(licence))
    by = ("--issuer", desk.key("traffic"), "--identity-number")
    enrol = ("enrol", "holder", "--key", desk.key("visitor"), *by)
    assert desk.run(*enrol, "E123", code=2)[1].startswith("holder_number.form: ")
    desk.run(*enrol, "Ｅ１２３４－５６７８")
    found = desk.json("certificates", "--key", desk.key("visitor"))["certificates"]
    assert [item["certificate_id"] for item in found] == [issued["certificate_id"]]


def test_a_key_is_enrolled_by_a_code(desk: Desk, card: str, number: str, tmp_path: Path) -> None:
    keys = [str(tmp_path / f"{name}.jwk") for name in ("tablet", "desk", "late")]
    for key in keys:
        desk.run("keys", "new", "--out", key)
    code = desk.json(
        "invite", "holder", "--issuer", desk.key("police"), "--identity-number", number
    )["code"]
    assert re.fullmatch(r"[0-9A-Z]{4}(-[0-9A-Z]{4}){3}", code)
    claimed = desk.json("claim", "--key", keys[0], "--code", code)
    assert claimed["role"] == "holder"
    assert card in desk.run("status", card)[0]
    shown, _ = desk.run(
        "invite", "key", "--role", "terminal", "--institution", OFFICE, "--terminal", "desk-cli",
        "--site", "hall-cli", "--days", "2",
    )  # fmt: skip
    code, note = shown.splitlines()
    assert note.startswith("good once, until ")
    said, _ = desk.run("claim", "--key", keys[1], "--code", "-", read=f"{code.lower()}\n")
    assert said.startswith("enrolled: terminal ")
    late = ("claim", "--key", keys[2], "--code")
    assert desk.run(*late, code, code=1)[1].startswith("invitation.used")
    assert desk.run(*late, "0000-0000-0000-0000", code=1)[1].startswith("invitation.unknown")
    assert "not the code of this invitation" in desk.run(*late, "what?", code=2)[1]
    auditor = ("invite", "key", "--role", "auditor", "--institution", "operator")
    assert "less than or equal to 7" in desk.run(*auditor, "--days", "8", code=2)[1]
    assert "site is missing" in desk.run(
        "invite", "key", "--role", "terminal", "--institution", OFFICE, "--terminal", "t", code=2
    )[1]  # fmt: skip


def test_sites_are_listed(desk: Desk) -> None:
    text, _ = desk.run("sites")
    assert re.search(rf"^hall-cli +样本大厅 +{OFFICE}", text, re.MULTILINE)
    assert {"hall-cli"} <= {item["site"] for item in desk.json("sites")["sites"]}


def test_names_that_are_none_are_told_with_the_near_ones(desk: Desk, card: str) -> None:
    phone, counter = ("--key", desk.key("phone")), ("--key", desk.key("counter"))
    grant = ("grant", card, *phone, "--fields", "name")
    place = {"--department": OFFICE, "--item": ITEM, "--sites": "hall-cli"}
    slip = OFFICE[:-1] + ("0" if OFFICE[-1] != "0" else "1")
    before = desk.json("trace", "--key", desk.key("auditor"))["lines"][0]["seq"]
    for option, wrong, said in (
        ("--department", slip, f"a slip?). Did you mean {OFFICE}"),
        ("--item", "hotel-chek-in", f"Did you mean {ITEM}"),
        ("--sites", "hall-cli,hal-cli", "Did you mean hall-cli"),
        ("--sites", "zzz", "certledger sites"),
    ):
        given = [word for pair in {**place, option: wrong}.items() for word in pair]
        _, told = desk.run(*grant, *given, code=2)
        assert said in told
        assert told.count("\n") == 1
    look = ("lookup", *counter, "--business", "B", "--grant", "0" * 26)
    for words, said in (
        ((*look, "--item", "hotel-chek-in", "--fields", "name"), ITEM),
        ((*look, "--item", ITEM, "--fields", "nmae"), "name"),
        (("grant", card, *phone, *PLACE, "--fields", "idenity_number"), "identity_number"),
        (("trace", *phone, "--item", "hotel-chek-in"), ITEM),
        (("trace", *phone, "--department", slip), OFFICE),
    ):
        assert f"Did you mean {said}" in desk.run(*words, code=2)[1]
    after = desk.json("trace", "--key", desk.key("auditor"))["lines"][0]["seq"]
    assert before == after, "a slip was recorded"
    for words in (("evidence", "--entry", "999999"), ("dispute", "open", "999999")):
        more = ("--cause", "other") if words[0] == "dispute" else ()
        assert (
            "the log has no entry 999999: its newest is"
            in desk.run(*words, *more, *phone, code=1)[1]
        )
    # One that is there and somebody else's is told as before.
    desk.run("evidence", "--entry", "0", *phone, code=1)
    found = desk.json("institutions")["institutions"]
    assert {BUREAU, OFFICE} <= {each["code"] for each in found}
    assert OFFICE in desk.run("institutions")[0]


# --- certificates -------------------------------------------------------------------------------


def test_an_export_is_imported_and_known_again(desk: Desk) -> None:
    file = str(PROJECT / "tests" / "data" / "resident-id-cards.csv")
    words = ("import", file, "--type", CARD, "--issuer", desk.key("police"))
    first = desk.json(*words)
    assert first["issued"] == first["counts"]["accepted"] > 0
    again = desk.json(*words)
    assert (again["issued"], again["already_issued"]) == (0, first["issued"])


def test_an_import_that_cannot_be_shows_no_progress(desk: Desk, tmp_path: Path) -> None:
    issuer = ("--issuer", desk.key("police"))
    missing = str(tmp_path / "none.csv")
    _, said = desk.run("import", missing, "--type", CARD, *issuer, code=2)
    assert said == f"no such file: {missing}\n"
    file = tmp_path / "empty.csv"
    file.write_text("no,such,columns\n1,2,3\n")
    _, said = desk.run("import", str(file), "--type", "nothing", *issuer, code=2)
    assert "certledger types" in said
    _, said = desk.run("import", str(file), "--type", CARD, *issuer, code=2)
    assert said.count("\n") == 1
    assert "%" not in said


def test_one_certificate_is_issued_or_the_field_named(
    desk: Desk, city: Any, given: dict[str, Any]
) -> None:
    issue = ("issue", "--type", CARD, "--key", desk.key("police"), "--fields")
    other = {**given, "identity_number": city.number()}
    issued, said = desk.run(*issue, json.dumps(other))
    assert issued.startswith("issued: 1.2.156.3005.2.")
    assert said.startswith("warning: birth_date is not the one in identity_number")
    assert "name" in desk.run(*issue, json.dumps({"nme": "x"}), code=2)[1]
    wrong = {**other, "identity_number": "110101199003070000"}
    assert "identity_number" in desk.run(*issue, json.dumps(wrong), code=2)[1]
    assert "JSON object" in desk.run(*issue, "[", code=2)[1]
    assert "no such file" in desk.run(*issue, "@none.json", code=2)[1]
    counter = ("issue", "--type", CARD, "--key", desk.key("counter"), "--fields")
    assert "issuing department's key" in desk.run(*counter, json.dumps(other), code=2)[1]


def test_a_holder_sees_certificates_and_anybody_their_state(desk: Desk, card: str) -> None:
    text, _ = desk.run("certificates", "--key", desk.key("phone"))
    assert card in text.splitlines()
    (listed,) = desk.json("certificates", "--key", desk.key("phone"))["certificates"]
    assert (listed["certificate_id"], listed["state"]) == (card, "active")
    desk.run("certificates", "--key", desk.key("counter"), code=1)
    assert desk.json("status", card)["state"] == "active"
    assert "no certificate's identifier" in desk.run("status", "1.2.3", code=2)[1]


def test_the_issuer_changes_the_state(desk: Desk, city: Any, given: dict[str, Any]) -> None:
    number = city.number()
    born = f"{number[6:10]}-{number[10:12]}-{number[12:14]}"
    typed = json.dumps({**given, "identity_number": number, "birth_date": born})
    issued = desk.json("issue", "--type", CARD, "--key", desk.key("police"), "--fields", typed)
    identifier = issued["certificate_id"]
    for command, state in (("suspend", "suspended"), ("restore", "active"), ("revoke", "revoked")):
        change = (command, identifier, "--key", desk.key("police"), "--reason", "r")
        assert desk.json(*change)["state"] == state
        assert desk.json("status", identifier, code=int(state != "active"))["state"] == state
        desk.run(*change, code=1)
    erase = ("erase", identifier, "--reason", "r", "--key")
    ground = ("--ground", "court_order")
    desk.run(*erase, desk.key("phone"), *ground, code=1)
    assert "certificate.retained" in desk.run(*erase, desk.key("police"), code=1)[1]
    desk.json(*erase, desk.key("police"), *ground)
    desk.run(*erase, desk.key("police"), *ground, code=1)
    assert "content erased" in desk.run("status", identifier, code=1)[0]


def test_what_is_due_is_listed_and_erased_by_command(
    desk: Desk, city: Any, given: dict[str, Any]
) -> None:
    ended = []
    for period in ("1986-01-01/2006-01-01", "1990-01-01/2010-01-01", "2010-01-01/2024-01-01"):
        number = city.number()
        born = f"{number[6:10]}-{number[10:12]}-{number[12:14]}"
        fields = {**given, "identity_number": number, "birth_date": born, "valid_period": period}
        typed = json.dumps(fields)
        issued = desk.json("issue", "--type", CARD, "--key", desk.key("police"), "--fields", typed)
        ended.append(issued["certificate_id"])
    list_due = ("retention", "--due", "--key", desk.key("police"))
    due = desk.json(*list_due)["certificates"]
    assert [each["certificate_id"] for each in due] == ended[:2]
    assert "due 2016-01-0" in desk.run(*list_due)[0]
    desk.run("retention", "--due", "--key", desk.key("phone"), code=1)
    desk.run("retention", code=2)
    erase = ("retention", "erase", "--key", desk.key("police"))
    assert desk.run(*erase)[0].splitlines() == ["2 erased"]
    assert desk.json(*erase) == {"erased": 0, "refused": []}
    assert desk.run(*list_due)[0] == "nothing is due\n"
    for id_, content in zip(ended, ("erased", "erased", "sealed"), strict=True):
        shown = desk.json("status", id_, code=1)
        assert (shown["state"], shown["content"]) == ("expired", content)
        assert ("erased_ms" in shown) == (content == "erased")
    out, trust = desk.folder / "erased.json", desk.folder / "trust.json"
    about = ("--certificate", ended[0], "--key", desk.key("police"), "--out", str(out))
    desk.run("evidence", *about)
    desk.run("trust", "--out", str(trust))
    assert "the content was erased" in desk.run("verify", str(out), "--trust", str(trust))[0]


# --- grants and lookups -------------------------------------------------------------------------


def test_a_grant_by_scan_is_shown_used_listed_and_withdrawn(
    desk: Desk, card: str, tmp_path: Path
) -> None:
    phone = ("--key", desk.key("phone"))
    qr = tmp_path / "code.svg"
    granted = desk.granted(card, "--qr", str(qr), "--uses", "2")
    assert qr.read_text().startswith("<")
    answer = desk.looked("--code", granted["screen_code"])
    assert set(answer["fields"]) == {"name"}
    refused = desk.looked("--code", granted["screen_code"], code=1, fields="identity_number")
    assert refused["code"] == "field_not_granted"
    identifier = granted["grant_id"]
    text, _ = desk.run("grants", *phone)
    assert f"{identifier}  active, 1 of 2 uses left" in text
    assert card in text
    renewed = desk.json("code", identifier, *phone)
    assert renewed["screen_code"].startswith("EZ1")
    desk.run("code", identifier, *phone, "--qr", "code.gif", code=2)
    spoken = desk.json("spoken-code", identifier, "--site", "hall-cli", *phone)
    assert set(desk.looked("--spoken", spoken["spoken"])["fields"]) == {"name"}
    desk.run("spoken-code", identifier, "--site", "elsewhere", *phone, code=2)
    assert desk.json("withdraw", identifier, *phone)["state"] == "revoked"
    assert desk.run("withdraw", identifier, *phone, code=1)[1].startswith("grant.revoked")
    listed = {each["grant_id"]: each["state"] for each in desk.json("grants", *phone)["grants"]}
    assert listed[identifier] == "revoked"
    desk.run("grants", "--key", desk.key("counter"), code=1)


def test_a_scanned_code_may_come_from_standard_input(desk: Desk, card: str) -> None:
    code = desk.granted(card)["screen_code"]
    words = ("lookup", "--key", desk.key("counter"), "--item", ITEM, "--business", "B-7")
    text, _ = desk.run(*words, "--fields", "name", "--code", "-", read=code + "\n")
    assert text.startswith("name: ")


def test_a_direct_grant_names_terminal_and_staff(desk: Desk, card: str) -> None:
    narrow = ("--mode", "direct", "--terminal", "counter-cli", "--staff", "zhang")
    identifier = desk.granted(card, *narrow)["grant_id"]
    refused = desk.looked("--grant", identifier, "--staff", "li", code=1)
    assert refused["code"] == "wrong_staff"
    assert set(desk.looked("--grant", identifier, "--staff", "zhang")["fields"]) == {"name"}
    grant = ("grant", card, "--key", desk.key("phone"), "--fields", "name", *PLACE)
    assert "certledger request approve" in desk.run(*grant, "--mode", "request", code=2)[1]
    assert "a terminal that is not enrolled" in desk.run(*grant, "--terminal", "x", code=2)[1]
    assert "1 to 10000" in desk.run(*grant, "--uses", "0", code=2)[1]
    desk.run("lookup", "--key", desk.key("counter"), "--item", ITEM, "--fields", "name",
             "--business", "B", code=2)  # fmt: skip


def test_a_kiosk_asks_and_the_holder_approves(desk: Desk, card: str) -> None:
    phone = ("--key", desk.key("phone"))
    ask = ("request", "open", "--key", desk.key("counter"), "--item", ITEM, "--business", "B-7")
    opened = desk.json(*ask, "--type", CARD, "--fields", "name,of_age_18")
    desk.run(*ask, "--type", CARD, "--fields", "name", "--seconds", "5", code=2)
    text, _ = desk.run("request", "show", opened["code"], *phone)
    assert opened["matching_number"] in text
    assert "counter-cli at hall-cli" in text
    approve = ("request", "approve", opened["code"], *phone, "--fields")
    assert "did not ask" in desk.run(*approve, "address", code=2)[1]
    desk.run(*approve, "name", "--number", "none", code=1)
    approved = desk.json(*approve, "name", "--number", opened["matching_number"])
    kiosk = ("--key", desk.key("counter"))
    shown = desk.json("request", "show", opened["request_id"], *kiosk)
    assert (shown["state"], shown["grant_id"]) == ("approved", approved["grant_id"])
    assert set(desk.looked("--request", opened["request_id"])["fields"]) == {"name"}
    desk.run(*approve, "name", code=1)


def test_a_kiosk_asks_and_the_holder_refuses(desk: Desk, card: str) -> None:
    phone = ("--key", desk.key("phone"))
    ask = ("request", "open", "--key", desk.key("counter"), "--item", ITEM, "--business", "B-7")
    opened = desk.json(*ask, "--type", CARD, "--fields", "name")
    assert desk.json("request", "refuse", opened["code"], *phone)["state"] == "denied"
    kiosk = ("--key", desk.key("counter"))
    assert desk.json("request", "show", opened["request_id"], *kiosk, code=1)["state"] == "denied"
    desk.run("request", "refuse", opened["code"], *phone, code=1)
    desk.run("request", "show", "no code", *phone, code=2)


# --- disputes -----------------------------------------------------------------------------------


def test_a_use_is_disputed_listed_and_settled(desk: Desk, card: str) -> None:
    phone, auditor = ("--key", desk.key("phone")), ("--key", desk.key("auditor"))
    identifier = desk.granted(card, "--mode", "direct", "--uses", "3")["grant_id"]
    line = str(desk.looked("--grant", identifier)["receipt"]["entry"]["seq"])
    words = ("dispute", "open", line, *phone, "--cause")
    opened = desk.json(*words, "not_me", "--text", "不是我")
    assert (opened["state"], opened["grant_id"]) == ("open", identifier)
    assert desk.looked("--grant", identifier, code=1)["code"] == "grant_frozen"
    assert desk.run(*words, "other", code=1)[1].startswith("dispute.exists")
    assert "wrong_purpose" in desk.run(*words, "bored", code=2)[1]
    text, _ = desk.run("dispute", "list", *phone, "--state", "open")
    for shown in (opened["dispute_id"], identifier, card, "not_me: 不是我", "counter-cli"):
        assert shown in text
    text, _ = desk.run("dispute", "list", "--key", desk.key("counter"))
    assert opened["dispute_id"] in text
    assert "不是我" not in text
    assert desk.run("dispute", "list", *phone, "--state", "upheld")[0] == "nothing is disputed\n"
    desk.run("dispute", "list", "--key", desk.key("stranger"), code=1)
    settle = ("dispute", "resolve", opened["dispute_id"], "--outcome", "rejected", "--text", "对")
    desk.run(*settle, *phone, code=1)
    assert desk.json(*settle, *auditor)["state"] == "rejected"
    assert desk.run(*settle, *auditor, code=1)[1].startswith("dispute.resolved")
    assert desk.looked("--grant", identifier)["fields"]


def test_a_dispute_is_withdrawn(desk: Desk, card: str) -> None:
    phone = ("--key", desk.key("phone"))
    identifier = desk.granted(card, "--mode", "direct")["grant_id"]
    line = str(desk.json("trace", *phone, "--grant", identifier)["lines"][0]["seq"])
    text, _ = desk.run("dispute", "open", line, *phone, "--cause", "other")
    assert f"frozen: grant {identifier}" in text
    id_ = text.split()[1]
    desk.run("dispute", "withdraw", id_, "--key", desk.key("auditor"), code=1)
    assert desk.json("dispute", "withdraw", id_, *phone)["state"] == "withdrawn"
    assert desk.looked("--grant", identifier)["fields"]


# --- history and check --------------------------------------------------------------------------


def test_a_trace_shows_whole_identifiers_and_reasons(desk: Desk, card: str) -> None:
    granted = desk.granted(card)
    desk.looked("--code", granted["screen_code"], code=1, fields="identity_number")
    text, _ = desk.run("trace", "--key", desk.key("phone"))
    assert f"certificate {card}" in text
    assert f"grant {granted['grant_id']}" in text
    assert "refused field_not_granted" in text
    assert "…" not in text
    auditor = ("trace", "--key", desk.key("auditor"), "--certificate", card)
    assert card not in desk.run(*auditor)[0]
    lines = desk.json(*auditor)["lines"]
    assert {line["certificate"] for line in lines} == {card}
    assert {line["proof"] for line in lines} <= {"proven", "pending"}
    desk.run("trace", "--key", desk.key("stranger"), code=1)


def test_fsck_is_clean_and_says_where_there_is_no_ledger(desk: Desk, tmp_path: Path) -> None:
    assert desk.json("fsck")["clean"] is True
    text, said = desk.run("fsck")
    assert "clean" in text
    assert "None" not in said
    desk.run("fsck", "--data", str(tmp_path), code=2)
