"""The contracts as committed artefacts, ABI and creation bytecode: running needs no compiler.

Not its job: compiling (`python -m contracts.compile`, in an environment with Vyper), or talking to
a chain (`ledger.chain`).
"""

import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

NAMES = ("directory", "checkpoint_log", "status_registry")


@dataclass(frozen=True)
class Artefact:
    """One compiled contract: `bytecode` is what a deploying transaction carries."""

    name: str
    abi: tuple[dict[str, Any], ...]
    bytecode: bytes


@cache
def load(name: str) -> Artefact:
    """The committed artefact of one of `NAMES`; KeyError for any other name."""
    if name not in NAMES:
        raise KeyError(f"no contract named {name!r}; there are {', '.join(NAMES)}")
    text = files(__name__).joinpath("artefacts", f"{name}.json").read_text(encoding="utf-8")
    stored = json.loads(text)
    return Artefact(name, tuple(stored["abi"]), bytes.fromhex(stored["bytecode"][2:]))
