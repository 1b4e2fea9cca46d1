// What somebody scanned, typed or pasted, whatever it is: so that a page can say what it got and what
// to do with it instead of "wrong code". Takes a text apart, and keeps and sends nothing.

import { GRANT, LENGTH, REQUEST, bare, identifierIn, screenCode } from "./codes.js";
import { kindOf } from "./scanner.js";

/** A file's kind by the members that it has. */
const FILES = {
  evidence: (value) => value.kind === "certledger-evidence",
  trust: (value) => value.kind === "certledger-trust",
  export: (value) => Array.isArray(value.lines),
  receipt: (value) => Boolean((value.receipt ?? value).entry),
};

function jsonKind(text) {
  try {
    const value = JSON.parse(text);
    if (typeof value !== "object" || value === null) return null;
    return Object.keys(FILES).find((kind) => FILES[kind](value)) ?? "json";
  } catch {
    return /^\s*[{[]/.test(text) ? "broken_json" : null;
  }
}

/** ISO 7064 MOD 11-2, as identity numbers end with. */
function isIdentityNumber(text) {
  if (!/^[1-9][0-9]{5}(?:19|20)[0-9]{9}[0-9X]$/.test(text)) return false;
  const sum = [...text].reduceRight((total, char, at) => total + (char === "X" ? 10 : Number(char)) * 2 ** (17 - at), 0);
  return sum % 11 === 1;
}

/** 付款码 and 收款码 of the usual wallets: digits by length and beginning, or an address. */
const PAYMENT = /^(?:(?:2[5-9]|30)[0-9]{14,22}|1[0-5][0-9]{16}|62[0-9]{17})$|^WXP:|(?:QR\.ALIPAY\.COM|PAYAPP\.WEIXIN|QR\.95516\.COM)/;

/**
 * @returns {{kind: string, read?: number, code?: string, identifier?: string}} `kind` is grant,
 * request or newer (of a screen code), cut, run_together or misread (of what was to be one),
 * certificate, evidence, trust, receipt, export, statement, sd_jwt, json, broken_json, report, identity, payment, digits,
 * grant_number, invitation, website, or other; `read`: how many characters arrived
 */
export function recognise(text) {
  const code = screenCode(text);
  if (code) return { kind: { [GRANT]: "grant", [REQUEST]: "request" }[kindOf(code)] ?? "newer", code };
  const json = jsonKind(text);
  if (json) return { kind: json };
  const typed = bare(text).toUpperCase();
  const signed = /^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+(~.*)?$/s.exec(text.trim());
  if (signed && text.trim().startsWith("eyJ")) return { kind: signed[1] === undefined ? "statement" : "sd_jwt" };
  const identifier = identifierIn(text);
  if (identifier) return { kind: "certificate", identifier };
  const begun = typed.replace(/^[!-~]{0,3}?(?=EZ1)/, "");
  const read = begun.length;
  if (begun.startsWith("EZ1")) return { kind: read < LENGTH ? "cut" : read > LENGTH ? "run_together" : "misread", read };
  if (/BUNDLE=[0-9A-F]{64}$/.test(typed)) return { kind: "report" };
  if (isIdentityNumber(typed)) return { kind: "identity" };
  if (PAYMENT.test(typed)) return { kind: "payment" };
  if (/^(?:HTTPS?:|WWW\.)/.test(typed)) return { kind: "website" };
  const said = typed.replace(/[-\u2010-\u2015\u2212]+/g, "");
  if (/^[0-9]{1,12}$/.test(said)) return { kind: "digits", read: said.length };
  // The beginning may be what is missing.
  if (/^[A-Z2-7]{30,50}$/.test(said)) return { kind: "cut", read };
  if (/^[0-9A-Z]{16}$/.test(said)) return { kind: "invitation" };
  if (/^[0-9A-Z]{20,32}$/.test(said)) return { kind: "grant_number", read: said.length };
  return { kind: "other" };
}
