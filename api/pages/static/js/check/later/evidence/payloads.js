// Signed payloads read strictly, as ledger/payloads.py, authz/grants.py and authz/disputes.py: what
// was signed is exactly what is understood. Whatever is of another form is a FormError.

import { isKey } from "./bundle.js";
import { ONLY_CHARACTERS } from "./characters.js";
import { FormError } from "./faults.js";

const ID = /^[0-9A-HJKMNP-TV-Z]{26}$/;
const JTI = /^[0-9A-Za-z_-]{16,64}$/;
const CERTIFICATE = /^[0-9A-Za-z.]{1,128}$/;
const NAME = /^[A-Za-z0-9][A-Za-z0-9._:-]{0,63}$/;
const DIGEST = /^[A-Za-z0-9_-]{43}$/;
const ITEM = /^[0-9A-Za-z][0-9A-Za-z._-]{0,63}$/;
const FIELD = /^[a-z][a-z0-9_]{0,63}$/;
const VERSION = 2;
const MAX_NAME = 64;
const MAX_TEXT = 200;
const MAX_DISPUTE_TEXT = 500;
const MAX_UNIX_SECONDS = 253_402_300_799;
const MAX_WINDOW = 366 * 86_400;
const MAX_INVITED = 7 * 86_400;
const MAX_DATE = 10 ** 11;
const ACTIONS = ["suspend", "restore", "revoke", "supersede", "erase"];
const GROUNDS = ["retention_over", "unlawful", "court_order", "issued_in_error"];
const ROLES = ["operator", "issuer", "terminal", "auditor"];
const CAUSES = ["not_me", "wrong_fields", "wrong_purpose", "other"];
const OUTCOMES = ["upheld", "rejected", "withdrawn"];

export function formed(holds) {
  if (!holds) throw new FormError();
}

export const isObject = (value) =>
  value !== null && typeof value === "object" && Object.getPrototypeOf(value) === null;

function object(value, required, optional = []) {
  formed(isObject(value) && required.every((name) => name in value));
  formed(Object.keys(value).every((name) => required.includes(name) || optional.includes(name)));
  return value;
}

const integer = (value) => {
  formed(typeof value === "number" || typeof value === "bigint");
  return value;
};

function seconds(value) {
  formed(integer(value) > 0 && value <= MAX_UNIX_SECONDS);
  return value;
}

function matching(value, pattern) {
  formed(typeof value === "string" && pattern.test(value));
  return value;
}

/** Text that a person sees as it is, as ledger/texts.py. */
export function shown(value, limit) {
  formed(typeof value === "string" && [...value].length <= limit && ONLY_CHARACTERS.test(value));
  formed(!value.startsWith(" ") && !value.endsWith(" ") && value === value.normalize("NFC"));
  return value;
}

const optional = (top, name, read) => (name in top ? read(top[name]) : null);

function several(value, limit, read) {
  formed(Array.isArray(value) && value.length > 0 && value.length <= limit);
  return value.map(read);
}

function different(values) {
  formed(new Set(values).size === values.length);
  return values;
}

const GRANT = ["v", "ledger", "grant_id", "mode", "certificates", "grantee", "purpose", "when", "where", "limits", "iat", "jti"];

/** Times in Unix milliseconds; `fields` of each certificate by its identifier. */
export function readGrant(payload) {
  const top = object(payload, GRANT, ["request_id"]);
  formed(top.v === VERSION && ["direct", "scan", "request"].includes(top.mode));
  const grantee = object(top.grantee, ["department"], ["terminal", "staff"]);
  const purpose = object(top.purpose, ["service_item"], ["text"]);
  const when = object(top.when, ["not_before", "not_after"]);
  const name = (value) => shown(value, MAX_NAME);
  const certificates = several(top.certificates, 20, (item) => {
    object(item, ["certificate_id", "fields"]);
    return [matching(item.certificate_id, CERTIFICATE),
      different(several(item.fields, 64, (field) => matching(field, FIELD)))];
  });
  different(certificates.map(([certificate]) => certificate));
  const grant = {
    grantId: matching(top.grant_id, ID),
    mode: top.mode,
    fields: new Map(certificates),
    department: name(grantee.department),
    terminal: optional(grantee, "terminal", name),
    staff: optional(grantee, "staff", name),
    serviceItem: matching(purpose.service_item, ITEM),
    text: optional(purpose, "text", (value) => shown(value, MAX_TEXT)),
    notBefore: 1000 * seconds(when.not_before),
    notAfter: 1000 * seconds(when.not_after),
    sites: different(several(object(top.where, ["sites"]).sites, 50, name)),
    requestId: optional(top, "request_id", (value) => matching(value, ID)),
  };
  const span = when.not_after - when.not_before;
  const uses = integer(object(top.limits, ["max_uses"]).max_uses);
  formed(span > 0 && span <= MAX_WINDOW && uses >= 1 && uses <= 10_000);
  seconds(top.iat);
  matching(top.jti, JTI);
  formed((grant.requestId !== null) === (grant.mode === "request"));
  return grant;
}

const CERTIFICATE_CLAIMS = ["iss", "vct", "ledger", "certificate_id", "iat", "jti", "_sd_alg", "_sd"];

export function readCertificate(payload) {
  const top = object(payload, CERTIFICATE_CLAIMS, ["nbf", "exp"]);
  formed(text(top.iss).startsWith("urn:certledger:department:") && text(top.vct).startsWith("urn:certledger:type:"));
  matching(top.certificate_id, CERTIFICATE);
  for (const name of ["nbf", "exp"]) optional(top, name, (value) => formed(integer(value) <= MAX_DATE && value >= -MAX_DATE));
  formed(top._sd_alg === "sha-256" && Array.isArray(top._sd));
  different(top._sd.map(text));
  return top;
}

export function readStatus(payload) {
  const top = statement(payload, ["certificate_id", "action", "reason"], ["successor", "ground"]);
  formed(ACTIONS.includes(top.action));
  matching(top.certificate_id, CERTIFICATE);
  shown(top.reason, MAX_TEXT);
  formed(("successor" in top) === (top.action === "supersede") && ("ground" in top) === (top.action === "erase"));
  optional(top, "successor", (value) => matching(value, CERTIFICATE));
  optional(top, "ground", (value) => formed(GROUNDS.includes(value)));
  return top;
}

export function readRevocation(payload) {
  const top = statement(payload, ["grant_id"]);
  matching(top.grant_id, ID);
  return top;
}

export function readLookup(payload) {
  const top = statement(payload, ["presented", "fields", "service_item", "business_number"], ["certificate_id", "staff"]);
  formed(isObject(top.presented) && Object.keys(top.presented).length === 1);
  const [[shownAs, name]] = Object.entries(top.presented);
  formed(["code", "spoken", "grant_id", "request_id"].includes(shownAs));
  if (shownAs === "code" || shownAs === "spoken") text(name);
  else matching(name, NAME);
  several(top.fields, 64, text);
  for (const member of ["service_item", "business_number"]) text(top[member]);
  for (const member of ["certificate_id", "staff"]) optional(top, member, text);
  return top;
}

/** A key's or a device's: bundles need no others. */
export function readEnrolment(payload) {
  formed(isObject(payload));
  if (payload.what === "holder") {
    const top = statement(payload, ["what", "jwk", "subject"]);
    matching(top.subject, DIGEST);
    key(top.jwk);
    return top;
  }
  const times = ["not_before", "not_after"];
  const top = statement(payload, ["what", "jwk", "role", "institution"], ["terminal", "site", ...times]);
  post(top);
  for (const name of times) optional(top, name, secondsFromZero);
  formed(!times.every((name) => name in top) || top.not_before < top.not_after);
  key(top.jwk);
  return top;
}

export function readClaim(payload) {
  const top = statement(payload, ["jwk", "invitation"]);
  matching(top.invitation, DIGEST);
  key(top.jwk);
  return top;
}

export function readInvitation(payload) {
  formed(isObject(payload));
  const common = ["what", "code_sha256", "not_after"];
  let top;
  if (payload.what === "holder") {
    top = statement(payload, [...common, "subject"]);
    matching(top.subject, DIGEST);
  } else {
    top = statement(payload, [...common, "role", "institution"], ["terminal", "site"]);
    post(top);
  }
  matching(top.code_sha256, DIGEST);
  formed(secondsFromZero(top.not_after) <= integer(top.iat) + MAX_INVITED);
  return top;
}

function post(top) {
  formed(top.what === "key" && ROLES.includes(top.role));
  matching(top.institution, NAME);
  for (const name of ["terminal", "site"]) {
    formed((name in top) === (top.role === "terminal"));
    optional(top, name, (value) => matching(value, NAME));
  }
}

function key(jwk) {
  const top = object(jwk, ["kty", "crv", "x", "y"]);
  for (const value of Object.values(top)) text(value);
  formed(isKey(top));
}

/** Of a kind with the members that all have. */
function statement(payload, required, others = []) {
  const top = object(payload, ["v", "ledger", "iat", "jti", ...required], others);
  formed(top.v === VERSION);
  return top;
}

function text(value) {
  formed(typeof value === "string");
  return value;
}

function secondsFromZero(value) {
  formed(integer(value) >= 0 && value <= MAX_UNIX_SECONDS);
  return value;
}

export function readDispute(payload) {
  const top = object(payload, ["v", "ledger", "dispute_id", "seq", "cause", "iat", "jti"], ["text"]);
  formed(top.v === VERSION && CAUSES.includes(top.cause));
  formed(isSeq(top.seq));
  said(top);
  return top;
}

export function readQuestion(payload) {
  const top = object(payload, ["v", "ledger", "dispute_id", "to", "text", "iat", "jti"]);
  formed(top.v === VERSION && ["holder", "department"].includes(top.to));
  said(top);
  return top;
}

export function readAnswer(payload) {
  const top = object(payload, ["v", "ledger", "dispute_id", "seq", "text", "iat", "jti"]);
  formed(top.v === VERSION && isSeq(top.seq));
  said(top);
  return top;
}

export function readResolution(payload) {
  const top = object(payload, ["v", "ledger", "dispute_id", "outcome", "iat", "jti"], ["text"]);
  // Who decides over somebody else says why.
  formed(top.v === VERSION && OUTCOMES.includes(top.outcome) && ("text" in top || top.outcome === "withdrawn"));
  said(top);
  return top;
}

const isSeq = (value) => Number.isSafeInteger(value) && value >= 0;

function said(top) {
  matching(top.dispute_id, ID);
  optional(top, "text", (value) => shown(value, MAX_DISPUTE_TEXT));
  seconds(top.iat);
  matching(top.jti, JTI);
}
