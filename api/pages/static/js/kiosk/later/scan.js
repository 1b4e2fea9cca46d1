// What is built in: a scanner that types the code of a grant from somebody's phone, and a screen that
// must not go dark.

import { toast } from "../../core/dom.js";
import { t } from "../../core/i18n.js";
import { recognise } from "../../core/recognise.js";
import { KeyboardWedge, keepAwake } from "../../core/scanner.js";
import { lookUpByCode } from "./asking.js";

/** @param {import("../kiosk.js").Kiosk} kiosk */
export function listenToScanner(kiosk) {
  new KeyboardWedge((text) => scanned(kiosk, text));
}

/** What was read instead of a phone's code, and what to do; `n` characters arrived. */
const NOT_THIS = {
  cut: (n) => t("Only {n} of the code's 51 characters were read. Hold the phone still and show it again.", { n }),
  run_together: () => t("Two codes were read at once. Show one code at a time."),
  misread: () => t("The code was misread. Make the phone's screen brighter and show it again."),
  request: () => t("This is the code on a screen such as this one. Show the code of a permission on your phone."),
  newer: () => t("This code is newer than this machine. Please go to a counter."),
  payment: () => t("This is a code for paying. Nothing is paid here: open “My certificates” on your phone."),
};
const OTHER = () => t("This is not a code of this service. Please scan it again.");

function scanned(kiosk, text) {
  const { screen, visit } = kiosk;
  const { kind, code, read } = recognise(text);
  if (["start", "choose", "thanks"].includes(screen)) {
    toast(t("Choose your business first, then hold your phone to the scanner again."));
  } else if (screen === "working" || visit.released) {
    // Nothing to look up now.
  } else if (kind !== "grant") {
    toast((NOT_THIS[kind] ?? OTHER)(read));
  } else if (visit.chosen.length !== 1) {
    toast(t("Choose only the one certificate that your code is for."));
  } else {
    lookUpByCode(kiosk, code);
  }
}

/** Browsers let go of it whenever the page is hidden. */
export function stayAwake() {
  const wake = () => document.visibilityState === "visible" && keepAwake();
  wake();
  document.addEventListener("visibilitychange", wake);
}
