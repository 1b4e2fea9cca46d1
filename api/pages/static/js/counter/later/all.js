// What follows the first view: everything from the first scan on.

import { Desk } from "./desk.js";
import { Showing } from "./showing.js";
import { Today } from "./today.js";

export { toggleCamera } from "./camera.js";
export { askStaff } from "./staff.js";

/** Resolves once its own stylesheet is there, so that nothing is seen without it. */
function loadStyles() {
  const link = document.createElement("link");
  link.rel = "stylesheet";
  link.href = "/assets/css/counter-later.css";
  return new Promise((resolve, reject) => {
    link.onload = resolve;
    link.onerror = () => {
      link.remove();
      reject(new TypeError("no stylesheet"));
    };
    document.head.append(link);
  });
}

/** @returns {Promise<Desk>} */
export async function openDesk({ api, who }, business, stage, place) {
  await loadStyles();
  const today = new Today(api, who.terminal);
  place.append(today.panel);
  const desk = new Desk(api, business, new Showing(stage, business));
  desk.onLine = (line) => today.add(line);
  // Whoever comes back to this page, also by the browser's memory of it, finds no old result.
  addEventListener("pagehide", () => desk.clear());
  return desk;
}
