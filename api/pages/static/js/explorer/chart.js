// The record's size over time, as a line that one can read at a glance.

import { h, show, svg } from "../core/dom.js";
import { formatNumber, formatTime, t } from "../core/i18n.js";

const HIGH = 260;
const EDGE = { left: 64, right: 16, top: 16, bottom: 34 };

/** Round steps: 1, 2 or 5 times a power of ten, about `count` of them up to `most`. */
function ticks(most, count) {
  const rough = Math.max(1, most / count);
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((candidate) => candidate >= rough);
  const found = [];
  for (let at = 0; at < most + step; at += step) found.push(at);
  return found;
}

/** @param {Element} target  @param {[number, number][]} points time in ms, entries so far */
export function drawGrowth(target, points) {
  const title = t("Growth of the record");
  if (points.length < 2) {
    show(target, h("figcaption", {}, title), h("p", { class: "muted" }, t("There is too little yet to draw.")));
    return;
  }
  // Drawn at the size it is shown at, so that its text is as large as all other.
  const wide = Math.max(280, target.clientWidth - 42);
  const [first, last] = [points[0], points.at(-1)];
  const span = Math.max(1, last[0] - first[0]);
  const marks = ticks(last[1], 4);
  const top = marks.at(-1);
  const x = (time) => EDGE.left + ((time - first[0]) / span) * (wide - EDGE.left - EDGE.right);
  const y = (size) => HIGH - EDGE.bottom - (size / top) * (HIGH - EDGE.top - EDGE.bottom);
  // Steps, because nothing happened between two samples that is known of.
  const line = points.map(([time, size], at) =>
    at === 0 ? `M${x(time).toFixed(1)} ${y(size).toFixed(1)}` : `H${x(time).toFixed(1)}V${y(size).toFixed(1)}`).join("");
  const within = span < 86_400_000 ? "time" : "short";
  const times = [0, 0.5, 1].map((part) => first[0] + part * span);
  const summary = t("From {from} to {until} the record grew from {first} to {last} entries.", {
    from: formatTime(first[0], "minute"), until: formatTime(last[0], "minute"),
    first: formatNumber(first[1]), last: formatNumber(last[1]),
  });
  show(target,
    h("figcaption", {}, title),
    svg("svg", { viewBox: `0 0 ${wide} ${HIGH}`, role: "img", "aria-label": summary },
      marks.map((size) => svg("g", {},
        svg("line", { class: "grid", x1: EDGE.left, x2: wide - EDGE.right, y1: y(size), y2: y(size) }),
        svg("text", { x: EDGE.left - 8, y: y(size) + 4, "text-anchor": "end" }, formatNumber(size)))),
      times.map((time, at) =>
        svg("text", { x: x(time), y: HIGH - 10, "text-anchor": ["start", "middle", "end"][at] }, formatTime(time, within))),
      svg("path", { class: "area", d: `${line}V${y(0)}H${x(first[0])}Z` }),
      svg("path", { class: "line", d: line })),
    h("p", { class: "muted small" }, summary));
}
