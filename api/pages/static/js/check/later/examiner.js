// Evidence files in a page: takes bundles and trust files from people, has them checked here and
// shows what came of it. Nothing is sent anywhere; where a trust file comes from is the page's affair.

import { hex, sha256 } from "../../core/bytes.js";
import { facts, h, icon } from "../../core/dom.js";
import { t } from "../../core/i18n.js";
import { BundleError, MAX_BUNDLE } from "./evidence/bundle.js";
import { verifyEvidence } from "./evidence/protocol.js";
import { evidenceView } from "./view.js";

/** Whether a text is meant as a file that is checked here. */
export const isTrust = (text) => text.includes('"certledger-trust"');

const ORIGINS = {
  service: () => t("It is this service's own word. Compare it with what other members of the consortium have, or choose the trust file that you got from one of them."),
  page: () => t("It came with this page, from the service that gave it out. Compare it with what other members of the consortium have, or choose the trust file that you got from one of them."),
  file: () => t("It is the file that you chose."),
};

export class Examiner {
  #trust = null; // {bytes, from}
  #bundle = null;

  /**
   * @param {{askTrust: () => Promise<{bytes: Uint8Array, from: string} | null>, chooseFile: () => void,
   *   offerReport?: (bundle: Uint8Array) => Element}} page null where there is no trust file to be had now
   */
  constructor({ askTrust, chooseFile, offerReport }) {
    this.askTrust = askTrust;
    this.chooseFile = chooseFile;
    this.offerReport = offerReport;
  }

  async prepare() {
    this.#trust ??= await this.askTrust();
  }

  /** Files as they were chosen, in any order. @returns {Promise<Element>} */
  async take(files) {
    for (const bytes of files) {
      if (bytes.length > MAX_BUNDLE) return notice(t("This file is too large to be evidence."));
      if (isTrust(new TextDecoder().decode(bytes))) this.#trust = { bytes, from: "file" };
      else this.#bundle = bytes;
    }
    if (!crypto.subtle) {
      return notice(t("Here the browser lets no page check signatures, so that nothing can be told. Please open this page over HTTPS."));
    }
    await this.prepare();
    if (!this.#bundle) return this.#asking(t("The trust file is there. Now choose the evidence file."));
    if (!this.#trust) return this.#asking(t("What the chain and the log are is told by a trust file, and none could be fetched. Please choose one."));
    const same = await reportedOn(this.#bundle);
    try {
      const report = await verifyEvidence(this.#bundle, this.#trust.bytes);
      return h("div", {}, same, evidenceView(report), this.#trustPanel(),
        h("div", { class: "actions screen-only" },
          h("button", { type: "button", onclick: () => print() }, icon("printer"), t("Print the result")),
          this.offerReport?.(this.#bundle)));
    } catch (error) {
      if (!(error instanceof BundleError)) throw error;
      return h("div", {}, same, notice(t("This is no evidence file of this version, or no trust file: nothing was checked."), error.message));
    }
  }

  #asking(words) {
    return h("div", { class: "notice wait" }, h("p", {}, words), this.#choose());
  }

  #choose() {
    return h("button", { type: "button", class: "screen-only", onclick: this.chooseFile }, icon("upload"), t("Choose a file"));
  }

  #trustPanel() {
    const { chain, contracts, log, policy } = JSON.parse(new TextDecoder().decode(this.#trust.bytes));
    const mono = (text) => h("span", { class: "mono" }, text);
    return h("section", { class: "panel trust" },
      h("h3", {}, t("What was taken on trust")),
      h("p", {}, t("Which chain, which contracts and whose log: this comes from the trust file, and from nothing else.")),
      h("p", {}, h("strong", {}, ORIGINS[this.#trust.from]())),
      facts([
        [t("Chain"), mono(String(chain.id))],
        [t("Sealed by"), chain.sealers.length ? mono(chain.sealers.join(" ")) : t("not known to this verifier")],
        [t("Contracts"), Object.values(contracts).map(({ address }) => h("div", { class: "mono" }, address))],
        [t("Log"), mono(log.verifier)],
        [t("Witnesses that must have cosigned"), h("pre", { class: "mono" }, policy)],
      ]),
      this.#choose());
  }
}

/** Whoever scanned a printed report's code came with the digest of its file: whether this is it. */
async function reportedOn(bytes) {
  const digest = location.hash.match(/^#bundle=([0-9a-f]{64})$/)?.[1];
  if (!digest) return null;
  return hex(await sha256(bytes)) === digest
    ? h("p", { class: "notice good reported" }, t("This is the file that the report is of."))
    : h("p", { class: "notice bad reported" }, t("This is not the file that the report is of."));
}

const notice = (words, detail) => h("div", { class: "notice bad", role: "alert" },
  h("p", {}, words), detail ? h("p", { class: "mono small" }, detail) : null);
