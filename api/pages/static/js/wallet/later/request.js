// One request: who asks, where, why, for what, the matching number; yes and no are equally near.

import { Problem, pause, serverNow } from "../../core/api.js";
import { randomCrockford } from "../../core/bytes.js";
import { busy, facts, h, icon, show } from "../../core/dom.js";
import { fieldName, formatTime, institutionName, itemName, siteName, t, tn, typeName } from "../../core/i18n.js";
import { explain } from "../../core/problems.js";
import { Kind } from "../../core/statements.js";
import { stateOf, usable } from "../states.js";
import { named } from "./fields.js";
import { inWords } from "./lines.js";

const LASTS = 300; // seconds that an approval can be used, as everywhere

/** Every asked type with the certificates of it that can be used, and what is ticked. */
const choicesOf = (request, certificates) => request.certificates.map(({ type, fields }) => {
  const own = certificates.filter((certificate) => certificate.type === type);
  const offered = own.filter(usable);
  return { type, asked: fields, own, offered, chosen: offered[0]?.certificate_id, fields: [...fields] };
});

export function requestPanel(place, wallet, request, certificates, signal) {
  if (!isOpen(request)) return decided(place, wallet, outcomeOf(request));
  const choices = choicesOf(request, certificates);
  const done = new AbortController();
  let deciding = false; // its end is then told by the answer, not by what watches
  signal.addEventListener("abort", () => done.abort());
  const problem = h("div", { role: "alert" });
  const time = h("p", { class: "muted" });
  const tick = () => {
    if (deciding) return;
    const left = Math.ceil((request.expires_ms - serverNow()) / 1000);
    if (left <= 0) return finish("expired");
    time.textContent = left >= 60
      ? tn("You have one minute to decide.", "You have {n} minutes to decide.", Math.floor(left / 60))
      : tn("You have one second to decide.", "You have {n} seconds to decide.", left);
  };
  const timer = setInterval(tick, 500);
  done.signal.addEventListener("abort", () => clearInterval(timer));
  const finish = (state, grant) => {
    done.abort();
    decided(place, wallet, state, grant, signal);
  };
  const failed = (error) => {
    if (error instanceof Problem && error.code === "request.expired") return finish("expired");
    if (error instanceof Problem && error.code === "request.denied") return finish("denied");
    if (error instanceof Problem && error.code === "request.approved") return finish("taken");
    show(problem, h("p", { class: "notice bad" }, explain(error)));
  };

  const approve = async () => {
    const granted = choices.filter(({ chosen, fields }) => chosen && fields.length)
      .map(({ chosen, fields }) => ({ certificate_id: chosen, fields }));
    if (!granted.length) {
      show(problem, h("p", { class: "notice bad" }, t("Nothing is ticked. Tick what may be seen, or refuse.")));
      return;
    }
    const grant = grantOf(request, granted);
    await wallet.api.state("/v1/grants", Kind.grant, grant);
    finish("approved", grant.grant_id);
  };
  const refuse = async () => {
    const { request_id } = request;
    await wallet.api.state(`/v1/requests/${request_id}/refusal`, Kind.refusal, { request_id });
    finish("denied");
  };
  const decide = (act) => async () => {
    deciding = true;
    try {
      await act();
    } finally {
      deciding = false;
    }
  };
  const possible = choices.some(({ offered }) => offered.length);
  const title = h("h2", { tabindex: "-1" },
    t("{site} asks for your certificate", { site: siteName(request.site) }));
  show(place,
    h("section", { class: "panel request" },
      title,
      h("p", { class: "matching" },
        h("span", {}, t("Check that the screen shows the same number:")),
        h("strong", { class: "matching-number mono" }, String(request.matching_number))),
      facts([
        [t("Who asks"), institutionName(request.department)],
        [t("Place"), siteName(request.site)],
        [t("Counter or kiosk"), request.terminal],
        [t("Member of staff"), request.staff],
        [t("Business"), itemName(request.service_item)],
        [t("They say"), request.text],
      ])),
    refusalOf(request),
    choices.map((choice) => choicePanel(choice)),
    problem, time,
    h("div", { class: "decide" },
      h("button", {
        type: "button", class: "approve", disabled: !possible,
        onclick: (event) => busy(event.currentTarget, decide(approve), failed),
      }, icon("check"), t("Approve")),
      h("button", {
        type: "button", class: "refuse", disabled: request.answered === "denied",
        onclick: (event) => busy(event.currentTarget, decide(refuse), failed),
      }, icon("cross"), t("Refuse"))),
    h("p", { class: "hint" }, t("If you approve, they may look once at each certificate, within {n} minutes.", { n: LASTS / 60 })));
  tick();
  title.focus();
  watchState(wallet, request, done.signal, (state) => {
    if (!deciding) finish(state);
  });
}

const isOpen = ({ state }) => state === "pending" || state === "denied";

/** How it ended, for this holder: somebody else who saw the code may have approved it with theirs. */
const outcomeOf = ({ state, answered }) => (state === "approved" && answered !== "approved" ? "taken" : state);

/** A no ends nothing: it may be a bystander's, or be thought better of. */
function refusalOf({ state, answered }) {
  if (state !== "denied") return null;
  return h("p", { class: "notice wait" }, answered === "denied"
    ? t("You refused it. Until its time is over you can still approve it.")
    : t("Somebody else refused it, who may have seen the code. You can approve it all the same."));
}

/** Somebody may decide it on another device of theirs, or the kiosk may be left. */
async function watchState(wallet, { request_id: id, state, answered }, signal, finish) {
  while (!signal.aborted) {
    try {
      const now = await wallet.api.get(`/v1/requests/${id}`, { wait: 25, state }, { signal, tries: 1 });
      if (signal.aborted) return;
      state = now.state;
      if (!isOpen(now) || now.answered !== answered) {
        finish(outcomeOf(now));
        await pause(1000, signal);
      }
    } catch {
      await pause(2000, signal).catch(() => {});
    }
  }
}

function choicePanel(choice) {
  const { type, asked, own, offered } = choice;
  if (!offered.length) {
    return h("section", { class: "panel" },
      h("h2", {}, typeName(type)),
      h("p", {}, own.length
        ? `${stateOf(own[0]).word}: ${stateOf(own[0]).next}`
        : t("You have no certificate of this kind, so nothing of it can be shown.")));
  }
  const read = (event) => {
    choice.fields = [...event.currentTarget.querySelectorAll("input:checked")].map(({ value }) => value);
  };
  return h("section", { class: "panel" },
    h("h2", {}, typeName(type)),
    offered.length > 1
      ? h("fieldset", { class: "choices" },
        h("legend", {}, t("Which certificate")),
        offered.map((certificate) => h("label", { class: "choice" },
          h("input", {
            type: "radio", name: `certificate-${type}`, value: certificate.certificate_id,
            checked: certificate.certificate_id === choice.chosen,
            onchange: () => {
              choice.chosen = certificate.certificate_id;
            },
          }), named(certificate))))
      : null,
    h("fieldset", { class: "choices", onchange: read },
      h("legend", {}, t("They ask for")),
      h("p", { class: "hint" }, t("You can untick what you do not want to show.")),
      asked.map((name) => h("label", { class: "choice" },
        h("input", { type: "checkbox", name: `field-${type}`, value: name, checked: true }), fieldName(type, name)))));
}

const grantOf = (request, certificates) => {
  const now = Math.floor(serverNow() / 1000) - 1;
  const grantee = { department: request.department, terminal: request.terminal };
  if (request.staff !== null) grantee.staff = request.staff;
  return {
    grant_id: randomCrockford(26),
    mode: "request",
    request_id: request.request_id,
    certificates,
    grantee,
    purpose: { service_item: request.service_item },
    when: { not_before: now, not_after: now + LASTS },
    where: { sites: [request.site] },
    limits: { max_uses: certificates.length },
  };
};

const ENDS = {
  approved: () => ["good", "check", t("You approved it"), t("Please go on at the screen.")],
  denied: () => ["quiet", "cross", t("You refused it"), t("Nothing was shown, and nothing can be unless you approve it after all.")],
  taken: () => ["wait", "cross", t("Somebody else answered it"), t("Nothing of yours was shown. If the screen is yours, start again at the screen.")],
  expired: () => ["wait", "clock", t("The time is over"), t("Nothing was shown. If you still want it, start again at the screen.")],
};

function decided(place, wallet, state, grantId, signal) {
  const [tone, symbol, word, next] = ENDS[state]();
  const title = h("h2", { class: "said-title", tabindex: "-1" }, word);
  const looks = h("ul", { class: "said-looks" });
  show(place,
    h("section", { class: `said ${tone}` },
      h("p", { class: "said-mark" }, icon(symbol, 72)), title, h("p", {}, next), h("div", { role: "status" }, looks)),
    h("div", { class: "said-actions" },
      h("button", { type: "button", class: "primary", onclick: () => wallet.go("certificates") }, t("Done")),
      state === "denied" || state === "taken" ? null : h("button", { type: "button", onclick: () => wallet.go("looks") }, t("Who looked"))));
  title.focus();
  if (!grantId) return;
  wallet.news.on((line) => {
    if (line.kind !== "lookup" || line.grant !== grantId) return;
    navigator.vibrate?.(200);
    const words = inWords(line);
    looks.append(h("li", {}, formatTime(line.time, "time"), " · ", words.what, words.why ? ` ${words.why}` : ""));
    wallet.news.seen(line);
  }, signal);
}
