"""Calls about what happened and what proves it: histories, receipts, evidence, log and chain."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from api.client.connection import Connection, json_of, new_identifier
from audit.evidence.bundle import SUBJECTS
from ledger.proof.notes import NoteKey
from ledger.proof.receipts import verify_receipt
from ledger.statement.statements import Kind


class ProofCalls(Connection):
    """What happened, what proves it, and what anybody may read of log and chain."""

    def history(self, **filters: Any) -> Iterator[dict[str, Any]]:
        """All matching lines, newest first, page by page."""
        before = None
        while True:
            page = json_of(self.get("/v1/history", before=before, **filters))
            yield from page["lines"]
            before = page["next_before"]
            if before is None:
                return

    def notices(
        self, after: int | None = None, *, wait: float | None = None, terminal: str | None = None
    ) -> dict[str, Any]:
        """Released entries above ``after`` that the caller may see (of one ``terminal``), oldest
        first, and ``next_after`` to go on from; with none, waits up to ``wait`` seconds. Without
        ``after``: where to begin."""
        return json_of(self.get("/v1/notices", after=after, wait=wait, terminal=terminal))

    def entry(self, seq: int) -> dict[str, Any]:
        """One entry with its statement, signer and receipt."""
        return json_of(self.get(f"/v1/entries/{seq}"))

    def proof_of_entry(self, seq: int, form: str) -> bytes:
        """That the entry is in the log, as ``tlog-proof`` (C2SP) or ``cose-receipt`` (RFC 9942)."""
        return self.get(f"/v1/entries/{seq}/proof", form=form).content

    def examine(self, receipt: Mapping[str, Any]) -> dict[str, Any]:
        """What the service says of a receipt, check by check, the chain included. `verify` does
        without the service."""
        return json_of(self.post("/v1/verify", {"receipt": receipt}))

    def evidence(self, kind: str, name: str | int, *, fields: bool = True) -> dict[str, Any]:
        """``{bundle, withheld}`` of a lookup (by sequence number), certificate, grant or dispute
        (by identifier)."""
        about = {"kind": kind, SUBJECTS[kind]: name}
        body = {"subject": about, "fields": fields}
        return json_of(self.post("/v1/evidence", body, token=True))

    def examine_bundle(self, bundle: Mapping[str, Any]) -> dict[str, Any]:
        """What the service says of an evidence bundle. `audit.evidence.verification` does without
        it.
        """
        return json_of(self.post("/v1/verify", {"bundle": bundle}))

    def trust(self) -> dict[str, Any]:
        """The trust file as the service tells it; compare it where that matters."""
        return json_of(self.get("/v1/trust", token=False))

    def record_release(self, version: str, assets: Mapping[str, str]) -> dict[str, Any]:
        """``assets``: base64url of SHA-256 by path."""
        listed = [{"path": path, "sha256": digest} for path, digest in assets.items()]
        statement = self.statement(Kind.RELEASE, {"version": version, "assets": listed})
        return json_of(self.post("/v1/releases", {"statement": statement}))

    def begin_deferral(
        self, certificate: str, reader: str, order: str, not_after: int
    ) -> dict[str, Any]:
        """As an auditor: what the key ``reader`` reads about the certificate's holder is not shown
        to them before ``not_after``, Unix seconds; ``order`` is the court's reference."""
        payload = {
            "what": "reading",
            "deferral_id": new_identifier(),
            "certificate_id": certificate,
            "reader": reader,
            "order": order,
            "not_after": not_after,
        }
        statement = self.statement(Kind.DEFERRAL, payload)
        return json_of(self.post("/v1/deferrals", {"statement": statement}))

    def end_deferral(self, deferral_id: str) -> dict[str, Any]:
        """As any auditor."""
        payload = {"what": "end", "deferral_id": deferral_id}
        statement = self.statement(Kind.DEFERRAL, payload)
        return json_of(self.post("/v1/deferrals", {"statement": statement}))

    def releases(self) -> dict[str, Any]:
        """The releases of the software on record, and which of them is served."""
        return json_of(self.get("/v1/releases", token=False))

    def release(self, seq: int) -> dict[str, Any]:
        """One of them: statement, receipt and signer."""
        return json_of(self.get(f"/v1/releases/{seq}", token=False))

    def checkpoints(self, *, before: int | None = None, limit: int | None = None) -> dict[str, Any]:
        """Anchored checkpoints, newest first, and ``next_before``."""
        return json_of(self.get("/v1/checkpoints", token=False, before=before, limit=limit))

    def checkpoint_of(self, size: int) -> dict[str, Any]:
        """The checkpoint of this size, and what the chain says of it now."""
        return json_of(self.get(f"/v1/checkpoints/{size}", token=False))

    def blocks(
        self,
        *,
        before: int | None = None,
        limit: int | None = None,
        anchored: bool | None = None,
    ) -> dict[str, Any]:
        """Blocks of the chain (``anchored``: with an anchor in them), newest first, and
        ``next_before``."""
        asked = {"before": before, "limit": limit, "anchored": anchored}
        return json_of(self.get("/v1/blocks", token=False, **asked))

    def block(self, number: int) -> dict[str, Any]:
        return json_of(self.get(f"/v1/blocks/{number}", token=False))

    def growth(self, points: int | None = None) -> dict[str, Any]:
        """The log's size over time, and how its lookups ended."""
        return json_of(self.get("/v1/growth", token=False, points=points))

    def scan(self, image: bytes, content_type: str = "image/jpeg") -> list[str]:
        """The texts of the QR codes on a picture (JPEG or PNG)."""
        headers = {
            "Authorization": f"Bearer {self.access_token()}",
            "Content-Type": content_type,
        }
        sent = self._send(lambda: self._http.post("/v1/scans", content=image, headers=headers))
        texts: list[str] = json_of(self._checked(sent))["texts"]
        return texts

    def catalogue_public(self) -> dict[str, Any]:
        return json_of(self.get("/v1/catalogue", token=False))

    def log_key(self) -> NoteKey:
        """The log's verifier key as the service tells it; pin it where that matters."""
        return NoteKey.parse(self.catalogue_public()["log"]["verifier"])

    def checkpoint(self) -> str:
        return self.get("/log/checkpoint", token=False).text

    def verify(self, receipt: Mapping[str, Any], log_key: NoteKey) -> None:
        """Raises `ledger.proof.receipts.ReceiptError` unless the receipt proves its entry."""
        verify_receipt(receipt, log_key)
