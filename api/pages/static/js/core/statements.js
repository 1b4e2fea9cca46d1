// Statements: compact JWS, ES256, as docs/formats.md has them.

import { base64url, canonicalJson, fromBase64, utf8 } from "./bytes.js";

export const Kind = {
  enrolment: "certledger-enrolment+jwt",
  status: "certledger-status+jwt",
  import: "certledger-import+jwt",
  grant: "certledger-grant+jwt",
  revocation: "certledger-revocation+jwt",
  request: "certledger-request+jwt",
  refusal: "certledger-refusal+jwt",
  lookup: "certledger-lookup+jwt",
  dispute: "certledger-dispute+jwt",
  question: "certledger-question+jwt",
  answer: "certledger-answer+jwt",
  resolution: "certledger-resolution+jwt",
  invitation: "certledger-invitation+jwt",
  claim: "certledger-claim+jwt",
  access: "certledger-access+jwt",
};

const VERSION = 2;

/** A fresh `jti`: 128 random bits. */
export const freshId = () => base64url(crypto.getRandomValues(new Uint8Array(16)));

/**
 * Sign `payload` with a device key, for the ledger that the key is for. `now` is Unix milliseconds
 * by the server's clock. Members given in `payload` win over those added here (`v`, `ledger`, `iat`,
 * `jti`).
 */
export async function sign(key, kind, payload, now) {
  const common = { ledger: key.ledger, iat: Math.floor(now / 1000), jti: freshId() };
  if (kind !== Kind.access) common.v = VERSION;
  const header = { alg: "ES256", kid: key.kid, typ: kind };
  const signed = [header, { ...common, ...payload }]
    .map((part) => base64url(utf8(canonicalJson(part))))
    .join(".");
  const algorithm = { name: "ECDSA", hash: "SHA-256" };
  const signature = await crypto.subtle.sign(algorithm, key.privateKey, utf8(signed));
  return `${signed}.${base64url(new Uint8Array(signature))}`;
}

/** Header and payload of a token, unverified. */
export function read(token) {
  const [header, payload] = token
    .split(".")
    .slice(0, 2)
    .map((part) => JSON.parse(new TextDecoder().decode(fromBase64(part))));
  return { header, payload };
}
