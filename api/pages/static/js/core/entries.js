// The members of an entry, version 2: as ledger/proof/entries.py, which declares them.

export const REQUIRED = ["v", "seq", "time", "kind", "actor", "statement", "salt"];
export const OPTIONAL = ["certificate", "grant", "terminal", "site", "department", "service_item", "staff", "subject",
  "state", "decision", "reason"];

const LOOKED_UP = "grant terminal site department service_item certificate? staff?";
const GRANTED = "grant department service_item certificate?";
const ABOUT_A_DISPUTE = [`subject state reason ${LOOKED_UP}`, `subject state reason ${GRANTED}`];
/** The optional members of each kind of entry: one of these forms, `?` where one may be left out. */
const FORMS = {
  enrolment: ["subject", "subject department", "subject department site", "subject department site terminal",
    "subject state", "subject state reason"],
  invitation: ["subject", "subject department", "subject department site terminal"],
  import: ["subject department"],
  issue: ["certificate department state"],
  status: ["certificate department state reason"],
  grant: [GRANTED],
  revocation: ["grant state", "subject state"],
  request: ["subject terminal site department service_item staff?"],
  refusal: ["subject terminal site department service_item state"],
  lookup: ["terminal site department service_item staff? decision=released certificate grant",
    "terminal site department service_item staff? decision=refused reason certificate? grant?"],
  dispute: ABOUT_A_DISPUTE,
  question: ABOUT_A_DISPUTE,
  answer: ABOUT_A_DISPUTE,
  release: ["subject"],
  resolution: [`subject state ${LOOKED_UP}`, `subject state ${GRANTED}`],
  reading: ["subject state certificate? grant? reason?"],
  deferral: ["subject state certificate"],
};
/** What stands in `state`, of the kinds that have it. */
const STATES = {
  enrolment: [undefined, "revoked", "erased", "suspended", "restored"], issue: ["active"],
  status: ["active", "suspended", "revoked", "superseded", "erased"],
  revocation: ["revoked"], refusal: ["denied"], dispute: ["open"], question: ["open"], answer: ["open"],
  resolution: ["upheld", "rejected", "withdrawn"], reading: ["log", "history", "entry", "evidence", "fields"],
  deferral: ["deferred", "ended"],
};

/** Whether an entry, as it is written, is of a kind that there is and has exactly the members of it. */
export function isClosed(entry) {
  if (!Object.hasOwn(FORMS, entry.kind)) return false;
  const present = OPTIONAL.filter((name) => Object.hasOwn(entry, name));
  const fits = FORMS[entry.kind].some((form) => {
    const words = form.split(" ").map((word) => /^(\w+)(?:=(\w+))?(\?)?$/.exec(word).slice(1));
    const known = words.map(([name]) => name);
    return present.every((name) => known.includes(name)) && words.every(([name, value, optional]) =>
      (optional || present.includes(name)) && (!value || entry[name] === value));
  });
  return fits && (STATES[entry.kind] ?? [undefined]).includes(entry.state);
}
