// Statements: compact JWS, ES256 by WebCrypto, as ledger/statement/statements.py takes them.

import { concat, sha256, utf8 } from "../../../core/bytes.js";
import { strictBase64url } from "./bundle.js";
import { Failed } from "./faults.js";
import { JsonError, readCanonical } from "./json.js";
import { KINDS } from "./kinds.js";
import { isObject } from "./payloads.js";

const MAX_TOKEN = 64 * 1024;
const MAX_HEADER = 256;
// The year 3000.
const LAST_SECOND = 32_503_680_000;
const ALGORITHM = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };

/** A segment's JSON; throws Failed. */
function read(segment) {
  const bytes = strictBase64url(segment);
  if (!bytes) throw new Failed("signature.invalid");
  try {
    return readCanonical(bytes);
  } catch (error) {
    if (error instanceof JsonError) throw new Failed("statement.not_canonical");
    throw error;
  }
}

function require(holds, code = "signature.invalid") {
  if (!holds) throw new Failed(code);
}

/** `{kind, kid}` of a token, before any check of its signature; throws Failed. */
export function readHeader(token) {
  const [head, ...rest] = token.split(".");
  require(/^[\x00-\x7f]*$/.test(token) && token.length <= MAX_TOKEN && rest.length === 2 && head.length <= MAX_HEADER);
  const header = read(head);
  require(isObject(header) && Object.keys(header).sort().join() === "alg,kid,typ"
    && header.alg === "ES256" && typeof header.kid === "string" && /^[A-Za-z0-9_-]{43}$/.test(header.kid)
    && typeof header.typ === "string" && Object.hasOwn(KINDS, header.typ));
  return { kind: header.typ, kid: header.kid };
}

/**
 * The statement once its signature verifies and it is for this ledger; throws Failed.
 * @returns {Promise<{kind: string, kid: string, payload: object, digest: Uint8Array}>}
 */
export async function openStatement(token, { kind, kid }, jwk, ledger) {
  const [head, body, tail] = token.split(".");
  const signature = strictBase64url(tail);
  require(signature?.length === 64);
  const point = concat(new Uint8Array([4]), strictBase64url(jwk.x), strictBase64url(jwk.y));
  const key = await crypto.subtle.importKey("raw", point, ALGORITHM, false, ["verify"]);
  require(await crypto.subtle.verify(ALGORITHM, key, signature, utf8(`${head}.${body}`)));
  const payload = read(body);
  require(isObject(payload));
  require(payload.ledger === ledger, "statement.ledger");
  require(typeof payload.jti === "string" && /^[A-Za-z0-9_-]{16,64}$/.test(payload.jti)
    && Number.isSafeInteger(payload.iat) && payload.iat >= 0 && payload.iat <= LAST_SECOND);
  return { kind, kid, payload, digest: await sha256(utf8(token)) };
}
