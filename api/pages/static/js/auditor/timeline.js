// Lines to read at a glance: by day, newest first, refusals standing out.

import { badge, h, icon } from "../core/dom.js";
import { formatNumber, formatTime, t } from "../core/i18n.js";
import { clockTime, kindIcon, kindName, outcomeName, reasonName, sentence, signer } from "./words.js";

/** Kinds whose member of staff is who was at work; elsewhere it is the one it is about. */
const SIGNED_AT_A_COUNTER = ["lookup", "request"];

/** Released or refused; or how a dispute ended; or nothing. */
export function decisionBadge(line) {
  if (line.decision === "released") return badge("good", t("Released"));
  if (line.decision === "refused") return badge("bad", t("Refused"));
  if (line.kind === "resolution") return badge("quiet", outcomeName(line.state));
  return null;
}

export const proofBadge = (line) => (line.proof_state === "anchored"
  ? h("span", { class: "proof" }, icon("chain", 16), t("on the chain"))
  : h("span", { class: "proof waiting" }, icon("clock", 16), t("on its way to the chain")));

/** Of a reading that its person is not shown yet. */
export const keptBackBadge = ({ deferral }) => deferral && badge("wait", t("not shown to the person before {time} (no. {seq})", {
  time: formatTime(deferral.until * 1000), seq: formatNumber(deferral.seq),
}));

/** One line, a button as a whole: `open(seq)`. */
export function lineItem(line, open) {
  return h("li", { class: `line ${line.decision ?? ""} ${line.kind}`, dataset: { seq: line.seq } },
    h("button", { type: "button", class: "line-open", onclick: () => open(line.seq) },
      h("time", { class: "line-time", datetime: new Date(line.time).toISOString() }, clockTime(line)),
      h("span", { class: "line-kind" }, icon(kindIcon(line.kind)), kindName(line.kind)),
      h("span", { class: "line-what" },
        h("span", {}, sentence(line)),
        line.decision === "refused"
          ? h("strong", { class: "line-why" }, t("Refused: {reason}.", { reason: reasonName(line.reason) })) : null,
        h("span", { class: "line-signer" },
          t("Signed by {signer}", { signer: signer(line) }),
          line.staff && SIGNED_AT_A_COUNTER.includes(line.kind)
            ? [" · ", t("staff {staff}", { staff: line.staff })] : null)),
      h("span", { class: "line-state" }, decisionBadge(line), keptBackBadge(line), proofBadge(line)),
      h("span", { class: "line-seq" }, t("no. {seq}", { seq: formatNumber(line.seq) }))));
}

/** Adds to `list` what follows in it; a new heading wherever the day changes. */
export class Timeline {
  #day = "";
  #list = null;

  constructor(open) {
    this.open = open;
    this.element = h("div", { class: "timeline" });
  }

  clear() {
    this.#day = "";
    this.element.replaceChildren();
  }

  append(lines) {
    for (const line of lines) {
      const day = formatTime(line.time, "date");
      if (day !== this.#day) {
        this.#day = day;
        this.#list = h("ol", { class: "lines" });
        this.element.append(h("h3", { class: "day" }, day), this.#list);
      }
      this.#list.append(lineItem(line, this.open));
    }
  }
}
