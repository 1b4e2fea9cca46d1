// The public record: how it grows, its newest checkpoints, and the chain's newest blocks.

import "./core/shell.js";
import { Api, pause, serverNow } from "./core/api.js";
import { $, h, show } from "./core/dom.js";
import { formatAgo, formatNumber, t } from "./core/i18n.js";
import { explain } from "./core/problems.js";
import { drawGrowth } from "./explorer/chart.js";
import { List, blockRow, checkpointRow, openBlock, openCheckpoint } from "./explorer/lists.js";

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
const blocks = new List({
  title: t("Blocks"),
  about: t("What the chain's node has sealed, newest first."),
  columns: [[t("Block"), "number"], [t("Time")], [t("Transactions"), "number"], [t("Hash")]],
  load: async (before) => {
    const page = await api.get("/v1/blocks", { before, limit: 10 });
    return { rows: page.blocks, next: page.next_before };
  },
  row: (item) => blockRow(item, () => openBlock(api, item.number)),
  idOf: (item) => item.number,
});

show($("#app"), trouble, figures, chart, h("div", { class: "lists" }, checkpoints.element, blocks.element));

async function refresh() {
  const growth = await api.get("/v1/growth", { points: 120 });
  const [newest] = await checkpoints.refresh();
  const [head] = await blocks.refresh();
  const { released, refused } = growth.lookups ?? {};
  show(figures, [
    [t("Entries on the chain"), formatNumber(growth.size)],
    [t("Looks given"), released === undefined ? "…" : formatNumber(released)],
    [t("Looks refused"), refused === undefined ? "…" : formatNumber(refused)],
    [t("Newest block"), head ? formatNumber(head.number) : "–"],
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
