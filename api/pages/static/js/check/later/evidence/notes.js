// Signed notes (C2SP signed-note), their verifier keys and the cosignatures of witnesses
// (tlog-cosignature), as ledger/proof/notes.py and ledger/proof/cosignatures.py.

import { base64, concat, fromBase64, hex, sameBytes, sha256, utf8 } from "../../../core/bytes.js";

/** Ed25519 over the body of a note, and over a witness's time and that body. */
export const LOG_KEY = 1;
export const WITNESS_KEY = 4;
const TIME_BYTES = 8;
const LAST_TIME = 2n ** 63n - 1n;
/** What a name cannot have in it. Written out, because languages do not agree on which blanks there are. */
const BLANKS = "\\t-\\r\\x1c-\\x20\\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000";
const NAME = new RegExp(`^[^${BLANKS}+]+$`);
const SIGNATURE = new RegExp(`^\\u2014 ([^${BLANKS}]+) ([A-Za-z0-9+/]+={0,2})$`);

/** `name+hex key id+base64(type ‖ key)`; null for what is no key of that type. */
export async function readVerifier(written, type) {
  const [, name, id, encoded] = /^([^+]+)\+([^+]*)\+(.*)$/s.exec(written) ?? [];
  const raw = encoded === undefined || !NAME.test(name) ? null : strictBase64(encoded);
  if (raw?.length !== 33 || raw[0] !== type) return null;
  const keyId = (await sha256(concat(utf8(`${name}\n`), raw))).slice(0, 4);
  return hex(keyId) === id ? { name, keyId, key: raw.slice(1) } : null;
}

/** Body and signature lines; null where the text is no signed note. */
export function readNote(text) {
  const end = text.lastIndexOf("\n\n");
  if (end < 0 || !text.endsWith("\n")) return null;
  const lines = [];
  for (const line of text.slice(end + 2, -1).split("\n")) {
    const [, name, encoded] = SIGNATURE.exec(line) ?? [];
    const raw = encoded === undefined ? null : strictBase64(encoded);
    if (!raw) return null;
    lines.push({ name, keyId: raw.slice(0, 4), signature: raw.slice(4) });
  }
  return { body: text.slice(0, end + 1), lines };
}

/** What is said to be by a key; of several lines the first. */
const lineBy = ({ lines }, { name, keyId }) =>
  lines.find((line) => line.name === name && sameBytes(line.keyId, keyId));

/** Whether the log's key signed; null: this browser cannot tell. */
export async function isSignedBy(note, log) {
  const line = lineBy(note, log);
  return line ? signedByEd25519(log.key, line.signature, utf8(note.body)) : false;
}

/**
 * Who of `keys` cosigned, and when: `[{key, time}]`, Unix seconds as BigInt. Lines by others are
 * ignored; null where one that says it is by a known key does not verify.
 */
export async function cosignatures(note, keys) {
  const found = [];
  for (const key of keys) {
    const signature = lineBy(note, key)?.signature;
    if (!signature) continue;
    let time = 0n;
    for (const byte of signature.slice(0, TIME_BYTES)) time = (time << 8n) | BigInt(byte);
    const message = utf8(`cosignature/v1\ntime ${time}\n${note.body}`);
    const isWhole = signature.length === TIME_BYTES + 64 && time <= LAST_TIME;
    if (!isWhole || !(await signedByEd25519(key.key, signature.slice(TIME_BYTES), message))) return null;
    found.push({ key, time });
  }
  return found;
}

/** null: this browser cannot tell, because it is from before Ed25519 in WebCrypto. */
async function signedByEd25519(key, signature, message) {
  let imported;
  try {
    imported = await crypto.subtle.importKey("raw", key, { name: "Ed25519" }, false, ["verify"]);
  } catch (error) {
    // A key that is no point is another matter.
    return error.name === "NotSupportedError" ? null : false;
  }
  return crypto.subtle.verify({ name: "Ed25519" }, imported, signature, message);
}

/** Standard base64 with padding, in its one form; null for anything else. */
export function strictBase64(written) {
  if (written.length % 4 || !/^[A-Za-z0-9+/]*={0,2}$/.test(written)) return null;
  const data = fromBase64(written);
  return data && base64(data) === written ? data : null;
}
