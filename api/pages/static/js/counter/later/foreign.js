// What is no code to look up by: what it is, and what to do next.

import { t } from "../../core/i18n.js";
import { recognise } from "../../core/recognise.js";

const SHOW = () => t("To look up, scan the code on the holder's phone.");
const NOT_WHOLE = () => t("Not read whole");
const ANOTHER = () => t("Another kind of code");

/** By kind: the heading, and the words. */
const WORDS = {
  cut: [NOT_WHOLE, (v) => t("Only {read} of the code's 51 characters arrived. Hold the phone still, a hand's width away, and scan again.", v)],
  run_together: [NOT_WHOLE, (v) => t("{read} characters arrived, and a code has 51: two scans ran into each other. Scan again, one code at a time.", v)],
  misread: [NOT_WHOLE, () => t("All 51 characters arrived, but at least one is wrong. Have the phone's screen brighter, hold it still and scan again. Whoever typed it: a code has no 0, 1, 8 or 9 after EZ1.")],
  digits: [NOT_WHOLE, (v) => t("These are {read} digits, and the code that the holder says has eight. Ask the holder to say it again.", v)],
  grant_number: [NOT_WHOLE, (v) => t("These are {read} characters, and a grant's number has 26. Compare it with the holder's phone, and type it again.", v)],
  request: [ANOTHER, () => t("This code is for the holder's phone: the holder scans it there. Please scan the code on the phone.")],
  newer: [ANOTHER, () => t("This code is newer than this page. Load the page again, then scan again.")],
  certificate: [ANOTHER, () => t("This code names a certificate: it is for checking, on the page “Check”. To look up, scan the code on the holder's phone.")],
  report: [ANOTHER, () => [t("This is the code of a printed report: it is for checking, on the page “Check”."), SHOW()].join(" ")],
  receipt: [ANOTHER, () => [t("This is a receipt: it is for checking, on the page “Check”."), SHOW()].join(" ")],
  evidence: [ANOTHER, () => [t("This is evidence: it is for checking, on the page “Check”."), SHOW()].join(" ")],
  payment: [ANOTHER, () => t("This is a code for paying. Nothing is paid here. Ask the holder to open the wallet of certificates and to show the code there.")],
  identity: [ANOTHER, () => t("This is an identity number. Nobody is looked up by it: ask the holder to show the code on the phone, or ask on the holder's phone.")],
  invitation: [ANOTHER, () => [t("This looks like a one-time code for signing in."), SHOW()].join(" ")],
  website: [ANOTHER, () => t("This code leads to a website. Please scan the code that the holder's wallet of certificates shows.")],
};
const OTHER = [ANOTHER, () => t("This is not a code of this service. Please scan the code that the holder's phone shows.")];

/** @param {boolean} seen by the camera, which reads no digits that are said @returns {[string, string]} heading, words */
export function foreign(text, seen) {
  const { kind, read } = recognise(text);
  const [heading, words] = (seen && ["digits", "grant_number", "invitation"].includes(kind) ? null : WORDS[kind]) ?? OTHER;
  return [heading(), words({ read })];
}
