// What the statements in a bundle say, held against the entries and against each other: as
// audit/evidence/claims.py. Each throws Failed where it does not hold, FormError where a payload is of no form
// that an honest ledger records.

import { base64url, fromBase64, sameBytes, sha256, utf8 } from "../../../core/bytes.js";
import { toNumber } from "./curves.js";
import { Failed, FormError } from "./faults.js";
import { JsonError, readCanonical } from "./json.js";
import { formed, readGrant, readPayload } from "./payloads.js";

/** Seconds between `iat` and the entry. */
const MAX_AGE = 900;

const CLAIM = "certledger-claim+jwt";
const STATEMENTS = { issue: ["dc+sd-jwt"], enrolment: ["certledger-enrolment+jwt", CLAIM] };
export const isClaim = (statement) => statement.kind === CLAIM;

const HALTS = { key_suspension: "suspended", key_restoration: "restored" };
/** The roles that may freeze a holder's device, as its entry has them in `reason`. */
const HALTED_BY = ["holder", "issuer", "auditor"];
const AFTER = { suspend: "suspended", restore: "active", revoke: "revoked", supersede: "superseded", erase: "erased" };
const MAY = { suspend: ["active"], restore: ["suspended"], revoke: ["active", "suspended"], supersede: ["active"] };

/** Absent and null are the same here. */
const given = (payload, name) => payload[name] ?? null;

const same = (one, other) => one.every((value, at) => value === other[at]);

/** The entry is of this statement and says what it says. */
export async function agrees(entry, statement) {
  const { seq, kind } = entry;
  if (!sameBytes(statement.digest, entry.digest)) throw new Failed("entry.other_statement", seq);
  const kinds = STATEMENTS[kind] ?? [`certledger-${kind}+jwt`];
  if (statement.kid !== entry.actor || !kinds.includes(statement.kind)) {
    throw new Failed("entry.other_actor_or_kind", seq);
  }
  if (Math.abs(entry.time - 1000 * statement.payload.iat) > 1000 * MAX_AGE) {
    throw new Failed("entry.time_of_signing", seq);
  }
  try {
    const payload = readPayload(statement.kind, statement.payload);
    if (await AGREE[kind](entry, payload, statement.kind)) return;
  } catch (error) {
    throw error instanceof FormError ? new Failed("statement.form", seq) : error;
  }
  throw new Failed("entry.says_otherwise", seq);
}

const AGREE = {
  issue: (entry, { certificate_id: certificate, iss }) => same([certificate, iss, "active"],
    [entry.certificate, `urn:certledger:department:${entry.department ?? ""}`, entry.state]),
  status: (entry, { certificate_id: certificate, action }) =>
    same([certificate, action, AFTER[action]], [entry.certificate, entry.reason, entry.state]),
  grant(entry, payload) {
    const grant = readGrant(payload);
    const [first, ...others] = grant.fields.keys();
    return same([grant.grantId, grant.department, grant.serviceItem, others.length ? null : first],
      [entry.grant, entry.department, entry.service_item, entry.certificate]);
  },
  revocation: (entry, payload) => same([given(payload, "grant_id"), given(payload, "kid"), "revoked"],
    [entry.grant, entry.subject, entry.state]),
  lookup(entry, asked) {
    const [shown, name] = presented(asked);
    const certificate = given(asked, "certificate_id");
    return asked.service_item === entry.service_item
      && given(asked, "staff") === entry.staff
      && (shown !== "grant_id" || entry.grant === null || entry.grant === name)
      && (certificate === null || [null, certificate].includes(entry.certificate));
  },
  async enrolment(entry, payload, kind) {
    if (Object.hasOwn(HALTS, payload.what ?? "")) {
      return same([payload.kid, HALTS[payload.what]], [entry.subject, entry.state]) && HALTED_BY.includes(entry.reason);
    }
    formed("jwk" in payload); // others than these, and a key's or a device's, are in no bundle
    const kid = await thumbprint(payload.jwk);
    if (kid !== entry.subject || entry.state !== null) return false;
    // What a claim makes of its key, the invitation says.
    return kind === CLAIM ? kid === entry.actor : isPost(entry, payload);
  },
  invitation: (entry, payload) => payload.code_sha256 === entry.subject && isPost(entry, payload),
  dispute: (entry, payload) =>
    same([payload.dispute_id, payload.cause, "open"], [entry.subject, entry.reason, entry.state]),
  question: (entry, payload) =>
    same([payload.dispute_id, payload.to, "open"], [entry.subject, entry.reason, entry.state]),
  answer: (entry, payload) => same([payload.dispute_id, "open"], [entry.subject, entry.state]),
  resolution: (entry, payload) => same([payload.dispute_id, payload.outcome], [entry.subject, entry.state]),
};

/** How a lookup showed its grant, and what it showed. */
const presented = ({ presented: shown }) => Object.entries(shown)[0];

const postOf = (entry) => [entry.department, entry.terminal, entry.site];

function isPost(entry, payload) {
  // On the word of the one department that the entry may name.
  if (payload.what === "holder") return same(postOf(entry).slice(1), [null, null]);
  if (payload.what === "device") return same(postOf(entry), [null, null, null]);
  return same(postOf(entry), [payload.institution, given(payload, "terminal"), given(payload, "site")]);
}

/** RFC 7638. */
export const thumbprint = async ({ crv, kty, x, y }) =>
  base64url(await sha256(utf8(JSON.stringify({ crv, kty, x, y }))));

/** What an enrolment says that its key is; a claim says what its invitation `{entry, payload}` says. */
function enrolledAs(enrolment, payload, invited) {
  if (!invited) return payload;
  const { entry, payload: said } = invited;
  const ends = given(said, "not_after");
  const whole = typeof ends === "bigint" || typeof ends === "number";
  if (entry.subject !== given(payload, "invitation") || entry.seq >= enrolment.seq
    || !whole || BigInt(enrolment.time) >= 1000n * BigInt(ends)) {
    throw new Failed("enrolment.invitation", enrolment.seq);
  }
  return said;
}

/** The enrolment made its key a holder's device. */
export function madeHolder(enrolment, payload, invited) {
  if (!["holder", "device"].includes(enrolledAs(enrolment, payload, invited).what)) {
    throw new Failed("enrolment.other_role", enrolment.seq);
  }
}

/** The enrolment made its key the terminal that `used` says it is, at that site. */
export function madeTerminal(enrolment, payload, invited, used) {
  const said = enrolledAs(enrolment, payload, invited);
  const post = ["role", "institution", "terminal", "site"].map((name) => given(said, name));
  if (!same(post, ["terminal", used.department, used.terminal, used.site]) || !same(postOf(enrolment), postOf(used))) {
    throw new Failed("enrolment.other_role", enrolment.seq);
  }
}

/** All rules of a lookup that statements alone can decide; each says whether it is broken. */
const rules = (grant, lookup, payload) => ({
  wrong_department: lookup.department !== grant.department,
  wrong_site: !grant.sites.includes(lookup.site),
  wrong_service_item: lookup.service_item !== grant.serviceItem,
  wrong_terminal: grant.terminal !== null && grant.terminal !== lookup.terminal,
  wrong_staff: grant.staff !== null && grant.staff !== lookup.staff,
  grant_not_yet_valid: lookup.time < grant.notBefore,
  grant_expired: lookup.time >= grant.notAfter,
  field_not_granted: !payload.fields.every((name) => grant.fields.get(lookup.certificate ?? "")?.includes(name)),
});

/** A released lookup is within the grant. */
export function covers(grant, lookup, payload) {
  const { field_not_granted: beyond, ...others } = rules(grant, lookup, payload);
  const broken = Object.entries({
    ...others,
    certificate_not_in_grant: meant(grant, payload) !== (lookup.certificate ?? ""),
    field_not_granted: beyond,
    grant_unknown: !wasShown(grant, payload),
  }).find(([, isBroken]) => isBroken);
  if (broken) throw new Failed(`grant.${broken[0]}`, lookup.seq);
}

/**
 * Whether the reason of a refusal follows from the statements; false where they cannot tell.
 * @param {{revoked: boolean}} shown whether a revocation from before it is shown; that there was none, no
 *   bundle shows
 */
export function refusedRightly(grant, lookup, payload, { revoked }) {
  const told = { ...rules(grant, lookup, payload), ...(revoked ? { grant_revoked: true } : {}) };
  const found = new Map(Object.entries(told)).get(lookup.reason);
  if (!wasShown(grant, payload, true)) throw new Failed("grant.grant_unknown", lookup.seq);
  if (found === false) throw new Failed("grant.refused_wrongly", lookup.seq);
  return found === true;
}

function meant(grant, payload) {
  const named = given(payload, "certificate_id");
  if (named !== null) return grant.fields.has(named) ? named : null;
  return grant.fields.size === 1 ? [...grant.fields.keys()][0] : null;
}

function wasShown(grant, payload, refused = false) {
  const [shown, name] = presented(payload);
  if (shown === "grant_id") return name === grant.grantId && (refused || grant.mode === "direct");
  if (shown === "request_id") return (name ?? null) === grant.requestId;
  return true; // a code: only who has its secret can tell whose it is
}

/** The certificate's own dates allow a release at the time of the lookup. */
export function validThen(certificate, lookup) {
  const [nbf, exp] = [given(certificate, "nbf"), given(certificate, "exp")];
  const time = BigInt(lookup.time);
  if (nbf !== null && time < 1000n * BigInt(nbf)) throw new Failed("grant.certificate_not_yet_valid", lookup.seq);
  if (exp !== null && time >= 1000n * BigInt(exp)) throw new Failed("grant.certificate_expired", lookup.seq);
}

/** `{name, value}` of a field, once the issuer signed its digest and the lookup was given it. */
export async function disclosed(encoded, certificate, lookup, payload) {
  const field = openDisclosure(encoded);
  if (!field) throw new Failed("disclosure.malformed");
  const digests = given(certificate, "_sd");
  if (certificate._sd_alg !== "sha-256" || !Array.isArray(digests)
    || !digests.includes(base64url(await sha256(utf8(encoded))))) {
    throw new Failed("disclosure.not_issued");
  }
  if (lookup.decision !== "released" || !payload.fields.includes(field.name)) {
    throw new Failed("disclosure.not_released", lookup.seq);
  }
  return field;
}

const DISCLOSURE = /^(?:[A-Za-z0-9_-]{4})*(?:[A-Za-z0-9_-]{2}==|[A-Za-z0-9_-]{3}=)?$/;

/** `[salt, name, value]`. Its digest is over the encoded text, so it needs no one form. */
function openDisclosure(encoded) {
  if (!DISCLOSURE.test(encoded + "=".repeat((4 - (encoded.length % 4)) % 4))) return null;
  try {
    const value = readCanonical(fromBase64(encoded));
    const [salt, name, content] = Array.isArray(value) && value.length === 3 ? value : [];
    const right = typeof salt === "string" && [...salt].length >= 22 && typeof name === "string"
      && ["string", "number", "boolean"].includes(typeof content);
    return right ? { name, value: content } : null;
  } catch (error) {
    if (error instanceof JsonError) return null;
    throw error;
  }
}

/** `{state, digest}` that changes of status, in order, lead to, as the registry has them: the digest of the last. */
export function replay(changes) {
  let [state, last] = ["active", null];
  for (const entry of changes) {
    const action = entry.reason ?? "";
    const legal = action === "erase" || (Object.hasOwn(MAY, action) && MAY[action].includes(state));
    if (!legal || entry.state !== AFTER[action]) throw new Failed("status.illegal", entry.seq);
    if (action !== "erase") [state, last] = [AFTER[action], entry];
  }
  return { state, digest: last ? toNumber(last.digest) : 0n };
}

const PLACE = ["certificate", "grant", "terminal", "site", "department", "service_item", "staff"];

/** The dispute is of this entry, and `followed` (questions, answers, the resolution) of this dispute. */
export function ofDispute(dispute, payload, disputed, followed) {
  if (payload.seq !== disputed.seq || disputed.seq >= dispute.seq || !["lookup", "grant"].includes(disputed.kind)) {
    throw new Failed("dispute.other_entry", dispute.seq);
  }
  for (const later of [dispute, ...followed]) {
    if (!PLACE.every((name) => later[name] === disputed[name])) {
      throw new Failed("dispute.other_entry", later.seq);
    }
  }
}

/**
 * All questions and answers came before the resolution, a department was asked about its own lookup,
 * and each answer is of who was asked. `answers` are `{entry, asked}`: the number of the question.
 * @returns {object[]} the questions as facts
 */
export function ofQuestions(questions, answers, disputed, resolved) {
  const wrong = ({ seq }) => new Failed("dispute.question", seq);
  for (const entry of [...questions, ...answers.map((answer) => answer.entry)]) {
    const aboutNothing = entry.reason === "department" && disputed.kind !== "lookup";
    if (aboutNothing || (resolved && entry.seq > resolved.seq)) throw wrong(entry);
  }
  const answered = new Map();
  for (const { entry, asked } of answers) {
    const question = questions.find(({ seq }) => seq === asked);
    if (!question || question.seq >= entry.seq || answered.has(asked) || question.reason !== entry.reason) {
      throw wrong(entry);
    }
    answered.set(asked, { seq: entry.seq, time_ms: entry.time });
  }
  return questions.map(({ seq, reason, time }) => ({
    seq, to: reason, time_ms: time, ...(answered.has(seq) ? { answer: answered.get(seq) } : {}),
  }));
}
