// Screen codes, made by the device itself, also while it is offline (authz/code/codes.py).

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

export const LENGTH = 51; // characters of a screen code

/** Without blanks and what else scanners and hands put between: STX, ETX, GS, marks of no width. */
export const bare = (text) => text.normalize("NFKC").replace(/[\s\x00-\x1f\x7f\u200b-\u200f\u2060]+/g, "");

const IDENTIFIER = /1\.2\.156\.3005\.2\.[0-9A-Z]{21}\.[0-9A-Z]{6,18}\.[0-9A-Z]{7,32}\.[0-9]{3}\.[0-9A-Z]$/;

/** A certificate's identifier (GB/T 36904), alone or at the end of an address as a printed copy's code has it; or null. */
export const identifierIn = (text) => IDENTIFIER.exec(bare(text).toUpperCase())?.[0] ?? null;

/** A code for people to type: groups of four, told apart. */
export const inGroups = (code) => code.match(/.{1,4}/g).join(" ");

/**
 * The code in what a scanner or a hand typed, or null. A scanner may say first what kind of symbol it
 * read, by AIM (`]Q1`) or a letter or two of its maker's. The service reads by the same rules
 * (authz/code/codes.py), but for the blanks inside that hands type.
 */
export const screenCode = (text) => /^[!-~]{0,3}(EZ1[A-Z2-7]{48})$/i.exec(bare(text))?.[1].toUpperCase() ?? null;

/**
 * What a scanner typed without a pause: the codes in it, one after the other, then whatever is left
 * over and longer than a suffix. Text that does not begin with a code is one scan.
 */
export function scansIn(text) {
  const typed = bare(text);
  const next = /[!-~]{0,3}?(EZ1[A-Z2-7]{48})/iy;
  const codes = [];
  let end = 0;
  for (let found; (found = next.exec(typed)); end = next.lastIndex) codes.push(found[1].toUpperCase());
  if (!codes.length) return [text.trim()];
  return typed.length - end > 3 ? [...codes, typed.slice(end)] : codes;
}

export const isScreenCode = (text) => screenCode(text) !== null;

const DASHES = /[\-\u2010-\u2015\u2212]+/g;

/** The number of a grant as it is read out or typed (Crockford's base32), or null. */
export function grantNumber(text) {
  const number = bare(text).toUpperCase().replace(DASHES, "").replaceAll("O", "0").replace(/[IL]/g, "1");
  return /^[0-9A-HJKMNP-TV-Z]{26}$/.test(number) ? number : null;
}

/** Digits of a spoken code, or null. */
export function spokenDigits(text) {
  const digits = bare(text).replace(DASHES, "");
  return /^[0-9]{8}$/.test(digits) ? digits : null;
}
