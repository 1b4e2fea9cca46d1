// What a receipt proves, worked out by the browser itself: nobody is asked, nothing is sent.
//
// docs/formats.md, "Receipts": the entry's canonical bytes hash to a leaf (RFC 6962), the proof
// leads from it to a root (RFC 9162 2.1.3.2), the root stands in a checkpoint (C2SP tlog-checkpoint)
// that the log's key signed (C2SP signed-note, Ed25519). Whether the checkpoint is anchored is the
// chain's to say. Checks and details are named as in audit/evidence/receipt_checks.py.

import { base64url, canonicalJson, concat, fromBase64, hex, sameBytes, sha256, utf8 } from "./bytes.js";
import { OPTIONAL, REQUIRED, isClosed } from "./entries.js";

const HASH_BYTES = 32;
const ED25519 = 1;
const UNSUPPORTED = "browser.unsupported";
const SKIPPED = [null, "skipped"];

/**
 * @typedef {{name: string, ok: boolean | null, detail: string}} Check `ok` is null where the
 *   browser could not tell: nothing to look at (`skipped`), or `browser.unsupported`
 * @typedef {{hash: string, sibling: string, side: "left" | "right"}} Step from `hash` up, beside
 *   `sibling`, which stands on `side`; all hashes here are hex
 * @typedef {{verified: boolean, checks: Check[], path: Step[], leaf: string | null, root: string | null,
 *   entry: object | null, checkpoint: {origin: string, size: number, root: string} | null}} Outcome
 *   `root` is the one that the proof leads to; `verified` when all checks are true
 */

/**
 * Whatever `receipt` is, the answer is a list of checks, never an error.
 * @param {unknown} receipt
 * @param {string} verifier the log's verifier key, `name+hash+base64`
 * @returns {Promise<Outcome>}
 */
export async function verifyReceipt(receipt, verifier) {
  const given = receipt !== null && typeof receipt === "object" ? receipt : {};
  const anchored = given.state === "anchored" && typeof given.checkpoint === "string";
  const entry = readEntry(given.entry);
  const note = anchored ? readNote(given.checkpoint) : null;
  const checkpoint = note?.checkpoint ?? null;
  const key = await readVerifier(verifier).catch(() => null);
  const leaf = entry && await leafHash(entry).catch(() => null);
  const climbed = leaf && checkpoint && await climb(leaf, entry.seq, checkpoint.size, readProof(given.proof));
  const found = {
    form: anchored ? [true, "form.receipt"]
      : given.state === "pending" ? [null, "form.pending"] : [false, "form.malformed"],
    entry: entry ? [true, "entry.canonical"] : [false, "entry.malformed"],
    inclusion: !anchored || !entry || !checkpoint ? SKIPPED : inclusion(climbed, leaf, checkpoint),
    signature: !anchored ? SKIPPED : await signature(note, key),
    origin: !anchored || !checkpoint || !key ? SKIPPED
      : checkpoint.origin === key.name ? [true, "origin.own"] : [false, "origin.other"],
  };
  const checks = Object.entries(found).map(([name, [ok, detail]]) => ({ name, ok, detail }));
  return {
    verified: checks.every((check) => check.ok === true),
    checks,
    path: climbed?.path ?? [],
    leaf: leaf && hex(leaf),
    root: climbed?.root ? hex(climbed.root) : null,
    entry,
    checkpoint: checkpoint && {
      origin: checkpoint.origin, size: Number(checkpoint.size), root: hex(checkpoint.root),
    },
  };
}

/** RFC 6962: SHA-256(0x00 ‖ canonical entry). */
export const leafHash = (entry) => sha256(concat(new Uint8Array([0]), utf8(canonicalJson(entry))));

const nodeHash = (left, right) => sha256(concat(new Uint8Array([1]), left, right));

function inclusion(climbed, leaf, checkpoint) {
  if (!leaf) return [null, UNSUPPORTED];
  if (!climbed?.root) return [false, "inclusion.malformed"];
  return sameBytes(climbed.root, checkpoint.root) ? [true, "inclusion.proven"] : [false, "inclusion.other_root"];
}

async function signature(note, key) {
  if (!note) return [false, "checkpoint.malformed"];
  if (!key) return [null, "verifier.malformed"];
  const line = note.signatures.find(({ name, bytes }) =>
    name === key.name && sameBytes(bytes.slice(0, 4), key.id));
  if (!line) return [false, "signature.invalid"];
  let imported;
  try {
    imported = await crypto.subtle.importKey("raw", key.bytes, { name: "Ed25519" }, false, ["verify"]);
  } catch {
    return [null, UNSUPPORTED]; // a browser from before Ed25519 in WebCrypto
  }
  return await crypto.subtle.verify({ name: "Ed25519" }, imported, line.bytes.slice(4), utf8(note.text))
    ? [true, "signature.valid"] : [false, "signature.invalid"];
}

/** From the leaf to the root; BigInt, because a note may name a size beyond 2^53. */
async function climb(leaf, seq, size, proof) {
  const path = [];
  let node = BigInt(seq);
  if (node >= size || !proof) return { path, root: null };
  let last = size - 1n;
  let hash = leaf;
  for (const sibling of proof) {
    if (last === 0n) return { path, root: null };
    const left = (node & 1n) === 1n || node === last;
    path.push({ hash: hex(hash), sibling: hex(sibling), side: left ? "left" : "right" });
    hash = left ? await nodeHash(sibling, hash) : await nodeHash(hash, sibling);
    while (left && (node & 1n) === 0n && node !== 0n) {
      node >>= 1n;
      last >>= 1n;
    }
    node >>= 1n;
    last >>= 1n;
  }
  return { path, root: last === 0n ? hash : null };
}

// --- reading: null for what is not in its one form -------------------------------------------------

/** An entry of version 2 with exactly the members of its kind. */
function readEntry(value) {
  if (value === null || typeof value !== "object" || Array.isArray(value)) return null;
  const names = Object.keys(value);
  const texts = names.filter((name) => !["v", "seq", "time"].includes(name)).map((name) => value[name]);
  const right = names.every((name) => REQUIRED.includes(name) || OPTIONAL.includes(name))
    && REQUIRED.every((name) => names.includes(name))
    && value.v === 2
    && [value.seq, value.time].every((number) => Number.isSafeInteger(number) && number >= 0)
    && texts.every((text) => typeof text === "string" && !/\p{Surrogate}/u.test(text))
    && [value.statement, value.salt].every(isBase64url)
    && value.statement.length === 43 && value.salt.length === 22
    && isClosed(value);
  return right ? value : null;
}

/** The one spelling: no padding, no other character, unused bits zero. */
function isBase64url(text) {
  return /^[A-Za-z0-9_-]*$/.test(text) && text.length % 4 !== 1 && base64url(fromBase64(text)) === text;
}

const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;
const strictBase64 = (text) => (typeof text === "string" && BASE64.test(text) ? fromBase64(text) : null);

function readProof(value) {
  if (!Array.isArray(value)) return null;
  const hashes = value.map(strictBase64);
  return hashes.every((hash) => hash?.length === HASH_BYTES) ? hashes : null;
}

/** Text, checkpoint and signatures of a signed note. */
function readNote(note) {
  const end = note.lastIndexOf("\n\n");
  if (end < 0 || !note.endsWith("\n")) return null;
  const text = note.slice(0, end + 1);
  const [origin, size, root, ...rest] = text.split("\n");
  const rootBytes = strictBase64(root);
  if (!origin || !rest.length || !/^(?:0|[1-9][0-9]{0,18})$/.test(size) || rootBytes?.length !== HASH_BYTES) {
    return null;
  }
  const signatures = [];
  for (const line of note.slice(end + 2).split("\n").slice(0, -1)) {
    const [, name, encoded] = /^\u2014 (\S+) (\S+)$/.exec(line) ?? [];
    const bytes = strictBase64(encoded);
    if (!bytes) return null;
    signatures.push({ name, bytes });
  }
  return { text, checkpoint: { origin, size: BigInt(size), root: rootBytes }, signatures };
}

/** `name+hex key id+base64(0x01 ‖ key)`; throws for another. */
async function readVerifier(text) {
  const [, name, id, encoded] = /^([^+\s]+)\+([0-9a-f]{8})\+(.+)$/.exec(text) ?? [];
  const raw = strictBase64(encoded);
  if (raw?.length !== 33 || raw[0] !== ED25519) throw new RangeError("not an Ed25519 verifier key");
  const hash = (await sha256(concat(utf8(`${name}\n`), raw))).slice(0, 4);
  if (hex(hash) !== id) throw new RangeError("the verifier key's hash is another's");
  return { name, id: hash, bytes: raw.slice(1) };
}
