// Evidence on the service's own page: the trust file that it gives out.

import { utf8 } from "../../core/bytes.js";
import { h } from "../../core/dom.js";
import { t } from "../../core/i18n.js";

/** null where the service or its chain does not answer: then somebody has to choose one. */
export async function trustOfService(api) {
  try {
    return { bytes: utf8(await api.get("/v1/trust", {}, { token: false, tries: 2, asText: true })), from: "service" };
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
