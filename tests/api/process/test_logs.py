"""The service's log as JSON: every line parses, names its request, and holds nothing personal."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import re
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.exc import IntegrityError

from api.answer import errors
from api.client import ServiceError
from api.data.settings import Settings
from api.process import logs
from api.process.serve import DidNotStart, ServiceProcess
from api.routes.app import Application

MEMBERS = {"method", "route", "status", "duration_ms"}


@pytest.fixture(scope="module")
def town(found_town: Callable[..., Any]) -> Any:
    return found_town(CERTLEDGER_LOG_FORMAT="json", CERTLEDGER_WATCH="false")


def lines(service: ServiceProcess) -> list[dict[str, Any]]:
    return [json.loads(line) for line in service.log().splitlines()]


def of_requests(service: ServiceProcess) -> list[dict[str, Any]]:
    return [line for line in lines(service) if line["logger"] == "api.access"]


def logged(service: ServiceProcess, request_id: str) -> dict[str, Any]:
    """The one access line of a request, which is written after the answer has left."""
    deadline = time.monotonic() + 10
    while True:
        found = [line for line in of_requests(service) if line["request_id"] == request_id]
        if found or time.monotonic() > deadline:
            break
        time.sleep(0.02)
    (line,) = found
    return line


def test_every_line_is_an_object_with_time_level_logger_and_message(town: Any) -> None:
    town.person()
    for line in lines(town.service):
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line["time"])
        assert line["level"] in ("info", "warning", "error", "critical")
        assert line["logger"]
        assert line["message"]
    said = [line["message"] for line in lines(town.service)]
    assert any(message.startswith("ready: http://127.0.0.1:") for message in said)


def test_every_request_has_one_line_with_its_routes_template(town: Any) -> None:
    asked = {"X-Request-ID": "one-line.1"}
    path = f"/v1/certificates/{town.person().card}"
    answer = httpx.get(town.url + path, headers=asked, params={"q": "secret"}, trust_env=False)
    line = logged(town.service, "one-line.1")
    assert line.keys() >= MEMBERS
    assert "code" not in line
    assert (line["method"], line["status"]) == ("GET", answer.status_code) == ("GET", 200)
    assert line["route"] == "/v1/certificates/{certificate_id}"
    assert 0 < line["duration_ms"] < 60_000


def test_a_refusals_line_has_its_code(town: Any) -> None:
    headers = {"X-Request-ID": "no-such"}
    answer = httpx.get(f"{town.url}/v1/history", headers=headers, trust_env=False)
    assert logged(town.service, "no-such")["code"] == answer.json()["code"] == "token.missing"
    nowhere = httpx.get(f"{town.url}/440399198001010011", headers={"X-Request-ID": "nowhere"})
    assert nowhere.status_code == 404
    line = logged(town.service, "nowhere")
    assert (line["route"], line["code"]) == ("unmatched", "route.unknown")


@pytest.mark.parametrize("given", ["a" * 64, "A.b_c-9"])
def test_a_request_id_that_is_one_is_kept(town: Any, given: str) -> None:
    answer = httpx.get(f"{town.url}/healthz", headers={"X-Request-ID": given}, trust_env=False)
    assert answer.headers.get_list("X-Request-ID") == [given]


@pytest.mark.parametrize("given", ["", "a" * 65, "张三".encode(), "a b", "a;b", "a\tb", None])
def test_any_other_is_replaced(town: Any, given: Any) -> None:
    headers = {} if given is None else {"X-Request-ID": given}
    answer = httpx.get(f"{town.url}/healthz", headers=headers, trust_env=False)
    (made,) = answer.headers.get_list("X-Request-ID")
    assert re.fullmatch(r"[0-9a-f]{32}", made)
    assert logged(town.service, made)["route"] == "/healthz"


def test_requests_at_a_time_have_ids_of_their_own(town: Any) -> None:
    answers = [httpx.get(f"{town.url}/healthz", trust_env=False) for _ in range(5)]
    ids = {answer.headers["X-Request-ID"] for answer in answers}
    assert len(ids) == 5
    for made in ids:
        logged(town.service, made)


def test_nothing_personal_is_in_any_line(town: Any) -> None:
    """A story's worth: issued, granted, shown, looked up, refused, asked for, listed, traced."""
    person = town.person()
    granted = town.grant(person, mode="scan", max_uses=1)
    shown = town.scanned(granted)
    looked = town.look(shown)
    assert looked.released
    town.refused(town.look(shown), "uses_exhausted")
    with pytest.raises(ServiceError):
        person.device.certificate("1.2.156.3005.2.11111111")
    assert person.device.my_certificates()
    assert list(person.device.history())
    assert list(town.auditor.history(certificate=person.card))
    spoken = person.device.spoken_code(town.grant(person, mode="scan")["grant_id"], "hall-east")
    private = [
        person.number,
        *(str(person.fields[name]) for name in ("name", "address", "birth_date")),
        person.card,
        person.sd_jwt[:60],
        granted["grant_id"],
        shown["code"],
        spoken["spoken"],
        person.device.key.thumbprint(),
        town.east.key.thumbprint(),
        person.device.whoami()["holder"],
        "127.0.0.1:",
    ]
    said = [line for line in lines(town.service) if not line["message"].startswith("ready: ")]
    kept = json.dumps(said, ensure_ascii=False)
    assert [secret for secret in private if str(secret) in kept] == []
    assert "Bearer" not in kept
    assert "?" not in kept
    assert len(of_requests(town.service)) > 10


def failing() -> Application:
    """An application whose only route fails, with something personal in hand."""
    service: Any = SimpleNamespace(stopping=False, settings=Settings(log_format="json"))
    app = Application(service)
    errors.install(app)

    @app.get("/fail/{who}")
    async def fail(who: str) -> None:
        raise ValueError(who)

    return app


async def ask(path: str, **headers: str) -> httpx.Response:
    transport = httpx.ASGITransport(failing(), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        return await client.get(path, headers=headers)


def test_an_unexpected_error_is_logged_under_the_id_that_its_answer_says(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.handler.setFormatter(logs.JsonLines())
    with caplog.at_level(logging.INFO):
        answer = asyncio.run(ask("/fail/张三", **{"X-Request-ID": "asked-1"}))
    assert (answer.status_code, answer.json()["request_id"]) == (500, "asked-1")
    assert answer.headers["X-Request-ID"] == "asked-1"
    said = [json.loads(line) for line in caplog.text.splitlines()]
    said = [line for line in said if line["logger"].startswith("api.")]
    assert [line["request_id"] for line in said] == ["asked-1", "asked-1"]
    failed, access = said
    assert failed["traceback"].endswith("ValueError")
    assert (access["route"], access["status"], access["code"]) == ("/fail/{who}", 500, "internal")
    assert "张三" not in caplog.text


def test_what_is_not_our_fault_has_no_id_in_its_body() -> None:
    answer = asyncio.run(ask("/nowhere"))
    assert answer.status_code == 404
    assert "request_id" not in answer.json()
    assert answer.headers["X-Request-ID"]


def test_text_is_the_default_and_has_no_line_of_a_request(city: Any) -> None:
    httpx.get(f"{city.url}/healthz", trust_env=False)
    said = city.service.log()
    assert "ready: http://" in said
    assert "api.access" not in said
    assert not said.startswith("{")


def test_what_keeps_it_from_starting_is_a_line_like_all_others(tmp_path: Path) -> None:
    chain = "http://127.0.0.1:9"  # nobody listens there
    environment = {"CERTLEDGER_LOG_FORMAT": "json", "CERTLEDGER_CHAIN_URL": chain}
    service = ServiceProcess(tmp_path, environment=environment)
    with pytest.raises(DidNotStart):
        service.start()
    assert lines(service)[-1]["level"] == "critical"
    assert "not served" in lines(service)[-1]["message"]


# --- the formatters -------------------------------------------------------------------------------


def written(kind: logs.Format, log: Callable[[logging.Logger], None]) -> str:
    sink = io.StringIO()
    handler = logging.StreamHandler(sink)
    form = logs.TextLines("%(message)s") if kind == "text" else logs.JsonLines()
    handler.setFormatter(form)
    logger = logging.Logger("tests.logs")
    logger.addHandler(handler)
    log(logger)
    return sink.getvalue()


def insert_twice() -> None:
    engine = create_engine("sqlite://", hide_parameters=False)
    with engine.begin() as connection:
        connection.execute(text("create table people (name text primary key)"))
        for _ in range(2):
            connection.execute(text("insert into people values ('张三')"))


@pytest.mark.parametrize("kind", ["text", "json"])
def test_a_traceback_says_kind_and_place_and_no_value(kind: logs.Format) -> None:
    def log(logger: logging.Logger) -> None:
        try:
            insert_twice()
        except IntegrityError:
            logger.exception("failed")

    said = written(kind, log)
    assert "IntegrityError" in said
    assert f"{sqlite3.IntegrityError.__module__}.IntegrityError" in said
    assert "in insert_twice" in said
    assert "UNIQUE" not in said
    if kind == "json":
        assert said.count("\n") == 1
        assert "led to" in json.loads(said)["traceback"]


def test_text_that_is_no_utf8_is_still_one_line_of_json() -> None:
    said = written("json", lambda logger: logger.warning("a\udcff\nb"))
    assert json.loads(said)["message"] == "a\\udcff\nb"
    assert said.count("\n") == 1


def test_without_a_request_there_is_no_id() -> None:
    said = json.loads(written("json", lambda logger: logger.warning("alone")))
    assert "request_id" not in said
    assert "traceback" not in said
