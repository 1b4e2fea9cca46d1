"""What a step of the demo is, what the steps hand on, and what each may ask of the running service.

The steps themselves are `api.show.story_grant`, `api.show.story_lookup` and `api.show.story_audit`;
`api.show.demo` runs them.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import httpx
from rich.console import RenderableType

from api.client import Client, LookupAnswer, device_code
from api.data.settings import Settings
from api.process.serve import ServiceProcess
from api.sample.city import SITES, City
from authz.service_item.model import load_service_items
from ledger.catalogue import load_catalogue
from ledger.chain import ChainClient, Deployment
from ledger.intake.rows import Prepared
from ledger.proof.encoding import sha256
from ledger.proof.entries import Entry
from ledger.proof.notes import NoteKey
from ledger.proof.receipts import verify_receipt

CARD: Final = "resident-identity-card"
COUNTER, KIOSK = "counter-east-1", "kiosk-west-1"
TERMINALS: Final = {COUNTER: "hall-east", KIOSK: "hall-west"}
ITEM, OTHER_ITEM, KIOSK_ITEM = "housing-fund-withdrawal", "notarisation", "age-check"
GRANTED: Final = ("name", "identity_number")
BUSINESS: Final = "GJJ-2026-000118"
#: How long what follows an answer (keys and statuses on chain) may take, seconds.
PATIENCE: Final = 15.0


class Unexpected(Exception):
    """A step came out other than it should."""

    def __init__(self, what: str, expected: object, got: object) -> None:
        super().__init__(f"{what}: expected {expected!r}, got {got!r}")
        self.what, self.expected, self.got = what, expected, got


def expect(what: str, got: object, expected: object) -> None:
    if got != expected:
        raise Unexpected(what, expected, got)


@dataclass(frozen=True, slots=True)
class Words:
    """A step in one language. ``told`` is filled in with what the step found out."""

    title: str
    told: str
    why: str
    columns: Sequence[str] = ()
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Told:
    """What a step found out, and what it wants shown above its sentences."""

    facts: Mapping[str, object]
    shown: Sequence[RenderableType] = ()


@dataclass(frozen=True, slots=True)
class Step:
    key: str
    run: Callable[[Story, Words], Told]
    words: Mapping[str, Words]


@dataclass
class Story:
    """What the steps hand on to those after them."""

    folder: Path
    samples: Path | None
    language: str
    began: float = field(default_factory=time.monotonic)
    receipts: int = 0
    # Set by the steps, in the order of the story.
    person: Prepared = field(init=False)
    city: City = field(init=False)
    holder: Client = field(init=False)
    card: str = field(init=False)
    grant: Mapping[str, Any] = field(init=False)
    released: LookupAnswer = field(init=False)
    at_kiosk: LookupAnswer = field(init=False)
    size: int = 0
    blocks: int = 0

    @property
    def environment(self) -> dict[str, str]:
        """Every setting at its default: a database or chain that the caller's environment names
        for real work must never be touched."""
        told = Settings.model_construct().environment()
        ours = {"CERTLEDGER_DATA", "CERTLEDGER_HOST", "CERTLEDGER_PORT"}  # the process sets them
        return {name: value for name, value in told.items() if name not in ours}

    @cached_property
    def service(self) -> ServiceProcess:
        return ServiceProcess(self.folder / "data", environment=self.environment)

    @property
    def settings(self) -> Settings:
        return Settings.model_construct(data=self.service.data, port=self.service.port)

    @cached_property
    def log_key(self) -> NoteKey:
        return self.city.operator.log_key()

    @cached_property
    def chain(self) -> ChainClient:
        """The chain as an outsider reads it: an account of its own, enrolled nowhere."""
        deployment = json.loads((self.service.data / "deployment.json").read_bytes())
        return ChainClient(
            self.node_url, account_key=os.urandom(32), deployment=Deployment.from_json(deployment)
        )

    @property
    def node_url(self) -> str:
        node = json.loads((self.service.data / "node" / "node.json").read_text())
        return str(node["url"])

    def block_number(self) -> int:
        question = {"jsonrpc": "2.0", "id": 1, "method": "eth_blockNumber", "params": []}
        answer = httpx.post(self.node_url, json=question, timeout=10, trust_env=False)
        return int(answer.json()["result"], 16)

    def ready(self) -> dict[str, Any]:
        with Client(self.service.url) as anybody:
            answer: dict[str, Any] = anybody.get("/readyz", token=False).json()
        return answer

    def prove(self, receipt: Mapping[str, Any]) -> Entry:
        """The receipt's entry, once it is proven: against the log's key, and by the contract."""
        entry, checkpoint = verify_receipt(receipt, self.log_key)
        log_id = sha256(b"certledger log\0" + checkpoint.origin.encode())
        anchor = self.chain.anchor_of(log_id, checkpoint.size)
        expect("the anchored root", None if anchor is None else anchor.root, checkpoint.root)
        self.receipts += 1
        return entry

    def scan(
        self,
        terminal: str = COUNTER,
        *,
        item: str = ITEM,
        fields: Sequence[str] = GRANTED,
    ) -> tuple[LookupAnswer, str]:
        """The terminal scans what the holder's phone shows now; the answer and what was asked."""
        client = self.city.terminals[terminal]
        code = device_code(self.grant["code"], time.time_ns() // 1_000_000)
        asked = client.lookup_statement(
            {"code": code}, fields=fields, service_item=item, business_number=BUSINESS
        )
        return client.send_lookup(asked), asked

    def say(self, **texts: str) -> str:
        return texts[self.language]

    def item_name(self, code: str) -> str:
        item = load_service_items()[code]
        return self.say(zh=item.name_zh, en=item.name_en)

    def field_name(self, name: str) -> str:
        kind = load_catalogue().type(CARD)
        labels = {one.name: one.label for one in kind.fields}
        labels |= {one.name: one.label for one in kind.derived}
        return self.say(zh=labels[name].zh, en=labels[name].en)

    def site_name(self, terminal: str) -> str:
        _, zh, en = SITES[TERMINALS[terminal]]
        return self.say(zh=zh, en=f"the {en}")

    def stop(self) -> None:
        if "city" in self.__dict__:
            self.city.close()
        if "holder" in self.__dict__:
            self.holder.close()
        if "service" in self.__dict__:
            self.service.stop()


def step(
    steps: list[Step], *, zh: Words, en: Words
) -> Callable[[Callable[[Story, Words], Told]], Callable[[Story, Words], Told]]:
    """Adds a function to these steps, with its words; its name is the step's key."""

    def add(run: Callable[[Story, Words], Told]) -> Callable[[Story, Words], Told]:
        steps.append(Step(run.__name__, run, {"zh": zh, "en": en}))
        return run

    return add


def wait_until(look: Callable[[], object], what: str) -> None:
    """Keys and statuses reach the contracts just after the answer."""
    deadline = time.monotonic() + PATIENCE
    while look() is None:
        if time.monotonic() > deadline:
            raise Unexpected(what, f"within {PATIENCE:.0f} s", "not yet")
        time.sleep(0.1)
