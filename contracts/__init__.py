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
#: The rules that they are compiled for. Cancun's take less gas; London's run on every chain.
CANCUN, LONDON = RULES = ("cancun", "london")


@dataclass(frozen=True)
class Artefact:
    """One compiled contract. By rules: ``bytecode`` is what a deploying transaction carries,
    ``code_hash`` the Keccak-256 of what is at its address then."""

    name: str
    abi: tuple[dict[str, Any], ...]
    bytecode: dict[str, bytes]
    code_hash: dict[str, bytes]


@cache
def load(name: str) -> Artefact:
    """The committed artefact of one of `NAMES`; KeyError for any other name."""
    if name not in NAMES:
        raise KeyError(f"no contract named {name!r}; there are {', '.join(NAMES)}")
    text = files(__name__).joinpath("artefacts", f"{name}.json").read_text(encoding="utf-8")
    stored = json.loads(text)
    compiled = stored["compiled"]
    return Artefact(
        name,
        tuple(stored["abi"]),
        {rules: bytes.fromhex(compiled[rules]["bytecode"][2:]) for rules in RULES},
        {rules: bytes.fromhex(compiled[rules]["code_hash"][2:]) for rules in RULES},
    )


def rules_of(name: str, code_hash: bytes) -> str | None:
    """The rules for which the contract was compiled to this code; None: it is no code of it."""
    found = (rules for rules, known in load(name).code_hash.items() if known == code_hash)
    return next(found, None)
