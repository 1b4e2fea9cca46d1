"""Whose keys are listed for whom, and who may stop which: over HTTP and by command."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from api.cli import app
from api.client import Client
from api.data.keyfiles import new_signing_key, save_signing_key
from api.sample.city import HALLS, POLICE


def kids(client: Client) -> dict[str, dict[str, Any]]:
    found = list(client.enrolled_keys())
    assert [each["seq"] for each in found] == sorted((each["seq"] for each in found), reverse=True)
    return {each["kid"]: each for each in found}


def test_everybody_sees_the_keys_that_concern_them_and_nobody_else(city: Any) -> None:
    operator, police, east = city.city.operator, city.police, city.east
    person, other = city.person(), city.person()
    invited, approved = new_signing_key(), new_signing_key()
    code = police.invite_holder(person.number)["code"]
    with Client(city.url, invited) as client:
        client.claim(code)
    device, own = invited.thumbprint(), approved.thumbprint()
    person.device.approve_device(approved)

    of_operator = kids(operator)
    for client in (operator, police, east, city.auditor):
        assert client.key.thumbprint() in of_operator
    assert not {own, device} & of_operator.keys(), "it lets no device in"

    of_police = kids(police)
    assert {each.get("institution", POLICE) for each in of_police.values()} == {POLICE}
    assert device in of_police
    assert own not in of_police
    by = of_police[device]["let_in_by"]
    assert by == {"kid": police.key.thumbprint(), "role": "issuer", "institution": POLICE}

    assert {each["institution"] for each in kids(east).values()} == {HALLS}
    assert all(each["role"] != "holder" for each in kids(city.auditor).values())

    first = person.device.key.thumbprint()
    assert set(kids(person.device)) == {own, device, first}
    assert set(kids(other.device)) == {other.device.key.thumbprint()}


def test_a_list_of_keys_goes_on_page_by_page(city: Any) -> None:
    operator = city.city.operator
    page = operator.get("/v1/keys", limit=2).json()
    assert len(page["keys"]) == 2
    assert page["next_before"] == page["keys"][-1]["seq"]
    after = operator.get("/v1/keys", limit=2, before=page["next_before"]).json()["keys"]
    assert max(each["seq"] for each in after) < page["next_before"]


def test_whoever_a_key_concerns_stops_it_and_nobody_else(
    city: Any, problem: Callable[..., Any]
) -> None:
    person, other = city.person(), city.person()
    lost = city.device(person.number)
    terminal = {"terminal": "counter-lost", "site": "hall-east"}
    stolen, at_counter = city.new_key("terminal", HALLS, **terminal)
    issuing, desk = city.new_key("issuer", POLICE)
    assert not kids(lost)[lost.key.thumbprint()]["revocable"]
    for client, kid in (
        (other.device, lost.key.thumbprint()),
        (city.police, lost.key.thumbprint()),
        (city.police, stolen.thumbprint()),
        (at_counter, city.east.key.thumbprint()),
        (city.auditor, stolen.thumbprint()),
        (person.device, issuing.thumbprint()),
    ):
        problem(lambda client=client, kid=kid: client.revoke_key(kid), "actor.role", 403)
    problem(lambda: desk.revoke_key(issuing.thumbprint()), "key.own", 409)
    problem(lambda: person.device.revoke_key("A" * 43), "key.unknown", 401)
    for client, key in (
        (person.device, lost.key),
        (city.police, issuing),
        (city.city.operator, stolen),
    ):
        before = kids(client)[key.thumbprint()]
        assert (before["state"], before["revocable"]) == ("good", True)
        client.revoke_key(key.thumbprint())
        after = kids(client)[key.thumbprint()]
        assert (after["state"], after["revocable"]) == ("revoked", False)
        assert after["revoked_ms"] > before["since_ms"]
        problem(
            lambda client=client, key=key: client.revoke_key(key.thumbprint()), "key.revoked", 409
        )
    problem(lost.whoami, "key.not_valid", 401)


def test_the_command_that_a_list_names_stops_the_key(city: Any, tmp_path: Path) -> None:
    person = city.person()
    lost = city.device(person.number).key.thumbprint()
    phone = tmp_path / "a phone.jwk"
    save_signing_key(phone, person.device.key)
    environment = {"CERTLEDGER_URL": city.url, "CERTLEDGER_DATA": str(city.service.data)}

    def run(*words: str, code: int = 0) -> str:
        done = CliRunner().invoke(app, list(words), env=environment, catch_exceptions=False)
        assert done.exit_code == code, done.stderr
        return done.stdout

    def listed(*words: str) -> dict[str, dict[str, Any]]:
        found = json.loads(run("keys", "list", "--json", *words))["keys"]
        return {each["kid"]: each for each in found}

    stop = listed("--key", str(phone))[lost]["stop"]
    text = run("keys", "list", "--key", str(phone))
    assert f"{lost}  holder, good" in text
    assert f"to stop it: {stop}" in text
    own = person.device.key.thumbprint()
    assert f"the operator stops it by: certledger keys revoke --kid {own}\n" in text
    program, *words = shlex.split(stop)
    assert program == "certledger"
    assert run(*words).startswith(f"revoked: {lost} ")
    assert f"{lost}  holder, revoked" in run("keys", "list", "--key", str(phone))
    assert listed("--key", str(phone))[lost]["stop"] is None
    # The operator's own key is taken from the data folder.
    words = shlex.split(listed("--key", str(phone))[own]["stop"])[1:]
    assert run(*words).startswith(f"revoked: {own} ")
    run("keys", "revoke", "--kid", "no-thumbprint", code=2)
