// The issuer desk: sign in as a department, then one view a tab, each loaded when it is opened.

import "./core/shell.js";
import { h, show, $ } from "./core/dom.js";
import { institutionName, t } from "./core/i18n.js";
import { explain } from "./core/problems.js";
import { requireSession } from "./core/session.js";
import { department } from "./issuer/department.js";
import { later } from "./issuer/later.js";

const TABS = [
  ["import", t("Import"), () => import("./issuer/importing.js")],
  ["find", t("Find a certificate"), () => later("finding")],
  ["catalogue", t("Catalogue"), () => later("catalogue")],
  ["codes", t("One-time codes"), () => later("inviting")],
];

const session = await requireSession({ slot: "issuer", roles: ["issuer"] });
const desk = { ...session, department: department(session.who.institution) };

const tabs = h("nav", { class: "tabs", "aria-label": t("Issuer desk") },
  TABS.map(([name, label]) => h("a", { href: `#${name}` }, label)));
const view = h("div", { id: "view" });
show($("#app"),
  h("div", { class: "split signed-in" },
    h("p", {}, t("Signed in for {department}", { department: institutionName(session.who.institution) })),
    h("button", { type: "button", class: "quiet", onclick: session.signOut }, t("Sign out"))),
  tabs, view);

// An import goes on while another tab is looked at; the other views begin anew each time.
let importView;
let opening = 0;

async function open(byHand) {
  const [name, , load] = TABS.find(([tab]) => `#${tab}` === location.hash) ?? TABS[0];
  for (const link of tabs.children) {
    if (link.hash === `#${name}`) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  const turn = ++opening;
  let content;
  try {
    const { build } = await load();
    content = name === "import" ? (importView ??= build(desk)) : build(desk);
  } catch (error) {
    // A module that did not arrive: the service is away, or this page is older than it.
    content = h("div", { class: "notice bad", role: "alert" },
      h("p", {}, error instanceof TypeError ? t("This part of the page could not be loaded.") : explain(error)),
      h("button", { type: "button", onclick: () => location.reload() }, t("Load the page again")));
  }
  if (turn !== opening) return;
  show(view, content);
  if (byHand) (content.querySelector("[autofocus]") ?? content.querySelector("h2"))?.focus();
}

addEventListener("hashchange", () => open(true));
open(false);
