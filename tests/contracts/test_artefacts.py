"""The committed artefacts belong to the committed sources."""

import hashlib
import json
from importlib.resources import files

import pytest

import contracts


@pytest.mark.parametrize("name", contracts.NAMES)
def test_artefact_names_the_sources_it_was_compiled_from(name: str) -> None:
    folder = files("contracts")
    stored = json.loads(folder.joinpath("artefacts", f"{name}.json").read_text())
    for file, digest in stored["sources"].items():
        assert hashlib.sha256(folder.joinpath(file).read_bytes()).hexdigest() == digest, (
            f"{file} changed: run python -m contracts.compile"
        )
    assert stored["compiler"] == "vyper 0.4.3"


@pytest.mark.parametrize("name", contracts.NAMES)
def test_artefact_loads(name: str) -> None:
    artefact = contracts.load(name)
    assert artefact.name == name
    assert set(artefact.bytecode) == set(artefact.code_hash) == {"cancun", "london"}
    assert all(artefact.bytecode.values())
    assert any(entry["type"] == "event" for entry in artefact.abi)


def test_unknown_contract_is_refused() -> None:
    with pytest.raises(KeyError, match="no contract named"):
        contracts.load("../pyproject")
