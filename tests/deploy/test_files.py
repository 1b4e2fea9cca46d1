"""What is in ``deploy/``, as far as it can be held to without a container engine: the settings,
commands and paths that it names exist."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from api.data.settings import Settings

PROJECT = Path(__file__).parents[2]
DEPLOY = PROJECT / "deploy"
COMPOSE: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text("utf-8"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = {name: one for name, one in SERVICES.items() if "certledger" in one["image"]}
ENV = (DEPLOY / ".env.example").read_text("utf-8")
SETTINGS = {f"CERTLEDGER_{name.upper()}" for name in Settings.model_fields}


def resolved(value: str, **given: str) -> str:
    """As compose fills in ``${NAME:-default}``."""

    def fill(found: re.Match[str]) -> str:
        return given.get(found[1]) or found[2] or ""

    return re.sub(r"\$\{(\w+)(?::[-?]([^}]*))?\}", fill, value)


def test_every_setting_that_is_named_is_one() -> None:
    named: set[str] = set()
    for service in SERVICES.values():
        named |= {name for name in service.get("environment", {}) if name.startswith("CERTLEDGER")}
    dockerfile = (DEPLOY / "Dockerfile").read_text("utf-8")
    named |= set(re.findall(r"\b(CERTLEDGER_\w+)=", dockerfile))
    assert len(named) > 8
    assert named <= SETTINGS


def test_the_settings_of_the_services_are_accepted() -> None:
    values = {"SITE": "ledger.example", "ORIGIN": "ledger.example/log"}
    for name in ("init", "api-1", "api-2"):
        given = {
            key.removeprefix("CERTLEDGER_").lower(): resolved(value, **values)
            for key, value in OURS[name]["environment"].items()
        }
        settings = Settings(**given)
        assert settings.database.startswith("postgresql+psycopg://certledger@database")
        assert settings.client_url == "https://ledger.example"
        assert (settings.log_format, settings.chain_url) == ("json", "http://node:8545")


@pytest.mark.parametrize("name", OURS)
def test_every_command_is_one_of_the_command_line(name: str) -> None:
    command = OURS[name]["command"]
    ended = subprocess.run(
        [sys.executable, "-m", "api.cli", command[0], "--help"],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        cwd=PROJECT,
        env={**os.environ, "COLUMNS": "200"},
    )
    assert ended.returncode == 0
    for option in (part for part in command[1:] if part.startswith("--")):
        assert option in ended.stdout


def test_every_variable_of_the_compose_file_is_explained_and_no_other() -> None:
    asked = set(re.findall(r"\$\{(\w+)", (DEPLOY / "compose.yaml").read_text("utf-8")))
    told = set(re.findall(r"^(\w+)=", ENV, re.MULTILINE))
    assert told - asked == set()
    assert asked - told == {"UPSTREAMS"}  # has a default, and README says when to set it


def test_proxy_and_service_bound_an_export_alike() -> None:
    bound = str(Settings.model_fields["max_import"].default)
    caddyfile = (DEPLOY / "Caddyfile").read_text("utf-8")
    assert f"{{$MAX_IMPORT:{bound}}}" in caddyfile
    assert f"MAX_IMPORT={bound}" in ENV
    for name in ("api-1", "proxy"):
        environment = SERVICES[name]["environment"]
        value = environment.get("CERTLEDGER_MAX_IMPORT") or environment.get("MAX_IMPORT")
        assert resolved(value) == bound


def test_nothing_runs_as_root_or_writes_its_own_files() -> None:
    for name, service in SERVICES.items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        if name == "archive":
            assert service["network_mode"] == "none"  # ends at once, and reaches nothing
            continue
        assert service.get("user", "nobody") not in ("root", "0", "0:0"), name
        assert name == "proxy" or "ports" not in service, name
        assert name == "proxy" or service["networks"] == ["inside"], name
    assert COMPOSE["networks"]["inside"]["internal"] is True


def test_images_of_others_are_named_by_their_digest() -> None:
    dockerfile = (DEPLOY / "Dockerfile").read_text("utf-8")
    bases = re.findall(r"^FROM (\S+)", dockerfile, re.MULTILINE)
    assert len(set(bases)) == 1
    others = {one["image"] for name, one in SERVICES.items() if name not in OURS}
    assert len(others) == 3
    form = re.compile(r"[a-z/]+:v?[0-9]+\.[0-9]+[0-9a-z.-]*@sha256:[0-9a-f]{64}")
    for image in {*bases, *others}:
        assert form.fullmatch(image), image


def test_no_container_takes_the_machine_s_memory() -> None:
    for name, service in SERVICES.items():
        assert re.fullmatch(r"[1-9][0-9]*g", resolved(str(service["mem_limit"]))), name


def test_processes_serve_once_the_tables_are_there_and_have_time_to_stop() -> None:
    for name in ("api-1", "api-2"):
        service = OURS[name]
        assert service["depends_on"]["init"]["condition"] == "service_completed_successfully"
        grace = int(service["stop_grace_period"].removesuffix("s"))
        assert grace >= float(service["environment"]["CERTLEDGER_STOP_DELAY"]) + 20 + 15 + 30
        assert "keys:/data/keys:ro" in service["volumes"]
    assert OURS["init"]["restart"] == "no"


def test_secrets_are_files_and_none_is_in_a_variable() -> None:
    for secret in COMPOSE["secrets"].values():
        assert secret["file"].startswith("./secrets/")
    ignored = (DEPLOY / ".gitignore").read_text("utf-8").split()
    assert {"secrets", ".env"} <= {line.strip("/") for line in ignored}
    assert not re.search(r"(?i)password\s*[:=]\s*[^/\s]", ENV)
    for service in SERVICES.values():
        for name, value in service.get("environment", {}).items():
            assert "PASSWORD" not in name or value.startswith("/run/secrets/")


def test_the_image_is_made_of_what_is_there_by_hash_alone() -> None:
    dockerfile = (DEPLOY / "Dockerfile").read_text("utf-8")
    for line in dockerfile.splitlines():
        if line.startswith("COPY ") and "--from" not in line:
            for source in shlex.split(line)[1:-1]:
                assert (PROJECT / source).exists(), source
    installs = [line for line in dockerfile.splitlines() if "pip install" in line]
    assert ["--require-hashes" in line for line in installs] == [True, False]
    assert "--no-deps --no-build-isolation" in installs[1]
    assert "://" not in dockerfile
    assert re.search(r"^USER (?!root|0)", dockerfile, re.MULTILINE)
    kept = (DEPLOY / "Dockerfile.dockerignore").read_text("utf-8").splitlines()
    assert kept[1] == "*"


def test_no_file_names_a_registry() -> None:
    for path in DEPLOY.rglob("*"):
        if path.is_file() and "secrets" not in path.parts:
            said = path.read_text("utf-8")
            assert not re.search(r"(index-url|docker\.io|ghcr|quay|registry)", said), path
