// Tables of checkpoints and blocks that grow at their head, and one opened.

import { ask, badge, busy, facts, h, show, toast } from "../core/dom.js";
import { formatNumber, formatTime, t, tn } from "../core/i18n.js";
import { explain } from "../core/problems.js";

const short = (hash) => h("span", { class: "mono" }, `${hash.replace(/^0x/, "").slice(0, 10)}…`);
const mono = (text) => h("span", { class: "mono" }, text);

/** A table, newest first, that can be continued towards the beginning. */
export class List {
  #shown = [];
  #next = null;
  #body = h("tbody");
  #more = h("button", { type: "button", onclick: () => busy(this.#more, () => this.#older(), this.#failed) }, t("Show older ones"));
  #failed = (error) => toast(explain(error), "bad");

  /** `between`: a row for what is left out before an item, or null; it gets the newer one, if any, and the item. */
  constructor({ title, about, columns, load, row, idOf, between = () => null }) {
    Object.assign(this, { load, row, idOf, between });
    this.#more.hidden = true;
    this.element = h("section", { class: "panel" },
      h("h2", {}, title), h("p", { class: "muted small" }, about),
      h("div", { class: "scroll-x", tabindex: "0", role: "region", "aria-label": title },
        h("table", {}, h("thead", {}, h("tr", {}, columns.map(([name, kind]) => h("th", { scope: "col", class: kind }, name)))),
          this.#body)),
      h("div", { class: "actions" }, this.#more));
  }

  /** Looks for newer rows; returns those shown, newest first. */
  async refresh() {
    const { rows, next } = await this.load();
    const newest = this.#shown.length ? this.idOf(this.#shown[0]) : -1;
    const fresh = rows.filter((item) => this.idOf(item) > newest);
    if (fresh.length === rows.length) {
      // Nothing shown so far joins on to it: begin again.
      this.#shown = rows;
      this.#next = next;
      this.#draw();
    } else {
      this.#shown = [...fresh, ...this.#shown];
      this.#draw();
    }
    return this.#shown;
  }

  /** Shows these, too, where they belong. */
  insert(items) {
    const known = new Set(this.#shown.map(this.idOf));
    const added = items.filter((item) => !known.has(this.idOf(item)));
    this.#shown = [...this.#shown, ...added].sort((a, b) => this.idOf(b) - this.idOf(a));
    this.#draw();
  }

  async #older() {
    const { rows, next } = await this.load(this.#next);
    this.#shown = [...this.#shown, ...rows];
    this.#next = next;
    this.#draw();
  }

  #draw() {
    const focused = this.#body.contains(document.activeElement) ? document.activeElement.dataset.id : undefined;
    show(this.#body, this.#shown.flatMap((item, at) => [this.between(this.#shown[at - 1], item), this.row(item)]));
    this.#more.hidden = this.#next === null;
    if (focused) this.#body.querySelector(`[data-id="${focused}"]`)?.focus();
  }
}

/** A row's first cell opens it. */
const opener = (id, act) =>
  h("button", {
    type: "button", class: "quiet", dataset: { id },
    onclick: (event) => busy(event.currentTarget, act, (error) => toast(explain(error), "bad")),
  }, formatNumber(id));

export const checkpointRow = (item, open) => h("tr", {},
  h("td", { class: "number" }, opener(item.size, open)),
  h("td", {}, formatTime(item.time_ms)),
  h("td", {}, short(item.root)),
  h("td", { class: "number" }, formatNumber(item.block_number)));

export const blockRow = (item, open) => h("tr", {},
  h("td", { class: "number" }, opener(item.number, open)),
  h("td", {}, formatTime(item.time * 1000)),
  h("td", { class: "number" }, formatNumber(item.transaction_count)),
  h("td", {}, short(item.hash)));

/** Stands for blocks that hold no anchor. */
export const foldRow = (above, count, unfold) => h("tr", { class: "fold" },
  h("td", { colspan: "4" }, h("button", {
    type: "button", class: "quiet", dataset: { id: `below-${above}` },
    onclick: (event) => busy(event.currentTarget, unfold, (error) => toast(explain(error), "bad")),
  }, tn("{n} block without an anchor", "{n} blocks without an anchor", count))));

const closing = (close) => h("div", { class: "actions" },
  h("button", { type: "button", class: "primary", onclick: () => close() }, t("Close")));

export async function openCheckpoint(api, size) {
  const found = await api.get(`/v1/checkpoints/${size}`);
  const { chain } = found;
  await ask(t("Checkpoint of {n} entries", { n: formatNumber(size) }), (close) => [
    h("p", {}, chain.agrees
      ? badge("good", t("The chain has the same root"))
      : badge("bad", t("The chain has another root"))),
    facts([
      [t("Root"), mono(found.root)],
      [t("On the chain now"), chain.root ? mono(chain.root) : t("nothing")],
      [t("Last entry"), formatTime(found.time_ms)],
      [t("Block"), formatNumber(found.block_number)],
      [t("Block time"), chain.block ? formatTime(chain.block.time * 1000) : null],
      [t("Block hash"), mono(found.block_hash)],
      [t("State root"), chain.block ? mono(chain.block.state_root) : null],
      [t("Transaction"), mono(found.tx_hash)],
      [t("Contract"), mono(found.contract)],
    ]),
    h("h3", {}, t("As the record signed it")),
    h("pre", { class: "note", tabindex: "0" }, found.note),
    closing(close),
  ], { wide: true });
}

export async function openBlock(api, number) {
  const found = await api.get(`/v1/blocks/${number}`);
  await ask(t("Block {n}", { n: formatNumber(number) }), (close) => [
    facts([
      [t("Time"), formatTime(found.time * 1000)],
      [t("Hash"), mono(found.hash)],
      [t("Block before"), mono(found.parent_hash)],
      [t("State root"), mono(found.state_root)],
      [t("Transactions root"), mono(found.transactions_root)],
      [t("Gas used"), formatNumber(found.gas_used)],
      [t("Transactions"), found.transactions.length
        ? h("ul", { class: "plain" }, found.transactions.map((hash) => h("li", {}, mono(hash))))
        : t("none")],
    ]),
    closing(close),
  ], { wide: true });
}
