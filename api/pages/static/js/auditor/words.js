// Entries in words: what happened, as one plain sentence, and why something was refused.

import { catalogue, formatTime, institutionName, itemName, siteName, t } from "../core/i18n.js";

export { reasonName } from "../core/reasons.js";

/** kind: [icon, word]. */
const KINDS = {
  lookup: ["eye", () => t("Lookup")],
  grant: ["share", () => t("Grant")],
  revocation: ["back", () => t("Withdrawal")],
  request: ["screen", () => t("Request")],
  refusal: ["cross", () => t("Refusal")],
  issue: ["card", () => t("Issue")],
  status: ["refresh", () => t("Status")],
  import: ["upload", () => t("Import")],
  enrolment: ["key", () => t("Enrolment")],
  invitation: ["person", () => t("Invitation")],
  dispute: ["flag", () => t("Dispute")],
  question: ["help", () => t("Question")],
  answer: ["flag", () => t("Answer")],
  resolution: ["shield", () => t("Settlement")],
  reading: ["eye", () => t("Reading")],
  deferral: ["clock", () => t("Deferral")],
  release: ["chain", () => t("Software")],
};

export const kinds = Object.keys(KINDS);
export const kindIcon = (kind) => KINDS[kind]?.[0] ?? "dot";
export const kindName = (kind) => KINDS[kind]?.[1]() ?? kind;

export const departmentName = (code) => (code === "operator" ? t("the operator") : institutionName(code));

/** "Resident identity card …HQDZH6": what kind it is, and enough to tell two apart. */
export function certificateName(identifier) {
  if (!identifier) return t("a certificate");
  const parts = identifier.split(".");
  const [typeCode, , serial = ""] = parts.slice(5);
  const type = Object.values(catalogue.types).find((one) => one.type_code === typeCode);
  return type ? `${type.name} …\u2060${serial.slice(-6)}` : identifier;
}

/** "East hall, counter-east-1". */
export function place({ site, terminal, department }) {
  const names = [site && siteName(site), terminal].filter(Boolean);
  return names.length ? names.join(t(", ")) : department ? departmentName(department) : t("Somebody");
}

const SENTENCES = {
  lookup: (v, line) => (line.decision === "released"
    ? t("{place} looked up {certificate} for “{item}”.", v)
    : t("{place} wanted to look up {certificate} for “{item}”.", v)),
  grant: (v) => t("The holder allowed {department} to look up {certificate} for “{item}”.", v),
  revocation: (v, line) => (line.subject ? t("The holder withdrew all that one device had granted.") : t("The holder withdrew a grant.")),
  request: (v) => t("{place} asked for a grant for “{item}”.", v),
  refusal: (v) => t("The holder said no to a request of {place} for “{item}”.", v),
  issue: (v) => t("{department} issued {certificate}.", v),
  status: (v, line) => STATUS[line.reason]?.(v) ?? t("{department} changed the status of {certificate}.", v),
  import: (v) => t("{department} handed in a file to issue from.", v),
  enrolment: (v, line) => ENROLMENT[line.state]?.(line)
    ?? (line.department ? t("{place} was enrolled.", v) : t("A holder's device was enrolled.")),
  invitation: (v, line) => (line.department
    ? t("A one-time code was made out for {place}.", v) : t("A one-time code was made out for a holder's device.")),
  dispute: (v, line) => t("The holder disputes what {place} did: {cause}.", { ...v, cause: causeName(line.reason) }),
  question: (v, line) => (line.reason === "holder"
    ? t("An auditor asked the holder about a dispute.") : t("An auditor asked {department} about a dispute.", v)),
  answer: (v, line) => (line.reason === "holder"
    ? t("The holder answered a question.") : t("{department} answered a question.", v)),
  resolution: (v, line) => t("A dispute was settled: {outcome}.", { outcome: outcomeName(line.state) }),
  deferral: (v, line) => (line.state === "ended"
    ? t("A deferral about the holder of {certificate} was ended: what it kept back is shown to them.", v)
    : t("By a court's order the holder of {certificate} is not shown for a time what one auditor reads about them.", v)),
};

/** Of readings, which only whoever asks for them is shown: `later/sentences.js` brings theirs. */
export const lacksWords = ({ kind }) => kind === "reading" && !(kind in SENTENCES);
export const learnSentences = (more) => Object.assign(SENTENCES, more);

/** By what an entry says became of a key. */
const ENROLMENT = {
  revoked: () => t("A key was withdrawn."),
  erased: () => t("What was sealed to prove an earlier entry was destroyed."),
  suspended: (line) => FROZEN_BY[line.reason](),
  restored: (line) => (line.reason === "issuer"
    ? t("The authority for their identity restored a holder's frozen device.")
    : t("A holder's frozen device was restored by whoever froze it.")),
};
const FROZEN_BY = {
  holder: () => t("A holder froze a device of theirs."),
  issuer: () => t("The authority for their identity froze a holder's device."),
  auditor: () => t("An auditor froze a holder's device."),
};

const STATUS = {
  suspend: (v) => t("{department} suspended {certificate}.", v),
  restore: (v) => t("{department} restored {certificate}.", v),
  revoke: (v) => t("{department} revoked {certificate}.", v),
  supersede: (v) => t("{department} replaced {certificate} by a newer one.", v),
  erase: (v) => t("{department} erased the content of {certificate}.", v),
};

/** What happened, without the decision, which stands beside it as a badge. */
export function sentence(line) {
  const values = {
    place: place(line),
    department: line.department ? departmentName(line.department) : t("Somebody"),
    certificate: certificateName(line.certificate),
    item: line.service_item ? itemName(line.service_item) : t("not stated"),
  };
  return SENTENCES[line.kind]?.(values, line) ?? kindName(line.kind);
}

const SIGNERS = {
  lookup: place, request: place,
  grant: () => t("the holder's device"), revocation: () => t("the holder's device"),
  refusal: () => t("the holder's device"), dispute: () => t("the holder's device"),
  issue: (line) => departmentName(line.department), status: (line) => departmentName(line.department),
  import: (line) => departmentName(line.department),
  question: () => t("an auditor"),
  answer: (line) => (line.reason === "holder" ? t("the holder's device") : departmentName(line.department)),
  resolution: (line) => (line.state === "withdrawn" ? t("the holder's device") : t("an auditor")),
  enrolment: (line) => ({ holder: t("the holder's device"), auditor: t("an auditor") })[line.reason],
  reading: (line) => (["evidence", "fields"].includes(line.state) ? t("whoever took it") : t("an auditor")),
  deferral: () => t("an auditor"),
  release: () => t("the operator"),
};

/** Who signed, as far as the line itself tells. */
export const signer = (line) => SIGNERS[line.kind]?.(line) ?? t("the enrolling office");

const CAUSES = {
  not_me: () => t("it was not me"),
  wrong_fields: () => t("they asked for more than the business needs"),
  wrong_purpose: () => t("it was for another purpose"),
  other: () => t("another cause"),
};
export const causeName = (cause) => CAUSES[cause]?.() ?? cause;

const OUTCOMES = {
  open: () => t("Waiting for a decision"),
  upheld: () => t("upheld"),
  rejected: () => t("rejected"),
  withdrawn: () => t("withdrawn by the holder"),
};
export const outcomeName = (state) => OUTCOMES[state]?.() ?? state;

/** "10:32:05", with the date for who needs it. */
export const clockTime = (line) => formatTime(line.time, "time");
