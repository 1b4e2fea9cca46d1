// Evidence to take away: asks the service for a bundle, saves it as a file, says what is withheld and
// until when, and hands it over to the page that checks it.

import { busy, h, icon, show, toast } from "./dom.js";
import { save } from "./files.js";
import { formatList, formatNumber, formatTime, t } from "./i18n.js";
import { explain, learnWords } from "./problems.js";

learnWords({
  "evidence.unknown": () => t("There is no evidence of this for you."),
  "evidence.too_large": () => t("There is too much that belongs to it for one file."),
});

/** What evidence of a line is about; null for lines that it is not made of. */
export function subjectOf(line) {
  switch (line.kind) {
    case "lookup": return { kind: "lookup", seq: line.seq };
    case "issue": case "status": return { kind: "certificate", certificate_id: line.certificate };
    // Of all that a device gave there is evidence with each of these grants.
    case "grant": case "revocation": return line.grant ? { kind: "grant", grant_id: line.grant } : null;
    case "dispute": case "question": case "answer": case "resolution": return { kind: "dispute", dispute_id: line.subject };
    default: return null;
  }
}

/**
 * A button that saves the evidence about `subject`, and what came of it.
 * @param {{kind: string}} subject as POST /v1/evidence takes it
 */
export function evidenceButton(api, subject, label = t("Save the evidence")) {
  const told = h("div", { class: "evidence-told", role: "status" });
  const act = async () => {
    const { bundle, withheld } = await api.post("/v1/evidence", { subject }, { token: true });
    const text = JSON.stringify(bundle, null, 1);
    const { kind, ...named } = subject;
    const name = `evidence-${kind}-${Object.values(named)[0]}.json`;
    save(name, "application/json", text);
    show(told,
      h("p", {}, icon("check", 16), " ", t("Saved as {name}. Whoever has this file can check it without us.", { name })),
      withheld.length ? h("p", { class: "notice wait" },
        t("Still withheld, because whoever had it could ask again in the signer's name: {entries}. Save the evidence again after that.", {
          entries: formatList(withheld.map(untilWhen)),
        })) : null,
      h("button", { type: "button", onclick: () => handOver(text) }, icon("shield"), t("Check it here")));
  };
  const failed = (error) => show(told, h("p", { class: "notice bad" }, explain(error)));
  return h("div", { class: "evidence-button" },
    h("div", { class: "actions" },
      h("button", { type: "button", onclick: (event) => busy(event.currentTarget, act, failed) }, icon("download"), label)),
    told);
}

const untilWhen = ({ seq, until }) => t("entry {seq} until {time}", { seq: formatNumber(seq), time: formatTime(until * 1000) });

/** By message to the window that asks for it: nothing of it is in an address, and nothing is kept. */
function handOver(text) {
  const opened = open("/check#handed");
  if (!opened) {
    toast(t("The browser did not open the page. Please open the public check yourself and choose the file."), "bad");
    return;
  }
  const give = ({ origin, source, data }) => {
    if (origin !== location.origin || source !== opened || data !== "certledger: ready") return;
    removeEventListener("message", give);
    opened.postMessage({ evidence: text }, location.origin);
  };
  addEventListener("message", give);
}
