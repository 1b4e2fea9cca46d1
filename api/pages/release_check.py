"""What a service answers, held against the release on record and against what is installed here.

From outside of the service, which the page's own comparison is not: the script that compares there
comes from the service, too. What it does not show: that others get the same answers as this caller.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import parse_qsl, urljoin

from api.client import Client, ServiceError
from api.pages.release import Software, as_recorded, software
from api.pages.routes import PAGES
from api.pages.worker import PATH as WORKER
from ledger.proof.encoding import b64url, sha256
from ledger.proof.notes import NoteKey
from ledger.proof.receipts import ReceiptError, verify_receipt
from ledger.record.releases import recorded
from ledger.statement.kinds import Release
from ledger.statement.statements import Kind, StatementError, load_public_key, verify


class NotOnRecord(Exception):
    """The service shows no release that its log proves; the message says what is wrong."""


@dataclass(frozen=True, slots=True)
class Found:
    """``changed``: paths whose answer is not the one on record. ``unlisted``: pages, and what they
    load, that are not in the record. ``newest``: whether no other release was recorded since."""

    seq: int
    time_ms: int
    signer: str
    software: Software
    changed: tuple[str, ...]
    unlisted: tuple[str, ...]
    newest: bool

    @property
    def unlike_installed(self) -> tuple[str, ...] | None:
        """Paths in which the record is not what is installed here; None where that is another
        version."""
        ours = [software(sample=sample) for sample in (False, True)]
        if all(one.version != self.software.version for one in ours):
            return None
        differing = [_differing(self.software.assets, one.assets) for one in ours]
        return min(differing, key=len)


def _differing(one: Mapping[str, str], other: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(sorted({path for path, _ in one.items() ^ other.items()}))


def check_assets(client: Client, log_key: NoteKey) -> Found:
    """Fetch and compare. Raises NotOnRecord, ServiceError, ServiceUnreachable."""
    try:
        listed = client.releases()
        served, releases = listed["served"]["release"], listed["releases"]
        seqs = [int(one["seq"]) for one in releases if one["release"] == served]
        newest = [int(one["seq"]) for one in releases[:1]]
    except (LookupError, TypeError, ValueError) as error:
        raise NotOnRecord("what the service lists of its releases has another form") from error
    if not seqs:
        raise NotOnRecord("what the service says that it serves is on no record that it shows")
    seq = seqs[0]
    try:
        shown = client.release(seq)
        entry, _ = verify_receipt(shown["receipt"], log_key)
        key = load_public_key(shown["signer"])
        statement = verify(shown["statement"], key, client.ledger)
        release = Release.parse(statement.payload)
    except (ReceiptError, StatementError) as error:
        raise NotOnRecord(f"the record of entry {seq} does not verify: {error}") from error
    except (LookupError, TypeError) as error:
        raise NotOnRecord(f"the record of entry {seq} has another form") from error
    draft = recorded(release)
    signed = (statement.kind, statement.kid, statement.digest, draft.kind, draft.subject)
    if signed != (Kind.RELEASE, entry.actor, entry.statement_digest, entry.kind, entry.subject):
        raise NotOnRecord(f"entry {seq} is not of the statement that is shown with it")
    known = Software(release.version, {asset.path: asset.sha256 for asset in release.assets})
    bodies = {path: _answer(client, path) for path in known.assets}
    changed = tuple(
        path
        for path, digest in known.assets.items()
        if (body := bodies[path]) is None or b64url(sha256(body)) != digest
    )
    pages = {WORKER, *(page.path for page in PAGES)}
    loaded = {path for of, body in bodies.items() for path in loads(of, body or b"")}
    unlisted = tuple(sorted((pages | loaded) - known.assets.keys() - {NAMES}))
    return Found(entry.seq, entry.time_ms, entry.actor, known, changed, unlisted, newest == [seq])


#: Names of institutions and sites: data, which no release has.
NAMES: Final = "/assets/names.json"
#: In HTML, scripts and styles alike: a path of an asset, or of a module from where it stands.
_LOADED: Final = re.compile(rb"""["'(]((?:/assets|\.{1,2})/[A-Za-z0-9._/-]+\.[a-z0-9]+)["')#?]""")


def loads(path: str, body: bytes) -> set[str]:
    """Paths that this answer makes a browser load."""
    if path.endswith(".json") or "?" in path:  # words
        return set()
    return {urljoin(path, found.decode()) for found in _LOADED.findall(body)}


def _answer(client: Client, path: str) -> bytes | None:
    """What is answered there, as a release has it."""
    bare, _, query = path.partition("?")
    try:
        answer = client.get(bare, token=False, **dict(parse_qsl(query)))
        return as_recorded(path, answer.content)
    except ServiceError:
        return None


def to_json(found: Found) -> dict[str, Any]:
    unlike = found.unlike_installed
    return {
        "release": {
            "seq": found.seq,
            "time_ms": found.time_ms,
            "version": found.software.version,
            "digest": found.software.digest,
            "signer": found.signer,
            "assets": len(found.software.assets),
            "newest": found.newest,
        },
        "changed": list(found.changed),
        "unlisted": list(found.unlisted),
        **({} if unlike is None else {"unlike_installed": list(unlike)}),
    }
