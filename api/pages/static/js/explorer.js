// The public record: how it grows, its newest checkpoints, and the chain's newest blocks.

import "./core/shell.js";
import { Api, pause, serverNow } from "./core/api.js";
import { $, h, show } from "./core/dom.js";
import { formatAgo, formatNumber, t } from "./core/i18n.js";
import { explain } from "./core/problems.js";
import { drawGrowth } from "./explorer/chart.js";
import { List, blockRow, checkpointRow, foldRow, openBlock, openCheckpoint } from "./explorer/lists.js";

const EVERY = 5000; // milliseconds between looks at the service

const api = new Api();
const figures = h("dl", { class: "figures" });
const chart = h("figure", { class: "panel chart" });
const trouble = h("div", { role: "status" });

const checkpoints = new List({
  title: t("Checkpoints"),
  about: t("A checkpoint fixes the record up to a size. Each stands on the chain, which refuses one that would rewrite an earlier one."),
  columns: [[t("Entries"), "number"], [t("Last entry")], [t("Root")], [t("Block"), "number"]],
  load: async (before) => {
    const page = await api.get("/v1/checkpoints", { before, limit: 10 });
    return { rows: page.checkpoints, next: page.next_before };
  },
  row: (item) => checkpointRow(item, () => openCheckpoint(api, item.size)),
  idOf: (item) => item.size,
});
let head = null; // the newest block's number
const blocks = new List({
  title: t("Blocks"),
  about: t("The chain's blocks that hold an anchor, newest first; the others are folded."),
  columns: [[t("Block"), "number"], [t("Time")], [t("Transactions"), "number"], [t("Hash")]],
  load: async (before) => {
    const page = await api.get("/v1/blocks", { before, limit: 10, anchored: true });
    head = page.head;
    return { rows: page.blocks, next: page.next_before };
  },
  row: (item) => blockRow(item, () => openBlock(api, item.number)),
  idOf: (item) => item.number,
  between: (newer, { number }) => {
    const above = newer ? newer.number : head + 1;
    const count = above - number - 1;
    if (count < 1) return null;
    return foldRow(above, count, async () => {
      const page = await api.get("/v1/blocks", { before: above, limit: Math.min(count, 20) });
      blocks.insert(page.blocks);
    });
  },
});

show($("#app"), trouble, figures, chart, h("div", { class: "lists" }, checkpoints.element, blocks.element));

async function refresh() {
  const growth = await api.get("/v1/growth", { points: 120 });
  const [newest] = await checkpoints.refresh();
  await blocks.refresh();
  const { released, refused } = growth.lookups ?? {};
  show(figures, [
    [t("Entries on the chain"), formatNumber(growth.size)],
    [t("Looks given"), released === undefined ? "…" : formatNumber(released)],
    [t("Looks refused"), refused === undefined ? "…" : formatNumber(refused)],
    [t("Newest block"), head === null ? "–" : formatNumber(head)],
    [t("Last entry"), newest ? formatAgo(newest.time_ms, serverNow()) : "–"],
  ].map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value))));
  drawGrowth(chart, growth.points);
}

for (;;) {
  try {
    if (!document.hidden) await refresh();
    show(trouble);
  } catch (error) {
    show(trouble, h("p", { class: "notice wait" }, explain(error)));
  }
  await pause(EVERY);
}
