// Screen codes, made by the device itself, also while it is offline (authz/codes.py).

import { base32, concat, fromBase64, utf8 } from "./bytes.js";

export const STEP = 30_000;
export const GRANT = 1;
export const REQUEST = 2;

/**
 * @param {{handle: string, secret: string}} material as the grant's answer gave it
 * @param {number} now Unix milliseconds by the server's clock
 * @returns {Promise<{code: string, renewAt: number}>}
 */
export async function makeCode(material, now, kind = GRANT) {
  const step = Math.floor(now / STEP);
  const stepBytes = new Uint8Array(4);
  new DataView(stepBytes.buffer).setUint32(0, step);
  const signed = concat(new Uint8Array([1, kind]), fromBase64(material.handle), stepBytes);
  const key = await crypto.subtle.importKey(
    "raw", fromBase64(material.secret), { name: "HMAC", hash: "SHA-256" }, false, ["sign"]);
  const tag = await crypto.subtle.sign("HMAC", key, concat(utf8("certledger code v1"), signed));
  const code = `EZ1${base32(concat(signed, new Uint8Array(tag).slice(0, 8)))}`;
  return { code, renewAt: (step + 1) * STEP };
}

/** What a scanner or a hand typed, folded as the service folds it. */
export const fold = (text) => text.normalize("NFKC").replace(/\s+/g, "").toUpperCase();

/** A code for people to type: groups of four, told apart. */
export const inGroups = (code) => code.match(/.{1,4}/g).join(" ");

export const isScreenCode = (text) => /^EZ1[A-Z2-7]{48}$/.test(fold(text));

/** The number of a grant as it is read out or typed (Crockford's base32), or null. */
export function grantNumber(text) {
  const number = text.normalize("NFKC").toUpperCase().replace(/[\s\-\u2010-\u2015\u2212]+/g, "")
    .replaceAll("O", "0").replace(/[IL]/g, "1");
  return /^[0-9A-HJKMNP-TV-Z]{26}$/.test(number) ? number : null;
}

/** Digits of a spoken code, or null. */
export function spokenDigits(text) {
  const digits = text.normalize("NFKC").replace(/[\s\-\u2010-\u2015\u2212]+/g, "");
  return /^[0-9]{8}$/.test(digits) ? digits : null;
}
