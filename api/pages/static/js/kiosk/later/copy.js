// The page to take along: what was shown, and for what, where, when and until when it is good, so
// that the copy is of no use for anything else. Invisible until it is printed.

import { facts, h } from "../../core/dom.js";
import {
  fieldName, formatTime, formatValue, institutionName, itemName, siteName, t, typeName,
} from "../../core/i18n.js";

export function paperCopy(who, { item, number, outcome }) {
  const parts = outcome.parts.filter(({ body }) => body);
  const { as_of_ms } = parts[0].body;
  return h("section", { class: "paper", "aria-hidden": "true" },
    h("h2", {}, t("Copy of certificate details")),
    parts.map(({ type, body }) => [
      h("h3", {}, typeName(type)),
      facts([
        ...Object.entries(body.fields).map(([name, value]) => [fieldName(type, name), formatValue(value)]),
        [t("Issued by"), institutionName(body.issuer)],
        [t("Valid"), t("yes, as of {time}", { time: formatTime(body.as_of_ms) })],
        [t("Entry in the log"), String(body.receipt.entry.seq)],
      ]),
    ]),
    h("h3", {}, t("Note on this copy")),
    facts([
      [t("For"), itemName(item)],
      [t("Business number"), number],
      [t("Where"), `${institutionName(who.institution)} · ${siteName(who.site)}`],
      [t("Released"), formatTime(as_of_ms, "both")],
    ]),
    h("p", {},
      t("Good only for the business named above, as things stood then. Not to be used for anything else.")));
}
