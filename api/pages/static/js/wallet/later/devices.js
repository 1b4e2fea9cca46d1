// The devices that speak for this person: what they call each, since when, on whose word and for what,
// when it last signed; and how each is frozen ('not mine') or stopped, and all that it granted withdrawn.

import { ask, badge, busy, confirm, facts, field, h, show, toast } from "../../core/dom.js";
import { formatList, formatTime, institutionName, t, tn } from "../../core/i18n.js";
import { explain, learnWords } from "../../core/problems.js";
import { Kind } from "../../core/statements.js";

learnWords({
  "key.suspension": () => t("This device was frozen or made usable meanwhile. Please look at the list again."),
  "key.revoked": () => t("This device was stopped already."),
});

/** What this person calls their devices, by key: kept on this one alone, sealed like all that is kept. */
export const NAMES = "names of devices";
const MAX_NAME = 30;
const namesIn = (wallet) => wallet.kept.get(NAMES)?.value ?? {};
const numbered = (kid) => t("Device …{tail}", { tail: kid.slice(-6) });
/** Of a device of this person, in a sentence. */
const nameOf = (kid, wallet) => (kid === wallet.who.kid ? t("this device") : namesIn(wallet)[kid] ?? numbered(kid));

const STATES = {
  good: () => ["good", t("In use")],
  suspended: () => ["wait", t("Frozen")],
  revoked: () => ["bad", t("Stopped")],
};

/** Fills `place`, and keeps it up to date until `signal` is aborted. */
export async function deviceList(place, wallet, signal) {
  const redraw = async (kid) => {
    const { keys } = await wallet.api.get("/v1/keys", {}, { signal });
    const rank = (key) => (key.kid === wallet.who.kid ? 0 : key.state === "revoked" ? 2 : 1);
    const known = { keys, redraw };
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
  const name = namesIn(wallet)[key.kid];
  return h("li", { class: "panel grant", tabindex: "-1", dataset: { kid: key.kid } },
    h("div", { class: "split" },
      h("h3", {}, name ?? (here ? t("This one") : numbered(key.kid)),
        name ? h("span", { class: "muted" }, ` · ${here ? t("This one") : numbered(key.kid)}`) : null),
      badge(tone, word)),
    facts([
      [t("Since"), formatTime(key.since_ms, "minute")],
      [t("Let in by"), byWhom(key.let_in_by, wallet)],
      [t("Last signed"), key.last_signed_on ? formatTime(Date.parse(`${key.last_signed_on}T12:00+08:00`), "date") : t("nothing yet")],
      [t("Speaks for"), key.scope ? t("what {department} issued to you", { department: institutionName(key.scope) })
        : t("all of your certificates")],
      [t("Frozen"), key.suspended && key.state === "suspended"
        ? whenAndBy(key.suspended.since_ms, frozenBy(key.suspended, wallet)) : null],
      [t("Stopped"), key.revoked_ms === undefined ? null
        : whenAndBy(key.revoked_ms, key.revoked_by ? byWhom(key.revoked_by, wallet) : null)],
    ]),
    key.state === "suspended" ? frozenNotice(wallet, key, known) : null,
    actions(wallet, key, known));
}

function frozenNotice(wallet, key, { keys }) {
  const brought = keys.filter(({ let_in_by: by, state }) => by.kid === key.kid && state === "good");
  return h("div", { class: "notice wait" },
    h("p", {}, t("It can sign nothing, and nobody can look at anything by what it allowed. If it is made usable again, what it allowed is in force again, unless you withdraw it.")),
    brought.length ? h("p", {}, t("It had let in these: {devices}. Do you know them? If not, freeze them too.",
      { devices: formatList(brought.map(({ kid }) => nameOf(kid, wallet))) })) : null,
    h("p", {}, t("Not yours? Go to a counter of the office that issues your identity document (of an enterprise: its business licence) and ask how it was let in; then stop it.")));
}

const byWhom = ({ kid, role, institution }, wallet) => (role === "holder" ? nameOf(kid, wallet) : institutionName(institution));

const whenAndBy = (at, who) => [formatTime(at, "minute"), who].filter(Boolean).join(" · ");

const frozenBy = ({ kid, role }, wallet) => {
  if (role === "holder") return nameOf(kid, wallet);
  return role === "auditor" ? t("the audit office") : t("the office for your identity");
};

function askName(now) {
  return ask(t("What do you call this device?"), (close) => {
    const name = h("input", { name: "name", maxlength: String(MAX_NAME), value: now ?? "", autocomplete: "off" });
    return h("form", {
      onsubmit: (event) => {
        event.preventDefault();
        close(name.value.trim());
      },
    },
    field(t("Name"), name, { hint: t("It is kept on this device alone; nobody else sees it.") }),
    h("div", { class: "actions" },
      h("button", { type: "submit", class: "primary" }, t("Save")),
      h("button", { type: "button", onclick: () => close() }, t("Cancel"))));
  });
}

/** Whoever froze a device may end that; the service says which ones this device may stop. */
function actions(wallet, key, { redraw }) {
  const state = async (what, said) => {
    await wallet.api.state("/v1/enrolments", Kind.enrolment, { what, kid: key.kid });
    toast(said);
    await redraw(key.kid);
  };
  const frozen = key.state === "suspended";
  const stop = async () => {
    const sure = await confirm(t("Stop this device?"), frozen
      ? t("It can never sign anything again. What it allowed stays frozen.")
      : t("It can never sign anything again. What it allowed stays in force until you withdraw it."),
    t("Stop it"), { danger: true });
    if (sure) await state("key_revocation", t("Stopped. It can never sign anything again."));
  };
  const call = async () => {
    const name = await askName(namesIn(wallet)[key.kid]);
    if (name === undefined) return;
    const { [key.kid]: _, ...others } = namesIn(wallet);
    wallet.kept.put(NAMES, name ? { ...others, [key.kid]: name } : others);
    await redraw(key.kid);
  };
  const withdraw = async () => {
    const sure = await confirm(t("Withdraw all that this device granted?"),
      t("Nobody can look at anything any more by what it allowed until now. This cannot be undone; what your other devices allowed stays."),
      t("Withdraw all"), { danger: true });
    if (!sure) return;
    try {
      const { grants } = await wallet.api.state("/v1/statements", Kind.revocation, { kid: key.kid });
      toast(tn("{n} grant withdrawn. Those that had run out count too.", "{n} grants withdrawn. Those that had run out count too.", grants));
    } catch (error) {
      if (error.code !== "grant.revoked") throw error;
      toast(t("There is nothing to withdraw: it has granted nothing, or all of it was withdrawn already."));
    }
    await redraw(key.kid);
  };
  const button = (text, act, properties = {}) => h("button", {
    type: "button", ...properties,
    onclick: (event) => busy(event.currentTarget, act, (error) => toast(explain(error), "bad")),
  }, text);
  return h("div", { class: "actions" },
    !key.revocable || frozen ? null : button(t("Not mine"),
      () => state("key_suspension", t("Frozen. It can sign nothing, and what it allowed cannot be used."))),
    key.revocable && frozen && key.suspended.kid === wallet.who.kid
      ? button(t("Use it again"), () => state("key_restoration", t("It can be used again.")))
      : null,
    button(t("Name it"), call),
    button(t("Withdraw all that it granted"), withdraw),
    key.revocable ? button(t("Stop it"), stop, { class: "danger" }) : null);
}
