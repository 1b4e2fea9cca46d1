"""A report for people of an evidence bundle, made without the service."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from api.cli.evidence import evidence_in, readable, trust_in
from api.cli.failures import Answer, WrongInput
from api.cli.options import Json, Url, out_option, settings_of
from api.cli.output import show, write_whole

app = typer.Typer()


@app.command(rich_help_panel="Audit")
def report(
    bundle: Annotated[Path, typer.Argument(help="The evidence bundle.")],
    trust_file: Annotated[
        Path, typer.Option("--trust", help="Whom to trust: the consortium's file.")
    ],
    out: Annotated[Path, out_option("Write the PDF here.", "--out")],
    lang: Annotated[str, typer.Option(help="zh-CN or en.")] = "zh-CN",
    url: Url = "",
    as_json: Json = False,
) -> None:
    """A PDF to read and print of what an evidence bundle proves, offline. Its QR code leads to the
    public check of the service at --url.

    Exit 0: verified. 1: something failed, or is withheld; the report says so. 2: not a bundle, or
    not a trust file.
    """
    from api.client import service_address
    from api.media.report import names_of, read, report_pdf
    from audit.evidence.verification import VERIFIED
    from audit.report.content import LANGUAGES

    if lang not in LANGUAGES:
        raise WrongInput("--lang is one of " + ", ".join(LANGUAGES))
    with readable(bundle, "evidence", "certledger evidence"):
        evidence = read(evidence_in(bundle))
    settings = settings_of()
    drawn = report_pdf(
        evidence,
        trust_in(trust_file),
        names_of(lang),
        language=lang,
        made_ms=time.time_ns() // 1_000_000,
        base_url=service_address(url or settings.client_url),
        font=settings.report_font,
    )
    write_whole(out, drawn.pdf)
    told = {"file": str(out), "bytes": len(drawn.pdf), "verdict": drawn.verdict}
    show(told, as_json, f"{out}: {len(drawn.pdf)} bytes\nverdict: {drawn.verdict}")
    if drawn.verdict != VERIFIED:
        raise Answer(f"not verified: {drawn.verdict}")
