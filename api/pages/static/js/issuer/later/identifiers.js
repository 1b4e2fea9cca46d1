// Numbers as people and scanners type them: certificates' identifiers (GB/T 36904) and holders'
// numbers. The same folding and the same check as ledger/certificate/identifiers.py.

import { typeIn } from "../../core/i18n.js";

const ROOT = "1.2.156.3005.2";
const ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ";
const PARTS = /^([0-9A-Z]{18}[0-9]{3})\.([0-9A-Z]{18}|[1-9][0-9]{5})\.([0-9A-Z]{7,32})\.([0-9]{3})\.([0-9A-Z])$/;

/** Full-width forms, blanks and small letters do not matter. */
export const fold = (text) => text.normalize("NFKC").replace(/\s+/g, "").replace(/^'/, "").toUpperCase();

/** ISO 7064 MOD 37,36. */
function checkCharacter(text) {
  const doubled = (state) => ((state || 36) * 2) % 37;
  let state = 18;
  for (const char of text) state = (doubled(state) + ALPHABET.indexOf(char)) % 36;
  return ALPHABET[(37 - doubled(state)) % 36];
}

/**
 * @returns {{id: string, type?: string} | {wrong: "form" | "check"}} `type` is the short name of a
 * type of the catalogue
 */
export function readIdentifier(text) {
  const id = fold(text);
  const match = id.startsWith(`${ROOT}.`) && PARTS.exec(id.slice(ROOT.length + 1));
  if (!match) return { wrong: "form" };
  const [, typeCode, issuer, serial, version, check] = match;
  if (checkCharacter(typeCode + issuer + serial + version) !== check) return { wrong: "check" };
  return { id, type: typeIn(id) };
}

const HOLDER_NUMBERS = [
  /^[1-9][0-9]{16}[0-9X]$/, // identity number, permanent residence identity card
  /^[1-9ANY][1-9][0-9]{6}[0-9A-HJ-NP-RTUW-Y]{10}$/, // credit code
  /^([A-Z]{3}[0-9]{12}|[HM][0-9]{10}|[0-9]{8,9}|(?=[0-9]*[A-Z])(?=([A-Z]*[0-9]){4})[A-Z0-9]{7,9})$/, // passport, travel permit, older cards
];

/** The number of a person or body, or null for what has the form of none. */
export function readHolderNumber(text) {
  const number = fold(text).replace(/[-\u2010\u2011\u2013()]/g, "");
  return HOLDER_NUMBERS.some((form) => form.test(number)) ? number : null;
}
