// A public screen: choose a business, confirm on the phone, read, print, gone. Signed in once by the
// staff who set it up; from then on it runs by itself, and nobody who passes by can sign it out.

import "./core/shell.js";
import { pause } from "./core/api.js";
import { $ } from "./core/dom.js";
import { loadLater } from "./core/i18n.js";
import { requireSession } from "./core/session.js";
import { drawHead } from "./kiosk/head.js";
import { Kiosk } from "./kiosk/kiosk.js";

const AFTER_FIRST_VIEW = 3000;

// A long touch on a picture must not open the browser's own menu.
addEventListener("contextmenu", (event) => event.preventDefault());

drawHead();
const session = await requireSession({ slot: "kiosk", roles: ["terminal"] });
$(".page-title").remove();
const kiosk = new Kiosk(session, $("#app"));
kiosk.start();

// What later screens take is fetched before anybody needs it, so that a lost connection finds the
// page whole: words in both languages, the scanner, and the way to a human.
await pause(AFTER_FIRST_VIEW);
for (let attempt = 1; ; attempt++) {
  try {
    await kiosk.prepare();
    break;
  } catch {
    await session.api.get("/v1/whoami", {}, { tries: Infinity });
    // The service is there. A script that failed to load may be remembered as failed; a fresh page is not.
    if (attempt > 1) location.reload();
  }
}
for (const language of ["zh-CN", "en"]) loadLater(language);
