// My grants: what I allowed whom, what is left of it, and one tap to take it back.

import { badge, busy, facts, h, icon, show, toast } from "../../core/dom.js";
import { formatNumber, itemName, t } from "../../core/i18n.js";
import { explain } from "../../core/problems.js";
import { Kind } from "../../core/statements.js";
import { copy } from "./certificate.js";
import { grantState, inForce, sitesOf, untilOf, whatOf, whomOf } from "./terms.js";

/** The first page of all grants, as everybody here reads it. */
export const FIRST = { limit: 30 };

export async function view(place, wallet, state, signal) {
  let grants = [];
  let before = null;
  const fetchPage = async (from) => {
    const page = from === undefined
      ? await wallet.read("/v1/grants", FIRST, { signal })
      : await wallet.api.get("/v1/grants", { ...FIRST, before: from }, { signal });
    grants = from === undefined ? page.grants : [...grants, ...page.grants];
    before = page.next_before;
  };
  const draw = () => {
    if (!grants.length) return show(place, empty());
    const current = grants.filter((grant) => inForce(grant) || grant.state === "frozen");
    const past = grants.filter((grant) => !current.includes(grant));
    const section = (title, list, none) => h("section", { class: "grant-group" },
      h("h2", {}, title),
      list.length
        ? h("ul", { class: "grants" }, list.map((grant) => grantItem(wallet, grant)))
        : h("p", { class: "muted" }, none));
    show(place,
      section(t("In force now"), current, t("Nobody may look at anything just now.")),
      past.length ? section(t("Over"), past) : null,
      before === null ? null : h("button", {
        type: "button", class: "wide-action",
        onclick: (event) => busy(event.currentTarget, () => fetchPage(before).then(draw),
          (error) => toast(explain(error), "bad")),
      }, t("Show older")));
  };
  wallet.news.on((line) => {
    // Not while somebody is in the middle of it: what this device did is drawn already.
    if ((line.grant || line.kind === "revocation") && line.actor !== wallet.who.kid) fetchPage().then(draw, () => {});
  }, signal);
  await fetchPage();
  draw();
}

function grantItem(wallet, grant) {
  const item = h("li", { class: "panel grant", tabindex: "-1", dataset: { grant: grant.grant_id } });
  fill(item, wallet, grant);
  return item;
}

function fill(item, wallet, grant) {
  const [tone, word] = grantState(grant.state);
  const revoke = async () => {
    await wallet.api.state(`/v1/grants/${grant.grant_id}/revocation`, Kind.revocation, { grant_id: grant.grant_id });
    fill(item, wallet, { ...grant, state: "revoked" });
    item.focus();
    toast(t("Withdrawn. Nobody can use it any more."));
  };
  const uses = t("{left} of {all} left",
    { left: formatNumber(grant.uses_left), all: formatNumber(grant.limits.max_uses) });
  show(item,
    h("div", { class: "split" },
      h("h3", {}, itemName(grant.purpose.service_item)),
      badge(tone, word)),
    facts([
      [t("Who"), whomOf(grant)],
      [t("Where"), sitesOf(grant)],
      [t("What"), whatOf(grant).map((text) => h("span", { class: "block" }, text))],
      [t("Until"), untilOf(grant)],
      [t("Looks"), uses],
      [t("Grant number"), grant.mode === "direct" && inForce(grant) ? grantNumber(grant.grant_id) : null],
    ]),
    inForce(grant) ? h("div", { class: "actions" },
      grant.mode === "scan" && grant.state === "active"
        ? h("button", { type: "button", class: "primary", onclick: () => wallet.go("code", { grant: grant.grant_id }) },
          icon("scan"), t("Show the code"))
        : null,
      h("button", {
        type: "button", class: "danger",
        onclick: (event) => busy(event.currentTarget, revoke, (error) => toast(explain(error), "bad")),
      }, t("Withdraw"))) : null);
}

/** What the counter types in for a direct grant, in groups that can be read aloud. */
export const grantNumber = (grantId) => h("span", {},
  h("span", { class: "mono grant-number" }, grantId.match(/.{1,4}/g).join(" ")), " ",
  h("button", { type: "button", class: "quiet copy", onclick: () => copy(grantId) }, t("Copy")));

const empty = () =>
  h("section", { class: "panel empty" },
    icon("key", 40),
    h("h2", {}, t("You have allowed nothing yet")),
    h("p", {}, t("When you share a certificate, it is listed here, and you can withdraw it with one tap.")),
    h("a", { class: "button primary", href: "#share", "data-view": "share" }, t("Share a certificate")));
