// What is built in: a scanner that types the code of a grant from somebody's phone, and a screen that
// must not go dark.

import { isScreenCode, screenCode } from "../../core/codes.js";
import { toast } from "../../core/dom.js";
import { t } from "../../core/i18n.js";
import { KeyboardWedge, keepAwake } from "../../core/scanner.js";
import { lookUpByCode } from "./asking.js";

/** @param {import("../kiosk.js").Kiosk} kiosk */
export function listenToScanner(kiosk) {
  new KeyboardWedge((text) => scanned(kiosk, text));
}

function scanned(kiosk, text) {
  const { screen, visit } = kiosk;
  if (["start", "choose", "thanks"].includes(screen)) {
    toast(t("Choose your business first, then hold your phone to the scanner again."));
  } else if (screen === "working" || visit.released) {
    // Nothing to look up now.
  } else if (!isScreenCode(text)) {
    toast(t("This is not a code of this service. Please scan it again."));
  } else if (visit.chosen.length !== 1) {
    toast(t("Choose only the one certificate that your code is for."));
  } else {
    lookUpByCode(kiosk, screenCode(text));
  }
}

/** Browsers let go of it whenever the page is hidden. */
export function stayAwake() {
  const wake = () => document.visibilityState === "visible" && keepAwake();
  wake();
  document.addEventListener("visibilitychange", wake);
}
