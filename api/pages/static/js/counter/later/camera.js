// The camera at the counter: its picture, and in words why there is none.

import { h, show } from "../../core/dom.js";
import { t } from "../../core/i18n.js";
import { Camera } from "../../core/scanner.js";

const WORDS = {
  NotAllowedError: () => t("The browser may not use the camera. Allow it in the browser's settings for this page, or use the scanner or the digits."),
  NotFoundError: () => t("No camera was found. Connect one, or use the scanner or the digits."),
  NotReadableError: () => t("Another program is using the camera. Close it, or use the scanner or the digits."),
};
const OTHER = () => t("The camera does not work just now. Use the scanner or the digits.");

let close;

/** The button opens it in `place`, and closes it again. */
export function toggleCamera(api, button, place, scan) {
  if (close) return close();
  const video = h("video", { playsinline: true, "aria-label": t("Camera picture") });
  const camera = new Camera(video, api);
  button.setAttribute("aria-pressed", "true");
  close = (words) => {
    close = undefined;
    camera.stop();
    button.setAttribute("aria-pressed", "false");
    show(place, words ? h("p", { class: "notice wait", role: "alert" }, words) : null);
  };
  show(place,
    h("figure", { class: "camera" }, video,
      h("figcaption", { class: "hint" }, t("Hold the phone's code in the picture. Pictures are not kept."))));
  camera.start((text) => scan(text, { seen: true }), () => close?.(WORDS.NotFoundError()))
    .catch((error) => close?.((WORDS[error.name] ?? OTHER)()));
  return undefined;
}
