// The way from an entry to its block, drawn: the leaf at the bottom, the hash beside each step, the
// root, the checkpoint, the transaction that anchored it, and the block. Beside it the same as a
// list with every hash in full.

import { h, svg } from "../../core/dom.js";
import { formatNumber, t } from "../../core/i18n.js";

const [WIDTH, ROW, BOX] = [360, 58, 36];
const MIDDLE = WIDTH / 2;
const WIDTHS = { inner: 104, leaf: 130, root: 130 };
const SIDE = { left: 56, right: WIDTH - 56 };

const short = (hash) => `${hash.replace(/^0x/, "").slice(0, 8)}…`;

function box(kind, x, y, width, label, hash, covers) {
  const two = Boolean(label && hash);
  return svg("g", { class: `node ${kind}`, dataset: covers ? { covers } : {} },
    svg("rect", { x: x - width / 2, y: y - BOX / 2, width, height: BOX, rx: 7 }),
    label ? svg("text", { x, y: y + (two ? -3 : 4) }, label) : null,
    hash ? svg("text", { x, y: y + (two ? 12 : 4), class: "hash" }, short(hash)) : null);
}

const edge = (x1, y1, x2, y2, kind = "") =>
  svg("path", {
    class: `edge ${kind}`,
    d: `M${x1} ${y1 - BOX / 2}C${x1} ${y1 - ROW / 2} ${x2} ${y2 + ROW / 2} ${x2} ${y2 + BOX / 2}`,
  });

/** Everything on the way, from the entry up: what it is called, its hash, the check that covers it. */
function stations(entry, { leaf, path, root, checkpoint }, anchor) {
  const named = [{ kind: "leaf", label: t("Entry no. {seq}", { seq: formatNumber(entry.seq) }), hash: leaf, covers: "entry" }];
  path.forEach((step, at) => {
    named.at(-1).sibling = step;
    const last = at === path.length - 1;
    if (!last) named.push({ kind: "inner", hash: path[at + 1].hash, covers: "inclusion" });
  });
  if (path.length && root) named.push({ kind: "root", label: t("Root"), hash: root, covers: "inclusion" });
  if (!checkpoint) return named;
  const size = formatNumber(checkpoint.size);
  named.push({ kind: "checkpoint", label: t("Checkpoint of {size} entries", { size }), hash: checkpoint.root, covers: "signature" });
  if (anchor) {
    named.push({ kind: "anchor", label: t("Anchor transaction"), hash: anchor.tx_hash, covers: "anchor" });
    named.push({ kind: "block", label: t("Block {number}", { number: formatNumber(anchor.block_number) }), hash: anchor.block_hash, covers: "transaction" });
  }
  return named;
}

function draw(all) {
  const height = all.length * ROW;
  const yOf = (at) => height - ROW / 2 - at * ROW;
  const nodes = [];
  const edges = [];
  all.forEach(({ kind, label, hash, sibling, covers }, at) => {
    const y = yOf(at);
    nodes.push(box(kind, MIDDLE, y, WIDTHS[kind] ?? 230, label, hash, covers));
    if (at + 1 < all.length) edges.push(edge(MIDDLE, y, MIDDLE, yOf(at + 1), "own"));
    if (sibling) {
      nodes.push(box("sibling", SIDE[sibling.side], y, 88, null, sibling.sibling));
      edges.push(edge(SIDE[sibling.side], y, MIDDLE, yOf(at + 1)));
    }
  });
  return svg("svg", {
    class: "way", viewBox: `0 0 ${WIDTH} ${height}`, role: "img",
    "aria-label": t("The way from the entry up to the block, in {n} steps. The list below has every hash in full.", { n: formatNumber(all.length - 1) }),
  }, edges, nodes);
}

const SIDES = { left: () => t("beside it, on the left"), right: () => t("beside it, on the right") };

function inFull(all) {
  return h("details", { class: "in-full" }, h("summary", {}, t("Every hash in full")),
    h("ol", {}, all.map(({ label, hash, sibling }) => h("li", {},
      label ?? t("Hash of both"), h("code", {}, hash),
      sibling ? [h("span", {}, SIDES[sibling.side]()), h("code", {}, sibling.sibling)] : null))));
}

/** @param {import("../../core/proof.js").Outcome} outcome what core/proof.js made of the receipt */
export class Picture {
  constructor(entry, outcome, anchor) {
    const all = stations(entry, outcome, anchor).filter((station) => station.hash);
    this.svg = draw(all);
    this.element = h("figure", { class: "picture" }, this.svg, inFull(all));
  }

  clear() {
    for (const node of this.svg.querySelectorAll("[data-covers]")) delete node.dataset.ok;
  }

  /** Paint what a check was about by its outcome. */
  mark({ name, ok }) {
    const also = { leaf: "entry", root: "anchor" }[name];
    for (const node of this.svg.querySelectorAll(`[data-covers="${name}"], [data-covers="${also}"]`)) {
      if (ok !== null && node.dataset.ok !== "false") node.dataset.ok = String(ok);
    }
  }
}
