// What this browser is sent, held against the release of the software that is on record: as
// api/pages/release_check.py does from another machine. docs/formats.md, "Releases of the software".

import { base64url, canonicalJson, sha256, utf8 } from "../../core/bytes.js";
import { thumbprint } from "../../core/keys.js";
import { verifyReceipt } from "../../core/proof.js";
import { Failed, FormError } from "./evidence/faults.js";
import { readPayload } from "./evidence/payloads.js";
import { openStatement, readHeader } from "./evidence/statements.js";

const KIND = "certledger-release+jwt";
const WORKER = "/wallet-worker.js";
// Names of institutions and sites: data, which no release has.
const NAMES = "/assets/names.json";
// In HTML, scripts and styles alike: a path of an asset, or of a module from where it stands.
const LOADED = /["'(]((?:\/assets|\.{1,2})\/[A-Za-z0-9._/-]+\.[a-z0-9]+)["')#?]/g;
const AT_ONCE = 6;
const TRIES = 3;
const PATIENCE = 20_000; // milliseconds for one of them

/**
 * @typedef {{seq: number, time: number, version: string, digest: string, signer: string, parts: number,
 *   newest: boolean, anchored: boolean}} Found
 * @typedef {{state: "unrecorded" | "unproven", found?: undefined} |
 *   {state: "compared", found: Found, changed: string[], missing: string[]}} Outcome `changed`: other
 *   than on record, or loaded and on no record; `missing`: not answered, so nobody knows
 */

/**
 * @param {import("../../core/api.js").Api} api
 * @param {string} verifier the log's verifier key
 * @param {(done: number, of: number) => void} progress
 * @returns {Promise<Outcome>} throws Problem, Unreachable
 */
export async function compare(api, verifier, progress) {
  const { served, releases } = await api.get("/v1/releases", {}, { token: false });
  const listed = releases.find(({ release }) => release === served.release);
  if (!listed) return { state: "unrecorded" };
  const shown = await api.get(`/v1/releases/${listed.seq}`, {}, { token: false });
  const release = await prove(shown, verifier).catch((error) => {
    if (error instanceof Failed || error instanceof FormError) return null;
    throw error;
  });
  if (!release) return { state: "unproven" };
  const { assets, ...found } = release;
  const changed = [], missing = [], loaded = new Set([location.pathname]);
  let done = 0;
  const waiting = [...assets];
  const worker = async () => {
    for (let asset = waiting.shift(); asset; asset = waiting.shift()) {
      const body = await answered(asset.path);
      const digest = body && base64url(await sha256(body));
      if (digest !== asset.sha256) (body === undefined ? missing : changed).push(asset.path);
      for (const path of loads(asset.path, body)) loaded.add(path);
      progress(++done, assets.length);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
  // A record of some parts says nothing of the others.
  for (const { path } of assets) loaded.delete(path);
  loaded.delete(NAMES);
  changed.push(...loaded);
  const newest = releases[0].seq === listed.seq;
  return { state: "compared", found: { ...found, parts: assets.length, newest }, changed: changed.sort(), missing: missing.sort() };
}

/** The release that the log proves; throws Failed, FormError. */
async function prove({ statement: token, receipt, signer }, verifier) {
  const { entry, checks, verified } = await verifyReceipt(receipt, verifier);
  if (!entry || checks.some(({ ok }) => ok === false)) throw new Failed("receipt");
  const header = readHeader(token);
  if (await thumbprint(signer) !== header.kid) throw new Failed("signer");
  const ledger = verifier.slice(0, verifier.indexOf("+"));
  const { kind, kid, payload, digest } = await openStatement(token, header, signer, ledger);
  const { version, assets } = readPayload(kind, payload);
  const subject = base64url(await sha256(utf8(canonicalJson({ assets, version }))));
  const said = [kind, kid, base64url(digest), "release", subject];
  const recorded = [KIND, entry.actor, entry.statement, entry.kind, entry.subject];
  if (said.some((value, at) => value !== recorded[at])) throw new Failed("entry");
  return { seq: entry.seq, time: entry.time, version, digest: subject, signer: kid, anchored: verified, assets };
}

/** Paths that this answer makes a browser load. */
function loads(path, body) {
  if (!body || path.endsWith(".json") || path.includes("?")) return []; // words
  const found = new TextDecoder("latin1").decode(body).matchAll(LOADED);
  return [...found].map(([, to]) => new URL(to, new URL(path, location.origin)).pathname);
}

/** What is answered there; null where a release cannot have that; undefined where there is no answer. */
async function answered(path) {
  for (let attempt = 1; attempt <= TRIES; attempt++) {
    try {
      const response = await fetch(path, {
        cache: "no-store", credentials: "omit", redirect: "error", signal: AbortSignal.timeout(PATIENCE),
        headers: { "Accept-Language": "*" }, // a page's words are of the first language then
      });
      if (response.ok) return asRecorded(path, new Uint8Array(await response.arrayBuffer()));
      if (response.status < 500) return null;
    } catch {
      // Cut off, away or too slow: once more.
    }
    await new Promise((resolve) => setTimeout(resolve, 1000 * attempt));
  }
  return undefined;
}

/** What of an answer a release's digest is of: as `as_recorded` in api/pages/release.py. */
function asRecorded(path, body) {
  if (path !== WORKER) return body;
  const end = body.indexOf(10);
  const [, kept] = /^const SHELL = (.*);$/.exec(new TextDecoder().decode(body.slice(0, Math.max(end, 0)))) ?? [];
  try {
    JSON.parse(kept);
  } catch {
    return null;
  }
  return body.slice(end + 1);
}
