// The devices that speak for this person: since when, on whose word and for what, and how each is
// frozen ('not mine') or stopped.

import { badge, busy, confirm, facts, h, show, toast } from "../../core/dom.js";
import { formatTime, institutionName, t } from "../../core/i18n.js";
import { explain, learnWords } from "../../core/problems.js";
import { Kind } from "../../core/statements.js";

learnWords({
  "key.suspension": () => t("This device was frozen or made usable meanwhile. Please look at the list again."),
  "key.revoked": () => t("This device was stopped already."),
});

const STATES = {
  good: () => ["good", t("In use")],
  suspended: () => ["wait", t("Frozen")],
  revoked: () => ["bad", t("Stopped")],
};

/** Fills `place`, and keeps it up to date until `signal` is aborted. */
export async function deviceList(place, wallet, signal) {
  const redraw = async (kid) => {
    const [{ keys }, { lines }] = await Promise.all([
      wallet.api.get("/v1/keys", {}, { signal }),
      wallet.api.get("/v1/history", { kind: "enrolment", limit: 50 }, { signal }),
    ]);
    const rank = (key) => (key.kid === wallet.who.kid ? 0 : key.state === "revoked" ? 2 : 1);
    const known = { own: new Set(keys.map((key) => key.kid)), lines, redraw };
    show(place, h("ul", { class: "grants devices" },
      [...keys].sort((a, b) => rank(a) - rank(b)).map((key) => deviceItem(wallet, key, known))));
    if (kid) place.querySelector(`[data-kid="${kid}"]`)?.focus();
  };
  wallet.news.on((line) => {
    if (line.kind === "enrolment" && line.actor !== wallet.who.kid) redraw().catch(() => {});
  }, signal);
  await redraw();
}

function deviceItem(wallet, key, known) {
  const here = key.kid === wallet.who.kid;
  const [tone, word] = STATES[key.state]?.() ?? ["quiet", key.state];
  const stopped = known.lines.find((line) => line.subject === key.kid && line.state === "revoked");
  return h("li", { class: "panel grant", tabindex: "-1", dataset: { kid: key.kid } },
    h("div", { class: "split" },
      h("h3", {}, here ? t("This one") : t("Device …{tail}", { tail: key.kid.slice(-6) })),
      badge(tone, word)),
    facts([
      [t("Since"), formatTime(key.since_ms, "minute")],
      [t("Let in by"), letInBy(key.let_in_by)],
      [t("Speaks for"), key.scope ? t("what {department} issued to you", { department: institutionName(key.scope) })
        : t("all of your certificates")],
      [t("Frozen"), key.suspended && key.state === "suspended"
        ? whenAndBy(key.suspended.since_ms, frozenBy(key.suspended, wallet)) : null],
      [t("Stopped"), key.revoked_ms === undefined ? null
        : whenAndBy(key.revoked_ms, stopped ? stoppedBy(stopped, wallet, known.own) : null)],
    ]),
    key.state === "suspended"
      ? h("p", { class: "notice wait" }, t("It can sign nothing, and nobody can look at anything by what it allowed. Not yours? Go to a counter of the office that issues your identity document (of an enterprise: its business licence) and ask how it was let in; then stop it."))
      : null,
    actions(wallet, key, known));
}

const letInBy = ({ role, institution }) => (role === "holder" ? t("another device of yours") : institutionName(institution));

const whenAndBy = (at, who) => [formatTime(at, "minute"), who].filter(Boolean).join(" · ");

const frozenBy = ({ kid, role }, wallet) => {
  if (role === "holder") return ownDevice(kid, wallet);
  return role === "auditor" ? t("the audit office") : t("the office for your identity");
};

const stoppedBy = ({ actor }, wallet, own) => (own.has(actor) ? ownDevice(actor, wallet) : t("an office"));

const ownDevice = (kid, wallet) => (kid === wallet.who.kid ? t("this device") : t("another device of yours"));

/** Whoever froze a device may end that; the service says which ones this device may stop. */
function actions(wallet, key, { redraw }) {
  if (!key.revocable) return null;
  const state = async (what, said) => {
    await wallet.api.state("/v1/enrolments", Kind.enrolment, { what, kid: key.kid });
    toast(said);
    await redraw(key.kid);
  };
  const frozen = key.state === "suspended";
  const stop = async () => {
    const sure = await confirm(t("Stop this device?"), frozen
      ? t("It can never sign anything again. What it allowed stays frozen.")
      : t("It can never sign anything again. What it allowed stays in force until you withdraw it under your grants."),
    t("Stop it"), { danger: true });
    if (sure) await state("key_revocation", t("Stopped. It can never sign anything again."));
  };
  const button = (text, act, properties = {}) => h("button", {
    type: "button", ...properties,
    onclick: (event) => busy(event.currentTarget, act, (error) => toast(explain(error), "bad")),
  }, text);
  return h("div", { class: "actions" },
    frozen ? null : button(t("Not mine"),
      () => state("key_suspension", t("Frozen. It can sign nothing, and what it allowed cannot be used."))),
    frozen && key.suspended.kid === wallet.who.kid
      ? button(t("Use it again"), () => state("key_restoration", t("It can be used again.")))
      : null,
    button(t("Stop it"), stop, { class: "danger" }));
}
