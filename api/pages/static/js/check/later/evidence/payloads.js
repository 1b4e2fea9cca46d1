// Signed payloads read strictly, as ledger/payloads.py, authz/grants.py and authz/disputes.py: what
// was signed is exactly what is understood. Whatever is of another form is a FormError.

import { ONLY_CHARACTERS } from "./characters.js";
import { FormError } from "./faults.js";

const ID = /^[0-9A-HJKMNP-TV-Z]{26}$/;
const JTI = /^[0-9A-Za-z_-]{16,64}$/;
const CERTIFICATE = /^[0-9A-Za-z.]{1,128}$/;
const ITEM = /^[0-9A-Za-z][0-9A-Za-z._-]{0,63}$/;
const FIELD = /^[a-z][a-z0-9_]{0,63}$/;
const MAX_NAME = 64;
const MAX_TEXT = 200;
const MAX_DISPUTE_TEXT = 500;
const MAX_UNIX_SECONDS = 253_402_300_799;
const MAX_WINDOW = 366 * 86_400;
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

const GRANT = ["v", "grant_id", "mode", "certificates", "grantee", "purpose", "when", "where", "limits", "iat", "jti"];

/** Times in Unix milliseconds; `fields` of each certificate by its identifier. */
export function readGrant(payload) {
  const top = object(payload, GRANT, ["request_id"]);
  formed(top.v === 1 && ["direct", "scan", "request"].includes(top.mode));
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

export function readDispute(payload) {
  const top = object(payload, ["v", "dispute_id", "seq", "cause", "iat", "jti"], ["text"]);
  formed(top.v === 1 && CAUSES.includes(top.cause));
  formed(isSeq(top.seq));
  said(top);
  return top;
}

export function readQuestion(payload) {
  const top = object(payload, ["v", "dispute_id", "to", "text", "iat", "jti"]);
  formed(top.v === 1 && ["holder", "department"].includes(top.to));
  said(top);
  return top;
}

export function readAnswer(payload) {
  const top = object(payload, ["v", "dispute_id", "seq", "text", "iat", "jti"]);
  formed(top.v === 1 && isSeq(top.seq));
  said(top);
  return top;
}

export function readResolution(payload) {
  const top = object(payload, ["v", "dispute_id", "outcome", "iat", "jti"], ["text"]);
  // Who decides over somebody else says why.
  formed(top.v === 1 && OUTCOMES.includes(top.outcome) && ("text" in top || top.outcome === "withdrawn"));
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
