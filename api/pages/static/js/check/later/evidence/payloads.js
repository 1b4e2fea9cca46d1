// Signed payloads read strictly, as ledger/statement/kinds.py: what was signed is exactly what is understood.
// Whatever is of another form is a FormError.
//
// What each member may hold is kinds.js, made from the declarations in Python; of JSON Schema this
// reads what stands there, and no more. What several members must be together is written here.

import { isKey } from "./bundle.js";
import { ONLY_CHARACTERS } from "./characters.js";
import { FormError } from "./faults.js";
import { FORMS, KINDS } from "./kinds.js";

const MAX_WINDOW = 366 * 86_400;
const MAX_INVITED = 7 * 86_400;
const MAX_DEFERRED = 731 * 86_400;
const MAX_TOKEN = 300;

export function formed(holds) {
  if (!holds) throw new FormError();
}

export const isObject = (value) =>
  value !== null && typeof value === "object" && Object.getPrototypeOf(value) === null;

/** The payload of a statement of this `typ`, once it is of that form; throws FormError. */
export function readPayload(typ, payload) {
  formed(Object.hasOwn(KINDS, typ) && isObject(payload));
  const [first, ...others] = KINDS[typ];
  const name = others.length
    ? KINDS[typ].find((one) => FORMS[one].properties.what.enum[0] === payload.what)
    : first;
  formed(name !== undefined && fits(name, payload));
  return payload;
}

/** Of a grant whose form was read: times in Unix milliseconds, `fields` of each certificate by its identifier. */
export const readGrant = ({ grant_id, mode, certificates, grantee, purpose, when, where, request_id }) => ({
  grantId: grant_id,
  mode,
  fields: new Map(certificates.map(({ certificate_id, fields }) => [certificate_id, fields])),
  department: grantee.department,
  terminal: grantee.terminal ?? null,
  staff: grantee.staff ?? null,
  serviceItem: purpose.service_item,
  notBefore: 1000 * when.not_before,
  notAfter: 1000 * when.not_after,
  sites: where.sites,
  requestId: request_id ?? null,
});

// --- each member by itself ----------------------------------------------------------------------------

const fits = (name, value) => holds(FORMS[name], value) && (TOGETHER[name]?.(value) ?? true);

function holds(form, value) {
  if (form.$ref) return fits(form.$ref, value);
  return form.enum ? form.enum.includes(value) : OF_TYPE[form.type](form, value);
}

const OF_TYPE = {
  object: ({ properties, required }, value) => isObject(value)
    && required.every((name) => name in value)
    && Object.entries(value).every(([name, item]) => Object.hasOwn(properties, name) && holds(properties[name], item)),
  array: ({ items, minItems, maxItems, "x-unique-by": by }, value) => Array.isArray(value)
    && value.length >= minItems && value.length <= maxItems
    && value.every((item) => holds(items, item))
    && new Set(by ? value.map((item) => item[by]) : value).size === value.length,
  integer: ({ minimum, maximum }, value) => Number.isSafeInteger(value) && value >= minimum && value <= maximum,
  string: ({ pattern, minLength, maxLength, format }, value) => typeof value === "string"
    && (pattern ? matches(pattern, value) : isBetween([...value].length, minLength, maxLength))
    && (format !== "shown" || isText(value)),
};

const isBetween = (length, least, most) => length >= least && length <= most;

const patterns = new Map();

function matches(pattern, value) {
  if (!patterns.has(pattern)) patterns.set(pattern, new RegExp(pattern));
  return patterns.get(pattern).test(value);
}

/** Whether a person sees all of it as it is, as ledger/statement/texts.py. */
export const isText = (value) => ONLY_CHARACTERS.test(value)
  && !value.startsWith(" ") && !value.endsWith(" ") && value === value.normalize("NFC");

// --- several members together -------------------------------------------------------------------------

const onlyWith = (asked, value) => asked === (value !== undefined);

const isPost = ({ role, terminal, site }) => [terminal, site].every((value) => onlyWith(role === "terminal", value));

const isDelay = ({ iat, not_after: end }) => end > iat && end <= iat + MAX_DEFERRED;

const isInTime = ({ iat, not_after: end }) => end <= iat + MAX_INVITED;

const TOGETHER = {
  Jwk: isKey,
  Key: (key) => isPost(key) && (key.not_after === undefined || (key.not_before ?? 0) < key.not_after),
  HolderInvitation: isInTime,
  KeyInvitation: (invitation) => isInTime(invitation) && isPost(invitation),
  ReadingDeferral: isDelay,
  Access: ({ iat, exp }) => exp > iat && exp <= iat + MAX_TOKEN,
  // By code units, as all is ASCII.
  CertificateClaims: ({ _sd }) => _sd.every((digest, at) => !at || _sd[at - 1] < digest),
  Status: ({ action, successor, ground }) =>
    onlyWith(action === "supersede", successor) && onlyWith(action === "erase", ground),
  Window: ({ not_before: begin, not_after: end }) => end > begin && end <= begin + MAX_WINDOW,
  Grant: ({ mode, request_id: request }) => onlyWith(mode === "request", request),
  Revocation: (said) => onlyWith(said.kid === undefined, said.grant_id),
  Presented: (shown) => Object.keys(shown).length === 1,
  // Who decides over somebody else says why.
  Resolution: ({ outcome, text }) => text !== undefined || outcome === "withdrawn",
};
