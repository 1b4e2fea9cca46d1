// How much happened when: a burst or a gap is seen at a glance. What was released or done stands
// above the line, what was refused hangs below it, so that it takes no colour to tell them apart.

import { h, svg } from "../../core/dom.js";
import { formatNumber, formatTime, t, tn } from "../../core/i18n.js";

const [SECOND, MINUTE, HOUR, DAY] = [1000, 60_000, 3_600_000, 86_400_000];
const WIDTHS = [SECOND, 5 * SECOND, 15 * SECOND, MINUTE, 5 * MINUTE, 15 * MINUTE,
  HOUR, 3 * HOUR, 12 * HOUR, DAY, 7 * DAY, 30 * DAY];
const [FEWEST, MOST] = [12, 48]; // bars
const CITY_OFFSET = 8 * HOUR; // whole days are the city's
const [ABOVE, BELOW, STEP] = [44, 24, 10];

/** Bars, oldest first; none for no lines. */
export function bins(lines) {
  if (!lines.length) return { width: 0, bars: [] };
  const times = lines.map((line) => line.time);
  const [first, last] = [Math.min(...times), Math.max(...times)];
  const startOf = (time, width) => Math.floor((time + CITY_OFFSET) / width) * width - CITY_OFFSET;
  const width = WIDTHS.find((one) => (last - startOf(first, one)) / one < MOST) ?? Math.ceil((last - first) / MOST);
  const count = Math.max(FEWEST, Math.floor((last - startOf(first, width)) / width) + 1);
  const start = startOf(last, width) - (count - 1) * width;
  const bars = Array.from({ length: count }, (_, at) =>
    ({ from: start + at * width, released: 0, refused: 0, other: 0 }));
  for (const line of lines) bars[Math.floor((line.time - start) / width)][line.decision ?? "other"]++;
  return { width, bars };
}

function summary(lines, bars) {
  const count = (name) => bars.reduce((sum, bar) => sum + bar[name], 0);
  const size = (bar) => bar.released + bar.refused + bar.other;
  const fullest = bars.reduce((most, bar) => (size(bar) > size(most) ? bar : most));
  return [
    tn("{n} line", "{n} lines", lines.length),
    tn("{n} lookup released", "{n} lookups released", count("released")),
    tn("{n} lookup refused", "{n} lookups refused", count("refused")),
    t("most of them from {time} on ({n})", { time: formatTime(fullest.from), n: formatNumber(size(fullest)) }),
  ].join(t(", "));
}

/** A figure of `lines`, or null where there are none. */
export function densityStrip(lines) {
  const { width, bars } = bins(lines);
  if (!bars.length) return null;
  const highest = Math.max(...bars.map((bar) => bar.released + bar.other), 1);
  const deepest = Math.max(...bars.map((bar) => bar.refused), 1);
  const unit = Math.min(ABOVE / highest, BELOW / deepest, 8);
  const part = (name, at, y, height) =>
    height > 0 && svg("rect", { class: name, x: at * STEP + 1, width: STEP - 2, y, height });
  const drawn = bars.map((bar, at) => [
    part("released", at, ABOVE - bar.released * unit, bar.released * unit),
    part("other", at, ABOVE - (bar.released + bar.other) * unit, bar.other * unit),
    part("refused", at, ABOVE + 1, bar.refused * unit),
  ]);
  const style = width < MINUTE ? "both" : "minute";
  const size = [bars.length * STEP, ABOVE + BELOW + 2];
  return h("figure", { class: "density" },
    svg("svg", {
      viewBox: `0 0 ${size.join(" ")}`, preserveAspectRatio: "none", role: "img", "aria-label": summary(lines, bars),
    },
      svg("line", { x1: 0, x2: size[0], y1: ABOVE + .5, y2: ABOVE + .5 }), drawn),
    h("figcaption", {},
      h("span", {}, formatTime(bars[0].from, style)),
      h("span", { class: "legend" },
        h("span", { class: "released" }, t("released")),
        h("span", { class: "other" }, t("other")),
        h("span", { class: "refused" }, t("refused, below the line"))),
      h("span", {}, formatTime(bars.at(-1).from + width, style))));
}
