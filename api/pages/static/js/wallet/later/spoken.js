// Eight digits to say where no scanner reads the screen: good at one place, once, three minutes.

import { serverNow } from "../../core/api.js";
import { busy, field, h, select, show } from "../../core/dom.js";
import { siteName, t, tn } from "../../core/i18n.js";
import { explain } from "../../core/problems.js";

/** @param {() => void} back shows the code again */
export function spokenPanel(wallet, grant, signal, back) {
  const { sites } = grant.where;
  const choice = select(sites.map((site) => [site, siteName(site)]), sites[0]);
  const result = h("div", { role: "status" });
  const get = h("button", { type: "button", class: "primary" }, t("Get 8 digits"));
  let timer;
  const fetchDigits = async () => {
    const answer = await wallet.api.post(
      `/v1/grants/${grant.grant_id}/spoken-code`, { site: choice.value }, { token: true, tries: 2, signal });
    clearInterval(timer);
    const left = h("p", { class: "spoken-left" });
    const tick = () => {
      const seconds = Math.ceil((answer.expires_ms - serverNow()) / 1000);
      if (seconds > 0) {
        left.textContent = t("Good for {time} more", {
          time: `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`,
        });
        return;
      }
      clearInterval(timer);
      show(result, h("p", { class: "notice wait" }, t("These digits are over. Please get new ones.")));
    };
    show(result,
      h("p", { class: "spoken-digits mono" }, answer.spoken),
      h("p", {}, t("Say them at {site}. They work once, and only there.", { site: siteName(answer.site) })),
      tn("After one wrong try they are over.", "After {n} wrong tries they are over.", answer.tries));
    result.append(left);
    tick();
    timer = setInterval(tick, 500);
  };
  signal.addEventListener("abort", () => clearInterval(timer));
  get.addEventListener("click", () => busy(get, fetchDigits,
    (error) => show(result, h("p", { class: "notice bad" }, explain(error)))));
  return h("section", { class: "panel spoken" },
    h("h2", { tabindex: "-1" }, t("Eight digits to say")),
    sites.length > 1
      ? field(t("Where are you?"), choice)
      : h("p", {}, t("For {site}.", { site: siteName(sites[0]) })),
    result, h("div", { class: "actions" }, get,
      h("button", { type: "button", onclick: () => {
        clearInterval(timer);
        back();
      } }, t("Back to the code"))));
}
