// Verify now: a line recomputed in this browser, then held against the chain, check by check.

import { base64url, canonicalJson, fromBase64, sha256, utf8 } from "../../core/bytes.js";
import { catalogue } from "../../core/i18n.js";
import { thumbprint } from "../../core/keys.js";
import { verifyReceipt } from "../../core/proof.js";
import { read } from "../../core/statements.js";

const OF_THE_SERVICE = ["leaf", "anchor", "transaction"];

/**
 * All checks of one answer of GET /v1/entries/{seq}, in order, each as soon as it is known.
 * @returns {AsyncGenerator<import("../../core/proof.js").Check>}
 */
export async function* checkEntry(api, { entry, receipt, statement, actor }) {
  const outcome = await verifyReceipt(receipt, catalogue.log.verifier);
  for (const check of outcome.checks) {
    const other = check.name === "entry" && check.ok && canonicalJson(entry) !== canonicalJson(receipt.entry);
    yield other ? { name: "entry", ok: false, detail: "entry.other" } : check;
  }
  yield await digestCheck(entry, statement.token);
  yield await signatureCheck(entry, statement.token, actor);
  if (receipt?.state !== "anchored") return;
  const answer = await api.post("/v1/verify", { receipt });
  yield* answer.checks.filter(({ name }) => OF_THE_SERVICE.includes(name));
  if (outcome.checkpoint) yield await rootCheck(api, outcome);
}

async function digestCheck(entry, token) {
  if (!token) return { name: "digest", ok: null, detail: "statement.withheld" };
  const same = base64url(await sha256(utf8(token))) === entry.statement;
  return { name: "digest", ok: same, detail: same ? "digest.same" : "digest.other" };
}

async function signatureCheck(entry, token, actor) {
  const name = "statement";
  if (!token) return { name, ok: null, detail: "statement.withheld" };
  try {
    const { header } = read(token);
    if (header.kid !== entry.actor || await thumbprint(actor.jwk) !== entry.actor) {
      return { name, ok: false, detail: "statement.other_key" };
    }
    const algorithm = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };
    const key = await crypto.subtle.importKey("jwk", actor.jwk, algorithm, false, ["verify"]);
    const end = token.lastIndexOf(".");
    const ok = await crypto.subtle.verify(algorithm, key, fromBase64(token.slice(end + 1)), utf8(token.slice(0, end)));
    return { name, ok, detail: ok ? "statement.valid" : "signature.invalid" };
  } catch {
    return { name, ok: false, detail: "signature.invalid" };
  }
}

/** The root that this browser worked out, and the one that the contract has. */
async function rootCheck(api, { root, checkpoint }) {
  const name = "root";
  try {
    const { chain } = await api.get(`/v1/checkpoints/${checkpoint.size}`, {}, { token: false });
    const same = root !== null && chain.root === `0x${root}`;
    return { name, ok: same, detail: same ? "root.same" : "anchor.other_root" };
  } catch (error) {
    const missing = error.status === 404;
    return { name, ok: missing ? false : null, detail: missing ? "anchor.missing" : "chain.unavailable" };
  }
}
