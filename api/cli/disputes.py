"""Disputes: a holder says that a use was wrong, an auditor asks about it and settles it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from api.cli.names import DisputeId, within_log
from api.cli.options import Json, KeyFile, Url, client_of
from api.cli.output import columns, entry_number, folded, local_time, show

app = typer.Typer()
dispute_app = typer.Typer(
    help="A holder disputes a line of their history; an auditor asks and settles it.",
    no_args_is_help=True,
)
app.add_typer(dispute_app, name="dispute", rich_help_panel="Audit")


@dispute_app.command("open")
def open_dispute(
    entry: Annotated[int, typer.Argument(min=0, help="Number of the line, as trace shows it.")],
    key: KeyFile,
    cause: Annotated[
        str, typer.Option(help="What was wrong: not_me, wrong_fields, wrong_purpose or other.")
    ],
    text: Annotated[
        str | None, typer.Option(help="What happened; for the auditor, not for the department.")
    ] = None,
    url: Url = "",
    as_json: Json = False,
) -> None:
    """Dispute a lookup or a grant, as the holder: nothing more is released under the grant."""
    with client_of(url, key) as client, within_log(client, entry):
        answer = client.open_dispute(entry, cause, text)
    told = f"disputed: {answer['dispute_id']} (entry {entry_number(answer)})"
    show(answer, as_json, f"{told}\nfrozen: grant {answer['grant_id']}")


@dispute_app.command("list")
def list_disputes(
    key: KeyFile,
    state: Annotated[
        str | None, typer.Option(help="Only these: open, upheld, rejected or withdrawn.")
    ] = None,
    url: Url = "",
    as_json: Json = False,
) -> None:
    """Holders see their own, auditors all, institutions those about their own lookups."""
    with client_of(url, key) as client:
        found = list(client.disputes(state))
    lines = [line for each in found for line in _lines(each)]
    show({"disputes": found}, as_json, "\n".join(lines) or "nothing is disputed")


@dispute_app.command("resolve")
def resolve(
    dispute_id: DisputeId,
    key: KeyFile,
    outcome: Annotated[
        str, typer.Option(help="upheld: the grant stays frozen; rejected: it is good again.")
    ],
    text: Annotated[str, typer.Option(help="The grounds, for both sides to read.")],
    url: Url = "",
    as_json: Json = False,
) -> None:
    """Settle a dispute, as an auditor."""
    with client_of(url, key) as client:
        answer = client.resolve_dispute(dispute_id, outcome, text)
    show(answer, as_json, f"{answer['state']}: {dispute_id} (entry {entry_number(answer)})")


@dispute_app.command("ask")
def ask(
    dispute_id: DisputeId,
    key: KeyFile,
    to: Annotated[str, typer.Option(help="Who is to answer: holder or department.")],
    text: Annotated[str, typer.Option(help="The question; the holder reads it in any case.")],
    url: Url = "",
    as_json: Json = False,
) -> None:
    """Ask about an open dispute, as an auditor."""
    with client_of(url, key) as client:
        answer = client.ask_dispute(dispute_id, to, text)
    show(answer, as_json, f"asked: question {answer['seq']} of {dispute_id}")


@dispute_app.command("answer")
def answer(
    dispute_id: DisputeId,
    question: Annotated[int, typer.Argument(min=0, help="Number of the question, as listed.")],
    key: KeyFile,
    text: Annotated[str, typer.Option(help="The answer; holder and auditor read it.")],
    url: Url = "",
    as_json: Json = False,
) -> None:
    """Answer a question, as the holder or a key of the department that was asked."""
    with client_of(url, key) as client:
        answered = client.answer_dispute(dispute_id, question, text)
    show(answered, as_json, f"answered: question {question} (entry {entry_number(answered)})")


@dispute_app.command("withdraw")
def withdraw(
    dispute_id: DisputeId,
    key: KeyFile,
    text: Annotated[str | None, typer.Option(help="Why, if there is anything to say.")] = None,
    url: Url = "",
    as_json: Json = False,
) -> None:
    """Take a dispute back, as the holder who opened it."""
    with client_of(url, key) as client:
        answer = client.withdraw_dispute(dispute_id, text)
    show(answer, as_json, f"withdrawn: {dispute_id} (entry {entry_number(answer)})")


def _lines(each: dict[str, Any]) -> list[str]:
    """One dispute; identifiers stay whole."""
    cause = f"{each['cause']}: {each['text']}" if each.get("text") else each["cause"]
    rows = [("line", str(each["disputed_seq"])), ("cause", cause), ("grant", each["grant_id"])]
    if each["certificate"]:
        rows.append(("certificate", each["certificate"]))
    for question in each.get("questions", ()):
        rows.append((
            f"question {question['seq']}",
            _said(f"to the {question['to']}, {local_time(question['asked_ms'])}", question),
        ))  # fmt: skip
        answer = question.get("answer")
        if answer is not None:
            rows.append(("answer", _said(local_time(answer["answered_ms"]), answer)))
    resolution = each.get("resolution")
    if resolution is not None:
        rows.append(("settled", _said(local_time(each["resolved_ms"]), resolution)))
    place = [
        f"{word} {each[name]}"
        for word, name in (
            ("at", "site"),
            ("terminal", "terminal"),
            ("department", "department"),
            ("for", "service_item"),
            ("case", "business_number"),
            ("staff", "staff"),
        )
        if each.get(name)
    ]
    return [
        f"{each['dispute_id']}  {each['state']}, since {local_time(each['opened_ms'])}",
        *(f"  {line}" for line in columns(rows)),
        *([folded(place)] if place else []),
    ]


def _said(head: str, said: Mapping[str, Any]) -> str:
    """What was said, as far as this reader may have it."""
    return f"{head}: {said['text']}" if said.get("text") else head
