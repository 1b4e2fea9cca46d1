// Tracing: the filters, the picture over time and the lines, page by page.

import { busy, h, icon, show } from "../core/dom.js";
import { formatNumber, loadLater, t, tn } from "../core/i18n.js";
import { explain } from "../core/problems.js";
import { Filters } from "./filters.js";
import { Timeline } from "./timeline.js";
import { lacksWords } from "./words.js";

const FIRST = 8; // lines of the first view: enough for a screen
const PAGE = 100;
const FORMS = { json: () => t("With proofs (JSON)"), csv: () => t("As a table (CSV)"), evidence: () => t("Evidence") };

export class Trace {
  #lines = [];
  #next = null;
  #asked = 0;
  #query = {}; // what was searched for; the form may say something else by now

  /** @param {{api: import("../core/api.js").Api, open: (seq: number) => void, past: () => Promise}} console */
  constructor({ api, open, past }) {
    this.api = api;
    this.past = past;
    this.filters = new Filters(() => this.search());
    this.timeline = new Timeline(open);
    this.chips = h("div", { class: "chips" });
    this.strip = h("div", {});
    this.count = h("p", { class: "count", role: "status" });
    this.problem = h("div", { role: "alert" });
    this.more = h("button", { type: "button", onclick: () => this.#older() }, t("Show older lines"));
    this.saving = h("div", { class: "actions saving", hidden: true },
      Object.entries(FORMS).map(([form, words]) => h("button", {
        type: "button", class: "quiet", onclick: (event) => this.#save(form, event.currentTarget),
      }, icon("download"), words())));
    this.evidence = h("div", {});
    const wide = matchMedia("(min-width: 64rem)").matches;
    this.element = h("div", { class: "trace" },
      h("details", { class: "panel search", open: wide }, h("summary", {}, h("h2", {}, t("What to look for"))), this.filters.form),
      h("section", { class: "found", "aria-label": t("What was found") },
        h("h2", { class: "visually-hidden", tabindex: "-1" }, t("What was found")),
        h("div", { class: "split" }, this.count, this.saving),
        this.chips, this.evidence, this.strip, this.problem, this.timeline.element,
        h("div", { class: "actions" }, this.more)));
  }

  /** From the newest line on. */
  async search() {
    this.#lines = [];
    this.#next = null;
    this.#query = this.filters.query;
    this.timeline.clear();
    this.more.hidden = true;
    show(this.chips, this.filters.chips());
    show(this.strip);
    show(this.evidence);
    this.saving.lastChild.hidden = !(this.#query.certificate || this.#query.grant);
    await this.#page();
  }

  async #older() {
    const before = this.#lines.length;
    await this.#page();
    if (this.#lines.length > before) this.focus(this.#lines[before].seq);
  }

  async #page() {
    const mine = ++this.#asked;
    const limit = this.#next === null ? FIRST : PAGE;
    show(this.problem);
    this.element.setAttribute("aria-busy", "true");
    try {
      const page = await this.api.get("/v1/history", { ...this.#query, before: this.#next, limit });
      if (page.lines.some(lacksWords)) await this.past();
      if (mine !== this.#asked) return; // something else was searched for meanwhile
      this.#lines.push(...page.lines);
      this.#next = page.next_before;
      this.timeline.append(page.lines);
      this.#tell(page.anchored_size);
      await this.#draw(mine);
    } catch (error) {
      if (mine === this.#asked) show(this.problem, h("p", { class: "notice bad" }, explain(error)));
    } finally {
      if (mine === this.#asked) this.element.removeAttribute("aria-busy");
    }
  }

  get #filtered() {
    return this.chips.childElementCount > 0;
  }

  /** The picture over time: of what was searched for, or of more lines than are seen at once. */
  async #draw(mine) {
    if (!this.#filtered && this.#lines.length <= FIRST) return;
    const [{ densityStrip }] = await Promise.all([import("./later/density.js"), this.past()]);
    if (mine === this.#asked) show(this.strip, densityStrip(this.#lines));
  }

  #tell(size) {
    const shown = this.#lines.length;
    const filtered = this.#filtered;
    this.saving.hidden = shown === 0;
    this.more.hidden = this.#next === null;
    if (shown === 0) {
      show(this.count, filtered
        ? t("Nothing was recorded that fits. Take a filter away, or widen the time.") : t("Nothing is recorded yet."));
      return;
    }
    show(this.count, h("strong", {}, tn("{n} line shown", "{n} lines shown", shown)),
      " ", t("of {size} in the whole record", { size: formatNumber(size) }),
      filtered ? h("span", { class: "small muted" }, t("Numbers missing between them belong to lines that the filters leave out.")) : null);
  }

  async #save(form, button) {
    await busy(button, async () => {
      const [{ save }] = await Promise.all([import("./later/saving.js"), loadLater()]);
      await save[form](this.api, this.#query, this.#lines, this.evidence);
    }, (error) => show(this.problem, h("p", { class: "notice bad" }, explain(error))));
  }

  /** Back from a line: where it was opened. */
  focus(seq) {
    const line = this.timeline.element.querySelector(`[data-seq="${Number(seq)}"] button`);
    (line ?? this.element.querySelector(".found h2")).focus();
  }
}
