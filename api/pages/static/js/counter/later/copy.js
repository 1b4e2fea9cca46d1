// The annotated copy (加注件): what the counter puts into its file. Built when printing begins, gone
// when it is over.
//
// It is good to the end of the 30th day: a file is settled within a month, and what a certificate
// said longer ago has to be looked up again. It is good for its one business only, because that is
// what the holder agreed to. The certificate's own last day is not on it: nobody granted that.

import { facts, h } from "../../core/dom.js";
import { formatNumber, formatTime, institutionName, itemName, siteName, t, typeName } from "../../core/i18n.js";
import { drawQr } from "../../core/qr.js";
import { fieldFacts } from "./results.js";

const GOOD_FOR = 30 * 86_400_000;

let copy;

export function remove() {
  copy?.remove();
  document.documentElement.classList.remove("printing-copy");
}

/** @param {{body: object, asked: object}} result of a released lookup */
export function show({ body, asked }) {
  remove();
  const { entry, checkpoint, anchor } = body.receipt;
  const size = checkpoint?.split("\n")[1];
  const purpose = `${itemName(asked.item)} · ${asked.number}`;
  const code = h("canvas", { class: "qr", role: "img", "aria-label": t("The certificate's identifier as a code") });
  // Any phone's camera opens the public check with it. The identifier stands in the fragment, which no
  // browser sends to a server.
  const address = `${location.origin}/check`;
  try {
    drawQr(code, `${address}#${body.certificate_id}`);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    drawQr(code, body.certificate_id); // a name too long for a symbol of this size: the page reads this too
  }
  copy = h("article", { class: "copy", "aria-label": t("Annotated copy") },
    h("p", { class: "watermark", "aria-hidden": "true" }, ...Array.from({ length: 4 }, () => h("span", {}, t("Only for: {purpose}", { purpose })))),
    h("header", {}, h("p", { class: "copy-kind" }, t("Annotated copy of an electronic certificate")), h("h1", {}, typeName(body.type))),
    facts([...fieldFacts(body), [t("Issued by"), institutionName(body.issuer)],
      [t("Valid"), t("yes, as of {time}", { time: formatTime(body.as_of_ms) })]]),
    h("section", { class: "annotation" },
      h("h2", {}, t("Annotation")),
      facts([
        [t("For what"), purpose],
        [t("By whom"), [institutionName(entry.department), siteName(entry.site), entry.terminal, asked.staff].filter(Boolean).join(" · ")],
        [t("When"), formatTime(body.as_of_ms)],
        [t("Expires"), h("strong", {}, formatTime(body.as_of_ms + GOOD_FOR - 1, "date"))],
        [t("Record"), t("No. {number}", { number: formatNumber(entry.seq) })],
        [t("On the chain"), anchor
          ? t("block {block}, within the first {size} records", { block: formatNumber(anchor.block_number), size: formatNumber(Number(size)) })
          : t("On its way to the chain")],
      ])),
    h("footer", {},
      code,
      h("div", {},
        h("p", {}, h("strong", {}, t("This is an annotated copy and not the certificate. It is good for the business named above and no other, until the day named above."))),
        h("p", {}, t("It states what the issuer's certificate said at the time of the lookup. Whether the certificate still stands can be checked by anyone at {address} with this code:", { address })),
        h("p", { class: "mono" }, body.certificate_id))));
  document.body.append(copy);
  document.documentElement.classList.add("printing-copy");
}
