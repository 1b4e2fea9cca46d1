"""Compile the Vyper sources into the committed artefacts, or check that they still agree.

    python -m contracts.compile            write contracts/artefacts/*.json
    python -m contracts.compile --check    exit 1 and name what differs

Runs in an environment that has Vyper, which cannot share one with the rest (see pyproject.toml); it
imports nothing else that is not in the standard library.
"""

import argparse
import hashlib
import json
import sys
from pathlib import Path
from typing import Any

from contracts import NAMES, RULES

HERE = Path(__file__).parent
# Sources that a contract is made of besides its own file.
SHARED = ("ownership.vy",)


def compiled(name: str) -> dict[str, Any]:
    """The artefact as it should be on disk: once for each of the rules."""
    import vyper
    from vyper.compiler import compile_from_file_input
    from vyper.compiler.input_bundle import FilesystemInputBundle
    from vyper.compiler.settings import Settings
    from vyper.utils import keccak256

    bundle = FilesystemInputBundle([HERE])
    source = bundle.load_file(f"{name}.vy")
    formats = ["abi", "bytecode", "bytecode_runtime"]
    made = {
        rules: compile_from_file_input(
            source,
            input_bundle=bundle,
            output_formats=formats,
            settings=Settings(evm_version=rules),
        )
        for rules in RULES
    }
    return {
        "name": name,
        "compiler": f"vyper {vyper.__version__}",
        "sources": {
            file: hashlib.sha256((HERE / file).read_bytes()).hexdigest()
            for file in (f"{name}.vy", *SHARED)
        },
        "abi": made[RULES[0]]["abi"],
        "compiled": {
            rules: {
                "bytecode": out["bytecode"],
                # None of them has immutable members: this is the code at its address.
                "code_hash": "0x" + keccak256(bytes.fromhex(out["bytecode_runtime"][2:])).hex(),
            }
            for rules, out in made.items()
        },
    }


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m contracts.compile", description=__doc__)
    parser.add_argument("--check", action="store_true", help="compare instead of writing")
    check = parser.parse_args(argv).check
    stale = []
    for name in NAMES:
        text = json.dumps(compiled(name), indent=1, sort_keys=True) + "\n"
        target = HERE / "artefacts" / f"{name}.json"
        if not check:
            target.parent.mkdir(exist_ok=True)
            target.write_text(text, encoding="utf-8")
        elif not target.exists() or target.read_text(encoding="utf-8") != text:
            stale.append(target.name)
    if stale:
        print(f"artefacts differ from their sources: {', '.join(stale)}", file=sys.stderr)
        print("run: python -m contracts.compile", file=sys.stderr)
        return 1
    print(f"{len(NAMES)} contracts {'agree with their artefacts' if check else 'compiled'}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
