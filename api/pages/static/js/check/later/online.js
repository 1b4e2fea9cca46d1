// Evidence on the service's own page: the trust file that it gives out.

import { utf8 } from "../../core/bytes.js";
import { busy, h, icon, toast } from "../../core/dom.js";
import { save } from "../../core/files.js";
import { language, t } from "../../core/i18n.js";
import { explain } from "../../core/problems.js";

/** null where the service or its chain does not answer: then somebody has to choose one. */
export async function trustOfService(api) {
  try {
    return { bytes: utf8(await api.get("/v1/trust", {}, { token: false, tries: 2, as: "text" })), from: "service" };
  } catch {
    return null;
  }
}

export const readyWords = () => [
  t("Evidence is checked by this browser alone: nothing of it is sent, and from now on it works without a network."),
  " ",
  h("a", { href: "/check/offline.html", download: "certledger-check.html" },
    t("Save the check of evidence as a file of its own, which needs no service at all.")),
];

/** A report for paper, which the service makes: the one thing here for which the file is sent. */
export const reportButton = (api, bytes) => h("div", { class: "screen-only" },
  h("button", {
    type: "button",
    onclick: (event) => busy(event.currentTarget, async () => {
      const file = new Blob([bytes], { type: "application/json" });
      save("certledger-report.pdf", "application/pdf", await api.postBody(`/v1/verify/report?lang=${language}`, file, { as: "blob" }));
    }, (error) => toast(explain(error), "bad")),
  }, icon("download"), t("Make a report of it (PDF)")),
  h("p", { class: "hint" }, t("The service makes the report: only for this is the file sent to it.")));
