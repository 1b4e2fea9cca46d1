// Whether the service can be used, asked while nobody stands there: so that the first screen says so
// at once, and a withdrawn key brings the sign-in back.

import { Problem, pause } from "../../core/api.js";

const EVERY = 30_000;
const A_DAY = 86_400_000;

/** @param {import("../kiosk.js").Kiosk} kiosk */
export async function watchService(kiosk) {
  for (;;) {
    await pause(EVERY);
    if (kiosk.screen !== "start") continue;
    let serving = true;
    try {
      await kiosk.api.get("/v1/whoami", {}, { tries: 1 });
    } catch (error) {
      if (error instanceof Problem && error.status === 401) location.reload();
      serving = false;
    }
    if (kiosk.screen !== "start") continue;
    // It runs for months: once a day, while nobody is there, it takes the pages as they are now.
    if (serving && performance.now() > A_DAY) location.reload();
    if (serving !== kiosk.serving) {
      kiosk.serving = serving;
      kiosk.redraw();
    }
  }
}
