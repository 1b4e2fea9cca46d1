// The first screen: touch to start, in either language.

import { h, icon } from "../core/dom.js";
import { t } from "../core/i18n.js";

/** Each language says its own words, whatever the page speaks. */
const STARTS = [
  ["zh-CN", "中文", "点这里开始办理"],
  ["en", "English", "Touch here to start"],
];

export function startScreen(kiosk) {
  const start = async (code) => {
    await kiosk.changeLanguage(code);
    await kiosk.choose();
  };
  return {
    title: t("Bring your certificates from your phone"),
    body: [
      kiosk.serving ? null : h("p", { class: "notice bad out", role: "alert" }, icon("warning", 28),
        t("This machine is out of service just now. Please go to the nearest counter; touch Help to see where.")),
      h("div", { class: "starts" }, STARTS.map(([code, name, words]) =>
        h("button", { type: "button", class: "primary start", lang: code, onclick: () => start(code) },
          h("strong", {}, name), h("span", {}, words)))),
      h("ol", { class: "promise" },
        [
          ["list", t("Choose your business here")],
          ["screen", t("Confirm on your phone what may be shown")],
          ["printer", t("Read it, print it, done. Nothing stays here")],
        ].map(([symbol, text]) => h("li", {}, h("span", { class: "disc" }, icon(symbol, 40)), text))),
    ],
  };
}
