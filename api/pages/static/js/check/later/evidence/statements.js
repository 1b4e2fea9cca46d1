// Statements: compact JWS, ES256 by WebCrypto, as ledger/statements.py takes them.

import { concat, sha256, utf8 } from "../../../core/bytes.js";
import { strictBase64url } from "./bundle.js";
import { isObject } from "./payloads.js";
import { JsonError, readJson } from "./json.js";

const KINDS = ["dc+sd-jwt", ...["enrolment", "status", "import", "grant", "revocation", "request", "refusal", "lookup",
  "dispute", "question", "answer", "resolution", "invitation", "claim", "access"].map((name) => `certledger-${name}+jwt`)];
const MAX_TOKEN = 64 * 1024;
const MAX_HEADER = 256;
// The year 3000.
const LAST_SECOND = 32_503_680_000;
const ALGORITHM = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };

/** What was signed is JSON by one reader, where the last of two members counts. */
function read(segment) {
  const bytes = strictBase64url(segment);
  try {
    return bytes && readJson(bytes, { once: false });
  } catch (error) {
    if (error instanceof JsonError) return null;
    throw error;
  }
}

/** `{kind, kid}` of a token, before any check of its signature; null where it has no such header. */
export function readHeader(token) {
  const [head, ...rest] = token.split(".");
  if (!/^[\x00-\x7f]*$/.test(token) || token.length > MAX_TOKEN || rest.length !== 2 || head.length > MAX_HEADER) {
    return null;
  }
  const header = read(head);
  const right = isObject(header) && Object.keys(header).sort().join() === "alg,kid,typ"
    && header.alg === "ES256" && typeof header.kid === "string" && /^[A-Za-z0-9_-]{43}$/.test(header.kid)
    && KINDS.includes(header.typ);
  return right ? { kind: header.typ, kid: header.kid } : null;
}

/**
 * The statement once its signature verifies; null where it does not.
 * @returns {Promise<{kind: string, kid: string, payload: object, digest: Uint8Array} | null>}
 */
export async function openStatement(token, { kind, kid }, jwk) {
  const [head, body, tail] = token.split(".");
  const signature = strictBase64url(tail);
  if (signature?.length !== 64) return null;
  const point = concat(new Uint8Array([4]), strictBase64url(jwk.x), strictBase64url(jwk.y));
  const key = await crypto.subtle.importKey("raw", point, ALGORITHM, false, ["verify"]);
  if (!await crypto.subtle.verify(ALGORITHM, key, signature, utf8(`${head}.${body}`))) return null;
  const payload = read(body);
  const right = isObject(payload)
    && typeof payload.jti === "string" && /^[A-Za-z0-9_-]{16,64}$/.test(payload.jti)
    && Number.isSafeInteger(payload.iat) && payload.iat >= 0 && payload.iat <= LAST_SECOND;
  return right ? { kind, kid, payload, digest: await sha256(utf8(token)) } : null;
}
